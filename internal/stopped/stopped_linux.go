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

// lockByte locks the byte at a place of the file for this process.
func lockByte(file *os.File, at int64) error {
	return unix.FcntlFlock(file.Fd(), unix.F_SETLK, &unix.Flock_t{Type: unix.F_WRLCK, Start: at, Len: 1})
}

// holderOfByte is the id of another process that has locked the byte, or 0.
func holderOfByte(file *os.File, at int64) int {
	return ask(int(file.Fd()), unix.F_WRLCK, at, 1)
}

// ask is the id of a process whose lock is in the way of one of the kind, or 0.
func ask(fd int, kind int16, start, length int64) int {
	lock := unix.Flock_t{Type: kind, Start: start, Len: length}
	if err := unix.FcntlFlock(uintptr(fd), unix.F_GETLK, &lock); err != nil || lock.Type == unix.F_UNLCK {
		return 0
	}
	return int(lock.Pid)
}

// holderOf is the id of a process that keeps this one from the lock, or 0 if there is none, or one that is in no
// namespace of this process, or this process has not opened the file.
func holderOf(path string, lock Lock) int {
	fd, ok := descriptor(path)
	if !ok {
		return 0
	}
	kind := int16(unix.F_RDLCK) // in its way are those who write
	if lock.readers {
		kind = unix.F_WRLCK
	}
	return ask(fd, kind, lock.start, lock.length)
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
	const started = 22 - 3 // of the fields from the third on
	fields := bytes.Fields(text[to+1:])
	if len(fields) <= started || len(fields[0]) != 1 {
		return process{}, false
	}
	ticks, err := strconv.ParseUint(string(fields[started]), 10, 64)
	return process{id: id, started: ticks, name: string(text[from+1 : to]), state: fields[0][0]}, err == nil
}

// kill ends the process of the id that still holds of, or is errAnother. What is ended is the process that had the id
// before still was asked, whoever has it after.
func kill(id int, still func() bool) error {
	process, err := unix.PidfdOpen(id, 0)
	if err != nil {
		return fmt.Errorf("open process: %w", err)
	}
	defer func() { _ = unix.Close(process) }()
	if !still() {
		return errAnother
	}
	if err := unix.PidfdSendSignal(process, unix.SIGKILL, nil, 0); err != nil {
		return fmt.Errorf("end process: %w", err)
	}
	return nil
}
