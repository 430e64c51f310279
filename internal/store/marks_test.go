package store

import (
	"context"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/onebeat/onebeat/internal/schedule"
)

// djangoTables are django-celery-beat's, as far as they are read.
var djangoTables = []string{
	`CREATE TABLE django_celery_beat_crontabschedule (id integer PRIMARY KEY, minute text, hour text, day_of_week text, day_of_month text, month_of_year text, timezone text)`,
	`CREATE TABLE django_celery_beat_intervalschedule (id integer PRIMARY KEY, every integer, period text)`,
	`CREATE TABLE django_celery_beat_solarschedule (id integer PRIMARY KEY, event text, latitude decimal, longitude decimal)`,
	`CREATE TABLE django_celery_beat_clockedschedule (id integer PRIMARY KEY, clocked_time datetime(6))`,
	`CREATE TABLE django_celery_beat_periodictasks (ident smallint PRIMARY KEY, last_update datetime(6))`,
	`CREATE TABLE django_celery_beat_periodictask (id integer PRIMARY KEY, name text, task text DEFAULT 'tasks.add', args text DEFAULT '[]', kwargs text DEFAULT '{}',
		queue text, exchange text, routing_key text, headers text DEFAULT '{}', priority integer, expires datetime(6), expire_seconds integer, one_off bool DEFAULT 0,
		start_time datetime(6), enabled bool DEFAULT 1, last_run_at datetime(6), total_run_count integer DEFAULT 0, date_changed datetime(6) DEFAULT '2026-01-01 00:00:00',
		interval_id integer, crontab_id integer DEFAULT 1, solar_id integer, clocked_id integer)`,
	`INSERT INTO django_celery_beat_crontabschedule VALUES (1, '0', '9', '*', '*', '*', 'UTC')`,
	`INSERT INTO django_celery_beat_periodictask (id, name) VALUES (1, 'a'), (2, 'b'), (3, 'c')`,
	`INSERT INTO django_celery_beat_periodictasks VALUES (1, '2026-01-01 09:00:00.000001')`,
}

// What the models edit is seen once their mark has moved, in whatever direction; what plain SQL
// edits, by the look at all rows alone.
func TestTheModelsMarkTellsOfEdits(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) { marksTell(t, "sqlite:///"+filepath.Join(t.TempDir(), "django.db")) })
	t.Run("MySQL", func(t *testing.T) {
		marksTell(t, scratched(t, "ONEBEAT_TEST_MARIADB", "onebeat_marks"))
	})
}

func marksTell(t *testing.T, url string) {
	t.Helper()
	s, err := Open(t.Context(), url, Options{Catalog: "django"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	exec := func(texts ...string) {
		t.Helper()
		for _, text := range texts {
			var err error
			switch db := s.db.(type) {
			case *sqlite:
				_, err = db.writer.ExecContext(t.Context(), text)
			case *mySQL:
				_, err = db.pool.ExecContext(t.Context(), text)
			}
			if err != nil {
				t.Fatalf("%s: %v", text, err)
			}
		}
	}
	exec(djangoTables...)
	if err := s.EnsureOwn(t.Context()); err != nil {
		t.Fatal(err)
	}
	var told []string
	w := s.newWatch(1)
	w.leads[0] = &lead{ctx: t.Context(), watcher: loader(func(_ context.Context, changes []schedule.Change) error {
		for _, change := range changes {
			told = append(told, change.Name+" "+string(change.Reason))
		}
		return nil
	}), failed: make(chan error, 1)}
	if err := w.feed.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer w.feed.close()
	if err := w.load(t.Context()); err != nil {
		t.Fatal(err)
	}
	moved := func(at string) string {
		return "UPDATE django_celery_beat_periodictasks SET last_update = '" + at + "'"
	}
	edit := func(name, at string) string {
		return "UPDATE django_celery_beat_periodictask SET queue = 'of " + at + "', date_changed = '" + at + "' WHERE name = '" + name + "'"
	}
	for _, tt := range []struct {
		name   string
		before []string
		all    bool // it is time for a look at all
		want   []string
	}{
		{name: "nothing"},
		{name: "an edit by plain SQL", before: []string{"UPDATE django_celery_beat_periodictask SET queue = 'other' WHERE name = 'a'"}},
		{name: "runs that were recorded", before: []string{"UPDATE django_celery_beat_periodictask SET last_run_at = '2026-01-01 09:00:00', total_run_count = 1, date_changed = '2026-01-01 09:00:01' WHERE name = 'c'"}},
		{name: "an edit by the models", before: []string{moved("2026-01-01 09:00:02.5"), edit("b", "2026-01-01 09:00:02.6"), moved("2026-01-01 09:00:02.7")}, want: []string{"b "}},
		{name: "an edit by models whose clock is behind", before: []string{edit("c", "2026-01-01 08:00:00.6"), moved("2026-01-01 08:00:00.7")}, want: []string{"c "}},
		{name: "a mark without an edit", before: []string{moved("2026-01-01 08:00:00.8")}},
		{name: "an edit with a mark in whole seconds", before: []string{edit("b", "2026-01-01 10:00:00"), moved("2026-01-01 10:00:00")}, want: []string{"b "}},
		{name: "another in the same second", before: []string{edit("c", "2026-01-01 10:00:00")}, want: []string{"c "}},
		{name: "one that claims to be of that second", before: []string{edit("b", "2026-01-01 10:00:01")}},
		{name: "a look at all", all: true, want: []string{"a ", "b "}},
		{name: "the last mark for long", before: []string{moved("2026-01-01 10:30:00.5")}},
		{name: "an edit of a schedule and a removal", before: []string{"UPDATE django_celery_beat_crontabschedule SET hour = '10'", "DELETE FROM django_celery_beat_periodictask WHERE id = 3", moved("2026-01-01 11:00:00.1")}},
		{name: "the look at all that they are due", all: true, want: []string{"a ", "b ", " removed"}},
		{name: "another look", all: true},
	} {
		exec(tt.before...)
		told = nil
		w.mark.readAt = time.Time{}
		w.sweepFor = time.Hour // the next look is long to come
		if tt.all {
			w.sweepFor = 0
		}
		if err := w.look(t.Context()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.want, told); diff != "" {
			t.Errorf("%s: told of (-want +got):\n%s", tt.name, diff)
		}
	}
	// A look at all rows names those that differ alone, whatever the runs have written.
	exec("UPDATE django_celery_beat_periodictask SET last_run_at = '2026-01-01 09:00:00', total_run_count = 7, date_changed = '2026-01-01 12:00:00'",
		"UPDATE django_celery_beat_periodictask SET queue = NULL, priority = 3 WHERE id = 2")
	if ids, count, err := w.feed.written(t.Context()); err != nil || !slices.Equal(ids, []string{"2"}) || count != 2 {
		t.Errorf("of an edit among runs %v of %d rows are named, %v; want the one of two", ids, count, err)
	}
	// The mark is heard of while a look goes on too, and a look at all follows.
	exec(edit("b", "2026-01-01 13:00:00.5"), moved("2026-01-01 13:00:00.6"))
	told, w.looking, w.heardAt, w.mark = nil, true, time.Time{}, mark{value: w.mark.value}
	if ids, err := w.between(t.Context()); err != nil || !slices.Contains(ids, "2") || !slices.Equal(told, []string{"b "}) || !w.mark.behind {
		t.Errorf("within a look %v is read, %v, and told of %v, with a look at all to come: %v; want b, and one", ids, err, told, w.mark.behind)
	} // And an edit in the moment after so many rows were made that they are not all read for it.
	const eleven = "(SELECT 0 AS n UNION SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 UNION SELECT 5 UNION SELECT 6 UNION SELECT 7 UNION SELECT 8 UNION SELECT 9 UNION SELECT 10)"
	exec("INSERT INTO django_celery_beat_periodictask (id, name, enabled, date_changed) SELECT 1000 + a.n + 11 * b.n + 121 * c.n + 1331 * d.n, 'of many', 0, '2026-01-01 14:00:00.5' FROM "+
		eleven+" AS a, "+eleven+" AS b, "+eleven+" AS c, "+eleven+" AS d",
		edit("b", "2026-01-01 14:00:00.6"), moved("2026-01-01 14:00:00.6"))
	told, w.looking, w.heardAt, w.mark = nil, false, time.Time{}, mark{value: "2026-01-01 14:00:00.500000"}
	w.sweepFor = time.Hour
	if err := w.look(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(told, "b ") || len(told) > chunk {
		t.Errorf("%d were told of, want %d at most, and b among them", len(told), chunk)
	}
}
