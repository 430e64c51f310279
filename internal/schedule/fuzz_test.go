package schedule_test

import (
	"testing"
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
)

// FuzzParseSpec, in property_test.go, is for any spec; those below each begin inside one
// kind, where it would seldom come.

// holds checks what is true of every spec: slots are later and later, the same until they come, and
// its text reads back.
func holds(t *testing.T, spec schedule.Spec, second int64) {
	t.Helper()
	at := time.Unix(second%300_000_000_000, 0)
	for range 3 {
		next := spec.Next(at)
		if next.IsZero() {
			break
		}
		if !next.After(at) || next.Location() != time.UTC || next.Nanosecond()%1000 != 0 {
			t.Fatalf("%v: Next(%v) = %v", spec, at, next)
		}
		if got := spec.Next(next.Add(-time.Microsecond)); !got.Equal(next) {
			t.Fatalf("%v: Next(%v) = %v, but shortly before it %v", spec, at, next, got)
		}
		at = next
	}
	if schedule.Describe(spec) == "" {
		t.Errorf("%v is not described", spec)
	}
	schedule.Lint(spec, at)
	if again, err := schedule.ParseSpec(spec.String(), "", time.Time{}); err != nil || !same(again, spec) {
		t.Errorf("ParseSpec(%q) = %v, %v", spec, again, err)
	}
}

func FuzzCelery(f *testing.F) {
	for _, seed := range [][5]string{
		{"*/15", "22-4/2", "28-3", "nov-feb", "fri#2"},
		{"0", "0", "29", "2", "sat"},
		{"59-0/59", "23-0", "31-1", "12-1", "6-0"},
		{" +5", "0_7", "٣", "December", "mon/2"},
		{"0", "0", "30", "2", "*"},
		{"*/60", "*", "*", "*", "7"},
	} {
		f.Add(seed[0], seed[1], seed[2], seed[3], seed[4], "Australia/Lord_Howe", true, int64(1_759_600_000))
	}
	f.Fuzz(func(t *testing.T, minute, hour, dayOfMonth, month, dayOfWeek, zone string, celeryClocks bool, second int64) {
		r := schedule.Reading{Zone: zone, CeleryClocks: celeryClocks}
		if spec, err := r.ParseFields(minute, hour, dayOfWeek, dayOfMonth, month); err == nil {
			holds(t, spec, second)
		}
	})
}

func FuzzStandard(f *testing.F) {
	for _, seed := range []string{
		"0 9 L-3,15W * 5L,fri#2", "30 0 9 LW 2 ?", "H H(0-7) H/15 * *", "@hourly", "*/7 5/20 1-23/3 ? jan-mar 7", "0 0 31W 2 *", "0 0 30 2 *", "0 0 29 2 mon#5", "59 59 23 31 12 sat", "0 0 L-30 2 *",
	} {
		f.Add(seed, "7", "America/Havana", int64(1_741_000_000))
	}
	f.Fuzz(func(t *testing.T, text, key, zone string, second int64) {
		if spec, err := (schedule.Reading{Zone: zone, Standard: true, Key: key}).Parse(text); err == nil {
			holds(t, spec, second)
		}
	})
}

func FuzzInterval(f *testing.F) {
	f.Add(int64(90_000_000), uint8(1), "Australia/Lord_Howe", int64(1_735_726_033), int64(1_743_865_200))
	f.Add(int64(7*24*3600*1_000_000), uint8(2), "Pacific/Apia", int64(1_325_000_000), int64(1_325_203_200))
	f.Add(int64(1_000_000), uint8(0), "", int64(253_402_300_799), int64(-62_135_596_801))
	f.Add(int64(1<<62/1000), uint8(1), "Africa/Monrovia", int64(-1), int64(253_402_300_799))
	f.Fuzz(func(t *testing.T, microseconds int64, by uint8, zone string, anchor, second int64) {
		if microseconds > (1<<63-1)/1000 || microseconds < 0 {
			return
		}
		by %= 3
		period, at := time.Duration(microseconds)*time.Microsecond, time.Unix(anchor%253_402_300_800, 0)
		if spec, err := schedule.NewInterval(period, []string{"", "relative", "wall"}[by], zone, at); err == nil && at.Year() > 0 {
			holds(t, spec, second)
		}
	})
}

func FuzzSolar(f *testing.F) {
	f.Add("sunset 35.6895 139.6917", int64(1_742_428_800))
	f.Add("dawn_astronomical -90 180", int64(0))
	f.Add("dusk_astronomical_legacy +69.6492 -0.0001", int64(1_750_000_000))
	f.Add("solar_noon 1e3 .5", int64(253_402_300_799))
	f.Fuzz(func(t *testing.T, text string, second int64) {
		if spec, err := schedule.ParseSpec("@solar "+text, "", time.Time{}); err == nil {
			holds(t, spec, second)
		}
	})
}

func FuzzRecurrence(f *testing.F) {
	for _, seed := range []string{
		"FREQ=MONTHLY;BYDAY=1FR,-1SU;BYSETPOS=1;COUNT=10 EXDATE:19971003T090000 RDATE;VALUE=DATE:19970901",
		"FREQ=YEARLY;BYWEEKNO=53;BYYEARDAY=366,-1;WKST=SU;UNTIL=20991231T000000Z", "FREQ=SECONDLY;INTERVAL=7;BYHOUR=7;BYMONTH=2;BYMONTHDAY=30",
		"RRULE:FREQ=DAILY;INTERVAL=3\nRRULE:FREQ=WEEKLY;BYDAY=MO", "DTSTART;TZID=Asia/Tokyo:20261101T000000 FREQ=HOURLY EXDATE;VALUE=DATE:20261102", "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;BYDAY=MO",
	} {
		f.Add(seed, "America/New_York", int64(873_000_000), int64(1_762_000_000))
	}
	f.Fuzz(func(t *testing.T, text, zone string, start, second int64) {
		if spec, err := schedule.NewRecurrence(text, time.Unix(start%253_402_300_800, 0), zone); err == nil {
			holds(t, spec, second)
		}
	})
}

func FuzzRules(f *testing.F) {
	for _, seed := range [][2]string{
		{`{"also": ["0 18 * * 5"], "except": ["2026-12-25", "2026-12-29..2027-01-03", "* 2 * * *"], "weekend": "sat,sun"}`, "0 9 * * *"},
		{`{"shift": "previous", "weekend": "fri", "offset": "-1h", "jitter": "2h", "splay": "90s", "start": "2026-01-01", "end": "9999-12-31"}`, "@standard 0 9 L * *"},
		{`{"except": ["@every 1s"]}`, "@every 1s"},
		{`{"shift": "next", "weekend": "sun,mon,tue,wed,thu,fri,sat"}`, "@every 1d wall"},
		{`{"offset": "366d", "key": "é"}`, "@at 9999-12-31"},
		{`{"weekend": 1}`, "@solar sunset 0 0"},
		{`{"start": "2026-01-02", "end": "2026-01-01"}`, "@every 1h relative"},
	} {
		f.Add(seed[0], seed[1], "Europe/Berlin", int64(1_800_000_000))
	}
	f.Fuzz(func(t *testing.T, rules, spec, zone string, second int64) {
		if spec, err := (schedule.Reading{Zone: zone, Key: "7"}).Parse("@rules " + rules + " " + spec); err == nil {
			holds(t, spec, second)
		}
	})
}
