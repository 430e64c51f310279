package worker_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/onebeat/onebeat/test/harness"
	"github.com/onebeat/onebeat/test/harness/worker"
)

// send is a sender that is Celery's own: it takes the broker, the queue and how
// many tasks to send.
const send = `
import sys
from celery import Celery
broker, queue, count = sys.argv[1:]
app = Celery(broker=broker)
with app.producer_pool.acquire(block=True) as producer:
    for i in range(int(count)):
        app.send_task(
            "fetch_listed_info_task", args=[i, "é"], kwargs={"from_date": "20250729"}, task_id="task-%d" % i,
            queue=queue, priority=3, expires=3600, time_limit=30, soft_time_limit=20,
            headers={"periodic_task_name": "nightly", "onebeat_slot": "2026-11-23T00:00:00Z"}, producer=producer,
        )
`

// Each Celery, broker, pool and kind of database is in at least one case.
func TestWorkerRecordsWhatItRan(t *testing.T) {
	const count = 40
	for _, tt := range []struct{ name, python, celery, broker, pool, database string }{
		{"newest, Redis, prefork, SQLite", "ONEBEAT_TEST_PYTHON", "5.7.", "ONEBEAT_TEST_REDIS", "prefork", "sqlite"},
		{"newest, RabbitMQ, threads, PostgreSQL", "ONEBEAT_TEST_PYTHON", "5.7.", "ONEBEAT_TEST_RABBITMQ", "threads", "postgres"},
		{"5.2, Redis, threads, SQLite", "ONEBEAT_TEST_PYTHON52", "5.2.", "ONEBEAT_TEST_REDIS", "threads", "sqlite"},
		{"5.2, RabbitMQ, prefork, PostgreSQL", "ONEBEAT_TEST_PYTHON52", "5.2.", "ONEBEAT_TEST_RABBITMQ", "prefork", "postgres"},
		{"5.2, Redis, solo, SQLite", "ONEBEAT_TEST_PYTHON52", "5.2.", "ONEBEAT_TEST_REDIS", "solo", "sqlite"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			python, broker := harness.Env(t, tt.python), harness.Env(t, tt.broker)
			queue := fmt.Sprintf("worker-test-%d-%d", os.Getpid(), time.Now().UnixNano())
			database := filepath.Join(t.TempDir(), "probe.db")
			if tt.database == "postgres" {
				database = newDatabase(t)
			}
			w := worker.Start(t, worker.Options{
				Python: python, Broker: broker, Queues: []string{queue}, Pool: tt.pool, Concurrency: 4, Database: database,
			})
			if got := w.Records(t); len(got) != 0 {
				t.Fatalf("Records before anything was sent = %v, want none", got)
			}
			before := time.Now().Truncate(time.Microsecond)
			cmd := exec.CommandContext(t.Context(), python, "-c", send, broker, queue, fmt.Sprint(count))
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("send: %v\n%s", err, out)
			}
			records := w.Await(t, count, 30*time.Second)
			if len(records) != count {
				t.Fatalf("%d executions of %d tasks", len(records), count)
			}
			seen := map[string]bool{}
			for _, r := range records {
				seen[r.TaskID] = true
				var args []any
				if err := json.Unmarshal([]byte(r.Args), &args); err != nil || len(args) != 2 || args[1] != "é" {
					t.Errorf("args of %s = %s, want [i, \"é\"]", r.TaskID, r.Args)
				} else if want := fmt.Sprintf("task-%v", args[0]); r.TaskID != want {
					t.Errorf("the args of %s came with the id %s", want, r.TaskID)
				}
				got := []string{r.Task, r.Kwargs, r.Queue, r.PeriodicTaskName, r.Slot, r.TimeLimit}
				want := []string{
					"fetch_listed_info_task", `{"from_date": "20250729"}`, queue,
					"nightly", "2026-11-23T00:00:00Z", "[30, 20]",
				}
				if strings.Join(got, "|") != strings.Join(want, "|") {
					t.Errorf("record = %v, want %v", got, want)
				}
				if !r.Priority.Valid || r.Priority.V != 3 {
					t.Errorf("priority = %v, want 3", r.Priority)
				}
				if !strings.HasPrefix(r.Celery, tt.celery) {
					t.Errorf("ran on Celery %s, want %sx", r.Celery, tt.celery)
				}
				if r.ReceivedAt.Before(before) || r.StartedAt.Before(r.ReceivedAt) || r.StartedAt.After(time.Now()) {
					t.Errorf("sent after %v, received %v, started %v", before, r.ReceivedAt, r.StartedAt)
				}
				if r.Expires == "" {
					t.Error("expires is empty, want an hour from the sending")
				}
			}
			if len(seen) != count {
				t.Errorf("%d tasks ran, want %d", len(seen), count)
			}
			w.Stop(t)
		})
	}
}

// newDatabase makes a database that is dropped at the end of the test.
func newDatabase(t *testing.T) string {
	t.Helper()
	admin := harness.Env(t, "ONEBEAT_TEST_POSTGRES")
	name := fmt.Sprintf("worker_test_%d", time.Now().UnixNano())
	execute := func(sql string) {
		ctx := context.Background() // the test's own is over when it cleans up
		conn, err := pgx.Connect(ctx, admin)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(ctx)
		if _, err := conn.Exec(ctx, sql); err != nil {
			t.Fatal(err)
		}
	}
	execute("CREATE DATABASE " + name)
	t.Cleanup(func() { execute("DROP DATABASE " + name + " WITH (FORCE)") })
	config, err := pgx.ParseConfig(admin)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("postgresql://%s:%s@%s:%d/%s", config.User, config.Password, config.Host, config.Port, name)
}
