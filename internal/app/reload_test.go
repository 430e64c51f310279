package app

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/onebeat/onebeat/internal/dispatch"
	"github.com/onebeat/onebeat/internal/plan"
	"github.com/onebeat/onebeat/internal/schedule"
	"github.com/onebeat/onebeat/internal/store"
)

// following runs do with a follower over a planner at work, in a bubble.
func following(t *testing.T, journal []schedule.Claimed, do func(ctx context.Context, f *follower, log *strings.Builder)) {
	synctest.Test(t, func(t *testing.T) {
		log := new(strings.Builder)
		logger := slog.New(slog.NewTextHandler(log, nil))
		n := &node{log: logger, clock: newClock(logger), dispatching: dispatch.NewMetrics()}
		planner := plan.New(plan.Options{Now: n.clock.Now})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- planner.Run(ctx) }()
		do(ctx, newFollower(planner, journal, newMetrics(n), new(collector), logger), log)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// pulledWithin returns the slots that are due within the wait, as their entries' ids.
func pulledWithin(ctx context.Context, planner *plan.Planner, wait time.Duration) (ids string) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	for {
		dues, err := planner.Pull(ctx, 10)
		if err != nil {
			return strings.TrimSpace(ids)
		}
		for _, due := range dues {
			ids += string(due.Entry.ID)
			if due.Request != "" {
				ids += "(" + due.Request + ")"
			}
			ids += " "
		}
	}
}

func TestAnEntryIsNotPlannedBeforeWhatWasLeftOfItIsEnded(t *testing.T) {
	long := time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC) // before the bubble's time
	journal := []schedule.Claimed{{Term: 1, Seq: 1, Dues: []schedule.ClaimedDue{{Entry: "a", Slot: long}, {Entry: "b", Slot: long}}}}
	following(t, journal, func(ctx context.Context, f *follower, _ *strings.Builder) {
		mustApply(ctx, t, f, schedule.Change{ID: "a", Entry: minutely(t, "a")}, schedule.Change{ID: "b", Entry: minutely(t, "b")})
		if err := f.Asked(ctx, []store.Request{{ID: "r1", Entry: "a", At: time.Now()}}); err != nil {
			t.Fatal(err)
		}
		f.Loaded()
		if !wait(ctx, ctx, f.loaded) {
			t.Fatal("wait = false once all were told of")
		}
		mustApply(ctx, t, f, schedule.Change{ID: "b", Reason: schedule.ReasonRemoved})
		if got := pulledWithin(ctx, f.planner, 90*time.Second); got != "" {
			t.Errorf("before begin %q was due, want nothing", got)
		}
		if e := f.present(t.Context(), nil, "a").Entry; e == nil || e.ID != "a" {
			t.Errorf("entry(a) = %v, want its definition", e)
		}
		if e := f.present(t.Context(), nil, "b").Entry; e != nil {
			t.Errorf("entry(b) = %v, want none: it was removed", e)
		}
		if err := f.begin(ctx); err != nil {
			t.Fatal(err)
		}
		// What was asked for comes first, then the minute that passed.
		if got, want := pulledWithin(ctx, f.planner, time.Second), "a(r1) a"; got != want {
			t.Errorf("after begin %q was due, want %q", got, want)
		}
		mustApply(ctx, t, f, schedule.Change{ID: "c", Entry: minutely(t, "c")})
		if got := pulledWithin(ctx, f.planner, 61*time.Second); !strings.Contains(got, "c") {
			t.Errorf("after begin %q was due, want c at once in the plan", got)
		}
	})
}

func TestWhatRecoveryEndsIsNotPlannedAgain(t *testing.T) {
	now := time.Now // of the bubble
	following(t, nil, func(ctx context.Context, f *follower, _ *strings.Builder) {
		entry := minutely(t, "a")
		*f = *newFollower(f.planner, []schedule.Claimed{{Term: 1, Seq: 1, Dues: []schedule.ClaimedDue{
			{Entry: "a", Slot: now().Add(time.Minute)},
			{Entry: "a", Slot: now().Add(-time.Second), Request: "r1"},
		}}}, f.metrics, new(collector), f.log)
		mustApply(ctx, t, f, schedule.Change{ID: "a", Entry: entry})
		if err := f.Asked(ctx, []store.Request{{ID: "r1", Entry: "a", At: now()}, {ID: "r2", Entry: "a", At: now()}}); err != nil {
			t.Fatal(err)
		}
		f.Loaded()
		if err := f.begin(ctx); err != nil {
			t.Fatal(err)
		}
		if got, want := pulledWithin(ctx, f.planner, 119*time.Second), "a(r2)"; got != want {
			t.Errorf("before the second minute %q was due, want %q: the journal has the first minute and r1", got, want)
		}
		if got, want := pulledWithin(ctx, f.planner, 10*time.Second), "a"; got != want {
			t.Errorf("at the second minute %q was due, want %q", got, want)
		}
	})
}

func TestABadRowIsLoggedOnceUntilItChanges(t *testing.T) {
	following(t, nil, func(ctx context.Context, f *follower, log *strings.Builder) {
		bad := func(problem string) schedule.Change {
			return schedule.Change{ID: "a", Name: "report", Reason: schedule.ReasonBadRow, Problem: problem}
		}
		for i, step := range []struct {
			change schedule.Change
			logged int     // lines so far
			bad    float64 // rows
		}{
			{bad("minute 61 is too high"), 1, 1},
			{bad("minute 61 is too high"), 1, 1},
			{bad("hour 25 is too high"), 2, 1},
			{schedule.Change{ID: "a", Entry: minutely(t, "a")}, 2, 0},
			{bad("hour 25 is too high"), 3, 1},
			{schedule.Change{ID: "a", Reason: schedule.ReasonRemoved}, 3, 0},
		} {
			mustApply(ctx, t, f, step.change)
			if got := strings.Count(log.String(), "entry set aside"); got != step.logged {
				t.Errorf("step %d: it was logged %d times, want %d:\n%s", i, got, step.logged, log)
			}
			if got := valueOf(t, f.metrics.badRows); got != step.bad {
				t.Errorf("step %d: onebeat_bad_rows = %v, want %v", i, got, step.bad)
			}
		}
		if !strings.Contains(log.String(), "entry=report") || !strings.Contains(log.String(), `err="minute 61 is too high"`) {
			t.Errorf("the log does not name the entry and the reason:\n%s", log)
		}
	})
}

// A reload is summed up in a line, and the first load is not a reload.
func TestReloadsAreSummedUp(t *testing.T) {
	following(t, nil, func(ctx context.Context, f *follower, log *strings.Builder) {
		mustApply(ctx, t, f, schedule.Change{ID: "a", Entry: minutely(t, "a")},
			schedule.Change{ID: "b", Reason: schedule.ReasonDisabled}, schedule.Change{ID: "c", Reason: schedule.ReasonBadRow, Problem: "p"})
		f.Loaded()
		f.Loaded() // the watch began again
		if err := f.begin(ctx); err != nil {
			t.Fatal(err)
		}
		if got := valueOf(t, f.metrics.reloads); got != 0 {
			t.Errorf("onebeat_reloads_total = %v after the first load, want 0", got)
		}
		mustApply(ctx, t, f, schedule.Change{ID: "a", Reason: schedule.ReasonDisabled}, schedule.Change{ID: "b", Entry: minutely(t, "b")})
		mustApply(ctx, t, f)
		if got := valueOf(t, f.metrics.reloads); got != 1 {
			t.Errorf("onebeat_reloads_total = %v, want 1", got)
		}
		for _, want := range []string{`msg="entries loaded" entries=1 disabled=1 bad=1`, `msg="entries changed" changed=1 ended=1 bad=0`} {
			if strings.Count(log.String(), want) != 1 {
				t.Errorf("the log does not say %s once:\n%s", want, log)
			}
		}
	})
}

// What an edit ends is named: who looks for a task that no longer comes finds when that was, and why.
func TestEntriesThatEndAreNamed(t *testing.T) {
	following(t, nil, func(ctx context.Context, f *follower, log *strings.Builder) {
		var all []schedule.Change
		for n := range 2 * eachBad {
			id := schedule.ID(fmt.Sprint(n))
			all = append(all, schedule.Change{ID: id, Entry: minutely(t, id)})
		}
		mustApply(ctx, t, f, schedule.Change{ID: "a", Entry: minutely(t, "a")}, schedule.Change{ID: "b", Reason: schedule.ReasonDisabled})
		mustApply(ctx, t, f, all...)
		f.Loaded()
		if err := f.begin(ctx); err != nil {
			t.Fatal(err)
		}
		const named = "entry is sent no more"
		if strings.Contains(log.String(), named) {
			t.Errorf("an entry that had ended before is named:\n%s", log)
		}
		off := schedule.Change{ID: "a", Name: "report", Reason: schedule.ReasonDisabled}
		mustApply(ctx, t, f, off)
		mustApply(ctx, t, f, off) // another column of its row was edited
		mustApply(ctx, t, f, schedule.Change{ID: "a", Reason: schedule.ReasonRemoved})
		for _, want := range []string{
			`msg="` + named + `" entry=report entry_id=a reason=disabled`,
			`msg="` + named + `" entry_id=a reason=removed`,
		} {
			if strings.Count(log.String(), want) != 1 {
				t.Errorf("the log does not say %s once:\n%s", want, log)
			}
		}
		for i := range all {
			all[i] = schedule.Change{ID: all[i].ID, Reason: schedule.ReasonRemoved}
		}
		mustApply(ctx, t, f, all...)
		if got := strings.Count(log.String(), named); got != eachBad {
			t.Errorf("%d of them are named in a second, want %d", got, eachBad)
		}
	})
}

// Of a run that was asked for it is said why its entry is not planned.
func TestARequestSaysWhyNothingIsSent(t *testing.T) {
	following(t, nil, func(ctx context.Context, f *follower, _ *strings.Builder) {
		mustApply(ctx, t, f, schedule.Change{ID: "off", Reason: schedule.ReasonDisabled}, schedule.Change{ID: "held", Reason: schedule.ReasonPaused},
			schedule.Change{ID: "bad", Reason: schedule.ReasonBadRow, Problem: "p"}, schedule.Change{ID: "gone", Entry: minutely(t, "gone")})
		f.Loaded()
		if err := f.begin(ctx); err != nil {
			t.Fatal(err)
		}
		mustApply(ctx, t, f, schedule.Change{ID: "gone", Reason: schedule.ReasonRemoved})
		want := map[schedule.ID]string{
			"off": schedule.ReasonDisabled, "held": schedule.ReasonPaused, "bad": schedule.ReasonBadRow,
			"gone": schedule.ReasonRemoved, "before": schedule.ReasonRemoved, // this node was there
		}
		for id := range want {
			if err := f.Asked(ctx, []store.Request{{ID: "of " + string(id), Entry: id, At: time.Now()}}); err != nil {
				t.Fatal(err)
			}
		}
		for got := 0; got < len(want); {
			dues, err := f.planner.Pull(ctx, 10)
			if err != nil {
				t.Fatal(err)
			}
			got += len(dues)
			for _, due := range dues {
				if due.State != schedule.Skipped || due.Reason != want[due.Entry.ID] {
					t.Errorf("run of %s: %s, %s, want it skipped: %s", due.Entry.ID, due.State, due.Reason, want[due.Entry.ID])
				}
			}
		}
	})
}

func TestWaitingForEntriesEndsWithTheLease(t *testing.T) {
	following(t, nil, func(ctx context.Context, f *follower, _ *strings.Builder) {
		hold, lose := context.WithCancel(ctx)
		lose()
		if wait(ctx, hold, f.loaded) {
			t.Error("wait = true, though the lease ended and nothing was loaded")
		}
	})
}

func mustApply(ctx context.Context, t *testing.T, f *follower, changes ...schedule.Change) {
	t.Helper()
	if err := f.Apply(ctx, changes); err != nil {
		t.Fatal(err)
	}
}

// valueOf returns the value of a metric without labels.
func valueOf(t *testing.T, metric prometheus.Collector) float64 {
	t.Helper()
	values := slices.Collect(maps.Values(gauges(t, metric)))
	if len(values) != 1 {
		t.Fatalf("gathered %v, want one metric", values)
	}
	return values[0]
}
