package store

import (
	"context"
	"database/sql"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/onebeat/onebeat/internal/mysqlurl"
)

// oneSided are the statements that not every dialect has, and why.
var oneSided = map[string]string{
	"attend":                "the others take two statements",
	"beat":                  "the others take several statements",
	"guard_wait":            "the others have no such lock, or say how long with the lock's name",
	"entries":               "SQLite reads all rows in pages",
	"entries_alone":         "the others read rows with what is remembered of them",
	"entries_alone_at":      "PostgreSQL alone reads rows where they lie",
	"entries_alone_by_id":   "the others read rows with what is remembered of them",
	"sides_all":             "the others read rows with what is remembered of them",
	"entries_page":          "PostgreSQL streams them",
	"entries_print":         "PostgreSQL tells which transaction wrote a row",
	"ids_lately":            "the others ask once, before they read their table",
	"ids_ended":             "the others have no way to read two tables at once without joining them that is worth it",
	"ids_soon_part":         "PostgreSQL alone reads a part of a table by where it is",
	"table_pages":           "PostgreSQL alone reads a part of a table by where it is",
	"stretch":               "PostgreSQL alone reads a part of a table by where it is",
	"row_ended_stretch":     "PostgreSQL alone reads a part of a table by where it is",
	"ids_since":             "PostgreSQL alone tells which transaction wrote a row",
	"writes":                "PostgreSQL alone counts them where it costs nothing to ask",
	"rows_free_each":        "MariaDB alone stands in line for a row that it is to skip",
	"lease_advance":         "PostgreSQL claims with one statement",
	"lease_seed":            "MySQL takes a lease with several statements",
	"lease_term":            "MySQL's statements that write answer with no rows",
	"run_insert":            "PostgreSQL copies runs",
	"plain_plan":            "PostgreSQL alone compiles statements",
	"relax":                 "of the others the connection or the server says how it syncs",
	"migrate_patience":      "SQLite locks files, not tables, and MySQL's sessions are impatient",
	"constraints_now":       "the others check constraints with each statement",
	"trigger_function":      "of the others a trigger holds its own statements",
	"trigger_body":          "of the others a trigger holds its own statements",
	"trigger_truncate":      "the others have no trigger for it",
	"drop_trigger_truncate": "the others have no trigger for it",
	"drop_function":         "of the others a trigger holds its own statements",
	"changes_open":          "of the others no change comes below others that were there",
	"runs_sent_insert":      "PostgreSQL copies runs, and MySQL writes all of them alike",
	"own_drop_function":     "PostgreSQL alone keeps the ledger by days",
}

func TestDialectsHaveTheSameStatements(t *testing.T) {
	dialects := []string{"postgres", "mysql", "sqlite"}
	for _, l := range layouts {
		if l.table == "" {
			continue // what is about a table does nothing
		}
		for _, some := range dialects {
			for _, others := range dialects {
				for name := range loadStatements(some, l) {
					if _, ok := loadStatements(others, l)[name]; !ok && oneSided[path.Base(name)] == "" {
						t.Errorf("statement %s of %s is in %s and not in %s", name, l.name, some, others)
					}
				}
			}
		}
	}
	for _, dialect := range dialects {
		own, err := filepath.Glob(filepath.Join("sql", dialect, "*.sql"))
		if err != nil {
			t.Fatal(err)
		}
		layouts, err := filepath.Glob(filepath.Join("sql", dialect, "*", "*.sql"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range append(own, layouts...) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(string(text), "-- ") || !strings.Contains(string(text), "\n-- In") && !strings.Contains(string(text), "Out: ") {
				t.Errorf("%s does not begin with what it does, takes and gives", file)
			}
		}
	}
}

// What rows are compared by has all columns whose change is a change of the entry.
func TestRowsAreComparedByAllThatIsWatched(t *testing.T) {
	for _, l := range layouts {
		for _, dialect := range []string{"mysql", "sqlite"} {
			text := loadStatements(dialect, l)["entries_print"]
			for _, column := range l.watched {
				if !strings.Contains(text, "s."+column) && !strings.Contains(text, "{{"+column+"}}") {
					t.Errorf("entries_print of %s in %s leaves %s out", l.name, dialect, column)
				}
			}
		}
	}
}

// made are the statements that change the schema: Migrate runs them in the suite,
// and a database prepares them only where they would succeed.
func made(name string) bool {
	return name == "table_create" || name == "migrate_patience" || slices.ContainsFunc([]string{"add_", "trigger_", "drop_", "own_drop", "own_may"}, func(prefix string) bool {
		return strings.HasPrefix(path.Base(name), prefix) || strings.HasPrefix(name, prefix)
	})
}

func TestStatementsPrepareOnPostgres(t *testing.T) {
	server := os.Getenv("ONEBEAT_TEST_POSTGRES")
	if server == "" {
		t.Fatal("ONEBEAT_TEST_POSTGRES is not set: run the tests with `make test`, or `make stack` first")
	}
	conn, err := pgx.Connect(t.Context(), server)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	const schema = "onebeat_prepare"
	for _, text := range []string{"DROP SCHEMA IF EXISTS " + schema + " CASCADE", "CREATE SCHEMA " + schema} {
		if _, err := conn.Exec(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	defer func() { _, _ = conn.Exec(context.Background(), "DROP SCHEMA "+schema+" CASCADE") }()
	at, err := url.Parse(server)
	if err != nil {
		t.Fatal("ONEBEAT_TEST_POSTGRES is no URL")
	}
	query := at.Query()
	query.Set("search_path", schema)
	at.RawQuery = query.Encode()
	if _, err := conn.Exec(t.Context(), "SET search_path = "+schema); err != nil {
		t.Fatal(err)
	}
	prepareAll(t, at.String(), func(text string) error {
		_, err := conn.Prepare(t.Context(), "", text)
		return err
	}, func(text string) error {
		_, err := conn.Exec(t.Context(), text)
		return err
	})
}

func TestStatementsPrepareOnMySQL(t *testing.T) {
	server := os.Getenv("ONEBEAT_TEST_MARIADB")
	if server == "" {
		t.Fatal("ONEBEAT_TEST_MARIADB is not set: run the tests with `make test`, or `make stack` first")
	}
	at, err := url.Parse(server)
	if err != nil {
		t.Fatal("ONEBEAT_TEST_MARIADB is no URL")
	}
	const name = "onebeat_prepare"
	at.Path = "/" + name
	config, err := mysqlurl.Parse("the URL", strings.TrimPrefix(server, "mysql://"))
	if err != nil {
		t.Fatal(err)
	}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(1)
	defer func() { _ = db.Close() }()
	for _, text := range []string{"DROP DATABASE IF EXISTS " + name, "CREATE DATABASE " + name, "USE " + name} {
		if _, err := db.ExecContext(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	defer func() { _, _ = db.ExecContext(context.Background(), "DROP DATABASE "+name) }()
	prepareAll(t, at.String(), func(text string) error {
		statement, err := db.PrepareContext(t.Context(), newMySQLText(text).text)
		if err == nil {
			err = statement.Close()
		}
		return err
	}, func(text string) error {
		_, err := db.ExecContext(t.Context(), text)
		return err
	})
}

func TestNumbersOfArgumentsAreKept(t *testing.T) {
	statement := newMySQLText("SELECT ?2, ?1 WHERE ?10 = ?2 AND ?3")
	given := []any{1, 2, "three", 4, 5, 6, 7, 8, 9, time.UnixMicro(10)}
	if want := "SELECT ?, ? WHERE ? = ? AND ?"; statement.text != want {
		t.Errorf("text = %q, want %q", statement.text, want)
	}
	if diff := cmp.Diff([]any{2, 1, int64(10), 2, "three"}, statement.args(given)); diff != "" {
		t.Errorf("arguments (-want +got):\n%s", diff)
	}
}

func TestStatementsPrepareOnSQLite(t *testing.T) {
	file := filepath.Join(t.TempDir(), "onebeat.db")
	db, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	prepareAll(t, "sqlite:///"+file, func(text string) error {
		statement, err := db.PrepareContext(t.Context(), text)
		if err == nil {
			err = statement.Close()
		}
		return err
	}, func(text string) error {
		_, err := db.ExecContext(t.Context(), text)
		return err
	})
}

// prepareAll prepares each statement for the barest table that can be read and
// for the full one.
func prepareAll(t *testing.T, url string, prepare, exec func(string) error) {
	s, err := Open(t.Context(), url, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.EnsureOwn(t.Context()); err != nil {
		t.Fatal(err)
	}
	bare := "CREATE TABLE celery_beat_schedules (id varchar(36) PRIMARY KEY, name text, task_name text, cron_expression text, " +
		"enabled boolean, args text, kwargs text, created_at timestamp)"
	if err := exec(bare); err != nil {
		t.Fatal(err)
	}
	mark := map[string]string{"postgres": "$", "mysql": "?", "sqlite": "?"}[s.name]
	for _, kind := range []string{"bare", "full"} {
		if kind == "full" {
			if err := exec("DROP TABLE celery_beat_schedules"); err != nil {
				t.Fatal(err)
			}
			if err := s.Migrate(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		table, err := s.layout.readShape(t.Context(), s.db)
		if err != nil {
			t.Fatal(err)
		}
		for name, text := range s.texts.rendered(s.layout, table, mark) {
			runState := kind == "bare" && (strings.HasPrefix(name, "row_ended") || name == "entries_fill") // run where the columns are
			if made(name) || runState {
				continue
			}
			if err := prepare(text); err != nil {
				t.Errorf("%s for the %s table: %v\n%s", name, kind, err, text)
			}
		}
	}
}

func TestParseURL(t *testing.T) {
	for _, tt := range []struct {
		url  string
		want target
	}{
		{"sqlite:///relative.db", target{file: "relative.db"}},
		{"sqlite:////srv/absolute.db", target{file: "/srv/absolute.db"}},
		{"sqlite+aiosqlite:///a%20b.db?timeout=5", target{file: "a b.db"}},
		{"postgres://u:p@h:5433/d", target{postgres: "postgres://u:p@h:5433/d"}},
		{"postgresql://u@h/d?sslmode=require", target{postgres: "postgres://u@h/d?sslmode=require"}},
		{"postgresql+asyncpg://u:p@h/d?ssl=true", target{postgres: "postgres://u:p@h/d?sslmode=require"}},
		{"postgresql+asyncpg://u:p@h/d?ssl=verify-full", target{postgres: "postgres://u:p@h/d?sslmode=verify-full"}},
		{"postgresql+asyncpg://u:p@h/d?prepared_statement_cache_size=0&timeout=3", target{postgres: "postgres://u:p@h/d?connect_timeout=3"}},
		{"postgresql+psycopg2://u:p@h/d?keepalives=1&keepalives_idle=30&tcp_user_timeout=9&gssencmode=disable&options=-csearch_path%3Da", target{postgres: "postgres://u:p@h/d?options=-csearch_path%3Da"}},
		{"postgresql+psycopg2://u:p%40x@h/d", target{postgres: "postgres://u:p%40x@h/d"}},
		{"postgresql+psycopg://u@/d?host=/run/postgresql", target{postgres: "postgres://u@/d?host=%2Frun%2Fpostgresql"}},
		{"postgres://%2Frun%2Fpostgresql/d", target{postgres: "postgres:///d?host=%2Frun%2Fpostgresql"}},
		{"postgres://u:p%40x@%2frun%2Fpg:5433/d?sslmode=disable", target{postgres: "postgres://u:p%40x@:5433/d?host=%2Frun%2Fpg&sslmode=disable"}},
		{"postgis://u:p@h/d\n", target{postgres: "postgres://u:p@h/d"}},
		{" psql://u@h/d?user=me@corp", target{postgres: "postgres://u@h/d?user=me%40corp"}},
		{"sqlite:////srv/me@corp/a.db", target{file: "/srv/me@corp/a.db"}},
	} {
		got, err := parseURL(tt.url)
		if err != nil {
			t.Errorf("parseURL(%s): %v", tt.url, err)
		}
		if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(target{})); diff != "" {
			t.Errorf("parseURL(%s) (-want +got):\n%s", tt.url, diff)
		}
	}
}

// A file that the URL names and that is not there is told by its parameter.
func TestAFileThatIsMissingIsTold(t *testing.T) {
	for _, name := range []string{"sslrootcert", "sslcert", "sslkey"} {
		err := CheckURL("postgres://u:pa55word@127.0.0.1/app?sslmode=verify-full&" + name + "=none.pem")
		if err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "no such file") || strings.Contains(err.Error(), "pa55") {
			t.Errorf("CheckURL with %s=none.pem = %v, want the parameter and that there is no such file", name, err)
		}
	}
}

func TestNoErrorShowsThePassword(t *testing.T) {
	for _, text := range []string{
		"postgres://u:s3cret@h:port/d", "postgres://u:s3cret%zz@h/d", "u:s3cret@h", "mysql://u:s3cret@127.0.0.1:1/d", "mysql://u:s3cret@h/d?no=1", "mysql://u:s3cret@h", "oracle://u:s3cret@h/d",
		"postgres://u:s3cret@127.0.0.1:1/d?connect_timeout=1", "postgres://u:s3cret@h/d?sslmode=never", "sqlite://s3cret",
		"postgres://127.0.0.1:1/s3cret@h:5432/d", "postgres://127.0.0.1:1?s3cret@h/d", "postgres://127.0.0.1:1#s3cret@h/d", "postgres://u@127.0.0.1:1/d#s3cret",
		"mysql://127.0.0.1:1/s3cret@h/d",
	} {
		s, err := Open(t.Context(), text, Options{})
		if err == nil {
			s.Close()
			t.Errorf("Open(%s) succeeded", text)
		} else if strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "\n") {
			t.Errorf("Open = %v, want one line without the password", err)
		}
	}
}
