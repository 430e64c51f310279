package broker

import (
	"context"
	"errors"
	"fmt"

	"github.com/onebeat/onebeat/internal/broker/amqp"
	"github.com/onebeat/onebeat/internal/broker/redis"
)

// A Sink is a queue that no worker reads, for messages that are to be counted.
type Sink interface {
	// Length is how many messages lie there.
	Length(ctx context.Context) (int, error)

	// Empty throws them away, and returns how many they were.
	Empty(ctx context.Context) (int, error)

	// Remove deletes the queue, and the fence of the installation and shard of the
	// options.
	Remove(ctx context.Context) error

	Close() error
}

// ErrNoSink says that the broker has no sinks.
var ErrNoSink = errors.New("only Redis and RabbitMQ have queues that can be counted and removed: give another --broker")

// OpenSink makes a queue of the name, which must be nobody's: on RabbitMQ a quorum
// queue. Brokers other than Redis and RabbitMQ are
// ErrNoSink.
func OpenSink(ctx context.Context, url, queue string, options Options) (Sink, error) {
	b, err := open(url, options)
	if err != nil {
		return nil, err
	}
	var sink Sink
	switch b := b.(type) {
	case *redis.Broker:
		sink = b.Sink(queue)
		_, err = sink.Length(ctx) // a broker that is not there is told of now
	case *amqp.Broker:
		sink, err = b.Sink(ctx, queue)
	default:
		err = fmt.Errorf("broker %s: %w", b, ErrNoSink)
	}
	if err != nil {
		_ = b.Close()
		return nil, err
	}
	return sink, nil
}
