package lease_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/onebeat/onebeat/internal/lease"
	"github.com/onebeat/onebeat/internal/schedule"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A row is the lease's row in a database whose clock is the bubble's.
type row struct {
	mu    sync.Mutex
	owner string
	term  int64
	until time.Time

	away  bool // the database does not answer
	holds bool // and keeps the caller waiting
}

const ttl = 5 * time.Second

func (r *row) reach(ctx context.Context) error {
	r.mu.Lock()
	away, holds := r.away, r.holds
	r.mu.Unlock()
	if away && holds {
		<-ctx.Done()
		return ctx.Err()
	}
	if away {
		return errors.New("connection refused")
	}
	return nil
}

func (r *row) Acquire(ctx context.Context, owner string) (schedule.Lease, bool, error) {
	if err := r.reach(ctx); err != nil {
		return schedule.Lease{}, false, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.owner != "" && time.Now().Before(r.until) {
		return schedule.Lease{}, false, nil
	}
	r.owner, r.until = owner, time.Now().Add(ttl)
	r.term++
	return schedule.Lease{Term: r.term, For: ttl, Now: time.Now()}, true, nil
}

func (r *row) Renew(ctx context.Context, term int64) (schedule.Lease, error) {
	if err := r.reach(ctx); err != nil {
		return schedule.Lease{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.term != term {
		return schedule.Lease{}, schedule.ErrLost
	}
	r.until = time.Now().Add(ttl)
	return schedule.Lease{Term: r.term, For: ttl, Now: time.Now()}, nil
}

func (r *row) Release(ctx context.Context, term int64) error {
	if err := r.reach(ctx); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.term == term {
		r.owner = ""
	}
	return nil
}

func (r *row) set(away, holds bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.away, r.holds = away, holds
}

func TestTheNextNodeTakesOverAtOnceAfterACleanStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &row{}
		ctx, stop := context.WithCancel(t.Context())
		first := make(chan error, 1)
		go func() {
			first <- lease.Keep(ctx, r, "a", lease.Options{}, func(hold context.Context, _ int64) error {
				<-ctx.Done()
				time.Sleep(3 * time.Second) // what was begun is ended under the lease
				return hold.Err()
			})
		}()
		synctest.Wait()
		took := make(chan int64, 1)
		second := make(chan error, 1)
		go func() {
			second <- lease.Keep(t.Context(), r, "b", lease.Options{}, func(_ context.Context, term int64) error {
				took <- term
				return nil
			})
		}()
		time.Sleep(time.Minute)
		stop()
		stopped := time.Now()
		if err := <-first; err != nil {
			t.Errorf("Keep of the node that stopped = %v, want nil: its work ended under the lease", err)
		}
		if term := <-took; term != 2 {
			t.Errorf("the next node's term = %d, want 2", term)
		}
		if waited := time.Since(stopped) - 3*time.Second; waited > 500*time.Millisecond {
			t.Errorf("the next node waited %v after the lease was given up", waited)
		}
		<-second
	})
}

func TestALeaseThatIsToBeTakenAnewIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		anew := errors.New("begin anew")
		opts := lease.Options{Keeps: func(err error) bool { return errors.Is(err, anew) }}
		for ends, owner := range map[error]string{anew: "a", errors.New("failed"): ""} {
			r := &row{}
			err := lease.Keep(t.Context(), r, "a", opts, func(context.Context, int64) error { return ends })
			if !errors.Is(err, ends) || r.owner != owner {
				t.Errorf("after work that ended with %q, Keep = %v and the lease is of %q, want %q", ends, err, r.owner, owner)
			}
		}
	})
}

func TestWorkEndsBeforeALeaseThatCannotBeRenewed(t *testing.T) {
	for _, holds := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			r := &row{}
			done := make(chan error, 1)
			var ended time.Time
			go func() {
				done <- lease.Keep(t.Context(), r, "a", lease.Options{}, func(hold context.Context, _ int64) error {
					<-hold.Done()
					ended = time.Now()
					if cause := context.Cause(hold); !errors.Is(cause, schedule.ErrLost) {
						t.Errorf("cause = %v, want ErrLost", cause)
					}
					return nil
				})
			}()
			time.Sleep(time.Minute)
			r.set(true, holds)
			err := <-done
			if !errors.Is(err, schedule.ErrLost) {
				t.Errorf("Keep = %v, want ErrLost", err)
			}
			r.mu.Lock()
			defer r.mu.Unlock()
			if !ended.Before(r.until) {
				t.Errorf("work ended at %v, the lease at %v (the database keeps callers waiting: %v)", ended, r.until, holds)
			}
		})
	}
}

func TestWorkEndsWhenAnotherTermIsSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &row{}
		done := make(chan error, 1)
		go func() {
			done <- lease.Keep(t.Context(), r, "a", lease.Options{}, func(hold context.Context, _ int64) error {
				<-hold.Done()
				return nil
			})
		}()
		time.Sleep(time.Second / 2)
		r.mu.Lock()
		r.term = 7
		r.mu.Unlock()
		if err := <-done; !errors.Is(err, schedule.ErrLost) {
			t.Errorf("Keep = %v, want ErrLost", err)
		}
	})
}

func TestAShortOutageIsOutlived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &row{}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		var clocks int
		go func() {
			opts := lease.Options{Clock: func(time.Time, time.Duration) { clocks++ }}
			done <- lease.Keep(ctx, r, "a", opts, func(hold context.Context, _ int64) error {
				select {
				case <-hold.Done():
					t.Error("the lease was lost")
				case <-ctx.Done():
				}
				return nil
			})
		}()
		time.Sleep(10*time.Second + 300*time.Millisecond) // between renewals
		r.set(true, false)
		time.Sleep(2 * time.Second)
		r.set(false, false)
		time.Sleep(10 * time.Second)
		stop()
		if err := <-done; err != nil {
			t.Errorf("Keep = %v", err)
		}
		if clocks < 15 {
			t.Errorf("the database's clock was told %d times in 22 s of one renewal a second", clocks)
		}
	})
}

func TestADatabaseThatIsDownAtTheStartIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &row{away: true}
		done := make(chan error, 1)
		go func() {
			done <- lease.Keep(t.Context(), r, "a", lease.Options{}, func(context.Context, int64) error { return nil })
		}()
		time.Sleep(time.Minute)
		r.set(false, false)
		if err := <-done; err != nil {
			t.Errorf("Keep = %v", err)
		}
	})
}
