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
func herd(ctx context.Context, rows []store.Row) (string, error) {
	count := forecast.New(time.Now(), herdAhead)
	for _, row := range rows {
		if e, ok := app.Forecasted(row, nil); ok {
			count.Add(e)
		}
	}
	report, err := count.Report(ctx, 1, func(int, int) {})
	if err != nil || len(report.Worst) == 0 {
		return "", err
	}
	return inHerd(report.Worst[0]), nil
}

// inHerd says what to do about a second; nothing if it is not bad.
func inHerd(second forecast.Second) string {
	if second.Slots < herdFrom {
		return ""
	}
	return fmt.Sprintf("%d slots come in the second of %s: spread them by a splay in their rules, or by H (`onebeat forecast` names them)", second.Slots, second.At.Format(time.RFC3339))
}

// herdPatience bounds the look for a herd after an edit. Tests wait longer, for busy machines.
var herdPatience = 5 * time.Second

// warnOfHerd tells, beside the answer, of a herd that an entry is in after its edit.
// Of so many entries that the look takes long it tells nothing: check does.
func warnOfHerd(ctx context.Context, cmd *cobra.Command, s *store.Store, id schedule.ID) error {
	if n, err := s.Count(ctx); err != nil || n < herdFrom {
		return err
	}
	looking, cancel := context.WithTimeout(ctx, herdPatience)
	defer cancel()
	note, err := herdOf(looking, s, id)
	if err != nil && looking.Err() != nil && ctx.Err() == nil {
		return nil
	}
	if note != "" {
		fmt.Fprintln(cmd.ErrOrStderr(), "onebeat: this entry is in a herd: "+note)
	}
	return err
}

// herdOf tells of the fullest second of the coming day that an entry has a slot in.
func herdOf(ctx context.Context, s *store.Store, id schedule.ID) (string, error) {
	count := forecast.New(time.Now(), herdAhead)
	var of *forecast.Entry
	err := s.Outline(ctx, func(row store.Row) {
		if e, ok := app.Forecasted(row, nil); ok {
			if count.Add(e); row.ID == id {
				of = &e
			}
		}
	})
	if err != nil || of == nil {
		return "", err // or it has no slots
	}
	second, err := count.Fullest(ctx, *of)
	return inHerd(second), err
}
