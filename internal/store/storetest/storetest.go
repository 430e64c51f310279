// Package storetest is the suite that each kind of store passes.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/onebeat/onebeat/internal/schedule"
	"github.com/onebeat/onebeat/internal/store"
)

// A Database is an empty database of its own for one test, and how another
// program writes to it.
type Database struct {
	URL string

	// Exec runs plain SQL as another program would, on a connection of its own.
	Exec func(t testing.TB, sql string, args ...any)

	// Query returns the first column of each row as text.
	Query func(t testing.TB, sql string, args ...any) []string

	Postgres bool
}

// Run runs the suite. Each call of fresh makes a new database.
func Run(t *testing.T, fresh func(testing.TB) Database) {
	for _, tt := range []struct {
		name string
		run  func(*testing.T, Database)
	}{
		{"Ledger", testLedger},
		{"Lease", testLease},
		{"Feed", testFeed},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.run(t, fresh(t)) })
	}
}

// open opens the store and makes onebeat's own tables.
func open(t testing.TB, db Database, options store.Options) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), db.URL, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	if err := s.EnsureOwn(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

var (
	_ = context.Canceled
	_ = errors.New
	_ = fmt.Sprint
	_ = filepath.Join
	_ = slices.Sort[[]int]
	_ sync.Mutex
	_ = cmp.Diff
)

func testLedger(t *testing.T, db Database) {
	createTable(t, db, shapeFull)
	s := open(t, db, store.Options{})
	lease, won, err := s.Acquire(t.Context(), "a")
	if err != nil || !won {
		t.Fatal(lease, won, err)
	}
	batch := schedule.Batch{Term: lease.Term, Seq: 1}
	for i := range 3 {
		e := &schedule.Entry{ID: schedule.ID(fmt.Sprintf("%08d-0000-0000-0000-000000000000", i)), Digest: 1<<63 + 5}
		batch.Dues = append(batch.Dues, schedule.Due{Entry: e, Slot: time.Unix(60, 0).UTC()})
	}
	for range 2 {
		if err := s.Claim(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
	}
	journal, err := s.Journal(t.Context())
	if err != nil || len(journal) != 1 || len(journal[0].Dues) != 3 {
		t.Fatal(journal, err)
	}
	var runs []schedule.Run
	for _, due := range batch.Dues {
		runs = append(runs, schedule.Run{Entry: due.Entry.ID, Slot: due.Slot, Count: 1, State: schedule.Sent, SentAt: time.Now()})
	}
	for range 2 {
		if err := s.Record(t.Context(), lease.Term, []int64{1}, runs); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Record(t.Context(), lease.Term+1, []int64{1}, runs); !errors.Is(err, schedule.ErrLost) {
		t.Fatal(err)
	}
	batch.Term++
	if err := s.Claim(t.Context(), batch); !errors.Is(err, schedule.ErrLost) {
		t.Fatal(err)
	}
	t.Log(db.Query(t, "SELECT count(*) FROM onebeat_runs"))
}

func testLease(t *testing.T, db Database) {
	a, b := open(t, db, store.Options{}), open(t, db, store.Options{})
	la, won, err := a.Acquire(t.Context(), "a")
	if err != nil || !won {
		t.Fatal(la, won, err)
	}
	if _, won, err := b.Acquire(t.Context(), "b"); won || err != nil {
		t.Fatal(won, err)
	}
	go func() { _ = a.Release(t.Context(), la.Term) }()
	if err := b.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	lb, won, err := b.Acquire(t.Context(), "b")
	if err != nil || !won || lb.Term != la.Term+1 {
		t.Fatal(lb, won, err)
	}
}

type printer struct {
	t  *testing.T
	ch chan schedule.Change
}

func (p printer) Apply(_ context.Context, cs []schedule.Change) error {
	for _, c := range cs {
		p.ch <- c
	}
	return nil
}
func (p printer) Loaded()                                          { p.ch <- schedule.Change{} }
func (p printer) Asked(_ context.Context, r []store.Request) error { p.t.Log("asked", r); return nil }

func testFeed(t *testing.T, db Database) {
	createTable(t, db, shapeFull)
	s := open(t, db, store.Options{})
	insert := "INSERT INTO celery_beat_schedules (id, name, task_name, cron_expression, enabled, args, kwargs, created_at, updated_at) VALUES ('%08d-0000-0000-0000-000000000000', 'n', 't', '* * * * *', true, '[]', '{}', CURRENT_TIMESTAMP, CURRENT_TIMESTAMP)"
	db.Exec(t, fmt.Sprintf(insert, 1))
	ch := make(chan schedule.Change, 100)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Watch(ctx, printer{t, ch}) }()
	next := func() schedule.Change {
		select {
		case c := <-ch:
			return c
		case err := <-done:
			t.Fatal(err)
		case <-time.After(5 * time.Second):
			t.Fatal("nothing came")
		}
		panic("")
	}
	t.Log(next(), next())
	start := time.Now()
	db.Exec(t, fmt.Sprintf(insert, 2))
	t.Log(next(), time.Since(start))
	start = time.Now()
	db.Exec(t, "DELETE FROM celery_beat_schedules WHERE id='00000001-0000-0000-0000-000000000000'")
	t.Log(next(), time.Since(start))
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}
