package store_test

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	_ "github.com/go-sql-driver/mysql"
	"github.com/gofrs/uuid/v5"
	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	"github.com/onebeat/onebeat/internal/store"
	"github.com/onebeat/onebeat/internal/store/storetest"
)

func TestPostgres(t *testing.T) {
	t.Parallel()
	storetest.Run(t, freshPostgres)
}

func TestMySQL(t *testing.T) {
	t.Parallel()
	storetest.Run(t, freshMySQL)
}

func TestSQLite(t *testing.T) {
	t.Parallel()
	storetest.Run(t, freshSQLite)
}

// Other programs' SQLite runs the triggers, and may be older than onebeat's own.
func TestOtherProgramsWriteWhereTriggersAre(t *testing.T) {
	file := filepath.Join(t.TempDir(), "onebeat.db")
	s, err := store.Open(t.Context(), "sqlite:///"+file, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	python := os.Getenv("ONEBEAT_TEST_PYTHON")
	if python == "" {
		t.Fatal("ONEBEAT_TEST_PYTHON is not set: run the tests with `make test`, or `make stack` first")
	}
	out, err := exec.Command(python, "-c", `
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.execute("INSERT INTO celery_beat_schedules (name, task_name, cron_expression) VALUES ('a', 'tasks.a', '* * * * *')")
db.execute("UPDATE celery_beat_schedules SET cron_expression = '0 * * * *'")
db.execute("DELETE FROM celery_beat_schedules")
db.commit()
print(sqlite3.sqlite_version, db.execute("SELECT count(*), min(at) > 1700000000000000, max(at) < 4000000000000000 FROM onebeat_changes").fetchone())
`, file).CombinedOutput()
	if err != nil {
		t.Fatalf("another program's statements: %v\n%s", err, out)
	}
	if want := "(3, 1, 1)"; !strings.Contains(string(out), want) {
		t.Errorf("the log of changes holds %s, want %s: three changes, at instants in microseconds", out, want)
	}
}

// Behind a pooler of connections two nodes may share a session, and with it the
// session's lock: that must not look as if the holder of the lease had died.
func TestNoGuardBehindAPooler(t *testing.T) {
	db := freshPostgres(t)
	pooled := db.URL + map[bool]string{true: "&", false: "?"}[strings.Contains(db.URL, "?")] + "default_query_exec_mode=exec"
	for range 2 {
		s, err := store.Open(t.Context(), pooled, store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if err := s.EnsureOwn(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, _, err := s.Shard(0).Acquire(t.Context(), "node"); err != nil {
			t.Fatal(err)
		}
	}
	if got := db.Query(t, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"); got[0] != "0" {
		t.Errorf("%s locks of sessions are held, want none", got[0])
	}
	if got := db.Query(t, "SELECT term FROM onebeat_leases WHERE NOT guarded"); len(got) != 1 || got[0] != "1" {
		t.Errorf("unguarded leases of term %v, want one of term 1", got)
	}
}

// seesHeld says whether a node that looks who is there takes it that the shard of another needs no further look.
func seesHeld(t *testing.T, s *store.Store) bool {
	t.Helper()
	roll, err := s.Roll(t.Context(), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if len(roll.Holders) != 1 || !roll.Holders[0].Guarded {
		t.Fatalf("holders = %+v, want one whose session has the lock", roll.Holders)
	}
	return s.Shard(0).Held()
}

// Who can't wait on the lock of the holder's session looks who holds the lease each time that it asks: nothing else
// tells it that the holder has stopped.
func TestWhoIsNotToldThatAHolderGoesLooks(t *testing.T) {
	holds := func(t *testing.T, db storetest.Database) {
		t.Helper()
		if _, won, err := opened(t, db).Shard(0).Acquire(t.Context(), "holder"); err != nil || !won {
			t.Fatalf("Acquire = %v, %v", won, err)
		}
	}
	t.Run("behind a pooler", func(t *testing.T) {
		db := freshPostgres(t)
		holds(t, db)
		if !seesHeld(t, opened(t, db)) {
			t.Error("one that is told looks all the same")
		}
		db.URL += map[bool]string{true: "&", false: "?"}[strings.Contains(db.URL, "?")] + "default_query_exec_mode=exec"
		if seesHeld(t, opened(t, db)) {
			t.Error("one behind a pooler does not look")
		}
	})
	t.Run("without a lock to be had", func(t *testing.T) {
		db := freshSQLite(t)
		holds(t, db)
		waiter := opened(t, db)
		if !seesHeld(t, waiter) {
			t.Error("one that is told looks all the same")
		}
		file := strings.TrimPrefix(db.URL, "sqlite://") + "-onebeat-0.lock"
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(file, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := waiter.Shard(0).Wait(t.Context()); err == nil {
			t.Fatal("Wait = nil, where no lock can be had")
		}
		if waiter.Shard(0).Held() {
			t.Error("one that could not wait does not look")
		}
	})
}

// A ledger that was one table goes on as the partition of the days before.
func TestLedgerOfOneTableIsCarriedOver(t *testing.T) {
	db := freshPostgres(t)
	first, err := os.ReadFile("migrations/postgres/00001_onebeat.sql")
	if err != nil {
		t.Fatal(err)
	}
	db.Exec(t, string(first))
	db.Exec(t, `INSERT INTO onebeat_runs (entry_id, name, task, slot, count, state, reason, task_id, queue, request, node, term, recovered)
		VALUES ('1', 'n', 't', now(), 1, 'sent', '', '', '', '', 'node', 1, false)`)
	for range 2 { // printed SQL may have been run by hand before
		second, err := os.ReadFile("migrations/postgres/00003_ledger_by_day.sql")
		if err != nil {
			t.Fatal(err)
		}
		db.Exec(t, string(second))
	}
	s, err := store.Open(t.Context(), db.URL, store.Options{KeepRuns: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.EnsureOwn(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.TendLedger(t.Context()); err != nil {
		t.Fatal(err)
	}
	if runs, err := s.Runs(t.Context(), store.Filter{Entry: "1"}); err != nil || len(runs) != 1 {
		t.Errorf("Runs = %v, %v; want the one of before", runs, err)
	}
	if got := db.Query(t, "SELECT tableoid::regclass::text ~ '^onebeat_runs_[0-9]{8}$' FROM onebeat_runs"); len(got) != 1 || got[0] != "true" {
		t.Errorf("the run of before is in a partition of a day: %v, want true", got)
	}
}

// Whoever reads an old day keeps it from being dropped, and not the coming days from being made.
func TestComingDaysAreMadeWhileAnOldOneIsRead(t *testing.T) {
	db := freshPostgres(t)
	s, err := store.Open(t.Context(), db.URL, store.Options{KeepRuns: 30})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.EnsureOwn(t.Context()); err != nil {
		t.Fatal(err)
	}
	const days = `SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid WHERE inhparent = 'onebeat_runs'::regclass ORDER BY relname`
	made := db.Query(t, days)
	db.Exec(t, "DROP TABLE "+made[len(made)-2]) // the last before the rest
	db.Exec(t, "CREATE TABLE onebeat_runs_20200101 PARTITION OF onebeat_runs FOR VALUES FROM ('2020-01-01') TO ('2020-01-02')")

	tx := begin(t, db.URL, "SELECT FROM onebeat_runs_20200101")
	if err := s.TendLedger(t.Context()); err == nil || !strings.Contains(err.Error(), "another program reads the ledger") {
		t.Errorf("TendLedger = %v, want that another program reads the ledger", err)
	}
	if got, want := db.Query(t, days), append([]string{"onebeat_runs_20200101"}, made...); !slices.Equal(got, want) {
		t.Errorf("while a day is read the days are %q, want %q", got, want)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := s.TendLedger(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := db.Query(t, days); !slices.Equal(got, made) {
		t.Errorf("after that the days are %q, want %q", got, made)
	}
}

// Who waits for a lease looks now and then, with the session that it has: making one anew each
// time costs the server more than all else that a node does at rest.
func TestWaitingForALeaseKeepsItsSession(t *testing.T) {
	t.Run("postgres", func(t *testing.T) {
		keepsItsSession(t, freshPostgres(t), "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%pg_advisory_lock%' AND pid <> pg_backend_pid()")
	})
	t.Run("mysql", func(t *testing.T) {
		keepsItsSession(t, freshMySQL(t), "SELECT id FROM information_schema.processlist WHERE db = database() AND id <> connection_id() ORDER BY id")
	})
}

func keepsItsSession(t *testing.T, db storetest.Database, asked string) {
	t.Helper()
	holder, waiter := opened(t, db), opened(t, db)
	if _, won, err := holder.Shard(0).Acquire(t.Context(), "holder"); err != nil || !won {
		t.Fatalf("Acquire = %v, %v", won, err)
	}
	wait := func() string {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond) // as lease.Keep does
		defer cancel()
		if err := waiter.Shard(0).Wait(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		return strings.Join(db.Query(t, asked), " ")
	}
	for tries := 0; wait() == "" && tries < 20; tries++ { // a busy machine may take longer to let it in
	}
	sessions := map[string]bool{}
	for range 3 {
		sessions[wait()] = true
	}
	if len(sessions) != 1 || sessions[""] {
		t.Errorf("sessions = %v, want one that lives", sessions)
	}
}

// A server without TLS of which the URL asks it runs, and another URL is what helps.
func TestAServerWithoutTLSIsTold(t *testing.T) {
	for _, tt := range []struct {
		db         storetest.Database
		asks, want string
	}{{freshPostgres(t), "sslmode=require", "sslmode=disable"}, {freshMySQL(t), "ssl=true", "ssl_mode=DISABLED"}} {
		u, err := url.Parse(tt.db.URL)
		if err != nil {
			t.Fatal(err)
		}
		u.RawQuery = tt.asks
		s, err := store.Open(t.Context(), u.String(), store.Options{})
		if err == nil {
			s.Close()
			t.Fatalf("Open(%s) succeeds: does the test's server do TLS?", u.Redacted())
		}
		if text := err.Error(); !strings.Contains(text, tt.want) || strings.Contains(text, "does the server run") {
			t.Errorf("Open(%s) = %v, want that the server does no TLS, and %s", u.Redacted(), err, tt.want)
		}
	}
}

// A server that answers and lets nobody in is told apart from one that is away.
func TestALoginThatIsRefusedIsSaid(t *testing.T) {
	for _, db := range []storetest.Database{freshPostgres(t), freshMySQL(t)} {
		good, err := url.Parse(db.URL)
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
			{"another password", with(func(u *url.URL) { u.User = url.UserPassword(u.User.Username(), "no-"+secretMark) }), true},
			{"nobody", with(func(u *url.URL) { u.User = url.UserPassword("nobody_of_that_name", secretMark) }), true},
			{"no such database", with(func(u *url.URL) { u.Path = "/no_database_of_that_name" }), true},
			{"nobody answers", with(func(u *url.URL) { u.Host = "127.0.0.1:1" }), false},
		} {
			s, err := store.Open(t.Context(), tt.url, store.Options{})
			if err == nil {
				s.Close()
				t.Errorf("%s, %s: Open succeeds", good.Scheme, tt.name)
				continue
			}
			if refused := new(store.LoginError); errors.As(err, &refused) != tt.refused || strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), secretMark) {
				t.Errorf("%s, %s: Open = %v, want a LoginError: %v, in one line, without the password", good.Scheme, tt.name, err, tt.refused)
			}
		}
	}
}

const secretMark = "pa55word-marker"

// opened is the database with tables, whose leases last.
func opened(t *testing.T, db storetest.Database) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), db.URL, store.Options{LeaseFor: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	if err := s.EnsureOwn(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// freshPostgres makes a database on the server of ONEBEAT_TEST_POSTGRES, and drops it when the test ends.
func freshPostgres(t testing.TB) storetest.Database {
	t.Helper()
	server := os.Getenv("ONEBEAT_TEST_POSTGRES")
	if server == "" {
		t.Fatal("ONEBEAT_TEST_POSTGRES is not set: run the tests with `make test`, or `make stack` first")
	}
	admin := connect(t, "pgx", server)
	name := "onebeat_store_" + uuid.Must(uuid.NewV4()).String()[:8]
	if _, err := admin.Exec("CREATE DATABASE " + name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if _, err := admin.ExecContext(ctx, "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Error(err)
		}
	})
	at, err := url.Parse(server)
	if err != nil {
		t.Fatal("ONEBEAT_TEST_POSTGRES is no URL")
	}
	at.Path = "/" + name
	return database(connect(t, "pgx", at.String()), at.String(), true)
}

// freshMySQL makes a database on the server of ONEBEAT_TEST_MARIADB, and drops it when the test ends.
func freshMySQL(t testing.TB) storetest.Database {
	t.Helper()
	server := os.Getenv("ONEBEAT_TEST_MARIADB")
	if server == "" {
		t.Fatal("ONEBEAT_TEST_MARIADB is not set: run the tests with `make test`, or `make stack` first")
	}
	at, err := url.Parse(server)
	if err != nil {
		t.Fatal("ONEBEAT_TEST_MARIADB is no URL")
	}
	password, _ := at.User.Password()
	source := func(database string) string {
		return fmt.Sprintf("%s:%s@tcp(%s)/%s?multiStatements=true&time_zone=%%27%%2B00:00%%27", at.User.Username(), password, at.Host, database)
	}
	admin := connect(t, "mysql", source(strings.TrimPrefix(at.Path, "/")))
	name := "onebeat_store_" + uuid.Must(uuid.NewV4()).String()[:8]
	if _, err := admin.Exec("CREATE DATABASE " + name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if _, err := admin.ExecContext(ctx, "DROP DATABASE "+name); err != nil {
			t.Error(err)
		}
	})
	at.Path = "/" + name
	db := database(connect(t, "mysql", source(name)), at.String(), false)
	db.MySQL = true
	return db
}

// freshSQLite names a file that is not there yet.
func freshSQLite(t testing.TB) storetest.Database {
	file := filepath.Join(t.TempDir(), "onebeat.db")
	return database(connect(t, "sqlite", "file:"+file+"?_pragma=busy_timeout(5000)"), "sqlite:///"+file, false)
}

func connect(t testing.TB, driver, name string) *sql.DB {
	t.Helper()
	db, err := sql.Open(driver, name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func database(db *sql.DB, url string, postgres bool) storetest.Database {
	return storetest.Database{
		URL:      url,
		Postgres: postgres,
		Exec: func(t testing.TB, text string, args ...any) {
			t.Helper()
			if _, err := db.ExecContext(t.Context(), text, args...); err != nil {
				t.Fatalf("%s: %v", text, err)
			}
		},
		Begin: func(t testing.TB) (func(string), func()) {
			t.Helper()
			tx, err := db.BeginTx(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			exec := func(text string) {
				t.Helper()
				if _, err := tx.ExecContext(t.Context(), text); err != nil {
					t.Fatalf("%s: %v", text, err)
				}
			}
			return exec, func() {
				t.Helper()
				if err := tx.Commit(); err != nil {
					t.Fatal(err)
				}
			}
		},
		Query: func(t testing.TB, text string, args ...any) []string {
			t.Helper()
			rows, err := db.QueryContext(t.Context(), text, args...)
			if err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			defer func() { _ = rows.Close() }()
			var values []string
			for rows.Next() {
				var value any
				if err := rows.Scan(&value); err != nil {
					t.Fatal(err)
				}
				if text, ok := value.([]byte); ok {
					value = string(text)
				}
				values = append(values, fmt.Sprint(value))
			}
			return values
		},
	}
}

func TestSQLiteKeepsTheJournalModeOfAnExistingFile(t *testing.T) {
	for _, tt := range []struct{ name, before, want string }{
		{"a new file", "", "wal"},
		{"an existing file", "CREATE TABLE theirs (id integer)", "delete"},
	} {
		db := freshSQLite(t)
		if tt.before != "" {
			db.Exec(t, tt.before)
		}
		s, err := store.Open(t.Context(), db.URL, store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		s.Close()
		if got := db.Query(t, "PRAGMA journal_mode"); got[0] != tt.want {
			t.Errorf("journal mode of %s = %s, want %s", tt.name, got[0], tt.want)
		}
	}
}

// A program that is no node is not ended, whatever it keeps from all nodes, and the log says which it is.
func TestAnotherProgramThatIsStoppedInTheMiddleOfAWriteIsNamed(t *testing.T) {
	python := os.Getenv("ONEBEAT_TEST_PYTHON")
	if python == "" {
		t.Fatal("ONEBEAT_TEST_PYTHON is not set: run the tests with `make test`, or `make stack` first")
	}
	log := &lines{}
	file := filepath.Join(t.TempDir(), "onebeat.db")
	s, err := store.Open(t.Context(), "sqlite:///"+file, store.Options{Logger: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Join(t.Context()); err != nil {
		t.Fatal(err)
	}
	other := exec.CommandContext(t.Context(), python, "-c", `
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("BEGIN IMMEDIATE")
db.execute("INSERT INTO celery_beat_schedules (name, task_name, cron_expression) VALUES ('a', 'tasks.a', '* * * * *')")
print("writing", flush=True)
sys.stdin.read()
db.execute("COMMIT")
`, file, "a secret")
	in, err := other.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := other.StdoutPipe()
	if err == nil {
		err = other.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	if said, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatalf("another program says %q, %v", said, err)
	}
	if err := other.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("or end it\" program=%s pid=%d\n", programOf(t, other.Process.Pid), other.Process.Pid)
	refused := func() {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond) // less than it takes to be sure: several waits do
		defer cancel()
		if _, err := s.Attend(ctx, true, time.Minute); err == nil {
			t.Fatal("the file can be written")
		}
	}
	for over := time.Now().Add(time.Minute); !strings.Contains(log.String(), want); refused() {
		if time.Now().After(over) {
			t.Fatalf("log = %s, want a line with %s", log, want)
		}
	}
	refused() // it is told of once
	if strings.Count(log.String(), "\n") != 1 || strings.Contains(log.String(), "secret") {
		t.Errorf("log = %s, want one line, without the program's arguments", log)
	}
	if err := other.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	in.Close()
	if err := other.Wait(); err != nil {
		t.Errorf("another program, which was stopped for a while: %v", err)
	}
	if _, err := s.Attend(t.Context(), true, time.Minute); err != nil {
		t.Error(err)
	}
}

// programOf is the name that the system has for a process.
func programOf(t *testing.T, id int) string {
	t.Helper()
	name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", id))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(name))
}

// A lines is a log that may be read while it is written.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

// Write implements io.Writer.
func (l *lines) Write(text []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(text)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
