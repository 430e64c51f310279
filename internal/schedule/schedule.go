// Package schedule holds the words that all of onebeat speaks: entries, the
// specs that say when they are due, slots, and what became of a slot.
//
// An Entry is a task and the rule that says when to send it. A Spec is the rule
// alone. A slot is a nominal time that a spec gives, in UTC, whole microseconds;
// it is never the time at which something in fact happened. A Due is a slot that
// an entry owes. A Run is the record of what became of it.
//
//   - The maths of time is pure: Spec.Next depends on its argument alone.
//   - Nothing here does I/O, reads a clock or knows a database.
package schedule

import (
	"errors"
	"slices"
	"sync"
	"time"
)

// An ID names an entry for good within its catalog: the key of its row as text.
type ID string

// Shard is the shard that the entry belongs to, of so many: from 0 up. All nodes must agree on it:
// it must stay as it is.
func (id ID) Shard(of int) int {
	if of <= 1 {
		return 0
	}
	sum := uint64(14695981039346656037) // FNV-1a
	for i := range len(id) {
		sum = (sum ^ uint64(id[i])) * 1099511628211
	}
	return int(sum % uint64(of))
}

// A Spec gives slots.
type Spec interface {
	// Next returns the first slot strictly after t, in UTC, or the zero Time
	// when there is none. It always ends and depends on t alone.
	Next(t time.Time) time.Time

	// String returns the spec in the form that ParseSpec reads.
	String() string
}

// An Entry is a task and the rule that says when to send it.
//
// An Entry does not change once it was handed to a planner: an edit makes a new
// one and ends the old, which is how a sender that still holds the old one
// learns of the edit (Seal).
type Entry struct {
	ID   ID
	Name string // for people; need not be unique
	Task string // the Celery task's name

	Spec    Spec
	Misfire Misfire

	// After is the instant after which the entry's slots count: its last slot
	// that ended, or when it was first seen, or when its spec was last edited,
	// whichever is latest. The first slot is Spec.Next(After).
	After time.Time

	// Since is After but for slots that were sent: an edit that is told of late counts since
	// then, also for slots before the last that the former spec sent. Unix microseconds, for
	// there are many entries; 0 is After.
	Since int64

	// PausedUntil is when the entry's last pause ended; zero if it had none. Slots
	// after After up to then were paused, and end so.
	PausedUntil time.Time

	// Row is what else the entry was read from. It may be dropped once Payload was
	// made: neither planning nor sending looks at it.
	*Row

	// Payload is what a sender made ready from the entry, once per definition.
	// Only the sender looks inside.
	Payload any

	// Digest tells definitions apart: equal for rows that say the same task,
	// arguments, options, spec and policy; names and run state do not count.
	Digest uint64

	mu     sync.Mutex
	sealed int64 // the last slot that was sealed, Unix microseconds; 0 for none
	end    *end  // nil while e is the entry's definition
}

// Left is the Payload of an entry that a store found to be good and whose definition it left in
// the catalog: who plans it asks for it before its slot.
type Left struct{}

// Left reports whether the definition was left in the catalog.
func (e *Entry) Left() bool {
	_, left := e.Payload.(Left)
	return left
}

// A Sketch is what planning needs of an entry that is Left: of a catalog of millions most come so. It needs no memory beside
// the slice that it is in.
type Sketch struct {
	Key    Key // of its ID, not the empty one
	Spec   Spec
	Digest uint64
	After  int64 // Unix microseconds, as is Next
	Since  int64
	Next   int64 // the first slot after After; 0 if there is none
}

// Sketch is the sketch of an entry that is left and has no former pause.
func (e *Entry) Sketch(key Key, next time.Time) Sketch {
	s := Sketch{Key: key, Spec: e.Spec, Digest: e.Digest, After: e.After.UnixMicro(), Since: e.Since}
	if !next.IsZero() {
		s.Next = next.UnixMicro()
	}
	return s
}

// Entry is the entry that it is a sketch of, without its name and task.
func (s *Sketch) Entry() *Entry {
	return &Entry{ID: s.Key.ID(), Spec: s.Spec, Digest: s.Digest, After: time.UnixMicro(s.After).UTC(), Since: s.Since, Payload: Left{}}
}

// A Row is what of an entry is of no use once it is made ready to be sent.
type Row struct {
	// Args, Kwargs and Options are JSON texts: an array, an object, and an object of
	// apply_async options. Empty means none.
	Args, Kwargs, Options string

	LastRunAt     time.Time // the slot last sent; zero if none was
	TotalRunCount int64
}

// An end is how a definition ended: few do, so that an Entry keeps but a pointer.
type end struct {
	reason string
	handed int64 // the last of its slots that was handed to a sender, Unix microseconds

	by   *Entry // what came after it; nil for nothing
	from int64  // and answers for its slots after this, Unix microseconds

	withheld []withheld // what a sender was told of its slots since; few ever are
}

// A withheld is a slot of an ended definition that a sender was told not to send.
type withheld struct {
	slot   int64  // Unix microseconds
	reason string // as the sender was told
	fate   fate
}

// A fate is who answers for a slot that was withheld.
type fate uint8

const (
	unsent fate = iota // nobody: it has ended so
	left               // the definition of then, when it comes to be handed over
	taken              // another definition, which had it handed over
)

// Anew returns the same definition as one that never was handed to a planner, with
// the same After and PausedUntil.
func (e *Entry) Anew() *Entry {
	anew := &Entry{
		ID: e.ID, Name: e.Name, Task: e.Task, Spec: e.Spec, Misfire: e.Misfire,
		After: e.After, Since: e.Since, PausedUntil: e.PausedUntil, Payload: e.Payload, Digest: e.Digest,
	}
	if e.Row != nil {
		row := *e.Row
		anew.Row = &row
	}
	return anew
}

// Seal is called by the sender in the moment before slot leaves. It returns ""
// and from then on the slot is e's, or why e is no longer the entry's
// definition: then nothing may be sent from it. Sealing a slot again is harmless.
func (e *Entry) Seal(slot time.Time) (ended string) {
	at := slot.UnixMicro()
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.sealed != 0 && at <= e.sealed:
		return ""
	case e.end == nil:
		e.sealed = at
		return ""
	}
	i := slices.IndexFunc(e.end.withheld, func(w withheld) bool { return w.slot == at })
	if i < 0 {
		reason, fate := e.end.of(slot)
		i, e.end.withheld = len(e.end.withheld), append(e.end.withheld, withheld{at, reason, fate})
	}
	return e.end.withheld[i].reason
}

// Unsent returns those of an ended definition's slots that ended unsent after all: nothing
// that comes after it may give them again.
func (e *Entry) Unsent() (slots []time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.end == nil {
		return nil
	}
	for _, w := range e.end.withheld {
		if w.fate == unsent {
			slots = append(slots, time.UnixMicro(w.slot).UTC())
		}
	}
	return slots
}

// Forsake is called for an ended definition when the one that was to answer for some of
// its slots has ended too. It returns those of them which that had not, and which nobody
// takes over: they end unsent, and are among Unsent from then on.
func (e *Entry) Forsake(had, takes func(slot time.Time) bool) (slots []time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.end == nil {
		return nil
	}
	for i := range e.end.withheld {
		w := &e.end.withheld[i]
		slot := time.UnixMicro(w.slot).UTC()
		switch {
		case w.fate != left:
		case had(slot):
			w.fate = taken
		case !takes(slot):
			w.fate = unsent
			slots = append(slots, slot)
		}
	}
	return slots
}

// of is the reason that slot ends for, which was handed over and not sealed: what came
// after, or after that, answers for the slot if it gives it too and had it handed over, or
// may yet: then it is left to that.
func (end *end) of(slot time.Time) (reason string, fate fate) {
	for end.by != nil {
		end.by.mu.Lock()
		next := end.by.end
		end.by.mu.Unlock()
		gives := slot.UnixMicro() > end.from && Gives(end.by.Spec, slot)
		if gives && (next == nil || slot.UnixMicro() <= next.handed) {
			if next == nil {
				return ReasonReplaced, left
			}
			return ReasonReplaced, taken
		}
		if next == nil {
			break
		}
		end = next
	}
	return end.reason, unsent
}

// Sealed reports whether slot, or a later one, was sealed.
func (e *Entry) Sealed(slot time.Time) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.sealed != 0 && slot.UnixMicro() <= e.sealed
}

// End marks e as no longer the entry's definition, for the reason given, unless it had
// ended already. Its slots up to handed, not zero if there are any, were handed to a
// sender. What comes after it, if by is not nil, answers for those of e's slots after from
// that it gives as well. End returns the last slot that was sealed before, so that a
// slot belongs either to e or to what comes after it, never to both.
func (e *Entry) End(reason string, handed time.Time, by *Entry, from time.Time) (sealed time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.end == nil {
		e.end = &end{reason: reason, handed: handed.UnixMicro(), by: by, from: from.UnixMicro()}
	}
	if e.sealed != 0 {
		sealed = time.UnixMicro(e.sealed).UTC()
	}
	return sealed
}

// Ended returns why e is no longer the entry's definition, or "" while it is.
func (e *Entry) Ended() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.end == nil {
		return ""
	}
	return e.end.reason
}

// The reasons that an entry's definition ends for, and that slots are skipped for.
const (
	ReasonEdited   = "edited"   // another definition took its place
	ReasonDisabled = "disabled" // the row says enabled = false
	ReasonRemoved  = "removed"  // the row is gone
	ReasonPaused   = "paused"
	ReasonBadRow   = "bad row" // the row can no longer be read
	ReasonMisfire  = "misfire" // too late, and the policy says skip, or too many or too old
	ReasonExpired  = "expired" // the message's expiry had passed
	ReasonDone     = "done"    // as many runs as its rules allow were sent

	// ReasonUnsure is for a slot that is not sent again, for it goes at most once, was edited or is
	// too late by now, and whose message may have been on its way.
	ReasonUnsure = "it may have been on its way when the node, or the broker's data, was lost"

	// ReasonReplaced is for a claimed slot that the entry's new definition gives
	// as well: the new one answers for the slot, so the old one leaves no record.
	ReasonReplaced = "replaced"
)

// A Policy says what becomes of slots that passed while nobody could send them.
type Policy string

const (
	Once Policy = "once" // the latest is sent, the earlier ones are coalesced into it
	Skip Policy = "skip" // none is sent
	All  Policy = "all"  // each is sent, within the bounds
)

// A Misfire is an entry's policy for slots that are later than its grace, with
// its bounds. The zero Misfire is Once.
type Misfire struct {
	Policy Policy
	Grace  time.Duration // a slot this late or less is late, not missed: it is sent; 0 means DefaultGrace
	Count  int           // All: at most so many of the latest, or MostCount; 0 means DefaultCount
	Age    time.Duration // Once, All: none older than this; 0 means no bound
}

// Missed judges one slot at an instant by the entry's policy: it returns "" for a slot
// that is to be sent, however late, or the state that it ends in.
func (e *Entry) Missed(slot, now time.Time) State {
	policy := e.Misfire
	grace := policy.Grace
	if grace == 0 {
		grace = DefaultGrace
	}
	late := now.Sub(slot)
	if late <= grace {
		return ""
	}
	next := e.Spec.Next(slot)
	switch {
	case policy.Policy == Skip, policy.Age > 0 && late > policy.Age:
		return Skipped
	case policy.Policy != All && !next.IsZero() && !next.After(now):
		return Coalesced
	}
	return ""
}

const (
	DefaultGrace = 5 * time.Second
	DefaultCount = 1000
	MostCount    = 100_000 // a day of one that comes each second; others wait while they are looked for
)

// A Due is a slot that an entry owes, or a range of slots that ended unsent.
type Due struct {
	Entry *Entry
	Slot  time.Time

	// Request is set for a run that a person asked for: the request's id. Slot is
	// then the instant of the request.
	Request string

	// State is empty for a slot to be sent. Else nothing is sent and the slots
	// from Slot to Through, Count of them, end in this state for this reason.
	State   State
	Reason  string
	Through time.Time
	Count   int
}

// A State is the one end that every slot comes to.
type State string

const (
	Sent      State = "sent"
	Coalesced State = "coalesced" // into a later slot of the entry
	Skipped   State = "skipped"   // Reason says why
	Failed    State = "failed"    // Reason says why; it will not be tried again
	Unsure    State = "unsure"    // it may have been sent, and is not sent again: it goes at most once, say
)

// States are all ends that a slot may come to.
var States = []State{Sent, Coalesced, Skipped, Failed, Unsure}

// A Batch is the slots that are claimed together. Those that have yet to come are in order of slot, after the others.
type Batch struct {
	Term int64
	Seq  int64 // rises by one a batch, over all terms
	Dues []Due
}

// A Run is the record of one slot, or of a range of slots that ended alike.
type Run struct {
	Entry     ID        `json:"entry_id"`
	Name      string    `json:"name"`
	Task      string    `json:"task"`
	Slot      time.Time `json:"slot"`
	Through   time.Time `json:"through,omitzero"` // last slot of a range; zero for one slot
	Count     int       `json:"count"`            // slots in the range; 1 for one slot
	State     State     `json:"state"`
	Reason    string    `json:"reason,omitempty"`
	TaskID    string    `json:"task_id,omitempty"` // empty where nothing was sent
	Queue     string    `json:"queue,omitempty"`
	Request   string    `json:"request,omitempty"`
	Node      string    `json:"node"`
	Term      int64     `json:"term"`
	SentAt    time.Time `json:"sent_at,omitzero"`    // the broker's acknowledgement, by this node's clock
	Recovered bool      `json:"recovered,omitempty"` // learnt from the broker's fence after a crash
	Then      Then      `json:"-"`                   // what becomes of the entry's row: it was its last slot
}

// Last is the last slot that it is of.
func (r *Run) Last() time.Time { return Later(r.Slot, r.Through) }

// A Then is what becomes of an entry's row when its last slot has ended.
type Then uint8

const (
	ThenKeep Then = iota // nothing
	ThenDisable
	ThenDelete
)

// A Limit is where an entry ends of itself. The zero Limit is none.
type Limit struct {
	Runs int64 // so many are sent in all; 0 is no bound
	Then Then  // once as many were sent, or the spec has no more slots
	Sent int64 // as the store knows it
}

// Over reports whether as many were sent as may be.
func (l Limit) Over() bool { return l.Runs > 0 && l.Sent >= l.Runs }

// A Change is news of one entry, of all windows, or of many entries at once.
type Change struct {
	// Windows, where there are some, are those that hold from now on: the change is
	// no entry's then.
	Windows *Windows

	// Sketches, where there are some, are entries that are left in the catalog, without limits. The change is no other
	// entry's then. About is how many entries there may be in all, 0 where nobody knows.
	Sketches []Sketch
	About    int

	ID    ID
	Entry *Entry // nil when there is nothing to plan: Reason says why

	Name    string // when known
	Limit   Limit  // with an Entry
	Reason  string // with a nil Entry: ReasonRemoved, ReasonDisabled, ReasonPaused, ReasonBadRow, ReasonDone
	Problem string // with ReasonBadRow: what is wrong with the row and what to do
}

// A Claimed is a batch as the journal remembers it: without definitions.
type Claimed struct {
	Term int64
	Seq  int64
	At   time.Time
	Dues []ClaimedDue

	// Recorded is how many of the dues, from the first on, are recorded, where parts of a
	// batch are recorded with their messages.
	Recorded int
}

// A Settling says how far a batch is recorded with one of its parts: the first Done of its
// slots are, and the batches of the sequence numbers Gone leave the journal.
type Settling struct {
	Term int64
	Seq  int64
	Done int
	Gone []int64
}

// A ClaimedDue is a Due as the journal remembers it. Digest is that of the
// definition it was claimed from.
type ClaimedDue struct {
	Entry   ID
	Slot    time.Time
	Digest  uint64
	Request string
	State   State
	Reason  string
	Through time.Time
	Count   int
}

// Last is the last slot that ends with it.
func (c *ClaimedDue) Last() time.Time { return Later(c.Slot, c.Through) }

// A Lease is the right to plan and dispatch a shard. Each holding of it has a
// higher term.
type Lease struct {
	Term int64

	// For is how long the lease lasts from the moment the request for it left.
	For time.Duration

	// Now is the database's clock while it answered.
	Now time.Time
}

// ErrLost says that the lease is another's by now: this term must do nothing more.
var ErrLost = errors.New("the lease was taken over by another node")

// ErrJournal says that the journal does not have all that this term claimed: the database went back to older data, or
// somebody deleted rows. The term must end, and the next one go on from what is there.
var ErrJournal = errors.New("the journal has lost batches that were claimed")

// A Subject is an entry as an audit judges it.
type Subject struct {
	ID   ID
	Name string

	// Entry is nil where nothing is expected of the entry: Off says why, a Reason
	// or other words. An entry that is paused has one all the same, and PausedAt.
	Entry *Entry
	Off   string

	Since    time.Time // when its present spec came to count
	PausedAt time.Time // of a pause that lasts; else zero
}

// Later returns the latest of instants, of which some may be zero.
func Later(at time.Time, others ...time.Time) time.Time {
	for _, other := range others {
		if other.After(at) {
			at = other
		}
	}
	return at
}

// Earlier returns the earlier of two instants.
func Earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
