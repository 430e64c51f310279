package store

import (
	"context"
	"sync"
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
)

// A part of the ledger has runs that were recorded one after the other in one term of a shard. The ledger's index goes
// by part first, so that what is recorded together is written in few places of it, however large the ledger
// is: with the entry first each run is a page of its own there. Measured with 13 million runs of a million entries, 8,000
// together, on PostgreSQL: 17 µs of its processor time and 1.4 kB of its log for a run, and 8 µs and 0.3 kB by part.
//
// onebeat_parts says which slots a part may have: any, and once it has ended those that it has. In part 0 is what older versions recorded.
type part struct {
	mu     sync.Mutex
	number int64 // when it began, in Unix microseconds; 0: none has
	term   int64
	began  time.Time
	runs   int
	first  time.Time // slot
	last   time.Time // slot, also of a range
}

// partFor is after how long a part ends: it reaches over no more than two days, by which PostgreSQL has partitions.
const partFor = 12 * time.Hour

// over says whether runs of the term are to go to another part. A node that slept may not know for how long.
func (p *part) over(term int64, most int, now time.Time) bool {
	age := now.Round(0).Sub(p.began.Round(0))
	return p.number == 0 || p.term != term || p.runs >= most || age < 0 || age > partFor || now.Sub(p.began) > partFor
}

// part sees to a part that runs of the term can be recorded in. Where none can be begun they go to part 0, and the next
// record tries again: nothing is lost by that but its speed.
func (s *Shard) part(ctx context.Context, term int64) {
	p, now := &s.into, time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.over(term, s.store.partRuns, now) {
		return
	}
	if p.number != 0 && p.term == term { // what another term did in between is not known
		if p.runs == 0 { // all was sent, and the ledger keeps exceptions
			p.first, p.last = p.began, p.began
		}
		_, _ = s.store.db.exec(ctx, "part_end", p.number, p.runs, p.first, p.last) // else it is looked at more often
	}
	p.number, p.term, p.began, p.runs, p.first, p.last = 0, term, now, 0, time.Time{}, time.Time{}
	number := now.UnixMicro()
	if _, err := s.store.db.exec(ctx, "part_begin", number); err == nil {
		p.number = number
	}
}

// write notes that runs are written, and returns the part that they are written in.
func (p *part) write(runs []*schedule.Run) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.runs += len(runs)
	for _, run := range runs {
		if p.first.IsZero() || run.Slot.Before(p.first) {
			p.first = run.Slot
		}
		p.last = latest(p.last, run.Slot, run.Through)
	}
	return p.number
}

// inParts calls row for each row of the answer of a statement that looks into each part of the ledger.
func (s *Store) inParts(ctx context.Context, name string, row func(scanner) error, args ...any) error {
	if _, compiles := s.texts["plain_plan"]; !compiles {
		return s.db.each(ctx, name, row, args...)
	}
	return s.db.transact(ctx, mode{}, func(tx transaction) error {
		if _, err := tx.exec(ctx, "plain_plan"); err != nil {
			return err
		}
		return tx.each(ctx, name, row, args...)
	})
}
