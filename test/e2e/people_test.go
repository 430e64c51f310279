package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/onebeat/onebeat/test/harness"
)

// A run that a person asks for is sent once, also when nothing runs at that
// moment or the node dies of it, and does not move the schedule. A paused entry
// sends nothing, and its slots end as skipped.
func TestPeopleStepIn(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{postgres, sqlite} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, kind, redis)
			grids := s.herd(t, 2)
			s.database.insert(t,
				item{"name": "asked for", "cron_expression": "0 0 29 2 *"},
				item{"name": "pausing", "cron_expression": "@every 1s"})
			grids["pausing"] = every(time.Second)

			s.command(t, "entries", "run-now", "asked for")
			s.crash(t, "redis.publish.after", 1)
			n := s.serve(t)
			s.awaitRuns(t, "asked for", 1)
			s.command(t, "entries", "run-now", "asked for")
			s.awaitRuns(t, "asked for", 2)

			s.command(t, "entries", "pause", "pausing", "--reason", "maintenance")
			paused := time.Now().Add(time.Second)
			until(t, paused.Add(2*time.Second))
			resumed := time.Now()
			s.command(t, "entries", "resume", "pausing")
			last := time.Now().Truncate(time.Second).Add(3 * time.Second)
			s.awaitSent(t, "pausing", last, 10*time.Second)
			n.stop(t)

			asked := map[string]int{}
			var planned []arrival
			for _, m := range s.broker.messages(t) {
				if m.Entry == "asked for" {
					asked[m.ID]++
					continue
				}
				a := arrival{entry: m.Entry, slot: slotOf(t, m.Slot), id: m.ID}
				if a.entry == "pausing" && a.slot.After(paused) && a.slot.Before(resumed) {
					t.Errorf("the paused entry was sent for %v", a.slot)
				}
				planned = append(planned, a)
			}
			if len(asked) != 2 {
				t.Errorf("two runs were asked for, these ids came: %v", asked)
			}
			for id, times := range asked {
				if times != 1 {
					t.Errorf("the run %s came %d times", id, times)
				}
			}
			report(t, once(planned))
			s.database.exec(t, "DELETE FROM onebeat_runs WHERE name = 'asked for'")
			report(t, append(s.unrecorded(t, planned), s.accounted(t, grids, window{s.database.firstStart(t), last})...))
			if at := s.lastRunAt(t, "asked for"); !at.IsZero() {
				t.Errorf("last_run_at of the entry that was asked for = %v: no slot of it has come", at)
			}
			for _, slot := range every(time.Second).slots(paused, resumed) {
				if got := s.endOf(t, "pausing", slot); got != "skipped" {
					t.Errorf("slot %v of the paused entry ended as %q, want skipped", slot, got)
				}
			}
		})
	}
}

// awaitRuns waits until the ledger has so many runs of the entry as sent, or more.
func (s *site) awaitRuns(t *testing.T, entry string, count int) {
	t.Helper()
	harness.Eventually(t, startWait, func() error {
		if got := s.sent(t, entry); got < count {
			return fmt.Errorf("%d runs of %s are recorded as sent, want %d", got, entry, count)
		}
		return nil
	})
}
