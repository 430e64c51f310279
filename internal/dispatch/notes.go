package dispatch

import (
	"encoding/json"
	"strings"
	"sync"

	"github.com/onebeat/onebeat/internal/celery"
	"github.com/onebeat/onebeat/internal/schedule"
)

// notes names the slots of unrecorded batches that were settled without a
// message. The broker keeps them with the mark, so that a recovery does not take
// such slots for sent. Publishing adds to them, recording takes away.
type notes struct {
	beyond int // goes with the marks of a recovery; set before anything is published

	mu    sync.Mutex
	bySeq map[int64][]note
}

// A note is one such slot.
type note struct {
	Seq    int64  `json:"seq"`
	Index  int    `json:"i"`   // its place in the batch
	Reason string `json:"why"` // behind the state, unless that is skipped
}

func newNotes() *notes { return &notes{bySeq: map[int64][]note{}} }

func (n *notes) withhold(seq int64, index int, reason string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.bySeq[seq] = append(n.bySeq[seq], note{seq, index, reason})
}

// failed is the note of a message that a broker did not take, or may have.
func failed(seq int64, failure celery.Failure) note {
	state := schedule.Failed
	if failure.Unsure {
		state = schedule.Unsure
	}
	return note{seq, failure.Index, asNote(state, failure.Reason)}
}

// forget drops the notes of batches that are recorded.
func (n *notes) forget(seqs []int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, seq := range seqs {
		delete(n.bySeq, seq)
	}
}

// text is what goes with the mark, and with it more of such slots; empty when there is nothing to say.
func (n *notes) text(more ...note) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.bySeq)+len(more) == 0 {
		return ""
	}
	all := more
	for _, notes := range n.bySeq {
		all = append(all, notes...)
	}
	text, _ := json.Marshal(all) // strings and numbers always encode
	return string(text)
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
		reasons[note.Seq][note.Index] = note.Reason
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
