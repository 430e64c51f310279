package schedule_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/onebeat/onebeat/internal/schedule"
)

// calendarsOf finds calendars of these days by their names.
func calendarsOf(t rapid.TB, days map[string][]string) func(string) (*schedule.Calendar, error) {
	t.Helper()
	made := map[string]*schedule.Calendar{}
	for name, dates := range days {
		calendar, err := schedule.NewCalendar(name, dates)
		if err != nil {
			t.Fatal(err)
		}
		made[name] = calendar
	}
	return func(name string) (*schedule.Calendar, error) {
		if made[name] == nil {
			return nil, fmt.Errorf("there is no calendar %q", name)
		}
		return made[name], nil
	}
}

func TestCalendarsInRules(t *testing.T) {
	find := calendarsOf(t, map[string][]string{
		"holidays": {"2026-12-25", "2027-01-01"},
		"closing":  {"2026-12-29..2027-01-03"},
		"long":     {"2026-01-01..2027-06-01"},
	})
	for _, tt := range []struct{ name, rules, after, want string }{
		{"a day off has no slot", `{"calendars": ["holidays"]}`, "2026-12-24T09:00:00Z", "2026-12-26T09:00:00Z"},
		{"of two calendars", `{"calendars": ["closing", "holidays"]}`, "2026-12-28T09:00:00Z", "2027-01-04T09:00:00Z"},
		{"with the weekend, moved on", `{"calendars": ["closing"], "weekend": "sat,sun", "shift": "next"}`, "2026-12-28T09:00:00Z", "2027-01-04T09:00:00Z"},
		{"moved back", `{"calendars": ["closing"], "weekend": "sun", "shift": "previous"}`, "2026-12-26T09:00:00Z", "2026-12-28T09:00:00Z"},
		{"a long time without", `{"calendars": ["long"]}`, "2026-01-01T00:00:00Z", "2027-06-02T09:00:00Z"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			spec, err := schedule.Reading{Calendar: find}.Parse("@rules " + tt.rules + " 0 9 * * *")
			if err != nil {
				t.Fatal(err)
			}
			after, _ := time.Parse(time.RFC3339, tt.after)
			if got := spec.Next(after).Format(time.RFC3339); got != tt.want {
				t.Errorf("Next(%s) = %s, want %s", tt.after, got, tt.want)
			}
		})
	}
	for _, tt := range []struct{ name, rules, want string }{
		{"an unknown one", `{"calendars": ["feasts"]}`, `calendars: there is no calendar "feasts"`},
		{"more days in a row than slots may be moved", `{"calendars": ["long"], "shift": "next"}`, "more than 366 days off in a row"},
	} {
		_, err := schedule.Reading{Calendar: find}.Parse("@rules " + tt.rules + " 0 9 * * *")
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: Parse = %v, want %q", tt.name, err, tt.want)
		}
	}
	if _, err := schedule.ParseSpec(`@rules {"calendars": ["holidays"]} 0 9 * * *`, "UTC", time.Time{}); err == nil || !strings.Contains(err.Error(), "kept in the database") {
		t.Errorf("Parse where there are no calendars = %v", err)
	}
	if _, err := schedule.NewCalendar("odd", []string{"2026-02-30"}); err == nil || strings.Contains(err.Error(), "\n") {
		t.Errorf("NewCalendar of no date = %v, want an error of one line", err)
	}
}

// A calendar is nothing but its dates under a name: whatever the rules, slots are those
// of the dates written out, and the spec's own text reads as that.
func TestCalendarIsItsDates(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		first := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		date := rapid.Custom(func(t *rapid.T) string {
			from := first.AddDate(0, 0, rapid.IntRange(0, 400).Draw(t, "day"))
			through := from.AddDate(0, 0, rapid.IntRange(0, 12).Draw(t, "more"))
			return from.Format(time.DateOnly) + ".." + through.Format(time.DateOnly)
		})
		one, two := rapid.SliceOfN(date, 0, 20).Draw(t, "one"), rapid.SliceOfN(date, 0, 5).Draw(t, "two")
		reading := schedule.Reading{
			Zone:     rapid.SampledFrom([]string{"UTC", "Asia/Tokyo", "America/New_York", "Pacific/Apia"}).Draw(t, "zone"),
			Calendar: calendarsOf(t, map[string][]string{"one": one, "two": two}),
		}
		others := `, "weekend": "` + rapid.SampledFrom([]string{"", "sat,sun", "fri"}).Draw(t, "weekend") + `", "shift": "` +
			rapid.SampledFrom([]string{"skip", "next", "previous"}).Draw(t, "shift") + `"} `
		spec := rapid.SampledFrom([]string{"0 9 * * *", "30 2 * * *", "@standard 0 0 L * *", "@every 7h"}).Draw(t, "spec")
		named, err := reading.Parse(`@rules {"calendars": ["one", "two"]` + others + spec)
		if err != nil {
			t.Fatal(err)
		}
		written, err := reading.Parse(`@rules {"except": ["` + strings.Join(append(append([]string{"1990-01-01"}, one...), two...), `", "`) + `"]` + others + spec)
		if err != nil {
			t.Fatal(err)
		}
		read, err := schedule.ParseSpec(named.String(), reading.Zone, time.Time{})
		if err != nil {
			t.Fatalf("the spec's own text can't be read: %v", err)
		}
		at := first.AddDate(0, 0, -20)
		for range 60 {
			got, want := named.Next(at), written.Next(at)
			if !got.Equal(want) || !read.Next(at).Equal(want) {
				t.Fatalf("Next(%v) = %v, and %v of its text, want %v", at, got, read.Next(at), want)
			}
			at = got
		}
	})
}

func TestCalendarsThatDifferMakeSpecsThatDo(t *testing.T) {
	parse := func(days ...string) schedule.Spec {
		spec, err := schedule.Reading{Calendar: calendarsOf(t, map[string][]string{"c": days})}.Parse(`@rules {"calendars": ["c"]} 0 9 * * *`)
		if err != nil {
			t.Fatal(err)
		}
		return spec
	}
	if a, b := parse("2026-12-25"), parse("2026-12-26"); a.String() == b.String() {
		t.Errorf("both specs are %q", a.String())
	}
	if got := schedule.Describe(parse("2026-12-25")); !strings.HasSuffix(got, "; not on the days of c") {
		t.Errorf("Describe = %q", got)
	}
}
