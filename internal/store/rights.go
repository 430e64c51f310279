package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"
	codes "modernc.org/sqlite/lib"

	"github.com/onebeat/onebeat/internal/login"
)

// A RightsError says that onebeat's own tables are not there, or not in their newest
// shape, and that the user of the database may not make them, or not look, or that the user may not
// write to them, or not to the table of entries, where last runs are to be kept. Waiting does not mend it.
type RightsError struct {
	table string // of entries; empty for onebeat's own
	err   error
}

func (e *RightsError) Error() string {
	if e.table != "" {
		return fmt.Sprintf("the user of the database may not write the last runs of %s: give it the rights in docs/operating.md, or keep them beside it with --home table: %v", e.table, e.err)
	}
	return fmt.Sprintf("the user of the database may not make or read onebeat's own tables, or not write to them: run `onebeat migrate` once with a user who may, and give this one the rights in docs/operating.md: %v", e.err)
}

func (e *RightsError) Unwrap() error { return e.err }

// What the servers say to a user who has not the right.
var (
	postgresDenied = "42501"
	mysqlDenied    = []uint16{1044, 1142, 1143, 1227} // to a database, a table, a column, for want of a privilege
)

// Rights returns a *RightsError if the user may not write to onebeat's own tables, or not make them where they are
// missing, or not write to the last runs of entries in the home that they have, and another error if nobody may, as where the database is full or a copy to
// read from. It changes nothing, and says nothing of other faults.
func (s *Store) Rights(ctx context.Context) error {
	may := func(how mode, table string, work func(transaction) error) error {
		err := s.rehearse(ctx, how, work)
		if denied(err) {
			return &RightsError{table, err}
		}
		if Unwritable(err) {
			return fmt.Errorf("the database answers, and takes no writes: is it full, or a copy to read from? %w", err)
		}
		return nil
	}
	there := false
	err := may(mode{}, "", func(tx transaction) error {
		_, err := tx.exec(ctx, "meta_insert", "rights", "")
		if err == nil {
			_, err = tx.exec(ctx, "part_begin", -1) // a newer table
		}
		there = err == nil
		return err
	})
	if err == nil && !there {
		err = may(mode{}, "", func(tx transaction) error {
			_, err := tx.exec(ctx, "own_may")
			return err
		})
	}
	if err != nil || s.look(ctx) != nil || s.home(s.shape()) != HomeColumn || s.layout.table == "" {
		return err
	}
	return may(mode{recording: true}, s.layout.table, func(tx transaction) error {
		r := &recording{Shard: s.Shard(0)}
		return r.tell(ctx, tx, ends{ids: []string{s.nobody()}, sent: make([]time.Time, 1), counts: make([]int64, 1)})
	})
}

// nobody is an id that no row has.
func (s *Store) nobody() string {
	switch kind := s.shape()["id"]; {
	case kind == "uuid":
		return "00000000-0000-0000-0000-000000000000"
	case strings.Contains(kind, "int"):
		return "0"
	}
	return ""
}

// A LoginError says that the server of the database answers, and does not let the user in, or has no
// such database. Waiting does not mend it, though a person may.
type LoginError struct{ err error }

func (e *LoginError) Error() string {
	return fmt.Sprintf("the database's server answers, and lets nobody in with this URL: correct the user, the password or the name of the database: %v", e.err)
}

func (e *LoginError) Unwrap() error { return e.err }

// reached makes one line of why no connection came to be, and what to look at.
func reached(err error) error {
	line := login.OneLine(err)
	if login.Refused(err) {
		return &LoginError{line}
	}
	return fmt.Errorf("%w: %s", line, login.Hint(err))
}

// Unwritable says whether a server takes no writes from anybody: its disk is full, or it may only be read.
func Unwritable(err error) bool {
	return refused(err, []string{"25006", "53100"}, []uint16{1021, 1114, 1290, 1836}, codes.SQLITE_FULL) // disk, table, --read-only, read only mode
}

// denied says whether a statement was refused for want of a right.
func denied(err error) bool {
	return refused(err, []string{postgresDenied}, mysqlDenied, codes.SQLITE_READONLY)
}

// refused says whether a server refused a statement with one of its codes; -1 is none of SQLite's.
func refused(err error, postgres []string, mariadb []uint16, sqlite int) bool {
	if refusal := new(pgconn.PgError); errors.As(err, &refusal) {
		return slices.Contains(postgres, refusal.Code)
	}
	if refusal := new(mysql.MySQLError); errors.As(err, &refusal) {
		return slices.Contains(mariadb, refusal.Number)
	}
	return says(err, sqlite)
}
