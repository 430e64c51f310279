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
--take-over-at.`,
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
				return printJSON(cmd.OutOrStdout(), map[string]any{"handed_back": !dry, "moved": moved})
			}
			if dry {
				fmt.Fprintf(cmd.OutOrStdout(), "The last run of %s would be moved to the last slot. Nothing was changed.\n", schedule.Counted(moved, "entry"))
				return nil
			}
			fmt.Fprintf(cmd.OutOrStdout(), "Handed back; the last run of %s was moved to the last slot. The other scheduler may start now, and `onebeat serve` does not until it is given --take-over-at.\n", schedule.Counted(moved, "entry"))
			return nil
		})
	}
	settingFlags(cmd, ofDatabase)
	return cmd
}
