package plan

import (
	"slices"
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
)

// An entry that goes (disabled, paused, removed) may have slots on their way, up to the lead ahead. Each of them ends for that
// reason, whatever becomes of the entry before they have come: one that is back by then has the other slots that it gives, and those
// no more.

// gones are items that went with slots on their way.
type gones struct {
	of    map[*item]*gone
	swept int // how many there were after the last sweep
}

// A gone is what was on its way of an item when it went.
type gone struct {
	spans []span
	reach int64 // the last slot of them, Unix microseconds

	id      schedule.ID
	removed bool // nothing is to be known of the item once these have come
}

// A span is the slots of a spec, all from when the item went up to an instant.
type span struct {
	spec    schedule.Spec
	through int64 // Unix microseconds
}

// went is told that it goes, which followed definitions of before, and of which slots up to reach were handed over. From then
// on its slots count after now, and without those.
func (p *Planner) went(it *item, before *former, reach int64) {
	now := p.now()
	p.sweepGone(now)
	at := max(it.from, now.UnixMicro())
	g := p.gone.of[it] // of when it went last
	if g != nil && g.reach <= at {
		delete(p.gone.of, it)
		g = nil
	}
	switch {
	case reach <= at, before == nil, before.reach < reach: // what has come; or a clock that was put back
		it.from = max(it.from, reach)
	default:
		if it.from = at; g == nil {
			g = &gone{}
			p.gone.of[it] = g
		}
		g.spans = slices.DeleteFunc(g.spans, func(s span) bool { return s.through <= at })
		for _, e := range before.ended {
			if e.reach > at {
				g.spans = append(g.spans, span{e.entry.Spec, e.reach})
			}
		}
		g.reach = max(g.reach, reach)
	}
}

// back is told that it has a definition again.
func (g *gones) back(it *item) {
	if was := g.of[it]; was != nil {
		was.removed = false
	}
}

// unsent returns the slots after an instant that were on their way when it went.
func (g *gones) unsent(it *item, from time.Time) (slots []time.Time) {
	was := g.of[it]
	if was == nil {
		return nil
	}
	if was.reach <= from.UnixMicro() {
		delete(g.of, it)
		return nil
	}
	for _, s := range was.spans {
		for slot := s.spec.Next(from); !slot.IsZero() && slot.UnixMicro() <= s.through; slot = s.spec.Next(slot) {
			slots = append(slots, slot)
		}
	}
	slices.SortFunc(slots, time.Time.Compare)
	return slots
}

// sweepGone forgets those whose slots have come, or, of items that are back, are long over, once they have come to be twice as many.
func (p *Planner) sweepGone(now time.Time) {
	if len(p.gone.of) < 2*max(p.gone.swept, 1000) {
		return
	}
	for it, g := range p.gone.of {
		switch {
		case it.off && g.reach < now.UnixMicro():
			it.from = max(it.from, g.reach)
			delete(p.gone.of, it)
			if g.removed {
				p.byID.Delete(g.id)
				p.items.drop(it)
			}
		case g.reach < now.Add(-formerFor).UnixMicro():
			delete(p.gone.of, it)
		}
	}
	p.gone.swept = len(p.gone.of)
}
