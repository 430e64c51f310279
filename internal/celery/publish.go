package celery

import (
	"errors"
	"math"
	"time"
)

// What may become of a message that the broker may have, and may not: the option
// "delivery" of an entry, and the setting of that name for all others.
const (
	AtLeastOnce = "at_least_once" // it is sent again, with the same id
	AtMostOnce  = "at_most_once"  // it is not; its slot ends as unsure
)

// A Message is one task to be sent. Its ID repeats when it is sent again.
type Message struct {
	Template *Template
	ID       string    // the task id
	Slot     time.Time // the nominal time, for the onebeat_slot header
	At       time.Time // the instant that relative expires and countdowns count from
	Index    int       // its place in the batch, for the Mark
}

// A Mark says how far publishing has got: all slots of batches before Seq, and
// the first Done of batch Seq, are settled. The broker keeps one Mark a shard,
// moved on in the same breath as the messages it speaks of, and refuses to move
// it for a term lower than the one it has.
type Mark struct {
	Term int64
	Seq  int64
	Done int

	// Note is opaque to the broker and kept with the mark. The dispatcher names
	// in it the slots of unrecorded batches that were settled without a message.
	Note string

	// At and Last name the part that the mark ended: the instant at which it left, in
	// Unix microseconds, and the id of its last message. What was sent since then is
	// gone if the broker comes back with an older mark. They may be lost: 0 and "".
	At   int64  `json:",omitempty"`
	Last string `json:",omitempty"`

	// Beyond is told by Take: how many places after Done may be with the broker as
	// well, at most, because messages and marks do not arrive in one step; AllBeyond
	// if that has no bound. 0 means that the mark tells all.
	Beyond int `json:",omitempty"`
}

// AllBeyond says that anything after a mark may be with the broker.
const AllBeyond = math.MaxInt

// Covers reports whether m says that the first done slots of batch seq are settled.
func (m Mark) Covers(seq int64, done int) bool {
	return m.Seq > seq || m.Seq == seq && m.Done >= done
}

// A Part is messages of one batch that are sent together, and the mark that
// holds once they are: Mark.Done counts settled slots of the batch, so it may be
// more than the messages.
type Part struct {
	Mark     Mark
	Messages []Message
	Events   bool // tell a task-sent event of each; best effort, never an error

	// Noted returns what the mark is to have as its note if these messages are not sent.
	// nil: what it has.
	Noted func([]Failure) (note string)
}

// Noting is the part's mark where some of its messages are not sent: whoever comes after a crash
// takes what a mark speaks of for sent, unless its note says otherwise.
func (p *Part) Noting(failures []Failure) Mark {
	mark := p.Mark
	if len(failures) > 0 && p.Noted != nil {
		mark.Note = p.Noted(failures)
	}
	return mark
}

// A Failure is a message that the broker will not take now or ever, while it
// took the others of its part; or one that goes at most once and may have arrived
// before its connection broke.
type Failure struct {
	Index  int // Message.Index
	Reason string
	Unsure bool // it may have arrived
}

// ErrFenced says that the broker has seen a higher term: this node's time is
// over, and nothing of the part was sent.
var ErrFenced = errors.New("a node with a higher term publishes now")

// ErrLogin says that the broker answers, and does not let the user in: waiting does not
// mend that, though a person may.
var ErrLogin = errors.New("the broker refuses the user or the password")

// ErrTakesNone says that the broker answers, and takes no messages as things are: it is full,
// or a copy of another.
var ErrTakesNone = errors.New("the broker answers, and takes no messages now")

// ErrForgot says that the broker has come back with older data: its mark is behind
// what it had told this node. Nothing of the part was sent; Take tells what it knows.
var ErrForgot = errors.New("the broker has come back with older data")

// A PublishError is a part that the broker did not acknowledge. The same part
// may be published again: the mark keeps what had arrived from being doubled.
type PublishError struct {
	// Unsure is set when messages may be with the broker beyond what its mark
	// tells, so that trying again may double them (with the same task ids).
	Unsure bool
	Err    error
}

func (e *PublishError) Error() string { return "publish: " + e.Err.Error() }
func (e *PublishError) Unwrap() error { return e.Err }
