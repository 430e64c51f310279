package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/onebeat/onebeat/test/harness"
	"github.com/onebeat/onebeat/test/stack/server"
)

// A bench is what measurements are made with.
type bench struct {
	onebeat  string // the command
	profile  string // a folder for profiles; none if empty
	postgres string // URLs
	redis    string
	rabbitmq string
	python   string // with the newest Celery

	servers []*server.Server // that were started here
}

// prepare starts the servers that the lines want and the environment does not
// name. PostgreSQL waits for the disk, as in production.
func (b *bench) prepare(ctx context.Context, lines []string) (err error) {
	if b.onebeat, err = filepath.Abs(b.onebeat); err != nil {
		return err
	}
	wanted := strings.Join(lines, ",") + ",redis" // of which beat too has need
	for _, s := range []struct {
		name, variable string
		url            *string
		start          func() (*server.Server, error)
	}{
		{"postgres", "ONEBEAT_TEST_POSTGRES", &b.postgres, func() (*server.Server, error) {
			return server.Postgres(ctx, server.PostgresOptions{Fsync: true})
		}},
		{"redis", "ONEBEAT_TEST_REDIS", &b.redis, func() (*server.Server, error) { return server.Redis(ctx, server.RedisOptions{}) }},
		{"rabbitmq", "ONEBEAT_TEST_RABBITMQ", &b.rabbitmq, func() (*server.Server, error) { return server.RabbitMQ(ctx) }},
	} {
		if *s.url = os.Getenv(s.variable); *s.url != "" || !strings.Contains(wanted, s.name) {
			continue
		}
		started, err := s.start()
		if err != nil {
			return err
		}
		b.servers = append(b.servers, started)
		*s.url = started.URL()
	}
	if b.python = os.Getenv("ONEBEAT_TEST_PYTHON"); b.python == "" {
		root, err := harness.Root()
		if err != nil {
			return err
		}
		b.python = filepath.Join(root, ".cache", "venv-celery-new", "bin", "python")
	}
	if _, err := os.Stat(b.python); err != nil && strings.Contains(wanted, beatLine) {
		return fmt.Errorf("there is no Celery to measure: %w; `make deps` installs it", err)
	}
	return nil
}

// close stops what prepare started.
func (b *bench) close() error {
	var errs []error
	for _, s := range b.servers {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}
