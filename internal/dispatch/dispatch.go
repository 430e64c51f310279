// Package dispatch turns due slots into messages, each slot once.
//
// A batch of slots goes through three stages, each one goroutine, joined by
// short queues, in order of the batch's sequence number:
//
//	claim    one transaction: the term is still ours, and the journal names the slots
//	publish  at the slot, never before it; fenced at the broker by term and mark
//	record   one transaction for one or more batches: run state, ledger, journal gone
//
// Recover runs before them and ends what an earlier term left in the journal; recording that is
// left to the third stage too. Where
// ledger and broker are in one database (Joint), a part is published and recorded in one
// transaction, and nothing is left to the third stage.
//
//   - A claimed slot is published, or ends in a recorded state that says why
//     not. A broker that is down delays; it does not lose.
//   - A part that was not acknowledged is published again, the very same part,
//     until the broker takes it or the lease is gone. The broker's mark keeps it
//     from doubling.
//   - Claiming runs ahead of publishing by a bounded number of batches, and publishing
//     ahead of recording by a bounded number of slots: while slots are late, recording waits
//     for their messages, for a second at most.
//   - If the process dies between any two steps, Recover finds out from the
//     journal and the broker's mark what is left to do.
package dispatch

import (
	"context"
	"errors"
	"hash/fnv"
	"log/slog"
	"math/rand/v2"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/onebeat/onebeat/internal/celery"
	"github.com/onebeat/onebeat/internal/schedule"
)

// A Planner knows which slots are due.
type Planner interface {
	// Pull returns the slots to claim now, at least one, at most max, those that have yet to
	// come in order of slot, after the others. It waits for them and returns an error only when ctx ends.
	Pull(ctx context.Context, max int) ([]schedule.Due, error)
}

// A Ledger remembers which slots were taken and what came of them. All of its
// methods return schedule.ErrLost when the term is over, having done nothing,
// and all may be called again after any other error.
type Ledger interface {
	// Claim writes the batch into the journal, durably.
	Claim(ctx context.Context, batch schedule.Batch) error

	// Record writes the ends of slots and takes the batches named by seqs out of
	// the journal, all or nothing. It returns schedule.ErrJournal if some of them are not there.
	Record(ctx context.Context, term int64, seqs []int64, runs []schedule.Run) error
}

// A Publisher hands messages to the broker and keeps the mark there. One
// goroutine calls it.
type Publisher interface {
	// Take makes the broker refuse lower terms and returns the mark as it stood.
	Take(ctx context.Context, term int64) (celery.Mark, error)

	// Publish returns when the broker has acknowledged the part, with the messages
	// it took no copy of; celery.ErrFenced if a higher term publishes now; or
	// another error, after which the same part may be published again. Without an error
	// nothing reads the part's messages any more.
	Publish(ctx context.Context, part celery.Part) ([]celery.Failure, error)
}

// A Joint is a ledger and a publisher in one database. One goroutine calls it.
type Joint interface {
	// Joined says whether they are. It is asked once in each term, after Take.
	Joined(ctx context.Context) bool

	// Send publishes the part and records the ends of its slots in one transaction, all or
	// nothing: all that the part's mark covers of its batch is recorded then, and the
	// batches named by gone are out of the journal. ends returns what is to be recorded, given the
	// messages that the broker takes no copy of. It is called again when the transaction is
	// begun anew, and not at all if everything was done before.
	//
	// Its errors are Publish's and Record's; after any but ErrFenced and ErrLost the same part
	// may be sent again.
	Send(ctx context.Context, part celery.Part, gone []int64, ends func([]celery.Failure) []schedule.Run) error
}

// Options tune a Dispatcher. The zero Options are the defaults.
type Options struct {
	Installation string           // the name that task ids are made from
	Node         string           // recorded with each run
	Batch        int              // the most slots that are claimed together; 1000
	Ahead        int              // batches that are claimed ahead; as many as have 8000 slots, at least 2
	Drain        time.Duration    // how long what was claimed may take to go out after a stop; 10 s
	Attempt      time.Duration    // the longest that one call of the ledger or the broker may take; 5 s
	Events       bool             // tell a task-sent event of each message
	Now          func() time.Time // this node's clock; time.Now

	// Sleep waits for a length of time or until ctx ends, and says whether ctx has not. It may
	// wake early. The goroutine that publishes alone calls it; a timer of the runtime.
	Sleep func(ctx context.Context, length time.Duration) bool

	// SentSince returns the runs that were recorded as sent after an instant, in that
	// order: what a broker that comes back with older data has lost. Nil: not known.
	SentSince func(ctx context.Context, at time.Time) ([]schedule.Run, error)
	Resend    bool // send again what a broker has lost, and do not only tell of it

	// Joint sends and records at once where that can be. Nil: it can't.
	Joint Joint

	Limits  *Limits      // of entries that end of themselves; none
	Logger  *slog.Logger // silent
	Metrics *Metrics     // none
}

// A Dispatcher sends what a planner hands over. Make one with New.
type Dispatcher struct {
	opts      Options
	planner   Planner
	ledger    Ledger
	publisher Publisher
	log       *slog.Logger
	metrics   *Metrics
	spare     spare
	news      news      // of the goroutine that publishes, as is:
	last      time.Time // when the last part began, by this node's clock
	rest      time.Duration
	messages  []celery.Message // of the last part, for the next one
	parts     share
	records   share // of who recovers, then of the goroutine that records
	withdrawn withdrawn
	joined    bool             // Options.Joint sends and records, in this term
	published *backlog         // of this term, as are:
	riders    []celery.Message // what goes with the next part: ride
	blocked   func()           // called while the broker takes nothing; nil but for who recovers
}

// New returns a dispatcher. It works while Run does.
func New(planner Planner, ledger Ledger, publisher Publisher, opts Options) *Dispatcher {
	if opts.Batch == 0 {
		opts.Batch = 1000
	}
	if opts.Limits == nil {
		opts.Limits = &Limits{}
	}
	if opts.Ahead == 0 {
		opts.Ahead = max(2, 8000/opts.Batch)
	}
	if opts.Drain == 0 {
		opts.Drain = 10 * time.Second
	}
	if opts.Attempt == 0 {
		opts.Attempt = 5 * time.Second
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Sleep == nil {
		opts.Sleep = sleep
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.Metrics == nil {
		opts.Metrics = NewMetrics()
	}
	return &Dispatcher{
		opts: opts, planner: planner, ledger: ledger, publisher: publisher, log: opts.Logger, metrics: opts.Metrics,
		news:    news{log: opts.Logger},
		parts:   share{most: min(firstPart, opts.Batch), least: promptPart, bound: opts.Batch},
		records: share{most: firstPart, least: 1, bound: together},

		published: newBacklog(),
	}
}

// Run dispatches under term, with sequence numbers after seq, until ctx ends;
// then it claims nothing more, sends and records what it had claimed, for at
// most Drain, and returns nil. When hold ends, it stops at once. It returns
// schedule.ErrLost when the ledger says that the term is over, celery.ErrFenced when the broker does,
// schedule.ErrJournal, and celery.ErrForgot when the broker has lost what it had taken: the next term's
// Recover sees to that.
func (d *Dispatcher) Run(ctx, hold context.Context, term, seq int64) error {
	bounded, cancel := context.WithCancel(hold)
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		if sleep(bounded, d.opts.Drain) {
			cancel()
		}
	})()

	claimed := make(chan schedule.Batch, d.opts.Ahead)
	published, notes := d.published, newNotes() // what Recover has ended is recorded first
	d.published = newBacklog()
	d.metrics.progress(len(published.batches))
	d.withdrawn = withdrawn{by: map[claim]int64{}, of: map[int64]int{}, after: map[int64][]int64{}}
	group, working := errgroup.WithContext(bounded)
	coming, stop := context.WithCancel(ctx) // what has failed waits for no slot that is still to come
	defer stop()
	defer context.AfterFunc(working, stop)()
	group.Go(func() error {
		defer close(claimed)
		return d.claim(coming, working, term, seq, claimed)
	})
	group.Go(func() error { // where it records too, it hands nothing on
		defer published.end()
		return d.publish(working, claimed, published, notes)
	})
	group.Go(func() error { return d.record(working, term, published, notes) })
	err := group.Wait()
	d.metrics.progress(-int(d.metrics.batches.Load())) // what is left is in the journal
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil // the drain's bound
	}
	return err
}

// persist calls do until it succeeds, the lease is gone, or hold ends, waiting
// longer from try to try, a second at most. It logs the first failure of a row
// of them and the end of it.
func (d *Dispatcher) persist(hold context.Context, what string, failures func(), do func(ctx context.Context) error) error {
	const first, longest = 25 * time.Millisecond, time.Second
	var since time.Time
	var chance *rand.Rand
	for wait := first; ; wait = min(2*wait, longest) {
		ctx, cancel := context.WithTimeout(hold, d.opts.Attempt)
		done := d.metrics.begin(what)
		err := do(ctx)
		done()
		cancel()
		switch {
		case err == nil:
			if !since.IsZero() {
				d.log.Info(what+" works again", "after", time.Since(since).Round(time.Millisecond))
			}
			return nil
		case errors.Is(err, schedule.ErrLost), errors.Is(err, schedule.ErrJournal), errors.Is(err, celery.ErrFenced), errors.Is(err, celery.ErrForgot):
			return err
		case hold.Err() != nil:
			return context.Cause(hold)
		}
		failures()
		if since.IsZero() {
			since = time.Now()
			chance = d.chance(what)
			d.log.Error(what+" fails; trying on", "err", err)
		}
		// Spread the tries of several nodes, but stay within a second of the return.
		done = d.metrics.begin("a rest before " + what)
		sleep(hold, wait/2+time.Duration(chance.Int64N(int64(wait/2))))
		done()
	}
}

// chance differs from node to node, and is the same for one node in every run of a
// test.
func (d *Dispatcher) chance(what string) *rand.Rand {
	sum := fnv.New64a()
	_, _ = sum.Write([]byte(d.opts.Node + what))
	return rand.New(rand.NewPCG(sum.Sum64(), 0))
}

// sleep waits for length or until ctx ends, and says whether it slept it out.
func sleep(ctx context.Context, length time.Duration) bool {
	timer := time.NewTimer(length)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
