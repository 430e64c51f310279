package amqp_test

import (
	"context"
	"log/slog"
	"net/url"
	"testing"

	"github.com/onebeat/onebeat/internal/broker"
	"github.com/onebeat/onebeat/internal/broker/brokertest"
)

// The nodes of a list stand for each other, in their order.
func TestAListOfURLsIsTriedInOrder(t *testing.T) {
	channel := connect(t, serverURL(t))
	here := queue(t, channel, nil)
	u, err := url.Parse(serverURL(t))
	if err != nil {
		t.Fatal(err)
	}
	first, second := brokertest.NewProxy(t, u.Host), brokertest.NewProxy(t, u.Host)
	first.Down()
	through := func(p *brokertest.Proxy) string {
		u.Host = p.Address()
		return u.String()
	}
	b, err := broker.Open(through(first)+";"+through(second), broker.Options{Installation: unique("list"), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	for seq := range int64(2) {
		part := batch(t, nil, to(here))
		part.Mark.Seq = seq + 1
		for _, err := b.Publish(ctx, part); err != nil; _, err = b.Publish(ctx, part) {
			if ctx.Err() != nil {
				t.Fatalf("Publish: %v", err)
			}
		}
		if got := get(t, channel, here); len(got) != 1 {
			t.Fatalf("%d messages arrived, want 1", len(got))
		}
		first.Up()
		second.Down()
	}
}
