package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
	"github.com/onebeat/onebeat/internal/store"
)

func testLeaseRace(t *testing.T, db Database) {
	var nodes []*store.Store
	for range 4 {
		nodes = append(nodes, open(t, db, store.Options{}))
	}
	var wins atomic.Int64
	var wg sync.WaitGroup
	for n, node := range nodes {
		wg.Go(func() {
			_, won, err := node.Shard(0).Acquire(t.Context(), fmt.Sprint(n))
			if err != nil {
				t.Error(err)
			}
			if won {
				wins.Add(1)
			}
		})
	}
	wg.Wait()
	if wins.Load() != 1 {
		t.Errorf("%d nodes have the lease, want 1", wins.Load())
	}
}

func testLeaseRelease(t *testing.T, db Database) {
	const length = time.Minute
	holder, waiter := open(t, db, store.Options{LeaseFor: length}), open(t, db, store.Options{LeaseFor: length})
	first := acquire(t, holder)
	if first.For != length || first.Now.IsZero() {
		t.Errorf("lease = %+v, want it for %v with the database's clock", first, length)
	}
	if _, won, err := waiter.Shard(0).Acquire(t.Context(), "waiter"); won || err != nil {
		t.Fatalf("Acquire of a lease that is held = %v, %v", won, err)
	}
	next := awaitLease(t, waiter, func() {
		if err := holder.Shard(0).Release(t.Context(), first.Term); err != nil {
			t.Error(err)
		}
	})
	if next <= first.Term {
		t.Errorf("the next term is %d after %d, want it higher", next, first.Term)
	}
}

// With the race detector this tells whether both use the session that has the lock.
func testLeaseChecks(t *testing.T, db Database) {
	const length = time.Minute
	holder, other := open(t, db, store.Options{LeaseFor: length}), open(t, db, store.Options{LeaseFor: length})
	first := acquire(t, holder)
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for range 30 {
				if err := holder.Shard(0).Check(t.Context(), first.Term); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 30 {
		if _, err := holder.Shard(0).Renew(t.Context(), first.Term); err != nil {
			t.Error(err)
		}
	}
	wg.Wait()
	if err := holder.Shard(0).Release(t.Context(), first.Term); err != nil {
		t.Fatal(err)
	}
	acquire(t, other)
	if err := holder.Shard(0).Check(t.Context(), first.Term); !errors.Is(err, schedule.ErrLost) {
		t.Errorf("Check of a term that is over = %v, want ErrLost", err)
	}
}

func testLeaseAnew(t *testing.T, db Database) {
	holder, waiter := open(t, db, store.Options{LeaseFor: time.Minute}), open(t, db, store.Options{LeaseFor: time.Minute})
	first := acquire(t, holder)
	if !holder.Shard(0).Guarded() || waiter.Shard(0).Guarded() {
		t.Fatalf("the holder has the guard: %v, and who waits: %v", holder.Shard(0).Guarded(), waiter.Shard(0).Guarded())
	}
	if next := acquire(t, holder); next.Term != first.Term+1 {
		t.Errorf("the next term is %d after %d", next.Term, first.Term)
	}
	if _, won, err := waiter.Shard(0).Acquire(t.Context(), "waiter"); won || err != nil {
		t.Errorf("Acquire of a lease that is held = %v, %v", won, err)
	}
}

func testLeaseDeath(t *testing.T, db Database) {
	const length = time.Minute
	holder, err := store.Open(t.Context(), db.URL, store.Options{LeaseFor: length})
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.EnsureOwn(t.Context()); err != nil {
		t.Fatal(err)
	}
	waiter := open(t, db, store.Options{LeaseFor: length})
	first := acquire(t, holder)
	if _, err := holder.Shard(0).Renew(t.Context(), first.Term); err != nil {
		t.Fatal(err)
	}
	awaitLease(t, waiter, holder.Close) // as its death would: nothing is released
}

func testLeaseExpiry(t *testing.T, db Database) {
	const length = 300 * time.Millisecond
	frozen, waiter := open(t, db, store.Options{LeaseFor: length}), open(t, db, store.Options{LeaseFor: length})
	first := acquire(t, frozen) // and is never heard of again, though its session lives
	awaitLease(t, waiter, func() {})
	_, err := frozen.Shard(0).Renew(t.Context(), first.Term)
	lost(t, "Renew by the one that was frozen", err)
}

// awaitLease waits for the lease, and lets the holder end once the waiter waits.
func awaitLease(t *testing.T, waiter *store.Store, end func()) (term int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	defer cancel()
	started := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		<-started
		end()
	})
	defer wg.Wait()
	began := time.Now()
	close(started)
	for {
		if err := waiter.Shard(0).Wait(ctx); err != nil {
			t.Fatalf("Wait: %v", err)
		}
		lease, won, err := waiter.Shard(0).Acquire(ctx, "waiter")
		if err != nil {
			t.Fatal(err)
		}
		if won {
			t.Logf("took over after %v", time.Since(began))
			return lease.Term
		}
	}
}

// A node that took over from a frozen one has no guard while that one lives, and
// gets it later, though others wait.
func testLeaseGuard(t *testing.T, db Database) {
	const length = 300 * time.Millisecond
	frozen, err := store.Open(t.Context(), db.URL, store.Options{LeaseFor: length})
	if err != nil {
		t.Fatal(err)
	}
	if err := frozen.EnsureOwn(t.Context()); err != nil {
		t.Fatal(err)
	}
	holder, err := store.Open(t.Context(), db.URL, store.Options{LeaseFor: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	acquire(t, frozen)
	term := awaitLease(t, holder, func() {})
	frozen.Close()
	waiter := open(t, db, store.Options{LeaseFor: time.Minute})
	for range 3 {
		if _, won, err := waiter.Shard(0).Acquire(t.Context(), "waiter"); won || err != nil {
			t.Fatalf("Acquire of a lease that is held = %v, %v", won, err)
		}
		if err := waiter.Shard(0).Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := holder.Shard(0).Renew(t.Context(), term); err != nil {
		t.Fatal(err)
	}
	awaitLease(t, waiter, holder.Close)
}
