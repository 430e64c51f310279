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
	slot := nextBy(spec, after, through)
	if every, ok := spec.(Every); ok && max > 0 && !slot.IsZero() {
		more := min(every.periods(slot, through), uint64(max-1))
		high, low := bits.Mul64(more, uint64(every.period))
		seconds, nanoseconds := bits.Div64(high, low, 1e9)
		return int(more) + 1, time.Unix(slot.Unix()+int64(seconds), int64(slot.Nanosecond())+int64(nanoseconds)).UTC()
	}
	for n < max && !slot.IsZero() {
		n++
		last, slot = slot, nextBy(spec, slot, through)
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
	return nextBy(spec, slot.Add(-time.Microsecond), slot).Equal(slot)
}

// nextBy returns the spec's first slot in (after, through], or the zero Time. Rules may drop slots
// for most of a year: of a spec that has some, no further ones are looked at.
func nextBy(spec Spec, after, through time.Time) (slot time.Time) {
	if ruled, ok := spec.(*Ruled); ok {
		slot = ruled.nextBy(after, through)
	} else {
		slot = spec.Next(after)
	}
	if slot.After(through) {
		return time.Time{}
	}
	return slot
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
	passed := func(t time.Time) bool { return !nextBy(spec, t, through).IsZero() }
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
	slot := nextBy(spec, early, through)
	for late := through; ; {
		middle := slot.Add(late.Sub(slot) / 2)
		if !middle.After(slot) {
			return slot
		}
		if next := nextBy(spec, middle, late); !next.IsZero() { // after late there is none
			slot = next
		} else {
			late = middle
		}
	}
}
