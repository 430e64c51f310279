package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/onebeat/onebeat/internal/store"
)

// samples are what `onebeat dev` has to send when its database is new.
var samples = []store.Definition{
	{Name: "hello every 5 seconds", Task: "demo.hello", Spec: "@every 5s", Kwargs: `{"name": "onebeat"}`, Enabled: true},
	{Name: "add every 10 seconds", Task: "demo.add", Spec: "@every 10s", Args: `[2, 3]`, Enabled: true},
	{Name: "report every minute", Task: "demo.report", Spec: "* * * * *", Args: `["daily"]`, Enabled: true},
}

// Dev runs everything that onebeat needs in this process until ctx ends: a
// database in a SQLite file, and a broker that speaks Redis at address. A new
// database gets sample entries. The broker forgets all when it ends.
func Dev(ctx context.Context, config Config, address string, out io.Writer, log *slog.Logger) error {
	redis := miniredis.NewMiniRedis()
	if err := redis.StartAddr(address); err != nil {
		return fmt.Errorf("the embedded broker cannot listen: %w; choose another address with --redis-listen", err)
	}
	defer redis.Close()
	ticking, stop := context.WithCancel(ctx)
	ticked := make(chan struct{})
	go func() { defer close(ticked); tick(ticking, redis) }()
	defer func() { stop(); <-ticked }()

	celery, err := CelerySettings(config)
	if err != nil {
		return err
	}
	s, err := OpenStore(ctx, config, celery, store.MissingMade, log)
	if err != nil {
		return err
	}
	err = prepareDev(ctx, s)
	s.Close()
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "broker    %s\ndatabase  %s\n", config.String("broker"), config.String("database"))
	if listen := config.String("listen"); listen != "off" {
		fmt.Fprintf(out, "page      http://%s/\nhealth    http://%s/healthz\n", listen, listen)
	}
	return Run(ctx, config, log)
}

// DevBroker is the URL of the embedded broker at address.
func DevBroker(address string) (string, error) {
	if _, port, err := net.SplitHostPort(address); err != nil || port == "" {
		return "", errors.New("give host:port")
	}
	return "redis://" + address + "/0", nil
}

// prepareDev makes the tables, and in a new database the samples.
func prepareDev(ctx context.Context, s *store.Store) error {
	if err := s.Migrate(ctx); err != nil {
		return err
	}
	rows, err := s.List(ctx)
	if err != nil || len(rows) > 0 {
		return err
	}
	for _, sample := range samples {
		if _, err := s.Add(ctx, sample); err != nil {
			return err
		}
	}
	return nil
}

// tick moves the embedded broker's clock, which stands still by itself, so that
// keys with a time to live end.
func tick(ctx context.Context, redis *miniredis.Miniredis) {
	const interval = 100 * time.Millisecond
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			redis.FastForward(interval)
		case <-ctx.Done():
			return
		}
	}
}
