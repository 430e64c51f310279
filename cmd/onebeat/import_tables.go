package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/onebeat/onebeat/internal/app"
	"github.com/onebeat/onebeat/internal/store"
)

func importTables(catalog, where string) *cobra.Command {
	var to, files string
	if catalog == "file" {
		files = " --catalog-file schedules.yaml"
	}
	cmd := &cobra.Command{
		Use:   catalog,
		Short: "Take over the entries in " + where,
		Long: `Make the entries in ` + where + ` entries of celery_beat_schedules in the
database (--to native), with their last run, their count and their pauses: by name,
all or none, and again as often as you like. Slots go on where they stopped. Without
--apply it prints what it would do and changes nothing. What cannot be carried over is
named with its reason. What is read stays as it is.
Exit code 0: all can be carried over. 3: something cannot.`,
		Example: "  onebeat import " + catalog + files + "\n  onebeat import " + catalog + files + " --to native --apply",
		Args:    noArguments,
	}
	cmd.Flags().StringVar(&to, "to", "native", "the catalog that takes the entries: native")
	applies := applyFlags(cmd)
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		apply, err := applies()
		if err != nil {
			return err
		}
		if to != "native" {
			return usage("entries can't be taken over to %q: the one catalog that takes them is native", to)
		}
		config, err := settings(cmd)
		if err != nil {
			return err
		}
		var all []store.Carried
		var refused []store.Refused
		err = openedWith(cmd, config.With(map[string]string{"catalog": catalog}), store.MissingRefused, importPatience, func(ctx context.Context, s *store.Store, _ app.Config) error {
			all, refused, err = s.Export(ctx)
			return err
		})
		if err != nil {
			return err
		}
		config = config.With(map[string]string{"catalog": "native", "beat-schema": ""})
		return openedWith(cmd, config, store.MissingRefused, importPatience, func(ctx context.Context, s *store.Store, _ app.Config) error {
			steps, err := s.Carry(ctx, all, !apply)
			if err != nil {
				return err
			}
			answer := importAnswer{Applied: apply, Refused: refused}
			for i, step := range steps {
				answer.Steps = append(answer.Steps, carriedStep(step, all[i]))
			}
			return answerImport(cmd, answer, *asJSON, func(out io.Writer) error { return printCarry(out, answer) })
		})
	}
	settingFlags(cmd, ofDatabase)
	return cmd
}

func carriedStep(step store.Step, of store.Carried) importStep {
	s := importStep{Step: step, Spec: of.Spec, Zone: of.Zone, Task: of.Task, LastRunAt: of.LastRunAt}
	if of.Paused != nil {
		s.Remarks = append(s.Remarks, "paused")
	}
	if !of.Enabled {
		s.Remarks = append(s.Remarks, "disabled")
	}
	return s
}

// printCarry prints an import of what keeps run state.
func printCarry(out io.Writer, answer importAnswer) error {
	todo, err := printSteps(out, answer)
	if err != nil {
		return err
	}
	switch {
	case len(answer.Steps)+len(answer.Refused) == 0:
		fmt.Fprintln(out, "There is no entry to take over.")
	case answer.Applied:
		fmt.Fprintf(out, "Done: %d of %d entries, and the run state of all. End what ran them before `onebeat serve` starts on this table.\n", todo, len(answer.Steps))
	case todo == 0:
		fmt.Fprintln(out, "All entries are here. With --apply their run state is brought up to date.")
	default:
		fmt.Fprintf(out, "Nothing was changed. With --apply %d of %d entries are.\n", todo, len(answer.Steps))
	}
	return nil
}
