package schedule

import (
	"math"
	"math/bits"
	"time"
)

// A Crontab is a Spec of fields, in one of two dialects.
//
// Celery's has five fields in Celery's grammar (see field.parse) and Celery's
// meaning: a date counts when its month and its day of the month and its day of the
// week are all given, and slots are at second 0. The standard dialect (see
// standardField.parse) has a field for seconds as well if it is wanted, and takes either day when
// both day fields are restricted.
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
// lies in it: testdata/slots/differences.txt. A crontab with DST=celery before it does
// the same.
type Crontab struct {
	// Bit n of a set stands for the value n.
	seconds     uint64
	minutes     uint64
	hours       uint32
	daysOfMonth uint32
	months      uint16
	daysOfWeek  uint8     // Sunday is 0
	rules       *dayRules // of the standard dialect; nil when the sets above say all
	subDaily    bool

	celeryClocks bool // at changes of clocks, do as Celery does
	zone         *zone
	text         string // as String returns it
}

// String implements Spec: with a CRON_TZ prefix, or for UTC without one. The
// fields are as they were understood, with names as numbers and without what
// Celery's grammar passes over, so that they show what a sloppy text means.
func (c *Crontab) String() string { return c.text }

// prefix returns what stands before the fields in the crontab's text.
func (c *Crontab) prefix() string {
	var prefix string
	if c.celeryClocks {
		prefix = "DST=celery "
	}
	if c.zone.name != "UTC" {
		prefix += "CRON_TZ=" + c.zone.name + " "
	}
	return prefix
}

// Location returns the zone whose clocks the fields speak of.
func (c *Crontab) Location() *time.Location { return c.zone.location }

// Next implements Spec. There are no slots after the year 9999.
func (c *Crontab) Next(t time.Time) time.Time {
	after := max(t.Unix(), firstSecond-1)
	if after >= lastSecond {
		return time.Time{}
	}
	if c.celeryClocks {
		return c.nextAsCelery(after)
	}
	slot := c.zone.next(after, c.subDaily, c.hours == everyHour, c.local)
	if slot > lastSecond {
		return time.Time{}
	}
	return time.Unix(slot, 0).UTC()
}

// nextAsCelery is Next by the clocks of Celery 5.7 (crontab.remaining_delta and remaining of
// celery/utils/time.py): it looks for the next time that clocks without changes would show, and takes
// that for the first pass of a fold, or in a gap for as long after the gap as it
// lies in it.
//
// In the second pass of a fold Celery answers with a time that has gone, and
// sends without end until the pass is over; here it is the first slot after the pass. In the time
// after a gap that is as long as it, Celery takes no more notice of times of the gap; here the first of
// them, which alone gives a slot, gives that for whoever asks before it.
func (c *Crontab) nextAsCelery(after int64) time.Time {
	s, _ := c.zone.find(after)
	if gap := s.start + s.offset - s.shown; after < s.start+gap {
		if lost := c.local(s.shown); lost < s.start+s.offset && after < lost-s.shown+s.start {
			after = s.start - 1 // as if asked before the gap
			s, _ = c.zone.find(after)
		}
	}
	from := max(after+1+s.offset, s.shown)
	for {
		local := c.local(from)
		if local == never {
			return time.Time{}
		}
		slot := c.zone.shifted(local)
		switch {
		case slot > lastSecond:
			return time.Time{}
		case slot > after:
			return time.Unix(slot, 0).UTC()
		}
		from = local + 1
	}
}

// never is a local second that no clock shows.
const never = math.MaxInt64 / 4

// local returns the first local second, at or after from, that the fields give.
func (c *Crontab) local(from int64) int64 {
	day := floorDiv(from, daySeconds)
	year, month, dayOfMonth := civil(day)
	first := day - int64(dayOfMonth) + 1

	days := c.days(year, month, first)
	if days>>dayOfMonth&1 != 0 {
		if ofDay := c.ofDay(int(from - day*daySeconds)); ofDay >= 0 {
			return day*daySeconds + int64(ofDay)
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
	return day*daySeconds + int64(c.ofDay(0))
}

const daySeconds = 24 * 60 * 60

// ofDay returns the first second of the day, at or after from, that the second,
// minute and hour fields give, or -1.
func (c *Crontab) ofDay(from int) int {
	hour, minute, second := from/3600, from/60%60, from%60
	if c.hours>>hour&1 != 0 {
		if c.minutes>>minute&1 != 0 {
			if rest := c.seconds >> second; rest != 0 {
				return from + bits.TrailingZeros64(rest)
			}
		}
		if rest := c.minutes >> (minute + 1); rest != 0 {
			minute += 1 + bits.TrailingZeros64(rest)
			return (hour*60+minute)*60 + bits.TrailingZeros64(c.seconds)
		}
	}
	rest := c.hours >> (hour + 1)
	if rest == 0 {
		return -1
	}
	hour += 1 + bits.TrailingZeros32(rest)
	return (hour*60+bits.TrailingZeros64(c.minutes))*60 + bits.TrailingZeros64(c.seconds)
}

// days returns the days of a month that the day fields and the month field give,
// as a set. First is the day number of the month's first day.
func (c *Crontab) days(year int64, month int, first int64) uint32 {
	if c.months>>month&1 == 0 {
		return 0
	}
	weekday := int((first+4)%7+7) % 7 // of the 1st; day 0, 1970-01-01, was a Thursday
	length := monthLength(year, month)
	dates, weekdays := c.daysOfMonth&(2<<length-1), onWeekdays(c.daysOfWeek, weekday, length)
	if c.rules != nil {
		return c.rules.days(dates, weekdays, weekday, length)
	}
	return dates & weekdays
}

// onWeekdays returns the days of a month that are on days of the week, as a set.
// Weekday is that of the month's first day.
func onWeekdays(days uint8, weekday, length int) uint32 {
	// The days of the week, over and over, from the Sunday on or before the 1st.
	const everyWeek = 1 | 1<<7 | 1<<14 | 1<<21 | 1<<28 | 1<<35
	weeks := uint64(days) * everyWeek >> weekday
	return uint32(weeks<<1) & (2<<length - 1)
}

// comes reports whether any date is one of the crontab's. The calendar repeats
// itself after 400 years.
func (c *Crontab) comes() bool {
	for year := int64(2000); year < 2400; year++ {
		for month := 1; month <= 12; month++ {
			if c.days(year, month, dayNumber(year, month)) != 0 {
				return true
			}
		}
	}
	return false
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
