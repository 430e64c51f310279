package app

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/onebeat/onebeat/internal/broker"
	"github.com/onebeat/onebeat/internal/store"
)

// A taken source has entries that another scheduler runs.
type taken struct{ asked chan struct{} }

var _ store.Locker = taken{}

func (taken) Name() string                                  { return "taken" }
func (taken) String() string                                { return "another's entries" }
func (taken) Read(context.Context) ([]store.Outside, error) { return nil, nil }
func (taken) Unlock(context.Context, string) error          { return nil }

func (taken) Changed(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

func (s taken) Lock(ctx context.Context, _ string) (time.Duration, error) {
	select {
	case s.asked <- struct{}{}:
	case <-ctx.Done():
	}
	return time.Hour, nil
}

func (taken) Held(context.Context) (string, time.Duration, error) {
	return "another", time.Hour, nil
}

type releasable struct{ broker.Broker }

func (releasable) Release() {}

// A node that waits for another scheduler to give its entries free is well, however long that takes, and ends
// neither itself nor by a probe.
func TestANodeThatWaitsForAnothersLockIsWell(t *testing.T) {
	s := storedShard(t, "4s")
	n := s.node
	source := taken{asked: make(chan struct{})}
	with, err := store.Open(t.Context(), "sqlite:///"+filepath.Join(t.TempDir(), "with.db"), store.Options{Sources: []store.Source{source}})
	if err != nil {
		t.Fatal(err)
	}
	defer with.Close()
	n.store, s.store, s.broker = with, with.Shard(0), releasable{}

	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.lead(ctx, t.Context(), 1) }()
	select {
	case <-source.asked:
	case err := <-ended:
		t.Fatalf("lead = %v before the lock was asked for", err)
	}
	for what := range s.marks(t.Context()) {
		if what != "the lease is neither asked for nor renewed" {
			t.Errorf("the node would end itself when %s", what)
		}
	}
	now := s.now()
	now.since = now.since.Add(-time.Hour)
	if now.term != 1 {
		t.Errorf("the term is %d while the lock is waited for, want 1", now.term)
	}
	if err := s.moves(t.Context(), now); err != nil {
		t.Errorf("/healthz after an hour: %v", err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("lead = %v", err)
	}
}
