package amqp

import (
	"net"
	"sync"
	"time"
)

// A socket is a connection whose writes fail when nothing is read at the other end, for which
// amqp091-go has no bound, and may be held back until they are many: it writes for each message,
// of which each costs the system's work at both ends.
type socket struct {
	net.Conn

	mu   sync.Mutex
	held bool
	text []byte // what is held back
}

// heldMost is about how much is held back at most: some twenty messages.
const heldMost = 16 << 10

// Write implements net.Conn. What was held back may turn out later not to have been sent, as what the
// system holds may: flush says so, or a later call.
func (s *socket) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.held {
		return s.send(p)
	}
	if s.text = append(s.text, p...); len(s.text) >= heldMost {
		if err := s.sendHeld(); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// hold holds back what is written from now on, by anybody, until flush.
func (s *socket) hold() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = true
}

// flush sends what was held back, and lets what is written later go out at once.
func (s *socket) flush() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = false
	return s.sendHeld()
}

func (s *socket) sendHeld() error {
	text := s.text
	s.text = s.text[:0]
	if len(text) == 0 {
		return nil
	}
	_, err := s.send(text)
	return err
}

func (s *socket) send(p []byte) (int, error) {
	if err := s.SetWriteDeadline(time.Now().Add(writeWait)); err != nil {
		return 0, err
	}
	return s.Conn.Write(p)
}
