package store

import (
	"context"
	"errors"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
)

// A full is a database that refuses transactions where told.
type full struct {
	database
	refuse func() bool
}

func (f full) transact(ctx context.Context, how mode, work func(transaction) error) error {
	if f.refuse() {
		return errors.New("the disk is full")
	}
	return f.database.transact(ctx, how, work)
}

// What was seen together with what could not be written down is told of when all is read again.
func TestSketchesThatCouldNotBeToldOfComeAgain(t *testing.T) {
	s := storeOf(t, "sqlite:///"+filepath.Join(t.TempDir(), "entries.db"), Options{
		Held: 1, Prepare: func(*schedule.Entry) error { return nil }, Sound: func(*schedule.Entry) bool { return true },
	})
	definitions := make([]Definition, 20)
	for i := range definitions {
		definitions[i] = Definition{Name: strconv.Itoa(i), Task: "t", Spec: "0 9 1 1 *", Enabled: true}
	}
	definitions[10].Spec = "@at " + time.Now().Add(30*time.Second).UTC().Format(time.RFC3339) // it is written down before it is told of
	if err := s.Fill(t.Context(), definitions); err != nil {
		t.Fatal(err)
	}
	told, sketched := map[schedule.ID]int{}, 0
	w := s.newWatch(1)
	w.leads[0] = &lead{ctx: t.Context(), failed: make(chan error, 1), first: true, watcher: loader(func(_ context.Context, changes []schedule.Change) error {
		for _, change := range changes {
			for _, one := range change.Sketches {
				told[one.Key.ID()]++
				sketched++
			}
			if change.Entry != nil {
				told[change.ID]++
			}
		}
		return nil
	})}
	inner := s.db
	s.db = full{inner, func() bool { return w.sketched > 0 }}
	if err := w.load(t.Context()); err == nil || w.seen.Len() > 0 || len(told) > 0 {
		t.Fatalf("a load that could not write down what it saw returned %v, knows %d rows and told of %d", err, w.seen.Len(), len(told))
	}
	s.db = inner
	if err := w.load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(told) != len(definitions) || sketched < len(definitions)-2 {
		t.Errorf("%d of %d entries were told of, %d of them as sketches; want all, and as sketches but for one or two", len(told), len(definitions), sketched)
	}
	for id, times := range told {
		if k, ok := w.seen.Get(id); times != 1 || !ok || k.print == 0 {
			t.Errorf("%s was told of %d times, and is known as %+v", id, times, k)
		}
	}
}
