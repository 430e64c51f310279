package store

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
)

// Of rows of one id the same is told of in each look, whatever was written last, and the log says it once.
func TestOneRowOfAnIdIsToldOf(t *testing.T) {
	s := scratchedPostgres(t, "onebeat_several")
	if err := s.Fill(t.Context(), []Definition{{Name: "b", Task: "t", Spec: "@every 1s"}, {Name: "c", Task: "t", Spec: "@every 1s"}, {Name: "a", Task: "t", Spec: "@every 1s"}}); err != nil {
		t.Fatal(err)
	}
	execAll(t, s,
		"ALTER TABLE celery_beat_schedules DROP CONSTRAINT celery_beat_schedules_pkey",
		"UPDATE celery_beat_schedules SET id = (SELECT id FROM celery_beat_schedules WHERE name = 'b')",
		"UPDATE celery_beat_schedules SET enabled = false WHERE name = 'a'",
	)
	var log bytes.Buffer
	s.log = slog.New(slog.NewTextHandler(&log, nil))
	w := s.newWatch(1)
	var told []string
	w.leads[0] = &lead{ctx: t.Context(), failed: make(chan error, 1), first: true, watcher: loader(func(_ context.Context, changes []schedule.Change) error {
		for _, change := range changes {
			told = append(told, change.Name)
		}
		return nil
	})}
	if err := w.feed.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer w.feed.close()
	if err := w.load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.writeLater(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(told) == 0 || told[len(told)-1] != "b" {
		t.Errorf("after the load %q is told of, want b", told)
	}
	told = nil
	for _, name := range []string{"b", "c", "a", "c"} {
		execAll(t, s, "UPDATE celery_beat_schedules SET last_run_at = now(), total_run_count = total_run_count + 1 WHERE name = '"+name+"'")
		w.sweptAt = time.Time{}
		if err := w.look(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if len(told) > 0 {
		t.Errorf("%q are told of though nobody edited them", told)
	}
	execAll(t, s, "UPDATE celery_beat_schedules SET task_name = 'other' WHERE name = 'b'")
	w.sweptAt = time.Time{}
	if err := w.look(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(told) != 1 {
		t.Errorf("an edit is told of as %q", told)
	}
	if got := log.String(); strings.Count(got, "have the id of another") != 1 || !strings.Contains(got, "rows=2") {
		t.Errorf("the log has\n%s", got)
	}
}
