package plan

import (
	"cmp"
	"slices"
	"time"
)

// An agenda holds items by their next slot, earliest first: a heap of four
// children a node, which moves an item in half the steps of a binary one and
// keeps siblings in a cache line. A slot stands beside the number of its item, for with a
// million of them each look at another item waits for memory.
//
// It has no clock and no lock: the planner's goroutine owns it.
type agenda struct {
	items *items
	heap  []place
}

// A place is where an item stands.
type place struct {
	next int64 // the item's
	item int32 // its number
}

// before says which is due first; of one instant the one with the lower number, so that a herd is claimed as the catalog was read, in
// whose order its rows lie beside each other.
func (p place) before(q place) bool {
	return p.next < q.next || p.next == q.next && p.item < q.item
}

// compare is before, for sorting.
func (p place) compare(q place) int {
	return cmp.Or(cmp.Compare(p.next, q.next), cmp.Compare(p.item, q.item))
}

// first returns the item that is due first, or nil.
func (a *agenda) first() *item {
	if len(a.heap) == 0 {
		return nil
	}
	return a.items.at(a.heap[0].item)
}

// set puts it where its slot at next belongs; the zero Time takes it out.
func (a *agenda) set(it *item, next time.Time) {
	if next.IsZero() {
		a.remove(it)
		return
	}
	it.next = next.UnixMicro()
	if it.at == absent {
		a.add(it)
		return
	}
	a.heap[it.at] = place{it.next, it.number}
	a.up(int(it.at))
	a.down(int(it.at))
}

// grow makes room for so many items in all.
func (a *agenda) grow(n int) {
	if n > cap(a.heap) {
		a.heap = slices.Grow(a.heap, n-len(a.heap))
	}
}

// add puts an item in that is not in, where its slot at next belongs.
func (a *agenda) add(it *item) {
	a.heap = append(a.heap, place{it.next, it.number})
	a.up(len(a.heap) - 1)
}

// remove takes it out if it is in.
func (a *agenda) remove(it *item) {
	if it.at == absent {
		return
	}
	i := int(it.at)
	it.at = absent
	last := len(a.heap) - 1
	moved := a.heap[last]
	a.heap[last] = place{}
	a.heap = a.heap[:last]
	if i == last {
		return
	}
	a.put(i, moved)
	a.up(i)
	a.down(int(a.items.at(moved.item).at))
}

// overdue counts the items whose slot is at or before t, up to most of them. It looks at no more
// than those and their children.
func (a *agenda) overdue(t int64, most int) int {
	n := 0
	var count func(i int)
	count = func(i int) {
		if i >= len(a.heap) || a.heap[i].next > t || n >= most {
			return
		}
		n++
		for c := 4*i + 1; c <= 4*i+4; c++ {
			count(c)
		}
	}
	count(0)
	return n
}

func (a *agenda) up(i int) {
	moved := a.heap[i]
	for i > 0 {
		parent := (i - 1) / 4
		if !moved.before(a.heap[parent]) {
			break
		}
		a.put(i, a.heap[parent])
		i = parent
	}
	a.put(i, moved)
}

func (a *agenda) down(i int) {
	moved := a.heap[i]
	for {
		least := 4*i + 1
		if least >= len(a.heap) {
			break
		}
		for c := least + 1; c < min(least+4, len(a.heap)); c++ {
			if a.heap[c].before(a.heap[least]) {
				least = c
			}
		}
		if !a.heap[least].before(moved) {
			break
		}
		a.put(i, a.heap[least])
		i = least
	}
	a.put(i, moved)
}

func (a *agenda) put(i int, p place) {
	a.heap[i], a.items.at(p.item).at = p, int32(i)
}
