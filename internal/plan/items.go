package plan

import (
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
)

// An item is an entry's place in the agenda. There are millions of them: its fields are in an order
// that leaves no gaps, and there is nothing in it for the collector of garbage to look at. What it
// has of specs and definitions is held apart, by number.
type item struct {
	digest uint64 // the entry's

	next int64 // next slot, Unix microseconds
	from int64 // slots at or before it are settled, Unix microseconds; sealed ones may be later

	// kept is where judging of missed slots has got to: a slot before it was
	// found to be owed, however late it is when its turn comes.
	kept int64

	key schedule.Key // the id's

	number int32 // its own
	spec   int32
	entry  int32 // 0 while its definition is left in the catalog, or it is off
	at     int32 // index in the heap, or absent

	often  bool // it has slots often, see turns; kept while it is in no agenda
	off    bool // disabled, paused or unreadable: it has no slots
	stays  bool // its definition is not left in the catalog
	wanted bool // its definition is asked for
	held   bool // and its slot at next waits for that
}

// absent is the index of an item that has no next slot.
const absent = -1

func (it *item) slot() time.Time { return time.UnixMicro(it.next).UTC() }

// items are all of them by number, from 1 on.
type items struct {
	slabs   [][]item
	length  int // of all slabs, in items that were in use
	free    []int32
	specs   specs
	entries entries
}

const slab = 1024

// fresh returns an item that was none before, or is none any more.
func (m *items) fresh() *item {
	if n := len(m.free); n > 0 {
		number := m.free[n-1]
		m.free = m.free[:n-1]
		it := m.at(number)
		*it = item{number: number, at: absent}
		return it
	}
	m.length++
	if m.length/slab == len(m.slabs) {
		m.slabs = append(m.slabs, make([]item, slab))
	}
	it := m.at(int32(m.length))
	it.number, it.at = int32(m.length), absent
	return it
}

// at returns the item of a number, or nil for 0.
func (m *items) at(number int32) *item {
	if number == 0 {
		return nil
	}
	return &m.slabs[number/slab][number%slab]
}

// drop lets go of an item that is in no agenda.
func (m *items) drop(it *item) {
	m.specs.drop(it.spec)
	it.spec = 0
	m.free = append(m.free, it.number)
}

// spec is the item's, nil before it had one.
func (m *items) spec(it *item) schedule.Spec { return m.specs.all[it.spec].spec }

// entry is the item's definition, nil while that is left in the catalog or it is off.
func (m *items) entry(it *item) *schedule.Entry { return m.entries.all[it.entry] }

// define gives the item a spec and a digest.
func (m *items) define(it *item, e *schedule.Entry) {
	was := it.spec
	it.spec, it.digest = m.specs.number(e.Spec), e.Digest
	m.specs.drop(was)
}

// hold holds the item's definition, nil for none.
func (m *items) hold(it *item, e *schedule.Entry) {
	m.entries.drop(it.entry)
	it.entry = m.entries.number(e)
}

// specs are specs by number: those that many entries have are one.
type specs struct {
	all   []counted
	free  []int32
	known map[schedule.Spec]int32 // of those that can be compared
	last  int32                   // of known: entries that come one after the other mostly have the same
}

// A counted is a spec that so many items have.
type counted struct {
	spec  schedule.Spec
	items int32
}

// maxKnown bounds known: where most specs differ, it would be of no use.
const maxKnown = 1 << 16

// oneForMany says whether the spec can be compared, and many entries are likely to have it.
func oneForMany(spec schedule.Spec) bool {
	switch spec.(type) {
	case *schedule.Crontab, schedule.Every:
		return true
	}
	return false
}

func (s *specs) number(spec schedule.Spec) int32 {
	shared := oneForMany(spec)
	if shared {
		if s.all[s.last].spec == spec {
			s.all[s.last].items++
			return s.last
		}
		if n, ok := s.known[spec]; ok {
			s.all[n].items++
			s.last = n
			return n
		}
	}
	n := int32(len(s.all))
	if last := len(s.free) - 1; last >= 0 {
		n, s.free = s.free[last], s.free[:last]
	} else {
		s.all = append(s.all, counted{})
	}
	s.all[n] = counted{spec, 1}
	if shared && len(s.known) < maxKnown {
		s.known[spec] = n
	}
	return n
}

func (s *specs) drop(n int32) {
	if n == 0 {
		return
	}
	c := &s.all[n]
	if c.items--; c.items > 0 {
		return
	}
	if oneForMany(c.spec) && s.known[c.spec] == n {
		delete(s.known, c.spec)
	}
	*c = counted{}
	s.free = append(s.free, n)
}

// entries are definitions by number.
type entries struct {
	all  []*schedule.Entry
	free []int32
}

func (s *entries) number(e *schedule.Entry) int32 {
	if e == nil {
		return 0
	}
	n := int32(len(s.all))
	if last := len(s.free) - 1; last >= 0 {
		n, s.free = s.free[last], s.free[:last]
		s.all[n] = e
	} else {
		s.all = append(s.all, e)
	}
	return n
}

func (s *entries) drop(n int32) {
	if n != 0 {
		s.all[n] = nil
		s.free = append(s.free, n)
	}
}

// newItems returns none.
func newItems() *items {
	return &items{
		specs:   specs{all: make([]counted, 1), known: map[schedule.Spec]int32{}}, // 0 is none
		entries: entries{all: make([]*schedule.Entry, 1)},
	}
}
