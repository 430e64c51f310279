package store

import (
	"fmt"
	"math"
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
)

// The first time that a catalog is read, what is remembered of its entries is read before it and kept where
// what is known of a row will be: a million of them take no memory of their own. What is seldom
// remembered, such as a pause, is not kept so: the row is then read again with all of it.

// A recalled is what is remembered of an entry, as far as planning mostly needs it.
type recalled struct {
	id    schedule.ID // empty if it has a key
	key   schedule.Key
	spec  uint64 // digest, 0 for none
	after int64  // Unix microseconds: slots count after it
	more  bool   // there is more

	into     []any // where its columns are scanned to
	wasSpec  hexadecimal
	wasAfter time.Time
}

// scan reads the columns of the statement sides_all.
func (m *recalled) scan(from scanner) error {
	if m.into == nil {
		m.into = []any{keyed{m}, &m.wasSpec, instant{&m.wasAfter}, &m.more}
	}
	if err := from.Scan(m.into...); err != nil {
		return err
	}
	m.spec, m.after = m.wasSpec.value, m.wasAfter.UnixMicro()
	m.more = m.more || m.wasSpec.other || m.after < 0
	return nil
}

// A keyed scans an id as its key.
type keyed struct{ into *recalled }

// Scan implements sql.Scanner.
func (k keyed) Scan(value any) error {
	var id string
	err := orEmpty{&id}.Scan(value)
	k.set([]byte(id))
	return err
}

func (k keyed) set(id []byte) bool {
	key, ok := schedule.KeyOf(id)
	k.into.key, k.into.id = key, ""
	if !ok || key == (schedule.Key{}) {
		k.into.key, k.into.id = schedule.Key{}, schedule.ID(id)
	}
	return true
}

// setUUID is set for a UUID in 16 bytes.
func (k keyed) setUUID(bytes []byte) bool {
	key, ok := schedule.KeyOfUUID(bytes)
	k.into.key, k.into.id = key, ""
	if !ok {
		k.into.key, k.into.id = schedule.Key{}, schedule.UUID(bytes)
	}
	return true
}

// A hexadecimal scans a digest of a spec as it is written down: 0 for none.
type hexadecimal struct {
	value uint64
	other bool // it is none
}

// Scan implements sql.Scanner.
func (h *hexadecimal) Scan(value any) error {
	text, ok := value.(string)
	if !ok {
		return fmt.Errorf("a digest can't be a %T", value)
	}
	h.set([]byte(text))
	return nil
}

func (h *hexadecimal) set(text []byte) bool {
	*h = hexadecimal{other: len(text) > 16}
	for _, c := range text {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		default:
			h.other = true
		}
		h.value = h.value<<4 | uint64(c&15)
	}
	h.other = h.other || len(text) > 0 && h.value == 0
	return true
}

// whole is the next of what is remembered of an entry that is to be read with all of it.
const whole = math.MinInt64

// remembered says whether the row was not read yet: print is then the digest of the spec that is
// remembered, and next the complement of the instant after which slots count, or whole.
func (k known) remembered() bool { return k.next < 0 }

// readApart lets the feed read rows and what is remembered of them apart, if they are all read for the first
// time. What it returns is to be called after that; it returns the ids of rows that are to be read again.
func (w *watch) readApart() (together func() []string) {
	f, ok := w.feed.(*postgresFeed)
	if !ok || !f.p.layout.apart || w.loaded || w.unread > 0 || w.reading.home == HomeMemory || w.store.options.Prepare == nil { // which lets go of what a Row says of runs
		return func() []string { return nil }
	}
	w.undressed = nil
	var keys []schedule.Key
	f.remembered = func(some []recalled) error {
		keys = keys[:0]
		for i := range some {
			keys = append(keys, some[i].key)
		}
		w.seen.Warm(keys)
		for i := range some {
			w.recall(&some[i])
		}
		return nil
	}
	f.coming = func(rows []row) { // what is done for all of them at once costs less
		keys = keys[:0]
		for i := range rows {
			keys = append(keys, rows[i].place())
		}
		w.seen.Warm(keys)
		digestTexts(rows)
	}
	return func() []string {
		f.remembered, f.coming = nil, nil
		w.forgetRecalled()
		return w.undressed
	}
}

// knownOf is what is known of a row.
func (w *watch) knownOf(r *row) (k known, ok bool) {
	k, r.spot, ok = w.seen.Find(schedule.ID(r.id), r.place())
	return k, ok
}

// recall keeps what is remembered of an entry until its row is read, unless that was read with all of it.
func (w *watch) recall(m *recalled) {
	at, added := w.seen.Place(m.id, m.key, 0)
	switch {
	case !added:
		return
	case m.more:
		*at = known{next: whole}
	default:
		*at = known{print: m.spec, next: ^m.after}
	}
	w.unread++
}

// forgetRecalled forgets what is remembered of entries that have no row.
func (w *watch) forgetRecalled() {
	if w.unread == 0 {
		return
	}
	w.seen.DeleteFunc(known.remembered)
	w.unread = 0
}

// dress gives a bare row what is remembered of it, of which k is known if ok, or returns false: then it is to be
// read again with all of it.
func (w *watch) dress(r *row, k known, ok bool) bool {
	switch {
	case !ok: // nothing is
		return true
	case !k.remembered(): // it was read with all of it, and may be another by now
		return k.print == r.print
	case k.next == whole || r.ruling().Runs > 0: // which counts runs
		return false
	}
	r.known, r.seenSum, r.afterAt = true, k.print, time.UnixMicro(^k.next).UTC()
	return true
}
