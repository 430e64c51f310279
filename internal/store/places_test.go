package store

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// What many rows say is the same whether they are read by id or where they lay a moment ago, also of those that
// were edited, deleted or paused since, or in whose place another lies.
func TestRowsSayWhereTheyLayWhatTheySayByID(t *testing.T) {
	for name, parameters := range map[string][]string{
		"described": nil, "exec": {"default_query_exec_mode=exec"}, "simple": {"default_query_exec_mode=simple_protocol"},
	} {
		t.Run(name, func(t *testing.T) {
			const entries = 2 * byPlaceFrom
			s := scratchedPostgres(t, "onebeat_places_"+name, parameters...)
			var all []Definition
			for i := range entries {
				all = append(all, Definition{Name: fmt.Sprintf("%03d", i), Task: "tasks.add", Spec: "0 9 * * *", Args: fmt.Sprintf("[%d]", i)})
			}
			exec := func(text string) {
				t.Helper()
				if _, err := s.db.(*postgres).pool.Exec(t.Context(), text); err != nil {
					t.Fatal(err)
				}
			}
			f := s.newFeed().(*postgresFeed)
			if err := f.open(t.Context()); err != nil {
				t.Fatal(err)
			}
			defer f.close()
			if err := f.all(t.Context(), func(*row) error { return nil }); err != nil {
				t.Fatal(err)
			}
			if err := s.Fill(t.Context(), all); err != nil {
				t.Fatal(err)
			}
			exec("INSERT INTO onebeat_entries (entry_id, spec, after_at, last_slot) SELECT id::text, 'ab12', '2030-01-01 00:00Z', '2030-01-02 00:00Z' FROM celery_beat_schedules WHERE name < '050'")
			ids, rows, err := f.written(t.Context())
			if err != nil || len(ids) != entries || rows != entries {
				t.Fatalf("%d of %d rows were written, %v; want all %d", len(ids), rows, err, entries)
			}

			exec("UPDATE celery_beat_schedules SET task_name = 'tasks.moved' WHERE name = '007'")
			exec("DELETE FROM celery_beat_schedules WHERE name IN ('008', '009')")
			exec("UPDATE onebeat_entries SET paused_at = now(), pause_reason = 'night' WHERE entry_id = (SELECT id::text FROM celery_beat_schedules WHERE name = '010')")
			exec("VACUUM celery_beat_schedules")
			exec("INSERT INTO celery_beat_schedules (name, task_name, cron_expression) VALUES ('another', 'tasks.add', '0 9 * * *')")

			read := func(by *postgresFeed) (said []string) {
				t.Helper()
				err := by.some(t.Context(), slices.Clone(ids), func(r *row) error {
					if time.Since(r.readAt).Abs() > time.Hour {
						t.Errorf("%s was read at %v", r.name, r.readAt)
					}
					said = append(said, fmt.Sprint(r.id, r.name, r.task, r.spec, r.args, r.kwargs, r.enabled, r.createdAt, r.lastRunAt, r.totalRunCount,
						r.known, r.seenSpec, r.afterAt, r.lastSlot, r.sideCount, r.paused(), r.pauseReason, r.bare))
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
				slices.Sort(said)
				return said
			}
			want := read(s.newFeed().(*postgresFeed)) // which knows no places
			if len(want) != entries-2 {
				t.Fatalf("%d rows are there, want %d", len(want), entries-2)
			}
			if diff := cmp.Diff(want, read(f)); diff != "" {
				t.Errorf("rows say by id, and where they lay (-by id +where they lay):\n%s", diff)
			}
			var byPlace int
			others, err := f.someByPlace(t.Context(), ids, func(*row) error {
				byPlace++
				return nil
			})
			if err != nil || byPlace != entries-3 || len(others) != 3 {
				t.Errorf("%d rows were read where they lay, and %d are to be read by id, %v; want all but the 3 that were edited or deleted", byPlace, len(others), err)
			}
		})
	}
}
