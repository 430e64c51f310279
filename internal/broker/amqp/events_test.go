package amqp_test

import (
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/onebeat/onebeat/internal/broker"
	"github.com/onebeat/onebeat/internal/celery"
)

// RabbitMQ closes the channel of events when their exchange is gone: what comes after is told of over another.
func TestEventsGoOnWhenTheirExchangeWasGone(t *testing.T) {
	channel := connect(t, serverURL(t))
	here, exchange := queue(t, channel, nil), unique("events")
	events := make(chan amqp091.Delivery, 64)
	listen := func() {
		t.Helper()
		if err := channel.ExchangeDeclare(exchange, "topic", true, false, false, false, nil); err != nil {
			t.Fatal(err)
		}
		listener, err := channel.QueueDeclare("", false, true, true, false, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := channel.QueueBind(listener.Name, "#", exchange, false, nil); err != nil {
			t.Fatal(err)
		}
		heard, err := channel.Consume(listener.Name, "", true, true, false, false, nil)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			for d := range heard {
				events <- d
			}
		}()
	}
	b := open(t, broker.Options{Exchanges: celery.Exchanges{EventExchange: exchange}})
	part := batch(t, nil, to(here))
	part.Events = true
	told := func() bool { // sends one message more
		t.Helper()
		part.Mark.Seq++
		part.Messages[0].ID = unique("task")
		if _, err := publish(t, b, part); err != nil {
			t.Fatal(err)
		}
		select {
		case <-events:
			return true
		case <-time.After(200 * time.Millisecond):
			return false
		}
	}
	goesOn := func(when string) {
		t.Helper()
		for over := time.Now().Add(wait); !told(); {
			if time.Now().After(over) {
				t.Fatalf("no event came %s", when)
			}
		}
	}
	listen()
	goesOn("at first")
	if err := channel.ExchangeDelete(exchange, false, false); err != nil {
		t.Fatal(err)
	}
	if told() {
		t.Fatal("an event came though its exchange was gone")
	}
	listen()
	goesOn("once the exchange was there again")
	if err := channel.ExchangeDelete(exchange, false, false); err != nil {
		t.Error(err)
	}
}
