package brokertest

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// A Proxy stands between a broker and its server, on loopback, and breaks what goes
// through it in chosen ways.
type Proxy struct {
	listener net.Listener

	mu     sync.Mutex
	server string
	links  map[net.Conn]net.Conn // of the client, to the server
	refuse bool
	mute   bool
	pass   int           // replies that a mute lets through first
	heard  chan struct{} // closed when a reply was swallowed
	gate   chan struct{} // closed when data may pass
	left   int           // bytes until a cut; 0 for none
	slow   time.Duration // what each direction takes

	done sync.WaitGroup
}

// NewProxy listens for connections and takes each to the server's address. It ends
// with the test.
func NewProxy(t testing.TB, server string) *Proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{listener: listener, server: server, links: map[net.Conn]net.Conn{}, gate: make(chan struct{})}
	close(p.gate)
	p.done.Go(p.accept)
	t.Cleanup(func() {
		listener.Close()
		p.Flow()
		p.Cut()
		p.done.Wait()
	})
	return p
}

// Address is where clients connect to.
func (p *Proxy) Address() string { return p.listener.Addr().String() }

// Cut breaks all connections. New ones work.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for client, server := range p.links {
		client.Close()
		server.Close()
	}
}

// Down breaks all connections and refuses new ones, until Up.
func (p *Proxy) Down() {
	p.mu.Lock()
	p.refuse = true
	p.mu.Unlock()
	p.Cut()
}

// Up takes connections again, and lets replies through.
func (p *Proxy) Up() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse, p.mute = false, false
}

// Lead takes new connections to another server.
func (p *Proxy) Lead(server string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.server = server
}

// Mute goes on forwarding what clients send and swallows what the server says. The
// channel is closed once it has swallowed something.
func (p *Proxy) Mute() <-chan struct{} { return p.MuteAfter(0) }

// MuteAfter is Mute once so many replies have gone through: of who asks for one thing after
// the other, and gets short ones.
func (p *Proxy) MuteAfter(replies int) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mute, p.pass, p.heard = true, replies, make(chan struct{})
	return p.heard
}

// Stall holds everything back, in both directions, until Flow.
func (p *Proxy) Stall() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gate = make(chan struct{})
}

// Flow lets go of what Stall held back.
func (p *Proxy) Flow() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.gate:
	default:
		close(p.gate)
	}
}

// Slow makes everything take longer by delay in each direction; 0 ends it.
func (p *Proxy) Slow(delay time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.slow = delay
}

// CutAfter breaks the connection that has carried so many more bytes from clients.
func (p *Proxy) CutAfter(bytes int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left = bytes
}

// spent counts bytes from clients and reports whether they reached what CutAfter
// allowed.
func (p *Proxy) spent(n int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.left == 0 {
		return false
	}
	p.left = max(p.left-n, 0)
	return p.left == 0
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		refuse, address := p.refuse, p.server
		p.mu.Unlock()
		if refuse {
			client.Close()
			continue
		}
		server, err := net.Dial("tcp", address)
		if err != nil {
			client.Close()
			continue
		}
		p.mu.Lock()
		p.links[client] = server
		p.mu.Unlock()
		p.done.Go(func() { p.copy(server, client, false) })
		p.done.Go(func() {
			p.copy(client, server, true)
			p.mu.Lock()
			delete(p.links, client)
			p.mu.Unlock()
		})
	}
}

// copy takes data from one end to the other until one of them closes.
func (p *Proxy) copy(to io.WriteCloser, from io.ReadCloser, reply bool) {
	defer to.Close()
	defer from.Close()
	buffer := make([]byte, 256<<10)
	most := 4 << 10
	for {
		n, err := from.Read(buffer[:most])
		p.mu.Lock()
		gate, swallow, slow := p.gate, reply && p.mute, p.slow
		if swallow && n > 0 && p.pass > 0 {
			p.pass--
			swallow = false
		}
		if swallow && n > 0 && p.heard != nil {
			close(p.heard)
			p.heard = nil
		}
		p.mu.Unlock()
		<-gate
		most = 4 << 10
		if slow > 0 {
			time.Sleep(slow)
			most = len(buffer) // what came meanwhile goes on together
		}
		if n > 0 && !swallow {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil || !reply && p.spent(n) {
			return
		}
	}
}
