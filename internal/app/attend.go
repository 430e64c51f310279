package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/onebeat/onebeat/internal/celery"
	"github.com/onebeat/onebeat/internal/lease"
	"github.com/onebeat/onebeat/internal/schedule"
	"github.com/onebeat/onebeat/internal/store"
)

// Nodes tell each other in the database that they are there (store.Attend), and all share
// the shards out by what they see (lease.Share). That decides who asks for a lease and
// who gives one up; who has it is the lease's to say, whatever they see.

// attendance is the part of a lease's length after which a node is seen again, and unseen
// the part after which it gets no more shards.
const (
	attendance = 5
	unseen     = 2
)

func (n *node) leaseLength() time.Duration { return n.config.Length("lease") }

// Unseen is for how long nodes with these settings look back for each other.
func Unseen(config Config) time.Duration { return config.Length("lease") / unseen }

// beat goes off at this node's next beat: next is to be called each time that it has.
func (n *node) beat() *time.Timer { return time.NewTimer(n.untilBeat()) }

func (n *node) next(beat *time.Timer) { beat.Reset(n.untilBeat()) }

func (n *node) untilBeat() time.Duration {
	return schedule.Beat(n.name, time.Now(), n.leaseLength()/attendance)
}

// attend tells the other nodes that this one is there, and gives up shards that are to be
// theirs, until ctx ends. It fails when another number of shards has come to count.
func (n *node) attend(ctx context.Context) error {
	beat := n.beat()
	defer beat.Stop()
	others := make([]int, len(n.shards))
	now := make(chan struct{}) // it may be long since this node has joined the others
	close(now)
	for failed := ""; ; now = nil {
		select {
		case <-ctx.Done():
			return n.leave()
		case <-now:
		case <-beat.C:
			n.next(beat)
			if n.store.Attends(n.fit(), Unseen(n.config)) {
				continue
			}
		case roll := <-n.store.Attended():
			failed = ""
			n.regard(roll, others)
			continue
		case <-n.cut:
		}
		roll, err := n.see(ctx)
		switch {
		case ctx.Err() != nil:
			continue
		case errors.Is(err, store.ErrShards):
			return &RefusedError{err}
		case err != nil:
			since := time.Now()
			if s := n.silent.Load(); s != nil {
				since = s.since
			}
			n.silent.Store(&silence{since, err})
			if err.Error() != failed {
				failed = err.Error()
				n.log.Warn("this node cannot see the others; trying on", "err", err)
			}
			continue
		}
		failed = ""
		n.regard(roll, others)
	}
}

// regard gives up the shards that are to be another node's. Others is how often in a row each was seen to be.
func (n *node) regard(roll store.Roll, others []int) {
	n.silent.Store(nil)
	n.roll.Store(&roll)
	n.alone.Store(len(roll.Nodes) < 2)
	owners := share(roll, "")
	for i, s := range n.shards {
		if owner := owners[i]; owner == "" || owner == n.name || s.now().term == 0 {
			others[i] = 0
			continue
		}
		cutOff := !n.reaches.Load()
		if others[i]++; others[i] > 1 || cutOff {
			s.handOver(owners[i], cutOff)
		}
	}
}

// A silence is since when this node could not write that it is there, and why not the last time.
type silence struct {
	since time.Time
	err   error
}

// unheard is an error if this node could not write that it is there for as long as a stall: it gets no lease
// then, also where the database answers. One that says that it takes no writes from anybody has its word taken sooner than a
// lease is lost for that.
func (n *node) unheard() error {
	s := n.silent.Load()
	if s == nil {
		return nil
	}
	patience := stall
	if store.Unwritable(s.err) {
		patience = min(stall, Unseen(n.config))
	}
	if time.Since(s.since) < patience {
		return nil
	}
	return fmt.Errorf("no write for %v: %w", time.Since(s.since).Round(time.Second), s.err)
}

// see says that this node is there, and returns who is.
func (n *node) see(ctx context.Context) (store.Roll, error) {
	ctx, cancel := context.WithTimeout(ctx, Unseen(n.config))
	defer cancel()
	return n.store.Attend(ctx, n.fit(), Unseen(n.config))
}

// fit says whether this node is to have shards.
func (n *node) fit() bool {
	return n.reaches.Load() && (n.known() || len(n.led()) > 0) // who leads knows soon
}

func (n *node) leave() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := n.store.Leave(ctx); err != nil {
		n.log.Warn("the other nodes do not know yet that this one stops", "err", err)
	}
	return nil
}

// share says whose each shard is to be, "" for nobody's. The one that has gone does not
// count, nor do nodes that are not fit while others are.
func share(roll store.Roll, gone string) []string {
	some := slices.ContainsFunc(roll.Nodes, func(node store.Node) bool { return node.Name != gone && node.Fit })
	var nodes []string
	for _, node := range roll.Nodes {
		if node.Name != gone && (node.Fit || !some) {
			nodes = append(nodes, node.Name)
		}
	}
	holders := make([]string, len(roll.Holders))
	for shard, holder := range roll.Holders {
		if holder.Node != gone {
			holders[shard] = holder.Node
		}
	}
	return lease.Share(nodes, holders)
}

// reach learns whether this node reaches the broker, where there are other nodes that
// may, until ctx ends.
func (n *node) reach(ctx context.Context) error {
	beat := n.beat()
	defer beat.Stop()
	for missed := 0; ; n.next(beat) {
		select {
		case <-ctx.Done():
			return nil
		case <-beat.C:
		}
		if n.alone.Load() && n.reaches.Load() {
			continue // else the next node to come would be given the shards
		}
		asking, cancel := context.WithTimeout(ctx, n.leaseLength()/attendance)
		err := n.shards[0].broker.Ping(asking)
		cancel()
		if missed++; err == nil || errors.Is(err, celery.ErrTakesNone) { // from no node
			missed = 0
		}
		if reaches := missed < 2; n.reaches.Swap(reaches) != reaches && ctx.Err() == nil {
			if reaches {
				n.log.Info("the broker can be reached again")
			} else {
				n.log.Error("the broker cannot be reached from this node; one that reaches it goes on", "err", err)
				select {
				case n.cut <- struct{}{}:
				default:
				}
			}
		}
	}
}

// A claimant asks for a shard's lease when the shard is to be this node's.
type claimant struct {
	keeper
	shard *shard
	rests bool // the lease can be had, and another node is to have it
}

// Acquire implements lease.Locker.
func (c *claimant) Acquire(ctx context.Context, owner string) (schedule.Lease, bool, error) {
	s := c.shard
	n := s.node
	if s.store.Held() {
		c.rests = false
		return schedule.Lease{}, false, nil
	}
	roll, err := n.store.Roll(ctx, Unseen(n.config))
	if err != nil {
		return schedule.Lease{}, false, err
	}
	holder, gone := roll.Holders[s.number], ""
	c.rests = false
	if holder != (store.Holder{}) {
		if !s.store.Orphaned(ctx, holder) {
			return schedule.Lease{}, false, nil
		}
		if holder.Node != n.name { // else it is what this node was before it was started again
			gone = holder.Node
		}
	}
	if share(roll, gone)[s.number] != n.name {
		s.store.Yield()
		c.rests = true
		return schedule.Lease{}, false, nil
	}
	l, ok, err := c.keeper.Acquire(ctx, owner)
	if gone != "" && err == nil {
		n.bury(ctx, roll, gone)
	}
	return l, ok, err
}

// bury makes the others see that a node has gone, if it was not seen since.
func (n *node) bury(ctx context.Context, roll store.Roll, gone string) {
	for _, node := range roll.Nodes {
		if node.Name == gone {
			if err := n.store.Gone(ctx, gone, node.Ago); err != nil {
				n.log.Warn("the other nodes do not know yet that one has gone", "err", err)
			}
		}
	}
}

// restFor is how long a shard that could be had is left to the node that is to have it
// before this one looks again.
const restFor = 100 * time.Millisecond

// Wait implements lease.Waiter.
func (c *claimant) Wait(ctx context.Context) error {
	if !c.rests {
		return c.keeper.Wait(ctx)
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(restFor):
		return nil
	}
}

// errHandedOver says that a term ended since the shard is to be another node's, and
// errCutOff that this is so since this node does not reach the broker.
var (
	errHandedOver = errors.New("the shard is to be another node's")
	errCutOff     = fmt.Errorf("this node does not reach the broker: %w", errHandedOver)
)

// handOver ends the term for another node to have the shard: what is claimed goes out
// first, or is left in the journal if the broker cannot be reached from here.
func (s *shard) handOver(to string, cutOff bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.term == 0 || s.end == nil {
		return
	}
	why := errHandedOver
	if cutOff {
		why = errCutOff
	}
	s.log.Info("handing over to another node", "to", to, "term", s.term, "why", why.Error())
	s.end(why)
	s.end = nil
}
