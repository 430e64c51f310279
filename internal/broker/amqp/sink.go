package amqp

import (
	"context"
	"fmt"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/onebeat/onebeat/internal/celery"
)

// A Sink is a queue that no worker reads.
type Sink struct {
	*Broker
	queue string
}

// quorum is the kind of queue that RabbitMQ advises for what must not be lost.
var quorum = amqp091.Table{"x-queue-type": "quorum"}

// Sink declares a quorum queue of the name.
func (b *Broker) Sink(ctx context.Context, queue string) (Sink, error) {
	s := Sink{b, queue}
	return s, s.do(ctx, "declare the queue", func(channel *amqp091.Channel) error {
		_, err := channel.QueueDeclare(queue, true, false, false, false, quorum)
		return err
	})
}

// Length is how many messages lie there, as RabbitMQ counts them now and then.
func (s Sink) Length(ctx context.Context) (n int, err error) {
	err = s.do(ctx, "length of the queue", func(channel *amqp091.Channel) error {
		found, err := channel.QueueDeclarePassive(s.queue, true, false, false, false, quorum)
		n = found.Messages
		return err
	})
	return n, err
}

// Empty throws the messages away, and returns how many they were.
func (s Sink) Empty(ctx context.Context) (n int, err error) {
	err = s.do(ctx, "empty the queue", func(channel *amqp091.Channel) (err error) {
		n, err = channel.QueuePurge(s.queue, false)
		return err
	})
	return n, err
}

// bare is the name of the queue that Bare publishes to.
func (s Sink) bare() string { return s.queue + "_bare" }

// Remove deletes the queue, those of the shard's marks, and what a Bare that was cut off left.
func (s Sink) Remove(ctx context.Context) error {
	return s.do(ctx, "remove the queue", func(channel *amqp091.Channel) error {
		for _, name := range []string{s.queue, s.bare(), s.queues.steps, s.queues.marks} {
			if _, err := channel.QueueDelete(name, false, false, false); err != nil {
				return err
			}
		}
		return nil
	})
}

// Bare publishes n messages, those given again and again, to a quorum queue of their own, by one
// connection, persistent, mandatory and confirmed, and does nothing else: no marks, no fence.
// It returns how long RabbitMQ and its client took for that.
func (s Sink) Bare(ctx context.Context, messages []celery.Message, n int) (took time.Duration, err error) {
	ready := make([]amqp091.Publishing, len(messages))
	for i, m := range messages {
		ready[i] = publishing(m, amqp091.Table{})
	}
	l, err := s.targets[s.at].link(ctx, s.options.Node)
	if err != nil {
		return 0, fmt.Errorf("rabbitmq: publish bare: %w", reason(ctx, err))
	}
	defer l.close()
	defer context.AfterFunc(ctx, l.cut)()
	queue := s.bare()
	if _, err = l.channel.QueueDeclare(queue, true, false, false, false, quorum); err != nil {
		return 0, fmt.Errorf("rabbitmq: publish bare: %w", reason(ctx, err))
	}
	defer func() { _, _ = l.channel.QueueDelete(queue, false, false, false) }() // which a broken link cannot
	began, settled := time.Now(), 0
	for i := 0; i < n && err == nil; i++ {
		if err = l.channel.PublishWithContext(ctx, "", queue, true, false, ready[i%len(ready)]); err == nil {
			settled, err = l.confirmed(ctx, settled, i+1-window)
		}
	}
	if err == nil {
		_, err = l.confirmed(ctx, settled, n)
	}
	if err != nil {
		return 0, fmt.Errorf("rabbitmq: publish bare: %w", reason(ctx, err))
	}
	return time.Since(began), nil
}

// confirmed waits until so many of the link's messages are confirmed, of which some were.
func (l *link) confirmed(ctx context.Context, settled, want int) (int, error) {
	for ; settled < want; settled++ {
		select {
		case confirm, open := <-l.confirms:
			if !open || !confirm.Ack {
				return settled, fmt.Errorf("message %d was not confirmed", settled+1)
			}
		case <-ctx.Done():
			return settled, ctx.Err()
		}
	}
	return settled, nil
}

func (s Sink) do(ctx context.Context, what string, f func(*amqp091.Channel) error) error {
	l, err := s.reached(ctx)
	if err == nil {
		stop := context.AfterFunc(ctx, l.cut)
		defer stop()
		var refusal *amqp091.Error
		if refusal, err = l.try(f); refusal != nil {
			err = refusal
		}
	}
	if err != nil {
		return fmt.Errorf("rabbitmq: %s: %w", what, reason(ctx, err))
	}
	return nil
}
