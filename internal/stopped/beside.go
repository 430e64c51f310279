package stopped

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// Beside opens a file of locks beside the database, made if it is not there. As SQLite's own files it belongs to
// whom the database belongs to, so that what one made as root the other may open, and is for all who may write to that.
func Beside(database, path string) (*os.File, error) {
	for {
		// A link that somebody put there is not followed: root would give its target away.
		file, err := os.OpenFile(path, os.O_RDWR|unix.O_NOFOLLOW, 0)
		if errors.Is(err, fs.ErrPermission) {
			return nil, fmt.Errorf("%w: it is another user's: give it the owner and the rights of the database, "+
				"or remove it while no node runs and nobody migrates", err)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return file, err
		}
		file, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if errors.Is(err, fs.ErrExist) {
			continue // another made it
		}
		if err == nil {
			err = share(file, database)
		}
		return file, err
	}
}

// share gives the file the database's owner, as far as this process may, and its rights: who may not write to
// the database may not lock it either.
func share(file *os.File, database string) error {
	info, err := os.Stat(database)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var of unix.Stat_t
	if err == nil {
		err = unix.Stat(database, &of)
	}
	if err != nil {
		return err
	}
	if file.Chown(int(of.Uid), int(of.Gid)) != nil {
		_ = file.Chown(-1, int(of.Gid)) // as one of the group may
	}
	writers := info.Mode().Perm() & 0o222
	return file.Chmod(0o600 | writers | writers<<1)
}
