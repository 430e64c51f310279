// Package amqp sends Celery's task messages to RabbitMQ.
//
// Three things keep a message from being lost or doubled:
//
//   - An exclusive queue, "onebeat.<installation>.<shard>", is held by the connection
//     that publishes for the shard. RabbitMQ gives it to one connection, and takes it
//     back with the connection's end: a node that lost it cannot publish.
//   - Every message is persistent, mandatory and confirmed.
//   - Marks go down the same channel: one every 10 messages and one at the end of a
//     part. Who comes next, or comes back, goes on from the last one.
//
// So a connection that breaks costs at most 10 messages of one part a second sending,
// with the same ids. A crash of RabbitMQ costs that of what it had not confirmed.
//
// Nothing of the workers is declared unless told to: a queue whose arguments were
// guessed would refuse the worker.
package amqp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/onebeat/onebeat/internal/broker/address"
	"github.com/onebeat/onebeat/internal/broker/outbox"
	"github.com/onebeat/onebeat/internal/celery"
	"github.com/onebeat/onebeat/internal/failpoint"
)

// Options are what Open needs beside the URL.
type Options struct {
	Installation string
	Shard        int
	Declare      bool   // whether missing queues are declared, as Celery would
	Shuffle      bool   // try the URLs of a list in any order, not from the first on
	Node         string // names the sender of events
	Exchanges    celery.Exchanges
	Logger       *slog.Logger
	Dropped      func(events int) // told of task-sent events that were given up; may be nil
}

// A Broker publishes for one shard.
type Broker struct {
	targets []target // that stand for each other
	options Options
	name    string // the URL without its password
	lock    string // the exclusive queue
	queues  markQueues
	events  *outbox.Outbox

	// turn is held by whoever uses or replaces the link; what follows is theirs.
	turn chan struct{}
	at   int         // the one of targets that is connected, or tried next
	term int64       // the term that was taken; 0 for none
	mark celery.Mark // the broker's mark, as of the link's hold and what was sent since
	sent progress
	full map[string]time.Time // queues that refuse messages, and since when

	mu   sync.Mutex // guards link, which Ping and events read beside its user
	link *link

	cancel context.CancelFunc
	done   sync.WaitGroup
}

// Open reads the URL and starts to keep a connection, without waiting for it.
func Open(rawURL string, options Options) (*Broker, error) {
	targets, err := parseURLs(rawURL)
	if err != nil {
		return nil, err
	}
	if options.Shuffle {
		rand.Shuffle(len(targets), func(i, j int) { targets[i], targets[j] = targets[j], targets[i] })
	}
	name := fmt.Sprintf("onebeat.%s.%d", options.Installation, options.Shard)
	ctx, cancel := context.WithCancel(context.Background())
	b := &Broker{
		targets: targets,
		options: options,
		name:    address.Redact(rawURL),
		lock:    name,
		queues:  markQueues{steps: name + ".steps", marks: name + ".mark"},
		turn:    make(chan struct{}, 1),
		full:    map[string]time.Time{},
		cancel:  cancel,
	}
	b.events = outbox.New(b.sendEvents, options.Dropped)
	b.done.Go(func() { b.keep(ctx) })
	return b, nil
}

// String is the URL without its password.
func (b *Broker) String() string { return b.name }

// acquire waits for the turn.
func (b *Broker) acquire(ctx context.Context) error {
	select {
	case b.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (b *Broker) yield() { <-b.turn }

// current is the link, nil if there is none that works.
func (b *Broker) current() *link {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.link == nil || !b.link.alive() {
		return nil
	}
	return b.link
}

// connect returns the link, a new one if the old one broke. The turn must be held.
func (b *Broker) connect(ctx context.Context) (*link, error) {
	if l := b.current(); l != nil {
		return l, nil
	}
	b.disconnect()
	l, err := b.targets[b.at].link(ctx, b.options.Node)
	if err != nil {
		b.at = (b.at + 1) % len(b.targets)
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.link = l
	return l, nil
}

// disconnect gives the link up. The turn must be held.
func (b *Broker) disconnect() {
	b.mu.Lock()
	l := b.link
	b.link = nil
	b.mu.Unlock()
	if l != nil {
		l.close()
	}
}

// hold returns a link that holds the shard for a term, and knows its mark. If the
// mark is of a higher term it lets go of the shard. The turn must be held.
func (b *Broker) hold(ctx context.Context, term int64) (*link, error) {
	l, err := b.connect(ctx)
	if err != nil {
		return nil, err
	}
	if !l.held {
		stop := context.AfterFunc(ctx, l.cut)
		defer stop()
		if b.mark, err = b.claim(ctx, l, term); err != nil {
			b.disconnect()
			return nil, l.why(err)
		}
	}
	if b.mark.Term > term {
		b.term = 0
		b.disconnect()
		return nil, celery.ErrFenced
	}
	return l, nil
}

// claim makes the shard the link's, and returns the mark that stands, which the
// marks queue then has for good. It changes nothing if the mark is of a higher term.
func (b *Broker) claim(ctx context.Context, l *link, term int64) (celery.Mark, error) {
	if err := l.hold(ctx, b.lock); err != nil {
		return celery.Mark{}, err
	}
	if err := b.queues.ensure(l); err != nil {
		return celery.Mark{}, err
	}
	mark, err := b.queues.read(l)
	if err != nil || mark.Term > term {
		return mark, err
	}
	if mark.Term > 0 {
		if err := b.settle(ctx, l, mark); err != nil {
			return celery.Mark{}, err
		}
	}
	if err := b.queues.renew(l); err != nil {
		return celery.Mark{}, err
	}
	_, err = l.write(b.queues.steps, mark, amqp091.Transient)
	return mark, err
}

// settle writes a mark to the marks queue and waits for its confirm.
func (b *Broker) settle(ctx context.Context, l *link, mark celery.Mark) error {
	f := &flight{link: l, base: l.published}
	if err := f.write(b.queues.marks, mark, amqp091.Persistent); err != nil {
		return err
	}
	return f.await(ctx, 0)
}

// Take holds the shard and writes the term, so that lower ones find it.
func (b *Broker) Take(ctx context.Context, term int64) (celery.Mark, error) {
	if err := b.acquire(ctx); err != nil {
		return celery.Mark{}, fmt.Errorf("rabbitmq: take term: %w", err)
	}
	defer b.yield()
	err := failpoint.Here("amqp.take.before")
	var before celery.Mark
	if err == nil {
		before, err = b.take(ctx, term)
	}
	if err == nil {
		err = failpoint.Here("amqp.take.after")
	}
	if errors.Is(err, celery.ErrFenced) {
		return celery.Mark{}, err
	}
	if err != nil {
		return celery.Mark{}, fmt.Errorf("rabbitmq: take term: %w", reason(ctx, err))
	}
	return before, nil
}

func (b *Broker) take(ctx context.Context, term int64) (celery.Mark, error) {
	l, err := b.hold(ctx, term)
	if err != nil {
		return celery.Mark{}, err
	}
	stop := context.AfterFunc(ctx, l.cut)
	defer stop()
	before := b.mark
	after := before
	after.Term = term
	if err := b.settle(ctx, l, after); err != nil {
		b.disconnect()
		return celery.Mark{}, l.why(err)
	}
	b.term, b.mark, b.sent = term, after, progress{}
	return before, nil
}

// keep replaces a link that broke, and holds the shard again if it was held, so that
// the next Publish finds it ready.
func (b *Broker) keep(ctx context.Context) {
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval, wait.MaxInterval = 50*time.Millisecond, 2*time.Second
	down := false
	for {
		broken, err := b.ready(ctx)
		if err == nil {
			if down {
				b.options.Logger.Info("broker is connected again", "broker", b.name)
			}
			wait.Reset()
			down = false
			select {
			case <-broken:
				continue
			case <-ctx.Done():
				return
			}
		}
		if !down && ctx.Err() == nil {
			b.options.Logger.Warn("broker is not ready", "broker", b.name, "err", inTime(err))
			down = true
		}
		select {
		case <-time.After(wait.NextBackOff()):
		case <-ctx.Done():
			return
		}
	}
}

// readyWait bounds one attempt of keep.
const readyWait = 10 * time.Second

func (b *Broker) ready(ctx context.Context) (broken <-chan struct{}, err error) {
	ctx, cancel := context.WithTimeout(ctx, readyWait)
	defer cancel()
	if err := b.acquire(ctx); err != nil {
		return nil, err
	}
	defer b.yield()
	l, err := b.connect(ctx)
	if err == nil && b.term > 0 {
		l, err = b.hold(ctx, b.term)
	}
	if err != nil {
		return nil, err
	}
	return l.broken, nil
}

// Ping asks for an answer, and whether messages are taken.
func (b *Broker) Ping(ctx context.Context) error {
	l, err := b.reached(ctx)
	if loginRefused(err) {
		return fmt.Errorf("rabbitmq: %w, or has no such virtual host: %w", celery.ErrLogin, reason(ctx, err))
	}
	if err != nil {
		return fmt.Errorf("rabbitmq: %w", reason(ctx, err))
	}
	if err := l.takesNone(); err != nil {
		return fmt.Errorf("rabbitmq: %w", err)
	}
	alarmed := l.alarmed
	if l.probed.Load() {
		alarmed = nil
	}
	answer := make(chan error, 1)
	b.done.Go(func() { answer <- l.probe(ctx, b.lock+".none") }) // ends with the connection, if not before
	select {
	case err := <-answer:
		if err != nil {
			return fmt.Errorf("rabbitmq: %w", err)
		}
		return nil
	case <-alarmed: // RabbitMQ reads nothing more from the connection
		if err := l.takesNone(); err != nil {
			return fmt.Errorf("rabbitmq: %w", err)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("rabbitmq: %w", l.why(inTime(ctx.Err())))
	}
}

// loginRefused says whether RabbitMQ asks for another user, password or virtual host. One that
// has as many connections as it may have asks for none.
func loginRefused(err error) bool {
	refused := new(amqp091.Error)
	return errors.As(err, &refused) &&
		(refused.Code == amqp091.AccessRefused || refused.Code == amqp091.NotAllowed && !strings.Contains(refused.Reason, "limit"))
}

// reached returns the link, and waits for one if there is none.
func (b *Broker) reached(ctx context.Context) (*link, error) {
	if l := b.current(); l != nil {
		return l, nil
	}
	if err := b.acquire(ctx); err != nil {
		return nil, err
	}
	defer b.yield()
	return b.connect(ctx)
}

// releaseWait bounds how long Release waits for a call under way before it cuts the
// connection under it.
const releaseWait = 2 * time.Second

// Release ends the connection, and with it the hold on the shard.
func (b *Broker) Release() {
	for range 2 {
		ctx, cancel := context.WithTimeout(context.Background(), releaseWait)
		err := b.acquire(ctx)
		cancel()
		if err == nil {
			b.term = 0
			b.disconnect()
			b.yield()
			return
		}
		if l := b.current(); l != nil {
			l.cut()
		}
	}
}

// Close ends everything. Events that wait are sent, for a second at most.
func (b *Broker) Close() error {
	b.cancel()
	b.events.Close()
	b.Release()
	b.done.Wait()
	return nil
}

// reason is the context's end rather than the cut connection that it left, but for what kept the
// broker from an answer.
func reason(ctx context.Context, err error) error {
	err = address.Explain(err)
	if errors.Is(err, celery.ErrTakesNone) {
		return err
	}
	if ctx.Err() != nil && !errors.Is(err, ctx.Err()) {
		err = fmt.Errorf("%w (%w)", ctx.Err(), err)
	}
	return inTime(err)
}

// A silence is a RabbitMQ that did not answer in time, rather than what the client makes of that: it closes the connection itself.
type silence struct{ err error }

func (e *silence) Error() string { return "no answer in time" }
func (e *silence) Unwrap() error { return e.err }

// inTime makes a silence of what came of waiting for too long for an answer. A connection that never came to be tells where it was to go.
func inTime(err error) error {
	var dialled *net.OpError
	var told *amqp091.Error
	switch {
	case errors.As(err, &dialled) && dialled.Op == "dial", errors.As(err, new(*silence)):
		return err
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &told) && !told.Server && strings.HasSuffix(told.Reason, "i/o timeout"):
		return &silence{err}
	}
	return err
}
