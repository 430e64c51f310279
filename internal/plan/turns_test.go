package plan_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onebeat/onebeat/internal/plan"
	"github.com/onebeat/onebeat/internal/schedule"
)

// herd is a planner with so many entries that are due together each hour from a minute after the start on, and so many
// of every second; and how it goes on when a hundred slots are handed over each tenth of a second.
func herd(t *testing.T, hourly, secondly int, each func(schedule.Due)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := running(t, plan.Options{})
		time.Sleep(59 * time.Second)
		var changes []schedule.Change
		for i := range hourly {
			changes = append(changes, present(&schedule.Entry{ID: schedule.ID(fmt.Sprint("h", i)), Name: "hourly", After: time.Now(), Spec: every(t, "1 * * * *")}))
		}
		for i := range secondly {
			changes = append(changes, present(&schedule.Entry{ID: schedule.ID(fmt.Sprint("s", i)), Name: "secondly", After: time.Now(), Spec: every(t, "@every 1s")}))
		}
		apply(t, p, changes...)
		for range 20 * 10 {
			dues, err := p.Pull(t.Context(), 100)
			if err != nil {
				t.Fatal(err)
			}
			ordered := time.Now()
			for _, due := range dues {
				if due.Slot.Before(ordered) && due.Slot.After(time.Now()) {
					t.Fatalf("%s at %v comes after one that is yet to come", due.Entry.Name, due.Slot)
				}
				if due.Slot.After(ordered) {
					ordered = due.Slot
				}
				each(due)
			}
			time.Sleep(100 * time.Millisecond)
		}
	})
}

// TestAHerdDoesNotHoldUpWhoIsDueOften: what comes each second leaves within the next batch, and the herd goes on.
func TestAHerdDoesNotHoldUpWhoIsDueOften(t *testing.T) {
	const hourly = 5000 // five seconds, alone
	hours, last, latest := 0, map[schedule.ID]time.Time{}, time.Duration(0)
	var out time.Time
	herd(t, hourly, 20, func(due schedule.Due) {
		if due.State != "" {
			t.Fatalf("%s at %v ended as %s", due.Entry.Name, due.Slot, due.State)
		}
		if due.Entry.Name == "hourly" {
			hours++
			out = time.Now()
			return
		}
		if was, ok := last[due.Entry.ID]; ok && !due.Slot.Equal(was.Add(time.Second)) {
			t.Fatalf("a slot at %v came after that at %v", due.Slot, was)
		}
		last[due.Entry.ID], latest = due.Slot, max(latest, time.Since(due.Slot))
	})
	if latest > 200*time.Millisecond {
		t.Errorf("slots of every second were handed over as late as %v", latest)
	}
	if took := out.Sub(time.Date(2000, 1, 1, 0, 1, 0, 0, time.UTC)); hours != hourly || took > 7*time.Second {
		t.Errorf("%d of %d of the herd were handed over, the last after %v", hours, hourly, took)
	}
}

// TestWhoIsDueOftenDoesNotHoldUpAHerd: where there are more of those than can be sent, others have half of the batches.
func TestWhoIsDueOftenDoesNotHoldUpAHerd(t *testing.T) {
	const hourly = 5000
	hours := 0
	var out time.Time
	herd(t, hourly, 2000, func(due schedule.Due) {
		if due.Entry.Name == "hourly" {
			hours++
			out = time.Now()
		}
	})
	if took := out.Sub(time.Date(2000, 1, 1, 0, 1, 0, 0, time.UTC)); hours != hourly || took > 15*time.Second {
		t.Errorf("%d of %d of the herd were handed over, the last after %v", hours, hourly, took)
	}
}
