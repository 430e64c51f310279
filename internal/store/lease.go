package store

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/onebeat/onebeat/internal/failpoint"
	"github.com/onebeat/onebeat/internal/schedule"
)

// A guard is a lock that its holder's process can't outlive, unlike a lease: it
// tells the next node at once that the holder crashed. It is a hint alone; what
// keeps two nodes apart is the term.
type guard interface {
	// try takes the lock if it is free and says whether this process has it now.
	try(ctx context.Context) (held bool, err error)
	// wait returns once this process has the lock or the time is over.
	wait(ctx context.Context, atMost time.Duration) error
	// has says whether this process had the lock when it last tried or waited.
	has() bool
	// session runs statements in the session that has the lock, for as long as it has; nil where there is none.
	session() querier
	free()
}

// A noGuard is never held: the lease's end has to do.
type noGuard struct{}

func (noGuard) try(context.Context) (bool, error) { return false, nil }
func (noGuard) wait(ctx context.Context, atMost time.Duration) error {
	return rest(ctx, min(atMost, unguardedInterval))
}
func (noGuard) has() bool        { return false }
func (noGuard) session() querier { return nil }
func (noGuard) free()            {}

// A Shard is a part of the entries, by their ids, whose slots one node at a time plans
// and dispatches: the one that has its lease. Its methods may be called from any
// goroutine, but for Acquire, Renew, Guarded and Wait, which are called one after the other.
type Shard struct {
	store  *Store
	number int
	guard  guard
	term   atomic.Int64          // of the lease that this process acquired last; 0 for none
	later  atomic.Pointer[later] // what was seen of its entries by who leads it, and is not written down
	led    atomic.Int64          // the last term in which a roster of this process led it
	unsure unsure
	into   part // of the ledger

	impatient atomic.Int64 // until when rows that are held are not waited for, in Unix nanoseconds
	scattered atomic.Int64 // until when rows of a herd are not looked for in a stretch of the table, likewise
}

// Shard returns the shard of the number, from 0 up: the same each time.
func (s *Store) Shard(number int) *Shard {
	s.held.Lock()
	defer s.held.Unlock()
	shard := s.shards[number]
	if shard == nil {
		shard = &Shard{store: s, number: number, guard: s.newGuard(number)}
		s.shards[number] = shard
	}
	return shard
}

// Acquire takes the shard's lease for the owner if it is free: if it has ended
// by the database's clock, or if the holder's session died. False means that
// another holds it, or that the installation has another number of shards now, so that
// this one's entries are not what they were; that is no error. Each success has a higher term.
func (s *Shard) Acquire(ctx context.Context, owner string) (schedule.Lease, bool, error) {
	return s.acquire(ctx, owner, s.store.options.Shards)
}

// acquire is Acquire for whoever goes by that number of shards.
func (s *Shard) acquire(ctx context.Context, owner string, shards int) (schedule.Lease, bool, error) {
	if err := failpoint.Here("lease.acquire.before"); err != nil {
		return schedule.Lease{}, false, err
	}
	guarded := s.guarded(ctx)
	lease, won, err := s.lease(ctx, s.store.db, "lease_acquire", s.number, owner, s.store.leaseFor.Microseconds(), guarded, shards)
	if refused(err, []string{"23505"}, nil, -1) { // no node had it ever, and another took it at the same moment
		err = nil
	}
	if err != nil {
		return schedule.Lease{}, false, fmt.Errorf("acquire lease: %w", err)
	}
	if !won {
		s.guard.free() // for the holder to have: it tries with each renewal
	} else {
		s.term.Store(lease.Term)
	}
	return lease, won, failpoint.Here("lease.acquire.after")
}

// Renew lets the lease of the term last on, from now. It returns
// schedule.ErrLost once another node has a higher term.
func (s *Shard) Renew(ctx context.Context, term int64) (schedule.Lease, error) {
	if err := failpoint.Here("lease.renew.before"); err != nil {
		return schedule.Lease{}, err
	}
	lease, held, err := s.renew(ctx, term)
	switch {
	case err != nil:
		return schedule.Lease{}, fmt.Errorf("renew lease: %w", err)
	case !held:
		return schedule.Lease{}, schedule.ErrLost
	}
	return lease, failpoint.Here("lease.renew.after")
}

// Check returns schedule.ErrLost once another node has a higher term. Unlike Renew, it may be called while the lease is renewed: it has
// nothing to do with the session that has the lock.
func (s *Shard) Check(ctx context.Context, term int64) error {
	if err := s.holds(ctx, s.store.db, term); err != nil {
		return fmt.Errorf("check lease: %w", err)
	}
	return nil
}

// renew asks for it in the session that has the lock, where there is one: its answer says
// that the session lives, too.
func (s *Shard) renew(ctx context.Context, term int64) (schedule.Lease, bool, error) {
	if session := s.guard.session(); session != nil {
		if lease, held, err := s.beat(ctx, session, term); err == nil {
			return lease, held, nil
		}
	}
	guarded := s.guarded(ctx)
	return s.lease(ctx, s.store.db, "lease_renew", s.number, term, s.store.leaseFor.Microseconds(), guarded)
}

// Release gives the lease up, so that a node that waits has it at once. It does
// nothing when the term is over.
func (s *Shard) Release(ctx context.Context, term int64) error {
	_, err := s.store.db.exec(ctx, "lease_release", s.number, term)
	s.guard.free()
	if err != nil {
		return fmt.Errorf("release lease: %w", err)
	}
	s.endPart(ctx) // now that whoever waits has it
	return nil
}

// Guarded says whether this process had the shard's guard when it last asked: who has it and holds the lease may acquire it anew.
func (s *Shard) Guarded() bool { return s.guard.has() }

// Wait returns when it is worth while to try Acquire again: when the holder's
// session died, or its lease was released or ended, or a length of the lease has
// passed. An error other than ctx's is one of the database.
func (s *Shard) Wait(ctx context.Context) error {
	holder, lasts := s.lately()
	guarded := holder.Guarded
	if lasts <= 0 {
		var left int64
		read := func(row scanner) error { return row.Scan(&left, &guarded) }
		if err := s.store.db.each(ctx, "lease_left", read, s.number); err != nil {
			return fmt.Errorf("wait for lease: %w", err)
		}
		if left <= 0 {
			return ctx.Err()
		}
		lasts = time.Duration(left) * time.Microsecond
	}
	atMost := lasts + time.Millisecond // so that it has ended for sure
	if !guarded {                      // its holder has no guard yet, and could not get it if a node that waits had
		return rest(ctx, min(atMost, unguardedInterval))
	}
	if err := s.guard.wait(ctx, atMost); err != nil {
		if ctx.Err() == nil {
			s.store.rolled.Store(nil) // nothing tells when the holder goes: who asks next has to look
		}
		return fmt.Errorf("wait for lease: %w", err)
	}
	return nil
}

// unguardedInterval is how often a node that waits looks at a lease that is not
// guarded, whose release nothing else tells of.
const unguardedInterval = 200 * time.Millisecond

func rest(ctx context.Context, wait time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(wait):
		return nil
	}
}

// guarded says whether this process has the guard. Where there is none to be had,
// as behind a pooler of connections, the lease's end has to do.
func (s *Shard) guarded(ctx context.Context) bool {
	held, err := s.guard.try(ctx)
	return held && err == nil
}

func (s *Shard) lease(ctx context.Context, on querier, name string, args ...any) (lease schedule.Lease, ok bool, err error) {
	lease.For = s.store.leaseFor
	err = on.each(ctx, name, func(row scanner) error {
		ok = true
		return row.Scan(&lease.Term, instant{&lease.Now})
	}, args...)
	return lease, ok, err
}
