package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/redis/rueidis"
)

// A queue is one of the broker's, where messages pile up to be counted.
type queue interface {
	// length is how many messages lie there; at RabbitMQ, those it has confirmed
	// and a few that it will.
	length(ctx context.Context) (int, error)
	remove()
}

// A redisQueue is a list.
type redisQueue struct {
	client rueidis.Client
	key    string
	fence  func() string // of the node that published; "" for none
}

func newRedisQueue(url, name string, fence func() string) (*redisQueue, error) {
	options, err := rueidis.ParseURL(url)
	if err != nil {
		return nil, err
	}
	options.DisableCache = true
	client, err := rueidis.NewClient(options)
	return &redisQueue{client, name, fence}, err
}

func (q *redisQueue) length(ctx context.Context) (int, error) {
	n, err := q.client.Do(ctx, q.client.B().Llen().Key(q.key).Build()).AsInt64()
	return int(n), err
}

func (q *redisQueue) remove() {
	keys := []string{q.key}
	if fence := q.fence(); fence != "" {
		keys = append(keys, fence)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_ = q.client.Do(ctx, q.client.B().Del().Key(keys...).Build()).Error() // the server is a test's
	q.client.Close()
}

// An amqpQueue is a quorum queue, as RabbitMQ advises for what must not be lost.
type amqpQueue struct {
	conn    *amqp.Connection
	channel *amqp.Channel
	name    string
}

func newAMQPQueue(url, name string) (*amqpQueue, error) {
	conn, err := amqp.Dial(url)
	if err != nil {
		return nil, err
	}
	channel, err := conn.Channel()
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	_, err = channel.QueueDeclare(name, true, false, false, false, amqp.Table{"x-queue-type": "quorum"})
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return &amqpQueue{conn, channel, name}, nil
}

func (q *amqpQueue) length(context.Context) (int, error) {
	found, err := q.channel.QueueDeclarePassive(q.name, true, false, false, false, amqp.Table{"x-queue-type": "quorum"})
	return found.Messages, err
}

func (q *amqpQueue) remove() {
	_, _ = q.channel.QueueDelete(q.name, false, false, false) // the server is a test's
	_ = q.conn.Close()
}

// A sighting is what was seen of a queue from the outside.
type sighting struct {
	count       int
	first, last time.Time // when the first message was seen, and the last of count
}

// glance is how often a queue is looked at: the precision of a sighting.
const glance = 2 * time.Millisecond

// observe watches a queue from an instant on until it holds want messages, or for
// at most window from its first one, which has to come within patience.
func observe(ctx context.Context, q queue, want int, from time.Time, patience, window time.Duration) (sighting, error) {
	var seen sighting
	if err := until(ctx, from); err != nil {
		return seen, err
	}
	over := time.Now().Add(patience)
	tick := time.NewTicker(glance)
	defer tick.Stop()
	for seen.count < want && time.Now().Before(over) {
		n, err := q.length(ctx)
		now := time.Now()
		if err != nil {
			return seen, fmt.Errorf("look at the queue: %w", err)
		}
		if n > 0 && seen.count == 0 {
			seen.first = now
			over = now.Add(window)
		}
		if n > seen.count {
			seen.count, seen.last = n, now
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return seen, ctx.Err()
		}
	}
	if seen.count == 0 {
		return seen, fmt.Errorf("nothing came within %v", patience)
	}
	return seen, nil
}

// until waits for an instant.
func until(ctx context.Context, at time.Time) error {
	select {
	case <-time.After(time.Until(at)):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
