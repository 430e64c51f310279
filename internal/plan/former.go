package plan

import (
	"slices"
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
)

// An edit that comes between handing a slot over and sending it leaves a definition that
// has ended with a slot on its way. What the sender makes of that slot, by what it knows
// then, binds definitions that come later: one may not give a slot again that has ended
// unsent, and what was left to one that ends before it had the slot handed over has to end.

// formers are the ended definitions of items that had slots on their way.
type formers struct {
	of    map[*item]*former
	swept int // how many there were after the last sweep
}

// A former is what an item's definition followed.
type former struct {
	ended []handed        // in order
	last  *schedule.Entry // the definition that followed the last of them
	reach int64           // the last slot of theirs that was handed over, Unix microseconds
}

// A handed is an ended definition that had slots on their way.
type handed struct {
	entry *schedule.Entry
	reach int64 // the last of them, Unix microseconds
}

// formerFor is for how long after their last slot former definitions are remembered: news
// of an edit is not that late.
const formerFor = time.Hour

// ended ends the definition that it has, whose slots were handed over up to an instant, and
// returns the last that was sealed. A definition that is left in the catalog has none on
// its way, but may follow one that has.
func (p *Planner) ended(it *item, reason string, through int64, by *schedule.Entry, from time.Time) (sealed time.Time) {
	before, e := p.former.of[it], p.items.entry(it)
	if before != nil && before.last != nil && before.last != e {
		before.last.End(reason, time.UnixMicro(through), by, from)
	}
	if e != nil {
		sealed = e.End(reason, time.UnixMicro(through), by, from)
		if through > max(sealed.UnixMicro(), it.from) {
			if before == nil {
				before = &former{}
				p.former.of[it] = before
			}
			before.ended, before.reach = append(before.ended, handed{e, through}), max(before.reach, through)
		}
	}
	if before != nil {
		before.last = by
	}
	return sealed
}

// forsake ends the slots that were left to the definition which has ended, whose slots were
// handed over up to an instant, unless the next one takes them: if that is nil there is none. It
// returns up to where slots of the item were ever handed over.
func (p *Planner) forsake(it *item, through int64, reason string, takes func(slot time.Time) bool) (reach int64) {
	before := p.former.of[it]
	if before == nil {
		return 0
	}
	none, spec := takes == nil, p.items.spec(it)
	if none {
		takes = func(time.Time) bool { return false }
	}
	had := func(slot time.Time) bool { return slot.UnixMicro() <= through && schedule.Gives(spec, slot) }
	for _, e := range before.ended {
		for _, slot := range e.entry.Forsake(had, takes) {
			p.urgent = append(p.urgent, schedule.Due{Entry: e.entry, Slot: slot, State: schedule.Skipped, Reason: reason, Through: slot, Count: 1})
		}
	}
	if none {
		delete(p.former.of, it)
	}
	return before.reach
}

// unsent returns the slots of it after an instant that were handed over and end unsent, in order. It forgets what
// is of no use from there on.
func (p *Planner) unsent(it *item, from time.Time) (slots []time.Time) {
	slots = p.gone.unsent(it, from)
	before := p.former.of[it]
	if before == nil {
		return slots
	}
	if before.reach <= from.UnixMicro() {
		delete(p.former.of, it)
		return slots
	}
	before.ended = slices.DeleteFunc(before.ended, func(e handed) bool { return e.reach <= from.UnixMicro() })
	for _, e := range before.ended {
		for _, slot := range e.entry.Unsent() {
			if slot.After(from) {
				slots = append(slots, slot)
			}
		}
	}
	slices.SortFunc(slots, time.Time.Compare)
	p.former.sweep(p.now())
	return slots
}

// sweep forgets items whose slots are long over, once they have come to be twice as many.
func (f *formers) sweep(now time.Time) {
	if len(f.of) < 2*max(f.swept, 1000) {
		return
	}
	for it, before := range f.of {
		if before.reach < now.Add(-formerFor).UnixMicro() {
			delete(f.of, it)
		}
	}
	f.swept = len(f.of)
}
