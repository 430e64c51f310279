package plan

import (
	"context"
	"slices"
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
)

// A Coming is a slot that is yet to be handed over, as it is planned now.
type Coming struct {
	Slot  time.Time
	ID    schedule.ID
	Entry *schedule.Entry // nil while the definition is left in the catalog

	// Reason is why the slot will be skipped: a window. It is empty where it will not, or where nobody knows.
	Reason string
}

// A look is a call of Coming.
type look struct {
	most  int
	reply chan looked // has room for one
}

// A looked is what the loop answers: what it takes to know of the slots is taken outside of it.
type looked struct {
	next    []upcoming
	windows *schedule.Windows
}

// An upcoming is an entry by its next slot.
type upcoming struct {
	id    schedule.ID
	entry *schedule.Entry
	spec  schedule.Spec
	slot  time.Time
}

// Coming returns the slots that come next, at most so many, in order. Of an entry whose runs are counted it is the
// first alone. It does not look through the agenda: that costs no more with a million entries.
func (p *Planner) Coming(ctx context.Context, most int) ([]Coming, error) {
	l := look{most, make(chan looked, 1)}
	select {
	case p.looks <- l:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-p.over:
		return nil, context.Canceled
	}
	select {
	case found := <-l.reply:
		return found.slots(most), nil
	case <-p.over:
		return nil, context.Canceled
	}
}

// look finds the items whose next slots come first: those of others are later than as many slots.
func (p *Planner) look(most int) looked {
	var places []place
	for _, a := range []*agenda{&p.turns.often, &p.turns.others, &p.left.agenda} {
		places = a.soonest(places, most)
	}
	slices.SortFunc(places, place.compare)
	found := looked{windows: p.windows}
	for _, at := range places[:min(most, len(places))] {
		it := p.items.at(at.item)
		one := upcoming{entry: p.items.entry(it), spec: p.items.spec(it), slot: it.slot()}
		if one.entry != nil {
			one.id = one.entry.ID
		} else {
			one.id = it.key.ID()
		}
		found.next = append(found.next, one)
	}
	return found
}

// soonest adds the places that are first, at most so many, in order.
func (a *agenda) soonest(places []place, most int) []place {
	if len(a.heap) == 0 {
		return places
	}
	for front := []int{0}; most > 0 && len(front) > 0; most-- { // the indices of those that may be next: there are few
		first := 0
		for i := range front {
			if a.heap[front[i]].before(a.heap[front[first]]) {
				first = i
			}
		}
		at := front[first]
		places = append(places, a.heap[at])
		front = slices.Delete(front, first, first+1)
		for child := 4*at + 1; child <= 4*at+4 && child < len(a.heap); child++ {
			front = append(front, child)
		}
	}
	return places
}

// slots are the first slots of all that was found, at most so many.
func (l *looked) slots(most int) (slots []Coming) {
	for len(slots) < most && len(l.next) > 0 {
		first := 0
		for i := range l.next {
			if l.next[i].slot.Before(l.next[first].slot) {
				first = i
			}
		}
		one := &l.next[first]
		coming := Coming{Slot: one.slot, ID: one.id, Entry: one.entry}
		if one.entry != nil {
			coming.Reason, _ = l.windows.Closed(one.entry, one.slot)
		}
		slots = append(slots, coming)
		next := time.Time{}
		if schedule.LimitOf(one.spec, 0).Runs == 0 {
			next = one.spec.Next(one.slot)
		}
		if one.slot = next; next.IsZero() {
			l.next = slices.Delete(l.next, first, first+1)
		}
	}
	return slots
}
