package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/onebeat/onebeat/internal/app"
	"github.com/onebeat/onebeat/internal/daysoff"
	"github.com/onebeat/onebeat/internal/schedule"
	"github.com/onebeat/onebeat/internal/store"
)

func calendarsCommand() *cobra.Command {
	return verbOf("calendars", "List and import calendars of days off, which the rules of entries name",
		`  onebeat calendars import jp-holidays holidays.ics
  onebeat entries edit report --rules '{"calendars": ["jp-holidays"], "weekend": "sat,sun", "shift": "next"}'
  onebeat calendars list`,
		calendarsList(), calendarsShow(), calendarsImport(), calendarsRemove())
}

func calendarsList() *cobra.Command {
	cmd := &cobra.Command{
		Use: "list", Short: "List the calendars and who goes by them",
		Example: "  onebeat calendars list --json",
		Args:    noArguments,
	}
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return withStore(cmd, func(ctx context.Context, s *store.Store, _ app.Config) error {
			all, err := s.Calendars(ctx)
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			if *asJSON {
				return printJSON(out, all)
			}
			if len(all) == 0 {
				_, err := fmt.Fprintln(out, "There is no calendar yet: import one with `onebeat calendars import`.")
				return err
			}
			return printTable(out, func(line func(cells ...any)) {
				line("NAME", "DAYS", "FIRST", "LAST", "ENTRIES")
				for _, c := range all {
					line(c.Name, len(c.Days), c.Days[0].Day, c.Days[len(c.Days)-1].Day, len(c.Entries))
				}
				for _, c := range all {
					if c.Problem != "" {
						line(c.Problem)
					}
				}
			})
		})
	}
	settingFlags(cmd, ofDatabase)
	return cmd
}

func calendarsShow() *cobra.Command {
	cmd := &cobra.Command{
		Use: "show NAME", Short: "Show a calendar's days off and the entries that go by it",
		Example: "  onebeat calendars show jp-holidays",
		Args:    oneArgument("the calendar's name"),
	}
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return withStore(cmd, func(ctx context.Context, s *store.Store, _ app.Config) error {
			calendar, err := s.Calendar(ctx, args[0])
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			if *asJSON {
				return printJSON(out, calendar)
			}
			for _, off := range calendar.Days {
				fmt.Fprintln(out, legible(strings.TrimSpace(off.Day+"  "+off.Reason)))
			}
			if calendar.Problem != "" {
				fmt.Fprintln(out, legible(calendar.Problem))
			}
			if len(calendar.Entries) > 0 {
				fmt.Fprintf(out, "Used by %s: %s\n", schedule.Counted(len(calendar.Entries), "entry"), legible(strings.Join(calendar.Entries, ", ")))
			}
			return nil
		})
	}
	settingFlags(cmd, ofDatabase)
	return cmd
}

// An importing is what an import of a calendar does.
type importing struct {
	Name    string            `json:"name"`
	Added   []schedule.DayOff `json:"added"`
	Removed []schedule.DayOff `json:"removed"`
	Kept    int               `json:"kept"`
	Timed   int               `json:"left_out_with_a_time"`
	Outside int               `json:"left_out_outside"`
	Entries []string          `json:"entries"` // that go by it
	DryRun  bool              `json:"dry_run"`
}

func calendarsImport() *cobra.Command {
	var from, until string
	var add, dry bool
	cmd := &cobra.Command{
		Use:   "import NAME FILE",
		Short: "Make a calendar of the days off in a file",
		Long: `Make a calendar of the days off in an iCalendar file, or in a list with a date or a
range of dates a line (2026-12-25, 2026-12-29..2027-01-03), perhaps with a reason after
a comma or a blank. FILE may be - for the standard input. What the calendar held before
is replaced, unless --add is given. Entries that go by the calendar do so at once.

An event of iCalendar counts if it takes whole days; one that recurs, up to --until.`,
		Example: `  onebeat calendars import jp-holidays holidays.ics --dry-run
  onebeat calendars import shutdown days.csv --add`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 2 {
				return usage("import takes two arguments, the calendar's name and a file, not %d: see %s --help", len(args), cmd.CommandPath())
			}
			return nil
		},
	}
	asJSON := jsonFlag(cmd)
	cmd.Flags().StringVar(&from, "from", "", "leave out days before this date; the first of January of last year unless set")
	cmd.Flags().StringVar(&until, "until", "", "leave out days after this date; the last of December ten years from now unless set")
	cmd.Flags().BoolVar(&add, "add", false, "keep what the calendar holds")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "say what would change, and change nothing")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		span, err := spanOf(from, until, time.Now())
		if err != nil {
			return err
		}
		found, err := readDaysOff(cmd.InOrStdin(), args[1], span)
		if err != nil {
			return err
		}
		return withStore(cmd, func(ctx context.Context, s *store.Store, _ app.Config) error {
			plan, days, err := planImport(ctx, s, args[0], found, add)
			if err != nil {
				return err
			}
			if plan.DryRun = dry; !dry && len(plan.Added)+len(plan.Removed) > 0 {
				if err := s.PutCalendar(ctx, plan.Name, days); err != nil {
					return err
				}
			}
			if *asJSON {
				return printJSON(cmd.OutOrStdout(), plan)
			}
			return plan.print(cmd.OutOrStdout())
		})
	}
	settingFlags(cmd, ofDatabase)
	return cmd
}

// spanOf reads the flags --from and --until.
func spanOf(from, until string, now time.Time) (daysoff.Span, error) {
	span := daysoff.Span{
		From:  time.Date(now.Year()-1, time.January, 1, 0, 0, 0, 0, time.UTC),
		Until: time.Date(now.Year()+10, time.December, 31, 0, 0, 0, 0, time.UTC),
	}
	for _, bound := range []struct {
		flag, text string
		into       *time.Time
	}{{"--from", from, &span.From}, {"--until", until, &span.Until}} {
		if bound.text == "" {
			continue
		}
		day, err := time.Parse(time.DateOnly, bound.text)
		if err != nil {
			return span, usage("%s %q is no date: write it as 2026-12-25", bound.flag, bound.text)
		}
		*bound.into = day
	}
	if span.Until.Before(span.From) {
		return span, usage("--until is before --from")
	}
	return span, nil
}

// readDaysOff reads a file, or the standard input for a dash.
func readDaysOff(in io.Reader, name string, span daysoff.Span) (daysoff.Found, error) {
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return daysoff.Found{}, usage("%v", err)
		}
		defer func() { _ = file.Close() }()
		in = file
	}
	found, err := daysoff.Read(in, span)
	if err != nil {
		return found, usage("%s: %s", name, oneLine(err))
	}
	if len(found.Days) == 0 {
		return found, usage("%s has no day off from %s to %s (events with a time of the day: %d, days outside: %d): nothing was changed", name,
			span.From.Format(time.DateOnly), span.Until.Format(time.DateOnly), found.Timed, found.Outside)
	}
	return found, nil
}

// planImport compares what was found with what the calendar holds, and returns the
// days that it is to hold.
func planImport(ctx context.Context, s *store.Store, name string, found daysoff.Found, add bool) (importing, []schedule.DayOff, error) {
	plan := importing{
		Name: name, Timed: found.Timed, Outside: found.Outside,
		Added: []schedule.DayOff{}, Removed: []schedule.DayOff{}, Entries: []string{},
	}
	all, err := s.Calendars(ctx)
	if err != nil {
		return plan, nil, err
	}
	held := map[string]schedule.DayOff{}
	for _, calendar := range all {
		if calendar.Name == name {
			plan.Entries = calendar.Entries
			for _, off := range calendar.Days {
				held[off.Day] = off
			}
		}
	}
	days := found.Days
	for _, off := range days {
		if held[off.Day] == off {
			plan.Kept++
		} else {
			plan.Added = append(plan.Added, off)
		}
		delete(held, off.Day)
	}
	for _, off := range held {
		if add {
			plan.Kept++
			days = append(days, off)
		} else {
			plan.Removed = append(plan.Removed, off)
		}
	}
	slices.SortFunc(plan.Removed, func(a, b schedule.DayOff) int { return strings.Compare(a.Day, b.Day) })
	return plan, days, nil
}

func (p importing) print(out io.Writer) error {
	return printTable(out, func(line func(cells ...any)) {
		for _, off := range p.Added {
			line("+ "+off.Day, off.Reason)
		}
		for _, off := range p.Removed {
			line("- "+off.Day, off.Reason)
		}
		does := "holds"
		if p.DryRun {
			does = "would hold"
		}
		line(fmt.Sprintf("%s %s %s: %d new or changed, %d removed, %d as before. Used by %s.", p.Name, does,
			schedule.Counted(len(p.Added)+p.Kept, "day"), len(p.Added), len(p.Removed), p.Kept, schedule.Counted(len(p.Entries), "entry")))
		if p.Timed > 0 {
			line(fmt.Sprintf("Left out: %s with a time of the day, for days off are whole days.", schedule.Counted(p.Timed, "event")))
		}
		if p.Outside > 0 {
			line(fmt.Sprintf("Left out: %s, over or too far ahead: see --from and --until.", schedule.Counted(p.Outside, "event")))
		}
	})
}

func calendarsRemove() *cobra.Command {
	var dry bool
	cmd := &cobra.Command{
		Use: "remove NAME", Short: "Remove a calendar that no entry goes by",
		Example: "  onebeat calendars remove jp-holidays",
		Args:    oneArgument("the calendar's name"),
	}
	asJSON := jsonFlag(cmd)
	cmd.Flags().BoolVar(&dry, "dry-run", false, "say what would be removed, and change nothing")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return withStore(cmd, func(ctx context.Context, s *store.Store, _ app.Config) error {
			does := "Removed"
			var err error
			if dry {
				does = "Would remove"
				_, err = s.Calendar(ctx, args[0])
			} else {
				err = s.RemoveCalendar(ctx, args[0])
			}
			if err != nil {
				return err
			}
			if *asJSON {
				return printJSON(cmd.OutOrStdout(), map[string]any{"removed": !dry, "name": args[0]})
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s the calendar %s.\n", does, args[0])
			return err
		})
	}
	settingFlags(cmd, ofDatabase)
	return cmd
}
