package audit

import (
	"context"
	"fmt"
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
)

// A Ledger shows the entries and their ends. Reading changes nothing.
type Ledger interface {
	// Subjects returns the entries, good and bad, with the n lowest ids above
	// after, and the last id that it looked at, which is empty when there are no
	// more. It may return fewer than n, and none, and there may be more.
	Subjects(ctx context.Context, after schedule.ID, n int) (subjects []schedule.Subject, last schedule.ID, err error)

	// Ends calls each for the runs of the entries whose slots lie in (from,
	// until], and for the last one of each entry before, by entry and then in
	// order of slot. The run is only good during the call, and only the entry,
	// slots, count, state, reason, request, and moment of sending are set.
	Ends(ctx context.Context, ids []schedule.ID, from, until time.Time, each func(*schedule.Run) error) error
}

// slice is how many entries are judged together.
const slice = 500

// Run judges the slots in (from, until] of all entries. It keeps the first keep
// findings and counts the others. Progress, if not nil, is told how many entries
// were looked at.
func Run(ctx context.Context, ledger Ledger, from, until time.Time, options Options, keep int, progress func(entries int)) (*Report, error) {
	report := newReport(from, until, options.Exceptions, keep)
	seen := 0
	for after := schedule.ID(""); ; {
		subjects, last, err := ledger.Subjects(ctx, after, slice)
		if err != nil {
			return nil, fmt.Errorf("read entries: %w", err)
		}
		err = judgeAll(ctx, ledger, subjects, func(schedule.ID) time.Time { return from }, until, options, report, nil)
		if err != nil {
			return nil, err
		}
		if seen += len(subjects); progress != nil {
			progress(seen)
		}
		if last == "" {
			return report, nil
		}
		after = last
	}
}

// together bounds, by an estimate, the ends that are read together: while they are
// read, a database that locks its file lets nobody write.
const together = 100_000

// judgeAll judges subjects, each from an instant of its own. What is overdue is told of.
func judgeAll(ctx context.Context, ledger Ledger, subjects []schedule.Subject, from func(schedule.ID) time.Time, until time.Time, options Options, report *Report, overdue func(schedule.ID, time.Time)) error {
	var judges []*judge
	rows := 0
	for _, subject := range subjects {
		j, ok := newJudge(subject, from(subject.ID), until, options, report)
		if !ok {
			continue
		}
		if n := j.estimate(); len(judges) > 0 && rows+n > together {
			if err := hear(ctx, ledger, judges, until, overdue); err != nil {
				return err
			}
			judges, rows = judges[:0], n
		} else {
			rows += n
		}
		judges = append(judges, j)
	}
	if len(judges) == 0 {
		return nil
	}
	return hear(ctx, ledger, judges, until, overdue)
}

// hear reads the ends of some entries and judges them.
func hear(ctx context.Context, ledger Ledger, judges []*judge, until time.Time, overdue func(schedule.ID, time.Time)) error {
	ids := make([]schedule.ID, len(judges))
	of := make(map[schedule.ID]*judge, len(judges))
	from := until
	for i, j := range judges {
		ids[i] = j.subject.ID
		of[j.subject.ID] = j
		from = schedule.Earlier(from, j.from)
	}
	err := ledger.Ends(ctx, ids, from, until, func(run *schedule.Run) error {
		if j := of[run.Entry]; j != nil {
			j.end(run)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read ledger: %w", err)
	}
	for _, j := range judges {
		first := j.close()
		if !first.IsZero() && overdue != nil {
			overdue(j.subject.ID, first)
		}
	}
	return nil
}
