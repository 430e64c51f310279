package store

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/onebeat/onebeat/internal/schedule"
)

// A noted feed knows which rows were read with all that is remembered of them.
type noted struct {
	*postgresFeed
	read  []string
	bared int // how many were read without
}

func (f *noted) bare(ctx context.Context, ids []string, each func(*row) error) (bool, error) {
	f.bared += len(ids)
	return f.postgresFeed.bare(ctx, ids, each)
}

func (f *noted) some(ctx context.Context, ids []string, each func(*row) error) error {
	f.read = append(f.read, ids...)
	return f.postgresFeed.some(ctx, ids, each)
}

// A look at all rows finds each that a record has written. What of them is told of, and read to the end, is what
// else was done to them, by who goes past the triggers too.
func TestALookAtAllRowsReadsNoRunsAgain(t *testing.T) {
	s := scratchedPostgres(t, "onebeat_sift")
	const entries = 2500
	var all []Definition
	for i := range entries {
		d := Definition{Name: fmt.Sprint(i), Task: "tasks.add", Spec: "0 9 * * *"}
		if i == 7 {
			d.Spec = `@rules {"max_runs": 1} 0 9 * * *`
		}
		all = append(all, d)
	}
	if err := s.Fill(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	w := s.newWatch(1)
	feed := &noted{postgresFeed: w.feed.(*postgresFeed)}
	w.feed = feed
	var told []string
	w.leads[0] = &lead{ctx: t.Context(), failed: make(chan error, 1), first: true, watcher: loader(func(_ context.Context, changes []schedule.Change) error {
		for _, change := range changes {
			what := change.Reason
			if change.Entry != nil {
				what = change.Entry.Name
			}
			told = append(told, what)
		}
		return nil
	})}
	if err := feed.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer feed.close()
	if err := w.load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.writeLater(t.Context()); err != nil {
		t.Fatal(err)
	}
	pool := s.db.(*postgres).pool
	named := map[string]string{} // ids by name
	rows, err := pool.Query(t.Context(), "SELECT name, id::text FROM celery_beat_schedules")
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		var name, id string
		if err := rows.Scan(&name, &id); err != nil {
			t.Fatal(err)
		}
		named[name] = id
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	var ids []schedule.ID
	for _, id := range named {
		ids = append(ids, schedule.ID(id))
	}
	unseen := func(text string) { // by the triggers
		t.Helper()
		tx, err := pool.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{"SET LOCAL session_replication_role = replica", text} {
			if _, err := tx.Exec(t.Context(), text); err != nil {
				t.Fatal(err)
			}
		}
		if err := tx.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	sweep := func() {
		t.Helper()
		told, feed.read, feed.bared = nil, nil, 0
		if err := w.sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		slices.Sort(told)
	}
	sweep() // what the load itself was too early for

	unseen("UPDATE celery_beat_schedules SET name = 'edited before' WHERE name = '1'")
	sendAll(t, s, ids, time.Date(2030, 1, 1, 9, 0, 0, 0, time.UTC))
	unseen("UPDATE celery_beat_schedules SET name = 'edited after' WHERE name = '2400'")
	unseen("UPDATE celery_beat_schedules SET cron_expression = 'no spec' WHERE name = '3'")
	unseen("DELETE FROM celery_beat_schedules WHERE name = '4'")
	unseen("INSERT INTO celery_beat_schedules (name, task_name, cron_expression) VALUES ('new', 'tasks.add', '0 9 * * *')")
	sweep()
	want := []string{schedule.ReasonBadRow, schedule.ReasonDone, "edited after", "edited before", "new", schedule.ReasonRemoved}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Errorf("told of (-want +got):\n%s", diff)
	}
	if len(feed.read) > 10 {
		t.Errorf("%d rows were read again with all that is remembered, of which 6 say anything new", len(feed.read))
	}

	sweep()
	if diff := cmp.Diff([]string(nil), told); diff != "" {
		t.Errorf("a look after which nothing was written (-want +got):\n%s", diff)
	}

	// Edits of many rows, and new rows, are read once.
	unseen("UPDATE celery_beat_schedules SET task_name = 'tasks.other' WHERE name <> 'new'")
	unseen("INSERT INTO celery_beat_schedules (name, task_name, cron_expression) SELECT 'more ' || i, 'tasks.add', '0 9 * * *' FROM generate_series(1, 3000) AS i")
	sweep()
	if want := entries - 1 + 3000; len(told) != want {
		t.Errorf("%d changes were told of, want %d", len(told), want)
	}
	if feed.bared > chunk {
		t.Errorf("%d rows were read without what is remembered of them, which say something new", feed.bared)
	}

	// What is not planned here is read for its run state.
	delete(w.leads, 0)
	sendAll(t, s, []schedule.ID{schedule.ID(named["10"]), schedule.ID(named["11"])}, time.Date(2030, 1, 2, 9, 0, 0, 0, time.UTC))
	sweep()
	if !slices.Contains(feed.read, named["10"]) || !slices.Contains(feed.read, named["11"]) {
		t.Errorf("of entries that another node plans %d were read again", len(feed.read))
	}
}
