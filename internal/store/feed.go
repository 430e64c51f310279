package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/onebeat/onebeat/internal/schedule"
)

// A Watcher takes what a Roster finds of a shard. Its methods are called one at a
// time; an error ends Lead, which returns it.
type Watcher interface {
	// Apply takes news of entries, at most a chunk of a thousand or so. News of an entry
	// that did not change may come again.
	Apply(ctx context.Context, changes []schedule.Change) error
	// Loaded says that all entries of the catalog were applied once.
	Loaded()
	// Asked takes requests for runs that are not recorded, each once a Lead.
	// Those claimed by a batch of the journal may be among them.
	Asked(ctx context.Context, requests []Request) error
}

// A feed tells which rows may have changed.
type feed interface {
	// open connects, and takes the state of the database as the point to go on from.
	open(ctx context.Context) error
	close()
	// wait returns when rows may have changed, when poked, or when the time is over.
	wait(ctx context.Context, poke <-chan struct{}, atMost time.Duration) error
	// hinted returns the entries that the log of changes named since it was last
	// asked, one perhaps several times; "" among them stands for any. It names any too where
	// it is cheaper to look at all rows than to follow so many.
	hinted(ctx context.Context) ([]string, error)
	// all calls each for all rows.
	all(ctx context.Context, each func(*row) error) error
	// written returns the ids of rows that were written since it was last asked, or since
	// before all, and perhaps others, also some that are gone; and how many rows there are. It may be called beside the
	// other methods.
	written(ctx context.Context) (ids []string, count int, err error)
	// some calls each for the rows of these ids that are there. It may be called beside the
	// other methods.
	some(ctx context.Context, ids []string, each func(*row) error) error
}

// hints reads what the log of changes has after since, a point in the order of
// the dialect, and moves since on if all of it was read. More are given to the statement.
func hints[Point any](ctx context.Context, q querier, since *Point, more ...any) (ids []string, err error) {
	next := *since
	err = q.each(ctx, "changes", func(row scanner) error {
		var id *string
		if err := row.Scan(&next, &id); err != nil {
			return err
		}
		if id != nil {
			ids = append(ids, *id)
		}
		return nil
	}, append([]any{*since}, more...)...)
	if err == nil {
		*since = next
	}
	return ids, err
}

// poll returns when something moved, which it asks at each interval, when poked, or
// when the time is over.
func poll(ctx context.Context, poke <-chan struct{}, atMost, interval time.Duration, moved func() (bool, error)) error {
	over := time.NewTimer(atMost)
	defer over.Stop()
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-poke:
			return nil
		case <-over.C:
			return nil
		case <-tick.C:
		}
		if yes, err := moved(); yes || err != nil {
			return err
		}
	}
}

const (
	chunk         = 1000                   // rows that are read or applied at a time
	hintedSweep   = 30 * time.Second       // between looks at all rows where triggers tell of changes, and at most where a mark does
	hintedLook    = time.Second            // and between looks at the log of changes, for a notice may be lost, as behind a pooler of connections
	markedSweep   = time.Second            // and at least where a mark does
	unhintedSweep = 750 * time.Millisecond // and where neither does, from when one begins until the next has ended and found what is gone
	sweepFrom     = 10 * chunk             // so many rows that were written are dearer to follow than to look at all
	mostHints     = 200 * chunk            // and so many hints where such a look costs more
	pruneInterval = 10 * time.Minute

	herdedSweep = 2 * hintedSweep // as hintedSweep while a herd is recorded, whose every row such a look would read again meanwhile
	herdRest    = 2 * time.Second // after which without a large record none is any more
)

// Load tells of every entry as it is now, in chunks, with run state as the
// database knows it, and remembers what it sees for the first time. It is for who
// holds the lease. It ends when all were told of.
func (s *Store) Load(ctx context.Context, apply func(context.Context, []schedule.Change) error) error {
	w := s.newWatch(1)
	l := &lead{ctx: ctx, term: s.Shard(0).term.Load(), watcher: loader(apply), failed: make(chan error, 1), begun: true} // nobody has to hand over to it
	w.leads[0] = l
	err := w.load(ctx)
	if err == nil {
		err = w.writeLater(ctx)
	}
	select {
	case refused := <-l.failed:
		return refused
	default:
	}
	if err != nil {
		return fmt.Errorf("load entries: %w", err)
	}
	return nil
}

// A loader is a Watcher of entries alone.
type loader func(context.Context, []schedule.Change) error

func (l loader) Apply(ctx context.Context, changes []schedule.Change) error { return l(ctx, changes) }
func (l loader) Loaded()                                                    {}
func (l loader) Asked(context.Context, []Request) error                     { return nil }

// run watches the catalog until ctx ends.
func (w *watch) run(ctx context.Context) error {
	defer func() { w.feed.close() }()
	defer w.heed(ctx)()
	waits := backoff.NewExponentialBackOff()
	waits.InitialInterval, waits.MaxInterval = 100*time.Millisecond, 5*time.Second
	lost := false
	for {
		err := w.follow(ctx, func() {
			waits.Reset()
			if lost {
				w.store.log.InfoContext(ctx, "watching the catalog again")
			}
			lost = false
		})
		switch {
		case ctx.Err() != nil:
			return nil
		case !w.loaded:
			return fmt.Errorf("load entries: %w", err)
		}
		if !lost {
			w.store.log.WarnContext(ctx, "lost sight of the catalog; going on with the entries known", "err", err)
		}
		lost = true
		w.feed.close()
		select {
		case <-ctx.Done():
			return nil
		case <-w.store.poke: // somebody comes to lead: the database is back
		case <-time.After(waits.NextBackOff()):
		}
	}
}

// A watch is what a Roster does. Its methods are called by one goroutine.
type watch struct {
	store   *Store
	shards  int
	feed    feed
	reading reading
	shaped  shape // of the table when all rows were read

	seen    schedule.ByID[known]            // all rows
	held    map[schedule.ID]*schedule.Entry // of them, see known
	paused  map[string]time.Time            // when pauses end by themselves
	whole   map[string]bool                 // entries whose definition is not left in the catalog: who leads was to be told of them first
	named   map[string][]string             // the calendars that rows name
	moved   []atomic.Bool                   // sources that may have changed, in order
	leads   map[int]*lead                   // by shard
	writing map[*lead]bool                  // in whose names something is about to be written down

	beyond  int // rows more than entries, as they were when it was last looked which ids have several
	doubled int // and those that had

	windows      *schedule.Windows // as those who lead were told; nil as long as there are none
	windowsPrint digest

	known chan struct{} // closed when all were read once
	count atomic.Int64  // of rows that are seen

	aside     aside
	calendars atomic.Pointer[calendars] // as those who lead were told of them

	telling chan<- func() // see beside
	later   later

	mu     sync.Mutex
	coming []*lead // who came to lead and is not in leads yet

	asked    bool        // requests may have come since they were read
	again    bool        // tell of rows that did not change too
	over     func() bool // what is read is of no use any more; nil: it is
	loaded   bool
	hints    bool // triggers write the log of changes
	mark     mark
	sweptAt  time.Time
	scanFor  time.Duration // how long it then took to look which rows were written, but the first time
	sweepFor time.Duration // and all of it, with the reading of those and the search for those that are gone
	pruneAt  time.Time

	writes    writes    // when the last look at all rows began
	countedAt time.Time // when they were last asked for

	refreshedAt time.Time // see refresh

	untold   []untold // read and not yet told of
	sketched int      // and so many sketches of those who lead

	soonEnough int64 // see there

	commons commons
	about   int  // so many rows there seemed to be before they were read
	large   bool // there are many more than definitions are held: of those that are not due soon none is

	looking bool      // a look goes on, and news may come in between
	heardAt time.Time // when the log of changes was last read
	waiting []string  // entries that it named then, more than are told of in between
	every   bool      // it said that any entry may have changed
	written []string  // rows that a look at all of them found to be written, and that were not read since

	unread    int      // entries of seen that are remembered, and not read yet
	undressed []string // bare rows that are to be read with all that is remembered of them
}

func (s *Store) newWatch(shards int) *watch {
	return &watch{
		store: s, shards: shards, feed: s.newFeed(), known: make(chan struct{}),
		held: map[schedule.ID]*schedule.Entry{}, paused: map[string]time.Time{}, leads: map[int]*lead{}, writing: map[*lead]bool{}, whole: map[string]bool{},
		named: map[string][]string{}, moved: make([]atomic.Bool, len(s.sources)),
		pruneAt: time.Now().Add(pruneInterval), soonEnough: soonEnough,
	}
}

// follow loads and then looks for changes until something fails.
func (w *watch) follow(ctx context.Context, connected func()) error {
	if err := w.feed.open(ctx); err != nil { // first, so that no change falls in between
		return err
	}
	w.admit()
	if err := w.load(ctx); err != nil {
		return err
	}
	connected()
	for {
		if err := w.begin(ctx); err != nil {
			return err
		}
		err := w.look(ctx)
		if errors.Is(err, errAwaited) {
			continue
		}
		if errors.Is(err, errReshaped) {
			w.store.log.InfoContext(ctx, "the table has other columns; reading all entries again")
			err = w.load(ctx)
		}
		if err != nil {
			return err
		}
		if err := w.writeSome(ctx); err != nil {
			return err
		}
		if err := w.feed.wait(ctx, w.store.poke, w.interval()); err != nil {
			return err
		}
	}
}

// interval is how long to wait for a hint: until the next look or sweep, or until a pause ends.
func (w *watch) interval() time.Duration {
	if w.every || len(w.waiting) > 0 {
		return 0
	}
	if w.later.length > 0 {
		return w.later.rest
	}
	wait := min(max(w.sweepInterval()-time.Since(w.sweptAt), 0), hintedLook, schedule.Beat(w.store.options.Node, time.Now(), w.store.leaseFor/5))
	if w.counted() {
		wait = min(wait, writesInterval)
	}
	for _, until := range w.paused {
		wait = min(wait, max(time.Until(until), 0))
	}
	return wait
}

// sweepInterval is the rest after a look at all rows. Where no trigger tells of edits, it is as long as lets an edit
// that just escapes this one be told of by the next within unhintedSweep, also if rows are gone: to find
// out which takes as long as the look. But of three moments the server looks in one at most, and has to do
// with what was found in half of them at most. Where a mark tells of edits, it rests nearly always. Where triggers
// do, it is twice as long for a herd, which needs the database for itself: the look finds but what goes past them.
func (w *watch) sweepInterval() time.Duration {
	switch {
	case w.hints && w.store.herding():
		return herdedSweep
	case w.hints:
		return hintedSweep
	case w.store.layout.marks:
		return max(markedSweep, min(10*w.sweepFor, hintedSweep), 2*w.sweepFor)
	}
	return max(unhintedSweep-3*w.scanFor, 2*w.scanFor, w.sweepFor)
}

// herding says whether a herd is being recorded, by its large records.
func (s *Store) herding() bool {
	return time.Now().UnixNano()-s.herdedAt.Load() < int64(herdRest)
}

// load reads all rows, and tells of those that differ from what was told before.
func (w *watch) load(ctx context.Context) error {
	w.forget()
	w.waiting, w.written, w.every = nil, nil, false
	w.asked = true
	if err := w.store.look(ctx); err != nil {
		return err
	}
	w.shaped = w.store.shape()
	if err := w.settleAll(ctx); err != nil {
		return err
	}
	if err := w.readMark(ctx); err != nil {
		return err
	}
	if err := w.countWrites(ctx); err != nil {
		return err
	}
	begin := w.store.beginning
	if w.leading() > 0 {
		begin = w.store.begin
	}
	first, err := begin(ctx)
	if err != nil {
		return err
	}
	taken, err := w.store.Taken(ctx)
	if err != nil {
		return err
	}
	calendars := w.reading.calendars
	if !w.loaded {
		if err := w.expect(ctx); err != nil {
			return err
		}
	}
	told := map[int]bool{} // still, of those who lead on
	for shard := range w.shards {
		told[shard] = w.reading.told[shard] && w.leadOn(shard) != nil
	}
	w.reading = reading{store: w.store, home: w.store.home(w.store.shape()), first: first, remember: w.remembers, holds: w.holds, calendars: calendars, taken: taken, later: &w.later, told: told}
	err = w.beside(func() error {
		if err := w.before(ctx); err != nil {
			return err
		}
		if err := w.readAll(ctx); err != nil {
			return err
		}
		return w.outside(ctx, true)
	})
	w.reading.later = nil
	if err != nil {
		return err
	}
	w.count.Store(int64(w.seen.Len()))
	w.told()
	for shard := range w.shards {
		l := w.leadOn(shard)
		w.reading.told[shard] = l != nil && l.begun
	}
	return nil
}

// expect makes ready for as many rows as there seem to be.
func (w *watch) expect(ctx context.Context) error {
	most := w.store.options.Held
	if most == 0 || w.store.layout.table == "" {
		return nil
	}
	err := w.store.db.each(ctx, "rows_about", func(row scanner) error { return row.Scan(&w.about) }, w.store.layout.table)
	if err != nil {
		return fmt.Errorf("look how large the catalog is: %w", err)
	}
	if w.large = w.about > 2*most; w.large {
		w.seen.Grow(w.about)
	}
	return nil
}

// told notes that all rows were read once.
func (w *watch) told() {
	if w.loaded {
		return
	}
	w.loaded = true
	w.refreshedAt = time.Now()
	for _, l := range w.leads {
		if l.first {
			l.done()
		}
	}
	close(w.known)
}

// begun remembers of shards that are led here, and were told of, that their entries were read to their end, if the first
// start goes on for them.
func (w *watch) begun(ctx context.Context) error {
	first := &w.reading.first
	if !first.loading {
		return nil
	}
	for shard := range w.shards {
		if !first.loadingOf(shard) || !w.reading.told[shard] || w.leadOn(shard) == nil {
			continue
		}
		if err := w.store.begun(ctx, shard); err != nil {
			return err
		}
		first.loaded[shard] = true
	}
	first.loading = len(first.loaded) < w.shards
	return nil
}

// take keeps the row for the next apply if it says anything new.
func (w *watch) take(ctx context.Context, r *row) error {
	r.calendars = w.reading.calendars
	zone := r.zoneOr(w.store.options.Zone)
	r.common = w.commons.of(r, zone)
	if names := r.ruling().Calendars; len(names) > 0 {
		w.named[r.id] = names
	} else if len(w.named) > 0 {
		delete(w.named, r.id)
	}
	print := r.fingerprint(zone)
	if w.reading.done(r) {
		print = ^print
	}
	delete(w.paused, r.id)
	if r.paused() && !r.pausedUntil.IsZero() {
		// By this process's clock, which alone wakes it, however far off it may be.
		w.paused[r.id] = time.Now().Add(r.pausedUntil.Sub(r.readAt))
	}
	k, ok := w.knownOf(r)
	r.print = print
	if r.bare && !w.dress(r, k, ok) {
		w.undressed = append(w.undressed, r.id)
		return nil
	}
	if ok && k.print == print && !k.remembered() {
		if w.same(r, k) {
			return nil
		}
		r.was = w.held[schedule.ID(r.id)]
	}
	r.mayLeave = r.was == nil && w.mayLeave(r)
	if len(w.untold)+w.sketched == 0 {
		clear(w.writing)
	}
	if change, sketched := w.change(r, !ok || k.remembered()); !sketched {
		w.untold = append(w.untold, untold{change, r.place(), r.spot, r.print, r.unwritten})
	}
	if len(w.untold)+w.sketched < chunk {
		return nil
	}
	return w.apply(ctx)
}

// apply tells of the rows that were taken. What could not be told of is new again.
func (w *watch) apply(ctx context.Context) error {
	if len(w.untold)+w.sketched == 0 {
		return nil
	}
	err := w.reading.writeDown(ctx)
	if err == nil {
		err = w.notePutOffs(ctx)
	}
	if err != nil {
		w.forget()
		return err
	}
	w.tellSketches()
	changes := make([]schedule.Change, len(w.untold))
	for i := range w.untold {
		w.keep(&w.untold[i])
		changes[i] = w.untold[i].change
	}
	clear(w.untold)
	w.untold = w.untold[:0]
	if len(changes) > 0 {
		w.tell(changes)
	}
	if w.later.length >= laterMost {
		return w.writeSome(ctx)
	}
	return nil
}

// remove tells that entries are gone. Those that it could not tell of are found to be
// gone again by the next look. Nodes remember them in one order, so that they do not
// hold each other up.
func (w *watch) remove(ctx context.Context, gone map[string]bool) error {
	var changes []schedule.Change
	for _, id := range slices.Sorted(maps.Keys(gone)) {
		if _, ok := w.seen.Get(schedule.ID(id)); ok {
			changes = append(changes, schedule.Change{ID: schedule.ID(id), Reason: schedule.ReasonRemoved})
		}
	}
	for len(changes) > 0 {
		part := changes[:min(chunk, len(changes))]
		changes = changes[len(part):]
		if err := w.lose(ctx, part); err != nil {
			return err
		}
		for _, change := range part {
			w.drop(change.ID)
			delete(w.paused, string(change.ID))
			delete(w.named, string(change.ID))
		}
		w.tell(part)
	}
	return nil
}

// lose remembers that entries have no slots: when a row of the id comes back, its
// slots count from then.
func (w *watch) lose(ctx context.Context, gone []schedule.Change) error {
	if w.reading.home == HomeMemory {
		for _, change := range gone {
			w.store.memory.drop(change.ID)
		}
		return nil
	}
	var ids []string
	clear(w.writing)
	for _, change := range gone {
		if id := string(change.ID); w.remembers(id) {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	err := w.store.db.transact(ctx, mode{relaxed: true}, func(tx transaction) error {
		if err := tx.many(ctx, "entry_lost", ids); err != nil {
			return err
		}
		return w.holds(ctx, tx)
	})
	if err != nil {
		return fmt.Errorf("remember removed entries: %w", err)
	}
	return nil
}

// tell tells those who lead of what is theirs.
func (w *watch) tell(changes []schedule.Change) {
	parts := map[int][]schedule.Change{0: changes}
	if w.shards > 1 {
		parts = map[int][]schedule.Change{}
		for _, change := range changes {
			shard := change.ID.Shard(w.shards)
			parts[shard] = append(parts[shard], change)
		}
	}
	for shard, part := range parts {
		if l := w.leadOn(shard); l != nil {
			w.call(l, func(ctx context.Context) error { return l.watcher.Apply(ctx, part) })
		}
	}
}

// requests tells of runs that were asked for, if any may have been.
func (w *watch) requests(ctx context.Context) error {
	if !w.asked || w.leading() == 0 {
		return nil
	}
	pending, err := w.store.Requests(ctx)
	if err != nil {
		return err
	}
	w.asked = false
	for shard := range w.shards {
		if l := w.leadOn(shard); l != nil {
			w.ask(l, pending)
		}
	}
	return nil
}

// ask tells of those of the requests that are for the shard and were not told of.
func (w *watch) ask(l *lead, pending []Request) {
	var news []Request
	still := map[string]bool{}
	for _, request := range pending {
		if request.Entry.Shard(w.shards) != l.shard {
			continue
		}
		still[request.ID] = true
		if !l.asked[request.ID] {
			news = append(news, request)
		}
	}
	l.asked = still
	if len(news) > 0 {
		l.call(func(ctx context.Context) error { return l.watcher.Asked(ctx, news) })
	}
}

// prune forgets, from time to time, what nobody will ask for.
func (w *watch) prune(ctx context.Context) error {
	if time.Now().Before(w.pruneAt) || w.leading() == 0 {
		return nil
	}
	w.pruneAt = time.Now().Add(pruneInterval)
	err := w.meanwhile(ctx, func(ctx context.Context) error {
		if _, err := w.store.db.exec(ctx, "changes_prune"); err != nil {
			return err
		}
		others, all := w.store.outsiders()
		if !all {
			return nil
		}
		_, err := w.store.db.exec(ctx, "entries_forget", others)
		return err
	})
	if err != nil {
		return fmt.Errorf("prune: %w", err)
	}
	return nil
}
