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
	number int64 // when it began by the database, in Unix microseconds; 0: none has
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
	former := p.number
	p.endLocked(ctx, s.store)
	p.term, p.began = term, now
	clock, err := s.store.Now(ctx) // by which old parts are forgotten, and that no node sets
	if err != nil {
		return
	}
	number := max(clock.UnixMicro(), former+1) // SQLite's clock has milliseconds
	if _, err := s.store.db.exec(ctx, "part_begin", number); err == nil {
		p.number = number
	}
}

// endPart ends the part of a term that is over.
func (s *Shard) endPart(ctx context.Context) {
	s.into.mu.Lock()
	defer s.into.mu.Unlock()
	s.into.endLocked(ctx, s.store)
}

// endLocked ends the part, if there is one: nobody else records in it. Until it is ended each look for runs goes into it.
func (p *part) endLocked(ctx context.Context, s *Store) {
	if p.number != 0 {
		if p.runs == 0 { // all was sent, and the ledger keeps exceptions
			p.first, p.last = p.began, p.began
		}
		_, _ = s.db.exec(ctx, "part_end", p.number, p.runs, p.first, p.last) // else endLeft does
	}
	p.number, p.runs, p.first, p.last = 0, 0, time.Time{}, time.Time{}
}

// endLeft ends the parts of nodes that were lost: they began more than a day ago, so that nobody records in them any more.
func (s *Store) endLeft(ctx context.Context) error {
	type ended struct {
		number, runs int64
		first, last  time.Time
	}
	var left []ended
	err := s.inParts(ctx, "parts_left", func(row scanner) error {
		var one ended
		err := row.Scan(&one.number, &one.runs, instant{&one.first}, instant{&one.last})
		left = append(left, one)
		return err
	})
	for _, one := range left {
		if err == nil {
			_, err = s.db.exec(ctx, "part_end", one.number, one.runs, one.first, one.last)
		}
	}
	return err
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
		p.last = schedule.Later(p.last, run.Slot, run.Through)
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
