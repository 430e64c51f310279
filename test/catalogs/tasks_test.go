package catalogs

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/onebeat/onebeat/internal/schedule"
	"github.com/onebeat/onebeat/internal/store"
)

// schedules makes the tables and a schedule of each kind, by the scheduler's own models.
const schedules = `
nine = cron(minute="0,30", hour="9", day_of_week="mon-fri", timezone="Asia/Tokyo")
dusk = sun("sunset", 35.6895, 139.6917)
day = once(at(2030, 1, 1, 9, 0, 0, 250))
`

// A goodTask is one of a kind, as the models make it, with the spec and the options that
// it is read as.
type goodTask struct{ name, make, spec, options string }

var goodTasks = []goodTask{
	{"crontab", `crontab=nine, args="[1, 2]", kwargs='{"a": null}'`, "CRON_TZ=Asia/Tokyo 0,30 9 * * 1-5", `{}`},
	{"same crontab", `crontab=nine, queue="high", priority=7, headers='{"x": "y"}', expire_seconds=60`, "CRON_TZ=Asia/Tokyo 0,30 9 * * 1-5", `{"queue":"high","priority":7,"headers":{"x":"y"},"expires":60}`},
	{"routed", `crontab=nine, exchange="ex", routing_key="key", expire_seconds=0`, "CRON_TZ=Asia/Tokyo 0,30 9 * * 1-5", `{"exchange":"ex","routing_key":"key"}`},
	{"blanks", `crontab=plain_cron(minute=" 0, 30", hour="9 ")`, "0,30 9 * * *", `{}`},
	{"30 seconds", `interval=every(30, "seconds"), start_time=at(2030, 1, 1, 0, 0, 7)`, `@rules {"start":"2030-01-01T00:00:07Z"} @every 30s from 1970-01-01T00:00:07Z`, `{}`},
	{"2 days", `interval=every(2, "days"), last_run_at=at(2026, 1, 1, 9, 0, 5, 999999)`, "@every 2d from 1970-01-01T09:00:05Z", `{}`},
	{"1500000 microseconds", `interval=every(1500000, "microseconds"), last_run_at=at(2026, 1, 1, 0, 0, 0, 700000)`, `@every 1.5s from 1970-01-01T00:00:00Z`, `{}`},
	{"6 hours", `interval=every(6, "hours"), start_time=at(2030, 1, 1, 1)`, `@rules {"start":"2030-01-01T01:00:00Z"} @every 6h from 1970-01-01T01:00:00Z`, `{}`},
	// 2030-01-01 is 1,893,456,000 s after the Unix epoch, which leaves 240 s of 420.
	{"7 minutes", `interval=every(7, "minutes"), start_time=at(2030, 1, 1), expires=at(2030, 2, 1)`, `@rules {"start":"2030-01-01T00:00:00Z","end":"2030-01-31T23:59:59.999999Z"} @every 7m from 1970-01-01T00:04:00Z`, `{"expires":"2030-02-01T00:00:00+00:00"}`},
	{"solar", `solar=dusk`, "@solar sunset 35.6895 139.6917", `{}`},
	{"clocked", `clocked=day, one_off=True`, "@at 2030-01-01T09:00:00.00025Z", `{}`},
	{"clocked later", `clocked=day, one_off=True, start_time=at(2030, 1, 2), expires=at(2030, 1, 3)`, "@at 2030-01-02T00:00:00Z", `{"expires":"2030-01-03T00:00:00+00:00"}`},
}

// offTasks have no slots.
var offTasks = []goodTask{
	{name: "disabled", make: `crontab=nine, enabled=False`},
	{name: "has run", make: `crontab=nine, one_off=True, total_run_count=1`},
}

func TestTasksOfEachKindAreRead(t *testing.T) {
	var code strings.Builder
	code.WriteString(schedules)
	for _, good := range append(goodTasks[:len(goodTasks):len(goodTasks)], offTasks...) {
		fmt.Fprintf(&code, "task(%q, %s)\n", good.name, good.make)
	}
	each(t, func(t *testing.T, c catalog) {
		d := newTables(t, c)
		d.python(t, code.String(), nil)
		all := load(t, d.open(t))
		for _, want := range goodTasks {
			name := want.name
			if name == "clocked" && c.name == "sqlalchemy" && c.kind == "MariaDB" {
				want.spec = "@at 2030-01-01T09:00:00Z" // its columns hold whole seconds
			}
			change := all[name]
			if change.Entry == nil {
				t.Errorf("%s is not planned: %s %s", name, change.Reason, change.Problem)
				continue
			}
			if got := change.Entry.Spec.String(); got != want.spec {
				t.Errorf("%s is %s, want %s", name, got, want.spec)
			}
			if change.Entry.Task != "tasks.add" {
				t.Errorf("%s sends %s", name, change.Entry.Task)
			}
			if diff := cmp.Diff(options(t, want.options), options(t, change.Entry.Options)); diff != "" {
				t.Errorf("options of %s (-want +got):\n%s", name, diff)
			}
		}
		if e := all["crontab"].Entry; e != nil && (e.Args != "[1, 2]" || e.Kwargs != `{"a": null}`) {
			t.Errorf("arguments are %s and %s", e.Args, e.Kwargs)
		}
		for _, off := range offTasks {
			if got := all[off.name]; got.Entry != nil || got.Reason != schedule.ReasonDisabled {
				t.Errorf("the task %q is %+v, want it disabled", off.name, got)
			}
		}
		for name, want := range map[string]string{"disabled": "its row says so", "has run": "is a one-off task that has run, by its count of runs (1)"} {
			if out, _ := d.onebeat(t, "explain", name); !strings.Contains(out, want) {
				t.Errorf("explain %q says %s; want %q", name, out, want)
			}
		}
	})
}

// options are those of apply_async, without headers where there are none.
func options(t *testing.T, text string) map[string]any {
	t.Helper()
	var read map[string]any
	if err := json.Unmarshal([]byte(text), &read); err != nil {
		t.Fatalf("options %s: %v", text, err)
	}
	if headers, _ := read["headers"].(map[string]any); len(headers) == 0 {
		delete(read, "headers")
	}
	return read
}

// A badTask is one that Celery's own beat sleeps or dies on, or could not send, with a
// word of what is said of it.
type badTask struct{ name, make, says string }

var badTasks = []badTask{
	{"day 7", `crontab=plain_cron(day_of_week="7")`, "day of week 7"},
	{"blank", `crontab=plain_cron(minute="1 2")`, "minute"},
	{"empty", `crontab=plain_cron(hour="")`, "hour is empty"},
	{"list", `crontab=plain_cron(hour="[1, 2]")`, "hour"},
	{"date", `crontab=plain_cron(day_of_month="30", month_of_year="2")`, "never comes"},
	{"zone", `crontab=plain_cron(minute="1", timezone="Etc/GMT+12")`, "zone"}, // and Mars by plain SQL
	{"args", `crontab=nine, args="[1, secret"`, "args"},
	{"kind", `crontab=nine, args='{"secret": 1}'`, "args"},
	{"kwargs", `crontab=nine, kwargs='["secret"]'`, "kwargs"},
	{"headers", `crontab=nine, headers="secret"`, "headers"},
	{"both", `crontab=nine, expires=at(2030, 1, 1)); change("both", expire_seconds=5`, "expires"},
	{"clocked", `clocked=day, one_off=True); change("clocked", one_off=False`, "one_off"},
	{"fast", `interval=every(10, "microseconds")`, "too short"},
	{"over", `crontab=nine, start_time=at(2030, 1, 2), expires=at(2030, 1, 1)`, "later expires"},
	{"task", `crontab=nine); change("task", task=""`, "task is empty"},
}

// moreBadTasks are those of one scheduler.
var moreBadTasks = map[string][]badTask{
	"django": {
		{"none", `crontab=nine); change("none", crontab=None`, "no schedule"},
		{"several", `crontab=nine); change("several", solar=dusk`, "2 schedules"},
		{"nothing", `interval=every(0, "days")`, "1 or more"},
	},
	"sqlalchemy": {
		{"none", `crontab=nine); change("none", schedule_id=999`, "not in its table"},
		{"kind of schedule", `crontab=nine); change("kind of schedule", discriminator="rrule"`, "discriminator"},
		{"timeless", `clocked=once(None), one_off=True`, "is empty there"},
		{"negative", `crontab=nine, expire_seconds=-5`, "expires"},
	},
}

func TestBadTasksAreSetAside(t *testing.T) {
	eachZoned(t, func(t *testing.T, c catalog) {
		bad := append(badTasks[:len(badTasks):len(badTasks)], moreBadTasks[c.name]...)
		var code strings.Builder
		code.WriteString(schedules)
		for _, bad := range bad {
			fmt.Fprintf(&code, "task(%q, %s)\n", bad.name, bad.make)
		}
		code.WriteString(`task("good", crontab=nine)` + "\n")
		d := newTables(t, c)
		d.python(t, code.String(), nil)
		d.exec(t, "UPDATE {crontabschedule} SET timezone = 'Mars/Olympus' WHERE timezone = 'Etc/GMT+12'")
		all := load(t, d.open(t))
		for _, bad := range bad {
			change := all[bad.name]
			if change.Entry != nil || change.Reason != schedule.ReasonBadRow || !strings.Contains(change.Problem, bad.says) {
				t.Errorf("%s = %+v, want a bad row whose problem speaks of %q", bad.name, change, bad.says)
			}
			if strings.Contains(change.Problem, "secret") || strings.Contains(change.Problem, "\n") {
				t.Errorf("problem %q shows arguments or has several lines", change.Problem)
			}
		}
		if all["good"].Entry == nil {
			t.Errorf("the good row = %+v", all["good"])
		}
	})
}

// A task as the scheduler's models show it.
type task struct {
	Enabled bool      `json:"enabled"`
	Runs    int       `json:"runs"`
	Last    time.Time `json:"last"`
	Changed time.Time `json:"changed"`
}

// A runner sends slots of tasks, but for a broker.
type runner struct {
	s     *store.Store
	all   map[string]schedule.Change
	term  int64
	seq   int64
	slots map[string][]time.Time // sent, by name
}

func newRunner(t *testing.T, s *store.Store) *runner {
	t.Helper()
	lease, won, err := s.Shard(0).Acquire(t.Context(), "node")
	if err != nil || !won {
		t.Fatalf("Acquire = %v, %v", won, err)
	}
	return &runner{s: s, all: load(t, s), term: lease.Term, slots: map[string][]time.Time{}}
}

// run claims and records the next slot of each task.
func (r *runner) run(t *testing.T, names ...string) {
	t.Helper()
	r.seq++
	batch := schedule.Batch{Term: r.term, Seq: r.seq}
	var runs []schedule.Run
	for _, name := range names {
		e := r.all[name].Entry
		from := e.After
		if n := len(r.slots[name]); n > 0 {
			from = r.slots[name][n-1]
		}
		slot := e.Spec.Next(from)
		r.slots[name] = append(r.slots[name], slot)
		batch.Dues = append(batch.Dues, schedule.Due{Entry: e, Slot: slot})
		runs = append(runs, schedule.Run{Entry: e.ID, Name: name, Task: e.Task, Slot: slot, Count: 1, State: schedule.Sent, TaskID: name, Node: "node", Term: r.term, SentAt: slot})
	}
	r.record(t, batch, runs)
}

// record claims a batch and records its runs.
func (r *runner) record(t *testing.T, batch schedule.Batch, runs []schedule.Run) {
	t.Helper()
	if err := r.s.Shard(0).Claim(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	if err := r.s.Shard(0).Record(t.Context(), r.term, []int64{batch.Seq}, runs); err != nil {
		t.Fatal(err)
	}
}

// ask records a run that a person asked for.
func (r *runner) ask(t *testing.T, name string) {
	t.Helper()
	r.seq++
	e, at := r.all[name].Entry, time.Now().UTC().Truncate(time.Microsecond)
	r.record(t, schedule.Batch{Term: r.term, Seq: r.seq, Dues: []schedule.Due{{Entry: e, Slot: at, Request: "r"}}},
		[]schedule.Run{{Entry: e.ID, Name: name, Task: e.Task, Slot: at, Count: 1, State: schedule.Sent, TaskID: name, Request: "r", Term: r.term, SentAt: at}})
}

func TestModelsAreToldOfRuns(t *testing.T) {
	each(t, func(t *testing.T, c catalog) {
		d := newTables(t, c)
		d.python(t, schedules+`
task("grid", interval=every(7, "seconds"))
task("parts", interval=every(2500000, "microseconds"))
task("crontab", crontab=nine)
task("one-off", interval=every(1, "seconds"), one_off=True)
task("clocked", clocked=day, one_off=True)
task("asked for", crontab=nine, one_off=True)
mark(at(2020, 1, 1))
`, nil)
		r := newRunner(t, d.open(t))
		began := time.Now().Add(-5 * time.Second) // clocks of two programs
		r.run(t, "grid", "crontab", "parts")
		r.run(t, "grid", "parts")
		r.ask(t, "asked for")
		var mark time.Time
		if d.python(t, "mark()", &mark); mark.UTC().Year() != 2020 {
			t.Errorf("plain runs moved the mark of changes to %v", mark)
		}
		r.run(t, "one-off", "clocked")

		done := func(name string) time.Time {
			if c.name == "django" {
				return time.Time{}
			}
			return r.slots[name][0]
		}
		var tasks map[string]task
		d.python(t, "show()", &tasks)
		for name, want := range map[string]struct {
			enabled bool
			runs    int
			last    time.Time
		}{
			"grid": {true, 2, r.slots["grid"][1]}, "parts": {true, 2, r.slots["parts"][1]}, "crontab": {true, 1, r.slots["crontab"][0]},
			"one-off": {last: done("one-off")}, "clocked": {last: done("clocked")}, "asked for": {enabled: true},
		} {
			if c.name == "sqlalchemy" && c.kind == "MariaDB" {
				want.last = want.last.Truncate(time.Second)
			}
			got := tasks[name]
			if got.Enabled != want.enabled || got.Runs != want.runs || !got.Last.Equal(want.last) || name != "asked for" && got.Changed.Before(began) {
				t.Errorf("%s = %+v, want %+v and a change since %v", name, got, want, began)
			}
		}
		if d.python(t, "mark()", &mark); mark.Before(began) {
			t.Errorf("a task that is done left the mark of changes at %v", mark)
		}

		// The slots that follow are on the grid as before, for this node and the next.
		again := load(t, d.open(t))
		for _, name := range []string{"grid", "parts"} {
			got, want := again[name].Entry, r.all[name].Entry
			if got == nil || got.Spec.String() != want.Spec.String() || got.Digest != want.Digest || !got.After.Equal(r.slots[name][1]) {
				t.Errorf("after runs the entry is %+v, want %s after %v", got, want.Spec, r.slots[name][1])
			}
		}
		for _, name := range []string{"one-off", "clocked"} {
			if again[name].Reason != schedule.ReasonDisabled {
				t.Errorf("%s = %+v, want it disabled", name, again[name])
			}
			if e := r.all[name].Entry; !e.Spec.Next(r.slots[name][0]).IsZero() {
				t.Errorf("%s has the slot %v after its one", name, e.Spec.Next(r.slots[name][0]))
			}
		}
		if again["asked for"].Entry == nil {
			t.Errorf("a one-off that was asked for before its slot = %+v, want it to come", again["asked for"])
		}

		// A form that was opened before a run and saved after it takes the row back.
		d.python(t, `save("crontab", last_run_at=at(2020, 1, 1), total_run_count=0)`, nil)
		if e := load(t, d.open(t))["crontab"].Entry; e == nil || !e.After.Equal(r.slots["crontab"][0]) {
			t.Errorf("a row that was taken back is %+v, want slots after %v", e, r.slots["crontab"][0])
		}

		// Who enables it again wants another run.
		<-time.After(time.Until(r.slots["one-off"][0])) // it was sent before its time
		d.python(t, `change("one-off", enabled=True)`, nil)
		if e := load(t, r.s)["one-off"].Entry; e == nil || e.Spec.Next(e.After).IsZero() {
			t.Errorf("enabled again = %+v, want a slot", e)
		}
	})
}

// withAndWithout runs the test for each catalog with triggers and without.
func withAndWithout(t *testing.T, test func(t *testing.T, d *database, triggers bool)) {
	eachZoned(t, func(t *testing.T, c catalog) {
		for _, triggers := range []bool{true, false} {
			t.Run(fmt.Sprintf("triggers %v", triggers), func(t *testing.T) {
				t.Parallel()
				test(t, newTables(t, c), triggers)
			})
		}
	})
}

func TestEditsAreSeen(t *testing.T) {
	withAndWithout(t, func(t *testing.T, d *database, triggers bool) {
		d.python(t, schedules+`
task("a", crontab=nine)
task("b", crontab=nine)
task("grid", interval=every(10, "seconds"), start_time=at(2030, 1, 1))
`, nil)
		s := d.open(t)
		if triggers {
			columns := d.columns(t)
			for range 2 { // it may be called again
				if err := s.Migrate(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if pending, err := s.Pending(t.Context()); err != nil || len(pending) > 0 {
				t.Errorf("Pending = %v, %v; want nothing", pending, err)
			}
			if diff := cmp.Diff(columns, d.columns(t)); diff != "" {
				t.Errorf("migrate changed the columns (-before +after):\n%s", diff)
			}
		}
		w := watch(t, s)
		var late []time.Duration
		see := func(what string, there func() bool) { late = append(late, w.await(what, there)) }
		d.exec(t, "UPDATE {crontabschedule} SET hour = '10'")
		see("a crontab's new hour in both tasks", func() bool {
			const want = "CRON_TZ=Asia/Tokyo 0,30 10 * * 1-5"
			return w.spec("a") == want && w.spec("b") == want
		})
		d.exec(t, "UPDATE {intervalschedule} SET every = 20")
		see("a new interval", func() bool { return strings.Contains(w.spec("grid"), "@every 20s") })
		d.exec(t, "UPDATE {periodictask} SET enabled = false WHERE name = 'a'")
		see("a task that is off", func() bool { return w.spec("a") == "" })
		d.exec(t, "DELETE FROM {periodictask} WHERE name = 'b'")
		see("a task that is gone", func() bool { return w.spec("b") == "" })
		d.python(t, `
edit_cron(hour="11")
save("a", enabled=True)
task("new", crontab=first_cron())
`, nil)
		w.await("what the models saved", func() bool {
			const want = "CRON_TZ=Asia/Tokyo 0,30 11 * * 1-5"
			return w.spec("a") == want && w.spec("new") == want
		})
		// A bound with much room: a second and its sweep, on a busy machine.
		for _, took := range late {
			if took > 10*time.Second {
				t.Errorf("edits were seen after %v", late)
			}
		}
		t.Logf("edits were seen after %v", late)
	})
}

// A schedule that is taken away from under its task by plain SQL, which no foreign key
// hinders, is missed, and one that is put there is found.
func TestSchedulesWithoutForeignKeysComeAndGo(t *testing.T) {
	eachOf(t, "sqlalchemy", func(t *testing.T, c catalog) {
		d := newTables(t, c)
		d.python(t, schedules+`task("a", crontab=nine)`, nil)
		w := watch(t, d.open(t))
		d.exec(t, "UPDATE {crontabschedule} SET id = 7")
		w.await("a schedule that is gone", func() bool { return w.spec("a") == "" })
		d.exec(t, "UPDATE {crontabschedule} SET id = 1")
		w.await("a schedule that came", func() bool { return w.spec("a") != "" })
	})
}

// columns are those of the scheduler's tables as the database describes them.
func (d *database) columns(t *testing.T) (columns []string) {
	t.Helper()
	prefix := d.prefix()
	query := "SELECT concat(table_name, ' ', column_name, ' ', data_type, ' ', is_nullable, ' ', coalesce(column_default, 'none')) FROM information_schema.columns WHERE table_name LIKE '" + prefix + "%' ORDER BY 1"
	switch d.kind {
	case "SQLite":
		query = "SELECT sql FROM sqlite_master WHERE tbl_name LIKE '" + prefix + "%' AND type <> 'trigger' AND sql IS NOT NULL ORDER BY 1"
	case "MariaDB":
		query = strings.Replace(query, "WHERE", "WHERE table_schema = database() AND", 1)
	}
	rows, err := d.db.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var column string
		if err := rows.Scan(&column); err != nil {
			t.Fatal(err)
		}
		columns = append(columns, column)
	}
	if len(columns) == 0 {
		t.Fatalf("the tables %s… have no columns", prefix)
	}
	return columns
}

// The own record of a run is news of nothing, with triggers and without.
func TestRecordsAreNoChanges(t *testing.T) {
	withAndWithout(t, func(t *testing.T, d *database, triggers bool) {
		d.python(t, schedules+`
task("grid", interval=every(7, "seconds"))
task("parts", interval=every(2500000, "microseconds"))
task("crontab", crontab=nine)
task("edited", crontab=nine)
`, nil)
		s := d.open(t)
		if triggers {
			if err := s.Migrate(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		w := watch(t, s)
		r := newRunner(t, s)
		told := w.told
		for range 3 {
			r.run(t, "grid", "parts", "crontab")
		}
		// What is seen after them was looked for after them.
		d.exec(t, "UPDATE {periodictask} SET queue = 'other' WHERE name = 'edited'")
		w.await("an edit", func() bool { return w.told > told })
		s.Poke()
		d.exec(t, "UPDATE {periodictask} SET queue = 'third' WHERE name = 'edited'")
		w.await("another edit", func() bool { return w.told > told+1 })
		w.mu.Lock()
		defer w.mu.Unlock()
		if news := w.told - told; news != 2 {
			t.Errorf("%d news came of two edits and three records of others", news)
		}
	})
}

// oldTables are the tables of old versions of django-celery-beat, each with the last of
// its migrations.
var oldTables = []struct{ version, migration string }{
	{"1.5", "0011_auto_20190508_0153"},             // no expire_seconds, and a clocked time has a column more
	{"2.0", "0012_periodictask_expire_seconds"},    // that column still
	{"2.1", "0014_remove_clockedschedule_enabled"}, // as today
}

func TestDjangoOfOldVersions(t *testing.T) {
	eachWhere(t, func(c catalog) bool { return c.name == "django" && c.zone == "" }, func(t *testing.T, c catalog) {
		for _, old := range oldTables {
			t.Run(old.version, func(t *testing.T) {
				d := newDatabase(t, c)
				d.python(t, fmt.Sprintf("call_command('migrate', 'django_celery_beat', %q, verbosity=0)", old.migration), nil)
				more, value := ", enabled", ", true"
				if old.version == "2.1" {
					more, value = "", ""
				}
				d.exec(t, "INSERT INTO {clockedschedule} (id, clocked_time"+more+") VALUES (1, '"+c.stored(t, time.Date(2030, 1, 1, 9, 0, 0, 0, time.UTC))+"'"+value+")")
				d.exec(t, "INSERT INTO {intervalschedule} (id, every, period) VALUES (1, 2, 'hours')")
				d.exec(t, "INSERT INTO {crontabschedule} (id, minute, hour, day_of_week, day_of_month, month_of_year, timezone) VALUES (1, '0', '9', '*', '*', '*', 'Asia/Tokyo')")
				for _, column := range []string{"clocked", "interval", "crontab"} {
					d.exec(t, fmt.Sprintf("INSERT INTO {periodictask} (name, task, args, kwargs, headers, enabled, one_off, total_run_count, date_changed, description, %s_id)"+
						" VALUES ('%[1]s', 'tasks.add', '[]', '{}', '{}', true, %v, 0, '%[3]s', '', 1)", column, column == "clocked", c.stored(t, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))))
				}
				s := d.open(t)
				if err := s.Migrate(t.Context()); err != nil {
					t.Fatal(err)
				}
				w, r := watch(t, s), newRunner(t, s)
				for name, want := range map[string]string{
					"clocked": "@at 2030-01-01T09:00:00Z", "interval": "@every 2h from 1970-01-01T00:00:00Z", "crontab": "CRON_TZ=Asia/Tokyo 0 9 * * *",
				} {
					if e := r.all[name].Entry; e == nil || e.Spec.String() != want {
						t.Fatalf("%s is %+v, want %s", name, r.all[name], want)
					}
				}
				r.run(t, "clocked", "interval", "crontab")
				var enabled, ran int
				if err := d.db.QueryRowContext(t.Context(), d.sql("SELECT count(*), sum(total_run_count) FROM {periodictask} WHERE enabled")).Scan(&enabled, &ran); err != nil || enabled != 2 || ran != 2 {
					t.Errorf("%d tasks are enabled and ran %d times, %v; want two, once each", enabled, ran, err)
				}
				d.exec(t, "UPDATE {crontabschedule} SET hour = '10'")
				w.await("a crontab's new hour", func() bool { return w.spec("crontab") == "CRON_TZ=Asia/Tokyo 0 10 * * *" })
			})
		}
	})
}

// Tables of sqlalchemy-celery-beat 0.5 are read too: they have neither headers nor
// expire_seconds, and less is NOT NULL.
func TestSQLAlchemyOfOldVersions(t *testing.T) {
	eachOf(t, "sqlalchemy", func(t *testing.T, c catalog) {
		d := newTables(t, c)
		d.python(t, schedules+`
task("old", interval=every(2, "hours"), last_run_at=at(2026, 1, 1))
task("bare", crontab=plain_cron(timezone=""))
`, nil)
		for _, column := range []string{"headers", "expire_seconds"} {
			d.exec(t, "ALTER TABLE {periodictask} DROP COLUMN "+column)
		}
		if c.kind == "PostgreSQL" {
			d.exec(t, "ALTER TABLE {periodictask} ALTER one_off DROP NOT NULL")
			d.exec(t, "UPDATE {periodictask} SET one_off = NULL")
		}
		s := d.open(t)
		if err := s.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		r := newRunner(t, s)
		for name, want := range map[string]string{"old": "@every 2h from 1970-01-01T00:00:00Z", "bare": "* * * * *"} {
			if e := r.all[name].Entry; e == nil || e.Spec.String() != want {
				t.Errorf("%s is %+v, want %s", name, e, want)
			}
		}
		r.run(t, "old", "bare")
		var enabled int
		if err := d.db.QueryRowContext(t.Context(), d.sql("SELECT count(*) FROM {periodictask} WHERE enabled AND total_run_count = 1")).Scan(&enabled); err != nil || enabled != 2 {
			t.Errorf("%d tasks are enabled and ran once, %v; want both", enabled, err)
		}
	})
}
