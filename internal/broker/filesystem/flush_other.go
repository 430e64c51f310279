//go:build !linux

package filesystem

import (
	"os"
	"path/filepath"
)

// flushAll writes a folder's files to the disk.
func flushAll(folder string) error {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if err := flush(filepath.Join(folder, entry.Name())); err != nil {
			return err
		}
	}
	return flush(folder)
}
