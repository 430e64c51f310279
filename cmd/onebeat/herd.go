package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/onebeat/onebeat/internal/app"
	"github.com/onebeat/onebeat/internal/forecast"
	"github.com/onebeat/onebeat/internal/schedule"
	"github.com/onebeat/onebeat/internal/store"
)

// herdFrom is how many slots in a second are worth a word: as many leave in a
// quarter of a second or so, and workers want them all at once.
const herdFrom = 10_000

// herdAhead is how far ahead herds are looked for.
const herdAhead = 24 * time.Hour

// herd tells of the worst second of the coming day, if it is bad.
func herd(ctx context.Context, count *forecast.Count) (string, error) {
	report, err := count.Report(ctx, 1, func(int, int) {})
	if err != nil || len(report.Worst) == 0 {
		return "", err
	}
	return inHerd(report.Worst[0], ""), nil
}

// inHerd says what to do about a second; nothing if it is not bad.
func inHerd(second forecast.Second, more string) string {
	if second.Slots < herdFrom {
		return ""
	}
	return fmt.Sprintf("%d slots%s come in the second of %s: spread them by a splay in their rules, or by H (`onebeat forecast` names them)", second.Slots, more, second.At.Format(time.RFC3339))
}

// herdPatience bounds how long entries are read to look for a herd after an edit. Tests wait longer, for busy machines.
var herdPatience = 5 * time.Second

// warnOfHerd tells, beside the answer, of a herd that an edit has put an entry in. Before is the entry before
// the edit, the zero Row for a new one. What was done is done: that the look fails is no fault of it.
func warnOfHerd(ctx context.Context, cmd *cobra.Command, s *store.Store, before store.Row, id schedule.ID) {
	if n, err := s.Count(ctx); err == nil && n < herdFrom {
		return
	}
	switch note, err := herdOf(ctx, s, before, id); {
	case err != nil:
		fmt.Fprintln(cmd.ErrOrStderr(), "onebeat: whether this entry is in a herd was not found out: "+oneLine(explain(err)))
	case note != "":
		fmt.Fprintln(cmd.ErrOrStderr(), "onebeat: this entry is in a herd: "+note)
	}
}

// herdOf tells of the fullest second of the coming day that an edit has put an entry in.
func herdOf(ctx context.Context, s *store.Store, before store.Row, id schedule.ID) (string, error) {
	row, err := s.Find(ctx, string(id))
	if err != nil {
		return "", err
	}
	_, windows, err := s.Windows(ctx)
	if err != nil {
		return "", err
	}
	of, ok := app.Forecasted(row, windows)
	was, had := app.Forecasted(before, windows)
	if !ok || had && was.Spec.String() == of.Spec.String() {
		return "", nil
	}
	return herdWith(ctx, of, was.Spec, func(ctx context.Context, each func(forecast.Entry)) error {
		return s.Outline(ctx, func(row store.Row) {
			if e, ok := app.Forecasted(row, windows); ok && row.ID != id {
				each(e)
			}
		})
	})
}

// herdWith tells of the fullest second in which an entry has a slot that its spec did not give before, among others
// that read gives. Of more than it gives within herdPatience, those that it gave count.
func herdWith(ctx context.Context, of forecast.Entry, was schedule.Spec, read func(ctx context.Context, each func(forecast.Entry)) error) (string, error) {
	now := time.Now()
	count := forecast.New(now, now, herdAhead)
	count.Add(of)
	reading, cancel := context.WithTimeout(ctx, herdPatience)
	defer cancel()
	more := ""
	if err := read(reading, count.Add); err != nil {
		if reading.Err() == nil || ctx.Err() != nil {
			return "", err
		}
		more = " or more"
	}
	second, err := count.Fullest(ctx, of, was)
	return inHerd(second, more), err
}
