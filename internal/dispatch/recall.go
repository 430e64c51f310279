package dispatch

import (
	"context"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/onebeat/onebeat/internal/celery"
	"github.com/onebeat/onebeat/internal/schedule"
)

// recorded is the last batch that was published and recorded: seq is the last that
// was claimed, and journal has those that are not recorded.
func recorded(seq int64, journal []schedule.Claimed) int64 {
	if len(journal) > 0 {
		return journal[0].Seq - 1
	}
	return seq
}

// whole is more places than a batch has.
const whole = math.MaxInt32

// recall finds out whether the broker has come back with older data: its mark must
// have got to the last batch that was recorded, and to the term of each claim. If it has not, what was recorded as
// sent since the mark is told of, and sent again if that is wanted and can be done:
// as the entries are now, under the ids that it had. Then the mark says that all this
// is settled, so that it is done once. recall returns the mark to recover from.
//
// A crash in between changes nothing: each part moves the mark by what it holds. Where the mark is in the midst of a batch
// that is not recorded, it cannot: its places are those of the rest of the batch, which recovery sends. All goes
// with that then.
func (d *Dispatcher) recall(hold context.Context, term, recorded int64, journal []schedule.Claimed, mark celery.Mark, present func(schedule.ID) schedule.Change) (celery.Mark, error) {
	seen := d.metrics.forgot.Load() > mark.Term
	older := slices.ContainsFunc(journal, func(c schedule.Claimed) bool { return c.Term > mark.Term }) // a claim comes after the broker knew its term
	if !seen && !older && mark.Seq >= recorded || mark.Beyond != 0 {
		return mark, nil // where messages and mark do not arrive in one step, it may be behind
	}
	d.metrics.forgot.Store(term + 1) // until the broker is told
	if mark.Term == 0 && !seen {
		d.log.Warn("the broker knows nothing of this installation: it is new here, or has lost all that it had", "seq", recorded)
		if older {
			mark.Beyond = celery.AllBeyond
		}
		return mark, d.settle(hold, term, recorded, mark.Beyond != 0)
	}
	lost, known, err := d.lost(hold, mark)
	if err != nil {
		return mark, err
	}
	switch {
	case known && len(lost) == 0:
		d.log.Warn("the broker has come back with older data: nothing that is on record was sent since then", "since", time.UnixMicro(mark.At).UTC())
	case known:
		d.log.Error("the broker has come back with older data: messages that it had taken are gone",
			"lost", len(lost), "since", time.UnixMicro(mark.At).UTC(), "resend", d.opts.Resend)
	default:
		d.log.Error("the broker has come back without what it had: messages that waited there are gone, and which is not known; let it keep its data, as by appendonly yes")
	}
	d.metrics.recalled(len(lost), known, d.opts.Resend, d.opts.Now())
	midst := slices.ContainsFunc(journal, func(c schedule.Claimed) bool { return c.Seq == mark.Seq && !covers(mark, &c, len(c.Dues)) })
	switch {
	case d.opts.Resend && midst && !d.joined:
		d.riders = d.again(lost, present, whole)
	case d.opts.Resend:
		if mark, err = d.resend(hold, term, mark, lost, present); err != nil {
			return mark, err
		}
	default:
		for i := range lost[:min(len(lost), each)] {
			run := &lost[i]
			d.log.Error("task lost by the broker", "entry", run.Name, "task", run.Task, "task_id", run.TaskID, "slot", run.Slot, "queue", run.Queue)
		}
	}
	if len(journal) > 0 {
		mark.Beyond = celery.AllBeyond // workers may have got it before it was forgotten
	}
	if mark.Seq > recorded {
		return mark, nil
	}
	return mark, d.settle(hold, term, recorded, mark.Beyond != 0)
}

// settle moves the mark behind all that was recorded. What is behind it may be with the broker, if that is so.
func (d *Dispatcher) settle(hold context.Context, term, recorded int64, beyond bool) error {
	notes := notes{beyond: beyond}
	_, err := d.tell(hold, celery.Part{Mark: celery.Mark{Term: term, Seq: recorded, Done: whole, Note: notes.text(), At: d.opts.Now().UnixMicro()}})
	return err
}

// readings is how often a ledger is read that is too large to be read within the time of a call: nothing is sent meanwhile.
const readings = 3

// lost returns the runs that the ledger has as sent since the mark, in order, and says whether that is known.
func (d *Dispatcher) lost(hold context.Context, mark celery.Mark) (runs []schedule.Run, known bool, err error) {
	if mark.At == 0 || d.opts.SentSince == nil {
		return nil, false, nil
	}
	reading, leave := context.WithCancel(hold)
	defer leave()
	late := 0
	err = d.persist(reading, "reading what the broker has lost", d.metrics.databaseError, func(ctx context.Context) (err error) {
		runs, err = d.opts.SentSince(ctx, time.UnixMicro(mark.At).UTC())
		if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
			if late++; late == readings {
				leave()
			}
		}
		return err
	})
	if err != nil && hold.Err() == nil && reading.Err() != nil {
		d.log.Error("what the broker has lost is not known: the ledger is not read in time", "since", time.UnixMicro(mark.At).UTC())
		return nil, false, nil
	}
	// The mark's own part was acknowledged after it had left, and is there.
	own := slices.IndexFunc(runs, func(r schedule.Run) bool { return mark.Last != "" && r.TaskID == mark.Last })
	if own >= 0 {
		at := runs[own].SentAt
		runs = slices.DeleteFunc(runs, func(r schedule.Run) bool { return !r.SentAt.After(at) })
	}
	return runs, err == nil, err
}

// resend sends runs again, a part for each instant at which some were sent. What goes
// at most once, and what has no entry any more, stays lost.
func (d *Dispatcher) resend(hold context.Context, term int64, mark celery.Mark, lost []schedule.Run, present func(schedule.ID) schedule.Change) (celery.Mark, error) {
	for len(lost) > 0 {
		at := lost[0].SentAt
		end := slices.IndexFunc(lost, func(r schedule.Run) bool { return !r.SentAt.Equal(at) })
		if end < 0 {
			end = len(lost)
		}
		messages := d.again(lost[:end], present, mark.Done)
		next := mark
		next.Term, next.Done, next.At, next.Last = term, mark.Done+end, at.UnixMicro(), ""
		failures, err := d.push(hold, celery.Part{Mark: next, Messages: messages, Events: d.opts.Events})
		if err != nil {
			return mark, err
		}
		for _, failure := range failures {
			d.log.Error("task lost by the broker and not taken again", "task_id", lost[failure.Index-mark.Done].TaskID, "err", failure.Reason)
		}
		mark, lost = next, lost[end:]
	}
	return mark, nil
}

// again makes messages of those of lost runs that are sent again, with places from one on.
func (d *Dispatcher) again(lost []schedule.Run, present func(schedule.ID) schedule.Change, from int) (messages []celery.Message) {
	now := d.opts.Now()
	for i := range lost {
		run := &lost[i]
		e := present(run.Entry).Entry
		if e == nil || e.Payload.(*celery.Template).AtMostOnce() || e.Payload.(*celery.Template).Expired(now) {
			d.log.Error("task lost by the broker and not sent again", "entry", run.Name, "task", run.Task, "task_id", run.TaskID, "slot", run.Slot, "queue", run.Queue)
			continue
		}
		messages = append(messages, celery.Message{
			Template: e.Payload.(*celery.Template), ID: run.TaskID, Slot: run.Slot, At: now, Index: from + i,
		})
		if i < each {
			d.log.Warn("task sent again", "entry", run.Name, "task", run.Task, "task_id", run.TaskID, "slot", run.Slot, "queue", run.Queue)
		}
	}
	return messages
}

// tell publishes a part whose mark has all that was found out of a broker which forgot.
func (d *Dispatcher) tell(hold context.Context, part celery.Part) ([]celery.Failure, error) {
	failures, err := d.push(hold, part)
	if err == nil {
		d.metrics.forgot.Store(0)
	}
	return failures, err
}

// ride publishes a part, and with it what has to go with the first one.
func (d *Dispatcher) ride(hold context.Context, part celery.Part) ([]celery.Failure, error) {
	if len(d.riders) == 0 {
		return d.tell(hold, part)
	}
	part.Messages = slices.Concat(part.Messages, d.riders)
	failures, err := d.tell(hold, part)
	if err != nil {
		return nil, err
	}
	own := failures[:0:0]
	for _, failure := range failures {
		if failure.Index < whole {
			own = append(own, failure)
			continue
		}
		at := slices.IndexFunc(d.riders, func(m celery.Message) bool { return m.Index == failure.Index })
		d.log.Error("task lost by the broker and not taken again", "task_id", d.riders[at].ID, "err", failure.Reason)
	}
	d.riders = nil
	return own, nil
}
