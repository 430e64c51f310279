package amqp_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/onebeat/onebeat/internal/broker"
	"github.com/onebeat/onebeat/internal/celery"
	servers "github.com/onebeat/onebeat/test/stack/server"
)

// RabbitMQ tells a connection of its alarm once that has published, and answers all else.
func TestAnAlarmIsSaid(t *testing.T) {
	alarmed, err := servers.RabbitMQ(t.Context(), "disk_free_limit.absolute = 1000000GB")
	if err != nil {
		t.Fatal(err)
	}
	defer alarmed.Close()
	b, err := broker.Open(alarmed.URL(), broker.Options{Installation: unique("alarm"), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for _, tt := range []struct {
		name  string
		bound time.Duration
		do    func(context.Context) error
	}{
		{"Ping", wait, b.Ping}, // of a connection that has published nothing
		{"Take", time.Second, func(ctx context.Context) error { _, err := b.Take(ctx, 1); return err }},
		{"Publish", time.Second, func(ctx context.Context) error {
			_, err := b.Publish(ctx, batch(t, nil, to("alarm")))
			return err
		}},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), tt.bound)
		err := tt.do(ctx)
		cancel()
		if !errors.Is(err, celery.ErrTakesNone) || !strings.Contains(err.Error(), "low on disk") || strings.Contains(err.Error(), "deadline") {
			t.Errorf("%s: %v, want celery.ErrTakesNone and low on disk", tt.name, err)
		}
	}
}
