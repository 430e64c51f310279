package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/onebeat/onebeat/internal/app"
	"github.com/onebeat/onebeat/internal/shadow"
	"github.com/onebeat/onebeat/internal/store"
)

// Bounds of shadow.
const (
	shadowMost     = 7 * 24 * time.Hour
	shadowLook     = time.Second     // between looks at the entries, at least
	shadowPatience = 4 * time.Minute // django-celery-beat writes a run down after three
)

func shadowCommand() *cobra.Command {
	var during, patient time.Duration
	cmd := &cobra.Command{
		Use:   "shadow",
		Short: "Compare a running beat with what onebeat would send",
		Long: `Look on while another scheduler runs the entries, and compare what it sends with what
onebeat would: by the last run and the count of runs that it keeps with each entry. It
sends nothing, and writes nothing but onebeat's own tables. django-celery-beat and
sqlalchemy-celery-beat write runs down after up to three minutes: look on for longer.
Exit code 0: they agree. 3: they do not, or nothing could be compared.`,
		Example: "  onebeat shadow --catalog django --for 15m\n  onebeat shadow --catalog redbeat --redbeat-url redis://localhost:6379/1 --for 2m --json",
		Args:    noArguments,
	}
	cmd.Flags().DurationVar(&during, "for", 10*time.Minute, "how long to look on")
	cmd.Flags().DurationVar(&patient, "patience", shadowPatience, "how long the other scheduler may keep a run to itself")
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if during < time.Second || during > shadowMost || patient < 0 {
			return usage("shadow looks on for a second to a week: set --for so, and --patience to no less than 0")
		}
		ctx, stop := untilSignal(cmd.Context())
		defer stop()
		cmd.SetContext(ctx)
		return withStoreFor(cmd, during+time.Minute, func(ctx context.Context, s *store.Store, _ app.Config) error {
			findings, err := lookOn(ctx, cmd, s, during, patient)
			if err != nil {
				return err
			}
			agree, compared := true, 0
			for _, f := range findings {
				agree = agree && f.Agrees()
				compared += f.Both + f.OnlyBeat + f.OnlyOnebeat
			}
			if *asJSON {
				err = printJSON(cmd.OutOrStdout(), map[string]any{"agree": agree, "compared": compared, "entries": findings})
			} else {
				err = printShadow(cmd.OutOrStdout(), findings, agree, compared)
			}
			if err == nil && (!agree || compared == 0) {
				err = exitError{code: exitNo}
			}
			return err
		})
	}
	settingFlags(cmd, ofDatabase)
	return cmd
}

// lookOn looks at the entries until the time is over or a person ends it.
func lookOn(ctx context.Context, cmd *cobra.Command, s *store.Store, during, patient time.Duration) ([]shadow.Finding, error) {
	if err := s.EnsureOwn(ctx); err != nil {
		return nil, err
	}
	judge := shadow.Judge{Patience: patient}
	shown := newProgress(cmd)
	defer shown.done()
	over := time.Now().Add(during)
	for {
		began := time.Now()
		if err := s.ReadSources(ctx); err != nil && ctx.Err() == nil {
			return nil, err
		}
		rows, err := s.List(ctx)
		if errors.Is(ctx.Err(), context.Canceled) {
			return judge.Findings(time.Now()), nil
		}
		if err != nil {
			return nil, err
		}
		now, err := s.Now(ctx)
		if err != nil {
			return nil, err
		}
		judge.See(now, shadowed(rows))
		if time.Now().After(over) {
			return judge.Findings(now), nil
		}
		select {
		case <-time.After(max(shadowLook, 5*time.Since(began))): // a fifth of the time at most
		case <-ctx.Done():
		}
	}
}

func shadowed(rows []store.Row) []shadow.Entry {
	entries := make([]shadow.Entry, len(rows))
	for i, row := range rows {
		e := shadow.Entry{ID: row.ID, Name: row.Name, Text: row.Spec, Last: row.LastRunAt, Count: row.TotalRunCount}
		switch {
		case row.Entry != nil:
			e.Spec = row.Entry.Spec
		case row.Problem != "":
			e.Off = row.Problem
		default:
			e.Off = row.State
		}
		entries[i] = e
	}
	return entries
}

func printShadow(out io.Writer, findings []shadow.Finding, agree bool, compared int) error {
	err := printTable(out, func(w io.Writer) {
		fmt.Fprintln(w, "ENTRY\tSPEC\tBOTH\tONLY BEAT\tONLY ONEBEAT\tOPEN\tBEAT LATE\tREMARK")
		for _, f := range findings {
			late := "-"
			if len(f.Late) > 0 {
				late = fmt.Sprintf("%.2fs", f.Worst)
			}
			fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%d\t%s\t%s\n", f.Name, f.Spec, f.Both, f.OnlyBeat, f.OnlyOnebeat, f.Open, late, orDash(f.Remark))
		}
	})
	if err != nil {
		return err
	}
	switch {
	case compared == 0:
		fmt.Fprintln(out, "Nothing could be compared: no run was written down. Look on for longer, while the other scheduler runs.")
	case agree:
		fmt.Fprintf(out, "They agree on all of %d slots. Stop the other scheduler, and start `onebeat serve --take-over-at now`.\n", compared)
	default:
		fmt.Fprintln(out, "They do not agree: see the remarks.")
	}
	return nil
}
