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
	everyMinute = 1<<60 - 1 // and every second
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
		times, dates := spec.times(), spec.dates()
		if spec.hours != everyHour && dates == "" {
			dates = " every day"
		}
		return times + dates
	case Every:
		return "every " + formatPeriod(spec.period) + " from " + spec.anchor.Format(time.RFC3339Nano)
	case ClockEvery:
		return spec.words()
	case Solar:
		return fmt.Sprintf("at %s, latitude %v and longitude %v", spec.event.words, spec.latitude, spec.longitude)
	case *Recurrence:
		return spec.words()
	case *Ruled:
		return spec.words
	case At:
		return "once at " + spec.slot.Format(time.RFC3339Nano)
	}
	return spec.String()
}

// Counted says how many of a thing there are: 1 entry, 2 entries. The noun is in the singular.
func Counted[N int | int64](n N, noun string) string {
	switch {
	case n == 1:
	case noun == "entry":
		noun = "entries"
	case noun == "batch":
		noun = "batches"
	default:
		noun += "s"
	}
	return strconv.FormatInt(int64(n), 10) + " " + noun
}

// ReadLength reads a length of time as people ask for one: as time.ParseDuration does, with days of 24 hours before it: 7d, 1d12h.
func ReadLength(text string) (time.Duration, error) {
	days, rest, has := strings.Cut(text, "d")
	if !has {
		return time.ParseDuration(text)
	}
	n, err := strconv.ParseUint(days, 10, 16)
	if err != nil {
		return 0, err
	}
	length := time.Duration(n) * 24 * time.Hour
	if rest == "" {
		return length, nil
	}
	more, err := time.ParseDuration(rest)
	if more < 0 {
		err = strconv.ErrRange
	}
	return length + more, err
}

// times says at which times of the day.
func (c *Crontab) times() string {
	hours, minutes, seconds := bits.OnesCount32(c.hours), bits.OnesCount64(c.minutes), bits.OnesCount64(c.seconds)
	if seconds > 1 || c.seconds != 1 && (c.hours == everyHour || hours*minutes > 6) {
		inMinute := "at second " + list(c.seconds, strconv.Itoa)
		if c.seconds == everyMinute {
			inMinute = "every second"
		}
		if c.minutes == everyMinute && c.hours == everyHour {
			return inMinute + " of every minute"
		}
		return inMinute + " of the minute, " + c.minutely().times()
	}
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
		for at := c.ofDay(0); at >= 0; at = c.ofDay(at + 60) {
			text := fmt.Sprintf("%02d:%02d", at/3600, at/60%60)
			if c.seconds != 1 {
				text += fmt.Sprintf(":%02d", at%60)
			}
			times = append(times, text)
		}
		return "at " + join(times)
	case minutes == 1:
		return "at minute " + list(c.minutes, strconv.Itoa) + ofHours
	}
	return "at the minutes " + list(c.minutes, strconv.Itoa) + ofHours
}

// minutely returns the crontab at second 0 of its minutes.
func (c *Crontab) minutely() *Crontab {
	atZero := *c
	atZero.seconds = 1
	return &atZero
}

// dates says on which days, or nothing for every day.
func (c *Crontab) dates() string {
	rules := c.rules
	if rules == nil {
		rules = &dayRules{}
	}
	var days, dates []string
	if c.daysOfWeek != everyDay && c.daysOfWeek != 0 {
		days = append(days, list(uint64(c.daysOfWeek), func(day int) string { return time.Weekday(day).String() }))
	}
	if c.daysOfMonth != everyDate && c.daysOfMonth != 0 {
		dates = append(dates, "day "+list(uint64(c.daysOfMonth), strconv.Itoa)+" of the month")
	}
	if c.daysOfWeek != everyDay {
		days = append(days, rules.weekdays()...)
	}
	if c.daysOfMonth != everyDate {
		dates = append(dates, rules.dates()...)
	}
	var words string
	switch {
	case rules.either && len(days)+len(dates) > 0 && (c.daysOfWeek == everyDay || c.daysOfMonth == everyDate):
		// One of them is every day, in numbers.
	case rules.either:
		if c.daysOfWeek != 0 {
			days[0] = "every " + days[0]
		}
		words = " on " + join(dates) + " and on " + join(days)
	case len(days) > 0 && len(dates) > 0:
		words = " on " + join(days) + " when it is " + join(dates)
	case len(days)+len(dates) > 0:
		words = " on " + join(append(days, dates...))
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
