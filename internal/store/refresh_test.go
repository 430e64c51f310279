package store

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
)

// A counted feed is told when rows are read by their ids.
type countedFeed struct {
	feed
	read func()
}

func (f countedFeed) some(ctx context.Context, ids []string, each func(*row) error) error {
	f.read()
	return f.feed.some(ctx, ids, each)
}

// A node that reads run state again while it stands by leaves off when it comes to lead: it
// has the journal to see to. One that led just now reads all of it again.
func TestWhoComesToLeadDoesNotWaitForWhatIsReadBeforehand(t *testing.T) {
	const entries = 5*chunk + 1
	s := storeOf(t, "sqlite:///"+filepath.Join(t.TempDir(), "entries.db"), Options{})
	definitions := make([]Definition, entries)
	for i := range definitions {
		definitions[i] = Definition{Name: fmt.Sprint("entry ", i), Task: "t", Spec: "0 0 * * *"}
	}
	if err := s.Fill(t.Context(), definitions); err != nil {
		t.Fatal(err)
	}
	for _, comes := range []bool{false, true} {
		w := s.newWatch(1)
		if err := w.load(t.Context()); err != nil {
			t.Fatal(err)
		}
		for id, k := range w.seen.All() {
			k.next = 0 // as of a shard that was led here
			w.seen.Set(id, k)
		}
		reads := 0
		w.feed = countedFeed{w.feed, func() {
			if reads++; comes { // what Lead does
				w.mu.Lock()
				w.coming = append(w.coming, &lead{})
				w.mu.Unlock()
			}
		}}
		w.refreshedAt = w.refreshedAt.Add(-refreshInterval)
		if err := w.refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		if want := map[bool]int{false: 6, true: 2}[comes]; reads != want { // one is read ahead
			t.Errorf("with somebody who comes to lead %v, rows were read %d times, want %d", comes, reads, want)
		}
	}
}
