package schedule

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"
	"time"
)

// The sets of all values.
const (
	everyMinute = 1<<60 - 1
	everyHour   = 1<<24 - 1
	everyDate   = 1<<32 - 2
	everyMonth  = 1<<13 - 2
	everyDay    = 1<<7 - 1 // of the week
)

// Describe says in words when a spec has slots, as in "at 09:00 on Monday to
// Friday"; the times are those of its zone.
func Describe(spec Spec) string {
	switch spec := spec.(type) {
	case *Crontab:
		words := spec.times() + spec.dates()
		if spec.hours != everyHour && spec.dates() == "" {
			words += " every day"
		}
		return words
	case Every:
		return "every " + formatPeriod(spec.period) + " from " + spec.anchor.Format(time.RFC3339Nano)
	case At:
		return "once at " + spec.slot.Format(time.RFC3339Nano)
	}
	return spec.String()
}

// times says at which times of the day.
func (c *Crontab) times() string {
	hours, minutes := bits.OnesCount32(c.hours), bits.OnesCount64(c.minutes)
	ofHours := " of every hour"
	if c.hours != everyHour {
		ofHours = " of the hours " + list(uint64(c.hours), strconv.Itoa)
	}
	switch {
	case c.minutes == everyMinute && c.hours == everyHour:
		return "every minute"
	case c.minutes == everyMinute:
		return "every minute" + ofHours
	case c.hours == everyHour && minutes > 1 && 60%minutes == 0 && c.minutes == minuteField.sequence(0, 59, 60/minutes):
		return fmt.Sprintf("every %d minutes", 60/minutes)
	case hours*minutes <= 6:
		var times []string
		for at := c.ofDay(0); at >= 0 && len(times) < hours*minutes; at = c.ofDay(at + 1) {
			times = append(times, fmt.Sprintf("%02d:%02d", at/60, at%60))
			if at == 24*60-1 {
				break
			}
		}
		return "at " + join(times)
	case minutes == 1:
		return "at minute " + list(c.minutes, strconv.Itoa) + ofHours
	}
	return "at the minutes " + list(c.minutes, strconv.Itoa) + ofHours
}

// dates says on which days, or nothing for every day.
func (c *Crontab) dates() string {
	var words string
	if c.daysOfWeek != everyDay {
		words = " on " + list(uint64(c.daysOfWeek), func(day int) string { return time.Weekday(day).String() })
	}
	if c.daysOfMonth != everyDate {
		days := list(uint64(c.daysOfMonth), strconv.Itoa) + " of the month"
		if words == "" {
			words = " on day " + days
		} else {
			words += " when it is day " + days
		}
	}
	if c.months != everyMonth {
		words += " in " + list(uint64(c.months), func(month int) string { return time.Month(month).String() })
	}
	return words
}

// list names the values of a set, three and more in a row as "a to b".
func list(set uint64, name func(int) string) string {
	var names []string
	for set != 0 {
		first := bits.TrailingZeros64(set)
		length := bits.TrailingZeros64(^(set >> first))
		set &^= (1<<length - 1) << first
		if length >= 3 {
			names = append(names, name(first)+" to "+name(first+length-1))
			continue
		}
		for i := range length {
			names = append(names, name(first+i))
		}
	}
	return join(names)
}

func join(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " and " + words[len(words)-1]
}
