// Package worker runs real, unmodified Celery workers of the app in
// test/python/probe.py and reads what they ran.
package worker

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver pgx
	_ "modernc.org/sqlite"             // the driver sqlite

	"github.com/onebeat/onebeat/test/harness"
	"github.com/onebeat/onebeat/test/harness/process"
)

const (
	startWait = time.Minute
	stopWait  = 30 * time.Second
)

// Options say which worker to run. Broker is required.
type Options struct {
	Broker  string // a broker URL as Celery reads it
	Backend string // a result backend URL; none if empty

	// Python is the interpreter that has Celery; that of ONEBEAT_TEST_PYTHON if empty.
	Python string

	// Database is where the tasks record their runs: the path of a SQLite file or
	// a postgres:// URL. If empty it is a new SQLite file. Workers may share it.
	Database string

	Queues      []string       // those to consume, "celery" if none
	Config      map[string]any // Celery's settings, by their lower-case names
	Pool        string         // prefork if empty; solo, threads
	Concurrency int            // 2 if zero
	Events      bool           // send task events, as Flower wants them

	Args []string // more of the command line of `celery worker`
}

// A Worker is a worker that runs until it is stopped or the test ends.
type Worker struct {
	name     string
	database string
	command  process.Command
	process  *process.Process
}

var started atomic.Int64

// Start starts a worker and returns when it consumes. It is stopped at the end of
// the test; how it ended then does not matter to the test.
func Start(t testing.TB, options Options) *Worker {
	t.Helper()
	if options.Python == "" {
		options.Python = harness.Env(t, "ONEBEAT_TEST_PYTHON")
	}
	if options.Database == "" {
		options.Database = filepath.Join(t.TempDir(), "probe.db")
	}
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	config := []byte("{}")
	if options.Config != nil {
		if config, err = json.Marshal(options.Config); err != nil {
			t.Fatalf("worker settings: %v", err)
		}
	}
	w := &Worker{
		name:     fmt.Sprintf("probe%d@localhost", started.Add(1)),
		database: options.Database,
	}
	w.command = process.Command{
		Path: options.Python,
		Args: w.args(options),
		Dir:  filepath.Join(root, "test", "python"),
		Log:  filepath.Join(t.TempDir(), "worker.log"),
		Env: []string{
			"CELERY_BROKER_URL=" + options.Broker,
			"CELERY_RESULT_BACKEND=" + options.Backend,
			"PROBE_DATABASE=" + options.Database,
			"PROBE_CONFIG=" + string(config),
			"PYTHONUNBUFFERED=1", "PYTHONDONTWRITEBYTECODE=1",
			"C_FORCE_ROOT=1",
		},
	}
	t.Cleanup(func() {
		if w.process != nil {
			w.process.Kill()
		}
	})
	w.Start(t)
	return w
}

func (w *Worker) args(options Options) []string {
	concurrency := cmp.Or(options.Concurrency, 2)
	args := []string{
		"-m", "celery", "-A", "probe", "worker", "-n", w.name, "-l", "INFO",
		"-c", strconv.Itoa(concurrency), "--without-gossip", "--without-mingle",
	}
	if options.Pool != "" {
		args = append(args, "--pool", options.Pool)
	}
	if len(options.Queues) > 0 {
		args = append(args, "-Q", strings.Join(options.Queues, ","))
	}
	if options.Events {
		args = append(args, "-E")
	}
	return append(args, options.Args...)
}

// Start starts a worker that was stopped or killed, and returns when it consumes.
func (w *Worker) Start(t testing.TB) {
	t.Helper()
	p, err := process.Start(w.command)
	if err != nil {
		t.Fatalf("start worker: %v", err)
	}
	w.process = p
	ctx, cancel := context.WithTimeout(t.Context(), startWait)
	defer cancel()
	// Celery's own line, celery/apps/worker.py, on_consumer_ready.
	if err := p.AwaitLog(ctx, w.name+" ready."); err != nil {
		t.Fatalf("start worker: %v", err)
	}
}

// Stop lets the worker end the tasks that it runs and returns when it has ended.
func (w *Worker) Stop(t testing.TB) {
	t.Helper()
	if err := w.process.Stop(syscall.SIGTERM, stopWait); err != nil {
		t.Errorf("stop worker: %v", err)
	}
}

// Kill ends the worker and its pool at once.
func (w *Worker) Kill() { w.process.Kill() }

// Log returns the end of what the worker logged, for a test's failure message.
func (w *Worker) Log() string { return w.process.Tail(50) }

// Database returns where the worker records its runs, as Options.Database names it.
func (w *Worker) Database() string { return w.database }

// Records returns what ran so far, as the function Records does.
func (w *Worker) Records(t testing.TB) []Record {
	t.Helper()
	return Records(t, w.database)
}

// Await returns what ran once it is count executions or more. The test fails if
// that takes longer than wait.
func (w *Worker) Await(t testing.TB, count int, wait time.Duration) []Record {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	var records []Record
	err := w.process.Await(ctx, func(context.Context) error {
		if records = w.Records(t); len(records) < count {
			return fmt.Errorf("%d of %d tasks ran within %v", len(records), count, wait)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return records
}

// A Record is one execution of a task, as the task itself saw it.
type Record struct {
	TaskID string
	Task   string
	Args   string // JSON
	Kwargs string // JSON

	Queue       string // the routing key of the message
	Exchange    string
	Priority    sql.Null[int]
	Redelivered sql.Null[bool]

	PeriodicTaskName string
	Slot             string // the header onebeat_slot
	ETA              string
	Expires          string
	TimeLimit        string // JSON: [hard, soft] in seconds

	// Request is the JSON of all that the message's headers and properties gave.
	Request string

	ReceivedAt time.Time // when the worker took the message; whole microseconds, UTC
	StartedAt  time.Time // when the task began
	Worker     string
	Celery     string // the worker's version
}

// Records returns the executions recorded in database, a path of a SQLite file or
// a postgres:// URL, in the order that the messages were received.
func Records(t testing.TB, database string) []Record {
	t.Helper()
	// The workers may be writing, or making the file.
	driver, source := "sqlite", "file:"+database+"?_pragma=busy_timeout(30000)"
	if strings.HasPrefix(database, "postgres://") || strings.HasPrefix(database, "postgresql://") {
		driver, source = "pgx", database
	}
	db, err := sql.Open(driver, source)
	if err != nil {
		t.Fatalf("open records: %v", err)
	}
	defer db.Close()
	rows, err := db.QueryContext(t.Context(), `
		SELECT task_id, task, args, kwargs, queue, exchange, priority, redelivered,
		       coalesce(periodic_task_name, ''), coalesce(onebeat_slot, ''), coalesce(eta, ''), coalesce(expires, ''),
		       timelimit, request, received_at, started_at, worker, celery
		FROM probe_runs ORDER BY received_at, execution`)
	if err != nil {
		t.Fatalf("read records: %v", err)
	}
	defer rows.Close()
	var records []Record
	for rows.Next() {
		var r Record
		var receivedAt, startedAt int64
		if err := rows.Scan(
			&r.TaskID, &r.Task, &r.Args, &r.Kwargs, &r.Queue, &r.Exchange, &r.Priority, &r.Redelivered,
			&r.PeriodicTaskName, &r.Slot, &r.ETA, &r.Expires,
			&r.TimeLimit, &r.Request, &receivedAt, &startedAt, &r.Worker, &r.Celery,
		); err != nil {
			t.Fatalf("read records: %v", err)
		}
		r.ReceivedAt, r.StartedAt = time.UnixMicro(receivedAt).UTC(), time.UnixMicro(startedAt).UTC()
		records = append(records, r)
	}
	if err := rows.Err(); err != nil {
		t.Fatalf("read records: %v", err)
	}
	return records
}
