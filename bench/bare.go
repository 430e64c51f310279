package main

import (
	"context"
	"fmt"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/onebeat/onebeat/internal/celery"
	"github.com/onebeat/onebeat/internal/measure"
)

// bareName is what the bare line is called.
const bareName = "RabbitMQ, bare"

// bareWindow is how many messages may wait for their confirms.
const bareWindow = 1024

// bare measures what RabbitMQ itself takes: the message of a task again and again,
// persistent, mandatory, to a quorum queue, published by one connection and confirmed. Nothing
// else is done for them.
func (b *bench) bare(ctx context.Context, entries int) (Herd, error) {
	result := Herd{Scheduler: bareName, Burst: measure.Burst{Entries: entries}}
	conn, err := amqp.Dial(b.rabbitmq)
	if err != nil {
		return result, err
	}
	defer conn.Close()
	channel, err := conn.Channel()
	if err != nil {
		return result, err
	}
	queue := measure.Name()
	if _, err := channel.QueueDeclare(queue, true, false, false, false, amqp.Table{"x-queue-type": "quorum"}); err != nil {
		return result, err
	}
	defer func() { _, _ = channel.QueueDelete(queue, false, false, false) }() // the server is a test's
	if err := channel.Confirm(false); err != nil {
		return result, err
	}
	confirms := channel.NotifyPublish(make(chan amqp.Confirmation, 2*bareWindow))
	message, err := taskMessage(queue)
	if err != nil {
		return result, err
	}
	settled := 0
	settle := func(limit int) error {
		for settled < limit {
			select {
			case confirm, open := <-confirms:
				if !open || !confirm.Ack {
					return fmt.Errorf("message %d was not confirmed", settled+1)
				}
				settled++
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	}
	began := time.Now()
	for i := range entries {
		if err := channel.PublishWithContext(ctx, "", queue, true, false, message); err != nil {
			return result, err
		}
		if err := settle(i + 1 - bareWindow); err != nil {
			return result, err
		}
	}
	if err := settle(entries); err != nil {
		return result, err
	}
	result.Sent, result.Last = entries, time.Since(began)
	result.Seen, result.Rate = result.Last, float64(entries)/result.Last.Seconds()
	return result, nil
}

// taskMessage is what onebeat would publish for an entry.
func taskMessage(queue string) (amqp.Publishing, error) {
	config, err := celery.ParseConfig(nil)
	if err != nil {
		return amqp.Publishing{}, err
	}
	template, err := config.Template(celery.Task{
		Name: "bench.tasks.report", Entry: "report of customer 1", Args: `["daily", 1]`,
		Kwargs:  `{"schedule_id": 1, "from_date": "20250729", "to_date": "20250730"}`,
		Options: fmt.Sprintf(`{"queue": %q, "expires": 1800, "soft_time_limit": 300}`, queue),
	})
	if err != nil {
		return amqp.Publishing{}, err
	}
	m := celery.Message{Template: template, ID: "00000000-0000-5000-8000-000000000000", Slot: time.Now(), At: time.Now()}
	p := template.Properties(m)
	message := amqp.Publishing{
		Headers: amqp.Table(template.Headers(m)), ContentType: p.ContentType, ContentEncoding: p.ContentEncoding, DeliveryMode: p.DeliveryMode,
		Priority: p.Priority, CorrelationId: p.CorrelationID, ReplyTo: p.ReplyTo, MessageId: m.ID, Body: template.Body(),
	}
	for key, value := range message.Headers {
		if nested, ok := value.(map[string]any); ok {
			message.Headers[key] = amqp.Table(nested) // the client wants its own type
		}
	}
	return message, message.Headers.Validate()
}
