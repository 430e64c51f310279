package schedule_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/onebeat/onebeat/internal/schedule"
)

var someZones = []string{
	"UTC", "Asia/Tokyo", "America/New_York", "Europe/Berlin", "Europe/Dublin", "Australia/Lord_Howe", "Pacific/Chatham",
	"Antarctica/Troll", "Africa/Casablanca", "Pacific/Apia", "America/Havana", "Asia/Beirut", "Africa/Monrovia", "Asia/Kathmandu",
}

// anySpec draws a spec of any kind and its text.
func anySpec(t *rapid.T) schedule.Spec {
	field := func(name string, first, last int) string {
		value := rapid.IntRange(first, last)
		switch rapid.IntRange(0, 4).Draw(t, name+" form") {
		case 0:
			return fmt.Sprintf("%d,%d", value.Draw(t, name), value.Draw(t, name))
		case 1:
			return fmt.Sprintf("%d-%d/%d", value.Draw(t, name), value.Draw(t, name), rapid.IntRange(1, 9).Draw(t, name))
		case 2:
			return fmt.Sprintf("*/%d", rapid.IntRange(1, last).Draw(t, name))
		default:
			return "*"
		}
	}
	var text string
	switch rapid.IntRange(0, 11).Draw(t, "kind") {
	case 0:
		text = fmt.Sprintf("@every %dus from %s", rapid.Int64Range(1e6, 1e15).Draw(t, "period"), anyInstant(t).Format(time.RFC3339Nano))
	case 1:
		text = "@at " + anyInstant(t).Format(time.RFC3339Nano)
	case 2:
		text = fmt.Sprintf("@solar %s %.6f %.6f", rapid.SampledFrom(solarNames).Draw(t, "event"),
			rapid.Float64Range(-90, 90).Draw(t, "latitude"), rapid.Float64Range(-180, 180).Draw(t, "longitude"))
	case 3:
		text = "@rrule DTSTART:" + anyInstant(t).Format("20060102T150405") + " " + rapid.SampledFrom([]string{
			"FREQ=DAILY;INTERVAL=3;BYHOUR=2,3;BYMINUTE=30", "FREQ=WEEKLY;INTERVAL=2;BYDAY=SU,MO;BYHOUR=1,2", "FREQ=MONTHLY;BYDAY=-1SU;BYHOUR=2 EXDATE:20250330T020000",
			"FREQ=YEARLY;BYWEEKNO=12,-1;BYDAY=SA", "FREQ=HOURLY;INTERVAL=5 EXDATE;VALUE=DATE:20200101", "FREQ=MINUTELY;INTERVAL=7;BYDAY=SU;BYHOUR=0,1,2,3",
			"FREQ=MONTHLY;COUNT=40;BYMONTHDAY=31,-3;BYSETPOS=-1", "FREQ=DAILY;UNTIL=20301231T235959Z RDATE:20310101T000000 FREQ=YEARLY",
		}).Draw(t, "rule")
	case 10:
		text = fmt.Sprintf("@every %dus relative from %s", rapid.Int64Range(1e6, 1e12).Draw(t, "period"), anyInstant(t).Format(time.RFC3339Nano))
	case 11:
		text = fmt.Sprintf("@every %dd wall from %s", rapid.IntRange(1, 100).Draw(t, "days"), anyInstant(t).Format(time.RFC3339Nano))
	case 4, 5:
		text = "@standard " + anyStandard(t, true)
	default:
		text = fmt.Sprintf("%s %s %s %s %s", field("minute", 0, 59), field("hour", 0, 23), field("day", 1, 28), field("month", 1, 12), field("weekday", 0, 6))
	}
	zone := rapid.SampledFrom(someZones).Draw(t, "zone")
	spec, err := schedule.Reading{Zone: zone, Key: "7"}.Parse(text)
	if err != nil {
		t.Fatalf("Parse(%q, %q): %v", text, zone, err)
	}
	return spec
}

func anyInstant(t *rapid.T) time.Time {
	const from, to = -2208988800, 7258118400 // 1900 to 2200
	return time.Unix(rapid.Int64Range(from, to).Draw(t, "second"), rapid.Int64Range(0, 999_999).Draw(t, "µs")*1000).UTC()
}

func TestNextIsStrictlyLaterAndInUTC(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		spec, at := anySpec(t), anyInstant(t)
		for range 20 {
			next := spec.Next(at)
			if next.IsZero() {
				return
			}
			if !next.After(at) || next.Location() != time.UTC || next.Nanosecond()%1000 != 0 {
				t.Fatalf("%v: Next(%v) = %v", spec, at, next)
			}
			at = next
		}
	})
}

// With DST=celery too slots go forward, are the same however they are asked for, and texts read back, close to
// changes of clocks as well.
func TestCeleryClocksGoForward(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text, zone := "@standard "+anyStandard(t, true), rapid.SampledFrom(someZones).Draw(t, "zone")
		spec, err := schedule.Reading{Zone: zone, Key: "7", CeleryClocks: true}.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := schedule.ParseSpec(spec.String(), "", time.Time{}); err != nil || again != spec {
			t.Fatalf("ParseSpec(%q) = %v, %v", spec, again, err)
		}
		location, err := schedule.Location(zone)
		if err != nil {
			t.Fatal(err)
		}
		at := anyInstant(t)
		if _, change := at.In(location).ZoneBounds(); !change.IsZero() {
			at = change.Add(time.Duration(rapid.Int64Range(int64(-26*time.Hour), int64(4*time.Hour)).Draw(t, "from the change")))
		}
		for range 50 {
			next := spec.Next(at)
			if next.IsZero() {
				return
			}
			if !next.After(at) || next.Location() != time.UTC {
				t.Fatalf("%v: Next(%v) = %v", spec, at, next)
			}
			between := at.Add(time.Duration(rapid.Int64Range(0, int64(next.Sub(at))-1).Draw(t, "later")))
			for _, other := range []time.Time{between, next.Add(-1)} {
				if got := spec.Next(other); got != next {
					t.Fatalf("%v: Next(%v) = %v, but Next(%v) = %v", spec, at, next, other, got)
				}
			}
			at = next
		}
	})
}

func TestNextIsTheSameUntilTheSlot(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		spec, at := anySpec(t), anyInstant(t)
		next := spec.Next(at)
		if next.IsZero() {
			return
		}
		between := at.Add(time.Duration(rapid.Int64Range(0, int64(next.Sub(at))-1).Draw(t, "later")))
		for _, other := range []time.Time{between, next.Add(-1), between.Local(), between.In(time.FixedZone("", 4711))} {
			if got := spec.Next(other); got != next {
				t.Fatalf("%v: Next(%v) = %v, but Next(%v) = %v", spec, at, next, other, got)
			}
		}
	})
}

// same reports whether two specs are one: equal, but for recurrences, which are not
// shared, of the same text.
func same(a, b schedule.Spec) bool {
	switch b.(type) {
	case *schedule.Recurrence, *schedule.Ruled:
		return a.String() == b.String()
	}
	return a == b
}

func TestStringReadsBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		spec := anySpec(t)
		zone := "Pacific/Fiji"
		if zoned, ok := spec.(interface{ Location() *time.Location }); ok && zoned.Location().String() == "UTC" { // which has no prefix
			zone = ""
		}
		again, err := schedule.ParseSpec(spec.String(), zone, time.Unix(7, 0))
		if err != nil || !same(again, spec) {
			t.Fatalf("ParseSpec(%q) = %v, %v, want %v", spec, again, err, spec)
		}
	})
}

// The two counts agree with walking, whatever the bounds.
func TestCountAndLatestAgreeWithNext(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		spec, after := anySpec(t), anyInstant(t)
		through := after.Add(time.Duration(rapid.Int64Range(0, int64(400*24*time.Hour)).Draw(t, "length")))
		limit := rapid.IntRange(0, 50).Draw(t, "max")

		var n int
		var last time.Time
		for slot := spec.Next(after); !slot.IsZero() && !slot.After(through) && n < limit; slot = spec.Next(slot) {
			n, last = n+1, slot
		}
		gotN, gotLast := schedule.Count(spec, after, through, limit)
		if gotN != n || gotLast != last {
			t.Fatalf("Count(%v, %v, %v, %d) = %d, %v, want %d, %v", spec, after, through, limit, gotN, gotLast, n, last)
		}

		latest := schedule.Latest(spec, after, through)
		if latest.IsZero() {
			if slot := spec.Next(after); !slot.IsZero() && !slot.After(through) {
				t.Fatalf("Latest(%v, %v, %v) is none, but %v is a slot", spec, after, through, slot)
			}
			return
		}
		if !latest.After(after) || latest.After(through) || spec.Next(latest.Add(-1)) != latest {
			t.Fatalf("Latest(%v, %v, %v) = %v, which is no slot there", spec, after, through, latest)
		}
		if slot := spec.Next(latest); !slot.IsZero() && !slot.After(through) {
			t.Fatalf("Latest(%v, %v, %v) = %v, but %v is later", spec, after, through, latest, slot)
		}
	})
}

func TestCountAndLatestOverLongTimes(t *testing.T) {
	after, through := instant(t, "1970-01-01T00:00:00Z"), instant(t, "2970-01-01T00:00:00Z")
	every := parse(t, "@every 1s", "")
	const most = 1 << 40
	// A thousand years with the leap days of 1972 to 2968, less 2100, 2200, 2300, 2500, 2600, 2700 and 2900.
	const seconds = (1000*365 + 250 - 7) * 86400
	if n, last := schedule.Count(every, after, through, most); n != seconds || !last.Equal(through) {
		t.Errorf("Count = %d, %v, want %d, %v", n, last, seconds, through)
	}
	if n, last := schedule.Count(every, after, through, 1000); n != 1000 || !last.Equal(after.Add(1000*time.Second)) {
		t.Errorf("Count up to 1000 = %d, %v", n, last)
	}
	if got := schedule.Latest(every, after, through.Add(time.Second/2)); !got.Equal(through) {
		t.Errorf("Latest of every second = %v, want %v", got, through)
	}
	leap := parse(t, "0 0 29 2 *", "")
	if got, want := schedule.Latest(leap, after, instant(t, "2104-02-28T00:00:00Z")), instant(t, "2096-02-29T00:00:00Z"); !got.Equal(want) {
		t.Errorf("Latest of leap days = %v, want %v", got, want)
	}
	if got := schedule.Latest(leap, instant(t, "2096-02-29T00:00:00Z"), instant(t, "2104-02-28T00:00:00Z")); !got.IsZero() {
		t.Errorf("Latest = %v, want none", got)
	}
	if got := schedule.Latest(every, through, through); !got.IsZero() {
		t.Errorf("Latest of no time = %v, want none", got)
	}
}

// BenchmarkLatest is a misfire after ten years away.
func BenchmarkLatest(b *testing.B) {
	spec := parse(b, "*/5 9-17 * * 1-5", "Europe/Berlin")
	after, through := instant(b, "2016-11-24T00:00:00Z"), instant(b, "2026-11-22T12:00:00Z")
	b.ReportAllocs()
	for b.Loop() {
		schedule.Latest(spec, after, through)
	}
}

func TestNextDoesNotAllocate(t *testing.T) {
	at := instant(t, "2026-11-24T00:00:00Z")
	for _, text := range []string{
		"*/15 * * * *", "0 0 29 2 mon", "@standard */7 0 9 L,15W * 5L,mon#2", "DST=celery 30 2 * * *", "@every 90s", "@every 1d wall", "@every 90m relative", "@every 3d relative", "@at 2027-01-01T00:00:00Z", "@solar sunset 35.6895 139.6917",
		`@rules {"weekend": "sat,sun", "shift": "next", "offset": "-1h", "jitter": "1h", "also": ["0 18 * * 5"], "except": ["2026-12-25", "0 9 1 * *"], "start": "2026-01-01"} 0 9 * * *`,
	} {
		spec, err := schedule.Reading{Zone: "America/New_York", Key: "7"}.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if n := testing.AllocsPerRun(100, func() { spec.Next(at) }); n != 0 {
			t.Errorf("%s: Next allocates %v times", text, n)
		}
	}
}

func FuzzParseSpec(f *testing.F) {
	for _, seed := range []string{
		"0 9 * * 1-5", "*/15 22-4/2 28-3 nov-feb fri#2", "CRON_TZ=Asia/Tokyo 0 9 * * *", "TZ=Pacific/Apia 0 9 30 12 *",
		"@every 1w2d3h4m5.000006s from 2026-11-24T00:00:00+09:00", "@at 2026-11-24T09:00", "@daily",
		"@every 90s relative", "@every 36h relative from 2026-11-24T23:59:59.999999Z", "@every 1w wall from 2025-03-30T02:30", "@every 106751d relative from 9999-12-31T23:59:59Z", "@every 1d wall from 0001-01-01T00:00:00Z",
		"0 0 30 2 *", "0 0 29 2 sat",
		"@standard 30 0 9 L-3,15W,LW,? jan-mar 5L,fri#2,5-7/2", "@standard H(0-7) H/5 */1 7/3 *", "DST=celery CRON_TZ=Europe/Berlin @standard @hourly",
		"@standard 0 0 31W 2,4 mon#5", "DST=real TZ=Asia/Tokyo 0 9 * * *",
		"@solar sunset 35.6895 139.6917", "@solar dawn_civil -90 180", "@solar solar_noon +89.9 -179.99", "@solar sunrise 1e3 NaN",
		"@rrule DTSTART;TZID=America/New_York:19970902T090000 RRULE:FREQ=MONTHLY;BYDAY=1FR,-1SU;BYSETPOS=1;COUNT=10 EXDATE:19971003T090000 RDATE;VALUE=DATE:19970901",
		"@rrule FREQ=SECONDLY;INTERVAL=7;BYHOUR=7;BYMONTH=2;BYMONTHDAY=30", "@rrule FREQ=YEARLY;BYWEEKNO=53;BYYEARDAY=366,-1;WKST=SU;UNTIL=20991231T000000Z",
		`@rules {"also": ["0 18 * * 5"], "except": ["2026-12-25", "2026-12-29..2027-01-03", "* 2 * * *"], "weekend": "sat,sun"} 0 9 * * *`,
		`@rules {"shift": "previous", "weekend": "fri", "offset": "-1h", "jitter": "2h", "splay": "90s", "start": "2026-01-01", "end": "9999-12-31"} @standard 0 9 L * *`,
		`@rules {"except": ["@every 1s"]} @every 1s`, `@rules {"jitter": "24h"} * * * * *`, `@rules {} @rules {} 0 9 * * *`,
		"59-0/59 23-0/23 31-1/31 12-1/12 6-0/6", "٣ +5 0_7 \u00a01 *", "@every 999999w", "@every 1.d", "@at 9999-12-31T23:59:59Z", "-1 * * * *",
	} {
		f.Add(seed, "Europe/Berlin", int64(1_800_000_000))
	}
	f.Add("* * * * *", "", int64(-62135596801))
	f.Add("0 0 29 2 0", "America/New_York", int64(253402300799))
	f.Fuzz(func(t *testing.T, text, zone string, second int64) {
		spec, err := schedule.Reading{Zone: zone, Key: "7"}.Parse(text)
		if err != nil {
			if err.Error() == "" {
				t.Errorf("ParseSpec(%q, %q) gives an error that says nothing", text, zone)
			}
			return
		}
		at := time.Unix(second%300_000_000_000, 0)
		for range 3 {
			next := spec.Next(at)
			if next.IsZero() {
				break
			}
			if !next.After(at) {
				t.Fatalf("%q in %q: Next(%v) = %v", text, zone, at, next)
			}
			at = next
		}
		schedule.Describe(spec)
		again, err := schedule.ParseSpec(spec.String(), "", time.Time{})
		if err != nil || !same(again, spec) {
			t.Errorf("ParseSpec(%q, %q).String() = %q, which reads as %v, %v", text, zone, spec, again, err)
		}
	})
}

// FuzzParseFields compares fields that are kept apart with the same fields in one text.
func FuzzParseFields(f *testing.F) {
	f.Add("*/15", "9-17", "1-5", "*", "jan", false)
	f.Add("H/20", "5/6", "fri#2,7", "L-3,15W", "*/2", true)
	f.Add("0 0", "0", "", "*", "*", true)
	f.Fuzz(func(t *testing.T, minute, hour, dayOfWeek, dayOfMonth, month string, standard bool) {
		r := schedule.Reading{Zone: "Europe/Berlin", Key: "7", Standard: standard}
		apart, err := r.ParseFields(minute, hour, dayOfWeek, dayOfMonth, month)
		if err != nil {
			return
		}
		again, err := schedule.ParseSpec(apart.String(), "", time.Time{})
		if err != nil || again != schedule.Spec(apart) {
			t.Errorf("ParseSpec(%q) = %v, %v", apart, again, err)
		}
	})
}

// FuzzParseInstant reads back what it read.
func FuzzParseInstant(f *testing.F) {
	for _, seed := range []string{"2026-11-24T09:00:00+09:00", "2025-03-30 02:30", "2025-10-26T02:30:00.5", "2026-11-24", "0001-01-01T00:00:00Z"} {
		f.Add(seed, "Europe/Berlin")
	}
	f.Fuzz(func(t *testing.T, text, zone string) {
		at, err := schedule.ParseInstant(text, zone)
		if err != nil {
			return
		}
		if again, err := schedule.ParseInstant(at.Format(time.RFC3339Nano), ""); at.Year() > 0 && at.Year() < 10000 && (err != nil || !again.Equal(at)) {
			t.Errorf("ParseInstant(%q, %q) = %v, which reads as %v, %v", text, zone, at, again, err)
		}
	})
}
