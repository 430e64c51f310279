package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/onebeat/onebeat/internal/failpoint"
	"github.com/onebeat/onebeat/internal/schedule"
)

// A journalDue is a schedule.ClaimedDue as the journal's JSON has it: short keys,
// instants in microseconds since the Unix epoch.
type journalDue struct {
	Entry   schedule.ID    `json:"e"`
	Slot    int64          `json:"s"`
	Digest  uint64         `json:"d,omitempty"`
	Request string         `json:"r,omitempty"`
	State   schedule.State `json:"st,omitempty"`
	Reason  string         `json:"why,omitempty"`
	Through int64          `json:"to,omitempty"`
	Count   int            `json:"n,omitempty"`
}

// journalText is the dues as the journal has them, an array of journalDue; by
// hand, for each slot's claim waits for it.
func journalText(dues []schedule.Due) string {
	var all strings.Builder
	all.Grow(2 + len(dues)*(len(`{"e":"","s":,"d":},`)+36+16+20))
	all.WriteByte('[')
	var text []byte // of one
	number := func(key string, n int64) {
		if n != 0 {
			text = strconv.AppendInt(append(text, key...), n, 10)
		}
	}
	word := func(key, value string) {
		if value != "" {
			text = appendJSON(append(text, key...), value)
		}
	}
	for i := range dues {
		due := &dues[i]
		if text = text[:0]; i > 0 {
			text = append(text, ',')
		}
		text = appendJSON(append(text, `{"e":`...), string(due.Entry.ID))
		text = strconv.AppendInt(append(text, `,"s":`...), micros(due.Slot), 10)
		if digest := due.Entry.Digest; digest != 0 {
			text = strconv.AppendUint(append(text, `,"d":`...), digest, 10)
		}
		word(`,"r":`, due.Request)
		word(`,"st":`, string(due.State))
		word(`,"why":`, due.Reason)
		number(`,"to":`, micros(due.Through))
		number(`,"n":`, int64(due.Count))
		all.Write(append(text, '}'))
	}
	all.WriteByte(']')
	return all.String()
}

// appendJSON appends a text as JSON.
func appendJSON(dst []byte, text string) []byte {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			quoted, err := json.Marshal(text)
			if err != nil {
				panic(err) // a text always has a JSON form
			}
			return append(dst, quoted...)
		}
	}
	return append(append(append(dst, '"'), text...), '"')
}

// Claim writes the batch in the journal, for good, and moves the lease on to its
// sequence number. It returns schedule.ErrLost, and has written nothing, when the
// batch's term is over. It may be called again with the same batch after an error.
func (s *Shard) Claim(ctx context.Context, batch schedule.Batch) error {
	text := journalText(batch.Dues)
	if err := s.settle(ctx, batch); err != nil {
		return fmt.Errorf("claim: %w", err)
	}
	if err := failpoint.Here("claim.before"); err != nil {
		return err
	}
	err := s.store.db.transact(ctx, mode{point: "claim.commit.before"}, func(tx transaction) error {
		held, err := tx.claim(ctx, s.number, batch.Term, batch.Seq, text)
		if err == nil && !held {
			err = schedule.ErrLost
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("claim: %w", err)
	}
	return failpoint.Here("claim.after")
}

// Record ends the slots of the batches: the ledger gets the runs, entries their
// run state, and the journal lets the batches go, all of it or nothing. It
// returns schedule.ErrLost when the term is over, and schedule.ErrJournal when some of the batches
// are gone, but not all. It may be called again after another
// error, with the same batches: those that were recorded stay recorded once.
//
// Its commit need not be durable: a record that is lost with the database's
// machine leaves its batches in the journal.
func (s *Shard) Record(ctx context.Context, term int64, seqs []int64, runs []schedule.Run) error {
	r := &recording{Shard: s, term: term, seqs: seqs, around: s.store.queues}
	r.take(runs)
	return s.record(ctx, r, mode{relaxed: true, point: "record.commit.before"})
}

func (s *Shard) record(ctx context.Context, r *recording, how mode) error {
	if err := failpoint.Here("record.before"); err != nil {
		return err
	}
	if s.store.shape() == nil { // a recovery may come before the first load
		if err := s.store.look(ctx); err != nil {
			return fmt.Errorf("record: %w", err)
		}
	}
	s.part(ctx, r.term)
	err := r.recorded(ctx, how)
	s.concluded(r, err)
	if err != nil {
		return err
	}
	now := time.Now().UnixNano()
	s.store.recordedAt.Store(now)
	if len(r.runs) >= chunk {
		s.store.herdedAt.Store(now)
	}
	return failpoint.Here("record.after")
}

// errHeld is a transaction that gave up waiting for a row that another program holds.
var errHeld = errors.New("another program holds a row that is to be written: end its open transaction")

// A recording is one call of Record or RecordWith.
type recording struct {
	*Shard
	term int64
	seqs []int64
	runs []schedule.Run

	ordered []*schedule.Run // the runs, by entry
	ended   ends

	part schedule.Settling                                         // of RecordWith
	with func(tx Tx, record func(runs []schedule.Run) error) error // what it does beside; nil for Record

	around  bool             // leave out rows that another program holds
	leave   bool             // and rows of entries that have ended
	refused map[string]error // and these rows, which refuse what is written of them
	plain   bool             // texts are ASCII: the database's encoding lacks a character of one
	left    int              // rows of entries that have ended and that another program holds
	again   bool             // all was recorded before
	wrote   bool             // it got as far as to write
}

// take takes what is to be recorded.
func (r *recording) take(runs []schedule.Run) {
	r.runs, r.ordered = runs, inOrder(runs)
	r.ended = fold(r.ordered)
}

func (r *recording) do(ctx context.Context, tx transaction) error {
	r.left = 0
	if err := r.close(ctx, tx); err != nil {
		return err
	}
	var err error
	switch {
	case r.again:
	case r.with == nil:
		err = r.write(ctx, tx)
	default:
		err = r.with(tx, func(runs []schedule.Run) error {
			r.take(runs)
			return r.write(ctx, tx)
		})
	}
	if err != nil {
		return err
	}
	return r.holds(ctx, tx, r.term)
}

// write writes the runs, and what becomes of their entries.
func (r *recording) write(ctx context.Context, tx transaction) error {
	r.wrote = true
	if err := r.move(ctx, tx); err != nil {
		return err
	}
	if err := r.finish(ctx, tx); err != nil {
		return err
	}
	if len(r.ended.requests) > 0 {
		if _, err := tx.exec(ctx, "requests_delete", r.ended.requests); err != nil {
			return err
		}
	}
	if runs := r.store.noted(r.ordered, r.plain); len(runs) > 0 {
		return tx.insertRuns(ctx, r.into.write(runs), runs)
	}
	return nil
}

// close takes the batches out of the journal, or notes how far the one is recorded that stays,
// which tells too whether they were recorded before.
func (r *recording) close(ctx context.Context, tx transaction) error {
	r.again = false
	if r.with != nil && !slices.Contains(r.seqs, r.part.Seq) {
		settled, err := tx.exec(ctx, "journal_settle", r.number, r.part.Seq, r.part.Done)
		if r.again = settled == 0; err != nil || r.again {
			return err
		}
	}
	if len(r.seqs) == 0 {
		return nil
	}
	gone, err := tx.exec(ctx, "journal_delete", r.number, r.seqs)
	if err != nil {
		return err
	}
	r.again = gone == 0
	if gone != 0 && gone != int64(len(r.seqs)) {
		return fmt.Errorf("%w: %d of %d are gone", schedule.ErrJournal, int64(len(r.seqs))-gone, len(r.seqs))
	}
	return nil
}

// move writes the state of entries in its home. What can't be written in a row
// now is remembered beside it, and counts as if it were there.
func (r *recording) move(ctx context.Context, tx transaction) error {
	table := r.store.shape()
	beside := r.ended
	switch r.store.home(table) {
	case HomeMemory:
		return nil
	case HomeColumn:
		own, held := r.ended, ends{}
		if len(r.refused) > 0 || len(r.store.sources) > 0 {
			own, held = own.parted(func(id string) bool { return r.store.source(id) == nil && r.refused[id] == nil })
		}
		if err := r.mark(ctx, tx, own); err != nil {
			return err
		}
		free := own
		if r.around {
			got := make(map[string]bool, len(own.ids))
			if err := r.lock(ctx, tx, own.ids, got, false); err != nil {
				return err
			}
			var others ends
			free, others = own.parted(func(id string) bool { return got[id] })
			held = held.and(others)
		}
		if err := r.tell(ctx, tx, free); err != nil {
			return err
		}
		if table.has("total_run_count") {
			if !r.store.layout.overwritten {
				free = free.unsentOnly()
			}
			beside = free.uncounted().and(held)
		}
	}
	return tx.many(ctx, "entry_ended", beside.ids, beside.sent, beside.unsent, beside.counts)
}

// mark moves the models' mark of changes, where these rows are about to be disabled. It comes before any of them is locked: their
// programs write a row and then the mark, and who had the row and waited for the mark would wait for them for ever.
func (r *recording) mark(ctx context.Context, tx transaction, rows ends) error {
	if !r.store.layout.marks {
		return nil
	}
	return tx.many(ctx, "row_mark", r.store.told(rows.ids, rows.sent)...)
}

// tell writes the state of entries in their rows.
func (r *recording) tell(ctx context.Context, tx transaction, rows ends) error {
	name := "row_ended"
	if r.store.shape().has("total_run_count") {
		name = "row_ended_counted"
		if done, err := r.tellStretch(ctx, tx, rows); done || err != nil {
			return err
		}
	}
	return tx.many(ctx, name, r.store.told(rows.ids, rows.sent, rows.counts)...)
}

// lock locks those rows of entries that no other program holds, and puts their ids into got. It is more patient
// where they are written for the last time.
func (r *recording) lock(ctx context.Context, tx transaction, ids []string, got map[string]bool, last bool) error {
	over := r.patience(last)
	for {
		err := tx.each(ctx, "rows_free", func(row scanner) error {
			var id string
			err := row.Scan(&id)
			got[id] = true
			return err
		}, ids)
		if err != nil {
			return err
		}
		ids = slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return got[id] || r.removed(id) })
		if len(ids) == 0 {
			return nil
		}
		if !time.Now().Before(over) {
			r.hindered(ids)
			return nil
		}
		if err := rest(ctx, heldInterval); err != nil {
			return err
		}
	}
}

// removed says whether the entry ended for its row is gone, which is not to be waited for.
func (r *recording) removed(id string) bool {
	return slices.ContainsFunc(r.runs, func(run schedule.Run) bool {
		return run.Reason == schedule.ReasonRemoved && string(run.Entry) == id
	})
}

// holds fails unless the term holds the lease, and keeps the lease as it is until
// the transaction ends. It comes last in a transaction: others wait for it, on MySQL claims too.
func (s *Shard) holds(ctx context.Context, tx querier, term int64) error {
	held := false
	err := tx.each(ctx, "lease_check", func(scanner) error {
		held = true
		return nil
	}, s.number, term)
	if err == nil && !held {
		err = schedule.ErrLost
	}
	return err
}

// ends is what runs do to the state of entries, one element an entry.
type ends struct {
	ids      []string
	sent     []time.Time // the last slot sent; zero if none was
	unsent   []time.Time // the last slot that ended without; zero if none did
	counts   []int64     // slots sent
	requests []string
}

// fold sums runs up, of which those of an entry stand together. A run that a person asked for is counted, but its
// instant is no slot: it must not hide slots that are still owed.
func fold(runs []*schedule.Run) ends {
	all := newEnds(len(runs))
	for i, run := range runs {
		if i == 0 || run.Entry != runs[i-1].Entry {
			all.add(string(run.Entry), time.Time{}, time.Time{}, 0)
		}
		k := len(all.ids) - 1
		if run.State == schedule.Sent {
			all.counts[k] += int64(max(run.Count, 1))
		}
		if run.Request != "" {
			all.requests = append(all.requests, run.Request)
			continue
		}
		last := &all.unsent[k]
		if run.State == schedule.Sent {
			last = &all.sent[k]
		}
		*last = schedule.Later(*last, run.Slot, run.Through)
	}
	return all
}

// newEnds returns none, with room for so many entries.
func newEnds(entries int) ends {
	return ends{
		ids: make([]string, 0, entries), sent: make([]time.Time, 0, entries),
		unsent: make([]time.Time, 0, entries), counts: make([]int64, 0, entries),
	}
}

func (all *ends) add(id string, sent, unsent time.Time, count int64) {
	all.ids = append(all.ids, id)
	all.sent = append(all.sent, sent)
	all.unsent = append(all.unsent, unsent)
	all.counts = append(all.counts, count)
}

// parted is those of entries for which is holds, and the others.
func (all ends) parted(is func(id string) bool) (those, others ends) {
	for i, id := range all.ids {
		of := &others
		if is(id) {
			of = &those
		}
		of.add(id, all.sent[i], all.unsent[i], all.counts[i])
	}
	return those, others
}

// and is the ends of both, which are of different entries.
func (all ends) and(others ends) ends {
	for i, id := range others.ids {
		all.add(id, others.sent[i], others.unsent[i], others.counts[i])
	}
	return all
}

// uncounted is the same without the counts, which the rows hold.
func (all ends) uncounted() ends {
	all.counts = make([]int64, len(all.ids))
	return all
}

// unsentOnly is what is left to remember once the rows hold what was sent.
func (all ends) unsentOnly() ends {
	var rest ends
	for i, at := range all.unsent {
		if !at.IsZero() {
			rest.add(all.ids[i], time.Time{}, at, 0)
		}
	}
	return rest
}

// Journal returns the batches that were claimed and not recorded, in order, of
// any term.
func (s *Shard) Journal(ctx context.Context) ([]schedule.Claimed, error) {
	if err := failpoint.Here("journal.before"); err != nil {
		return nil, err
	}
	var open []schedule.Claimed
	err := s.store.db.each(ctx, "journal", func(row scanner) error {
		var batch schedule.Claimed
		var text string
		if err := row.Scan(&batch.Seq, &batch.Term, instant{&batch.At}, &text, &batch.Recorded); err != nil {
			return err
		}
		var dues []journalDue
		if err := json.Unmarshal([]byte(text), &dues); err != nil {
			return fmt.Errorf("batch %d: %w", batch.Seq, err)
		}
		for _, due := range dues {
			batch.Dues = append(batch.Dues, schedule.ClaimedDue{
				Entry: due.Entry, Slot: fromMicros(due.Slot), Digest: due.Digest, Request: due.Request,
				State: due.State, Reason: due.Reason, Through: fromMicros(due.Through), Count: due.Count,
			})
		}
		open = append(open, batch)
		return nil
	}, s.number)
	if err != nil {
		return nil, fmt.Errorf("read journal: %w", err)
	}
	s.settled(open)
	return open, failpoint.Here("journal.after")
}

// LastSeq returns the sequence number of the last batch that was claimed, 0 if
// none ever was.
func (s *Shard) LastSeq(ctx context.Context) (seq int64, err error) {
	err = s.store.db.each(ctx, "lease_seq", func(row scanner) error { return row.Scan(&seq) }, s.number)
	if err != nil {
		return 0, fmt.Errorf("read last sequence number: %w", err)
	}
	return seq, nil
}

// micros is the instant in microseconds since the Unix epoch, 0 for the zero Time.
func micros(at time.Time) int64 {
	if at.IsZero() {
		return 0
	}
	return at.UnixMicro()
}

func fromMicros(at int64) time.Time {
	if at == 0 {
		return time.Time{}
	}
	return time.UnixMicro(at).UTC()
}
