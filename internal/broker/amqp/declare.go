package amqp

import (
	"cmp"
	"context"
	"fmt"
	"maps"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/onebeat/onebeat/internal/celery"
)

// reach finds out whether a route's queue, or exchange, exists, once a link, and
// declares it if that is wanted. The reason is empty if it does. To ask before
// sending keeps an unknown exchange from closing the channel under other messages.
func (b *Broker) reach(l *link, route celery.Route) (reason string, err error) {
	to := route.Exchange + "\x00" + route.RoutingKey
	if l.known[to] {
		return "", nil
	}
	refusal, err := l.look(route)
	switch {
	case err != nil:
		return "", err
	case refusal == nil || refusal.Code == amqp091.ResourceLocked:
	case refusal.Code != amqp091.NotFound:
		return refusal.Reason, nil
	default:
		if reason, err = b.declare(l, route); reason != "" || err != nil {
			return reason, err
		}
	}
	l.known[to] = true
	return "", nil
}

// look asks for a route's queue, or exchange, and makes nothing: a NotFound says that there is none.
func (l *link) look(route celery.Route) (refusal *amqp091.Error, err error) {
	return l.try(func(channel *amqp091.Channel) error {
		if route.Exchange != "" {
			// The type does not matter to a passive declaration.
			return channel.ExchangeDeclarePassive(route.Exchange, "direct", true, false, false, false, nil)
		}
		_, err := channel.QueueDeclarePassive(route.RoutingKey, true, false, false, false, nil)
		return err
	})
}

// Lacks implements broker.Finder. Whether a queue is bound to an exchange AMQP does not tell.
func (b *Broker) Lacks(ctx context.Context, route celery.Route) (bool, error) {
	if cmp.Or(tooLong("exchange", route.Exchange), tooLong("routing key", route.RoutingKey)) != "" {
		return false, nil // it cannot be asked for
	}
	l, err := b.reached(ctx)
	if err != nil {
		return false, fmt.Errorf("rabbitmq: %w", reason(ctx, err))
	}
	stop := context.AfterFunc(ctx, l.cut)
	defer stop()
	refusal, err := l.look(route)
	if err != nil {
		return false, fmt.Errorf("rabbitmq: %w", reason(ctx, err))
	}
	return refusal != nil && refusal.Code == amqp091.NotFound, nil
}

// declare declares a route's queue as Celery would: exchange, queue, binding. It
// gives the reason if that is not wanted or did not help.
func (b *Broker) declare(l *link, route celery.Route) (reason string, err error) {
	queue := route.Declare
	if !b.options.Declare || queue == nil || route.Exchange != "" && route.Exchange != queue.Exchange.Name {
		return missing(route), nil
	}
	if reason := cmp.Or(tooLong("exchange", queue.Exchange.Name), tooLong("queue", queue.Name), tooLong("routing key", queue.RoutingKey)); reason != "" {
		return reason, nil
	}
	refusal, err := l.try(func(channel *amqp091.Channel) error {
		exchange := queue.Exchange
		err := channel.ExchangeDeclare(exchange.Name, exchange.Type, exchange.Durable, exchange.AutoDelete, false, false, table(exchange.Arguments))
		if err != nil {
			return err
		}
		if _, err := channel.QueueDeclare(queue.Name, queue.Durable, queue.AutoDelete, queue.Exclusive, false, table(queue.Arguments)); err != nil {
			return err
		}
		return channel.QueueBind(queue.Name, queue.RoutingKey, exchange.Name, false, table(queue.Binding))
	})
	if refusal != nil {
		return fmt.Sprintf("queue %s cannot be declared: %s", queue.Name, refusal.Reason), nil
	}
	return "", err
}

func missing(route celery.Route) string {
	if route.Exchange == "" {
		return fmt.Sprintf("queue %s does not exist: start its worker, or run serve with --declare", route.RoutingKey)
	}
	return fmt.Sprintf("exchange %s does not exist, or no queue is bound to it for %q: start the worker that reads it", route.Exchange, route.RoutingKey)
}

// table makes a declaration's arguments, or a message's headers, fit for
// amqp091-go, which wants its own type at each level.
func table(m map[string]any) amqp091.Table {
	if len(m) == 0 {
		return nil
	}
	t := amqp091.Table(maps.Clone(m))
	for key, v := range t {
		t[key] = tableValue(v)
	}
	return t
}

func tableValue(v any) any {
	switch v := v.(type) {
	case map[string]any:
		if t := table(v); t != nil {
			return t
		}
		return amqp091.Table{}
	case []any:
		list := make([]any, len(v))
		for i, item := range v {
			list[i] = tableValue(item)
		}
		return list
	}
	return v
}
