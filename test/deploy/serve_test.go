package deploy_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/onebeat/onebeat/test/harness"
	"github.com/onebeat/onebeat/test/harness/process"
)

// The image as compose starts it: in an empty root that nobody may write to, on a
// database with nothing but the user's table, with the environment alone. The
// health check finds it well, and the row's task is sent.
func TestServesInAnEmptyRoot(t *testing.T) {
	database := freshDatabase(t)
	inEmptyRoot := emptyRoot(t, buildStatic(t))
	port, err := process.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	environment := []string{
		"DATABASE_URL=" + strings.Replace(database, "postgres://", "postgresql+asyncpg://", 1),
		"CELERY_BROKER_URL=" + harness.Env(t, "ONEBEAT_TEST_REDIS") + "/15",
		"CELERY_TIMEZONE=Asia/Tokyo",
		"CELERY_TASK_DEFAULT_QUEUE=empty-root",
		fmt.Sprintf("ONEBEAT_LISTEN=:%d", port), // as in compose.yaml; the test's machine is its own
		"ONEBEAT_LOG_FORMAT=json",
	}
	var log bytes.Buffer
	daemon := inEmptyRoot("serve")
	daemon.Env, daemon.Stderr = environment, &log
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- daemon.Wait() }()
	stop := func() {
		_ = daemon.Process.Signal(syscall.SIGTERM)
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("serve ended with %v\n%s", err, &log)
			}
		case <-time.After(20 * time.Second):
			_ = daemon.Process.Kill()
			t.Errorf("serve did not end\n%s", &log)
		}
	}
	defer stop()

	healthy := func() (string, error) {
		probe := inEmptyRoot("health")
		probe.Env = environment
		out, err := probe.CombinedOutput()
		return string(out), err
	}
	await(t, "health in the empty root", func() error {
		out, err := healthy()
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
	await(t, "a run in the ledger", func() error {
		conn, err := pgx.Connect(t.Context(), database)
		if err != nil {
			return err
		}
		defer conn.Close(context.WithoutCancel(t.Context()))
		var sent int
		err = conn.QueryRow(t.Context(), "SELECT count(*) FROM onebeat_runs WHERE state = 'sent' AND queue = 'empty-root'").Scan(&sent)
		if err == nil && sent == 0 {
			err = fmt.Errorf("nothing was sent")
		}
		return err
	})
}

// freshDatabase makes a database with the user's table as first made, and one entry.
func freshDatabase(t *testing.T) string {
	t.Helper()
	server := harness.Env(t, "ONEBEAT_TEST_POSTGRES")
	name := fmt.Sprintf("empty_root_%d", os.Getpid())
	run := func(url string, statements ...string) {
		t.Helper()
		conn, err := pgx.Connect(context.WithoutCancel(t.Context()), url)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(context.WithoutCancel(t.Context()))
		for _, statement := range statements {
			if _, err := conn.Exec(context.WithoutCancel(t.Context()), statement); err != nil {
				t.Fatalf("%s: %v", statement, err)
			}
		}
	}
	run(server, "CREATE DATABASE "+name)
	t.Cleanup(func() { run(server, "DROP DATABASE "+name+" WITH (FORCE)") })
	config, err := pgx.ParseConfig(server)
	if err != nil {
		t.Fatal(err)
	}
	url := fmt.Sprintf("postgres://%s:%s@%s:%d/%s?sslmode=disable", config.User, config.Password, config.Host, config.Port, name)
	example, err := os.ReadFile(filepath.Join("..", "..", "deploy", "example", "schedules.sql"))
	if err != nil {
		t.Fatal(err)
	}
	run(url, string(example),
		`INSERT INTO celery_beat_schedules (id, name, task_name, cron_expression, enabled, args, kwargs)
		 VALUES (gen_random_uuid(), 'soon', 'tasks.soon', '@every 1s', true, '[]', '{}')`)
	return url
}

// await waits until what is asked for is so, for at most half a minute.
func await(t *testing.T, what string, ask func() error) {
	t.Helper()
	again := time.NewTicker(200 * time.Millisecond)
	defer again.Stop()
	for deadline := time.Now().Add(30 * time.Second); ; <-again.C {
		err := ask()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v", what, err)
		}
	}
}
