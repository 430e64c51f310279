package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/onebeat/onebeat/internal/broker"
	"github.com/onebeat/onebeat/internal/celery"
	"github.com/onebeat/onebeat/internal/dispatch"
	"github.com/onebeat/onebeat/internal/lease"
	"github.com/onebeat/onebeat/internal/plan"
	"github.com/onebeat/onebeat/internal/schedule"
	"github.com/onebeat/onebeat/internal/store"
)

// A shard is a part of the entries, which this node plans and dispatches whenever it has
// the shard's lease.
type shard struct {
	node   *node
	number int
	log    *slog.Logger
	store  *store.Shard
	broker broker.Broker

	keeper    keeper             // the store, but for a trace
	publisher dispatch.Publisher // the broker, but for a trace
	trace     *tracer            // nil for none

	dispatching *dispatch.Metrics
	asked       atomic.Int64 // how often the lease was asked for or renewed
	left        atomic.Bool  // the lease is not asked for any more: this node stops

	mu  sync.Mutex
	end context.CancelCauseFunc // ends the term in good order; nil when it was called
	reign
}

// A reign is a shard's state at one moment.
type reign struct {
	term    int64         // of the lease that is held; 0 while waiting
	since   time.Time     // when that term began, or got its planner
	planner *plan.Planner // of that term; nil while another scheduler holds the entries
	loaded  bool          // that planner has its entries
}

// shard opens what leading a shard needs.
func (n *node) shard(number int, trace *tracer) (*shard, error) {
	log := n.log
	if n.config.Int("shards") > 1 {
		log = log.With("shard", number)
	}
	b, err := OpenBroker(n.config, broker.Options{
		Installation: n.store.Installation(),
		Shard:        number,
		Declare:      n.config.Bool("declare"),
		Node:         n.celery.Origin,
		Logger:       log,
		Dropped:      func(events int) { n.metrics.droppedEvents.Add(float64(events)) },
	})
	if err != nil {
		return nil, err
	}
	s := &shard{node: n, number: number, log: log, store: n.store.Shard(number), broker: b, trace: trace, dispatching: n.dispatching.Beside()}
	s.keeper, s.publisher = s.store, s.broker
	if trace != nil {
		s.keeper, s.publisher = tracedShard{s.store, trace}, tracedBroker{s.broker, trace}
	}
	return s, nil
}

// led returns the shards that this node leads.
func (n *node) led() (led []*shard) {
	for _, s := range n.opened() {
		if s.now().term != 0 {
			led = append(led, s)
		}
	}
	return led
}

// opened returns all shards, none before the database has answered.
func (n *node) opened() []*shard {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.shards
}

// now returns how the shard is here.
func (s *shard) now() reign {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reign
}

// leads notes that this node holds the lease of term, or none.
func (s *shard) leads(term int64, planner *plan.Planner) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reign = reign{term: term, planner: planner, since: time.Now()}
}

func (s *shard) ready() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loaded = true
}

// take leads whenever the lease comes to this node, until ctx ends.
func (s *shard) take(ctx context.Context) error {
	defer s.left.Store(true) // others may still end what they have begun
	for {
		turn, end := context.WithCancelCause(ctx)
		opts := lease.Options{Logger: s.log, Clock: s.node.clock.Set, Beat: func() { s.asked.Add(1) }}
		opts.Keeps = func(err error) bool { // no other node knows what this one had got to send
			return errors.Is(err, celery.ErrForgot) && turn.Err() == nil && s.store.Guarded()
		}
		err := lease.Keep(turn, &claimant{keeper: s.keeper, shard: s}, s.node.name, opts, func(hold context.Context, term int64) error {
			s.mu.Lock()
			s.end = end
			s.mu.Unlock()
			return s.lead(turn, hold, term)
		})
		handed := turn.Err() != nil
		end(nil)
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, errBehind) {
			return err
		}
		if err != nil && !handed && !errors.Is(err, schedule.ErrLost) {
			s.log.Error("dispatching has stopped; beginning again", "err", err)
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return nil
		}
	}
}

// held is how many definitions of entries are held in memory that are not due soon:
// 40 MB or so. A catalog of so many entries costs no reads before its slots.
const held = 100_000

// lead plans and dispatches for one term: until the lease is lost with hold, or until ctx
// has ended and what was claimed has gone out.
func (s *shard) lead(ctx, hold context.Context, term int64) error {
	defer s.broker.Release()
	hold, lose := context.WithCancelCause(hold)
	defer lose(nil)
	defer context.AfterFunc(ctx, func() {
		if cause := context.Cause(ctx); errors.Is(cause, errCutOff) {
			lose(cause)
		}
	})()
	n := s.node
	planner := plan.New(plan.Options{Lead: n.config.Length("lead"), Now: n.clock.Now, Glance: n.untilLook, Logger: s.log, Keep: held / n.config.Int("shards")})
	s.leads(term, nil)
	defer s.leads(0, nil)

	if err := n.lock(ctx, hold); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	s.leads(term, planner)
	defer func() {
		if ctx.Err() != nil && !errors.Is(context.Cause(ctx), errHandedOver) { // a clean stop
			n.unlock()
			s.leaves(hold)
		}
	}()
	if err := n.store.NoteLedger(hold); err != nil {
		return err
	}
	journal, err := s.store.Journal(hold)
	if err != nil {
		return err
	}
	seq, err := s.store.LastSeq(hold)
	if err != nil {
		return err
	}
	follower := newFollower(planner, journal, n.metrics, &n.garbage, s.log)
	defer follower.end()
	open, first := len(journal) > 0, slices.Collect(maps.Keys(follower.named))
	options := s.options(follower)
	if alarm := newAlarm(); alarm != nil {
		defer alarm.close()
		options.Sleep = alarm.sleep
	}
	dispatcher := dispatch.New(told{planner, &n.garbage}, s.keeper, s.publisher, options)
	group, working := errgroup.WithContext(hold)
	working, done := context.WithCancel(working)
	group.Go(func() error { return planner.Run(working) })
	if s.number == 0 {
		group.Go(func() error { return n.tendLedger(working) })
	}
	group.Go(func() error { return n.prolong(working) })
	group.Go(func() error {
		return n.roster.Lead(working, s.number, first, follower)
	})
	group.Go(func() error { return follower.fetch(working, n.roster) })
	group.Go(func() (err error) {
		defer done()
		defer func() {
			if errors.Is(err, celery.ErrFenced) {
				err = s.behind(working, term)
			}
		}()
		if open && !wait(ctx, working, follower.ready) { // what was claimed is ended from the entries as they are now
			return context.Cause(hold)
		}
		// A stop need not wait for a broker that is away: what is not recovered
		// stays in the journal.
		recovering, stop := context.WithCancel(working)
		defer stop()
		defer context.AfterFunc(ctx, stop)()
		present := func(id schedule.ID) schedule.Change { return follower.present(recovering, n.roster, id) }
		seq, err := dispatcher.Recover(recovering, term, seq, follower.claims, present)
		if err != nil && ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if err := follower.begin(working); err != nil {
			return err
		}
		group.Go(func() error {
			if !wait(ctx, working, follower.loaded) {
				return nil
			}
			s.ready()
			if s.number != 0 { // who leads the first shard looks at the whole ledger
				return nil
			}
			return n.scanner.Run(working)
		})
		return dispatcher.Run(ctx, working, term, seq)
	})
	return group.Wait()
}

// leaves tells what a stop leaves in the journal, as where the broker is away.
func (s *shard) leaves(hold context.Context) {
	hold, cancel := context.WithTimeout(hold, time.Second)
	defer cancel()
	open, err := s.store.Journal(hold)
	if err != nil {
		s.log.Warn("this node stops, and cannot read what it leaves: the node that leads next, or this one when it is started again, sends what was claimed and has not gone out", "err", err)
		return
	}
	slots := 0
	var first time.Time
	for _, batch := range open {
		for _, due := range batch.Dues[batch.Recorded:] {
			slots++
			if first.IsZero() || due.Slot.Before(first) {
				first = due.Slot
			}
		}
	}
	if slots > 0 {
		s.log.Warn("this node stops with slots that are claimed and not sent, or not recorded yet: the node that leads next, or this one when it is started again, sends what has not gone out", "slots", slots, "first", first)
	}
}

// options are those of a term's dispatcher.
func (s *shard) options(follower *follower) dispatch.Options {
	n := s.node
	options := dispatch.Options{
		Installation: n.store.Installation(),
		Node:         n.name,
		Batch:        cmp.Or(n.config.Int("batch"), broker.Batch(s.broker)),
		Drain:        n.config.Length("drain"),
		Events:       n.celery.SendSentEvent,
		Resend:       n.config.String("broker-loss") == "resend",
		Joint:        s.joint(),
		Limits:       follower.limits,
		Now:          n.clock.Now,
		Logger:       s.log,
		Metrics:      s.dispatching,
	}
	if n.config.String("ledger") == store.LedgerAll { // else what was sent has no row
		options.SentSince = s.store.SentSince
	}
	return options
}

// errBehind says that the broker knows higher terms than the database gives: nothing
// could ever be sent.
var errBehind = errors.New("another database publishes for this installation, or this one was restored from a backup: the broker has seen a higher term")

// behind says why the broker refuses a term: another node has a higher one by now, or
// the database that gave it is not the one that the broker was last used with.
func (s *shard) behind(ctx context.Context, term int64) error {
	if err := s.store.Check(ctx, term); err != nil {
		return schedule.ErrLost
	}
	return &RefusedError{fmt.Errorf("%w than %d for installation %s; if this database is a copy, run `DELETE FROM onebeat_meta WHERE key = 'installation'` in it; if it was restored, delete what %s keeps for that installation (docs/guarantees.md, The fence)",
		errBehind, term, s.node.store.Installation(), s.broker)}
}
