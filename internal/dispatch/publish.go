package dispatch

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/onebeat/onebeat/internal/celery"
	"github.com/onebeat/onebeat/internal/failpoint"
	"github.com/onebeat/onebeat/internal/schedule"
)

// A settled batch is one that is through with publishing.
type settled struct {
	seq  int64
	runs []schedule.Run
	at   time.Time // since when it waits to be recorded

	waits bool    // for claims of slots that an edit withdrew: the journal holds it until then
	frees []int64 // batches that waited for claims of this one alone
}

// withdrawn are slots of batches that are through which an edit withdrew: until another
// claim has them the journal must tell of them, for nothing else does. The planner hands each
// over again, from the new definition or as ended, so that none waits for long. Nor may
// that claim be recorded before what waits for it, or a recovery would not find it.
type withdrawn struct {
	by    map[claim]int64   // the batch
	of    map[int64]int     // what each batch waits for: slots and batches
	after map[int64][]int64 // the batches that wait for it
	now   []claim           // of the batch that is being sent
}

// end takes in what was withdrawn of the batch, and says whether it waits.
func (w *withdrawn) end(seq int64) (waits bool) {
	for _, slot := range w.now {
		w.by[slot] = seq
		w.of[seq]++
	}
	w.now = w.now[:0]
	return w.of[seq] > 0
}

// claimed returns the batches that wait no more, now that the batch was claimed.
func (w *withdrawn) claimed(batch schedule.Batch) (frees []int64) {
	if len(w.by) == 0 {
		return nil
	}
	var some []int64 // batches of which the batch has a slot
	has := func(slot claim) {
		if seq, waits := w.by[slot]; waits {
			delete(w.by, slot)
			w.of[seq]--
			some = append(some, seq)
		}
	}
	for i := range batch.Dues {
		due := &batch.Dues[i]
		first, last := due.Slot.UnixMicro(), due.Through.UnixMicro()
		switch {
		case due.Request != "":
		case last <= first:
			has(claim{due.Entry.ID, first})
		default:
			for slot := range w.by {
				if slot.entry == due.Entry.ID && first <= slot.slot && slot.slot <= last {
					has(slot)
				}
			}
		}
	}
	slices.Sort(some)
	for _, seq := range slices.Compact(some) {
		if w.of[seq] > 0 {
			w.after[seq] = append(w.after[seq], batch.Seq)
			w.of[batch.Seq]++
			continue
		}
		frees = w.free(seq, frees)
	}
	return frees
}

// free appends the batch, which waits for nothing more, and those that waited for it alone.
func (w *withdrawn) free(seq int64, frees []int64) []int64 {
	frees = append(frees, seq)
	after := w.after[seq]
	delete(w.of, seq)
	delete(w.after, seq)
	for _, next := range after {
		if w.of[next]--; w.of[next] == 0 {
			frees = w.free(next, frees)
		}
	}
	return frees
}

// publish sends batches in order, each in parts as its slots come.
func (d *Dispatcher) publish(hold context.Context, claimed <-chan schedule.Batch, published *backlog, notes *notes) error {
	defer d.news.flush()
	for batch, more := d.await(claimed); more; {
		frees := d.withdrawn.claimed(batch)
		b := &sending{Batch: batch, notes: notes}
		if d.joined {
			if err := d.recorded(hold, b, frees); err != nil {
				return err
			}
			batch, more = d.await(claimed)
			continue
		}
		runs, err := d.send(hold, b)
		if err != nil {
			return err
		}
		through := settled{seq: batch.Seq, runs: runs, waits: d.withdrawn.end(batch.Seq), frees: frees}
		next, waits := schedule.Batch{}, false
		select {
		case next, waits = <-claimed:
		default:
		}
		var late time.Duration
		if waits && !notes.any() { // each mark carries notes until they are recorded
			late = d.opts.Now().Sub(next.Dues[0].Slot)
		}
		if err := published.put(hold, through, late); err != nil {
			return err
		}
		if batch, more = next, waits; !more {
			batch, more = d.await(claimed)
		}
	}
	return nil
}

// await waits for the next batch.
func (d *Dispatcher) await(claimed <-chan schedule.Batch) (batch schedule.Batch, more bool) {
	select {
	case batch, more = <-claimed:
	default:
		d.news.flush() // it may be long until there is more to tell
		batch, more = <-claimed
	}
	return batch, more
}

// A sending is a batch that is being sent.
type sending struct {
	schedule.Batch
	base      int // the place in the batch of its first due: what comes before was settled earlier
	notes     *notes
	recovered bool
	last      bool // nothing that was sent before is in a batch behind it

	// Where parts are recorded with their messages:
	known []schedule.Run // what was settled earlier and is not recorded: it goes with the first part
	gone  func() []int64 // of the last part, when its slots are settled: the batches that leave the journal
}

// recorded sends a batch whose parts are recorded with their messages. frees are batches that
// waited for its claims.
func (d *Dispatcher) recorded(hold context.Context, b *sending, frees []int64) error {
	gone := frees
	b.gone = func() []int64 {
		if !d.withdrawn.end(b.Seq) {
			gone = append(gone, b.Seq)
		}
		return gone
	}
	runs, err := d.send(hold, b)
	if err != nil {
		return err
	}
	d.spare.give(runs)
	b.notes.forget(gone)
	d.metrics.progress(-len(gone))
	return nil
}

// While slots are late by less than promptFor, a part has promptPart of them at
// most: the first to leave need not wait for a thousand others to be rendered. Nor does the very first for
// a hundred, after a rest in which processors and servers went cold, and from which it may have woken late: it is alertPart. Later it is large
// parts that cost a broker the least.
const (
	promptFor  = 5 * time.Millisecond
	promptPart = 125
	alertPart  = 5
)

// A part is as large as a broker takes in a moment, so that it neither waits for the answer
// to many small ones nor comes near the bound of a call: partFor is how long one may take, and
// firstPart what is sent before anything is known of the broker. So it is with records and the ledger.
const (
	partFor   = time.Second
	firstPart = 1000
)

// A share is how much is asked of a server at once: as much as it does in a moment.
type share struct {
	most  int // messages of the next part, or slots of the next record
	least int
	bound int
}

// learn takes in what n of them took: the next may have four times as many at most.
func (s *share) learn(n int, took time.Duration) {
	if took <= partFor && n < s.most {
		return // it was not full
	}
	fits := int(float64(n) * float64(partFor) / float64(max(took, 1)))
	s.most = min(max(s.least, fits), 4*max(s.most, n), s.bound)
}

// A part costs as much as some twenty more messages, here and at the broker. So slots that come soon after
// one wait for each other: for restFor, so that half of them are less than a millisecond late, and
// for restEach longer for each message that it had, for where there is more to do, more is saved.
const (
	restFor  = 1250 * time.Microsecond
	restEach = 20 * time.Microsecond
	restMost = 5 * time.Millisecond
)

// leaves is when slot may go out: at once, unless the last part began a moment before it came.
func (d *Dispatcher) leaves(slot time.Time) time.Time {
	if next := d.last.Add(d.rest); slot.After(d.last) && slot.Before(next) {
		return next
	}
	return slot
}

// send settles all slots of the batch and returns their runs.
func (d *Dispatcher) send(hold context.Context, b *sending) ([]schedule.Run, error) {
	runs, dues := d.spare.take(len(b.Dues)), b.Dues
	for done := 0; done < len(dues); {
		leaves := d.leaves(dues[done].Slot)
		rested := leaves.Sub(d.opts.Now()) > promptFor
		now, err := d.until(hold, leaves)
		if err != nil {
			return nil, err
		}
		most := d.parts.most
		switch late := now.Sub(dues[done].Slot); {
		case rested: // however late it woke
			most = min(most, alertPart)
		case late >= promptFor:
		case now.Sub(d.last) > promptFor:
			most = min(most, alertPart)
		default:
			most = min(most, promptPart)
		}
		d.last = now
		end := done + 1
		for end < min(done+most, len(dues)) && !dues[end].Slot.After(now) {
			end++
		}
		if runs, err = d.part(hold, b, done, end, now, runs); err != nil {
			return nil, err
		}
		d.rest = min(restFor+time.Duration(end-done)*restEach, restMost)
		done = end
	}
	return runs, nil
}

// come counts the slots that have come, of those that are told of one by one if they are few.
func come(dues []schedule.Due, now time.Time) int {
	dues = dues[:min(len(dues), each)]
	if i := slices.IndexFunc(dues, func(due schedule.Due) bool { return due.Slot.After(now) }); i >= 0 {
		return i
	}
	return len(dues)
}

// until waits for an instant by this node's clock and returns the time when it woke,
// never before it.
func (d *Dispatcher) until(hold context.Context, at time.Time) (time.Time, error) {
	for {
		now := d.opts.Now()
		wait := at.Sub(now)
		if wait <= 0 {
			return now, nil
		}
		// The clock may be set right meanwhile.
		done := d.metrics.begin("a rest before a slot")
		slept := d.opts.Sleep(hold, min(wait, time.Second))
		done()
		if !slept {
			return now, context.Cause(hold)
		}
	}
}

// A portion is a part of a batch with the runs of its slots.
type portion struct {
	celery.Part
	dues   []schedule.Due
	runs   []schedule.Run // of the dues, but for those that another claim answers for
	at     []int          // Messages[i] is runs[at[i]]
	failed []int          // of runs
}

// part publishes the slots of a batch from one place up to another, whose time has come, and
// appends their runs.
func (d *Dispatcher) part(hold context.Context, b *sending, from, to int, now time.Time, runs []schedule.Run) ([]schedule.Run, error) {
	p := d.portion(b, from, to, now, runs[len(runs):])
	began := time.Now()
	var err error
	if d.joined {
		err = d.pushJoint(hold, b, p, to == len(b.Dues))
	} else {
		var failures []celery.Failure
		if failures, err = d.ride(hold, p.Part); err == nil {
			d.conclude(b, p, failures)
		}
	}
	if err != nil {
		return nil, err
	}
	d.parts.learn(len(p.Messages), time.Since(began))
	clear(p.Messages)
	d.messages = p.Messages[:0] // nothing reads them any more
	d.metrics.progress(0)
	d.metrics.ended(p.runs)
	d.news.tell(d.opts.Now(), p.runs, come(b.Dues[to:], now))
	return runs[:len(runs)+len(p.runs)], nil
}

// portion decides what becomes of the slots, and puts their runs into room.
func (d *Dispatcher) portion(b *sending, from, to int, now time.Time, room []schedule.Run) *portion {
	dues, start := b.Dues[from:to], b.base+from
	p := &portion{dues: dues, runs: room, at: make([]int, 0, len(dues))}
	p.Messages, d.messages = slices.Grow(d.messages, len(dues)), nil
	ids := d.taskIDs(dues)
	for i := range dues {
		due := &dues[i]
		run := d.run(due, b.Term)
		run.Recovered = b.recovered
		if run.State == "" {
			run.State, run.Reason = d.withheld(due, now)
			if run.Reason == schedule.ReasonReplaced {
				b.notes.withhold(b.Seq, start+i, run.Reason)
				d.withdrawn.now = append(d.withdrawn.now, claim{due.Entry.ID, due.Slot.UnixMicro()})
				continue // the new definition's run stands for the slot
			}
			if run.State != schedule.Sent {
				b.notes.withhold(b.Seq, start+i, run.Reason)
			}
		}
		if run.State == schedule.Sent {
			template := due.Entry.Payload.(*celery.Template)
			message := celery.Message{Template: template, ID: ids(i), Slot: due.Slot, At: now, Index: start + i}
			run.TaskID, run.Queue = template.TaskID(message), template.Route().Queue
			p.Messages = append(p.Messages, message)
			p.at = append(p.at, len(p.runs))
		}
		p.runs = append(p.runs, run)
	}
	p.Events = d.opts.Events
	if b.last && to == len(b.Dues) {
		b.notes.beyond = false
	}
	p.Mark = celery.Mark{Term: b.Term, Seq: b.Seq, Done: start + len(dues), Note: b.notes.text(), At: now.UnixMicro()}
	p.Noted = func(failures []celery.Failure) string {
		more := make([]note, len(failures))
		for i, failure := range failures {
			more[i] = failed(b.Seq, failure)
		}
		return b.notes.text(more...)
	}
	if len(p.at) > 0 {
		p.Mark.Last = p.runs[p.at[len(p.at)-1]].TaskID
	}
	return p
}

// push publishes one part, the very same one again and again if need be.
func (d *Dispatcher) push(hold context.Context, part celery.Part) (failures []celery.Failure, err error) {
	err = d.persistSending(hold, part.Mark.Term, func(ctx context.Context) (err error) {
		failures, err = d.publisher.Publish(ctx, part)
		if len(part.Messages) > 0 && !errors.Is(err, celery.ErrForgot) && !errors.Is(err, celery.ErrFenced) {
			d.metrics.handed.Store(&part.Mark)
		}
		return err
	})
	return failures, err
}

// pushJoint publishes one part and records it, with what of its batch is settled and not
// recorded, the very same one again and again if need be.
func (d *Dispatcher) pushJoint(hold context.Context, b *sending, p *portion, last bool) error {
	var gone []int64
	if last {
		gone = b.gone()
	}
	err := d.persistSending(hold, p.Mark.Term, func(ctx context.Context) error {
		return d.opts.Joint.Send(ctx, p.Part, gone, func(failures []celery.Failure) []schedule.Run {
			d.conclude(b, p, failures)
			if len(b.known) == 0 {
				return p.runs
			}
			return slices.Concat(b.known, p.runs)
		})
	})
	if err == nil {
		d.metrics.forgot.Store(0)
	}
	b.known = nil
	at := d.opts.Now()
	for _, i := range p.at { // the ledger has the moment before the commit
		if p.runs[i].State == schedule.Sent {
			p.runs[i].SentAt = at
		}
	}
	return err
}

// persistSending calls send until it has sent something under the term.
func (d *Dispatcher) persistSending(hold context.Context, term int64, send func(ctx context.Context) error) error {
	failing := func() {
		d.metrics.brokerError()
		if d.blocked != nil {
			d.blocked()
		}
	}
	return d.persist(hold, "publishing", failing, func(ctx context.Context) error {
		if err := failpoint.Here("publish.before"); err != nil {
			return err
		}
		err := send(ctx)
		if errors.Is(err, celery.ErrForgot) {
			d.metrics.forgot.Store(term + 1)
		}
		if err != nil {
			return err
		}
		return failpoint.Here("publish.after")
	})
}

// conclude ends the runs of messages, and turns those that the broker would not take into failed
// ones, and those that it may have, and that are not sent again, into unsure ones. Asked
// again, it takes back what it said before.
func (d *Dispatcher) conclude(b *sending, p *portion, failures []celery.Failure) {
	for _, i := range p.failed {
		d.opts.Limits.take(p.runs[i].Entry)
		p.runs[i].State, p.runs[i].Reason = schedule.Sent, ""
	}
	p.failed = p.failed[:0]
	at := d.opts.Now()
	for _, i := range p.at {
		p.runs[i].SentAt = at
	}
	for _, failure := range failures {
		for i, message := range p.Messages {
			if message.Index == failure.Index {
				run := &p.runs[p.at[i]]
				d.opts.Limits.give(run.Entry)
				run.State, run.Reason, run.SentAt = schedule.Failed, failure.Reason, time.Time{}
				if failure.Unsure {
					run.State = schedule.Unsure
				}
				p.failed = append(p.failed, p.at[i])
				if !d.joined { // else it is recorded with the mark
					b.notes.withhold(b.Seq, failure.Index, asNote(run.State, failure.Reason))
				}
			}
		}
	}
	d.finish(p.dues, p.runs)
}

// finish notes which runs were the last of their entries. Of dues those that another
// claim answers for have no run.
func (d *Dispatcher) finish(dues []schedule.Due, runs []schedule.Run) {
	if !d.opts.Limits.any.Load() {
		return
	}
	for i := range dues {
		due := &dues[i]
		if len(runs) > 0 && runs[0].Entry == due.Entry.ID && runs[0].Slot.Equal(due.Slot) && runs[0].Request == due.Request {
			runs[0].Then = d.opts.Limits.then(due.Entry, &runs[0])
			runs = runs[1:]
		}
	}
}

// withheld decides at the last moment whether due is sent, and if not, why.
func (d *Dispatcher) withheld(due *schedule.Due, now time.Time) (schedule.State, string) {
	reason := due.Entry.Ended() // of what was asked of a definition no other answers for
	if due.Request == "" {
		reason = due.Entry.Seal(due.Slot)
	}
	if reason == "" && due.Entry.Payload.(*celery.Template).Expired(now) {
		reason = schedule.ReasonExpired
	}
	if reason == "" && !d.opts.Limits.take(due.Entry.ID) {
		reason = schedule.ReasonDone
	}
	if reason != "" {
		return schedule.Skipped, reason
	}
	return schedule.Sent, ""
}

// run is the record of due as far as it is known before publishing. An entry that is not there any more
// has its id for a name.
func (d *Dispatcher) run(due *schedule.Due, term int64) schedule.Run {
	run := schedule.Run{
		Entry: due.Entry.ID, Name: cmp.Or(due.Entry.Name, string(due.Entry.ID)), Task: due.Entry.Task,
		Slot: due.Slot, Through: due.Through, Count: max(due.Count, 1),
		State: due.State, Reason: due.Reason, Request: due.Request,
		Node: d.opts.Node, Term: term,
	}
	if run.State == schedule.Unsure { // what was perhaps sent is to be found
		run.TaskID = d.taskID(due)
		if template, ok := due.Entry.Payload.(*celery.Template); ok { // its entry has a definition
			run.TaskID, run.Queue = template.TaskID(celery.Message{ID: run.TaskID}), template.Route().Queue
		}
	}
	return run
}

// taskID names the slot's task: the same slot always has the same id.
func (d *Dispatcher) taskID(due *schedule.Due) string {
	if due.Request != "" {
		return celery.TaskIDOfRequest(d.opts.Installation, string(due.Entry.ID), due.Request)
	}
	return celery.TaskID(d.opts.Installation, string(due.Entry.ID), due.Slot)
}

// taskIDs names the tasks of dues: all ids of a part are one text.
func (d *Dispatcher) taskIDs(dues []schedule.Due) (id func(i int) string) {
	var all strings.Builder
	all.Grow(len(dues) * celery.IDLength)
	var room [celery.IDLength]byte
	for i := range dues {
		all.Write(celery.AppendTaskID(room[:0], d.opts.Installation, string(dues[i].Entry.ID), dues[i].Slot))
	}
	text := all.String()
	return func(i int) string {
		if dues[i].Request != "" {
			return d.taskID(&dues[i])
		}
		return text[i*celery.IDLength : (i+1)*celery.IDLength]
	}
}
