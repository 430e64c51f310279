package plan_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onebeat/onebeat/internal/plan"
	"github.com/onebeat/onebeat/internal/schedule"
)

func coming(t *testing.T, p *plan.Planner, most int) []string {
	t.Helper()
	slots, err := p.Coming(t.Context(), most)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, slot := range slots {
		got = append(got, fmt.Sprintf("%s %s", slot.Slot.Format("15:04:05"), slot.ID))
	}
	return got
}

// What comes next is what would be handed over next, of however many entries.
func TestWhatComesNextIsKnown(t *testing.T) {
	for seed := range uint64(50) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 1))
			p := running(t, plan.Options{Keep: 1 + random.IntN(40), Far: time.Duration(random.IntN(10)) * time.Minute})
			now, table := time.Now(), newTable()
			var want []string
			var specs []schedule.Spec
			for n := range random.IntN(80) {
				text := fmt.Sprintf("@every %ds", 7+random.IntN(3000))
				change := table.write(t, fmt.Sprintf("00000000-0000-4000-8000-%012d", n), text, 1)
				if random.IntN(3) == 0 {
					change = left(change)
				}
				apply(t, p, change)
				specs = append(specs, every(t, text))
				for slot := specs[n].Next(now); slot.Before(now.Add(18 * time.Hour)); slot = specs[n].Next(slot) {
					want = append(want, fmt.Sprintf("%s %s", slot.Format("15:04:05"), change.ID))
				}
			}
			slices.Sort(want)
			want = want[:min(20, len(want))]
			got := coming(t, p, 20)
			slices.Sort(got) // of one instant they come in any order
			if len(want) > 0 {
				last := want[len(want)-1][:8]
				same := func(text string) bool { return text[:8] == last }
				got, want = slices.DeleteFunc(got, same), slices.DeleteFunc(want, same) // and any of them are the last
			}
			if !slices.Equal(got, want) {
				t.Errorf("seed %d: coming are %v, want %v", seed, got, want)
			}
		})
	}
}

// A window, an end of runs and an entry that is off are seen in what comes next.
func TestWhatComesNextIsAsItIsPlanned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := running(t, plan.Options{})
		apply(
			t, p,
			present(&schedule.Entry{ID: "a", Name: "a", Spec: every(t, "@every 20s"), After: time.Now()}),
			present(&schedule.Entry{ID: "b", Name: "b", Spec: every(t, `@rules {"max_runs": 5} @every 15s`), After: time.Now()}),
			present(&schedule.Entry{ID: "c", Name: "c", Spec: every(t, "@every 10s"), After: time.Now()}),
			schedule.Change{ID: "c", Reason: schedule.ReasonPaused},
		)
		check(t, coming(t, p, 3), "00:00:15 b", "00:00:20 a", "00:00:40 a")
		check(t, coming(t, p, 1), "00:00:15 b")
		check(t, coming(t, p, 0))
		apply(t, p, closed(t, "00:00 1"))
		slots, err := p.Coming(t.Context(), 6)
		if err != nil || len(slots) != 6 || slots[3].Reason != "" || slots[2].Reason != "window 00:00: why" {
			t.Errorf("of those the first three are in a window: %+v, %v", slots, err)
		}
	})
}

func TestNothingComesOfAPlannerThatHasEnded(t *testing.T) {
	p := plan.New(plan.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if slots, err := p.Coming(t.Context(), 3); err == nil {
		t.Errorf("Coming: %v", slots)
	}
}
