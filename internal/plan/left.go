package plan

import (
	"context"
	"slices"
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
)

// Of a catalog of a million entries most are not due for hours. What planning needs
// of those is a spec and an instant; the definition, most of an entry's memory,
// is left in the catalog and fetched before the slot comes. It is the same
// definition if its digest is: else there is news of it to come, which is waited for.

// Some entries come without their definition: what read them found that they are not due soon.

// left are the items whose definitions are left in the catalog.
type left struct {
	agenda agenda // those that nobody was asked for yet

	leaving []*item        // to be left, in order of being handed over
	last    map[*item]last // of those
	wanted  []*item        // to be asked for
	again   []*item        // were asked for in vain
	againAt time.Time      // when they are to be asked for again
	held    map[*item]bool // whose slots wait
	owed    []schedule.Due // runs that people asked for of entries that are wanted
	whole   int            // items that are not left
}

// A last is the last slot of an item that was handed over. Once it is sealed, no
// slot that is on its way needs to learn of edits of the definition.
type last struct {
	entry *schedule.Entry
	slot  int64 // Unix microseconds
}

// A want is a call of Wanted.
type want struct {
	ctx   context.Context
	reply chan []schedule.ID // has room for one answer; nil if ctx ended first
}

// A supply is a call of Supply.
type supply struct {
	ids     []schedule.ID
	entries []*schedule.Entry
	done    chan struct{}
}

// atOnce bounds what the loop does for definitions before it looks at slots again.
const atOnce = 1000

// Wanted returns the ids of entries whose definitions are wanted, a thousand at
// most, sooner slots first. It waits until there are some, and returns an error only when ctx
// or Run ends. Each is to be answered with Supply. One goroutine calls it.
func (p *Planner) Wanted(ctx context.Context) ([]schedule.ID, error) {
	w := want{ctx, make(chan []schedule.ID, 1)}
	select {
	case p.wants <- w:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-p.over:
		return nil, context.Canceled
	}
	select {
	case ids := <-w.reply:
		if ids == nil {
			return nil, ctx.Err()
		}
		return ids, nil
	case <-p.over:
		return nil, context.Canceled
	}
}

// Supply brings the definitions of entries that were wanted, as they are in the
// catalog. Those that are missing, or are not as the planner knows them, are wanted again
// a second later: there may be news of them to come.
func (p *Planner) Supply(ctx context.Context, ids []schedule.ID, entries []*schedule.Entry) error {
	s := supply{ids, entries, make(chan struct{})}
	select {
	case p.supplies <- s:
	case <-ctx.Done():
		return ctx.Err()
	case <-p.over:
		return context.Canceled
	}
	<-s.done
	return nil
}

// place puts it where its slot at next belongs, with its definition or without. That of one that owes slots before then is held.
func (p *Planner) place(it *item, e *schedule.Entry, next time.Time, owes bool) {
	p.withdraw(it)
	p.items.define(it, e)
	if next.IsZero() {
		it.next = it.from // and not what a former definition would have had next
	}
	_, keyed := e.ID.Key()
	it.stays = owes || !keyed
	if e.Left() || p.left.whole >= p.keep && p.mayLeave(it, next, p.now()) {
		p.left.agenda.set(it, next)
		return
	}
	p.items.hold(it, e)
	p.left.whole++
	var after time.Time
	if next.Sub(p.now()) <= often && !next.IsZero() { // else its slots are further apart, or it will be seen
		after = e.Spec.Next(next)
	}
	p.turns.move(it, next, after)
}

// sketchAll takes over entries that come without their definitions, of about so many. Most are new to it: of those it makes no
// more than an item.
func (p *Planner) sketchAll(sketches []schedule.Sketch, about int) {
	p.byID.Grow(about)
	p.left.agenda.grow(about)
	var keys [together]schedule.Key
	for some := range slices.Chunk(sketches, together) {
		for i := range some {
			keys[i] = some[i].Key
		}
		p.byID.Warm(keys[:len(some)])
		for i := range some {
			p.sketch(&some[i])
		}
	}
}

func (p *Planner) sketch(s *schedule.Sketch) {
	at, added := p.byID.AtKey(s.Key)
	if !added {
		e := s.Entry()
		p.apply(&schedule.Change{ID: e.ID, Entry: e}, s.Key)
		return
	}
	it := p.items.fresh()
	*at = it.number
	p.active++
	it.key, it.from = s.Key, s.After
	it.spec, it.digest = p.items.specs.number(s.Spec), s.Digest
	if s.Next == 0 {
		it.next = it.from
		return
	}
	it.next = s.Next
	p.left.agenda.add(it)
}

// mayLeave says whether the definition of it need not be held.
func (p *Planner) mayLeave(it *item, next, now time.Time) bool {
	return p.keep > 0 && !it.stays && (next.IsZero() || next.Sub(now) > p.far)
}

// withdraw takes it out of either agenda, and lets go of its definition.
func (p *Planner) withdraw(it *item) {
	if it.entry != 0 {
		p.turns.remove(it)
		p.items.hold(it, nil)
		p.left.whole--
		return
	}
	p.left.agenda.remove(it)
	delete(p.left.held, it)
	it.wanted, it.held = false, false
}

// leave is told that a slot of it was handed over.
func (p *Planner) leave(it *item, slot int64, now time.Time) {
	if p.keep == 0 {
		return
	}
	_, leaving := p.left.last[it]
	if !leaving {
		if p.left.whole <= p.keep || !p.mayLeave(it, it.coming(), now) {
			return
		}
		p.left.leaving = append(p.left.leaving, it)
	}
	p.left.last[it] = last{p.items.entry(it), slot}
}

// coming is its next slot, zero if there is none.
func (it *item) coming() time.Time {
	if it.at == absent {
		return time.Time{}
	}
	return it.slot()
}

// release leaves definitions in the catalog whose slots are sealed, and reports
// whether there may be more of them.
func (p *Planner) release() (more bool) {
	now := p.now()
	for range atOnce {
		if len(p.left.leaving) == 0 {
			return false
		}
		it := p.left.leaving[0]
		was := p.left.last[it]
		if it.entry != 0 && p.items.entry(it) == was.entry {
			if !was.entry.Sealed(time.UnixMicro(was.slot)) {
				return false
			}
			if next := it.coming(); p.mayLeave(it, next, now) {
				p.withdraw(it)
				it.from = max(it.from, was.slot)
				p.left.agenda.set(it, next)
			}
		}
		delete(p.left.last, it)
		p.left.leaving[0] = nil
		p.left.leaving = p.left.leaving[1:]
	}
	return true
}

// want asks for the definition of it.
func (p *Planner) want(it *item) {
	if !it.wanted {
		it.wanted = true
		p.left.wanted = append(p.left.wanted, it)
	}
}

// serve answers a call of Wanted, if anything is wanted.
func (p *Planner) serve(w *want) bool {
	horizon := p.now().Add(p.far / 5).UnixMicro()
	for len(p.left.wanted) < atOnce {
		it := p.left.agenda.first()
		if it == nil || it.next > horizon {
			break
		}
		p.left.agenda.remove(it)
		it.held = true
		p.left.held[it] = true
		p.want(it)
	}
	if len(p.left.again) > 0 && !time.Now().Before(p.left.againAt) {
		p.left.wanted = append(p.left.wanted, p.left.again...)
		p.left.again = nil
	}
	var ids []schedule.ID
	for len(p.left.wanted) > 0 && len(ids) < atOnce {
		if it := p.left.wanted[0]; it.wanted { // else it came by itself, or ended
			ids = append(ids, it.key.ID())
		}
		p.left.wanted = p.left.wanted[1:]
	}
	if len(ids) == 0 {
		return false
	}
	w.reply <- ids
	return true
}

// supply takes over what was brought.
func (p *Planner) supply(s supply) {
	for _, e := range s.entries {
		it := p.item(e.ID)
		if it == nil || !it.wanted || it.digest != e.Digest {
			continue
		}
		has := it.held || it.at != absent
		p.withdraw(it)
		e.Spec = p.items.spec(it) // of one slot, if it is to run once
		p.items.hold(it, e)
		p.left.whole++
		if has {
			p.turns.set(it, it.slot())
		}
	}
	for _, id := range s.ids {
		if it := p.item(id); it != nil && it.wanted {
			p.left.again = append(p.left.again, it)
			p.left.againAt = time.Now().Add(glance)
		}
	}
	p.resume()
}

// forgo notes why runs that people asked for have no definition to wait for any more.
func (l *left) forgo(id schedule.ID, reason string) {
	for i := range l.owed {
		if due := &l.owed[i]; due.Entry.ID == id {
			due.Reason = reason
		}
	}
}

// resume readies runs that people asked for whose entries' definitions have come,
// or whose entries have ended.
func (p *Planner) resume() {
	owed := p.left.owed
	p.left.owed = nil
	for _, due := range owed {
		p.submit(due)
	}
}
