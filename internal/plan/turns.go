package plan

import (
	"slices"
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
)

// Slots that have come are handed over in order of their times, but for this: a herd may take its time, and an entry of
// every second need not wait for all of it. So entries that have a slot each minute or more often have an agenda of their own,
// and where slots of both have come, theirs go first, up to half of what is handed over together.

// often is how far apart slots are at most for that.
const often = time.Minute

// turns are the items that have a next slot. Like an agenda they have no lock.
type turns struct {
	often, others agenda
}

func newTurns(items *items) turns {
	return turns{often: agenda{items: items}, others: agenda{items: items}}
}

func (t *turns) of(it *item) *agenda {
	if it.often {
		return &t.often
	}
	return &t.others
}

// set puts it where its slot at next belongs; the zero Time takes it out.
func (t *turns) set(it *item, next time.Time) { t.of(it).set(it, next) }

// move does too, and after is the slot before that, or after it: how often it has one.
func (t *turns) move(it *item, next, after time.Time) {
	if is := !next.IsZero() && !after.IsZero() && after.Sub(next).Abs() <= often; is != it.often {
		t.remove(it)
		it.often = is
	}
	t.set(it, next)
}

// remove takes it out if it is in.
func (t *turns) remove(it *item) { t.of(it).remove(it) }

// first returns the item that is due first, or nil.
func (t *turns) first() *item {
	often, other := t.often.first(), t.others.first()
	if often == nil || other != nil && other.next <= often.next {
		return other
	}
	return often
}

// ahead returns the item of those that have slots often that goes before others at now, in Unix microseconds, for
// a slot of both has come, or nil.
func (t *turns) ahead(now int64) *item {
	often, other := t.often.first(), t.others.first()
	if often == nil || often.next > now || other == nil || other.next > often.next {
		return nil
	}
	return often
}

// overdue counts the items whose slot is at or before t, up to about most of them.
func (t *turns) overdue(at int64, most int) int {
	return t.often.overdue(at, most) + t.others.overdue(at, most)
}

// inTurn puts those of dues that are yet to come in order: the sender waits for each in its turn, and others
// come meanwhile.
func inTurn(dues []schedule.Due, now time.Time) {
	slices.SortStableFunc(dues, func(a, b schedule.Due) int { return schedule.Later(a.Slot, now).Compare(schedule.Later(b.Slot, now)) })
}
