// Package plan decides when each entry is due.
//
// The planner keeps an agenda in memory: every enabled entry with its next
// slot, earliest first, those that have slots often apart from the others (turns.go). It hands slots over when it is asked for them (Pull), a
// little before they come (the lead), so that claiming them is not part of
// their lateness. Edits come in as changes and move only their own entry.
//
//   - Nothing is handed over more than the lead before its slot, and no slot
//     twice for one definition of an entry. Across nodes it is the dispatcher's
//     claim that keeps a slot single.
//   - One entry's slots are handed over in order. Two entries' are not.
//   - A slot that is later than its entry's grace is settled by the entry's
//     policy: sent, or handed over as an end that names the slots it stands for.
//   - Nothing is kept on disk. A new planner starts from each entry's After.
//   - Of a large catalog only the definitions of entries that are due soon are held
//     (left.go). A slot whose entry's definition does not come in time is late, not lost.
//   - A step of the clock forwards is like having been away; backwards, slots
//     that were handed over do not come again.
package plan

import (
	"cmp"
	"context"
	"log/slog"
	"math"
	"slices"
	"sync/atomic"
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
)

// Options tune a Planner. The zero Options are the defaults.
type Options struct {
	Lead   time.Duration    // how long before its slot an entry of a herd may be handed over, and any other for a third of it; 750 ms
	Now    func() time.Time // this node's clock; time.Now
	Logger *slog.Logger     // due decisions at DEBUG; silent

	// Glance returns how long a planner that sleeps may do so now before it looks at the clock again, a second or so, which
	// bounds what a step of the clock can do to lateness. A second.
	Glance func() time.Duration

	// Keep is how many definitions are held of entries that are due later than Far
	// from now: those of others are left in the catalog, and somebody has to bring
	// them when they are wanted (Wanted, Supply). 0 is all; Far is 10 minutes.
	Keep int
	Far  time.Duration
}

// glance is what Options.Glance returns unless told, and how long a wish that could not be served waits.
const glance = time.Second

// A Planner owns the agenda. Make one with New.
type Planner struct {
	lead   time.Duration
	now    func() time.Time
	glance func() time.Duration
	logger *slog.Logger
	keep   int
	far    time.Duration

	changes  chan applying
	submits  chan schedule.Due
	asks     chan ask
	wants    chan want
	supplies chan supply
	states   chan chan State
	looks    chan look
	over     chan struct{} // closed when Run returns

	ticked atomic.Int64 // Unix nanoseconds, this machine's clock: when the loop last went round

	// Owned by Run's goroutine.
	items  *items
	byID   schedule.ByID[int32] // numbers of items
	active int                  // items that are not off
	turns  turns
	left   left
	former formers
	gone   gones
	urgent []schedule.Due // runs that people asked for, and ends of pauses

	windows *schedule.Windows
}

type applying struct {
	changes []schedule.Change
	done    chan struct{}
}

type ask struct {
	ctx   context.Context
	max   int
	reply chan []schedule.Due // has room for one answer; nil if ctx ended first
}

// A State is what a planner tells of itself.
type State struct {
	Entries int       // with or without a next slot
	Overdue int       // slots that have come and were not handed over
	Next    time.Time // the earliest slot; zero if there is none
}

// New returns a planner with an empty agenda. It works while Run does.
func New(opts Options) *Planner {
	p := &Planner{
		lead: opts.Lead, now: opts.Now, glance: opts.Glance, logger: opts.Logger, keep: opts.Keep, far: opts.Far,
		changes: make(chan applying), submits: make(chan schedule.Due), asks: make(chan ask), states: make(chan chan State), looks: make(chan look),
		wants: make(chan want), supplies: make(chan supply),
		over:  make(chan struct{}),
		items: newItems(),
		left:  left{last: map[*item]last{}, held: map[*item]bool{}}, former: formers{of: map[*item]*former{}}, gone: gones{of: map[*item]*gone{}},
	}
	p.turns, p.left.agenda.items = newTurns(p.items), p.items
	if p.far == 0 {
		p.far = 10 * time.Minute
	}
	if p.lead == 0 {
		p.lead = 750 * time.Millisecond
	}
	if p.now == nil {
		p.now = time.Now
	}
	if p.glance == nil {
		p.glance = func() time.Duration { return glance }
	}
	if p.logger == nil {
		p.logger = slog.New(slog.DiscardHandler)
	}
	p.ticked.Store(time.Now().UnixNano())
	return p
}

// Run keeps the agenda until ctx ends, and then returns nil. It is called once.
func (p *Planner) Run(ctx context.Context) error {
	timer := time.NewTimer(p.glance())
	defer timer.Stop()
	defer close(p.over)
	var asked *ask
	var wanting *want
	for {
		p.ticked.Store(time.Now().UnixNano())
		wait := p.glance()
		if p.release() {
			wait = 0
		}
		if wanting != nil && p.serve(wanting) {
			wanting = nil
		}
		if asked != nil {
			if until := p.wait(); until > 0 {
				wait = min(wait, until)
			} else {
				if dues := p.take(asked.max); len(dues) > 0 {
					asked.reply <- dues
					asked = nil
				}
				continue
			}
		}
		asks, left := p.asks, (<-chan struct{})(nil)
		if asked != nil {
			asks, left = nil, asked.ctx.Done()
		}
		wants, gone := p.wants, (<-chan struct{})(nil)
		if wanting != nil {
			wants, gone = nil, wanting.ctx.Done()
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
			return nil
		case c := <-p.changes:
			p.applyAll(c.changes)
			p.resume()
			close(c.done)
		case w := <-wants:
			wanting = &w
		case <-gone:
			wanting.reply <- nil
			wanting = nil
		case s := <-p.supplies:
			p.supply(s)
			close(s.done)
		case due := <-p.submits:
			p.submit(due)
		case a := <-asks:
			asked = &a
		case <-left:
			asked.reply <- nil
			asked = nil
		case reply := <-p.states:
			reply <- p.state()
		case l := <-p.looks:
			l.reply <- p.look(l.most)
		case <-timer.C:
		}
	}
}

// Apply takes changes over into the agenda, in order, and returns when that is
// done or ctx has ended. What was handed over of an entry that changed, and not
// sealed by the sender, is withdrawn.
func (p *Planner) Apply(ctx context.Context, changes []schedule.Change) error {
	c := applying{changes, make(chan struct{})}
	select {
	case p.changes <- c:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-c.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Submit adds a slot beside those that planning gives: a run that a person asked for,
// or, without a Request, a slot that the entry owes from before its After, late as it
// may be. due.Entry may name the entry by its ID alone. It is handed over next, or in its lead. One for
// an entry that is not planned is handed over as skipped, for due.Reason if that is known; one with a State as it is.
func (p *Planner) Submit(ctx context.Context, due schedule.Due) error {
	select {
	case p.submits <- due:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Pull returns the slots to claim now, at least one and at most max, in order
// of slot but for what people asked for, which comes before all that is yet to come, and for entries that have slots often, which
// come before others that have waited longer (turns.go). It waits until
// there is one, and returns an error only when ctx or Run ends. One goroutine pulls.
func (p *Planner) Pull(ctx context.Context, max int) ([]schedule.Due, error) {
	a := ask{ctx, max, make(chan []schedule.Due, 1)}
	select {
	case p.asks <- a:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-p.over:
		return nil, context.Canceled
	}
	// The planner watches ctx too: what it took from the agenda is not lost when
	// ctx ends at the same moment.
	select {
	case dues := <-a.reply:
		if dues == nil {
			return nil, ctx.Err()
		}
		return dues, nil
	case <-p.over:
		return nil, context.Canceled
	}
}

// State tells how the agenda stands.
func (p *Planner) State(ctx context.Context) (State, error) {
	reply := make(chan State, 1)
	select {
	case p.states <- reply:
		return <-reply, nil
	case <-ctx.Done():
		return State{}, ctx.Err()
	}
}

// Ticked returns when the loop last went round, by this machine's clock.
func (p *Planner) Ticked() time.Time { return time.Unix(0, p.ticked.Load()) }

// Idle returns how long ago the loop last went round. It goes round at least
// once a second while it works.
func (p *Planner) Idle() time.Duration {
	return time.Duration(time.Now().UnixNano() - p.ticked.Load())
}

// A herd is so many slots within half a lead.
const herd = 1000

// ahead is how long before it the next slot may be handed over: the lead for a herd, which takes long to be claimed, and a
// third of it else, for what people ask for, or make and edit meanwhile, waits for what was claimed.
func (p *Planner) ahead() time.Duration {
	if first := p.turns.first(); first != nil && p.turns.overdue(first.next+(p.lead/2).Microseconds(), herd) >= herd {
		return p.lead
	}
	return p.lead / 3
}

// wait returns how long it is until something should be handed over: half of that before
// the first slot, so that one claim takes as long a time's slots.
func (p *Planner) wait() time.Duration {
	now, wait := p.now(), time.Duration(math.MaxInt64)
	for i := range p.urgent {
		if wait = min(wait, p.urgent[i].Slot.Sub(now)-p.lead/3); wait <= 0 {
			return 0
		}
	}
	if first := p.turns.first(); first != nil {
		wait = min(wait, first.slot().Sub(now)-p.ahead()/2)
	}
	return wait
}

// take removes what is due within the lead from the agenda and moves its
// entries on to their next slots.
func (p *Planner) take(max int) []schedule.Due {
	now := p.now()
	horizon := now.Add(p.ahead()).UnixMicro()
	dues := make([]schedule.Due, 0, min(max, len(p.urgent)+p.turns.overdue(horizon, max)))
	n := min(len(p.urgent), max)
	var later []schedule.Due // by a clock that is ahead
	for _, due := range p.urgent[:n] {
		if due.Slot.UnixMicro() > horizon {
			later = append(later, due)
		} else {
			dues = append(dues, due)
		}
	}
	p.urgent = append(p.urgent[n:], later...)
	urgent := len(dues) > 0
	for ahead := 0; len(dues) < max; {
		it := p.turns.first()
		if it == nil || it.next > horizon {
			break
		}
		if len(dues) > n && ahead < max/2 { // the first says how late the others are
			if before := p.turns.ahead(now.UnixMicro()); before != nil {
				it = before
				ahead++
			}
		}
		slot := it.next
		dues = p.turns.settle(it, now, p.windows, dues)
		if it.at == absent || it.next != slot {
			continue // what was missed is settled; the rest waits for its turn
		}
		due := p.due(it)
		dues = append(dues, due)
		p.turns.move(it, due.Entry.Spec.Next(due.Slot), due.Slot)
		if due.State == "" { // else nobody seals it
			p.leave(it, slot, now)
		}
	}
	if urgent {
		inTurn(dues, now)
	}
	if len(dues) > 0 {
		p.logger.Debug("slots are due", "slots", len(dues), "entry", dues[0].Entry.Name, "slot", dues[0].Slot)
	}
	return dues
}

// due is the coming slot of it. One that a window holds is settled by that: a new
// definition does not answer for it.
func (p *Planner) due(it *item) schedule.Due {
	due := schedule.Due{Entry: p.items.entry(it), Slot: it.slot()}
	if reason, _ := p.windows.Closed(due.Entry, due.Slot); reason != "" {
		due.State, due.Reason, due.Through, due.Count = schedule.Skipped, reason, due.Slot, 1
		it.from = max(it.from, it.next)
	}
	return due
}

// applyAll takes changes over, some at a time, of which what is known is looked for together.
func (p *Planner) applyAll(changes []schedule.Change) {
	var keys [together]schedule.Key
	for some := range slices.Chunk(changes, together) {
		for i := range some {
			keys[i] = some[i].ID.KeyOrNone()
		}
		p.byID.Warm(keys[:len(some)])
		for i := range some {
			p.apply(&some[i], keys[i])
		}
	}
}

// together is how many changes are looked for together.
const together = 64

// apply takes one change over, of an id with this key, or none.
func (p *Planner) apply(c *schedule.Change, key schedule.Key) {
	switch {
	case c.Windows != nil:
		p.windows = c.Windows
		return
	case c.Sketches != nil:
		p.sketchAll(c.Sketches, c.About)
		return
	}
	number, spot, _ := p.byID.Find(c.ID, key)
	it := p.items.at(number)
	switch {
	case c.Entry == nil && it == nil:
	case c.Entry == nil:
		// The item stays, so that an entry that comes back does not get a slot
		// again that it had before: those that were handed over and not sealed end
		// for this reason.
		if it.wanted {
			p.left.forgo(c.ID, c.Reason)
		}
		p.end(it, c.Reason)
		if g := p.gone.of[it]; g != nil {
			g.id, g.removed = c.ID, c.Reason == schedule.ReasonRemoved
		} else if c.Reason == schedule.ReasonRemoved {
			p.byID.Delete(c.ID)
			p.items.drop(it)
		}
	case it == nil:
		it := p.items.fresh()
		it.from = c.Entry.After.UnixMicro()
		it.key = key
		at, _ := p.byID.Place(c.ID, key, spot)
		*at = it.number
		p.active++
		p.start(it, c.Entry)
	case it.off:
		it.off, it.kept = false, 0
		p.gone.back(it)
		p.active++
		it.from = max(it.from, c.Entry.After.UnixMicro())
		p.start(it, c.Entry)
	case it.digest == c.Entry.Digest && (it.entry == 0 || p.items.entry(it).Name == c.Entry.Name):
		// Nothing that planning or sending looks at has changed.
	default:
		p.replace(it, c.Entry)
	}
}

// item is the entry's, nil for one that is not known.
func (p *Planner) item(id schedule.ID) *item {
	number, _ := p.byID.Get(id)
	return p.items.at(number)
}

// end takes it out of the agenda.
func (p *Planner) end(it *item, reason string) {
	if !it.off {
		p.active--
		handed := p.handed(it)
		it.from = max(it.from, p.ended(it, reason, handed, nil, time.Time{}).UnixMicro())
		before := p.former.of[it]
		p.went(it, before, max(handed, p.forsake(it, handed, reason, nil)))
	}
	it.off = true
	p.withdraw(it)
}

// start puts it into the agenda. Slots of a pause that has ended end with it.
func (p *Planner) start(it *item, e *schedule.Entry) {
	from := time.UnixMicro(it.from)
	owed, next := beside(e.Spec, from, p.unsent(it, from))
	if until := e.PausedUntil; until.After(from) {
		for ; len(owed) > 0 && !owed[0].After(until); owed = owed[1:] {
			p.urgent = append(p.urgent, ended(e, owed[0], owed[0], schedule.Skipped, schedule.ReasonPaused))
		}
		if !next.IsZero() && !next.After(until) {
			last := schedule.Latest(e.Spec, next.Add(-time.Microsecond), until)
			p.urgent = append(p.urgent, ended(e, next, last, schedule.Skipped, schedule.ReasonPaused))
			next = e.Spec.Next(until)
		}
		it.from = until.UnixMicro()
	}
	p.place(it, e, next, len(owed) > 0)
	for _, slot := range owed {
		p.owe(it, schedule.Due{Entry: e, Slot: slot})
	}
}

// replace gives it a new definition. Slots that were handed over from the old
// one and not sealed are withdrawn; the new one answers for those it gives too.
func (p *Planner) replace(it *item, entry *schedule.Entry) {
	it.kept = 0
	from := time.UnixMicro(it.from)
	was, handed := p.items.spec(it), p.handed(it)
	same := was.String() == entry.Spec.String()
	switch {
	case entry.Since != 0: // also the same rule, if it was another meanwhile
		from = schedule.Later(from, time.UnixMicro(entry.Since))
	case !same:
		from = schedule.Later(from, entry.After) // a new rule counts from its edit
	}
	if entry.After.UnixMicro() > handed { // another node led then, and ended what it planned
		from = schedule.Later(from, entry.After)
	}
	sealed := p.ended(it, schedule.ReasonEdited, handed, entry, from)
	p.forsake(it, handed, schedule.ReasonEdited, func(slot time.Time) bool { return slot.After(from) && schedule.Gives(entry.Spec, slot) })
	var owed []time.Time
	if !same {
		owed = between(was, entry.Spec, from, sealed)
	}
	unsent := p.unsent(it, from)
	owed = slices.DeleteFunc(owed, func(slot time.Time) bool { return slices.ContainsFunc(unsent, slot.Equal) })
	from = schedule.Later(from, sealed)
	more, next := beside(entry.Spec, from, unsent)
	owed = append(owed, more...)
	it.from = from.UnixMicro() // the next edit's start, if it comes before a slot does
	p.place(it, entry, next, len(owed) > 0)
	for _, slot := range owed {
		p.owe(it, schedule.Due{Entry: entry, Slot: slot})
	}
}

// beside returns the slots after from that are not among those which have ended unsent, up to the last of these, and the next
// one after that.
func beside(spec schedule.Spec, from time.Time, unsent []time.Time) (owed []time.Time, next time.Time) {
	next = spec.Next(from)
	for len(unsent) > 0 && !next.IsZero() && !next.After(unsent[len(unsent)-1]) {
		if !slices.ContainsFunc(unsent, next.Equal) {
			owed = append(owed, next)
		}
		next = spec.Next(next)
	}
	return owed, next
}

// between returns the slots after from, before the last that the former spec sent,
// which it did not give and the new one does: it counts since then, and was told of late.
func between(former, spec schedule.Spec, from, sealed time.Time) (owed []time.Time) {
	for slot := spec.Next(from); !slot.IsZero() && slot.Before(sealed); slot = spec.Next(slot) {
		if !schedule.Gives(former, slot) {
			owed = append(owed, slot)
		}
	}
	return owed
}

// owe readies a slot from before those that it is planned from.
func (p *Planner) owe(it *item, due schedule.Due) {
	if reason, _ := p.windows.Closed(due.Entry, due.Slot); reason != "" {
		due.State, due.Reason = schedule.Skipped, reason
	} else if due.State = due.Entry.Missed(due.Slot, p.now()); due.State != "" {
		due.Reason = schedule.ReasonMisfire
	}
	if due.State != "" {
		due.Through, due.Count = due.Slot, 1
	}
	it.stays = true // an edit must find the definition while the slot is on its way
	p.urgent = append(p.urgent, due)
}

// handed returns an instant up to which slots of it were handed over or settled, and after
// which none was. The item is not off.
func (p *Planner) handed(it *item) int64 {
	if it.at == absent && !it.held {
		return it.next // its last slot, or 0
	}
	if last := schedule.Latest(p.items.spec(it), time.UnixMicro(it.from), time.UnixMicro(it.next-1)); !last.IsZero() {
		return last.UnixMicro()
	}
	return it.from
}

// submit readies a run that a person asked for.
func (p *Planner) submit(due schedule.Due) {
	it := p.item(due.Entry.ID)
	switch {
	case due.State != "":
	case it == nil || it.off:
		due.State, due.Reason, due.Count = schedule.Skipped, cmp.Or(due.Reason, "not enabled"), 1
	case it.entry == 0:
		p.left.owed = append(p.left.owed, due)
		p.want(it)
		return
	case due.Request == "":
		due.Entry, due.Reason = p.items.entry(it), ""
		p.owe(it, due)
		return
	default:
		due.Entry, due.Reason = p.items.entry(it), ""
		it.stays = true // an edit must find the definition while the run is on its way
	}
	p.urgent = append(p.urgent, due)
}

func (p *Planner) state() State {
	now := p.now().UnixMicro()
	s := State{Entries: p.active, Overdue: len(p.urgent) + p.turns.overdue(now, math.MaxInt) + p.left.agenda.overdue(now, math.MaxInt)}
	sooner := func(it *item) {
		if slot := it.slot(); s.Next.IsZero() || slot.Before(s.Next) {
			s.Next = slot
		}
	}
	for it := range p.left.held {
		if it.next <= now {
			s.Overdue++
		}
		sooner(it)
	}
	for _, first := range []*item{p.turns.first(), p.left.agenda.first()} {
		if first != nil {
			sooner(first)
		}
	}
	return s
}
