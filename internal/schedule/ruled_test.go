package schedule_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/onebeat/onebeat/internal/schedule"
)

func TestRules(t *testing.T) {
	for _, tt := range []struct {
		name, spec, zone, after string
		want                    []string
	}{
		{
			"more specs", `@rules {"also": ["0 18 * * 5"]} 0 9 * * 5`, "UTC", "2026-11-26T00:00:00Z",
			[]string{"2026-11-27T09:00:00Z", "2026-11-27T18:00:00Z", "2026-12-04T09:00:00Z"},
		},
		{
			"a slot that two specs give is one", `@rules {"also": ["0 9 * * *"]} 0 9 * * 5`, "UTC", "2026-11-26T00:00:00Z",
			[]string{"2026-11-26T09:00:00Z", "2026-11-27T09:00:00Z", "2026-11-28T09:00:00Z"},
		},
		{
			"an exclusion by a spec", `@rules {"except": ["* 2 * * *"]} 30 1-3 * * *`, "UTC", "2026-11-26T00:00:00Z",
			[]string{"2026-11-26T01:30:00Z", "2026-11-26T03:30:00Z", "2026-11-27T01:30:00Z"},
		},
		{
			"a date off", `@rules {"except": ["2026-12-25"]} 0 9 * * *`, "Asia/Tokyo", "2026-12-24T00:00:00Z",
			[]string{"2026-12-26T00:00:00Z", "2026-12-27T00:00:00Z"}, // 9:00 on the 25th there is 0:00Z
		},
		{
			"a range of dates off", `@rules {"except": ["2026-12-29..2027-01-03"]} 0 9 * * *`, "UTC", "2026-12-28T00:00:00Z",
			[]string{"2026-12-28T09:00:00Z", "2027-01-04T09:00:00Z"},
		},
		{
			"weekends off", `@rules {"weekend": "Sat, sun"} 0 9 * * *`, "UTC", "2026-11-27T00:00:00Z", // a Friday
			[]string{"2026-11-27T09:00:00Z", "2026-11-30T09:00:00Z"},
		},
		{
			"the last of a month, moved to the next working day", `@rules {"weekend": "sat,sun", "except": ["2026-06-01"], "shift": "next"} @standard 0 9 L * *`, "UTC", "2026-05-01T00:00:00Z",
			[]string{"2026-06-02T09:00:00Z", "2026-06-30T09:00:00Z", "2026-07-31T09:00:00Z", "2026-08-31T09:00:00Z"}, // 31 May is a Sunday
		},
		{
			"moved to the working day before", `@rules {"weekend": "sat,sun", "shift": "previous"} 0 9 1 * *`, "UTC", "2026-07-15T00:00:00Z",
			[]string{"2026-07-31T09:00:00Z", "2026-09-01T09:00:00Z"}, // 1 August is a Saturday
		},
		{
			"moved slots that fall together are one", `@rules {"weekend": "sat,sun", "shift": "next"} 0 9 * * *`, "UTC", "2026-11-27T12:00:00Z",
			[]string{"2026-11-30T09:00:00Z", "2026-12-01T09:00:00Z"},
		},
		{
			"a moved slot keeps to the clocks", `@rules {"weekend": "sun", "shift": "next"} 0 9 * * *`, "Europe/Berlin", "2026-03-28T12:00:00Z", // clocks change on the 29th, a Sunday
			[]string{"2026-03-30T07:00:00Z", "2026-03-31T07:00:00Z"},
		},
		{
			"a start and an end", `@rules {"start": "2026-11-26T09:00:00Z", "end": "2026-11-28T09:00:00Z"} 0 9 * * *`, "UTC", "2026-01-01T00:00:00Z",
			[]string{"2026-11-26T09:00:00Z", "2026-11-27T09:00:00Z", "2026-11-28T09:00:00Z", ""},
		},
		{
			"bounds by the zone's clocks", `@rules {"start": "2026-11-26 09:00"} 0 9 * * *`, "Asia/Tokyo", "2026-11-01T00:00:00Z",
			[]string{"2026-11-26T00:00:00Z"},
		},
		{
			"an hour before the end of a month", `@rules {"offset": "-1h"} 0 0 1 * *`, "UTC", "2026-11-30T23:00:00Z",
			[]string{"2026-12-31T23:00:00Z", "2027-01-31T23:00:00Z"},
		},
		{
			"a zone of the spec's own", `CRON_TZ=Asia/Tokyo @rules {"except": ["2026-12-25"]} 0 9 * * *`, "UTC", "2026-12-24T00:00:00Z",
			[]string{"2026-12-26T00:00:00Z"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			spec, err := schedule.ParseSpec(tt.spec, tt.zone, time.Time{})
			if err != nil {
				t.Fatal(err)
			}
			at, err := time.Parse(time.RFC3339, tt.after)
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range tt.want {
				next, got := spec.Next(at), ""
				if !next.IsZero() {
					got = next.Format(time.RFC3339Nano)
				}
				if got != want {
					t.Fatalf("Next(%v) = %q, want %q", at.Format(time.RFC3339), got, want)
				}
				at = next
			}
		})
	}
}

// Splay is the same for an entry, jitter another for each slot; both are in their bounds.
func TestSplayAndJitter(t *testing.T) {
	from := time.Date(2026, 11, 26, 0, 0, 0, 0, time.UTC)
	delays := func(rules, key string) []time.Duration {
		spec, err := schedule.Reading{Key: key}.Parse("@rules " + rules + " 0 * * * *")
		if err != nil {
			t.Fatal(err)
		}
		var all []time.Duration
		at := from
		for hour := range 1000 {
			at = spec.Next(at)
			delay := at.Sub(from.Add(time.Duration(hour) * time.Hour))
			if hour == 0 && delay > time.Hour { // the first slot is after from itself
				delay -= time.Hour
				from = from.Add(time.Hour)
			}
			if delay < 0 || delay > 30*time.Minute {
				t.Fatalf("%s for %s: slot %d is %v late, want 0 to 30m", rules, key, hour, delay)
			}
			all = append(all, delay)
		}
		return all
	}
	distinct := func(all []time.Duration) int {
		seen := map[time.Duration]bool{}
		for _, one := range all {
			seen[one] = true
		}
		return len(seen)
	}
	splays := map[time.Duration]bool{}
	for n := range 100 {
		splay := delays(`{"splay": "30m"}`, fmt.Sprintf("entry %d", n))
		if distinct(splay) != 1 {
			t.Fatalf("an entry's splay takes %d values, want one", distinct(splay))
		}
		splays[splay[0]] = true
	}
	if len(splays) < 95 { // of 1.8 million
		t.Errorf("a hundred entries have %d different splays, want nearly as many", len(splays))
	}
	jitter := delays(`{"jitter": "30m"}`, "entry")
	if n := distinct(jitter); n < 950 {
		t.Errorf("a thousand slots have %d different jitters, want nearly as many", n)
	}
	var sum time.Duration
	for _, one := range jitter {
		sum += one
	}
	if mean := sum / time.Duration(len(jitter)); mean < 13*time.Minute || mean > 17*time.Minute {
		t.Errorf("jitters of up to 30m are %v on average, want about 15m", mean)
	}
}

func TestBadRules(t *testing.T) {
	for _, tt := range []struct{ spec, want string }{
		{`@rules {"weekends": "sat"} 0 9 * * *`, `"weekends" is not known`},
		{`@rules {"also": "0 9 * * *"} 0 9 * * *`, "also is a JSON string"},
		{`@rules {"except": [1]} 0 9 * * *`, "except is a JSON number"},
		{`@rules {"weekend": "sat`, "end too early"},
		{`@rules ["2026-12-25"] 0 9 * * *`, "they are a JSON array"},
		{`@rules weekend=sat 0 9 * * *`, "not JSON"},
		{`@rules {}`, "a spec is missing"},
		{`@rules {} 0 25 * * *`, "25"},
		{`@rules {"also": ["0 9 * * 7"]} 0 9 * * *`, "also: "},
		{`@rules {"except": ["2026-12-25..2026-12-24"]} 0 9 * * *`, "range of dates"},
		{`@rules {"weekend": "saturday"} 0 9 * * *`, `"saturday" is no day`},
		{`@rules {"shift": "nearest"} 0 9 * * *`, "skip, next or previous"},
		{`@rules {"weekend": "sun,mon,tue,wed,thu,fri,sat", "shift": "next"} 0 9 * * *`, "more than 366 days off"},
		{`@rules {"weekend": "sun,mon,tue,wed,thu,fri,sat"} 0 9 * * *`, "leave no slot"},
		{`@rules {"jitter": "25h"} 0 9 * * *`, "24h or less"},
		{`@rules {"jitter": "5m"} 0 9 * * *`, "id"},
		{`@rules {"offset": "soon"} 0 9 * * *`, "offset: "},
		{`@rules {"start": "tomorrow"} 0 9 * * *`, "start: "},
		{`@rules {"start": "2026-12-01", "end": "2026-11-01"} 0 9 * * *`, "end is before start"},
		{`@rules {"end": "1900-11-01"} @at 2026-11-01T00:00:00Z`, "leave no slot"},
		{`@rules {"offset": "30m"} @rules {"weekend": "sat,sun"} 0 9 * * *`, "stand once"},
		{`@rules {"also": ["@rules {} 0 9 * * *"]} 0 9 * * *`, "stand once"},
		{`@rules {"weekend": "sat,sun", "shift": "next"} @every 1s`, "more than 10000 slots"},
		{`@rules {"jitter": "24h", "key": "k"} @every 1s`, "more than 10000 slots"},
	} {
		_, err := schedule.ParseSpec(tt.spec, "UTC", time.Time{})
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("ParseSpec(%s): %v, want one line that says %q", tt.spec, err, tt.want)
		}
	}
}

// The slots of rules are a set: Next is strictly increasing, and the same from all
// instants between two slots. What String returns is the same spec.
func TestRulesGiveASet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pick := func(name string, some ...string) string { return rapid.SampledFrom(some).Draw(t, name) }
		text := fmt.Sprintf(`@rules {"also": [%s], "except": [%s], "weekend": "%s", "shift": "%s", "offset": "%s", "splay": "%s", "jitter": "%s"} %s`,
			pick("also", "", `"0 0 1 * *"`, `"15 12 * * 1"`), pick("except", "", `"2026-12-20..2027-01-10"`, `"0 9 * * 2", "2026-11-30"`),
			pick("weekend", "", "sun", "sat,sun", "fri"), pick("shift", "skip", "next", "previous"), pick("offset", "", "-90m", "36h"),
			pick("splay", "", "10m"), pick("jitter", "", "45s", "2h"), pick("spec", "0 9 * * *", "*/20 8-9 * * *", "@every 7h", "0 0 1,15 * *", "@standard 0 9 LW * *"))
		zone := rapid.SampledFrom(someZones).Draw(t, "zone")
		spec, err := schedule.Reading{Zone: zone, Key: "7"}.Parse(text)
		if err != nil {
			t.Fatalf("Parse(%q): %v", text, err)
		}
		again, err := schedule.ParseSpec(spec.String(), "", time.Time{})
		if err != nil {
			t.Fatalf("ParseSpec(%q): %v", spec.String(), err)
		}
		if again.String() != spec.String() {
			t.Fatalf("String() is %q, and read again %q", spec.String(), again.String())
		}
		at := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(rapid.Int64Range(0, 90*24*3600).Draw(t, "after")) * time.Second)
		for range 20 {
			next := spec.Next(at)
			if !next.After(at) {
				t.Fatalf("%s: Next(%v) = %v", text, at, next)
			}
			for _, between := range []time.Time{at.Add(next.Sub(at) / 3), next.Add(-time.Microsecond)} {
				if got := spec.Next(between); !got.Equal(next) {
					t.Fatalf("%s: Next(%v) = %v, Next(%v) = %v", text, at, next, between, got)
				}
			}
			if got := again.Next(at); !got.Equal(next) {
				t.Fatalf("%s: Next(%v) = %v, and read again %v", text, at, next, got)
			}
			at = next
		}
	})
}

func TestRulesOfTheEnd(t *testing.T) {
	for _, tt := range []struct {
		spec, words string
		want        schedule.Limit
	}{
		{`@rules {"max_runs": 3} 0 9 * * *`, "at 09:00 every day; at most 3 runs", schedule.Limit{Runs: 3, Then: schedule.ThenDisable, Sent: 2}},
		{`@rules {"max_runs": 3, "then": "delete"} 0 9 * * *`, "at 09:00 every day; at most 3 runs; then deleted", schedule.Limit{Runs: 3, Then: schedule.ThenDelete, Sent: 2}},
		{`@rules {"max_runs": 3, "then": "keep"} 0 9 * * *`, "at 09:00 every day; at most 3 runs", schedule.Limit{Runs: 3, Sent: 2}},
		{`@rules {"then": "disable"} @at 2030-01-01T00:00:00Z`, "once at 2030-01-01T00:00:00Z; then disabled", schedule.Limit{Then: schedule.ThenDisable, Sent: 2}},
		{`@rules {"weekend": "sun"} 0 9 * * *`, "at 09:00 every day; not on sun", schedule.Limit{}},
		{`0 9 * * *`, "at 09:00 every day", schedule.Limit{}},
	} {
		spec, err := schedule.ParseSpec(tt.spec, "UTC", time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		if got := schedule.LimitOf(spec, 2); got != tt.want {
			t.Errorf("LimitOf(%s) = %+v, want %+v", tt.spec, got, tt.want)
		}
		if got := schedule.Describe(spec); got != tt.words {
			t.Errorf("Describe(%s) = %q, want %q", tt.spec, got, tt.words)
		}
		again, err := schedule.ParseSpec(spec.String(), "UTC", time.Time{})
		if err != nil || schedule.LimitOf(again, 2) != tt.want {
			t.Errorf("the text %s reads as another limit, %v", spec, err)
		}
	}
	for rules, want := range map[string]string{
		`{"max_runs": -1}`:     "max_runs is below 0",
		`{"max_runs": "many"}`: "for max_runs a number",
		`{"max_runs": 1.5}`:    "for max_runs a number",
		`{"then": "explode"}`:  `then: "explode" is not known: write keep, disable or delete`,
	} {
		if _, err := schedule.ParseSpec("@rules "+rules+" 0 9 * * *", "UTC", time.Time{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Parse of %s = %v, want %q", rules, err, want)
		}
	}
	for text, want := range map[string]bool{
		`@at 2030-01-01T00:00:00Z`: true, `@rules {"then": "delete"} @at 2030-01-01T00:00:00Z`: true,
		`@rules {"also": ["0 9 * * *"]} @at 2030-01-01T00:00:00Z`: false, `0 0 1 1 *`: false,
	} {
		spec, err := schedule.ParseSpec(text, "UTC", time.Time{})
		if err != nil || schedule.Single(spec) != want {
			t.Errorf("Single(%s) = %t, %v; want %t", text, !want, err, want)
		}
	}
}
