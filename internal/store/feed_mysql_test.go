package store

import (
	"slices"
	"testing"
)

// A look at all rows names those alone whose hash is another than in the last one.
func TestMySQLNamesOnlyRowsThatDiffer(t *testing.T) {
	s, err := Open(t.Context(), scratched(t, "ONEBEAT_TEST_MARIADB", "onebeat_prints"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.look(t.Context()); err != nil {
		t.Fatal(err)
	}
	f := s.newFeed()
	if err := f.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer f.close()
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
		{"DELETE FROM celery_beat_schedules WHERE id = 'a'", nil, 1},
		{"INSERT INTO celery_beat_schedules (id, name, task_name, cron_expression) VALUES ('a', 'ä', 't', '* * * * *')", []string{"a"}, 2},
	} {
		if _, err := s.db.(*mySQL).pool.ExecContext(t.Context(), tt.statement); err != nil {
			t.Fatalf("%s: %v", tt.statement, err)
		}
		ids, count, err := f.written(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if slices.Sort(ids); !slices.Equal(ids, tt.want) || count != tt.count {
			t.Errorf("after %s %q of %d rows are said to be written, want %q of %d", tt.statement, ids, count, tt.want, tt.count)
		}
	}
}
