package plan_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/onebeat/onebeat/internal/plan"
	"github.com/onebeat/onebeat/internal/schedule"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// every is a spec for tests: a grid from the Unix epoch.
func every(t *testing.T, text string) schedule.Spec {
	t.Helper()
	spec, err := schedule.ParseSpec(text, "UTC", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	return spec
}

// running starts a planner in the bubble and stops it with the test.
func running(t *testing.T, opts plan.Options) *plan.Planner {
	t.Helper()
	p := plan.New(opts)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return p
}

func apply(t *testing.T, p *plan.Planner, changes ...schedule.Change) {
	t.Helper()
	if err := p.Apply(t.Context(), changes); err != nil {
		t.Fatal(err)
	}
}

func present(e *schedule.Entry) schedule.Change { return schedule.Change{ID: e.ID, Entry: e} }

// pull collects what is handed over during length, each as "name clock" or, for
// an end, "name clock-clock state count".
func pull(t *testing.T, p *plan.Planner, length time.Duration, each func(schedule.Due)) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), length)
	defer cancel()
	var got []string
	for {
		dues, err := p.Pull(ctx, 100)
		if err != nil {
			return got
		}
		for _, due := range dues {
			text := due.Entry.Name + " " + due.Slot.Format("15:04:05")
			if due.State != "" {
				text += fmt.Sprintf("-%s %s %d", due.Through.Format("15:04:05"), due.State, due.Count)
			}
			got = append(got, text)
			if each != nil {
				each(due)
			}
		}
	}
}

func check(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("handed over %q\nwant %q", got, want)
	}
}

// The bubble's clock starts at 2000-01-01T00:00:00Z.

func TestHandsSlotsOverWithinTheLeadAndNeverTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := running(t, plan.Options{})
		apply(t, p, present(&schedule.Entry{ID: "1", Name: "report", Spec: every(t, "@every 10m"), After: time.Now()}))
		got := pull(t, p, 35*time.Minute, func(due schedule.Due) {
			if early := time.Until(due.Slot); early < 0 || early > 250*time.Millisecond {
				t.Errorf("slot %v was handed over %v before it came", due.Slot, early)
			}
		})
		check(t, got, "report 00:10:00", "report 00:20:00", "report 00:30:00")
	})
}

// A herd is handed over from half a lead before it on; a few slots from a sixth of it on, for what people ask for waits for
// what was handed over.
func TestAHerdIsHandedOverSooner(t *testing.T) {
	for _, tt := range []struct {
		entries int
		early   time.Duration
	}{
		{1, 100 * time.Millisecond},
		{999, 100 * time.Millisecond},
		{1000, 300 * time.Millisecond},
		{3000, 300 * time.Millisecond},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := running(t, plan.Options{Lead: 600 * time.Millisecond})
			var changes []schedule.Change
			for i := range tt.entries {
				changes = append(changes, present(&schedule.Entry{ID: schedule.ID(fmt.Sprint(i)), Name: "report", Spec: every(t, "@every 10m"), After: time.Now()}))
			}
			apply(t, p, changes...)
			n := 0
			pull(t, p, 10*time.Minute+time.Second, func(due schedule.Due) {
				if early := time.Until(due.Slot); n == 0 && early != tt.early {
					t.Errorf("the first of %d slots was handed over %v before it came, want %v", tt.entries, early, tt.early)
				}
				n++
			})
			if n != tt.entries {
				t.Errorf("%d slots were handed over, want %d", n, tt.entries)
			}
		})
	}
}

// A planner with nothing to do wakes up when it is told to, and not in between.
func TestAPlannerSleepsUntilItsGlance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		p := running(t, plan.Options{Glance: func() time.Duration { return 3*time.Second - time.Since(began)%(3*time.Second) }})
		for range 20 {
			time.Sleep(700 * time.Millisecond)
			if got, want := p.Ticked(), time.Now().Truncate(3*time.Second); !got.Equal(want) {
				t.Errorf("%v after its start a planner had woken up at %v, want %v", time.Since(began), got, want)
			}
		}
	})
}

func TestOneClaimTakesHalfALeadOfSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := running(t, plan.Options{})
		var changes []schedule.Change
		for i := range 100 { // a slot every 10 ms
			id := schedule.ID(fmt.Sprint(i))
			spec := every(t, "@every 1s from 2000-01-01T00:00:00."+fmt.Sprintf("%02d", i)+"Z")
			changes = append(changes, present(&schedule.Entry{ID: id, Name: "e", Spec: spec, After: time.Now()}))
		}
		apply(t, p, changes...)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		pulls := 0
		for slots := 0; slots < 900; pulls++ {
			dues, err := p.Pull(ctx, 1000)
			if err != nil {
				t.Fatal(err)
			}
			slots += len(dues)
		}
		if pulls > 9*9 { // nine seconds of slots, eight pulls a second
			t.Errorf("%d pulls for 9 s of slots, want about 8 a second", pulls)
		}
	})
}

func TestAnEditMovesOnlyItsOwnEntryAndNeverFiresThePast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := running(t, plan.Options{})
		a := &schedule.Entry{ID: "a", Name: "a", Digest: 1, Spec: every(t, "@every 10m"), After: time.Now()}
		b := &schedule.Entry{ID: "b", Name: "b", Digest: 1, Spec: every(t, "@every 10m"), After: time.Now()}
		apply(t, p, present(a), present(b))
		check(t, pull(t, p, 15*time.Minute, nil), "a 00:10:00", "b 00:10:00")
		apply(t, p, present(&schedule.Entry{ID: "b", Name: "b", Digest: 2, Spec: every(t, "@every 1m"), After: time.Now()}))
		check(t, pull(t, p, 130*time.Second, nil), "b 00:16:00", "b 00:17:00")
		apply(t, p, schedule.Change{ID: "b", Reason: schedule.ReasonDisabled})
		check(t, pull(t, p, 4*time.Minute, nil), "a 00:20:00")
	})
}

func TestAnEditInTheLeadWins(t *testing.T) {
	type edit struct{ spec, reason string }
	for _, tt := range []struct {
		name   string
		edit   edit
		sealed bool     // the sender was faster than the edit
		reason string   // what the old definition says of the slot
		want   []string // what the new one gives within the next minute
	}{
		{"other arguments", edit{spec: "@every 10m"}, false, schedule.ReasonReplaced, []string{"e 00:10:00"}},
		{"other arguments, too late", edit{spec: "@every 10m"}, true, "", nil},
		{"another rule that gives the slot too", edit{spec: "@every 5m"}, false, schedule.ReasonReplaced, []string{"e 00:10:00"}},
		{"another rule that gives the slot too, too late", edit{spec: "@every 5m"}, true, "", nil},
		{"another rule without the slot", edit{spec: "@every 1h"}, false, schedule.ReasonEdited, nil},
		{"disabled", edit{reason: schedule.ReasonDisabled}, false, schedule.ReasonDisabled, nil},
		{"removed", edit{reason: schedule.ReasonRemoved}, false, schedule.ReasonRemoved, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := running(t, plan.Options{})
				apply(t, p, present(&schedule.Entry{ID: "1", Name: "e", Digest: 1, Spec: every(t, "@every 10m"), After: time.Now()}))
				dues, err := p.Pull(t.Context(), 10)
				if err != nil || len(dues) != 1 {
					t.Fatalf("Pull = %d slots, %v", len(dues), err)
				}
				if tt.sealed {
					time.Sleep(time.Until(dues[0].Slot))
					if reason := dues[0].Entry.Seal(dues[0].Slot); reason != "" {
						t.Fatalf("Seal = %q before the edit", reason)
					}
				}
				change := schedule.Change{ID: "1", Reason: tt.edit.reason}
				if tt.edit.spec != "" {
					change = present(&schedule.Entry{ID: "1", Name: "e", Digest: 2, Spec: every(t, tt.edit.spec), After: time.Now()})
				}
				apply(t, p, change)
				if got := dues[0].Entry.Seal(dues[0].Slot); got != tt.reason {
					t.Errorf("Seal after the edit = %q, want %q", got, tt.reason)
				}
				check(t, pull(t, p, time.Minute, nil), tt.want...)
			})
		})
	}
}

func TestAnEntryThatComesBackDoesNotGetASlotAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := running(t, plan.Options{})
		e := func() *schedule.Entry {
			// The store's idea of where to go on lags: it is before the slot that was sent.
			return &schedule.Entry{ID: "1", Name: "e", Digest: 1, Spec: every(t, "@every 10m"), After: time.Date(2000, 1, 1, 0, 9, 0, 0, time.UTC)}
		}
		apply(t, p, present(e()))
		check(t, pull(t, p, 11*time.Minute, func(due schedule.Due) { due.Entry.Seal(due.Slot) }), "e 00:10:00")
		apply(t, p, schedule.Change{ID: "1", Reason: schedule.ReasonDisabled}, present(e()))
		check(t, pull(t, p, 10*time.Minute, nil), "e 00:20:00")
	})
}

// Nor does it get one that was handed over and will end as disabled.
func TestAnEntryThatIsOffForAMomentDoesNotGetASlotAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := running(t, plan.Options{})
		e := func() *schedule.Entry {
			return &schedule.Entry{ID: "1", Name: "e", Digest: 1, Spec: every(t, "@every 10m"), After: time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)}
		}
		apply(t, p, present(e()))
		dues, err := p.Pull(t.Context(), 10)
		if err != nil || len(dues) != 1 {
			t.Fatalf("Pull = %d slots, %v", len(dues), err)
		}
		apply(t, p, schedule.Change{ID: "1", Reason: schedule.ReasonDisabled})
		apply(t, p, schedule.Change{ID: "1", Reason: schedule.ReasonPaused}, present(e()))
		if got := dues[0].Entry.Seal(dues[0].Slot); got != schedule.ReasonDisabled {
			t.Errorf("Seal = %q, want it disabled", got)
		}
		check(t, pull(t, p, 15*time.Minute, nil), "e 00:20:00")
		// Off twice before a slot takes none away.
		apply(t, p, schedule.Change{ID: "1", Reason: schedule.ReasonDisabled}, schedule.Change{ID: "1", Reason: schedule.ReasonPaused}, present(e()))
		check(t, pull(t, p, 10*time.Minute, nil), "e 00:30:00")
	})
}

// A definition that has no slot leaves nothing of the slot that the one before it would have had next.
func TestAnEntryThatHadNoSlotForAWhileHasAllOfItsNextDefinition(t *testing.T) {
	for _, off := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			p := running(t, plan.Options{})
			edit := func(digest uint64, spec string) {
				apply(t, p, present(&schedule.Entry{ID: "1", Name: "e", Digest: digest, Spec: every(t, spec), After: time.Now(), Since: time.Now().UnixMicro()}))
			}
			edit(1, "@every 1h")
			edit(2, "@at 1999-01-01T00:00:00Z")
			if off {
				apply(t, p, schedule.Change{ID: "1", Reason: schedule.ReasonDisabled})
			}
			edit(3, "@every 10m")
			check(t, pull(t, p, 35*time.Minute, nil), "e 00:10:00", "e 00:20:00", "e 00:30:00")
		})
	}
}

// Each edit starts where the one before it did, not where the first began.
func TestASecondEditBeforeASlotRepeatsNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := running(t, plan.Options{})
		e := func(digest uint64) schedule.Change {
			return present(&schedule.Entry{ID: "1", Name: "e", Digest: digest, Spec: every(t, "@every 10m"), After: time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC), Misfire: schedule.Misfire{Policy: schedule.All}})
		}
		apply(t, p, e(1))
		check(t, pull(t, p, 25*time.Minute, func(due schedule.Due) { due.Entry.Seal(due.Slot) }), "e 00:10:00", "e 00:20:00")
		apply(t, p, e(2), e(3))
		check(t, pull(t, p, 10*time.Minute, nil), "e 00:30:00")
	})
}

// Off for a moment, an entry comes back with another spec, whose slots count from then,
// also before the next slot of the former spec: that was not handed over.
func TestAnEntryThatComesBackWithAnotherSpecHasAllItsSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := running(t, plan.Options{})
		apply(t, p, present(&schedule.Entry{ID: "1", Name: "e", Digest: 1, Spec: every(t, "@every 30m"), After: time.Now()}))
		check(t, pull(t, p, 31*time.Minute, func(due schedule.Due) { due.Entry.Seal(due.Slot) }), "e 00:30:00")
		apply(t, p, schedule.Change{ID: "1", Reason: schedule.ReasonDisabled})
		apply(t, p, present(&schedule.Entry{ID: "1", Name: "e", Digest: 2, Spec: every(t, "@every 10m"), After: time.Now()}))
		check(t, pull(t, p, 40*time.Minute, nil), "e 00:40:00", "e 00:50:00", "e 01:00:00", "e 01:10:00")
	})
}

// A definition counts since it was seen, and may be told of when the former has sent
// later slots. What that did not give is handed over, late; what it sent is not.
func TestAnEditThatIsToldOfLateHasAllItsSlotsOnce(t *testing.T) {
	for _, tt := range []struct {
		policy schedule.Policy
		want   []string
	}{
		{schedule.All, []string{"e 00:30:00", "e 00:50:00", "e 01:10:00", "e 01:20:00"}},
		{schedule.Skip, []string{"e 00:30:00-00:30:00 skipped 1", "e 00:50:00-00:50:00 skipped 1", "e 01:10:00", "e 01:20:00"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := running(t, plan.Options{})
			apply(t, p, present(&schedule.Entry{ID: "1", Name: "e", Digest: 1, Spec: every(t, "@every 20m"), After: time.Now()}))
			send := func(due schedule.Due) { due.Entry.Seal(due.Slot) }
			check(t, pull(t, p, 25*time.Minute, send), "e 00:20:00")
			seen := time.Now()
			check(t, pull(t, p, 40*time.Minute, send), "e 00:40:00", "e 01:00:00")
			apply(t, p, present(&schedule.Entry{
				ID: "1", Name: "e", Digest: 2, Spec: every(t, "@every 10m"), Misfire: schedule.Misfire{Policy: tt.policy},
				After: time.Date(2000, 1, 1, 1, 0, 0, 0, time.UTC), Since: seen.UnixMicro(), // what was sent meanwhile is on record
			}))
			check(t, pull(t, p, 20*time.Minute, send), tt.want...)
		})
	}
}

// A rule that was another for a while, of which the planner was not told, counts from when it
// was seen again.
func TestARuleThatWasAnotherMeanwhileCountsFromItsReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := running(t, plan.Options{})
		began := time.Now()
		edit := func(digest uint64, since time.Time) {
			apply(t, p, present(&schedule.Entry{
				ID: "1", Name: "e", Digest: digest, Spec: every(t, "@every 10m"), After: since, Since: since.UnixMicro(), Misfire: schedule.Misfire{Policy: schedule.All},
			}))
		}
		edit(1, began)
		time.Sleep(25 * time.Minute) // nobody asks
		edit(2, began.Add(15*time.Minute))
		check(t, pull(t, p, 10*time.Minute, nil), "e 00:20:00", "e 00:30:00")
	})
}

// Who comes to lead may be told of a definition that another node had seen edited, and then of the edit: what
// that node has sent of the new definition is on record, and comes no more.
func TestAnEditThatAnotherNodeSentFromRepeatsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := running(t, plan.Options{})
		began := time.Now()
		time.Sleep(25 * time.Minute) // another node leads
		all := schedule.Misfire{Policy: schedule.All}
		apply(t, p, present(&schedule.Entry{ID: "1", Name: "e", Digest: 1, Spec: every(t, "@every 1h"), After: began, Since: began.UnixMicro(), Misfire: all}))
		apply(t, p, present(&schedule.Entry{
			ID: "1", Name: "e", Digest: 2, Spec: every(t, "@every 10m"), Misfire: all,
			After: began.Add(20 * time.Minute), Since: began.Add(5 * time.Minute).UnixMicro(),
		}))
		check(t, pull(t, p, 10*time.Minute, nil), "e 00:30:00")
	})
}

// Of what the former definition had handed over by then, and not sent, the new one
// answers for the slots that it gives, and no other; unless it ends before it has them.
func TestAnEditThatIsToldOfLateLeavesEachSlotOneEnd(t *testing.T) {
	for _, tt := range []struct {
		name  string
		pull  bool // the second definition's slots are handed over
		third bool // it is replaced by a third, which gives none of the slots
		want  string
	}{
		{"an edit", false, false, "edited replaced edited"},
		{"an edit, and its slots are handed over", true, false, "edited replaced edited"},
		{"two edits at once", false, true, "edited edited edited"},
		{"two edits, the second when slots of the first are handed over", true, true, "edited replaced edited"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := running(t, plan.Options{})
				seen := time.Now().Add(5 * time.Minute)
				edit := func(digest uint64, spec string, after time.Time) {
					apply(t, p, present(&schedule.Entry{
						ID: "1", Name: "e", Digest: digest, Spec: every(t, spec), After: after, Misfire: schedule.Misfire{Policy: schedule.All},
					}))
				}
				edit(1, "@every 10m", time.Now())
				var waiting, anew []schedule.Due
				check(t, pull(t, p, 35*time.Minute, func(due schedule.Due) { waiting = append(waiting, due) }), "e 00:10:00", "e 00:20:00", "e 00:30:00")
				edit(2, "@every 20m", seen)
				if tt.pull {
					check(t, pull(t, p, time.Minute, func(due schedule.Due) { anew = append(anew, due) }), "e 00:20:00")
				}
				if tt.third {
					edit(3, "@every 1h", seen)
				}
				var got []string
				for _, due := range waiting {
					got = append(got, due.Entry.Seal(due.Slot))
				}
				if text := strings.Join(got, " "); text != tt.want {
					t.Errorf("the slots end as %q, want %q", text, tt.want)
				}
				for _, due := range anew {
					if got, edited := due.Entry.Seal(due.Slot), tt.third; (got == schedule.ReasonEdited) != edited {
						t.Errorf("the slot of the new definition ends as %q", got)
					}
				}
			})
		})
	}
}

// Nor does a slot have two that a second edit gives again, which the first did not.
func TestAnEditThatIsTakenBackLeavesEachSlotOneEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := running(t, plan.Options{})
		began := time.Now()
		edit := func(digest uint64, spec string) {
			apply(t, p, present(&schedule.Entry{ID: "1", Name: "e", Digest: digest, Spec: every(t, spec), After: began}))
		}
		edit(1, "@every 10m")
		dues, err := p.Pull(t.Context(), 10)
		if err != nil || len(dues) != 1 {
			t.Fatalf("Pull = %d slots, %v", len(dues), err)
		}
		edit(2, "@every 1h")
		edit(3, "@every 10m")
		if got := dues[0].Entry.Seal(dues[0].Slot); got != schedule.ReasonReplaced {
			t.Errorf("the slot of the first definition ends as %q, want %q", got, schedule.ReasonReplaced)
		}
		check(t, pull(t, p, time.Minute, nil), "e 00:10:00")
	})
}

// Once a slot has ended since the definition of then did not give it, none that comes later
// gives it again; those around it that it owes it gives.
func TestASlotThatEndedAsEditedIsNotGivenAgain(t *testing.T) {
	for _, tt := range []struct {
		name  string
		third string
		want  []string
	}{
		{"taken back", "@every 10m", []string{"e 00:20:00"}},
		{"another, which was told of late", "@every 5m", []string{"e 00:05:00", "e 00:15:00", "e 00:20:00"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := running(t, plan.Options{})
				began := time.Now()
				edit := func(digest uint64, spec string) {
					apply(t, p, present(&schedule.Entry{
						ID: "1", Name: "e", Digest: digest, Spec: every(t, spec), After: began, Misfire: schedule.Misfire{Policy: schedule.All},
					}))
				}
				edit(1, "@every 10m")
				dues, err := p.Pull(t.Context(), 10)
				if err != nil || len(dues) != 1 {
					t.Fatalf("Pull = %d slots, %v", len(dues), err)
				}
				edit(2, "@every 1h")
				time.Sleep(time.Until(dues[0].Slot))
				for range 2 { // asked again, it is told the same
					if got := dues[0].Entry.Seal(dues[0].Slot); got != schedule.ReasonEdited {
						t.Errorf("Seal = %q, want %q", got, schedule.ReasonEdited)
					}
				}
				edit(3, tt.third)
				check(t, pull(t, p, 11*time.Minute, nil), tt.want...)
				edit(4, tt.third) // nor by what comes after that
				if got := pull(t, p, time.Minute, nil); slices.Contains(got, "e 00:10:00") {
					t.Errorf("a later edit gives %q", got)
				}
			})
		})
	}
}

// A slot that is left to a definition which ends before it has it handed over has an end
// all the same.
func TestASlotThatIsLeftToADefinitionThatEndsHasOneEnd(t *testing.T) {
	for _, tt := range []struct {
		name   string
		handed bool     // the second definition has it handed over
		thens  []string // specs, "" for disabled
		want   []string
	}{
		{"disabled", false, []string{""}, []string{"e 00:10:00-00:10:00 skipped 1"}},
		{"disabled and enabled", false, []string{"", "@every 10m"}, []string{"e 00:10:00-00:10:00 skipped 1", "e 00:20:00"}},
		{"disabled when it was handed over", true, []string{""}, nil},
		{"edited, without the slot", false, []string{"@every 1h"}, []string{"e 00:10:00-00:10:00 skipped 1"}},
		{"edited, without the slot, and taken back", false, []string{"@every 1h", "@every 10m"}, []string{"e 00:10:00-00:10:00 skipped 1", "e 00:20:00"}},
		{"edited, with the slot", false, []string{"@every 10m"}, []string{"e 00:10:00", "e 00:20:00"}},
		{"edited, with the slot, and disabled", false, []string{"@every 10m", ""}, []string{"e 00:10:00-00:10:00 skipped 1"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := running(t, plan.Options{})
				began := time.Now()
				edit := func(digest uint64, spec string) {
					if spec == "" {
						apply(t, p, schedule.Change{ID: "1", Reason: schedule.ReasonDisabled})
						return
					}
					apply(t, p, present(&schedule.Entry{ID: "1", Name: "e", Digest: digest, Spec: every(t, spec), After: began}))
				}
				edit(1, "@every 10m")
				dues, err := p.Pull(t.Context(), 10)
				if err != nil || len(dues) != 1 {
					t.Fatalf("Pull = %d slots, %v", len(dues), err)
				}
				edit(2, "@every 10m")
				if tt.handed {
					check(t, pull(t, p, time.Until(dues[0].Slot), nil), "e 00:10:00")
				}
				time.Sleep(time.Until(dues[0].Slot))
				if got := dues[0].Entry.Seal(dues[0].Slot); got != schedule.ReasonReplaced {
					t.Errorf("Seal = %q, want %q", got, schedule.ReasonReplaced)
				}
				for i, spec := range tt.thens {
					edit(uint64(3+i), spec)
				}
				check(t, pull(t, p, 10*time.Minute, nil), tt.want...)
			})
		})
	}
}

// A slot that waits to be sent while later ones are missed is not the new
// definition's: that goes on after those.
func TestAnEditLeavesASlotBeforeMissedOnesToTheOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := running(t, plan.Options{})
		e := func(digest uint64) schedule.Change {
			return present(&schedule.Entry{ID: "1", Name: "e", Digest: digest, Spec: every(t, "@every 10m"), After: time.Now(), Misfire: schedule.Misfire{Policy: schedule.Skip}})
		}
		apply(t, p, e(1))
		dues, err := p.Pull(t.Context(), 10)
		if err != nil || len(dues) != 1 {
			t.Fatalf("Pull = %d slots, %v", len(dues), err)
		}
		time.Sleep(35 * time.Minute)
		check(t, pull(t, p, time.Minute, nil), "e 00:20:00-00:40:00 skipped 3")
		apply(t, p, e(2))
		if got := dues[0].Entry.Seal(dues[0].Slot); got != schedule.ReasonEdited {
			t.Errorf("Seal = %q, want it edited", got)
		}
		check(t, pull(t, p, 10*time.Minute, nil), "e 00:50:00")
	})
}

// A sender that comes back for more once the planner has ended is let go.
func TestPullReturnsWhenRunHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := plan.New(plan.Options{})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- p.Run(ctx) }()
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		pulling, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		if dues, err := p.Pull(pulling, 10); err == nil || pulling.Err() != nil {
			t.Errorf("Pull = %d slots, %v, after %v; want an error at once", len(dues), err, pulling.Err())
		}
	})
}

func TestSlotsOfAPauseEndAsSkipped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := running(t, plan.Options{})
		e := func(paused time.Time) *schedule.Entry {
			return &schedule.Entry{ID: "1", Name: "e", Digest: 1, Spec: every(t, "@every 10m"), After: time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC), PausedUntil: paused}
		}
		apply(t, p, present(e(time.Time{})))
		check(t, pull(t, p, 15*time.Minute, func(due schedule.Due) { due.Entry.Seal(due.Slot) }), "e 00:10:00")
		apply(t, p, schedule.Change{ID: "1", Reason: schedule.ReasonPaused})
		check(t, pull(t, p, 30*time.Minute, nil))
		apply(t, p, present(e(time.Now()))) // 00:45
		check(t, pull(t, p, 10*time.Minute, nil), "e 00:20:00-00:40:00 skipped 3", "e 00:50:00")
		// A node that begins anew, after the pause is in the ledger.
		again := running(t, plan.Options{})
		after := e(time.Date(2000, 1, 1, 0, 45, 0, 0, time.UTC))
		after.After = time.Date(2000, 1, 1, 0, 50, 0, 0, time.UTC)
		apply(t, again, present(after))
		check(t, pull(t, again, 6*time.Minute, nil), "e 01:00:00")
	})
}

func TestAReloadOfTheSameDefinitionChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := running(t, plan.Options{})
		e := func() *schedule.Entry {
			return &schedule.Entry{ID: "1", Name: "e", Digest: 1, Spec: every(t, "@every 1m")}
		}
		first := e()
		first.After = time.Now()
		apply(t, p, present(first))
		var got []string
		for range 3 {
			got = append(got, pull(t, p, time.Minute, nil)...)
			apply(t, p, present(e()))
		}
		check(t, got, "e 00:01:00", "e 00:02:00", "e 00:03:00")
		if ended := first.Ended(); ended != "" {
			t.Errorf("the definition in use ended: %q", ended)
		}
	})
}

func TestRunNowComesFirstAndDoesNotMoveTheSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := running(t, plan.Options{})
		apply(t, p, present(&schedule.Entry{ID: "1", Name: "e", Spec: every(t, "@every 10m"), After: time.Now()}))
		time.Sleep(time.Minute)
		for id, request := range map[schedule.ID]string{"1": "r1", "2": "r2"} {
			if err := p.Submit(t.Context(), schedule.Due{Entry: &schedule.Entry{ID: id, Name: "unknown"}, Slot: time.Now(), Request: request}); err != nil {
				t.Fatal(err)
			}
		}
		var requests []string
		got := pull(t, p, 10*time.Minute, func(due schedule.Due) { requests = append(requests, due.Request+" "+due.Reason) })
		if len(got) != 3 || got[2] != "e 00:10:00" {
			t.Errorf("handed over %q, want two requests and then e 00:10:00", got)
		}
		slices.Sort(requests)
		if want := []string{" ", "r1 ", "r2 not enabled"}; !slices.Equal(requests, want) {
			t.Errorf("requests %q, want %q", requests, want)
		}
	})
}

// The sender goes through what it is handed in order: what was asked for by a clock that is ahead, and what
// an edit ends, must not keep it waiting while the slots of others come.
func TestWhatIsYetToComeWaitsForItsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := running(t, plan.Options{Lead: 3 * time.Second})
		apply(t, p, present(&schedule.Entry{ID: "1", Name: "e", Spec: every(t, "@every 1s from 2000-01-01T00:00:00.2Z"), After: time.Now()}),
			present(&schedule.Entry{ID: "2", Name: "f", Spec: every(t, "@every 1s from 2000-01-01T00:00:00.6Z"), After: time.Now()}))
		for request, slot := range map[string]time.Time{"past": time.Now().Add(-time.Minute), "soon": time.Now().Add(400 * time.Millisecond)} {
			if err := p.Submit(t.Context(), schedule.Due{Entry: &schedule.Entry{ID: "1"}, Slot: slot, Request: request}); err != nil {
				t.Fatal(err)
			}
		}
		dues, err := p.Pull(t.Context(), 100)
		var got []string
		for _, due := range dues {
			got = append(got, due.Entry.Name+due.Request)
		}
		if want := []string{"epast", "e", "esoon", "f"}; err != nil || !slices.Equal(got, want) {
			t.Errorf("Pull = %q, %v, want %q", got, err, want)
		}
	})
}

// Nor may it be in the hands of the sender before its lead: what comes due sooner would be behind it.
func TestWhatIsAskedForBeyondTheLeadWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := running(t, plan.Options{Lead: 600 * time.Millisecond})
		apply(t, p, present(&schedule.Entry{ID: "1", Name: "e", Spec: every(t, "@every 1s from 2000-01-01T00:00:00.3Z"), After: time.Now()}))
		start := time.Now()
		for _, ahead := range []time.Duration{500 * time.Millisecond, 0} {
			if err := p.Submit(t.Context(), schedule.Due{Entry: &schedule.Entry{ID: "1"}, Slot: start.Add(ahead), Request: ahead.String()}); err != nil {
				t.Fatal(err)
			}
		}
		var got []string
		for len(got) < 3 {
			dues, err := p.Pull(t.Context(), 100)
			if err != nil {
				t.Fatal(err)
			}
			for _, due := range dues {
				got = append(got, fmt.Sprint(due.Slot.Sub(start), " at ", time.Since(start)))
			}
		}
		if want := []string{"0s at 0s", "300ms at 200ms", "500ms at 300ms"}; !slices.Equal(got, want) {
			t.Errorf("handed over %q, want %q", got, want)
		}
	})
}

func TestAClockThatStepsNeitherRepeatsNorFloods(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var step time.Duration
		p := running(t, plan.Options{Now: func() time.Time { return time.Now().Add(step) }})
		apply(t, p, present(&schedule.Entry{ID: "1", Name: "e", Spec: every(t, "@every 10m"), After: time.Now()}))
		check(t, pull(t, p, 15*time.Minute, nil), "e 00:10:00")
		synctest.Wait()
		step = -10 * time.Minute // 00:05 by this clock
		check(t, pull(t, p, 16*time.Minute, nil), "e 00:20:00")
		synctest.Wait()
		step += time.Hour // 01:21 by this clock
		check(t, pull(t, p, 10*time.Minute, nil), "e 00:30:00-01:10:00 coalesced 5", "e 01:20:00", "e 01:30:00")
	})
}

func TestEntriesWithoutASlotAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := running(t, plan.Options{})
		past := every(t, "@at 1999-12-31T00:00:00Z")
		apply(t, p, present(&schedule.Entry{ID: "1", Name: "done", Digest: 1, Spec: past, After: time.Now()}))
		state, err := p.State(t.Context())
		if err != nil || state.Entries != 1 || !state.Next.IsZero() {
			t.Errorf("State = %+v, %v; want one entry with no next slot", state, err)
		}
		apply(t, p, present(&schedule.Entry{ID: "1", Name: "again", Digest: 2, Spec: every(t, "@at 2000-01-01T00:00:30Z"), After: time.Now()}))
		check(t, pull(t, p, time.Minute, nil), "again 00:00:30")
	})
}

func TestStateCountsEntriesThatArePlanned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := running(t, plan.Options{})
		entry := func(id schedule.ID, digest uint64) schedule.Change {
			return present(&schedule.Entry{ID: id, Name: "e", Digest: digest, Spec: every(t, "@every 10m"), After: time.Now()})
		}
		gone := func(id schedule.ID, reason string) schedule.Change { return schedule.Change{ID: id, Reason: reason} }
		for _, tt := range []struct {
			what   string
			change schedule.Change
			want   int
		}{
			{"an entry", entry("1", 1), 1},
			{"another", entry("2", 1), 2},
			{"an edit of it", entry("2", 2), 2},
			{"its pause", gone("2", schedule.ReasonPaused), 1},
			{"its end while paused", gone("2", schedule.ReasonDisabled), 1},
			{"its return", entry("2", 2), 2},
			{"an end of what was never there", gone("3", schedule.ReasonRemoved), 2},
			{"a removal", gone("1", schedule.ReasonRemoved), 1},
			{"the pause of the other", gone("2", schedule.ReasonPaused), 0},
			{"its removal", gone("2", schedule.ReasonRemoved), 0},
		} {
			apply(t, p, tt.change)
			if state, err := p.State(t.Context()); err != nil || state.Entries != tt.want {
				t.Errorf("after %s State = %+v, %v; want %d entries", tt.what, state, err, tt.want)
			}
		}
	})
}
