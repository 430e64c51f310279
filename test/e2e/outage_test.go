package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/onebeat/onebeat/test/stack/server"
)

// awayFor is how long a server is away for: half of the period that the 50 entries
// are due at.
const awayFor = 30 * time.Second

// The broker is away while entries are due: nothing is lost or doubled, and all
// of it is with the broker within two seconds of its return.
func TestTheBrokerGoesAway(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ kind, queues string }{{postgres, redis}, {sqlite, rabbitmq}} {
		t.Run(tt.queues, func(t *testing.T) {
			t.Parallel()
			var private *server.Server
			var err error
			var b *broker
			if tt.queues == redis {
				private, err = server.Redis(t.Context(), server.RedisOptions{AppendOnly: true})
			} else {
				private, err = server.RabbitMQ(t.Context())
			}
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = private.Close() })
			if tt.queues == redis {
				b = openRedis(t, private.URL())
			} else {
				b = openRabbitMQ(private.URL())
			}
			s := newBareSite(t, newDatabase(t, tt.kind), b)
			s.command(t, "migrate")
			s.outage(t, private.Stop, private, 2*time.Second)
		})
	}
}

// The database is away while entries are due, killed as by a power cut: nothing
// is lost or doubled, and what is due is sent on its return.
func TestTheDatabaseGoesAway(t *testing.T) {
	t.Parallel()
	private, err := server.Postgres(t.Context(), server.PostgresOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = private.Close() })
	s := newBareSite(t, onServer(t, private.URL(), "postgres"), newBroker(t, redis))
	s.command(t, "migrate")
	kill := func() error { private.Kill(); return nil }
	s.outage(t, kill, private, 5*time.Second)
}

// outage runs two nodes, takes a server away across a moment when 50 entries are
// due, brings it back, and checks what came of every slot. The 50 must have gone
// out within a bound from the server's return.
func (s *site) outage(t *testing.T, stop func() error, away *server.Server, bound time.Duration) {
	t.Helper()
	// Beside the 50, some entries are due each second: what of theirs was claimed
	// is sent, the rest settled by their policy.
	grids := s.herd(t, 5)
	const period = 2 * awayFor
	var items []item
	for i := range 50 {
		name := fmt.Sprintf("due %d", i)
		grids[name] = every(period)
		items = append(items, item{"name": name, "cron_expression": fmt.Sprintf("@every %v", period)})
	}
	s.database.insert(t, items...)
	nodes := []*node{s.serve(t), s.launch(t, nil)}
	nodes[1].await(t, "standing by with the catalog loaded")
	due := every(period).next(time.Now().Add(5 * time.Second))
	// Between two seconds, when nothing is on its way: what a broker repeats that dies
	// before it has confirmed is for the crash tests.
	gone := due.Add(-awayFor/3 - 500*time.Millisecond)
	until(t, gone)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	until(t, gone.Add(awayFor))
	if err := away.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	back := time.Now()
	s.awaitSent(t, "due 0", due, 15*time.Second)
	last := time.Now().Truncate(time.Second).Add(2 * time.Second)
	s.awaitSent(t, "herd 0", last, 15*time.Second)
	terms, leads := 0, 0
	var since time.Time
	for i, n := range nodes {
		for _, taken := range n.find(t, "lease taken") {
			if terms++; timeOf(t, taken).After(since) {
				leads, since = i, timeOf(t, taken)
			}
		}
	}
	nodes[1-leads].stop(t) // first, or it would take over
	nodes[leads].stop(t)
	// Who leads keeps the lease while no node reaches the broker. It may see that first, and hand over once.
	if most := 3; terms > most {
		t.Errorf("the lease was taken %d times, want %d at most", terms, most)
	}

	w := window{s.database.firstStart(t), last}
	arrivals := s.broker.arrivals(t)
	wrong := append(once(arrivals), s.unrecorded(t, arrivals)...)
	report(t, append(wrong, s.accounted(t, grids, w)...))
	sent, worst := 0, time.Duration(0)
	for _, r := range s.database.ledger(t) {
		if r.state == "sent" && r.slot.Equal(due) && grids[r.entry].period == period {
			sent++
			worst = max(worst, r.sentAt.Sub(back))
		}
	}
	t.Logf("away for %v; the last of %d due went out %v after its return; %d slots of the herd ended unsent",
		back.Sub(gone).Round(time.Millisecond), sent, worst.Round(time.Millisecond), unsent(s.database.ledger(t)))
	// What is named of all that is old enough to be judged would fail the command. A server may take
	// long to stop and to start on a busy machine.
	late := max(time.Minute, back.Sub(gone)+15*time.Second)
	t.Log(s.command(t, "audit", "--since", "10m", "--late", late.Round(time.Second).String()))
	if sent != 50 || worst > bound {
		t.Errorf("%d of the 50 that were due were sent, the last %v after the return; want all within %v", sent, worst, bound)
	}
}
