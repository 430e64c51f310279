package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/onebeat/onebeat/internal/app"
	"github.com/onebeat/onebeat/internal/broker"
	"github.com/onebeat/onebeat/internal/measure"
)

// A benchReport is all that was measured.
type benchReport struct {
	Version string          `json:"version"`
	Servers string          `json:"servers"`
	Machine measure.Machine `json:"machine"`

	Burst    *measure.Burst  `json:"burst,omitempty"`
	Steady   *measure.Steady `json:"steady,omitempty"`
	Lateness *measure.Steady `json:"lateness,omitempty"`
	Load     *measure.Load   `json:"load,omitempty"`
	Edit     *measure.Edit   `json:"edit,omitempty"`
}

// What bench measures, in this order.
var measurements = []string{"burst", "steady", "lateness", "load", "edit"}

// Bounds of what bench is asked for.
const (
	mostEntries = 10_000_000
	mostRate    = 100_000
	mostTime    = time.Hour

	latenessRate = 10 // slots a second
)

// What bench is asked for, beside what to measure.
type asked struct {
	entries, beside, rate int
	length                time.Duration
}

func (a asked) check() error {
	switch {
	case a.entries < 1 || a.entries > mostEntries:
		return usage("--entries %d: give a number from 1 to %d", a.entries, mostEntries)
	case a.beside < 0 || a.beside > mostEntries:
		return usage("--beside %d: give a number up to %d", a.beside, mostEntries)
	case a.rate < 1 || a.rate > mostRate:
		return usage("--rate %d: give a number from 1 to %d", a.rate, mostRate)
	case a.length < time.Second || a.length > mostTime:
		return usage("--for %v: give a length from 1s to %v", a.length, mostTime)
	}
	return nil
}

func benchCommand() *cobra.Command {
	var asked asked
	cmd := &cobra.Command{
		Use:   "bench [WHAT…]",
		Short: "Measure how fast this machine and these servers send",
		Long: `Measure how fast onebeat sends with a database and a broker: burst, steady, lateness,
load, edit, or all of them.

  burst     entries that are all due at one instant: messages/s, first and last message
  steady    as many slots each second, at even distances: how late they are sent
  lateness  ten slots a second: how late with nothing else to do
  load      how soon a node that starts has all entries and sends; memory
  edit      how soon edits count, one at a time, with triggers and without, and as many entries as
            --entries together

Your entries and queues are neither read nor changed: on the servers that the settings
name it makes a database and a queue of its own (onebeat_bench_…), starts onebeat serve on
them, and removes them at the end. The user of the database URL must be allowed to make a
database; beside a SQLite file a folder is made. The servers have work to do meanwhile, and
the broker holds a message of about 1 kB for each entry: think twice where others need them.
What a bench that was killed left behind has that name.`,
		Example: `  onebeat bench --database postgresql://app@localhost/app --broker redis://localhost:6379/1
  onebeat bench burst --entries 100000 --json
  onebeat bench burst --entries 10000 --beside 1000000
  onebeat bench steady --rate 30000 --for 60s --database sqlite:///schedules.db --broker amqp://localhost`,
		Args: func(_ *cobra.Command, args []string) error {
			for _, what := range args {
				if !slices.Contains(measurements, what) {
					return usage("bench cannot measure %q: name some of %s", what, strings.Join(measurements, ", "))
				}
			}
			return nil
		},
	}
	asJSON := jsonFlag(cmd)
	cmd.Flags().IntVar(&asked.entries, "entries", 10_000, fmt.Sprintf("burst, load, edit: how many entries, at most %d", mostEntries))
	cmd.Flags().IntVar(&asked.beside, "beside", 0, fmt.Sprintf("burst: how many others are in the catalog that are not due, at most %d", mostEntries))
	cmd.Flags().IntVar(&asked.rate, "rate", 1000, fmt.Sprintf("steady: how many slots a second, at most %d", mostRate))
	lengthVar(cmd.Flags(), &asked.length, "for", 10*time.Second, "steady, lateness: how long")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := asked.check(); err != nil {
			return err
		}
		config, err := settings(cmd)
		if err != nil {
			return err
		}
		if err := app.CheckURLs(config); err != nil {
			return usage("%s", oneLine(err))
		}
		if config.String("database") == "" {
			return usage("%v", app.ErrNoDatabase)
		}
		self, err := os.Executable()
		if err != nil {
			return err
		}
		ctx, stop := untilSignal(cmd.Context())
		defer stop()
		shown := newProgress(cmd)
		defer shown.done()
		b := &measure.Bench{Config: config, Serve: []string{self, "serve"}}
		report := benchReport{Version: app.Version(), Servers: b.Servers(), Machine: measure.ThisMachine()}
		for _, what := range measurements {
			if len(args) > 0 && !slices.Contains(args, what) {
				continue
			}
			b.Progress = func(format string, args ...any) { shown.say("%s: %s", what, fmt.Sprintf(format, args...)) }
			err := report.measure(ctx, b, what, asked)
			switch {
			case errors.Is(err, broker.ErrNoSink):
				return usage("%s", oneLine(err))
			case err != nil && ctx.Err() != nil && err.Error() == ctx.Err().Error(): // a person's wish, and all is removed
				shown.done()
				return exitError{exitFailed, what + " was stopped, and nothing of it is left"}
			case err != nil:
				return fmt.Errorf("%s: %w", what, err)
			}
		}
		shown.done()
		if *asJSON {
			return printJSON(cmd.OutOrStdout(), report)
		}
		return report.print(cmd.OutOrStdout())
	}
	settingFlags(cmd, ofDaemon)
	return cmd
}

// measure measures one thing.
func (r *benchReport) measure(ctx context.Context, b *measure.Bench, what string, asked asked) (err error) {
	switch what {
	case "burst":
		r.Burst, err = pointer(b.Burst(ctx, asked.entries, asked.beside))
	case "steady":
		r.Steady, err = pointer(b.Steady(ctx, asked.rate, asked.length))
	case "lateness":
		r.Lateness, err = pointer(b.Steady(ctx, latenessRate, asked.length))
	case "load":
		r.Load, err = pointer(b.Load(ctx, asked.entries))
	case "edit":
		r.Edit, err = pointer(b.Edit(ctx, asked.entries))
	}
	return err
}

func pointer[T any](value T, err error) (*T, error) { return &value, err }

func (r *benchReport) print(out io.Writer) error {
	fmt.Fprintf(out, "onebeat %s, %s; %s\n\n", r.Version, r.Servers, r.Machine)
	return printTable(out, func(line func(cells ...any)) {
		line("MEASURED", "FIGURE", "VALUE")
		row := func(what, figure, format string, values ...any) {
			line(what, figure, fmt.Sprintf(format, values...))
		}
		brief, grouped := measure.Brief, measure.Grouped
		if m := r.Burst; m != nil {
			what := fmt.Sprintf("burst of %s", grouped(m.Entries))
			if m.Beside > 0 {
				what += fmt.Sprintf(" beside %s", grouped(m.Beside))
			}
			row(what, "messages/s", "%s", grouped(int(m.Rate)))
			if m.Bare > 0 {
				row(what, "of the broker's own confirmed messages/s", "%.0f %% of %s", 100*m.Rate/m.Bare, grouped(int(m.Bare)))
			}
			row(what, "first and last message after the slot", "%s, %s", brief(m.First), brief(m.Last))
			row(what, "processor time a message", "%s", brief(m.CPU))
			row(what, "memory before, at most", "%d MB, %d MB", m.Memory>>20, m.Peak>>20)
		}
		for _, m := range []*measure.Steady{r.Steady, r.Lateness} {
			if m == nil {
				continue
			}
			what := fmt.Sprintf("%s slots/s for %v", grouped(int(m.Rate)), m.For)
			sent := grouped(m.Sent)
			if m.Sent < m.Slots {
				sent += fmt.Sprintf(" for %s slots: the node did not keep up, and coalesced the others", grouped(m.Slots))
			}
			row(what, "messages", "%s", sent)
			row(what, "late by p50, p99, p99.9, at most", "%s, %s, %s, %s", brief(m.P50), brief(m.P99), brief(m.P999), brief(m.Most))
			row(what, "processor time a message, share of one", "%s, %.1f %%", brief(m.CPU), 100*m.Processor)
			row(what, "threads woken a message", "%.2f", m.Wakes)
			row(what, "the database alone right after", "%s slots/s, %s commits/s", grouped(int(m.Alone.Slots)), grouped(int(m.Alone.Commits)))
		}
		if m := r.Load; m != nil {
			what := fmt.Sprintf("load of %s", grouped(m.Entries))
			row(what, "first start: first message, loaded", "%s, %s", brief(m.First.FirstSend), brief(m.First.Loaded))
			row(what, "second start: first message, loaded", "%s, %s", brief(m.Again.FirstSend), brief(m.Again.Loaded))
			row(what, "memory loaded, at most", "%d MB, %d MB", m.Memory>>20, m.Peak>>20)
		}
		if m := r.Edit; m != nil {
			what := fmt.Sprintf("edits among %s", grouped(m.Entries))
			row(what, fmt.Sprintf("%d, planned after p50, at most", m.Edits), "%s, %s", brief(m.P50), brief(m.Most))
			row(what, fmt.Sprintf("%d added without triggers, planned after p50, at most", m.Polled), "%s, %s", brief(m.PolledP50), brief(m.PolledMost))
			row(what, "sends late meanwhile by p50, at most", "%s, %s", brief(m.LateP50), brief(m.LateMost))
			row(what, fmt.Sprintf("%s more together, planned after, processor time", grouped(m.Bulk)), "%s, %s", brief(m.BulkPlanned), brief(m.BulkCPU))
		}
	})
}
