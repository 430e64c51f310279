package app

import (
	"bufio"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// letGoOfBinary gives back the memory that holds what a start has read of this program's
// file and nobody may need again: migrations, flags, the archive of zones. What is needed is
// mapped again, from the system's cache of files.
func letGoOfBinary() {
	for _, m := range binaryMaps() {
		// Nothing is lost if it is refused.
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, m.begin, m.end-m.begin, unix.MADV_DONTNEED)
	}
}

// A binaryMap is a part of memory that this program's file is in as it is on disk.
type binaryMap struct{ begin, end uintptr }

// binaryMaps finds those that nothing was written in, also before they came to be read only: a program that is built to be
// loaded anywhere has most of its constants in a part that the loader wrote addresses in, which would be lost.
func binaryMaps() (found []binaryMap) {
	program, err := os.Executable()
	if err != nil {
		return nil
	}
	maps, err := os.Open("/proc/self/smaps")
	if err != nil {
		return nil
	}
	defer func() { _ = maps.Close() }()
	var m binaryMap // of the program's file; zero for one that is not
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		switch {
		case len(fields) == 0:
		case !strings.HasSuffix(fields[0], ":"): // where a part begins and ends
			m = binaryMap{}
			if len(fields) < 6 || fields[5] != program || strings.Contains(fields[1], "w") {
				continue
			}
			from, to, _ := strings.Cut(fields[0], "-")
			begin, wrong := strconv.ParseUint(from, 16, 64)
			end, wrongToo := strconv.ParseUint(to, 16, 64)
			if wrong == nil && wrongToo == nil && begin < end {
				m = binaryMap{uintptr(begin), uintptr(end)}
			}
		case fields[0] == "Anonymous:" && len(fields) > 1 && fields[1] == "0" && m != (binaryMap{}):
			found = append(found, m)
		}
	}
	return found
}
