package store

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/onebeat/onebeat/internal/failpoint"
	"github.com/onebeat/onebeat/internal/schedule"
)

// A sight is what is remembered of an entry so that no past slot is planned from
// a spec that was not there then.
type sight struct {
	spec  string    // digest; empty while there was nothing to plan
	after time.Time // slots count after this
	last  time.Time // the last slot sent
	count int64     // slots sent
}

// A beginning is what is known of the catalog's first start, and of entries that were put off since.
type beginning struct {
	at      time.Time         // when onebeat first read it; in memory, when this process did
	loading bool              // it was never yet read to its end, with all that was seen of it written down
	loaded  map[int]bool      // but the entries of these shards were
	putOff  map[int]time.Time // of these shards not all is written down that was seen since (later.go)
}

// loadingOf says whether the first start goes on for the entries of the shard.
func (b beginning) loadingOf(shard int) bool { return b.loading && !b.loaded[shard] }

// firstLoad is the fact that the first start has ended, and the beginning of the facts that it has for a shard of so many.
const (
	firstLoad       = "first_load"
	firstLoadOfMany = firstLoad + ":%d/%d"
)

func firstLoadOf(shard, shards int) string {
	if shards == 1 {
		return firstLoad
	}
	return fmt.Sprintf(firstLoadOfMany, shard, shards)
}

// begin learns of the first start, or makes it now.
func (s *Store) begin(ctx context.Context) (beginning, error) {
	now, err := s.Now(ctx)
	if err == nil && s.options.Home != HomeMemory {
		_, err = s.meta(ctx, "first_start", func() (string, error) { return now.Format(time.RFC3339Nano), nil })
	}
	if err != nil {
		return beginning{}, fmt.Errorf("read first start: %w", err)
	}
	return s.beginning(ctx)
}

// beginning is what is known of the first start. One that was not is now, as far as
// a reader is concerned.
func (s *Store) beginning(ctx context.Context) (first beginning, err error) {
	now, err := s.Now(ctx)
	if err != nil {
		return first, fmt.Errorf("read first start: %w", err)
	}
	if s.options.Home == HomeMemory {
		return s.memory.begin(now), nil
	}
	first = beginning{at: now, loading: true, loaded: map[int]bool{}}
	if first.putOff, err = s.putOffs(ctx); err != nil {
		return beginning{}, fmt.Errorf("read first start: %w", err)
	}
	err = s.db.each(ctx, "meta", func(row scanner) (err error) {
		var text string
		if err := row.Scan(&text); err != nil {
			return err
		}
		if first.at, err = time.Parse(time.RFC3339Nano, text); err != nil {
			return fmt.Errorf("onebeat_meta has the first_start %q: write it as %s", text, now.Format(time.RFC3339Nano))
		}
		return nil
	}, "first_start")
	if err == nil {
		ended := map[int]int{} // of how many shards, by how many there were
		err = s.db.each(ctx, "first_loads", func(row scanner) error {
			var key string
			if err := row.Scan(&key); err != nil {
				return err
			}
			shard, shards := 0, 1
			if key != firstLoad {
				if _, err := fmt.Sscanf(key, firstLoadOfMany, &shard, &shards); err != nil {
					return nil // it is of a version to come
				}
			}
			ended[shards]++
			first.loading = first.loading && ended[shards] < shards
			if shards == s.options.Shards {
				first.loaded[shard] = true
			}
			return nil
		})
	}
	if err != nil {
		return beginning{}, fmt.Errorf("read first start: %w", err)
	}
	return first, nil
}

// begun remembers that the entries of the shard were read to their end, and that all were once those of each shard
// were.
func (s *Store) begun(ctx context.Context, shard int) error {
	if s.options.Home == HomeMemory {
		s.memory.begun(shard)
		return nil
	}
	now, err := s.Now(ctx)
	if err != nil {
		return err
	}
	fact := func(key string) error {
		_, err := s.db.exec(ctx, "meta_insert", key, now.Format(time.RFC3339Nano))
		return err
	}
	if err := fact(firstLoadOf(shard, s.options.Shards)); err != nil {
		return err
	}
	first, err := s.beginning(ctx)
	if err != nil || first.loading {
		return err
	}
	return fact(firstLoad) // which those of each shard say too, where nobody comes to write it
}

// A reading makes changes of rows.
type reading struct {
	store      *Store
	home       string
	first      beginning
	calendars  *calendars
	remember   func(id string) bool                     // whether to write down what is seen for the first time; nil: never
	holds      func(context.Context, transaction) error // fails once another may write that down
	later      *later                                   // takes what need not be written down at once; nil: all is
	taken      time.Time                                // slots count after it, of every entry; zero: no matter
	told       map[int]bool                             // of these shards, all that was there at the first start was told of: what comes now is new
	puttingOff []int                                    // shards of which something is put off, and that is to be on record before it is told of

	ids, specs []string // to be written down
	afters     []time.Time

	spare spare // for entries that are left
}

// writeDown writes down what was seen for the first time since it was last called, but for what is put off.
func (r *reading) writeDown(ctx context.Context) error {
	if len(r.ids) == 0 {
		return nil
	}
	defer r.forget()
	if err := failpoint.Here("side.before"); err != nil {
		return err
	}
	// Relaxed: the claim of a slot, which is durable, makes durable what came before it.
	err := r.store.db.transact(ctx, mode{relaxed: true}, func(tx transaction) error {
		if err := tx.many(ctx, "entry_seen", r.ids, r.specs, r.afters); err != nil {
			return err
		}
		return r.holds(ctx, tx)
	})
	if err != nil {
		return fmt.Errorf("remember entries: %w", err)
	}
	return failpoint.Here("side.after")
}

// forget leaves off what is to be written down.
func (r *reading) forget() { r.ids, r.specs, r.afters = r.ids[:0], r.specs[:0], r.afters[:0] }

// change says what the row means now. What is seen of it for the first time is to be written down before that is told of.
func (r *reading) change(row *row) schedule.Change {
	change := schedule.Change{ID: schedule.ID(row.id), Name: row.name}
	entry, err := row.made(&r.store.options)
	switch {
	case !row.enabled:
		change.Reason = schedule.ReasonDisabled
		r.settle(row, nil)
	case err != nil:
		change.Reason, change.Problem = schedule.ReasonBadRow, cut(err.Error(), problemMost)
		r.settle(row, nil)
	case row.paused():
		change.Reason = schedule.ReasonPaused
		r.settle(row, entry)
	default:
		r.settle(row, entry)
		if entry, err = r.leave(row, entry); err != nil {
			change.Reason, change.Problem = schedule.ReasonBadRow, cut(err.Error(), problemMost)
			return change
		}
		change.Entry = entry
		if change.Limit = schedule.LimitOf(entry.Spec, 0); change.Limit != (schedule.Limit{}) {
			change.Limit.Sent = r.sent(row)
		}
		if change.Limit.Over() {
			change.Entry, change.Reason = nil, schedule.ReasonDone
		}
	}
	return change
}

// leftFor is how far off the slot is of an entry whose definition is left in the catalog: for
// longer than a planner asks for it before.
const leftFor = 10 * time.Minute

// leave makes an entry whole whose definition was to be left in the catalog, if it is due soon.
func (r *reading) leave(row *row, entry *schedule.Entry) (*schedule.Entry, error) {
	if !entry.Left() {
		return entry, nil
	}
	if next := row.next(entry.Spec, entry.After); next.IsZero() || next.After(row.readAt.Add(leftFor)) && entry.PausedUntil.IsZero() {
		entry.Row = nil
		return entry, nil
	}
	whole := entry.Anew() // elsewhere than others
	whole.Payload = nil
	return whole, r.store.options.prepare(whole)
}

// settle gives the entry its run state, and notes what has to be written down. A
// nil entry has no slots: when it has some again, they count from then.
func (r *reading) settle(row *row, entry *schedule.Entry) {
	seen, known := r.seen(row)
	var text [16]byte // of a digest in hexadecimal, at most
	spec, sum := text[:0], uint64(0)
	if entry != nil {
		sum = row.specDigest(row.zoneOr(r.store.options.Zone))
	}
	same := known && row.bare && sum == row.seenSum
	if !same && entry != nil {
		spec = strconv.AppendUint(spec, sum, 16)
	}
	if !known || !row.bare {
		same = string(spec) == seen.spec
	}
	news := !same && (known || entry != nil)
	if news {
		since, was := row.readAt, false
		if !known && entry != nil {
			since, was = r.starting(row, entry.Spec)
			seen.after = schedule.Later(seen.after, r.after(row, entry, since, was))
		} else {
			seen.after = schedule.Later(seen.after, row.readAt)
		}
		if !r.putOff(row, entry, seen, since, was) {
			seen.spec = string(spec)
			r.note(row, seen)
		}
	}
	if entry == nil {
		return
	}
	seen.after = schedule.Later(seen.after, r.taken)
	row.first(entry, seen.after)
	if entry.Row != nil {
		entry.LastRunAt, entry.TotalRunCount = seen.last, seen.count
	}
	entry.After, entry.Since = schedule.Later(seen.after, seen.last), seen.after.UnixMicro()
	if !row.pausedAt.IsZero() && !row.paused() {
		entry.PausedUntil = row.pausedUntil
	}
}

// after is the instant after which slots count for an entry that is new, of which starting says since and was.
func (r *reading) after(row *row, entry *schedule.Entry, since time.Time, was bool) time.Time {
	switch {
	case was && r.store.options.CatchUp && r.first.loadingOf(r.shard(row)) && (!row.lastRunAt.IsZero() || once(entry.Spec)):
		return schedule.Later(time.Unix(0, 0).UTC(), row.lastRunAt)
	case once(entry.Spec):
		return r.first.at
	}
	return since
}

// starting says since when slots count of an entry of which nothing is remembered, and whether that is
// before it was read: it was there at the first start, or when somebody who was lost put off to write down what it had seen.
// What has a slot soon was not put off, and what was made later did not come before.
func (r *reading) starting(row *row, spec schedule.Spec) (since time.Time, was bool) {
	if !r.first.loading && len(r.first.putOff) == 0 {
		return row.readAt, false
	}
	shard := r.shard(row)
	since, was = r.first.at, r.first.loadingOf(shard)
	if !was {
		if since, was = r.first.putOff[shard]; was && !far(row.next(spec, since), since) {
			was = false
		}
	}
	if !was || r.told[shard] {
		return row.readAt, false
	}
	if made := row.createdAt; r.store.layout.name == nativeLayout.name && !row.outside && !made.After(row.readAt) {
		since = schedule.Later(since, made)
	}
	return since, true
}

// far says whether a slot is so far off that its entry may be written down later.
func far(slot, from time.Time) bool { return slot.IsZero() || slot.After(from.Add(putOffFor)) }

func (r *reading) shard(row *row) int { return schedule.ID(row.id).Shard(r.store.options.Shards) }

// seen is what is remembered of the row's entry, in whichever home.
func (r *reading) seen(row *row) (seen sight, known bool) {
	switch {
	case r.home == HomeMemory:
		return r.store.memory.get(schedule.ID(row.id))
	case row.outside: // its source may count too
		return sight{
			spec: row.seenSpec, after: row.afterAt,
			last: schedule.Later(row.lastSlot, row.lastRunAt), count: max(row.totalRunCount, row.sideCount),
		}, row.known
	case r.home == HomeColumn:
		return sight{
			spec: row.seenSpec, after: row.afterAt,
			last: schedule.Later(row.lastSlot, row.lastRunAt), count: row.totalRunCount + row.sideCount,
		}, row.known
	}
	return sight{spec: row.seenSpec, after: row.afterAt, last: row.lastSlot, count: row.sideCount}, row.known
}

// sent is how many runs of the row's entry were sent.
func (r *reading) sent(row *row) int64 {
	seen, _ := r.seen(row)
	return seen.count
}

// done reports whether as many runs were sent as the row's rules allow.
func (r *reading) done(row *row) bool {
	runs := row.ruling().Runs
	return runs > 0 && schedule.Limit{Runs: runs, Sent: r.sent(row)}.Over()
}

// putOff keeps what is seen of an entry that has no slot soon to be written down later, if later is to be
// had: until then it is seen anew by whoever comes next. At the first start it then counts from the same instant, else
// from when the first was put off, or later: in between it has no slot. Since and was are as starting says.
func (r *reading) putOff(row *row, entry *schedule.Entry, seen sight, since time.Time, was bool) bool {
	if r.later == nil || entry == nil || r.home == HomeMemory || row.known || row.oneOff {
		return false
	}
	if !seen.after.Equal(since) || !r.remember(row.id) {
		return false
	}
	shard, noted := 0, was
	if !was {
		if shard = r.shard(row); r.first.loadingOf(shard) {
			return false // who came next would count it from the first start
		}
		if first, goesOn := r.first.putOff[shard]; goesOn {
			since, noted = first, true
		}
	}
	from := since
	if seen.after.Before(from) { // it was read ahead of what was put off first
		from = seen.after
	}
	key := row.place()
	next := row.next(entry.Spec, schedule.Later(from, seen.last))
	if key == (schedule.Key{}) || !far(next, row.readAt) || !r.later.put(laterSight{key, row.specDigest(row.zoneOr(r.store.options.Zone))}, seen.after, next) {
		return false
	}
	if !noted {
		r.first.putOff[shard] = since
		r.puttingOff = append(r.puttingOff, shard)
	}
	row.unwritten = true
	return true
}

func (r *reading) note(row *row, seen sight) {
	if r.remember == nil || !r.remember(row.id) {
		row.unwritten = true
		return
	}
	if r.home == HomeMemory {
		r.store.memory.put(schedule.ID(row.id), seen)
		return
	}
	r.ids = append(r.ids, row.id)
	r.specs = append(r.specs, seen.spec)
	r.afters = append(r.afters, seen.after)
}

// once says whether the spec has one slot. It counts whenever it was written down:
// a person who inserts a time that has just passed wants the run.
func once(spec schedule.Spec) bool {
	return schedule.Single(spec)
}

// shape is the user's table as it was last looked at.
func (s *Store) shape() shape {
	if table := s.table.Load(); table != nil {
		return *table
	}
	return nil
}

// home is where run state lives, given the table.
func (s *Store) home(table shape) string {
	switch {
	case s.options.Home != "":
		return s.options.Home
	case table.has("last_run_at"):
		return HomeColumn
	}
	return HomeTable
}

// Look finds out what the user's table is like now. It returns a *TableError if there
// is none that can be read.
func (s *Store) Look(ctx context.Context) error { return s.look(ctx) }

// look finds out what the user's table is like now.
func (s *Store) look(ctx context.Context) error {
	table, err := s.layout.readShape(ctx, s.db)
	if err != nil {
		return err
	}
	if err := s.layout.check(table); err != nil {
		return err
	}
	if s.options.Home == HomeColumn && s.layout.table != "" && !table.has("last_run_at") {
		return &TableError{fmt.Sprintf("table %s has no column last_run_at: run `onebeat migrate` to add it, or choose another home for it", s.layout.table)}
	}
	if !s.owned.Load() {
		tables := 0
		if err := s.db.each(ctx, "own_tables", func(row scanner) error { return row.Scan(&tables) }); err != nil {
			return fmt.Errorf("look for onebeat's own tables: %w", err)
		}
		s.owned.Store(tables > 0)
	}
	s.table.Store(&table)
	s.fill(table, !s.owned.Load())
	return nil
}
