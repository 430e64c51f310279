package schedule

import (
	"math"
	"math/bits"
	"time"
)

// A Crontab is a Spec of five fields, in Celery's grammar (see field.parse) and
// with Celery's meaning: a date counts when its month and its day of the month
// and its day of the week are all given, and slots are at second 0.
//
// The fields speak of the clocks of the crontab's zone. Where those are changed:
//
//   - In a fold, a time that the clocks show twice is a slot twice if the crontab is
//     sub-daily: if its hour field covers every hour, or has a part that begins with
//     "*", such as "*/2". Any other crontab has fixed times of the day, and a slot in
//     the first pass only.
//   - In a gap, a time that the clocks never show becomes the first instant after the
//     gap; several of them, and a slot at that very instant, become one. Where the hour
//     field covers every hour it is no slot, as the next hour has the same minutes.
//
// So "*/15 * * * *" runs every fifteen real minutes all year, and "30 2 * * *"
// once every day of the year.
//
// Celery 5.7 leaves out second passes, and sends as long after a gap as the time
// lies in it: testdata/slots/differences.txt.
type Crontab struct {
	// Bit n of a set stands for the value n.
	minutes     uint64
	hours       uint32
	daysOfMonth uint32
	months      uint16
	daysOfWeek  uint8 // Sunday is 0
	subDaily    bool

	zone *zone
	text string // as String returns it
}

// String implements Spec: with a CRON_TZ prefix, or for UTC without one. The
// fields are as they were understood, with names as numbers and without what
// Celery's grammar passes over, so that they show what a sloppy text means.
func (c *Crontab) String() string { return c.text }

// Location returns the zone whose clocks the fields speak of.
func (c *Crontab) Location() *time.Location { return c.zone.location }

// Next implements Spec. There are no slots after the year 9999.
func (c *Crontab) Next(t time.Time) time.Time {
	after := max(t.Unix(), firstSecond-1)
	if after >= lastSecond {
		return time.Time{}
	}
	s, i := c.zone.find(after)
	from := after + 1 + s.offset
	if !c.subDaily {
		from = max(from, s.shown)
	}
	local := c.local(from)
	for local-s.offset >= s.end {
		if local == never {
			return time.Time{}
		}
		s, i = c.zone.following(s, i)
		first := s.start + s.offset
		switch {
		case local < first: // a gap swallowed it
			if c.hours != everyHour {
				return time.Unix(s.start, 0).UTC()
			}
			local = c.local(first)
		case first < from && c.subDaily: // a fold shows again what was passed
			from = first
			local = c.local(first)
		}
	}
	if local-s.offset > lastSecond {
		return time.Time{}
	}
	return time.Unix(local-s.offset, 0).UTC()
}

// never is a local second that no clock shows.
const never = math.MaxInt64 / 4

// local returns the first local second, at or after from, that the fields give.
func (c *Crontab) local(from int64) int64 {
	minute := floorDiv(from+59, 60)
	day := floorDiv(minute, 24*60)
	year, month, dayOfMonth := civil(day)
	first := day - int64(dayOfMonth) + 1

	days := c.days(year, month, first)
	if days>>dayOfMonth&1 != 0 {
		if ofDay := c.ofDay(int(minute - day*24*60)); ofDay >= 0 {
			return day*24*60*60 + int64(ofDay)*60
		}
	}
	days &^= 2<<dayOfMonth - 1
	for days == 0 {
		if rest := c.months >> (month + 1); rest != 0 {
			month += 1 + bits.TrailingZeros16(rest)
		} else {
			year, month = year+1, bits.TrailingZeros16(c.months)
			if year > 10000 {
				return never
			}
		}
		first = dayNumber(year, month)
		days = c.days(year, month, first)
	}
	day = first + int64(bits.TrailingZeros32(days)) - 1
	return day*24*60*60 + int64(c.ofDay(0))*60
}

// ofDay returns the first minute of the day, at or after from, that the minute
// and hour fields give, or -1.
func (c *Crontab) ofDay(from int) int {
	hour, minute := from/60, from%60
	if c.hours>>hour&1 != 0 {
		if rest := c.minutes >> minute; rest != 0 {
			return from + bits.TrailingZeros64(rest)
		}
	}
	rest := c.hours >> (hour + 1)
	if rest == 0 {
		return -1
	}
	return (hour+1+bits.TrailingZeros32(rest))*60 + bits.TrailingZeros64(c.minutes)
}

// days returns the days of a month that the three day fields give, as a set.
// First is the day number of the month's first day.
func (c *Crontab) days(year int64, month int, first int64) uint32 {
	if c.months>>month&1 == 0 {
		return 0
	}
	// The days of the week, over and over, from the Sunday on or before the 1st.
	const everyWeek = 1 | 1<<7 | 1<<14 | 1<<21 | 1<<28 | 1<<35
	weekday := ((first+4)%7 + 7) % 7 // of the 1st; day 0, 1970-01-01, was a Thursday
	weeks := uint64(c.daysOfWeek) * everyWeek >> weekday
	return c.daysOfMonth & uint32(weeks<<1) & (2<<monthLength(year, month) - 1)
}

func monthLength(year int64, month int) int {
	if month == 2 {
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 30 + (month+month>>3)&1
}

// civil returns the proleptic Gregorian date of a day number, counted from
// 1970-01-01. Years are counted from March, so that the leap day comes last.
func civil(day int64) (year int64, month, dayOfMonth int) {
	const era = 146097 // days in 400 years
	day += 719468      // days from 0000-03-01
	eras := floorDiv(day, era)
	ofEra := day - eras*era
	ofYear := (ofEra - ofEra/1460 + ofEra/36524 - ofEra/146096) / 365
	ofEra -= 365*ofYear + ofYear/4 - ofYear/100
	fromMarch := (5*ofEra + 2) / 153
	dayOfMonth = int(ofEra - (153*fromMarch+2)/5 + 1)
	year = ofYear + eras*400
	if fromMarch < 10 {
		return year, int(fromMarch) + 3, dayOfMonth
	}
	return year + 1, int(fromMarch) - 9, dayOfMonth
}

// dayNumber returns the day number of a month's first day: civil turned round.
func dayNumber(year int64, month int) int64 {
	fromMarch := int64(month) - 3
	if fromMarch < 0 {
		fromMarch += 12
		year--
	}
	eras := floorDiv(year, 400)
	ofEra := year - eras*400
	return eras*146097 + ofEra*365 + ofEra/4 - ofEra/100 + (153*fromMarch+2)/5 - 719468
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
