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

func binaryMaps() (found []binaryMap) {
	program, err := os.Executable()
	if err != nil {
		return nil
	}
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return nil
	}
	defer func() { _ = maps.Close() }()
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 6 || fields[5] != program || strings.Contains(fields[1], "w") {
			continue // what was written there would be lost
		}
		from, to, _ := strings.Cut(fields[0], "-")
		begin, wrong := strconv.ParseUint(from, 16, 64)
		end, wrongToo := strconv.ParseUint(to, 16, 64)
		if wrong == nil && wrongToo == nil && begin < end {
			found = append(found, binaryMap{uintptr(begin), uintptr(end)})
		}
	}
	return found
}
