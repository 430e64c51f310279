package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
)

// finishes are the statements that do to rows what their entries' rules say of the end.
var finishes = map[schedule.Then]string{schedule.ThenDisable: "rows_disable", schedule.ThenDelete: "rows_delete"}

// An unfinished is a row that could not be disabled or deleted, as for want of rights.
type unfinished struct{ err error }

func (u *unfinished) Error() string {
	return "disable or delete the row of an entry that has ended: " + u.err.Error()
}

func (u *unfinished) Unwrap() error { return u.err }

// finish disables or deletes the rows of entries whose last slot ended with these runs,
// and tells who watches. An entry without a row has ended all the same.
func (r *recording) finish(ctx context.Context, tx transaction) error {
	for then, name := range finishes {
		if _, ok := r.store.texts[name]; !ok {
			continue
		}
		var ids []string
		for i := range r.runs {
			id := string(r.runs[i].Entry)
			if r.runs[i].Then == then && r.store.source(id) == nil {
				ids = append(ids, id)
			}
		}
		slices.Sort(ids)
		ids = slices.Compact(ids)
		if len(ids) == 0 {
			continue
		}
		if err := r.finishAs(ctx, tx, name, slices.Clone(ids)); err != nil {
			return err
		}
		for _, id := range ids {
			if err := hint(ctx, tx, schedule.ID(id)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *recording) finishAs(ctx context.Context, tx transaction, name string, ids []string) error {
	if r.leave {
		return nil
	}
	if r.around {
		free := make(map[string]bool, len(ids))
		if err := r.lock(ctx, tx, ids, free, true); err != nil {
			return err
		}
		ids = slices.DeleteFunc(ids, func(id string) bool {
			if !free[id] {
				r.left++
			}
			return !free[id]
		})
		if len(ids) == 0 {
			return nil
		}
	}
	if _, err := tx.exec(ctx, name, ids); err != nil {
		return &unfinished{err}
	}
	return nil
}

// recordPatience is how long a record alone is tried again, as a whole, for a row that another program holds: where the database
// has waited so long by itself, not at all.
const recordPatience = 200 * time.Millisecond

// recorded does the recording, and again without what another program's locks, a rule of
// the table's own or want of rights do not let it do.
func (r *recording) recorded(ctx context.Context, how mode) error {
	try := func() error {
		return r.store.db.transact(ctx, how, func(tx transaction) error { return r.do(ctx, tx) })
	}
	began := time.Now()
	err := try()
	for wait := heldInterval; errors.Is(err, errHeld) && !r.around && time.Since(began) < recordPatience; wait *= 2 {
		if err := rest(ctx, wait); err != nil {
			return fmt.Errorf("record: %w", err)
		}
		err = try()
	}
	if errors.Is(err, errHeld) {
		r.around = true
		err = try()
	}
	if lacking(err) {
		r.store.log.WarnContext(ctx, "the database's encoding lacks a character of what is recorded: question marks stand in these runs", "err", err, "runs", len(r.runs))
		r.plain = true
		err = try()
	}
	var refused *unfinished
	if refuses(err) && !errors.As(err, &refused) {
		rows, trouble := r.refusing(ctx)
		if trouble != nil {
			return fmt.Errorf("record: %w", trouble)
		}
		if len(rows) > 0 {
			r.store.refusals.tell(ctx, r.store.log, rows)
			r.refused = rows
			err = try()
		}
	}
	if errors.As(err, &refused) || refuses(err) { // at the commit, and not for what is written of runs
		was := err
		if refused != nil {
			was = refused.err
		}
		r.leave = true
		if err = try(); err == nil {
			r.store.log.WarnContext(ctx, "an entry has ended and its row stays as it is", "err", was)
		}
	}
	if err != nil {
		return fmt.Errorf("record: %w", err)
	}
	if r.wrote && !r.again && !r.around {
		r.store.refusals.end(ctx, r.store.log, r.written)
	}
	if r.left > 0 {
		r.store.log.WarnContext(ctx, "entries have ended and their rows stay as they are", "err", errHeld, "rows", r.left)
	}
	return nil
}
