package schedule_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
)

// A change is an instant at which a zone's clocks are changed.
type change struct {
	at            int64 // Unix seconds
	before, after int64 // offsets, seconds east of UTC
}

// TestEveryChangeOfClocks compares slots around each change in each zone, 1990 to 2045,
// with what the clocks show minute by minute.
func TestEveryChangeOfClocks(t *testing.T) {
	specs := []clockSpec{
		{"* * * * *", true, true, func(_, _ int64) bool { return true }},
		{"*/15 * * * *", true, true, func(_, minute int64) bool { return minute%15 == 0 }},
		{"30 * * * *", true, true, func(_, minute int64) bool { return minute == 30 }},
		{"5 */2 * * *", true, false, func(hour, minute int64) bool { return hour%2 == 0 && minute == 5 }},
		{"10,40 0-23 * * *", true, true, func(_, minute int64) bool { return minute == 10 || minute == 40 }},
		{"*/10 0-22 * * *", false, false, func(hour, minute int64) bool { return hour <= 22 && minute%10 == 0 }},
		{"30 0,1,2,3,23 * * *", false, false, func(hour, minute int64) bool { return (hour <= 3 || hour == 23) && minute == 30 }},
		{"0 1-23 * * *", false, false, func(hour, minute int64) bool { return hour >= 1 && minute == 0 }},
		{"5 3 * * *", false, false, func(hour, minute int64) bool { return hour == 3 && minute == 5 }},
		{"@standard 0 10/30 * ? * sun-sat", true, true, func(_, minute int64) bool { return minute == 10 || minute == 40 }},
		{"@standard 30 2,3 1-31 * ?", false, false, func(hour, minute int64) bool { return (hour == 2 || hour == 3) && minute == 30 }},
		{"@rrule FREQ=HOURLY;BYMINUTE=5", true, true, func(_, minute int64) bool { return minute == 5 }},
		{"@rrule FREQ=DAILY;BYHOUR=2,3;BYMINUTE=30;BYSECOND=0", false, false, func(hour, minute int64) bool { return (hour == 2 || hour == 3) && minute == 30 }},
	}
	seen := make(map[string]bool)
	var zones, tried int
	for _, name := range zoneNames(t) {
		location, err := schedule.Location(name)
		if err != nil {
			t.Fatal(err)
		}
		zones++
		changes := changesOf(location)
		for i, c := range changes {
			// Zones that change alike, and were changed alike a little before and after, are tried once.
			key := fmt.Sprint(changes[max(i-1, 0):min(i+2, len(changes))])
			if seen[key] {
				continue
			}
			seen[key] = true
			tried++
			if raced && tried%10 > 0 {
				continue // `make test` tries all once more, without the detector
			}
			for _, spec := range specs {
				// A recurrence takes a hundred times as long.
				if strings.HasPrefix(spec.text, "@rrule") && tried%5 > 0 {
					continue
				}
				spec.compare(t, name, location, c, changes)
			}
		}
	}
	if zones < 200 || tried < 2000 {
		t.Errorf("only %d changes in %d zones were tried", tried, zones)
	}
	t.Logf("tried %d changes of %d zones", tried, zones)
}

type clockSpec struct {
	text      string
	subDaily  bool                          // repeated in a fold
	everyHour bool                          // not moved out of a gap
	given     func(hour, minute int64) bool // what the fields say
}

// compare walks through a change and compares with what the clocks show.
func (cs clockSpec) compare(t *testing.T, zone string, location *time.Location, c change, changes []change) {
	const hour = 60 * 60
	margin := max(c.after-c.before, c.before-c.after) + 2*hour
	from, through := (c.at-margin)/60*60, (c.at+margin)/60*60
	var near []change
	for _, other := range changes {
		if other.at >= from-48*hour && other.at <= through+48*hour {
			near = append(near, other)
		}
	}

	spec := parse(t, cs.text, zone)
	given := func(local int64) bool { return cs.given(local/hour%24, local/60%60) }
	local := func(second int64) int64 {
		_, offset := time.Unix(second, 0).In(location).Zone()
		return second + int64(offset)
	}

	var want []int64
	for second := from + 1; second <= through; second++ {
		second += (60 - local(second)%60) % 60
		shown := local(second)
		if second <= through && given(shown) && (cs.subDaily || !shownBefore(second, shown, local, near)) {
			want = append(want, second)
		}
	}
	for _, other := range near {
		for at := other.at + other.before; at < other.at+other.after && !cs.everyHour; at++ {
			if at%60 == 0 && given(at) && from < other.at && other.at <= through {
				want = append(want, other.at)
			}
		}
	}
	slices.Sort(want)
	want = slices.Compact(want)

	var got []int64
	for slot := spec.Next(time.Unix(from, 0)); slot.Unix() <= through; slot = spec.Next(slot) {
		if len(got) > 0 && slot.Unix() <= got[len(got)-1] {
			t.Fatalf("%s in %s: %v comes after %v", cs.text, zone, slot, time.Unix(got[len(got)-1], 0).UTC())
		}
		got = append(got, slot.Unix())
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s in %s around %v (%d to %d):\n got %v\nwant %v", cs.text, zone, time.Unix(c.at, 0).UTC(), c.before, c.after, times(got), times(want))
	}
	if minutes := int(through-from) / 60; cs.text == "* * * * *" && len(got) != minutes {
		t.Errorf("%s in %s around %v: %d slots in %d minutes", cs.text, zone, time.Unix(c.at, 0).UTC(), len(got), minutes)
	}
}

// shownBefore reports whether clocks showed a local time at an earlier second too.
func shownBefore(second, shown int64, local func(int64) int64, near []change) bool {
	return slices.ContainsFunc(near, func(c change) bool {
		return shown-c.before < second && local(shown-c.before) == shown
	})
}

func times(seconds []int64) []string {
	var all []string
	for _, second := range seconds {
		all = append(all, time.Unix(second, 0).UTC().Format("02T15:04:05"))
	}
	return all
}

// changesOf finds a zone's changes of clocks by looking at them once a day, and then
// closer where they differ from the day before.
func changesOf(location *time.Location) []change {
	const day = 24 * 60 * 60
	from, to := time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC).Unix(), time.Date(2045, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	offset := func(second int64) int64 {
		_, offset := time.Unix(second, 0).In(location).Zone()
		return int64(offset)
	}
	var all []change
	for before := offset(from); from < to; from += day {
		after := offset(from + day)
		if after == before {
			continue
		}
		low, high := from, from+day
		for high-low > 1 {
			if middle := (low + high) / 2; offset(middle) == before {
				low = middle
			} else {
				high = middle
			}
		}
		all = append(all, change{high, before, after})
		before = after
	}
	return all
}

// zoneNames returns the zones, without those that are another by name only.
func zoneNames(t *testing.T) []string {
	t.Helper()
	var names []string
	seen := make(map[string]bool)
	for _, name := range schedule.ZoneNames() {
		location, err := schedule.Location(name)
		if err != nil {
			t.Fatal(err)
		}
		if changes := fmt.Sprint(changesOf(location)); !seen[changes] {
			seen[changes] = true
			names = append(names, name)
		}
	}
	return names
}
