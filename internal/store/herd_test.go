package store

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/onebeat/onebeat/internal/schedule"
)

// sendAll claims a slot of each of the entries and records all as sent, in one batch.
func sendAll(t *testing.T, s *Store, ids []schedule.ID, slot time.Time) {
	t.Helper()
	shard := s.Shard(0)
	lease, won, err := shard.Acquire(t.Context(), "node")
	if err != nil || !won {
		t.Fatalf("Acquire: %v, %v", won, err)
	}
	last, err := shard.LastSeq(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	batch := schedule.Batch{Term: lease.Term, Seq: last + 1}
	var runs []schedule.Run
	for _, id := range ids {
		batch.Dues = append(batch.Dues, schedule.Due{Entry: &schedule.Entry{ID: id}, Slot: slot})
		runs = append(runs, schedule.Run{Entry: id, Name: "n", Task: "t", Slot: slot, Count: 1, State: schedule.Sent, Node: "node", Term: lease.Term, SentAt: slot})
	}
	if err := shard.Claim(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	if err := shard.Record(t.Context(), lease.Term, []int64{batch.Seq}, runs); err != nil {
		t.Fatal(err)
	}
	if err := shard.Release(t.Context(), lease.Term); err != nil {
		t.Fatal(err)
	}
}

func idsOf(t *testing.T, s *Store) (ids []schedule.ID) {
	t.Helper()
	err := s.Load(t.Context(), func(_ context.Context, changes []schedule.Change) error {
		for _, change := range changes {
			ids = append(ids, change.ID)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

// heardOf waits until the server's statistics know of so many rows of the table that were inserted or updated: a session tells what it
// did at its end at the latest.
func heardOf(t *testing.T, pool *pgxpool.Pool, rows int64, how string) {
	t.Helper()
	pool.Reset()
	var known int64
	for over := time.Now().Add(20 * time.Second); known < rows; {
		if time.Now().After(over) {
			t.Fatalf("the server knows of %d rows that were %s, want %d", known, how, rows)
		}
		if err := pool.QueryRow(t.Context(), "SELECT pg_stat_get_tuples_"+how+"('celery_beat_schedules'::regclass)").Scan(&known); err != nil {
			t.Fatal(err)
		}
	}
}

// What a herd costs PostgreSQL is for the most part how many pages, and what else, it has to write.
func TestAHerdIsWrittenWhereItsRowsAre(t *testing.T) {
	s := scratchedPostgres(t, "onebeat_herd")
	const entries = 3000
	var all []Definition
	for i := range entries {
		all = append(all, Definition{Name: fmt.Sprint(i), Task: "tasks.add", Spec: "0 9 * * *", Kwargs: `{"text": "` + strings.Repeat("x", 900) + `"}`})
	}
	if err := s.Fill(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	ids := idsOf(t, s)
	pool := s.db.(*postgres).pool
	files := func(rows int64, how string) (files int64) { // told of with rows
		t.Helper()
		heardOf(t, pool, rows, how)
		if err := pool.QueryRow(t.Context(), "SELECT pg_stat_get_db_temp_files(oid) FROM pg_database WHERE datname = current_database()").Scan(&files); err != nil {
			t.Fatal(err)
		}
		return files
	}
	filled := files(entries, "inserted")
	pages := func() map[string]int64 {
		t.Helper()
		at := map[string]int64{}
		rows, err := pool.Query(t.Context(), "SELECT id::text, (ctid::text::point)[0]::bigint FROM celery_beat_schedules")
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		for rows.Next() {
			var id string
			var page int64
			if err := rows.Scan(&id, &page); err != nil {
				t.Fatal(err)
			}
			at[id] = page
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		return at
	}
	before := pages()
	sendAll(t, s, ids, time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC))
	after, moved := pages(), 0
	for id, page := range before {
		if after[id] != page {
			moved++
		}
	}
	if len(after) != entries || moved > 0 {
		t.Errorf("of %d rows %d are on another page than before", len(after), moved)
	}

	if now := files(entries, "updated"); now > filled {
		t.Errorf("the records went through %d files", now-filled)
	}
}

// What triggers tell of needs no look at all rows, which would read each row of a herd again.
func TestALookAtAllRowsWaitsForAHerd(t *testing.T) {
	h := hear(t, chunk)
	h.hints = true
	var ids []schedule.ID
	for id := range chunk {
		ids = append(ids, schedule.ID(fmt.Sprintf("%05d", id+1)))
	}
	look := func(want time.Duration, when string) {
		t.Helper()
		if got := h.sweepInterval(); got != want {
			t.Errorf("a look at all rows comes %v after another %s, want %v", got, when, want)
		}
	}
	look(30*time.Second, "at rest")
	sendAll(t, h.store, ids[:chunk-1], time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC))
	look(30*time.Second, "where some hundred slots are recorded")
	sendAll(t, h.store, ids, time.Date(2030, 1, 1, 1, 0, 0, 0, time.UTC))
	look(time.Minute, "in a herd")
	h.hints = false
	if got := h.sweepInterval(); got > 2*time.Second {
		t.Errorf("a look at all rows comes %v after another in a herd where no trigger tells of edits", got)
	}
	h.hints = true
	h.store.herdedAt.Add(-int64(herdRest))
	look(30*time.Second, "after a herd")
}
