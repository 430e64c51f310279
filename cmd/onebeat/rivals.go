package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
	"github.com/onebeat/onebeat/internal/store"
)

const (
	rivalsFor  = 10 * time.Minute // how far back last runs are looked at: others write theirs down after up to three minutes
	rivalsMost = 20               // entries that are asked after in the ledger: those with the latest runs
)

// rivals are entries whose last run is recent and none of their slots. onebeat writes slots there, and other schedulers
// the moment when they sent. An interval tells nothing: its grid goes through whatever stands there.
type rivals struct {
	now  time.Time
	rows []store.Row
}

func (r *rivals) add(row store.Row) {
	last := row.LastRunAt
	if row.Entry == nil || strings.Contains(row.Spec, "@every") || last.Before(r.now.Add(-rivalsFor)) || last.After(r.now) {
		return
	}
	if row.Entry.Spec.Next(last.Add(-time.Microsecond)).Equal(last) {
		return
	}
	if len(r.rows) < rivalsMost {
		r.rows = append(r.rows, row)
	} else if first := slices.MinFunc(r.rows, byLastRun); last.After(first.LastRunAt) {
		r.rows[slices.IndexFunc(r.rows, func(row store.Row) bool { return row.ID == first.ID })] = row
	}
}

func byLastRun(a, b store.Row) int { return a.LastRunAt.Compare(b.LastRunAt) }

// note names those that another scheduler has sent since onebeat sends them; empty where there are none, where no slot was
// written down that was sent before, where no node was seen within so long, and where the database is not there yet.
func (r *rivals) note(ctx context.Context, s *store.Store, within time.Duration) (string, error) {
	if len(r.rows) == 0 || s.Missing() {
		return "", nil
	}
	taken, err := s.Taken(ctx)
	if err != nil {
		return "", nil // they were handed back, which is told elsewhere
	}
	if roll, err := s.Present(ctx, within); err != nil || len(roll.Nodes) == 0 {
		return "", err
	}
	var of few
	var latest time.Time
	slices.SortFunc(r.rows, func(a, b store.Row) int { return byLastRun(b, a) })
	for _, row := range r.rows {
		last := row.LastRunAt
		if !last.After(taken) {
			continue
		}
		runs, err := s.Runs(ctx, store.Filter{Entry: row.ID, Since: last.Add(-rivalsFor), Until: last.Add(time.Second)})
		if err != nil {
			return "", err
		}
		whole := last.Equal(last.Truncate(time.Second)) // as a column without fractions holds it
		written := func(run schedule.Run) bool {
			return run.Slot.Equal(last) || whole && run.Slot.Sub(last).Abs() < time.Second
		}
		sent := func(run schedule.Run) bool {
			return run.State == schedule.Sent && run.Request == "" && run.SentAt.Before(last)
		}
		if slices.ContainsFunc(runs, written) || !slices.ContainsFunc(runs, sent) {
			continue // its spec was edited since, or nothing says that onebeat sent it already
		}
		latest = schedule.Later(latest, last)
		of.add(func() string { return fmt.Sprintf("%s at %s", row.Name, last.UTC().Format(time.RFC3339Nano)) })
	}
	if of.n == 0 {
		return "", nil
	}
	ago := r.now.Sub(latest)
	return fmt.Sprintf("last runs were written that are no slots, and not onebeat's, while it runs the entries, the latest of them %v ago: %s. Does `celery beat` or another scheduler run them too? "+
		"Then each is sent twice: stop it. Once it is stopped, this is not told any more after %v", ago.Round(time.Second), of, max(rivalsFor-ago, time.Second).Round(time.Second)), nil
}
