package storetest

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/onebeat/onebeat/internal/schedule"
	"github.com/onebeat/onebeat/internal/store"
)

// testShape follows an entry of the user's table through two runs and a restart.
func testShape(t *testing.T, db Database, shape tableShape, home string) {
	createTable(t, db, shape)
	insert(t, db, shape, 1, line{spec: "*/5 * * * *"})
	options := store.Options{Home: home, Zone: "Asia/Tokyo"}
	s := open(t, db, options)
	e := entry(t, s, id(1))
	if e.Name != "entry" || e.Task != "tasks.add" || compact(e.Args) != "[1,2]" || compact(e.Kwargs) != `{"a":null}` || e.Misfire != (schedule.Misfire{}) && e.Misfire.Policy != schedule.Once {
		t.Errorf("entry = %+v", e)
	}
	if e.After.IsZero() || !e.LastRunAt.IsZero() || e.TotalRunCount != 0 {
		t.Errorf("a new entry: after %v, last run %v, %d runs; want an instant, none and 0", e.After, e.LastRunAt, e.TotalRunCount)
	}
	digest := e.Digest

	lease := acquire(t, s)
	for seq, slot := range []time.Time{at(9, 0), at(9, 5)} {
		b := batch(lease.Term, int64(seq)+1, slot, id(1))
		claim(t, s, b)
		record(t, s, lease.Term, []int64{int64(seq) + 1}, sent(b))
	}
	e = entry(t, s, id(1))
	if !e.After.Equal(at(9, 5)) || !e.LastRunAt.Equal(at(9, 5)) || e.TotalRunCount != 2 || e.Digest != digest {
		t.Errorf("after two runs: after %v, last run %v, %d runs, same definition: %v", e.After, e.LastRunAt, e.TotalRunCount, e.Digest == digest)
	}

	restarted := entry(t, open(t, db, options), id(1))
	if home == store.HomeMemory {
		if !restarted.LastRunAt.IsZero() || restarted.TotalRunCount != 0 {
			t.Errorf("after a restart: last run %v, %d runs; want memory to be gone", restarted.LastRunAt, restarted.TotalRunCount)
		}
	} else if !restarted.After.Equal(at(9, 5)) || !restarted.LastRunAt.Equal(at(9, 5)) || restarted.TotalRunCount != 2 {
		t.Errorf("after a restart: after %v, last run %v, %d runs; want 9:05 and 2", restarted.After, restarted.LastRunAt, restarted.TotalRunCount)
	}

	inColumn := home == store.HomeColumn || home == "" && shape.lastRunAt
	if shape.lastRunAt {
		got := db.Query(t, "SELECT coalesce(CAST(last_run_at AS char(26)), 'null') FROM celery_beat_schedules")[0]
		if inColumn != strings.HasPrefix(got, "2030-01-01 09:05:00") {
			t.Errorf("the column last_run_at is %s", got)
		}
	}
	if shape.name == "full" {
		want := map[bool]string{true: "2", false: "0"}[inColumn]
		if got := db.Query(t, "SELECT total_run_count FROM celery_beat_schedules")[0]; got != want {
			t.Errorf("the column total_run_count is %s, want %s", got, want)
		}
	}
}

func compact(text string) string { return strings.ReplaceAll(text, " ", "") }

func testBadRows(t *testing.T, db Database) {
	shape := shapeNamed("full")
	createTable(t, db, shape)
	bads := map[schedule.ID]string{} // a word of each problem
	for n, bad := range []struct {
		line
		says string // a word of the problem
	}{
		{line{spec: "* * * *"}, ""},
		{line{spec: "61 * * * *"}, ""},
		{line{spec: "@hourly"}, ""},
		{line{spec: ""}, ""},
		{line{spec: "0 0 30 2 *"}, ""},
		{line{args: `{"a": 1}`}, "args"},
		{line{kwargs: `["secret"]`}, "kwargs"},
		{line{kwargs: `"secret"`}, "kwargs"},
		{line{name: "zone"}, "zone"},
		{line{name: "options"}, "options"},
		{line{name: "policy"}, "misfire_policy"},
		{line{name: "unprepared"}, "no route"},
	} {
		insert(t, db, shape, n, bad.line)
		if bad.line == (line{spec: ""}) {
			db.Exec(t, "UPDATE celery_beat_schedules SET cron_expression = '' WHERE id = '"+string(id(n))+"'")
		}
		bads[id(n)] = bad.says
	}
	db.Exec(t, "UPDATE celery_beat_schedules SET timezone = 'Mars/Olympus' WHERE name = 'zone'")
	db.Exec(t, "UPDATE celery_beat_schedules SET options = '[1]' WHERE name = 'options'")
	db.Exec(t, "UPDATE celery_beat_schedules SET misfire_policy = 'never' WHERE name = 'policy'")
	if !db.Postgres { // where no type keeps them out
		insert(t, db, shape, 90, line{args: "[1, secret"})
		insert(t, db, shape, 91, line{kwargs: "secret"})
		insert(t, db, shape, 92, line{args: `[NaN, "NaN]`})
		bads[id(90)], bads[id(91)], bads[id(92)] = "args", "kwargs", "args"
	}
	insert(t, db, shape, 99, line{name: "good"})

	s := open(t, db, store.Options{Prepare: func(e *schedule.Entry) error {
		if e.Name == "unprepared" {
			return errors.New("no route for the task")
		}
		e.Payload = e.Task
		return nil
	}})
	all := load(t, s)
	for id, says := range bads {
		change := all[id]
		if change.Entry != nil || change.Reason != schedule.ReasonBadRow || change.Problem == "" || !strings.Contains(change.Problem, says) {
			t.Errorf("row %s = %+v, want a bad row whose problem speaks of %q", id, change, says)
		}
		if strings.Contains(change.Problem, "secret") || strings.Contains(change.Problem, "\n") {
			t.Errorf("problem %q shows arguments or has several lines", change.Problem)
		}
	}
	if good := all[id(99)]; good.Entry == nil || good.Entry.Payload != "tasks.add" {
		t.Errorf("the good row = %+v, want it prepared", good)
	}
	if len(all) != len(bads)+1 {
		t.Errorf("%d rows were told of, want %d", len(all), len(bads)+1)
	}
	if !db.Postgres { // Python's json writes and reads what no type of JSON keeps
		const args, kwargs = `[NaN, -Infinity, "NaN"]`, `{"Infinity": Infinity}`
		insert(t, db, shape, 93, line{})
		db.Exec(t, fmt.Sprintf("UPDATE celery_beat_schedules SET args = '%s', kwargs = '%s' WHERE id = '%s'", args, kwargs, id(93)))
		if e := load(t, s)[id(93)].Entry; e == nil || e.Args != args || e.Kwargs != kwargs {
			t.Errorf("the row with numbers that only Python has = %+v, want its arguments as they are", e)
		}
	}

	w := watch(t, s)
	db.Exec(t, "UPDATE celery_beat_schedules SET timezone = 'UTC' WHERE name = 'zone'")
	w.await("the mended row", func() bool { return w.now[id(8)].Entry != nil })
}

func testFirstStart(t *testing.T, db Database) {
	shape := shapeNamed("full")
	createTable(t, db, shape)
	insert(t, db, shape, 1, line{})
	insert(t, db, shape, 2, line{spec: "@at 2020-01-01T00:00:00Z"})
	db.Exec(t, "UPDATE celery_beat_schedules SET last_run_at = '2025-01-01 00:00:00'")
	s := open(t, db, store.Options{})
	before := now(t, db)
	all := load(t, s)
	after := now(t, db)
	for _, change := range all {
		between(t, "After of "+string(change.ID), change.Entry.After, before, after)
	}
	if e := all[id(1)].Entry; !e.LastRunAt.Equal(time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("LastRunAt = %v, want the row's", e.LastRunAt)
	}

	// A restart later owes what was missed since the first.
	first := all[id(1)].Entry.After
	if e := entry(t, open(t, db, store.Options{}), id(1)); !e.After.Equal(first) {
		t.Errorf("After a restart = %v, want still %v", e.After, first)
	}
}

func testCatchUp(t *testing.T, db Database) {
	shape := shapeNamed("full")
	createTable(t, db, shape)
	insert(t, db, shape, 1, line{})
	insert(t, db, shape, 2, line{})
	insert(t, db, shape, 3, line{spec: "@at 2020-01-01T00:00:00Z"})
	db.Exec(t, "UPDATE celery_beat_schedules SET last_run_at = '2025-01-01 00:00:00' WHERE id = '"+string(id(1))+"'")
	s := open(t, db, store.Options{CatchUp: true})
	before := now(t, db)
	all := load(t, s)
	after := now(t, db)
	if e := all[id(1)].Entry; !e.After.Equal(time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("After of one that ran = %v, want its last run", e.After)
	}
	between(t, "After of one that never ran", all[id(2)].Entry.After, before, after)
	if e := all[id(3)].Entry; e.Spec.Next(e.After).IsZero() {
		t.Errorf("After of a time that passed = %v, want it due", e.After)
	}

	// Only the first start catches up.
	insert(t, db, shape, 4, line{})
	db.Exec(t, "UPDATE celery_beat_schedules SET last_run_at = '2025-01-01 00:00:00' WHERE id = '"+string(id(4))+"'")
	before = now(t, db)
	e := entry(t, s, id(4))
	between(t, "After of one that came later", e.After, before, now(t, db))
}

func testSpecEdit(t *testing.T, db Database) {
	shape := shapeNamed("full")
	createTable(t, db, shape)
	insert(t, db, shape, 1, line{})
	s := open(t, db, store.Options{})
	first := entry(t, s, id(1))

	db.Exec(t, "UPDATE celery_beat_schedules SET args = '[3]', name = 'renamed'")
	if e := entry(t, s, id(1)); !e.After.Equal(first.After) || e.Digest == first.Digest {
		t.Errorf("after an edit of args: after %v, same definition %v; want still %v and another", e.After, e.Digest == first.Digest, first.After)
	}

	for _, edit := range []string{"cron_expression = '0 8 * * *'", "timezone = 'Asia/Tokyo'"} {
		before := now(t, db)
		db.Exec(t, "UPDATE celery_beat_schedules SET "+edit)
		e := entry(t, s, id(1))
		between(t, "After of an edit of "+edit, e.After, before, now(t, db))
		if again := entry(t, open(t, db, store.Options{}), id(1)); !again.After.Equal(e.After) {
			t.Errorf("After a restart = %v, want still %v", again.After, e.After)
		}
	}
}

// testEnable takes an entry that has run out and in again: what is known of its runs stays.
func testEnable(home string) func(t *testing.T, db Database) {
	return func(t *testing.T, db Database) {
		shape := shapeNamed("full")
		createTable(t, db, shape)
		insert(t, db, shape, 1, line{})
		options := store.Options{Home: home}
		s := open(t, db, options)
		load(t, s)
		lease, ran := acquire(t, s), now(t, db).Add(-time.Hour).Truncate(time.Second)
		record(t, s, lease.Term, nil, sent(batch(lease.Term, 1, ran, id(1))))
		db.Exec(t, "UPDATE celery_beat_schedules SET enabled = false")
		if change := load(t, s)[id(1)]; change.Entry != nil || change.Reason != schedule.ReasonDisabled {
			t.Errorf("a disabled row = %+v", change)
		}
		if row, err := s.Find(t.Context(), string(id(1))); err != nil || !row.LastRunAt.Equal(ran) || row.TotalRunCount != 1 {
			t.Errorf("a disabled row ran last at %v, %d times (%v); want %v and once", row.LastRunAt, row.TotalRunCount, err, ran)
		}
		before := now(t, db)
		db.Exec(t, "UPDATE celery_beat_schedules SET enabled = true")
		e := entry(t, open(t, db, options), id(1)) // enabled while nobody watched
		between(t, "After of one enabled again", e.After, before, now(t, db))
		if !e.LastRunAt.Equal(ran) || e.TotalRunCount != 1 {
			t.Errorf("one enabled again ran last at %v, %d times; want %v and once", e.LastRunAt, e.TotalRunCount, ran)
		}
	}
}

func testOneOff(t *testing.T, db Database) {
	shape := shapeNamed("full")
	createTable(t, db, shape)
	s := open(t, db, store.Options{})
	load(t, s) // the first start
	spec := "@at " + now(t, db).Format("2006-01-02T15:04:05.000000Z07:00")
	insert(t, db, shape, 1, line{spec: spec})
	e := entry(t, s, id(1))
	if slot := e.Spec.Next(e.After); slot.IsZero() {
		t.Errorf("%s has no slot after %v, want it due though it had passed", spec, e.After)
	}
	record(t, s, acquire(t, s).Term, nil, sent(batch(1, 0, e.Spec.Next(e.After), id(1))))
	if e := entry(t, s, id(1)); !e.Spec.Next(e.After).IsZero() {
		t.Errorf("after its run it is due again")
	}
}

func testLoad(t *testing.T, db Database) {
	shape := shapeNamed("full")
	createTable(t, db, shape)
	insert(t, db, shape, 1, line{})
	leader, standby := open(t, db, store.Options{}), open(t, db, store.Options{})
	load(t, leader)
	w := watch(t, standby)
	lease := acquire(t, leader)
	b := batch(lease.Term, 1, at(9, 0), id(1))
	claim(t, leader, b)
	record(t, leader, lease.Term, []int64{1}, sent(b))
	if e := entry(t, standby, id(1)); !e.After.Equal(at(9, 0)) || e.TotalRunCount != 1 {
		t.Errorf("Load on the other node: after %v, %d runs; want 9:00 and 1", e.After, e.TotalRunCount)
	}
	if diff := cmp.Diff(1, len(w.told(0))); diff != "" {
		t.Errorf("changes that the other node's Watch told of (-want +got):\n%s", diff)
	}
}

// now is the database's clock, a little early: to the millisecond.
func now(t testing.TB, db Database) time.Time {
	t.Helper()
	query := "SELECT strftime('%Y-%m-%dT%H:%M:%fZ', 'now')"
	switch {
	case db.MySQL:
		query = "SELECT date_format(utc_timestamp(3), '%Y-%m-%dT%H:%i:%s.%fZ')"
	case db.Postgres:
		query = `SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`
	}
	at, err := time.Parse(time.RFC3339Nano, db.Query(t, query)[0])
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func between(t testing.TB, what string, got, before, after time.Time) {
	t.Helper()
	if got.Before(before) || got.After(after.Add(2*time.Millisecond)) {
		t.Errorf("%s = %v, want it between %v and %v", what, got, before, after)
	}
}

func testRules(t *testing.T, db Database) {
	shape := shapeNamed("full")
	createTable(t, db, shape)
	insert(t, db, shape, 1, line{})
	insert(t, db, shape, 2, line{name: "odd"})
	s := open(t, db, store.Options{})
	w := watch(t, s)
	rules := func(text string) {
		db.Exec(t, fmt.Sprintf("UPDATE celery_beat_schedules SET rules = '%s' WHERE id = '%s'", text, id(1)))
	}
	nextIs := func(want time.Time) func() bool {
		return func() bool {
			e := w.now[id(1)].Entry
			return e != nil && e.Spec.Next(at(10, 0)).Equal(want)
		}
	}
	tomorrow := at(9, 0).AddDate(0, 0, 1)
	w.await("the spec alone", nextIs(tomorrow))
	rules(`{"except": ["2030-01-02"]}`)
	w.await("a day off", nextIs(tomorrow.AddDate(0, 0, 1)))
	rules(`{"weekends": "sat"}`)
	w.await("rules that can't be read", func() bool {
		return w.now[id(1)].Reason == schedule.ReasonBadRow && strings.Contains(w.now[id(1)].Problem, `"weekends" is not known`)
	})
	rules(`{}`)
	w.await("the spec alone again", nextIs(tomorrow))

	err := s.Edit(t.Context(), id(1), func(d *store.Definition) { d.Rules = `{"offset": "1h"}` })
	if err != nil {
		t.Fatal(err)
	}
	w.await("an edit of the rules", nextIs(at(10, 0).AddDate(0, 0, 1)))
	row, err := s.Find(t.Context(), string(id(1)))
	if err != nil || row.Rules != `{"offset": "1h"}` || row.Spec != "0 9 * * *" {
		t.Errorf("Find = rules %q, spec %q, %v; want the rules as they were written beside the spec", row.Rules, row.Spec, err)
	}
	if e := entry(t, s, id(1)); e.After.Before(row.Entry.After) || time.Since(e.After) > time.Hour {
		t.Errorf("slots count after %v, want after the edit of the rules", e.After)
	}
	var refused *store.InputError
	err = s.Edit(t.Context(), id(1), func(d *store.Definition) { d.Rules = `{"jitter": "25h"}` })
	if !errors.As(err, &refused) {
		t.Errorf("Edit to rules that can't be = %v, want an InputError", err)
	}
	if got := w.now[id(2)].Entry; got == nil || !got.Spec.Next(at(10, 0)).Equal(tomorrow) {
		t.Error("the other entry is not as it was")
	}
}
