package amqp

import (
	"errors"
	"net"
	"strings"
	"testing"
	"time"
)

// A wire takes what is written, until it breaks.
type wire struct {
	net.Conn
	got    string
	writes int
	broken error
}

func (w *wire) Write(p []byte) (int, error) {
	if w.broken != nil {
		return 0, w.broken
	}
	w.got += string(p)
	w.writes++
	return len(p), nil
}

func (w *wire) SetWriteDeadline(time.Time) error { return nil }

// Messages go out many at a time, in their order, and none stays behind.
func TestWhatIsHeldBackGoesOutTogether(t *testing.T) {
	w := &wire{}
	s := &socket{Conn: w}
	write := func(text string) {
		t.Helper()
		if n, err := s.Write([]byte(text)); n != len(text) || err != nil {
			t.Fatalf("Write = %d, %v, want %d", n, err, len(text))
		}
	}
	write("at once ")
	if w.got != "at once " {
		t.Errorf("%q was sent, want all at once", w.got)
	}
	want, message := w.got, strings.Repeat("m", 800)
	for range 100 {
		s.hold()
		write(message)
		want += message
	}
	if held := len(want) - len(w.got); held == 0 || held >= heldMost || w.writes > 1+100*800/heldMost {
		t.Errorf("%d bytes are held back after %d writes, want less than %d after %d at most", held, w.writes, heldMost, 1+100*800/heldMost)
	}
	if err := s.flush(); err != nil || w.got != want {
		t.Errorf("flush = %v, %d bytes were sent, want %d", err, len(w.got), len(want))
	}
	write("at once again")
	if w.got != want+"at once again" {
		t.Error("what was written after flush was held back")
	}
}

// A connection that breaks under what is held back says so.
func TestFlushTellsOfABrokenConnection(t *testing.T) {
	w := &wire{broken: errors.New("broken")}
	s := &socket{Conn: w}
	s.hold()
	if _, err := s.Write([]byte("message")); err != nil {
		t.Errorf("Write = %v, want it held back", err)
	}
	if err := s.flush(); !errors.Is(err, w.broken) {
		t.Errorf("flush = %v, want %v", err, w.broken)
	}
}
