package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/onebeat/onebeat/internal/app"
	"github.com/onebeat/onebeat/internal/audit"
	"github.com/onebeat/onebeat/internal/schedule"
	"github.com/onebeat/onebeat/internal/store"
)

// auditPatience bounds an audit: millions of slots are compared in some seconds.
const auditPatience = 15 * time.Minute

// onTheWay is how young a slot may be and still be on its way into the ledger.
const onTheWay = 15 * time.Second

func auditCommand() *cobra.Command {
	var since, until string
	var late time.Duration
	var limit int
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Compare the ledger with what every entry should have sent",
		Long: `Derive again from the specs what every entry should have sent, and compare it with
the ledger of runs. It changes nothing. What is wrong is named:

  missing    the entry has gone on, and the slot has no end in the ledger
  duplicate  the slot ended twice
  early      it was sent before its time
  late       it was sent later than its entry's grace (5s unless set), or than --late
  overdue    it is past and nothing has settled it yet: no node runs, or it hangs
  stray      it was sent, and the spec gives no such slot

A slot that was coalesced or skipped has its end: the ledger tells why. An entry is
judged since its spec was last seen to change, and not while it was paused,
disabled, unreadable or gone: the last lines say how many that concerns. With a ledger
of exceptions only, what is missing cannot be told.
Exit code 0: all is as it should be. 3: something was found.`,
		Example: "  onebeat audit --since 24h\n  onebeat audit --since 2026-11-24T00:00:00Z --until 2026-11-25T00:00:00Z --json",
		Args:    noArguments,
	}
	asJSON := jsonFlag(cmd)
	cmd.Flags().StringVar(&since, "since", "24h", "slots since then: a length (24h, 7d), an instant (RFC 3339), or a time (03:00, \"2026-11-25 03:00\")")
	cmd.Flags().StringVar(&until, "until", "15s", "and up to then; what is younger than 15s may be on its way into the ledger")
	lengthVar(cmd.Flags(), &late, "late", 0, "how late a slot may be sent; each entry's own grace unless set")
	cmd.Flags().IntVar(&limit, "limit", 50, "how many findings are named at most; all are counted")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if late < 0 {
			return usage("--late %v: give a length of 0 or more", late)
		}
		if limit < 1 {
			return usage("--limit %d: give a number from 1", limit)
		}
		return withStoreFor(cmd, auditPatience, func(ctx context.Context, s *store.Store, config app.Config) error {
			now, err := s.Now(ctx)
			if err != nil {
				return err
			}
			from, err := sinceInstant(since, now, config.String("zone"))
			if err != nil {
				return err
			}
			to, err := sinceInstant(until, now, config.String("zone"))
			if err != nil {
				return err
			}
			if youngest := now.Add(-onTheWay); to.After(youngest) {
				to = youngest
			}
			if !from.Before(to) {
				return usage("--since %s is not before --until %s: there is nothing to audit", since, until)
			}
			options := audit.Options{Late: late}
			if options.Exceptions, err = s.Exceptions(ctx, from); err != nil {
				return err
			}
			shown := newProgress(cmd)
			report, err := audit.Run(ctx, s, from, to, options, limit, func(entries int) { shown.say("%d entries", entries) })
			shown.done()
			if err != nil {
				return err
			}
			if *asJSON {
				err = printJSON(cmd.OutOrStdout(), report)
			} else {
				err = printAudit(cmd.OutOrStdout(), report, config.String("zone"))
			}
			if err == nil && !report.Clean() {
				err = exitError{code: exitNo}
			}
			return err
		})
	}
	settingFlags(cmd, ofDatabase)
	return cmd
}

// printAudit prints a report for people.
func printAudit(out io.Writer, report *audit.Report, zone string) error {
	fmt.Fprintf(out, "%s to %s: %s, %s\n", when(report.From, zone), when(report.Until, zone), schedule.Counted(report.Entries, "entry"), schedule.Counted(report.Slots, "slot"))
	var ends []string
	for _, state := range schedule.States {
		ends = append(ends, fmt.Sprintf("%s %d", state, report.Ended[state]))
	}
	fmt.Fprintln(out, strings.Join(ends, ", "))
	for _, kind := range audit.Kinds {
		if kind == audit.Missing && report.Exceptions {
			fmt.Fprintln(out, "missing not known: the ledger keeps exceptions only, and what has no row counts as sent")
			continue
		}
		fmt.Fprintf(out, "%s %d\n", kind, report.Counts[kind])
	}
	for _, reason := range slices.Sorted(maps.Keys(report.Unjudged)) {
		fmt.Fprintf(out, "not judged, %s: %d\n", reason, report.Unjudged[reason])
	}
	if report.Since > 0 {
		fmt.Fprintf(out, "judged only since their spec was first seen: %d\n", report.Since)
	}
	if report.Clean() {
		return nil
	}
	fmt.Fprintln(out)
	err := printTable(out, func(line func(cells ...any)) {
		line("WHAT", "ENTRY", "SLOT", "SLOTS", "DETAIL", "ID")
		for _, f := range report.Findings {
			slot := when(f.Slot, zone)
			if !f.Through.IsZero() {
				slot += " to " + when(f.Through, zone)
			}
			line(f.Kind, f.Name, slot, f.Count, f.Detail, f.Entry)
		}
	})
	if report.More > 0 {
		fmt.Fprintf(out, "and %d more: --limit shows them\n", report.More)
	}
	return err
}
