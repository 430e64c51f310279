package app

import (
	"io"
	"sync"
	"time"
)

const (
	// logPatience is how long who logs waits for a line to be taken.
	logPatience = time.Second

	// logKept is how many bytes of lines wait while none are taken.
	logKept = 1 << 20
)

// A logWriter hands lines on to a writer that may block, as a pipe does that nobody reads, and a
// terminal after Ctrl-S. A line is written when Write returns; but once one was waited for in vain, lines
// wait by themselves, and beyond logKept they are lost and counted, until all that waits was taken.
type logWriter struct {
	out  io.Writer
	lost func(lines int) // says to out how many were lost

	mu      sync.Mutex
	pending []byte
	missed  int
	taken   chan struct{} // closed when all is; nil if nothing waits
	late    bool          // one has waited in vain
}

// Write implements io.Writer. It never fails.
func (w *logWriter) Write(line []byte) (int, error) {
	w.mu.Lock()
	if len(w.pending)+len(line) > logKept {
		w.missed++
		w.mu.Unlock()
		return len(line), nil
	}
	w.pending = append(w.pending, line...)
	if w.taken == nil {
		w.taken = make(chan struct{})
		go w.hand(w.taken)
	}
	taken, late := w.taken, w.late
	w.mu.Unlock()
	if late {
		return len(line), nil
	}
	patience := time.NewTimer(logPatience)
	defer patience.Stop()
	select {
	case <-taken:
	case <-patience.C:
		w.mu.Lock()
		w.late = w.taken == taken
		w.mu.Unlock()
	}
	return len(line), nil
}

// hand writes what waits until nothing does. Whoever logs waits for it, as long as that has a point.
func (w *logWriter) hand(taken chan struct{}) {
	for {
		w.mu.Lock()
		lines, missed := w.pending, w.missed
		w.pending, w.missed = nil, 0
		if len(lines) == 0 && missed == 0 {
			w.taken, w.late = nil, false
			close(taken)
			w.mu.Unlock()
			return
		}
		w.mu.Unlock()
		_, _ = w.out.Write(lines)
		if missed > 0 {
			w.lost(missed)
		}
	}
}
