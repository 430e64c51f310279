package store

import (
	"context"
	"slices"
	"testing"
	"time"
)

// opened returns an open feed of a new database, and what runs statements there.
func opened(t *testing.T, name string) (f *mysqlFeed, exec func(statement string)) {
	t.Helper()
	s, err := Open(t.Context(), scratched(t, "ONEBEAT_TEST_MARIADB", name), Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.look(t.Context()); err != nil {
		t.Fatal(err)
	}
	f = s.newFeed().(*mysqlFeed)
	if err := f.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	return f, func(statement string) {
		t.Helper()
		if _, err := s.db.(*mySQL).pool.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// A change whose transaction was open when the feed was, and that has a lower number than others that were there
// then, is named once it is there.
func TestMySQLNamesWhatCommitsAfterTheFeedIsOpen(t *testing.T) {
	f, exec := opened(t, "onebeat_open")
	exec("INSERT INTO onebeat_changes (seq, entry_id, at) VALUES (30, 'long ago', '2026-01-01 00:00:00')")
	exec("INSERT INTO onebeat_changes (seq, entry_id) VALUES (43, 'before'), (45, 'before')") // 44 and 42 are to come
	if err := f.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	if ids, err := f.hinted(t.Context()); err != nil || slices.Contains(ids, "long ago") {
		t.Fatalf("the log names %q, %v, want nothing of long ago", ids, err)
	}
	exec("INSERT INTO onebeat_changes (seq, entry_id) VALUES (44, 'late'), (42, 'late too')")
	ids, err := f.hinted(t.Context())
	if slices.Sort(ids); err != nil || !slices.Equal(ids, []string{"late", "late too"}) {
		t.Errorf("the log names %q, %v, want what came late alone", ids, err)
	}
}

// A log that is emptied, as of what is old, is no news.
func TestMySQLRestsWhenTheLogIsEmptied(t *testing.T) {
	f, exec := opened(t, "onebeat_emptied")
	exec("INSERT INTO onebeat_changes (entry_id) VALUES ('a')")
	if ids, err := f.hinted(t.Context()); err != nil || !slices.Equal(ids, []string{"a"}) {
		t.Fatalf("the log names %q, %v", ids, err)
	}
	exec("DELETE FROM onebeat_changes")
	const rest = 500 * time.Millisecond
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	began := time.Now()
	if err := f.wait(ctx, nil, rest); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < rest {
		t.Errorf("the wait is over after %v, want %v", took, rest)
	}
}

// A look at all rows names those alone whose hash is another than in the last one.
func TestMySQLNamesOnlyRowsThatDiffer(t *testing.T) {
	f, exec := opened(t, "onebeat_prints")
	for _, tt := range []struct {
		statement string
		want      []string
		count     int
	}{
		{"INSERT INTO celery_beat_schedules (id, name, task_name, cron_expression) VALUES ('a', 'ä', 't', '* * * * *'), ('b', 'b', 't', '* * * * *')", []string{"a", "b"}, 2},
		{"UPDATE onebeat_meta SET value = value", nil, 2},
		{"UPDATE celery_beat_schedules SET last_run_at = '2026-01-01 00:00:00', total_run_count = 7", nil, 2},
		{"UPDATE celery_beat_schedules SET enabled = 0 WHERE id = 'a'", []string{"a"}, 2},
		{"UPDATE celery_beat_schedules SET misfire_max_count = 0 WHERE id = 'b'", []string{"b"}, 2}, // which was null
		{"UPDATE celery_beat_schedules SET args = '[ä]', kwargs = '' WHERE id = 'b'", []string{"b"}, 2},
		{"UPDATE celery_beat_schedules SET args = '', kwargs = '[ä]' WHERE id = 'b'", []string{"b"}, 2},
		{"DELETE FROM celery_beat_schedules WHERE id = 'a'", []string{"a"}, 1},
		{"UPDATE onebeat_meta SET value = value", nil, 1},
		{"INSERT INTO celery_beat_schedules (id, name, task_name, cron_expression) VALUES ('a', 'ä', 't', '* * * * *')", []string{"a"}, 2},
	} {
		exec(tt.statement)
		ids, count, err := f.written(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if slices.Sort(ids); !slices.Equal(ids, tt.want) || count != tt.count {
			t.Errorf("after %s %q of %d rows are said to be written or gone, want %q of %d", tt.statement, ids, count, tt.want, tt.count)
		}
	}
}
