package store

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/onebeat/onebeat/internal/schedule"
)

// Rows that are read again while a look at all rows has taken them and not told of them
// yet are told of once.
func TestRowsThatAreReadTwiceInALookAreToldOfOnce(t *testing.T) {
	s := storeOf(t, "sqlite:///"+filepath.Join(t.TempDir(), "entries.db"), Options{})
	if err := s.Fill(t.Context(), []Definition{{Name: "a", Task: "t", Spec: "@every 1s"}, {Name: "b", Task: "t", Spec: "@every 1s"}}); err != nil {
		t.Fatal(err)
	}
	told := map[schedule.ID]int{}
	w := s.newWatch(1)
	w.leads[0] = &lead{ctx: t.Context(), failed: make(chan error, 1), first: true, watcher: loader(func(_ context.Context, changes []schedule.Change) error {
		for _, change := range changes {
			told[change.ID]++
		}
		return nil
	})}
	if err := s.look(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.reading = reading{store: s, home: s.home(s.shape()), remember: w.remembers, holds: w.holds}
	var ids []string
	err := s.every(t.Context(), w.feed, func(r *row) error {
		ids = append(ids, r.id)
		return w.take(t.Context(), r)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.reread(t.Context(), ids); err != nil {
		t.Fatal(err)
	}
	if len(ids) != 2 || told[schedule.ID(ids[0])] != 1 || told[schedule.ID(ids[1])] != 1 {
		t.Errorf("the entries %v were told of so often: %v, want each once", ids, told)
	}
}
