package store

import (
	"context"
	"encoding/json"
	"fmt"
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

// Claim writes the batch in the journal, for good, and moves the lease on to its
// sequence number. It returns schedule.ErrLost, and has written nothing, when the
// batch's term is over. It may be called again with the same batch after an error.
func (s *Store) Claim(ctx context.Context, batch schedule.Batch) error {
	dues := make([]journalDue, len(batch.Dues))
	for i, due := range batch.Dues {
		dues[i] = journalDue{
			Entry: due.Entry.ID, Slot: micros(due.Slot), Digest: due.Entry.Digest, Request: due.Request,
			State: due.State, Reason: due.Reason, Through: micros(due.Through), Count: due.Count,
		}
	}
	text, err := json.Marshal(dues)
	if err != nil {
		return fmt.Errorf("claim: %w", err)
	}
	if err := failpoint.Here("claim.before"); err != nil {
		return err
	}
	err = s.db.transact(ctx, "claim.commit.before", func(tx transaction) error {
		held, err := tx.claim(ctx, s.options.Shard, batch.Term, batch.Seq, string(text))
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
// returns schedule.ErrLost when the term is over. It may be called again after an
// error, with the same batches: those that were recorded stay recorded once.
//
// Its commit need not be durable: a record that is lost with the database's
// machine leaves its batches in the journal.
func (s *Store) Record(ctx context.Context, term int64, seqs []int64, runs []schedule.Run) error {
	if err := failpoint.Here("record.before"); err != nil {
		return err
	}
	ended := fold(runs)
	again := false
	err := s.db.transact(ctx, "record.commit.before", func(tx transaction) (err error) {
		again, err = s.record(ctx, tx, term, seqs, runs, ended)
		return err
	})
	if err != nil {
		return fmt.Errorf("record: %w", err)
	}
	if !again {
		s.memory.record(ended)
	}
	return failpoint.Here("record.after")
}

func (s *Store) record(ctx context.Context, tx transaction, term int64, seqs []int64, runs []schedule.Run, ended ends) (again bool, err error) {
	if err := tx.relax(ctx); err != nil {
		return false, err
	}
	if len(seqs) > 0 {
		gone, err := tx.exec(ctx, "journal_delete", s.options.Shard, seqs)
		switch {
		case err != nil:
			return false, err
		case gone == 0:
			return true, s.holds(ctx, tx, term)
		case gone != int64(len(seqs)):
			return false, fmt.Errorf("%d of %d batches are not in the journal", int64(len(seqs))-gone, len(seqs))
		}
	}
	if err := s.move(ctx, tx, ended); err != nil {
		return false, err
	}
	if len(ended.requests) > 0 {
		if _, err := tx.exec(ctx, "requests_delete", ended.requests); err != nil {
			return false, err
		}
	}
	if err := tx.insertRuns(ctx, runs); err != nil {
		return false, err
	}
	return false, s.holds(ctx, tx, term)
}

// holds fails unless the term holds the lease, and keeps the lease as it is until
// the transaction ends. It comes last in a transaction, for claims wait for it.
func (s *Store) holds(ctx context.Context, tx transaction, term int64) error {
	held := false
	err := tx.each(ctx, "lease_check", func(scanner) error {
		held = true
		return nil
	}, s.options.Shard, term)
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

// fold sums the runs up. A run that a person asked for is counted, but its
// instant is no slot: it must not hide slots that are still owed.
func fold(runs []schedule.Run) ends {
	var all ends
	at := make(map[schedule.ID]int, len(runs))
	for i := range runs {
		run := &runs[i]
		k, ok := at[run.Entry]
		if !ok {
			k = len(all.ids)
			at[run.Entry] = k
			all.ids = append(all.ids, string(run.Entry))
			all.sent = append(all.sent, time.Time{})
			all.unsent = append(all.unsent, time.Time{})
			all.counts = append(all.counts, 0)
		}
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
		*last = latest(*last, run.Slot, run.Through)
	}
	return all
}

// move writes the state of entries in its home.
func (s *Store) move(ctx context.Context, tx transaction, ended ends) error {
	table := s.shape()
	beside := ended
	switch s.home(table) {
	case HomeMemory:
		return nil
	case HomeColumn:
		name := "row_ended"
		if table.has("total_run_count") {
			name = "row_ended_counted"
			beside = ended.unsentOnly()
		}
		if err := tx.many(ctx, name, ended.ids, ended.sent, ended.counts); err != nil {
			return err
		}
	}
	return tx.many(ctx, "entry_ended", beside.ids, beside.sent, beside.unsent, beside.counts)
}

// unsentOnly is what is left to remember once the rows hold what was sent.
func (all ends) unsentOnly() ends {
	var rest ends
	for i, at := range all.unsent {
		if !at.IsZero() {
			rest.ids = append(rest.ids, all.ids[i])
			rest.sent = append(rest.sent, time.Time{})
			rest.unsent = append(rest.unsent, at)
			rest.counts = append(rest.counts, 0)
		}
	}
	return rest
}

// Journal returns the batches that were claimed and not recorded, in order, of
// any term.
func (s *Store) Journal(ctx context.Context) ([]schedule.Claimed, error) {
	if err := failpoint.Here("journal.before"); err != nil {
		return nil, err
	}
	var open []schedule.Claimed
	err := s.db.each(ctx, "journal", func(row scanner) error {
		var batch schedule.Claimed
		var text string
		if err := row.Scan(&batch.Seq, &batch.Term, instant{&batch.At}, &text); err != nil {
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
	}, s.options.Shard)
	if err != nil {
		return nil, fmt.Errorf("read journal: %w", err)
	}
	return open, failpoint.Here("journal.after")
}

// LastSeq returns the sequence number of the last batch that was claimed, 0 if
// none ever was.
func (s *Store) LastSeq(ctx context.Context) (seq int64, err error) {
	err = s.db.each(ctx, "lease_seq", func(row scanner) error { return row.Scan(&seq) }, s.options.Shard)
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

// latest is the latest of instants, of which some may be zero.
func latest(first time.Time, others ...time.Time) time.Time {
	for _, at := range others {
		if at.After(first) {
			first = at
		}
	}
	return first
}
