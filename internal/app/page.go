package app

import (
	"context"
	"errors"
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
	"github.com/onebeat/onebeat/internal/store"
	"github.com/onebeat/onebeat/internal/web"
)

// What a page shows at most.
const (
	asideShown = 50
	runsShown  = 50
)

// Page implements web.Shown. It reads no more of the catalog than the rows that runs are of: a catalog may have a million.
func (n *node) Page(ctx context.Context, asked web.Asked) web.Page {
	page := web.Page{Version: Version(), At: n.clock.Now().In(n.location()), Shards: n.leaders()}
	if len(n.opened()) == 0 {
		return page
	}
	page.Reached = true
	page.Known, page.Rows = n.known(), n.roster.Count()
	rows, all := n.roster.Aside(asideShown)
	for _, row := range rows {
		page.Aside = append(page.Aside, web.Aside{ID: string(row.ID), Name: row.Name, Problem: row.Problem})
	}
	page.MoreAside = all - len(rows)
	page.Ledger = n.ledger(ctx, asked)
	return page
}

// location is that of the zone that entries are in which name none.
func (n *node) location() *time.Location {
	location, err := schedule.Location(n.config.String("zone"))
	if err != nil {
		return time.UTC
	}
	return location
}

// leaders says who leads each shard: this node knows it of itself, and of the others as it last saw them.
func (n *node) leaders() (shards []web.Shard) {
	roll := n.roll.Load()
	for i, s := range n.opened() {
		one := web.Shard{Term: s.now().term}
		if one.Term == 0 && roll != nil && roll.Holders[i].Node != n.called() { // else it did a moment ago
			one.Node = roll.Holders[i].Node
		}
		shards = append(shards, one)
	}
	return shards
}

// ledger reads the latest runs that are asked for.
func (n *node) ledger(ctx context.Context, asked web.Asked) web.Ledger {
	ledger := web.Ledger{Exceptions: n.config.String("ledger") == store.LedgerExceptions}
	runs, err := []schedule.Run(nil), error(nil)
	if asked.Entry == "" {
		runs, ledger.All, err = n.store.RunsLately(ctx, schedule.State(asked.State), runsShown)
	} else {
		ledger.All = true
		runs, err = n.runsOf(ctx, asked)
		if problem := new(store.InputError); errors.As(err, &problem) || errors.Is(err, store.ErrNoEntry) {
			ledger.Problem = err.Error()
			return ledger
		}
	}
	if err != nil {
		ledger.Unread = true // the checks say why
		return ledger
	}
	zones := n.zonesOf(ctx, runs)
	for _, run := range runs {
		zone := zones[run.Entry]
		if zone == nil {
			zone = n.location()
		}
		one := web.Run{
			ID: string(run.Entry), Name: run.Name, Task: run.Task, Slot: run.Slot.In(zone), Count: run.Count,
			State: string(run.State), Reason: run.Reason, Queue: run.Queue, Node: run.Node,
			Asked: run.Request != "", Recovered: run.Recovered, SentAt: run.SentAt,
		}
		if !run.Through.IsZero() {
			one.Through = run.Through.In(zone)
		}
		ledger.Runs = append(ledger.Runs, one)
	}
	return ledger
}

// runsOf returns the latest runs of an entry by its id or name; of one that is gone, by its id.
func (n *node) runsOf(ctx context.Context, asked web.Asked) ([]schedule.Run, error) {
	filter := store.Filter{Entry: schedule.ID(asked.Entry), State: schedule.State(asked.State), Limit: runsShown}
	row, err := n.store.Find(ctx, asked.Entry)
	if err == nil {
		filter.Entry = row.ID
	} else if !errors.Is(err, store.ErrNoEntry) {
		return nil, err
	}
	runs, failed := n.store.Runs(ctx, filter)
	if failed == nil && len(runs) == 0 {
		failed = err
	}
	return runs, failed
}

// zonesOf are the zones of entries that have one of their own, as far as the catalog answers.
func (n *node) zonesOf(ctx context.Context, runs []schedule.Run) map[schedule.ID]*time.Location {
	zones := map[schedule.ID]*time.Location{}
	for _, run := range runs {
		zones[run.Entry] = nil
	}
	if len(zones) == 0 || !n.known() {
		return zones
	}
	ids := make([]schedule.ID, 0, len(zones))
	for id := range zones {
		ids = append(ids, id)
	}
	entries, err := n.roster.Entries(ctx, ids)
	if err != nil {
		return zones
	}
	for _, e := range entries {
		zones[e.ID] = zoneOf(e.Spec)
	}
	return zones
}

// zoneOf is the zone that a spec goes by, nil for one that goes by none.
func zoneOf(spec schedule.Spec) *time.Location {
	if zoned, ok := spec.(interface{ Location() *time.Location }); ok {
		return zoned.Location()
	}
	return nil
}
