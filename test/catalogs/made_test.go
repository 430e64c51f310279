package catalogs

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/gofrs/uuid/v5"
)

// A made is a database with a scheduler's tables as its own program makes them. Tests have copies
// of it, for that takes seconds.
type made struct {
	once sync.Once
	name string       // of the database, or the path of the file; empty if it was not made
	drop func() error // nil if there is nothing to
}

var (
	madeOnes sync.Map // of *made, by catalog
	madeIn   string   // the folder of files
)

// dropMade takes away what was made.
func dropMade() error {
	var errs []error
	madeOnes.Range(func(_, value any) bool {
		if m := value.(*made); m.drop != nil {
			errs = append(errs, m.drop())
		}
		return true
	})
	return errors.Join(errs...)
}

// newTables returns a database of its own for a test, with the scheduler's tables.
func newTables(t *testing.T, c catalog) *database {
	t.Helper()
	value, _ := madeOnes.LoadOrStore(c, new(made))
	m := value.(*made)
	m.once.Do(func() { m.make(t, c) })
	if m.name == "" {
		t.Fatalf("the tables of %v were not made", c)
	}
	switch c.kind {
	case "SQLite":
		text, err := os.ReadFile(m.name)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "schedules.db")
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return openFile(t, c, file)
	case "PostgreSQL":
		s := serverOf(t, c.kind)
		return s.open(t, c, s.create(t, m.name))
	}
	d := newDatabase(t, c)
	if err := copyTables(t.Context(), d.db, m.name); err != nil {
		t.Fatal(err)
	}
	return d
}

// make lets the scheduler make its tables. No connection to them is left.
func (m *made) make(t *testing.T, c catalog) {
	t.Helper()
	id := "made_" + strings.ReplaceAll(uuid.Must(uuid.NewV4()).String(), "-", "")
	d, name := &database{catalog: c}, filepath.Join(madeIn, id)
	if c.kind == "SQLite" {
		d.url = "sqlite:///" + name
	} else {
		s := serverOf(t, c.kind)
		if err := s.exec(t.Context(), "CREATE DATABASE "+id); err != nil {
			t.Fatal(err)
		}
		m.drop = func() error { return s.drop(id) }
		name, d.url = id, s.url(id)
	}
	d.python(t, "make_tables()", nil)
	m.name = name
}

// copyTables copies all tables of another database of a MariaDB.
func copyTables(ctx context.Context, to *sql.DB, from string) error {
	conn, err := to.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.ExecContext(ctx, "SET foreign_key_checks = 0"); err != nil { // of tables that come later
		return err
	}
	defer func() { _, _ = conn.ExecContext(context.WithoutCancel(ctx), "SET foreign_key_checks = 1") }()
	rows, err := conn.QueryContext(ctx, "SELECT table_name FROM information_schema.tables WHERE table_schema = ?", from)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	var names []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return err
		}
		names = append(names, name)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return err
	}
	for _, name := range names {
		var table, text string
		if err := conn.QueryRowContext(ctx, "SHOW CREATE TABLE "+from+"."+name).Scan(&table, &text); err != nil {
			return err
		}
		for _, statement := range []string{text, "INSERT INTO " + name + " SELECT * FROM " + from + "." + name} {
			if _, err := conn.ExecContext(ctx, statement); err != nil {
				return err
			}
		}
	}
	return nil
}
