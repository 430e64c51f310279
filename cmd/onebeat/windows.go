package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/onebeat/onebeat/internal/app"
	"github.com/onebeat/onebeat/internal/schedule"
	"github.com/onebeat/onebeat/internal/store"
)

func windowsCommand() *cobra.Command {
	return verbOf("windows", "List and change windows: times in which slots are skipped, for maintenance",
		`  onebeat windows add deploy --all --from 2026-12-01T02:00:00Z --until 2026-12-01T04:00:00Z --reason "the move"
  onebeat windows add backup --group billing --spec "0 2 * * sun" --for 2h --reason "the database is backed up"
  onebeat windows list`,
		windowsList(), windowsAdd(), windowsRemove())
}

// A printedWindow is a store.Window in JSON.
type printedWindow struct {
	store.Window
	Seconds int64     `json:"seconds"`
	Open    bool      `json:"open"`            // it holds slots now
	Over    bool      `json:"over"`            // it holds none any more
	Entry   string    `json:"entry,omitempty"` // the name of the one that it is for
	Begins  time.Time `json:"begins,omitzero"` // this time, or next; the only time, where that is over
	Ends    time.Time `json:"ends,omitzero"`
}

// printedWindowOf adds when the window begins next, or began if it is open.
func printedWindowOf(w store.Window, zone string, now time.Time) printedWindow {
	p := printedWindow{Window: w, Seconds: int64(w.Length / time.Second)}
	if w.Problem != "" {
		return p
	}
	spec, err := schedule.Reading{Zone: cmp.Or(w.Zone, zone), Key: w.Name}.Parse(w.Spec)
	if err != nil {
		return p
	}
	if p.Begins = spec.Next(now.Add(-w.Length)); p.Begins.IsZero() {
		p.Over = true
		if !strings.HasPrefix(w.Spec, "@at ") {
			return p
		}
		p.Begins = spec.Next(time.Time{})
	}
	p.Open = !p.Over && !p.Begins.After(now)
	p.Ends = p.Begins.Add(w.Length)
	return p
}

// whom says whom the window is for.
func (p printedWindow) whom() string {
	return strings.TrimSpace(p.Scope + " " + cmp.Or(p.Entry, p.Target))
}

// nameEntry learns the name of the entry that the window is for, if it is there.
func (p *printedWindow) nameEntry(ctx context.Context, s *store.Store) error {
	if p.Scope != schedule.ScopeEntry {
		return nil
	}
	row, err := s.Find(ctx, p.Target)
	if errors.Is(err, store.ErrNoEntry) {
		return nil
	}
	p.Entry = row.Name
	return err
}

func windowsList() *cobra.Command {
	cmd := &cobra.Command{
		Use: "list", Short: "List the windows and when each holds",
		Example: "  onebeat windows list --json",
		Args:    noArguments,
	}
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return withStore(cmd, func(ctx context.Context, s *store.Store, config app.Config) error {
			all, _, err := s.Windows(ctx)
			if err != nil {
				return err
			}
			now, err := s.Now(ctx)
			if err != nil {
				return err
			}
			list := make([]printedWindow, len(all))
			for i, w := range all {
				list[i] = printedWindowOf(w, config.String("zone"), now)
				if err := list[i].nameEntry(ctx, s); err != nil {
					return err
				}
			}
			if *asJSON {
				return printJSON(cmd.OutOrStdout(), list)
			}
			if len(list) == 0 {
				_, err := fmt.Fprintln(cmd.OutOrStdout(), "There is no window: add one with `onebeat windows add`.")
				return err
			}
			return printWindows(cmd.OutOrStdout(), list, config.String("zone"))
		})
	}
	settingFlags(cmd, ofDatabase)
	return cmd
}

func printWindows(out io.Writer, list []printedWindow, zone string) error {
	return printTable(out, func(line func(cells ...any)) {
		line("NAME", "FOR", "STATE", "BEGINS", "ENDS", "SPEC", "REASON")
		for _, p := range list {
			state := "over"
			switch {
			case p.Problem != "":
				state = "unusable"
			case p.Open:
				state = "open"
			case !p.Over:
				state = "to come"
			}
			line(p.Name, p.whom(), state,
				when(p.Begins, cmp.Or(p.Zone, zone)), when(p.Ends, cmp.Or(p.Zone, zone)), p.Spec, p.Reason)
		}
		for _, p := range list {
			if p.Problem != "" {
				line(fmt.Sprintf("%s: %s", p.Name, p.Problem))
			}
		}
	})
}

func windowsAdd() *cobra.Command {
	var w store.Window
	var all bool
	var group, entry, from, until string
	cmd := &cobra.Command{
		Use:   "add NAME",
		Short: "Add a window in which slots are skipped",
		Long: `Add a window, once (--from and --until) or again and again (--spec and --for), for all
entries, for those whose rules name a group ({"group": "billing"}), or for one entry.
A slot that lies in it is not sent: it ends as skipped, with the window's name and
reason in the ledger. A slot belongs to a window by its own time, also if it is sent
late. Runs that people ask for are sent.`,
		Example: `  onebeat windows add deploy --all --from 2026-12-01T02:00:00Z --until 2026-12-01T04:00:00Z --reason "the move"
  onebeat windows add now --entry nightly --until 90m --reason "the disk is full"
  onebeat windows add backup --group billing --spec "0 2 * * sun" --for 2h --window-zone Asia/Tokyo --reason "backup"`,
		Args: oneArgument("the window's name"),
	}
	flags := cmd.Flags()
	flags.BoolVar(&all, "all", false, "for all entries")
	flags.StringVar(&group, "group", "", "for the entries whose rules name this group")
	flags.StringVar(&entry, "entry", "", "for the entry of this id or name")
	flags.StringVar(&from, "from", "", "when it begins: an instant (RFC 3339), a time (03:00, \"2030-01-01 03:00\"), or a length from now on; now unless set")
	flags.StringVar(&until, "until", "", "when it ends: an instant (RFC 3339), a time, or a length from now on")
	flags.StringVar(&w.Spec, "spec", "", `when it begins, each time: "0 2 * * sun"`)
	lengthVar(flags, &w.Length, "for", 0, "with --spec, how long it lasts")
	flags.StringVar(&w.Zone, "window-zone", "", "with --spec, its time zone, an IANA name")
	flags.StringVar(&w.Reason, "reason", "", "why, for others to read")
	dry := flags.Bool("dry-run", false, "say what would be added, and change nothing")
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return withStore(cmd, func(ctx context.Context, s *store.Store, config app.Config) error {
			now, err := s.Now(ctx)
			if err != nil {
				return err
			}
			w.Name, w.By = args[0], who()
			if strings.TrimSpace(w.Reason) == "" {
				return usage("say why with --reason, for others to read")
			}
			if err := scoped(ctx, s, &w, all, group, entry); err != nil {
				return err
			}
			if err := timed(&w, from, until, now, config.String("zone")); err != nil {
				return err
			}
			does := "Added"
			if *dry {
				does = "Would add"
				err = s.CheckWindow(ctx, w)
			} else {
				err = s.AddWindow(ctx, w)
			}
			if err != nil {
				return err
			}
			warnOfGroup(ctx, cmd, s, w)
			p := printedWindowOf(w, config.String("zone"), now)
			if err := p.nameEntry(ctx, s); err != nil {
				return err
			}
			if *asJSON {
				return printJSON(cmd.OutOrStdout(), struct {
					printedWindow
					DryRun bool `json:"dry_run"`
				}{p, *dry})
			}
			zone := cmp.Or(w.Zone, config.String("zone"))
			over := ""
			if p.Over {
				over = ", which is over"
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s the window %s, for %s: from %s to %s%s.\n", does, w.Name,
				p.whom(), when(p.Begins, zone), when(p.Ends, zone), over)
			return err
		})
	}
	settingFlags(cmd, ofDatabase)
	return cmd
}

// groupOf returns the group that an entry's rules name, or "": also of one that is paused or disabled.
func groupOf(row store.Row) string {
	if row.Entry != nil {
		return schedule.GroupOf(row.Entry.Spec)
	}
	spec := row.Spec
	if row.Rules != "" {
		spec = "@rules " + row.Rules + " " + spec
	}
	days := func(string) (*schedule.Calendar, error) { return new(schedule.Calendar), nil } // which matter to its slots alone
	read, _ := schedule.Reading{Key: string(row.ID), Calendar: days}.Parse(spec)
	return schedule.GroupOf(read)
}

// warnOfGroup tells that a window is for a group that nobody is in, as by a slip of the pen.
func warnOfGroup(ctx context.Context, cmd *cobra.Command, s *store.Store, w store.Window) {
	if w.Scope != schedule.ScopeGroup {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	found := false
	err := s.Outline(ctx, func(row store.Row) { found = found || groupOf(row) == w.Target })
	if err == nil && !found {
		fmt.Fprintf(cmd.ErrOrStderr(), "onebeat: the rules of no entry name the group %s: the window is for none yet\n", legible(w.Target))
	}
}

// scoped writes whom the window is for.
func scoped(ctx context.Context, s *store.Store, w *store.Window, all bool, group, entry string) error {
	given := 0
	for _, is := range []bool{all, group != "", entry != ""} {
		if is {
			given++
		}
	}
	switch {
	case given != 1:
		return usage("say whom the window is for: --all, --group or --entry")
	case all:
		w.Scope = schedule.ScopeAll
	case group != "":
		w.Scope, w.Target = schedule.ScopeGroup, group
	default:
		row, err := s.Find(ctx, entry)
		if err != nil {
			return err
		}
		w.Scope, w.Target = schedule.ScopeEntry, string(row.ID)
	}
	return nil
}

// timed writes when the window holds.
func timed(w *store.Window, from, until string, now time.Time, zone string) error {
	if w.Spec != "" {
		if from != "" || until != "" || w.Length <= 0 {
			return usage("with --spec, say how long the window lasts each time with --for, and leave out --from and --until")
		}
		return nil
	}
	if until == "" || w.Length != 0 || w.Zone != "" {
		return usage("say when the window ends with --until, or give --spec and --for")
	}
	begin, err := instantOrLength(from, now, zone)
	if err != nil {
		return err
	}
	if begin.IsZero() {
		begin = now
	}
	end, err := instantOrLength(until, now, zone)
	if err != nil {
		return err
	}
	if !end.After(begin) {
		return usage("the window would end before it began: name a later --until")
	}
	begin = begin.UTC().Truncate(time.Second)
	w.Spec = "@at " + begin.Format(time.RFC3339)
	w.Length = end.Sub(begin).Round(time.Second)
	return nil
}

func windowsRemove() *cobra.Command {
	cmd := &cobra.Command{
		Use: "remove NAME", Short: "Remove a window; what was skipped stays so",
		Example: "  onebeat windows remove deploy",
		Args:    oneArgument("the window's name"),
	}
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return withStore(cmd, func(ctx context.Context, s *store.Store, _ app.Config) error {
			if err := s.RemoveWindow(ctx, args[0]); err != nil {
				return err
			}
			if *asJSON {
				return printJSON(cmd.OutOrStdout(), map[string]any{"removed": true, "name": args[0]})
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "Removed the window %s.\n", args[0])
			return err
		})
	}
	settingFlags(cmd, ofDatabase)
	return cmd
}
