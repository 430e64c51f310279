package storetest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
	"github.com/onebeat/onebeat/internal/store"
)

// testChanges makes each kind of change by plain SQL and prints how long it took
// to be seen; within is what is promised on a machine that does nothing else.
func testChanges(t *testing.T, db Database, shape tableShape, within time.Duration) {
	createTable(t, db, shape)
	insert(t, db, shape, 1, line{})
	insert(t, db, shape, 2, line{})
	w := watch(t, open(t, db, store.Options{}))
	if got := len(w.told(0)); got != 2 {
		t.Errorf("the first load told of %d entries, want 2", got)
	}
	one := "WHERE id = '" + string(id(1)) + "'"
	for _, step := range []struct {
		name string
		make func()
		seen func() bool
	}{
		{"INSERT", func() { insert(t, db, shape, 3, line{}) }, func() bool { return w.now[id(3)].Entry != nil }},
		{"UPDATE", func() { db.Exec(t, "UPDATE celery_beat_schedules SET args = '[7]' "+one) }, func() bool { return compact(argsOf(w.now[id(1)])) == "[7]" }},
		{"disable", func() { db.Exec(t, "UPDATE celery_beat_schedules SET enabled = false "+one) }, func() bool { return w.now[id(1)].Reason == schedule.ReasonDisabled }},
		{"enable", func() { db.Exec(t, "UPDATE celery_beat_schedules SET enabled = true "+one) }, func() bool { return w.now[id(1)].Entry != nil }},
		{"break", func() { db.Exec(t, "UPDATE celery_beat_schedules SET cron_expression = 'x' "+one) }, func() bool { return w.now[id(1)].Reason == schedule.ReasonBadRow }},
		{"DELETE", func() { db.Exec(t, "DELETE FROM celery_beat_schedules "+one) }, func() bool { return w.now[id(1)].Reason == schedule.ReasonRemoved }},
		{"DELETE and INSERT", func() {
			db.Exec(t, "DELETE FROM celery_beat_schedules WHERE id = '"+string(id(3))+"'")
			insert(t, db, shape, 4, line{})
		}, func() bool { return w.now[id(3)].Reason == schedule.ReasonRemoved && w.now[id(4)].Entry != nil }},
	} {
		since := len(w.told(0))
		step.make()
		took := w.await(step.name, step.seen)
		t.Logf("%s was seen after %v (promised: %v)", step.name, took.Round(100*time.Microsecond), within)
		for _, change := range w.told(since) {
			if change.ID == id(2) {
				t.Errorf("%s told of another entry: %+v", step.name, change)
			}
		}
	}
}

// Where no trigger tells of changes, a program may say that there are some. Rows that come
// right after a look at all of them would wait a second for the next: on a busy machine one of
// five is told of in half of that.
func testPoke(t *testing.T, db Database) {
	shape := shapeNamed("D")
	createTable(t, db, shape)
	s := open(t, db, store.Options{})
	w := watch(t, s)
	var took []time.Duration
	for n := range 6 {
		insert(t, db, shape, n, line{})
		s.Poke()
		took = append(took, w.await("a row that was told of by a poke", func() bool { return w.now[id(n)].Entry != nil }))
	}
	if slices.Min(took[1:]) >= time.Second/2 {
		t.Errorf("pokes took %v to be followed, want less than half a second at best", took)
	}
}

// Columns may come while a node works, as by `onebeat migrate`: what rows say in them counts, also what they said
// before the node knew of them.
func testNewColumns(t *testing.T, db Database) {
	createTable(t, db, shapeNamed("A"))
	insert(t, db, shapeNamed("A"), 1, line{})
	insert(t, db, shapeNamed("A"), 2, line{name: "another"})
	w := watch(t, open(t, db, store.Options{}))
	migrate(t, db)
	for i, policy := range []schedule.Policy{schedule.Skip, schedule.All} {
		n := i + 1
		db.Exec(t, fmt.Sprintf("UPDATE celery_beat_schedules SET misfire_policy = '%s' WHERE id = '%s'", policy, id(n)))
		took := w.await("a policy in a new column", func() bool { e := w.now[id(n)].Entry; return e != nil && e.Misfire.Policy == policy })
		t.Logf("seen after %v (promised: 2s)", took.Round(100*time.Microsecond))
	}
}

func argsOf(change schedule.Change) string {
	if change.Entry == nil {
		return ""
	}
	return change.Entry.Args
}

// A transaction that began first and commits last has the lower serial number and
// the lower transaction id: its change must be seen all the same.
func testCommitOrder(t *testing.T, db Database) {
	if !db.Postgres && !db.MySQL {
		return // SQLite has one writer at a time
	}
	for _, shape := range []string{"full", "D"} {
		if shape == "D" {
			db.Exec(t, "DROP TABLE celery_beat_schedules")
		}
		createTable(t, db, shapeNamed(shape))
		insert(t, db, shapeNamed(shape), 1, line{})
		insert(t, db, shapeNamed(shape), 2, line{})
		w := watch(t, open(t, db, store.Options{}))
		exec, commit := db.Begin(t)
		exec(fmt.Sprintf("UPDATE celery_beat_schedules SET name = 'early and late' WHERE id = '%s'", id(1)))
		for n := range 3 {
			name := fmt.Sprintf("later %d", n)
			db.Exec(t, fmt.Sprintf("UPDATE celery_beat_schedules SET name = '%s' WHERE id = '%s'", name, id(2)))
			w.await(name, func() bool { return w.now[id(2)].Name == name })
		}
		commit()
		took := w.await("what was committed last", func() bool { return w.now[id(1)].Name == "early and late" })
		t.Logf("shape %s: seen after %v", shape, took)
	}
}

// A notice may be lost, as behind a pooler of connections: the log of changes tells.
func testLostNotice(t *testing.T, db Database) {
	if !db.Postgres {
		return // the others have no notices
	}
	createTable(t, db, shapeNamed("full"))
	insert(t, db, shapeNamed("full"), 1, line{})
	w := watch(t, open(t, db, store.Options{}))
	exec, commit := db.Begin(t)
	exec("SET LOCAL onebeat.recording = 'on'") // no trigger tells
	exec("UPDATE celery_beat_schedules SET name = 'unheard of'")
	exec(fmt.Sprintf("INSERT INTO onebeat_changes (entry_id) VALUES ('%s')", id(1)))
	commit()
	took := w.await("a change without a notice", func() bool { return w.now[id(1)].Name == "unheard of" })
	if took > 10*time.Second { // all rows are looked at after 30
		t.Errorf("a change without a notice was seen after %v, want about a second", took)
	}
}

func testBulk(t *testing.T, db Database) {
	rows := 100_000
	if raced && !db.Postgres {
		rows = 10_000 // `make test` runs it once more, whole and without the detector
	}
	createTable(t, db, shapeNamed("full"))
	w := watch(t, open(t, db, store.Options{}))
	text := `INSERT INTO celery_beat_schedules (name, task_name, cron_expression)
		SELECT 'bulk', 'tasks.add', '*/5 * * * *' FROM `
	switch {
	case db.Postgres:
		db.Exec(t, text+"generate_series(1, $1)", rows)
	case db.MySQL:
		db.Exec(t, fmt.Sprintf("%s seq_1_to_%d", text, rows))
	default:
		db.Exec(t, "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1) "+text+"n", rows)
	}
	took := w.await("the last of the rows", func() bool { return len(w.now) == rows })
	if w.largest > 1000 {
		t.Errorf("%d changes came in one call, want at most 1000", w.largest)
	}
	t.Logf("%d rows were seen after %v", rows, took)

	started := time.Now()
	other := watch(t, open(t, db, store.Options{}))
	if got := len(other.told(0)); got != rows {
		t.Errorf("another start loaded %d entries, want %d", got, rows)
	}
	t.Logf("another start loaded them in %v", time.Since(started))

	db.Exec(t, "DELETE FROM celery_beat_schedules")
	took = w.await("the end of all", func() bool {
		return len(w.log) == 2*rows && w.log[len(w.log)-1].Reason == schedule.ReasonRemoved
	})
	t.Logf("their end was seen after %v", took)
}

// testOwnRecords records runs of an entry and then edits another: by when the
// edit is seen, so would be changes that the records made.
func testOwnRecords(t *testing.T, db Database) {
	for _, shape := range []string{"full", "D"} { // with triggers and without
		if shape == "D" {
			db.Exec(t, "DROP TABLE celery_beat_schedules")
		}
		createTable(t, db, shapeNamed(shape))
		insert(t, db, shapeNamed(shape), 1, line{})
		insert(t, db, shapeNamed(shape), 2, line{})
		s := open(t, db, store.Options{})
		w := watch(t, s)
		hints := ""
		if shape == "full" {
			hints = db.Query(t, "SELECT count(*) FROM onebeat_changes")[0]
		}
		lease := acquire(t, s)
		for n := range 3 {
			record(t, s, lease.Term, nil, sent(batch(lease.Term, 0, at(9, n), id(1))))
		}
		if shape == "full" {
			if got := db.Query(t, "SELECT count(*) FROM onebeat_changes")[0]; got != hints {
				t.Errorf("records left hints of changes: %s before, %s after", hints, got)
			}
		}
		db.Exec(t, fmt.Sprintf("UPDATE celery_beat_schedules SET last_run_at = '2031-01-01' WHERE id = '%s'", id(1)))
		db.Exec(t, fmt.Sprintf("UPDATE celery_beat_schedules SET name = 'edited' WHERE id = '%s'", id(2)))
		w.await("the edit", func() bool { return w.now[id(2)].Name == "edited" })
		if got := w.told(2); len(got) != 1 || got[0].ID != id(2) {
			t.Errorf("shape %s: the news are %+v, want the edit alone", shape, got)
		}
		if err := s.Shard(0).Release(t.Context(), lease.Term); err != nil {
			t.Fatal(err)
		}
	}
}

func testEmptied(t *testing.T, db Database) {
	shape := shapeNamed("full")
	createTable(t, db, shape)
	for n := range 3 {
		insert(t, db, shape, n, line{})
	}
	w := watch(t, open(t, db, store.Options{}))
	if db.Postgres {
		db.Exec(t, "TRUNCATE celery_beat_schedules")
	} else {
		db.Exec(t, "DELETE FROM celery_beat_schedules")
	}
	w.await("the end of all", func() bool { return len(w.log) == 6 })
	for _, change := range w.told(3) {
		if change.Reason != schedule.ReasonRemoved {
			t.Errorf("news of an emptied table: %+v", change)
		}
	}
}

func testReconnect(t *testing.T, db Database) {
	if !db.Postgres {
		return // a file has no connections to lose
	}
	shape := shapeNamed("full")
	createTable(t, db, shape)
	insert(t, db, shape, 1, line{})
	insert(t, db, shape, 2, line{})
	w := watch(t, open(t, db, store.Options{}))
	db.Query(t, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'onebeat' AND datname = current_database()")
	db.Exec(t, fmt.Sprintf("UPDATE celery_beat_schedules SET name = 'edited' WHERE id = '%s'", id(1)))
	db.Exec(t, fmt.Sprintf("DELETE FROM celery_beat_schedules WHERE id = '%s'", id(2)))
	took := w.await("what changed meanwhile", func() bool {
		return w.now[id(1)].Name == "edited" && w.now[id(2)].Reason == schedule.ReasonRemoved
	})
	t.Logf("seen after %v", took)
	insert(t, db, shape, 3, line{})
	w.await("what changed later", func() bool { return w.now[id(3)].Entry != nil })
	if got := len(w.told(0)); got != 5 {
		t.Errorf("%d news, want 5: none came twice", got)
	}
}

func testRequests(t *testing.T, db Database) {
	for _, shape := range []string{"full", "A"} {
		if shape == "A" {
			db.Exec(t, "DROP TABLE celery_beat_schedules")
		}
		createTable(t, db, shapeNamed(shape))
		insert(t, db, shapeNamed(shape), 1, line{})
		s := open(t, db, store.Options{})
		w := watch(t, open(t, db, store.Options{}))
		request, err := s.Ask(t.Context(), id(1), "somebody")
		if err != nil {
			t.Fatal(err)
		}
		took := w.await("the request", func() bool { return len(w.asked) == 1 })
		t.Logf("shape %s: asked for after %v", shape, took)
		if got := w.asked[0]; got.ID != request || got.Entry != id(1) || got.By != "somebody" || got.At.IsZero() {
			t.Errorf("request = %+v", got)
		}
		if got := len(w.told(0)); got != 1 {
			t.Errorf("a request made %d news of entries", got-1)
		}
		again := watch(t, open(t, db, store.Options{}))
		again.await("the request, by one who came later", func() bool { return len(again.asked) == 1 })
		lease := acquire(t, s)
		b := batch(lease.Term, 0, at(9, 0), id(1))
		b.Dues[0].Request = request
		record(t, s, lease.Term, nil, sent(b))
		if err := s.Shard(0).Release(t.Context(), lease.Term); err != nil {
			t.Fatal(err)
		}
	}
}

func testPauses(t *testing.T, db Database) {
	createTable(t, db, shapeNamed("A"))
	insert(t, db, shapeNamed("A"), 1, line{})
	s := open(t, db, store.Options{})
	w := watch(t, s)
	if err := s.Pause(t.Context(), id(1), time.Time{}, "broken upstream", "somebody"); err != nil {
		t.Fatal(err)
	}
	w.await("the pause", func() bool { return w.now[id(1)].Reason == schedule.ReasonPaused })
	row, err := s.Find(t.Context(), string(id(1)))
	if err != nil || row.State != schedule.ReasonPaused || row.Paused == nil || row.Paused.Reason != "broken upstream" || row.Paused.By != "somebody" {
		t.Errorf("Find = %+v, %v; want it paused with the reason", row, err)
	}
	if change := load(t, open(t, db, store.Options{}))[id(1)]; change.Reason != schedule.ReasonPaused {
		t.Errorf("after a restart: %+v, want it paused", change)
	}
	before := now(t, db)
	if err := s.Resume(t.Context(), id(1)); err != nil {
		t.Fatal(err)
	}
	w.await("its end", func() bool { return w.now[id(1)].Entry != nil })
	between(t, "PausedUntil of one resumed", w.now[id(1)].Entry.PausedUntil, before, now(t, db))

	until := now(t, db).Add(400 * time.Millisecond).Truncate(time.Millisecond)
	if err := s.Pause(t.Context(), id(1), until, "for a moment", "somebody"); err != nil {
		t.Fatal(err)
	}
	w.await("the second pause", func() bool { return w.now[id(1)].Reason == schedule.ReasonPaused })
	w.await("its end by itself", func() bool { return w.now[id(1)].Entry != nil })
	if got := w.now[id(1)].Entry.PausedUntil; !got.Equal(until) {
		t.Errorf("PausedUntil of a pause that ended = %v, want its end %v", got, until)
	}
}
