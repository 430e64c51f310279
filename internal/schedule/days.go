package schedule

import (
	"fmt"
	"math/bits"
	"strconv"
	"time"
)

// dayRules are days that stand in no calendar: they move from month to month.
// Only the standard dialect has them.
type dayRules struct {
	either bool // both day fields are restricted: a date needs to be in one of them only

	last    uint32   // bit n: n days before the last of the month
	workday uint32   // bit n: the weekday, Monday to Friday, nearest to the nth; bit 0: the month's last weekday
	nth     [5]uint8 // of nth[n-1], bit d: the nth day d of the week
	lastOf  uint8    // bit d: the last day d of the week
}

// days returns the days of a month: those of the day-of-month field, of which dates
// are given, with those of the day-of-week field, of which weekdays are given.
// Weekday is that of the month's first day.
func (r *dayRules) days(dates, weekdays uint32, weekday, length int) uint32 {
	for set := r.last; set != 0; set &= set - 1 {
		if before := bits.TrailingZeros32(set); before < length {
			dates |= 1 << (length - before)
		}
	}
	for set := r.workday; set != 0; set &= set - 1 {
		day := bits.TrailingZeros32(set)
		if day == 0 {
			day = length
		}
		if day <= length {
			dates |= 1 << nearestWorkday(day, weekday, length)
		}
	}
	for n, set := range r.nth {
		week := uint32(1<<7-1) << (7*n + 1) // the nth seven days of the month
		weekdays |= onWeekdays(set, weekday, length) & week
	}
	weekdays |= onWeekdays(r.lastOf, weekday, length) &^ (2<<(length-7) - 1)
	if r.either {
		return dates | weekdays
	}
	return dates & weekdays
}

// nearestWorkday returns the day, Monday to Friday, that is nearest to a day of the
// month without leaving the month. Weekday is that of the 1st.
func nearestWorkday(day, weekday, length int) int {
	switch time.Weekday((weekday + day - 1) % 7) {
	case time.Saturday:
		if day == 1 {
			return 3
		}
		return day - 1
	case time.Sunday:
		if day == length {
			return day - 2
		}
		return day + 1
	}
	return day
}

// dates and weekdays say in words what the rules add to each of the day fields.
func (r *dayRules) dates() (words []string) {
	for set := r.last; set != 0; set &= set - 1 {
		switch before := bits.TrailingZeros32(set); before {
		case 0:
			words = append(words, "the last day of the month")
		case 1:
			words = append(words, "the day before the last of the month")
		default:
			words = append(words, strconv.Itoa(before)+" days before the last of the month")
		}
	}
	for set := r.workday; set != 0; set &= set - 1 {
		if day := bits.TrailingZeros32(set); day == 0 {
			words = append(words, "the last weekday of the month")
		} else {
			words = append(words, fmt.Sprintf("the weekday nearest day %d of the month", day))
		}
	}
	return words
}

func (r *dayRules) weekdays() (words []string) {
	sets := append(r.nth[:len(r.nth):len(r.nth)], r.lastOf)
	for i, order := range []string{"first", "second", "third", "fourth", "fifth", "last"} {
		for set := sets[i]; set != 0; set &= set - 1 {
			words = append(words, fmt.Sprintf("the %s %v of the month", order, time.Weekday(bits.TrailingZeros8(set))))
		}
	}
	return words
}
