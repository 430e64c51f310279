package store

import (
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// Where no trigger tells of edits, looking for them costs a small part of reading
// all rows: a sixth, measured at 100,000.
func TestSQLiteNamesOnlyRowsThatDiffer(t *testing.T) {
	file := filepath.Join(t.TempDir(), "onebeat.db")
	s := storeOf(t, "sqlite:///"+file, Options{})
	lite := s.db.(*sqlite)
	exec := func(text string) {
		t.Helper()
		if _, err := lite.writer.ExecContext(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	exec(`WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)
		INSERT INTO celery_beat_schedules (name, task_name, cron_expression, args, kwargs, options)
		SELECT 'report of customer ' || i, 'tasks.report', '@every 1h', '["daily", ' || i || ']',
			'{"schedule_id": ' || i || ', "from_date": "20250729"}', '{"queue": "reports", "expires": 1800}' FROM n`)
	if err := s.look(t.Context()); err != nil {
		t.Fatal(err)
	}
	f := &sqliteFeed{lite: lite}
	if err := f.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer f.close()
	ids := map[string]string{}
	started := time.Now()
	if err := f.all(t.Context(), func(r *row) error {
		ids[r.name] = r.id
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	whole := time.Since(started)
	if len(ids) != 10000 {
		t.Fatalf("at first %d rows are read, want all", len(ids))
	}
	least, rows := whole, 10000
	for _, tt := range []struct {
		statement, want string
		more            int
	}{
		{"UPDATE celery_beat_schedules SET enabled = 0 WHERE rowid = 17", "report of customer 17", 0},
		{"UPDATE celery_beat_schedules SET timezone = 'Asia/Tokyo' WHERE rowid = 10000", "report of customer 10000", 0},
		{"UPDATE celery_beat_schedules SET last_run_at = CURRENT_TIMESTAMP", "", 0},
		{"DELETE FROM celery_beat_schedules WHERE rowid = 5", "", -1}, // the number of rows tells
		{"INSERT INTO celery_beat_schedules (name, task_name, cron_expression) VALUES ('new', 't', '* * * * *')", "new", 1},
		{"UPDATE onebeat_meta SET value = value", "", 0},
	} {
		exec(tt.statement)
		rows += tt.more
		started := time.Now()
		got, count, err := f.written(t.Context())
		least = min(least, time.Since(started))
		if err != nil {
			t.Fatal(err)
		}
		want := []string{}
		if tt.want == "new" {
			want = append(want, find(t, lite, tt.want))
		} else if tt.want != "" {
			want = append(want, ids[tt.want])
		}
		if !slices.Equal(got, want) || count != rows {
			t.Errorf("after %s %q of %d rows are said to be written, want %q of %d", tt.statement, got, count, want, rows)
		}
	}
	if least > whole/2 {
		t.Errorf("looking for edits took %v, reading all %v: want a half at most", least, whole)
	}
}

// find returns the id of the row of the name.
func find(t *testing.T, lite *sqlite, name string) (id string) {
	t.Helper()
	if err := lite.writer.QueryRowContext(t.Context(), "SELECT id FROM celery_beat_schedules WHERE name = ?", name).Scan(&id); err != nil {
		t.Fatal(err)
	}
	return id
}
