package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/onebeat/onebeat/internal/failpoint"
	"github.com/onebeat/onebeat/internal/schedule"
)

// putOffFor is how far off the slot is at least of an entry that is written down later.
const putOffFor = time.Minute

// later is what was seen of entries for the first time and is not written down yet: of a
// million entries at the first start, or of thousands that were added together, in which writing a
// thousand at a time takes longer than all else. Of an entry it is written down before its row is read
// again, and before a slot of it is claimed: what ends is noted in what is remembered.
//
// That something is put off, and since when, is written down before it is told of (putoff.go). So whoever comes after a crash,
// however long after, counts slots of what it sees anew from then.
//
// A watch owns it. Who claims looks at it too.
type later struct {
	soonest atomic.Int64 // Unix microseconds: none has a slot before; 0 says that there are none

	mu      sync.Mutex
	runs    [][]laterSight
	ordered int           // so many of the runs, the first, are in order of keys: they all are once they are written down
	writing []laterSight  // in order: taken out of the runs, and not yet known to be written down
	length  int           // of all of them
	after   time.Time     // of all of them: since when their slots count
	rest    time.Duration // before the next part: as long as the last took, for others write too
}

// A laterSight is a sight of an entry. There are millions of them: it holds no pointers.
type laterSight struct {
	key  schedule.Key
	spec uint64 // digest
}

func byKey(a, b laterSight) int { return bytes.Compare(a.key[:], b.key[:]) }

// sortedSights returns a run in the order of keys. To put numbers in order takes a quarter of the time: the first six bytes of the
// keys are, and those that are alike in these are put in order in their places.
func sortedSights(run []laterSight) []laterSight {
	places := make([]uint64, len(run))
	for i := range run {
		places[i] = binary.BigEndian.Uint64(run[i].key[:])&^(laterRun-1) | uint64(i)
	}
	slices.Sort(places)
	sorted := make([]laterSight, len(run), cap(run))
	for i, place := range places {
		sorted[i] = run[place&(laterRun-1)]
	}
	slices.SortFunc(sorted, byKey) // nothing is left to be done, mostly
	return sorted
}

const (
	// laterMost is how many are put off without more ado: 48 MB. Of what a load sees beyond, one is written down for two that come.
	laterMost = 2_000_000

	// laterRun is how many are put in order together, which takes some milliseconds: a power of two.
	laterRun = 1 << 16

	// laterPart is how many are written down in one transaction, for which edits wait.
	laterPart = chunk / 2
)

// put takes a sight of an entry whose first slot is next. Of several the latest instant counts for all: none
// has a slot in between, or the sight is not taken.
func (l *later) put(sight laterSight, after, next time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.length == 0 {
		l.after = after
	}
	if first := l.soonest.Load(); first != 0 && after.UnixMicro() >= first {
		return false
	}
	l.after = schedule.Later(l.after, after)
	soonest := int64(never)
	if !next.IsZero() {
		soonest = next.UnixMicro()
	}
	if was := l.soonest.Load(); was == 0 || soonest < was {
		l.soonest.Store(soonest)
	}
	last := len(l.runs) - 1
	if last < 0 || len(l.runs[last]) == cap(l.runs[last]) {
		l.runs = append(l.runs, make([]laterSight, 0, laterRun)) // what is not used of it takes no memory
		last++
	}
	l.runs[last] = append(l.runs[last], sight)
	l.length, l.ordered = l.length+1, min(l.ordered, last)
	return true
}

// order puts one more run in order, and returns false if all are. A catalog that is loaded
// does not wait for it, and who claims not either: it reads a run as it was meanwhile.
func (l *later) order() bool {
	if l.ordered == len(l.runs) {
		return false
	}
	run := sortedSights(l.runs[l.ordered])
	l.mu.Lock()
	defer l.mu.Unlock()
	l.runs[l.ordered] = run
	l.ordered++
	return true
}

// part returns those that are to be written down next, a part of them, and since when they count. They count as
// put off until it is called again.
func (l *later) part() (part []laterSight, after time.Time) {
	for l.order() {
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.length -= len(l.writing)
	l.writing = l.writing[:0]
	for len(l.runs) > 0 && len(l.writing) < laterPart {
		least := 0
		for i := range l.runs {
			if byKey(l.runs[i][0], l.runs[least][0]) < 0 {
				least = i
			}
		}
		l.writing = append(l.writing, l.runs[least][0])
		if l.runs[least] = l.runs[least][1:]; len(l.runs[least]) == 0 {
			l.runs, l.ordered = slices.Delete(l.runs, least, least+1), l.ordered-1
		}
	}
	if len(l.writing) == 0 {
		l.forgetLocked()
	}
	return l.writing, l.after
}

// again lets the last part come again, of which it is not known that it was written down.
func (l *later) again() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.writing) > 0 {
		l.runs, l.writing, l.ordered = slices.Insert(l.runs, 0, l.writing), nil, l.ordered+1
	}
}

// of returns what is put off of these, and since when it counts.
func (l *later) of(ids []string) (sights []laterSight, after time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.length == 0 {
		return nil, l.after
	}
	wanted := map[schedule.Key]bool{}
	for _, id := range ids {
		if key, keyed := schedule.ID(id).Key(); keyed {
			wanted[key] = true
		}
	}
	for _, run := range append(l.runs[:l.ordered:l.ordered], l.writing) {
		for key := range wanted {
			if i, ok := slices.BinarySearchFunc(run, laterSight{key: key}, byKey); ok {
				sights = append(sights, run[i])
			}
		}
	}
	for _, run := range l.runs[l.ordered:] {
		for i := range run {
			if wanted[run[i].key] {
				sights = append(sights, run[i])
			}
		}
	}
	slices.SortFunc(sights, byKey)
	return sights, l.after
}

func (l *later) forgetLocked() {
	l.runs, l.writing, l.length, l.ordered = nil, nil, 0, 0
	l.soonest.Store(0)
}

// writeSome writes down a part of what was put off, in order of ids: so the index of the table is
// read and written piece by piece. What is not of a shard that is led is seen anew by who leads. Once none is left, the
// first start has ended for the shards that are led, if there is one. Before that they are put in order, some at a time.
func (w *watch) writeSome(ctx context.Context) error {
	if w.later.order() {
		return nil
	}
	part, after := w.later.part()
	if len(part) > 0 {
		began := time.Now()
		err := w.writeDown(ctx, part, after)
		w.later.rest = time.Since(began)
		return err
	}
	if err := w.nothingPutOff(ctx); err != nil {
		return err
	}
	return w.begun(ctx)
}

// writeLater writes all of it down.
func (w *watch) writeLater(ctx context.Context) error {
	for {
		if err := w.writeSome(ctx); err != nil || w.later.length == 0 {
			return err
		}
	}
}

// writeDown writes down what was put off.
func (w *watch) writeDown(ctx context.Context, sights []laterSight, after time.Time) error {
	clear(w.writing)
	return w.store.remember(ctx, sights, w.remembers, after, w.holds)
}

// remember writes down what was seen of entries for the first time, of those that are wanted, if the rest of the
// transaction succeeds.
//
// Relaxed: the claim of a slot, which is durable, makes durable what came before it.
func (s *Store) remember(ctx context.Context, sights []laterSight, wanted func(id string) bool, after time.Time, rest func(context.Context, transaction) error) error {
	var ids, specs []string
	for _, sight := range sights {
		if id := string(sight.key.ID()); wanted(id) {
			ids, specs = append(ids, id), append(specs, strconv.FormatUint(sight.spec, 16))
		}
	}
	if len(ids) == 0 {
		return nil
	}
	if err := failpoint.Here("side.before"); err != nil {
		return err
	}
	err := s.db.transact(ctx, mode{relaxed: true}, func(tx transaction) error {
		if err := tx.many(ctx, "entry_first_seen", ids, specs, slices.Repeat([]time.Time{after}, len(ids))); err != nil {
			return err
		}
		return rest(ctx, tx)
	})
	if err != nil {
		return fmt.Errorf("remember entries: %w", err)
	}
	return failpoint.Here("side.after")
}

// settleLater writes down what is put off of these entries.
func (w *watch) settleLater(ctx context.Context, ids []string) error {
	if w.later.soonest.Load() == 0 {
		return nil
	}
	sights, after := w.later.of(ids)
	for len(sights) > 0 {
		part := sights[:min(laterPart, len(sights))]
		if err := w.writeDown(ctx, part, after); err != nil {
			return err
		}
		sights = sights[len(part):]
	}
	return nil
}

// settleAll writes down what is put off, before all rows are read again: their slots may be claimed meanwhile.
func (w *watch) settleAll(ctx context.Context) error {
	w.later.again()
	for {
		part, after := w.later.part()
		if len(part) == 0 {
			return nil
		}
		if err := w.writeDown(ctx, part, after); err != nil {
			return err
		}
	}
}

// settle writes down what is put off of entries of which a slot is to be claimed.
func (s *Shard) settle(ctx context.Context, batch schedule.Batch) error {
	later := s.later.Load()
	if later == nil {
		return nil
	}
	soonest := later.soonest.Load()
	if soonest == 0 {
		return nil
	}
	var due []string
	for i := range batch.Dues {
		d := &batch.Dues[i]
		if d.Request != "" || d.Slot.UnixMicro() >= soonest || d.Through.UnixMicro() >= soonest {
			due = append(due, string(d.Entry.ID))
		}
	}
	if len(due) == 0 {
		return nil
	}
	sights, after := later.of(due)
	all := func(string) bool { return true }
	return s.store.remember(ctx, sights, all, after, func(ctx context.Context, tx transaction) error { return s.holds(ctx, tx, batch.Term) })
}
