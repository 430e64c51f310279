package storetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
	"github.com/onebeat/onebeat/internal/store"
)

// From the instant of a take-over slots count, and none before; after a hand-back
// nothing counts until the next one, and the rows say what the other scheduler needs.
func testHandOver(t *testing.T, db Database) {
	shape := shapeNamed("full")
	createTable(t, db, shape)
	insert(t, db, shape, 1, line{spec: "* * * * *"})
	insert(t, db, shape, 2, line{spec: "* * * * *"})
	db.Exec(t, "UPDATE celery_beat_schedules SET last_run_at = '2020-01-01 00:00:00'")
	s := open(t, db, store.Options{CatchUp: true})
	instant := now(t, db).Add(time.Hour).Truncate(time.Minute)
	for range 2 { // a node that restarts, or another
		since, said, err := s.TakeOver(t.Context(), instant)
		if err != nil || !said || !since.Equal(instant) {
			t.Fatalf("TakeOver = %v, %v, %v; want %v, said", since, said, err, instant)
		}
	}
	if since, said, err := s.TakeOver(t.Context(), time.Time{}); err != nil || said || !since.Equal(instant) {
		t.Errorf("a second TakeOver = %v, %v, %v; want %v, not said", since, said, err, instant)
	}
	for id, change := range load(t, s) {
		if e := change.Entry; e == nil || !e.Spec.Next(e.After).Equal(instant) {
			t.Errorf("%s is first due at %v, want %v", id, e.Spec.Next(e.After), instant)
		}
	}

	// The one sends a slot, of the other it ends unsent.
	lease := acquire(t, s)
	runs := sent(batch(lease.Term, 1, instant, id(1)))
	runs = append(runs, schedule.Run{Entry: id(2), Name: "n", Task: "t", Slot: instant, Count: 1, State: schedule.Skipped, Reason: schedule.ReasonMisfire})
	record(t, s, lease.Term, nil, runs)
	var refused *store.InputError
	other := open(t, db, store.Options{})
	if _, err := other.HandBack(t.Context(), "tests", false); !errors.As(err, &refused) {
		t.Errorf("HandBack beside a node = %v, want it refused", err)
	}
	if err := s.Shard(0).Release(t.Context(), lease.Term); err != nil {
		t.Fatal(err)
	}
	for _, dry := range []bool{true, false} {
		moved, err := other.HandBack(t.Context(), "tests", dry)
		if err != nil || moved != 1 {
			t.Fatalf("HandBack = %d, %v; want 1", moved, err)
		}
	}
	for n, count := range map[int]int64{1: 1, 2: 0} {
		row, err := s.Find(t.Context(), string(id(n)))
		if err != nil || !row.LastRunAt.Equal(instant) || row.TotalRunCount != count {
			t.Errorf("row %d ran last at %v, %d times (%v); want %v and %d", n, row.LastRunAt, row.TotalRunCount, err, instant, count)
		}
	}
	if err := s.Load(t.Context(), func(context.Context, []schedule.Change) error { return nil }); !errors.Is(err, store.ErrHandedBack) {
		t.Errorf("Load after a hand-back = %v, want %v", err, store.ErrHandedBack)
	}

	// It is taken over again: what came meanwhile was the other's.
	db.Exec(t, "UPDATE celery_beat_schedules SET last_run_at = '2020-01-01 00:00:00'")
	later := instant.Add(time.Hour)
	if since, said, err := s.TakeOver(t.Context(), later); err != nil || !said || !since.Equal(later) {
		t.Errorf("TakeOver after a hand-back = %v, %v, %v; want %v, said", since, said, err, later)
	}
	for id, change := range load(t, s) {
		if e := change.Entry; e == nil || !e.Spec.Next(e.After).Equal(later) {
			t.Errorf("%s is due again at %v, want %v", id, e.Spec.Next(e.After), later)
		}
	}

	// A catalog that onebeat ran from its own first start on is its own.
	if s.HandedBack(t.Context()) != nil {
		t.Error("the entries are still handed back")
	}
}

// Where onebeat ran already, there is nothing to take over.
func testTakeOverLate(t *testing.T, db Database) {
	createTable(t, db, shapeNamed("full"))
	s := open(t, db, store.Options{})
	before := now(t, db)
	load(t, s)
	since, said, err := s.TakeOver(t.Context(), before.Add(time.Hour))
	if err != nil || said || since.After(now(t, db)) {
		t.Errorf("TakeOver = %v, %v, %v; want the first start, not said", since, said, err)
	}
}

// Who takes over in the midst of a herd tells of each entry once: of what the journal names first, as it was before its
// slot, and of what has its end as it is by now, though it had read all of them before the herd.
func testTakeOverInAHerd(home string) func(t *testing.T, db Database) {
	return func(t *testing.T, db Database) { takeOverInAHerd(t, db, home) }
}

func takeOverInAHerd(t *testing.T, db Database, home string) {
	const entries, ended, claimed = 3000, 1000, 500
	createTable(t, db, shapeNamed("full"))
	migrate(t, db)
	s := open(t, db, store.Options{Home: home})
	var definitions []store.Definition
	for n := range entries {
		definitions = append(definitions, store.Definition{Name: fmt.Sprint(n), Task: "t", Spec: "@every 1h", Enabled: true})
	}
	if _, err := s.Apply(t.Context(), definitions, false); err != nil {
		t.Fatal(err)
	}
	lease := acquire(t, s)
	before := watch(t, s)
	before.stop()
	var slot time.Time
	for wait := 2 * time.Second; !now(t, db).Before(slot); wait *= 2 { // each is remembered before its slot
		slot = now(t, db).Add(wait).Truncate(time.Second)
		db.Exec(t, "UPDATE celery_beat_schedules SET cron_expression = '@every 1h from "+slot.Format(time.RFC3339)+"'")
		load(t, s)
	}
	ids := slices.Collect(maps.Keys(before.now))
	roster := stand(t, s)
	waitUntil(t, db, slot)
	first, next := batch(lease.Term, 1, slot, ids[:ended]...), batch(lease.Term, 2, slot, ids[ended:ended+claimed]...)
	claim(t, s, first)
	claim(t, s, next)
	record(t, s, lease.Term, []int64{first.Seq}, sent(first))
	edited := ids[entries-1] // and its trigger has told of it
	db.Exec(t, "UPDATE celery_beat_schedules SET args = '[2]' WHERE id = '"+string(edited)+"'")
	if err := s.Shard(0).Release(t.Context(), lease.Term); err != nil {
		t.Fatal(err)
	}
	acquire(t, s)
	w := lead(t, roster, 0, ids[ended:ended+claimed]...)
	w.await("all entries", func() bool { return w.loaded })
	told := w.told(0)
	once := map[schedule.ID]bool{edited: true} // which may be told of as news, too
	for _, change := range told {
		if change.ID != edited && once[change.ID] {
			t.Fatalf("told of %d entries %d times, %s among those that come twice; want each of %d once", len(w.now), len(told), change.ID, entries)
		}
		once[change.ID] = true
	}
	for n, id := range ids {
		e := w.now[id].Entry
		if e == nil {
			t.Fatalf("entry %d: told of %+v", n, w.now[id])
		}
		if n < ended && !e.After.Equal(slot) || n >= ended && !e.Spec.Next(e.After).Equal(slot) {
			t.Errorf("entry %d goes on after %v, its slot was %v, and the first %d had it", n, e.After, slot, ended)
			break
		}
	}
	if got := argsOf(w.now[edited]); got != "[2]" {
		t.Errorf("of the edited entry the arguments %s are told, want [2]", got)
	}
	named := map[schedule.ID]bool{}
	for _, id := range ids[ended : ended+claimed] {
		named[id] = true
	}
	for n, change := range told[:min(claimed, len(told))] {
		if !named[change.ID] && change.ID != edited {
			t.Fatalf("%s is told of as number %d, before all that the journal names", change.ID, n)
		}
	}
}
