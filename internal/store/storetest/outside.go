package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/onebeat/onebeat/internal/schedule"
	"github.com/onebeat/onebeat/internal/store"
)

// A paper is a catalog outside of the database that a test writes.
type paper struct {
	mu      sync.Mutex
	entries []store.Outside
	err     error
	changed chan struct{}
}

func newPaper(entries ...store.Outside) *paper {
	return &paper{entries: entries, changed: make(chan struct{}, 1)}
}

func (p *paper) Name() string   { return "paper" }
func (p *paper) String() string { return "a paper" }

func (p *paper) Read(context.Context) ([]store.Outside, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.entries), p.err
}

func (p *paper) Changed(ctx context.Context) error {
	select {
	case <-p.changed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *paper) write(err error, entries ...store.Outside) {
	p.mu.Lock()
	p.entries, p.err = entries, err
	p.mu.Unlock()
	p.changed <- struct{}{}
}

func note(key, spec string) store.Outside {
	return store.Outside{Key: key, Definition: store.Definition{Name: key, Task: "proj.tasks.work", Spec: spec, Enabled: true, Args: "[1]"}}
}

// Entries of a source stand beside those of the table: what is done to the one kind
// does not touch the other.
func testOutside(t *testing.T, db Database) {
	shape := shapeNamed("full")
	createTable(t, db, shape)
	insert(t, db, shape, 1, line{})
	p := newPaper(note("a", "0 * * * *"), note("b", "@every 1h"), note("bad", "x"), note("twice", "0 1 * * *"), note("twice", "0 2 * * *"))
	s := open(t, db, store.Options{Sources: []store.Source{p}})
	w := watch(t, s)
	w.await("the sources' entries", func() bool {
		return w.now[id(1)].Entry != nil && w.now["paper:a"].Entry != nil && w.now["paper:b"].Entry != nil &&
			w.now["paper:bad"].Reason == schedule.ReasonBadRow && w.now["paper:twice"].Reason == schedule.ReasonBadRow
	})

	// A name that no column takes is its own entry's problem.
	p.write(nil, note("a", "0 * * * *"), note("b", "@every 1h"), note("nul\x00", "0 * * * *"), note("\xff", "0 * * * *"), note(strings.Repeat("ü", 200), "0 * * * *"))
	w.await("entries whose names can't be kept", func() bool {
		odd := 0
		for id, change := range w.now {
			if change.Reason == schedule.ReasonBadRow && strings.HasPrefix(string(id), "paper:") && utf8.ValidString(string(id)) {
				odd++
			}
		}
		return odd == 3
	})

	// An edit of one is told of, and of no other.
	since := len(w.told(0))
	p.write(nil, note("a", "30 * * * *"), note("b", "@every 1h"), note("c", "0 * * * *"))
	w.await("an edit of the source", func() bool {
		return w.now["paper:c"].Entry != nil && w.now["paper:bad"].Reason == schedule.ReasonRemoved && w.now["paper:twice"].Reason == schedule.ReasonRemoved &&
			w.now["paper:a"].Entry.Spec.Next(at(9, 0)).Equal(at(9, 30))
	})
	for _, change := range w.told(since) {
		if change.ID == id(1) || change.ID == "paper:b" {
			t.Errorf("an edit of the source told of %s", change.ID)
		}
	}

	// What can't be read leaves what was read, and is told of.
	p.write(errors.New("the paper is wet: dry it"))
	w.await("a source that can't be read", func() bool { return w.now["paper:"].Problem == "the paper is wet: dry it" })
	if w.now["paper:a"].Entry == nil {
		t.Error("a source that can't be read lost its entries")
	}
	p.write(nil, note("a", "30 * * * *"), note("b", "@every 1h"), note("c", "0 * * * *"))
	w.await("a source that can be read again", func() bool { return w.now["paper:"].Reason == schedule.ReasonRemoved })

	// A record moves each in its own home, also where another program holds the row.
	lease := acquire(t, s)
	slot := now(t, db).Truncate(time.Second).Add(time.Minute)
	exec, commit := db.Begin(t)
	if db.Postgres || db.MySQL {
		exec("UPDATE celery_beat_schedules SET name = 'held' WHERE id = '" + string(id(1)) + "'")
	}
	record(t, s, lease.Term, nil, slices.Concat(sent(batch(lease.Term, 1, slot, id(1))), sent(batch(lease.Term, 1, slot, "paper:a"))))
	commit()
	for _, name := range []string{string(id(1)), "paper:a", "a"} {
		row, err := s.Find(t.Context(), name)
		if err != nil || !row.LastRunAt.Equal(slot) || row.TotalRunCount != 1 {
			t.Errorf("%s ran at %v %d times (%v), want %v, once", name, row.LastRunAt, row.TotalRunCount, err, slot)
		}
	}
	rows, err := s.List(t.Context())
	if err != nil || len(rows) != 4 {
		t.Errorf("%d rows are listed (%v), want 4", len(rows), err)
	}

	// Another store, as after a restart, plans on from there; a pause holds.
	if err := s.Pause(t.Context(), "paper:b", time.Time{}, "tests", "somebody"); err != nil {
		t.Fatal(err)
	}
	w.await("a pause", func() bool { return w.now["paper:b"].Reason == schedule.ReasonPaused })
	again := load(t, open(t, db, store.Options{Sources: []store.Source{p}}))
	if e := again["paper:a"].Entry; e == nil || !e.After.Equal(slot) {
		t.Errorf("after a restart the entry is %+v, want it to go on after %v", e, slot)
	}
	if len(again) != 4 || again["paper:b"].Reason != schedule.ReasonPaused {
		t.Errorf("after a restart there is %v, want 4 with a paused one", again)
	}
	subjects, _, err := s.Subjects(t.Context(), "", 100)
	judged := 0
	for _, subject := range subjects {
		if subject.Entry != nil {
			judged++
		}
	}
	if err != nil || judged < 3 {
		t.Errorf("an audit judges %d entries (%v), want those of the source too", judged, err)
	}
}

// A database that only remembers has no table of entries.
func testOutsideAlone(t *testing.T, db Database) {
	many := make([]store.Outside, 2500)
	for i := range many {
		many[i] = note(fmt.Sprint("entry ", i), "0 * * * *")
	}
	p := newPaper(many...)
	s := open(t, db, store.Options{Catalog: "none", Sources: []store.Source{p}})
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if pending, err := s.Pending(t.Context()); err != nil || len(pending) > 0 {
		t.Errorf("migrate left %q (%v), want nothing", pending, err)
	}
	w := watch(t, s)
	w.await("the source's entries", func() bool { return len(w.now) == len(many) })
	p.write(nil, many[:10]...)
	w.await("the source's entries to go", func() bool {
		left := 0
		for _, change := range w.now {
			if change.Entry != nil {
				left++
			}
		}
		return left == 10
	})
	if _, err := s.Find(t.Context(), "entry 2000"); !errors.Is(err, store.ErrNoEntry) {
		t.Errorf("Find of an entry that is gone = %v, want %v", err, store.ErrNoEntry)
	}
	if _, err := s.Add(t.Context(), note("x", "0 * * * *").Definition); err == nil {
		t.Error("an entry was added to a database without a table")
	}
	lease := acquire(t, s)
	slot := now(t, db).Truncate(time.Hour).Add(time.Hour)
	b := batch(lease.Term, 1, slot, "paper:entry 1")
	claim(t, s, b) // which writes down what was seen of the entry, if that was put off
	record(t, s, lease.Term, []int64{1}, sent(b))
	row, err := s.Find(t.Context(), "entry 1")
	if err != nil || !row.LastRunAt.Equal(slot) {
		t.Errorf("entry 1 ran at %v (%v), want %v", row.LastRunAt, err, slot)
	}
	broken := newPaper()
	broken.err = errors.New("the paper is wet: dry it")
	alone := open(t, db, store.Options{Catalog: "none", Sources: []store.Source{broken}})
	if err := alone.Load(t.Context(), func(context.Context, []schedule.Change) error { return nil }); err == nil {
		t.Error("a source that could not be read at the start was taken for empty")
	}
	rows, err := alone.List(t.Context())
	if err != nil || len(rows) != 1 || rows[0].Problem != "the paper is wet: dry it" {
		t.Errorf("List tells %+v (%v), want what is wrong with the source", rows, err)
	}
}
