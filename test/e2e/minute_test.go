package e2e

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/onebeat/onebeat/test/harness"
	"github.com/onebeat/onebeat/test/harness/worker"
)

// A schedule of once a minute, watched over several minutes, runs one task a
// minute, at second 0. It does not run beside the tests of this package.
func TestOnceAMinute(t *testing.T) {
	minutes := 2
	if long {
		minutes = 5
	}
	d := newDatabase(t, postgres)
	d.makeTable(t, shapeA)
	s := newBareSite(t, d, newBroker(t, redis))
	w := s.worker(t, harness.Env(t, "ONEBEAT_TEST_PYTHON"), worker.Options{Pool: "threads"})
	grids := map[string]grid{}
	for i := range 10 {
		name := fmt.Sprintf("test_every_minute %d", i)
		grids[name] = every(time.Minute)
		d.insert(t, item{
			"name": name, "task_name": "fetch_listed_info_task", "cron_expression": "* * * * *",
			"kwargs": `{"schedule_id": 1, "from_date": "20250729", "to_date": "20250730"}`,
		})
	}
	n := s.serve(t)
	busy := map[time.Time]bool{}
	slot := time.Now().UTC()
	for range minutes {
		slot = every(time.Minute).next(slot)
		until(t, slot.Add(-500*time.Millisecond))
		before := idleTime(t)
		until(t, slot.Add(500*time.Millisecond))
		idle := idleTime(t) - before
		busy[slot] = idle < 500*time.Millisecond // of one processor, in a second
	}
	s.awaitSent(t, "test_every_minute 0", slot, 5*time.Second)
	n.stop(t)

	records := w.Await(t, 10*minutes, 20*time.Second)
	s.check(t, grids, window{d.firstStart(t), slot}, ran(t, records))
	runs := d.ledger(t)
	late := lateness(runs)
	t.Logf("%d tasks in %d minutes: late by %v at p50, %v at p99", len(late), minutes, percentile(late, 50), percentile(late, 99))
	for _, r := range runs {
		late := r.sentAt.Sub(r.slot.Time)
		switch {
		case late < 50*time.Millisecond:
		case busy[r.slot.Time]:
			t.Logf("%s: slot %v was late by %v while other programs kept the machine busy", r.entry, r.slot.Time, late)
		default:
			t.Errorf("%s: slot %v was late by %v, want less than 50ms", r.entry, r.slot.Time, late)
		}
	}
	for _, r := range records {
		if at := r.ReceivedAt; at.Second() != 0 && !busy[slotOf(t, r.Slot)] {
			t.Errorf("a worker received slot %s at %v, want it at second 0", r.Slot, at)
		}
	}
}

// idleTime is how long processors have had nothing to do since the machine
// started, all of them together (proc(5), /proc/stat, in hundredths of a second).
func idleTime(t *testing.T) time.Duration {
	t.Helper()
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		t.Fatal(err)
	}
	var user, nice, system, idle int64
	if _, err := fmt.Sscan(strings.TrimPrefix(string(text), "cpu"), &user, &nice, &system, &idle); err != nil {
		t.Fatalf("read /proc/stat: %v", err)
	}
	return time.Duration(idle) * 10 * time.Millisecond
}
