package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/onebeat/onebeat/internal/app"
	"github.com/onebeat/onebeat/internal/celery"
	"github.com/onebeat/onebeat/internal/celeryapp"
	"github.com/onebeat/onebeat/internal/schedule"
	"github.com/onebeat/onebeat/internal/store"
)

// importPatience bounds an import, in which the application is loaded.
const importPatience = 2 * time.Minute

func importCommand() *cobra.Command {
	return verbOf("import", "Take over the entries of another scheduler",
		"  onebeat import celery proj\n  onebeat import django --apply\n  onebeat import redbeat --redbeat-url redis://localhost:6379/1", importCelery(),
		importTables("django", "django-celery-beat's tables"), importTables("sqlalchemy", "sqlalchemy-celery-beat's tables"),
		importTables("redbeat", "RedBeat's keys in Redis"), importTables("file", "files of entries"), importLive())
}

func importCelery() *cobra.Command {
	var application, python, dir string
	cmd := &cobra.Command{
		Use:   "celery APP",
		Short: "Take over the beat_schedule of an application's code",
		Long: `Load the application as "celery -A APP" does, with its own Python, and make the
entries of its beat_schedule entries of the table: by name, all or none, and again
as often as you like. It runs the application's code once. Without --apply it prints
what it would do and changes nothing (--dry-run). What cannot be carried over is named, with the
nearest way. Entries that the code does not name stay as they are.
With --file the entries go to a file of their own (--catalog file) and not to a table,
and with --settings what the application says of queues, routes and its tasks' options
goes to a settings file (--config).
Exit code 0: all can be carried over. 3: something cannot.`,
		Example: "  onebeat import celery -A proj\n  onebeat import celery proj.celery:app --python venv/bin/python --apply\n  onebeat import celery proj --file schedules.yaml --settings onebeat.yaml --apply",
		Args: func(cmd *cobra.Command, args []string) error {
			switch {
			case application == "":
				return oneArgument("the application, as behind celery -A")(cmd, args)
			case len(args) > 0:
				return usage("the application is named twice: give APP or -A")
			}
			return nil
		},
	}
	cmd.Flags().StringVarP(&application, "app", "A", "", "the application, as Celery's own commands take it, in place of APP")
	cmd.Flags().StringVar(&python, "python", "python3", "the application's Python: a program's name or path")
	cmd.Flags().StringVar(&dir, "dir", "", "the folder that the application is loaded in; this one unless set")
	importApp(cmd, ofDatabase, func(ctx context.Context, _ app.Config, args []string) (celeryapp.App, error) {
		if len(args) > 0 {
			application = args[0]
		}
		return celeryapp.Read(ctx, python, application, dir)
	})
	return cmd
}

// applyFlags gives cmd the flags that say whether it does what it prints, and returns what
// tells that: unless it is told to, it does not.
func applyFlags(cmd *cobra.Command) func() (bool, error) {
	var apply, dry bool
	cmd.Flags().BoolVar(&apply, "apply", false, "do it")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "print what would be done, and change nothing: so it is without --apply too")
	return func() (bool, error) {
		if apply && dry {
			return false, usage("--apply does it and --dry-run does not: give one of them")
		}
		return apply, nil
	}
}

// importApp lets cmd take over an application that read has read: to the table, or to files.
func importApp(cmd *cobra.Command, wants func(app.Setting) bool, read func(ctx context.Context, config app.Config, args []string) (celeryapp.App, error)) {
	var file, settingsFile string
	cmd.Flags().StringVar(&file, "file", "", "write the entries to this YAML file")
	cmd.Flags().StringVar(&settingsFile, "settings", "", "write the application's settings to this YAML file")
	applies := applyFlags(cmd)
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		apply, err := applies()
		if err != nil {
			return err
		}
		if file != "" || settingsFile != "" {
			config, err := settings(cmd)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), importPatience)
			defer cancel()
			found, err := read(ctx, config, args)
			if err != nil {
				return err
			}
			if err := sendable(&found, config); err != nil {
				return err
			}
			err = importToFiles(cmd, found, file, settingsFile, apply, *asJSON)
			if err == nil && len(found.Refused) > 0 {
				err = exitError{code: exitNo}
			}
			return err
		}
		return withStoreFor(cmd, importPatience, func(ctx context.Context, s *store.Store, config app.Config) error {
			if catalog := config.String("catalog"); !slices.Contains(strings.Split(catalog, ","), "native") {
				return usage("the one table that takes entries over is celery_beat_schedules, and the catalog is %s: give --catalog native, or --file for a file of entries", catalog)
			}
			shown := newProgress(cmd)
			found, err := read(ctx, config, args)
			shown.done()
			if err != nil {
				return err
			}
			definitions, err := plannable(ctx, s, &found, config.String("zone"))
			if err != nil {
				return err
			}
			steps, err := s.Apply(ctx, definitions, !apply)
			if err != nil {
				return err
			}
			answer := importAnswer{Applied: apply, Workers: found.Workers}
			for i, step := range steps {
				entry := found.Entries[i]
				answer.Steps = append(answer.Steps, importStep{Step: step, Spec: entry.Spec, Zone: definitions[i].Zone, Task: entry.Task, Remarks: entry.Remarks})
			}
			for _, refused := range found.Refused {
				answer.Refused = append(answer.Refused, store.Refused(refused))
			}
			return answerImport(cmd, answer, *asJSON, func(out io.Writer) error {
				printWorkers(out, found)
				if err := printImport(out, answer); err != nil {
					return err
				}
				_, err := io.WriteString(out, leftOut(found.Settings, config))
				return err
			})
		})
	}
	settingFlags(cmd, wants)
}

// leftOut says that an application has settings that rows do not hold, unless a settings file is in use.
func leftOut(found json.RawMessage, config app.Config) string {
	var names map[string]json.RawMessage
	if json.Unmarshal(found, &names) != nil || len(names) == 0 || config.String("config") != "" {
		return ""
	}
	return fmt.Sprintf("The application sets %s too: --settings onebeat.yaml writes that to a file for --config.\n", strings.Join(slices.Sorted(maps.Keys(names)), ", "))
}

// An importAnswer is what came of an import, or would.
type importAnswer struct {
	Applied bool            `json:"applied"`
	Steps   []importStep    `json:"steps"`
	Refused []store.Refused `json:"refused"`
	Workers []string        `json:"workers,omitempty"` // that told what is taken over
}

// An importStep is what becomes of one entry, which is so.
type importStep struct {
	store.Step
	Spec      string    `json:"spec"`
	Zone      string    `json:"zone,omitempty"` // of the spec, where it is not that of the settings
	Task      string    `json:"task"`
	LastRunAt time.Time `json:"last_run_at,omitzero"`
	Remarks   []string  `json:"remarks,omitempty"`
}

// answerImport prints the answer, to people by shown. Where something was refused the
// command's answer is "no".
func answerImport(cmd *cobra.Command, answer importAnswer, asJSON bool, shown func(io.Writer) error) error {
	answer.Steps, answer.Refused = orEmptyList(answer.Steps), orEmptyList(answer.Refused)
	if asJSON {
		shown = func(out io.Writer) error { return printJSON(out, answer) }
	}
	err := shown(cmd.OutOrStdout())
	if err == nil && len(answer.Refused) > 0 {
		err = exitError{code: exitNo}
	}
	return err
}

// sendable refuses the entries that would never be sent: a file of entries would have them set aside.
func sendable(found *celeryapp.App, config app.Config) error {
	settings, err := app.CelerySettings(config)
	if err != nil {
		return usage("%s", oneLine(err))
	}
	entries := found.Entries
	found.Entries = nil
	for _, e := range entries {
		_, err := schedule.ParseSpec(e.Spec, found.Zone, time.Time{})
		if err == nil {
			_, err = settings.Template(celery.Task{Name: e.Task, Entry: e.Name, Args: e.Args, Kwargs: e.Kwargs, Options: e.Options})
		}
		if err != nil {
			found.Refused = append(found.Refused, celeryapp.Refused{Name: e.Name, Reason: oneLine(err)})
			continue
		}
		found.Entries = append(found.Entries, e)
	}
	return nil
}

// plannable are the application's entries as a table has them. Those that it would not take are refused: one option that
// Celery would stumble over too keeps no other entry back.
func plannable(ctx context.Context, s *store.Store, found *celeryapp.App, zone string) ([]store.Definition, error) {
	all, entries := definitionsOf(*found, zone), found.Entries
	faults, err := s.Faults(ctx, all)
	var definitions []store.Definition
	found.Entries = nil
	for i, fault := range faults {
		if fault != "" {
			found.Refused = append(found.Refused, celeryapp.Refused{Name: entries[i].Name, Reason: fault})
			continue
		}
		definitions, found.Entries = append(definitions, all[i]), append(found.Entries, entries[i])
	}
	return definitions, err
}

// definitionsOf are the application's entries as those of a table whose zone is
// that of the settings.
func definitionsOf(found celeryapp.App, zone string) []store.Definition {
	if found.Zone == zone {
		found.Zone = ""
	}
	var definitions []store.Definition
	for _, entry := range found.Entries {
		definitions = append(definitions, store.Definition{
			Name: entry.Name, Task: entry.Task, Spec: entry.Spec, Zone: found.Zone, Enabled: true,
			Args: entry.Args, Kwargs: entry.Kwargs, Options: entry.Options,
		})
	}
	return definitions
}

// printImport prints an import of what keeps no last run.
func printImport(out io.Writer, answer importAnswer) error {
	todo, err := printSteps(out, answer)
	if err != nil {
		return err
	}
	switch {
	case todo == 0:
		fmt.Fprintln(out, "Nothing is to be done.")
	case answer.Applied:
		fmt.Fprintf(out, "Done: %d of %d entries. End the beat that ran them before `onebeat serve` starts.\n", todo, len(answer.Steps))
	default:
		fmt.Fprintf(out, "Nothing was changed. With --apply %d of %d entries are.\n", todo, len(answer.Steps))
	}
	return nil
}

// printSteps prints what becomes of each entry, and returns of how many anything does.
func printSteps(out io.Writer, answer importAnswer) (todo int, err error) {
	if len(answer.Steps)+len(answer.Refused) == 0 {
		return 0, nil
	}
	err = printTable(out, func(line func(cells ...any)) {
		line("DO", "ENTRY", "SPEC", "TASK", "LAST RUN", "REMARK")
		for _, step := range answer.Steps {
			if step.Do != store.StepKeep {
				todo++
			}
			remarks := step.Remarks
			if len(step.Fields) > 0 {
				remarks = append([]string{"other: " + strings.Join(step.Fields, ", ")}, remarks...)
			}
			line(step.Do, step.Name, step.Spec, step.Task, when(step.LastRunAt, ""), orDash(strings.Join(remarks, "; ")))
		}
		for _, r := range answer.Refused {
			line("refuse", r.Name, "-", "-", "-", r.Reason)
		}
	})
	return todo, err
}
