// Package lease holds the right to plan and dispatch, one node at a time.
//
// A lease is a row with an owner, a term that only rises, and an end judged by
// the database's clock. Keep waits for it, does the work while it holds, and
// renews it meanwhile.
//
//   - The work's context ends before the lease does: trust counts from before
//     the request for it left, less a margin.
//   - A node that lost the lease does not get it back by itself: Keep returns,
//     and the caller begins again with a new term.
//   - Whoever comes next may be at work before an old holder has noticed. It is
//     the term, checked with each write and at the broker, that keeps the old
//     one from doing harm.
package lease

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
)

// A Locker keeps the lease's row.
type Locker interface {
	// Acquire takes the lease for owner with a new term if nobody holds it. Losing
	// to another node is no error: ok is false.
	Acquire(ctx context.Context, owner string) (l schedule.Lease, ok bool, err error)

	// Renew lengthens the lease. It returns schedule.ErrLost if the term is over.
	Renew(ctx context.Context, term int64) (schedule.Lease, error)

	// Release gives the lease up at once. Releasing a term that is over is no error.
	Release(ctx context.Context, term int64) error
}

// A Waiter is a Locker that can tell when trying again is worth while, sooner
// than the poll interval does.
type Waiter interface {
	// Wait returns when the holder may be gone, or its lease may have ended, or after
	// some time; or an error when ctx has ended or nothing can be told.
	Wait(ctx context.Context) error
}

// Options tune Keep. The zero Options are the defaults.
type Options struct {
	Poll   time.Duration // between two tries to take the lease, where the locker cannot tell; 500 ms
	Logger *slog.Logger  // silent

	// Clock is told the database's clock with each answer: it said now at a moment
	// that is past by took at most.
	Clock func(now time.Time, took time.Duration)

	// Keeps says of an error of the work that its owner will take the lease anew, as it may while it has it: then it is not
	// given up for others to have. Nil: of none.
	Keeps func(err error) bool

	// Beat is called each time that the lease is about to be asked for or renewed: while
	// it is, Keep gets on.
	Beat func()
}

// askFor is how long an answer to Acquire is waited for: a database that is cut off says
// nothing at all.
const askFor = 5 * time.Second

func (o Options) tellClock(asked time.Time, l schedule.Lease) { o.Clock(l.Now, time.Since(asked)) }

// Keep waits until owner holds the lease, runs work with a context that ends
// when the lease can no longer be trusted, and gives the lease up when work
// returns, unless it is to be kept. When ctx ends, work is not cut off: it watches ctx itself, ends what
// it has begun, and keeps the lease while it does. Keep returns work's error,
// schedule.ErrLost if the lease was lost under it, or ctx's error when it ended
// before the lease came.
func Keep(ctx context.Context, locker Locker, owner string, opts Options, work func(hold context.Context, term int64) error) error {
	if opts.Poll == 0 {
		opts.Poll = 500 * time.Millisecond
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.Clock == nil {
		opts.Clock = func(time.Time, time.Duration) {}
	}
	if opts.Keeps == nil {
		opts.Keeps = func(error) bool { return false }
	}
	if opts.Beat == nil {
		opts.Beat = func() {}
	}
	held, until, err := wait(ctx, locker, owner, opts)
	if err != nil {
		return err
	}
	hold, lose := context.WithCancelCause(context.WithoutCancel(ctx))
	defer lose(nil)
	working, over := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- work(hold, held.Term)
		over()
	}()

	err = renew(working, locker, owner, held, until, opts, lose, done)
	if !errors.Is(err, schedule.ErrLost) && !opts.Keeps(err) {
		giveUp(locker, held.Term, opts.Logger)
	}
	return err
}

// trusted returns until when the lease may be relied on if asked is when the
// request for it left: a fifth is kept back for clocks that run apart and for
// work that is slow to notice.
func trusted(asked time.Time, l schedule.Lease) time.Time {
	return asked.Add(l.For - l.For/5)
}

// wait tries to take the lease until it has it or ctx ends.
func wait(ctx context.Context, locker Locker, owner string, opts Options) (schedule.Lease, time.Time, error) {
	told := false
	var failed string
	for {
		opts.Beat()
		asked := time.Now()
		asking, cancel := context.WithTimeout(ctx, askFor)
		l, ok, err := locker.Acquire(asking, owner)
		cancel()
		switch {
		case err == nil && ok:
			opts.tellClock(asked, l)
			opts.Logger.Info("lease taken", "node", owner, "term", l.Term)
			return l, trusted(asked, l), nil
		case ctx.Err() != nil:
			return schedule.Lease{}, time.Time{}, ctx.Err()
		case err != nil && err.Error() != failed:
			failed = err.Error()
			opts.Logger.Error("lease cannot be taken; trying on", "node", owner, "err", err)
		case err == nil && !told:
			told, failed = true, ""
			opts.Logger.Info("waiting for the lease", "node", owner)
		}
		pause(ctx, locker, opts.Poll)
	}
}

// waitFor is how long a locker waits that can tell: a connection that was cut off, on which
// it waits, is noticed then.
const waitFor = 2 * time.Second

// pause waits for the poll interval, or until the locker tells.
func pause(ctx context.Context, locker Locker, poll time.Duration) {
	over := time.NewTimer(poll)
	defer over.Stop()
	if w, ok := locker.(Waiter); ok {
		waiting, cancel := context.WithTimeout(ctx, waitFor)
		err := w.Wait(waiting)
		cancel()
		if err == nil {
			return
		}
	}
	select {
	case <-ctx.Done():
	case <-over.C:
	}
}

// renew keeps the lease until work is done, with which working ends: a renewal that is on its way is not waited for. When the lease is lost, or can no
// longer be trusted, it ends the work's context and waits for it.
func renew(working context.Context, locker Locker, owner string, held schedule.Lease, until time.Time, opts Options, lose context.CancelCauseFunc, done <-chan error) error {
	lost := func() error {
		lose(schedule.ErrLost)
		<-done
		return schedule.ErrLost
	}
	every := held.For / 5
	beat := time.NewTimer(schedule.Beat(owner, time.Now(), every))
	defer beat.Stop()
	over := time.NewTimer(time.Until(until))
	defer over.Stop()
	failing := false
	for {
		select {
		case err := <-done:
			return err
		case <-over.C:
			opts.Logger.Error("lease not renewed in time; stopping", "term", held.Term)
			return lost()
		case <-beat.C:
		}
		opts.Beat()
		asked := time.Now()
		// The attempt must not outlive the trust.
		ctx, cancel := context.WithDeadline(working, schedule.Earlier(until, asked.Add(2*every)))
		l, err := locker.Renew(ctx, held.Term)
		cancel()
		beat.Reset(schedule.Beat(owner, time.Now(), every))
		if time.Since(asked) >= every {
			beat.Reset(0) // the next one is late already
		}
		switch {
		case working.Err() != nil:
			return <-done
		case errors.Is(err, schedule.ErrLost):
			opts.Logger.Error("lease lost; stopping", "term", held.Term)
			return lost()
		case err != nil && !failing:
			failing = true
			opts.Logger.Warn("lease not renewed; trying on", "term", held.Term, "err", err)
		case err == nil:
			failing = false
			until = trusted(asked, l)
			over.Reset(time.Until(until))
			opts.tellClock(asked, l)
		}
	}
}

// giveUp releases the lease, so that the next node need not wait for its end.
func giveUp(locker Locker, term int64, logger *slog.Logger) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if err := locker.Release(ctx, term); err != nil {
		logger.Warn("lease not given up; it runs out by itself", "term", term, "err", fmt.Errorf("release: %w", err))
		return
	}
	logger.Info("lease given up", "term", term)
}
