package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/onebeat/onebeat/internal/app"
	"github.com/onebeat/onebeat/internal/store"
)

func migrateCommand() *cobra.Command {
	var print bool
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Make or upgrade the tables and triggers",
		Long: `Make or upgrade onebeat's own tables (onebeat_*), and the table of schedules:
it is made if there is none, else the columns that it lacks are added, each with a
default, so that what reads and writes it today goes on working; and triggers
that make edits known at once. What is there already stays as it is. Of another
scheduler's tables (--catalog django or sqlalchemy) no column is added or changed:
they get triggers alone.`,
		Example: `  onebeat migrate --print --database postgresql://app@localhost/app   # only show the SQL
  onebeat migrate --database sqlite:///schedules.db`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withStoreMade(cmd, true, func(ctx context.Context, s *store.Store, _ app.Config) error {
				pending, err := s.Pending(ctx)
				if err != nil {
					return err
				}
				out := cmd.OutOrStdout()
				if print {
					for _, statement := range pending {
						fmt.Fprintln(out, strings.TrimSpace(forPeople(statement)))
					}
					return nil
				}
				if len(pending) == 0 {
					fmt.Fprintln(out, "All tables, columns and triggers are in place.")
					return nil
				}
				if err := s.Migrate(ctx); err != nil {
					return err
				}
				fmt.Fprintf(out, "Done: %d statements. `onebeat check` tells whether all rows can be used.\n", len(pending))
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&print, "print", false, "show the SQL and change nothing")
	settingFlags(cmd, ofDatabase)
	return cmd
}

// forPeople leaves out the notes for the library that runs migrations.
func forPeople(statement string) string {
	var text strings.Builder
	for line := range strings.Lines(statement) {
		if !strings.HasPrefix(line, "-- +goose") {
			text.WriteString(line)
		}
	}
	return text.String()
}
