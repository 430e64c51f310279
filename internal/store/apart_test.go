package store

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/onebeat/onebeat/internal/schedule"
)

// What is remembered of entries counts alike whether the server puts it together with their rows or the store
// does, whatever it is; of most rows nothing is read twice.
func TestRowsReadApartSayWhatJoinedRowsSay(t *testing.T) {
	s, err := Open(t.Context(), scratched(t, "ONEBEAT_TEST_POSTGRES", "onebeat_apart"), Options{Prepare: func(e *schedule.Entry) error { e.Row = nil; return nil }})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	p := s.db.(*postgres)
	exec := func(text string) {
		t.Helper()
		if _, err := p.pool.Exec(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	exec("ALTER TABLE celery_beat_schedules ALTER COLUMN id TYPE text")
	exec(`INSERT INTO celery_beat_schedules (id, name, task_name, cron_expression)
		SELECT 'id ' || i, 'entry ' || i, 'tasks.add', '@every 1h' FROM generate_series(1, 3000) AS i`)
	exec(`UPDATE celery_beat_schedules SET id = 'an id that is too long for a key' WHERE id = 'id 1'`)
	exec(`UPDATE celery_beat_schedules SET rules = '{"max_runs": 5}' WHERE id IN ('id 2', 'id 3')`)
	load := func(apart bool) (said map[schedule.ID]string, again int) {
		t.Helper()
		layout := *p.layout
		layout.apart = apart
		p.layout = &layout
		said = map[schedule.ID]string{}
		w := s.newWatch(1)
		w.leads[0] = &lead{ctx: t.Context(), failed: make(chan error, 1), watcher: loader(func(_ context.Context, changes []schedule.Change) error {
			for _, c := range changes {
				text := fmt.Sprint(c.Name, " ", c.Reason, c.Problem, c.Limit)
				if c.Entry != nil {
					text += fmt.Sprint(c.Entry.Spec, c.Entry.After.UTC(), c.Entry.PausedUntil.UTC(), c.Entry.Digest)
				}
				said[c.ID] = text
			}
			return nil
		})}
		if err := w.load(t.Context()); err != nil {
			t.Fatal(err)
		}
		if w.seen.Len() != len(said) || w.unread != 0 {
			t.Errorf("%d rows are known, and %d are remembered and were not read; want the %d that were told of", w.seen.Len(), w.unread, len(said))
		}
		return said, len(w.undressed)
	}
	if said, again := load(true); len(said) != 3000 || again != 0 {
		t.Fatalf("at first %d rows are told of, and %d read again, want 3000 and none", len(said), again)
	}
	for _, text := range []string{
		"UPDATE onebeat_entries SET last_slot = '2026-03-01 09:00Z' WHERE entry_id IN ('id 4', 'an id that is too long for a key')",
		"UPDATE onebeat_entries SET after_at = '2026-03-02 09:00Z', last_slot = '2026-03-01 09:00Z' WHERE entry_id = 'id 5'",
		"UPDATE onebeat_entries SET paused_at = now(), pause_reason = 'of a test' WHERE entry_id = 'id 6'",
		"UPDATE onebeat_entries SET paused_at = '2026-03-01 09:00Z', paused_until = '2026-03-02 09:00Z' WHERE entry_id = 'id 7'",
		"UPDATE onebeat_entries SET total_run_count = 5 WHERE entry_id = 'id 2'",
		"UPDATE onebeat_entries SET total_run_count = 4 WHERE entry_id = 'id 3'",
		"UPDATE onebeat_entries SET after_at = '1950-03-01 09:00Z' WHERE entry_id = 'id 8'",
		"UPDATE onebeat_entries SET spec = 'of another kind', after_at = '2026-03-01 09:00Z' WHERE entry_id = 'id 9'",
		"UPDATE celery_beat_schedules SET last_run_at = '2026-03-03 09:00Z' WHERE id = 'id 10'",
		"UPDATE celery_beat_schedules SET enabled = false WHERE id = 'id 11'",
		"DELETE FROM celery_beat_schedules WHERE id = 'id 12'",
		"UPDATE onebeat_entries SET spec = '' WHERE entry_id = 'id 11'",
	} {
		exec(text)
	}
	joined, _ := load(false) // which remembers what is new
	apart, again := load(true)
	if diff := cmp.Diff(joined, apart); diff != "" {
		t.Errorf("rows read apart (-joined +apart):\n%s", diff)
	}
	if again > 10 {
		t.Errorf("%d rows are read again, want those of which more is remembered", again)
	}
}

// Entries that had a slot lately are told of first, then those that are due every few minutes, a part of the table after the
// other, from both of its ends, and then the others.
func TestSoonEntriesAreFoundPartByPart(t *testing.T) {
	s := scratchedPostgres(t, "onebeat_soon")
	soon := []string{"*/5 * * * *", "* 9 * * *", "@every 1s", "@every 90s", "@every 5m", "@every 15m from 2026-11-26T00:00:00Z", "@every 1m30s"}
	far := []string{"@every 1h", "@every 12h", "@every 7d", "0 9 * * *", "@every 1h from 2026-11-26T00:00:00Z"}
	const rows = 12_000 // 290 pages
	var all []Definition
	for i := range rows {
		spec := far[i%len(far)]
		if i < 3 || i >= rows-4 || i%1000 == 500 {
			spec = soon[i%len(soon)]
		}
		all = append(all, Definition{Name: fmt.Sprint(i), Task: "t", Spec: spec})
	}
	if err := s.Fill(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	if err := s.look(t.Context()); err != nil {
		t.Fatal(err)
	}
	exec := func(text string, args ...any) {
		t.Helper()
		if _, err := s.db.(*postgres).pool.Exec(t.Context(), text, args...); err != nil {
			t.Fatal(err)
		}
	}
	const run = "INSERT INTO onebeat_runs (entry_id, name, task, slot, count, state, reason, task_id, queue, request, node, term, recovered) "
	for name, ago := range map[string]string{"7003": "2 seconds", "7004": "2 hours"} {
		exec(run+"SELECT id::text, name, 't', now() - $2::text::interval, 1, 'sent', '', '', '', '', '', 1, false FROM celery_beat_schedules WHERE name = $1", name, ago)
	}
	exec(run + "VALUES ('17', 'of another catalog', 't', now(), 1, 'sent', '', '', '', '', '', 1, false)")
	watching := func(enough int64) *watch {
		w := s.newWatch(1)
		w.soonEnough = enough
		w.leads[0] = &lead{ctx: t.Context(), failed: make(chan error, 1), first: true, watcher: loader(func(context.Context, []schedule.Change) error { return nil })}
		w.reading = reading{store: s, home: s.home(s.shape()), remember: w.remembers, holds: w.holds}
		return w
	}
	w := watching(0)
	if pages := w.pages(t.Context()); pages < 4*soonFirst {
		t.Fatalf("the table has %d pages, want several parts", pages)
	}
	stop, err := w.soonest(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	var told []int // how many there are, after each time
	for len(told) < 3 || w.seen.Len() < 1+3+4+rows/1000 {
		select {
		case tell := <-w.feed.(*postgresFeed).between:
			if err := tell(); err != nil {
				t.Fatal(err)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("%d entries are told of at last, want %d", w.seen.Len(), 1+3+4+rows/1000)
		}
		told = append(told, w.seen.Len())
	}
	if len(told) < 4 || told[0] != 1 || told[1] < 1+3 || told[2] < told[1]+4 || told[1] > 1+3+4 || told[len(told)-1] != 1+3+4+rows/1000 {
		t.Errorf("entries are told of until there are %v, want 1, then those of either end, then the others to %d", told, 1+3+4+rows/1000)
	}
	// A table that is not large is left to what reads it, unless the ledger may know of more than it was asked for, or keeps
	// exceptions alone.
	for _, tt := range []struct {
		ledger    string
		more, all bool
	}{{LedgerAll, false, true}, {LedgerExceptions, false, false}, {LedgerAll, true, false}} {
		s.options.Ledger = tt.ledger
		all := tt.all
		if tt.more {
			exec(run+"SELECT id::text, name, 't', now(), 1, 'sent', '', '', '', '', '', 1, false FROM celery_beat_schedules, generate_series(1, $1) WHERE name = '7003'", soonMost)
		}
		told := 0
		watching(soonEnough).soonBeside(t.Context(), func(ids []string) { told += len(ids) })
		if all != (told == 1) {
			t.Errorf("the ledger knows all that had a slot lately: %t, and %d entries are told of", all, told)
		}
	}
}
