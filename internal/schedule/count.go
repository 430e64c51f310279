package schedule

import (
	"math/bits"
	"time"
)

// Count returns how many slots of spec lie in (after, through], counting up to
// max, and the last one counted; the zero Time if there is none. An Every is counted by
// arithmetic, other specs at the cost of one Next a slot.
func Count(spec Spec, after, through time.Time, max int) (n int, last time.Time) {
	if through.Unix() > lastSecond {
		through = time.Unix(lastSecond, 0)
	}
	slot := spec.Next(after)
	if every, ok := spec.(Every); ok && max > 0 && !slot.IsZero() && !slot.After(through) {
		more := min(every.periods(slot, through), uint64(max-1))
		high, low := bits.Mul64(more, uint64(every.period))
		seconds, nanoseconds := bits.Div64(high, low, 1e9)
		return int(more) + 1, time.Unix(slot.Unix()+int64(seconds), int64(slot.Nanosecond())+int64(nanoseconds)).UTC()
	}
	for n < max && !slot.IsZero() && !slot.After(through) {
		n++
		last, slot = slot, spec.Next(slot)
	}
	return n, last
}

// periods returns how many whole periods lie between two instants, in order.
func (e Every) periods(from, to time.Time) uint64 {
	high, low := between(from, to)
	n, _ := bits.Div64(high, low, uint64(e.period)) // no overflow: 2^64 periods are longer than there are years
	return n
}

// Gives reports whether an instant is one of the spec's slots.
func Gives(spec Spec, slot time.Time) bool {
	return spec.Next(slot.Add(-time.Microsecond)).Equal(slot)
}

// Latest returns the last slot of spec in (after, through], or the zero Time.
//
// For an Every it is arithmetic. For others it halves the time in which the slot
// must be, which costs less than two hundred calls of Next, however many slots there are.
func Latest(spec Spec, after, through time.Time) time.Time {
	if every, ok := spec.(Every); ok {
		if slot := every.latest(through); slot.After(after) {
			return bounded(slot)
		}
		return time.Time{}
	}
	passed := func(t time.Time) bool { // whether a slot lies in (t, through]
		slot := spec.Next(t)
		return !slot.IsZero() && !slot.After(through)
	}
	if !after.Before(through) || !passed(after) {
		return time.Time{}
	}
	// Step back from through, further each time, until a slot is left behind.
	early := after
	for step := time.Minute; step < 1<<61; step *= 2 {
		back := through.Add(-step)
		if !back.After(after) {
			break
		}
		if passed(back) {
			early = back
			break
		}
	}
	// The last slot is in [slot, through].
	slot := spec.Next(early)
	for late := through; ; {
		middle := slot.Add(late.Sub(slot) / 2)
		if !middle.After(slot) {
			return slot
		}
		if next := spec.Next(middle); !next.IsZero() && !next.After(through) {
			slot = next
		} else {
			late = middle
		}
	}
}
