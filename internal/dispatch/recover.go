package dispatch

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/onebeat/onebeat/internal/celery"
	"github.com/onebeat/onebeat/internal/schedule"
)

// Recover ends what earlier terms left in the journal: slots that the broker's
// mark speaks of are recorded as it says; the others are sent now, if their
// entry is still as it was when they were claimed and its misfire policy wants
// them, else recorded as skipped. Where the mark does not tell all (Mark.Beyond),
// a slot behind it whose entry goes at most once is recorded as unsure. It must
// run before Run in each term.
//
// claims are what was claimed and not recorded; present returns an entry's present
// definition, or why it has none. Planning goes on from what Claims.Settled says once
// Recover has returned.
//
// It returns the last sequence number that is known, at least seq; celery.ErrFenced if
// the broker has seen a higher term, and schedule.ErrLost if it had seen this one: it is
// another database's too then, and each would take what the other sends for its own.
func (d *Dispatcher) Recover(hold context.Context, term, seq int64, claims *Claims, present func(schedule.ID) schedule.Change) (int64, error) {
	journal := claims.journal
	var mark celery.Mark
	d.metrics.forgot.CompareAndSwap(term, term+1) // should this term get no further than the one before
	tries := 0
	err := d.persist(hold, "reaching the broker", d.metrics.brokerError, func(ctx context.Context) (err error) {
		tries++
		mark, err = d.publisher.Take(ctx, term)
		return err
	})
	if err != nil {
		return 0, err
	}
	if mark.Term == term && tries == 1 { // later ones may find what the first has left
		d.log.Warn("the broker knows this term already, from another database or from before this one was restored: the next term is taken", "term", term)
		return 0, schedule.ErrLost
	}
	d.riders, d.published = nil, newBacklog()
	d.joined = d.opts.Joint != nil && d.opts.Joint.Joined(hold)
	if mark, err = d.recall(hold, term, recorded(seq, journal), journal, mark, present); err != nil {
		return 0, err
	}
	reasons, err := readNotes(mark.Note)
	if err != nil {
		return 0, fmt.Errorf("read the note that the broker keeps with the mark of batch %d: %w", mark.Seq, err)
	}
	for _, claimed := range journal {
		seq = max(seq, claimed.Seq)
	}
	if mark.Seq > seq {
		d.log.Warn("the database is older than the broker, as after it was restored: what was sent since may be sent again, with the same ids",
			"batches", mark.Seq-seq, "until", time.UnixMicro(mark.At).UTC())
	}
	seq = max(seq, mark.Seq)
	if reasons[0][0] == allBeyond {
		mark.Beyond = celery.AllBeyond
	}
	r := &recovery{
		Dispatcher: d, term: term, claims: claims, mark: mark, reasons: reasons, again: claimedAgain(journal), present: present,
		coming: &plan{claims, map[schedule.ID]settledEntry{}}, began: d.opts.Now(), notes: newNotes(), handed: d.metrics.handed.Load(),
	}
	claims.learn(mark, reasons, r.again, r.began)
	anew, err := r.claimAnew(hold, seq+1)
	if err != nil {
		return 0, err
	}
	if len(anew.Dues) > 0 {
		seq, journal = anew.Seq, append(slices.Clone(journal), anew)
	}
	r.planned = r.plannedOf(journal) // by what is known now: an edit may come while a slot is waited for
	for i, claimed := range journal {
		if claimed.Seq == anew.Seq {
			r.mark.Beyond = 0 // none of it was ever sent
		}
		r.notes.beyond = r.mark.Beyond == celery.AllBeyond // a crash from here on must not forget it
		last := i == len(journal)-1 || journal[i+1].Seq == anew.Seq
		if err := r.end(hold, claimed, last); err != nil {
			return 0, err
		}
		if !covers(r.mark, &claimed, len(claimed.Dues)) && r.mark.Beyond != celery.AllBeyond {
			r.mark.Beyond = 0 // a batch begins when the mark covers the one before it
		}
	}
	claims.end(journal, r.again, r.planned)
	if d.joined { // then nothing is left to the stage that records
		return seq, r.flush(hold)
	}
	return seq, nil
}

// A recovery is what the batches of a journal are ended by.
type recovery struct {
	*Dispatcher
	term    int64
	claims  *Claims
	mark    celery.Mark                       // Beyond is that of the batch which is ended
	reasons map[int64]map[int]string          // by batch and place, of slots that the mark says were not sent
	again   places                            // slots that a later batch claims too
	planned places                            // slots that planning answers for
	present func(schedule.ID) schedule.Change // an entry's definition, or why it has none
	coming  *plan
	began   time.Time
	notes   *notes
	handed  *celery.Mark // Metrics.handed, as it was when the recovery began
}

// stayed says whether a slot surely never left, though the broker may have forgotten what did: the term before this one was this
// process's too, which claimed it then and had not got to hand it over.
func (r *recovery) stayed(claimed *schedule.Claimed, done int) bool {
	last := r.handed
	return last != nil && last.Term == claimed.Term && last.Term == r.term-1 && !last.Covers(claimed.Seq, done)
}

// covers says whether the first done slots of the batch are settled.
func covers(mark celery.Mark, claimed *schedule.Claimed, done int) bool {
	return done <= claimed.Recorded || mark.Covers(claimed.Seq, done)
}

// places are slots by batch and place in it.
type places map[int64]map[int]bool

func (p places) add(seq int64, i int) {
	if p[seq] == nil {
		p[seq] = map[int]bool{}
	}
	p[seq][i] = true
}

// claimAnew claims slots that an edit withdrew and that no other claim has, of entries that
// give them as they are now: the claim that it leaves is all that tells of them once the one
// that they were withdrawn from is recorded.
func (r *recovery) claimAnew(hold context.Context, seq int64) (anew schedule.Claimed, err error) {
	batch := schedule.Batch{Term: r.term, Seq: seq}
	for _, claimed := range r.claims.journal {
		for i, due := range claimed.Dues {
			ended := covers(r.mark, &claimed, i+1) && r.reasons[claimed.Seq][i] != schedule.ReasonReplaced
			if due.Request != "" || due.State != "" || ended || r.again[claimed.Seq][i] {
				continue
			}
			if e := r.present(due.Entry).Entry; r.coming.gives(e, due.Slot) {
				batch.Dues = append(batch.Dues, schedule.Due{Entry: e, Slot: due.Slot})
				r.again.add(claimed.Seq, i)
			}
		}
	}
	if len(batch.Dues) == 0 {
		return anew, nil
	}
	slices.SortFunc(batch.Dues, func(a, b schedule.Due) int { return a.Slot.Compare(b.Slot) })
	err = r.persist(hold, "claiming", r.metrics.databaseError, func(ctx context.Context) error {
		return r.ledger.Claim(ctx, batch)
	})
	if err != nil {
		return anew, err
	}
	anew = schedule.Claimed{Term: r.term, Seq: seq}
	for _, due := range batch.Dues {
		r.claims.through[claim{due.Entry.ID, due.Slot.UnixMicro()}] = due.Slot
		anew.Dues = append(anew.Dues, schedule.ClaimedDue{Entry: due.Entry.ID, Slot: due.Slot, Digest: due.Entry.Digest})
	}
	clear(r.coming.settled)
	return anew, nil
}

// plannedOf finds the slots of the journal that planning will answer for.
func (r *recovery) plannedOf(journal []schedule.Claimed) places {
	planned := places{}
	for _, claimed := range journal {
		for i, due := range claimed.Dues {
			if due.Request == "" && due.State == "" && r.coming.gives(r.present(due.Entry).Entry, due.Slot) {
				planned.add(claimed.Seq, i)
			}
		}
	}
	return planned
}

// Claims are the slots that a journal names.
type Claims struct {
	journal []schedule.Claimed
	through map[claim]time.Time       // of each slot, or the first of a range, the last that ends with it
	ended   map[schedule.ID]time.Time // the last slot of entries that may have been sent, or ended, before

	planned map[schedule.ID][]time.Time // slots that recovery left to planning
}

type claim struct {
	entry schedule.ID
	slot  int64 // Unix microseconds
}

// ClaimsOf returns what the journal names, which is in order, but for runs that people
// asked for.
func ClaimsOf(journal []schedule.Claimed) *Claims {
	c := &Claims{journal, map[claim]time.Time{}, map[schedule.ID]time.Time{}, map[schedule.ID][]time.Time{}}
	for _, claimed := range journal {
		for _, due := range claimed.Dues {
			if due.Request != "" {
				continue
			}
			through := due.Last()
			if at := (claim{due.Entry, due.Slot.UnixMicro()}); through.After(c.through[at]) {
				c.through[at] = through
			}
		}
	}
	return c
}

// learn takes in which slots may have been sent by the mark that the broker has, or
// ended for a reason of their own. Nobody may plan them again, whatever an edit made of
// their entry meanwhile.
func (c *Claims) learn(mark celery.Mark, reasons map[int64]map[int]string, again places, now time.Time) {
	beyond := mark.Beyond
	for _, claimed := range c.journal {
		base := 0
		for i, due := range claimed.Dues {
			known := covers(mark, &claimed, i+1)
			if known {
				base = i + 1
			}
			replaced := again[claimed.Seq][i]
			if !replaced && known && reasons[claimed.Seq][i] == schedule.ReasonReplaced {
				replaced = true
				delete(c.through, claim{due.Entry, due.Slot.UnixMicro()}) // nobody has claimed it again
			}
			maybe := known || i-base < beyond && !due.Slot.After(now)
			if through := due.Last(); due.Request == "" && maybe && !replaced && through.After(c.ended[due.Entry]) {
				c.ended[due.Entry] = through
			}
		}
		if base < len(claimed.Dues) && beyond != celery.AllBeyond {
			beyond = 0
		}
	}
}

// end takes in that recovery has ended the slots of the journal, but for those that are left to planning: an entry may have
// another definition by now than recovery went by.
func (c *Claims) end(journal []schedule.Claimed, again, planned places) {
	for _, claimed := range journal {
		for i, due := range claimed.Dues {
			at, through := claim{due.Entry, due.Slot.UnixMicro()}, due.Last()
			switch {
			case due.Request != "", again[claimed.Seq][i]: // the other claim tells
			case planned[claimed.Seq][i]:
				delete(c.through, at)
				c.planned[due.Entry] = append(c.planned[due.Entry], due.Slot)
			default:
				c.through[at] = schedule.Later(c.through[at], through)
				c.ended[due.Entry] = schedule.Later(c.ended[due.Entry], through)
			}
		}
	}
}

// Forsaken returns the slots of an entry that recovery left to planning, and that planning does not answer for from e, which the
// entry has become since, nil for nothing: they are to end.
func (c *Claims) Forsaken(id schedule.ID, e *schedule.Entry) (slots []time.Time) {
	if len(c.planned[id]) == 0 {
		return nil
	}
	p := &plan{c, map[schedule.ID]settledEntry{}}
	for _, slot := range c.planned[id] {
		if !p.gives(e, slot) {
			slots = append(slots, slot)
		}
	}
	return slots
}

// Settled returns from when on e is to be planned, and the slots before then that it
// owes all the same: recovery ends the others between e.After and then. A slot that
// was withdrawn by an edit and not claimed again is planned anew, and so is one that the
// journal does not name any more, with those after it that nobody may have sent.
func (c *Claims) Settled(e *schedule.Entry) (from time.Time, owed []time.Time) {
	from = e.After
	ended := c.ended[e.ID]
	for {
		next := e.Spec.Next(from)
		through, ok := c.through[claim{e.ID, next.UnixMicro()}]
		switch {
		case next.IsZero():
			return from, owed
		case ok:
			from = through
		case next.Before(ended):
			// The definition that was planned when later slots were sent did not give
			// it, as e does, whose slots count since then.
			from, owed = next, append(owed, next)
		default:
			return from, owed
		}
	}
}

// Last puts in the last slot that the journal names of each of the entries.
func (c *Claims) Last(of map[schedule.ID]time.Time) {
	for _, claimed := range c.journal {
		for _, due := range claimed.Dues {
			if at, ok := of[due.Entry]; ok && due.Request == "" && due.Last().After(at) {
				of[due.Entry] = due.Last()
			}
		}
	}
}

// A plan is what planning will answer for once recovery is through.
type plan struct {
	claims  *Claims
	settled map[schedule.ID]settledEntry
}

// A settledEntry is what Claims.Settled says of an entry.
type settledEntry struct {
	from time.Time
	owed []time.Time
}

// gives says whether e's definition answers for the slot: it gives it after it was
// settled, or owes it from before.
func (p *plan) gives(e *schedule.Entry, slot time.Time) bool {
	if e == nil {
		return false
	}
	settled, ok := p.settled[e.ID]
	if !ok {
		settled.from, settled.owed = p.claims.Settled(e)
		p.settled[e.ID] = settled
	}
	if !slot.After(settled.from) {
		return slices.ContainsFunc(settled.owed, slot.Equal)
	}
	return schedule.Gives(e.Spec, slot)
}

// claimedAgain finds slots that a later batch claims too, by batch and place: the
// entry was edited in between, and its new definition answers for the slot.
func claimedAgain(journal []schedule.Claimed) places {
	type slot struct {
		entry schedule.ID
		at    int64
	}
	single, ranges := map[slot]bool{}, map[schedule.ID][]schedule.ClaimedDue{}
	again := places{}
	for _, claimed := range slices.Backward(journal) {
		for i, due := range claimed.Dues {
			if due.Request != "" || due.State != "" {
				continue
			}
			within := func(r schedule.ClaimedDue) bool { return !due.Slot.Before(r.Slot) && !due.Slot.After(r.Through) }
			if single[slot{due.Entry, due.Slot.UnixMicro()}] || slices.ContainsFunc(ranges[due.Entry], within) {
				again.add(claimed.Seq, i)
			}
		}
		for _, due := range claimed.Dues {
			switch {
			case due.Request != "":
			case due.State != "":
				ranges[due.Entry] = append(ranges[due.Entry], due)
			default:
				single[slot{due.Entry, due.Slot.UnixMicro()}] = true
			}
		}
	}
	return again
}

// end ends one batch of an earlier term, or the last one that a recovery may have sent some of.
func (r *recovery) end(hold context.Context, claimed schedule.Claimed, last bool) error {
	var runs []schedule.Run
	reasons, again, planned := r.reasons[claimed.Seq], r.again[claimed.Seq], r.planned[claimed.Seq]
	left := schedule.Batch{Term: r.term, Seq: claimed.Seq}
	base := len(claimed.Dues) // where what is left to send begins
	off := false              // an entry may come back of which a slot was sent
	for i, due := range claimed.Dues {
		now := r.present(due.Entry)
		withdrawn := due.Request == "" && due.State == "" && (again[i] || planned[i])
		switch {
		case covers(r.mark, &claimed, i+1):
			off = off || now.Entry == nil && now.Reason != "" && now.Reason != schedule.ReasonRemoved
			if reasons[i] != "" { // whoever recovers after this one must know it too
				r.notes.withhold(claimed.Seq, i, reasons[i])
			}
			reason := reasons[i]
			if reason == schedule.ReasonReplaced && !withdrawn {
				reason = schedule.ReasonEdited // its new definition had not claimed it yet
			} else if i < claimed.Recorded {
				continue // it has its end, or its other claim gives it one
			}
			if run, ok := r.known(due, now, r.term, reason); ok {
				runs = append(runs, run)
			}
		default: // from the first such slot on, all are
			base = min(base, i)
			owed := replaced(due)
			if !withdrawn {
				maybe := i-base < r.mark.Beyond && !due.Slot.After(r.began) && !r.stayed(&claimed, i+1)
				state, _ := asNoted(reasons[i])
				owed = r.owed(due, now, maybe || state == schedule.Unsure) // a recovery that got less far has said so
			}
			if owed.State != due.State { // the journal does not say so
				r.notes.withhold(claimed.Seq, i, asNote(owed.State, owed.Reason))
			}
			left.Dues = append(left.Dues, owed)
		}
	}
	gone := []int64{claimed.Seq}
	if len(left.Dues) > 0 {
		b := &sending{Batch: left, base: base, notes: r.notes, recovered: true, last: last}
		if r.joined {
			if err := r.flush(hold); err != nil {
				return err
			}
			b.known, b.gone = runs, func() []int64 { return gone }
		}
		var failed error
		r.blocked = func() { failed = cmp.Or(failed, r.flush(hold)) } // people look for their runs meanwhile
		sent, err := r.send(hold, b)
		r.blocked = nil
		if err = cmp.Or(failed, err); err != nil {
			return err
		}
		runs = append(runs, sent...)
	}
	r.log.Info("batch recovered", "seq", claimed.Seq, "slots", len(claimed.Dues), "sent_before", len(claimed.Dues)-len(left.Dues))
	if r.joined && len(left.Dues) > 0 { // it is recorded with its last part
		r.notes.forget(gone)
		return nil
	}
	r.published.add(settled{seq: claimed.Seq, runs: runs})
	switch {
	case r.notes.any(), r.mark.Beyond == celery.AllBeyond: // each mark carries them until they are recorded, or no mark tells anything
	case off: // it may have a limit, which counts from the runs that are recorded
	case r.published.size >= 2*behind: // or nodes that are lost one after another leave ever more
	default:
		return nil
	}
	return r.flush(hold)
}

// flush records the batches that are through.
func (r *recovery) flush(hold context.Context) error {
	r.published.end()
	r.metrics.progress(len(r.published.batches))
	defer func() { r.metrics.progress(-int(r.metrics.batches.Load())) }() // what is left is in the journal
	err := r.record(hold, r.term, r.published, r.notes)
	r.published = newBacklog()
	return err
}

// known is the run of a slot that the broker's mark speaks of.
func (d *Dispatcher) known(due schedule.ClaimedDue, present schedule.Change, term int64, reason string) (schedule.Run, bool) {
	claimed := asDue(due, present)
	run := d.run(&claimed, term)
	run.Recovered = true
	switch {
	case run.State != "":
	case reason == schedule.ReasonReplaced:
		return run, false
	case reason != "":
		run.State, run.Reason = asNoted(reason)
		if run.State == schedule.Unsure || run.State == schedule.Failed {
			run.TaskID = d.taskID(&claimed)
		}
	default:
		run.State = schedule.Sent
		run.TaskID = d.taskID(&claimed)
		if present.Entry != nil && present.Entry.Digest == due.Digest {
			run.Queue = present.Entry.Payload.(*celery.Template).Route().Queue
		}
		d.opts.Limits.take(due.Entry)
	}
	if e := present.Entry; e != nil && e.Digest == due.Digest {
		run.Then = d.opts.Limits.then(e, &run)
	}
	return run, true
}

// owed decides what becomes of a claimed slot that did not go out, or may have: what
// may have and is not sent again is unsure, whatever else would be said of it.
func (d *Dispatcher) owed(claimed schedule.ClaimedDue, now schedule.Change, mayBeSent bool) schedule.Due {
	due := asDue(claimed, now)
	if due.State != "" {
		return due
	}
	owed := d.left(due, now, claimed.Digest)
	if mayBeSent && (owed.State != "" || now.Entry.Payload.(*celery.Template).AtMostOnce()) {
		return ended(due, schedule.Unsure, schedule.ReasonUnsure)
	}
	return owed
}

// left decides what becomes of a claimed slot that did not go out.
func (d *Dispatcher) left(due schedule.Due, now schedule.Change, digest uint64) schedule.Due {
	switch {
	case now.Entry == nil:
		return ended(due, schedule.Skipped, cmp.Or(now.Reason, schedule.ReasonRemoved))
	case now.Entry.Digest != digest:
		return ended(due, schedule.Skipped, schedule.ReasonEdited)
	case due.Request != "":
		return due
	}
	return d.missed(due)
}

// missed applies its entry's misfire policy to a slot that did not go out.
func (d *Dispatcher) missed(due schedule.Due) schedule.Due {
	if state := due.Entry.Missed(due.Slot, d.opts.Now()); state != "" {
		return ended(due, state, schedule.ReasonMisfire)
	}
	return due
}

// replaced is a claimed slot that another claim, now or to come, answers for.
func replaced(claimed schedule.ClaimedDue) schedule.Due {
	old := &schedule.Entry{ID: claimed.Entry}
	old.End(schedule.ReasonReplaced, time.Time{}, nil, time.Time{})
	return schedule.Due{Entry: old, Slot: claimed.Slot}
}

// ended is a due that is not sent.
func ended(due schedule.Due, state schedule.State, reason string) schedule.Due {
	due.State, due.Reason, due.Count = state, reason, 1
	return due
}

// asDue is a remembered due with its entry's present definition; of an entry that has
// none now it keeps the id, and the name where that is told.
func asDue(claimed schedule.ClaimedDue, present schedule.Change) schedule.Due {
	e := present.Entry
	if e == nil {
		e = &schedule.Entry{ID: claimed.Entry, Name: present.Name}
	}
	return schedule.Due{
		Entry: e, Slot: claimed.Slot, Request: claimed.Request,
		State: claimed.State, Reason: claimed.Reason, Through: claimed.Through, Count: claimed.Count,
	}
}
