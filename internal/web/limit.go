package web

import (
	"net"
	"sync"
	"time"
)

// A limited listener has so many connections open at most as taken holds. Further ones wait, and
// meanwhile shed is called each second, to close those that are idle.
type limited struct {
	net.Listener
	taken chan struct{}
	shed  func()
}

// Accept implements net.Listener.
func (l *limited) Accept() (net.Conn, error) {
	for taken := false; !taken; {
		select {
		case l.taken <- struct{}{}:
			taken = true
		default:
			l.shed()
			select {
			case l.taken <- struct{}{}:
				taken = true
			case <-time.After(time.Second):
			}
		}
	}
	connection, err := l.Listener.Accept()
	if err != nil {
		<-l.taken
		return nil, err
	}
	return &counted{Conn: connection, free: sync.OnceFunc(func() { <-l.taken })}, nil
}

// A counted connection frees its place when it is closed.
type counted struct {
	net.Conn
	free func()
}

// Close implements net.Conn.
func (c *counted) Close() error {
	defer c.free()
	return c.Conn.Close()
}
