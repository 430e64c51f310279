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
		looks := mostLooks
		local = r.subDaily(from, &looks)
	} else {
		local = r.daily(from)
	}
	if local > r.lastLocal {
		return never
	}
	return local
}

// mostLooks is how often one search looks: milliseconds, where real rules need some
// looks and those that hardly ever come tens of thousands.
const mostLooks = 1 << 18

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

// subDaily is local for rules of hours, minutes and seconds: it looks at one period
// after the other, passes over months, days, hours and minutes that the rule leaves
// out, and gives up when it has looked as often as looks says.
func (r *rule) subDaily(from int64, looks *int) int64 {
	unit := int64(1)
	switch r.option.Freq {
	case rrule.HOURLY:
		unit = 60 * 60
	case rrule.MINUTELY:
		unit = 60
	}
	step := unit * int64(r.option.Interval)
	first := floorDiv(r.option.Dtstart.Unix(), unit) * unit // DTSTART's period
	for end := min(lastSecond+daySeconds, r.lastLocal); *looks > 0 && from <= end; *looks-- {
		// The period around from, or the next.
		period := first + (from-first)/step*step
		if from-period >= unit {
			period += step
		}
		if next := r.passOver(period, unit); next != period {
			from = next
			continue
		}
		if local := r.within(period, unit, from); local != never {
			return local
		}
		from = period + unit
	}
	return never
}

// passOver returns the period if the rule may have slots in it, or else a later
// second before which it has none.
func (r *rule) passOver(period, unit int64) int64 {
	option := &r.option
	day := floorDiv(period, daySeconds)
	if next := r.passOverDays(day); next != day {
		return next * daySeconds
	}
	second := period - day*daySeconds
	if hour := int(second / 3600); atOrAfter(option.Byhour, hour, 24) != hour {
		return day*daySeconds + int64(atOrAfter(option.Byhour, hour, 24))*3600
	}
	if minute := int(second / 60 % 60); unit <= 60 && atOrAfter(option.Byminute, minute, 60) != minute {
		return period - second%3600 + int64(atOrAfter(option.Byminute, minute, 60))*60
	}
	if unit == 1 {
		return period - second%60 + int64(atOrAfter(option.Bysecond, int(second%60), 60))
	}
	return period
}

// passOverDays returns the day number if the rule's parts for days give it, or else a later
// one before which they give none.
func (r *rule) passOverDays(day int64) int64 {
	option := &r.option
	weekday := ruleDays[(day%7+10)%7].day // 1970-01-01 was a Thursday
	if len(option.Byweekday) > 0 && !slices.Contains(option.Byweekday, weekday) {
		return day + 1
	}
	if len(option.Bymonth)+len(option.Bymonthday)+len(option.Byyearday) == 0 {
		return day
	}
	year, month, date := civil(day)
	if len(option.Bymonth) > 0 && !slices.Contains(option.Bymonth, month) {
		return dayNumber(year+int64(month/12), month%12+1)
	}
	gives := func(values []int, value, length int) bool {
		return len(values) == 0 || slices.Contains(values, value) || slices.Contains(values, value-length-1)
	}
	first := dayNumber(year, 1)
	if gives(option.Bymonthday, date, monthLength(year, month)) && gives(option.Byyearday, int(day-first)+1, int(dayNumber(year+1, 1)-first)) {
		return day
	}
	return day + 1
}

// atOrAfter returns the first of the values, which are in order, that is not below
// another, or the end. No values are all.
func atOrAfter(values []int, value, end int) int {
	if len(values) == 0 {
		return value
	}
	if i, _ := slices.BinarySearch(values, value); i < len(values) {
		return values[i]
	}
	return end
}

// within returns the first local second at or after from that the rule gives in a
// period that is not passed over, or never.
func (r *rule) within(period, unit, from int64) int64 {
	minutes, seconds := []int{0}, []int{0} // of the period
	if unit > 60 {
		minutes = r.option.Byminute
	}
	if unit > 1 {
		seconds = r.option.Bysecond
	}
	n, size := 0, len(minutes)*len(seconds)
	for _, minute := range minutes {
		for _, second := range seconds {
			n++ // the nth of the period's times, and the (n-size-1)th from its end
			local := period + int64(minute*60+second)
			if local >= from && (len(r.option.Bysetpos) == 0 || slices.Contains(r.option.Bysetpos, n) || slices.Contains(r.option.Bysetpos, n-size-1)) {
				return local
			}
		}
	}
	return never
}
