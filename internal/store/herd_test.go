package store

import (
	"fmt"
	"testing"
	"time"

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
