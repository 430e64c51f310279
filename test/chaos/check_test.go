package chaos

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
)

// A story is all that is known of a run: what should have come, and what did.
type story struct {
	entries     []*entry
	from, until time.Time // slots after the one, up to the other, are judged
	arrivals    []arrival
	ledger      []end
	once        bool // the broker promises that nothing is doubled
	spans       []span
}

// A verdict counts slots. What is in wrong is a broken promise.
type verdict struct {
	expected int // by the specs
	ran      int // of them, once or more
	policy   int // ended unsent by their misfire policy
	unsure   int // recorded as unsure
	unsent   int // of edited entries: not sent any more when an edit was seen
	repeated int // came again with the same id, as RabbitMQ may

	missing, extra, early, untrue int

	wrong     []fault
	late      []time.Duration         // of what was taken, sorted
	latest    map[int64]time.Duration // the worst lateness of what is owed at each second
	effective []time.Duration         // from an edit's commit to its first slot, sorted
}

// Bounds of what is judged.
const (
	// grace is the entries' own, unless they have another.
	grace = schedule.DefaultGrace
	// seen is how long after its commit an edit may go unseen by a node that still works.
	seen = 10 * time.Second
	// step is how many messages RabbitMQ may repeat for each connection that ended.
	step = 10
	// batch is the most that is claimed together: what a RabbitMQ that went away may repeat.
	batch = 1000
)

// A fault is a broken promise. Faults of one kind differ in what they speak of alone.
type fault struct{ kind, text string }

type place struct {
	entry string
	slot  int64 // Unix seconds
}

// judge holds what came against what should have come.
func (s *story) judge() *verdict {
	v := &verdict{latest: map[int64]time.Duration{}}
	byName := map[string]*entry{}
	for _, e := range s.entries {
		byName[e.name] = e
	}
	came := s.came(v, byName)
	ends := s.ends(v, byName)
	for _, e := range s.entries {
		if e.group.kind == edited {
			s.judgeEdited(v, e, came, ends)
			continue
		}
		for slot := s.from.Truncate(e.group.period).Add(e.group.period); !slot.After(s.until); slot = slot.Add(e.group.period) {
			s.judgeSlot(v, e, slot, came[place{e.name, slot.Unix()}], ends[place{e.name, slot.Unix()}])
		}
	}
	s.judgeLater(v, came)
	if most := s.most(); v.repeated > most {
		v.fault(&v.extra, "%d messages were repeated, want %d at most by the connections that broke", v.repeated, most)
	}
	slices.Sort(v.late)
	slices.Sort(v.effective)
	return v
}

func (v *verdict) fault(count *int, format string, args ...any) {
	*count++
	v.wrong = append(v.wrong, fault{format, fmt.Sprintf(format, args...)})
}

// also takes what is wrong beside slots.
func (v *verdict) also(kind string, texts ...string) {
	for _, text := range texts {
		v.wrong = append(v.wrong, fault{kind, text})
	}
}

// examples are the first so many faults of each kind, and how many more there are of it.
func (v *verdict) examples(most int) string {
	var kinds []string
	of := map[string][]string{}
	for _, f := range v.wrong {
		if of[f.kind] == nil {
			kinds = append(kinds, f.kind)
		}
		of[f.kind] = append(of[f.kind], f.text)
	}
	var lines []string
	for _, kind := range kinds {
		texts := of[kind]
		lines = append(lines, texts[:min(len(texts), most)]...)
		if more := len(texts) - most; more > 0 {
			lines = append(lines, fmt.Sprintf("  and %d more like these", more))
		}
	}
	return strings.Join(lines, "\n")
}

// came sorts arrivals by their slots. What the broker handed out again is no arrival.
func (s *story) came(v *verdict, byName map[string]*entry) map[place][]arrival {
	came := make(map[place][]arrival, len(s.arrivals))
	for _, a := range s.arrivals {
		e := byName[a.entry]
		at := place{a.entry, a.slot.Unix()}
		if a.again && slices.ContainsFunc(came[at], func(b arrival) bool { return b.id == a.id }) {
			continue
		}
		late := a.at.Sub(a.slot)
		switch {
		case e == nil:
			v.fault(&v.extra, "%q is no entry: slot %v", a.entry, a.slot)
			continue
		case !a.slot.Equal(a.slot.Truncate(time.Second)), e.group.kind != edited && !a.slot.Equal(a.slot.Truncate(e.group.period)):
			v.fault(&v.extra, "%s: %v is no slot of it", a.entry, a.slot)
			continue
		case !a.slot.After(s.from):
			v.fault(&v.extra, "%s: slot %v was before the start", a.entry, a.slot)
		case late < 0:
			v.fault(&v.early, "%s: slot %v came %v early", a.entry, a.slot, -late)
		}
		came[at] = append(came[at], a)
		v.late = append(v.late, late)
		if e.group.kind == owed && e.group.period == time.Second {
			v.latest[at.slot] = max(v.latest[at.slot], late)
		}
	}
	return came
}

// ends sorts the ledger by slots.
func (s *story) ends(v *verdict, byName map[string]*entry) map[place][]end {
	ends := make(map[place][]end, len(s.ledger))
	for _, e := range s.ledger {
		of := byName[e.entry]
		if of == nil {
			same := slices.DeleteFunc(slices.Clone(s.arrivals), func(a arrival) bool { return a.id != e.id })
			v.fault(&v.untrue, "%q is in the ledger and no entry: the id is %s%s, the slot %v; %v%s", e.entry, e.of, s.named(e.of), e.slot, e, evidence(nil, same))
			continue
		}
		for slot := e.slot; !slot.After(e.through); slot = slot.Add(of.group.period) {
			at := place{e.entry, slot.Unix()}
			ends[at] = append(ends[at], e)
		}
	}
	return ends
}

// named tells whose id it is.
func (s *story) named(id string) string {
	for _, e := range s.entries {
		if e.id != "" && e.id == id {
			return " of " + e.name
		}
	}
	return " of none"
}

// evidence tells of a slot's rows in the ledger, and of what came of it.
func evidence(ends []end, arrivals []arrival) (text string) {
	for _, e := range ends {
		if e != (end{}) {
			text += "; " + e.String()
		}
	}
	text += fmt.Sprintf("; messages that came: %d", len(arrivals))
	for i, a := range arrivals {
		text += fmt.Sprintf("%s %s at %s", []string{" with the id", ","}[min(i, 1)], a.id, a.at.UTC().Format(clock))
	}
	return text
}

// judgeSlot judges a slot of an entry that was never edited.
func (s *story) judgeSlot(v *verdict, e *entry, slot time.Time, came []arrival, ends []end) {
	v.expected++
	if len(ends) != 1 {
		v.fault(&v.untrue, "%s: slot %v has %d ends in the ledger, want 1%s", e.name, slot, len(ends), evidence(ends, came))
		ends = append(ends, end{}) // one that fits nothing
	}
	state, reason := ends[0].state, ends[0].reason
	switch {
	case len(came) > 0:
		v.ran++
		s.judgeRepeats(v, e, came, ends)
		if state != string(schedule.Sent) && (s.once || e.group.kind == owed || state != string(schedule.Unsure)) {
			v.fault(&v.untrue, "%s: slot %v came, and the ledger has it as %q (%s)%s", e.name, slot, state, reason, evidence(ends, came))
		} else if ends[0].id != came[0].id {
			v.fault(&v.untrue, "%s: slot %v has the id %s in the ledger, %s in the message%s", e.name, slot, ends[0].id, came[0].id, evidence(ends, came))
		}
	case !s.once && state == string(schedule.Unsure) && (e.group.kind == atMostOnce || e.group.kind == byPolicy && s.wasLate(v, slot)):
		v.unsure++
	case e.group.kind == byPolicy && reason == schedule.ReasonMisfire && s.wasLate(v, slot):
		v.policy++
	default:
		v.fault(&v.missing, "%s: slot %v is missing; the ledger has it as %q (%s)%s", e.name, slot, state, reason, evidence(ends, came))
	}
}

// judgeRepeats looks at a slot's arrivals.
func (s *story) judgeRepeats(v *verdict, e *entry, came []arrival, ends []end) {
	if len(came) < 2 {
		return
	}
	last := came[0].at
	for _, a := range came[1:] {
		if a.id != came[0].id && a.edit == came[0].edit {
			v.fault(&v.untrue, "%s: slot %v came with the ids %s and %s", e.name, a.slot, a.id, came[0].id)
		}
		if a.at.After(last) {
			last = a.at
		}
	}
	switch {
	case s.once, e.group.kind == atMostOnce, !s.disturbed(came[0].slot.Add(-time.Second), last):
		v.fault(&v.extra, "%s: slot %v came %d times%s%s", e.name, came[0].slot, len(came), e.told(came), evidence(ends, came))
	default:
		v.repeated += len(came) - 1
	}
}

// told says of which definitions an edited entry's arrivals are, and when these were made.
func (e *entry) told(came []arrival) (text string) {
	if e.group.kind != edited {
		return ""
	}
	for _, a := range came {
		text += fmt.Sprintf("; id %s of definition %d", a.id, a.edit)
	}
	for i, d := range e.edits {
		if i > 0 && d.committed.After(came[0].slot.Add(-10*time.Second)) && d.asked.Before(came[0].slot.Add(10*time.Second)) {
			text += fmt.Sprintf("; definition %d, each %v, asked for at %s and committed at %s", i, d.period, d.asked.UTC().Format("15:04:05.000"), d.committed.UTC().Format("15:04:05.000"))
		}
	}
	return text
}

// most is how many messages may have been repeated.
func (s *story) most() (most int) {
	for _, span := range s.spans {
		each := step
		if span.kind == "broker server killed" || span.kind == "broker server stopped" {
			each = batch
		}
		most += each * span.connections
	}
	return most
}

// disturbed says whether anything was wrong between two instants.
func (s *story) disturbed(from, until time.Time) bool {
	return slices.ContainsFunc(s.spans, func(w span) bool { return !w.from.After(until) && !w.until.Before(from) })
}

// wasLate says whether slots of a second were late by more than the default grace,
// about: others of the same second were, or something was wrong within the grace.
func (s *story) wasLate(v *verdict, slot time.Time) bool {
	return v.latest[slot.Unix()] > grace-time.Second || s.disturbed(slot.Add(-time.Second), slot.Add(grace))
}

// judgeEdited judges an entry that was edited. When a node sees an edit is not known to
// the day; but from the first slot of a definition to its last none may be missing, the
// definition before must not go on for long, and the last one must have come into effect.
func (s *story) judgeEdited(v *verdict, e *entry, came map[place][]arrival, ends map[place][]end) {
	slots := make([][]time.Time, len(e.edits)) // of each definition
	for slot := s.from.Truncate(time.Second); !slot.After(s.until.Add(time.Hour)); slot = slot.Add(time.Second) {
		at := place{e.name, slot.Unix()}
		if len(came[at]) == 0 {
			continue
		}
		s.judgeRepeats(v, e, came[at], ends[at])
		for _, a := range came[at] {
			if a.edit >= len(e.edits) || e.edits[a.edit].period == 0 || !a.slot.Equal(a.slot.Truncate(e.edits[a.edit].period)) {
				v.fault(&v.extra, "%s: slot %v is none of definition %d", e.name, a.slot, a.edit)
				continue
			}
			if next := a.edit + 1; next < len(e.edits) && a.slot.After(e.edits[next].committed.Add(seen)) {
				v.fault(&v.extra, "%s: slot %v came from definition %d, which ended at %v", e.name, a.slot, a.edit, e.edits[next].committed)
			}
			slots[a.edit] = append(slots[a.edit], slot)
		}
		if !slot.After(s.until) && !slices.ContainsFunc(ends[at], func(e end) bool {
			return e.state == string(schedule.Sent) || !s.once && e.state == string(schedule.Unsure)
		}) {
			v.fault(&v.untrue, "%s: slot %v came, and the ledger does not have it as sent%s", e.name, slot, evidence(ends[at], came[at]))
		}
	}
	for i, definition := range e.edits {
		if definition.period == 0 {
			continue
		}
		isLast := i == len(e.edits)-1
		if len(slots[i]) == 0 {
			if isLast {
				v.fault(&v.missing, "%s: nothing came of its last definition, committed at %v", e.name, definition.committed)
			}
			continue
		}
		first, last := slots[i][0], slots[i][len(slots[i])-1]
		if i > 0 {
			v.effective = append(v.effective, first.Sub(definition.committed))
		}
		through := last
		if isLast {
			through = s.until
		} else if over := e.edits[i+1].asked; over.After(last) {
			unsent := int(over.Sub(last) / definition.period)
			if unsent > 1 && !s.disturbed(last.Add(-time.Second), e.edits[i+1].committed) {
				v.fault(&v.missing, "%s: the last slot of definition %d is %v, although it was edited only at %v", e.name, i, last, over)
			}
			v.unsent += unsent
		}
		for slot := first; !slot.After(through); slot = slot.Add(definition.period) {
			v.expected++
			if len(came[place{e.name, slot.Unix()}]) > 0 {
				v.ran++
			} else {
				v.fault(&v.missing, "%s: slot %v of definition %d is missing%s", e.name, slot, i, evidence(ends[place{e.name, slot.Unix()}], nil))
			}
		}
	}
}

// judgeLater looks for repeats among slots that came after those that are judged.
func (s *story) judgeLater(v *verdict, came map[place][]arrival) {
	for at, arrivals := range came {
		if len(arrivals) > 1 && at.slot > s.until.Unix() && s.once {
			v.fault(&v.extra, "%s: slot %v after the time that is judged came %d times%s", at.entry, arrivals[0].slot, len(arrivals), evidence(nil, arrivals))
		}
	}
}
