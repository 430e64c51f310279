package store

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/onebeat/onebeat/internal/schedule"
)

// What is to be done while many rows are read is done between them, and the rest is read.
func TestWhatComesBetweenRowsDoesNotWaitForTheLast(t *testing.T) {
	s := scratchedPostgres(t, "onebeat_between")
	const entries = 5000
	var all []Definition
	for i := range entries {
		all = append(all, Definition{Name: fmt.Sprint(i), Task: "tasks.add", Spec: "0 9 * * *"})
	}
	if err := s.Fill(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	if err := s.look(t.Context()); err != nil {
		t.Fatal(err)
	}
	f := s.newFeed().(*postgresFeed)
	between := make(chan func() error, 1)
	read, before := 0, -1
	between <- func() error {
		before = read
		return nil
	}
	f.between = between
	if err := f.many(t.Context(), func(*row) error { read++; return nil }, "entries"); err != nil {
		t.Fatal(err)
	}
	if read != entries || before < 0 || before == entries {
		t.Errorf("%d of %d rows were read, %d before what came between", read, entries, before)
	}
	failed := fmt.Errorf("refused")
	between <- func() error { return failed }
	if err := f.many(t.Context(), func(*row) error { return nil }, "entries"); err == nil {
		t.Error("what failed between rows is no error")
	}
}

// scratched is the URL of a database of the test's own, on the server that the variable of the environment names.
func scratched(t *testing.T, variable, name string) string {
	t.Helper()
	server := os.Getenv(variable)
	if server == "" {
		t.Fatalf("%s is not set: run the tests with `make test`, or `make stack` first", variable)
	}
	scratch, err := NewScratch(t.Context(), server, name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := scratch.Drop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return scratch.URL
}

// scratchedPostgres is a store with tables of its own, behind a pooler if it is to speak so.
func scratchedPostgres(t *testing.T, name string, parameters ...string) *Store {
	t.Helper()
	at, err := url.Parse(scratched(t, "ONEBEAT_TEST_POSTGRES", name))
	if err != nil {
		t.Fatal("the scratch database has no URL")
	}
	at.RawQuery = strings.Join(append(parameters, at.RawQuery), "&")
	s := storeOf(t, at.String(), Options{})
	return s
}

// Where notices do not come, the log of changes is looked at more often, until they do.
func TestTheLogIsLookedAtMoreOftenWhereNoticesAreLost(t *testing.T) {
	s := scratchedPostgres(t, "onebeat_deaf")
	f := s.newFeed().(*postgresFeed)
	if err := f.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer f.close()
	exec := func(text string) {
		t.Helper()
		if _, err := s.db.(*postgres).pool.Exec(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	read := func(want ...string) {
		t.Helper()
		if ids, err := f.hinted(t.Context()); err != nil || !slices.Equal(ids, want) {
			t.Fatalf("hinted = %v, %v; want %v", ids, err, want)
		}
	}
	for _, step := range []struct {
		what string
		do   func()
		want time.Duration
	}{
		{"at first", func() {}, time.Minute},
		{"after a change without a notice", func() {
			exec("INSERT INTO onebeat_changes (entry_id) VALUES ('a')")
			read("a")
		}, deafLook},
		{"while nothing changes", func() { read() }, deafLook},
		{"after a notice", func() {
			exec("INSERT INTO onebeat_changes (entry_id) VALUES ('b')")
			exec("NOTIFY onebeat_changes")
			for !f.noticed {
				if err := f.wait(t.Context(), nil, 20*time.Second); err != nil {
					t.Fatal(err)
				}
			}
			read("b")
		}, time.Minute},
		{"while nothing changes any more", func() { read() }, time.Minute},
	} {
		step.do()
		if got := f.patience(time.Minute); got != step.want {
			t.Errorf("%s a notice is waited for %v, want %v", step.what, got, step.want)
		}
	}
}

// A snapshot is read once by a statement that compares a million rows with it, also by the plan
// that connections come to use.
func TestSnapshotsAreNotReadForEachRow(t *testing.T) {
	s := scratchedPostgres(t, "onebeat_snapshots")
	if err := s.look(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string]string{"ids_since": "('1:1:')", "changes": "('1:1:', 1)"} {
		types := map[string]string{"ids_since": "(text)", "changes": "(text, bigint)"}[name]
		plan := generalPlan(t, s, name, types, args)
		read := 0
		for line := range strings.Lines(plan) {
			if strings.Contains(line, "pg_snapshot)") { // a cast of the text, in the condition of a scan
				read++
			}
		}
		if read > 0 || !strings.Contains(plan, "InitPlan") {
			t.Errorf("%s reads its snapshot for each row:\n%s", name, plan)
		}
	}
}

// generalPlan is how PostgreSQL does a statement by the plan that connections come to use. types and args are in parentheses.
func generalPlan(t *testing.T, s *Store, name, types, args string) string {
	t.Helper()
	conn, err := s.db.(*postgres).pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	for _, text := range []string{
		"SET plan_cache_mode = force_generic_plan",
		"PREPARE " + name + types + " AS " + s.db.(*postgres).filled.Load().get(name),
	} {
		if _, err := conn.Exec(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	rows, err := conn.Query(t.Context(), "EXPLAIN EXECUTE "+name+args)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"RESET plan_cache_mode", "DEALLOCATE " + name} {
		if _, err := conn.Exec(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	return strings.Join(plan, "\n")
}

// Statements that are not described first, as behind a pooler of connections, tell of changes too.
func TestChangesAreFoundBehindAPooler(t *testing.T) {
	s := scratchedPostgres(t, "onebeat_pooled", "default_query_exec_mode=exec")
	if err := s.look(t.Context()); err != nil {
		t.Fatal(err)
	}
	f := s.newFeed()
	if err := f.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer f.close()
	if err := f.all(t.Context(), func(*row) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if err := s.Fill(t.Context(), []Definition{{Name: "a", Task: "t", Spec: "0 9 * * *"}, {Name: "b", Task: "t", Spec: "0 9 * * *"}}); err != nil {
		t.Fatal(err)
	}
	named, err := f.hinted(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	written, count, err := f.written(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(named)
	slices.Sort(written)
	if !slices.Equal(named, written) || len(named) != 2 || count != 2 {
		t.Fatalf("the log names %v, of %d rows %v are said to be written; want both twice", named, count, written)
	}
	// While transactions of others are open on the server, what was written in their time is looked at again.
	for over := time.Now().Add(30 * time.Second); len(written) > 0; {
		if time.Now().After(over) {
			t.Fatalf("%v are still said to be written", written)
		}
		if named, err = f.hinted(t.Context()); err != nil || len(named) > 0 {
			t.Fatalf("the log names %v a second time, %v", named, err)
		}
		if written, _, err = f.written(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// Rows that are gone are found by their ids where no trigger tells of it, whatever these are and however they are read.
func TestRowsThatAreGoneAreFoundByTheirIDs(t *testing.T) {
	for _, way := range []string{"", "default_query_exec_mode=simple_protocol"} {
		for kind, ids := range map[string][]string{
			"uuid":   {"6a3c5d52-1d98-473b-97cd-ca98a65347dd", "6a3c5d52-1d98-473b-17cd-ca98a65347dd", "00000000-0000-0000-0000-000000000000", "6a3c5d53-1d98-473b-97cd-ca98a65347dd"},
			"text":   {"a", "6a3c5d52-1d98-473b-97cd-ca98a65347dd", "a text that is too long for a key", "", "6A3C5D52-1D98-473B-97CD-CA98A65347DD"},
			"bigint": {"1", "-1", "9223372036854775807", "42"},
		} {
			t.Run(kind+" "+way, func(t *testing.T) {
				s := scratchedPostgres(t, "onebeat_gone", way)
				exec := func(text string, args ...any) {
					t.Helper()
					if _, err := s.db.(*postgres).pool.Exec(t.Context(), text, args...); err != nil {
						t.Fatal(err)
					}
				}
				exec("ALTER TABLE celery_beat_schedules DISABLE TRIGGER USER, ALTER id DROP DEFAULT, ALTER id TYPE " + kind + " USING NULL::" + kind)
				for _, id := range ids {
					exec("INSERT INTO celery_beat_schedules (id, name, task_name, cron_expression) VALUES ('" + id + "', 'n', 't', '0 9 * * *')")
				}
				var gone []string
				w := watching(t, s, func(changes []schedule.Change) {
					for _, change := range changes {
						if change.Reason == schedule.ReasonRemoved {
							gone = append(gone, string(change.ID))
						}
					}
				})
				if w.seen.Len() != len(ids) {
					t.Fatalf("%d rows were seen, want %d", w.seen.Len(), len(ids))
				}
				for i := range ids[1:] {
					exec("DELETE FROM celery_beat_schedules WHERE id = '" + ids[i] + "'")
					gone, w.sweptAt = nil, time.Time{}
					if err := w.look(t.Context()); err != nil {
						t.Fatal(err)
					}
					if !slices.Equal(gone, ids[i:i+1]) {
						t.Errorf("told that %q are gone, want %q", gone, ids[i])
					}
				}
			})
		}
	}
}

// watching is a watch that leads and has loaded all rows, and tells of them, and of what changes.
func watching(t *testing.T, s *Store, tells func([]schedule.Change)) *watch {
	t.Helper()
	w := s.newWatch(1)
	w.leads[0] = &lead{ctx: t.Context(), failed: make(chan error, 1), first: true, watcher: loader(func(_ context.Context, changes []schedule.Change) error {
		tells(changes)
		return nil
	})}
	if err := w.feed.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.feed.close)
	if err := w.load(t.Context()); err != nil {
		t.Fatal(err)
	}
	return w
}
