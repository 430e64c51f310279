package main

import (
	"database/sql"
	"net/url"
	"strings"
	"testing"

	"github.com/gofrs/uuid/v5"
	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/onebeat/onebeat/test/harness"
)

// The table as its user's migrations first made it (Alembic, 2025-07-29).
const firstShape = `CREATE TABLE celery_beat_schedules (
	id uuid PRIMARY KEY, name varchar(255) NOT NULL, task_name varchar(255) NOT NULL, cron_expression varchar(100) NOT NULL,
	enabled boolean NOT NULL, args jsonb NOT NULL, kwargs jsonb NOT NULL, description text,
	created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now())`

// The row that its user writes (the issue's own statement).
const firstRow = `INSERT INTO celery_beat_schedules (id, name, task_name, cron_expression, enabled, args, kwargs, description, created_at, updated_at)
	VALUES (gen_random_uuid(), 'test_every_minute', 'fetch_listed_info_task', '* * * * *', true, '[]',
	'{"schedule_id": 1, "from_date": "20250729", "to_date": "20250730"}', 'runs every minute', now(), now())`

func TestVerbsOnAnExistingPostgresTable(t *testing.T) {
	database := newDatabase(t)
	bareEnvironment(t)
	execSQL(t, "pgx", database, firstShape)
	execSQL(t, "pgx", database, firstRow)
	// As SQLAlchemy writes it, in the variable of an existing deployment.
	t.Setenv("DATABASE_URL", strings.Replace(database, "postgres://", "postgresql+asyncpg://", 1))

	for _, step := range []struct {
		args []string
		code int
		want string // a pattern of what is printed
	}{
		{[]string{"entries", "list"}, 0, `^test_every_minute +fetch_listed_info_task +\* \* \* \* \* +active `},
		{[]string{"migrate", "--print"}, 0, `(?i)ALTER TABLE celery_beat_schedules ADD COLUMN`},
		{[]string{"runs", "list"}, 1, "run `onebeat migrate`"},
		{[]string{"migrate"}, 0, `^Done: \d+ statements`},
		{[]string{"migrate"}, 0, `^All tables, columns and triggers are in place\.$`},
		{[]string{"entries", "list"}, 0, `^test_every_minute +fetch_listed_info_task +\* \* \* \* \* +active `},
		{[]string{"check"}, 3, `^ok    rows: 1 in all, 0 set aside$`},
		{[]string{"entries", "show", "test_every_minute", "--json"}, 0, `"schedule_id": 1`},
		{[]string{"entries", "add", "bad", "--task", "t", "--spec", "61 * * * *"}, 2, `^onebeat: minute 61 is too high`},
		{[]string{"entries", "add", "mine", "--task", "t", "--spec", "@every 90s", "--options", `{"queue": "q"}`}, 0, `^Added mine`},
		{[]string{"entries", "edit", "mine", "--entry-zone", "Asia/Tokyo", "--spec", "0 9 * * *"}, 0, `^Changed mine`},
		{[]string{"entries", "pause", "mine", "--reason", "upgrade"}, 0, `^Paused mine`},
		{[]string{"entries", "show", "mine"}, 0, `^paused +by ada at .*: upgrade$`},
		{[]string{"entries", "resume", "mine"}, 0, `^Resumed mine`},
		{[]string{"entries", "run-now", "mine"}, 0, `^Asked for a run of mine`},
		{[]string{"entries", "remove", "mine"}, 0, `^Removed mine`},
		{[]string{"entries", "show", "mine"}, 2, `^onebeat: no entry has this id or name`},
		{[]string{"runs", "list"}, 0, `^There is no such run\.$`},
	} {
		code, stdout, stderr := onebeat(t, step.args...)
		if code != step.code || !matches(t, stdout+stderr, step.want) {
			t.Fatalf("onebeat %q: code %d, want %d and a line like %s\n%s%s", step.args, code, step.code, step.want, stdout, stderr)
		}
	}
	// What reads and writes the table today goes on working.
	execSQL(t, "pgx", database, firstRow)
	if code, stdout, stderr := onebeat(t, "entries", "list"); code != 0 || strings.Count(stdout, "test_every_minute") != 2 {
		t.Errorf("onebeat entries list after another program's insert: code %d\n%s%s", code, stdout, stderr)
	}
}

// A database that has become a copy to read from: what does not work there says why, and nobody is sent to start nodes
// that may run, and cannot tell of it.
func TestVerbsOnADatabaseThatTakesNoWrites(t *testing.T) {
	database := newDatabase(t)
	bareEnvironment(t)
	execSQL(t, "pgx", database, firstShape)
	execSQL(t, "pgx", database, firstRow)
	t.Setenv("DATABASE_URL", database)
	if code, _, stderr := onebeat(t, "migrate"); code != 0 {
		t.Fatal(stderr)
	}
	execSQL(t, "pgx", database, `UPDATE celery_beat_schedules SET last_run_at = now() - interval '1 hour'`)
	execSQL(t, "pgx", database, `INSERT INTO onebeat_entries (entry_id, spec, after_at) SELECT id, 'e935b2e740826051', now() - interval '1 hour' FROM celery_beat_schedules`)
	t.Setenv("DATABASE_URL", database+"&default_transaction_read_only=on")
	const why = "takes no writes: is it full, or a copy to read from"
	for _, step := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"entries", "pause", "test_every_minute", "--reason", "r"}, 1, "^onebeat: the database answers, and " + why},
		{[]string{"entries", "edit", "test_every_minute", "--spec", "@every 90s"}, 1, "^onebeat: the database answers, and " + why},
		{[]string{"entries", "run-now", "test_every_minute"}, 1, "^onebeat: the database answers, and " + why},
		{[]string{"migrate", "--remove", "triggers", "--apply"}, 1, "^onebeat: the database answers, and " + why},
		{[]string{"check"}, 3, "^WRONG writes: the database answers, and " + why},
		{[]string{"check"}, 3, "^ok    nodes: none was seen for 2s: one that runs is not seen while it cannot write to the database$"},
		{[]string{"explain", "test_every_minute"}, 0, "no node was seen for 2s: nodes are not seen while they cannot write "},
	} {
		code, stdout, stderr := onebeat(t, step.args...)
		if code != step.code || !matches(t, stdout+stderr, step.want) {
			t.Errorf("onebeat %q: code %d, want %d and a line like %s\n%s%s", step.args, code, step.code, step.want, stdout, stderr)
		}
	}
}

// Who looks with a user that may only read is told of that user alone: nodes may have another.
func TestCheckByAUserWhoMayOnlyRead(t *testing.T) {
	database := newDatabase(t)
	bareEnvironment(t)
	t.Setenv("DATABASE_URL", database)
	if code, _, stderr := onebeat(t, "migrate"); code != 0 {
		t.Fatal(stderr)
	}
	user := "reader_" + strings.ReplaceAll(uuid.Must(uuid.NewV4()).String(), "-", "")
	for _, text := range []string{"CREATE ROLE " + user + " LOGIN PASSWORD 'reads'", "GRANT SELECT ON ALL TABLES IN SCHEMA public TO " + user} {
		execSQL(t, "pgx", database, text)
	}
	defer func() {
		for _, text := range []string{"DROP OWNED BY " + user, "DROP ROLE " + user} {
			execSQL(t, "pgx", database, text)
		}
	}()
	at, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	at.User = url.UserPassword(user, "reads")
	t.Setenv("DATABASE_URL", at.String())
	code, stdout, _ := onebeat(t, "check")
	for _, want := range []string{
		"^WRONG rights: the user of the database may not .*This is the user of `onebeat check`: what the user of nodes may do, if that is another, is not known here$",
		"^ok    nodes: none was seen for 2s: nothing is sent until `onebeat serve` runs$",
	} {
		if code != exitNo || !matches(t, stdout, want) {
			t.Errorf("check: code %d, want %d and a line like %s\n%s", code, exitNo, want, stdout)
		}
	}
}

func TestAWrongPasswordIsNotShown(t *testing.T) {
	server, err := url.Parse(harness.Env(t, "ONEBEAT_TEST_POSTGRES"))
	if err != nil {
		t.Fatal(err)
	}
	bareEnvironment(t)
	server.User = url.UserPassword("nobody_at_all", marker)
	code, stdout, stderr := onebeat(t, "entries", "list", "--database", server.String())
	if code != 1 || stderr == "" || strings.Contains(stdout+stderr, marker) {
		t.Errorf("onebeat entries list: code %d\n%s%s", code, stdout, stderr)
	}
}

// newDatabase returns the URL of an empty database that goes with the test.
func newDatabase(t *testing.T) string {
	t.Helper()
	server, err := url.Parse(harness.Env(t, "ONEBEAT_TEST_POSTGRES"))
	if err != nil {
		t.Fatal(err)
	}
	admin, err := sql.Open("pgx", server.String())
	if err != nil {
		t.Fatal(err)
	}
	name := "verbs_" + strings.ReplaceAll(uuid.Must(uuid.NewV4()).String(), "-", "")
	if _, err := admin.Exec("CREATE DATABASE " + name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := admin.Exec("DROP DATABASE " + name + " WITH (FORCE)"); err != nil {
			t.Error(err)
		}
		admin.Close()
	})
	server.Path = "/" + name
	return server.String()
}
