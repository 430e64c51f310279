package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/onebeat/onebeat/internal/broker/amqp"
	"github.com/onebeat/onebeat/internal/broker/redis"
	"github.com/onebeat/onebeat/internal/celery"
)

// An Observer hears what workers tell. It sends no task, and leaves nothing behind.
type Observer interface {
	// Ask puts requests of remote control to the workers, all at once, and returns what
	// they answered before the wait was over. No worker at all is no error.
	Ask(ctx context.Context, requests []celery.Request, wait time.Duration) ([]celery.Reply, error)

	// Listen hands over events, and what it sees of the messages that go where the routes
	// do, in the order of its seeing them, until ctx ends (nil) or the connection does. It
	// calls ready once, when what is sent from then on is heard; before it has returned it
	// calls neither any more. It may be called again.
	//
	// Redis: events, all messages to fanout exchanges, and those in a queue when it is
	// looked at, ten times a second: a free worker takes one sooner. RabbitMQ: events, and
	// a copy of each message through an exchange with a name, to a queue of its own bound
	// beside the workers'. The default exchange, which Celery sends most messages through,
	// has no bindings.
	Listen(ctx context.Context, routes []celery.Route, ready func(), heard func(celery.Delivery)) error

	// String is the URL without its password.
	String() string

	Close() error
}

// ErrNoWord says that the broker carries neither events nor remote control.
var ErrNoWord = errors.New("only Redis and RabbitMQ carry the words of workers: give another --broker")

// OpenObserver opens a broker to listen at it. Brokers other than Redis and RabbitMQ are
// ErrNoWord.
func OpenObserver(url string, options Options) (Observer, error) {
	b, err := open(url, options)
	if err != nil {
		return nil, err
	}
	switch b := b.(type) {
	case *redis.Broker:
		return b, nil
	case *amqp.Broker:
		return b, nil
	}
	_ = b.Close()
	return nil, fmt.Errorf("broker %s: %w", b, ErrNoWord)
}
