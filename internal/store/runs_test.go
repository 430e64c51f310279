package store

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

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
		for _, run := range (&Store{options: Options{Ledger: ledger}}).noted(inOrder(runs), false) {
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

// Runs of one entry that are recorded together are one end of it, wherever they stand among others.
func TestRunsAreSummedUpByEntry(t *testing.T) {
	slot := func(hour int) time.Time { return time.Date(2030, 1, 1, hour, 0, 0, 0, time.UTC) }
	got := fold(inOrder([]schedule.Run{
		{Entry: "b", Slot: slot(1), State: schedule.Sent, Count: 1},
		{Entry: "a", Slot: slot(1), State: schedule.Sent, Count: 1},
		{Entry: "b", Slot: slot(2), Through: slot(4), State: schedule.Skipped, Count: 3},
		{Entry: "a", Slot: slot(9), State: schedule.Sent, Count: 1, Request: "asked for"},
		{Entry: "b", Slot: slot(5), State: schedule.Sent, Count: 1},
		{Entry: "c", Slot: slot(5), State: schedule.Failed, Count: 1},
	}))
	want := ends{
		ids: []string{"a", "b", "c"}, sent: []time.Time{slot(1), slot(5), {}}, unsent: []time.Time{{}, slot(4), slot(5)},
		counts: []int64{2, 2, 0}, requests: []string{"asked for"},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(ends{})); diff != "" {
		t.Errorf("fold (-want +got):\n%s", diff)
	}
}

// A ledger of months is not read for a name of the past week.
func TestANameIsLookedForInTheLatestDays(t *testing.T) {
	s := scratchedPostgres(t, "onebeat_named")
	plan := generalPlan(t, s, "runs_named", "(text, timestamptz, bigint)", "('n', now() + interval '9 days', 1)")
	if !strings.Contains(plan, "Subplans Removed: ") {
		t.Errorf("days before the instant are read:\n%s", plan)
	}
}

// The ledger's index compares ids byte by byte, in whatever language's order the database compares texts.
func TestTheLedgersIndexKnowsNoLanguage(t *testing.T) {
	s := scratchedPostgres(t, "onebeat_language")
	rows, err := s.db.(*postgres).pool.Query(t.Context(), `SELECT a.attrelid::regclass::text, a.attcollation::regcollation::text
		FROM pg_attribute AS a JOIN pg_partition_tree('onebeat_runs') AS t ON a.attrelid = t.relid WHERE a.attname = 'entry_id'`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	tables := 0
	for rows.Next() {
		var table, collation string
		if err := rows.Scan(&table, &collation); err != nil {
			t.Fatal(err)
		}
		if tables++; collation != `"C"` {
			t.Errorf("ids of %s are compared by %s", table, collation)
		}
	}
	if err := rows.Err(); err != nil || tables < 3 { // the ledger, a day and the rest
		t.Fatalf("looked at %d tables, %v", tables, err)
	}
}
