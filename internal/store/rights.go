package store

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"
	sqlitedriver "modernc.org/sqlite"

	"github.com/onebeat/onebeat/internal/login"
)

// A RightsError says that onebeat's own tables are not there, or not in their newest
// shape, and that the user of the database may not make them, or not look, or that the user may not
// write to them. Waiting does not mend it.
type RightsError struct{ err error }

func (e *RightsError) Error() string {
	return fmt.Sprintf("the user of the database may not make or read onebeat's own tables, or not write to them: run `onebeat migrate` once with a user who may, and give this one the rights in docs/operating.md: %v", e.err)
}

func (e *RightsError) Unwrap() error { return e.err }

// What the servers say to a user who has not the right.
var (
	postgresDenied = "42501"
	mysqlDenied    = []uint16{1044, 1142, 1143, 1227} // to a database, a table, a column, for want of a privilege
	sqliteDenied   = 8                                // the file may only be read
)

// Rights returns a *RightsError if the user may not write to onebeat's own tables. It changes
// nothing, and says nothing of other faults.
func (s *Store) Rights(ctx context.Context) error {
	err := s.db.transact(ctx, mode{}, func(tx transaction) error {
		if _, err := tx.exec(ctx, "meta_insert", "rights", ""); err != nil {
			return err
		}
		return errTakenBack
	})
	if denied(err) {
		return &RightsError{err}
	}
	return nil
}

// A LoginError says that the server of the database answers, and does not let the user in, or has no
// such database. Waiting does not mend it, though a person may.
type LoginError struct{ err error }

func (e *LoginError) Error() string {
	return fmt.Sprintf("the database's server answers, and lets nobody in with this URL: correct the user, the password or the name of the database: %v", e.err)
}

func (e *LoginError) Unwrap() error { return e.err }

// reached makes one line of why no connection came to be.
func reached(err error) error {
	line := login.OneLine(err)
	if login.Refused(err) {
		return &LoginError{line}
	}
	return line
}

// denied says whether a statement was refused for want of a right.
func denied(err error) bool {
	if refused := new(pgconn.PgError); errors.As(err, &refused) {
		return refused.Code == postgresDenied
	}
	if refused := new(mysql.MySQLError); errors.As(err, &refused) {
		return slices.Contains(mysqlDenied, refused.Number)
	}
	if refused := new(sqlitedriver.Error); errors.As(err, &refused) {
		return refused.Code()&0xff == sqliteDenied
	}
	return false
}
