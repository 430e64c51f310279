package schedule

import (
	"encoding/binary"
	"iter"
	"math/bits"
)

// A Key is an ID in 16 bytes without a pointer: a catalog of millions holds theirs
// so. Most ids have one: UUIDs as they are mostly made and written, and texts of up to
// 15 bytes, such as numbers.
type Key [16]byte

// variant is the byte of a UUID whose two highest bits are 10 in all UUIDs of RFC
// 9562. Of a short text it is the length.
const variant = 8

// Key returns the id's key, or false if it has none.
func (id ID) Key() (key Key, ok bool) { return keyOf(id) }

// KeyOrNone returns the id's key, the zero Key if it has none. The empty id has no other.
func (id ID) KeyOrNone() Key {
	key, ok := keyOf(id)
	if !ok {
		return Key{}
	}
	return key
}

// KeyOf returns the key of the id that a text is, or false if it has none.
func KeyOf(id []byte) (key Key, ok bool) { return keyOf(id) }

func keyOf[Text ID | []byte](id Text) (key Key, ok bool) {
	if len(id) < len(key) {
		copy(key[:variant], id)
		if len(id) > variant {
			copy(key[variant+1:], id[variant:])
		}
		key[variant] = byte(len(id))
		return key, true
	}
	if len(id) != 36 || id[8] != '-' || id[13] != '-' || id[18] != '-' || id[23] != '-' {
		return key, false
	}
	for i, at := range places {
		high, low := nibbles[id[at]], nibbles[id[at+1]]
		if high > 15 || low > 15 {
			return key, false
		}
		key[i] = high<<4 | low
	}
	return key, key[variant]>>6 == 0b10
}

// KeyOfUUID returns the key of the id that 16 bytes of a UUID are written as, or false if it has none.
func KeyOfUUID(bytes []byte) (key Key, ok bool) {
	copy(key[:], bytes)
	return key, key[variant]>>6 == 0b10
}

// nibbles are the values of digits as UUIDs are written, above 15 for any other byte.
var nibbles = func() (values [256]byte) {
	for c := range values {
		values[c] = 0xff
	}
	for value, digit := range []byte(hexDigits) {
		values[digit] = byte(value)
	}
	return values
}()

// ID returns the id whose key it is.
func (k Key) ID() ID {
	if length := int(k[variant]); length < len(k) {
		text := append(k[:variant:variant], k[variant+1:]...)
		return ID(text[:length])
	}
	return UUID(k[:])
}

// UUID is the id that 16 bytes of a UUID are written as.
func UUID(bytes []byte) ID {
	var text [36]byte
	for i, at := range places {
		b := bytes[i]
		text[at], text[at+1] = hexDigits[b>>4], hexDigits[b&15]
	}
	text[8], text[13], text[18], text[23] = '-', '-', '-', '-'
	return ID(text[:])
}

// places are where the digits of a UUID's bytes are written.
var places = [16]uint8{0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34}

const hexDigits = "0123456789abcdef"

// A ByID is a map by ID that holds keys instead of texts where it can. The zero
// ByID is empty; it is not safe for use from several goroutines.
//
// Go's own map of a million keys is half empty, for all of it grows by twice at the same
// time. Here it is many small tables that grow by a quarter, each at its own time, so that
// three slots of four are in use.
type ByID[V any] struct {
	tables []table[V] // by the first bits of a key's hash; nil while it is empty
	others map[ID]*V
	length int
	room   int  // for so many there was room made
	warmed byte // what Warm saw, which it would else not have to look at
}

// A ByID has 2 to the tableBits tables.
const tableBits = 9

// A table holds keys in the order of their hashes, each at its home or after it: where a
// key is not is known at the first that has a higher hash. Its last slots are nobody's home.
type table[V any] struct {
	slots  []slot[V] // those not in use have the zero Key
	length int
}

type slot[V any] struct {
	key   Key
	value V
}

// beyond is how many slots a table has that are nobody's home.
const beyond = 8

// hash spreads keys, whatever they are made of.
func (k Key) hash() uint64 {
	high, low := bits.Mul64(binary.LittleEndian.Uint64(k[:8])^0x9e3779b97f4a7c15, binary.LittleEndian.Uint64(k[8:])^0xd1b54a32d192ed03)
	return high ^ low
}

// home is the first slot that a key of the hash may be in.
func (t *table[V]) home(hash uint64) int {
	return int((hash << tableBits >> 32) * uint64(len(t.slots)-beyond) >> 32)
}

// find returns where the key is, or is to be put: len(t.slots) if there is no room.
func (t *table[V]) find(key Key, hash uint64) (i int, ok bool) {
	if len(t.slots) == 0 {
		return 0, false
	}
	for i = t.home(hash); i < len(t.slots); i++ {
		switch other := t.slots[i].key; {
		case other == key:
			return i, true
		case other == Key{} || other.hash() > hash:
			return i, false
		}
	}
	return i, false
}

// at returns where the value of the key is, the zero value if it was not there.
func (t *table[V]) at(key Key, hash uint64) (value *V, added bool) {
	i, ok := t.find(key, hash)
	if ok {
		return &t.slots[i].value, false
	}
	for !t.insert(i, slot[V]{key: key}) {
		t.grow()
		i, _ = t.find(key, hash)
	}
	return &t.slots[i].value, true
}

// insert puts the slot at i and moves on those after it, unless there is no room.
func (t *table[V]) insert(i int, s slot[V]) bool {
	if (t.length+1)*5 > (len(t.slots)-beyond)*4 {
		return false
	}
	end := i
	for end < len(t.slots) && t.slots[end].key != (Key{}) {
		end++
	}
	if end == len(t.slots) {
		return false
	}
	copy(t.slots[i+1:end+1], t.slots[i:end])
	t.slots[i] = s
	t.length++
	return true
}

// Grow makes room for so many in all: a ByID of which is known how many come does not grow by and
// by, which leaves four times its memory behind. To ask for as many again costs nothing.
func (m *ByID[V]) Grow(n int) {
	each := n >> tableBits
	if n <= m.room || each == 0 {
		return
	}
	m.room = n
	if m.tables == nil {
		m.tables = make([]table[V], 1<<tableBits)
	}
	slots := (each+each/16)*5/4 + beyond // some have a few more
	for i := range m.tables {
		if len(m.tables[i].slots) < slots {
			m.tables[i].resize(slots)
		}
	}
}

// Warm looks at where the ids of keys are, or would be, many of them at once: one after the other is then found without
// waiting for memory, as long as a processor's own holds them. It is for some dozens of a ByID of many.
func (m *ByID[V]) Warm(keys []Key) {
	if m.length < warmFrom {
		return
	}
	var seen byte
	for i := range keys {
		hash := keys[i].hash()
		if t := &m.tables[hash>>(64-tableBits)]; len(t.slots) > 0 {
			seen |= t.slots[t.home(hash)].key[0]
		}
	}
	m.warmed = seen
}

// warmFrom is how many are in the processor's memory anyway.
const warmFrom = 20_000

// grow makes room.
func (t *table[V]) grow() { t.resize(max(len(t.slots)*5/4, 8+beyond)) }

// resize makes it one of more slots.
func (t *table[V]) resize(slots int) {
	old := t.slots
	t.slots = make([]slot[V], slots)
	next := 0
	for i := range old {
		if old[i].key == (Key{}) {
			continue
		}
		next = max(next, t.home(old[i].key.hash()))
		if next == len(t.slots) { // many have their home near the end
			t.slots = append(old, make([]slot[V], len(old))...)
			t.grow()
			return
		}
		t.slots[next] = old[i]
		next++
	}
}

func (t *table[V]) delete(key Key, hash uint64) bool {
	i, ok := t.find(key, hash)
	if !ok {
		return false
	}
	for ; i+1 < len(t.slots) && t.slots[i+1].key != (Key{}) && t.home(t.slots[i+1].key.hash()) <= i; i++ {
		t.slots[i] = t.slots[i+1]
	}
	t.slots[i] = slot[V]{}
	t.length--
	return true
}

// Get returns the value of an id, if it has one.
func (m *ByID[V]) Get(id ID) (value V, ok bool) {
	value, _, ok = m.Find(id, id.KeyOrNone())
	return value, ok
}

// Find is Get for an id whose key, or none, was looked for before. It says where it looked.
func (m *ByID[V]) Find(id ID, key Key) (value V, at Spot, ok bool) {
	if key == (Key{}) {
		if other, ok := m.others[id]; ok {
			return *other, 0, true
		}
		return value, 0, false
	}
	if m.tables == nil {
		return value, 0, false
	}
	hash := key.hash()
	t := &m.tables[hash>>(64-tableBits)]
	i, ok := t.find(key, hash)
	if ok {
		value = t.slots[i].value
	}
	return value, Spot(i), ok
}

// A Spot is where in a ByID an id was, or would have been.
type Spot int32

// Set gives an id its value.
func (m *ByID[V]) Set(id ID, value V) {
	at, _ := m.At(id)
	*at = value
}

// At returns where the value of an id is, which is the zero value if it had none, and says so. It
// is there until another is set or deleted.
func (m *ByID[V]) At(id ID) (value *V, added bool) { return m.Place(id, id.KeyOrNone(), 0) }

// Place is At for an id whose key, or none, was looked for before, and which may still be where it was then.
func (m *ByID[V]) Place(id ID, key Key, was Spot) (value *V, added bool) {
	if key != (Key{}) {
		if m.tables != nil { // one look is enough, mostly
			t := &m.tables[key.hash()>>(64-tableBits)]
			if int(was) < len(t.slots) && t.slots[was].key == key {
				return &t.slots[was].value, false
			}
		}
		return m.AtKey(key)
	}
	value, ok := m.others[id]
	if !ok {
		if m.others == nil {
			m.others = map[ID]*V{}
		}
		value = new(V)
		m.others[id] = value
	}
	return value, !ok
}

// AtKey is At for the id of a key, which is not the empty one.
func (m *ByID[V]) AtKey(key Key) (value *V, added bool) {
	if m.tables == nil {
		m.tables = make([]table[V], 1<<tableBits)
	}
	hash := key.hash()
	value, added = m.tables[hash>>(64-tableBits)].at(key, hash)
	if added {
		m.length++
	}
	return value, added
}

// Delete takes an id out.
func (m *ByID[V]) Delete(id ID) {
	key := id.KeyOrNone()
	if key == (Key{}) {
		delete(m.others, id)
		return
	}
	if m.tables == nil {
		return
	}
	hash := key.hash()
	if m.tables[hash>>(64-tableBits)].delete(key, hash) {
		m.length--
	}
}

// DeleteFunc takes out all whose values del says that of.
func (m *ByID[V]) DeleteFunc(del func(value V) bool) {
	for i := range m.tables {
		t := &m.tables[i]
		for k := 0; k < len(t.slots); {
			s := &t.slots[k]
			if s.key == (Key{}) || !del(s.value) {
				k++
				continue
			}
			t.delete(s.key, s.key.hash()) // another may be there now
			m.length--
		}
	}
	for id, value := range m.others {
		if del(*value) {
			delete(m.others, id)
		}
	}
}

// Len is how many there are.
func (m *ByID[V]) Len() int { return m.length + len(m.others) }

// All goes through all of them, in no order that says anything. Meanwhile none may be set or deleted.
func (m *ByID[V]) All() iter.Seq2[ID, V] { return m.Where(func(V) bool { return true }) }

// Where goes like All through those whose values are wanted: of others no id is made.
func (m *ByID[V]) Where(wanted func(value V) bool) iter.Seq2[ID, V] {
	return func(yield func(ID, V) bool) {
		for _, t := range m.tables {
			for i := range t.slots {
				if s := &t.slots[i]; s.key != (Key{}) && wanted(s.value) && !yield(s.key.ID(), s.value) {
					return
				}
			}
		}
		for id, value := range m.others {
			if wanted(*value) && !yield(id, *value) {
				return
			}
		}
	}
}

// Sums tell which parts of a ByID have other ids than a set of millions that is not held as a map: of each part, how
// many ids are in the set and what their hashes add up to. The zero Sums are of none.
type Sums [1 << tableBits]struct {
	count  int
	hashes uint64
}

// Add adds the id of a key, once, which is not the empty one.
func (s *Sums) Add(key Key) {
	hash := key.hash()
	part := &s[hash>>(64-tableBits)]
	part.count++
	part.hashes += hash
}

// Unlike are parts of a ByID.
type Unlike [1 << tableBits]bool

// Has says whether the id of a key, which is not the empty one, belongs to one of the parts.
func (u *Unlike) Has(key Key) bool { return u[key.hash()>>(64-tableBits)] }

// Unlike returns the parts whose ids are not those that were added to the sums. It takes some
// nanoseconds for each id.
func (m *ByID[V]) Unlike(sums *Sums) *Unlike {
	var own Sums
	for i := range m.tables {
		for k := range m.tables[i].slots {
			if s := &m.tables[i].slots[k]; s.key != (Key{}) {
				own.Add(s.key)
			}
		}
	}
	var unlike Unlike
	for i := range unlike {
		unlike[i] = own[i] != sums[i]
	}
	return &unlike
}

// Parts goes through those of these parts one at a time, each of a five hundredth of all, and then through ids without
// a key. Between parts any may be set or deleted.
func (m *ByID[V]) Parts(of *Unlike) iter.Seq[iter.Seq2[ID, V]] {
	return func(yield func(iter.Seq2[ID, V]) bool) {
		for i := range m.tables {
			if !of[i] {
				continue
			}
			part := ByID[V]{tables: m.tables[i : i+1]}
			if !yield(part.All()) {
				return
			}
		}
		yield((&ByID[V]{others: m.others}).All())
	}
}
