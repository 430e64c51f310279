package audit

import (
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
)

// A Report is what an audit found of the slots in (From, Until].
type Report struct {
	From  time.Time `json:"from"`
	Until time.Time `json:"until"`

	Entries int   `json:"entries"` // that were judged
	Slots   int64 `json:"slots"`   // that their specs gave

	// Since counts the entries, among those judged or not, that are judged only
	// since their spec was first seen, which was within the time.
	Since int `json:"entries_judged_in_part"`

	// Unjudged counts the entries of which nothing was expected, by the reason. An
	// entry that is paused is judged up to its pause.
	Unjudged map[string]int `json:"unjudged,omitempty"`

	// Exceptions says that the ledger keeps exceptions only: Missing then can't be told.
	Exceptions bool `json:"ledger_of_exceptions"`

	Ended  map[schedule.State]int64 `json:"ended"` // the slots by their ends
	Counts map[Kind]int64           `json:"found"` // slots by what is wrong with them

	Findings []Finding `json:"findings"` // the first of them
	More     int64     `json:"more,omitempty"`

	keep   int       // how many findings are kept
	coming time.Time // the first slot after Until of the entries that were judged to it, as far as it was looked for; zero for none
}

func newReport(from, until time.Time, exceptions bool, keep int) *Report {
	return &Report{
		From: from, Until: until, Exceptions: exceptions, keep: keep,
		Unjudged: map[string]int{}, Ended: map[schedule.State]int64{}, Counts: map[Kind]int64{}, Findings: []Finding{},
	}
}

// Clean reports whether nothing was found.
func (r *Report) Clean() bool { return len(r.Findings) == 0 && r.More == 0 }

// comes notes a slot after those that are judged.
func (r *Report) comes(slot time.Time) { r.coming = sooner(r.coming, slot) }

// sooner is the earlier one; the zero Time is none.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

func (r *Report) unjudged(reason string) { r.Unjudged[reason]++ }

func (r *Report) ended(state schedule.State, n int) { r.Ended[state] += int64(n) }

func (r *Report) find(f Finding) {
	r.Counts[f.Kind] += int64(f.Count)
	if len(r.Findings) < r.keep {
		r.Findings = append(r.Findings, f)
	} else {
		r.More++
	}
}
