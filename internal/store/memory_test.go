package store

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
)

// A lossy is a database whose answer to a commit is lost, while it is to be.
type lossy struct {
	database
	lost bool
}

func (l *lossy) transact(ctx context.Context, how mode, work func(transaction) error) error {
	err := l.database.transact(ctx, how, work)
	if err == nil && l.lost {
		return errors.New("the answer is lost")
	}
	return err
}

// What was recorded counts in memory once, also where the answer to that was lost: when it is tried again, or
// when the next term finds the batch gone.
func TestARecordWithoutAnAnswerCountsInMemory(t *testing.T) {
	slot := time.Date(2030, 1, 1, 9, 0, 0, 0, time.UTC)
	joint := func(s *Shard, term int64, done int, gone []int64, runs []schedule.Run) error {
		part := schedule.Settling{Term: term, Seq: 1, Done: done, Gone: gone}
		return s.RecordWith(t.Context(), part, func(_ Tx, record func([]schedule.Run) error) error { return record(runs) })
	}
	for name, record := range map[string]func(s *Shard, term int64, runs []schedule.Run) error{
		"a record": func(s *Shard, term int64, runs []schedule.Run) error {
			return s.Record(t.Context(), term, []int64{1}, runs)
		},
		"a part":        func(s *Shard, term int64, runs []schedule.Run) error { return joint(s, term, 1, nil, runs) },
		"the last part": func(s *Shard, term int64, runs []schedule.Run) error { return joint(s, term, 2, []int64{1}, runs) },
	} {
		for _, again := range []bool{true, false} {
			s := storeOf(t, "sqlite:///"+filepath.Join(t.TempDir(), "entries.db"), Options{Home: HomeMemory})
			db := &lossy{database: s.db}
			s.db = db
			shard := s.Shard(0)
			lease, _, err := shard.Acquire(t.Context(), "node")
			if err != nil {
				t.Fatal(err)
			}
			entry := &schedule.Entry{ID: "e"}
			s.memory.put(entry.ID, sight{})
			batch := schedule.Batch{Term: lease.Term, Seq: 1, Dues: []schedule.Due{{Entry: entry, Slot: slot}, {Entry: entry, Slot: slot.Add(time.Hour)}}}
			if err := shard.Claim(t.Context(), batch); err != nil {
				t.Fatal(err)
			}
			runs := []schedule.Run{{Entry: entry.ID, Slot: slot, State: schedule.Sent, Count: 1}}
			db.lost = true
			if err := record(shard, lease.Term, runs); err == nil {
				t.Fatal("a record whose answer is lost is no error")
			}
			if err := record(shard, lease.Term+1, runs); err == nil {
				t.Fatal("a record in a term that is not held is no error")
			}
			db.lost = false
			if again {
				err = record(shard, lease.Term, runs)
			} else {
				_, err = shard.Journal(t.Context())
			}
			if err != nil {
				t.Fatal(err)
			}
			if seen, _ := s.memory.get(entry.ID); !seen.last.Equal(slot) || seen.count != 1 {
				t.Errorf("%s, tried again %v: %d slots up to %v count in memory, want one, %v", name, again, seen.count, seen.last, slot)
			}
		}
	}
}

// What was not recorded does not.
func TestARecordThatFailsCountsNotInMemory(t *testing.T) {
	s := storeOf(t, "sqlite:///"+filepath.Join(t.TempDir(), "entries.db"), Options{Home: HomeMemory})
	shard, entry := s.Shard(0), &schedule.Entry{ID: "e"}
	lease, _, err := shard.Acquire(t.Context(), "node")
	if err != nil {
		t.Fatal(err)
	}
	s.memory.put(entry.ID, sight{})
	if err := shard.Claim(t.Context(), schedule.Batch{Term: lease.Term, Seq: 1, Dues: []schedule.Due{{Entry: entry, Slot: time.Now()}}}); err != nil {
		t.Fatal(err)
	}
	runs := []schedule.Run{{Entry: entry.ID, Slot: time.Now(), State: schedule.Sent, Count: 1}}
	if err := shard.Record(t.Context(), lease.Term+1, []int64{1}, runs); !errors.Is(err, schedule.ErrLost) {
		t.Fatalf("Record in a term that is not held = %v, want %v", err, schedule.ErrLost)
	}
	if open, err := shard.Journal(t.Context()); err != nil || len(open) != 1 {
		t.Fatalf("Journal = %v, %v, want the batch", open, err)
	}
	if seen, _ := s.memory.get(entry.ID); !seen.last.IsZero() || seen.count != 0 {
		t.Errorf("%d slots up to %v count in memory, want none", seen.count, seen.last)
	}
}
