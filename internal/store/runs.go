package store

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
)

// A Filter says which runs. The zero Filter is the latest hundred of all.
type Filter struct {
	Entry schedule.ID
	Since time.Time // slots from then on
	State schedule.State
	Limit int // 0 is 100
}

// Runs returns runs of the ledger, the latest slot first.
func (s *Store) Runs(ctx context.Context, filter Filter) ([]schedule.Run, error) {
	var runs []schedule.Run
	err := s.db.each(ctx, "runs", func(row scanner) error {
		var r schedule.Run
		err := row.Scan((*string)(&r.Entry), &r.Name, &r.Task, instant{&r.Slot}, instant{&r.Through}, &r.Count,
			(*string)(&r.State), &r.Reason, &r.TaskID, &r.Queue, &r.Request, &r.Node, &r.Term, instant{&r.SentAt}, &r.Recovered)
		runs = append(runs, r)
		return err
	}, string(filter.Entry), filter.Since, string(filter.State), cmp.Or(filter.Limit, 100))
	if err != nil {
		return nil, fmt.Errorf("read runs: %w", err)
	}
	return runs, nil
}
