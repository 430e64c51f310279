package store

import (
	"context"
	"errors"

	"github.com/onebeat/onebeat/internal/schedule"
)

// A Tx is an open transaction, for statements that are not the store's: those of a
// broker whose messages are in the same database. It ends with the call that it was
// given to.
type Tx interface {
	// Dialect is postgres, mysql or sqlite.
	Dialect() string
	// Exec runs a text as the database's driver takes it and returns how many rows were written.
	Exec(ctx context.Context, text string, args ...any) (int64, error)
	// Query calls row for each row of the answer.
	Query(ctx context.Context, text string, row func(scan func(into ...any) error) error, args ...any) error
}

// errTakenBack ends a transaction of which nothing is to stay.
var errTakenBack = errors.New("taken back")

// Rehearse runs work in a transaction and takes all of it back. It returns work's error.
func (s *Store) Rehearse(ctx context.Context, work func(Tx) error) error {
	err := s.db.transact(ctx, mode{recording: true}, func(tx transaction) error {
		if err := work(tx); err != nil {
			return err
		}
		return errTakenBack
	})
	if errors.Is(err, errTakenBack) {
		return nil
	}
	return err
}

// RecordWith records a part of a batch in one transaction with what work does beside it:
// the ends of its slots, which work hands to record at a moment of its own choice, that so
// many of the batch's slots are recorded, and that the batches which are through leave the
// journal. All of it comes about or nothing, and nothing where the term is over
// (schedule.ErrLost) or work returns an error.
//
// It may be called again after an error: work is not called where all was done before. In one
// call it may be called several times, each time in another transaction, of which only the
// last stays. The commit is durable as the database has it.
//
// Rows of entries that another program holds are not waited for: messages would wait too. What
// they should say is remembered beside them, as Record does after a while; but for a row that is to be disabled or
// deleted, for which it waits as Record does.
func (s *Shard) RecordWith(ctx context.Context, part schedule.Settling, work func(tx Tx, record func([]schedule.Run) error) error) error {
	r := &recording{Shard: s, term: part.Term, seqs: part.Gone, part: part, with: work}
	return s.record(ctx, r, mode{recording: true, point: "record.commit.before"})
}
