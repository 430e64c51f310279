package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
)

// A progress is a line on a terminal that tells how far a verb has come, once it
// has taken more than a second. Where standard error is no terminal it tells nothing.
type progress struct {
	out  io.Writer // nil for none
	next time.Time
	told bool
}

func newProgress(cmd *cobra.Command) *progress {
	p := &progress{next: time.Now().Add(time.Second)}
	if file, ok := cmd.ErrOrStderr().(*os.File); ok && isTerminal(file) {
		p.out = file
	}
	return p
}

func isTerminal(file *os.File) bool {
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb"
}

// say writes the line anew, at most a few times a second.
func (p *progress) say(format string, args ...any) {
	if p.out == nil || time.Now().Before(p.next) {
		return
	}
	p.next, p.told = time.Now().Add(200*time.Millisecond), true
	fmt.Fprintf(p.out, "\r\x1b[K"+format, args...)
}

// done takes the line away.
func (p *progress) done() {
	if p.told {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
}
