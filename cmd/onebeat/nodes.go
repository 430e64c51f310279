package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/onebeat/onebeat/internal/app"
	"github.com/onebeat/onebeat/internal/schedule"
	"github.com/onebeat/onebeat/internal/store"
)

// lookAtNodes says who runs and who works, and that another scheduler keeps them from it; of nodes nothing where
// onebeat's own tables are missing, which is told elsewhere. Nodes that cannot write cannot tell of themselves.
func lookAtNodes(ctx context.Context, s *store.Store, config app.Config, unwritten error) (findings []finding) {
	locked := app.Unfree(ctx, s)
	within := app.Unseen(config)
	roll, err := s.Present(ctx, within)
	if err == nil {
		note := rollInWords(roll, within, locked != nil)
		if note == "" {
			note = fmt.Sprintf("none was seen for %v: ", within)
			if store.Unwritable(unwritten) {
				note += "one that runs is not seen while it cannot write to the database"
			} else {
				note += "nothing is sent until `onebeat serve` runs"
			}
			if last := roll.Missed; last.Name != "" {
				note += fmt.Sprintf("; %s was seen %v ago, and did not end as a node does that is stopped: it is frozen, cut off or gone", last.Name, last.Ago.Round(time.Second))
			}
		}
		findings = append(findings, finding{"nodes", true, note})
	}
	if locked != nil {
		waits := slices.ContainsFunc(roll.Holders, func(h store.Holder) bool { return h.Node != "" })
		findings = append(findings, finding{"lock", !waits, oneLine(locked)})
	}
	return findings
}

// rollInWords is empty where there is no node.
func rollInWords(roll store.Roll, within time.Duration, locked bool) string {
	holds := map[string]int{}
	for _, holder := range roll.Holders {
		holds[holder.Node]++
	}
	var told []string
	for _, node := range roll.Nodes {
		does := "stands by"
		switch n := holds[node.Name]; {
		case n > 0 && locked:
			does = "waits for the lock of its entries"
		case n > 0 && len(roll.Holders) > 1:
			does = "works on " + schedule.Counted(n, "shard")
		case n > 0:
			does = "works"
		case !node.Fit:
			does = "does not reach the broker, or has not read all entries yet"
		}
		delete(holds, node.Name)
		told = append(told, node.Name+" "+does)
	}
	for _, holder := range roll.Holders {
		if holder.Node != "" && holds[holder.Node] > 0 {
			delete(holds, holder.Node)
			told = append(told, fmt.Sprintf("%s has a lease that has not ended, and was not seen for %v: it is frozen, cut off or gone", holder.Node, within))
		}
	}
	return strings.Join(told, ", ")
}
