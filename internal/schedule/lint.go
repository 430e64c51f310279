package schedule

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Lint returns what may surprise whoever wrote a spec, a line each: days that never
// come, steps that do not come out even, both day fields set, and times that the clocks
// of the zone pass over in the two years after from.
func Lint(spec Spec, from time.Time) []string {
	if ruled, ok := spec.(*Ruled); ok {
		var all []string
		for _, one := range ruled.specs {
			all = append(all, Lint(one, from)...)
		}
		return all
	}
	c, ok := spec.(*Crontab)
	if !ok {
		return nil
	}
	fields := strings.Fields(c.text[len(c.prefix()):])
	standard := fields[0] == "@standard"
	if standard {
		fields = fields[1:]
	}
	places := standardFields[len(standardFields)-len(fields):]
	var all []string
	for i, text := range fields {
		all = append(all, unevenSteps(places[i], text)...)
	}
	all = append(all, c.missingDays()...)
	dayOfMonth, dayOfWeek := fields[len(fields)-3], fields[len(fields)-1]
	if dayOfMonth != "*" && dayOfWeek != "*" {
		switch {
		case !standard:
			all = append(all, "both day fields are set: Celery wants a day to be in both of them, where cron takes either")
		case c.rules != nil && c.rules.either:
			all = append(all, "both day fields are set: a day needs to be in one of them only, where Celery wants both")
		}
	}
	return append(all, c.passedOver(from)...)
}

// unevenSteps finds steps such as */7 that begin anew before they come round.
func unevenSteps(f field, text string) (all []string) {
	size := f.last - f.first + 1
	for part := range strings.SplitSeq(text, ",") {
		stepText, ok := strings.CutPrefix(part, "*/")
		step, err := strconv.Atoi(stepText)
		switch {
		case !ok || err != nil:
		case step >= size:
			all = append(all, fmt.Sprintf("%s %s gives %d alone: there are only %d of them", f.name, part, f.first, size))
		case f == dayOfMonthField && step > 1:
			all = append(all, fmt.Sprintf("%s %s begins anew on the 1st of each month, however long the last one was", f.name, part))
		case size%step != 0:
			all = append(all, fmt.Sprintf("%s %s does not come out even: after %d the next is %d again, only %d later", f.name, part, f.first+(size-1)/step*step, f.first, size-(size-1)/step*step))
		}
	}
	return all
}

// missingDays finds months that are given, but have none of the days that are.
func (c *Crontab) missingDays() (all []string) {
	if c.rules != nil || c.months == everyMonth {
		return nil
	}
	var missing uint64
	const leapYear = 2000
	for month := 1; month <= 12; month++ {
		if c.months>>month&1 != 0 && c.daysOfMonth&(2<<monthLength(leapYear, month)-1) == 0 {
			missing |= 1 << month
		}
	}
	days := list(uint64(c.daysOfMonth), strconv.Itoa)
	if missing != 0 {
		all = append(all, fmt.Sprintf("day %s never comes in %s", days, list(missing, func(month int) string { return time.Month(month).String() })))
	}
	if february := c.months == 1<<time.February; february && c.daysOfMonth&(1<<29-1) == 0 {
		all = append(all, fmt.Sprintf("day %s comes to February in leap years only", days))
	}
	return all
}

// passedOver finds the first time of the crontab's that falls in a gap.
func (c *Crontab) passedOver(from time.Time) []string {
	if c.hours == everyHour && !c.celeryClocks {
		return nil // the next hour has the same minutes
	}
	until := from.AddDate(2, 0, 0).Unix()
	s, i := c.zone.find(from.Unix())
	for s.end < until {
		s, i = c.zone.following(s, i)
		local := c.local(s.shown)
		if local >= s.start+s.offset {
			continue
		}
		slot := s.start
		if c.celeryClocks {
			slot = c.zone.shifted(local)
		}
		return []string{fmt.Sprintf("%s does not exist in %s, as clocks go forward: the slot is at %s",
			time.Unix(local, 0).UTC().Format("15:04 on 2006-01-02"), c.zone.name, time.Unix(slot, 0).In(c.zone.location).Format("15:04 on 2006-01-02"))}
	}
	return nil
}
