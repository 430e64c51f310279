package simulate

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/onebeat/onebeat/internal/dispatch"
	"github.com/onebeat/onebeat/internal/plan"
	"github.com/onebeat/onebeat/internal/schedule"
)

// A roster is the table as a node knows it, whether it leads or not, like store.Roster:
// of one that stands by, run state may be old, and nothing that it sees is remembered.
// Who comes to lead reads again what was edited or may have moved, and nothing else.
type roster struct {
	session *session
	behind  time.Duration // it looks so seldom while it stands by
	herds   bool          // it takes all entries for a herd's: what has not ended by one look at all rows is as it is known

	turn    chan struct{} // who has put something in may use what follows; one who waits for it lets time pass
	rows    map[schedule.ID]known
	leading bool
}

func newRoster(s *session) *roster {
	return &roster{session: s, turn: make(chan struct{}, 1), rows: map[schedule.ID]known{}}
}

// locked does something while nobody else does.
func (r *roster) locked(do func()) {
	r.turn <- struct{}{}
	defer func() { <-r.turn }()
	do()
}

// A known is what a roster knows of a row.
type known struct {
	version int
	change  schedule.Change
	next    time.Time // once it has come, run state may have moved; zero: it has to be read again
}

const (
	noticed         = 20 * time.Millisecond // where the database tells of edits
	polled          = 300 * time.Millisecond
	seldom          = 3 * time.Second // where to look at all rows takes long
	refreshInterval = 5 * time.Second
	endedAhead      = time.Second
)

// stand keeps the roster while the node does not lead, until ctx ends.
func (r *roster) stand(ctx context.Context) {
	refreshed := time.Now()
	for ; ctx.Err() == nil; rest(ctx, max(r.session.lookInterval(), r.behind)) {
		now := time.Now()
		all := now.Sub(refreshed) >= refreshInterval
		r.locked(func() {
			if r.leading {
				return
			}
			_, err := r.read(ctx, 0, func(k known) bool { return all && !k.next.After(now) })
			if err == nil && all {
				refreshed = now
			}
		})
	}
}

// read reads the rows that were edited, and those that are wanted too, under a term; 0
// where the node does not lead.
func (r *roster) read(ctx context.Context, term int64, wanted func(known) bool) ([]schedule.Change, error) {
	rows, err := r.session.read(ctx, term, func(e *entry) bool {
		k, ok := r.rows[e.id]
		return !ok || k.version != e.version || wanted(k)
	})
	if err != nil {
		return nil, err
	}
	changes := make([]schedule.Change, len(rows))
	for i, row := range rows {
		changes[i] = row.change(row.last)
		k := known{version: row.version, change: changes[i]}
		if e := changes[i].Entry; e != nil && term == 0 && !row.unwritten {
			k.next = e.Spec.Next(e.After)
		}
		r.rows[row.id] = k
	}
	return changes, nil
}

// lead tells of all entries and then of edits as they come, until ctx ends.
func (r *roster) lead(ctx context.Context, term int64, f *follower) error {
	r.locked(func() { r.leading = true })
	defer r.locked(func() { r.leading = false })
	for begun := false; ctx.Err() == nil; {
		var err error
		r.locked(func() { err = r.look(ctx, term, f, !begun) })
		if err != nil {
			rest(ctx, 100*time.Millisecond)
			continue
		}
		if !begun {
			begun = true
			f.loaded()
		}
		if open, err := r.session.requests(ctx); err == nil {
			f.ask(ctx, open)
		}
		rest(ctx, r.session.lookInterval())
	}
	return nil
}

// look tells of what was edited, and of all at first.
func (r *roster) look(ctx context.Context, term int64, f *follower, first bool) error {
	soon := time.Now().Add(endedAhead)
	var ended map[schedule.ID]time.Time
	if first && r.herds {
		var err error
		if ended, err = r.session.ended(ctx); err != nil {
			return err
		}
	}
	stands := func(k known) bool {
		last, there := ended[k.change.ID]
		return there && k.change.Entry != nil && last.Before(k.next)
	}
	var warm []schedule.Change
	for id, k := range r.rows {
		if first && (k.next.After(soon) || stands(k)) {
			k.change.Entry = k.change.Entry.Anew()
			k.next = time.Time{}
			r.rows[id] = k
			warm = append(warm, k.change)
		}
	}
	moved := func(k known) bool {
		return first && !slices.ContainsFunc(warm, func(c schedule.Change) bool { return c.ID == k.change.ID })
	}
	changes, err := r.read(ctx, term, moved)
	if err != nil {
		return err
	}
	// Of a row that was edited the news comes last.
	f.apply(ctx, warm)
	f.apply(ctx, changes)
	return nil
}

// A follower takes the roster's news to the planner, as that of internal/app does: what
// speaks of entries that the journal names waits until these are recovered.
type follower struct {
	planner *plan.Planner
	world   *world
	term    int64
	far     time.Duration // entries that are not due so soon come without their definitions; 0 is none
	claims  *dispatch.Claims
	named   map[schedule.ID]bool
	told    map[string]bool // requests that recovery ends, or the planner has
	ready   chan struct{}   // closed when all entries were told of

	mu     sync.Mutex
	begun  bool
	latest map[schedule.ID]schedule.Change
	same   map[schedule.ID][]*schedule.Entry // those before it that are the same definition
	asked  []request
	ended  map[schedule.ID]time.Time
}

func newFollower(planner *plan.Planner, journal []schedule.Claimed) *follower {
	f := &follower{
		planner: planner, claims: dispatch.ClaimsOf(journal), named: map[schedule.ID]bool{}, told: map[string]bool{},
		ready: make(chan struct{}), latest: map[schedule.ID]schedule.Change{}, same: map[schedule.ID][]*schedule.Entry{},
	}
	for _, claimed := range journal {
		for _, due := range claimed.Dues {
			f.named[due.Entry], f.told[due.Request] = true, true
		}
	}
	return f
}

func (f *follower) apply(ctx context.Context, changes []schedule.Change) {
	f.mu.Lock()
	defer f.mu.Unlock()
	heard := slices.Clone(changes)
	defer func() {
		if ctx.Err() == nil {
			f.world.tell(f.term, f.begun, heard)
		}
	}()
	var rest []schedule.Change
	for _, c := range changes {
		if !f.begun && f.named[c.ID] {
			f.keep(c)
			continue
		}
		if last, was := f.ended[c.ID]; was && c.Entry != nil {
			delete(f.ended, c.ID)
			c.Entry = c.Entry.Anew()
			c.Entry.After = schedule.Later(c.Entry.After, last)
		}
		if f.far > 0 && c.Entry != nil {
			c = sketched(c, f.far)
		}
		rest = append(rest, c)
	}
	if len(rest) > 0 {
		_ = f.planner.Apply(ctx, rest) // an error is ctx's
	}
}

// keep keeps back what was told of an entry that is recovered, which learns of it.
func (f *follower) keep(c schedule.Change) {
	was := f.latest[c.ID].Entry
	f.latest[c.ID] = c
	if was == nil {
		return
	}
	f.same[c.ID] = append(f.same[c.ID], was)
	if c.Entry != nil && c.Entry.Digest == was.Digest {
		return
	}
	for _, e := range f.same[c.ID] {
		e.End(cmp.Or(c.Reason, schedule.ReasonEdited), time.Time{}, nil, time.Time{})
	}
	delete(f.same, c.ID)
}

// far is how far off the slots are at least of entries whose definitions a lean node leaves in the database, beside its lead.
const far = 800 * time.Millisecond

// sketched is the news of an entry as a large catalog has it.
func sketched(c schedule.Change, far time.Duration) schedule.Change {
	key, keyed := c.Entry.ID.Key()
	next := c.Entry.Spec.Next(c.Entry.After)
	if !keyed || !c.Entry.PausedUntil.IsZero() || !next.IsZero() && next.Before(time.Now().Add(far)) {
		return c
	}
	return schedule.Change{Sketches: []schedule.Sketch{c.Entry.Sketch(key, next)}}
}

func (f *follower) loaded() { close(f.ready) }

// present returns the present definition of an entry that the journal names.
func (f *follower) present(id schedule.ID) schedule.Change {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.latest[id]
}

// begin hands over what was kept back.
func (f *follower) begin(ctx context.Context) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var changes []schedule.Change
	var owed []schedule.Due
	f.ended = map[schedule.ID]time.Time{}
	for id, c := range f.latest {
		for _, slot := range f.claims.Forsaken(id, c.Entry) {
			owed = append(owed, schedule.Due{Entry: &schedule.Entry{ID: id}, Slot: slot, State: schedule.Skipped, Reason: cmp.Or(c.Reason, schedule.ReasonEdited), Through: slot, Count: 1})
		}
		if c.Entry == nil {
			f.ended[c.ID] = time.Time{}
		} else {
			c.Entry = c.Entry.Anew()
			var before []time.Time
			c.Entry.After, before = f.claims.Settled(c.Entry)
			for _, slot := range before {
				owed = append(owed, schedule.Due{Entry: c.Entry, Slot: slot})
			}
		}
		changes = append(changes, c)
	}
	f.begun = true
	f.claims.Last(f.ended)
	_ = f.planner.Apply(ctx, changes)
	for _, due := range owed {
		_ = f.planner.Submit(ctx, due)
	}
	f.submitLocked(ctx, f.asked)
}

// ask takes requests that are not recorded.
func (f *follower) ask(ctx context.Context, open []request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.begun {
		f.asked = open
		return
	}
	f.submitLocked(ctx, open)
}

func (f *follower) submitLocked(ctx context.Context, requests []request) {
	for _, r := range requests {
		if !f.told[r.id] {
			f.told[r.id] = true
			_ = f.planner.Submit(ctx, schedule.Due{Entry: &schedule.Entry{ID: r.entry}, Slot: r.at, Request: r.id})
		}
	}
}

// lookInterval is how often edits are looked for.
func (s *session) lookInterval() time.Duration {
	if s.world.seed%2 == 0 {
		return noticed
	}
	return polled
}
