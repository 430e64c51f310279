package dispatch

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/onebeat/onebeat/internal/failpoint"
	"github.com/onebeat/onebeat/internal/schedule"
)

// together bounds the slots that are recorded in one transaction.
const together = 8000

// record writes down what became of batches, those of the backlog together, up to the
// bound. What waits at the end of the term is left in the journal.
func (d *Dispatcher) record(hold context.Context, term int64, published *backlog, notes *notes) error {
	var seqs []int64
	var runs []schedule.Run // used again and again: the ledger keeps nothing of it
	waiting := map[int64][]schedule.Run{}
	var all []settled
	for {
		if all = published.next(all[:0], d.records.most); len(all) == 0 {
			return nil
		}
		slots, size := 0, 0
		for _, s := range all {
			slots, size = slots+len(s.runs), size+sizeOf(s.runs)
		}
		seqs, runs = seqs[:0], slices.Grow(runs[:0], slots) // at once: what grows bit by bit leaves as much behind
		for _, s := range all {
			for _, seq := range s.frees {
				seqs, runs = append(seqs, seq), append(runs, waiting[seq]...)
				delete(waiting, seq)
			}
			if s.waits {
				waiting[s.seq] = slices.Clone(s.runs)
			} else {
				seqs, runs = append(seqs, s.seq), append(runs, s.runs...)
			}
			d.spare.give(s.runs)
		}
		if len(seqs) > 0 {
			if err := d.write(hold, term, seqs, runs, size); err != nil {
				return err
			}
			notes.forget(seqs)
			d.metrics.progress(-len(seqs))
		}
		published.done(size)
	}
}

// write records batches that count as so many slots.
func (d *Dispatcher) write(hold context.Context, term int64, seqs []int64, runs []schedule.Run, size int) error {
	d.metrics.recording.Store(time.Now().UnixNano())
	defer d.metrics.recording.Store(0)
	var began time.Time
	err := d.persist(hold, "recording", d.metrics.databaseError, func(ctx context.Context) error {
		if err := failpoint.Here("dispatch.record.before"); err != nil {
			return err
		}
		began = time.Now()
		return d.ledger.Record(ctx, term, seqs, runs)
	})
	if err == nil {
		d.records.learn(size, time.Since(began))
	}
	return err
}

// A spare keeps slices of runs for the next batches: at a quarter of a kilobyte a
// run, they would be the largest part of the garbage. It keeps no more than wait where no herd is sent.
type spare struct {
	mu     sync.Mutex
	slices [][]schedule.Run
	room   int // of them, for so many runs
}

// take returns an empty slice with room for n runs.
func (s *spare) take(n int) []schedule.Run {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.slices) > 0 {
		end := len(s.slices) - 1
		last := s.slices[end]
		s.slices[end], s.slices, s.room = nil, s.slices[:end], s.room-cap(last)
		if cap(last) >= n {
			return last[:0]
		}
	}
	return make([]schedule.Run, 0, n)
}

// give takes back runs that nobody holds any more.
func (s *spare) give(runs []schedule.Run) {
	clear(runs)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.room+cap(runs) <= few {
		s.slices, s.room = append(s.slices, runs), s.room+cap(runs)
	}
}
