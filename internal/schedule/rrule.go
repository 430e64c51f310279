package schedule

import (
	"slices"
	"time"

	"github.com/teambition/rrule-go"
)

// A Recurrence is a Spec of recurrence rules of iCalendar (RFC 5545, section 3.8.5): RRULE and
// RDATE, less EXDATE.
//
// Rules speak of the clocks of the recurrence's zone and are worked out as if those
// were never changed. Where they are, rules of days and longer do as a Crontab with
// fixed times does, and rules of hours, minutes and seconds as one of every hour: the
// second pass of a fold has slots too, and a time in a gap none. COUNT and UNTIL
// count times before that.
//
// DTSTART is a slot only if a rule gives it, as in dateutil. A rule that gives nothing
// for 400 years has ended.
type Recurrence struct {
	zone    *zone
	start   int64 // DTSTART, a local second
	rules   []rule
	dates   []int64 // RDATE in order, Unix seconds
	without []int64 // EXDATE in order, Unix seconds
	daysOff []int64 // EXDATE of whole days, in order: local day numbers
	text    string
}

// A rule is one RRULE, ready to be followed.
type rule struct {
	option    rrule.ROption // everything that DTSTART stands in for written out
	text      string
	lastLocal int64 // no time after it: COUNT, and UNTIL without a zone
	lastSlot  int64 // no slot after it, a Unix second: UNTIL in UTC
}

// String implements Spec.
func (r *Recurrence) String() string { return r.text }

// Location returns the zone whose clocks the rules speak of.
func (r *Recurrence) Location() *time.Location { return r.zone.location }

// Next implements Spec. There are no slots after the year 9999.
func (r *Recurrence) Next(t time.Time) time.Time {
	after := max(t.Unix(), firstSecond-1)
	for {
		slot := int64(never)
		for i := range r.rules {
			slot = min(slot, r.rules[i].next(after, r.zone))
		}
		if i, _ := slices.BinarySearch(r.dates, after+1); i < len(r.dates) {
			slot = min(slot, r.dates[i])
		}
		if slot > lastSecond {
			return time.Time{}
		}
		s, _ := r.zone.find(slot)
		day := floorDiv(slot+s.offset, daySeconds)
		if _, off := slices.BinarySearch(r.daysOff, day); off {
			after = max(slot, min(s.end, (day+1)*daySeconds-s.offset)-1)
			continue
		}
		if _, out := slices.BinarySearch(r.without, slot); out {
			after = slot
			continue
		}
		return time.Unix(slot, 0).UTC()
	}
}

// next returns the rule's first slot after a Unix second, or never.
func (r *rule) next(after int64, z *zone) int64 {
	if after >= r.lastSlot {
		return never
	}
	everyHour := r.option.Freq >= rrule.HOURLY
	slot := z.next(after, everyHour, everyHour, r.local)
	if slot > r.lastSlot {
		return never
	}
	return slot
}

// local returns the first local second, at or after from, that the rule gives, or never.
func (r *rule) local(from int64) int64 {
	from = max(from, r.option.Dtstart.Unix())
	if from > r.lastLocal {
		return never
	}
	var local int64
	if r.option.Freq >= rrule.HOURLY {
		periods := mostPeriods
		local = r.subDaily(from, &periods)
	} else {
		local = r.daily(from)
	}
	if local > r.lastLocal {
		return never
	}
	return local
}

// mostPeriods is how many hours, minutes or seconds one search looks at: tens of
// milliseconds, where real rules need a day's at most.
const mostPeriods = 1 << 21

// cycle is the length of the calendar, in seconds: after 400 years all weekdays, leap
// days and weeks are the same again.
const cycle = 146097 * daySeconds

// daily is local for rules of days, weeks, months and years.
//
// The rule is followed from shortly before from, not from DTSTART; and in the last
// cycle but one before the year 9999, where the library ends, so that a rule that gives
// nothing does not keep it for eight thousand years.
func (r *rule) daily(from int64) int64 {
	option := r.option
	shift := floorDiv(dayNumber(9599, 1)*daySeconds-1-from, cycle) * cycle
	option.Dtstart = time.Unix(r.near(from)+shift, 0).UTC()
	option.Until = time.Unix(lastSecond, 0)
	found, err := rrule.NewRRule(option)
	if err != nil {
		return never // it was made once before, when it was parsed
	}
	if slot := found.After(time.Unix(from+shift, 0).UTC(), true); !slot.IsZero() {
		return slot.Unix() - shift
	}
	return never
}

// near returns a local second from which the rule, followed anew, gives the same
// from there on: DTSTART, or the beginning of a period well before from.
func (r *rule) near(from int64) int64 {
	start := r.option.Dtstart
	interval := int64(r.option.Interval)
	switch r.option.Freq {
	case rrule.DAILY, rrule.WEEKLY:
		period := interval * daySeconds
		if r.option.Freq == rrule.WEEKLY {
			period *= 7
		}
		return start.Unix() + max(0, (from-start.Unix())/period-1)*period
	}
	if r.option.Freq == rrule.YEARLY {
		interval *= 12
	}
	at := time.Unix(from, 0).UTC()
	months := int64(at.Year()-start.Year())*12 + int64(at.Month()-start.Month())
	periods := months/interval - 1
	if periods <= 0 {
		return start.Unix()
	}
	first := start.Month()
	if r.option.Freq == rrule.YEARLY {
		first = time.January
	}
	return time.Date(start.Year(), first+time.Month(periods*interval), 1, 0, 0, 0, 0, time.UTC).Unix()
}

// subDaily is local for rules of hours, minutes and seconds: it goes through the
// periods of the days that the rule's day parts give, and gives up when it has looked
// at as many as periods says.
func (r *rule) subDaily(from int64, periods *int) int64 {
	unit := int64(1)
	switch r.option.Freq {
	case rrule.HOURLY:
		unit = 60 * 60
	case rrule.MINUTELY:
		unit = 60
	}
	step := unit * int64(r.option.Interval)
	first := floorDiv(r.option.Dtstart.Unix(), unit) * unit // DTSTART's period
	days := rule{option: r.dayParts(), lastLocal: never}
	lastDay := int64(never) // the last that is known to be given
	for ; *periods > 0; *periods-- {
		if from > lastSecond+daySeconds {
			return never
		}
		// The period around from, or the next.
		period := first + (from-first)/step*step
		if from-period >= unit {
			period += step
		}
		if day := floorDiv(period, daySeconds); day != lastDay {
			given := days.daily(day * daySeconds)
			if given == never {
				return never
			}
			if lastDay = floorDiv(given, daySeconds); lastDay != day {
				from = given
				continue
			}
		}
		if local := r.within(period, unit, from); local != never {
			return local
		}
		from = period + unit
	}
	return never
}

// dayParts returns a rule of the days on which r may have slots.
func (r *rule) dayParts() rrule.ROption {
	return rrule.ROption{
		Freq: rrule.DAILY, Interval: 1, Wkst: r.option.Wkst,
		Dtstart: r.option.Dtstart.Truncate(24 * time.Hour),
		Bymonth: r.option.Bymonth, Bymonthday: r.option.Bymonthday, Byyearday: r.option.Byyearday,
		Byweekno: r.option.Byweekno, Byweekday: r.option.Byweekday,
		Byhour: []int{0}, Byminute: []int{0}, Bysecond: []int{0},
	}
}

// within returns the first local second at or after from that the rule gives in a
// period, or never.
func (r *rule) within(period, unit, from int64) int64 {
	hour, minute, second := int(period/3600%24), int(period/60%60), int(period%60)
	has := func(values []int, value int) bool { return len(values) == 0 || slices.Contains(values, value) }
	minutes, seconds := []int{minute}, []int{second}
	if unit > 60 {
		minutes = r.option.Byminute
	}
	if unit > 1 {
		seconds = r.option.Bysecond
	}
	if !has(r.option.Byhour, hour) || !has(r.option.Byminute, minutes[0]) || !has(r.option.Bysecond, seconds[0]) {
		return never
	}
	n, size := 0, len(minutes)*len(seconds)
	for _, minute := range minutes {
		for _, second := range seconds {
			n++ // the nth of the period's times, and the (n-size-1)th from its end
			local := period + int64(minute*60+second)%unit
			if local >= from && (len(r.option.Bysetpos) == 0 || slices.Contains(r.option.Bysetpos, n) || slices.Contains(r.option.Bysetpos, n-size-1)) {
				return local
			}
		}
	}
	return never
}
