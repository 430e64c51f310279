package store

import (
	"context"

	"github.com/onebeat/onebeat/internal/schedule"
)

// Of a large catalog most rows are read for the first time, are good, and are not due soon: of such a row who leads is told a
// sketch, and what is known of it is noted at once, while it is at hand. Loading a million makes nothing else for each of them.

// An untold is what a row that was taken says, and is not told of yet.
type untold struct {
	change    schedule.Change
	key       schedule.Key // as in row
	spot      schedule.Spot
	print     uint64
	unwritten bool
}

// change returns what a row says, of which nothing was told before if it is fresh; or it makes a sketch of it, which is to be told of.
func (w *watch) change(r *row, fresh bool) (change schedule.Change, sketched bool) {
	if !r.mayLeave || !fresh {
		return w.reading.change(r), false
	}
	spare := &w.reading.spare
	r.spare = spare
	change = w.reading.change(r)
	r.spare = nil
	e := change.Entry
	if e != &spare.entry {
		return change, false
	}
	if !e.PausedUntil.IsZero() || change.Limit != (schedule.Limit{}) {
		change.Entry = e.Anew()
		return change, false
	}
	next, k := r.next(e.Spec, e.After), known{print: r.print}
	if l := w.leadOf(r.id); l != nil {
		if l.sketches == nil {
			l.sketches = make([]schedule.Sketch, 0, chunk)
		}
		l.sketches = append(l.sketches, e.Sketch(r.place(), next))
		w.sketched++
	} else if !r.unwritten {
		if k.next = never; !next.IsZero() {
			k.next = next.UnixMicro()
		}
	}
	w.know(e.ID, r.place(), r.spot, k)
	return change, true
}

// tellSketches tells those who lead of what is theirs.
func (w *watch) tellSketches() {
	for shard := range w.leads {
		l := w.leadOn(shard)
		if l == nil || len(l.sketches) == 0 {
			continue
		}
		changes := []schedule.Change{{Sketches: l.sketches, About: w.about / w.shards}}
		l.sketches = nil
		w.call(l, func(ctx context.Context) error { return l.watcher.Apply(ctx, changes) })
	}
	w.sketched = 0
}

// forget forgets what was taken and not told of: it is new again.
func (w *watch) forget() {
	for _, l := range w.leads {
		for i := range l.sketches {
			w.seen.Delete(l.sketches[i].Key.ID())
		}
		l.sketches = nil
	}
	w.reading.forget()
	w.sketched, w.untold = 0, w.untold[:0]
}
