package plan_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onebeat/onebeat/internal/plan"
	"github.com/onebeat/onebeat/internal/schedule"
)

// closed are windows for all, as news of them: from the clock on, for so long.
func closed(t *testing.T, windows ...string) schedule.Change {
	t.Helper()
	var all []schedule.Window
	for _, text := range windows {
		var clock string
		var minutes int
		if _, err := fmt.Sscan(text, &clock, &minutes); err != nil {
			t.Fatal(err)
		}
		all = append(all, schedule.Window{
			Name: clock, Scope: schedule.ScopeAll, Reason: "why",
			Spec: every(t, "@at 2000-01-01T"+clock+":00Z"), Length: time.Duration(minutes) * time.Minute,
		})
	}
	return schedule.Change{Windows: schedule.NewWindows(all)}
}

func TestSlotsInAWindowAreSkipped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := running(t, plan.Options{})
		apply(t, p, closed(t, "00:20 20"), present(&schedule.Entry{ID: "1", Name: "e", Spec: every(t, "@every 10m"), After: time.Now()}))
		got := pull(t, p, 45*time.Minute, func(due schedule.Due) {
			if due.State == schedule.Skipped && due.Reason != "window 00:20: why" {
				t.Errorf("%v is skipped as %q", due.Slot, due.Reason)
			}
			if early := time.Until(due.Slot); early < 0 || early > 750*time.Millisecond {
				t.Errorf("slot %v was handed over %v before it came", due.Slot, early)
			}
		})
		check(t, got, "e 00:10:00", "e 00:20:00-00:20:00 skipped 1", "e 00:30:00-00:30:00 skipped 1", "e 00:40:00")
		apply(t, p, closed(t, "00:50 60"))
		check(t, pull(t, p, 10*time.Minute, nil), "e 00:50:00-00:50:00 skipped 1")
		apply(t, p, closed(t))
		check(t, pull(t, p, 10*time.Minute, nil), "e 01:00:00")
	})
}

// A run that a person asked for goes out, whatever the windows.
func TestWindowsHoldNoRunThatWasAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := running(t, plan.Options{})
		apply(t, p, closed(t, "00:00 60"), present(&schedule.Entry{ID: "1", Name: "e", Spec: every(t, "@every 1h"), After: time.Now()}))
		if err := p.Submit(t.Context(), schedule.Due{Entry: &schedule.Entry{ID: "1"}, Slot: time.Now(), Request: "r"}); err != nil {
			t.Fatal(err)
		}
		check(t, pull(t, p, time.Minute, nil), "e 00:00:00")
	})
}

// A new definition does not answer for a slot that a window has ended.
func TestAnEditRepeatsNoSlotOfAWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := running(t, plan.Options{})
		e := &schedule.Entry{ID: "1", Name: "e", Spec: every(t, "@every 10m"), Digest: 1, After: time.Now()}
		apply(t, p, closed(t, "00:10 1"), present(e))
		time.Sleep(10*time.Minute - 100*time.Millisecond)
		check(t, pull(t, p, 50*time.Millisecond, nil), "e 00:10:00-00:10:00 skipped 1")
		same := &schedule.Entry{ID: "1", Name: "e", Spec: e.Spec, Digest: 2, After: e.After}
		apply(t, p, present(same))
		other := &schedule.Entry{ID: "1", Name: "e", Spec: every(t, "@every 5m"), Digest: 3, After: time.Now()}
		apply(t, p, present(other))
		check(t, pull(t, p, 6*time.Minute, nil), "e 00:15:00")
	})
}

func TestMissedSlotsAndWindows(t *testing.T) {
	for _, tt := range []struct {
		name    string
		windows []string
		misfire schedule.Misfire
		away    time.Duration
		want    []string
	}{
		{"the window is in the middle", []string{"00:20 20"}, schedule.Misfire{}, 65 * time.Minute, []string{"e 00:10:00-00:10:00 coalesced 1", "e 00:20:00-00:30:00 skipped 2", "e 00:40:00-00:50:00 coalesced 2", "e 01:00:00"}},
		{"the window goes on", []string{"00:30 90"}, schedule.Misfire{}, 65 * time.Minute, []string{"e 00:10:00-00:10:00 coalesced 1", "e 00:20:00", "e 00:30:00-01:00:00 skipped 4"}},
		{"the window came first", []string{"00:00 35"}, schedule.Misfire{}, 65 * time.Minute, []string{"e 00:10:00-00:30:00 skipped 3", "e 00:40:00-00:50:00 coalesced 2", "e 01:00:00"}},
		{"windows all the time", []string{"00:00 35", "00:30 40"}, schedule.Misfire{}, 65 * time.Minute, []string{"e 00:10:00-00:30:00 skipped 3", "e 00:40:00-01:00:00 skipped 3"}},
		{"two windows", []string{"00:10 10", "00:40 10"}, schedule.Misfire{Policy: schedule.Skip}, 65 * time.Minute, []string{"e 00:10:00-00:10:00 skipped 1", "e 00:20:00-00:30:00 skipped 2", "e 00:40:00-00:40:00 skipped 1", "e 00:50:00-01:00:00 skipped 2"}},
		{"each is wanted", []string{"00:20 20"}, schedule.Misfire{Policy: schedule.All}, 65 * time.Minute, []string{"e 00:10:00", "e 00:20:00-00:30:00 skipped 2", "e 00:40:00", "e 00:50:00", "e 01:00:00"}},
		{"the window holds none", []string{"00:12 7"}, schedule.Misfire{}, 25 * time.Minute, []string{"e 00:10:00-00:10:00 coalesced 1", "e 00:20:00"}},
		{"the latest is only late, and held", []string{"00:30 5"}, schedule.Misfire{}, 30*time.Minute + 2*time.Second, []string{"e 00:10:00-00:10:00 coalesced 1", "e 00:20:00", "e 00:30:00-00:30:00 skipped 1"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := &schedule.Entry{ID: "1", Name: "e", Spec: every(t, "@every 10m"), Misfire: tt.misfire, After: time.Now()}
				time.Sleep(tt.away)
				p := running(t, plan.Options{})
				apply(t, p, closed(t, tt.windows...), present(e))
				check(t, pull(t, p, time.Minute, nil), tt.want...)
			})
		})
	}
}

// A definition goes back to the catalog though a window holds the slots of another.
func TestWindowsHoldUpNoDefinition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, rows := running(t, lean), newTable()
		ids := []string{"00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002", "00000000-0000-4000-8000-000000000003"}
		changes := []schedule.Change{{Windows: schedule.NewWindows([]schedule.Window{{
			Name: "w", Scope: schedule.ScopeEntry, Target: ids[0], Spec: every(t, "@at 2000-01-01T00:00:00Z"), Length: 24 * time.Hour,
		}})}}
		for n, id := range ids {
			changes = append(changes, rows.write(t, id, "@every 1h", uint64(n+1)))
		}
		apply(t, p, changes...)
		rows.bring(t, p)
		pull(t, p, 3*time.Hour-30*time.Second, seal)
		asked := map[schedule.ID]int{}
		rows.mu.Lock()
		for _, id := range rows.asked {
			asked[id]++
		}
		rows.mu.Unlock()
		if asked[schedule.ID(ids[1])] < 2 || asked[schedule.ID(ids[2])] < 2 {
			t.Errorf("the definitions were fetched %v times, want those of the entries that no window holds before each slot", asked)
		}
	})
}
