package amqp_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/url"
	"strings"
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

// What a RabbitMQ that is frozen leaves behind, for which the client ends the connection itself, is told as what it is.
func TestAFrozenRabbitMQIsToldToGiveNoAnswer(t *testing.T) {
	u, err := url.Parse(brokertest.ServerURL(t, "ONEBEAT_TEST_RABBITMQ"))
	if err != nil {
		t.Fatal(err)
	}
	proxy := brokertest.NewProxy(t, u.Host)
	u.Host, u.RawQuery = proxy.Address(), "connect_timeout=1"
	var logged bytes.Buffer
	b, err := broker.Open(u.String(), broker.Options{Installation: unique("mute"), Logger: slog.New(slog.NewTextHandler(&logged, nil))})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	if _, err := b.Take(ctx, 1); err != nil {
		t.Fatal(err)
	}
	proxy.Stall()
	mute := func(what string, err error) {
		t.Helper()
		if err == nil || !strings.HasSuffix(err.Error(), "no answer in time") || strings.Contains(err.Error(), "Exception") {
			t.Errorf("%s: %v, want that no answer came in time", what, err)
		}
	}
	short := func(do func(ctx context.Context) error) error {
		ctx, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		defer cancel()
		return do(ctx)
	}
	mute("a ping by a connection that stands", short(b.Ping))
	_, err = b.Publish(ctx, batch(t, nil, ""))
	mute("a message by it", err)
	mute("a ping by a new one", b.Ping(ctx))
	mute("a ping by a new one, that has no time", short(b.Ping))
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if text := logged.String(); strings.Contains(text, "Exception") || !strings.Contains(text, "no answer in time") {
		t.Errorf("logged:\n%s", text)
	}
}
