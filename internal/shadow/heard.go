package shadow

import (
	"slices"
	"strings"
	"time"

	"github.com/onebeat/onebeat/internal/celery"
	"github.com/onebeat/onebeat/internal/schedule"
)

const (
	// early is how long before its slot a message may be seen to leave: clocks differ.
	early = time.Second

	// settled is how long after its slot a message still comes: a beat looks for what is due
	// every five seconds at least (beat_max_loop_interval of the database schedulers).
	settled = 15 * time.Second

	// near is how close to its slot an entry's message is that has other arguments than the
	// entry, if nothing else tells whose it is.
	near = 3 * time.Second

	seenMost        = 50_000 // messages that are remembered, by their ids
	openMost        = 10_000 // slots of an entry that wait for their message
	differencesMost = 12     // of an entry
	sendersMost     = 100
	alikeMost       = 100 // entries of one task with the same arguments that are looked at
)

// An ear is what was heard of an entry's messages.
type ear struct {
	// grid is the entry's spec as it was when it was first looked at, or edited: that of
	// an interval goes through each last run of the other's, and would follow its drift.
	grid  schedule.Spec
	from  time.Time     // it listens since then
	upTo  time.Time     // slots up to here were looked at
	last  time.Time     // the last of them
	open  []time.Time   // those that no message was heard of yet
	heard bool          // whether any message was
	phase time.Duration // of an interval: how much later than its slot the last message came; less than a period
	each  bool          // whether each one is heard, as far as one can tell: not only those that wait in a queue

	finding Finding
	unseen  int // slots without a message from before each was heard
	ways    []celery.Way
}

// miss counts a slot whose message did not come.
func (r *ear) miss() {
	if r.each {
		r.finding.OnlyOnebeat++
	} else {
		r.unseen++
	}
}

// begin lets the ear judge slots from an instant on. What it has found stays.
func (r *ear) begin(grid schedule.Spec, at time.Time) {
	r.grid, r.from, r.upTo, r.last, r.open, r.phase = grid, at, at, time.Time{}, nil, 0
}

// advance opens the slots up to an instant.
func (r *ear) advance(until time.Time) {
	if r.grid == nil {
		return
	}
	for at := r.grid.Next(r.upTo); !at.IsZero() && !at.After(until); at = r.grid.Next(at) {
		r.open, r.upTo, r.last = append(r.open, at), at, at
		if len(r.open) > openMost {
			r.open = r.open[1:]
			r.miss()
		}
	}
}

// every says whether the entry is an interval, whose other grid may lie anywhere.
func (w *judged) every() bool { return strings.Contains(w.Text, "@every") }

// half is half of an interval's period around an instant.
func (w *judged) half(at time.Time) time.Duration {
	next := w.ear.grid.Next(at)
	after := w.ear.grid.Next(next)
	if next.IsZero() || after.IsZero() {
		return settled
	}
	return after.Sub(next) / 2
}

// settle counts slots whose message should have come by an instant.
func (w *judged) settle(at time.Time) {
	r := &w.ear
	r.advance(at)
	for len(r.open) > 0 {
		wait := settled
		if w.every() {
			wait = max(wait, w.half(r.open[0])+max(r.phase, 0))
		}
		if at.Sub(r.open[0]) <= wait {
			return
		}
		slot := r.open[0]
		if r.open = r.open[1:]; !w.every() || slot.Sub(r.from) >= w.half(slot) { // else it may have been sent before
			r.miss()
		}
	}
}

// slotOf finds the open slot that a message of an instant is of: of an interval the
// nearest, within half a period of where the last message has it, for the other's grid may lie
// in the middle of two slots and drift; else the last one that has come. before says that it may
// be of one from before the ear listened.
func (w *judged) slotOf(at time.Time) (slot time.Time, found, before bool) {
	r := &w.ear
	if r.grid == nil {
		return slot, false, false
	}
	if !w.every() {
		r.advance(at.Add(early))
		return r.last, slices.Contains(r.open, r.last), r.last.IsZero() && at.Sub(r.from) < settled
	}
	half, due := w.half(at), at.Add(-r.phase)
	r.advance(due.Add(half))
	for _, open := range r.open {
		if apart := due.Sub(open).Abs(); apart <= half && (!found || apart < due.Sub(slot).Abs()) {
			slot, found = open, true
		}
	}
	return slot, found, r.last.IsZero() && at.Sub(r.from) < settled
}

// hear takes a message of the entry's, the first sight of it, and says whether it had a slot.
func (w *judged) hear(s celery.Sighting) bool {
	r := &w.ear
	slot, found, before := w.slotOf(s.At)
	if before {
		return false
	}
	r.heard = true
	w.compare(s)
	if !found {
		r.finding.OnlyBeat++
		return false
	}
	r.open = slices.DeleteFunc(r.open, slot.Equal)
	r.finding.Both++
	r.finding.late(s.At.Sub(slot).Seconds())
	if w.every() {
		if r.phase = s.At.Sub(slot); r.phase.Abs() >= 2*w.half(slot) {
			r.phase = 0 // it has fallen behind by a whole slot
		}
	}
	return true
}

// compare takes in what a sight of a message tells.
func (w *judged) compare(s celery.Sighting) {
	r := &w.ear
	r.each = r.each || s.Way != celery.WayQueue
	if !slices.Contains(r.ways, s.Way) {
		r.ways = append(r.ways, s.Way)
		slices.Sort(r.ways)
	}
	if w.Template == nil {
		return
	}
	for _, d := range w.Template.Differences(s) {
		known := slices.ContainsFunc(r.finding.Differences, func(other celery.Difference) bool { return other.Field == d.Field })
		if !known && len(r.finding.Differences) < differencesMost {
			r.finding.Differences = append(r.finding.Differences, d)
		}
	}
}

// byEar is the finding of what was heard. Where messages were only seen as they waited, a
// slot without one is left open, and the last run counts if it knows of more.
func (w *judged) byEar(f *Finding) {
	of := &w.ear.finding
	f.Differences = of.Differences
	f.Ways = []string{}
	for _, way := range w.ear.ways {
		f.Ways = append(f.Ways, string(way))
	}
	if len(f.Ways) == 0 { // others of the same sender are heard of
		f.Ways = []string{string(celery.WaySent)}
	}
	seen := w.ear.heard && !w.ear.each
	if seen && w.Keeps && f.Both > 0 {
		f.Ways = append(f.Ways, WayLastRun)
		if f.Both > of.Both {
			return
		}
	}
	f.Both, f.OnlyBeat, f.OnlyOnebeat, f.Open = of.Both, of.OnlyBeat, of.OnlyOnebeat, len(w.ear.open)
	f.Least, f.Worst, f.timed = of.Least, of.Worst, of.timed
	if slices.Contains(w.ear.ways, celery.WayQueue) {
		f.Open += w.ear.unseen
	} else {
		f.OnlyOnebeat += w.ear.unseen
	}
}

// differing is the differences in words.
func differing(all []celery.Difference) string {
	var parts []string
	for _, d := range all {
		part := d.Field + " differs"
		if d.Beat != "" || d.Onebeat != "" {
			part = d.Field + ": " + d.Beat + ", here " + d.Onebeat
		}
		parts = append(parts, part)
	}
	text := strings.Join(parts, "; ")
	for _, d := range all {
		if d.Why != "" {
			return text + " (" + d.Why + ")"
		}
	}
	return text
}

// A hearing is what a Judge keeps of messages.
type hearing struct {
	listens bool // whether all is heard now
	told    bool // whether the other scheduler tells of what it sends
	heard   Heard
	seen    map[string]*seen
	order   []string // ids, the oldest first
	index   *index   // nil to be made anew
	senders map[string]int
}

// Heard is what a Judge heard in all.
type Heard struct {
	Sent     int      `json:"task_sent"`     // events of senders
	Received int      `json:"task_received"` // events of workers
	Messages int      `json:"messages"`      // seen themselves
	Strays   int      `json:"strays"`        // messages of the entries' tasks that are no entry's, as far as one can tell
	Senders  []string `json:"senders"`       // of what is the entries', by how much they sent
}

// A seen is a message that was seen.
type seen struct {
	of    *judged // nil for nobody's
	whole bool    // whether the message itself was
}

// An index finds the entries of a message.
type index struct {
	byName map[string][]*judged
	byTask map[string][]*judged // alikeMost at most
	alike  map[string][]*judged // by task and arguments; alikeMost at most
}

func (j *Judge) indexed() *index {
	if j.index != nil {
		return j.index
	}
	x := &index{map[string][]*judged{}, map[string][]*judged{}, map[string][]*judged{}}
	add := func(m map[string][]*judged, key string, w *judged) {
		if len(m[key]) < alikeMost {
			m[key] = append(m[key], w)
		}
	}
	for _, w := range j.entries {
		add(x.byName, w.Name, w)
		add(x.byTask, w.Task, w)
		if w.Template != nil {
			add(x.alike, w.Task+"\x00"+w.Template.Signature(), w)
		}
	}
	j.index = x
	return x
}

// Listening says whether from an instant on all is heard. Slots that were open, or come
// while nothing is heard, are judged by nothing: their messages may have gone by.
func (j *Judge) Listening(on bool, at time.Time) {
	j.listens = on
	for _, w := range j.entries {
		w.ear.begin(w.ear.grid, at)
	}
}

// settle counts the slots of an entry whose message should have come by an instant.
func (j *Judge) settle(w *judged, at time.Time) {
	if j.listens {
		w.settle(at)
		return
	}
	w.ear.begin(w.ear.grid, at)
}

// Hear takes a task message that was seen. The same one may be seen several times, in
// several ways.
func (j *Judge) Hear(s celery.Sighting) {
	switch s.Way {
	case celery.WaySent:
		j.heard.Sent++
	case celery.WayReceived:
		j.heard.Received++
	case celery.WayMessage, celery.WayQueue:
		j.heard.Messages++
	}
	if was := j.seen[s.ID]; was != nil {
		if was.of != nil && (!s.Whole() || !was.whole) {
			was.of.compare(s)
			j.told = j.told || s.Way == celery.WaySent
		}
		was.whole = was.whole || s.Whole()
		return
	}
	w := j.entryOf(s)
	j.remember(s, w)
	switch {
	case w == nil:
		if len(j.indexed().byTask[s.Task]) > 0 && !s.Child {
			j.heard.Strays++
		}
	case w.hear(s):
		if s.Sender != "" && (j.senders[s.Sender] > 0 || len(j.senders) < sendersMost) {
			j.senders[s.Sender]++
		}
		fallthrough
	default:
		j.told = j.told || s.Way == celery.WaySent
	}
}

func (j *Judge) remember(s celery.Sighting, w *judged) {
	if j.seen == nil {
		j.seen, j.senders = map[string]*seen{}, map[string]int{}
	}
	j.seen[s.ID] = &seen{of: w, whole: s.Whole()}
	j.order = append(j.order, s.ID)
	if len(j.order) > seenMost {
		delete(j.seen, j.order[0])
		j.order = j.order[1:]
	}
}

// entryOf finds the entry that a message is of: by the entry's name if it has it, else by
// its task and arguments. One with other arguments is an entry's if its sender is known to
// send the entries', or if it comes with the slot of an entry of that task. nil is nobody's.
func (j *Judge) entryOf(s celery.Sighting) *judged {
	if s.Child {
		return nil
	}
	x := j.indexed()
	if s.Entry != "" {
		named := slices.DeleteFunc(slices.Clone(x.byName[s.Entry]), func(w *judged) bool { return w.Task != s.Task })
		if len(named) > 0 {
			return nearest(named, s)
		}
		return nil // another scheduler's entry
	}
	known := s.Beat || j.senders[s.Sender] > 0
	if alike := x.alike[s.Task+"\x00"+s.Signature()]; s.Signature() != "" && len(alike) > 0 {
		there := slices.DeleteFunc(slices.Clone(alike), func(w *judged) bool { return !w.Template.Goes(s) })
		if len(there) > 0 {
			alike = there
		}
		w := nearest(alike, s)
		_, _, before := w.slotOf(s.At)
		if s.Sender == "" || known || before || w.apart(s.At) <= settled || w.every() || w.ear.grid == nil {
			return w
		}
		return nil // an application's own
	}
	w := nearest(x.byTask[s.Task], s)
	if w == nil {
		return nil
	}
	if apart := w.apart(s.At); known && len(x.byTask[s.Task]) == 1 || apart <= near && !w.every() || apart <= near && known {
		return w
	}
	return nil
}

// nearest is the one with an open slot nearest to the message, and of those without one that has slots at all.
func nearest(all []*judged, s celery.Sighting) (best *judged) {
	var least time.Duration
	for _, w := range all {
		if apart := w.apart(s.At); best == nil || apart < least || apart == least && w.before(best) {
			best, least = w, apart
		}
	}
	return best
}

func (w *judged) before(other *judged) bool {
	if has := w.ear.grid != nil; has != (other.ear.grid != nil) {
		return has
	}
	return w.ID < other.ID
}

// never is further than any slot is.
const never = time.Duration(1<<63 - 1)

// apart is how far an instant is from the open slot that it would be of.
func (w *judged) apart(at time.Time) time.Duration {
	slot, found, _ := w.slotOf(at)
	if !found {
		return never
	}
	return at.Add(-w.ear.phase).Sub(slot).Abs()
}

// Heard returns what was heard in all.
func (j *Judge) Heard() Heard {
	h := j.heard
	h.Senders = []string{}
	for sender := range j.senders {
		h.Senders = append(h.Senders, sender)
	}
	slices.SortFunc(h.Senders, func(a, b string) int {
		if d := j.senders[b] - j.senders[a]; d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	return h
}
