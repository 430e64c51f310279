package amqp

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/onebeat/onebeat/internal/celery"
)

// window is how many messages may wait for their confirms. The buffers below are
// larger, so that what the reader of the connection hands over never waits for us.
const window = 1024

// A link is one connection to RabbitMQ, used until it breaks.
type link struct {
	connection *amqp091.Connection
	socket     *socket
	channel    *amqp091.Channel // publishes, and confirms
	confirms   chan amqp091.Confirmation
	returns    chan amqp091.Return
	published  uint64        // delivery tag of the last message
	headers    amqp091.Table // of the message that is written

	held  bool            // whether the shard's exclusive queue is this connection's
	known map[string]bool // destinations that were seen to exist

	events   *amqp091.Channel // of the outbox's goroutine; nil until the first event
	eventsAt time.Time        // when it was made

	alarmed chan struct{}          // closed when RabbitMQ took no messages for the first time
	blocked atomic.Pointer[string] // why it takes none; nil if it does
	probed  atomic.Bool            // probe has published
	broken  chan struct{}          // closed when the connection or the channel ended
	cause   error                  // why; set before broken is closed
	watched sync.WaitGroup
}

func (t target) link(ctx context.Context, name string) (*link, error) {
	connection, socket, err := t.dial(ctx, name)
	if err != nil {
		return nil, err
	}
	l := &link{
		connection: connection,
		socket:     socket,
		confirms:   make(chan amqp091.Confirmation, 4*window),
		returns:    make(chan amqp091.Return, 4*window),
		headers:    amqp091.Table{},
		known:      map[string]bool{},
		alarmed:    make(chan struct{}),
		broken:     make(chan struct{}),
	}
	stop := context.AfterFunc(ctx, l.cut)
	defer stop()
	if l.channel, err = connection.Channel(); err == nil {
		err = l.channel.Confirm(false)
	}
	if err != nil {
		l.cut()
		return nil, err
	}
	l.channel.NotifyPublish(l.confirms)
	l.channel.NotifyReturn(l.returns)
	l.watch()
	return l, nil
}

// watch follows what RabbitMQ says of the connection, until it ends.
func (l *link) watch() {
	blocks := l.connection.NotifyBlocked(make(chan amqp091.Blocking, 8))
	closed := l.connection.NotifyClose(make(chan *amqp091.Error, 1))
	ended := l.channel.NotifyClose(make(chan *amqp091.Error, 1))
	l.watched.Go(func() {
		defer close(l.broken)
		first := true
		l.cause = errors.New("the connection to RabbitMQ is closed")
		for {
			select {
			case b, open := <-blocks:
				switch {
				case !open:
					blocks = nil
				case b.Active:
					l.blocked.Store(&b.Reason)
					if first {
						close(l.alarmed)
						first = false
					}
				default:
					l.blocked.Store(nil)
				}
			case cause := <-ended:
				if cause != nil {
					l.cause = cause
				}
				return
			case cause := <-closed:
				if cause != nil {
					l.cause = cause
				}
				return
			}
		}
	})
}

// alive reports whether the link was not seen to break.
func (l *link) alive() bool {
	select {
	case <-l.broken:
		return false
	default:
		return true
	}
}

// cut ends the connection at once.
func (l *link) cut() { l.socket.Close() }

// close ends the connection after what was written, within a bound.
func (l *link) close() {
	bound := time.AfterFunc(time.Second, l.cut)
	defer bound.Stop()
	_ = l.socket.flush()
	_ = l.connection.Close() // what could not be told is what a cut would leave
	l.cut()
	l.watched.Wait()
}

// takesNone is an error while RabbitMQ takes no messages.
func (l *link) takesNone() error {
	blocked := l.blocked.Load()
	if blocked == nil {
		return nil
	}
	return fmt.Errorf("%w: RabbitMQ has blocked publishing (%s); `rabbitmqctl status` shows the alarm and its limit", celery.ErrTakesNone, *blocked)
}

// why is what keeps RabbitMQ from taking messages, if anything, rather than what came of waiting for it.
func (l *link) why(err error) error {
	if blocked := l.takesNone(); blocked != nil {
		return blocked
	}
	return err
}

// probe asks for an answer, of a link that has published nothing with a message that has nowhere
// to go: RabbitMQ tells of an alarm only whom it keeps from publishing. One that has is not told anew, but by what
// it publishes next.
func (l *link) probe(ctx context.Context, nowhere string) error {
	refusal, err := l.try(func(channel *amqp091.Channel) error {
		if l.probed.Load() {
			return nil
		}
		if err := channel.Confirm(false); err != nil {
			return err
		}
		confirm, err := channel.PublishWithDeferredConfirm("", nowhere, false, false, amqp091.Publishing{})
		if err != nil {
			return err
		}
		closed := channel.NotifyClose(make(chan *amqp091.Error, 1))
		select {
		case <-confirm.Done():
		case <-l.alarmed:
		case cause := <-closed: // who may not publish there, or has lost the connection
			if cause != nil {
				return cause
			}
		case <-ctx.Done():
			return ctx.Err()
		}
		l.probed.Store(true)
		return nil
	})
	if refusal != nil {
		l.probed.Store(true) // it would be refused, and logged, each time
	}
	return err
}

// try runs f on a channel of its own, which an error of RabbitMQ closes alone. It
// returns that error as refusal; err is any other, after which the link is no good.
func (l *link) try(f func(*amqp091.Channel) error) (refusal *amqp091.Error, err error) {
	channel, err := l.connection.Channel()
	if err != nil {
		return nil, err
	}
	err = f(channel)
	if errors.As(err, &refusal) && refusal.Server && !l.connection.IsClosed() {
		return refusal, nil
	}
	return nil, errors.Join(err, channel.Close())
}

// classic makes the queues of onebeat classic ones, whatever the virtual host's
// default is.
const classic = "classic"

// hold makes the shard's exclusive queue this connection's. While another
// connection has it, another node publishes: hold waits for that to end.
func (l *link) hold(ctx context.Context, queue string) error {
	again := time.NewTimer(0)
	for wait := holdWait; ; wait = min(2*wait, holdWaitMax) {
		select {
		case <-ctx.Done():
			return fmt.Errorf("another node holds the queue %s: %w", queue, ctx.Err())
		case <-l.broken:
			return l.cause
		case <-again.C:
		}
		refusal, err := l.try(func(channel *amqp091.Channel) error {
			_, err := channel.QueueDeclare(queue, false, false, true, false, amqp091.Table{"x-queue-type": classic})
			return err
		})
		switch {
		case err != nil:
			return err
		case refusal == nil:
			l.held = true
			return nil
		case refusal.Code != amqp091.ResourceLocked:
			return refusal
		}
		again.Reset(wait)
	}
}

// hold asks again after holdWait, then at growing intervals: RabbitMQ logs each
// refusal.
const (
	holdWait    = 25 * time.Millisecond
	holdWaitMax = time.Second
)
