package measure

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
)

// Alone is what the database does with nothing else asked of it: what a node's figures
// of the same minute are to be held against.
type Alone struct {
	// Commits is how many transactions a second it has on disk, one after the other.
	Commits float64 `json:"commits_per_second"`

	// Slots is how many slots a second it claims and records, in batches as a node's.
	Slots float64 `json:"slots_per_second"`
}

// aloneFor is how long each of the two is measured.
const aloneFor = 2 * time.Second

// aloneOf is how many slots a batch has (dispatch.Options.Batch).
const aloneOf = 1000

// alone measures the site's database. No node may be at work.
func (s *site) alone(ctx context.Context) (result Alone, err error) {
	var entries []*schedule.Entry
	err = s.store.Load(ctx, func(_ context.Context, changes []schedule.Change) error {
		for _, change := range changes {
			if change.Entry != nil {
				entries = append(entries, change.Entry)
			}
		}
		return nil
	})
	if err != nil {
		return result, err
	}
	lease, won, err := s.store.Shard(0).Acquire(ctx, "alone")
	if err == nil && !won {
		err = errors.New("a node holds the lease")
	}
	if err != nil {
		return result, fmt.Errorf("measure the database alone: %w", err)
	}
	defer func() { err = errors.Join(err, s.store.Shard(0).Release(ctx, lease.Term)) }()
	seq, err := s.store.Shard(0).LastSeq(ctx)
	if err != nil {
		return result, err
	}
	next, slot := 0, time.Now().UTC().Truncate(time.Second)
	batch := func(slots int) schedule.Batch {
		seq++
		b := schedule.Batch{Term: lease.Term, Seq: seq}
		for range slots {
			b.Dues = append(b.Dues, schedule.Due{Entry: entries[next], Slot: slot})
			if next = (next + 1) % len(entries); next == 0 {
				slot = slot.Add(time.Second)
			}
		}
		return b
	}

	s.bench.progress("the database alone")
	began, done := time.Now(), 0
	var single []schedule.Batch
	for ; time.Since(began) < aloneFor; done++ {
		b := batch(1)
		if err := s.store.Shard(0).Claim(ctx, b); err != nil {
			return result, err
		}
		single = append(single, b)
	}
	result.Commits = float64(done) / time.Since(began).Seconds()
	if err := s.end(ctx, single...); err != nil {
		return result, err
	}

	claimed := make(chan schedule.Batch, 8)
	failed := make(chan error, 1)
	began, done = time.Now(), 0
	go func() {
		defer close(claimed)
		for time.Since(began) < aloneFor {
			b := batch(aloneOf)
			if err := s.store.Shard(0).Claim(ctx, b); err != nil {
				failed <- err
				return
			}
			claimed <- b
		}
	}()
	for b := range claimed {
		if err == nil {
			err = s.end(ctx, b)
			done += len(b.Dues)
		}
	}
	result.Slots = float64(done) / time.Since(began).Seconds()
	select {
	case err = <-failed:
	default:
	}
	return result, err
}

// end records batches as sent.
func (s *site) end(ctx context.Context, batches ...schedule.Batch) error {
	var seqs []int64
	var runs []schedule.Run
	for _, b := range batches {
		seqs = append(seqs, b.Seq)
		for _, due := range b.Dues {
			runs = append(runs, schedule.Run{
				Entry: due.Entry.ID, Name: due.Entry.Name, Task: due.Entry.Task, Slot: due.Slot, Count: 1, State: schedule.Sent,
				TaskID: "00000000-0000-5000-8000-000000000000", Queue: s.queue, Node: s.queue, Term: b.Term, SentAt: due.Slot,
			})
		}
	}
	if len(batches) == 0 {
		return nil
	}
	return s.store.Shard(0).Record(ctx, batches[0].Term, seqs, runs)
}
