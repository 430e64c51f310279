package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/onebeat/onebeat/internal/app"
	"github.com/onebeat/onebeat/internal/schedule"
	"github.com/onebeat/onebeat/internal/store"
)

func runsCommand() *cobra.Command {
	cmd := verbOf("runs", "Show what became of slots: the ledger",
		"  onebeat runs list --entry nightly --since 24h\n  onebeat runs list --state failed --json", runsList())
	cmd.SuggestFor = []string{"log", "logs", "history"}
	return cmd
}

func runsList() *cobra.Command {
	var entry, since, state string
	var limit int
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List runs, the latest slot first",
		Example: "  onebeat runs list --entry nightly\n  onebeat runs list --since 1h --state skipped",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage("list takes no argument such as %q: --entry lists the runs of one entry", args[0])
			}
			return nil
		},
	}
	asJSON := jsonFlag(cmd)
	cmd.Flags().StringVar(&entry, "entry", "", "only of this entry, by id or name")
	cmd.Flags().StringVar(&since, "since", "", "only slots since then: a length (24h, 7d), an instant (RFC 3339), or a time (03:00, \"2026-11-25 03:00\")")
	cmd.Flags().StringVar(&state, "state", "", "only slots that ended so: sent, coalesced, skipped, failed or unsure")
	cmd.Flags().IntVar(&limit, "limit", 50, "how many at most")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if state != "" && !slices.Contains(schedule.States, schedule.State(state)) {
			return usage("--state %s: choose sent, coalesced, skipped, failed or unsure", state)
		}
		if limit < 1 {
			return usage("--limit %d: give a number from 1", limit)
		}
		config, err := settings(cmd)
		if err != nil {
			return err
		}
		from, err := sinceInstant(since, time.Now(), config.String("zone"))
		if err != nil {
			return err
		}
		return withStore(cmd, func(ctx context.Context, s *store.Store, config app.Config) error {
			filter := store.Filter{Since: from, State: schedule.State(state), Limit: min(limit, math.MaxInt-1) + 1} // to know whether there are more
			if entry != "" {
				row, err := s.Find(ctx, entry)
				switch {
				case err == nil:
					filter.Entry = row.ID
				case errors.Is(err, store.ErrNoEntry): // it may be gone, and its runs still here
					run, err := goneRun(ctx, s, entry, time.Now(), err)
					if errors.Is(err, store.ErrNoEntry) {
						return usage("%v; of one that was removed more than a week ago runs are found by its id", store.ErrNoEntry)
					}
					if err != nil {
						return err
					}
					filter.Entry = run.Entry
				default:
					return err
				}
			}
			runs, err := s.Runs(ctx, filter)
			if err != nil {
				return err
			}
			if len(runs) > limit {
				runs = runs[:limit]
				defer fmt.Fprintf(cmd.ErrOrStderr(), "There are more: these are the latest %d; --limit gives another number.\n", limit)
			}
			if *asJSON {
				return printJSON(cmd.OutOrStdout(), orEmptyList(runs))
			}
			if len(runs) == 0 {
				_, err := fmt.Fprintln(cmd.OutOrStdout(), "There is no such run.")
				return err
			}
			return printRuns(cmd.OutOrStdout(), runs, config.String("zone"))
		})
	}
	settingFlags(cmd, ofDatabase)
	return cmd
}

func printRuns(out io.Writer, runs []schedule.Run, zone string) error {
	return printTable(out, func(line func(cells ...any)) {
		line("SLOT", "ENTRY", "STATE", "LATE", "QUEUE", "TASK ID", "WHY")
		for _, run := range runs {
			late := "-"
			if !run.SentAt.IsZero() {
				late = run.SentAt.Sub(run.Slot).Round(100 * time.Microsecond).String()
			}
			line(when(run.Slot, zone), run.Name, run.State, late, orDash(run.Queue), orDash(run.TaskID), why(run, zone))
		}
	})
}

// why says what made a run other than a slot that was sent in its turn.
func why(run schedule.Run, zone string) string {
	var reasons []string
	if run.Reason != "" {
		reasons = append(reasons, run.Reason)
	}
	if run.Request != "" {
		reasons = append(reasons, "asked for")
	}
	if run.Recovered {
		reasons = append(reasons, "recovered after a crash or a lost lease")
	}
	if run.Count > 1 {
		reasons = append(reasons, fmt.Sprintf("%d slots until %s", run.Count, when(run.Through, zone)))
	}
	return orDash(strings.Join(reasons, "; "))
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}
