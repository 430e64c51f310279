package simulate

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/onebeat/onebeat/internal/dispatch"
	"github.com/onebeat/onebeat/internal/lease"
	"github.com/onebeat/onebeat/internal/plan"
)

// A node is one process: it leads whenever the lease comes to it, as
// internal/app has it.
type node struct {
	world   *world
	name    string
	session *session
	roster  *roster
	wire    *wire
	metrics *dispatch.Metrics
	slow    time.Duration // by so much its clock is behind
	ahead   time.Duration // its lead; 0 is the product's own
	lean    bool          // it leaves definitions in the table until their slots are near

	stop    context.CancelFunc // a clean stop
	killed  context.Context
	kill    context.CancelFunc
	stopped chan struct{}
}

// leads are how long before their slots nodes claim, each its own, as while settings change or another version comes: the product's,
// the one that it had, and one within which nodes are lost and most people's edits come.
var leads = []time.Duration{0, 750 * time.Millisecond, 0, 15 * time.Second}

func (w *world) start(name string) *node {
	chance := rand.New(rand.NewPCG(w.seed, hash(name)))
	reach := func(to string) *link {
		return &link{world: w, who: name, to: to, rate: chance.Float64() * chance.Float64() * .5, rands: map[string]*rand.Rand{}}
	}
	n := &node{world: w, name: name, stopped: make(chan struct{}), metrics: dispatch.NewMetrics(), lean: (w.seed+hash(name))%2 == 0}
	n.session = &session{reach("database"), w.db, 1}
	n.roster = newRoster(n.session)
	if (w.seed+hash(name))/2%2 == 0 {
		n.roster.behind = seldom
	}
	n.roster.herds = (w.seed+hash(name))/4%2 == 0
	n.ahead = leads[(w.seed+hash(name))/8%uint64(len(leads))]
	n.wire = &wire{link: reach("broker"), broker: w.broker}
	n.wire.ordered = w.rule.steps > 0
	switch chance.IntN(4) {
	case 0:
		n.session.trusting = 1 + 2*chance.Float64()
	case 1:
		n.slow = time.Duration(chance.Int64N(int64(time.Second)))
	}
	w.note(name, "starts", nil)
	ctx, stop := context.WithCancel(context.Background())
	n.stop = stop
	n.killed, n.kill = context.WithCancel(context.Background())
	go func() {
		defer close(n.stopped)
		var beside sync.WaitGroup
		standing, leave := context.WithCancel(n.killed)
		beside.Go(func() { n.roster.stand(standing) })
		n.run(ctx)
		leave()
		beside.Wait()
	}()
	return n
}

func (n *node) run(ctx context.Context) {
	for ctx.Err() == nil && n.killed.Err() == nil {
		waiting, cancel := context.WithCancel(ctx)
		release := context.AfterFunc(n.killed, cancel)
		err := lease.Keep(waiting, n.session, n.name, lease.Options{}, func(hold context.Context, term int64) error { return n.lead(ctx, hold, term) })
		release()
		cancel()
		n.world.note(n.name, "leads no more", err)
		rest(n.killed, 200*time.Millisecond)
	}
}

// lead plans and dispatches for one term.
func (n *node) lead(ctx, held context.Context, term int64) error {
	hold, cancel := context.WithCancelCause(held)
	defer cancel(nil)
	defer context.AfterFunc(n.killed, func() { cancel(errDead) })()
	defer n.wire.broker.drop(n.wire)

	now := func() time.Time { return time.Now().Add(-n.slow) }
	options := plan.Options{Now: now, Lead: n.ahead}
	if n.lean {
		options.Keep, options.Far = 1, far+n.ahead
	}
	planner := plan.New(options)
	journal, seq, err := n.session.open(hold)
	if err != nil {
		return err
	}
	d := dispatch.New(planner, n.session, n.wire, dispatch.Options{
		Installation: installation, Node: n.name, Now: now, Batch: 4, Ahead: 2 + int(n.ahead/(500*time.Millisecond)), Joint: n.joint(), Metrics: n.metrics,
		SentSince: n.session.sentSince, Resend: n.world.seed/16%2 == 0,
	})
	f := newFollower(planner, journal)
	f.world, f.term, f.far = n.world, term, options.Far
	group, working := errgroup.WithContext(hold)
	working, done := context.WithCancel(working)
	group.Go(func() error { return planner.Run(working) })
	group.Go(func() error { return n.roster.lead(working, term, f) })
	group.Go(func() error { return n.fetch(working, planner) })
	group.Go(func() error {
		defer done()
		select {
		case <-f.ready:
		case <-ctx.Done():
			return nil
		case <-working.Done():
			return context.Cause(hold)
		}
		recovering, cease := context.WithCancel(working) // a stop does not wait for a broker that is away
		defer cease()
		defer context.AfterFunc(ctx, cease)()
		seq, err := d.Recover(recovering, term, seq, f.claims, f.present)
		if err != nil && ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		f.begin(working)
		return d.Run(ctx, working, term, seq)
	})
	return group.Wait()
}

// fetch brings the planner the definitions that it wants.
func (n *node) fetch(ctx context.Context, planner *plan.Planner) error {
	for {
		ids, err := planner.Wanted(ctx)
		if err != nil {
			return nil
		}
		entries, _ := n.session.definitions(ctx, ids) // what does not come is wanted again
		if err := planner.Supply(ctx, ids, entries); err != nil {
			return nil
		}
	}
}

// both changes the ways to the database and to the broker.
func (n *node) both(change func(l *link)) {
	n.session.set(change)
	n.wire.set(change)
}

// die ends the node as SIGKILL does: what it has sent may still arrive.
func (n *node) die() {
	n.world.note(n.name, "is killed", nil)
	n.both(func(l *link) { l.dead = true })
	n.kill()
	n.wire.broker.drop(n.wire)
}

// freeze stops the node for a while, as SIGSTOP does: what it was about to send
// it sends when it wakes up.
func (n *node) freeze(length time.Duration) {
	n.world.note(n.name, "freezes", nil)
	thaw := make(chan struct{})
	n.both(func(l *link) { l.thaw = thaw })
	taken := n.world.nextTake()
	n.world.late.Go(func() {
		if length%2 == 0 { // it wakes up at the worst moment, in the middle of a recovery
			select {
			case <-taken:
				length = length / 2 % (4 * time.Millisecond)
			case <-time.After(leaseFor + 2*time.Second):
			}
		}
		if length > 4*time.Second { // the broker hears no heartbeat
			time.Sleep(4 * time.Second)
			n.wire.broker.drop(n.wire)
			length -= 4 * time.Second
		}
		time.Sleep(length)
		n.both(func(l *link) { l.thaw = nil })
		close(thaw)
		n.world.note(n.name, "wakes up", nil)
	})
}

// part cuts the node off for a while.
func (n *node) part(length time.Duration, links ...*link) {
	for _, l := range links {
		n.world.note(n.name, "is cut off from the "+l.to, nil)
		l.set(func(l *link) { l.cut = true })
	}
	n.world.late.Go(func() {
		time.Sleep(min(length, 4*time.Second))
		if links[len(links)-1] == n.wire.link {
			n.wire.broker.drop(n.wire)
		}
		time.Sleep(length - min(length, 4*time.Second))
		for _, l := range links {
			l.set(func(l *link) { l.cut = false })
		}
		n.world.note(n.name, "is reached again", nil)
	})
}
