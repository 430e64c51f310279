package storetest

import (
	"context"
	"errors"
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
