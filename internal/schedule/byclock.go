package schedule

import (
	"fmt"
	"time"
)

// A ClockEvery is a Spec of an interval that goes by what the clocks of a zone
// show. There are two, named by the word after the length:
//
//   - "wall" is for whole days: the slots are at the same time of the clocks, every so
//     many days. Such a time in a gap becomes the first instant after it, one in a fold
//     is a slot in the first pass, as with a Crontab of fixed times.
//   - "relative" rounds down to whole units, as Celery 5.7 does (celery/utils/time.py,
//     remaining): a length of a day and more to midnights, of an hour and more to whole
//     hours, of a minute and more to whole minutes, else to whole seconds. So 90s is a
//     slot each minute and 36h one each midnight. Below a day it is real time that
//     passes between slots, and what the clocks show then is rounded.
//
// The grid goes through the first slot that Celery gives for an entry that last ran at
// the anchor, or with "wall" through the anchor. As with an Every that is a phase and no beginning.
//
// Celery counts each slot from the one before, and so goes on from where that came
// to be. Where clocks are not changed by or at a whole hour, as at Lord Howe and Chatham, an interval of
// hours slips by one or two for good, and after a midnight in a gap one that is not of whole days by a
// day. Here they are back in the grid with the next slot, or the next change.
type ClockEvery struct {
	zone     *zone
	period   time.Duration // as it was written
	anchor   time.Time
	relative bool // else wall

	// Slots are every so many days at a time of the clocks, through a local second;
	// or if days is 0, the instants of a grid in real time, rounded down to a unit of the clocks.
	days  int64
	first int64
	grid  Every
	unit  int64 // seconds
}

// newWall returns the interval of whole days through anchor, in whole seconds, by the
// clocks of a zone.
func newWall(period time.Duration, z *zone, anchor time.Time) (ClockEvery, error) {
	const day = 24 * time.Hour
	if period <= 0 || period%day != 0 {
		return ClockEvery{}, fmt.Errorf("wall is for whole days, as in @every 1d wall: leave it out of an interval of %s, which counts real time", formatPeriod(period))
	}
	anchor = anchored(anchor, time.Second)
	return ClockEvery{zone: z, period: period, anchor: anchor, days: int64(period / day), first: z.local(anchor.Unix())}, nil
}

// newRelative returns the interval that is rounded down by the clocks of a zone.
func newRelative(period time.Duration, z *zone, anchor time.Time) (ClockEvery, error) {
	every, err := NewEvery(period, anchor) // for its bounds
	if err != nil {
		return ClockEvery{}, err
	}
	e := ClockEvery{zone: z, period: period, anchor: every.anchor, relative: true}
	const day = 24 * time.Hour
	if period >= day {
		e.days = int64(period / day)
		later := period/time.Second + (period%time.Second+time.Duration(every.anchor.Nanosecond()))/time.Second
		e.first = floorDiv(z.local(every.anchor.Unix())+int64(later), daySeconds) * daySeconds
		return e, nil
	}
	e.unit = 1
	switch {
	case period >= time.Hour:
		e.unit = 60 * 60
	case period >= time.Minute:
		e.unit = 60
	}
	first := e.rounded(every.anchor.Add(period).Unix())
	e.grid, err = NewEvery(period.Truncate(time.Duration(e.unit)*time.Second), time.Unix(first, 0))
	return e, err
}

// Next implements Spec. There are no slots after the year 9999.
func (e ClockEvery) Next(t time.Time) time.Time {
	after := max(t.Unix(), firstSecond-1)
	if after >= lastSecond {
		return time.Time{}
	}
	if e.days == 0 {
		for slot := e.grid.Next(time.Unix(after, 0)); !slot.IsZero(); slot = e.grid.Next(slot) {
			if rounded := e.rounded(slot.Unix()); rounded > after {
				return time.Unix(rounded, 0).UTC()
			}
		}
		return time.Time{}
	}
	// No zone is as far as two days from UTC.
	for local := e.local(after - 2*daySeconds); ; local += e.days * daySeconds {
		if slot := e.zone.instant(local); slot > lastSecond {
			return time.Time{}
		} else if slot > after {
			return time.Unix(slot, 0).UTC()
		}
	}
}

// local returns the first local second, at or after from, of an interval of days.
func (e ClockEvery) local(from int64) int64 {
	step := e.days * daySeconds
	return e.first - floorDiv(e.first-from, step)*step
}

// rounded returns the last Unix second, at or before one, at which the clocks came to a
// whole unit, or passed over one in a gap.
func (e ClockEvery) rounded(second int64) int64 {
	s, _ := e.zone.find(second)
	shown := floorDiv(second+s.offset, e.unit) * e.unit
	switch {
	case shown >= s.start+s.offset:
		return shown - s.offset
	case shown >= s.shown: // in a gap
		return s.start
	}
	before, _ := e.zone.find(s.start - 1)
	return floorDiv(s.shown-1, e.unit)*e.unit - before.offset
}

// String implements Spec.
func (e ClockEvery) String() string {
	text := "@every " + formatPeriod(e.period) + " " + e.word() + " from " + e.anchor.Format(time.RFC3339Nano)
	if e.zone.name != "UTC" {
		text = "CRON_TZ=" + e.zone.name + " " + text
	}
	return text
}

func (e ClockEvery) word() string {
	if e.relative {
		return "relative"
	}
	return "wall"
}

// Location returns the zone whose clocks the interval goes by.
func (e ClockEvery) Location() *time.Location { return e.zone.location }

// words says when the slots are.
func (e ClockEvery) words() string {
	local := e.anchor.In(e.zone.location)
	switch {
	case !e.relative:
		return everyFew(e.days, "day") + " at " + local.Format("15:04:05") + " by the clocks, from " + local.Format(time.DateOnly)
	case e.days > 0:
		midnight := time.Unix(e.first, 0).UTC() // as if the zone were UTC
		return everyFew(e.days, "day") + " at midnight, as from " + midnight.Format(time.DateOnly)
	}
	unit := map[int64]string{1: "second", 60: "minute", 60 * 60: "hour"}[e.unit]
	return everyFew(int64(e.grid.period/time.Second)/e.unit, unit) + " at a whole " + unit + ", as from " + e.grid.anchor.In(e.zone.location).Format("2006-01-02 15:04:05")
}

// everyFew says "every hour", "every 2 hours".
func everyFew(n int64, unit string) string {
	if n == 1 {
		return "every " + unit
	}
	return fmt.Sprintf("every %d %ss", n, unit)
}
