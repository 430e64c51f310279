package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/onebeat/onebeat/internal/app"
	"github.com/onebeat/onebeat/internal/schedule"
	"github.com/onebeat/onebeat/internal/store"
)

// A migration is what migrate does, or would do, in JSON.
type migration struct {
	Applied    bool     `json:"applied"`
	Statements []string `json:"statements"`
}

// migratePatience is how long changes of tables may take, once the database answers: a new index of the
// ledger is some seconds for each million runs.
const migratePatience = time.Hour

func migrateCommand() *cobra.Command {
	var print, apply bool
	var remove string
	var asJSON *bool
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Make or upgrade the tables and triggers",
		Long: `Make or upgrade onebeat's own tables (onebeat_*), and the table of schedules:
it is made if there is none, else the columns that it lacks are added, each with a
default, so that what reads and writes it today goes on working; and triggers
that make edits known at once. What is there already stays as it is. Of another
scheduler's tables (--catalog django or sqlalchemy) no column is added or changed:
they get triggers alone.

With --remove triggers the catalog's triggers are taken away again, with what they
call: edits are then seen within two seconds, those by plain SQL of a very large table
of another scheduler's within thirty. With --remove all those of every catalog
go, and all of onebeat's own tables with pauses, windows, calendars and the ledger; stop
every node first. Tables and columns that others may use stay. Without --apply it
prints what it would do and changes nothing.`,
		Example: `  onebeat migrate --print --database postgresql://app@localhost/app   # only show the SQL
  onebeat migrate --database sqlite:///schedules.db
  onebeat migrate --catalog django --remove all    # only show what would be taken away`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case remove != "":
				return removeMade(cmd, remove, apply && !print, *asJSON)
			case apply:
				return usage("--apply goes with --remove: without that, migrate does what it says, and --print shows it")
			}
			missing := store.MissingMade
			if print {
				missing = store.MissingEmpty
			}
			return opened(cmd, missing, patience, func(ctx context.Context, s *store.Store, _ app.Config) error {
				pending, err := s.Pending(ctx)
				if err != nil {
					return err
				}
				out := cmd.OutOrStdout()
				for i := range pending {
					pending[i] = strings.TrimSpace(forPeople(pending[i]))
				}
				if !print && len(pending) > 0 {
					ctx, cancel := context.WithTimeout(cmd.Context(), migratePatience)
					defer cancel()
					if err := s.Migrate(ctx); err != nil {
						return err
					}
				}
				switch {
				case *asJSON:
					return printJSON(out, migration{!print, append([]string{}, pending...)})
				case print:
					for _, statement := range pending {
						fmt.Fprintln(out, statement)
					}
					return nil
				case len(pending) == 0:
					fmt.Fprintln(out, "All tables, columns and triggers are in place.")
					return nil
				}
				fmt.Fprintf(out, "Done: %s. `onebeat check` tells whether all rows can be used.\n", schedule.Counted(len(pending), "statement"))
				return nil
			})
		},
	}
	asJSON = jsonFlag(cmd)
	cmd.Flags().BoolVar(&print, "print", false, "show the SQL and change nothing")
	cmd.Flags().StringVar(&remove, "remove", "", "take away again what migrate has made: triggers, or all")
	cmd.Flags().BoolVar(&apply, "apply", false, "with --remove: do it")
	settingFlags(cmd, ofDatabase)
	return cmd
}

// removeMade takes away what migrate has made, or shows how.
func removeMade(cmd *cobra.Command, what string, apply, asJSON bool) error {
	if what != "triggers" && what != "all" {
		return usage("--remove is %q: say triggers or all", what)
	}
	return withStore(cmd, func(ctx context.Context, s *store.Store, _ app.Config) error {
		out := cmd.OutOrStdout()
		statements := s.Uninstalling(what == "all")
		if apply {
			if err := s.Uninstall(ctx, what == "all"); err != nil {
				return err
			}
		}
		switch {
		case asJSON:
			return printJSON(out, migration{apply, statements})
		case !apply:
			for _, statement := range statements {
				fmt.Fprintln(out, statement+";")
			}
			fmt.Fprintf(out, "-- Nothing was changed. --apply runs %s.\n", schedule.Counted(len(statements), "statement"))
			return nil
		}
		fmt.Fprintf(out, "Done: %s. `onebeat migrate` makes it all again.\n", schedule.Counted(len(statements), "statement"))
		return nil
	})
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
