package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// openTerminal returns what stands behind a terminal, and the terminal.
func openTerminal(t *testing.T) (behind, terminal *os.File) {
	t.Helper()
	behind, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { behind.Close() })
	if err := unix.IoctlSetPointerInt(int(behind.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(behind.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return behind, terminal
}

// Who waits for a quarter of an hour sees that something goes on.
func TestShadowTellsATerminalHowFarItIs(t *testing.T) {
	bareEnvironment(t)
	t.Chdir(t.TempDir())
	t.Setenv("DATABASE_URL", "sqlite:///app.db")
	if code, _, stderr := onebeat(t, "migrate"); code != 0 {
		t.Fatal(stderr)
	}
	behind, terminal := openTerminal(t)
	shown := make(chan string)
	go func() {
		text, _ := io.ReadAll(behind) // it ends with an error once the terminal is closed
		shown <- string(text)
	}()
	var out strings.Builder
	run(t.Context(), []string{"shadow", "--for", "2s"}, strings.NewReader(""), &out, terminal)
	terminal.Close()
	if text := <-shown; !strings.Contains(text, "s of 2s, 0 messages and events heard; Ctrl-C ends it") || !strings.HasSuffix(text, "\r\x1b[K") {
		t.Errorf("the terminal was told %q, want how far it is, and then nothing of it left", text)
	}
}
