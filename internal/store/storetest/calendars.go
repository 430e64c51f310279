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

// off are days off without a reason.
func off(days ...string) (all []schedule.DayOff) {
	for _, day := range days {
		all = append(all, schedule.DayOff{Day: day})
	}
	return all
}

// setRules writes an entry's rules as another program would.
func setRules(t testing.TB, db Database, n int, rules string) {
	db.Exec(t, fmt.Sprintf("UPDATE celery_beat_schedules SET rules = '%s' WHERE id = '%s'", rules, id(n)))
}

func testCalendars(t *testing.T, db Database) {
	shape := shapeNamed("full")
	createTable(t, db, shape)
	for n := range 4 {
		insert(t, db, shape, n, line{name: fmt.Sprint("entry ", n)})
	}
	setRules(t, db, 1, `{"calendars": ["holidays"]}`)
	setRules(t, db, 2, `{"calendars": ["holidays", "closing"], "shift": "next"}`)
	setRules(t, db, 3, `{"except": ["2030-01-02"]}`)
	s := open(t, db, store.Options{})
	w := watch(t, s)
	bad := func(n int, name string) func() bool {
		return func() bool {
			change := w.now[id(n)]
			return change.Reason == schedule.ReasonBadRow && strings.Contains(change.Problem, `there is no calendar "`+name+`": import it`)
		}
	}
	nextIs := func(n, day int) func() bool {
		return func() bool {
			e := w.now[id(n)].Entry
			return e != nil && e.Spec.Next(at(10, 0)).Equal(at(9, 0).AddDate(0, 0, day-1))
		}
	}
	w.await("a calendar that is not there", bad(1, "holidays"))

	put := func(name string, days ...string) {
		t.Helper()
		if err := s.PutCalendar(t.Context(), name, off(days...)); err != nil {
			t.Fatal(err)
		}
	}
	put("holidays", "2030-01-03", "2030-01-02")
	w.await("an entry by the new calendar", nextIs(1, 4))
	w.await("the other calendar missed", bad(2, "closing"))
	put("closing", "2030-01-04", "2030-01-05")
	w.await("an entry by two calendars", nextIs(2, 6))

	told := len(w.told(0))
	before := now(t, db)
	put("holidays", "2030-01-02")
	within := w.await("an edit of the calendar", nextIs(1, 3))
	w.await("an edit of a calendar of two", nextIs(2, 3))
	if within > time.Second {
		t.Errorf("the edit was seen after %v, want at once", within)
	}
	for _, change := range w.told(told) {
		if change.ID != id(1) && change.ID != id(2) {
			t.Errorf("told of %s, which goes by no calendar", change.ID)
		}
	}
	between(t, "an entry's slots count after the edit of its calendar", entry(t, s, id(1)).After, before, now(t, db))

	put("closing", "2031-01-01") // another's days do not matter
	want := []store.Calendar{
		{Name: "closing", Days: off("2031-01-01"), Entries: []string{"entry 2"}},
		{Name: "holidays", Days: off("2030-01-02"), Entries: []string{"entry 1", "entry 2"}},
	}
	got, err := s.Calendars(t.Context())
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("Calendars: %v (-want +got):\n%s", err, diff)
	}

	var refused *store.InputError
	if err := s.RemoveCalendar(t.Context(), "holidays"); !errors.As(err, &refused) || !strings.Contains(err.Error(), "2 entries name the calendar holidays") {
		t.Errorf("RemoveCalendar while entries name it = %v, want an InputError", err)
	}
	if err := s.RemoveCalendar(t.Context(), "feasts"); !errors.Is(err, store.ErrNoCalendar) {
		t.Errorf("RemoveCalendar of none = %v", err)
	}
	for _, days := range [][]schedule.DayOff{nil, off("2030-02-30")} {
		if err := s.PutCalendar(t.Context(), "odd", days); !errors.As(err, &refused) {
			t.Errorf("PutCalendar(%v) = %v, want an InputError", days, err)
		}
	}
	setRules(t, db, 1, `{}`)
	setRules(t, db, 2, `{}`)
	w.await("the rules without the calendar", nextIs(2, 2))
	if err := s.RemoveCalendar(t.Context(), "holidays"); err != nil {
		t.Error(err)
	}
	if _, err := s.Calendar(t.Context(), "holidays"); !errors.Is(err, store.ErrNoCalendar) {
		t.Errorf("Calendar after its removal = %v", err)
	}
	err = s.Edit(t.Context(), id(1), func(d *store.Definition) { d.Rules = `{"calendars": ["holidays"]}` })
	if !errors.As(err, &refused) || !strings.Contains(err.Error(), "import it") {
		t.Errorf("Edit to a calendar that is gone = %v, want an InputError", err)
	}
}

// A database that an older onebeat made gets the tables that came since, though it was
// given migrations of higher numbers.
func testOlderOwn(t *testing.T, db Database) {
	createTable(t, db, shapeNamed("full"))
	for _, statement := range []string{"DROP TABLE onebeat_calendars", "DROP TABLE onebeat_windows", "DELETE FROM onebeat_schema WHERE version_id = 2"} {
		db.Exec(t, statement)
	}
	s, err := store.Open(t.Context(), db.URL, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	pending, err := s.Pending(t.Context())
	if err != nil || len(pending) == 0 || !strings.Contains(pending[0], "onebeat_calendars") {
		t.Errorf("Pending = %.200q, %v, want the migration that is missing first", pending, err)
	}
	if err := s.EnsureOwn(t.Context()); err != nil {
		t.Fatal(err)
	}
	if all, err := s.Calendars(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("Calendars = %v, %v, want none", all, err)
	}
}

// Another program tells of its edit of a calendar as docs/time.md says.
func testCalendarsByHand(t *testing.T, db Database) {
	shape := shapeNamed("full")
	createTable(t, db, shape)
	insert(t, db, shape, 1, line{})
	setRules(t, db, 1, `{"calendars": ["holidays"]}`)
	s := open(t, db, store.Options{})
	w := watch(t, s)
	w.await("a calendar that is not there", func() bool { return w.now[id(1)].Reason == schedule.ReasonBadRow })
	write := func(day string) {
		db.Exec(t, fmt.Sprintf("INSERT INTO onebeat_calendars (calendar, day) VALUES ('holidays', '%s')", day))
		db.Exec(t, "INSERT INTO onebeat_changes (entry_id) VALUES (NULL)")
	}
	write("2030-01-02")
	w.await("a day that another program wrote", func() bool {
		e := w.now[id(1)].Entry
		return e != nil && e.Spec.Next(at(10, 0)).Equal(at(9, 0).AddDate(0, 0, 2))
	})
	if db.Postgres || db.MySQL { // which let no text in that is no date
		return
	}
	write("christmas")
	w.await("a day that can't be read", func() bool {
		return strings.Contains(w.now[id(1)].Problem, `the calendar holidays has a day that can't be read: "christmas" is no date`)
	})
}

// A calendar is part of what an audit derives slots from.
func testAuditOfCalendars(t *testing.T, db Database) {
	s := hourly(t, db, 1)
	if err := s.PutCalendar(t.Context(), "all", off("2030-01-01")); err != nil {
		t.Fatal(err)
	}
	setRules(t, db, 0, `{"calendars": ["all"]}`)
	load(t, s)
	subjects, _, err := s.Subjects(t.Context(), "", 10)
	if err != nil || len(subjects) != 1 || subjects[0].Entry == nil {
		t.Fatalf("Subjects = %+v, %v, want one with its entry", subjects, err)
	}
	if got, want := subjects[0].Entry.Spec.Next(at(0, 0).Add(-time.Second)), at(0, 0).AddDate(0, 0, 1); !got.Equal(want) {
		t.Errorf("the first slot that is expected is %v, want %v", got, want)
	}
}

// An entry whose rules allow so many runs is done after them, and its row is disabled or
// deleted with the record of the last.
func testLimits(t *testing.T, db Database) {
	shape := shapeNamed("full")
	createTable(t, db, shape)
	for n := range 4 {
		insert(t, db, shape, n, line{spec: "@every 1h"})
	}
	setRules(t, db, 1, `{"max_runs": 2}`)
	setRules(t, db, 2, `{"max_runs": 2, "then": "delete"}`)
	setRules(t, db, 3, `{"max_runs": 2, "then": "keep"}`)
	s := open(t, db, store.Options{})
	w := watch(t, s)
	w.await("all entries", func() bool { return w.loaded })
	for n, want := range map[int]schedule.Limit{
		0: {},
		1: {Runs: 2, Then: schedule.ThenDisable},
		2: {Runs: 2, Then: schedule.ThenDelete},
		3: {Runs: 2},
	} {
		if got := w.now[id(n)].Limit; got != want {
			t.Errorf("the limit of entry %d is %+v, want %+v", n, got, want)
		}
	}
	lease := acquire(t, s)
	send := func(seq int64, hour int, last bool) {
		t.Helper()
		b := batch(lease.Term, seq, at(hour, 0), id(0), id(1), id(2), id(3))
		claim(t, s, b)
		runs := sent(b)
		for n, then := range []schedule.Then{0, schedule.ThenDisable, schedule.ThenDelete, 0} {
			if last {
				runs[n].Then = then
			}
		}
		record(t, s, lease.Term, []int64{seq}, runs)
		record(t, s, lease.Term, []int64{seq}, runs) // again after an error
	}
	send(1, 9, false)
	if got := load(t, s)[id(1)]; got.Entry == nil || got.Limit.Sent != 1 {
		t.Errorf("after one run: %+v, want an entry of which one run was sent", got)
	}
	send(2, 10, true)
	is := func(n int, reason string) func() bool {
		return func() bool { return w.now[id(n)].Entry == nil && w.now[id(n)].Reason == reason }
	}
	w.await("a row disabled by its last run", is(1, schedule.ReasonDisabled))
	w.await("a row deleted by its last run", is(2, schedule.ReasonRemoved))
	if w.now[id(0)].Entry == nil {
		t.Error("the entry without a limit ended too")
	}
	// A row that is kept is done, and so is one whose last run could not disable it.
	all := load(t, s)
	if got := all[id(3)]; got.Entry != nil || got.Reason != schedule.ReasonDone {
		t.Errorf("the entry whose row is kept: %+v, want it done", got)
	}
	db.Exec(t, fmt.Sprintf("UPDATE celery_beat_schedules SET enabled = true WHERE id = '%s'", id(1)))
	w.await("an ended entry that was enabled again", is(1, schedule.ReasonDone))
	row, err := s.Find(t.Context(), string(id(1)))
	if err != nil || row.State != schedule.ReasonDone || row.TotalRunCount != 2 {
		t.Errorf("Find = %s after %d runs, %v; want it done after 2", row.State, row.TotalRunCount, err)
	}
	subjects, _, err := s.Subjects(t.Context(), "", 10)
	if err != nil {
		t.Fatal(err)
	}
	off := map[schedule.ID]string{}
	for _, subject := range subjects {
		off[subject.ID] = subject.Off
	}
	if off[id(0)] != "" || off[id(1)] != schedule.ReasonDone || off[id(2)] != schedule.ReasonRemoved || off[id(3)] != schedule.ReasonDone {
		t.Errorf("an audit expects nothing for %v", off)
	}
	// A person gives it more.
	setRules(t, db, 1, `{"max_runs": 3}`)
	w.await("an entry that may run once more", func() bool {
		change := w.now[id(1)]
		return change.Entry != nil && change.Limit == schedule.Limit{Runs: 3, Then: schedule.ThenDisable, Sent: 2}
	})
}

// A last run is recorded though its row can't be disabled.
func testLimitOfAHeldRow(t *testing.T, db Database) {
	shape := shapeNamed("full")
	createTable(t, db, shape)
	insert(t, db, shape, 1, line{spec: "@every 1h"})
	setRules(t, db, 1, `{"max_runs": 1}`)
	s := open(t, db, store.Options{})
	load(t, s)
	lease := acquire(t, s)
	b := batch(lease.Term, 1, at(9, 0), id(1))
	claim(t, s, b)
	runs := sent(b)
	runs[0].Then = schedule.ThenDisable
	if db.Postgres || db.MySQL { // SQLite has one writer at a time
		exec, commit := db.Begin(t)
		exec(fmt.Sprintf("UPDATE celery_beat_schedules SET name = 'held' WHERE id = '%s'", id(1)))
		defer commit()
	} else {
		db.Exec(t, "CREATE TRIGGER kept BEFORE UPDATE OF enabled ON celery_beat_schedules BEGIN SELECT raise(ABORT, 'not yours'); END")
	}
	record(t, s, lease.Term, []int64{1}, runs)
	if got := load(t, s)[id(1)]; got.Entry != nil || got.Reason != schedule.ReasonDone {
		t.Errorf("the entry is %+v, want it done", got)
	}
	if ended, err := s.Runs(t.Context(), store.Filter{Entry: id(1), Limit: 10}); err != nil || len(ended) != 1 {
		t.Errorf("the ledger has %d runs, %v; want 1", len(ended), err)
	}
}
