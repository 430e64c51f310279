package amqp

import (
	"context"
	"fmt"

	amqp091 "github.com/rabbitmq/amqp091-go"
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

// Empty throws the messages away.
func (s Sink) Empty(ctx context.Context) error {
	return s.do(ctx, "empty the queue", func(channel *amqp091.Channel) error {
		_, err := channel.QueuePurge(s.queue, false)
		return err
	})
}

// Remove deletes the queue and those of the shard's marks.
func (s Sink) Remove(ctx context.Context) error {
	return s.do(ctx, "remove the queue", func(channel *amqp091.Channel) error {
		for _, name := range []string{s.queue, s.queues.steps, s.queues.marks} {
			if _, err := channel.QueueDelete(name, false, false, false); err != nil {
				return err
			}
		}
		return nil
	})
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
