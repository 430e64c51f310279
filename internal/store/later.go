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
// million entries at the first start, in which writing a thousand at a time takes
// longer than all else.
type later struct {
	sights []laterSight
	after  time.Time // of all of them: since when their slots count
	since  time.Time // of the first of them, by this process's clock
}

// A laterSight is a sight of an entry. There are millions of them: it holds no pointers.
type laterSight struct {
	key  schedule.Key
	spec uint64 // digest
}

// laterMost is how many are put off at most: 24 MB.
const laterMost = 1_000_000

func (l *later) put(key schedule.Key, spec uint64, after time.Time) {
	if len(l.sights) == 0 {
		l.since, l.after = time.Now(), after
		l.sights = make([]laterSight, 0, laterMost) // what is not used of it takes no memory
	}
	l.sights = append(l.sights, laterSight{key, spec})
}

// pressing says whether it is time to write them down.
func (l *later) pressing() bool {
	return len(l.sights) >= laterMost || len(l.sights) > 0 && time.Since(l.since) > putOffFor/2
}

// laterChunk is how many are written down in one transaction.
const laterChunk = 20 * chunk

// writeLater writes down what was put off, in order of ids: so the index of the table is
// read and written piece by piece.
func (w *watch) writeLater(ctx context.Context) error {
	sights := w.later.sights
	slices.SortFunc(sights, func(a, b laterSight) int { return bytes.Compare(a.key[:], b.key[:]) })
	for part := range slices.Chunk(sights, laterChunk) {
		clear(w.writing)
		if !w.reading.first.loading || !w.remembers("") {
			break // it is all seen anew by who leads
		}
		ids, specs, afters := make([]string, len(part)), make([]string, len(part)), make([]time.Time, len(part))
		for i, s := range part {
			ids[i], specs[i], afters[i] = string(s.key.ID()), strconv.FormatUint(s.spec, 16), w.later.after
		}
		err := w.store.db.transact(ctx, mode{relaxed: true}, func(tx transaction) error {
			if err := tx.many(ctx, "entry_seen", ids, specs, afters); err != nil {
				return err
			}
			return w.holds(ctx, tx)
		})
		if err != nil {
			return fmt.Errorf("remember entries: %w", err)
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
