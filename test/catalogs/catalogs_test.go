// Package catalogs runs onebeat on the tables that other schedulers' own programs
// made and filled.
package catalogs

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	_ "github.com/go-sql-driver/mysql"
	"github.com/gofrs/uuid/v5"
	_ "github.com/jackc/pgx/v5/stdlib"
	"golang.org/x/sync/errgroup"
	_ "modernc.org/sqlite"

	"github.com/onebeat/onebeat/internal/schedule"
	"github.com/onebeat/onebeat/internal/store"
	"github.com/onebeat/onebeat/test/harness"
)

// A catalog is another scheduler's tables in a kind of database.
type catalog struct {
	name, kind, schema string

	old  bool   // of the scheduler's version in requirements-<name>-old.txt
	zone string // Django's TIME_ZONE, with USE_TZ and DJANGO_CELERY_BEAT_TZ_AWARE off
}

// catalogs are those that are tried.
var catalogs = []catalog{
	{name: "django", kind: "PostgreSQL"},
	{name: "django", kind: "MariaDB"},
	{name: "django", kind: "SQLite"},
	{name: "django", kind: "PostgreSQL", old: true},
	{name: "django", kind: "MariaDB", old: true},
	{name: "django", kind: "SQLite", old: true},
	{name: "django", kind: "PostgreSQL", zone: "America/New_York"},
	{name: "django", kind: "MariaDB", zone: "America/New_York"},
	{name: "django", kind: "SQLite", zone: "America/New_York"},
	{name: "sqlalchemy", kind: "PostgreSQL"},
	{name: "sqlalchemy", kind: "PostgreSQL", schema: "beat"},
	{name: "sqlalchemy", kind: "MariaDB"},
	{name: "sqlalchemy", kind: "SQLite"},
}

func (c catalog) String() string {
	name := c.name + " on " + c.kind
	if c.old {
		name = "old " + name
	}
	if c.schema != "" {
		name += " in a schema"
	}
	if c.zone != "" {
		name += " without zones"
	}
	return name
}

// environment is what Django's settings are made from.
func (c catalog) environment() []string {
	if c.zone == "" {
		return nil
	}
	return []string{fmt.Sprintf(`DJANGO_MORE={"USE_TZ": false, "TIME_ZONE": %q, "DJANGO_CELERY_BEAT_TZ_AWARE": false}`, c.zone)}
}

// stored is an instant as plain SQL writes it into any column but last_run_at.
func (c catalog) stored(t *testing.T, at time.Time) string {
	t.Helper()
	if c.zone != "" && c.kind != "PostgreSQL" {
		zone, err := schedule.Location(c.zone)
		if err != nil {
			t.Fatal(err)
		}
		at = at.In(zone)
	} else {
		at = at.UTC()
	}
	return at.Format("2006-01-02 15:04:05")
}

// variable names the Python that has the scheduler.
func (c catalog) variable() string {
	name := "ONEBEAT_TEST_" + strings.ToUpper(c.name)
	if c.old {
		name += "_OLD"
	}
	return name
}

// each runs the test for each catalog.
func each(t *testing.T, test func(t *testing.T, c catalog)) {
	t.Helper()
	eachWhere(t, func(catalog) bool { return true }, test)
}

// eachZoned runs the test for each catalog but those whose times have no zone: for what
// that makes no difference to.
func eachZoned(t *testing.T, test func(t *testing.T, c catalog)) {
	t.Helper()
	eachWhere(t, func(c catalog) bool { return c.zone == "" }, test)
}

// eachOf runs the test for each catalog of the name.
func eachOf(t *testing.T, name string, test func(t *testing.T, c catalog)) {
	t.Helper()
	eachWhere(t, func(c catalog) bool { return c.name == name }, test)
}

func eachWhere(t *testing.T, is func(catalog) bool, test func(t *testing.T, c catalog)) {
	t.Helper()
	t.Parallel()
	for _, c := range catalogs {
		if !is(c) {
			continue
		}
		t.Run(c.String(), func(t *testing.T) {
			t.Parallel()
			test(t, c)
		})
	}
}

// A database is an empty one of its own for a test.
type database struct {
	catalog
	url string
	db  *sql.DB
}

func newDatabase(t *testing.T, c catalog) *database {
	t.Helper()
	if c.kind == "SQLite" {
		return openFile(t, c, filepath.Join(t.TempDir(), "schedules.db"))
	}
	s := serverOf(t, c.kind)
	return s.open(t, c, s.create(t, ""))
}

func openFile(t *testing.T, c catalog, file string) *database {
	t.Helper()
	return &database{c, "sqlite:///" + file, connect(t, "sqlite", "file:"+file+"?_pragma=busy_timeout(10000)")}
}

// A server is where the databases of a kind are, beside files.
type server struct {
	driver string
	at     url.URL
}

func serverOf(t *testing.T, kind string) server {
	t.Helper()
	s := server{driver: "pgx"}
	name := "ONEBEAT_TEST_POSTGRES"
	if kind == "MariaDB" {
		s.driver, name = "mysql", "ONEBEAT_TEST_MARIADB"
	}
	at, err := url.Parse(harness.Env(t, name))
	if err != nil {
		t.Fatal("the server's URL can't be read")
	}
	s.at = *at
	return s
}

// url is a database's.
func (s server) url(database string) string {
	s.at.Path = "/" + database
	return s.at.String()
}

// source is how the driver is told of a database; empty is the one of the server's URL.
func (s server) source(database string) string {
	if database != "" {
		s.at.Path = "/" + database
	}
	if s.driver == "pgx" {
		return s.at.String()
	}
	password, _ := s.at.User.Password()
	return fmt.Sprintf("%s:%s@tcp(%s)%s", s.at.User.Username(), password, s.at.Host, s.at.Path)
}

// create makes a database that is dropped at the test's end, and returns its name. PostgreSQL makes it a
// copy of another if that is named.
func (s server) create(t *testing.T, of string) (name string) {
	t.Helper()
	name = "catalogs_" + strings.ReplaceAll(uuid.Must(uuid.NewV4()).String(), "-", "")
	statement := "CREATE DATABASE " + name
	if of != "" {
		statement += " TEMPLATE " + of
	}
	if err := s.exec(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.drop(name); err != nil {
			t.Error(err)
		}
	})
	return name
}

func (s server) drop(name string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	return s.exec(ctx, "DROP DATABASE "+name+map[string]string{"pgx": " WITH (FORCE)"}[s.driver])
}

// exec runs a statement outside of any test's database.
func (s server) exec(ctx context.Context, statement string) error {
	admin, err := sql.Open(s.driver, s.source(""))
	if err != nil {
		return err
	}
	defer func() { _ = admin.Close() }()
	_, err = admin.ExecContext(ctx, statement)
	return err
}

// open is the database of the name as the catalog's.
func (s server) open(t *testing.T, c catalog, name string) *database {
	t.Helper()
	return &database{c, s.url(name), connect(t, s.driver, s.source(name))}
}

func connect(t *testing.T, driver, source string) *sql.DB {
	t.Helper()
	db, err := sql.Open(driver, source)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// models are the names of the scheduler's models, of which those of its tables are made.
var models = regexp.MustCompile(`\{(\w+)\}`)

// prefix is what the scheduler's names of tables begin with.
func (c catalog) prefix() string {
	return map[string]string{"django": "django_celery_beat_", "sqlalchemy": "celery_"}[c.name]
}

// sql puts the names of tables where the statement has those of models in braces.
func (d *database) sql(statement string) string {
	prefix := d.prefix()
	if d.schema != "" {
		prefix = d.schema + "." + prefix
	}
	return models.ReplaceAllString(statement, prefix+"$1")
}

// exec runs plain SQL as a program beside the scheduler's models would.
func (d *database) exec(t *testing.T, statement string) {
	t.Helper()
	statement = d.sql(statement)
	if _, err := d.db.ExecContext(t.Context(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// python runs Python among the scheduler's models, and reads what it tells into answer
// unless that is nil.
func (d *database) python(t *testing.T, code string, answer any) {
	t.Helper()
	if err := d.models(t, code)(answer); err != nil {
		t.Fatal(err)
	}
}

// models returns what python does, for another goroutine to call.
func (d *database) models(t *testing.T, code string) func(answer any) error {
	t.Helper()
	socket, args := d.shell(t), []string{d.url}
	if d.schema != "" {
		args = append(args, d.schema)
	}
	return func(answer any) error {
		out, err := runShell(t.Context(), socket, args, d.environment(), code)
		if err != nil {
			return fmt.Errorf("models of %v: %w", d.catalog, err)
		}
		if answer == nil {
			return nil
		}
		if err := json.Unmarshal([]byte(out), answer); err != nil {
			return fmt.Errorf("models of %v told %q: %w", d.catalog, out, err)
		}
		return nil
	}
}

// options are those that say where the tables are, and what they mean.
func (c catalog) options() store.Options {
	return store.Options{Catalog: c.name, Schema: c.schema, Zone: "UTC", Django: store.DjangoTime{Zone: c.zone, NaiveRuns: c.zone != ""}}
}

func (d *database) open(t *testing.T) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), d.url, d.options()) // as the command has it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	if err := s.EnsureOwn(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// load returns all entries by name.
func load(t *testing.T, s *store.Store) map[string]schedule.Change {
	t.Helper()
	all := map[string]schedule.Change{}
	err := s.Load(t.Context(), func(_ context.Context, changes []schedule.Change) error {
		for _, change := range changes {
			all[change.Name] = change
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// A watching leads beside a test.
type watching struct {
	t    *testing.T
	news chan struct{}

	mu    sync.Mutex
	ready bool
	told  int
	now   map[schedule.ID]schedule.Change
}

func watch(t *testing.T, s *store.Store) *watching {
	t.Helper()
	w := &watching{t: t, news: make(chan struct{}, 1), now: map[schedule.ID]schedule.Change{}}
	ctx, cancel := context.WithCancel(context.Background())
	roster := s.Roster()
	group := new(errgroup.Group)
	group.Go(func() error { return roster.Lead(ctx, 0, nil, w) })
	group.Go(func() error { return roster.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		if err := group.Wait(); err != nil {
			t.Errorf("watching: %v", err)
		}
	})
	w.await("the first load", func() bool { return w.ready })
	return w
}

func (w *watching) tell(news func()) {
	w.mu.Lock()
	news()
	w.mu.Unlock()
	select {
	case w.news <- struct{}{}:
	default:
	}
}

// Apply implements store.Watcher.
func (w *watching) Apply(_ context.Context, changes []schedule.Change) error {
	w.tell(func() {
		w.told += len(changes)
		for _, change := range changes {
			w.now[change.ID] = change
		}
	})
	return nil
}

// Loaded implements store.Watcher.
func (w *watching) Loaded() { w.tell(func() { w.ready = true }) }

// Asked implements store.Watcher.
func (w *watching) Asked(context.Context, []store.Request) error { return nil }

// await returns how long it took until what was wanted was told of.
func (w *watching) await(what string, there func() bool) time.Duration {
	w.t.Helper()
	began, over := time.Now(), time.After(time.Minute)
	for {
		w.mu.Lock()
		ok := there()
		w.mu.Unlock()
		if ok {
			return time.Since(began)
		}
		select {
		case <-w.news:
		case <-over:
			w.t.Fatalf("%s did not come in a minute", what)
		}
	}
}

// specs are the specs of those of the name that are planned.
func (w *watching) spec(name string) string {
	for _, change := range w.now {
		if change.Name == name && change.Entry != nil {
			return change.Entry.Spec.String()
		}
	}
	return ""
}
