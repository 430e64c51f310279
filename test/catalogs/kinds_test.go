package catalogs

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/onebeat/onebeat/internal/catalog/file"
	"github.com/onebeat/onebeat/internal/store"
)

// A kind of schedule is written in each catalog as follows; empty where that has no
// way to. Of the packages' tables it is one of goodTasks.
type kind struct {
	name, task, native, file, redbeat string

	// slots are the first after from, and none after them if ends; of an interval that a
	// catalog gives no beginning, how far apart they are is all that can be told.
	slots []string
	ends  bool
}

const from = "2030-01-01T00:00:00Z"

var kinds = []kind{
	{
		"interval", "30 seconds", "@every 30s", "schedule: 30", "schedule(run_every=30)",
		[]string{"30s"},
		false,
	},
	{ // 2030-01-01 is a Tuesday, and nine o'clock in Tokyo midnight of UTC
		"crontab", "crontab", "CRON_TZ=Asia/Tokyo 0,30 9 * * mon-fri", `timezone: Asia/Tokyo, schedule: {minute: "0,30", hour: 9, day_of_week: mon-fri}`, `crontab(minute="0,30", hour=9, day_of_week="mon-fri")`,
		[]string{"2030-01-01T00:30:00Z", "2030-01-02T00:00:00Z", "2030-01-02T00:30:00Z"},
		false,
	},
	{
		"solar", "solar", "@solar sunset 35.6895 139.6917", "schedule: {event: sunset, lat: 35.6895, lon: 139.6917}", "", // RedBeat can't store it
		nil, false, // see sunset
	},
	{
		"once", "clocked", "@at 2030-01-01T09:00:00Z", "schedule: 2030-01-01T09:00:00Z", "", // and has none
		[]string{"2030-01-01T09:00:00Z"}, true,
	},
	{
		"recurrence rule", "", "@rrule DTSTART;TZID=Asia/Tokyo:20300101T090000 RRULE:FREQ=DAILY;INTERVAL=2;COUNT=3",
		`schedule: "@rrule DTSTART;TZID=Asia/Tokyo:20300101T090000 RRULE:FREQ=DAILY;INTERVAL=2;COUNT=3"`,
		`rrule("DAILY", interval=2, count=3, dtstart=datetime(2030, 1, 1, 9, tzinfo=timezone(timedelta(hours=9))))`,
		[]string{"2030-01-03T00:00:00Z", "2030-01-05T00:00:00Z"},
		true,
	},
	{
		"start and end", "7 minutes", `@rules {"start": "2030-01-01T00:30:00Z", "end": "2030-01-01T01:30:00Z"} 0 * * * *`,
		`schedule: "0 * * * *", rules: {start: "2030-01-01T00:30:00Z", end: "2030-01-01T01:30:00Z"}`, "",
		[]string{"2030-01-01T01:00:00Z"},
		true,
	},
}

// ofOnebeat are the catalogs whose entries are in no package's tables.
var ofOnebeat = []catalog{
	{name: "native", kind: "PostgreSQL"},
	{name: "native", kind: "MariaDB"},
	{name: "native", kind: "SQLite"},
	{name: "file", kind: "PostgreSQL"},
	{name: "file", kind: "MariaDB"},
	{name: "file", kind: "SQLite"},
	{name: "redbeat", kind: "PostgreSQL"},
	{name: "redbeat", kind: "MariaDB"},
	{name: "redbeat", kind: "SQLite"},
}

// in is how the catalog has the kind.
func (k kind) in(name string) string {
	return map[string]string{"native": k.native, "file": k.file, "redbeat": k.redbeat}[name]
}

func TestKindsOfEachCatalog(t *testing.T) {
	t.Parallel()
	for _, c := range ofOnebeat {
		t.Run(c.String(), func(t *testing.T) {
			t.Parallel()
			all := load(t, openKinds(t, newDatabase(t, c)))
			there := 0
			for _, k := range kinds {
				if k.in(c.name) == "" {
					continue
				}
				there++
				entry := all[k.name].Entry
				if entry == nil {
					t.Errorf("%s is %+v", k.name, all[k.name])
					continue
				}
				k.check(t, entry.Spec.Next)
			}
			if len(all) != there {
				t.Errorf("%d entries were read, want %d", len(all), there)
			}
		})
	}
}

// openKinds opens the catalog with an entry of each kind that it has.
func openKinds(t *testing.T, d *database) *store.Store {
	t.Helper()
	options := store.Options{Zone: "UTC", Catalog: "none"}
	switch d.name {
	case "native":
		options.Catalog = ""
	case "file":
		var text strings.Builder
		text.WriteString("beat_schedule:\n")
		for _, k := range kinds {
			fmt.Fprintf(&text, "  %s: {task: tasks.add, %s}\n", k.name, k.file)
		}
		path := filepath.Join(t.TempDir(), "schedules.yaml")
		if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		source, err := file.New(path)
		if err != nil {
			t.Fatal(err)
		}
		options.Sources = []store.Source{source}
	case "redbeat":
		r := newRedBeats(t)
		var code strings.Builder
		for _, k := range kinds {
			if k.redbeat != "" {
				fmt.Fprintf(&code, "entry(%q, %s)\n", k.name, k.redbeat)
			}
		}
		r.python(t, code.String(), nil)
		options.Sources, options.Zone = []store.Source{r.open(t)}, "Asia/Tokyo" // its crontabs are in the application's
	}
	s, err := store.Open(t.Context(), d.url, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	if d.name != "native" {
		if err := s.EnsureOwn(t.Context()); err != nil {
			t.Fatal(err)
		}
		return s
	}
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, k := range kinds {
		d.exec(t, fmt.Sprintf("INSERT INTO celery_beat_schedules (name, task_name, cron_expression) VALUES ('%s', 'tasks.add', '%s')", k.name, k.native))
	}
	return s
}

func (k kind) check(t *testing.T, next func(time.Time) time.Time) {
	t.Helper()
	at, err := time.Parse(time.RFC3339, from)
	if err != nil {
		t.Fatal(err)
	}
	if k.slots == nil { // the sun sets in Tokyo at 16:38 that day, by the almanac
		if slot := next(at); slot.Format("2006-01-02T15:04") != "2030-01-01T07:37" && slot.Format("2006-01-02T15:04") != "2030-01-01T07:38" {
			t.Errorf("%s has the slot %v, want 07:38 or so", k.name, slot)
		}
		return
	}
	if apart, err := time.ParseDuration(k.slots[0]); err == nil {
		first := next(at)
		if second := next(first); second.Sub(first) != apart || first.Sub(at) > apart {
			t.Errorf("%s has the slots %v and %v, want them %v apart", k.name, first, second, apart)
		}
		return
	}
	var slots []string
	for range k.slots {
		at = next(at)
		slots = append(slots, at.Format(time.RFC3339))
	}
	if !slices.Equal(slots, k.slots) {
		t.Errorf("%s has the slots %v, want %v", k.name, slots, k.slots)
	}
	if after := next(at); after.IsZero() != k.ends {
		t.Errorf("%s has the slot %v after its last", k.name, after)
	}
}
