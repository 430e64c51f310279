package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
	"github.com/onebeat/onebeat/internal/store"
)

// stand runs a roster of a node that does not lead, until the test ends.
func stand(t testing.TB, s *store.Store) *store.Roster {
	t.Helper()
	roster := s.Roster()
	keep(t, "Run", roster.Run)
	select {
	case <-roster.Known():
	case <-time.After(bound):
		t.Fatalf("the roster did not read the catalog within %v", bound)
	}
	return roster
}

// Once its term is over a node remembers nothing of what it sees: it may have been frozen
// between reading a row and writing down what it saw, which another has seen since.
func testAnOldTermRemembersNothing(t *testing.T, db Database) {
	shape := shapeNamed("full")
	createTable(t, db, shape)
	migrate(t, db)
	insert(t, db, shape, 0, line{})
	insert(t, db, shape, 1, line{})
	s := open(t, db, store.Options{})
	acquire(t, s)
	load(t, s)
	db.Exec(t, "UPDATE onebeat_leases SET term = term + 1")
	remembered := func() string {
		return strings.Join(db.Query(t, "SELECT entry_id || ' ' || spec FROM onebeat_entries ORDER BY entry_id"), "; ")
	}
	was := remembered()
	db.Exec(t, "UPDATE celery_beat_schedules SET cron_expression = '@every 3s' WHERE id = '"+string(id(0))+"'")
	insert(t, db, shape, 2, line{})
	err := s.Load(t.Context(), func(context.Context, []schedule.Change) error { return nil })
	if !errors.Is(err, schedule.ErrLost) {
		t.Errorf("Load under a term that is over = %v, want %v", err, schedule.ErrLost)
	}
	if got := remembered(); got != was {
		t.Errorf("remembered are %s\nwant %s", got, was)
	}
}

// A node that stands by leaves no trace, whatever it sees; the first that leads starts
// the catalog's first start.
func testStandbyWritesNothing(t *testing.T, db Database) {
	shape := shapeNamed("full")
	createTable(t, db, shape)
	migrate(t, db)
	for n := range 3 {
		insert(t, db, shape, n, line{})
	}
	s := open(t, db, store.Options{})
	roster := stand(t, s)
	db.Exec(t, "DELETE FROM celery_beat_schedules WHERE id = '"+string(id(0))+"'")
	insert(t, db, shape, 3, line{})
	insert(t, db, shape, 4, line{spec: "no spec"})
	deadline := time.Now().Add(bound)
	for roster.Count() != 4 { // by a sweep, which comes when the log of changes was read
		s.Poke()
		if time.Now().After(deadline) {
			t.Fatalf("the roster knows %d entries, want 4", roster.Count())
		}
	}
	written := func() string {
		return strings.Join(db.Query(t, "SELECT entry_id FROM onebeat_entries"), " ") + " " + strings.Join(db.Query(t, "SELECT value FROM onebeat_meta WHERE value LIKE '2%T%'"), " ")
	}
	if got := written(); strings.TrimSpace(got) != "" {
		t.Errorf("a node that stands by wrote %q", got)
	}
	began := now(t, db)
	w := lead(t, roster, 0)
	w.await("what the roster knows", func() bool { return w.loaded })
	for n := 1; n < 4; n++ {
		e := w.now[id(n)].Entry
		if e == nil {
			t.Fatalf("entry %d was not told of: %+v", n, w.now)
		}
		between(t, "slots of an entry that nobody had run count from", e.After, began, now(t, db))
	}
	if change := w.now[id(4)]; change.Problem == "" {
		t.Errorf("a bad row was told of as %+v", change)
	}
	if _, ok := w.now[id(0)]; ok {
		t.Error("a row that is gone was told of")
	}
	if got := len(db.Query(t, "SELECT entry_id FROM onebeat_entries")); got != 3 {
		t.Errorf("%d entries are remembered once the node leads, want 3", got)
	}
	await(t, "the begin of the first start is known, and its end", func() bool {
		return len(db.Query(t, "SELECT value FROM onebeat_meta WHERE value LIKE '2%T%'")) == 2
	})
}

// Rows that are set aside are known to every node, whoever leads.
func testAside(t *testing.T, db Database) {
	shape := shapeNamed("full")
	createTable(t, db, shape)
	migrate(t, db)
	insert(t, db, shape, 0, line{})
	insert(t, db, shape, 1, line{spec: "no spec"})
	insert(t, db, shape, 2, line{spec: "nor this"})
	s := open(t, db, store.Options{})
	roster := stand(t, s)
	told := func(most int) string {
		var shown []string
		rows, all := roster.Aside(most)
		for _, row := range rows {
			shown = append(shown, fmt.Sprintf("%s %s %v", row.ID, row.Name, row.Problem != ""))
		}
		return fmt.Sprintf("%d: %s", all, strings.Join(shown, ", "))
	}
	check := func(most int, want string) {
		t.Helper()
		for deadline := time.Now().Add(bound); told(most) != want; s.Poke() {
			if time.Now().After(deadline) {
				t.Fatalf("set aside are %q, want %q", told(most), want)
			}
		}
	}
	check(10, fmt.Sprintf("2: %s entry true, %s entry true", id(1), id(2)))
	check(1, fmt.Sprintf("2: %s entry true", id(1)))
	db.Exec(t, "UPDATE celery_beat_schedules SET cron_expression = '@every 3s' WHERE id = '"+string(id(1))+"'")
	db.Exec(t, "UPDATE celery_beat_schedules SET cron_expression = 'worse' WHERE id = '"+string(id(0))+"'")
	check(10, fmt.Sprintf("2: %s entry true, %s entry true", id(0), id(2)))
	db.Exec(t, "DELETE FROM celery_beat_schedules WHERE id = '"+string(id(2))+"'")
	check(10, fmt.Sprintf("1: %s entry true", id(0)))
	w := lead(t, roster, 0)
	w.await("what the roster knows", func() bool { return w.loaded })
	check(10, fmt.Sprintf("1: %s entry true", id(0)))
}

// Whatever another node did while this one stood by, it begins from there: with what
// a node is told of that reads everything anew.
func testStandbyKnowsWhatAnotherDid(t *testing.T, db Database, held int) {
	shape := shapeNamed("full")
	createTable(t, db, shape)
	migrate(t, db)
	names := map[schedule.ID]string{}
	for n, name := range []string{"sent", "ended unsent", "claimed", "edited", "removed", "disabled", "had no slot", "paused", "was paused"} {
		names[id(n)] = name
		spec := "@every 1s from 2026-01-01T00:00:00Z"
		if name == "had no slot" {
			spec = "0 0 29 2 *"
		}
		insert(t, db, shape, n, line{name: name, spec: spec})
	}
	leader, s := open(t, db, store.Options{}), open(t, db, store.Options{Held: held})
	led := watch(t, leader)
	roster := stand(t, s)
	lease := acquire(t, leader)

	slot := led.now[id(0)].Entry.After.Truncate(time.Second).Add(time.Second)
	waitUntil(t, db, slot)
	b := batch(lease.Term, 1, slot, id(0), id(1))
	claim(t, leader, b)
	runs := sent(b)
	runs[1].State, runs[1].Reason = schedule.Skipped, schedule.ReasonMisfire
	record(t, leader, lease.Term, []int64{1}, runs)
	claim(t, leader, batch(lease.Term, 2, slot, id(2)))
	db.Exec(t, "UPDATE celery_beat_schedules SET cron_expression = '@every 2s from 2026-01-01T00:00:00Z' WHERE id = '"+string(id(3))+"'")
	db.Exec(t, "DELETE FROM celery_beat_schedules WHERE id = '"+string(id(4))+"'")
	db.Exec(t, "UPDATE celery_beat_schedules SET enabled = false WHERE id = '"+string(id(5))+"'")
	if err := leader.Pause(t.Context(), id(7), time.Time{}, "r", "b"); err != nil {
		t.Fatal(err)
	}
	if err := leader.Pause(t.Context(), id(8), now(t, db).Add(time.Second), "r", "b"); err != nil {
		t.Fatal(err)
	}
	led.await("the leader's look", func() bool {
		return led.now[id(3)].Entry != nil && strings.Contains(led.now[id(3)].Entry.Spec.String(), "2s") && led.now[id(4)].Reason == schedule.ReasonRemoved &&
			led.now[id(5)].Reason == schedule.ReasonDisabled && led.now[id(7)].Reason == schedule.ReasonPaused &&
			led.now[id(8)].Entry != nil && !led.now[id(8)].Entry.PausedUntil.IsZero()
	})
	led.stop()
	if err := leader.Shard(0).Release(t.Context(), lease.Term); err != nil {
		t.Fatal(err)
	}

	acquire(t, s)
	w := lead(t, roster, 0)
	w.await("what the roster knows", func() bool { return w.loaded })
	all := load(t, open(t, db, store.Options{}))
	for id, name := range names {
		got, want := w.now[id], all[id]
		if (got.Entry == nil) != (want.Entry == nil) || got.Reason != want.Reason && want.Reason != "" {
			t.Errorf("%s: told of as %+v, want %+v", name, got, want)
			continue
		}
		if e := want.Entry; e != nil && (!got.Entry.After.Equal(e.After) || !got.Entry.PausedUntil.Equal(e.PausedUntil) || got.Entry.Spec.String() != e.Spec.String() || got.Entry.Digest != e.Digest) {
			t.Errorf("%s: told of as %+v, want %+v", name, got.Entry, e)
		}
	}
	if got := w.now[id(0)].Entry; got == nil || got.After.Before(slot) {
		t.Errorf("the slot %v that another node sent is owed again: %+v", slot, got)
	}
}

// Run state in memory is that of one process: of a shard that another has led since, it begins anew.
func testStandbyWithRunStateInMemory(t *testing.T, db Database) {
	shape := shapeNamed("full")
	createTable(t, db, shape)
	insert(t, db, shape, 0, line{spec: "@every 1s from 2026-01-01T00:00:00Z"})
	insert(t, db, shape, 1, line{spec: "0 0 29 2 *"})
	var nodes [2]*store.Store
	var rosters [2]*store.Roster
	for n := range nodes {
		nodes[n] = open(t, db, store.Options{Home: store.HomeMemory})
		rosters[n] = stand(t, nodes[n])
	}
	var last time.Time
	for term, n := range []int{0, 1, 0, 0} {
		lease := acquire(t, nodes[n])
		w := lead(t, rosters[n], 0)
		w.await("all entries", func() bool { return w.loaded })
		e := w.now[id(0)].Entry
		if e == nil || w.now[id(1)].Entry == nil || e.After.Before(last) {
			t.Fatalf("term %d: told of %+v, want both entries, and none of the slots up to %v again", term+1, w.now, last)
		}
		if own := term == 3; own != e.After.Equal(last) {
			t.Errorf("term %d, which follows one of this node's own %v: slots count from %v, and the last was %v", term+1, own, e.After, last)
		}
		last = e.Spec.Next(e.After)
		waitUntil(t, db, last)
		b := batch(lease.Term, int64(term)+1, last, id(0))
		claim(t, nodes[n], b)
		record(t, nodes[n], lease.Term, []int64{b.Seq}, sent(b))
		w.stop()
		if err := nodes[n].Shard(0).Release(t.Context(), lease.Term); err != nil {
			t.Fatal(err)
		}
	}
}

// Where no trigger tells of edits, whoever comes to lead looks for those that another may have sent from before it
// hands over what it knows. Nor need it have seen what the journal names.
func testStandbyLooksForEdits(t *testing.T, db Database) {
	const known, edited = "0 0 29 2 *", "@every 1s from 2026-01-01T00:00:00Z"
	shape := shapeNamed("D")
	createTable(t, db, shape)
	for n := range 3 {
		insert(t, db, shape, n, line{spec: known})
	}
	leader, s := open(t, db, store.Options{}), open(t, db, store.Options{})
	led, roster := watch(t, leader), stand(t, s)
	lease := acquire(t, leader)
	insert(t, db, shape, 3, line{spec: known})
	s.Poke()
	await(t, "a look, after which there is none for most of a second", func() bool { return roster.Count() == 4 })

	db.Exec(t, "UPDATE celery_beat_schedules SET cron_expression = '"+edited+"' WHERE id = '"+string(id(0))+"'")
	db.Exec(t, "DELETE FROM celery_beat_schedules WHERE id = '"+string(id(1))+"'")
	db.Exec(t, "UPDATE celery_beat_schedules SET enabled = false WHERE id = '"+string(id(2))+"'")
	insert(t, db, shape, 4, line{spec: edited})
	leader.Poke()
	led.await("the leader's look", func() bool {
		e := led.now[id(0)].Entry
		return e != nil && strings.Contains(e.Spec.String(), "every") && led.now[id(1)].Reason == schedule.ReasonRemoved &&
			led.now[id(2)].Reason == schedule.ReasonDisabled && led.now[id(4)].Entry != nil
	})
	slot := led.now[id(0)].Entry.Spec.Next(now(t, db))
	b := batch(lease.Term, 1, slot, id(0))
	claim(t, leader, b)
	record(t, leader, lease.Term, []int64{1}, sent(b))
	claim(t, leader, batch(lease.Term, 2, slot, id(4)))
	led.stop()
	if err := leader.Shard(0).Release(t.Context(), lease.Term); err != nil {
		t.Fatal(err)
	}

	acquire(t, s)
	w := lead(t, roster, 0, id(4))
	w.await("what the roster knows", func() bool { return w.loaded })
	told := w.told(0)
	if len(told) == 0 || told[0].ID != id(4) || told[0].Entry == nil {
		t.Errorf("told of %+v, want what the journal names first", told)
	}
	for _, change := range told {
		e := change.Entry
		switch {
		case change.ID == id(3) || change.ID == id(4) || e == nil:
		case change.ID != id(0):
			t.Errorf("told of %s as if it were there", change.ID)
		case e.Spec.String() == known || e.After.Before(slot):
			t.Errorf("told of %v after %v, of which another has sent the slot %v as %s", e.Spec, e.After, slot, edited)
		}
	}
}

// Entries that are to come first do, whether all are read for the first time or known.
func testFirst(t *testing.T, db Database) {
	shape := shapeNamed("full")
	createTable(t, db, shape)
	migrate(t, db)
	const entries = 3000
	s := open(t, db, store.Options{})
	var definitions []store.Definition
	for n := range entries {
		definitions = append(definitions, store.Definition{Name: fmt.Sprint(n), Task: "t", Spec: "@every 1s", Enabled: true})
	}
	if _, err := s.Apply(t.Context(), definitions, false); err != nil {
		t.Fatal(err)
	}
	rows, err := s.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	wanted := []schedule.ID{rows[entries-1].ID, rows[entries/2].ID, id(entries)} // the last has no row
	roster := s.Roster()
	for _, when := range []string{"the first time", "known before"} {
		w := lead(t, roster, 0, wanted...)
		if when == "the first time" {
			keep(t, "Run", roster.Run)
		}
		w.await("all entries", func() bool { return w.loaded })
		told := w.told(0)
		got := map[schedule.ID]bool{told[0].ID: true, told[1].ID: true}
		if !got[wanted[0]] || !got[wanted[1]] {
			t.Errorf("%s: told of %s and %s first, want those that were asked for", when, told[0].ID, told[1].ID)
		}
		if len(w.now) != entries {
			t.Errorf("%s: told of %d entries, want %d", when, len(w.now), entries)
		}
		w.stop()
	}

	// An id of another catalog is none that this table could have.
	other := s.Roster()
	w := lead(t, other, 0, "file:report")
	keep(t, "Run", other.Run)
	w.await("all entries, none of which came first", func() bool { return w.loaded && len(w.now) == entries })
}

// A roster follows what a leader does within seconds, so that little is left to be
// read when it comes to lead; and one that leads again is told of everything anew.
func testStandbyLeadsAgain(t *testing.T, db Database, held int) {
	shape := shapeNamed("full")
	createTable(t, db, shape)
	migrate(t, db)
	insert(t, db, shape, 1, line{spec: "@every 1s from 2026-01-01T00:00:00Z"})
	insert(t, db, shape, 2, line{spec: "0 0 29 2 *"})
	s := open(t, db, store.Options{Held: held})
	roster := stand(t, s)
	var last *schedule.Entry
	for term := range 3 {
		lease := acquire(t, s)
		w := lead(t, roster, 0)
		w.await("all entries", func() bool { return w.loaded })
		e := w.now[id(1)].Entry
		if e == nil || w.now[id(2)].Entry == nil {
			t.Fatalf("term %d: told of %+v, want both entries", term+1, w.now)
		}
		if last != nil && (e == last || e.Ended() != "" || !e.After.After(last.After)) {
			t.Errorf("term %d: told of %+v, want a new one that goes on after the slot of the term before", term+1, e)
		}
		slot := e.Spec.Next(e.After)
		waitUntil(t, db, slot)
		b := batch(lease.Term, int64(term)+1, slot, id(1))
		claim(t, s, b)
		record(t, s, lease.Term, []int64{b.Seq}, sent(b))
		e.End(schedule.ReasonEdited, time.Time{}, nil, time.Time{})
		last = e
		w.stop()
		if err := s.Shard(0).Release(t.Context(), lease.Term); err != nil {
			t.Fatal(err)
		}
	}
}

// What a planner does not hold of an entry it gets when it wants it: the definition
// that it was told of, unless that is another by now.
func testDefinitions(t *testing.T, db Database) {
	shape := shapeNamed("full")
	createTable(t, db, shape)
	migrate(t, db)
	for n, name := range []string{"as it was", "edited", "removed", "disabled", "paused", "bad"} {
		insert(t, db, shape, n, line{name: name})
	}
	s := open(t, db, store.Options{Prepare: func(e *schedule.Entry) error {
		e.Payload = e.Name + " is prepared"
		return nil
	}})
	roster := s.Roster()
	keep(t, "Run", roster.Run)
	w := lead(t, roster, 0)
	w.await("all entries", func() bool { return w.loaded })
	digests := map[schedule.ID]uint64{}
	var ids []schedule.ID
	for n := range 7 { // the last never was there
		ids = append(ids, id(n))
		if e := w.now[id(n)].Entry; e != nil {
			digests[id(n)] = e.Digest
		}
	}
	for n, sql := range []string{
		"UPDATE celery_beat_schedules SET args = '[2]'", "DELETE FROM celery_beat_schedules",
		"UPDATE celery_beat_schedules SET enabled = false", "", "UPDATE celery_beat_schedules SET cron_expression = 'no spec'",
	} {
		if sql != "" {
			db.Exec(t, sql+" WHERE id = '"+string(id(n+1))+"'")
		}
	}
	if err := s.Pause(t.Context(), id(4), time.Time{}, "r", "b"); err != nil {
		t.Fatal(err)
	}
	entries, err := roster.Entries(t.Context(), ids)
	if err != nil {
		t.Fatal(err)
	}
	got := map[schedule.ID]*schedule.Entry{}
	for _, e := range entries {
		got[e.ID] = e
	}
	if len(entries) != 2 || got[id(0)] == nil || got[id(1)] == nil {
		t.Fatalf("Entries = %v, want the one that is as it was and the one that was edited", got)
	}
	if e := got[id(0)]; e.Digest != digests[e.ID] || e.Payload != "as it was is prepared" {
		t.Errorf("of an entry that is as it was: %+v, want the digest %d", e, digests[e.ID])
	}
	if e := got[id(1)]; e.Digest == digests[e.ID] {
		t.Errorf("an entry that was edited has the digest that it had: %+v", e)
	}
}

// Entries that are due every few minutes are told of before all others, wherever in the table they are. PostgreSQL
// looks for them while it reads, so that among a few rows the order says nothing.
func testSoonest(t *testing.T, db Database) {
	shape := shapeNamed("full")
	createTable(t, db, shape)
	migrate(t, db)
	specs := []string{"0 9 * * *", "@every 12h", "@at 2099-01-01T00:00:00Z", "*/5 * * * *", "@every 90s", "@every 2m from 2026-01-01T00:00:00Z"}
	for n, spec := range specs {
		insert(t, db, shape, n, line{spec: spec})
	}
	roster := open(t, db, store.Options{}).Roster()
	w := lead(t, roster, 0)
	keep(t, "Run", roster.Run)
	w.await("all entries", func() bool { return w.loaded })
	told := w.told(0)
	var got []schedule.ID
	for _, change := range told {
		got = append(got, change.ID)
	}
	if len(got) != len(specs) {
		t.Fatalf("told of %v, want each of %d once", got, len(specs))
	}
	slices.Sort(got[:3])
	if db.Postgres {
		return
	}
	if want := []schedule.ID{id(3), id(4), id(5)}; !slices.Equal(got[:3], want) {
		t.Errorf("told of %v first, want %v", got[:3], want)
	}
}

// Beyond what is held, an entry that is good and not due soon comes without its definition; what is
// wrong with a row is told all the same, and what is to come first comes whole.
func testLeft(t *testing.T, db Database) {
	shape := shapeNamed("full")
	createTable(t, db, shape)
	migrate(t, db)
	names := []string{"far", "far too", "near", "first", "of another kind", "unsure", "unprepared"}
	for n, name := range names {
		insert(t, db, shape, n, line{name: name})
	}
	db.Exec(t, "UPDATE celery_beat_schedules SET cron_expression = '@at 2099-01-01T00:00:00Z' WHERE name <> 'near'")
	db.Exec(t, "UPDATE celery_beat_schedules SET cron_expression = '* * * * *' WHERE name = 'near'")
	db.Exec(t, "UPDATE celery_beat_schedules SET options = '[1]' WHERE name = 'of another kind'")
	s := open(t, db, store.Options{
		Held: 1,
		Prepare: func(e *schedule.Entry) error {
			if e.Name == "unprepared" {
				return errors.New("no route for the task")
			}
			e.Payload = e.Name + " is prepared"
			return nil
		},
		Sound: func(e *schedule.Entry) bool { return e.Options != "[1]" && !strings.HasPrefix(e.Name, "un") },
	})
	roster := s.Roster()
	keep(t, "Run", roster.Run)
	w := lead(t, roster, 0, id(3))
	w.await("all entries", func() bool { return w.loaded })
	for n, name := range names {
		change := w.now[id(n)]
		var got any
		if change.Entry != nil {
			got = change.Entry.Payload
		}
		want := any(schedule.Left{})
		switch name {
		case "near", "first", "unsure":
			want = name + " is prepared"
		case "of another kind", "unprepared":
			want = nil
		}
		if got != want || want == nil && change.Reason != schedule.ReasonBadRow {
			t.Errorf("%s: the payload is %v and the reason %q, want %v", name, got, change.Reason, want)
		}
	}
	entries, err := roster.Entries(t.Context(), []schedule.ID{id(0), id(1)})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Payload != e.Name+" is prepared" || e.Digest != w.now[e.ID].Entry.Digest {
			t.Errorf("%s: the definition that was left is %+v, want it prepared with the digest that was told", e.Name, e)
		}
	}
	if len(entries) != 2 {
		t.Errorf("%d definitions of two that were left", len(entries))
	}
}

// A catalog that has many more entries than are held comes without the definitions of those that are not due soon, from the
// first on; of a smaller one so many are held.
func testLarge(t *testing.T, db Database) {
	const entries = 3000 // more than are applied together
	shape := shapeNamed("full")
	createTable(t, db, shape)
	migrate(t, db)
	s := open(t, db, store.Options{})
	definitions := make([]store.Definition, entries)
	for n := range definitions {
		definitions[n] = store.Definition{Name: fmt.Sprintf("far %d", n), Task: "tasks.add", Spec: "@at 2099-01-01T00:00:00Z", Enabled: true}
	}
	definitions[7].Name, definitions[7].Spec = "near", "* * * * *"
	if err := s.Fill(t.Context(), definitions); err != nil {
		t.Fatal(err)
	}
	if db.MySQL {
		db.Exec(t, "ANALYZE TABLE celery_beat_schedules") // its guess is old else
	}
	for _, tt := range []struct{ held, want int }{{entries / 10, 1}, {entries * 2 / 3, entries * 2 / 3}} {
		s := open(t, db, store.Options{
			Held:    tt.held,
			Prepare: func(e *schedule.Entry) error { e.Payload = "prepared"; return nil },
			Sound:   func(*schedule.Entry) bool { return true },
		})
		lease := acquire(t, s)
		prepared := map[string]bool{}
		err := s.Load(t.Context(), func(_ context.Context, changes []schedule.Change) error {
			for _, change := range changes {
				if change.Entry != nil && !change.Entry.Left() {
					prepared[change.Name] = true
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := len(prepared); !prepared["near"] || got < tt.want || got > tt.want+1 {
			t.Errorf("of %d, of which %d may be held, %d are told of with their definitions, want about %d and the one that is due soon", entries, tt.held, got, tt.want)
		}
		if err := s.Shard(0).Release(t.Context(), lease.Term); err != nil {
			t.Fatal(err)
		}
	}
}

// Each shard's leader is told of its own entries and requests, and of no others.
func testShards(t *testing.T, db Database) {
	const shards, entries = 3, 30
	shape := shapeNamed("full")
	createTable(t, db, shape)
	migrate(t, db)
	for n := range entries {
		insert(t, db, shape, n, line{})
	}
	s := open(t, db, store.Options{Shards: shards})
	roster := s.Roster()
	var led [shards]*watching
	for shard := range shards - 1 {
		led[shard] = lead(t, roster, shard)
	}
	keep(t, "Run", roster.Run)
	for shard := range shards - 1 {
		led[shard].await("its entries", func() bool { return led[shard].loaded })
	}
	led[shards-1] = lead(t, roster, shards-1) // it comes later
	led[shards-1].await("its entries", func() bool { return led[shards-1].loaded })
	insert(t, db, shape, entries, line{})
	if _, err := s.Ask(t.Context(), id(entries), "b"); err != nil {
		t.Fatal(err)
	}
	owner := led[id(entries).Shard(shards)]
	owner.await("a new row and a request", func() bool { return owner.now[id(entries)].Entry != nil && len(owner.asked) == 1 })
	told := 0
	for shard, w := range led {
		told += len(w.now)
		for id := range w.now {
			if id.Shard(shards) != shard {
				t.Errorf("shard %d was told of %s, which is of shard %d", shard, id, id.Shard(shards))
			}
		}
		if w != owner && len(w.asked) > 0 {
			t.Errorf("shard %d was told of another's request", shard)
		}
		if len(w.now) < entries/shards/3 {
			t.Errorf("shard %d has %d of %d entries", shard, len(w.now), entries)
		}
	}
	if told != entries+1 {
		t.Errorf("%d entries were told of, want each of %d once", told, entries+1)
	}
}

// Each shard has a first start of its own: who leads it sees to its entries, and is told of no others. It has ended
// of all shards once it has of each.
func testShardsAtTheFirstStart(t *testing.T, db Database) {
	const shards, entries = 3, 30
	shape := shapeNamed("full")
	createTable(t, db, shape)
	migrate(t, db)
	for n := range entries {
		insert(t, db, shape, n, line{})
	}
	instants := func() (all []time.Time) { // that of its begin, of each end, and of all ends
		for _, text := range db.Query(t, "SELECT value FROM onebeat_meta WHERE value LIKE '2%T%'") {
			at, err := time.Parse(time.RFC3339Nano, text)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, at)
		}
		slices.SortFunc(all, time.Time.Compare) // their texts, without zeros at their ends, are in another order
		return all
	}
	seen := map[schedule.ID]bool{}
	for shard, want := range []int{2, 3, 5} {
		w := lead(t, stand(t, open(t, db, store.Options{Node: fmt.Sprint(shard), Shards: shards})), shard)
		w.await("its entries", func() bool { return w.loaded })
		await(t, "the end of its first start", func() bool { return len(instants()) >= want })
		if got := instants(); len(got) != want {
			t.Errorf("once %d shards of %d are led there are %d instants of the first start, want %d", shard+1, shards, len(got), want)
		}
		began := instants()[0]
		for id, change := range w.now {
			if seen[id] = true; id.Shard(shards) != shard {
				t.Errorf("shard %d was told of %s, which is of shard %d", shard, id, id.Shard(shards))
			}
			if change.Entry == nil || !change.Entry.After.Equal(began) {
				t.Errorf("shard %d was told of %+v, want slots since %v", shard, change, began)
			}
		}
		for _, id := range db.Query(t, "SELECT entry_id FROM onebeat_entries") {
			if !seen[schedule.ID(id)] {
				t.Errorf("%s is remembered, which is of shard %d, and nobody leads that", id, schedule.ID(id).Shard(shards))
			}
		}
	}
	if remembered := len(db.Query(t, "SELECT entry_id FROM onebeat_entries")); len(seen) != entries || remembered != entries {
		t.Errorf("%d entries of %d were told of, and %d are remembered", len(seen), entries, remembered)
	}
	// What comes now is new to any number of shards.
	fewer := open(t, db, store.Options{Node: "fewer", Shards: 1})
	insert(t, db, shape, entries, line{})
	w := lead(t, stand(t, fewer), 0)
	w.await("its entries", func() bool { return w.loaded })
	began := w.now[id(0)].Entry.After
	if e := w.now[id(entries)].Entry; e == nil || !e.After.After(began) {
		t.Errorf("an entry that came after the first start is %+v, want slots since then", w.now[id(entries)])
	}
}

// waitUntil waits until the database's clock has come to the instant.
func waitUntil(t testing.TB, db Database, at time.Time) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for over := time.Now().Add(bound); !now(t, db).After(at); <-tick.C {
		if time.Now().After(over) {
			t.Fatalf("%v did not come within %v", at, bound)
		}
	}
}
