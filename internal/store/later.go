package store

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
)

// putOffFor is how far off the slot is at least of an entry that is written down later. What has
// waited for half as long is written down before more rows are read.
const putOffFor = time.Minute

// later is what was seen of entries for the first time and is not written down yet: of a
// million entries at the first start, or of thousands that were added together, in which writing a
// thousand at a time takes longer than all else.
//
// Whoever comes after a crash sees them anew, as if the crash had come a moment sooner: they have no slot
// for as long as that they are put off.
type later struct {
	sights []laterSight
	after  time.Time // of all of them: since when their slots count
	since  time.Time // of the first of them, by this process's clock
	room   int       // how many there may be
}

// A laterSight is a sight of an entry. There are millions of them: it holds no pointers.
type laterSight struct {
	key  schedule.Key
	spec uint64 // digest
}

// laterMost is how many are put off at most: 24 MB.
const laterMost = 1_000_000

// put takes a sight. Of several the latest instant counts for all: none has a slot in between.
func (l *later) put(key schedule.Key, spec uint64, after time.Time) {
	if len(l.sights) == 0 {
		l.since, l.after = time.Now(), after
		l.sights = make([]laterSight, 0, l.room) // what is not used of it takes no memory
	}
	l.after = latest(l.after, after)
	l.sights = append(l.sights, laterSight{key, spec})
}

// pressing says whether it is time to write them down.
func (l *later) pressing() bool {
	return len(l.sights) >= laterMost || len(l.sights) > 0 && time.Since(l.since) > putOffFor/2
}

// laterChunk is how many are written down in one transaction at the first start, and laterPart while
// edits wait for it.
const (
	laterChunk = 20 * chunk
	laterPart  = 4 * chunk
)

// writeLater writes down what was put off, in order of ids: so the index of the table is
// read and written piece by piece. What is not of a shard that is led is seen anew by who leads.
func (w *watch) writeLater(ctx context.Context) error {
	slices.SortFunc(w.later.sights, func(a, b laterSight) int { return bytes.Compare(a.key[:], b.key[:]) })
	most := laterChunk
	if w.looking {
		most = laterPart
	}
	for len(w.later.sights) > 0 {
		part := w.later.sights[:min(most, len(w.later.sights))]
		clear(w.writing)
		var ids, specs []string
		for _, s := range part {
			if id := string(s.key.ID()); w.remembers(id) {
				ids, specs = append(ids, id), append(specs, strconv.FormatUint(s.spec, 16))
			}
		}
		if len(ids) > 0 {
			err := w.store.db.transact(ctx, mode{relaxed: true}, func(tx transaction) error {
				if err := tx.many(ctx, "entry_seen", ids, specs, slices.Repeat([]time.Time{w.later.after}, len(ids))); err != nil {
					return err
				}
				return w.holds(ctx, tx)
			})
			if err != nil {
				return fmt.Errorf("remember entries: %w", err)
			}
		}
		w.later.sights = w.later.sights[len(part):]
		if _, err := w.between(ctx); err != nil {
			return err
		}
	}
	w.later.sights = nil
	return nil
}

// forgetLater makes rows new again whose sights were not written down. That they are gone
// is still to be told.
func (w *watch) forgetLater() {
	for _, s := range w.later.sights {
		if k, ok := w.seen.Get(s.key.ID()); ok {
			k.print = ^k.print
			w.seen.Set(s.key.ID(), k)
		}
	}
	w.later.sights = nil
}
