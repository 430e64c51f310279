package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/onebeat/onebeat/internal/measure"
)

// printHerds prints what was measured of one number of entries, and how often the
// first line's figures go into those of the other schedulers.
func printHerds(to io.Writer, group []Herd) {
	brief, grouped := measure.Brief, measure.Grouped
	fmt.Fprintf(to, "%s entries due at one instant\n", grouped(group[0].Entries))
	w := tabwriter.NewWriter(to, 0, 0, 3, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\tsent\tfirst\tlast\tlast seen\tmessages/s\tCPU a message\tmemory\tpeak\tfirst send\tloaded\tagain: first send\tloaded\t")
	for _, h := range group {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d MB\t%d MB\t", h.Scheduler, grouped(h.Sent), brief(h.First), brief(h.Last), brief(h.Seen),
			grouped(int(h.Rate)), brief(h.CPU), h.Memory>>20, h.Peak>>20)
		if h.Load == nil {
			fmt.Fprint(w, "\t\t\t\t")
		} else {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t", brief(h.Load.First.FirstSend), brief(h.Load.First.Loaded), brief(h.Load.Again.FirstSend), brief(h.Load.Again.Loaded))
		}
		fmt.Fprintln(w)
	}
	_ = w.Flush()
	ours := group[0]
	for _, h := range group[1:] {
		if ours.Load != nil && h.Load == nil && h.CPU > 0 && h.Peak > 0 {
			fmt.Fprintf(to, "%s to %s: %.0f times the messages/s, 1/%.0f of the CPU a message, 1/%.1f of the memory\n",
				ours.Scheduler, h.Scheduler, h.ratio(ours), float64(h.CPU)/float64(ours.CPU), float64(h.Peak)/float64(ours.Peak))
		}
	}
	for _, h := range group {
		if h.Bare > 0 {
			fmt.Fprintf(to, "%s: %.0f %% of the %s messages/s that the broker itself confirms\n", h.Scheduler, 100*h.Rate/h.Bare, grouped(int(h.Bare)))
		}
	}
	fmt.Fprintln(to)
}

// printGrowth prints what became of speed and cost of onebeat's lines from the fewest entries
// to the most.
func printGrowth(to io.Writer, herds []Herd) {
	fewest := map[string]Herd{}
	most := map[string]Herd{}
	var names []string
	for _, h := range herds {
		if h.Load == nil {
			continue
		}
		few, known := fewest[h.Scheduler]
		if !known {
			names = append(names, h.Scheduler)
		}
		if !known || h.Entries < few.Entries {
			fewest[h.Scheduler] = h
		}
		if h.Entries > most[h.Scheduler].Entries {
			most[h.Scheduler] = h
		}
	}
	for _, name := range names {
		if few, many := fewest[name], most[name]; few.Entries < many.Entries {
			fmt.Fprintf(to, "%s, %s entries to %s: %.0f %% of the messages/s, %.1f times the CPU a message\n",
				name, measure.Grouped(many.Entries), measure.Grouped(few.Entries), 100*few.ratio(many), float64(many.CPU)/float64(few.CPU))
		}
	}
}

// ratio is how many times as fast as h another is.
func (h Herd) ratio(other Herd) float64 { return other.Rate / h.Rate }
