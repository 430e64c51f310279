package dispatch

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/onebeat/onebeat/internal/celery"
	"github.com/onebeat/onebeat/internal/schedule"
)

// notes names the slots of unrecorded batches that were settled without a
// message. The broker keeps them with the mark, so that a recovery does not take
// such slots for sent. Publishing adds to them, recording takes away.
type notes struct {
	beyond bool // anything behind the mark may be with the broker, as a recovery has found out: its own goroutine's

	mu    sync.Mutex
	bySeq map[int64][]note
}

// A note is one such slot, or, where it is written down, all those of a batch that ended for one reason: where a
// queue is missing these may be thousands.
type note struct {
	Seq    int64  `json:"seq"`
	Index  int    `json:"i"`              // its place in the batch
	Reason string `json:"why"`            // behind the state, unless that is skipped
	More   []int  `json:"more,omitempty"` // the places of the others
}

// allBeyond is the reason of the note of no batch that tells of notes.beyond.
const allBeyond = "beyond"

func newNotes() *notes { return &notes{bySeq: map[int64][]note{}} }

func (n *notes) withhold(seq int64, index int, reason string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.bySeq[seq] = append(n.bySeq[seq], note{Seq: seq, Index: index, Reason: reason})
}

// failed is the note of a message that a broker did not take, or may have.
func failed(seq int64, failure celery.Failure) note {
	state := schedule.Failed
	if failure.Unsure {
		state = schedule.Unsure
	}
	return note{Seq: seq, Index: failure.Index, Reason: asNote(state, failure.Reason)}
}

// forget drops the notes of batches that are recorded.
func (n *notes) forget(seqs []int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, seq := range seqs {
		delete(n.bySeq, seq)
	}
}

// any reports whether there is something to say.
func (n *notes) any() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.bySeq) > 0
}

// text is what goes with the mark, and with it more of such slots; empty when there is nothing to say.
func (n *notes) text(more ...note) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.bySeq)+len(more) == 0 && !n.beyond {
		return ""
	}
	var all []note
	if n.beyond {
		all = append(all, note{Reason: allBeyond})
	}
	for _, seq := range slices.Sorted(maps.Keys(n.bySeq)) {
		all = gather(all, n.bySeq[seq])
	}
	text, _ := json.Marshal(gather(all, more)) // strings and numbers always encode
	return string(text)
}

// gather appends notes, those of one batch, as one where they have one reason.
func gather(all, notes []note) []note {
	places := map[string]int{} // in all, by reason
	for _, one := range notes {
		if at, ok := places[one.Reason]; ok {
			all[at].More = append(all[at].More, one.Index)
			continue
		}
		places[one.Reason] = len(all)
		all = append(all, one)
	}
	return all
}

// readNotes reads what text wrote: reasons by batch and place.
func readNotes(text string) (map[int64]map[int]string, error) {
	reasons := map[int64]map[int]string{}
	if text == "" {
		return reasons, nil
	}
	var all []note
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		return nil, err
	}
	for _, note := range all {
		if reasons[note.Seq] == nil {
			reasons[note.Seq] = map[int]string{}
		}
		for _, i := range append(note.More, note.Index) {
			reasons[note.Seq][i] = note.Reason
		}
	}
	return reasons, nil
}

// asNote is how a note tells of an end.
func asNote(state schedule.State, reason string) string {
	if state == schedule.Skipped {
		return reason
	}
	return string(state) + ": " + reason
}

// asNoted returns the end that a note speaks of.
func asNoted(note string) (schedule.State, string) {
	for _, state := range schedule.States {
		if reason, ok := strings.CutPrefix(note, string(state)+": "); ok {
			return state, reason
		}
	}
	return schedule.Skipped, note
}
