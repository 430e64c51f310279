package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/onebeat/onebeat/internal/celery"
	"github.com/onebeat/onebeat/internal/dispatch"
	"github.com/onebeat/onebeat/internal/plan"
	"github.com/onebeat/onebeat/internal/schedule"
)

// follow starts a planner and a follower of it, in a bubble.
func follow(t *testing.T, journal []schedule.Claimed) (*plan.Planner, *follower) {
	t.Helper()
	planner := plan.New(plan.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- planner.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return planner, newFollower(planner, journal, newMetrics(&node{}), new(collector), slog.New(slog.DiscardHandler))
}

// everyMinute is news of an entry whose slots count from now.
func everyMinute(id schedule.ID) schedule.Change {
	return everySo(id, time.Minute)
}

func everySo(id schedule.ID, interval time.Duration) schedule.Change {
	spec, err := schedule.NewEvery(interval, time.Time{})
	if err != nil {
		panic(err) // no bad interval is asked for
	}
	return schedule.Change{ID: id, Entry: &schedule.Entry{ID: id, Spec: spec, After: time.Now()}}
}

// pulled returns the entries of the slots that are due within an hour, in order.
func pulled(t *testing.T, planner *plan.Planner, slots int) (ids []schedule.ID, at []time.Time) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	for len(ids) < slots {
		dues, err := planner.Pull(ctx, slots-len(ids))
		if err != nil {
			t.Fatalf("Pull after %v: %v", ids, err)
		}
		for _, due := range dues {
			ids, at = append(ids, due.Entry.ID), append(at, due.Slot)
		}
	}
	return ids, at
}

func TestEntriesArePlannedWhileOthersLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		planner, f := follow(t, nil)
		if err := f.Apply(t.Context(), []schedule.Change{everyMinute("early")}); err != nil {
			t.Fatal(err)
		}
		if ids, _ := pulled(t, planner, 1); ids[0] != "early" {
			t.Errorf("pulled %v, want the entry that was told of, while the rest loads", ids)
		}
	})
}

// A deploy that spoils all rows leaves a log that can be read.
func TestThousandsOfBadRowsAreToldOfInFewLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, f := follow(t, nil)
		var log bytes.Buffer
		f.log = slog.New(slog.NewTextHandler(&log, nil))
		for _, round := range []struct {
			problem, more string
			lines         int
		}{{"bad", "entries=4900", 1}, {"worse", "entries=900", 5}} { // while loading, and afterwards
			changes := make([]schedule.Change, 5000)
			for i := range changes {
				changes[i] = schedule.Change{ID: schedule.ID(fmt.Sprint(i)), Reason: schedule.ReasonBadRow, Problem: round.problem}
			}
			for part := range slices.Chunk(changes, 1000) {
				if err := f.Apply(t.Context(), part); err != nil {
					t.Fatal(err)
				}
			}
			f.Loaded()
			each, more := strings.Count(log.String(), "entry set aside"), strings.Count(log.String(), "more entries set aside")
			if each != 100 || more != round.lines || !strings.Contains(log.String(), round.more) {
				t.Errorf("%s: %d rows have a line of their own, and %d lines tell of more; want 100 and %d, with %s", round.problem, each, more, round.lines, round.more)
			}
			log.Reset()
			time.Sleep(time.Second)
		}
	})
}

func TestWhatTheJournalNamesWaitsForRecovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		claimed := time.Now().Add(time.Minute).UTC()
		planner, f := follow(t, []schedule.Claimed{{Dues: []schedule.ClaimedDue{{Entry: "claimed", Slot: claimed}}}})
		named := everyMinute("claimed")
		if err := f.Apply(t.Context(), []schedule.Change{named, everyMinute("other")}); err != nil {
			t.Fatal(err)
		}
		if !wait(t.Context(), t.Context(), f.ready) {
			t.Error("recovery waits for entries that it does not need")
		}
		if f.present(t.Context(), nil, "claimed").Entry != named.Entry {
			t.Errorf("recovery finds %v, want the entry as it is now", f.present(t.Context(), nil, "claimed").Entry)
		}
		if ids, _ := pulled(t, planner, 1); ids[0] != "other" {
			t.Errorf("pulled %v before the recovery, want the other entry alone", ids)
		}
		if err := f.begin(t.Context()); err != nil {
			t.Fatal(err)
		}
		ids, at := pulled(t, planner, 2)
		for i, id := range ids {
			if id == "claimed" && !at[i].After(claimed) {
				t.Errorf("the slot %v that recovery ended is planned again", at[i])
			}
		}
	})
}

// A slot that the journal passes over, before one that was sent, is planned for itself, and
// what follows it is not planned again.
func TestASlotBeforeOneThatWasSentIsPlannedAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := time.Now().Add(time.Minute).UTC()
		second := first.Add(time.Minute)
		planner, f := follow(t, []schedule.Claimed{{Term: 1, Seq: 1, Dues: []schedule.ClaimedDue{{Entry: "claimed", Slot: second, Digest: 7}}}})
		change := everyMinute("claimed")
		change.Entry.Misfire.Policy = schedule.All
		if err := f.Apply(t.Context(), []schedule.Change{change}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(150 * time.Second)
		sent := sentBefore{celery.Mark{Term: 1, Seq: 1, Done: 1}}
		dispatcher := dispatch.New(planner, sent, sent, dispatch.Options{})
		present := func(id schedule.ID) schedule.Change { return f.present(t.Context(), nil, id) }
		if _, err := dispatcher.Recover(t.Context(), 2, 1, f.claims, present); err != nil {
			t.Fatal(err)
		}
		if err := f.begin(t.Context()); err != nil {
			t.Fatal(err)
		}
		want := []time.Time{first, second.Add(time.Minute), second.Add(2 * time.Minute)}
		if _, at := pulled(t, planner, 3); !slices.EqualFunc(at, want, time.Time.Equal) {
			t.Errorf("planned are %v, want %v", at, want)
		}
	})
}

// A recovery waits for slots that were claimed ahead of their time. An edit that is told of meanwhile wins, also where the
// same definition was told of again since the recovery looked.
func TestAnEditWhileRecoveryWaitsForASlotWins(t *testing.T) {
	again, other := everyMinute("e"), everyMinute("e")
	again.Entry.After, other.Entry.Digest = again.Entry.After.Add(-time.Hour), 2
	for _, tt := range []struct {
		name string
		news []schedule.Change
		want string
	}{
		{"nothing", nil, ""},
		{"told of again", []schedule.Change{again}, ""},
		{"edited", []schedule.Change{other}, schedule.ReasonEdited},
		{"told of again and edited", []schedule.Change{again, other}, schedule.ReasonEdited},
		{"disabled", []schedule.Change{{ID: "e", Reason: schedule.ReasonDisabled}}, schedule.ReasonDisabled},
		{"removed and back", []schedule.Change{{ID: "e", Reason: schedule.ReasonRemoved}, again}, schedule.ReasonRemoved},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				slot := time.Now().Add(time.Minute).UTC()
				_, f := follow(t, []schedule.Claimed{{Dues: []schedule.ClaimedDue{{Entry: "e", Slot: slot}}}})
				tell := func(changes ...schedule.Change) {
					if err := f.Apply(t.Context(), slices.Clone(changes)); err != nil {
						t.Fatal(err)
					}
				}
				tell(everyMinute("e"))
				sends := f.present(t.Context(), nil, "e").Entry
				tell(tt.news...)
				if got := sends.Seal(slot); got != tt.want {
					t.Errorf("Seal = %q, want %q", got, tt.want)
				}
			})
		})
	}
}

// What a recovery has ended is not planned again from a definition that the entry was given meanwhile, whose slots before
// that are.
func TestWhatRecoveryEndedIsNotPlannedAfterAnEdit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now().UTC()
		claimed := began.Add(2 * time.Minute)
		planner, f := follow(t, []schedule.Claimed{{Term: 1, Seq: 1, Dues: []schedule.ClaimedDue{{Entry: "e", Slot: claimed}}}})
		if err := f.Apply(t.Context(), []schedule.Change{everySo("e", 2*time.Minute)}); err != nil {
			t.Fatal(err)
		}
		go func() {
			time.Sleep(30 * time.Second)
			now := everyMinute("e")
			now.Entry.Digest, now.Entry.Misfire.Policy = 2, schedule.All
			if err := f.Apply(t.Context(), []schedule.Change{now}); err != nil {
				t.Error(err)
			}
		}()
		taker := takesAll{}
		present := func(id schedule.ID) schedule.Change { return f.present(t.Context(), nil, id) }
		if _, err := dispatch.New(planner, taker, taker, dispatch.Options{}).Recover(t.Context(), 2, 1, f.claims, present); err != nil {
			t.Fatal(err)
		}
		if time.Now().Before(claimed) {
			t.Fatal("recovery did not wait for the slot that was claimed")
		}
		if err := f.begin(t.Context()); err != nil {
			t.Fatal(err)
		}
		want := []time.Time{began.Add(time.Minute), began.Add(3 * time.Minute), began.Add(4 * time.Minute)}
		if _, at := pulled(t, planner, 3); !slices.EqualFunc(at, want, time.Time.Equal) {
			t.Errorf("planned are %v, want %v", at, want)
		}
	})
}

// takesAll is a broker, and a ledger, that takes everything.
type takesAll struct{ sentBefore }

func (takesAll) Publish(context.Context, celery.Part) ([]celery.Failure, error) { return nil, nil }

// What a recovery has ended of an entry without a definition may not be on record yet when that is back, as after a pause.
func TestWhatRecoveryEndedIsNotPlannedAfterAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		claimed := time.Now().Add(time.Minute).UTC()
		planner, f := follow(t, []schedule.Claimed{{Dues: []schedule.ClaimedDue{{Entry: "paused", Slot: claimed}, {Entry: "gone", Slot: claimed}}}})
		back := []schedule.Change{everyMinute("paused"), everyMinute("gone")}
		if err := f.Apply(t.Context(), []schedule.Change{{ID: "paused", Reason: schedule.ReasonPaused}}); err != nil {
			t.Fatal(err)
		}
		f.Loaded()
		time.Sleep(70 * time.Second)
		if err := f.begin(t.Context()); err != nil {
			t.Fatal(err)
		}
		back[0].Entry.PausedUntil = time.Now()
		if err := f.Apply(t.Context(), slices.Clone(back)); err != nil {
			t.Fatal(err)
		}
		ids, at := pulled(t, planner, 4)
		for i, id := range ids {
			if !at[i].After(claimed) {
				t.Errorf("the slot %v of %s that recovery ended is planned again", at[i], id)
			}
		}
		if after := back[0].Entry.After; !after.Before(claimed) {
			t.Errorf("the entry that others have too is changed: it counts from %v", after)
		}
	})
}

// What the journal named, tens of MB after a node was lost in the midst of a herd, is kept no longer than it is needed.
func TestARecoveredJournalIsNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		journal := []schedule.Claimed{{Dues: []schedule.ClaimedDue{{Entry: "claimed", Slot: time.Now()}}}}
		kept := weak.Make(&journal[0])
		_, f := follow(t, journal)
		journal = nil
		f.Loaded()
		if err := f.begin(t.Context()); err != nil {
			t.Fatal(err)
		}
		runtime.GC()
		if kept.Value() != nil || len(f.named) > 0 {
			t.Errorf("a batch of the journal is held: %v; and %d ids that it named", kept.Value() != nil, len(f.named))
		}
	})
}

// A sentBefore is a broker with a mark, and a ledger that takes everything.
type sentBefore struct{ mark celery.Mark }

func (s sentBefore) Take(context.Context, int64) (celery.Mark, error) { return s.mark, nil }
func (sentBefore) Publish(context.Context, celery.Part) ([]celery.Failure, error) {
	return nil, errors.New("nothing is to be sent")
}

func (sentBefore) Claim(context.Context, schedule.Batch) error                  { return nil }
func (sentBefore) Record(context.Context, int64, []int64, []schedule.Run) error { return nil }

// A broker that has lost messages may have lost those of entries that the journal does
// not name, as after a crash that left nothing open. They are read from the catalog.
func TestRecoveryKnowsEntriesThatTheJournalDoesNotName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, f := follow(t, nil)
		other := everyMinute("other")
		catalog := &brokenCatalog{fails: 3, entry: other.Entry}
		present := make(chan schedule.Change, 1)
		go func() { present <- f.present(t.Context(), catalog, "other") }()
		synctest.Wait()
		select {
		case change := <-present:
			t.Fatalf("recovery is told of %v before all entries are loaded", change)
		default:
		}
		f.Loaded()
		if change := <-present; change.Entry != other.Entry {
			t.Errorf("recovery finds %v, want the entry", change.Entry)
		}
		if change := f.present(t.Context(), catalog, "gone"); change.Entry != nil {
			t.Errorf("recovery finds %v of an entry that is not there", change.Entry)
		}
	})
}

// A brokenCatalog has one entry, and cannot be read the first times.
type brokenCatalog struct {
	fails int
	entry *schedule.Entry
}

func (c *brokenCatalog) Entries(_ context.Context, ids []schedule.ID) ([]*schedule.Entry, error) {
	if c.fails--; c.fails >= 0 {
		return nil, errors.New("the database is away")
	}
	if ids[0] != c.entry.ID {
		return nil, nil
	}
	return []*schedule.Entry{c.entry}, nil
}
