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
	var all []string
	switch spec := spec.(type) {
	case *Ruled:
		for _, one := range spec.specs {
			all = append(all, Lint(one, from)...)
		}
	case ClockEvery:
		if spec.relative {
			all = append(all, spec.roundedOff()...)
		}
		if spec.days > 0 {
			all = append(all, spec.zone.passedOver(from, spec.local, spec.zone.instant)...)
		}
	case *Crontab:
		all = spec.lint(from)
	}
	return all
}

func (c *Crontab) lint(from time.Time) (all []string) {
	fields := strings.Fields(c.text[len(c.prefix()):])
	standard := fields[0] == "@standard"
	if standard {
		fields = fields[1:]
	}
	places := standardFields[len(standardFields)-len(fields):]
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
	switch {
	case c.celeryClocks:
		all = append(all, c.zone.passedOver(from, c.local, c.zone.shifted)...)
	case c.hours != everyHour: // else the next hour has the same minutes
		all = append(all, c.zone.passedOver(from, c.local, c.zone.instant)...)
	}
	return all
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

// roundedOff tells of a length that is not what it says.
func (e ClockEvery) roundedOff() []string {
	const day = 24 * time.Hour
	kept := e.grid.period
	if e.days > 0 {
		kept = time.Duration(e.days) * day
	}
	if kept == e.period {
		return nil
	}
	return []string{fmt.Sprintf("%s relative is rounded down to %s, as Celery does: leave relative out for slots every %[1]s", formatPeriod(e.period), formatPeriod(kept))}
}

// passedOver finds the first time in the two years after from, of those that the function
// local gives, that falls in a gap. The slot is when moved says.
func (z *zone) passedOver(from time.Time, local, moved func(int64) int64) []string {
	until := from.AddDate(2, 0, 0).Unix()
	s, i := z.find(from.Unix())
	for s.end < until {
		s, i = z.following(s, i)
		missed := local(s.shown)
		if missed >= s.start+s.offset {
			continue
		}
		return []string{fmt.Sprintf("%s does not exist in %s, as clocks go forward: the slot is at %s",
			time.Unix(missed, 0).UTC().Format("15:04 on 2006-01-02"), z.name, time.Unix(moved(missed), 0).In(z.location).Format("15:04 on 2006-01-02"))}
	}
	return nil
}
