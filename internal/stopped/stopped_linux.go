package stopped

import (
	"bytes"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// able says that this system tells of all that a Watch asks for.
const able = true

// lock locks bytes of a file for this process.
func lock(file *os.File, s span) error {
	return unix.FcntlFlock(file.Fd(), unix.F_SETLK, &unix.Flock_t{Type: unix.F_WRLCK, Start: s.start, Len: s.length})
}

// ask returns the lock of another process, wherever it is, that is in the way of one on the bytes; of the type F_UNLCK if there is none.
func ask(fd int, s span) (unix.Flock_t, error) {
	lock := unix.Flock_t{Type: unix.F_WRLCK, Start: s.start, Len: s.length}
	err := unix.FcntlFlock(uintptr(fd), unix.F_GETLK, &lock)
	return lock, err
}

// holderOf is the id of another process that has a lock on some of the bytes; 0 if there is none, or one that is
// in no namespace of this process, and less if it is on another machine.
func holderOf(fd int, s span) int {
	lock, err := ask(fd, s)
	if err != nil || lock.Type == unix.F_UNLCK {
		return 0
	}
	return int(lock.Pid)
}

// isFree says that no other process has a lock on any of the bytes.
func isFree(fd int, s span) bool {
	lock, err := ask(fd, s)
	return err == nil && lock.Type == unix.F_UNLCK
}

const descriptors = "/proc/self/fd"

// descriptor is one that this process has of the file. It stays SQLite's: it may be closed at any time, and then be
// another file's, on which a question does no harm.
func descriptor(path string) (fd int, ok bool) {
	file, err := os.Stat(path)
	if err != nil {
		return 0, false
	}
	all, err := os.ReadDir(descriptors)
	if err != nil {
		return 0, false
	}
	for _, entry := range all {
		is, err := os.Stat(descriptors + "/" + entry.Name()) // which opens nothing
		if err != nil || !os.SameFile(is, file) {
			continue
		}
		fd, err := strconv.Atoi(entry.Name())
		return fd, err == nil
	}
	return 0, false
}

// processOf looks at a process; not ok if there is none.
func processOf(id int) (process, bool) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", id))
	if err != nil {
		return process{}, false
	}
	return parseProcess(id, text)
}

// parseProcess reads what proc(5) says of a process. The name in it stands in parentheses, and
// may hold some itself.
func parseProcess(id int, text []byte) (process, bool) {
	from, to := bytes.IndexByte(text, '('), bytes.LastIndexByte(text, ')')
	if from < 0 || to < from {
		return process{}, false
	}
	const user, system, started = 14 - 3, 15 - 3, 22 - 3 // of the fields from the third on
	fields := bytes.Fields(text[to+1:])
	if len(fields) <= started || len(fields[0]) != 1 {
		return process{}, false
	}
	var ticks [started + 1]uint64
	for _, i := range []int{user, system, started} {
		var err error
		if ticks[i], err = strconv.ParseUint(string(fields[i]), 10, 64); err != nil {
			return process{}, false
		}
	}
	return process{id, ticks[started], ticks[user] + ticks[system], string(text[from+1 : to]), fields[0][0]}, true
}

// kill ends the process of the id that still holds of, or is errMoved. What is ended is the process that had the id
// before still was asked, whoever has it after.
func kill(id int, still func() bool) error {
	process, err := unix.PidfdOpen(id, 0)
	if err != nil {
		return fmt.Errorf("open process: %w", err)
	}
	defer func() { _ = unix.Close(process) }()
	if !still() {
		return errMoved
	}
	if err := unix.PidfdSendSignal(process, unix.SIGKILL, nil, 0); err != nil {
		return fmt.Errorf("end process: %w", err)
	}
	return nil
}
