package storetest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/onebeat/onebeat/internal/schedule"
	"github.com/onebeat/onebeat/internal/store"
)

// A tableShape is a form in which celery_beat_schedules is found: the DDL that
// its own migrations, or its ORM, left behind.
type tableShape struct {
	name      string
	statement []string
	lastRunAt bool
}

const firstColumns = `id uuid PRIMARY KEY,
	name varchar(255) NOT NULL, task_name varchar(255) NOT NULL, cron_expression varchar(100) NOT NULL,
	enabled boolean NOT NULL, args jsonb NOT NULL, kwargs jsonb NOT NULL, description text,
	created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now()`

const laterColumns = `, category varchar(50), tags jsonb NOT NULL DEFAULT '[]',
	execution_policy varchar(20) NOT NULL DEFAULT 'allow'
		CONSTRAINT ck_celery_beat_schedules_execution_policy CHECK (execution_policy IN ('allow', 'skip', 'queue')),
	auto_generated_name boolean NOT NULL DEFAULT false`

const ormColumns = `, category varchar(50), tags jsonb NOT NULL,
	execution_policy varchar(20) NOT NULL CHECK (execution_policy IN ('allow', 'skip', 'queue')),
	auto_generated_name boolean NOT NULL`

var shapes = []tableShape{
	{"A", []string{
		"CREATE TABLE celery_beat_schedules (" + firstColumns + ")",
		"CREATE UNIQUE INDEX ix_celery_beat_schedules_name ON celery_beat_schedules (name)",
		"CREATE INDEX ix_celery_beat_schedules_enabled ON celery_beat_schedules (enabled)",
	}, false},
	{"B", []string{
		"CREATE TABLE celery_beat_schedules (" + firstColumns + laterColumns + ")",
		"CREATE INDEX idx_celery_beat_schedules_name ON celery_beat_schedules (name)",
		"CREATE INDEX idx_celery_beat_schedules_tags ON celery_beat_schedules USING gin (tags)",
	}, false},
	{"C", []string{
		"CREATE TABLE celery_beat_schedules (" + firstColumns + laterColumns + ")",
		"CREATE INDEX ix_celery_beat_schedules_name ON celery_beat_schedules (name)",
		"CREATE INDEX ix_celery_beat_schedules_category ON celery_beat_schedules (category)",
	}, false},
	{"D", []string{
		"CREATE TABLE celery_beat_schedules (" + firstColumns + laterColumns + ", last_run_at timestamptz)",
		"CREATE INDEX idx_celery_beat_schedules_last_run_at ON celery_beat_schedules (last_run_at)",
	}, true},
	{"ORM", []string{
		"CREATE TABLE celery_beat_schedules (" + firstColumns + ormColumns + ", last_run_at timestamptz)",
		"CREATE INDEX ix_celery_beat_schedules_last_run_at ON celery_beat_schedules (last_run_at)",
	}, true},
	{"full", nil, true}, // what Migrate makes
}

// forSQLite are the words of the DDL that SQLite has others for.
var forSQLite = strings.NewReplacer(
	"id uuid", "id text", "jsonb", "text", "timestamptz", "timestamp", "DEFAULT now()", "DEFAULT CURRENT_TIMESTAMP", " USING gin", "",
)

// forMySQL are the words of the DDL that MySQL has others for.
var forMySQL = strings.NewReplacer(
	"id uuid", "id char(36)", "jsonb", "longtext", "timestamptz", "datetime(6)", "DEFAULT now()", "DEFAULT (utc_timestamp(6))",
	"DEFAULT '[]'", "DEFAULT ('[]')", " USING gin (tags)", " (tags(20))", "CONSTRAINT ck_celery_beat_schedules_execution_policy ", "",
)

func shapeNamed(name string) tableShape {
	for _, shape := range shapes {
		if shape.name == name {
			return shape
		}
	}
	panic("no shape " + name)
}

// createTable makes the user's table. The full shape has the triggers too.
func createTable(t testing.TB, db Database, shape tableShape) {
	t.Helper()
	for _, statement := range shape.statement {
		switch {
		case db.MySQL:
			statement = forMySQL.Replace(statement)
		case !db.Postgres:
			statement = forSQLite.Replace(statement)
		}
		db.Exec(t, statement)
	}
	if shape.statement == nil {
		migrate(t, db)
	}
}

func migrate(t testing.TB, db Database) {
	t.Helper()
	s, err := store.Open(t.Context(), db.URL, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// id is the nth id of a test.
func id(n int) schedule.ID { return schedule.ID(fmt.Sprintf("%08d-0000-4000-8000-000000000000", n)) }

// A line is a row that another program writes, with its zero fields filled in.
type line struct{ name, task, spec, args, kwargs string }

// insert writes the row as the user's programs do: it names no column that the
// first shape lacks, but for those that an ORM fills in itself.
func insert(t testing.TB, db Database, shape tableShape, n int, l line) {
	t.Helper()
	or := func(text, other string) string {
		if text == "" {
			return other
		}
		return text
	}
	columns, values := "", ""
	if shape.name == "ORM" {
		columns, values = ", tags, execution_policy, auto_generated_name", ", '[]', 'allow', false"
	}
	db.Exec(t, fmt.Sprintf(`INSERT INTO celery_beat_schedules
		(id, name, task_name, cron_expression, enabled, args, kwargs, description, created_at, updated_at%s)
		VALUES ('%s', '%s', '%s', '%s', true, '%s', '%s', 'for tests', '2026-11-01 00:00:00', CURRENT_TIMESTAMP%s)`,
		columns, id(n), or(l.name, "entry"), or(l.task, "tasks.add"), or(l.spec, "0 9 * * *"), or(l.args, "[1, 2]"), or(l.kwargs, `{"a": null}`), values))
}
