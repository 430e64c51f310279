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

// kindsOfTasks makes a task of each kind, one to a name, by Django's own models.
const kindsOfTasks = `
from datetime import datetime, timedelta, timezone
call_command("migrate", verbosity=0)
at = lambda *a: datetime(*a, tzinfo=timezone.utc)
every = lambda n, period: IntervalSchedule.objects.create(every=n, period=period)
nine = CrontabSchedule.objects.create(minute=" 0, 30", hour="9 ", day_of_week="mon-fri", day_of_month="*", month_of_year="*", timezone="Asia/Tokyo")
sun = SolarSchedule.objects.create(event="sunset", latitude=35.6895, longitude=139.6917)
once = ClockedSchedule.objects.create(clocked_time=at(2030, 1, 1, 9, 0, 0, 250))
task = lambda name, **kw: PeriodicTask.objects.create(name=name, task="tasks.add", **kw)
`

const goodTasks = `
task("crontab", crontab=nine, args="[1, 2]", kwargs='{"a": null}')
task("same crontab", crontab=nine, queue="high", priority=7, headers='{"x": "y"}', expire_seconds=60)
task("routed", crontab=nine, exchange="ex", routing_key="key")
task("30 seconds", interval=every(30, "seconds"), start_time=at(2030, 1, 1, 0, 0, 7))
task("2 days", interval=every(2, "days"), last_run_at=at(2026, 1, 1, 9, 0, 5, 999999))
task("1500000 microseconds", interval=every(1500000, "microseconds"), start_time=at(2030, 1, 1))
task("6 hours", interval=every(6, "hours"), start_time=at(2030, 1, 1, 1))
task("7 minutes", interval=every(7, "minutes"), start_time=at(2030, 1, 1), expires=at(2030, 2, 1))
task("solar", solar=sun)
task("clocked", clocked=once, one_off=True)
task("clocked later", clocked=once, one_off=True, start_time=at(2030, 1, 2), expires=at(2030, 1, 3))
task("disabled", crontab=nine, enabled=False)
`

func TestDjangoReadsEachKind(t *testing.T) {
	t.Parallel()
	want := map[string]struct{ spec, options string }{
		"crontab":              {"CRON_TZ=Asia/Tokyo 0,30 9 * * 1-5", `{}`},
		"same crontab":         {"CRON_TZ=Asia/Tokyo 0,30 9 * * 1-5", `{"queue":"high","priority":7,"headers":{"x":"y"},"expires":60}`},
		"routed":               {"CRON_TZ=Asia/Tokyo 0,30 9 * * 1-5", `{"exchange":"ex","routing_key":"key"}`},
		"30 seconds":           {`@rules {"start":"2030-01-01T00:00:07Z"} @every 30s from 1970-01-01T00:00:07Z`, `{}`},
		"2 days":               {"@every 2d from 1970-01-01T09:00:05Z", `{}`},
		"1500000 microseconds": {`@rules {"start":"2030-01-01T00:00:00Z"} @every 1.5s from 1970-01-01T00:00:00Z`, `{}`},
		"6 hours":              {`@rules {"start":"2030-01-01T01:00:00Z"} @every 6h from 1970-01-01T01:00:00Z`, `{}`},
		// 2030-01-01 is 1,893,456,000 s after the Unix epoch, which leaves 240 s of 420.
		"7 minutes": {`@rules {"start":"2030-01-01T00:00:00Z","end":"2030-01-31T23:59:59.999999Z"} @every 7m from 1970-01-01T00:04:00Z`, `{"expires":"2030-02-01T00:00:00+00:00"}`},
		"solar":     {"@solar sunset 35.6895 139.6917", `{}`},
		"clocked":   {"@at 2030-01-01T09:00:00.00025Z", `{}`},
	}
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			d := newDatabase(t, kind)
			d.django(t, kindsOfTasks+goodTasks, nil)
			all := load(t, d.open(t, store.Options{Catalog: "django"}))
			for name, want := range want {
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
			if disabled := all["disabled"]; disabled.Entry != nil || disabled.Reason != schedule.ReasonDisabled {
				t.Errorf("the disabled task is %+v", disabled)
			}
		})
	}
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

// badTasks are tasks that Celery's own beat sleeps or dies on, or could not send,
// each with a word of what is said of it.
var badTasks = []struct{ name, make, says string }{
	{"none", `crontab=nine); PeriodicTask.objects.filter(name="none").update(crontab=None`, "no schedule"},
	{"several", `crontab=nine); PeriodicTask.objects.filter(name="several").update(solar=sun`, "2 schedules"},
	{"day 7", `crontab=CrontabSchedule.objects.create(day_of_week="7")`, "day of week 7"},
	{"blank", `crontab=CrontabSchedule.objects.create(minute="1 2")`, "minute"},
	{"empty", `crontab=CrontabSchedule.objects.create(hour="")`, "hour is empty"},
	{"zone", `crontab=CrontabSchedule.objects.create(minute="1")); CrontabSchedule.objects.filter(minute="1").update(timezone="Etc/GMT+12"`, "zone"},
	{"date", `crontab=CrontabSchedule.objects.create(day_of_month="30", month_of_year="2")`, "never comes"},
	{"args", `crontab=nine, args="[1, secret"`, "args"},
	{"kind", `crontab=nine, args='{"secret": 1}'`, "args"},
	{"kwargs", `crontab=nine, kwargs='["secret"]'`, "kwargs"},
	{"headers", `crontab=nine, headers="secret"`, "headers"},
	{"both", `crontab=nine, expires=at(2030, 1, 1)); PeriodicTask.objects.filter(name="both").update(expire_seconds=5`, "expires"},
	{"clocked", `clocked=once, one_off=True); PeriodicTask.objects.filter(name="clocked").update(one_off=False`, "one_off"},
	{"fast", `interval=every(10, "microseconds")`, "too short"},
	{"nothing", `interval=every(1, "days")); PeriodicTask.objects.get(name="nothing"); IntervalSchedule.objects.filter(period="days").update(every=0`, "1 or more"},
	{"over", `crontab=nine, start_time=at(2030, 1, 2), expires=at(2030, 1, 1)`, "later expires"},
	{"task", `crontab=nine); PeriodicTask.objects.filter(name="task").update(task=""`, "task is empty"},
}

func TestDjangoSetsBadRowsAside(t *testing.T) {
	t.Parallel()
	var code strings.Builder
	code.WriteString(kindsOfTasks)
	for _, bad := range badTasks {
		fmt.Fprintf(&code, "task(%q, %s)\n", bad.name, bad.make)
	}
	code.WriteString(`task("good", crontab=nine)` + "\n")
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			d := newDatabase(t, kind)
			d.django(t, code.String(), nil)
			d.exec(t, "UPDATE django_celery_beat_crontabschedule SET timezone = 'Mars/Olympus' WHERE timezone = 'Etc/GMT+12'")
			all := load(t, d.open(t, store.Options{Catalog: "django"}))
			for _, bad := range badTasks {
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
}

// A task as Django's models show it.
type task struct {
	Enabled bool      `json:"enabled"`
	Runs    int       `json:"runs"`
	Last    time.Time `json:"last"`
	Changed time.Time `json:"changed"`
}

const showTasks = `
tell({t.name: {"enabled": t.enabled, "runs": t.total_run_count, "last": t.last_run_at, "changed": t.date_changed} for t in PeriodicTask.objects.all()})
`

func TestDjangoIsToldOfRuns(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			d := newDatabase(t, kind)
			d.django(t, kindsOfTasks+`
task("grid", interval=every(7, "seconds"))
task("crontab", crontab=nine)
task("one-off", interval=every(1, "seconds"), one_off=True)
task("clocked", clocked=once, one_off=True)
PeriodicTasks.objects.update(last_update=at(2020, 1, 1))
`, nil)
			s := d.open(t, store.Options{Catalog: "django"})
			first := load(t, s)
			lease, won, err := s.Acquire(t.Context(), "node")
			if err != nil || !won {
				t.Fatalf("Acquire = %v, %v", won, err)
			}
			slots := map[string][]time.Time{}
			run := func(seq int64, names ...string) {
				t.Helper()
				batch := schedule.Batch{Term: lease.Term, Seq: seq}
				var runs []schedule.Run
				for _, name := range names {
					e := first[name].Entry
					from := e.After
					if n := len(slots[name]); n > 0 {
						from = slots[name][n-1]
					}
					slot := e.Spec.Next(from)
					slots[name] = append(slots[name], slot)
					batch.Dues = append(batch.Dues, schedule.Due{Entry: e, Slot: slot})
					runs = append(runs, schedule.Run{Entry: e.ID, Name: name, Task: e.Task, Slot: slot, Count: 1, State: schedule.Sent, TaskID: name, Node: "node", Term: lease.Term, SentAt: slot})
				}
				if err := s.Claim(t.Context(), batch); err != nil {
					t.Fatal(err)
				}
				if err := s.Record(t.Context(), lease.Term, []int64{seq}, runs); err != nil {
					t.Fatal(err)
				}
			}
			began := time.Now().Add(-5 * time.Second) // clocks of two programs
			run(1, "grid", "crontab")
			run(2, "grid")
			var mark time.Time
			const showMark = `tell(PeriodicTasks.last_change())`
			if d.django(t, showMark, &mark); mark.Year() != 2020 {
				t.Errorf("plain runs moved Django's mark of changes to %v", mark)
			}
			run(3, "one-off", "clocked")

			var tasks map[string]task
			d.django(t, showTasks, &tasks)
			for name, want := range map[string]struct {
				enabled bool
				runs    int
				last    time.Time
			}{
				"grid": {true, 2, slots["grid"][1]}, "crontab": {true, 1, slots["crontab"][0]}, "one-off": {}, "clocked": {},
			} {
				got := tasks[name]
				if got.Enabled != want.enabled || got.Runs != want.runs || !got.Last.Equal(want.last) || got.Changed.Before(began) {
					t.Errorf("%s = %+v, want %+v and a change since %v", name, got, want, began)
				}
			}
			if d.django(t, showMark, &mark); mark.Before(began) {
				t.Errorf("a task that is done left Django's mark of changes at %v", mark)
			}

			// The slots that follow are on the grid as before, for this node and the next.
			again := load(t, d.open(t, store.Options{Catalog: "django"}))
			if got, want := again["grid"].Entry, first["grid"].Entry; got == nil || got.Spec.String() != want.Spec.String() || got.Digest != want.Digest || !got.After.Equal(slots["grid"][1]) {
				t.Errorf("after runs the entry is %+v, want %s after %v", got, want.Spec, slots["grid"][1])
			}
			for _, name := range []string{"one-off", "clocked"} {
				if again[name].Reason != schedule.ReasonDisabled {
					t.Errorf("%s = %+v, want it disabled", name, again[name])
				}
				if e := first[name].Entry; !e.Spec.Next(slots[name][0]).IsZero() {
					t.Errorf("%s has the slot %v after its one", name, e.Spec.Next(slots[name][0]))
				}
			}

			// A form that was opened before a run and saved after it takes the row back.
			d.django(t, `from datetime import datetime, timezone
t = PeriodicTask.objects.get(name="crontab"); t.last_run_at = datetime(2020, 1, 1, tzinfo=timezone.utc); t.total_run_count = 0; t.save()`, nil)
			if e := load(t, d.open(t, store.Options{Catalog: "django"}))["crontab"].Entry; e == nil || !e.After.Equal(slots["crontab"][0]) {
				t.Errorf("a row that was taken back is %+v, want slots after %v", e, slots["crontab"][0])
			}

			// Who enables it again wants another run.
			<-time.After(time.Until(slots["one-off"][0])) // it was sent before its time
			d.django(t, `PeriodicTask.objects.filter(name="one-off").update(enabled=True)`, nil)
			if e := load(t, s)["one-off"].Entry; e == nil || e.Spec.Next(e.After).IsZero() {
				t.Errorf("enabled again = %+v, want a slot", e)
			}
		})
	}
}

func TestDjangoEditsAreSeen(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		for _, triggers := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, triggers %v", kind, triggers), func(t *testing.T) {
				t.Parallel()
				d := newDatabase(t, kind)
				d.django(t, kindsOfTasks+`
task("a", crontab=nine)
task("b", crontab=nine)
task("grid", interval=every(10, "seconds"), start_time=at(2030, 1, 1))
`, nil)
				s := d.open(t, store.Options{Catalog: "django"})
				if triggers {
					schema := d.columns(t)
					for range 2 { // it may be called again
						if err := s.Migrate(t.Context()); err != nil {
							t.Fatal(err)
						}
					}
					if pending, err := s.Pending(t.Context()); err != nil || len(pending) > 0 {
						t.Errorf("Pending = %v, %v; want nothing", pending, err)
					}
					if diff := cmp.Diff(schema, d.columns(t)); diff != "" {
						t.Errorf("migrate changed Django's columns (-before +after):\n%s", diff)
					}
				}
				w := watch(t, s)
				var late []time.Duration
				see := func(what string, there func() bool) { late = append(late, w.await(what, there)) }
				d.exec(t, "UPDATE django_celery_beat_crontabschedule SET hour = '10'")
				see("a crontab's new hour in both tasks", func() bool {
					const want = "CRON_TZ=Asia/Tokyo 0,30 10 * * 1-5"
					return w.spec("a") == want && w.spec("b") == want
				})
				d.exec(t, "UPDATE django_celery_beat_intervalschedule SET every = 20")
				see("a new interval", func() bool { return strings.Contains(w.spec("grid"), "@every 20s") })
				d.exec(t, "UPDATE django_celery_beat_periodictask SET enabled = false WHERE name = 'a'")
				see("a task that is off", func() bool { return w.spec("a") == "" })
				d.exec(t, "DELETE FROM django_celery_beat_periodictask WHERE name = 'b'")
				see("a task that is gone", func() bool { return w.spec("b") == "" })
				d.django(t, `
c = CrontabSchedule.objects.get(); c.hour = "11"; c.save()
t = PeriodicTask.objects.get(name="a"); t.enabled = True; t.save()
PeriodicTask.objects.create(name="new", task="t", crontab=c)
`, nil)
				w.await("what Django's models saved", func() bool {
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
	}
}

// columns are those of Django's tables as the database describes them.
func (d *database) columns(t *testing.T) (columns []string) {
	t.Helper()
	query := "SELECT concat(table_name, ' ', column_name, ' ', data_type, ' ', is_nullable, ' ', coalesce(column_default, 'none')) FROM information_schema.columns WHERE table_name LIKE 'django_celery_beat_%' ORDER BY 1"
	switch d.kind {
	case "SQLite":
		query = "SELECT sql FROM sqlite_master WHERE tbl_name LIKE 'django_celery_beat_%' AND type <> 'trigger' AND sql IS NOT NULL ORDER BY 1"
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
		t.Fatal("Django's tables have no columns")
	}
	return columns
}

// The own record of a run is news of nothing, with triggers and without.
func TestDjangoRecordsAreNoChanges(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		for _, triggers := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, triggers %v", kind, triggers), func(t *testing.T) {
				t.Parallel()
				d := newDatabase(t, kind)
				d.django(t, kindsOfTasks+`
task("grid", interval=every(7, "seconds"))
task("crontab", crontab=nine)
task("edited", crontab=nine)
`, nil)
				s := d.open(t, store.Options{Catalog: "django"})
				if triggers {
					if err := s.Migrate(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				w := watch(t, s)
				all := load(t, s)
				lease, won, err := s.Acquire(t.Context(), "node")
				if err != nil || !won {
					t.Fatalf("Acquire = %v, %v", won, err)
				}
				told := w.told
				after := map[string]time.Time{}
				for seq := int64(1); seq <= 3; seq++ {
					batch := schedule.Batch{Term: lease.Term, Seq: seq}
					var runs []schedule.Run
					for _, name := range []string{"grid", "crontab"} {
						e := all[name].Entry
						slot := e.Spec.Next(latest(e.After, after[name]))
						after[name] = slot
						batch.Dues = append(batch.Dues, schedule.Due{Entry: e, Slot: slot})
						runs = append(runs, schedule.Run{Entry: e.ID, Name: name, Task: e.Task, Slot: slot, Count: 1, State: schedule.Sent, TaskID: name, Term: lease.Term, SentAt: slot})
					}
					if err := s.Claim(t.Context(), batch); err != nil {
						t.Fatal(err)
					}
					if err := s.Record(t.Context(), lease.Term, []int64{seq}, runs); err != nil {
						t.Fatal(err)
					}
				}
				// What is seen after them was looked for after them.
				d.exec(t, "UPDATE django_celery_beat_periodictask SET queue = 'other' WHERE name = 'edited'")
				w.await("an edit", func() bool { return w.told > told })
				s.Poke()
				d.exec(t, "UPDATE django_celery_beat_periodictask SET queue = 'third' WHERE name = 'edited'")
				w.await("another edit", func() bool { return w.told > told+1 })
				w.mu.Lock()
				defer w.mu.Unlock()
				if news := w.told - told; news != 2 {
					t.Errorf("%d news came of two edits and three records of others", news)
				}
			})
		}
	}
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// Tables of django-celery-beat 1.5 are read too: they have no expire_seconds, and a
// clocked time has a column more.
func TestDjangoOfOldVersions(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			d := newDatabase(t, kind)
			d.django(t, `
call_command("migrate", "django_celery_beat", "0011_auto_20190508_0153", verbosity=0)
`, nil)
			d.exec(t, "INSERT INTO django_celery_beat_clockedschedule (id, clocked_time, enabled) VALUES (1, '2030-01-01 09:00:00', true)")
			d.exec(t, "INSERT INTO django_celery_beat_periodictask (id, name, task, args, kwargs, headers, enabled, one_off, total_run_count, date_changed, description, clocked_id)"+
				" VALUES (1, 'old', 'tasks.add', '[]', '{}', '{}', true, true, 0, '2026-01-01 00:00:00', '', 1)")
			s := d.open(t, store.Options{Catalog: "django"})
			if err := s.Migrate(t.Context()); err != nil {
				t.Fatal(err)
			}
			if e := load(t, s)["old"].Entry; e == nil || e.Spec.String() != "@at 2030-01-01T09:00:00Z" {
				t.Errorf("the task is %+v, want its clocked time", e)
			}
		})
	}
}
