package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/onebeat/onebeat/internal/app"
	"github.com/onebeat/onebeat/internal/schedule"
	"github.com/onebeat/onebeat/internal/store"
)

func entriesCommand() *cobra.Command {
	return verbOf("entries", "List and change the entries: tasks and when they are sent",
		`  onebeat entries list
  onebeat entries add nightly --task reports.build --spec "0 3 * * *" --zone Asia/Tokyo
  onebeat entries run-now nightly`,
		entriesList(), entriesShow(), entriesAdd(), entriesEdit(), entriesRemove(), entriesPause(), entriesResume(), entriesRunNow())
}

// A view is an entry as it is printed.
type view struct {
	store.Row
	Next time.Time `json:"next,omitzero"`
}

// viewOf adds the entry's next slot: the first that is still to come or owed.
func viewOf(row store.Row) view {
	v := view{Row: row}
	if row.Entry != nil {
		v.Next = row.Entry.Spec.Next(row.Entry.After)
		if now := time.Now(); v.Next.Before(now) && !v.Next.IsZero() {
			if coming := row.Entry.Spec.Next(now); !coming.IsZero() {
				v.Next = coming
			}
		}
	}
	return v
}

// zoneOf is the zone that an entry's times are shown in.
func zoneOf(row store.Row, config app.Config) string {
	if row.Zone != "" {
		return row.Zone
	}
	return config.String("zone")
}

func entriesList() *cobra.Command {
	var badOnly bool
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the entries, also those whose rows cannot be used",
		Example: "  onebeat entries list --bad\n  onebeat entries list --json",
		Args:    noArguments,
	}
	asJSON := jsonFlag(cmd)
	cmd.Flags().BoolVar(&badOnly, "bad", false, "only rows that cannot be used")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return withStore(cmd, func(ctx context.Context, s *store.Store, config app.Config) error {
			rows, err := s.List(ctx)
			if err != nil {
				return err
			}
			views := []view{}
			for _, row := range rows {
				if !badOnly || row.State == schedule.ReasonBadRow {
					views = append(views, viewOf(row))
				}
			}
			if *asJSON {
				return printJSON(cmd.OutOrStdout(), views)
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "NAME\tTASK\tSPEC\tSTATE\tNEXT\tLAST RUN\tRUNS\tID")
			for _, v := range views {
				zone := zoneOf(v.Row, config)
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\n", v.Name, v.Task, v.Spec, v.State, when(v.Next, zone), when(v.LastRunAt, zone), v.TotalRunCount, v.ID)
			}
			if err := w.Flush(); err != nil {
				return err
			}
			for _, v := range views {
				if v.Problem != "" {
					fmt.Fprintf(cmd.OutOrStdout(), "%s (%s): %s\n", v.Name, v.ID, v.Problem)
				}
			}
			return nil
		})
	}
	settingFlags(cmd, ofDatabase)
	return cmd
}

func entriesShow() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "show ID|NAME",
		Short:   "Show one entry with its coming slots",
		Example: "  onebeat entries show nightly",
		Args:    oneArgument("the entry's id or name"),
	}
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return withStore(cmd, func(ctx context.Context, s *store.Store, config app.Config) error {
			row, err := s.Find(ctx, args[0])
			if err != nil {
				return err
			}
			v := viewOf(row)
			if *asJSON {
				return printJSON(cmd.OutOrStdout(), v)
			}
			printEntry(cmd, v, zoneOf(row, config))
			return nil
		})
	}
	settingFlags(cmd, ofDatabase)
	return cmd
}

// printEntry prints one entry for people.
func printEntry(cmd *cobra.Command, v view, zone string) {
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	defer w.Flush()
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "%s\t%s\n", name, value)
		}
	}
	line("name", v.Name)
	line("id", string(v.ID))
	line("task", v.Task)
	line("spec", v.Spec)
	line("zone", zone)
	line("state", v.State)
	line("problem", v.Problem)
	if v.Paused != nil {
		line("paused", fmt.Sprintf("by %s at %s: %s", v.Paused.By, when(v.Paused.At, zone), v.Paused.Reason))
		if !v.Paused.Until.IsZero() {
			line("until", when(v.Paused.Until, zone))
		}
	}
	line("args", v.Args)
	line("kwargs", v.Kwargs)
	line("options", v.Options)
	line("misfire", misfireText(v.Misfire))
	line("description", v.Description)
	line("last run", when(v.LastRunAt, zone))
	line("runs", fmt.Sprint(v.TotalRunCount))
	slot := v.Next
	for range 5 {
		if slot.IsZero() {
			break
		}
		line("next", when(slot, zone))
		slot = v.Entry.Spec.Next(slot)
	}
}

func misfireText(m schedule.Misfire) string {
	policy := m.Policy
	if policy == "" {
		policy = schedule.Once
	}
	text := string(policy)
	if m.Grace > 0 {
		text += fmt.Sprintf(", grace %v", m.Grace)
	}
	if m.Count > 0 {
		text += fmt.Sprintf(", at most %d", m.Count)
	}
	if m.Age > 0 {
		text += fmt.Sprintf(", none older than %v", m.Age)
	}
	return text
}

// definitionFlags gives cmd the flags of a definition and returns a function
// that writes those that were given into one.
func definitionFlags(cmd *cobra.Command) func(*store.Definition) {
	var d store.Definition
	var policy string
	disabled := false
	flags := cmd.Flags()
	flags.StringVar(&d.Task, "task", "", "the Celery task's name")
	flags.StringVar(&d.Spec, "spec", "", `when: "0 9 * * 1-5", "@every 90s", "@at 2030-01-01T09:00:00+09:00"`)
	flags.StringVar(&d.Zone, "entry-zone", "", "the entry's own time zone, an IANA name (needs `onebeat migrate` on an older table)")
	flags.StringVar(&d.Args, "args", "", "positional arguments, a JSON array")
	flags.StringVar(&d.Kwargs, "kwargs", "", "keyword arguments, a JSON object")
	flags.StringVar(&d.Options, "options", "", `apply_async options, a JSON object: {"queue": "priority", "expires": 60}`)
	flags.StringVar(&d.Description, "description", "", "a note for people")
	flags.StringVar(&policy, "misfire", "", "what becomes of slots missed while nothing ran: once, skip or all")
	flags.DurationVar(&d.Misfire.Grace, "misfire-grace", 0, "how late a slot may be and not count as missed; 5s unless set")
	flags.IntVar(&d.Misfire.Count, "misfire-count", 0, "with all: how many at most")
	flags.DurationVar(&d.Misfire.Age, "misfire-age", 0, "none older than this")
	flags.BoolVar(&disabled, "disabled", false, "do not send it (yet)")
	return func(into *store.Definition) {
		set := func(flag string, write func()) {
			if flags.Changed(flag) {
				write()
			}
		}
		set("task", func() { into.Task = d.Task })
		set("spec", func() { into.Spec = d.Spec })
		set("entry-zone", func() { into.Zone = d.Zone })
		set("args", func() { into.Args = d.Args })
		set("kwargs", func() { into.Kwargs = d.Kwargs })
		set("options", func() { into.Options = d.Options })
		set("description", func() { into.Description = d.Description })
		set("misfire", func() { into.Misfire.Policy = schedule.Policy(policy) })
		set("misfire-grace", func() { into.Misfire.Grace = d.Misfire.Grace })
		set("misfire-count", func() { into.Misfire.Count = d.Misfire.Count })
		set("misfire-age", func() { into.Misfire.Age = d.Misfire.Age })
		set("disabled", func() { into.Enabled = !disabled })
	}
}

func entriesAdd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "add NAME --task TASK --spec SPEC",
		Short: "Add an entry",
		Example: `  onebeat entries add nightly --task reports.build --spec "0 3 * * *" --kwargs '{"full": true}'
  onebeat entries add ping --task tasks.ping --spec "@every 10s" --options '{"expires": 10}'`,
		Args: oneArgument("the entry's name"),
	}
	write := definitionFlags(cmd)
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return withStore(cmd, func(ctx context.Context, s *store.Store, _ app.Config) error {
			d := store.Definition{Name: args[0], Enabled: true}
			write(&d)
			if d.Task == "" || d.Spec == "" {
				return usage("an entry needs --task and --spec: see %s --help", cmd.CommandPath())
			}
			id, err := s.Add(ctx, d)
			if err != nil {
				return err
			}
			return answer(cmd, *asJSON, id, "Added %s (%s).", d.Name, id)
		})
	}
	settingFlags(cmd, ofDatabase)
	return cmd
}

// answer says what was done, to people or as JSON with the entry's id.
func answer(cmd *cobra.Command, asJSON bool, id schedule.ID, format string, args ...any) error {
	if asJSON {
		return printJSON(cmd.OutOrStdout(), map[string]schedule.ID{"id": id})
	}
	_, err := fmt.Fprintf(cmd.OutOrStdout(), format+"\n", args...)
	return err
}

// change is a verb that does one thing to one entry.
func change(cmd *cobra.Command, do func(ctx context.Context, s *store.Store, row store.Row) (done string, err error)) *cobra.Command {
	cmd.Args = oneArgument("the entry's id or name")
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return withStore(cmd, func(ctx context.Context, s *store.Store, _ app.Config) error {
			row, err := s.Find(ctx, args[0])
			if err != nil {
				return err
			}
			done, err := do(ctx, s, row)
			if err != nil {
				return err
			}
			return answer(cmd, *asJSON, row.ID, "%s %s (%s).", done, row.Name, row.ID)
		})
	}
	settingFlags(cmd, ofDatabase)
	return cmd
}

func entriesEdit() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "edit ID|NAME",
		Short: "Change an entry; its run state stays",
		Example: `  onebeat entries edit nightly --spec "30 3 * * *"
  onebeat entries edit nightly --disabled=false`,
	}
	write := definitionFlags(cmd)
	name := cmd.Flags().String("name", "", "another name")
	return change(cmd, func(ctx context.Context, s *store.Store, row store.Row) (string, error) {
		return "Changed", s.Edit(ctx, row.ID, func(d *store.Definition) {
			write(d)
			if *name != "" {
				d.Name = *name
			}
		})
	})
}

func entriesRemove() *cobra.Command {
	return change(&cobra.Command{
		Use: "remove ID|NAME", Short: "Delete an entry; its runs stay in the ledger",
		Example: "  onebeat entries remove nightly",
	}, func(ctx context.Context, s *store.Store, row store.Row) (string, error) {
		return "Removed", s.Remove(ctx, row.ID)
	})
}

func entriesPause() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "pause ID|NAME --reason TEXT [--until TIME|LENGTH]",
		Short: "Send nothing for an entry until it is resumed",
		Example: `  onebeat entries pause nightly --reason "database upgrade" --until 2h
  onebeat entries pause nightly --reason "on hold" --until 2030-01-01T00:00:00Z`,
	}
	reason := cmd.Flags().String("reason", "", "why, for others to read")
	until := cmd.Flags().String("until", "", "when it goes on by itself: a length (2h) or an instant (RFC 3339)")
	return change(cmd, func(ctx context.Context, s *store.Store, row store.Row) (string, error) {
		if strings.TrimSpace(*reason) == "" {
			return "", usage("say why with --reason, for others to read")
		}
		end, err := instantOrLength(*until, time.Now())
		if err != nil {
			return "", err
		}
		return "Paused", s.Pause(ctx, row.ID, end, *reason, who())
	})
}

// instantOrLength reads an instant, or a length from now on; empty is no instant.
func instantOrLength(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if length, err := time.ParseDuration(text); err == nil {
		return now.Add(length), nil
	}
	instant, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, usage("%q is neither a length such as 2h nor an instant such as 2030-01-01T00:00:00Z", text)
	}
	return instant, nil
}

func entriesResume() *cobra.Command {
	return change(&cobra.Command{
		Use: "resume ID|NAME", Short: "End a pause; the entry goes on with its next slot",
		Example: "  onebeat entries resume nightly",
	}, func(ctx context.Context, s *store.Store, row store.Row) (string, error) {
		return "Resumed", s.Resume(ctx, row.ID)
	})
}

func entriesRunNow() *cobra.Command {
	return change(&cobra.Command{
		Use: "run-now ID|NAME", Short: "Send an entry's task once, now; its schedule does not move",
		Long:    "Send an entry's task once, now, with the same queue, options and headers as on schedule.\nThe running daemon does it; the schedule does not move.",
		Example: "  onebeat entries run-now nightly",
	}, func(ctx context.Context, s *store.Store, row store.Row) (string, error) {
		if row.State != store.Active {
			return "", usage("the entry is not active (%s): only an entry that is planned can run", row.State)
		}
		_, err := s.Ask(ctx, row.ID, who())
		return "Asked for a run of", err
	})
}
