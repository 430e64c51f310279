package store

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"sync"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"
	codes "modernc.org/sqlite/lib"
)

// The table of entries is its users' own: a constraint or a trigger of theirs may refuse what is written of the runs
// of a row, and its count may be at the end of its column. Such a row is found and left as it is, and what is
// to be remembered of it is remembered beside it, for all that is recorded with it would wait for it.

// refuses says whether the database, or a rule of its user's, refuses a value.
func refuses(err error) bool {
	var pg *pgconn.PgError
	var my *mysql.MySQLError
	switch {
	case errors.As(err, &pg):
		return ofRefusal(pg.Code)
	case errors.As(err, &my):
		return ofRefusal(string(my.SQLState[:])) || my.Number == checkViolated
	}
	return says(err, codes.SQLITE_CONSTRAINT)
}

// ofRefusal says whether an SQLSTATE is of data, of a constraint, or of what a person's own code raises.
func ofRefusal(state string) bool {
	if len(state) < 2 {
		return false
	}
	switch state[:2] {
	case "22", "23", "44", "45", "P0":
		return true
	}
	return false
}

const checkViolated = 3819 // ER_CHECK_CONSTRAINT_VIOLATED, whose SQLSTATE says nothing

// A refusals is the rows of which the log has told that they refuse what is written of them, and why. Each batch may
// meet them again.
type refusals struct {
	mu   sync.Mutex
	told map[string]string // reasons by ids, of at most mostRefusals
	full bool              // the rows beyond were told of as well
}

const mostRefusals = 10_000

// tell tells of the rows that refuse and of which it has not told for that reason.
func (t *refusals) tell(ctx context.Context, log *slog.Logger, found map[string]error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var rows []string
	for _, id := range slices.Sorted(maps.Keys(found)) {
		reason := reasonOf(found[id])
		switch was, known := t.told[id]; {
		case known && was == reason, !known && t.full:
			continue
		case known || len(t.told) < mostRefusals:
			if t.told == nil {
				t.told = map[string]string{}
			}
			t.told[id] = reason
		}
		rows = append(rows, id)
	}
	t.full = t.full || len(t.told) == mostRefusals
	if len(rows) > 0 {
		log.WarnContext(ctx, "rows refuse what is written of their runs, which is remembered beside them", "err", found[rows[0]], "rows", len(rows), "entry_id", rows[0])
	}
}

// end tells of rows that it has told of and that were written now.
func (t *refusals) end(ctx context.Context, log *slog.Logger, written func(yield func(id string) bool)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.told) == 0 {
		return
	}
	var rows []string
	for id := range written {
		if _, told := t.told[id]; told {
			delete(t.told, id)
			rows = append(rows, id)
		}
	}
	if len(rows) > 0 {
		t.full = false
		log.InfoContext(ctx, "rows take what is written of their runs again", "rows", len(rows), "entry_id", slices.Min(rows))
	}
}

// reasonOf is why a row refuses, without what may be another with each run.
func reasonOf(err error) string {
	var pg *pgconn.PgError
	var my *mysql.MySQLError
	switch {
	case errors.As(err, &pg):
		return pg.Code + " " + pg.ConstraintName
	case errors.As(err, &my):
		return strconv.Itoa(int(my.Number)) + " " + string(my.SQLState[:])
	}
	return err.Error()
}

// written yields the rows in which the recording has written a count.
func (r *recording) written(yield func(id string) bool) {
	for i, id := range r.ended.ids {
		if r.ended.counts[i] > 0 && r.refused[id] == nil && !yield(id) {
			return
		}
	}
}

// refusing returns those rows that refuse what is written of their runs, or that another program holds, and why.
func (r *recording) refusing(ctx context.Context) (map[string]error, error) {
	found := map[string]error{}
	var try func(rows ends) error
	try = func(rows ends) error {
		err := r.store.rehearse(ctx, mode{recording: true}, func(tx transaction) error { return r.told(ctx, tx, rows) })
		n := len(rows.ids)
		switch {
		case err == nil:
			return nil
		case !refuses(err) && !errors.Is(err, errHeld):
			return err
		case n == 1:
			found[rows.ids[0]] = err
			return nil
		}
		if err := try(rows.part(0, n/2)); err != nil {
			return err
		}
		return try(rows.part(n/2, n))
	}
	own := ends{}
	for i, id := range r.ended.ids {
		if r.store.source(id) == nil {
			own.add(id, r.ended.sent[i], r.ended.unsent[i], r.ended.counts[i])
		}
	}
	if len(own.ids) == 0 || r.store.home(r.store.shape()) != HomeColumn {
		return nil, nil
	}
	return found, try(own)
}

// told tells of the rows' runs, and then does what else a commit would do.
func (r *recording) told(ctx context.Context, tx transaction, rows ends) error {
	if err := r.mark(ctx, tx, rows); err != nil {
		return err
	}
	if err := r.tell(ctx, tx, rows); err != nil {
		return err
	}
	for _, name := range r.store.atCommit {
		if _, err := tx.exec(ctx, name); refuses(err) {
			return err
		} // else a database like PostgreSQL does not know it, and lets nothing wait for the commit
	}
	return nil
}

// part is those from one place up to another.
func (all ends) part(from, to int) ends {
	return ends{ids: all.ids[from:to], sent: all.sent[from:to], unsent: all.unsent[from:to], counts: all.counts[from:to]}
}
