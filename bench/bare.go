package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/onebeat/onebeat/internal/measure"
)

// bareName is what the bare line is called.
const bareName = "RabbitMQ, bare"

// bareWindow is how many messages may wait for their confirms.
const bareWindow = 1024

// bare measures what RabbitMQ itself takes: persistent messages of the size of tasks,
// mandatory, to a quorum queue, published by one connection and confirmed. Nothing
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
	message := amqp.Publishing{
		Headers: amqp.Table{
			"lang": "py", "task": "bench.tasks.report", "id": queue, "root_id": queue, "origin": queue, "argsrepr": strings.Repeat("a", 20),
			"kwargsrepr": strings.Repeat("k", 80), "retries": int32(0), "expires": "2026-01-01T00:30:00+00:00", "timelimit": []any{nil, int32(300)},
		},
		ContentType: "application/json", ContentEncoding: "utf-8", DeliveryMode: amqp.Persistent, CorrelationId: queue,
		Body: []byte(strings.Repeat("b", 170)),
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
