package simulate

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/onebeat/onebeat/internal/celery"
	"github.com/onebeat/onebeat/internal/schedule"
)

// leaseFor is the length of a lease, by the database's clock.
const leaseFor = 3 * time.Second

// A database is a lease, a journal, a ledger and the table of entries. What is
// committed stays, whoever asks. A claim and a record hold the lease's row until
// their commit arrives, as the real ones do, so that one that arrives late keeps
// the others waiting.
type database struct {
	world *world
	row   chan struct{} // the lease's row: who has put something in holds it

	owner   string
	term    int64
	seq     int64
	until   time.Time
	journal []schedule.Claimed
	runs    []schedule.Run
	last    map[schedule.ID]time.Time // slots at or before it have ended
	entries []*entry
	claimed []string // the task ids of all slots that ever were
	asked   []request
	open    map[string]bool // requests that are not recorded
}

// A request is a run that a person asked for.
type request struct {
	id    string
	entry schedule.ID
	at    time.Time
}

func (r request) name() string { return fmt.Sprint(r.entry, " on request ", r.id) }

// taskID is the id of the slot's task, or of the request's.
func taskID(entry schedule.ID, slot time.Time, request string) string {
	if request != "" {
		return celery.TaskIDOfRequest(installation, string(entry), request)
	}
	return celery.TaskID(installation, string(entry), slot)
}

// An entry is a row of the table that people edit, with what is remembered of it.
type entry struct {
	id      schedule.ID
	spec    schedule.Spec
	misfire schedule.Misfire
	first   time.Time
	version int
	off     bool
	gone    bool // it is off, and its row is not there

	held  bool      // it is paused
	until time.Time // when a pause of it ended

	digest, name int // what was edited
	rare         bool

	seen  string    // the spec that was seen last; empty while there was nothing to plan
	after time.Time // slots count after this

	grid  schedule.Spec   // gives all slots that the entry may ever have
	specs []schedule.Spec // of each digest; nil while it is off
	edits []edit
}

// An edit is what somebody made of an entry at an instant.
type edit struct {
	at  time.Time
	off bool
}

// spec as it is remembered.
func (e *entry) sight() string {
	if e.off {
		return ""
	}
	return e.spec.String()
}

// has says whether the row, as it is now, gives the slot.
func (e *entry) has(slot time.Time) bool {
	return !e.off && e.spec.Next(slot.Add(-time.Microsecond)).Equal(slot)
}

// every are the specs that an entry is edited to be of.
var every = func() (specs []schedule.Spec) {
	for _, text := range []string{"@every 1s", "@every 2s", "@every 3s", "@every 30s"} {
		spec, err := schedule.ParseSpec(text, "UTC", time.Time{})
		if err != nil {
			panic(err)
		}
		specs = append(specs, spec)
	}
	return specs
}()

func newDatabase(w *world) *database {
	db := &database{world: w, row: make(chan struct{}, 1), last: map[schedule.ID]time.Time{}, open: map[string]bool{}}
	add := func(id, spec string, misfire schedule.Misfire) {
		parsed, err := schedule.ParseSpec(spec, "UTC", time.Time{})
		if err != nil {
			w.t.Fatal(err)
		}
		db.entries = append(db.entries, &entry{
			id: schedule.ID(id), spec: parsed, misfire: misfire, first: w.began, version: 1,
			seen: parsed.String(), after: w.began, grid: parsed, specs: []schedule.Spec{parsed}, rare: id == "once" && w.rule.forgets,
		})
	}
	all := schedule.Misfire{Policy: schedule.All, Grace: time.Hour}
	add("all1", "@every 1s", all)
	add("all3", "@every 3s", all)
	add("once", "@every 2s", schedule.Misfire{Policy: schedule.Once, Grace: 2 * time.Second})
	add("skip", "@every 2s", schedule.Misfire{Policy: schedule.Skip, Grace: 2 * time.Second})
	add("edited", "@every 1s", all)
	add("paused", "@every 1s", all)
	if w.rule.pauses {
		add("held", "@every 1s", all)
	}
	add("respecified", "@every 1s", all)
	add("minute", "* * * * *", all)
	return db
}

// lock waits for the lease's row.
func (db *database) lock(ctx context.Context) error {
	select {
	case db.row <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (db *database) unlock() { <-db.row }

// A session is a node's way to the database.
type session struct {
	*link
	db *database

	// trusting is by how much the node's clock is slow: it takes the lease for
	// longer than it is.
	trusting float64
}

// do is a statement that stands alone.
func (s *session) do(ctx context.Context, op string, work func(answered bool) error) error {
	return s.call(ctx, op, func(answered bool) error {
		if err := s.db.lock(context.WithoutCancel(ctx)); err != nil {
			return err
		}
		defer s.db.unlock()
		return work(answered)
	})
}

// transact is a transaction: what comes later is its commit alone, and nothing
// repeats it.
func (s *session) transact(ctx context.Context, op string, work func() error) error {
	fate, takes, lag := s.fate(op)
	if fate != later {
		return s.call(ctx, op, func(answered bool) error {
			if !answered {
				return nil
			}
			if err := s.db.lock(ctx); err != nil {
				return err
			}
			defer s.db.unlock()
			return work()
		})
	}
	time.Sleep(takes)
	if err := s.reached(); err != nil {
		return err
	}
	if err := s.db.lock(ctx); err != nil {
		return err
	}
	s.world.late.Go(func() {
		time.Sleep(lag)
		_ = work()
		s.db.unlock()
	})
	return errSlow
}

func (s *session) lease() schedule.Lease {
	if s.world.isCalm() {
		s.trusting = 1
	}
	return schedule.Lease{Term: s.db.term, For: time.Duration(float64(leaseFor) * s.trusting), Now: time.Now()}
}

// Acquire implements lease.Locker.
func (s *session) Acquire(ctx context.Context, owner string) (l schedule.Lease, ok bool, err error) {
	err = s.do(ctx, "acquire", func(answered bool) error {
		if time.Now().Before(s.db.until) {
			return nil
		}
		s.db.owner, s.db.term, s.db.until = owner, s.db.term+1, time.Now().Add(leaseFor)
		if answered {
			l, ok = s.lease(), true
		}
		s.world.note(owner, "takes the lease", nil)
		return nil
	})
	return l, ok && err == nil, err
}

// Renew implements lease.Locker.
func (s *session) Renew(ctx context.Context, term int64) (l schedule.Lease, err error) {
	err = s.do(ctx, "renew", func(answered bool) error {
		if s.db.term != term {
			return schedule.ErrLost
		}
		s.db.until = time.Now().Add(leaseFor)
		if answered {
			l = s.lease()
		}
		return nil
	})
	return l, err
}

// Release implements lease.Locker.
func (s *session) Release(ctx context.Context, term int64) error {
	return s.do(ctx, "release", func(bool) error {
		if s.db.term == term {
			s.db.until = time.Time{}
			s.world.note(s.who, "gives the lease up", nil)
		}
		return nil
	})
}

// open returns the journal and the last sequence number.
func (s *session) open(ctx context.Context) (journal []schedule.Claimed, seq int64, err error) {
	err = s.do(ctx, "open", func(answered bool) error {
		if answered {
			journal, seq = slices.Clone(s.db.journal), s.db.seq
		}
		return nil
	})
	return journal, seq, err
}

// Claim implements dispatch.Ledger.
func (s *session) Claim(ctx context.Context, batch schedule.Batch) error {
	claimed := schedule.Claimed{Term: batch.Term, Seq: batch.Seq}
	var names, ids []string
	for _, due := range batch.Dues {
		claimed.Dues = append(claimed.Dues, schedule.ClaimedDue{
			Entry: due.Entry.ID, Slot: due.Slot, Digest: due.Entry.Digest, Request: due.Request,
			State: due.State, Reason: due.Reason, Through: due.Through, Count: due.Count,
		})
		names = append(names, s.world.name(due.Entry.ID, due.Slot, due.Request))
		ids = append(ids, taskID(due.Entry.ID, due.Slot, due.Request))
	}
	return s.transact(ctx, "claim", func() error {
		db := s.db
		if batch.Term != db.term && db.world.rule.without != "term at claim" {
			return schedule.ErrLost
		}
		if batch.Seq <= db.seq && db.world.rule.without != "term at claim" {
			return nil // the same batch again
		}
		db.seq, db.claimed = max(db.seq, batch.Seq), append(db.claimed, ids...)
		if db.world.rule.without != "journal" {
			db.journal = append(db.journal, claimed)
		}
		s.world.note(s.who, "claimed", nil, names...)
		return nil
	})
}

// Record implements dispatch.Ledger.
func (s *session) Record(ctx context.Context, term int64, seqs []int64, runs []schedule.Run) error {
	seqs, runs = slices.Clone(seqs), slices.Clone(runs) // they may be used after this returned
	return s.transact(ctx, "record", func() error {
		db := s.db
		if term != db.term && db.world.rule.without != "term and journal at record" {
			return schedule.ErrLost
		}
		rest := slices.DeleteFunc(slices.Clone(db.journal), func(c schedule.Claimed) bool { return slices.Contains(seqs, c.Seq) })
		again := len(rest) == len(db.journal) && db.world.rule.without != "journal" && db.world.rule.without != "term and journal at record"
		db.journal = rest
		if again {
			return nil
		}
		s.write(runs)
		return nil
	})
}

// sentSince returns the runs that were recorded as sent since an instant, in order.
func (s *session) sentSince(ctx context.Context, at time.Time) (runs []schedule.Run, err error) {
	err = s.do(ctx, "sent since", func(answered bool) error {
		if answered {
			runs = slices.DeleteFunc(slices.Clone(s.db.runs), func(run schedule.Run) bool { return run.State != schedule.Sent || !run.SentAt.After(at) })
			slices.SortStableFunc(runs, func(a, b schedule.Run) int { return a.SentAt.Compare(b.SentAt) })
		}
		return nil
	})
	return runs, err
}

// write is the part of a record that is the ledger's and the entries'.
func (s *session) write(runs []schedule.Run) {
	db := s.db
	for i := range runs {
		run := &runs[i]
		run.SentAt = run.SentAt.Truncate(time.Microsecond) // as databases have it
		db.runs = append(db.runs, *run)
		s.world.note(s.who, "recorded as "+string(run.State)+" "+run.Reason, nil, s.world.name(run.Entry, run.Slot, run.Request))
		if run.Request != "" {
			delete(db.open, run.Request)
			continue
		}
		db.last[run.Entry] = schedule.Later(db.last[run.Entry], run.Last())
	}
}

// A reading is a row as it was read.
type reading struct {
	entry
	last      time.Time // of its slots that have ended
	unwritten bool      // what was seen of it for the first time is not on record
}

// read returns the rows that are wanted, as they are now. A spec that is seen for the
// first time is on record before, unless the term is 0: its slots count from when it
// was read, which may be long ago by the time that is told of.
func (s *session) read(ctx context.Context, term int64, wanted func(*entry) bool) (rows []reading, err error) {
	var at time.Time
	err = s.do(ctx, "read", func(answered bool) error {
		if !answered {
			return nil
		}
		at = time.Now()
		for _, e := range s.db.entries {
			if wanted(e) {
				rows = append(rows, reading{entry: *e, last: s.db.last[e.id]})
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var seen []entry
	for i := range rows {
		row := &rows[i]
		if sight := row.sight(); sight != row.seen {
			row.seen, row.after, row.unwritten = sight, schedule.Later(row.after, at), term == 0
			seen = append(seen, row.entry)
		}
	}
	if len(seen) > 0 && term != 0 {
		err = s.see(ctx, term, seen)
	}
	return rows, err
}

// ended returns up to when slots of each entry have ended, or do not count.
func (s *session) ended(ctx context.Context) (last map[schedule.ID]time.Time, err error) {
	last = map[schedule.ID]time.Time{}
	err = s.do(ctx, "ended", func(answered bool) error {
		if answered {
			for _, e := range s.db.entries {
				last[e.id] = schedule.Later(e.after, s.db.last[e.id])
			}
		}
		return nil
	})
	return last, err
}

// see remembers what was seen, while the term lasts.
func (s *session) see(ctx context.Context, term int64, seen []entry) error {
	return s.do(ctx, "see", func(answered bool) error {
		if !answered {
			return nil // nothing repeats a transaction
		}
		if term != s.db.term {
			return schedule.ErrLost
		}
		for _, e := range s.db.entries {
			for _, row := range seen {
				if row.id == e.id && row.seen != e.seen {
					e.seen, e.after = row.seen, schedule.Later(e.after, row.after)
					s.world.note(s.who, fmt.Sprintf("remembers %q since %v", e.seen, e.after.Sub(s.world.began)), nil)
				}
			}
		}
		return nil
	})
}

// definitions returns those of the entries that have one now.
func (s *session) definitions(ctx context.Context, ids []schedule.ID) (found []*schedule.Entry, err error) {
	err = s.do(ctx, "definitions", func(answered bool) error {
		for _, e := range s.db.entries {
			if change := e.change(s.db.last[e.id]); answered && change.Entry != nil && slices.Contains(ids, e.id) {
				found = append(found, change.Entry)
			}
		}
		return nil
	})
	return found, err
}

// named finds what a message is of by its id.
func (db *database) named(m celery.Message) string {
	for _, e := range db.entries { // entries and their slots do not change
		if m.ID == taskID(e.id, m.Slot, "") {
			return db.world.name(e.id, m.Slot, "")
		}
	}
	return db.world.wanted(m.ID)
}

// requests returns those that are not recorded.
func (s *session) requests(ctx context.Context) (open []request, err error) {
	err = s.do(ctx, "requests", func(answered bool) error {
		for _, r := range s.db.asked {
			if answered && s.db.open[r.id] {
				open = append(open, r)
			}
		}
		return nil
	})
	return open, err
}

// ask is what a person does who wants a run now.
func (db *database) ask(id schedule.ID) {
	_ = db.lock(context.Background())
	defer db.unlock()
	r := request{fmt.Sprint(len(db.asked)), id, time.Now()}
	db.asked = append(db.asked, r)
	db.world.want(taskID(id, r.at, r.id), r.name())
	db.open[r.id] = true
}

// change is what the row says, of an entry whose last slot was that.
func (e *entry) change(last time.Time) schedule.Change {
	if e.off && e.gone {
		return schedule.Change{ID: e.id, Reason: schedule.ReasonRemoved}
	}
	if e.off {
		return schedule.Change{ID: e.id, Reason: schedule.ReasonDisabled}
	}
	if e.held {
		return schedule.Change{ID: e.id, Reason: schedule.ReasonPaused}
	}
	template := templates[e.digest%len(templates)]
	if e.rare {
		template = rare
	}
	return schedule.Change{ID: e.id, Entry: &schedule.Entry{
		ID: e.id, Name: fmt.Sprint(e.id, e.name), Task: "tasks.probe", Spec: e.spec, Misfire: e.misfire,
		After: schedule.Later(e.after, last), Since: e.after.UnixMicro(), PausedUntil: e.until, Digest: uint64(e.digest), Payload: template,
	}}
}

// edit changes a row as a person would.
func (db *database) edit(id schedule.ID, change func(e *entry)) {
	_ = db.lock(context.Background())
	defer db.unlock()
	for _, e := range db.entries {
		if e.id == id {
			was := e.digest
			change(e)
			e.version++
			if e.digest != was {
				e.specs = append(e.specs, nil)
			}
			if !e.off {
				e.specs[e.digest] = e.spec
			}
			e.edits = append(e.edits, edit{time.Now(), e.off || e.held})
			db.world.note("people", fmt.Sprintf("edit %s: version %d, off %v, %v", id, e.version, e.off, e.spec), nil)
		}
	}
}
