package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/onebeat/onebeat/internal/schedule"
	"github.com/onebeat/onebeat/internal/store"
)

func testEntries(t *testing.T, db Database) {
	createTable(t, db, shapeNamed("full"))
	s := open(t, db, store.Options{})
	w := watch(t, s)
	want := store.Definition{
		Name: "report", Task: "tasks.report", Spec: "0 9 * * 1-5", Zone: "Asia/Tokyo", Enabled: true,
		Args: `[1.50, "x"]`, Kwargs: `{"a":null}`, Options: `{"queue": "priority"}`, Description: "for the boss",
		Misfire: schedule.Misfire{Policy: schedule.All, Count: 3, Age: time.Hour},
	}
	added, err := s.Add(t.Context(), want)
	if err != nil {
		t.Fatal(err)
	}
	w.await("the new entry", func() bool { return w.now[added].Entry != nil })
	row, err := s.Find(t.Context(), "report")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(store.Row{ID: added, Definition: want, State: store.Active}, row, cmpopts.IgnoreFields(store.Row{}, "Entry")); diff != "" {
		t.Errorf("Find of what was added (-want +got):\n%s", diff)
	}
	if row.Entry == nil || row.Entry.Misfire != want.Misfire || row.Entry.Options != want.Options {
		t.Errorf("its entry = %+v", row.Entry)
	}

	want.Kwargs, want.Enabled, want.Zone = "{}", false, ""
	if err := s.Edit(t.Context(), added, func(d *store.Definition) { d.Kwargs, d.Enabled, d.Zone = "", false, "" }); err != nil {
		t.Fatal(err)
	}
	w.await("the edit", func() bool { return w.now[added].Reason == schedule.ReasonDisabled })
	if row, err = s.Find(t.Context(), string(added)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(store.Row{ID: added, Definition: want, State: schedule.ReasonDisabled}, row); diff != "" {
		t.Errorf("Find of what was edited (-want +got):\n%s", diff)
	}

	twin, err := s.Add(t.Context(), store.Definition{Name: "report", Task: "t", Spec: "@every 90s", Enabled: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Find(t.Context(), "report"); err == nil || !strings.Contains(err.Error(), string(added)) || !strings.Contains(err.Error(), string(twin)) {
		t.Errorf("Find of a name that two have = %v, want both ids", err)
	}
	insert(t, db, shapeNamed("full"), 1, line{name: "bad", spec: "x"})
	rows, err := s.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	states := map[string]int{}
	for _, row := range rows {
		states[row.State]++
	}
	if !slices.IsSortedFunc(rows, func(a, b store.Row) int { return strings.Compare(a.Name, b.Name) }) {
		t.Errorf("List = %+v, want it by name", rows)
	}
	if diff := cmp.Diff(map[string]int{store.Active: 1, schedule.ReasonDisabled: 1, schedule.ReasonBadRow: 1}, states); diff != "" {
		t.Errorf("states of List (-want +got):\n%s", diff)
	}

	// A column that takes less is named in words; SQLite's take all.
	long, refused := strings.Repeat("x", 1000), new(store.InputError)
	lengthened := s.Edit(t.Context(), added, func(d *store.Definition) { d.Task = long })
	tooLong, err := s.Add(t.Context(), store.Definition{Name: long, Task: "t", Spec: "@every 90s", Enabled: true})
	for what, err := range map[string]error{"Add": err, "Edit": lengthened} {
		if err != nil && (!errors.As(err, &refused) || !strings.Contains(err.Error(), "longer than")) {
			t.Errorf("%s of a text that is too long = %v, want an InputError that says so", what, err)
		}
	}
	if err == nil {
		if err := s.Remove(t.Context(), tooLong); err != nil {
			t.Fatal(err)
		}
	}

	if err := s.Remove(t.Context(), added); err != nil {
		t.Fatal(err)
	}
	w.await("the end", func() bool { return w.now[added].Reason == schedule.ReasonRemoved })
	if _, err := s.Find(t.Context(), string(added)); !errors.Is(err, store.ErrNoEntry) {
		t.Errorf("Find of what was removed = %v, want ErrNoEntry", err)
	}
	for what, err := range map[string]error{
		"Remove": s.Remove(t.Context(), added), "Edit": s.Edit(t.Context(), added, func(*store.Definition) {}),
	} {
		if !errors.Is(err, store.ErrNoEntry) {
			t.Errorf("%s of what was removed = %v, want ErrNoEntry", what, err)
		}
	}
	if err := s.Resume(t.Context(), twin); !errors.Is(err, store.ErrNotPaused) {
		t.Errorf("Resume of what is not paused = %v, want ErrNotPaused", err)
	}
}

// Before onebeat was ever started here, all entries can be looked at, and that makes nothing.
func testBare(t *testing.T, db Database) {
	createTable(t, db, shapeNamed("A"))
	insert(t, db, shapeNamed("A"), 0, line{name: "good"})
	insert(t, db, shapeNamed("A"), 1, line{name: "bad", spec: "x"})
	s, err := store.Open(t.Context(), db.URL, store.Options{Sources: []store.Source{newPaper(note("written", "0 9 * * *"))}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	pending, err := s.Pending(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	states := func() map[string]string {
		t.Helper()
		rows, err := s.List(t.Context())
		if err != nil {
			t.Fatalf("List: %v", err)
		}
		states := map[string]string{}
		for _, row := range rows {
			states[row.Name] = row.State
		}
		return states
	}
	want := map[string]string{"good": store.Active, "bad": schedule.ReasonBadRow, "written": store.Active}
	if diff := cmp.Diff(want, states()); diff != "" {
		t.Errorf("states of List (-want +got):\n%s", diff)
	}
	if row, err := s.Find(t.Context(), "good"); err != nil || row.ID != id(0) {
		t.Errorf("Find = %+v, %v, want the entry", row, err)
	}
	if calendars, err := s.Calendars(t.Context()); err != nil || len(calendars) > 0 {
		t.Errorf("Calendars = %v, %v, want none", calendars, err)
	}
	if windows, _, err := s.Windows(t.Context()); err != nil || len(windows) > 0 {
		t.Errorf("Windows = %v, %v, want none", windows, err)
	}
	if after, err := s.Pending(t.Context()); err != nil || len(after) != len(pending) {
		t.Errorf("%d statements pend after a look and %d did before, %v", len(after), len(pending), err)
	}

	if err := s.EnsureOwn(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Pause(t.Context(), id(0), time.Time{}, "a move", "ada"); err != nil {
		t.Fatal(err)
	}
	want["good"] = schedule.ReasonPaused
	if diff := cmp.Diff(want, states()); diff != "" {
		t.Errorf("states of List once the tables are there (-want +got):\n%s", diff)
	}
}

func testBadInput(t *testing.T, db Database) {
	createTable(t, db, shapeNamed("ORM"))
	insert(t, db, shapeNamed("ORM"), 1, line{})
	s := open(t, db, store.Options{})
	good := store.Definition{Name: "n", Task: "t", Spec: "0 9 * * *", Enabled: true}
	for name, spoil := range map[string]func(*store.Definition){
		"spec":                     func(d *store.Definition) { d.Spec = "0 9 * *" },
		"no name":                  func(d *store.Definition) { d.Name = "" },
		"no task":                  func(d *store.Definition) { d.Task = "" },
		"args":                     func(d *store.Definition) { d.Args = "{}" },
		"kwargs":                   func(d *store.Definition) { d.Kwargs = "nope" },
		"a column that is missing": func(d *store.Definition) { d.Options = `{"queue": "q"}` },
	} {
		bad := good
		spoil(&bad)
		var input *store.InputError
		if _, err := s.Add(t.Context(), bad); !errors.As(err, &input) {
			t.Errorf("Add with %s = %v, want an InputError", name, err)
		}
		if err := s.Edit(t.Context(), id(1), spoil); !errors.As(err, &input) {
			t.Errorf("Edit with %s = %v, want an InputError", name, err)
		}
	}
	var input *store.InputError
	if err := s.Pause(t.Context(), id(1), time.Unix(0, 0), "", ""); !errors.As(err, &input) {
		t.Errorf("Pause until long ago = %v, want an InputError", err)
	}
	if got := db.Query(t, "SELECT name FROM celery_beat_schedules"); len(got) != 1 || got[0] != "entry" {
		t.Errorf("the table has %v, want what it had", got)
	}
	if _, err := s.Add(t.Context(), good); err != nil { // columns that an ORM fills in are filled in
		t.Errorf("Add = %v", err)
	}
}

func testMigrate(t *testing.T, db Database) {
	for _, shape := range shapes {
		createTable(t, db, shape)
		insert(t, db, shape, 1, line{})
		s := open(t, db, store.Options{})
		pending, err := s.Pending(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got := len(pending) > 0; got != (shape.statement != nil) {
			t.Errorf("shape %s: Pending = %q", shape.name, pending)
		}
		migrate(t, db)
		if pending, err = s.Pending(t.Context()); err != nil || len(pending) != 0 {
			t.Errorf("shape %s: Pending after Migrate = %q, %v; want none", shape.name, pending, err)
		}
		migrate(t, db)
		insert(t, db, shape, 2, line{name: "by an older program"})
		db.Exec(t, "UPDATE celery_beat_schedules SET enabled = false WHERE name = 'entry'")
		all := load(t, s)
		if all[id(1)].Reason != schedule.ReasonDisabled || all[id(2)].Entry == nil {
			t.Errorf("shape %s: after Migrate the rows are %+v", shape.name, all)
		}
		if all[id(2)].Entry.Misfire.Policy != schedule.Once {
			t.Errorf("shape %s: misfire policy %q, want once", shape.name, all[id(2)].Entry.Misfire.Policy)
		}
		db.Exec(t, "DROP TABLE celery_beat_schedules")
	}
}

// Rows that ask for what onebeat does not do are counted, in a column of whatever kind.
func testUnheeded(t *testing.T, db Database) {
	createTable(t, db, shapeNamed("A"))
	for i := range 3 {
		insert(t, db, shapeNamed("A"), i, line{name: fmt.Sprint(i)})
	}
	kind := "varchar(20)"
	if db.Postgres {
		kind = "execution_policy"
		db.Exec(t, "CREATE TYPE execution_policy AS ENUM ('allow', 'SKIP')")
	}
	db.Exec(t, "ALTER TABLE celery_beat_schedules ADD COLUMN execution_policy "+kind)
	db.Exec(t, "UPDATE celery_beat_schedules SET execution_policy = 'allow' WHERE name = '1'")
	db.Exec(t, "UPDATE celery_beat_schedules SET execution_policy = 'SKIP' WHERE name = '2'")
	s := open(t, db, store.Options{})
	if err := s.Look(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, err := s.Unheeded(t.Context()); n != 1 || err != nil {
		t.Errorf("Unheeded = %d, %v; want 1", n, err)
	}
}

// Who may not make tables has the SQL printed and run by somebody else: nothing is left to be made then.
func testMigrateByHand(t *testing.T, db Database) {
	s, err := store.Open(t.Context(), db.URL, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, when := range []string{"at first", "of what a later version adds"} {
		pending, err := s.Pending(t.Context())
		if err != nil || len(pending) == 0 {
			t.Fatalf("%s: Pending = %q, %v; want some", when, pending, err)
		}
		for _, text := range pending {
			db.Exec(t, text)
		}
		if pending, err := s.Pending(t.Context()); err != nil || len(pending) > 0 {
			t.Errorf("%s: Pending = %q, %v; want none", when, pending, err)
		}
		if err := s.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		join(t, s)
		db.Exec(t, "DROP TABLE onebeat_nodes")
		db.Exec(t, "DELETE FROM onebeat_schema WHERE version_id = 4")
	}
}

// Several that migrate at once, as nodes that are started together do, all find it done.
func testMigrateTogether(t *testing.T, db Database) {
	createTable(t, db, shapeNamed("A"))
	var group sync.WaitGroup
	for range 4 {
		s, err := store.Open(t.Context(), db.URL, store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		group.Go(func() {
			if err := s.Migrate(t.Context()); err != nil {
				t.Errorf("Migrate: %v", err)
			}
		})
	}
	group.Wait()
	if pending, err := open(t, db, store.Options{}).Pending(t.Context()); err != nil || len(pending) != 0 {
		t.Errorf("Pending = %q, %v; want none", pending, err)
	}
}

func testApply(t *testing.T, db Database) {
	createTable(t, db, shapeNamed("full"))
	s := open(t, db, store.Options{})
	definitions := []store.Definition{
		{Name: "a", Task: "tasks.a", Spec: "0 9 * * *", Zone: "Asia/Tokyo", Enabled: true, Args: `[1.0, "é"]`, Kwargs: `{"b": 1, "a": 2}`, Options: `{"queue": "low"}`},
		{Name: "b", Task: "tasks.b", Spec: "@every 30s", Enabled: true},
	}
	apply := func(dry bool, want ...string) []store.Step {
		t.Helper()
		steps, err := s.Apply(t.Context(), definitions, dry)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, step := range steps {
			got = append(got, strings.TrimSpace(step.Do+" "+step.Name+" "+strings.Join(step.Fields, ",")))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("Apply, dry %v (-want +got):\n%s", dry, diff)
		}
		return steps
	}
	names := func() string { return fmt.Sprint(db.Query(t, "SELECT name FROM celery_beat_schedules ORDER BY name")) }

	apply(true, "add a", "add b")
	if got := names(); got != "[]" {
		t.Fatalf("a dry run left the entries %s", got)
	}
	steps := apply(false, "add a", "add b")
	apply(false, "keep a", "keep b") // as often as one likes

	err := s.Edit(t.Context(), steps[0].ID, func(d *store.Definition) {
		d.Description, d.Misfire.Policy, d.Rules = "by a person", schedule.Skip, `{"weekend": "sat,sun"}`
	})
	if err != nil {
		t.Fatal(err)
	}
	definitions[0].Spec, definitions[0].Kwargs = "0 10 * * *", `{"a": 2}`
	apply(true, "change a spec,kwargs", "keep b")
	apply(false, "change a spec,kwargs", "keep b")
	row, err := s.Find(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	if row.ID != steps[0].ID || row.Spec != "0 10 * * *" || row.Description != "by a person" || row.Misfire.Policy != schedule.Skip || row.Rules == "" {
		t.Errorf("the changed entry is %+v, want it with its new spec, and its description, policy and rules as they were", row)
	}

	for _, bad := range []struct {
		name string
		last store.Definition
		want string
	}{
		{"a spec that can't be", store.Definition{Name: "c", Task: "t", Spec: "0 25 * * *", Enabled: true}, "c: "},
		{"a name twice", store.Definition{Name: "b", Task: "t", Spec: "* * * * *", Enabled: true}, "b is defined twice"},
	} {
		all := append([]store.Definition{{Name: "new", Task: "t", Spec: "* * * * *", Enabled: true}, definitions[1]}, bad.last)
		_, err := s.Apply(t.Context(), all, false)
		var refused *store.InputError
		if !errors.As(err, &refused) || !strings.Contains(err.Error(), bad.want) {
			t.Errorf("%s: Apply = %v, want an InputError with %q", bad.name, err, bad.want)
		}
		if got := names(); got != "[a b]" {
			t.Errorf("%s: the entries are %s, want none changed", bad.name, got)
		}
	}
}
