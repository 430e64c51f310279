// Package audit holds what the ledger tells against what the specs say.
//
// Every slot that a spec gives comes to one end, and each end is in the ledger. So
// the slots of an entry, derived again from its spec, and the entry's rows in the
// ledger are two lists in the same order, and where they differ something is wrong:
//
//		missing    the entry's run state has passed the slot, and no end of it is there
//		overdue    it is past, and nothing has settled it yet: no node runs, or it hangs
//		duplicate  it ended twice
//		early      it was sent before its time
//		late       it was sent later than is allowed
//		stray      it was sent, and the spec gives no such slot
//
//	  - An entry is judged since its present spec was first seen; what an older
//	    spec should have sent is not known. While it is paused, disabled, unreadable
//	    or gone, nothing is expected of it. A Report says how many that concerns.
//	  - A slot that was coalesced or skipped has its end: the ledger says why, by the
//	    entry's misfire policy or by what a person did.
//	  - The ledger is what is judged, not the broker's queues nor what workers did.
//	  - With a ledger of exceptions alone, a slot that was sent in time leaves no row:
//	    what is missing then can't be told from what was sent.
package audit

import (
	"fmt"
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
)

// A Kind is one way in which the ledger and the specs differ.
type Kind string

const (
	Missing   Kind = "missing"
	Overdue   Kind = "overdue"
	Duplicate Kind = "duplicate"
	Early     Kind = "early"
	Late      Kind = "late"
	Stray     Kind = "stray"
)

// Kinds are all kinds, the worst first.
var Kinds = []Kind{Missing, Duplicate, Early, Late, Overdue, Stray}

// A Finding is a slot, or a range of slots that follow each other, of one kind.
type Finding struct {
	Kind    Kind        `json:"kind"`
	Entry   schedule.ID `json:"entry_id"`
	Name    string      `json:"name"`
	Slot    time.Time   `json:"slot"`
	Through time.Time   `json:"through,omitzero"` // last slot of a range; zero for one slot
	Count   int         `json:"count"`            // at least, if it is counted
	Detail  string      `json:"detail,omitempty"`
}

// most bounds how many slots are counted one by one for one finding.
const most = 100_000

// Options say how to judge. The zero Options are the defaults.
type Options struct {
	// Late is how late a slot may be sent; 0 is the entry's own grace, after
	// which its misfire policy would have spoken.
	Late time.Duration

	// Exceptions says that slots which were sent in time have no row.
	Exceptions bool
}

// settling is for how long after its spec was first seen an entry is not judged:
// meanwhile slots of the spec before may still go out, and count for the new one.
const settling = 2 * time.Second

// A judge goes through the slots of one entry and its ends at once, both in order.
type judge struct {
	subject schedule.Subject
	spec    schedule.Spec
	options Options
	from    time.Time // what is judged is in (from, until]
	until   time.Time
	report  *Report

	next    time.Time    // the first slot whose end was not met; zero when none is left
	covered time.Time    // the last slot that an end was met for
	ended   schedule.Run // that end
	asked   map[string]bool
}

// newJudge returns the judge of one entry over (from, until], or false when
// nothing is expected of it there.
func newJudge(subject schedule.Subject, from, until time.Time, options Options, report *Report) (*judge, bool) {
	if subject.Entry == nil {
		report.unjudged(subject.Off)
		return nil, false
	}
	if since := subject.Since.Add(settling); since.After(from) {
		from = since
		report.Since++
	}
	if !subject.PausedAt.IsZero() && subject.PausedAt.Before(until) {
		until = subject.PausedAt
		report.unjudged(schedule.ReasonPaused)
	}
	if !from.Before(until) {
		if subject.PausedAt.IsZero() {
			report.comes(subject.Entry.Spec.Next(from)) // it was seen a moment ago
		}
		return nil, false
	}
	if options.Late == 0 {
		if options.Late = subject.Entry.Misfire.Grace; options.Late == 0 {
			options.Late = schedule.DefaultGrace
		}
	}
	report.Entries++
	j := &judge{subject: subject, spec: subject.Entry.Spec, options: options, from: from, until: until, report: report}
	j.expect(from)
	return j, true
}

// expect moves on to the first slot after t.
func (j *judge) expect(t time.Time) {
	if j.next = j.spec.Next(t); j.next.After(j.until) {
		if j.subject.PausedAt.IsZero() {
			j.report.comes(j.next)
		}
		j.next = time.Time{}
	}
}

// estimate is about how many slots are to be judged, by the distance of the first two.
func (j *judge) estimate() int {
	if j.next.IsZero() {
		return 1
	}
	second := j.spec.Next(j.next)
	if second.IsZero() {
		return 1
	}
	return 1 + int(j.until.Sub(j.next)/second.Sub(j.next))
}

// end takes the entry's next end, in order of slot.
func (j *judge) end(run *schedule.Run) {
	first, last := run.Slot, run.Last()
	if run.Request != "" {
		j.request(run)
		return
	}
	if !last.After(j.from) || first.After(j.until) {
		return
	}
	j.judgeSending(run)
	if !first.After(j.covered) {
		j.find(Duplicate, first, first, 1, fmt.Sprintf("%s, and %s before", told(run), told(&j.ended)))
		if !last.After(j.covered) {
			return
		}
	} else {
		if !j.next.IsZero() && j.next.Before(first) {
			j.gap(first.Add(-time.Microsecond))
		}
		if run.State == schedule.Sent && !j.next.Equal(first) && first.After(j.from) {
			j.find(Stray, first, first, 1, "the spec gives no such slot")
		}
	}
	j.count(run, last)
	j.covered, j.ended = last, *run
	j.expect(last)
}

// count adds the expected slots that the run stands for.
func (j *judge) count(run *schedule.Run, last time.Time) {
	if j.next.IsZero() || j.next.After(last) {
		return
	}
	n := 1
	if last.After(j.next) {
		n, _ = schedule.Count(j.spec, j.next.Add(-time.Microsecond), schedule.Earlier(last, j.until), most)
	}
	j.report.Slots += int64(n)
	j.report.ended(run.State, n)
}

// judgeSending looks at when a slot was sent.
func (j *judge) judgeSending(run *schedule.Run) {
	if run.State != schedule.Sent || run.SentAt.IsZero() || !run.Slot.After(j.from) {
		return // the moment is not known where a recovery learnt of it
	}
	switch late := run.SentAt.Sub(run.Slot); {
	case late < 0:
		j.find(Early, run.Slot, run.Slot, 1, fmt.Sprintf("sent %v before its time", -late))
	case late > j.options.Late:
		j.find(Late, run.Slot, run.Slot, 1, fmt.Sprintf("sent %v after its time", late.Round(time.Millisecond)))
	}
}

// request looks at a run that a person asked for: it is no slot, but has one end too.
func (j *judge) request(run *schedule.Run) {
	if !run.Slot.After(j.from) || run.Slot.After(j.until) {
		return
	}
	if j.asked[run.Request] {
		j.find(Duplicate, run.Slot, run.Slot, 1, "a run that was asked for ended twice")
	}
	if j.asked == nil {
		j.asked = map[string]bool{}
	}
	j.asked[run.Request] = true
}

// gap judges the expected slots up to through, which have no end although a later
// slot has one, or the run state has passed them.
func (j *judge) gap(through time.Time) {
	first := j.next
	n, last := schedule.Count(j.spec, first.Add(-time.Microsecond), through, most)
	if n == most {
		last = schedule.Latest(j.spec, first, through)
	}
	j.report.Slots += int64(n)
	if j.options.Exceptions {
		j.report.ended(schedule.Sent, n)
	} else {
		j.find(Missing, first, last, n, "no end in the ledger")
	}
	j.expect(last)
}

// close judges what is left when there are no more ends. It returns the first
// overdue slot, which is to be judged again later, or the zero Time.
func (j *judge) close() (overdue time.Time) {
	if passed := schedule.Earlier(j.subject.Entry.After, j.until); !j.next.IsZero() && !j.next.After(passed) {
		j.gap(passed)
	}
	if j.next.IsZero() {
		return time.Time{}
	}
	first := j.next
	n, last := schedule.Count(j.spec, first.Add(-time.Microsecond), j.until, most)
	j.report.Slots += int64(n)
	j.find(Overdue, first, last, n, "nothing has settled it yet: `onebeat explain` says what holds it up")
	return first
}

func (j *judge) find(kind Kind, first, last time.Time, n int, detail string) {
	finding := Finding{
		Kind: kind, Entry: j.subject.ID, Name: j.subject.Name,
		Slot: first, Count: n, Detail: detail,
	}
	if last.After(first) {
		finding.Through = last
	}
	j.report.find(finding)
}

// told is an end in words.
func told(run *schedule.Run) string {
	text := string(run.State)
	if run.Reason != "" {
		text += " (" + run.Reason + ")"
	}
	return text
}
