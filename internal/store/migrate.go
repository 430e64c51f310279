package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"

	"github.com/pressly/goose/v3"
	versions "github.com/pressly/goose/v3/database"
)

//go:embed migrations
var migrations embed.FS

// ownVersion is the table in which goose keeps which migrations were made.
const ownVersion = "onebeat_schema"

// EnsureOwn makes or upgrades the tables of onebeat's own, and no other. It returns a
// *RightsError where the user may not.
func (s *Store) EnsureOwn(ctx context.Context) error {
	err := s.ensureOwn(ctx)
	if denied(err) {
		return &RightsError{err: err}
	}
	return err
}

func (s *Store) ensureOwn(ctx context.Context) error {
	provider, done, err := s.provider()
	if err != nil {
		return fmt.Errorf("make onebeat's own tables: %w", err)
	}
	defer done()
	pending, err := provider.HasPending(ctx)
	if err == nil && pending { // else nothing is locked: most starts find all in place
		_, err = provider.Up(ctx)
	}
	if err != nil {
		return fmt.Errorf("make onebeat's own tables: %w", err)
	}
	if table := s.table.Load(); table != nil && !s.owned.Load() { // it was looked at before
		s.fill(*table, false)
	}
	s.owned.Store(true)
	return s.identify(ctx)
}

// gooses are goose's names of the dialects.
var gooses = map[string]goose.Dialect{"postgres": goose.DialectPostgres, "mysql": goose.DialectMySQL, "sqlite": goose.DialectSQLite3}

// newProvider makes a provider of the migrations in the dialect's folder.
func newProvider(db *sql.DB, dialect string, options ...goose.ProviderOption) (*goose.Provider, error) {
	files, err := fs.Sub(migrations, path.Join("migrations", dialect))
	if err != nil {
		return nil, err
	}
	kept, err := versions.NewStore(gooses[dialect], ownVersion)
	if err != nil {
		return nil, err
	}
	options = append(options, goose.WithStore(kept), goose.WithDisableGlobalRegistry(true), goose.WithAllowOutofOrder(true))
	return goose.NewProvider("", db, files, options...)
}

// Migrate makes or upgrades onebeat's own tables and then the user's: it makes
// the table in its full shape, or adds the columns it lacks, each with a default, so that
// older programs read and write it as before, and installs the triggers that tell
// of changes. It may be called again; what is there stays.
func (s *Store) Migrate(ctx context.Context) error {
	if err := s.EnsureOwn(ctx); err != nil {
		return err
	}
	_, done, err := s.provider() // on MySQL one process at a time has one: what it does is in no transaction
	if err != nil {
		return fmt.Errorf("migrate %s: %w", s.layout.table, err)
	}
	defer done()
	names, table, err := s.steps(ctx)
	for err == nil && len(names) > 0 {
		s.fill(table, false)
		failed := s.take(ctx, names)
		if failed == nil {
			return s.look(ctx)
		}
		before := len(names)
		if names, table, err = s.steps(ctx); err == nil && len(names) >= before { // else another process took some of them
			err = fmt.Errorf("migrate %s: %w", s.layout.table, failed)
		}
	}
	return err
}

// take runs the statements in one transaction.
func (s *Store) take(ctx context.Context, names []string) error {
	return s.db.transact(ctx, mode{}, func(tx transaction) error {
		for _, name := range names {
			if _, err := tx.exec(ctx, name); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		return nil
	})
}

// Pending returns the SQL that Migrate would run, in order, and changes nothing.
func (s *Store) Pending(ctx context.Context) ([]string, error) {
	pending, err := s.pendingOwn(ctx)
	if err != nil {
		return nil, err
	}
	names, table, err := s.steps(ctx)
	if err != nil {
		return nil, err
	}
	filled := s.texts.rendered(s.layout, table, "")
	for _, name := range names {
		pending = append(pending, filled.get(name)+";")
	}
	return pending, nil
}

// pendingOwn returns the texts of onebeat's own migrations that were not made.
func (s *Store) pendingOwn(ctx context.Context) (pending []string, err error) {
	provider, done, err := s.provider()
	if err != nil {
		return nil, err
	}
	defer done()
	var tables int
	made := map[int64]bool{}
	err = s.db.each(ctx, "own_tables", func(row scanner) error { return row.Scan(&tables) })
	if err == nil && tables > 0 {
		err = s.db.each(ctx, "own_versions", func(row scanner) error {
			var version int64
			err := row.Scan(&version)
			made[version] = true
			return err
		})
	}
	if err != nil {
		return nil, fmt.Errorf("read version of onebeat's own tables: %w", err)
	}
	notes := ""
	if tables == 0 {
		if notes, err = s.versionTable(ctx); err != nil {
			return nil, err
		}
		notes += applied(0) // from which goose counts
	}
	for _, source := range provider.ListSources() {
		if made[source.Version] {
			continue
		}
		text, err := fs.ReadFile(migrations, path.Join("migrations", s.name, path.Base(source.Path)))
		if err != nil {
			return nil, err
		}
		pending = append(pending, notes+string(text)+"\n\n"+applied(source.Version))
		notes = ""
	}
	return pending, nil
}

// applied is the statement that notes a migration as made, so that none is pending where the SQL was run by hand.
func applied(version int64) string {
	return fmt.Sprintf("INSERT INTO %s (version_id, is_applied) VALUES (%d, true);\n", ownVersion, version)
}

// versionTable is the statement that makes the table in which goose notes what was made.
func (s *Store) versionTable(ctx context.Context) (string, error) {
	kept, err := versions.NewStore(gooses[s.name], ownVersion)
	if err != nil {
		return "", err
	}
	var text printer
	err = kept.CreateVersionTable(ctx, &text)
	return string(text) + ";\n", err
}

// A printer takes a statement down and runs nothing.
type printer string

// ExecContext implements versions.DBTxConn.
func (p *printer) ExecContext(_ context.Context, query string, _ ...any) (sql.Result, error) {
	*p = printer(query)
	return nil, nil
}

// QueryContext implements versions.DBTxConn.
func (*printer) QueryContext(context.Context, string, ...any) (*sql.Rows, error) {
	return nil, errors.ErrUnsupported
}

// QueryRowContext implements versions.DBTxConn.
func (*printer) QueryRowContext(context.Context, string, ...any) *sql.Row { return nil }

// steps returns the names of the statements that the user's table needs, in
// order, and its shape once they ran.
func (s *Store) steps(ctx context.Context) (names []string, table shape, err error) {
	if table, err = s.layout.readShape(ctx, s.db); err != nil {
		return nil, nil, err
	}
	triggers := 0
	if err := s.db.each(ctx, "triggers", func(row scanner) error { return row.Scan(&triggers) }); err != nil {
		return nil, nil, fmt.Errorf("look for triggers: %w", err)
	}
	if len(table) == 0 && s.layout.editor == "" {
		names = []string{"table_create"}
		for _, column := range slices.Concat(s.layout.required, s.layout.updated, s.layout.added) {
			table[column] = "any"
		}
	}
	if err := s.layout.check(table); err != nil {
		return nil, nil, err
	}
	for _, column := range table.without(s.layout.added) {
		names = append(names, "add_"+column)
		table[column] = "any"
	}
	if len(names) > 0 || triggers < s.triggers {
		names = slices.Concat(s.patience, names, s.install)
	}
	return names, table, nil
}
