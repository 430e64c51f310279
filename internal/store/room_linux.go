package store

import (
	"path/filepath"
	"syscall"
)

// Room is how many bytes the disk of a SQLite file has left for this user. ok is false where nobody can tell.
func (s *Store) Room() (left uint64, ok bool) {
	lite, ok := s.db.(*sqlite)
	if !ok || lite.file == "" {
		return 0, false
	}
	var disk syscall.Statfs_t
	if syscall.Statfs(filepath.Dir(lite.file), &disk) != nil || disk.Bsize <= 0 {
		return 0, false
	}
	return disk.Bavail * uint64(disk.Bsize), true
}
