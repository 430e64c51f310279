package store_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
	"github.com/onebeat/onebeat/internal/store"
	"github.com/onebeat/onebeat/internal/store/storetest"
)

func ledgerOf(t *testing.T, db storetest.Database, options store.Options) (*store.Store, int64) {
	t.Helper()
	s, err := store.Open(t.Context(), db.URL, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	lease, won, err := s.Shard(0).Acquire(t.Context(), "node")
	if err != nil || !won {
		t.Fatalf("Acquire: %v, %v", won, err)
	}
	return s, lease.Term
}

func recordRuns(t *testing.T, s *store.Store, term int64, runs []schedule.Run) {
	t.Helper()
	if err := s.Shard(0).Record(t.Context(), term, nil, runs); err != nil {
		t.Fatal(err)
	}
}

func sentAt(id schedule.ID, slot time.Time) schedule.Run {
	return schedule.Run{Entry: id, Name: "n", Task: "t", Slot: slot, Count: 1, State: schedule.Sent, TaskID: string(id), Node: "node", Term: 1, SentAt: slot}
}

// What a record writes must not grow with the ledger: with each entry's runs at a place of their own in its
// index, each of a record's runs is a page there, once the ledger is large.
func TestSQLiteWritesFewPagesOfALargeLedger(t *testing.T) {
	const entries, slots, most = 1000, 100, 250
	db := freshSQLite(t)
	s, term := ledgerOf(t, db, store.Options{Home: store.HomeMemory})
	db.Exec(t, fmt.Sprintf(`WITH RECURSIVE entry (e) AS (SELECT 1 UNION ALL SELECT e + 1 FROM entry WHERE e < %d), slot (s) AS (SELECT 1 UNION ALL SELECT s + 1 FROM slot WHERE s < %d)
		INSERT INTO onebeat_runs (entry_id, name, task, slot, count, state, reason, task_id, queue, request, node, term, sent_at, recovered)
		SELECT printf('00000000-0000-4000-8000-%%012d', e), 'n', 't', s, 1, 'sent', '', '', '', '', 'node', 1, s, 0 FROM entry, slot ORDER BY e, s`, entries, slots))
	db.Exec(t, "PRAGMA wal_checkpoint(TRUNCATE)")
	var runs []schedule.Run
	for n := range entries {
		runs = append(runs, sentAt(schedule.ID(fmt.Sprintf("00000000-0000-4000-8000-%012d", n+1)), time.Unix(1893456000, 0).UTC()))
	}
	recordRuns(t, s, term, runs)
	log, err := os.Stat(strings.TrimPrefix(db.URL, "sqlite:///") + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	if pages := log.Size() / 4096; pages > most {
		t.Errorf("a record of %d runs wrote %d pages, beside %d runs in the ledger; want %d at most", entries, pages, entries*slots, most)
	}
}

// The ledger's parts, and what an older onebeat recorded, are one ledger to an audit.
func TestSQLiteFindsEndsInAllParts(t *testing.T) {
	db := freshSQLite(t)
	first, err := os.ReadFile("migrations/sqlite/00001_onebeat.sql")
	if err != nil {
		t.Fatal(err)
	}
	db.Exec(t, string(first))
	hour := func(n int) time.Time { return time.Date(2026, 1, 1, n, 0, 0, 0, time.UTC) }
	const before = `INSERT INTO onebeat_runs (entry_id, name, task, slot, count, state, reason, task_id, queue, request, node, term, recovered)
		VALUES ('a', 'n', 't', ?, 1, 'sent', '', '', '', '', 'node', 1, 0)`
	db.Exec(t, before, hour(1).UnixMicro())

	s, term := ledgerOf(t, db, store.Options{KeepRuns: 1})
	const full = "UPDATE onebeat_parts SET runs = 16384 WHERE part > 0"
	reaching := schedule.Run{Entry: "b", Slot: hour(1), Through: hour(4), Count: 4, State: schedule.Coalesced, Node: "node", Term: 1}
	recordRuns(t, s, term, []schedule.Run{sentAt("a", hour(2)), reaching})
	recordRuns(t, s, term, []schedule.Run{sentAt("c", hour(2))})
	db.Exec(t, full)
	recordRuns(t, s, term, []schedule.Run{sentAt("a", hour(3)), sentAt("a", hour(4))})
	db.Exec(t, full)
	recordRuns(t, s, term, []schedule.Run{sentAt("a", hour(5)), sentAt("b", hour(5))})
	db.Exec(t, before, hour(6).UnixMicro()) // an older onebeat went on beside it
	if got, want := db.Query(t, "SELECT part || ': ' || count(*) FROM onebeat_runs GROUP BY part ORDER BY part"), []string{"0: 2", "1: 3", "2: 2", "3: 2"}; !slices.Equal(got, want) {
		t.Fatalf("the runs of the parts are %q, want %q", got, want)
	}

	ends := func(from, until int) (found []string) {
		t.Helper()
		err := s.Ends(t.Context(), []schedule.ID{"a", "b"}, hour(from), hour(until), func(run *schedule.Run) error {
			if run.Slot.After(hour(from)) || run.Through.After(hour(from)) { // of those before it may tell more
				found = append(found, fmt.Sprint(run.Entry, run.Slot.Hour()))
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	for _, tt := range []struct {
		from, until int
		want        []string
	}{
		{0, 9, []string{"a1", "a2", "a3", "a4", "a5", "a6", "b1", "b5"}},
		{3, 4, []string{"a4", "b1"}},
		{4, 5, []string{"a5", "b5"}},
		{5, 6, []string{"a6"}},
	} {
		if got := ends(tt.from, tt.until); !slices.Equal(got, tt.want) {
			t.Errorf("the ends from %d to %d o'clock are %q, want %q", tt.from, tt.until, got, tt.want)
		}
	}

	if err := s.TendLedger(t.Context()); err != nil {
		t.Fatal(err)
	}
	recordRuns(t, s, term, []schedule.Run{sentAt("a", time.Now())})
	if err := s.TendLedger(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, want := db.Query(t, "SELECT part || '' FROM onebeat_parts"), []string{"0", "3"}; !slices.Equal(got, want) {
		t.Errorf("when the old runs are gone the parts are %q, want %q", got, want)
	}
}
