package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/onebeat/onebeat/internal/broker/brokertest"
	"github.com/onebeat/onebeat/test/harness/worker"
	"github.com/onebeat/onebeat/test/stack/server"
)

// A span is something that went wrong, from when until when.
type span struct {
	kind, text  string
	from, until time.Time // until is zero while it lasts
	connections int       // connections to the broker, or their ends, that it broke
}

// A trouble is a thing that can go wrong: what it needs for itself alone, and what it
// does. lasting is called to wait for its end.
type trouble struct {
	kind        string
	text        string
	needs       []string
	connections int
	do          func(lasting func()) error
}

// A pace is how fast things go wrong.
type pace struct {
	first       time.Duration // until the first: for everything to have begun
	least, most time.Duration // from one to the next
	short, long time.Duration // for how long one lasts
	kinds       []often
}

// steady is the pace of a long run.
var steady = pace{5 * time.Second, time.Second, 5 * time.Second, 500 * time.Millisecond, 9500 * time.Millisecond, kinds}

// A nemesis makes things go wrong.
type nemesis struct {
	t        testing.TB
	chance   *rand.Rand
	pace     pace
	nodes    []*node
	database *database // nil where there is none
	broker   *server.Server
	worker   *worker.Worker // nil where there is none

	busy    map[string]bool
	needs   map[int][]string // by the span's number
	healing chan struct{}    // closed when all is to be well again
	over    chan int         // the numbers of the spans that are over
	under   sync.WaitGroup

	mu    sync.Mutex
	spans []span
	wrong []string
}

// Often is how often a kind comes, of the sum of all.
type often struct {
	kind  string
	often int
}

var kinds = []often{
	{"kill", 5},
	{"freeze", 5},
	{"clean stop", 3},
	{"rolling upgrade", 1},
	{"database cut", 3},
	{"database stalled", 2},
	{"database slow", 2},
	{"broker cut", 3},
	{"broker stalled", 2},
	{"broker slow", 2},
	{"connections broken", 2},
	{"clock step", 4},
	{"database server killed", 1},
	{"database server stopped", 1},
	{"broker server killed", 1},
	{"broker server stopped", 1},
}

// A drawn trouble has its length.
type drawn struct {
	trouble
	length time.Duration
}

// run lets things go wrong until the time is over, and then makes all well again. It begins
// with some that were drawn before.
func (n *nemesis) run(length time.Duration, opening ...drawn) {
	n.busy, n.needs, n.healing, n.over = map[string]bool{}, map[int][]string{}, make(chan struct{}), make(chan int)
	for _, o := range opening {
		n.let(o)
	}
	end := time.After(length)
	next := time.NewTimer(n.pace.first)
	defer next.Stop()
	watch := time.NewTicker(100 * time.Millisecond)
	defer watch.Stop()
	for ended := false; !ended; {
		select {
		case <-end:
			ended = true
		case number := <-n.over:
			for _, need := range n.needs[number] {
				delete(n.busy, need)
			}
		case <-watch.C:
			n.watch()
		case <-next.C:
			next.Reset(n.between(n.pace.least, n.pace.most))
			n.let(n.draw())
		}
	}
	close(n.healing)
	go func() { n.under.Wait(); close(n.over) }()
	for range n.over { // until there is none any more
	}
	n.busy = map[string]bool{}
	n.watch()
}

// between draws a length of time.
func (n *nemesis) between(least, most time.Duration) time.Duration {
	return least + time.Duration(n.chance.Int64N(int64(most-least)))
}

// let begins a trouble, if nothing else goes on with what it needs.
func (n *nemesis) let(d drawn) {
	if slices.ContainsFunc(d.needs, func(need string) bool { return n.busy[need] }) {
		return
	}
	for _, need := range d.needs {
		n.busy[need] = true
	}
	n.needs[n.begin(d.trouble, d.length)] = d.needs
}

// begin starts a trouble and returns its number.
func (n *nemesis) begin(what trouble, length time.Duration) (number int) {
	n.mu.Lock()
	number = len(n.spans)
	n.spans = append(n.spans, span{kind: what.kind, text: what.text, from: time.Now(), connections: what.connections})
	n.mu.Unlock()
	lasting := func() {
		select {
		case <-time.After(length):
		case <-n.healing:
		}
	}
	n.under.Go(func() {
		defer func() { // also when a failed test ends this goroutine
			n.mu.Lock()
			n.spans[number].until = time.Now()
			n.mu.Unlock()
			n.over <- number
		}()
		if err := what.do(lasting); err != nil {
			n.complain("%s: %v", what.text, err)
		}
	})
	return number
}

func (n *nemesis) complain(format string, args ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.wrong = append(n.wrong, fmt.Sprintf(format, args...))
}

// watch sees to nodes that nobody ended and that run no more.
func (n *nemesis) watch() {
	for _, node := range n.nodes {
		if !n.busy[node.name] && node.ended() {
			if !node.mayHaveDied() {
				n.complain("%s ended by itself with %v:\n%s", node.name, node.process.State(), node.process.Tail(10))
			}
			if err := node.start(); err != nil {
				n.complain("%v", err)
			}
		}
	}
}

// leader is the node that holds the lease, or nil if that can't be told now.
func (n *nemesis) leader() *node {
	if n.database == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	var owner string
	if err := n.database.db.QueryRowContext(ctx, "SELECT owner FROM onebeat_leases").Scan(&owner); err != nil {
		return nil
	}
	for _, node := range n.nodes {
		if strings.HasPrefix(owner, node.name+"-") {
			return node
		}
	}
	return nil
}

// draw chooses what goes wrong next, and for how long. Most of it hits the node that leads.
func (n *nemesis) draw() drawn {
	sum := 0
	for _, k := range n.pace.kinds {
		sum += k.often
	}
	left := n.chance.IntN(sum)
	at := n.nodes[n.chance.IntN(len(n.nodes))]
	leading := n.chance.IntN(100) < 60
	length := n.between(n.pace.short, n.pace.long)
	delay := n.between(20*time.Millisecond, 250*time.Millisecond)
	step := []time.Duration{-time.Hour, -90 * time.Second, -2 * time.Second, 2 * time.Second, 90 * time.Second, time.Hour}[n.chance.IntN(6)]
	if leader := n.leader(); leading && leader != nil {
		at = leader
	}
	for _, k := range n.pace.kinds {
		if left -= k.often; left < 0 {
			return drawn{n.trouble(k.kind, at, length, delay, step), length}
		}
	}
	panic("the numbers do not add up")
}

// trouble is what a kind does.
func (n *nemesis) trouble(kind string, at *node, length, delay, step time.Duration) trouble {
	about := fmt.Sprintf("%s of %s for %v", kind, at.name, length.Round(100*time.Millisecond))
	of := func(need string) []string { return []string{at.name + need} }
	switch kind {
	case "kill":
		return trouble{kind, about, of(""), 1, func(lasting func()) error {
			at.process.Kill()
			lasting()
			return at.start()
		}}
	case "freeze":
		return trouble{kind, about, of(""), 1, func(lasting func()) error {
			at.frozen = n.database != nil && n.database.server == nil
			at.process.Pause()
			lasting()
			at.process.Resume()
			return nil
		}}
	case "clean stop":
		return trouble{kind, about, of(""), 0, func(lasting func()) error {
			if err := at.stop(); err != nil {
				return err
			}
			lasting()
			return at.start()
		}}
	case "rolling upgrade":
		return n.upgrade(kind)
	case "database cut", "database stalled", "database slow":
		if n.database == nil || n.database.server == nil {
			return trouble{kind: kind, needs: []string{"nothing"}, do: func(func()) error { return nil }}
		}
		return trouble{kind, about, of(" database"), 0, harm(kind, at.database, delay)}
	case "broker cut", "broker stalled", "broker slow":
		return trouble{kind, about, of(" broker"), 2, harm(kind, at.broker, delay)}
	case "connections broken":
		return trouble{kind, kind + " of " + at.name, of(" broker"), 1, func(func()) error {
			at.broker.Cut()
			if at.database != nil {
				at.database.Cut()
			}
			return nil
		}}
	case "clock step":
		return trouble{kind, fmt.Sprintf("%s of %s by %v for %v", kind, at.name, step, length.Round(100*time.Millisecond)), of(" clock"), 0, func(lasting func()) error {
			if err := at.stepClock(step); err != nil {
				return err
			}
			lasting()
			return at.stepClock(0)
		}}
	case "database server killed", "database server stopped":
		if n.database == nil || n.database.server == nil {
			return trouble{kind: kind, needs: []string{"nothing"}, do: func(func()) error { return nil }}
		}
		return trouble{kind, fmt.Sprintf("%s for %v", kind, length.Round(100*time.Millisecond)), []string{"database"}, 0, func(lasting func()) error {
			return away(n.database.server, kind == "database server killed", lasting)
		}}
	}
	return trouble{kind, fmt.Sprintf("%s for %v", kind, length.Round(100*time.Millisecond)), []string{"broker"}, 1, func(lasting func()) error {
		if n.worker != nil {
			n.worker.Stop(n.t)
			defer n.worker.Start(n.t)
		}
		return away(n.broker, kind == "broker server killed", lasting)
	}}
}

// upgrade replaces the nodes one after another by another build, as a deployment does.
func (n *nemesis) upgrade(kind string) trouble {
	var needs []string
	for _, node := range n.nodes {
		needs = append(needs, node.name)
	}
	return trouble{kind, kind, needs, 0, func(func()) error {
		to := present
		if n.nodes[0].build == present {
			to = old
		}
		for i, node := range n.nodes {
			if i == 1 && to == present {
				node.build = racing
			} else {
				node.build = to
			}
			if err := node.stop(); err != nil {
				return err
			}
			if err := node.start(); err != nil {
				return err
			}
		}
		return nil
	}}
}

// harm is what is done to a link.
func harm(kind string, link *brokertest.Proxy, delay time.Duration) func(func()) error {
	return func(lasting func()) error {
		switch {
		case strings.HasSuffix(kind, "cut"):
			link.Down()
			lasting()
			link.Up()
		case strings.HasSuffix(kind, "stalled"):
			link.Stall()
			lasting()
			link.Flow()
		default:
			link.Slow(delay)
			lasting()
			link.Slow(0)
		}
		return nil
	}
}

// away takes a server away and brings it back.
func away(s *server.Server, kill bool, lasting func()) error {
	if kill {
		s.Kill()
	} else if err := s.Stop(); err != nil {
		return err
	}
	lasting()
	return s.Start(context.Background())
}

// past returns what went wrong, and what should not have.
func (n *nemesis) past() (spans []span, wrong []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.spans), slices.Clone(n.wrong)
}
