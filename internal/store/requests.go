package store

import (
	"context"
	"fmt"
	"time"

	"github.com/gofrs/uuid/v5"

	"github.com/onebeat/onebeat/internal/schedule"
)

// A Request is a run that a person asked for, and that is not recorded yet.
type Request struct {
	ID    string // goes in Due.Request and Run.Request
	Entry schedule.ID
	At    time.Time // when it was asked for, by the database's clock: the run's slot
	By    string
}

// Ask asks for a run of the entry now, whatever its spec says, and returns the
// request's id. That the entry is there is for the caller to see (Find).
func (s *Store) Ask(ctx context.Context, entry schedule.ID, by string) (string, error) {
	id, err := uuid.NewV4()
	if err != nil {
		return "", fmt.Errorf("ask for run: %w", err)
	}
	err = s.db.transact(ctx, mode{}, func(tx transaction) error {
		if _, err := tx.exec(ctx, "request_insert", id.String(), string(entry), by); err != nil {
			return err
		}
		return hint(ctx, tx, entry)
	})
	if err != nil {
		return "", fmt.Errorf("ask for run: %w", err)
	}
	return id.String(), nil
}

// Requests returns the runs that were asked for and are not recorded, in order.
// After a recovery, when the journal is empty, they are those to be done.
func (s *Store) Requests(ctx context.Context) ([]Request, error) {
	var pending []Request
	err := s.db.each(ctx, "requests", func(row scanner) error {
		var r Request
		if err := row.Scan(&r.ID, (*string)(&r.Entry), instant{&r.At}, &r.By); err != nil {
			return err
		}
		pending = append(pending, r)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read requests: %w", err)
	}
	return pending, nil
}

// hint tells those who watch that the entry changed, when the transaction commits. No
// id stands for any entry.
func hint(ctx context.Context, q querier, entry schedule.ID) (err error) {
	if entry == "" {
		_, err = q.exec(ctx, "change_any")
	} else {
		_, err = q.exec(ctx, "change_insert", string(entry))
	}
	return err
}
