package dispatch

import (
	"context"

	"github.com/onebeat/onebeat/internal/failpoint"
	"github.com/onebeat/onebeat/internal/schedule"
)

// together bounds the slots that are recorded in one transaction.
const together = 8000

// record writes down what became of batches, all that are through at a time,
// up to the bound.
func (d *Dispatcher) record(hold context.Context, term int64, published <-chan settled, notes *notes) error {
	var seqs []int64
	var runs []schedule.Run // used again and again: the ledger keeps nothing of it
	for first := range published {
		seqs, runs = append(seqs[:0], first.seq), append(runs[:0], first.runs...)
	gather:
		for len(runs) < together {
			select {
			case next, ok := <-published:
				if !ok {
					break gather
				}
				seqs, runs = append(seqs, next.seq), append(runs, next.runs...)
			default:
				break gather
			}
		}
		if err := d.write(hold, term, seqs, runs); err != nil {
			return err
		}
		notes.forget(seqs)
		d.metrics.progress(-len(seqs))
	}
	return nil
}

func (d *Dispatcher) write(hold context.Context, term int64, seqs []int64, runs []schedule.Run) error {
	return d.persist(hold, "recording", d.metrics.databaseError, func(ctx context.Context) error {
		if err := failpoint.Here("dispatch.record.before"); err != nil {
			return err
		}
		return d.ledger.Record(ctx, term, seqs, runs)
	})
}
