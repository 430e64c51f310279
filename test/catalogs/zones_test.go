package catalogs

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/onebeat/onebeat/internal/store"
	"github.com/onebeat/onebeat/test/harness"
)

// withoutZones runs the test on the tables of a Django whose USE_TZ is off.
func withoutZones(t *testing.T, test func(t *testing.T, c catalog)) {
	t.Helper()
	eachWhere(t, func(c catalog) bool { return c.zone != "" }, test)
}

// Times that clocks show twice, or never, mean what they mean to Django; what PostgreSQL
// made of them it has made before onebeat reads them.
func TestDjangosTimesWhereClocksAreChanged(t *testing.T) {
	withoutZones(t, func(t *testing.T, c catalog) {
		d := newTables(t, c)
		var meant map[string]time.Time
		d.python(t, `
meant = {}
for name, parts in {
    "winter": (2030, 1, 1, 9), "summer": (2030, 7, 1, 9),
    "skipped": (2030, 3, 10, 2, 30), "before that": (2030, 3, 10, 1, 59, 59), "after that": (2030, 3, 10, 3),
    "twice": (2030, 11, 3, 1, 30), "after twice": (2030, 11, 3, 2),
}.items():
    when = datetime(*parts)
    task(name, clocked=once(when), one_off=True)
    task(name + " start", crontab=cron(minute="0"), start_time=when, expires=datetime(2031, 1, 1))
    meant[name] = true(when)
tell(meant)
`, &meant)
		all := load(t, d.open(t))
		if len(meant) != 7 {
			t.Fatalf("Django told of %d times", len(meant))
		}
		for name, want := range meant {
			if c.kind == "PostgreSQL" {
				if err := d.db.QueryRowContext(t.Context(), d.sql("SELECT start_time FROM {periodictask} WHERE name = $1"), name+" start").Scan(&want); err != nil {
					t.Fatal(err)
				}
			}
			want = want.UTC()
			if e := all[name].Entry; e == nil || e.Spec.String() != "@at "+want.Format(time.RFC3339) {
				t.Errorf("%s = %+v, want %v", name, all[name], want)
			}
			e := all[name+" start"].Entry
			if e == nil {
				t.Errorf("%s start = %+v", name, all[name+" start"])
				continue
			}
			first := want.Add(time.Hour - time.Nanosecond).Truncate(time.Hour) // the first full hour from then on
			if got := e.Spec.Next(time.Date(2029, 1, 1, 0, 0, 0, 0, time.UTC)); !got.Equal(first) {
				t.Errorf("from %v on the first slot is %v, want %v", want, got, first)
			}
			if got := e.Spec.Next(time.Date(2031, 1, 1, 4, 59, 59, 0, time.UTC)); !got.IsZero() {
				t.Errorf("after it expires, at five o'clock of UTC, it has the slot %v", got)
			}
		}
	})
}

// Slots go on where they were though the column can't tell which of two times, or
// which that is skipped, the last one was.
func TestRunsWhereClocksAreChanged(t *testing.T) {
	withoutZones(t, func(t *testing.T, c catalog) {
		for _, naive := range []bool{true, false} {
			t.Run(fmt.Sprintf("naive runs %v", naive), func(t *testing.T) {
				d := newTables(t, c)
				d.python(t, `
task("spring", interval=every(23, "minutes"), start_time=at(2027, 3, 14))
task("autumn", interval=every(23, "minutes"), start_time=at(2027, 11, 7))
`, nil)
				open := func() *store.Store {
					t.Helper()
					options := d.options()
					options.Django.NaiveRuns = naive
					s, err := store.Open(t.Context(), d.url, options)
					if err != nil {
						t.Fatal(err)
					}
					t.Cleanup(s.Close)
					return s
				}
				s := open()
				if err := s.EnsureOwn(t.Context()); err != nil {
					t.Fatal(err)
				}
				r := newRunner(t, s)
				for range 25 { // nine hours, in which both change
					r.run(t, "spring", "autumn")
					again := load(t, open())
					for _, name := range []string{"spring", "autumn"} {
						got, want := again[name].Entry, r.all[name].Entry
						last := r.slots[name][len(r.slots[name])-1]
						if got == nil || got.Spec.String() != want.Spec.String() || got.Digest != want.Digest || !got.After.Equal(last) {
							t.Fatalf("after the slot %v it is %+v, want %s after that", last, got, want.Spec)
						}
					}
				}
			})
		}
	})
}

// check tells Django's settings by the rows, as beat saves them.
func TestCheckTellsDjangosSettings(t *testing.T) {
	eachOf(t, "django", func(t *testing.T, c catalog) {
		d := newTables(t, c)
		d.python(t, `
for name in ("a", "b", "c"):
    task(name, crontab=cron(minute="0", timezone="America/New_York"))
`, nil)
		if out, code := d.onebeat(t, "migrate"); code != 0 {
			t.Fatalf("migrate = %d: %s", code, out)
		}
		check := func(flags ...string) (ok bool, note string) {
			t.Helper()
			out, _ := onebeat(t, append([]string{"check", "--json", "--catalog", "django", "--database", d.url, "--broker", harness.Env(t, "ONEBEAT_TEST_REDIS")}, flags...)...)
			var told struct {
				Findings []struct {
					What, Note string
					OK         bool
				}
			}
			if err := json.Unmarshal([]byte(out), &told); err != nil {
				t.Fatalf("check: %v\n%s", err, out)
			}
			for _, f := range told.Findings {
				if f.What == "Django's settings" {
					return f.OK, f.Note
				}
			}
			t.Fatalf("check says nothing of Django's settings:\n%s", out)
			return false, ""
		}
		right := d.flags()[4:]
		if ok, note := check(right...); !ok || !strings.Contains(note, "no task that beat ran tells") {
			t.Errorf("before anything ran: %v, %s", ok, note)
		}
		d.python(t, `
for name in ("a", "b", "c"):
    save(name, last_run_at=local(datetime.now(timezone.utc)))
`, nil)
		d.onebeat(t, "entries", "list") // which writes nothing
		if ok, note := check(right...); !ok || !strings.Contains(note, "3 of 3 tasks") {
			t.Errorf("the settings as they are: %v, %s", ok, note)
		}
		if c.zone == "" {
			ok, note := check("--django-use-tz=off", "--django-beat-tz-aware=off", "--django-time-zone=Asia/Tokyo")
			if ok || !strings.Contains(note, "9h behind") || !strings.Contains(note, "USE_TZ is on") {
				t.Errorf("USE_TZ off in Tokyo: %v, %s", ok, note)
			}
			return
		}
		for _, wrong := range [][]string{
			nil,
			{"--django-use-tz=off", "--django-beat-tz-aware=on", "--django-time-zone=America/New_York"},
			{"--django-use-tz=off", "--django-beat-tz-aware=off", "--django-time-zone=Asia/Tokyo"},
		} {
			if ok, note := check(wrong...); ok || !strings.Contains(note, "--django-use-tz=off --django-beat-tz-aware=off --django-time-zone=America/New_York") {
				t.Errorf("with %v: %v, %s; want it to say what they are", wrong, ok, note)
			}
		}
	})
}
