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

	// String is the URL without its password.
	String() string

	Close() error
}

// ErrNoWord says that the broker carries neither events nor remote control.
var ErrNoWord = errors.New("only Redis and RabbitMQ carry the words of workers: give another --broker")

// OpenObserver opens a broker to listen at it. Brokers other than Redis and RabbitMQ are
// ErrNoWord.
func OpenObserver(url string, options Options) (Observer, error) {
	b, err := Open(url, options)
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
