package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
)

// A Source is a catalog outside of the database, such as a file. onebeat reads its
// entries and keeps their run state in onebeat_entries. Its methods may be called
// from any goroutine.
type Source interface {
	// Name begins the ids of the source's entries, before a colon: a word, other than
	// that of any other source. A task's id is made of its entry's: it must stay.
	Name() string
	// String says what is read, for people.
	String() string
	// Read returns all entries as they are now. Its error says what is wrong and what
	// to do, and no secret; the entries that were read before then stay.
	Read(ctx context.Context) ([]Outside, error)
	// Changed returns when entries may have changed since it was last called, or with
	// the error of ctx. It may return early.
	Changed(ctx context.Context) error
}

// A Recorder is a Source that keeps run state itself too, for whoever comes after
// onebeat.
type Recorder interface {
	// Record writes that entries ran. It is called after the runs are on record here, and
	// again after an error, or a crash, with what may be written already.
	Record(ctx context.Context, ends []End) error
}

// An End is what runs did to the state of an entry since the last Record.
type End struct {
	Key   string    // as of Outside
	Last  time.Time // the last slot sent; zero if none was
	Count int64     // slots sent
}

// A Locker is a Source of which another program stands still while its lock is held.
type Locker interface {
	String() string // as of Source
	// Lock takes the lock for an owner, or prolongs it. If another owner has it, it
	// returns how long that one has it for at most.
	Lock(ctx context.Context, owner string) (free time.Duration, err error)
	// Held returns the owner that has the lock, if any, and for how long it has it at most.
	Held(ctx context.Context) (owner string, free time.Duration, err error)
	// Unlock gives the owner's lock back.
	Unlock(ctx context.Context, owner string) error
}

// An Outside is an entry of a Source.
type Outside struct {
	Key string // tells it from the source's others, for good

	Definition

	// Problem says why it can't be used, and what to do; empty if it can.
	Problem string

	// Anchor is where the grid of an interval begins that names no beginning: zero is
	// the Unix epoch.
	Anchor time.Time

	OneOff bool // one slot is sent, whatever the spec gives after it

	// LastRunAt is the last slot that the source itself knows of, and TotalRunCount how
	// many it has counted.
	LastRunAt     time.Time
	TotalRunCount int64
}

// keyMost is how long an id may be: databases keep 255 characters of it.
const keyMost = 255

// row is the entry as if it were a table's.
func (o *Outside) row(source string) *row {
	r := &row{
		id: source + ":" + o.Key, name: o.Name, task: o.Task, spec: o.Spec, zone: o.Zone, rules: o.Rules, enabled: o.Enabled,
		args: o.Args, kwargs: o.Kwargs, options: o.Options, description: o.Description,
		policy: string(o.Misfire.Policy), graceSeconds: o.Misfire.Grace.Seconds(),
		maxCount: int64(o.Misfire.Count), maxAgeSeconds: o.Misfire.Age.Seconds(),
		createdAt: o.Anchor, oneOff: o.OneOff, lastRunAt: o.LastRunAt, totalRunCount: o.TotalRunCount, problem: o.Problem,
		outside: true,
	}
	if r.createdAt.IsZero() {
		r.createdAt = time.Unix(0, 0).UTC()
	}
	if id := legible(r.id); id != r.id { // which could not be written down
		r.id = id
		r.problem = "the name is not UTF-8, or has a NUL in it: rename the entry"
	}
	if len(r.id) > keyMost {
		r.id = strings.ToValidUTF8(r.id[:keyMost], "") // no half of a character
		r.problem = fmt.Sprintf("the name is too long: use %d bytes at most", keyMost-len(source)-1)
	}
	return r
}

// A sourced is a Source and what was last read of it.
type sourced struct {
	Source
	prefix string // of its entries' ids

	mu      sync.Mutex
	rows    map[string]*row // by id; nil before the first read
	problem string          // of the last read
	ends    map[string]End  // by key, for the source's Record
	ended   chan struct{}   // there are some
}

// sourcesOf keeps the sources, whose names must differ.
func sourcesOf(sources []Source) []*sourced {
	kept := make([]*sourced, len(sources))
	for i, source := range sources {
		kept[i] = &sourced{Source: source, prefix: source.Name() + ":", ends: map[string]End{}, ended: make(chan struct{}, 1)}
	}
	return kept
}

// source returns the one that an entry of the id would be of, or nil.
func (s *Store) source(id string) *sourced {
	i := slices.IndexFunc(s.sources, func(source *sourced) bool { return strings.HasPrefix(id, source.prefix) })
	if i < 0 {
		return nil
	}
	return s.sources[i]
}

// refresh reads the source. After an error the rows that were read before are kept.
func (x *sourced) refresh(ctx context.Context) error {
	entries, err := x.Read(ctx)
	x.mu.Lock()
	defer x.mu.Unlock()
	if err != nil {
		x.problem = err.Error()
		return err
	}
	x.problem = ""
	x.rows = make(map[string]*row, len(entries))
	for i := range entries {
		r := entries[i].row(x.Name())
		if x.rows[r.id] != nil {
			r.problem = "another entry has the same name: rename one"
		}
		x.rows[r.id] = r
	}
	return nil
}

// ids are those of the rows that were last read, in order, and the source's own id
// if it could not be read since.
func (x *sourced) ids() []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	ids := slices.Sorted(maps.Keys(x.rows))
	if x.problem != "" {
		ids = append(ids, x.prefix)
	}
	return ids
}

// of returns copies of the rows of these ids, and whether each was there.
func (x *sourced) of(ids []string) []row {
	x.mu.Lock()
	defer x.mu.Unlock()
	rows := make([]row, 0, len(ids))
	for _, id := range ids {
		switch r := x.rows[id]; {
		case r != nil:
			rows = append(rows, *r)
		case id == x.prefix && x.problem != "":
			rows = append(rows, row{id: id, name: x.String(), enabled: true, outside: true, problem: x.problem})
		}
	}
	return rows
}

// note keeps what a source's own Record is to be told of.
func (x *sourced) note(ends ...End) {
	if _, ok := x.Source.(Recorder); !ok || len(ends) == 0 {
		return
	}
	x.mu.Lock()
	for _, end := range ends {
		was := x.ends[end.Key]
		x.ends[end.Key] = End{Key: end.Key, Last: schedule.Later(was.Last, end.Last), Count: was.Count + end.Count}
	}
	x.mu.Unlock()
	tell(x.ended)
}

// flush tells the source of what ended. What it could not be told of is kept.
func (x *sourced) flush(ctx context.Context) error {
	x.mu.Lock()
	ends := slices.Collect(maps.Values(x.ends))
	x.ends = map[string]End{}
	x.mu.Unlock()
	if len(ends) == 0 {
		return nil
	}
	err := x.Source.(Recorder).Record(ctx, ends)
	if err != nil {
		x.note(ends...)
	}
	return err
}

// noteEnds keeps what ended of the sources' entries.
func (s *Store) noteEnds(ended ends) {
	for i, id := range ended.ids {
		if x := s.source(id); x != nil {
			x.note(End{Key: id[len(x.prefix):], Last: ended.sent[i], Count: ended.counts[i]})
		}
	}
}

// ReadSources reads the catalogs outside of the database anew.
func (s *Store) ReadSources(ctx context.Context) error {
	for _, x := range s.sources {
		if err := x.refresh(ctx); err != nil {
			return fmt.Errorf("%s: %w", x, err)
		}
	}
	return nil
}

// FlushSources tells sources that keep run state too of all that ended. It is for a
// node that stops.
func (s *Store) FlushSources(ctx context.Context) error {
	var faults []error
	for _, x := range s.sources {
		if err := x.flush(ctx); err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", x, err))
		}
	}
	return errors.Join(faults...)
}

// record tells a source of what ended, until ctx ends.
func (s *Store) record(ctx context.Context, x *sourced) {
	failed := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-x.ended:
		}
		err := x.flush(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			failed = ""
			continue
		case err.Error() != failed:
			failed = err.Error()
			s.log.WarnContext(ctx, "run state is not written where the entries are; trying on", "catalog", x.Name(), "err", err)
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return
		}
	}
}

// read makes sure that the source was read once.
func (x *sourced) read(ctx context.Context) {
	x.mu.Lock()
	there := x.rows != nil || x.problem != ""
	x.mu.Unlock()
	if !there {
		_ = x.refresh(ctx) // the problem is a row
	}
}

// eachOutside calls each for the rows of these ids of one source, with what is
// remembered of them.
func (s *Store) eachOutside(ctx context.Context, x *sourced, ids []string, each func(*row) error) error {
	for len(ids) > 0 {
		part := x.of(ids[:min(chunk, len(ids))])
		ids = ids[min(chunk, len(ids)):]
		if err := s.recall(ctx, part); err != nil {
			return err
		}
		for i := range part {
			if err := each(&part[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// recall fills in what is remembered of rows, and that they were read now.
func (s *Store) recall(ctx context.Context, rows []row) error {
	now, err := s.Now(ctx)
	if err != nil {
		return err
	}
	for i := range rows {
		rows[i].readAt = now
	}
	return recall(ctx, s.db, rows)
}

// recall fills in what is remembered of rows.
func recall(ctx context.Context, on querier, rows []row) error {
	ids := make([]string, len(rows))
	for i := range rows {
		ids[i] = rows[i].id
	}
	slices.Sort(ids)       // neighbours are read together
	var at map[string]*row // of new rows nothing is remembered
	return on.each(ctx, "sides", func(from scanner) error {
		var id string
		var side row
		err := from.Scan(&id, &side.seenSpec, instant{&side.afterAt}, instant{&side.lastSlot}, &side.sideCount,
			instant{&side.pausedAt}, instant{&side.pausedUntil}, &side.pauseReason, &side.pausedBy)
		if err != nil {
			return err
		}
		if at == nil {
			at = make(map[string]*row, len(rows))
			for i := range rows {
				at[rows[i].id] = &rows[i]
			}
		}
		if r := at[id]; r != nil {
			r.known, r.seenSpec, r.afterAt, r.lastSlot, r.sideCount = true, side.seenSpec, side.afterAt, side.lastSlot, side.sideCount
			r.pausedAt, r.pausedUntil, r.pauseReason, r.pausedBy = side.pausedAt, side.pausedUntil, side.pauseReason, side.pausedBy
		}
		return nil
	}, ids)
}

// every calls each for all rows: those of the feed, and those of all sources.
func (s *Store) every(ctx context.Context, f feed, each func(*row) error) error {
	if err := f.all(ctx, each); err != nil {
		return err
	}
	for _, x := range s.sources {
		x.read(ctx)
		if err := s.eachOutside(ctx, x, x.ids(), each); err != nil {
			return err
		}
	}
	return nil
}

// some calls each for the rows of these ids that are there.
func (s *Store) some(ctx context.Context, f feed, ids []string, each func(*row) error) error {
	var own []string
	others := map[*sourced][]string{}
	for _, id := range ids {
		if x := s.source(id); x != nil {
			others[x] = append(others[x], id)
		} else {
			own = append(own, id)
		}
	}
	if len(own) > 0 {
		if err := f.some(ctx, own, each); err != nil {
			return err
		}
	}
	for _, x := range s.sources {
		if len(others[x]) == 0 {
			continue // it need not be reached
		}
		x.read(ctx)
		if err := s.eachOutside(ctx, x, others[x], each); err != nil {
			return err
		}
	}
	return nil
}

// findOutside returns the ids of the sources' entries that have the id or the name.
func (s *Store) findOutside(ctx context.Context, idOrName string) (ids []string, exact bool) {
	for _, x := range s.sources {
		x.read(ctx)
		for _, r := range x.of(x.ids()) {
			switch idOrName {
			case r.id:
				return []string{r.id}, true
			case r.name:
				ids = append(ids, r.id)
			}
		}
	}
	return ids, false
}

// heed tells of sources that may have changed, until ctx ends or stop is called.
func (w *watch) heed(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	for i, x := range w.store.sources {
		all.Go(func() { w.store.record(ctx, x) })
		all.Go(func() {
			for {
				err := x.Changed(ctx)
				if ctx.Err() != nil {
					return
				}
				if err != nil { // which says what Read will say
					select {
					case <-time.After(time.Second):
					case <-ctx.Done():
						return
					}
				}
				w.moved[i].Store(true)
				w.store.wake()
			}
		})
	}
	return func() {
		cancel()
		all.Wait()
	}
}

// outsiders counts the entries of sources that were told of.
func (w *watch) outsiders() int {
	n := 0
	if len(w.store.sources) > 0 {
		for id := range w.seen.All() {
			if w.store.source(string(id)) != nil {
				n++
			}
		}
	}
	return n
}

// outside reads the sources that may have changed, or all, and tells of what
// differs. Before all entries were told of once, a source that can't be read is an
// error: what is owed to its entries must not be forgotten.
func (w *watch) outside(ctx context.Context, all bool) error {
	for i, x := range w.store.sources {
		if !w.moved[i].Swap(false) && !all {
			continue
		}
		if err := x.refresh(ctx); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if !w.loaded {
				return fmt.Errorf("%s: %w", x, err)
			}
		}
		gone := map[string]bool{}
		for id := range w.seen.All() {
			if strings.HasPrefix(string(id), x.prefix) {
				gone[string(id)] = true
			}
		}
		err := w.settleLater(ctx, slices.Collect(maps.Keys(gone)))
		if err == nil {
			err = w.store.eachOutside(ctx, x, x.ids(), func(r *row) error {
				delete(gone, r.id)
				if r.lastSlot.After(r.lastRunAt) && w.leadOf(r.id) != nil { // a crash came between
					x.note(End{Key: r.id[len(x.prefix):], Last: r.lastSlot})
				}
				return w.take(ctx, r)
			})
		}
		if err == nil {
			err = w.apply(ctx)
		}
		if err == nil {
			err = w.remove(ctx, gone)
		}
		if err != nil {
			w.moved[i].Store(true)
			return fmt.Errorf("%s: %w", x, err)
		}
	}
	return nil
}

// outsiders are the ids of all entries of the sources, which must not be forgotten,
// and whether all sources were read.
func (s *Store) outsiders() (ids []string, read bool) {
	ids = []string{} // and not none, which is no list in JSON
	for _, x := range s.sources {
		x.mu.Lock()
		read := x.rows != nil
		x.mu.Unlock()
		if !read {
			return nil, false
		}
		ids = append(ids, x.ids()...)
	}
	return ids, true
}
