package schedule

import (
	"fmt"
	"math/bits"
	"strings"
	"time"
)

// An Every is a Spec of a fixed grid in real time: anchor + k × period for every
// whole k, before the anchor too, so that the anchor is a phase and no beginning.
// Neither lateness nor a change of clocks moves it.
type Every struct {
	period time.Duration
	anchor time.Time // UTC
}

// NewEvery returns the grid of a period, at least a second, through anchor; a
// zero anchor is the Unix epoch. Both are in whole microseconds, as slots are.
func NewEvery(period time.Duration, anchor time.Time) (Every, error) {
	if period < time.Second {
		return Every{}, fmt.Errorf("an interval of %v is too short: use 1s or more", period)
	}
	if period%time.Microsecond != 0 {
		return Every{}, fmt.Errorf("an interval of %v is too fine: use whole microseconds", period)
	}
	return Every{period, anchored(anchor, time.Microsecond)}, nil
}

// anchored returns an anchor in whole units, the Unix epoch for a zero one.
func anchored(anchor time.Time, unit time.Duration) time.Time {
	if anchor.IsZero() {
		anchor = time.Unix(0, 0)
	}
	return anchor.UTC().Truncate(unit)
}

// Period returns the time from one slot to the next.
func (e Every) Period() time.Duration { return e.period }

// Next implements Spec. There are no slots after the year 9999.
func (e Every) Next(t time.Time) time.Time {
	return bounded(e.latest(t).Add(e.period))
}

// latest returns the last slot at or before t.
func (e Every) latest(t time.Time) time.Time {
	t = t.UTC().Round(0) // without the monotonic clock, which a slot has nothing to do with
	if t.Before(e.anchor) {
		since := remainder(t, e.anchor, e.period)
		if since == 0 {
			return t
		}
		return t.Add(since - e.period)
	}
	return t.Add(-remainder(e.anchor, t, e.period))
}

// remainder returns what is left of the time between two instants, in order, when
// as many whole periods as possible are taken off.
func remainder(from, to time.Time, period time.Duration) time.Duration {
	high, low := between(from, to)
	return time.Duration(bits.Rem64(high, low, uint64(period)))
}

// between returns the nanoseconds between two instants, in order, in 128 bits: a
// Duration ends after 292 years.
func between(from, to time.Time) (high, low uint64) {
	seconds, nanoseconds := to.Unix()-from.Unix(), to.Nanosecond()-from.Nanosecond()
	if nanoseconds < 0 {
		seconds, nanoseconds = seconds-1, nanoseconds+1e9
	}
	high, low = bits.Mul64(uint64(seconds), 1e9)
	low, carry := bits.Add64(low, uint64(nanoseconds), 0)
	return high + carry, low
}

// String implements Spec.
func (e Every) String() string {
	return "@every " + formatPeriod(e.period) + " from " + e.anchor.Format(time.RFC3339Nano)
}

// formatPeriod is Duration.String with days and without units that say nothing.
func formatPeriod(period time.Duration) string {
	const day = 24 * time.Hour
	var text string
	if period >= day {
		text = fmt.Sprintf("%dd", period/day)
		if period %= day; period == 0 {
			return text
		}
	}
	rest := period.String()
	if strings.HasSuffix(rest, "m0s") {
		rest = strings.TrimSuffix(rest, "0s")
	}
	if strings.HasSuffix(rest, "h0m") {
		rest = strings.TrimSuffix(rest, "0m")
	}
	return text + rest
}

// NewInterval returns the spec of an interval: by is "" for an Every, or "wall" or
// "relative" for a ClockEvery in a zone. A zero anchor is the Unix epoch.
func NewInterval(period time.Duration, by, zone string, anchor time.Time) (Spec, error) {
	z, err := loadZone(zone)
	if err != nil {
		return nil, err
	}
	return newInterval(period, by, z, anchor)
}

func newInterval(period time.Duration, by string, z *zone, anchor time.Time) (Spec, error) {
	switch by {
	case "wall":
		return newWall(period, z, anchor)
	case "relative":
		return newRelative(period, z, anchor)
	}
	return NewEvery(period, anchor)
}

// parseEvery reads what follows "@every".
func parseEvery(text string, z *zone, anchor time.Time) (Spec, error) {
	length, rest := cutBlank(text)
	period, err := parsePeriod(length)
	if err != nil {
		return nil, &SpecError{Text: text, Problem: err.Error()}
	}
	by, from := cutBlank(rest)
	if by == "wall" || by == "relative" {
		rest = from
	} else {
		by = ""
	}
	if rest != "" {
		word, from := cutBlank(rest)
		if word != "from" {
			return nil, &SpecError{Text: text, Offset: strings.LastIndex(text, rest), Problem: fmt.Sprintf("%q is not expected here: write @every 90s, @every 1d wall, @every 1h relative, or one of these and from 2026-11-24T00:00:00Z", word)}
		}
		if anchor, err = parseInstant(from, z); err != nil {
			return nil, within(err, text, len(text)-len(from))
		}
	}
	spec, err := newInterval(period, by, z, anchor)
	if err != nil {
		return nil, &SpecError{Text: text, Problem: err.Error()}
	}
	return spec, nil
}

// parsePeriod reads a length such as 90s, 1h30m, 1d or 1.5w.
func parsePeriod(text string) (time.Duration, error) {
	const hoursPerDay, hoursPerWeek = 24, 7 * 24
	fault := fmt.Errorf("%q is not a length of time: write it as 90s, 1h30m or 1d", text)
	var total time.Duration
	for rest := text; ; {
		digits := strings.TrimLeft(rest, "0123456789.")
		unit := strings.TrimLeft(digits, "abcdefghijklmnopqrstuvwxyzµμ")
		number, name := rest[:len(rest)-len(digits)], digits[:len(digits)-len(unit)]
		if number == "" || name == "" {
			return 0, fault
		}
		times := time.Duration(1)
		switch name {
		case "d":
			name, times = "h", hoursPerDay
		case "w":
			name, times = "h", hoursPerWeek
		}
		length, err := time.ParseDuration(number + name)
		if err != nil {
			return 0, fault
		}
		if length > (1<<63-1-total)/times {
			return 0, fmt.Errorf("%q is too long: an interval ends at 292 years", text)
		}
		total += length * times
		if rest = unit; rest == "" {
			return total, nil
		}
	}
}

// An At is a Spec of one slot.
type At struct{ slot time.Time }

// NewAt returns the spec whose one slot is at, in whole microseconds.
func NewAt(at time.Time) At { return At{at.UTC().Truncate(time.Microsecond)} }

// Next implements Spec.
func (a At) Next(t time.Time) time.Time {
	if a.slot.After(t) {
		return a.slot
	}
	return time.Time{}
}

// String implements Spec.
func (a At) String() string { return "@at " + a.slot.Format(time.RFC3339Nano) }

// parseAt reads what follows "@at".
func parseAt(text string, z *zone) (At, error) {
	at, err := parseInstant(text, z)
	return NewAt(at), err
}

// ParseInstant reads an RFC 3339 time, or one without an offset, such as
// "2026-11-24 09:00", by the clocks of the zone: in a gap it is the first instant
// after, in a fold the first pass.
func ParseInstant(text, zone string) (time.Time, error) {
	z, err := loadZone(zone)
	if err != nil {
		return time.Time{}, err
	}
	return parseInstant(text, z)
}

func parseInstant(text string, z *zone) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return t.UTC(), nil
	}
	for _, layout := range []string{"2006-01-02T15:04:05.999999999", "2006-01-02T15:04", "2006-01-02 15:04:05.999999999", "2006-01-02 15:04", time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return time.Unix(z.instant(t.Unix()), int64(t.Nanosecond())).UTC(), nil
		}
	}
	return time.Time{}, &SpecError{Text: text, Problem: fmt.Sprintf("%q is not a time: write it as 2026-11-24T09:00:00Z or 2026-11-24T09:00:00+09:00", text)}
}

// bounded returns a slot, or the zero Time for one after the year 9999.
func bounded(slot time.Time) time.Time {
	if slot.Unix() > lastSecond {
		return time.Time{}
	}
	return slot
}

// GridThrough returns the first instant since the Unix epoch on the grid of the period
// through t: the same for each t of a grid. Where the period is of whole seconds the
// grid is too, and t's part of a second does not count.
func GridThrough(t time.Time, period time.Duration) time.Time {
	if period%time.Second == 0 {
		t = t.Truncate(time.Second)
	}
	micros, length := t.UnixMicro(), period.Microseconds()
	return time.UnixMicro(((micros % length) + length) % length).UTC()
}
