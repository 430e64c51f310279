// Package broker sends task messages to the broker that the workers read.
//
// A Broker publishes for one shard of one installation. It sends parts, each with
// the mark that holds once the part has arrived, and keeps that mark at the broker:
//
//   - All messages of a part are with the broker, for good, once Publish returned nil.
//   - A part may be published again after an error. What had arrived is not sent
//     again: always so on Redis, in databases and folders; on RabbitMQ and SQS up to the
//     last mark: one every 10 messages there, one a part here.
//   - Whoever took a lower term can send nothing more after Take returned.
//
// Events of sent tasks are best effort and cost a Publish no time. Redis and RabbitMQ
// alone carry them.
package broker

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/onebeat/onebeat/internal/broker/address"
	"github.com/onebeat/onebeat/internal/broker/amqp"
	"github.com/onebeat/onebeat/internal/broker/filesystem"
	"github.com/onebeat/onebeat/internal/broker/redis"
	"github.com/onebeat/onebeat/internal/broker/sqlalchemy"
	"github.com/onebeat/onebeat/internal/broker/sqs"
	"github.com/onebeat/onebeat/internal/celery"
)

// A Broker is where a shard's messages go. One goroutine at a time calls Take and
// Publish; Ping and String may be called beside them. Contexts bound every wait.
type Broker interface {
	// Take makes the broker refuse all lower terms from now on, and returns the mark
	// as it stood, zero if there was none. ErrFenced if it has seen a higher term. It
	// may be called again. On RabbitMQ it waits until the node that published before
	// has let go (Release, Close, or its connection's end).
	Take(ctx context.Context, term int64) (celery.Mark, error)

	// Publish sends the messages of a part that the broker's mark does not cover, in
	// order of Index, and moves the mark on. It returns those that the broker took no
	// copy of, which the mark covers nevertheless. Other errors: ErrFenced, with nothing
	// sent, and *celery.PublishError, after which the same part may be published
	// again. A part without messages moves the mark alone. Once it has returned without an
	// error, nothing reads the part's messages any more.
	Publish(ctx context.Context, part celery.Part) ([]celery.Failure, error)

	// Release lets another node take the shard at once. It is called when the work of
	// a term has ended, however it ended; a later Take takes the shard again.
	Release()

	// Ping returns nil if the broker answers and takes messages.
	Ping(ctx context.Context) error

	// String is the URL without its password.
	String() string

	// Close releases the shard and the connections.
	Close() error
}

// Options are what Open needs beside the URL.
type Options struct {
	// Installation and Shard name the fence at the broker. Two installations may
	// share a broker.
	Installation string
	Shard        int

	// TransportOptions are Celery's broker_transport_options, which must be those of
	// the workers.
	TransportOptions map[string]any

	// Exchanges are where workers tell events and hear remote control, on Redis and RabbitMQ.
	Exchanges celery.Exchanges

	// Declare lets queues of RabbitMQ and SQS that do not exist be made, as Celery would.
	Declare bool

	// Shuffle tries the URLs of a list in any order (broker_failover_strategy shuffle).
	Shuffle bool

	// Node is the sender's name in events.
	Node string

	// Logger is told when a connection comes and goes; nil is slog.Default.
	Logger *slog.Logger

	// Dropped is told, from another goroutine, of task-sent events that were given
	// up; it may be nil.
	Dropped func(events int)
}

// Check returns what is wrong with the URL or the options, as Open does. It asks no broker for anything.
func Check(url string, options Options) error {
	if isRedis(schemeOf(url)) { // which Open connects to once
		return redis.Check(url, options.TransportOptions)
	}
	b, err := open(url, options)
	if err != nil {
		return err
	}
	return b.Close()
}

// schemeOf is a URL's scheme, in small letters.
func schemeOf(url string) string {
	scheme, _, _ := strings.Cut(strings.TrimSpace(url), ":")
	return strings.ToLower(scheme)
}

func isRedis(scheme string) bool {
	return slices.Contains([]string{"redis", "rediss", "redis+socket", "valkey", "valkeys", "sentinel", "sentinels"}, scheme)
}

// LeftFor is how long kombu's transport leaves a message with a worker that has not acknowledged it, before another gets it
// too; 0 where it does for ever.
func LeftFor(url string, transportOptions map[string]any) time.Duration {
	var seconds float64
	switch scheme := schemeOf(url); {
	case isRedis(scheme):
		seconds = 3600
	case scheme == "sqs":
		seconds = 1800
	default:
		return 0
	}
	if given, err := strconv.ParseFloat(fmt.Sprint(transportOptions["visibility_timeout"]), 64); err == nil && given > 0 {
		seconds = given
	}
	return time.Duration(seconds * float64(time.Second))
}

// Open picks the adapter by the URL's scheme. It does not wait for the broker: one
// that is down does not stop the daemon. Its errors are faults of the URL or the
// options.
func Open(url string, options Options) (Broker, error) {
	b, err := open(url, options)
	if err != nil {
		return nil, err
	}
	return newPrompt(b), nil
}

func open(url string, options Options) (Broker, error) {
	logger := options.Logger
	if logger == nil {
		logger = slog.Default()
	}
	scheme := schemeOf(url)
	switch {
	case isRedis(scheme):
		return redis.Open(url, redis.Options{
			Installation: options.Installation,
			Shard:        options.Shard,
			Transport:    options.TransportOptions,
			Shuffle:      options.Shuffle,
			Node:         options.Node,
			Exchanges:    options.Exchanges,
			Logger:       logger,
			Dropped:      options.Dropped,
		})
	case scheme == "amqp", scheme == "amqps", scheme == "pyamqp":
		return amqp.Open(url, amqp.Options{
			Installation: options.Installation,
			Shard:        options.Shard,
			Declare:      options.Declare,
			Shuffle:      options.Shuffle,
			Node:         options.Node,
			Exchanges:    options.Exchanges,
			Logger:       logger,
			Dropped:      options.Dropped,
		})
	}
	if scheme == "sqs" {
		return sqs.Open(url, sqs.Options{
			Installation: options.Installation,
			Shard:        options.Shard,
			Transport:    options.TransportOptions,
			Declare:      options.Declare,
			Logger:       logger,
		})
	}
	if scheme == "filesystem" {
		return filesystem.Open(url, filesystem.Options{
			Installation: options.Installation,
			Shard:        options.Shard,
			Transport:    options.TransportOptions,
		})
	}
	if kind, _, _ := strings.Cut(scheme, "+"); kind == "sqla" || kind == "sqlalchemy" {
		return sqlalchemy.Open(url, sqlalchemy.Options{
			Installation: options.Installation,
			Shard:        options.Shard,
			Transport:    options.TransportOptions,
			Logger:       logger,
		})
	}
	return nil, fmt.Errorf("broker %q is not supported: it should be redis://, rediss://, redis+socket://, sentinel://, amqp://, amqps://, sqla+postgresql:// (also mysql, sqlite), filesystem:// or sqs://", scheme)
}

// Batch is how many messages are best claimed and sent together. RabbitMQ confirms a few as
// late as many, for a quorum queue is on several disks by then.
func Batch(b Broker) int {
	if _, ok := adapterOf(b).(*amqp.Broker); ok {
		return 8000
	}
	return 1000
}

// adapterOf returns the broker without what lets go of its calls at once.
func adapterOf(b Broker) Broker {
	if p, ok := b.(*prompt); ok {
		return p.Broker
	}
	return b
}

// Redact returns a broker's URL without its password, for people to read.
func Redact(url string) string { return address.Redact(url) }

// WithTLS returns a broker's URL, or list of them, with Celery's broker_use_ssl in
// it: what the URL itself says goes before. No options are those of true.
func WithTLS(url string, options map[string]any) (string, error) {
	return address.WithTLS(url, options)
}
