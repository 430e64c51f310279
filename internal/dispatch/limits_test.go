package dispatch_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onebeat/onebeat/internal/plan"
	"github.com/onebeat/onebeat/internal/schedule"
)

// Whatever fails and however often nodes crash, as many runs are sent as the limit
// says, each once, and the last of them ends the entry.
func TestNeverMoreRunsThanTheLimit(t *testing.T) {
	const runs = 7
	for seed := range uint64(30) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, seed, 0.15)
				if seed%2 == 1 {
					w.joint = &joint{ledger: w.ledger, broker: w.broker}
				}
				w.add("limited", "@every 1s", schedule.All)
				w.add("other", "@every 1s", schedule.All)
				w.limits = map[schedule.ID]schedule.Limit{"limited": {Runs: runs, Then: schedule.ThenDisable}}
				chance := rand.New(rand.NewPCG(seed, 2))
				for range 40 {
					hold, crash := context.WithTimeout(t.Context(), time.Duration(chance.IntN(1500))*time.Millisecond)
					_ = w.node(t.Context(), hold, nil) // it ends by the crash
					crash()
				}
				w.ledger.set(0)
				w.broker.set(0)
				ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
				defer stop()
				if err := w.node(ctx, t.Context(), nil); err != nil {
					t.Fatal(err)
				}
				recorded, finished := map[string]bool{}, 0
				for _, run := range w.ledger.runs {
					if run.Entry != "limited" {
						if run.Then != schedule.ThenKeep {
							t.Errorf("the run of %v ends the entry %s, which has no limit", run.Slot, run.Entry)
						}
						continue
					}
					if run.State == schedule.Sent {
						recorded[run.TaskID] = true
					}
					if run.Then != schedule.ThenKeep {
						finished++
						if len(recorded) != runs {
							t.Errorf("the run of %v ends the entry after %d were sent, want %d", run.Slot, len(recorded), runs)
						}
					}
				}
				arrived := 0
				for _, m := range w.broker.got {
					if recorded[m.id] {
						arrived++
					}
				}
				if len(recorded) != runs || arrived != runs || finished == 0 {
					t.Errorf("%d runs were recorded as sent, %d arrived and %d end the entry; want %d, %d and at least one", len(recorded), arrived, finished, runs, runs)
				}
			})
		})
	}
}

func TestAFailedRunDoesNotCountTowardsTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 0)
		w.add("e", "@every 10s", schedule.Once)
		w.limits = map[schedule.ID]schedule.Limit{"e": {Runs: 2, Then: schedule.ThenDelete}}
		w.broker.missing = map[string]bool{"celery": true}
		ctx, stop := context.WithTimeout(t.Context(), 65*time.Second)
		defer stop()
		err := w.node(ctx, context.Background(), func(*plan.Planner) {
			time.AfterFunc(25*time.Second, func() {
				w.broker.mu.Lock()
				defer w.broker.mu.Unlock()
				w.broker.missing = nil
			})
		})
		if err != nil {
			t.Fatal(err)
		}
		var ends []string
		for _, run := range w.ledger.runs {
			ends = append(ends, fmt.Sprintf("%s %s %d", run.State, run.Reason, run.Then))
		}
		want := fmt.Sprint([]string{"failed no such queue 0", "failed no such queue 0", "sent  0", "sent  2", "skipped done 2", "skipped done 2"})
		if got := fmt.Sprint(ends); got != want {
			t.Errorf("runs ended as %s, want %s", got, want)
		}
	})
}

// The last slot of a spec ends the entry, however it ended itself.
func TestTheLastSlotEndsTheEntry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 0)
		end := time.Now().Add(35 * time.Second).UTC().Format(time.RFC3339)
		w.add("bounded", `@rules {"end": "`+end+`"} @every 10s`, schedule.Once)
		w.add("once", "@at "+time.Now().Add(15*time.Second).UTC().Format(time.RFC3339), schedule.Once)
		w.add("kept", "@at "+time.Now().Add(15*time.Second).UTC().Format(time.RFC3339), schedule.Once)
		w.limits = map[schedule.ID]schedule.Limit{"bounded": {Then: schedule.ThenDelete}, "once": {Then: schedule.ThenDisable}}
		w.broker.missing = map[string]bool{"celery": true}
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		if err := w.node(ctx, context.Background(), nil); err != nil {
			t.Fatal(err)
		}
		got := map[schedule.ID][]schedule.Then{}
		for _, run := range w.ledger.runs {
			got[run.Entry] = append(got[run.Entry], run.Then)
		}
		if fmt.Sprint(got) != "map[bounded:[0 0 2] kept:[0] once:[1]]" {
			t.Errorf("the ends of slots ended the entries so: %v", got)
		}
	})
}

// An edit in the lead keeps the old definition's last slot from ending the new one.
func TestAnEditKeepsTheOldEndOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 0)
		w.add("e", "@at "+time.Now().Add(10*time.Second).UTC().Format(time.RFC3339), schedule.Once)
		w.limits = map[schedule.ID]schedule.Limit{"e": {Then: schedule.ThenDelete}}
		ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
		defer stop()
		err := w.node(ctx, context.Background(), func(planner *plan.Planner) {
			time.AfterFunc(9900*time.Millisecond, func() { // it is claimed by now
				later := entry(t, "e", "@at "+time.Now().Add(time.Hour).UTC().Format(time.RFC3339), time.Now())
				later.Digest = 2
				_ = planner.Apply(ctx, []schedule.Change{{ID: "e", Entry: later}})
			})
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, run := range w.ledger.runs {
			if run.State != schedule.Skipped || run.Reason != schedule.ReasonEdited || run.Then != schedule.ThenKeep {
				t.Errorf("the slot ended as %s (%s), and then %d; want it skipped as edited and the entry kept", run.State, run.Reason, run.Then)
			}
		}
		if len(w.ledger.runs) != 1 {
			t.Errorf("%d runs, want 1", len(w.ledger.runs))
		}
	})
}

// What a crash left unrecorded counts too, and may be the entry's end.
func TestRunsThatRecoveryLearnsOfCountTowardsTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 0)
		w.add("e", "@every 10s", schedule.All)
		w.limits = map[schedule.ID]schedule.Limit{"e": {Runs: 2, Then: schedule.ThenDisable}}
		w.ledger.full = true
		hold, crash := context.WithTimeout(t.Context(), 25*time.Second)
		defer crash()
		_ = w.node(t.Context(), hold, nil) // it ends by the crash
		w.ledger.full = false
		ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
		defer stop()
		if err := w.node(ctx, t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		if len(w.broker.got) != 2 {
			t.Errorf("%d messages arrived, want 2", len(w.broker.got))
		}
		var ends []string
		for _, run := range w.ledger.runs[:2] {
			ends = append(ends, fmt.Sprintf("%s %t %d", run.State, run.Recovered, run.Then))
		}
		if got := fmt.Sprint(ends); got != "[sent true 0 sent true 1]" {
			t.Errorf("the recovery ended %s", got)
		}
	})
}
