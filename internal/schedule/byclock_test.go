package schedule_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
)

func TestIntervalsByTheClocks(t *testing.T) {
	for _, tt := range []struct{ name, zone, text, after, want string }{
		{"wall keeps the hour", "America/New_York", "@every 1d wall from 2025-11-01T12:00:00-04:00", "2025-11-01T12:00:00-04:00", "2025-11-02T12:00:00-05:00"},
		{"real time does not", "America/New_York", "@every 1d from 2025-11-01T12:00:00-04:00", "2025-11-01T12:00:00-04:00", "2025-11-02T11:00:00-05:00"},
		{"wall goes back before its anchor", "America/New_York", "@every 1w wall from 2025-11-05T12:00:00-05:00", "2025-10-28T00:00:00-04:00", "2025-10-29T12:00:00-04:00"},
		{"wall in a gap", "Europe/Berlin", "@every 1d wall from 2025-03-28T02:30:00+01:00", "2025-03-29T02:30:00+01:00", "2025-03-30T03:00:00+02:00"},
		{"wall after a gap", "Europe/Berlin", "@every 1d wall from 2025-03-28T02:30:00+01:00", "2025-03-30T03:00:00+02:00", "2025-03-31T02:30:00+02:00"},
		{"wall in a fold", "Europe/Berlin", "@every 2d wall from 2025-10-24T02:30:00+02:00", "2025-10-24T02:30:00+02:00", "2025-10-26T02:30:00+02:00"},
		{"wall after a fold", "Europe/Berlin", "@every 2d wall from 2025-10-24T02:30:00+02:00", "2025-10-26T02:30:00+02:00", "2025-10-28T02:30:00+01:00"},
		{"wall over a day that was not there", "Pacific/Apia", "@every 2d wall from 2011-12-28T09:00:00-10:00", "2011-12-28T09:00:00-10:00", "2011-12-31T00:00:00+14:00"},
		{"wall has whole seconds", "", "@every 1d wall from 2026-01-01T09:00:00.75Z", "2026-01-01T09:00:00Z", "2026-01-02T09:00:00Z"},

		// The vectors of Celery: last run at 10:07:13.
		{"60", "", "@every 60s relative from 2025-01-01T10:07:13Z", "2025-01-01T10:07:13Z", "2025-01-01T10:08:00Z"},
		{"90", "", "@every 90s relative from 2025-01-01T10:07:13Z", "2025-01-01T10:07:13Z", "2025-01-01T10:08:00Z"},
		{"600", "", "@every 600s relative from 2025-01-01T10:07:13Z", "2025-01-01T10:07:13Z", "2025-01-01T10:17:00Z"},
		{"3600", "", "@every 3600s relative from 2025-01-01T10:07:13Z", "2025-01-01T10:07:13Z", "2025-01-01T11:00:00Z"},
		{"5400", "", "@every 5400s relative from 2025-01-01T10:07:13Z", "2025-01-01T10:07:13Z", "2025-01-01T11:00:00Z"},
		{"86400", "", "@every 86400s relative from 2025-01-01T10:07:13Z", "2025-01-01T10:07:13Z", "2025-01-02T00:00:00Z"},
		{"100000", "", "@every 100000s relative from 2025-01-01T10:07:13Z", "2025-01-01T10:07:13Z", "2025-01-02T00:00:00Z"},
		{"1", "", "@every 1s relative from 2025-01-01T10:07:13.5Z", "2025-01-01T10:07:13.5Z", "2025-01-01T10:07:14Z"},
		{"1.5", "", "@every 1500000us relative from 2025-01-01T10:07:13Z", "2025-01-01T10:07:14Z", "2025-01-01T10:07:15Z"},

		{"hours of a zone with a quarter", "Asia/Kathmandu", "@every 1h relative from 2025-01-01T10:07:13+05:45", "2025-01-01T10:07:13+05:45", "2025-01-01T11:00:00+05:45"},
		{"hours are real", "America/New_York", "@every 1h relative from 2025-11-01T12:00:00-04:00", "2025-11-02T01:00:00-04:00", "2025-11-02T01:00:00-05:00"},
		{"six hours are real", "America/New_York", "@every 6h relative from 2025-11-01T12:00:00-04:00", "2025-11-02T00:00:00-04:00", "2025-11-02T05:00:00-05:00"},
		{"days are those of the calendar", "America/New_York", "@every 1d relative from 2025-11-01T12:00:00-04:00", "2025-11-02T00:00:00-04:00", "2025-11-03T00:00:00-05:00"},
		{"an hour of an hour and a half", "Australia/Lord_Howe", "@every 1h relative from 2025-04-05T12:00:00+11:00", "2025-04-06T01:00:00+11:00", "2025-04-06T02:00:00+10:30"},
		{"an hour of half an hour", "Australia/Lord_Howe", "@every 1h relative from 2025-10-04T12:00:00+10:30", "2025-10-05T02:30:00+11:00", "2025-10-05T03:00:00+11:00"},
		{"an hour in a gap", "Australia/Lord_Howe", "@every 1h relative from 2025-10-04T12:00:00+10:30", "2025-10-05T01:00:00+10:30", "2025-10-05T02:30:00+11:00"},
		{"midnight in a gap", "America/Havana", "@every 1d relative from 2025-03-08T12:00:00-05:00", "2025-03-08T12:00:00-05:00", "2025-03-09T01:00:00-04:00"},
		{"midnight twice", "America/Havana", "@every 1d relative from 2025-11-01T12:00:00-04:00", "2025-11-02T00:00:00-04:00", "2025-11-03T00:00:00-05:00"},
		{"the last ones of all", "", "@every 1h relative from 9999-12-31T00:30:00Z", "9999-12-31T22:59:00Z", "9999-12-31T23:00:00Z"},
	} {
		spec := parse(t, tt.text, tt.zone)
		if got := spec.Next(instant(t, tt.after)); !got.Equal(instant(t, tt.want)) {
			t.Errorf("%s: %s in %s after %s: %v, want %s", tt.name, tt.text, tt.zone, tt.after, got, tt.want)
		}
	}
	for _, text := range []string{"@every 1h relative", "@every 1d relative", "@every 3d wall"} {
		if got := parse(t, text, "Asia/Tokyo").Next(instant(t, "9999-12-31T23:30:00Z")); !got.IsZero() {
			t.Errorf("%s has a slot after the year 9999: %v", text, got)
		}
	}
}

// An interval by the clocks that has a crontab's slots has them at each change of clocks
// as well; TestEveryChangeOfClocks holds those against the clocks themselves.
func TestIntervalsByTheClocksAreTheirCrontabsAtEveryChange(t *testing.T) {
	var tried int
	for _, name := range zoneNames(t) {
		location, err := schedule.Location(name)
		if err != nil {
			t.Fatal(err)
		}
		changes := changesOf(location)
		for i, c := range changes {
			if i%5 > 0 && i < len(changes)-2 {
				continue
			}
			tried++
			if raced && tried%10 > 0 {
				continue // `make test` tries all once more, without the detector
			}
			at := time.Unix(c.at, 0)
			from := time.Date(2003, 7, 6, 0, 0, 0, 0, location) // a Sunday
			pairs := [][2]string{
				{"@every 1d relative", "0 0 * * *"},
				{"@every 1m relative", "* * * * *"},
			}
			for _, minutes := range []int64{c.before / 60, c.after / 60} { // the times that the change leaves out or repeats begin or end at one of these
				clock := (c.at/60 + minutes + 24*60 - 20) % (24 * 60)
				anchor := from.Add(time.Duration(clock) * time.Minute)
				if hour, minute, _ := anchor.Clock(); int64(hour*60+minute) != clock {
					continue
				}
				pairs = append(
					pairs,
					[2]string{"@every 1d wall from " + anchor.Format(time.RFC3339), fmt.Sprintf("%d %d * * *", clock%60, clock/60)},
					[2]string{"@every 7d wall from " + anchor.Format(time.RFC3339), fmt.Sprintf("%d %d * * 0", clock%60, clock/60)},
				)
			}
			if (c.after-c.before)%3600 == 0 {
				pairs = append(pairs, [2]string{"@every 1h relative", "0 * * * *"})
			}
			for _, pair := range pairs {
				every, crontab := parse(t, pair[0], name), parse(t, pair[1], name)
				after := at.Add(-40 * time.Hour)
				for n := 0; n < 3000 && after.Before(at.Add(40*time.Hour)); n++ {
					got, want := every.Next(after), crontab.Next(after)
					if !got.Equal(want) {
						t.Fatalf("%s in %s after %v: %v, want %v as %s", pair[0], name, after.In(location), got.In(location), want.In(location), pair[1])
					}
					after = got
				}
			}
		}
	}
	if tried < 2000 {
		t.Errorf("only %d changes were tried", tried)
	}
}

func TestIntervalsByTheClocksAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		"@every 36h wall":                          "wall is for whole days, as in @every 1d wall: leave it out of an interval of 1d12h, which counts real time",
		"@every 0d wall":                           "wall is for whole days",
		"@every 500ms relative":                    "too short: use 1s or more",
		"@every 1d daily":                          `"daily" is not expected here: write @every 90s, @every 1d wall, @every 1h relative, or one of these and from 2026-11-24T00:00:00Z (at character 11 of`,
		"@every 1d wall relative":                  `"relative" is not expected here`,
		"@every 1d wall from noon":                 `"noon" is not a time`,
		"@every 1d from 2026-11-24T00:00:00Z wall": "is not a time",
	} {
		if _, err := schedule.ParseSpec(text, "", time.Time{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseSpec(%q): %v, want %q", text, err, want)
		}
	}
}
