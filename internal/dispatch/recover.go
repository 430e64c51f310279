package dispatch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/onebeat/onebeat/internal/celery"
	"github.com/onebeat/onebeat/internal/schedule"
)

// Recover ends what earlier terms left in the journal: slots that the broker's
// mark speaks of are recorded as it says; the others are sent now, if their
// entry is still as it was when they were claimed and its misfire policy wants
// them, else recorded as skipped. It must run before Run in each term.
//
// journal is what was claimed and not recorded, in order; entry returns an
// entry's present definition, or nil. Planning goes on after what Settled says.
//
// It returns the last sequence number that is known, at least seq.
func (d *Dispatcher) Recover(hold context.Context, term, seq int64, journal []schedule.Claimed, entry func(schedule.ID) *schedule.Entry) (int64, error) {
	var mark celery.Mark
	err := d.persist(hold, "reaching the broker", d.metrics.brokerError, func(ctx context.Context) (err error) {
		mark, err = d.publisher.Take(ctx, term)
		return err
	})
	if err != nil {
		return 0, fenced(err)
	}
	reasons, err := readNotes(mark.Note)
	if err != nil {
		return 0, fmt.Errorf("read the note that the broker keeps with the mark of batch %d: %w", mark.Seq, err)
	}
	seq = max(seq, mark.Seq)
	notes := newNotes()
	for _, claimed := range journal {
		seq = max(seq, claimed.Seq)
		if err := d.recoverBatch(hold, term, claimed, mark, reasons[claimed.Seq], entry, notes); err != nil {
			return 0, fenced(err)
		}
	}
	return seq, nil
}

// Settled returns the last slot of each entry that the journal names: recovery
// ends it, so planning must go on after it.
func Settled(journal []schedule.Claimed) map[schedule.ID]time.Time {
	last := map[schedule.ID]time.Time{}
	for _, claimed := range journal {
		for _, due := range claimed.Dues {
			for _, slot := range []time.Time{due.Slot, due.Through} {
				if due.Request == "" && slot.After(last[due.Entry]) {
					last[due.Entry] = slot
				}
			}
		}
	}
	return last
}

// fenced says in the ledger's words that the term is over.
func fenced(err error) error {
	if errors.Is(err, celery.ErrFenced) {
		return schedule.ErrLost
	}
	return err
}

// recoverBatch ends one batch of an earlier term.
func (d *Dispatcher) recoverBatch(hold context.Context, term int64, claimed schedule.Claimed, mark celery.Mark, reasons map[int]string, entry func(schedule.ID) *schedule.Entry, notes *notes) error {
	var runs []schedule.Run
	left := schedule.Batch{Term: term, Seq: claimed.Seq}
	base := len(claimed.Dues) // where what is left to send begins
	for i, due := range claimed.Dues {
		present := entry(due.Entry)
		switch {
		case mark.Covers(claimed.Seq, i+1):
			if run, ok := d.known(due, present, term, reasons[i]); ok {
				runs = append(runs, run)
			}
		default: // from the first such slot on, all are
			base = min(base, i)
			left.Dues = append(left.Dues, d.owed(due, present))
		}
	}
	if len(left.Dues) > 0 {
		sent, err := d.send(hold, left, base, notes)
		if err != nil {
			return err
		}
		for _, run := range sent {
			run.Recovered = true
			runs = append(runs, run)
		}
	}
	d.log.Info("batch recovered", "seq", claimed.Seq, "slots", len(claimed.Dues), "sent_before", len(claimed.Dues)-len(left.Dues))
	if err := d.write(hold, term, []int64{claimed.Seq}, runs); err != nil {
		return err
	}
	notes.forget([]int64{claimed.Seq})
	return nil
}

// known is the run of a slot that the broker's mark speaks of.
func (d *Dispatcher) known(due schedule.ClaimedDue, present *schedule.Entry, term int64, reason string) (schedule.Run, bool) {
	claimed := asDue(due, present)
	run := d.run(&claimed, term)
	run.Recovered = true
	switch {
	case run.State != "":
	case reason == schedule.ReasonReplaced:
		return run, false
	case reason != "":
		run.State, run.Reason = asNoted(reason)
	default:
		run.State = schedule.Sent
		run.TaskID = d.taskID(&claimed)
		if present != nil && present.Digest == due.Digest {
			run.Queue = present.Payload.(*celery.Template).Route().Queue
		}
	}
	return run, true
}

// owed decides what becomes of a claimed slot that did not go out.
func (d *Dispatcher) owed(claimed schedule.ClaimedDue, present *schedule.Entry) schedule.Due {
	due := asDue(claimed, present)
	skip := func(state schedule.State, reason string) schedule.Due {
		due.State, due.Reason, due.Count = state, reason, 1
		return due
	}
	switch {
	case due.State != "":
		return due
	case present == nil:
		return skip(schedule.Skipped, schedule.ReasonRemoved)
	case present.Digest != claimed.Digest:
		return skip(schedule.Skipped, schedule.ReasonEdited)
	case due.Request != "":
		return due
	}
	now := d.opts.Now()
	grace := present.Misfire.Grace
	if grace == 0 {
		grace = schedule.DefaultGrace
	}
	late := now.Sub(due.Slot)
	if late <= grace {
		return due
	}
	next := present.Spec.Next(due.Slot)
	switch {
	case present.Misfire.Policy == schedule.Skip, present.Misfire.Age > 0 && late > present.Misfire.Age:
		return skip(schedule.Skipped, schedule.ReasonMisfire)
	case present.Misfire.Policy != schedule.All && !next.IsZero() && !next.After(now):
		return skip(schedule.Coalesced, schedule.ReasonMisfire)
	}
	return due
}

// asDue is a remembered due with its entry's present definition; an entry that is
// gone keeps its id alone.
func asDue(claimed schedule.ClaimedDue, present *schedule.Entry) schedule.Due {
	if present == nil {
		present = &schedule.Entry{ID: claimed.Entry}
	}
	return schedule.Due{
		Entry: present, Slot: claimed.Slot, Request: claimed.Request,
		State: claimed.State, Reason: claimed.Reason, Through: claimed.Through, Count: claimed.Count,
	}
}
