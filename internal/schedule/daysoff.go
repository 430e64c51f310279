package schedule

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

const secondsPerDay = 24 * 60 * 60

// A dayRange is days from first to last, as numbers of days since 1970-01-01.
type dayRange struct{ first, last int64 }

// String returns the range in the form that parseDates reads.
func (r dayRange) String() string {
	first, last := dateText(r.first), dateText(r.last)
	if first == last {
		return first
	}
	return first + ".." + last
}

func dateText(day int64) string {
	return time.Unix(day*secondsPerDay, 0).UTC().Format(time.DateOnly)
}

// daysOff are days on which nobody works: days of the week, dates, and those of
// calendars.
type daysOff struct {
	week      uint8      // bit 0 is Sunday
	ranges    []dayRange // in order, apart from each other
	calendars []*Calendar
}

// parseDates reads a date, or a range of dates with two dots; ok is false for a text
// that is neither.
func parseDates(text string) (days dayRange, ok bool, err error) {
	first, last, ranged := strings.Cut(strings.TrimSpace(text), "..")
	if !ranged {
		last = first
	}
	from, problem := time.Parse(time.DateOnly, strings.TrimSpace(first))
	if problem != nil && !ranged {
		return dayRange{}, false, nil
	}
	to, also := time.Parse(time.DateOnly, strings.TrimSpace(last))
	if problem != nil || also != nil || to.Before(from) {
		return dayRange{}, false, fmt.Errorf("%q is no range of dates: write it as 2026-12-29..2027-01-03", text)
	}
	return dayRange{floorDays(from.Unix()), floorDays(to.Unix())}, true, nil
}

// floorDays is the number of the day of a local second.
func floorDays(local int64) int64 {
	day := local / secondsPerDay
	if local%secondsPerDay < 0 {
		day--
	}
	return day
}

// sort puts the ranges in order and joins those that touch.
func (d *daysOff) sort() {
	slices.SortFunc(d.ranges, func(a, b dayRange) int { return cmp.Compare(a.first, b.first) })
	joined := d.ranges[:0]
	for _, days := range d.ranges {
		if n := len(joined); n > 0 && days.first <= joined[n-1].last+1 {
			joined[n-1].last = max(joined[n-1].last, days.last)
		} else {
			joined = append(joined, days)
		}
	}
	d.ranges = joined
}

func (d *daysOff) none() bool {
	return d.week == 0 && len(d.ranges) == 0 && len(d.calendars) == 0
}

// off says whether nobody works on a day.
func (d *daysOff) off(day int64) bool {
	weekday := ((day+4)%7 + 7) % 7 // 1970-01-01 was a Thursday
	if d.week&(1<<weekday) != 0 || slices.ContainsFunc(d.calendars, func(c *Calendar) bool { return c.days.off(day) }) {
		return true
	}
	_, found := d.within(day)
	return found
}

// within returns the range that has a day.
func (d *daysOff) within(day int64) (days dayRange, found bool) {
	i, found := slices.BinarySearchFunc(d.ranges, day, func(days dayRange, day int64) int {
		switch {
		case days.last < day:
			return -1
		case days.first > day:
			return 1
		}
		return 0
	})
	if !found {
		return dayRange{}, false
	}
	return d.ranges[i], true
}

// through returns the last of the days that are off in a row from one on, or, of very many, one of them.
func (d *daysOff) through(day int64) int64 {
	for range mostCandidates / 100 { // by turns with those
		if days, found := d.within(day + 1); found {
			day = days.last
		} else if d.off(day + 1) {
			day++
		} else {
			break
		}
	}
	return day
}

// longest returns how many days in a row are off at most, counting no further than
// one more than mostDaysOff.
func (d *daysOff) longest() int64 {
	if d.week == 1<<7-1 {
		return mostDaysOff + 1
	}
	if len(d.calendars) == 1 && len(d.ranges) == 0 { // as many entries have it
		return d.calendars[0].longest(d.week)
	}
	return d.walk()
}

// walk is longest, worked out.
func (d *daysOff) walk() int64 {
	var longest int64
	along := func(from int64) { // both ways, from a day that is off
		first, last := from, from
		for d.off(first-1) && last-first <= mostDaysOff {
			first--
		}
		for d.off(last+1) && last-first <= mostDaysOff {
			last++
		}
		longest = max(longest, last-first+1)
	}
	for day := range int64(7) { // of a week far from all dates
		if far := int64(1) << 40; (&daysOff{week: d.week}).off(far + day) {
			plain := daysOff{week: d.week}
			first := far + day
			for plain.off(first - 1) {
				first--
			}
			last := far + day
			for plain.off(last + 1) {
				last++
			}
			longest = max(longest, last-first+1)
		}
	}
	for _, days := range d.ranges {
		along(days.first)
	}
	for _, calendar := range d.calendars {
		for _, days := range calendar.days.ranges {
			along(days.first)
		}
	}
	return longest
}
