package store

import (
	"fmt"
	"testing"
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
)

// begunAt is a first start that another node began.
func (h *heard) begunAt(at time.Time) {
	h.exec(fmt.Sprintf("INSERT INTO onebeat_meta (key, value) VALUES ('first_start', '%s')", at.Format(time.RFC3339Nano)))
}

func (h *heard) loads(t *testing.T) {
	t.Helper()
	if err := h.feed.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.admit()
	if err := h.load(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// counts is since when slots count of the entry, as it was last told of.
func (h *heard) counts(t *testing.T, id schedule.ID) time.Time {
	t.Helper()
	news := h.news[id]
	if len(news) == 0 || news[len(news)-1].Entry == nil {
		t.Fatalf("news of %s = %v", id, news)
	}
	return news[len(news)-1].Entry.After
}

// Who comes to lead just after another has ended the first start counts what has been added since from when it came.
func TestWhatComesAfterAFirstStartThatAnotherHasJustEnded(t *testing.T) {
	h := starting(t, 3)
	at := time.Now().UTC().Add(-time.Minute).Truncate(time.Second)
	h.begunAt(at)
	l := h.leads[0]
	delete(h.leads, 0)
	h.loads(t) // while the other leads
	h.exec("INSERT INTO onebeat_meta (key, value) VALUES ('first_load', '2026-01-01T00:00:00Z')")
	h.exec("INSERT INTO celery_beat_schedules (id, name, task_name, cron_expression) VALUES ('new', 'new', 't', '@every 1s')")
	h.coming = append(h.coming, l)
	if err := h.begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := h.counts(t, "new"); !got.After(at) {
		t.Errorf("slots of an entry that came after the first start count after %v, when that began", got)
	}
}

// What comes while a first start goes on counts from then, though all is read again meanwhile.
func TestWhatComesDuringAFirstStartIsNewWhenAllIsReadAgain(t *testing.T) {
	h := starting(t, 3)
	h.loads(t)
	h.feed.close()
	for _, spec := range []string{"@every 1s", "0 9 2 1 *"} { // of which one could be put off
		id := schedule.ID("new " + spec[:2])
		h.exec(fmt.Sprintf("INSERT INTO celery_beat_schedules (id, name, task_name, cron_expression) VALUES ('%s', 'new', 't', '%s')", id, spec))
		h.loads(t)
		h.feed.close()
		if got := h.counts(t, id); !h.reading.first.loading || !got.After(h.reading.first.at) {
			t.Errorf("slots of %s count after %v, and not since it came; the first start began at %v", id, got, h.reading.first.at)
		}
		if got := remembered(t, h.lite, fmt.Sprintf("WHERE entry_id = '%s'", id)); got != 1 { // who came next would count it from the first start
			t.Errorf("%s is not written down", id)
		}
	}
}

// Who takes over a shard during its first start, at a moment when somebody edits an entry of which nothing is written
// down, counts its slots since the first start.
func TestAnEditDoesNotMakeAnEntryNewAtTheFirstStart(t *testing.T) {
	edit := func(h *heard) { h.exec("UPDATE celery_beat_schedules SET name = 'edited' WHERE id = '00002'") }
	t.Run("when all is read again", func(t *testing.T) {
		h := starting(t, 3)
		at := time.Now().UTC().Add(-time.Minute).Truncate(time.Second)
		h.begunAt(at)
		l := h.leads[0]
		delete(h.leads, 0)
		h.loads(t)
		h.feed.close()
		h.coming = append(h.coming, l)
		h.loads(t)
		edit(h)
		if err := h.begin(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := h.counts(t, "00002"); !got.Equal(at) {
			t.Errorf("its slots count after %v, want %v", got, at)
		}
	})
	t.Run("when it is led again", func(t *testing.T) {
		h := starting(t, 3)
		was := h.leads[0]
		h.loads(t)
		at := h.reading.first.at
		was.over.Store(true)
		if err := h.writeLater(t.Context()); err != nil { // of which nothing is written
			t.Fatal(err)
		}
		if got := remembered(t, h.lite, ""); got != 0 {
			t.Fatalf("%d entries are remembered", got)
		}
		h.coming = append(h.coming, &lead{ctx: t.Context(), watcher: was.watcher, failed: make(chan error, 1)})
		edit(h)
		if err := h.begin(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := h.counts(t, "00002"); !got.Equal(at) {
			t.Errorf("its slots count after %v, want %v", got, at)
		}
	})
}

// Who reads the catalog anew, since the node that began the first start was lost, counts what was made meanwhile since it was
// made, where the row tells when that was.
func TestWhatIsMadeDuringAFirstStartThatIsBegunAnewCountsSinceThen(t *testing.T) {
	h := starting(t, 1)
	began := time.Now().UTC().Add(-time.Hour).Truncate(time.Second)
	h.begunAt(began)
	for id, made := range map[string]time.Time{"before": began.Add(-time.Minute), "meanwhile": began.Add(time.Minute), "to come": began.Add(24 * time.Hour)} {
		for _, spec := range []string{"@every 1s", "0 9 1 1 *"} {
			h.exec(fmt.Sprintf("INSERT INTO celery_beat_schedules (id, name, task_name, cron_expression, created_at) VALUES ('%s %s', 'n', 't', '%s', '%s')",
				id, spec[:2], spec, made.Format(time.DateTime)))
		}
	}
	h.loads(t)
	for id, want := range map[string]time.Time{"before": began, "meanwhile": began.Add(time.Minute), "to come": began} {
		for _, spec := range []string{"@e", "0 "} {
			if got := h.counts(t, schedule.ID(id+" "+spec)); !got.Equal(want) {
				t.Errorf("slots of %s %s count after %v, want %v; the first start began at %v", id, spec, got, want, began)
			}
		}
	}
}
