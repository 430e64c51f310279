package chaos

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	_ "github.com/go-sql-driver/mysql" // the driver mysql
	_ "github.com/jackc/pgx/v5/stdlib" // the driver pgx
	_ "modernc.org/sqlite"             // the driver sqlite

	"github.com/onebeat/onebeat/test/harness"
	"github.com/onebeat/onebeat/test/stack/server"
)

// The kinds of databases and brokers.
const (
	postgres = "PostgreSQL"
	mariadb  = "MariaDB"
	sqlite   = "SQLite"
	redis    = "Redis"
	rabbitmq = "RabbitMQ"
)

// A database is a server of the test's own, or a file.
type database struct {
	kind   string
	server *server.Server // nil for a file
	url    string
	db     *sql.DB
}

func startDatabase(t *testing.T, kind string) *database {
	t.Helper()
	d := &database{kind: kind}
	var driver, source string
	var err error
	switch kind {
	case sqlite:
		file := filepath.Join(t.TempDir(), "schedules.db")
		d.url, driver, source = "sqlite:///"+file, "sqlite", "file:"+file+"?_pragma=busy_timeout(2000)"
	case postgres:
		if d.server, err = server.Postgres(t.Context(), server.PostgresOptions{}); err != nil {
			t.Fatal(err)
		}
		d.url = d.server.URL()
		driver, source = "pgx", d.url
	case mariadb:
		if d.server, err = server.MariaDB(t.Context(), server.MariaDBOptions{}); err != nil {
			t.Fatal(err)
		}
		d.url = d.server.URL()
		at, err := url.Parse(d.url)
		if err != nil {
			t.Fatal(err)
		}
		password, _ := at.User.Password()
		driver = "mysql"
		source = fmt.Sprintf("%s:%s@tcp(%s)%s?parseTime=true&loc=UTC", at.User.Username(), password, at.Host, at.Path)
	}
	if d.db, err = sql.Open(driver, source); err != nil {
		t.Fatal(err)
	}
	d.db.SetMaxOpenConns(3)
	t.Cleanup(func() {
		_ = d.db.Close()
		if d.server != nil {
			_ = d.server.Close()
		}
	})
	return d
}

// exec runs a statement with ? for its values.
func (d *database) exec(ctx context.Context, statement string, values ...any) error {
	if d.kind == postgres {
		for i := range values {
			statement = strings.Replace(statement, "?", fmt.Sprintf("$%d", i+1), 1)
		}
	}
	for i, value := range values {
		if at, ok := value.(time.Time); ok && d.kind == sqlite {
			values[i] = at.UTC().Format("2006-01-02 15:04:05.000000")
		}
	}
	_, err := d.db.ExecContext(ctx, statement, values...)
	return err
}

// insert writes the rows.
func (d *database) insert(t *testing.T, entries []*entry) {
	t.Helper()
	for some := range slices.Chunk(entries, 100) {
		var values []any
		for _, e := range some {
			policy, grace := e.misfires()
			values = append(values, e.id, e.name, "probe.record", e.spec(), e.edits[0].period > 0, "[0]", "{}", epoch, epoch, e.options(), policy, grace)
		}
		statement := `INSERT INTO celery_beat_schedules (id, name, task_name, cron_expression, enabled, args, kwargs,
			created_at, updated_at, options, misfire_policy, misfire_grace_seconds) VALUES ` +
			strings.Repeat("(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?), ", len(some))
		if err := d.exec(t.Context(), strings.TrimSuffix(statement, ", "), values...); err != nil {
			t.Fatalf("insert %d entries from %s on: %v", len(some), some[0].name, err)
		}
	}
}

// clear takes all rows of the catalog and of onebeat's own tables away: what comes next is a first start, of
// another installation.
func (d *database) clear(t *testing.T) {
	t.Helper()
	for _, table := range []string{
		"celery_beat_schedules", "onebeat_journal", "onebeat_requests", "onebeat_changes", "onebeat_entries", "onebeat_runs",
		"onebeat_calendars", "onebeat_windows", "onebeat_leases", "onebeat_nodes", "onebeat_meta",
	} {
		if err := d.exec(t.Context(), "DELETE FROM "+table); err != nil {
			t.Fatalf("clear %s: %v", table, err)
		}
	}
}

// An end is a row of the ledger.
type end struct {
	of                       string // the entry's id
	entry, state, reason, id string // id is the message's
	node                     string
	term                     int64
	recovered                bool
	slot, through, sent      time.Time
	count                    int
}

// clock is how instants of a run are written.
const clock = "15:04:05.000"

// String tells which term of which node made it.
func (e end) String() string {
	text := e.state
	if e.reason != "" {
		text += " (" + e.reason + ")"
	}
	text += fmt.Sprintf(" by %s in term %d", e.node, e.term)
	if e.recovered {
		text += ", recovered"
	}
	if e.id != "" {
		text += ", id " + e.id
	}
	if !e.sent.IsZero() {
		text += ", sent at " + e.sent.UTC().Format(clock)
	}
	return text
}

// ledger reads all runs.
func (d *database) ledger(t *testing.T) []end {
	t.Helper()
	rows, err := d.db.QueryContext(t.Context(), "SELECT entry_id, name, state, reason, task_id, node, term, recovered, slot, through, sent_at, count FROM onebeat_runs")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var ends []end
	for rows.Next() {
		var e end
		var slot, through, sent harness.Moment
		if err := rows.Scan(&e.of, &e.entry, &e.state, &e.reason, &e.id, &e.node, &e.term, &e.recovered, &slot, &through, &sent, &e.count); err != nil {
			t.Fatal(err)
		}
		e.slot, e.through, e.sent = slot.Time, through.Time, sent.Time
		if e.through.IsZero() {
			e.through = e.slot
		}
		ends = append(ends, e)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return ends
}

// journal counts the batches that are claimed and not recorded.
func (d *database) journal(ctx context.Context) (batches int, err error) {
	err = d.db.QueryRowContext(ctx, "SELECT count(*) FROM onebeat_journal").Scan(&batches)
	return batches, err
}

// fact reads a fact of the installation.
func (d *database) fact(ctx context.Context, key string) (text string, err error) {
	column := "key"
	if d.kind == mariadb {
		column = "`key`"
	}
	err = d.db.QueryRowContext(ctx, "SELECT value FROM onebeat_meta WHERE "+column+" = '"+key+"'").Scan(&text)
	return text, err
}

// firstStart is when onebeat first read the catalog: slots count after it.
func (d *database) firstStart(t *testing.T) time.Time {
	t.Helper()
	text, err := d.fact(t.Context(), "first_start")
	if err != nil {
		t.Fatal(err)
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// startBroker starts a broker of the test's own that keeps what it has taken.
func startBroker(t testing.TB, kind string) *server.Server {
	t.Helper()
	var s *server.Server
	var err error
	if kind == redis {
		s, err = server.Redis(t.Context(), server.RedisOptions{AppendOnly: true, Arguments: []string{"--appendfsync", "always"}})
	} else {
		s, err = server.RabbitMQ(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}
