package store

import (
	"context"
	"sync"
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
)

// beats is what a node says and asks on each beat beside that a lease lasts on: that it is there, who else is, and whether
// the log of changes has anything new. Where the database takes all of it in one statement, the renewal of a lease carries it: to ask,
// and to wake up for the answer, is most of what an idle node pays. Who else would have asked does so where no renewal came.
type beats struct {
	every time.Duration

	mu       sync.Mutex
	attends  bool // this node is to be noted
	fit      bool // and so
	within   time.Duration
	since    string    // the point in the log of changes up to which it was read; empty where nobody reads it
	leftAt   time.Time // when the last renewal left that carries all this
	notedAt  time.Time // when the last left that has noted this node
	quietAt  time.Time // when one of them has last found nothing after since, or all was read up to there
	carrying sync.WaitGroup

	attended chan Roll     // has what a renewal brought
	news     chan struct{} // has one if it found something after since
}

func newBeats(every time.Duration) *beats {
	return &beats{every: every, attended: make(chan Roll, 1), news: make(chan struct{}, 1)}
}

// attend takes over how this node is to be noted, and says whether a renewal has lately noted it so.
func (b *beats) attend(fit bool, within time.Duration) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	noted := b.attends && b.fit == fit && time.Since(b.notedAt) < b.every*3/2
	b.attends, b.fit, b.within = true, fit, within
	return noted
}

// leave returns once no renewal notes this node any more.
func (b *beats) leave() {
	b.mu.Lock()
	b.attends = false
	b.mu.Unlock()
	b.carrying.Wait()
}

// heard takes over up to where the log of changes was read. The next renewal, if there are any, says whether there is more.
func (b *beats) heard(since string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.since, b.quietAt = since, time.Time{}
	if now := time.Now(); now.Sub(b.leftAt) < b.every*3/2 {
		b.quietAt = now
	}
}

// quiet says whether a renewal has lately found that there is nothing new in the log of changes.
func (b *beats) quiet() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return time.Since(b.quietAt) < min(b.every, hintedLook)*3/2
}

// A load is what a renewal carries.
type load struct {
	fit    bool
	within time.Duration
	since  string
	at     time.Time
}

// take returns what a renewal is to carry that leaves now, or false if it is to carry nothing, as when that of another shard
// carries it on the same beat. Else put is to be called.
func (b *beats) take() (load, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	if !b.attends || now.Sub(b.leftAt) < b.every/2 {
		return load{}, false
	}
	b.leftAt = now
	b.carrying.Add(1)
	return load{b.fit, b.within, b.since, now}, true
}

// put takes over what came of it.
func (b *beats) put(l load, noted, news bool) {
	defer b.carrying.Done()
	b.mu.Lock()
	defer b.mu.Unlock()
	if noted && b.attends && b.fit == l.fit {
		b.notedAt = l.at
	}
	switch {
	case news:
		tell(b.news)
	case noted && l.since != "" && l.since == b.since:
		b.quietAt = l.at
	}
}

// beat renews the lease in the session that has its lock.
func (s *Shard) beat(ctx context.Context, session querier, term int64) (lease schedule.Lease, held bool, err error) {
	length := s.store.leaseFor.Microseconds()
	carried, some := s.store.beats.take()
	if !some {
		return s.lease(ctx, session, "lease_renew", s.number, term, length, true)
	}
	roll, noted, news := s.store.emptyRoll(), false, false
	lease.For = s.store.leaseFor
	args := []any{s.store.options.Node, s.store.options.Shards, carried.fit, s.number, term, length, nil}
	if carried.since != "" {
		args[6] = carried.since
	}
	err = session.each(ctx, "beat", func(row scanner) error {
		what, micros, err := roll.scan(row, carried.within)
		switch what {
		case rollNoted:
			noted = true
		case rollRenewed:
			held, lease.Term, lease.Now = true, term, time.UnixMicro(micros)
		case rollNews:
			news = true
		}
		return err
	}, args...)
	noted = noted && err == nil
	s.store.beats.put(carried, noted, news)
	if noted {
		s.store.seen(&roll, carried.fit)
		select {
		case s.store.beats.attended <- roll:
		default:
		}
	}
	return lease, held, err
}
