//go:build !linux

package store

// Room is not known here.
func (s *Store) Room() (left uint64, ok bool) { return 0, false }
