package amqp

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/gofrs/uuid/v5"
	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/onebeat/onebeat/internal/celery"
)

// Ask publishes the requests where the workers listen, and takes their answers from an
// exclusive queue of its own, which they reach by its name: no exchange is made. What
// comes after the queue is gone RabbitMQ throws away.
func (b *Broker) Ask(ctx context.Context, requests []celery.Request, wait time.Duration) ([]celery.Reply, error) {
	l, err := b.reached(ctx)
	if err != nil {
		return nil, fmt.Errorf("rabbitmq: ask workers: %w", reason(ctx, err))
	}
	stop := context.AfterFunc(ctx, l.cut)
	defer stop()
	var replies []celery.Reply
	refusal, err := l.try(func(channel *amqp091.Channel) (err error) {
		replies, err = b.ask(ctx, channel, requests, wait)
		return err
	})
	switch {
	case refusal != nil && refusal.Code == amqp091.NotFound: // the exchange: no worker has ever been here
		return nil, nil
	case refusal != nil:
		return nil, fmt.Errorf("rabbitmq: ask workers: %w", refusal)
	case err != nil:
		return nil, fmt.Errorf("rabbitmq: ask workers: %w", reason(ctx, err))
	}
	return replies, nil
}

func (b *Broker) ask(ctx context.Context, channel *amqp091.Channel, requests []celery.Request, wait time.Duration) (replies []celery.Reply, err error) {
	if err := channel.ExchangeDeclarePassive(b.options.Exchanges.Control(), "fanout", false, false, false, false, nil); err != nil {
		return nil, err
	}
	name, err := uuid.NewV4()
	if err != nil {
		return nil, err
	}
	queue := "onebeat." + name.String() + "." + b.options.Exchanges.Replies()
	answers, err := own(channel, queue)
	if err != nil {
		return nil, err
	}
	over := time.Now().Add(wait)
	for _, r := range requests {
		body, err := r.Body("", queue)
		if err != nil {
			return nil, err
		}
		err = channel.PublishWithContext(ctx, b.options.Exchanges.Control(), "", false, false, amqp091.Publishing{
			ContentType: "application/json", ContentEncoding: "utf-8", DeliveryMode: amqp091.Transient,
			Headers: table(celery.ControlHeaders(over)), Body: body,
		})
		if err != nil {
			return nil, err
		}
	}
	end := time.NewTimer(wait)
	defer end.Stop()
	for {
		select {
		case d, open := <-answers:
			if !open {
				return nil, amqp091.ErrClosed
			}
			more, err := celery.ReadReplies(delivered(d, b.options.Exchanges))
			if err != nil {
				return nil, err
			}
			replies = append(replies, more...)
		case <-end.C:
			_, err := channel.QueueDelete(queue, false, false, false)
			return replies, err
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// own makes a queue that only this connection reads, that ends with it, and that holds
// no more than ownMost messages, and reads it.
func own(channel *amqp091.Channel, queue string) (<-chan amqp091.Delivery, error) {
	_, err := channel.QueueDeclare(queue, false, true, true, false, amqp091.Table{"x-queue-type": classic, "x-max-length": int32(ownMost)})
	if err != nil {
		return nil, err
	}
	return channel.Consume(queue, "", true, true, false, false, nil)
}

// ownMost is more than are ever unread.
const ownMost = 10_000

// delivered is what came, as every transport has it.
func delivered(d amqp091.Delivery, words celery.Exchanges) celery.Delivery {
	properties := map[string]any{
		"priority": json.Number(strconv.Itoa(int(d.Priority))), "delivery_mode": json.Number(strconv.Itoa(int(d.DeliveryMode))),
		"correlation_id": d.CorrelationId, "reply_to": d.ReplyTo,
	}
	if d.Expiration != "" {
		properties["expiration"] = d.Expiration
	}
	return celery.Delivery{
		Exchange: d.Exchange, RoutingKey: d.RoutingKey, ContentType: d.ContentType, ContentEncoding: d.ContentEncoding,
		Headers: plainTable(d.Headers), Properties: properties, Body: d.Body, Event: d.Exchange == words.Events(),
	}
}

// plainTable is an AMQP table as JSON would be decoded.
func plainTable(t amqp091.Table) map[string]any {
	m := make(map[string]any, len(t))
	for key, v := range t {
		m[key] = plainValue(v)
	}
	return m
}

func plainValue(v any) any {
	switch v := v.(type) {
	case amqp091.Table:
		return plainTable(v)
	case []any:
		list := make([]any, len(v))
		for i, item := range v {
			list[i] = plainValue(item)
		}
		return list
	case int8, int16, int32, int64, int, uint8, uint16, uint32, uint64:
		return json.Number(fmt.Sprint(v))
	case float32, float64:
		text, err := json.Marshal(v)
		if err != nil {
			return nil // NaN and the like, which JSON has not
		}
		return json.Number(text)
	}
	return v
}
