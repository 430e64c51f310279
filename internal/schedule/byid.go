package schedule

import (
	"encoding/hex"
	"iter"
)

// A Key is an ID in 16 bytes without a pointer: a catalog of millions holds theirs
// so. Most ids have one: UUIDs as they are mostly made and written, and texts of up to
// 15 bytes, such as numbers.
type Key [16]byte

// variant is the byte of a UUID whose two highest bits are 10 in all UUIDs of RFC
// 9562. Of a short text it is the length.
const variant = 8

// Key returns the id's key, or false if it has none.
func (id ID) Key() (key Key, ok bool) {
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
	for i, at := range [...]int{0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34} {
		high, low := nibbles[id[at]], nibbles[id[at+1]]
		if high > 15 || low > 15 {
			return key, false
		}
		key[i] = high<<4 | low
	}
	return key, key[variant]>>6 == 0b10
}

// nibbles are the values of digits as UUIDs are written, above 15 for any other byte.
var nibbles = func() (values [256]byte) {
	for c := range values {
		values[c] = 0xff
	}
	for value, digit := range []byte("0123456789abcdef") {
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
	var text [36]byte
	hex.Encode(text[0:8], k[0:4])
	hex.Encode(text[9:13], k[4:6])
	hex.Encode(text[14:18], k[6:8])
	hex.Encode(text[19:23], k[8:10])
	hex.Encode(text[24:36], k[10:16])
	text[8], text[13], text[18], text[23] = '-', '-', '-', '-'
	return ID(text[:])
}

// A ByID is a map by ID that holds keys instead of texts where it can. The zero
// ByID is empty; it is not safe for use from several goroutines.
type ByID[V any] struct {
	keyed  map[Key]V
	others map[ID]V
}

// Get returns the value of an id, if it has one.
func (m *ByID[V]) Get(id ID) (value V, ok bool) {
	if key, short := id.Key(); short {
		value, ok = m.keyed[key]
	} else {
		value, ok = m.others[id]
	}
	return value, ok
}

// Set gives an id its value.
func (m *ByID[V]) Set(id ID, value V) {
	if m.keyed == nil {
		m.keyed, m.others = map[Key]V{}, map[ID]V{}
	}
	if key, short := id.Key(); short {
		m.keyed[key] = value
	} else {
		m.others[id] = value
	}
}

// Delete takes an id out.
func (m *ByID[V]) Delete(id ID) {
	if key, short := id.Key(); short {
		delete(m.keyed, key)
	} else {
		delete(m.others, id)
	}
}

// Len is how many there are.
func (m *ByID[V]) Len() int { return len(m.keyed) + len(m.others) }

// All goes through all of them, in no order.
func (m *ByID[V]) All() iter.Seq2[ID, V] {
	return func(yield func(ID, V) bool) {
		for key, value := range m.keyed {
			if !yield(key.ID(), value) {
				return
			}
		}
		for id, value := range m.others {
			if !yield(id, value) {
				return
			}
		}
	}
}
