package app

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// residentBinary returns how many kB of memory hold parts of this program's file.
func residentBinary(t *testing.T) (kB int) {
	t.Helper()
	maps, err := os.Open("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	defer maps.Close()
	of := map[string]bool{}
	for _, m := range binaryMaps() {
		of[fmt.Sprintf("%08x-%08x", m.begin, m.end)] = true
	}
	counts := false
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		name, rest, _ := strings.Cut(lines.Text(), " ")
		switch {
		case strings.Contains(name, "-"):
			counts = of[name]
		case name == "Rss:" && counts:
			var resident int
			if _, err := fmt.Sscan(rest, &resident); err != nil {
				t.Fatal(err)
			}
			kB += resident
		}
	}
	return kB
}

// What nobody needs any more of the program's file is let go of, and what is needed is there.
func TestTheBinaryIsLetGoOf(t *testing.T) {
	if _, err := CelerySettings(mustLoad(t, nil, nil)); err != nil { // which is read of it
		t.Fatal(err)
	}
	before := residentBinary(t)
	letGoOfBinary()
	after := residentBinary(t)
	if before == 0 || after > before*3/4 {
		t.Errorf("%d kB of the program were resident before, %d kB after it was let go of", before, after)
	}
	if _, err := CelerySettings(mustLoad(t, nil, nil)); err != nil {
		t.Fatal(err)
	}
}

// What was written in a part of the program's file that is read only now stays: so are the constants of a program that
// is built to be loaded anywhere.
func TestWhatWasWrittenInTheBinaryStays(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(program)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	part, err := unix.Mmap(int(file.Fd()), 0, os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Munmap(part) }()
	part[0]++ // of what every such file begins with
	written := part[0]
	if err := unix.Mprotect(part, unix.PROT_READ); err != nil {
		t.Fatal(err)
	}
	letGoOfBinary()
	if part[0] != written {
		t.Errorf("what was written is %d, as it is on disk: want %d", part[0], written)
	}
}
