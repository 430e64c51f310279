package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/onebeat/onebeat/internal/app"
	"github.com/onebeat/onebeat/internal/schedule"
	"github.com/onebeat/onebeat/internal/store"
)

func explainCommand() *cobra.Command {
	var at string
	cmd := &cobra.Command{
		Use:        "explain NAME",
		SuggestFor: []string{"why"},
		Short:      "Say in words why a slot ran or did not",
		Long: `Say in words what became of a slot of an entry, from its spec, its row and the
ledger. Without --at it is the entry's latest slot, and what became of a run that was asked
for since. It changes nothing.`,
		Example: "  onebeat explain nightly\n  onebeat explain nightly --at 03:00\n  onebeat explain nightly --at 2026-11-25T02:00:00+09:00",
		Args:    oneArgument("the entry's id or name"),
	}
	asJSON := jsonFlag(cmd)
	cmd.Flags().StringVar(&at, "at", "", "the slot: an instant (RFC 3339), or a time by the entry's clocks (03:00, \"2026-11-25 03:00\")")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return withStore(cmd, func(ctx context.Context, s *store.Store, config app.Config) error {
			now, err := s.Now(ctx)
			if err != nil {
				return err
			}
			row, err := s.Find(ctx, args[0])
			gone := schedule.Run{}
			if errors.Is(err, store.ErrNoEntry) {
				gone, err = goneRun(ctx, s, args[0], now, err)
			}
			if err != nil {
				return err
			}
			zone := zoneOf(row, config)
			slot, err := lateInstant(at, now, zone)
			if err != nil {
				return err
			}
			var answer explanation
			if gone.Entry != "" {
				answer, err = explainedGone(ctx, s, gone, args[0], slot, zone)
			} else {
				answer, err = explained(ctx, s, row, slot, now, zone, app.Unseen(config))
				if err == nil && at == "" {
					err = answer.asked(ctx, s, row, zone)
				}
			}
			if err != nil {
				return err
			}
			if *asJSON {
				return printJSON(cmd.OutOrStdout(), answer)
			}
			for _, line := range answer.Words {
				fmt.Fprintln(cmd.OutOrStdout(), wrapped(legible(line), terminalColumns(cmd.OutOrStdout()), 0))
			}
			return nil
		})
	}
	settingFlags(cmd, ofDatabase)
	return cmd
}

// An explanation is what became of a slot.
type explanation struct {
	ID    schedule.ID    `json:"id"`
	Name  string         `json:"name"`
	Slot  time.Time      `json:"slot,omitzero"`
	State schedule.State `json:"state,omitempty"` // of its run; empty where the ledger has none
	Words []string       `json:"words"`
}

func (e *explanation) say(format string, args ...any) {
	e.Words = append(e.Words, fmt.Sprintf(format, args...))
}

// explained finds out what became of a slot; the zero Time is the latest up to now. A node that was not seen
// for as long as within does not run.
func explained(ctx context.Context, s *store.Store, row store.Row, slot, now time.Time, zone string, within time.Duration) (explanation, error) {
	e := explanation{ID: row.ID, Name: row.Name}
	switch row.State {
	case schedule.ReasonBadRow:
		e.say("%s is set aside: %s.", row.Name, row.Problem)
	case schedule.ReasonDisabled:
		if row.Ran {
			e.say("%s is a one-off task that has run, by its count of runs (%d), and so counts as disabled, as for Celery's beat. With a count of 0 it goes on with its next slot.", row.Name, row.TotalRunCount)
			break
		}
		e.say("%s is disabled: its row says so. Enabled there, it goes on with its next slot, if its spec has one to come.", row.Name)
	case schedule.ReasonDone:
		e.say("%s is done: its rules allow %s; sent: %d.", row.Name, schedule.Counted(row.Limit.Runs, "run"), row.TotalRunCount)
	case schedule.ReasonPaused:
		until := "until somebody resumes it"
		if !row.Paused.Until.IsZero() {
			until = "until " + when(row.Paused.Until, zone)
		}
		e.say("%s is paused %s, by %s since %s: %s. `onebeat entries resume` ends that.", row.Name, until, row.Paused.By, when(row.Paused.At, zone), row.Paused.Reason)
	}
	if until := silentUntil(row, now); !until.IsZero() {
		e.say("%s has no slot before %s, for a last run in the future: %s.", row.Name, when(until, zone), setBack)
	}
	spec := specOf(row)
	switch {
	case !slot.IsZero():
	case spec == nil: // nothing is planned, so that the latest is the last that ended
		runs, err := s.Runs(ctx, store.Filter{Entry: row.ID})
		last := slices.IndexFunc(runs, func(run schedule.Run) bool { return run.Request == "" })
		if err != nil || last < 0 {
			return e, err
		}
		if slot = runs[last].Slot; !runs[last].Through.IsZero() {
			slot = runs[last].Through
		}
	default:
		slot = schedule.Latest(spec, now.AddDate(-5, 0, 0), now)
		if !slot.IsZero() {
			break
		}
		if next := spec.Next(now); !next.IsZero() {
			e.say("It had no slot in the past five years; the next is %s.", when(next, zone))
		} else {
			e.say("It had no slot in the past five years, and has none to come.")
		}
		return e, nil
	}
	e.Slot = slot
	run, found, err := endOf(ctx, s, row.ID, slot)
	if err != nil {
		return e, err
	}
	if spec != nil && !spec.Next(slot.Add(-time.Microsecond)).Equal(slot) {
		e.say("Its spec as it is now, %s, has no slot at %s: those around it are %s and %s.", row.Spec, when(slot, zone),
			when(schedule.Latest(spec, slot.AddDate(-5, 0, 0), slot), zone), when(spec.Next(slot), zone))
		for _, warning := range schedule.Lint(spec, now) {
			e.say("Note: %s.", warning)
		}
	}
	held := ""
	if row.Entry != nil {
		_, windows, err := s.Windows(ctx)
		if err != nil {
			return e, err
		}
		held, _ = windows.Closed(row.Entry, slot)
	}
	if found {
		e.State = run.State
		e.say("%s", runInWords(run, slot, row, zone))
		return e, nil
	}
	switch {
	case slot.After(now) && row.Entry != nil && held != "":
		e.say("%s is still to come and will be skipped: it lies in the %s.", when(slot, zone), held)
	case slot.After(now):
		e.say("%s is still to come.", when(slot, zone))
	case row.Entry != nil && !slot.After(row.Entry.After):
		e.say("The ledger has nothing of %s: its slots count after %s, when the entry or its spec was first seen, or its last slot ended.", when(slot, zone), when(row.Entry.After, zone))
		if now.Sub(row.Entry.After) < time.Second { // it is seen by this verb alone
			e.say("No node has read it as it is read here, in the zone %s. One that runs does so within seconds: has it another --zone?", zone)
		}
		if next := viewOf(row).Next; !next.IsZero() {
			e.say("The next is %s.", when(next, zone))
		}
	case row.Entry == nil:
		e.say("The ledger has nothing of %s.", when(slot, zone))
	default:
		return e, e.unended(ctx, s, row, slot, zone, within)
	}
	return e, nil
}

// goneFor is how far back the ledger is looked through for a name that no entry has.
const goneFor = 7 * 24 * time.Hour

// goneRun is the latest run of an entry that has no row any more, by its id or the name that it had; unknown where there is none, or
// none is found in half of the time that a verb has: a week of a large ledger takes longer.
func goneRun(ctx context.Context, s *store.Store, idOrName string, now time.Time, unknown error) (schedule.Run, error) {
	look, cancel := context.WithTimeout(ctx, patience/2)
	defer cancel()
	runs, err := s.Runs(look, store.Filter{Entry: schedule.ID(idOrName), Limit: 1})
	if err == nil && len(runs) == 0 {
		runs, err = s.RunsNamed(look, idOrName, now.Add(-goneFor), 1)
	}
	switch {
	case err != nil && look.Err() == nil:
		return schedule.Run{}, err
	case len(runs) == 0:
		return schedule.Run{}, unknown
	}
	return runs[0], nil
}

// explainedGone says what the ledger has of an entry whose row is gone, or has another name now; the zero Time is its latest slot.
func explainedGone(ctx context.Context, s *store.Store, run schedule.Run, asked string, slot time.Time, zone string) (explanation, error) {
	e := explanation{ID: run.Entry, Name: run.Name}
	row, err := s.Find(ctx, string(run.Entry))
	switch {
	case err == nil:
		e.say("No entry is called %s any more: its row, %s, is called %s now, and `onebeat explain %[2]s` tells of that.", asked, row.ID, row.Name)
	case errors.Is(err, store.ErrNoEntry):
		e.say("%s is gone: there is no entry with its id, %s, any more. The log of the node that works says when that was seen (reason=removed). Put it back, and its next slot is sent.", run.Name, run.Entry)
	default:
		return e, err
	}
	e.Slot = slot
	if slot.IsZero() {
		if e.Slot = run.Slot; !run.Through.IsZero() {
			e.Slot = run.Through
		}
		e.State = run.State
		e.say("Its latest in the ledger: %s", runInWords(run, e.Slot, row, zone))
		return e, nil
	}
	run, found, err := endOf(ctx, s, run.Entry, slot)
	if !found {
		e.say("The ledger has nothing of %s.", when(slot, zone))
		return e, err
	}
	e.State = run.State
	e.say("%s", runInWords(run, slot, row, zone))
	return e, err
}

// unended says who is to end a slot that is past, and whether it is claimed.
func (e *explanation) unended(ctx context.Context, s *store.Store, row store.Row, slot time.Time, zone string, within time.Duration) error {
	roll, err := s.Present(ctx, within)
	if err != nil {
		return err
	}
	var nodes []string
	for _, node := range roll.Nodes {
		nodes = append(nodes, node.Name)
	}
	journal, err := s.Shard(row.ID.Shard(max(len(roll.Holders), 1))).Journal(ctx)
	if err != nil {
		return err
	}
	for _, batch := range journal {
		claimed := slices.ContainsFunc(batch.Dues[batch.Recorded:], func(due schedule.ClaimedDue) bool {
			return due.Entry == row.ID && due.Request == "" && !slot.Before(due.Slot) && !slot.After(due.Last())
		})
		if !claimed {
			continue
		}
		said := fmt.Sprintf("%s was claimed at %s, and ", when(slot, zone), when(batch.At, zone))
		if nodes == nil {
			e.say("%sno node was seen for %v: %s, which sends it if it has not gone out.", said, within, unseen(ctx, s))
		} else {
			e.say("%shas not been sent, or not been recorded: `onebeat check` says what keeps %s from it, and so does its log. It is sent when that is mended.", said, named(nodes, len(nodes)))
		}
		return nil
	}
	said := when(slot, zone) + " is past and has no end yet"
	if nodes == nil {
		e.say("%s, and no node was seen for %v: %s, which goes by the policy for misfires, %s, where it is late.", said, within, unseen(ctx, s), misfireText(row.Misfire))
	} else {
		e.say("%s: `onebeat check` says what keeps %s from it, and so does its log.", said, named(nodes, len(nodes)))
	}
	return nil
}

// unseen says what to do where no node was seen: one that cannot write to the database tells of itself no more.
func unseen(ctx context.Context, s *store.Store) string {
	if err := s.Rights(ctx); store.Unwritable(err) {
		return fmt.Sprintf("nodes are not seen while they cannot write (%s). Mend that, and see that `onebeat serve` runs", oneLine(err))
	}
	return "start `onebeat serve`"
}

// asked says what became of the last run that somebody asked for, unless it was before the slot, and which are still to come.
func (e *explanation) asked(ctx context.Context, s *store.Store, row store.Row, zone string) error {
	runs, err := s.Runs(ctx, store.Filter{Entry: row.ID, Since: e.Slot})
	if err != nil {
		return err
	}
	if last := slices.IndexFunc(runs, func(run schedule.Run) bool { return run.Request != "" }); last >= 0 {
		e.say("Asked for: %s", runInWords(runs[last], runs[last].Slot, row, zone))
	}
	requests, err := s.Requests(ctx)
	for _, request := range requests {
		if request.Entry == row.ID {
			e.say("A run was asked for at %s by %s, and waits: does a node run, and is it well (`onebeat health`)?", when(request.At, zone), request.By)
		}
	}
	return err
}

// endOf returns the run in the ledger that a slot belongs to.
func endOf(ctx context.Context, s *store.Store, id schedule.ID, slot time.Time) (end schedule.Run, found bool, err error) {
	runs, err := s.Runs(ctx, store.Filter{Entry: id, Since: slot, Until: slot, Limit: 1000})
	for _, run := range runs {
		if run.Slot.Equal(slot) && run.Request == "" {
			return run, true, nil
		}
	}
	if err != nil {
		return end, false, err
	}
	// A range that began before it may reach to it.
	err = s.Ends(ctx, []schedule.ID{id}, slot, slot, func(run *schedule.Run) error {
		if run.Request == "" && !run.Slot.After(slot) && !run.Through.Before(slot) && !run.Through.IsZero() {
			end, found = *run, true
		}
		return nil
	})
	return end, found, err
}

// specOf is the row's spec, nil where it can't be read or there is nothing to plan.
func specOf(row store.Row) schedule.Spec {
	if row.Entry == nil {
		return nil
	}
	return row.Entry.Spec
}

// runInWords says what a run says of a slot.
func runInWords(run schedule.Run, slot time.Time, row store.Row, zone string) string {
	what := when(slot, zone)
	if run.Count > 1 {
		what += fmt.Sprintf(", with %d slots from %s to %s,", run.Count, when(run.Slot, zone), when(run.Through, zone))
	}
	by := ""
	if run.Node != "" {
		by = fmt.Sprintf(", by node %s in term %d", run.Node, run.Term)
	}
	switch run.State {
	case schedule.Sent:
		text := fmt.Sprintf("%s was sent %s late", what, run.SentAt.Sub(slot).Round(100*time.Microsecond))
		if run.SentAt.IsZero() {
			text = what + " was sent"
		}
		if run.TaskID != "" {
			text += fmt.Sprintf(" to the queue %s as task %s", run.Queue, run.TaskID)
		}
		if run.Recovered {
			text += "; that was learnt from the broker after a crash or a lost lease"
		}
		return text + by + "."
	case schedule.Coalesced:
		return fmt.Sprintf("%s was missed and coalesced into a later slot: the policy for misfires is %s%s.", what, misfireText(row.Misfire), by)
	case schedule.Failed:
		return fmt.Sprintf("%s failed for good: %s%s.", what, run.Reason, by)
	case schedule.Unsure:
		return fmt.Sprintf("%s is not sent again: %s; it goes at most once, was edited, or was too late by then for its policy for misfires, %s%s.", what, run.Reason, misfireText(row.Misfire), by)
	}
	return fmt.Sprintf("%s was not sent: %s%s.", what, skippedBecause(run.Reason), by)
}

// skippedBecause says a reason of a skipped slot in words.
func skippedBecause(reason string) string {
	switch reason {
	case schedule.ReasonMisfire:
		return "it was missed, and the policy for misfires leaves such slots out"
	case schedule.ReasonPaused:
		return "the entry was paused"
	case schedule.ReasonDisabled:
		return "the entry was disabled before it was sent"
	case schedule.ReasonRemoved:
		return "the entry was removed before it was sent"
	case schedule.ReasonEdited:
		return "the entry was edited before it was sent"
	case schedule.ReasonBadRow:
		return "the entry's row could not be used"
	case schedule.ReasonDone:
		return "as many runs as the entry's rules allow had been sent"
	case schedule.ReasonExpired:
		return "its message had expired"
	}
	if strings.HasPrefix(reason, schedule.ReasonWindow) {
		return "it lay in the " + reason
	}
	return reason
}
