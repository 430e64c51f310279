package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/onebeat/onebeat/test/harness"
	"github.com/onebeat/onebeat/test/stack/server"
)

// A bench is what measurements are made with.
type bench struct {
	onebeat  string // the command
	profile  string // a folder for profiles; none if empty
	dir      string // for files; removed at the end
	postgres string // URLs
	redis    string
	rabbitmq string

	python, django, redbeat string // Pythons, with what is measured

	servers []*server.Server // that were started here
}

// prepare starts the servers that the lines want and the environment does not
// name. PostgreSQL waits for the disk, as in production.
func (b *bench) prepare(ctx context.Context, lines []string) (err error) {
	if b.onebeat, err = filepath.Abs(b.onebeat); err != nil {
		return err
	}
	if b.dir, err = os.MkdirTemp("", "onebeat-bench-"); err != nil {
		return err
	}
	root, err := harness.Root()
	if err != nil {
		return err
	}
	for variable, to := range map[string]struct {
		python *string
		venv   string
	}{
		"ONEBEAT_TEST_PYTHON":  {&b.python, "new"},
		"ONEBEAT_TEST_DJANGO":  {&b.django, "django"},
		"ONEBEAT_TEST_REDBEAT": {&b.redbeat, "redbeat"},
	} {
		*to.python = cmp.Or(os.Getenv(variable), filepath.Join(root, ".cache", "venv-celery-"+to.venv, "bin", "python"))
	}
	wanted := strings.Join(lines, ",")
	wants := func(words ...string) bool {
		for _, word := range words {
			if strings.Contains(wanted, word) {
				return true
			}
		}
		return false
	}
	for _, s := range []struct {
		variable string
		url      *string
		wanted   bool
		start    func() (*server.Server, error)
	}{
		{"ONEBEAT_TEST_POSTGRES", &b.postgres, wants("postgres", "django"), func() (*server.Server, error) {
			return server.Postgres(ctx, server.PostgresOptions{Fsync: true})
		}},
		{"ONEBEAT_TEST_REDIS", &b.redis, wants("redis", "beat", "django"), func() (*server.Server, error) { return server.Redis(ctx, server.RedisOptions{}) }},
		{"ONEBEAT_TEST_RABBITMQ", &b.rabbitmq, wants("rabbitmq"), func() (*server.Server, error) { return server.RabbitMQ(ctx) }},
	} {
		if *s.url = os.Getenv(s.variable); *s.url != "" || !s.wanted {
			continue
		}
		started, err := s.start()
		if err != nil {
			return err
		}
		b.servers = append(b.servers, started)
		*s.url = started.URL()
	}
	return nil
}

// versions are those of the servers, as far as they tell.
func (b *bench) versions(ctx context.Context) string {
	var known []string
	if conn, err := pgx.Connect(ctx, b.postgres); b.postgres != "" && err == nil {
		var version string
		_ = conn.QueryRow(ctx, "SHOW server_version").Scan(&version)
		known = append(known, "PostgreSQL "+version)
		_ = conn.Close(ctx)
	}
	if out, err := exec.CommandContext(ctx, "redis-server", "--version").Output(); b.redis != "" && err == nil {
		_, rest, _ := strings.Cut(string(out), "v=")
		version, _, _ := strings.Cut(rest, " ")
		known = append(known, "Redis "+version)
	}
	if out, err := exec.CommandContext(ctx, "dpkg-query", "-W", "-f", "${Version}", "rabbitmq-server").Output(); b.rabbitmq != "" && err == nil {
		known = append(known, fmt.Sprintf("RabbitMQ %s", out))
	}
	return strings.Join(known, "; ")
}

// close stops what prepare started.
func (b *bench) close() error {
	errs := []error{os.RemoveAll(b.dir)}
	for _, s := range b.servers {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}
