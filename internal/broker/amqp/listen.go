package amqp

import (
	"context"
	"fmt"
	"time"

	"github.com/gofrs/uuid/v5"
	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/onebeat/onebeat/internal/celery"
)

// bindAgain is how often exchanges that do not exist yet are looked for.
const bindAgain = 2 * time.Second

// Listen reads a queue of its own, which is bound beside the workers' to the exchange of
// events and to those of the routes that have a name. It makes no exchange: one that is not
// there is looked for again.
func (b *Broker) Listen(ctx context.Context, routes []celery.Route, ready func(), heard func(celery.Delivery)) error {
	l, err := b.reached(ctx)
	if err == nil {
		err = b.listen(ctx, l, routes, ready, heard)
	}
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("rabbitmq: listen: %w", reason(ctx, err))
	}
	return nil
}

func (b *Broker) listen(ctx context.Context, l *link, routes []celery.Route, ready func(), heard func(celery.Delivery)) error {
	name, err := uuid.NewV4()
	if err != nil {
		return err
	}
	channel, err := l.connection.Channel()
	if err != nil {
		return err
	}
	defer channel.Close()
	queue := "onebeat." + name.String() + ".shadow"
	deliveries, err := own(channel, queue)
	if err != nil {
		return err
	}
	missing, err := bind(l, channel, queue, bindings(b.options.Exchanges.Events(), routes))
	if err != nil {
		return err
	}
	ready()
	again := time.NewTicker(bindAgain)
	defer again.Stop()
	for {
		select {
		case d, open := <-deliveries:
			if !open {
				return amqp091.ErrClosed
			}
			heard(delivered(d, b.options.Exchanges))
		case <-again.C:
			if missing, err = bind(l, channel, queue, missing); err != nil {
				return err
			}
		case <-ctx.Done():
			_, err := channel.QueueDelete(queue, false, false, false)
			return err
		}
	}
}

// A binding is what a queue is bound by.
type binding struct{ exchange, key string }

// bindings are those of events, and of the routes through an exchange with a name, each once.
func bindings(events string, routes []celery.Route) []binding {
	all := []binding{{events, "task.sent"}, {events, "task.received"}, {events, "task.multi"}}
	seen := map[binding]bool{}
	for _, r := range routes {
		by := binding{r.Exchange, r.RoutingKey}
		if r.Exchange == "" || seen[by] || r.ExchangeType != "direct" && r.ExchangeType != "topic" && r.ExchangeType != "fanout" {
			continue
		}
		seen[by] = true
		all = append(all, by)
	}
	return all
}

// bind binds the queue as far as the exchanges exist, and returns the bindings that are left.
func bind(l *link, channel *amqp091.Channel, queue string, all []binding) (missing []binding, err error) {
	for _, by := range all {
		refusal, err := l.try(func(channel *amqp091.Channel) error {
			// The type does not matter to a passive declaration.
			return channel.ExchangeDeclarePassive(by.exchange, "direct", true, false, false, false, nil)
		})
		switch {
		case err != nil:
			return nil, err
		case refusal != nil && refusal.Code == amqp091.NotFound:
			missing = append(missing, by)
			continue
		case refusal != nil:
			return nil, refusal
		}
		if err := channel.QueueBind(queue, by.key, by.exchange, false, nil); err != nil {
			return nil, err
		}
	}
	return missing, nil
}
