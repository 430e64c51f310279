package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/onebeat/onebeat/internal/measure"
)

// A Steady is how onebeat kept up with slots at even distances.
type Steady struct {
	Scheduler string `json:"scheduler"`
	Load      string `json:"load,omitempty"` // the machine's averages before
	measure.Steady
}

// steadies measures each rate on each of onebeat's lines.
func (b *bench) steadies(ctx context.Context, names []string, rates string, length time.Duration) (all []Steady, err error) {
	for text := range strings.SplitSeq(rates, ",") {
		rate, err := strconv.Atoi(text)
		if err != nil || rate < 1 {
			return all, fmt.Errorf("-steady %s: give numbers, such as 1000,30000", rates)
		}
		for _, name := range names {
			database, broker, err := parseLine(name)
			if err != nil {
				return all, err
			}
			if database == "" {
				continue
			}
			m, err := b.measure(database, broker)
			if err != nil {
				return all, err
			}
			fmt.Fprintf(os.Stderr, "bench: %d slots a second for %v, %s\n", rate, length, name)
			s := Steady{Scheduler: fmt.Sprintf("onebeat, %s + %s", databases[database], brokers[broker]), Load: measure.ThisMachine().Load}
			if s.Steady, err = m.Steady(ctx, rate, length); err != nil {
				return all, err
			}
			all = append(all, s)
		}
	}
	return all, nil
}

// printSteadies prints what was measured of steady rates.
func printSteadies(to io.Writer, all []Steady) {
	if len(all) == 0 {
		return
	}
	brief, grouped := measure.Brief, measure.Grouped
	w := tabwriter.NewWriter(to, 0, 0, 3, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\tslots/s\tfor\tsent\tlate p50\tp99\tp99.9\tmost\tCPU a message\tof one processor\tpeak\tdatabase alone: slots/s\tcommits/s\tload before\t")
	for _, s := range all {
		fmt.Fprintf(w, "%s\t%s\t%v\t%s\t%s\t%s\t%s\t%s\t%s\t%.1f %%\t%d MB\t%s\t%s\t%s\t\n", s.Scheduler, grouped(int(s.Rate)), s.For, grouped(s.Sent),
			brief(s.P50), brief(s.P99), brief(s.P999), brief(s.Most), brief(s.CPU), 100*s.Processor, s.Peak>>20,
			grouped(int(s.Alone.Slots)), grouped(int(s.Alone.Commits)), s.Load)
	}
	_ = w.Flush()
	fmt.Fprintln(to)
}
