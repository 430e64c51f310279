package app

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/onebeat/onebeat/internal/plan"
	"github.com/onebeat/onebeat/internal/schedule"
	"github.com/onebeat/onebeat/internal/store"
	"github.com/onebeat/onebeat/internal/web"
)

// What a page shows at most.
const (
	asideShown  = 50
	comingShown = 20
	runsShown   = 50
)

// Page implements web.Shown. It reads no more of the catalog than the rows that are shown: a catalog may have a million.
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
	page.Coming = n.coming(ctx)
	page.Ledger = n.ledger(ctx, asked)
	return page
}

// coming are the slots that come next of the shards that this node leads.
func (n *node) coming(ctx context.Context) (slots []web.Coming) {
	var next []plan.Coming
	for _, s := range n.led() {
		planner := s.now().planner
		if planner == nil {
			continue // it waits for another scheduler
		}
		some, err := planner.Coming(ctx, comingShown)
		if err == nil { // a planner that does not answer shows in health
			next = append(next, some...)
		}
	}
	slices.SortStableFunc(next, func(a, b plan.Coming) int { return a.Slot.Compare(b.Slot) })
	next = next[:min(comingShown, len(next))]
	left := map[schedule.ID]*schedule.Entry{} // whose definitions are left in the catalog
	for _, one := range next {
		if one.Entry == nil {
			left[one.ID] = nil
		}
	}
	n.define(ctx, left)
	for _, one := range next {
		e := cmp.Or(one.Entry, left[one.ID])
		if e == nil { // it is not to be had at the moment
			slots = append(slots, web.Coming{Slot: one.Slot.In(n.location()), Name: string(one.ID)})
			continue
		}
		slots = append(slots, web.Coming{Slot: one.Slot.In(n.zoneOf(e)), Name: e.Name, Task: e.Task, Skipped: one.Reason})
	}
	return slots
}

// define reads the present definitions of entries from the catalog, as far as it answers.
func (n *node) define(ctx context.Context, wanted map[schedule.ID]*schedule.Entry) {
	if len(wanted) == 0 || !n.known() {
		return
	}
	entries, err := n.roster.Entries(ctx, slices.Collect(maps.Keys(wanted)))
	if err != nil {
		return // what is shown of them is less
	}
	for _, e := range entries {
		wanted[e.ID] = e
	}
}

// zoneOf is the zone that an entry's slots are shown in, which may be nil.
func (n *node) zoneOf(e *schedule.Entry) *time.Location {
	if e != nil {
		if zoned, ok := e.Spec.(interface{ Location() *time.Location }); ok {
			return zoned.Location()
		}
	}
	return n.location()
}

// location is that of the zone that entries are in which name none.
func (n *node) location() *time.Location {
	location, err := schedule.Location(n.config.String("zone"))
	if err != nil {
		return time.UTC
	}
	return location
}

// leaders says who leads each shard: this node knows it of itself, and of the others as it saw them in the length of a lease.
func (n *node) leaders() (shards []web.Shard) {
	roll := n.roll.Load()
	for i, s := range n.opened() {
		one := web.Shard{Term: s.now().term}
		switch {
		case one.Term != 0:
		case roll == nil || time.Since(roll.Asked) > n.leaseLength():
			one.Unknown = true
		case roll.Holders[i].Node != n.called(): // else it did a moment ago
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
	entries := map[schedule.ID]*schedule.Entry{}
	for _, run := range runs {
		entries[run.Entry] = nil
	}
	n.define(ctx, entries)
	for _, run := range runs {
		zone := n.zoneOf(entries[run.Entry])
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
