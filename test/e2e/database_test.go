package e2e

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
	"github.com/gofrs/uuid/v5"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver pgx
	_ "modernc.org/sqlite"             // the driver sqlite

	"github.com/onebeat/onebeat/test/harness"
)

// The kinds of databases.
const (
	postgres = "PostgreSQL"
	mariadb  = "MariaDB"
	sqlite   = "SQLite"
)

// A database is a fresh one of a test's own, seen with the eyes of the user's
// other programs: plain SQL.
type database struct {
	kind string
	url  string // as onebeat takes it
	db   *sql.DB
}

func newDatabase(t *testing.T, kind string) *database {
	t.Helper()
	if kind == sqlite {
		file := filepath.Join(t.TempDir(), "schedules.db")
		return openDatabase(t, kind, "sqlite:///"+file, "sqlite", "file:"+file+"?_pragma=busy_timeout(10000)")
	}
	if kind == mariadb {
		return freshMariaDB(t)
	}
	admin := harness.Env(t, "ONEBEAT_TEST_POSTGRES")
	name := "e2e_" + strings.ReplaceAll(newID(), "-", "")
	execute := func(statement string) {
		db, err := sql.Open("pgx", admin)
		if err == nil {
			_, err = db.ExecContext(context.Background(), statement)
			_ = db.Close()
		}
		if err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	execute("CREATE DATABASE " + name)
	t.Cleanup(func() { execute("DROP DATABASE " + name + " WITH (FORCE)") })
	return onServer(t, admin, name)
}

func freshMariaDB(t *testing.T) *database {
	t.Helper()
	at, err := url.Parse(harness.Env(t, "ONEBEAT_TEST_MARIADB"))
	if err != nil {
		t.Fatal("ONEBEAT_TEST_MARIADB is no URL")
	}
	password, _ := at.User.Password()
	source := func(database string) string {
		return fmt.Sprintf("%s:%s@tcp(%s)/%s?time_zone=%%27%%2B00:00%%27", at.User.Username(), password, at.Host, database)
	}
	admin := openDatabase(t, mariadb, "", "mysql", source(strings.TrimPrefix(at.Path, "/")))
	name := "e2e_" + strings.ReplaceAll(newID(), "-", "")
	admin.exec(t, "CREATE DATABASE "+name)
	t.Cleanup(func() {
		if _, err := admin.db.ExecContext(context.Background(), "DROP DATABASE "+name); err != nil {
			t.Error(err)
		}
	})
	at.Path = "/" + name
	return openDatabase(t, mariadb, at.String(), "mysql", source(name))
}

// onServer opens the named database of the PostgreSQL server at the URL.
func onServer(t *testing.T, server, name string) *database {
	t.Helper()
	at, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	at.Path = "/" + name
	return openDatabase(t, postgres, at.String(), "pgx", at.String())
}

func openDatabase(t *testing.T, kind, url, driver, source string) *database {
	t.Helper()
	db, err := sql.Open(driver, source)
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(2)
	db.SetMaxIdleConns(1)
	t.Cleanup(func() { _ = db.Close() })
	return &database{kind: kind, url: url, db: db}
}

func newID() string { return uuid.Must(uuid.NewV4()).String() }

// text is the statement with PostgreSQL's placeholders where that is the kind.
func (d *database) text(statement string) string {
	if d.kind != postgres {
		return statement
	}
	parts := strings.Split(statement, "?")
	var out strings.Builder
	for i, part := range parts {
		if i > 0 {
			fmt.Fprintf(&out, "$%d", i)
		}
		out.WriteString(part)
	}
	return out.String()
}

// exec runs one statement, with ? for its values.
func (d *database) exec(t *testing.T, statement string, values ...any) {
	t.Helper()
	for i, value := range values {
		if at, ok := value.(time.Time); ok && d.kind != postgres {
			values[i] = at.UTC().Format("2006-01-02 15:04:05.000000")
		}
	}
	if _, err := d.db.ExecContext(t.Context(), d.text(statement), values...); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// each reads rows.
func (d *database) each(t *testing.T, query string, row func(scan func(...any))) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	rows, err := d.db.QueryContext(ctx, query)
	if err != nil { // the server may have been away since the connection was last used
		rows, err = d.db.QueryContext(ctx, query)
	}
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	for rows.Next() {
		row(func(into ...any) {
			if err := rows.Scan(into...); err != nil {
				t.Fatalf("%s: %v", query, err)
			}
		})
	}
	if err := rows.Err(); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// The shapes that the user's table is found in: schemas.md, section 5.
const (
	shapeA = "as first made"
	shapeC = "with category, tags and execution_policy"
	shapeD = "with last_run_at"
)

// makeTable makes the user's table in one of the shapes, as its owner's migrations did.
func (d *database) makeTable(t *testing.T, shape string) {
	t.Helper()
	types := map[string]string{
		"{uuid}": "uuid", "{json}": "jsonb", "{time}": "timestamptz", "{now}": "now()", "{list}": "'[]'::jsonb",
	}
	if d.kind == sqlite {
		types = map[string]string{
			"{uuid}": "CHAR(36)", "{json}": "JSON", "{time}": "DATETIME", "{now}": "CURRENT_TIMESTAMP", "{list}": "'[]'",
		}
	}
	if d.kind == mariadb {
		types = map[string]string{
			"{uuid}": "CHAR(36)", "{json}": "JSON", "{time}": "DATETIME(6)", "{now}": "CURRENT_TIMESTAMP(6)", "{list}": "'[]'",
		}
	}
	run := func(statement string) {
		for name, value := range types {
			statement = strings.ReplaceAll(statement, name, value)
		}
		d.exec(t, statement)
	}
	more := ""
	if shape != shapeA {
		more = `,
		category varchar(50),
		tags {json} NOT NULL DEFAULT {list},
		execution_policy varchar(20) NOT NULL DEFAULT 'allow' CHECK (execution_policy IN ('allow', 'skip', 'queue')),
		auto_generated_name boolean NOT NULL DEFAULT false`
	}
	if shape == shapeD {
		more += `,
		last_run_at {time}`
	}
	run(`CREATE TABLE celery_beat_schedules (
		id {uuid} PRIMARY KEY,
		name varchar(255) NOT NULL,
		task_name varchar(255) NOT NULL,
		cron_expression varchar(100) NOT NULL,
		enabled boolean NOT NULL,
		args {json} NOT NULL,
		kwargs {json} NOT NULL,
		description text,
		created_at {time} NOT NULL DEFAULT {now},
		updated_at {time} NOT NULL DEFAULT {now}` + more + `)`)
	run("CREATE INDEX ix_celery_beat_schedules_enabled ON celery_beat_schedules (enabled)")
	switch shape {
	case shapeA:
		run("CREATE UNIQUE INDEX ix_celery_beat_schedules_name ON celery_beat_schedules (name)")
	case shapeD:
		run("CREATE INDEX idx_celery_beat_schedules_last_run_at ON celery_beat_schedules (last_run_at)")
		fallthrough
	default:
		run("CREATE INDEX ix_celery_beat_schedules_name ON celery_beat_schedules (name)")
		run("CREATE INDEX ix_celery_beat_schedules_category ON celery_beat_schedules (category)")
	}
}

// An item is columns of a row of the user's table. Those that every shape needs
// have defaults, so that a test names what it is about.
type item map[string]any

// insert writes rows in one transaction, as another program would, and fills in
// their ids where they are not set.
func (d *database) insert(t *testing.T, items ...item) {
	t.Helper()
	tx, err := d.db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }() // does nothing after a commit
	for _, it := range items {
		for name, value := range map[string]any{
			"id": newID(), "task_name": "probe.record", "enabled": true, "args": "[]", "kwargs": "{}",
			"created_at": epoch, "updated_at": epoch,
		} {
			if _, set := it[name]; !set {
				it[name] = value
			}
		}
		var names []string
		for name := range it {
			names = append(names, name)
		}
		slices.Sort(names)
		values := make([]any, len(names))
		for i, name := range names {
			values[i] = it[name]
			if at, ok := values[i].(time.Time); ok && d.kind != postgres {
				values[i] = at.UTC().Format("2006-01-02 15:04:05.000000")
			}
		}
		statement := fmt.Sprintf("INSERT INTO celery_beat_schedules (%s) VALUES (?%s)",
			strings.Join(names, ", "), strings.Repeat(", ?", len(names)-1))
		if _, err := tx.ExecContext(t.Context(), d.text(statement), values...); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
}

// crowd writes so many entries that are due at some minute of each day, in the full shape.
func (d *database) crowd(t *testing.T, size int) {
	t.Helper()
	numbers, id := fmt.Sprintf("generate_series(1, %d) AS s (seq)", size), "('00000000-0000-4000-9000-' || lpad(seq::text, 12, '0'))::uuid"
	text := func(number string) string { return "(" + number + ")::text" }
	join := func(parts ...string) string { return strings.Join(parts, " || ") }
	switch d.kind {
	case sqlite:
		numbers = fmt.Sprintf("(WITH RECURSIVE s (seq) AS (SELECT 1 UNION ALL SELECT seq + 1 FROM s WHERE seq < %d) SELECT seq FROM s) AS s", size)
		id = "printf('00000000-0000-4000-9000-%012d', seq)"
		text = func(number string) string { return "CAST(" + number + " AS text)" }
	case mariadb:
		numbers, id = fmt.Sprintf("seq_1_to_%d AS s", size), "concat('00000000-0000-4000-9000-', lpad(seq, 12, '0'))"
		text = func(number string) string { return number }
		join = func(parts ...string) string { return "concat(" + strings.Join(parts, ", ") + ")" }
	}
	hour := map[string]string{mariadb: "seq div 60 % 24"}[d.kind]
	if hour == "" {
		hour = "seq / 60 % 24"
	}
	d.exec(t, fmt.Sprintf(`INSERT INTO celery_beat_schedules (id, name, task_name, cron_expression, enabled, args, kwargs, created_at, updated_at)
		SELECT %s, %s, 'probe.record', %s, true, '[]', '{}', ?, ? FROM %s`,
		id, join("'one of many '", text("seq")), join(text("seq % 60"), "' '", text(hour), "' * * *'"), numbers), epoch, epoch)
}

// epoch is a created_at of a row that is older than the test: intervals are
// counted from a whole minute then.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// A recorded is a row of the ledger.
type recorded struct {
	entry, state, reason, taskID, queue, node string
	slot, through, sentAt                     harness.Moment
	count                                     int
	recovered                                 bool
}

// ledger reads all runs, in order of slot.
func (d *database) ledger(t *testing.T) []recorded {
	t.Helper()
	var runs []recorded
	d.each(t, `SELECT name, state, reason, task_id, queue, node, slot, through, sent_at, count, recovered
		FROM onebeat_runs ORDER BY slot, name`, func(scan func(...any)) {
		var r recorded
		scan(&r.entry, &r.state, &r.reason, &r.taskID, &r.queue, &r.node, &r.slot, &r.through, &r.sentAt, &r.count, &r.recovered)
		runs = append(runs, r)
	})
	return runs
}

// fact reads a fact of the installation; empty if it is not known yet.
func (d *database) fact(t *testing.T, key string) (value string) {
	t.Helper()
	d.each(t, "SELECT value FROM onebeat_meta WHERE "+d.column("key")+" = '"+key+"'", func(scan func(...any)) { scan(&value) })
	return value
}

// column is a name of a column that MariaDB keeps for itself.
func (d *database) column(name string) string {
	if d.kind == mariadb {
		return "`" + name + "`"
	}
	return name
}

// firstStart is when onebeat first read the catalog: slots count after it.
func (d *database) firstStart(t *testing.T) time.Time {
	t.Helper()
	text := d.fact(t, "first_start")
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		t.Fatalf("first_start is %q: %v", text, err)
	}
	return at
}
