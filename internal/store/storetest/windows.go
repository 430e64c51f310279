package storetest

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
	"github.com/onebeat/onebeat/internal/store"
)

func testWindows(t *testing.T, db Database) {
	shape := shapeNamed("full")
	createTable(t, db, shape)
	for n := range 3 {
		insert(t, db, shape, n, line{})
	}
	setRules(t, db, 1, `{"group": "billing"}`)
	s := open(t, db, store.Options{Zone: "Asia/Tokyo"})
	w := watch(t, s)
	if change, ok := w.now[""]; ok {
		t.Errorf("told of windows that there are not: %+v", change)
	}
	// holds says by which window the slot is held for each entry, as the watcher knows it.
	holds := func(slot time.Time) (names [3]string) {
		for n := range names {
			reason, _ := w.now[""].Windows.Closed(w.now[id(n)].Entry, slot)
			names[n] = strings.TrimPrefix(reason, schedule.ReasonWindow)
		}
		return names
	}
	add := func(window store.Window) {
		t.Helper()
		window.Reason = "why"
		if err := s.AddWindow(t.Context(), window); err != nil {
			t.Fatal(err)
		}
	}
	add(store.Window{Name: "move", Scope: schedule.ScopeAll, Spec: "@at 2030-01-01T09:00:00Z", Length: time.Hour})
	w.await("a window for all", func() bool { return holds(at(9, 30)) == [3]string{"move: why", "move: why", "move: why"} })
	add(store.Window{Name: "bills", Scope: schedule.ScopeGroup, Target: "billing", Spec: "0 2 * * *", Length: 2 * time.Hour}) // by Tokyo's clocks
	add(store.Window{Name: "one", Scope: schedule.ScopeEntry, Target: string(id(2)), Spec: "0 17 * * *", Zone: "UTC", Length: time.Hour})
	w.await("windows for a group and an entry", func() bool { return holds(at(17, 30)) == [3]string{"", "bills: why", "one: why"} })

	// One who comes later to lead knows them, before it knows any entry.
	second := watch(t, open(t, db, store.Options{Zone: "Asia/Tokyo"}))
	if log := second.told(0); len(log) == 0 || log[0].Windows == nil {
		t.Errorf("the first news are %+v, want the windows", log)
	}

	all, usable, err := s.Windows(t.Context())
	if err != nil || len(all) != 3 || all[0].Name != "bills" || all[2].Length != time.Hour || all[2].Zone != "UTC" {
		t.Errorf("Windows = %+v, %v", all, err)
	}
	if reason, _ := usable.Closed(&schedule.Entry{ID: "any", Spec: w.now[id(0)].Entry.Spec}, at(9, 30)); reason != "window move: why" {
		t.Errorf("the usable windows hold 9:30 by %q", reason)
	}
	// A row that can't be used holds nothing, and stops no other.
	db.Exec(t, "INSERT INTO onebeat_windows (name, scope, spec, seconds, reason) VALUES ('odd', 'some', '* * * * *', 60, 'r')")
	db.Exec(t, "INSERT INTO onebeat_windows (name, scope, spec, seconds, reason) VALUES ('endless', 'all', '* * * * *', 0, 'r')")
	db.Exec(t, "INSERT INTO onebeat_changes (entry_id) VALUES (NULL)")
	all, usable, err = s.Windows(t.Context())
	problems := map[string]string{}
	for _, window := range all {
		if window.Problem != "" {
			problems[window.Name] = window.Problem
		}
	}
	if err != nil || len(problems) != 2 || !strings.Contains(problems["odd"], "write all, group or entry") || !strings.Contains(problems["endless"], "seconds are out of range") {
		t.Errorf("Windows of odd rows = %q, %v", problems, err)
	}
	if reason, _ := usable.Closed(&schedule.Entry{ID: "any", Spec: w.now[id(0)].Entry.Spec}, at(3, 0)); reason != "" {
		t.Errorf("a window that can't be used holds 3:00: %s", reason)
	}

	if err := s.RemoveWindow(t.Context(), "move"); err != nil {
		t.Error(err)
	}
	w.await("a window that is gone", func() bool { return holds(at(9, 30)) == [3]string{} })
	if err := s.RemoveWindow(t.Context(), "move"); !errors.Is(err, store.ErrNoWindow) {
		t.Errorf("RemoveWindow of none = %v", err)
	}
	for _, name := range []string{"bills", "one", "odd", "endless"} {
		if err := s.RemoveWindow(t.Context(), name); err != nil {
			t.Error(err)
		}
	}
	w.await("no window", func() bool { return holds(at(17, 30)) == [3]string{} })

	var refused *store.InputError
	for _, window := range []store.Window{
		{Name: "", Scope: schedule.ScopeAll, Spec: "0 2 * * *", Length: time.Hour},
		{Name: "w", Scope: "some", Spec: "0 2 * * *", Length: time.Hour},
		{Name: "w", Scope: schedule.ScopeAll, Target: "x", Spec: "0 2 * * *", Length: time.Hour},
		{Name: "w", Scope: schedule.ScopeGroup, Spec: "0 2 * * *", Length: time.Hour},
		{Name: "w", Scope: schedule.ScopeAll, Spec: "0 25 * * *", Length: time.Hour},
		{Name: "w", Scope: schedule.ScopeAll, Spec: "0 2 * * *", Zone: "Mars", Length: time.Hour},
		{Name: "w", Scope: schedule.ScopeAll, Spec: "0 2 * * *"},
		{Name: "w", Scope: schedule.ScopeAll, Spec: "0 2 * * *", Length: 1000 * 24 * time.Hour},
	} {
		if err := s.AddWindow(t.Context(), window); !errors.As(err, &refused) {
			t.Errorf("AddWindow(%+v) = %v, want an InputError", window, err)
		}
	}
	add(store.Window{Name: "w", Scope: schedule.ScopeAll, Spec: "0 2 * * *", Length: time.Hour})
	if err := s.AddWindow(t.Context(), store.Window{Name: "w", Scope: schedule.ScopeAll, Spec: "0 3 * * *", Length: time.Hour}); !errors.As(err, &refused) {
		t.Errorf("AddWindow of a name twice = %v, want an InputError", err)
	}
}

// Who comes to lead knows how many runs of an entry with a bound were sent meanwhile,
// though none of them was a slot.
func testStandbyKnowsRunsAskedFor(t *testing.T, db Database) {
	shape := shapeNamed("full")
	createTable(t, db, shape)
	insert(t, db, shape, 1, line{spec: "0 0 29 2 *"})
	insert(t, db, shape, 2, line{spec: "@at 2098-01-01T00:00:00Z"})
	setRules(t, db, 1, `{"max_runs": 5}`)
	setRules(t, db, 2, `{"then": "delete"}`)
	leader, s := open(t, db, store.Options{}), open(t, db, store.Options{})
	led := watch(t, leader)
	roster := stand(t, s)
	lease := acquire(t, leader)
	request, err := leader.Ask(t.Context(), id(1), "somebody")
	if err != nil {
		t.Fatal(err)
	}
	b := batch(lease.Term, 1, now(t, db), id(1))
	b.Dues[0].Request = fmt.Sprint(request)
	claim(t, leader, b)
	runs := sent(b)
	runs[0].Request = b.Dues[0].Request
	record(t, leader, lease.Term, []int64{1}, runs)
	led.stop()
	w := lead(t, roster, 0)
	w.await("what the roster knows", func() bool { return w.loaded })
	if got, want := w.now[id(1)].Limit, (schedule.Limit{Runs: 5, Then: schedule.ThenDisable, Sent: 1}); got != want {
		t.Errorf("the limit is %+v, want %+v", got, want)
	}
	if got, want := w.now[id(2)].Limit, (schedule.Limit{Then: schedule.ThenDelete}); got != want {
		t.Errorf("the limit of the only slot is %+v, want %+v", got, want)
	}
}
