package e2e

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/onebeat/onebeat/internal/broker/brokertest"
	"github.com/onebeat/onebeat/test/harness"
)

// kills is how often each way of losing a node is tried on each kind of database; the
// tests take a few.
func kills(t *testing.T) (times int, whole bool) {
	t.Helper()
	text := os.Getenv("ONEBEAT_KILLS")
	if text == "" {
		return 2, false
	}
	times, err := strconv.Atoi(text)
	if err != nil || times < 1 {
		t.Fatalf("ONEBEAT_KILLS is %q: want a number", text)
	}
	return times, true
}

// crowd is how many entries there are beside those that are due all the time.
const (
	crowd      = 100_000
	smallCrowd = 2_000
)

// The node that dispatches is lost, and the one that stood by goes on: each slot is
// sent once, and by how much later than usual is measured, at slots that come ten a
// second. `make failover KILLS=100` does this often.
func TestFailover(t *testing.T) {
	for _, on := range [][2]string{{postgres, redis}, {mariadb, redis}, {sqlite, redis}, {postgres, rabbitmq}} {
		t.Run(on[0]+", "+on[1], func(t *testing.T) {
			if _, whole := kills(t); !whole {
				t.Parallel() // else they would measure each other
			}
			newTwins(t, on[0], on[1]).fail(t)
		})
	}
}

// Twins are two nodes of which one leads.
type twins struct {
	*site
	grids  map[string]grid
	leader *member
	second *member
	chance *rand.Rand
}

// A member is a node behind proxies to its database, where that is a server, and to its
// broker.
type member struct {
	*node
	database *brokertest.Proxy
	broker   *brokertest.Proxy
}

func newTwins(t *testing.T, kind, queues string) *twins {
	s := newSite(t, kind, queues)
	seed := uint64(time.Now().UnixNano())
	t.Logf("the moments are chosen by the seed %d", seed)
	p := &twins{site: s, grids: map[string]grid{}, chance: rand.New(rand.NewPCG(seed, 0))}
	s.broker.declare(t, "default")
	size := smallCrowd
	if _, whole := kills(t); whole {
		size = crowd
	}
	s.database.crowd(t, size)
	var items []item
	for i := range 10 {
		phase := time.Duration(i) * 100 * time.Millisecond
		name := fmt.Sprintf("beat %d", i)
		p.grids[name] = grid{time.Second, phase}
		items = append(items, item{
			"name": name, "cron_expression": "@every 1s from " + epoch.Add(phase).Format(time.RFC3339Nano), "misfire_policy": "all",
		})
	}
	s.database.insert(t, items...)
	p.leader, p.second = &member{}, &member{}
	for _, m := range []*member{p.leader, p.second} {
		if kind != sqlite {
			m.database = brokertest.NewProxy(t, parsedURL(t, s.database.url).Host)
		}
		m.broker = brokertest.NewProxy(t, parsedURL(t, s.broker.url).Host)
		p.start(t, m)
		m.await(t, map[bool]string{true: "entries loaded", false: "standing by with the catalog loaded"}[m == p.leader])
	}
	return p
}

// start starts the member's node, on its own way to the database.
func (p *twins) start(t *testing.T, m *member) {
	t.Helper()
	through := func(setting, to string, proxy *brokertest.Proxy) string {
		at := parsedURL(t, to)
		at.Host = proxy.Address()
		return setting + "=" + at.String()
	}
	env := []string{through("ONEBEAT_BROKER", p.site.broker.url, m.broker)}
	if m.database != nil {
		env = append(env, through("ONEBEAT_DATABASE", p.site.database.url, m.database))
	}
	m.node = p.launch(t, env)
}

// wake lets the member go on, or starts it anew if it was ended while it was frozen: beside a SQLite file, in the middle of a
// write.
func (p *twins) wake(t *testing.T, m *member) {
	t.Helper()
	select {
	case <-m.process.Done():
		if p.database.kind != sqlite {
			t.Fatalf("%s ended while it was frozen: %v", m.name, m.process.State())
		}
		t.Logf("%s was frozen in the middle of a write, and was ended", m.name)
		p.start(t, m)
	default:
		m.process.Resume()
	}
}

func parsedURL(t *testing.T, text string) *url.URL {
	t.Helper()
	at, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// fail loses the leader in each way, again and again, and says how late slots were.
func (p *twins) fail(t *testing.T) {
	ways := []struct {
		name string
		lose func(t *testing.T)
		mend func()        // it stands by again
		late time.Duration // what is promised of the worst of 100
	}{
		{"kill -9", func(*testing.T) { p.leader.kill() }, func() { p.start(t, p.leader) }, time.Second},
		{"clean stop", func(t *testing.T) { p.leader.stop(t) }, func() { p.start(t, p.leader) }, time.Second},
		{"SIGSTOP", func(*testing.T) { p.leader.process.Pause() }, func() { p.wake(t, p.leader) }, 5 * time.Second},
		{"cut off from the database", func(*testing.T) { p.leader.database.Stall() }, func() { p.leader.database.Flow() }, 5 * time.Second},
		{"cut off from the broker", func(*testing.T) { p.leader.broker.Stall() }, func() { p.leader.broker.Flow() }, 5 * time.Second},
	}
	times, whole := kills(t)
	for _, way := range ways {
		if way.name == "cut off from the database" && p.leader.database == nil {
			continue // a file is not behind a network
		}
		t.Run(way.name, func(t *testing.T) {
			var late []time.Duration
			for range times {
				worst := p.lose(t, way.lose, way.mend)
				if worst > way.late {
					t.Logf("slots were late by %v:\n%s:\n%s\n%s:\n%s", worst, p.leader.name, p.leader.process.Tail(80), p.second.name, p.second.process.Tail(80))
				}
				late = append(late, worst)
			}
			slices.Sort(late)
			p99 := late[(len(late)*99-1)/100]
			t.Logf("%s, %s, %s, %d times: lateness at worst p50 %v, p99 %v, max %v", p.database.kind, p.broker.kind, way.name, times, late[(len(late)-1)/2], p99, late[len(late)-1])
			// A machine that runs other tests is slow to start and to schedule processes.
			bound := way.late + 5*time.Second
			if whole {
				bound = way.late
			}
			if p99 > bound {
				t.Errorf("p99 of the lateness at worst is %v, want at most %v", p99, bound)
			}
		})
	}
	p.second.stop(t) // first: one that is stopped while it takes over leaves what is not recorded to the next
	p.leader.stop(t)
	last := p.last(t)
	var of []arrival
	for _, a := range p.broker.arrivals(t) {
		if _, ok := p.grids[a.entry]; ok {
			of = append(of, a)
		}
	}
	wrong, doubled := faults(p.grids, window{p.database.firstStart(t), last}, of)
	for _, repeats := range doubled {
		if p.broker.kind == rabbitmq {
			continue // what was published and not confirmed comes again
		}
		wrong = append(wrong, fmt.Sprintf("%s: slot %v arrived %d times", repeats[0].entry, repeats[0].slot, len(repeats)))
	}
	report(t, append(wrong, p.unrecorded(t, p.broker.arrivals(t))...))
}

// lose loses the leader once and returns by how much slots were late at worst until
// the other node led as usual. The one that was lost stands by then.
func (p *twins) lose(t *testing.T, lose func(t *testing.T), mend func()) time.Duration {
	t.Helper()
	until(t, time.Now().Add(500*time.Millisecond+time.Duration(p.chance.Int64N(int64(time.Second)))))
	waiting := len(p.leader.find(t, "waiting for the lease"))
	lost := time.Now()
	lose(t)
	harness.Eventually(t, 30*time.Second, func() error {
		if last := p.last(t); last.Before(lost.Add(time.Second)) {
			return fmt.Errorf("the last slot that was sent is %v: the leader was lost at %v\n%s", last, lost, p.second.process.Tail(10))
		}
		return nil
	})
	worst := p.worst(t, lost.Add(-300*time.Millisecond)) // what was claimed and not sent counts too
	running := p.leader.process
	mend()
	again := p.leader.process == running
	harness.Eventually(t, startWait, func() error {
		switch {
		case again && len(p.leader.find(t, "waiting for the lease")) > waiting:
			return nil
		case !again && len(p.leader.find(t, "standing by with the catalog loaded")) > 0:
			return nil
		}
		return fmt.Errorf("%s does not stand by:\n%s", p.leader.name, p.leader.process.Tail(10))
	})
	p.leader, p.second = p.second, p.leader
	return worst
}

// last is the latest slot up to which each of the beats was recorded as sent.
func (p *twins) last(t *testing.T) (last time.Time) {
	t.Helper()
	p.database.each(t, "SELECT min(latest) FROM (SELECT max(slot) AS latest FROM onebeat_runs WHERE name LIKE 'beat %' AND state = 'sent' GROUP BY name) AS beats", func(scan func(...any)) {
		var at harness.Moment
		scan(&at)
		last = at.Time
	})
	return last
}

// worst is the greatest lateness of the beats' slots after an instant.
func (p *twins) worst(t *testing.T, after time.Time) (worst time.Duration) {
	t.Helper()
	p.database.each(t, "SELECT slot, sent_at FROM onebeat_runs WHERE name LIKE 'beat %' AND sent_at IS NOT NULL", func(scan func(...any)) {
		var slot, sentAt harness.Moment
		scan(&slot, &sentAt)
		if slot.After(after) {
			worst = max(worst, sentAt.Sub(slot.Time))
		}
	})
	return worst.Round(time.Millisecond)
}
