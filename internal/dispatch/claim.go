package dispatch

import (
	"context"

	"github.com/onebeat/onebeat/internal/schedule"
)

// claim pulls due slots and takes them, a batch a transaction, until ctx ends.
func (d *Dispatcher) claim(ctx, hold context.Context, term, seq int64, claimed chan<- schedule.Batch) error {
	for {
		dues, err := d.planner.Pull(ctx, d.opts.Batch)
		if err != nil {
			return nil
		}
		seq++
		batch := schedule.Batch{Term: term, Seq: seq, Dues: dues}
		err = d.persist(hold, "claiming", d.metrics.databaseError, func(ctx context.Context) error {
			return d.ledger.Claim(ctx, batch)
		})
		if err != nil {
			return err
		}
		d.metrics.progress(1)
		select {
		case claimed <- batch:
		case <-hold.Done():
			return context.Cause(hold)
		}
	}
}
