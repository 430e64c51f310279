package main

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The binary stays small. Templates of the standard library look methods up by the
// name that a text gives, so that the linker keeps every exported method of every
// type where one is executed: a third of the binary. cobra and goose import them and
// only come to execute one in features that are not used here.
func TestTheBinaryStaysSmall(t *testing.T) {
	const most = 40 << 20
	name := filepath.Join(t.TempDir(), "onebeat")
	build := exec.Command("go", "build", "-trimpath", "-o", name, ".")
	build.Env = append(os.Environ(), "GOOS=linux", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	binary, err := elf.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer binary.Close()
	size := uint64(0) // what is left when symbols and debug data are stripped, as they are in the image
	for _, part := range binary.Progs {
		if part.Type == elf.PT_LOAD {
			size += part.Filesz
		}
		if part.Type == elf.PT_INTERP {
			t.Error("the binary is not static")
		}
	}
	t.Logf("%d bytes without symbols", size)
	if size > most {
		t.Errorf("the binary has %d bytes without symbols, want %d at most", size, most)
	}
	symbols, err := binary.Symbols()
	if err != nil {
		t.Fatal(err)
	}
	for _, symbol := range symbols {
		if strings.HasPrefix(symbol.Name, "text/template.(*state).") || strings.HasPrefix(symbol.Name, "html/template.") {
			t.Fatalf("%s is in the binary: something executes templates; `go build -ldflags=-dumpdep` tells what", symbol.Name)
		}
	}
}
