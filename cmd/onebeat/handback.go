package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/onebeat/onebeat/internal/app"
	"github.com/onebeat/onebeat/internal/schedule"
	"github.com/onebeat/onebeat/internal/store"
)

func handBackCommand() *cobra.Command {
	var dry bool
	cmd := &cobra.Command{
		Use:   "hand-back",
		Short: "Leave the entries to the scheduler that ran them before",
		Long: `Leave the entries of another scheduler as it needs them to go on without sending
anything twice. Stop all nodes first, and start the other scheduler after it. The last
run of an entry whose last slot was not sent (skipped, missed) is moved there, for the
other would send it. From then on "onebeat serve" does not start, but with
--take-over-at. Pauses and windows are onebeat's own, and hold nothing back there:
entries that are paused are named, for you to switch off where they are edited.`,
		Example: "  onebeat hand-back --catalog django --dry-run\n  onebeat hand-back --catalog django",
		Args:    noArguments,
	}
	cmd.Flags().BoolVar(&dry, "dry-run", false, "say what would be done, and change nothing")
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return withStore(cmd, func(ctx context.Context, s *store.Store, config app.Config) error {
			moved, err := s.HandBack(ctx, "hand-back by "+who(), dry)
			if err != nil {
				return err
			}
			if *asJSON {
				err = printJSON(cmd.OutOrStdout(), map[string]any{"handed_back": !dry, "moved": moved})
			} else {
				said := "Handed back; the last run of %s was moved to the last slot. The other scheduler may start now, and `onebeat serve` does not until it is given --take-over-at.\n"
				if dry {
					said = "The last run of %s would be moved to the last slot. Nothing was changed.\n"
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), said, schedule.Counted(moved, "entry"))
			}
			if err != nil {
				return err
			}
			return warnOfOwn(ctx, cmd, s)
		})
	}
	settingFlags(cmd, ofDatabase)
	return cmd
}

// warnOfOwn tells, beside the answer, of what keeps entries from being sent that the other scheduler does not know.
func warnOfOwn(ctx context.Context, cmd *cobra.Command, s *store.Store) error {
	var paused few
	err := s.Outline(ctx, func(row store.Row) {
		if row.State == schedule.ReasonPaused {
			paused.add(func() string { return legible(row.Name) })
		}
	})
	if err != nil {
		return err
	}
	if paused.n > 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "onebeat: the other scheduler knows no pause, and sends %s: switch off what it is not to send, %s\n", schedule.Counted(paused.n, "entry"), paused)
	}
	windows, _, err := s.Windows(ctx)
	if err == nil && len(windows) > 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "onebeat: the other scheduler knows no window, and sends in %s too: see `onebeat windows list`\n", schedule.Counted(len(windows), "window"))
	}
	return err
}
