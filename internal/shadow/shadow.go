// Package shadow compares what another scheduler sends with what onebeat would. It is told
// of the other's messages as they are heard (Hear), finds the entry of each, and compares
// when it came with the slots of the entry's spec, and what it says with the entry's own
// message. Of an entry of which nothing is heard it goes by the last run and the count of
// runs that the other one keeps with it, as they move. It does no I/O, and what it keeps of
// messages is bounded.
package shadow

import (
	"slices"
	"strings"
	"time"

	"github.com/onebeat/onebeat/internal/celery"
	"github.com/onebeat/onebeat/internal/schedule"
)

// An Entry is an entry as it was looked at.
type Entry struct {
	ID   schedule.ID
	Name string
	Text string        // the spec's
	Spec schedule.Spec // nil where onebeat would send nothing
	Off  string        // why it would not: disabled, or what is wrong with the row
	Task string

	// Template is the entry's message; nil where it has none.
	Template *celery.Template

	// Keeps says whether the other scheduler keeps its last run with the entry.
	Keeps bool

	// Last is the last run and Count how many the other scheduler has counted.
	Last  time.Time
	Count int64
}

// A Finding is what is known of an entry since it was first looked at.
type Finding struct {
	Entry       schedule.ID `json:"entry_id"`
	Name        string      `json:"name"`
	Spec        string      `json:"spec"`
	Both        int         `json:"both"`               // slots that both sent, or would have
	OnlyBeat    int         `json:"only_beat"`          // runs of the other without a slot here
	OnlyOnebeat int         `json:"only_onebeat"`       // slots here without a run of the other
	Open        int         `json:"open"`               // slots of which the other may not have told yet
	Least       float64     `json:"least_late_seconds"` // from the slot to the other's run; below 0 it came before
	Worst       float64     `json:"late_seconds"`       // the most of them
	Ways        []string    `json:"seen_by"`            // task-sent, task-received, message, queue, last run; none if nothing tells
	Remark      string      `json:"remark,omitempty"`

	// Differences are where messages that were seen are not as onebeat's would be.
	Differences []celery.Difference `json:"differences,omitempty"`

	timed bool // whether Least and Worst are known
}

// Agrees says whether nothing was sent by one side alone, and all messages that were seen
// are as onebeat's.
func (f *Finding) Agrees() bool {
	return f.OnlyBeat == 0 && f.OnlyOnebeat == 0 && len(f.Differences) == 0
}

// Quiet says whether there is nothing to tell of the entry: no slot, and nothing that was seen.
func (f *Finding) Quiet() bool {
	return f.Agrees() && f.Both+f.Open == 0
}

// Timed says whether the seconds of how late the other was are known.
func (f *Finding) Timed() bool { return f.timed }

func (f *Finding) late(seconds float64) {
	if !f.timed {
		f.timed, f.Least, f.Worst = true, seconds, seconds
	}
	f.Least, f.Worst = min(f.Least, seconds), max(f.Worst, seconds)
}

// WayLastRun is how an entry is seen by what is kept with it.
const WayLastRun = "last run"

// A Judge keeps what it saw.
type Judge struct {
	// Patience is how long the other scheduler may keep a run to itself:
	// django-celery-beat writes after three minutes at the latest (sync_every of
	// celery/beat.py).
	Patience time.Duration

	entries map[schedule.ID]*judged
	hearing
}

// A judged is an entry that was looked at before.
type judged struct {
	Entry
	from    time.Time // slots up to here are judged
	finding Finding
	edited  bool
	ear     ear
}

// slotsMost is how many slots are counted between two looks.
const slotsMost = 100_000

// See takes the entries as they are at an instant. An entry is judged from the first
// look on; what an edit changed is judged anew from there.
func (j *Judge) See(at time.Time, entries []Entry) {
	if j.entries == nil {
		j.entries = map[schedule.ID]*judged{}
	}
	there := make(map[schedule.ID]bool, len(entries))
	for _, e := range entries {
		there[e.ID] = true
		was := j.entries[e.ID]
		if was == nil {
			from := e.Last
			if from.IsZero() {
				from = at
			}
			was = &judged{Entry: e, from: from, finding: Finding{Entry: e.ID, Name: e.Name, Spec: e.Text}}
			was.ear.begin(e.Spec, at)
			j.entries[e.ID] = was
			j.index = nil
			continue
		}
		if was.Template != e.Template || was.Name != e.Name {
			j.index = nil
		}
		j.settle(was, at)
		was.see(at, e)
	}
	for id := range j.entries {
		if !there[id] {
			delete(j.entries, id)
			j.index = nil
		}
	}
}

func (w *judged) see(at time.Time, e Entry) {
	ran := int(e.Count - w.Count)
	if e.Count < w.Count && e.Spec == nil { // a one-off that is done
		ran = 1
	}
	moved := e.Last.After(w.Last) || ran > 0
	same := rhythm(e.Text) == rhythm(w.Text) && e.Off == w.Off
	if moved && (same || ran > 0 && w.Spec != nil) {
		until := e.Last
		if until.IsZero() {
			until = at
		}
		w.judge(until, max(ran, 0))
	}
	if !same {
		w.edited = w.edited || rhythm(e.Text) != rhythm(w.Text)
		w.from = at
		w.ear.begin(e.Spec, at)
	}
	finding := w.finding
	finding.Name, finding.Spec = e.Name, e.Text
	w.Entry, w.finding = e, finding
}

// judge compares the slots up to the other's last run with how many runs it counted.
func (w *judged) judge(until time.Time, ran int) {
	slots, last := w.slots(until)
	f := &w.finding
	f.Both += min(slots, ran)
	f.OnlyBeat += max(ran-slots, 0)
	f.OnlyOnebeat += max(slots-ran, 0)
	if slots > 0 && ran > 0 {
		f.late(until.Sub(last).Seconds())
	}
	if until.After(w.from) {
		w.from = until
	}
}

// slots counts those after what was judged up to an instant, and returns the last.
func (w *judged) slots(until time.Time) (n int, last time.Time) {
	if w.Spec == nil {
		return 0, last
	}
	for at := w.Spec.Next(w.from); !at.IsZero() && !at.After(until) && n < slotsMost; at = w.Spec.Next(at) {
		last = at
		n++
	}
	return n, last
}

// rhythm is a spec's text without where its grid begins, which each run may move.
func rhythm(text string) string {
	before, _, _ := strings.Cut(text, " from ")
	return before
}

// Findings returns what is known at an instant, by name. Slots of which the other
// scheduler should have told by then count as not sent by it.
func (j *Judge) Findings(at time.Time) []Finding {
	found := make([]Finding, 0, len(j.entries))
	for _, w := range j.entries {
		j.settle(w, at)
		f := w.finding
		switch {
		case w.ear.heard || !w.Keeps && j.told:
			j.byLastRun(w, &f, at)
			w.byEar(&f)
		case w.Keeps:
			j.byLastRun(w, &f, at)
			f.Ways = []string{WayLastRun}
		default:
			f.Open, _ = w.slots(at)
			f.Ways = []string{}
		}
		f.Remark = j.remark(w, &f)
		found = append(found, f)
	}
	slices.SortFunc(found, func(a, b Finding) int {
		return strings.Compare(a.Name+"\x00"+string(a.Entry), b.Name+"\x00"+string(b.Entry))
	})
	return found
}

// byLastRun counts the slots that the last run does not reach yet.
func (j *Judge) byLastRun(w *judged, f *Finding, at time.Time) {
	all, _ := w.slots(at)
	over, _ := w.slots(at.Add(-j.Patience))
	f.OnlyOnebeat += over
	f.Open = all - over
}

// remark explains what is known of, as far as a known difference does.
func (j *Judge) remark(w *judged, f *Finding) string {
	switch {
	case w.Off != "":
		return w.Off
	case len(f.Ways) == 0:
		return "nothing tells what the other sends: see task_send_sent_event, and -E of workers"
	case len(f.Differences) > 0:
		return differing(f.Differences)
	case w.ear.heard && !w.ear.each && f.Agrees() && f.Open > 3:
		return "of the open slots nothing was seen: a free worker takes a message before it is looked at"
	case !w.ear.heard && w.Keeps && j.told && f.Both > 0:
		return "its last run moved, but no message of it was heard, and of others there was: the other may have failed to send it"
	case !f.Agrees() && w.edited:
		return "edited meanwhile: around the edit the two may see it at different times"
	case f.OnlyOnebeat > 0 && f.OnlyBeat == 0 && f.Both == 0:
		return "the other did not send it, or did not write that it did"
	case !f.Agrees() && w.every():
		return "an interval: Celery's beat counts from when it sent and so drifts, onebeat keeps to the grid"
	case f.OnlyBeat > 0 && f.Both == 0:
		return "the other sends at once what has never run, or whose start has come; onebeat waits for the slot"
	case f.OnlyOnebeat > 0 && f.OnlyBeat == 0:
		return "the other did not send it, or did not write that it did"
	case !f.Agrees():
		return "see docs/differences.md, and `onebeat next` for the coming slots"
	}
	return ""
}
