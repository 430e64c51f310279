package filesystem

import (
	"os"

	"golang.org/x/sys/unix"
)

// flushAll writes a folder's files to the disk, with all else that waits for that
// disk: one call for a thousand files.
func flushAll(folder string) error {
	f, err := os.Open(folder)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.Syncfs(int(f.Fd())); err != nil {
		return &os.PathError{Op: "syncfs", Path: folder, Err: err}
	}
	return nil
}
