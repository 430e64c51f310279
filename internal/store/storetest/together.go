package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/onebeat/onebeat/internal/schedule"
	"github.com/onebeat/onebeat/internal/store"
)

// beside stands for what a broker writes in the transaction of a record.
const beside = "INSERT INTO onebeat_calendars (calendar, day, reason) VALUES ('beside', '2026-01-01', '')"

// written is how often it was.
func written(t testing.TB, db Database) string {
	t.Helper()
	return db.Query(t, "SELECT count(*) FROM onebeat_calendars WHERE calendar = 'beside'")[0]
}

// together records runs with what a broker writes, and counts how often it was asked to.
func together(t testing.TB, s *store.Store, part schedule.Settling, runs []schedule.Run) (asked int, err error) {
	t.Helper()
	err = s.Shard(0).RecordWith(t.Context(), part, func(tx store.Tx, record func([]schedule.Run) error) error {
		asked++
		if err := record(runs); err != nil {
			return err
		}
		n, err := tx.Exec(t.Context(), beside)
		if err == nil && n != 1 {
			err = fmt.Errorf("%d rows written, want 1", n)
		}
		return err
	})
	return asked, err
}

// A batch is recorded part by part, each once, with what stands beside it.
func testRecordWith(t *testing.T, db Database) {
	s := full(t, db)
	lease := acquire(t, s)
	b := batch(lease.Term, 1, at(9, 0), id(0), id(1))
	claim(t, s, b)
	runs := sent(b)
	for i, want := range []struct{ asked, recorded int }{{1, 1}, {0, 1}} {
		asked, err := together(t, s, schedule.Settling{Term: lease.Term, Seq: 1, Done: 1}, runs[:1])
		if err != nil || asked != want.asked {
			t.Errorf("call %d for the first part: %v, asked %d times, want %d", i, err, asked, want.asked)
		}
		if open := journal(t, s); len(open) != 1 || open[0].Recorded != want.recorded || len(open[0].Dues) != 2 {
			t.Errorf("Journal after call %d = %+v, want the batch with its first slot recorded", i, open)
		}
	}
	if got := entry(t, s, id(0)); !got.LastRunAt.Equal(at(9, 0)) || got.TotalRunCount != 1 {
		t.Errorf("the first entry: last run %v, %d runs; want 9:00 and 1", got.LastRunAt, got.TotalRunCount)
	}
	if got := entry(t, s, id(1)); got.TotalRunCount != 0 {
		t.Errorf("the second entry has %d runs before its part, want none", got.TotalRunCount)
	}
	db.Exec(t, "DELETE FROM onebeat_calendars")
	for i, want := range []int{1, 0} {
		asked, err := together(t, s, schedule.Settling{Term: lease.Term, Seq: 1, Done: 2, Gone: []int64{1}}, runs[1:])
		if err != nil || asked != want {
			t.Errorf("call %d for the last part: %v, asked %d times, want %d", i, err, asked, want)
		}
	}
	if open := journal(t, s); len(open) != 0 {
		t.Errorf("Journal = %+v, want none", open)
	}
	if got := db.Query(t, "SELECT count(*) FROM onebeat_runs"); got[0] != "2" || written(t, db) != "1" {
		t.Errorf("%s runs in the ledger and %s rows beside, want 2 and 1", got, written(t, db))
	}
}

// What can't be recorded leaves nothing beside it, and the other way about.
func testRecordWithAllOrNothing(t *testing.T, db Database) {
	s := full(t, db)
	lease := acquire(t, s)
	b := batch(lease.Term, 1, at(9, 0), id(0))
	claim(t, s, b)
	nothing := func(what string) {
		t.Helper()
		if got := db.Query(t, "SELECT count(*) FROM onebeat_runs"); got[0] != "0" || written(t, db) != "0" {
			t.Errorf("%s: %s runs and %s rows beside, want none", what, got, written(t, db))
		}
		if open := journal(t, s); len(open) != 1 || open[0].Recorded != 0 {
			t.Errorf("%s: Journal = %+v, want the batch as it was claimed", what, open)
		}
	}
	part := schedule.Settling{Term: lease.Term, Seq: 1, Done: 1, Gone: []int64{1}}
	refused := errors.New("refused")
	err := s.Shard(0).RecordWith(t.Context(), part, func(tx store.Tx, record func([]schedule.Run) error) error {
		if err := record(sent(b)); err != nil {
			return err
		}
		if _, err := tx.Exec(t.Context(), beside); err != nil {
			return err
		}
		return refused
	})
	if !errors.Is(err, refused) {
		t.Errorf("RecordWith = %v, want the error of what stands beside", err)
	}
	nothing("refused beside")

	if err := s.Shard(0).Release(t.Context(), lease.Term); err != nil {
		t.Fatal(err)
	}
	next := acquire(t, open(t, db, store.Options{}))
	_, err = together(t, s, part, sent(b))
	lost(t, "RecordWith", err)
	nothing("of a term that is over")

	part.Term = next.Term
	if _, err := together(t, s, part, sent(b)); err != nil {
		t.Fatal(err)
	}
	part.Term = lease.Term
	_, err = together(t, s, part, sent(b))
	lost(t, "RecordWith of what is recorded", err)
	if written(t, db) != "1" {
		t.Errorf("%s rows beside, want that of the new term", written(t, db))
	}
}

// A row that another program holds keeps what stands beside waiting for a moment alone.
func testRecordWithAHeldRow(t *testing.T, db Database) {
	if !db.Postgres && !db.MySQL {
		return // SQLite has no locks on rows: a writer waits for the other's whole transaction
	}
	s := full(t, db)
	lease := acquire(t, s)
	b := batch(lease.Term, 1, at(9, 0), id(0), id(1))
	claim(t, s, b)
	exec, commit := db.Begin(t)
	exec(fmt.Sprintf("UPDATE celery_beat_schedules SET description = 'held' WHERE id = '%s'", id(0)))
	asked, err := together(t, s, schedule.Settling{Term: lease.Term, Seq: 1, Done: 2, Gone: []int64{1}}, sent(b))
	if err != nil || asked != 1 {
		t.Errorf("RecordWith: %v, asked %d times, want once: the first transaction waits for nothing", err, asked)
	}
	counts := func(want string) {
		t.Helper()
		if got := db.Query(t, fmt.Sprintf("SELECT total_run_count FROM celery_beat_schedules WHERE id = '%s'", id(0))); got[0] != want {
			t.Errorf("the row counts %s runs, want %s", got, want)
		}
	}
	commit()
	counts("0")
	ranAtNine(t, s, 2)
}

// Of entries that have ended, those rows are left as they are that another program holds, or that are gone, and no
// others.
func testRecordWithAHeldRowThatEnds(t *testing.T, db Database) {
	s := full(t, db)
	lease := acquire(t, s)
	b := batch(lease.Term, 1, at(9, 0), id(0), id(1), id(2))
	claim(t, s, b)
	runs := sent(b)
	for i := range runs {
		runs[i].Then = schedule.ThenDisable
	}
	db.Exec(t, fmt.Sprintf("DELETE FROM celery_beat_schedules WHERE id = '%s'", id(2)))
	want := []string{"1", "0"}
	commit := func() {}
	if db.Postgres || db.MySQL {
		var exec func(string)
		exec, commit = db.Begin(t)
		exec(fmt.Sprintf("UPDATE celery_beat_schedules SET description = 'held' WHERE id = '%s'", id(0)))
	} else {
		want[0] = "0" // who writes in SQLite holds all of it
	}
	asked, err := together(t, s, schedule.Settling{Term: lease.Term, Seq: 1, Done: 3, Gone: []int64{1}}, runs)
	commit()
	if err != nil || asked != 1 {
		t.Errorf("RecordWith: %v, asked %d times, want once", err, asked)
	}
	for i, want := range want {
		if got := db.Query(t, fmt.Sprintf("SELECT count(*) FROM celery_beat_schedules WHERE enabled AND id = '%s'", id(i))); got[0] != want {
			t.Errorf("row %d is enabled: %s, want %s", i, got[0], want)
		}
	}
}

// What is rehearsed sees the database and leaves nothing in it.
func testRehearse(t *testing.T, db Database) {
	s := full(t, db)
	rows := 0
	err := s.Rehearse(t.Context(), func(tx store.Tx) error {
		if _, err := tx.Exec(t.Context(), beside); err != nil {
			return err
		}
		return tx.Query(t.Context(), "SELECT calendar FROM onebeat_calendars", func(scan func(...any) error) error {
			rows++
			var calendar string
			if err := scan(&calendar); err != nil || calendar != "beside" {
				return fmt.Errorf("row %q, %w", calendar, err)
			}
			return nil
		})
	})
	if err != nil || rows != 1 || written(t, db) != "0" {
		t.Errorf("Rehearse = %v with %d rows in it and %s after it, want 1 and none", err, rows, written(t, db))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Rehearse(ctx, func(store.Tx) error { return nil }); err == nil {
		t.Error("Rehearse without a connection = nil, want an error")
	}
}
