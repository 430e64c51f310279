package store

import (
	"testing"
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
)

// TestEditsAreNoticedBeforeTheNextLook: where no trigger tells of edits, the server's statistics do, long before the next
// look at all rows is due.
func TestEditsAreNoticedBeforeTheNextLook(t *testing.T) {
	s := scratchedPostgres(t, "onebeat_writes", "")
	conn, err := s.db.(*postgres).pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	exec := func(text string) {
		t.Helper()
		for _, text := range []string{text, "SELECT pg_stat_force_next_flush()", "SELECT 1"} {
			if _, err := conn.Exec(t.Context(), text); err != nil {
				t.Fatal(err)
			}
		}
	}
	exec("ALTER TABLE celery_beat_schedules DISABLE TRIGGER USER")
	exec("INSERT INTO celery_beat_schedules (name, task_name, cron_expression) VALUES ('n', 't', '0 9 * * *')")
	exec("DELETE FROM celery_beat_schedules")
	told := 0
	w := watching(t, s, func(changes []schedule.Change) { told += len(changes) })
	lead := w.leads[0]

	// look rests and looks until something is told of, and says whether it is before the time is over.
	look := func(within time.Duration) bool {
		t.Helper()
		told, w.scanFor, w.sweepFor = 0, time.Hour, 0
		for over := time.Now().Add(within); told == 0 && time.Now().Before(over); {
			if err := w.feed.wait(t.Context(), s.poke, w.interval()); err != nil {
				t.Fatal(err)
			}
			if err := w.look(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		return told > 0
	}
	for _, edit := range []string{
		"INSERT INTO celery_beat_schedules (name, task_name, cron_expression) VALUES ('n', 't', '0 9 * * *')",
		"UPDATE celery_beat_schedules SET cron_expression = '0 10 * * *'",
		"DELETE FROM celery_beat_schedules",
		"INSERT INTO celery_beat_schedules (name, task_name, cron_expression) VALUES ('n', 't', '0 9 * * *')",
	} {
		exec(edit)
		if !look(30 * time.Second) {
			t.Fatalf("nothing was told of after %s", edit)
		}
	}

	s.recordedAt.Store(time.Now().UnixNano())
	exec("UPDATE celery_beat_schedules SET last_run_at = now()")
	if look(2 * writesInterval) {
		t.Error("an update made a look come sooner while runs were recorded")
	}
	w.countedAt = time.Time{}
	if yes, err := w.stirred(t.Context()); yes || err != nil {
		t.Errorf("stirred: %v, %v; want false", yes, err)
	}
	exec("DELETE FROM celery_beat_schedules")
	if !look(30 * time.Second) {
		t.Error("nothing was told of a row that was deleted while runs were recorded")
	}

	w.sweepFor = time.Hour
	exec("INSERT INTO celery_beat_schedules (name, task_name, cron_expression) VALUES ('n', 't', '0 9 * * *')")
	w.countedAt = time.Time{}
	if yes, err := w.stirred(t.Context()); yes || err != nil {
		t.Errorf("stirred before the server has rested: %v, %v; want false", yes, err)
	}

	w.sweepFor = 0
	if !look(30 * time.Second) {
		t.Error("nothing was told of a row that came before the server had rested")
	}

	s.recordedAt.Store(0)
	stirs := func(text, why string, want bool) {
		t.Helper()
		exec(text)
		w.sweepFor, w.countedAt = 0, time.Time{}
		if yes, err := w.stirred(t.Context()); yes != want || err != nil {
			t.Errorf("%s: stirred: %v, %v; want %v", why, yes, err, want)
		}
	}
	const run, edit = "UPDATE celery_beat_schedules SET last_run_at = now()", "DELETE FROM celery_beat_schedules"
	w.shards = 2
	stirs(run, "what may be a run of the node that leads the other shard", false)
	stirs(edit, "an edit", true)
	delete(w.leads, 0)
	stirs(edit, "an edit, of which no shard is led here", false)
	w.leads[0], w.shards = lead, 1
	stirs(edit, "an edit, of which all is led here", true)

	counted := w.writes
	w.writes = writes{}
	stirs(edit, "an edit, where the server had counted nothing when all rows were looked at, as an older one", false)
	w.writes = counted

	w.hints = true
	stirs(edit, "an edit of which triggers tell", false)
}
