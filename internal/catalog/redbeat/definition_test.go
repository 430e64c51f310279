package redbeat

import (
	"strings"
	"testing"
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
)

func TestSpecs(t *testing.T) {
	for _, tt := range []struct{ schedule, spec string }{
		{`{"__type__": "interval", "every": 30.0, "relative": false}`, "@every 30s"},
		{`{"__type__": "interval", "every": 90}`, "@every 1m30s"}, // which RedBeat itself loses
		{`45`, "@every 45s"},
		{`{"__type__": "crontab", "minute": "*/5", "hour": "9, 17", "day_of_week": [1, 2, 3], "day_of_month": 1}`, "*/5 9,17 1 * 1,2,3"},
		{`{"__type__": "crontab"}`, "* * * * *"},
		{
			`{"__type__": "rrule", "freq": "daily", "interval": 2, "byhour": [9, 18], "byweekday": [{"__type__": "weekday", "wkday": 0}, 4], "dtstart": 1767225600, "dtstart_tz": 540.0}`,
			"@rrule RRULE:FREQ=DAILY;INTERVAL=2;BYDAY=MO,FR;BYHOUR=9,18 DTSTART;TZID=Etc/GMT-9:20260101T090000",
		},
		{
			`{"__type__": "rrule", "freq": 5, "interval": 1, "until": 1767312000, "until_tz": 0, "dtstart": 1767225600}`,
			"@rrule RRULE:FREQ=MINUTELY;UNTIL=20260102T000000Z DTSTART;TZID=UTC:20260101T000000",
		},
		{`{"__type__": "rrule", "freq": 3, "dtstart": 1767225600, "dtstart_tz": 330}`, "@rrule RRULE:FREQ=DAILY DTSTART;TZID=Asia/Kolkata:20260101T053000"},
	} {
		e := stored{definition: `{"name": "n", "task": "t", "schedule": ` + tt.schedule + `}`}.entry("n")
		if e.Problem != "" || e.Spec != tt.spec {
			t.Errorf("%s: %q, %q; want %q", tt.schedule, e.Spec, e.Problem, tt.spec)
			continue
		}
		if _, err := schedule.ParseSpec(e.Spec, "UTC", e.Anchor); err != nil {
			t.Errorf("%s: %q is no spec: %v", tt.schedule, e.Spec, err)
		}
	}
}

// The poison of RedBeat sets its own entry aside, and says what to do.
func TestWhatIsWrong(t *testing.T) {
	for _, tt := range []struct{ definition, meta, problem string }{
		{`{`, ``, "definition is not JSON"},
		{`{"task": "t", "schedule": 30}`, `{`, "meta is not JSON"},
		{`{"schedule": 30}`, ``, "no task"},
		{`{"task": "t"}`, ``, "no schedule"},
		{`{"task": "t", "schedule": {"__type__": "solar"}}`, ``, `of the kind "solar"`},
		{`{"task": "t", "schedule": {"__type__": "crontab", "minute": {}}}`, ``, "the crontab's minute is neither"},
		{`{"task": "t", "schedule": {"__type__": "interval", "every": 0}}`, ``, "out of range"},
		{`{"task": "t", "schedule": {"__type__": "rrule", "freq": 9}}`, ``, "freq is 9"},
		{`{"task": "t", "schedule": {"__type__": "rrule", "freq": 1, "byeaster": 0}}`, ``, "byeaster"},
		{`{"task": "t", "schedule": {"__type__": "rrule", "freq": 1, "byhour": "x"}}`, ``, "byhour is x"},
		{`{"task": "t", "schedule": {"__type__": "rrule", "freq": 1, "dtstart": 1, "dtstart_tz": 17}}`, ``, "offset is 17 minutes"},
		{`{"task": "t", "schedule": 30, "args": [{"__type__": "crontab"}]}`, ``, "args: it has a schedule"},
		{`{"task": "t", "schedule": 30}`, `{"last_run_at": {"__type__": "datetime", "year": 2026, "month": 1, "day": 1, "timezone": "Mars/Base"}}`, "last_run_at"},
	} {
		e := stored{definition: tt.definition, meta: tt.meta}.entry("n")
		if !strings.Contains(e.Problem, tt.problem) || strings.Contains(e.Problem, "\n") {
			t.Errorf("%s %s: %q, want %q", tt.definition, tt.meta, e.Problem, tt.problem)
		}
	}
}

// An interval lies on the grid through its last run, whichever run of it that was.
func TestGrid(t *testing.T) {
	anchors := map[time.Time]bool{}
	for _, last := range []string{`"hour": 9, "minute": 0, "second": 7, "microsecond": 312000`, `"hour": 9, "minute": 1, "second": 7`, `"hour": 18, "minute": 2, "second": 7, "timezone": 32400`} {
		e := stored{
			definition: `{"name": "n", "task": "t", "schedule": {"__type__": "interval", "every": 60, "relative": false}}`,
			meta:       `{"last_run_at": {"__type__": "datetime", "year": 2026, "month": 1, "day": 1, ` + last + `}, "total_run_count": 3}`,
		}.entry("n")
		if e.Problem != "" || e.TotalRunCount != 3 {
			t.Errorf("%s: %+v", last, e)
		}
		anchors[e.Anchor] = true
	}
	if len(anchors) != 1 || !anchors[time.Unix(7, 0).UTC()] {
		t.Errorf("the grids begin at %v, want all at 7 s", anchors)
	}
}

func FuzzEntry(f *testing.F) {
	f.Add(`{"name": "n", "task": "t", "schedule": {"__type__": "rrule", "freq": "DAILY", "byweekday": [{"__type__": "weekday", "wkday": 0, "n": 2}]}}`, `{"last_run_at": null}`)
	f.Add(`{"task": "t", "schedule": 1e300, "args": [{"__type__": "datetime", "year": 1}]}`, ``)
	f.Fuzz(func(t *testing.T, definition, meta string) {
		e := stored{definition: definition, meta: meta}.entry("n")
		if e.Problem == "" && (e.Task == "" || e.Spec == "") {
			t.Errorf("an entry without a task or a spec has no problem: %+v", e)
		}
	})
}
