package store

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/onebeat/onebeat/internal/schedule"
)

// What is recorded together goes into the ledger in the order of its index, whatever
// the ids are; one entry's runs stay in theirs.
func TestRunsAreWrittenInTheOrderOfTheIndex(t *testing.T) {
	want := []string{
		"", "1", "10", "2", "20260101 report of customer 10", "20260101 report of customer 9", "a", "ab", "ab\x00", "abcdefgh", "abcdefghi",
		"e1b8d9c4-1f6e-4b0e-9a3c-000000000001", "e1b8d9c4-1f6e-4b0e-9a3c-000000000002", "é",
	}
	var runs []schedule.Run
	for _, id := range want {
		runs = append(runs, schedule.Run{Entry: schedule.ID(id), State: schedule.Sent}, schedule.Run{Entry: schedule.ID(id), State: schedule.Skipped})
	}
	rand.Shuffle(len(runs), func(i, j int) { runs[i], runs[j] = runs[j], runs[i] })
	before := map[schedule.ID][]schedule.State{}
	for _, run := range runs {
		before[run.Entry] = append(before[run.Entry], run.State)
	}
	for ledger, each := range map[string]int{LedgerAll: 2, LedgerExceptions: 1} {
		var got []string
		after := map[schedule.ID][]schedule.State{}
		for _, run := range (&Store{options: Options{Ledger: ledger}}).noted(runs) {
			if states := after[run.Entry]; len(states) == 0 {
				got = append(got, string(run.Entry))
			}
			after[run.Entry] = append(after[run.Entry], run.State)
		}
		if strings.Join(got, "|") != strings.Join(want, "|") {
			t.Errorf("ledger %s: the order is %q, want %q", ledger, got, want)
		}
		for id, states := range after {
			if len(states) != each || each == 2 && states[0] != before[id][0] || each == 1 && states[0] != schedule.Skipped {
				t.Errorf("ledger %s: runs of %q are %v, were %v", ledger, id, states, before[id])
			}
		}
	}
}
