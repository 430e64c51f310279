package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/onebeat/onebeat/internal/app"
	"github.com/onebeat/onebeat/internal/celery"
	"github.com/onebeat/onebeat/internal/schedule"
	"github.com/onebeat/onebeat/internal/store"
)

func entriesCommand() *cobra.Command {
	return verbOf("entries", "List and change the entries: tasks and when they are sent",
		`  onebeat entries list
  onebeat entries add nightly --task reports.build --spec "0 3 * * *" --entry-zone Asia/Tokyo
  onebeat entries run-now nightly`,
		entriesList(), entriesShow(), entriesAdd(), entriesEdit(), entriesRemove(), entriesPause(), entriesResume(), entriesRunNow())
}

// A view is an entry with its next slot, as it is printed.
type view struct {
	store.Row
	Next time.Time
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

// A row is a store.Row, to be embedded.
type row store.Row

// A printed is a view in JSON. Its own fields hide those of the row: what is JSON
// text there is JSON here.
type printed struct {
	row
	Args      any     `json:"args"`
	Kwargs    any     `json:"kwargs"`
	Options   any     `json:"options,omitempty"`
	Misfire   misfire `json:"misfire"`
	LastRunAt any     `json:"last_run_at,omitempty"`
	Next      any     `json:"next,omitempty"`
}

// A misfire is a schedule.Misfire in JSON: lengths in seconds, what is unset left out.
type misfire struct {
	Policy schedule.Policy `json:"policy"`
	Grace  float64         `json:"grace_seconds,omitempty"`
	Count  int             `json:"max_count,omitempty"`
	Age    float64         `json:"max_age_seconds,omitempty"`
}

func (v view) printed() printed {
	m := v.Misfire
	return printed{
		row: row(v.Row), Args: rawJSON(v.Args), Kwargs: rawJSON(v.Kwargs), Options: rawJSON(v.Options),
		LastRunAt: instantJSON(v.LastRunAt), Next: instantJSON(v.Next),
		Misfire: misfire{cmp.Or(m.Policy, schedule.Once), m.Grace.Seconds(), m.Count, m.Age.Seconds()},
	}
}

// rawJSON is text as JSON: as it is where it is JSON, also within a list of entries, which may be too deep then; else a
// string; nil for none.
func rawJSON(text string) any {
	switch {
	case text == "":
		return nil
	case json.Valid([]byte("[["+text+"]]")) && json.Valid([]byte(text)):
		return json.RawMessage(text)
	}
	return text
}

// instantJSON is an instant as JSON, nil for none. Databases have years that time.Time's own JSON does not.
func instantJSON(t time.Time) any {
	switch {
	case t.IsZero():
		return nil
	case t.Year() < 0 || t.Year() > 9999:
		return t.Format(time.RFC3339Nano)
	}
	return t
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
			all := len(rows)
			if badOnly {
				rows = slices.DeleteFunc(rows, func(row store.Row) bool { return row.State != schedule.ReasonBadRow })
			}
			if *asJSON {
				list := make([]printed, len(rows))
				for i, row := range rows {
					list[i] = viewOf(row).printed()
				}
				return printJSON(cmd.OutOrStdout(), list)
			}
			if len(rows) == 0 {
				_, err := fmt.Fprintln(cmd.OutOrStdout(), noEntries(all))
				return err
			}
			return printEntries(cmd.OutOrStdout(), rows, config)
		})
	}
	settingFlags(cmd, ofDatabase)
	return cmd
}

// printEntries prints a line an entry, and then the problems of those that have one.
func printEntries(out io.Writer, rows []store.Row, config app.Config) error {
	return printTable(out, func(line func(cells ...any)) {
		line("NAME", "TASK", "SPEC", "STATE", "NEXT", "LAST RUN", "RUNS", "ID")
		for _, row := range rows {
			zone := zoneOf(row, config)
			line(row.Name, row.Task, row.Spec, row.State,
				when(viewOf(row).Next, zone), when(row.LastRunAt, zone), row.TotalRunCount, row.ID)
		}
		for _, row := range rows {
			if row.Problem != "" {
				line(fmt.Sprintf("%s (%s): %s", row.Name, row.ID, row.Problem))
			}
		}
	})
}

// noEntries says what an empty list means, of so many entries in all.
func noEntries(all int) string {
	if all == 0 {
		return "There is no entry yet: add one with `onebeat entries add`."
	}
	return schedule.Counted(all, "entry") + ", and all rows can be used."
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
				return printJSON(cmd.OutOrStdout(), v.printed())
			}
			_, windows, err := s.Windows(ctx)
			if err != nil {
				return err
			}
			return printEntry(cmd.OutOrStdout(), v, windows, zoneOf(row, config))
		})
	}
	settingFlags(cmd, ofDatabase)
	return cmd
}

// printEntry prints one entry for people.
func printEntry(out io.Writer, v view, windows *schedule.Windows, zone string) error {
	return printTable(out, func(line func(cells ...any)) {
		field := func(name, value string) {
			if value != "" {
				line(name, value)
			}
		}
		field("name", v.Name)
		field("id", string(v.ID))
		field("task", v.Task)
		field("spec", v.Spec)
		field("zone", zone)
		field("state", v.State)
		field("problem", v.Problem)
		if v.Paused != nil {
			field("paused", fmt.Sprintf("by %s at %s: %s", v.Paused.By, when(v.Paused.At, zone), v.Paused.Reason))
			if !v.Paused.Until.IsZero() {
				field("until", when(v.Paused.Until, zone))
			}
		}
		field("args", v.Args)
		field("kwargs", v.Kwargs)
		field("options", v.Options)
		field("rules", v.Rules)
		field("misfire", misfireText(v.Misfire))
		field("description", v.Description)
		field("last run", when(v.LastRunAt, zone))
		field("runs", fmt.Sprint(v.TotalRunCount))
		for slot, n := v.Next, 0; !slot.IsZero() && n < 5; slot, n = v.Entry.Spec.Next(slot), n+1 {
			text := when(slot, zone)
			if held, _ := windows.Closed(v.Entry, slot); held != "" {
				text += ", skipped: " + held
			}
			field("next", text)
		}
	})
}

func misfireText(m schedule.Misfire) string {
	text := string(cmp.Or(m.Policy, schedule.Once))
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
// that writes those that were given into one, and says whether any was.
func definitionFlags(cmd *cobra.Command) func(*store.Definition) bool {
	var d store.Definition
	var policy string
	var except exceptFile
	disabled := false
	flags := cmd.Flags()
	flags.StringVar(&d.Task, "task", "", "the Celery task's name")
	flags.StringVar(&d.Spec, "spec", "", `when: "0 9 * * 1-5", "@every 90s", "@at 2030-01-01T09:00:00+09:00"`)
	flags.StringVar(&d.Zone, "entry-zone", "", "the entry's own time zone, an IANA name (an older table needs onebeat migrate for it)")
	flags.StringVar(&d.Args, "args", "", "positional arguments, a JSON array")
	flags.StringVar(&d.Kwargs, "kwargs", "", "keyword arguments, a JSON object")
	flags.StringVar(&d.Rules, "rules", "", `rules around the spec, a JSON object: {"except": ["2026-12-25"], "weekend": "sat,sun"} (docs/time.md; an older table needs onebeat migrate for it)`)
	flags.Var(&except, "except-file", "leave out the days of this file too, iCalendar or a list of dates: they become part of the rules")
	flags.StringVar(&d.Options, "options", "", `apply_async options, a JSON object: {"queue": "priority", "expires": 60}`)
	flags.StringVar(&d.Description, "description", "", "a note for people")
	flags.StringVar(&policy, "misfire", "", "what becomes of slots missed while nothing ran: once, skip or all")
	lengthVar(flags, &d.Misfire.Grace, "misfire-grace", 0, "how late a slot may be and not count as missed; 5s unless set")
	flags.IntVar(&d.Misfire.Count, "misfire-count", 0, "with all: how many at most; 1000 unless set, and never more than 100000")
	lengthVar(flags, &d.Misfire.Age, "misfire-age", 0, "none older than this")
	flags.BoolVar(&disabled, "disabled", false, "do not send it (yet)")
	return func(into *store.Definition) (given bool) {
		set := func(flag string, write func()) {
			if flags.Changed(flag) {
				given = true
				write()
			}
		}
		set("task", func() { into.Task = d.Task })
		set("spec", func() { into.Spec = d.Spec })
		set("entry-zone", func() { into.Zone = d.Zone })
		set("args", func() { into.Args = d.Args })
		set("kwargs", func() { into.Kwargs = d.Kwargs })
		set("options", func() { into.Options = d.Options })
		set("rules", func() { into.Rules = d.Rules })
		set("except-file", func() { except.into(into) })
		set("description", func() { into.Description = d.Description })
		set("misfire", func() { into.Misfire.Policy = schedule.Policy(policy) })
		set("misfire-grace", func() { into.Misfire.Grace = d.Misfire.Grace })
		set("misfire-count", func() { into.Misfire.Count = d.Misfire.Count })
		set("misfire-age", func() { into.Misfire.Age = d.Misfire.Age })
		set("disabled", func() { into.Enabled = !disabled })
		return given
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
			if strings.TrimSpace(d.Name) == "" {
				return usage("the name is blank: give one by which the entry is found again")
			}
			if d.Task == "" || d.Spec == "" {
				return usage("an entry needs --task and --spec: see %s --help", cmd.CommandPath())
			}
			if err := unused(ctx, s, d.Name); err != nil {
				return err
			}
			id, err := s.Add(ctx, d)
			if err != nil {
				return err
			}
			if err := answer(cmd, *asJSON, id, "Added %s (%s).", d.Name, id); err != nil {
				return err
			}
			warnOfZone(cmd)
			warnOfOptions(cmd)
			warnOfNoSlot(ctx, cmd, s, id)
			warnOfHerd(ctx, cmd, s, store.Row{}, id)
			return nil
		})
	}
	settingFlags(cmd, ofDatabase)
	return cmd
}

// warnOfZone tells, beside the answer, who may have meant the zone of the entry that it was not given one.
func warnOfZone(cmd *cobra.Command) {
	if flags := cmd.Flags(); flags.Changed("zone") && !flags.Changed("entry-zone") {
		fmt.Fprintln(cmd.ErrOrStderr(), "onebeat: --zone is a setting of onebeat serve and is not kept with the entry: --entry-zone is")
	}
}

// warnOfNoSlot tells, beside the answer, of an entry whose spec gives no slot any more, as @at a time that is past.
func warnOfNoSlot(ctx context.Context, cmd *cobra.Command, s *store.Store, id schedule.ID) {
	if row, err := s.Find(ctx, string(id)); err == nil && row.Enabled && row.Entry != nil && viewOf(row).Next.IsZero() {
		fmt.Fprintln(cmd.ErrOrStderr(), "onebeat: this entry has no slot to come, so that nothing will be sent: see `onebeat next` with its spec")
	}
}

// warnOfOptions tells, beside the answer, of options that were given and that nobody knows.
func warnOfOptions(cmd *cobra.Command) {
	switch names := celery.UnknownOptions(cmd.Flag("options").Value.String()); len(names) {
	case 0:
	case 1:
		fmt.Fprintf(cmd.ErrOrStderr(), "onebeat: neither Celery nor a worker knows the option %s: is it written as in apply_async's?\n", legible(names[0]))
	default:
		fmt.Fprintf(cmd.ErrOrStderr(), "onebeat: neither Celery nor a worker knows the options %s: are they written as in apply_async's?\n", legible(strings.Join(names, " and ")))
	}
}

// unused refuses a name that an entry has already. Other programs may give one
// name to several; a person at a keyboard hardly means to.
func unused(ctx context.Context, s *store.Store, name string) error {
	_, err := s.Find(ctx, name)
	var several *store.InputError
	switch {
	case errors.Is(err, store.ErrNoEntry):
		return nil
	case err == nil || errors.As(err, &several):
		return usage("an entry is called %q already: choose another name, or change that one with `onebeat entries edit`", name)
	}
	return err
}

// answer says what was done, to people or as JSON with the entry's id.
func answer(cmd *cobra.Command, asJSON bool, id schedule.ID, format string, args ...any) error {
	if asJSON {
		return printJSON(cmd.OutOrStdout(), map[string]schedule.ID{"id": id})
	}
	_, err := fmt.Fprintln(cmd.OutOrStdout(), legible(fmt.Sprintf(format, args...)))
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
		if !write(new(store.Definition)) && *name == "" {
			return "", usage("there is nothing to change: give --spec, --task or another flag of %s --help", cmd.CommandPath())
		}
		if *name != "" && *name != row.Name {
			if err := unused(ctx, s, *name); err != nil {
				return "", err
			}
		}
		err := s.Edit(ctx, row.ID, func(d *store.Definition) {
			write(d)
			if *name != "" {
				d.Name = *name
			}
		})
		if err == nil {
			warnOfZone(cmd)
			warnOfOptions(cmd)
			warnOfNoSlot(ctx, cmd, s, row.ID)
			warnOfHerd(ctx, cmd, s, row, row.ID)
		}
		return "Changed", err
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
	until := cmd.Flags().String("until", "", "when it goes on by itself: a length (2h), an instant (RFC 3339), or a time by the entry's clocks (03:00)")
	return change(cmd, func(ctx context.Context, s *store.Store, row store.Row) (string, error) {
		if strings.TrimSpace(*reason) == "" {
			return "", usage("say why with --reason, for others to read")
		}
		if cmd.Flags().Changed("until") && strings.TrimSpace(*until) == "" { // as an unset variable of the shell gives it
			return "", usage("--until is empty: give a length such as 2h or an instant, or leave it out for a pause without an end")
		}
		config, err := settings(cmd)
		if err != nil {
			return "", err
		}
		end, err := instantOrLength(*until, time.Now(), zoneOf(row, config))
		if err != nil {
			return "", err
		}
		return "Paused", s.Pause(ctx, row.ID, end, *reason, who())
	})
}

func entriesResume() *cobra.Command {
	return change(&cobra.Command{
		Use: "resume ID|NAME", Short: "End a pause; the entry goes on with its next slot",
		Example: "  onebeat entries resume nightly",
	}, func(ctx context.Context, s *store.Store, row store.Row) (string, error) {
		return "Resumed", s.Resume(ctx, row.ID)
	})
}

// seenWithin is how long ago a node may have been seen for nobody to wonder whether one runs.
const seenWithin = 15 * time.Second

func entriesRunNow() *cobra.Command {
	cmd := &cobra.Command{
		Use: "run-now ID|NAME", Short: "Send an entry's task once, now; its schedule does not move",
		Long:    "Send an entry's task once, now, with the same queue, options and headers as on schedule.\nThe running daemon does it; the schedule does not move.",
		Example: "  onebeat entries run-now nightly",
	}
	return change(cmd, func(ctx context.Context, s *store.Store, row store.Row) (string, error) {
		switch row.State {
		case store.Active:
		case schedule.ReasonPaused:
			return "", usage("the entry is paused: end that with `onebeat entries resume` first")
		case schedule.ReasonBadRow:
			return "", usage("the entry is set aside: %s", row.Problem)
		default:
			return "", usage("the entry is not active (%s): only an entry that is planned can run", row.State)
		}
		if _, err := s.Ask(ctx, row.ID, who()); err != nil {
			return "", err
		}
		if roll, err := s.Present(ctx, seenWithin); err == nil && len(roll.Nodes) == 0 {
			fmt.Fprintf(cmd.ErrOrStderr(), "onebeat: no node was seen for %v: the task is sent when `onebeat serve` runs\n", seenWithin)
		}
		return "Asked for a run of", nil
	})
}
