package amqp_test

import (
	"context"
	"log/slog"
	"net/url"
	"testing"
	"time"

	"github.com/onebeat/onebeat/internal/broker"
	"github.com/onebeat/onebeat/internal/broker/brokertest"
)

// A node that is frozen, or cut off without a word, does not keep the next one
// waiting for longer than the lease does. RabbitMQ looks each heartbeat, and lets go
// after two looks that saw nothing.
func TestAFrozenNodeIsLetGoOf(t *testing.T) {
	u, err := url.Parse(brokertest.ServerURL(t, "ONEBEAT_TEST_RABBITMQ"))
	if err != nil {
		t.Fatal(err)
	}
	options := broker.Options{Installation: unique("frozen"), Logger: slog.New(slog.DiscardHandler)}
	proxy := brokertest.NewProxy(t, u.Host)
	next, err := broker.Open(u.String(), options)
	if err != nil {
		t.Fatal(err)
	}
	defer next.Close()
	u.Host = proxy.Address()
	frozen, err := broker.Open(u.String(), options)
	if err != nil {
		t.Fatal(err)
	}
	defer frozen.Close()
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	if _, err := frozen.Take(ctx, 1); err != nil {
		t.Fatal(err)
	}
	proxy.Stall()
	since := time.Now()
	if _, err := next.Take(ctx, 2); err != nil {
		t.Fatal(err)
	}
	took := time.Since(since)
	t.Logf("the next node had the shard after %v", took.Round(time.Millisecond))
	if took > 5*time.Second {
		t.Errorf("the next node had the shard after %v, want under 5s", took)
	}
}
