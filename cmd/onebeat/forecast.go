package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/onebeat/onebeat/internal/app"
	"github.com/onebeat/onebeat/internal/forecast"
	"github.com/onebeat/onebeat/internal/schedule"
	"github.com/onebeat/onebeat/internal/store"
)

func forecastCommand() *cobra.Command {
	var length time.Duration
	var from string
	var worst int
	cmd := &cobra.Command{
		Use:   "forecast",
		Short: "Count the slots that are to come, and name the worst seconds",
		Long: `Count from the specs how many slots the coming time has, and name the seconds with
most of them and who is in them. It changes nothing. Entries that are paused, disabled
or unreadable count as they are: with no slot. Slots that a window holds are told apart,
with its name. A herd leaves faster where it is spread:
H in a crontab of the standard dialect, or splay among the rules of an entry.`,
		Example: "  onebeat forecast --next 24h\n  onebeat forecast --from 2026-12-01T00:00:00Z --next 1h --json",
		Args:    noArguments,
	}
	asJSON := jsonFlag(cmd)
	lengthVar(cmd.Flags(), &length, "next", 24*time.Hour, fmt.Sprintf("how much time, at most %v", forecast.Most))
	cmd.Flags().StringVar(&from, "from", "", "from then on: an instant (RFC 3339), a time (03:00, \"2030-01-01 03:00\"), or a length from now; now unless set")
	cmd.Flags().IntVar(&worst, "worst", 5, "how many of the worst seconds are named")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if length <= 0 || length > forecast.Most {
			return usage("--next %v: give a length up to %v", length, forecast.Most)
		}
		if worst < 0 || worst > 1000 {
			return usage("--worst %d: give a number from 0 to 1000", worst)
		}
		return withStoreFor(cmd, app.ForecastPatience, func(ctx context.Context, s *store.Store, config app.Config) error {
			if err := s.Look(ctx); err != nil {
				return err
			}
			now, err := s.Now(ctx)
			if err != nil {
				return err
			}
			begin := now
			if from != "" {
				if begin, err = instantOrLength(from, now, config.String("zone")); err != nil {
					return err
				}
				if begin = begin.UTC(); begin.Year() < 1 || begin.AddDate(0, 0, 31).Year() > 9999 {
					return usage("--from %s: give an instant in the years 1 to 9999, a month before their end at the latest", from)
				}
			}
			shown := newProgress(cmd)
			report, err := app.Forecast(ctx, s, now, begin, length, worst, func(done, all int) { shown.say("%d of %d specs", done, all) })
			shown.done()
			if err != nil {
				return err
			}
			if *asJSON {
				return printJSON(cmd.OutOrStdout(), report)
			}
			return printForecast(cmd.OutOrStdout(), report, config.String("zone"))
		})
	}
	settingFlags(cmd, ofDatabase)
	return cmd
}

// heldNamed is how many windows that hold slots are named.
const heldNamed = 5

// heldBy says in words how many slots windows hold.
func heldBy(held []forecast.Held) string {
	var all int64
	var by []string
	for i, window := range held {
		all += window.Slots
		if i < heldNamed {
			by = append(by, fmt.Sprintf("%s (%d)", window.Window, window.Slots))
		}
	}
	more := ""
	if len(held) > heldNamed {
		more = fmt.Sprintf(" and %d more", len(held)-heldNamed)
	}
	return fmt.Sprintf("%s beside these will be skipped, held by windows: %s%s", schedule.Counted(all, "slot"), strings.Join(by, ", "), more)
}

// barLength is how long the bar of the fullest hour is.
const barLength = 40

func printForecast(out io.Writer, report forecast.Report, zone string) error {
	fmt.Fprintf(out, "%s to %s: %s, %s\n", when(report.From, zone), when(report.Until, zone), schedule.Counted(report.Entries, "entry"), schedule.Counted(report.Slots, "slot"))
	if len(report.Held) > 0 {
		fmt.Fprintln(out, heldBy(report.Held))
	}
	if report.Slots == 0 {
		return nil
	}
	fmt.Fprintln(out)
	err := printTable(out, func(line func(cells ...any)) {
		line("WORST SECOND", "SLOTS", "ENTRIES")
		for _, second := range report.Worst {
			names := strings.Join(second.Names, ", ")
			if second.More > 0 {
				names += fmt.Sprintf(" and %d more", second.More)
			}
			line(when(second.At, zone), second.Slots, names)
		}
	})
	if err != nil {
		return err
	}
	var fullest int64
	for _, hour := range report.Hours {
		fullest = max(fullest, hour.Slots)
	}
	fmt.Fprintln(out)
	return printTable(out, func(line func(cells ...any)) {
		line("HOUR", "SLOTS", "MOST IN A SECOND", "")
		for _, hour := range report.Hours {
			bar := strings.Repeat("#", int((hour.Slots*barLength+fullest-1)/fullest))
			line(when(hour.At, zone), hour.Slots, hour.Worst, bar)
		}
	})
}
