package store

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
)

// A Roster is the catalog as this process knows it, kept up to date while Run runs,
// so that the process can lead a shard the moment it has its lease.
//
//   - Of a shard that is not led here it reads only: nothing is remembered in the
//     database, not even that an entry was seen. Whoever leads does that.
//   - An entry's run state may be old there. When the shard comes to be led, what may
//     have moved meanwhile is read again, and nothing else: an entry that had no slot
//     since its run state was read has none that another node could have ended.
type Roster struct {
	watch *watch
}

// Roster returns one that has read nothing yet.
func (s *Store) Roster() *Roster { return &Roster{s.newWatch(s.options.Shards)} }

const (
	// standbyWait is for how long a roster that leads nothing puts off its first
	// reading: a node that gets its lease at once is told of rows while they are read.
	standbyWait = time.Second

	// refreshInterval is how often the run state of entries that had a slot is read
	// again where another node leads, and refreshMost of how many at a time, beside a
	// tenth of all: what is left is read when this process comes to lead.
	refreshInterval = 5 * time.Second
	refreshMost     = 10 * chunk

	// endedAhead is more than by what a node's clock, which tells when a slot has come,
	// may go before the database's.
	endedAhead = time.Second

	// dearer is how many rows are looked at for what one costs that is read by its id, about.
	dearer = 50

	// near is how close to now a slot is for its entry to be told of among the first.
	near = 2 * time.Second
)

// never is the next slot of an entry that has none.
const never = math.MaxInt64

// Run keeps the roster up to date until ctx ends; then it returns nil. It returns an
// error when the catalog was not read to its end yet, and can't be; it may be called
// again. A connection that is lost later is made anew, and what was missed meanwhile
// is seen then.
func (r *Roster) Run(ctx context.Context) error {
	if !r.watch.awaitLead(ctx, standbyWait) {
		return nil
	}
	return r.watch.run(ctx)
}

// Entries returns those of the entries that can be planned, as the database has
// them now, in no order, with calendars as they were last told of. Their run state is not
// theirs. It may be called from any goroutine, once Run has read the catalog.
func (r *Roster) Entries(ctx context.Context, ids []schedule.ID) ([]*schedule.Entry, error) {
	s := r.watch.store
	texts := make([]string, len(ids))
	for i, id := range ids {
		texts[i] = string(id)
	}
	entries := make([]*schedule.Entry, 0, len(ids))
	calendars := r.watch.calendars.Load()
	err := s.some(ctx, s.newFeed(), texts, func(row *row) error {
		row.calendars = calendars
		if !row.enabled || row.paused() {
			return nil
		}
		if entry, err := row.entry(&s.options); err == nil { // who leads is told why it is not
			entries = append(entries, entry)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read definitions: %w", err)
	}
	return entries, nil
}

// Known is closed once all entries were read. Count is then how many.
func (r *Roster) Known() <-chan struct{} { return r.watch.known }

// Count is how many rows the catalog had when it was last looked at.
func (r *Roster) Count() int { return int(r.watch.count.Load()) }

// Aside returns rows that cannot be used, at most so many, by their names, and how many there are in all. It may be called
// from any goroutine.
func (r *Roster) Aside(most int) ([]Aside, int) { return r.watch.aside.some(most) }

// Lead tells the watcher of every entry of the shard, with run state as it is at the
// time, then of changes as they come, until ctx ends; then it returns nil. The
// process must hold the shard's lease, as it acquired it last: nothing of what it sees is
// remembered once that term is over. The entries of these ids come first, then those
// whose slots are near. Lead returns the watcher's error if it returns one. It waits for
// Run.
func (r *Roster) Lead(ctx context.Context, shard int, first []schedule.ID, watcher Watcher) error {
	led := r.watch.store.Shard(shard)
	l := &lead{ctx: ctx, shard: shard, term: led.term.Load(), ids: texts(first), watcher: watcher, failed: make(chan error, 1), asked: map[string]bool{}}
	l.after = l.term > led.led.Swap(l.term)+1
	w := r.watch
	w.mu.Lock()
	w.coming = append(w.coming, l)
	w.mu.Unlock()
	w.store.wake()
	defer l.end()
	select {
	case <-ctx.Done():
		return nil
	case err := <-l.failed:
		return err
	}
}

// A lead is one call of Lead.
type lead struct {
	ctx     context.Context
	shard   int
	term    int64    // 0 where the process did not acquire the lease
	after   bool     // another node has led since this one last did
	ids     []string // to be told of first
	watcher Watcher
	failed  chan error // has room for one

	// Owned by Run's goroutine.
	begun bool            // the watcher was told of all
	first bool            // it is told of all as they are read the first time
	asked map[string]bool // requests that it was told of

	windows *schedule.Windows // that it was told of

	sketches []schedule.Sketch // that it was not told of yet

	calling sync.Mutex // the watcher is called
	over    atomic.Bool
}

func (l *lead) ended() bool { return l.over.Load() || l.ctx.Err() != nil }

// end returns when the watcher is called no more.
func (l *lead) end() {
	l.over.Store(true)
	l.calling.Lock()
	defer l.calling.Unlock()
}

// call calls the watcher of l, at once or, while the catalog is loaded, as soon as it has
// taken what it was told before.
func (w *watch) call(l *lead, tell func(ctx context.Context) error) {
	if w.telling == nil {
		l.call(tell)
		return
	}
	w.telling <- func() { l.call(tell) }
}

// ahead is how many chunks may be read beyond the one that watchers take.
const ahead = 4

// beside does what tells watchers of rows, while they take what they were told.
func (w *watch) beside(do func() error) error {
	telling, told := make(chan func(), ahead), make(chan struct{})
	w.telling = telling
	go func() {
		defer close(told)
		for tell := range telling {
			tell()
		}
	}()
	err := do()
	w.telling = nil
	close(telling)
	<-told
	return err
}

// call calls the watcher, whose first error ends the lead.
func (l *lead) call(tell func(ctx context.Context) error) {
	l.calling.Lock()
	defer l.calling.Unlock()
	if l.ended() {
		return
	}
	if err := tell(l.ctx); err != nil && l.ctx.Err() == nil {
		l.over.Store(true)
		l.failed <- err
	}
}

// done tells the watcher that it knows all, once.
func (l *lead) done() {
	if l.begun {
		return
	}
	l.begun, l.ids = true, nil
	l.call(func(context.Context) error {
		l.watcher.Loaded()
		return nil
	})
}

// A known is what a watch knows of a row. There are millions of them, in which there is
// nothing for the collector of garbage to look at: entries are held apart, as they
// were last read. Where there is none there is nothing to plan, or, in a large catalog, it is
// read again when it is wanted: then next is not never.
type known struct {
	print uint64 // its fingerprint

	// next is the first slot after its entry's After, in Unix microseconds: once that has
	// come, run state may have moved. 0 says that it has to be read again for another
	// reason. It means nothing where the shard is led here.
	next int64
}

// awaitLead returns once Lead was called or the wait is over; false once ctx has ended.
func (w *watch) awaitLead(ctx context.Context, wait time.Duration) bool {
	over := time.NewTimer(wait)
	defer over.Stop()
	for {
		if w.awaited() || w.leading() > 0 {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-over.C:
			return true
		case <-w.store.poke:
		}
	}
}

// awaited says whether somebody has come to lead.
func (w *watch) awaited() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.coming) > 0
}

// admit takes over who came to lead.
func (w *watch) admit() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range w.coming {
		l.first = w.seen.Len() == 0
		maps.DeleteFunc(w.whole, func(id string, _ bool) bool { return schedule.ID(id).Shard(w.shards) == l.shard }) // of who led before
		for _, id := range l.ids {
			w.whole[id] = true
		}
		w.leads[l.shard] = l
		delete(w.reading.told, l.shard) // to anyone who was to write it down
		w.store.Shard(l.shard).later.Store(&w.later)
		w.asked = true
	}
	w.coming = nil
}

// leadOf returns who leads the row's shard here, or nil.
func (w *watch) leadOf(id string) *lead { return w.leadOn(schedule.ID(id).Shard(w.shards)) }

func (w *watch) leadOn(shard int) *lead {
	l := w.leads[shard]
	if l != nil && l.ended() {
		delete(w.leads, shard)
		return nil
	}
	return l
}

// leading says on how many shards this process leads.
func (w *watch) leading() (n int) {
	for shard := range w.shards {
		if w.leadOn(shard) != nil {
			n++
		}
	}
	return n
}

// remembers says whether what is seen of the row for the first time is to be written
// down: who leads its shard does that.
func (w *watch) remembers(id string) bool {
	l := w.leadOf(id)
	if l == nil {
		return false
	}
	w.writing[l] = true
	return true
}

// holds fails, and ends the lead, where the term is over of one in whose name something
// is to be written down: a process that was frozen in between would write what is old.
func (w *watch) holds(ctx context.Context, tx transaction) error {
	for l := range w.writing {
		if l.term == 0 {
			continue
		}
		held := false
		err := tx.each(ctx, "lease_check", func(scanner) error {
			held = true
			return nil
		}, l.shard, l.term)
		if err != nil {
			return err
		}
		if !held {
			l.over.Store(true)
			return schedule.ErrLost
		}
	}
	return nil
}

// keep keeps what a row says, for when its shard is led here.
func (w *watch) keep(n *untold) {
	id, entry, k := n.change.ID, n.change.Entry, known{print: n.print}
	w.aside.note(&n.change)
	switch {
	case n.unwritten, w.leadOf(string(id)) != nil:
	case entry == nil:
		k.next = never
	default:
		k.next = nextSlot(entry)
	}
	fresh := w.know(id, n.key, n.spot, k)
	w.hold(id, entry, fresh)
}

// know notes what is known of a row from now on, and says whether nothing was known.
func (w *watch) know(id schedule.ID, key schedule.Key, spot schedule.Spot, k known) (fresh bool) {
	at, fresh := w.seen.Place(id, key, spot)
	if at.remembered() {
		w.unread--
		fresh = true
	}
	*at = k
	return fresh
}

// mayLeave says whether the definition of the row need not be held, nor made to be sent.
func (w *watch) mayLeave(r *row) bool {
	options := &w.store.options
	if options.Sound == nil || options.Held == 0 || !w.large && len(w.held) < options.Held || w.whole[r.id] {
		return false
	}
	return r.place() != schedule.Key{}
}

// hold keeps the entry in the place of what was, if there is one and room for it. Of a row
// that is fresh there was none.
func (w *watch) hold(id schedule.ID, entry *schedule.Entry, fresh bool) {
	none, was := entry == nil || entry.Left(), false
	if !fresh {
		_, was = w.held[id]
	}
	switch most := w.store.options.Held; {
	case none && fresh:
	case none:
		delete(w.held, id)
	case was, most == 0, len(w.held) < most:
		w.held[id] = entry
	}
}

// drop forgets a row.
func (w *watch) drop(id schedule.ID) {
	w.seen.Delete(id)
	delete(w.held, id)
	w.aside.drop(id)
}

func nextSlot(e *schedule.Entry) int64 {
	if next := e.Spec.Next(e.After); !next.IsZero() {
		return next.UnixMicro()
	}
	return never
}

// same says whether the row, which says what it said before, says nothing new of its
// run state either.
func (w *watch) same(r *row, k known) bool {
	if w.again {
		return false
	}
	if w.leadOf(r.id) != nil {
		return true // it is planned here, which moves it
	}
	if k.next == 0 {
		return false
	}
	entry := w.held[schedule.ID(r.id)]
	if entry == nil { // it had no slot since, or never has one
		return k.next > r.readAt.Add(endedAhead).UnixMicro()
	}
	seen, _ := w.reading.seen(r)
	return entry.After.Equal(schedule.Later(seen.after, seen.last, w.reading.taken))
}

// begin hands over to those who came to lead.
func (w *watch) begin(ctx context.Context) error {
	w.admit()
	for _, l := range w.leads {
		if l.begun || l.ended() {
			continue
		}
		if err := w.handOver(ctx, l); err != nil {
			return err
		}
		l.done()
	}
	return nil
}

// before tells those who are told of rows while they are read of what is to come first.
func (w *watch) before(ctx context.Context) error {
	var ids []string
	for _, l := range w.leads {
		if l.first {
			ids = append(ids, l.ids...)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	concerned, err := w.lookAtCalendars(ctx)
	if err != nil {
		return err
	}
	if err := w.reread(ctx, concerned); err != nil {
		return err
	}
	if err := w.renew(ctx, ids, nil); err != nil {
		// An id may be none of this table's, as after a change to another catalog. They
		// come with the others then, and so does an error of the database.
		w.store.log.WarnContext(ctx, "entries that are to come first do not", "err", err)
		w.forget()
	}
	return nil
}

// handOver tells of all entries of the shard. Its lease was taken before: what an
// earlier holder of it wrote is there to be read, and it writes no more.
func (w *watch) handOver(ctx context.Context, l *lead) error {
	switch {
	case w.reading.first.loading: // or did so when this process last asked
		first, err := w.store.begin(ctx)
		if err != nil {
			return err
		}
		w.reading.first = first
	case w.reading.home != HomeMemory:
		putOff, err := w.store.putOffs(ctx)
		if err != nil {
			return fmt.Errorf("read what is not remembered yet: %w", err)
		}
		w.reading.first.putOff = putOff
	}
	// Rows that were edited while another led, whatever may have been sent from them.
	every, err := w.news(ctx)
	if err == nil && every {
		err = w.sweep(ctx)
	}
	if err == nil {
		err = w.outside(ctx, true)
	}
	if err != nil {
		return err
	}
	now, err := w.store.Now(ctx)
	if err != nil {
		return err
	}
	if l.after && w.reading.home == HomeMemory {
		w.beginAnew(l, now)
	}
	w.tellWindows()
	standing, err := w.standing(ctx, l, now)
	if err != nil {
		return err
	}
	named := slices.DeleteFunc(slices.Clone(l.ids), func(id string) bool { // of what the journal names it may never have seen a row that is there
		_, ok := w.seen.Get(schedule.ID(id))
		return !ok && !w.ownID(id) || standing[id]
	})
	if err := w.renew(ctx, named, l.ended); err != nil {
		return err
	}
	moved, soon, late, herds := w.near(l, now, standing)
	swept := w.hints || every
	look := func() error { // what is handed over as it is known must not be another by now
		if swept || l.ended() {
			return nil
		}
		swept = true
		return w.sweep(ctx)
	}
	if err := w.renew(ctx, moved, l.ended); err != nil {
		return err
	}
	if swept || len(soon) > w.seen.Len()/dearer {
		err = look()
	} else {
		err = w.renew(ctx, soon, l.ended) // they are few, and need not wait for a look at all rows
	}
	if err != nil {
		return err
	}
	w.hand(l, l.ids) // of which those that were read were told of
	w.hand(l, soon)
	p := w.far(l, now, l.ids, moved, soon, late, herds)
	for _, step := range []func() error{
		func() error { return w.renew(ctx, append(late, p.late...), l.ended) },
		func() error { return w.renew(ctx, w.often(ctx, &p), l.ended) },
		look,
		func() error { w.hand(l, p.known); return nil },
		func() error { return w.renew(ctx, p.coming, l.ended) },
		func() error { return w.renew(ctx, herds, l.ended) },
		func() error { return w.renew(ctx, p.moved, l.ended) },
		func() error { return w.renew(ctx, p.blank, l.ended) },
		func() error { return w.renew(ctx, p.unheld, l.ended) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	w.reading.told[l.shard] = true
	return nil
}

// beginAnew forgets what is in memory of the entries of l: another has ended slots of theirs.
func (w *watch) beginAnew(l *lead, now time.Time) {
	ours := func(id schedule.ID) bool { return w.leadOf(string(id)) == l }
	w.store.memory.anew(now, l.shard, ours)
	for id, k := range w.seen.All() {
		if ours(id) {
			k.next = 0
			w.seen.Set(id, k)
		}
	}
	w.reading.first = w.store.memory.begin(now)
}

// standing are those of many entries that had or have a slot at one instant, as in a herd, of which one look at all rows tells that it
// has not ended: they are as they are known. The others are to be read again.
func (w *watch) standing(ctx context.Context, l *lead, now time.Time) (map[string]bool, error) {
	if !w.store.knowsEnded() {
		return nil, nil
	}
	since, ahead, at := w.longAgo(now), now.Add(endedAhead).UnixMicro(), int64(0)
	herds := map[int64][]string{}
	for key, k := range w.seen.Where(func(k known) bool { return k.next >= since && k.next <= ahead }) {
		id, entry := string(key), w.held[key]
		if w.leadOf(id) == l && entry != nil && !limited(entry) && w.store.source(id) == nil {
			herds[k.next] = append(herds[k.next], id)
			if len(herds[k.next]) > len(herds[at]) {
				at = k.next
			}
		}
	}
	if len(herds[at]) <= max(chunk, w.seen.Len()/dearer) {
		return nil, nil
	}
	standing := make(map[string]bool, len(herds[at]))
	for _, id := range herds[at] {
		standing[id] = true
	}
	err := w.store.db.each(ctx, "ids_ended", func(row scanner) error {
		var id string
		err := row.Scan(&id)
		if standing[id] {
			delete(standing, id)
			k, _ := w.seen.Get(schedule.ID(id))
			k.next = 0
			w.seen.Set(schedule.ID(id), k)
		}
		return err
	}, time.UnixMicro(at).UTC())
	if err != nil {
		return nil, fmt.Errorf("look for slots that have ended: %w", err)
	}
	return standing, nil
}

// knowsEnded says whether a look at all rows tells of which entries a slot has ended. Where last_run_at holds a clock that is
// put back, what it says of a later slot may be the earlier time.
func (s *Store) knowsEnded() bool {
	_, ok := s.texts["ids_ended"]
	return ok && s.layout.table != "" && s.layout.clocks.runs.zone == nil && s.options.Home != HomeMemory
}

// longAgo is how old the last slot may be of entries that are told of before those that are known.
func (w *watch) longAgo(now time.Time) int64 {
	return now.Add(-near - refreshInterval - w.store.leaseFor).UnixMicro()
}

// near returns those of the lead's entries that have a slot near now, which are told of before the others: moved are those whose run
// state has to be read again. Those that are late had one before that and since their run state was last read, or while a node that
// was frozen led: it may be unsent, and the next may be close. Those that were late in herds, of more than a chunk at one instant,
// come after the others: to read a million takes ten seconds and more. Of a million it takes some milliseconds.
func (w *watch) near(l *lead, now time.Time, standing map[string]bool) (moved, soon, late, herds []string) {
	var slots []int64           // of those that are late
	together := map[int64]int{} // how many of them had one
	past, ahead, until := now.Add(-near).UnixMicro(), now.Add(endedAhead).UnixMicro(), now.Add(near).UnixMicro()
	since := w.longAgo(now)
	for id, k := range w.seen.Where(func(k known) bool { return k.next >= since && k.next <= until }) {
		entry := w.held[id]
		switch {
		case w.leadOf(string(id)) != l:
		case k.next > ahead && entry != nil && !limited(entry) || standing[string(id)]:
			soon = append(soon, string(id))
		case k.next < past:
			late, slots = append(late, string(id)), append(slots, k.next)
			together[k.next]++
		default:
			moved = append(moved, string(id))
		}
	}
	few := late[:0]
	for i, id := range late {
		if together[slots[i]] > chunk {
			herds = append(herds, id)
		} else {
			few = append(few, id)
		}
	}
	return moved, soon, few, herds
}

// parts are ids of the lead's entries of which none is known to have a slot near now, in the order in which they are told of: late are
// those that were told of when this process led before, and may have one by their spec, and blank such of which neither slot nor spec is known
// here; moved are the others whose run state has to be read again, and coming and unheld those whose definition has, of which coming have one
// within a minute.
type parts struct {
	late, blank, coming, moved, known, unheld []string
}

// often takes those out of p.blank that are due every few minutes, as far as the table tells in time, or all of them if they are few.
func (w *watch) often(ctx context.Context, p *parts) (often []string) {
	if len(p.blank) <= chunk {
		often, p.blank = p.blank, nil
		return often
	}
	looking, cancel := context.WithTimeout(ctx, soonWait)
	defer cancel()
	due := map[string]bool{}
	for _, id := range w.soon(looking, "ids_soon", soonMost) {
		due[id] = true
	}
	p.blank = slices.DeleteFunc(p.blank, func(id string) bool {
		if due[id] {
			often = append(often, id)
		}
		return due[id]
	})
	return often
}

// guessFor is for how long, at most, specs are asked for slots near now.
const guessFor = 100 * time.Millisecond

// far returns the lead's entries but for those that were told of.
func (w *watch) far(l *lead, now time.Time, told ...[]string) (p parts) {
	since, ahead, until := now.Add(-near-w.store.leaseFor), now.Add(endedAhead).UnixMicro(), now.Add(near)
	minute := now.Add(time.Minute).UnixMicro()
	var before schedule.ByID[struct{}]
	for _, id := range slices.Concat(told...) {
		before.Set(schedule.ID(id), struct{}{})
	}
	var guessed time.Duration
	for key, k := range w.seen.All() {
		id, entry := string(key), w.held[key]
		_, was := before.Get(key)
		coming := k.next > ahead && k.next != never
		switch {
		case was || w.leadOf(id) != l:
		case coming && entry == nil && k.next <= minute:
			p.coming = append(p.coming, id)
		case coming && entry == nil:
			p.unheld = append(p.unheld, id)
		case coming && !limited(entry):
			p.known = append(p.known, id)
		case k.next == 0 && entry != nil && guessed < guessFor:
			began := time.Now()
			if next := entry.Spec.Next(since); !next.IsZero() && !next.After(until) {
				p.late = append(p.late, id)
			} else {
				p.moved = append(p.moved, id)
			}
			guessed += time.Since(began)
		case k.next == 0 && entry == nil:
			p.blank = append(p.blank, id)
		default:
			p.moved = append(p.moved, id)
		}
	}
	return p
}

// limited says whether the entry ends of itself: runs that people asked for may count
// for it, and are no slots.
func limited(e *schedule.Entry) bool { return schedule.LimitOf(e.Spec, 0) != (schedule.Limit{}) }

// renew reads rows again and tells of them, whether or not they say anything new. It leaves
// off when it is of no use any more: whoever comes to lead next need not wait for it.
func (w *watch) renew(ctx context.Context, ids []string, over func() bool) error {
	w.again, w.over = true, over
	defer func() { w.again, w.over = false, nil }()
	return w.reread(ctx, ids)
}

// hand tells of entries as they are known, but for those that were told of since they were found
// to be known well enough. The planner of an earlier term may have ended them as they were, so that they are made anew.
func (w *watch) hand(l *lead, ids []string) {
	for len(ids) > 0 && !l.ended() {
		part := ids[:min(chunk, len(ids))]
		ids = ids[len(part):]
		changes := make([]schedule.Change, 0, len(part))
		for _, id := range part {
			id := schedule.ID(id)
			k, _ := w.seen.Get(id)
			if k.next == 0 {
				continue
			}
			k.next = 0
			w.seen.Set(id, k)
			entry := w.held[id].Anew()
			w.held[id] = entry
			changes = append(changes, schedule.Change{ID: id, Name: entry.Name, Entry: entry})
		}
		l.call(func(ctx context.Context) error { return l.watcher.Apply(ctx, changes) })
	}
}

// refresh reads again, from time to time, entries of shards that others lead which
// had a slot since: so that few are left to be read when this process comes to lead, which
// need not wait for more than two chunks of them.
func (w *watch) refresh(ctx context.Context) error {
	if time.Since(w.refreshedAt) < refreshInterval || w.reading.home == HomeMemory || w.leading() == w.shards {
		return nil
	}
	if w.reading.first.loading {
		first, err := w.store.beginning(ctx)
		if err != nil {
			return err
		}
		w.reading.first = first
	}
	now, err := w.store.Now(ctx)
	if err != nil {
		return err
	}
	var moved []string
	most := max(refreshMost, w.seen.Len()/10)
	for key, k := range w.seen.All() {
		id := string(key)
		if k.next <= now.UnixMicro() && w.leadOf(id) == nil {
			if moved = append(moved, id); len(moved) == most {
				break
			}
		}
	}
	w.over = w.awaited
	err = w.reread(ctx, moved)
	if w.over = nil; err != nil {
		return err
	}
	w.refreshedAt = time.Now()
	return nil
}
