package sqlalchemy_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/gofrs/uuid/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/onebeat/onebeat/internal/broker"
	"github.com/onebeat/onebeat/internal/broker/brokertest"
	"github.com/onebeat/onebeat/internal/celery"
	"github.com/onebeat/onebeat/internal/failpoint"
)

// wait bounds whatever a test waits for.
const wait = 20 * time.Second

func unique(name string) string {
	return name + "_" + strings.ReplaceAll(uuid.Must(uuid.NewV4()).String(), "-", "")
}

// empty makes an empty database of each kind.
var empty = map[string]func(*testing.T) place{
	"PostgreSQL": func(t *testing.T) place {
		at := brokertest.ServerURL(t, "ONEBEAT_TEST_POSTGRES")
		u := create(t, "pgx", at, at)
		return place{"sqla+postgresql+psycopg2" + strings.TrimPrefix(u, "postgres"), connect(t, "pgx", u)}
	},
	"MariaDB": func(t *testing.T) place {
		at := brokertest.ServerURL(t, "ONEBEAT_TEST_MARIADB")
		u := create(t, "mysql", at, dsn(t, at))
		return place{"sqla+mysql+pymysql" + strings.TrimPrefix(u, "mysql"), connect(t, "mysql", dsn(t, u))}
	},
	"SQLite": func(t *testing.T) place {
		file := filepath.Join(t.TempDir(), "queue.db")
		return place{"sqla+sqlite:///" + file, connect(t, "sqlite", "file:"+file+"?_txlock=immediate&_pragma=busy_timeout(10000)")}
	},
}

// create makes a database on the server at the URL and returns its own.
func create(t *testing.T, driver, at, source string) string {
	t.Helper()
	admin, name := connect(t, driver, source), unique("sqlalchemy")
	if _, err := admin.ExecContext(t.Context(), "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // before the connection closes
		drop := "DROP DATABASE " + name
		if driver == "pgx" {
			drop += " WITH (FORCE)"
		}
		if _, err := admin.ExecContext(context.Background(), drop); err != nil {
			t.Error(err)
		}
	})
	u, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + name
	return u.String()
}

func open(t *testing.T, url string, transport map[string]any) broker.Broker {
	t.Helper()
	b, err := broker.Open(url, broker.Options{Installation: unique("i"), TransportOptions: transport, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// part makes one message of each of the options.
func part(t *testing.T, settings map[string]any, options ...string) celery.Part {
	t.Helper()
	config, err := celery.ParseConfig(settings)
	if err != nil {
		t.Fatal(err)
	}
	p := celery.Part{Mark: celery.Mark{Term: 1, Seq: 1, Done: len(options)}}
	for i, text := range options {
		template, err := config.Template(celery.Task{Name: "proj.tasks.add", Args: `["世界 🌍"]`, Options: text})
		if err != nil {
			t.Fatal(err)
		}
		p.Messages = append(p.Messages, celery.Message{Template: template, ID: unique("task"), Slot: time.Now(), At: time.Now(), Index: i})
	}
	return p
}

func publish(t *testing.T, b broker.Broker, p celery.Part) []celery.Failure {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	failures, err := b.Publish(ctx, p)
	if err != nil {
		t.Fatalf("Publish: %v", err)
	}
	return failures
}

// kombu runs Python with kombu's producer and consumer of a queue.
func kombu(t *testing.T, url, queue, code string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	script := "import sys\nfrom kombu import Connection\nwith Connection(sys.argv[1]) as c:\n    q = c.SimpleQueue(sys.argv[2])\n    " + code
	out, err := exec.CommandContext(ctx, brokertest.ServerURL(t, "ONEBEAT_TEST_PYTHON"), "-c", script, url, queue).CombinedOutput()
	if err != nil {
		t.Fatalf("kombu: %v\n%s", err, out)
	}
	return strings.TrimSpace(string(out))
}

// Whoever makes the tables, kombu and onebeat both write to them, and kombu reads
// what both wrote in the order that it was written.
func TestKombuSharesTheTables(t *testing.T) {
	const put, get = `q.put("from kombu")`, `
    for _ in range(3):
        m = q.get(timeout=5)
        m.ack()
        print(m.headers.get("id", "kombu"))`
	for name, on := range empty {
		for _, first := range []string{"kombu", "onebeat"} {
			t.Run(name+", made by "+first, func(t *testing.T) {
				p, queue := on(t), "shared"
				b := open(t, p.url, nil)
				messages := part(t, nil, `{"queue": "shared"}`, `{"queue": "shared"}`)
				one, other := messages, messages
				one.Messages, one.Mark.Done = messages.Messages[:1], 1
				other.Messages = messages.Messages[1:]
				want := []string{"kombu", one.Messages[0].ID, other.Messages[0].ID}
				if first == "kombu" {
					kombu(t, p.url, queue, put)
					publish(t, b, one)
				} else {
					want[0], want[1] = want[1], want[0]
					publish(t, b, one)
					kombu(t, p.url, queue, put)
				}
				publish(t, b, other)
				if got := kombu(t, p.url, queue, get); got != strings.Join(want, "\n") {
					t.Errorf("kombu got %q, want %q", strings.Fields(got), want)
				}
			})
		}
	}
}

func TestPublishFailsOnlyWhatNoQueueTakes(t *testing.T) {
	settings := map[string]any{"task_queues": map[string]any{
		"t":  map[string]any{"exchange": "tex", "exchange_type": "topic", "routing_key": "a.#"},
		"bc": map[string]any{"broadcast": true},
		"g":  map[string]any{},
	}}
	long := strings.Repeat("q", 201)
	for name, on := range empty {
		t.Run(name, func(t *testing.T) {
			p := on(t)
			messages := part(t, settings,
				`{"queue": "g"}`, `{"queue": "bc"}`, `{"exchange": "e", "routing_key": "r"}`, fmt.Sprintf(`{"queue": %q}`, long),
				`{"queue": "t", "routing_key": "a.x.y"}`, `{"queue": "t", "routing_key": "b"}`, `{"queue": "a\u0000b"}`)
			b := open(t, p.url, nil)
			reasons := map[int]string{1: "fanout", 2: "no queue is bound", 3: "200 characters", 5: "no queue is bound", 6: "NUL"}
			for range 2 { // also when it is asked again
				failures := publish(t, b, messages)
				if len(failures) != len(reasons) {
					t.Fatalf("failures = %+v, want those of %v", failures, reasons)
				}
				for _, f := range failures {
					if want := reasons[f.Index]; want == "" || !strings.Contains(f.Reason, want) {
						t.Errorf("failure of %d: %s, want %q", f.Index, f.Reason, want)
					}
				}
			}
			for queue, index := range map[string]int{"g": 0, "t": 4} {
				if got := p.drain(t, queue, 0); len(got) != 1 || got[0].ID != messages.Messages[index].ID {
					t.Errorf("queue %s holds %v, want message %d", queue, got, index)
				}
			}
		})
	}
}

// MySQL's TEXT takes 64 KiB.
func TestPublishFailsWhatIsTooLongForMySQL(t *testing.T) {
	p := empty["MariaDB"](t)
	b := open(t, p.url, nil)
	messages := part(t, nil, fmt.Sprintf(`{"queue": "g", "headers": {"x": %q}}`, strings.Repeat("x", 70_000)), `{"queue": "g"}`)
	if failures := publish(t, b, messages); len(failures) != 1 || failures[0].Index != 0 || !strings.Contains(failures[0].Reason, "LONGTEXT") {
		t.Fatalf("failures = %+v, want that of 0", failures)
	}
	if _, err := p.db.ExecContext(t.Context(), "ALTER TABLE kombu_message MODIFY payload LONGTEXT NOT NULL"); err != nil {
		t.Fatal(err)
	}
	again := open(t, p.url, nil)
	if failures := publish(t, again, messages); len(failures) != 0 {
		t.Errorf("failures after the column was widened = %+v", failures)
	}
}

func TestPublishKeepsToTheNamesOfTables(t *testing.T) {
	for name, on := range empty {
		t.Run(name, func(t *testing.T) {
			p := on(t)
			b := open(t, p.url, map[string]any{"queue_tablename": "my Queues", "message_tablename": "my messages"})
			publish(t, b, part(t, nil, `{"queue": "g"}`))
			quote := `"`
			if name == "MariaDB" {
				quote = "`"
			}
			var count int
			if err := p.db.QueryRowContext(t.Context(), "SELECT count(*) FROM "+quote+"my messages"+quote).Scan(&count); err != nil || count != 1 {
				t.Errorf("the table has %d messages, %v, want 1", count, err)
			}
		})
	}
}

// frozenEnv makes a test process the node that freezes: the installation and the URL.
const frozenEnv = "ONEBEAT_SQLALCHEMY_TEST_FROZEN"

// node is a node's broker.
func node(t *testing.T, installation, url string) broker.Broker {
	t.Helper()
	b, err := broker.Open(url, broker.Options{Installation: installation, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// A node that froze in the middle of a transaction holds the mark for five seconds,
// then its server lets the next node have it.
func TestTakeWaitsForAFrozenTransaction(t *testing.T) {
	if installation, url, frozen := strings.Cut(os.Getenv(frozenEnv), " "); frozen {
		b := node(t, installation, url)
		if _, err := b.Take(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		_, err := b.Publish(t.Context(), part(t, nil, `{"queue": "g"}`))
		t.Fatalf("Publish returned %v", err)
	}
	t.Parallel()
	for _, name := range []string{"PostgreSQL", "MariaDB"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), wait)
			defer cancel()
			p, installation := empty[name](t), unique("i")
			frozen := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestTakeWaitsForAFrozenTransaction$")
			frozen.Env = append(os.Environ(), frozenEnv+"="+installation+" "+p.url, failpoint.Env+"=sqlalchemy.publish.written=10m")
			if err := frozen.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				frozen.Process.Kill()
				frozen.Wait()
			})
			for !held(p, installation) {
				if ctx.Err() != nil {
					t.Fatal("the node that freezes does not come to hold its mark")
				}
			}
			young, began := node(t, installation, p.url), time.Now()
			mark, err := young.Take(ctx, 2)
			if err != nil || mark.Term != 1 || mark.Done != 0 {
				t.Fatalf("Take = %+v, %v, want the mark of term 1 before its part", mark, err)
			}
			if took := time.Since(began); took < time.Second {
				t.Errorf("Take took %v: the mark was not held", took)
			}
			messages := part(t, nil, `{"queue": "g"}`)
			messages.Mark.Term = 2
			publish(t, young, messages)
			if got := p.drain(t, "g", 0); len(got) != 1 || got[0].ID != messages.Messages[0].ID {
				t.Errorf("the queue holds %v, want the message of the second node", got)
			}
		})
	}
}

// SQLite has no server for that: a node that was stopped in the middle of a transaction is ended by the next.
func TestTakeEndsANodeThatWasStoppedInATransaction(t *testing.T) {
	t.Parallel()
	for _, journal := range []string{"wal", "delete"} {
		t.Run(journal, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 3*wait)
			defer cancel()
			p, installation := empty["SQLite"](t), unique("i")
			if _, err := p.db.ExecContext(ctx, "PRAGMA journal_mode = "+journal); err != nil {
				t.Fatal(err)
			}
			stopped := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestTakeWaitsForAFrozenTransaction$")
			stopped.Env = append(os.Environ(), frozenEnv+"="+installation+" "+p.url, failpoint.Env+"=sqlalchemy.publish.written=10m")
			told, err := stopped.StderrPipe()
			if err == nil {
				err = stopped.Start()
			}
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { stopped.Process.Kill() })
			if line, err := bufio.NewReader(told).ReadString('\n'); !strings.Contains(line, "failpoint") {
				t.Fatalf("the node that is to be stopped says %q, %v", line, err)
			}
			if err := stopped.Process.Signal(syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			young := node(t, installation, p.url)
			for refused := 0; ; refused++ {
				mark, err := young.Take(ctx, 2)
				if err == nil && (mark.Term != 1 || mark.Done != 0) {
					t.Fatalf("Take = %+v, want the mark of term 1 before its part", mark)
				}
				if err == nil {
					t.Logf("the file was locked for %d times", refused)
					break
				}
				if ctx.Err() != nil {
					t.Fatal(err)
				}
			}
			_ = stopped.Wait()
			if status := stopped.ProcessState.Sys().(syscall.WaitStatus); !status.Signaled() || status.Signal() != syscall.SIGKILL {
				t.Errorf("the node that was stopped ended with %v, want by SIGKILL", stopped.ProcessState)
			}
			messages := part(t, nil, `{"queue": "g"}`)
			messages.Mark.Term = 2
			publish(t, young, messages)
			if got := p.drain(t, "g", 0); len(got) != 1 || got[0].ID != messages.Messages[0].ID {
				t.Errorf("the queue holds %v, want the message of the second node", got)
			}
		})
	}
}

// held reports whether a transaction holds the mark of an installation, which has
// its first term.
func held(p place, installation string) bool {
	tx, err := p.db.Begin()
	if err != nil {
		return false
	}
	defer tx.Rollback()
	var term int
	read := "SELECT term FROM onebeat_marks WHERE installation = '" + installation + "'"
	if err := tx.QueryRow(read).Scan(&term); err != nil || term == 0 {
		return false
	}
	err = tx.QueryRow(read + " FOR UPDATE NOWAIT").Scan(&term)
	if err == nil {
		return false // nobody holds it
	}
	var pg *pgconn.PgError
	var my *mysql.MySQLError
	return errors.As(err, &pg) && pg.Code == "55P03" || errors.As(err, &my) && my.Number == 1205
}

// A server that answers and lets nobody in is told apart from one that is away.
// A file that cannot be opened is told of once, and not with each try.
func TestAFileThatIsAwayIsToldOfOnce(t *testing.T) {
	var log bytes.Buffer
	b, err := broker.Open("sqla+sqlite:///"+filepath.Join(t.TempDir(), "no such folder", "broker.db"), broker.Options{
		Installation: "away", Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for range 3 {
		if _, err := b.Take(t.Context(), 1); err == nil {
			t.Fatal("Take succeeds")
		}
	}
	if lines := strings.Count(log.String(), "\n"); lines != 1 {
		t.Errorf("it was told of in %d lines:\n%s", lines, log.String())
	}
}

func TestALoginThatIsRefusedIsSaid(t *testing.T) {
	for _, name := range []string{"PostgreSQL", "MariaDB"} {
		good, err := url.Parse(empty[name](t).url)
		if err != nil {
			t.Fatal(err)
		}
		with := func(change func(u *url.URL)) string {
			u := *good
			change(&u)
			return u.String()
		}
		for _, tt := range []struct {
			name, url string
			refused   bool
		}{
			{"another password", with(func(u *url.URL) { u.User = url.UserPassword(u.User.Username(), "pa55word-marker") }), true},
			{"nobody", with(func(u *url.URL) { u.User = url.UserPassword("nobody_of_that_name", "pa55word-marker") }), true},
			{"no such database", with(func(u *url.URL) { u.Path = "/no_database_of_that_name" }), true},
			{"nobody answers", with(func(u *url.URL) { u.Host = "127.0.0.1:1" }), false},
		} {
			err := open(t, tt.url, nil).Ping(t.Context())
			if errors.Is(err, celery.ErrLogin) != tt.refused || err == nil || strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "pa55word") {
				t.Errorf("%s, %s: Ping = %v, want celery.ErrLogin: %v, in one line, without the password", name, tt.name, err, tt.refused)
			}
		}
	}
}
