package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/onebeat/onebeat/internal/app"
	"github.com/onebeat/onebeat/internal/celery"
	"github.com/onebeat/onebeat/internal/schedule"
	"github.com/onebeat/onebeat/internal/store"
)

// patience is how long a verb waits for its database.
const patience = 10 * time.Second

// withStore opens the database that the settings name, which must be there, and
// calls do with it. What a person got wrong ends with the code for wrong usage.
func withStore(cmd *cobra.Command, do func(ctx context.Context, s *store.Store, config app.Config) error) error {
	return withStoreFor(cmd, patience, do)
}

// withStoreFor is withStore for a verb that may take long.
func withStoreFor(cmd *cobra.Command, atMost time.Duration, do func(ctx context.Context, s *store.Store, config app.Config) error) error {
	return opened(cmd, store.MissingRefused, atMost, do)
}

func opened(cmd *cobra.Command, missing store.Missing, atMost time.Duration, do func(ctx context.Context, s *store.Store, config app.Config) error) error {
	config, err := settings(cmd)
	if err != nil {
		return err
	}
	return openedWith(cmd, config, missing, atMost, do)
}

// openedWith is opened with these settings.
func openedWith(cmd *cobra.Command, config app.Config, missing store.Missing, atMost time.Duration, do func(ctx context.Context, s *store.Store, config app.Config) error) error {
	celery, err := app.CelerySettings(config)
	if err != nil {
		return usage("%s", oneLine(err))
	}
	if config.String("database") == "" {
		return usage("%v", app.ErrNoDatabase)
	}
	if err := store.CheckURL(config.String("database")); err != nil {
		return usage("%s", oneLine(err))
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), atMost)
	defer cancel()
	s, err := app.OpenStore(ctx, config, celery, missing, slog.New(slog.DiscardHandler))
	if fault := (app.SettingsError{}); errors.As(err, &fault) {
		return usage("%s", oneLine(err))
	}
	if err != nil {
		return err
	}
	defer s.Close()
	err = do(ctx, s, config)
	var input *store.InputError
	switch {
	case errors.As(err, &input):
		return usage("%s", oneLine(input))
	case errors.Is(err, store.ErrNoEntry):
		return usage("%v%s", store.ErrNoEntry, meant(ctx, s, cmd))
	case errors.Is(err, store.ErrNoCalendar):
		return usage("%v", store.ErrNoCalendar)
	case errors.Is(err, store.ErrNoWindow):
		return usage("%v", store.ErrNoWindow)
	case errors.Is(err, store.ErrNotPaused):
		return usage("%v", store.ErrNotPaused)
	}
	return explain(err)
}

// meant asks for the entry that is called nearly as the verb's argument, among as many as are read in no time.
func meant(ctx context.Context, s *store.Store, cmd *cobra.Command) string {
	if cmd.Name() != "explain" && cmd.Parent().Name() != "entries" {
		return ""
	}
	const most = 20_000
	ctx, enough := context.WithCancel(ctx)
	defer enough()
	var names []string
	_ = s.Outline(ctx, func(row store.Row) { // what was read until then counts
		if names = append(names, row.Name); len(names) == most {
			enough()
		}
	})
	if near := celery.Near(cmd.Flags().Arg(0), names); near != "" {
		return "; did you mean " + legible(near) + "?"
	}
	return ""
}

// denied are what PostgreSQL, and MySQL and MariaDB of a database, a table and a column, say to who lacks a right.
var denied = regexp.MustCompile(`\(SQLSTATE 42501\)|\bError (1044|1142|1143) `)

// explain returns err, or that onebeat's tables are missing, or the newest of them, if the database says so. Where a
// right is missing it says what names them all.
func explain(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	if strings.Contains(text, "no such table: onebeat_") || strings.Contains(text, `relation "onebeat_`) && strings.Contains(text, "does not exist") ||
		strings.Contains(text, ".onebeat_") && strings.Contains(text, "' doesn't exist") {
		return errors.New("onebeat's own tables are not there yet, or an older onebeat made them: run `onebeat migrate`, or start `onebeat serve`")
	}
	if denied.MatchString(text) && !strings.Contains(text, "docs/operating.md") {
		return fmt.Errorf("%w: docs/operating.md lists the rights that the user of the database needs", err)
	}
	if store.Unwritable(err) && !strings.Contains(text, "takes no writes") {
		return fmt.Errorf("the database answers, and takes no writes: is it full, or a copy to read from? %w", err)
	}
	return err
}

// jsonFlag gives cmd the flag --json and returns where it is read.
func jsonFlag(cmd *cobra.Command) *bool {
	return cmd.Flags().Bool("json", false, "print JSON")
}

// printJSON prints value as indented JSON.
func printJSON(out io.Writer, value any) error {
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(value)
}

// orEmptyList keeps a list without elements from being null in JSON.
func orEmptyList[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// when prints an instant in zone and in UTC, as people read it; "-" for none.
func when(t time.Time, zone string) string {
	if t.IsZero() {
		return "-"
	}
	utc := t.UTC().Format("2006-01-02 15:04:05Z")
	location, err := schedule.Location(zone)
	if err != nil || location.String() == "UTC" {
		return utc
	}
	return t.In(location).Format("2006-01-02 15:04:05 -0700") + " (" + utc + ")"
}

// who names the person at the keyboard, for the record of what people did.
func who() string {
	for _, name := range []string{"SUDO_USER", "USER", "LOGNAME"} {
		if user := os.Getenv(name); user != "" {
			return user
		}
	}
	return "uid " + strconv.Itoa(os.Getuid())
}

// oneArgument refuses anything but one argument, which is called what.
func oneArgument(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != 1 {
			return usage("%s takes one argument, %s, not %d: see %s --help", cmd.Name(), what, len(args), cmd.CommandPath())
		}
		return nil
	}
}

// verbOf is a command that only holds others.
func verbOf(use, short, example string, verbs ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Example: example,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownVerb(cmd, args[0])
			}
			names := make([]string, len(verbs))
			for i, verb := range verbs {
				names[i] = verb.Name()
			}
			return usage("%s needs one of %s: see %s --help", cmd.Name(), strings.Join(names, ", "), cmd.CommandPath())
		},
		RunE: func(*cobra.Command, []string) error { return nil },
	}
	cmd.AddCommand(verbs...)
	return cmd
}
