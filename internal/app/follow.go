package app

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/onebeat/onebeat/internal/dispatch"
	"github.com/onebeat/onebeat/internal/plan"
	"github.com/onebeat/onebeat/internal/schedule"
	"github.com/onebeat/onebeat/internal/store"
)

// A follower takes what the catalog tells of to the planner, as it comes: slots
// go out while the rest still loads. What speaks of entries that the journal
// names it keeps back until begin: what an earlier term left of them is ended
// first, from the entries as they are now.
type follower struct {
	planner *plan.Planner
	metrics *metrics
	log     *slog.Logger
	garbage *collector
	limits  *dispatch.Limits     // of entries, which are told to it as they come
	claims  *dispatch.Claims     // what recovery ends; until begin, as is:
	named   map[schedule.ID]bool // entries in the journal
	claimed map[string]bool      // requests in the journal: recovery's

	loaded chan struct{} // closed when all entries were told of once
	ready  chan struct{} // closed when those in the journal were, or all

	mu      sync.Mutex
	begun   bool
	known   bool // ready is closed
	full    bool // loaded is closed
	started time.Time
	active  int                               // entries that were told of while loading
	latest  map[schedule.ID]schedule.Change   // kept back
	same    map[schedule.ID][]*schedule.Entry // those before it that are the same definition
	asked   []store.Request                   // kept back
	ended   map[schedule.ID]time.Time         // the last slot of entries that recovery ended and that had no definition since

	bad      map[schedule.ID]string // the problems that were told of
	disabled map[schedule.ID]string // why; of those that are not bad
	until    time.Time              // when the second ends that lines counts in
	lines    int                    // bad rows that have a line of their own
	more     int                    // bad rows that are yet to be told of together
}

// eachBad is the number a second of bad rows, and of entries that end, that are logged one by one.
const eachBad = 100

func newFollower(planner *plan.Planner, journal []schedule.Claimed, metrics *metrics, garbage *collector, log *slog.Logger) *follower {
	named, claimed := map[schedule.ID]bool{}, map[string]bool{}
	for _, batch := range journal {
		for _, due := range batch.Dues {
			named[due.Entry] = true
			if due.Request != "" {
				claimed[due.Request] = true
			}
		}
	}
	return &follower{
		planner: planner, metrics: metrics, log: log, garbage: garbage, limits: &dispatch.Limits{},
		claims: dispatch.ClaimsOf(journal), named: named, claimed: claimed,
		loaded: make(chan struct{}), ready: make(chan struct{}), started: time.Now(),
		latest: map[schedule.ID]schedule.Change{},
		bad:    map[schedule.ID]string{}, disabled: map[schedule.ID]string{},
	}
}

// A definer reads the present definitions of entries: the store.
type definer interface {
	Entries(ctx context.Context, ids []schedule.ID) ([]*schedule.Entry, error)
}

// fetch brings the planner the definitions that it wants until ctx ends. While the
// database is away nothing can be claimed either.
func (f *follower) fetch(ctx context.Context, catalog definer) error {
	for failed := ""; ; {
		ids, err := f.planner.Wanted(ctx)
		if err != nil {
			return nil
		}
		entries, err := catalog.Entries(ctx, ids)
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			failed = ""
		case err.Error() != failed:
			failed = err.Error()
			f.log.Error("definitions of entries cannot be read; trying on", "err", err)
		}
		if err := f.planner.Supply(ctx, ids, entries); err != nil {
			return nil
		}
	}
}

// wait returns true once the channel is closed, ready or loaded; false when a context
// ended first.
func wait(ctx, hold context.Context, closed <-chan struct{}) bool {
	select {
	case <-closed:
		return true
	case <-ctx.Done():
	case <-hold.Done():
	}
	return false
}

// present returns the present definition of an entry, or, of one that the journal names,
// why it has none. It is asked before begin. Of another it asks the catalog once that is
// loaded, until ctx ends: a broker may have lost messages of any entry.
func (f *follower) present(ctx context.Context, catalog definer, id schedule.ID) schedule.Change {
	if f.named[id] {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.latest[id]
	}
	change := schedule.Change{ID: id}
	if !wait(ctx, ctx, f.loaded) {
		return change
	}
	for failed := false; ; failed = true {
		entries, err := catalog.Entries(ctx, []schedule.ID{id})
		if err == nil {
			if len(entries) > 0 {
				change.Entry = entries[0]
			}
			return change
		}
		if !failed && ctx.Err() == nil {
			f.log.Error("an entry cannot be read; trying on", "entry_id", id, "err", err)
		}
		select {
		case <-ctx.Done():
			return change
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// begin hands what was kept back to the planner, and from then on everything as
// it comes.
func (f *follower) begin(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	changes := make([]schedule.Change, 0, len(f.latest))
	var owed []schedule.Due
	for id := range f.named {
		change := f.latest[id]
		for _, slot := range f.claims.Forsaken(id, change.Entry) {
			due := schedule.Due{Entry: &schedule.Entry{ID: id, Name: change.Name}, Slot: slot, State: schedule.Skipped, Through: slot, Count: 1}
			if due.Reason = schedule.ReasonEdited; change.Entry == nil {
				due.Reason = cmp.Or(change.Reason, schedule.ReasonRemoved)
			}
			owed = append(owed, due)
		}
	}
	for _, change := range f.latest {
		if change.Entry != nil {
			change.Entry = change.Entry.Anew() // others have the entry as it was told of
			var before []time.Time
			change.Entry.After, before = f.claims.Settled(change.Entry)
			for _, slot := range before {
				owed = append(owed, schedule.Due{Entry: change.Entry, Slot: slot})
			}
		}
		changes = append(changes, change)
	}
	f.ended = map[schedule.ID]time.Time{}
	for id := range f.named {
		if f.latest[id].Entry == nil {
			f.ended[id] = time.Time{}
		}
	}
	f.claims.Last(f.ended)
	f.latest, f.same, f.named, f.claims = nil, nil, nil, nil // of a herd's journal they are tens of MB
	f.begun = true
	if err := f.planner.Apply(ctx, changes); err != nil {
		return err
	}
	for _, due := range owed {
		if err := f.planner.Submit(ctx, due); err != nil {
			return err
		}
	}
	asked := f.asked
	f.asked = nil
	return f.submit(ctx, asked)
}

// Apply implements store.Watcher.
func (f *follower) Apply(ctx context.Context, changes []schedule.Change) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tell(changes)
	f.limits.Learn(changes)
	f.garbage.adjust()
	if !f.begun && len(f.named) > 0 {
		changes = slices.DeleteFunc(changes, func(change schedule.Change) bool {
			if f.named[change.ID] {
				f.keep(change)
			}
			return f.named[change.ID]
		})
		if !f.known && len(f.latest) == len(f.named) {
			f.known = true
			close(f.ready)
		}
	}
	f.comeBack(changes)
	return f.planner.Apply(ctx, changes)
}

// keep keeps back what was told of an entry that the journal names. A recovery may wait for slots that were claimed ahead, with the
// definition of before: it learns of an edit as who sends from a planner does.
func (f *follower) keep(change schedule.Change) {
	was := f.latest[change.ID].Entry
	f.latest[change.ID] = change
	if was == nil {
		return
	}
	if f.same == nil {
		f.same = map[schedule.ID][]*schedule.Entry{}
	}
	f.same[change.ID] = append(f.same[change.ID], was)
	if change.Entry != nil && change.Entry.Digest == was.Digest {
		return
	}
	reason := schedule.ReasonEdited
	if change.Entry == nil {
		reason = change.Reason
	}
	for _, e := range f.same[change.ID] {
		e.End(reason, time.Time{}, nil, time.Time{})
	}
	delete(f.same, change.ID)
}

// comeBack lets entries that recovery ended slots of, and that have a definition again, count from the last of those: it
// may not be on record yet.
func (f *follower) comeBack(changes []schedule.Change) {
	if len(f.ended) == 0 {
		return
	}
	for i := range changes {
		change := &changes[i]
		last, was := f.ended[change.ID]
		if !was || change.Entry == nil {
			continue
		}
		delete(f.ended, change.ID)
		if last.After(change.Entry.After) {
			change.Entry = change.Entry.Anew() // others have the entry as it was told of
			change.Entry.After = last
		}
	}
}

// end takes what it counted out of the metrics; nothing is told to it any more.
func (f *follower) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.metrics.badRows.Sub(float64(len(f.bad)))
}

// Loaded implements store.Watcher.
func (f *follower) Loaded() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.full {
		return
	}
	f.full = true
	f.tellMore()
	close(f.loaded)
	if !f.known {
		f.known = true
		close(f.ready)
	}
	f.log.Info("entries loaded", "entries", f.active, "disabled", len(f.disabled), "bad", len(f.bad),
		"after", time.Since(f.started).Round(time.Millisecond))
}

// Asked implements store.Watcher.
func (f *follower) Asked(ctx context.Context, requests []store.Request) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.begun {
		f.asked = append(f.asked, requests...)
		return nil
	}
	return f.submit(ctx, requests)
}

// submit hands requests over, but for those that an earlier term had claimed.
func (f *follower) submit(ctx context.Context, requests []store.Request) error {
	for _, r := range requests {
		if f.claimed[r.ID] {
			continue
		}
		f.log.Info("run asked for", "entry_id", r.Entry, "request", r.ID, "by", r.By)
		due := schedule.Due{Entry: &schedule.Entry{ID: r.Entry}, Slot: r.At, Request: r.ID, Reason: f.without(r.Entry)}
		if err := f.planner.Submit(ctx, due); err != nil {
			return err
		}
	}
	return nil
}

// without is why an entry has no definition, if it has none.
func (f *follower) without(id schedule.ID) string {
	switch {
	case f.bad[id] != "":
		return schedule.ReasonBadRow
	case f.disabled[id] != "":
		return f.disabled[id]
	case !f.full:
		return "" // it may be yet to come
	}
	return schedule.ReasonRemoved
}

// tell logs and counts changes: a bad row once, until it changes, who ended an entry's slots, and of thousands the number.
func (f *follower) tell(changes []schedule.Change) {
	var active, ended, bad int
	if now := time.Now(); !now.Before(f.until) {
		f.until, f.lines = now.Add(time.Second), 0
	}
	was := len(f.bad)
	for _, change := range changes {
		if change.Windows != nil {
			f.log.Info("windows changed")
			continue
		}
		if change.Sketches != nil { // of which none was told of before, nor is named by the journal
			active += len(change.Sketches)
			continue
		}
		problem := ""
		if change.Reason == schedule.ReasonBadRow && change.Entry == nil {
			problem = change.Problem
		}
		switch {
		case problem != "":
			bad++
			switch {
			case f.bad[change.ID] == problem:
			case f.lines == eachBad:
				f.more++
			default:
				f.lines++
				f.log.Error("entry set aside: its row cannot be used", "entry", change.Name, "entry_id", change.ID, "err", problem)
			}
		case change.Entry != nil:
			active++
		default:
			ended++
			if f.full && f.disabled[change.ID] != change.Reason && f.lines < eachBad {
				f.lines++
				log := f.log
				if change.Name != "" { // of a row that is gone nobody knows it
					log = log.With("entry", change.Name)
				}
				log.Info("entry is sent no more", "entry_id", change.ID, "reason", change.Reason)
			}
		}
		set(f.bad, change.ID, problem, problem != "")
		off := change.Entry == nil && problem == "" && change.Reason != schedule.ReasonRemoved
		set(f.disabled, change.ID, change.Reason, off)
	}
	if !f.full {
		f.active += active
	}
	if f.full {
		f.tellMore()
	}
	f.metrics.badRows.Add(float64(len(f.bad) - was))
	if f.full && active+ended+bad > 0 {
		f.metrics.reloads.Inc()
		f.log.Info("entries changed", "changed", active, "ended", ended, "bad", bad)
	}
}

func (f *follower) tellMore() {
	if f.more > 0 {
		f.log.Error("more entries set aside: onebeat entries list --bad names them", "entries", f.more)
		f.more = 0
	}
}

// set puts or takes a key.
func set[K comparable, V any](m map[K]V, key K, value V, in bool) {
	if in {
		m[key] = value
	} else {
		delete(m, key)
	}
}
