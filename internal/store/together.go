package store

import (
	"context"
	"errors"
	"time"

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
	return s.rehearse(ctx, mode{recording: true}, func(tx transaction) error { return work(tx) })
}

func (s *Store) rehearse(ctx context.Context, how mode, work func(transaction) error) error {
	err := s.db.transact(ctx, how, func(tx transaction) error {
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
// Rows of entries that another program holds are waited for only a moment: messages wait too.
// What they should say is remembered beside them then, as Record does.
func (s *Shard) RecordWith(ctx context.Context, part schedule.Settling, work func(tx Tx, record func([]schedule.Run) error) error) error {
	r := &recording{Shard: s, term: part.Term, seqs: part.Gone, part: part, with: work, around: true}
	return s.record(ctx, r, mode{recording: true, point: "record.commit.before"})
}

// For rows that another program holds messages wait as long as an edit takes, and, if that was
// in vain, for a while not at all: whoever holds them has gone for lunch.
const (
	heldPatience = 100 * time.Millisecond
	heldInterval = 5 * time.Millisecond
	heldFor      = 5 * time.Second
)

// patience is until when to ask again for rows that are held: not at all, but where messages
// would wait for as long as the database lets them, or where nothing was waited for before. SQLite has no locks on rows, so that
// one that is not free there is gone. What is written for the last time is waited for each
// time: nobody writes it later.
func (r *recording) patience(last bool) (over time.Time) {
	now := time.Now()
	if r.with == nil && !r.store.queues || r.store.name == "sqlite" || !last && now.UnixNano() < r.impatient.Load() {
		return now
	}
	return now.Add(heldPatience)
}

// hindered notes that rows were waited for in vain.
func (r *recording) hindered(ids []string) {
	now := time.Now()
	if r.with == nil && !r.store.queues || now.UnixNano() < r.impatient.Load() {
		return
	}
	r.impatient.Store(now.Add(heldFor).UnixNano())
	r.store.log.Debug("rows that another program holds are left as they are", "rows", len(ids))
}
