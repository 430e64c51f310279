package store_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
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

func nextTerm(t *testing.T, s *store.Store, term int64) int64 {
	t.Helper()
	if err := s.Shard(0).Release(t.Context(), term); err != nil {
		t.Fatal(err)
	}
	lease, won, err := s.Shard(0).Acquire(t.Context(), "node")
	if err != nil || !won {
		t.Fatalf("Acquire: %v, %v", won, err)
	}
	return lease.Term
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

// The ledger's parts, and what an older onebeat recorded, are one ledger to an audit and to who looks for an entry's runs.
func TestTheLedgerIsOneInAllItsParts(t *testing.T) {
	t.Run("PostgreSQL", func(t *testing.T) { testParts(t, freshPostgres(t), "'2026-01-01 06:00Z'", "false") })
	t.Run("MySQL", func(t *testing.T) { testParts(t, freshMySQL(t), micros(hour(6)), "0") })
	t.Run("SQLite", func(t *testing.T) { testParts(t, freshSQLite(t), micros(hour(6)), "0") })
}

func hour(n int) time.Time { return time.Date(2026, 1, 1, n, 0, 0, 0, time.UTC) }

func micros(at time.Time) string { return fmt.Sprint(at.UnixMicro()) }

// testParts takes six o'clock and false as the database has them.
func testParts(t *testing.T, db storetest.Database, six, no string) {
	const full = 100
	s, term := ledgerOf(t, db, store.Options{KeepRuns: 1})
	s.HavePartsOf(full)
	db.Exec(t, "INSERT INTO onebeat_runs (entry_id, name, task, slot, count, state, reason, task_id, queue, request, node, term, recovered) VALUES ('a', 'n', 't', "+
		six+", 1, 'sent', '', '', '', '', 'node', 1, "+no+")")
	fill := func(n, slot int) (runs []schedule.Run) {
		for range n {
			runs = append(runs, sentAt("z", hour(slot)))
		}
		return runs
	}
	reaching := schedule.Run{Entry: "b", Slot: hour(1), Through: hour(4), Count: 4, State: schedule.Coalesced, Node: "node", Term: 1}
	recordRuns(t, s, term, []schedule.Run{sentAt("a", hour(1)), sentAt("a", hour(2)), reaching})
	recordRuns(t, s, term, fill(full-3, 2))
	recordRuns(t, s, term, append(fill(full, 3), sentAt("a", hour(3)), sentAt("a", hour(4))))
	recordRuns(t, s, term, []schedule.Run{sentAt("a", hour(5)), sentAt("b", hour(5))})
	if got, want := db.Query(t, "SELECT concat(count(*), '') FROM onebeat_runs GROUP BY part ORDER BY part"), []string{"1", "100", "102", "2"}; !slices.Equal(got, want) {
		t.Fatalf("the runs of the parts are %q, want %q", got, want)
	}
	if got, want := db.Query(t, "SELECT concat(runs, '') FROM onebeat_parts WHERE part > 0 ORDER BY part"), []string{"100", "102", "0"}; !slices.Equal(got, want) {
		t.Fatalf("the parts that have ended say that they have %q runs, want %q", got, want)
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
	hours := func(filter store.Filter) (hours []int) {
		t.Helper()
		runs, err := s.Runs(t.Context(), filter)
		if err != nil {
			t.Fatal(err)
		}
		for _, run := range runs {
			hours = append(hours, run.Slot.Hour())
		}
		return hours
	}
	for _, tt := range []struct {
		filter store.Filter
		want   []int
	}{
		{store.Filter{Entry: "a"}, []int{6, 5, 4, 3, 2, 1}},
		{store.Filter{Entry: "a", Limit: 3}, []int{6, 5, 4}},
		{store.Filter{Entry: "a", Since: hour(4)}, []int{6, 5, 4}},
		{store.Filter{Entry: "b", State: schedule.Coalesced}, []int{1}},
		{store.Filter{Limit: 4}, []int{6, 5, 5, 4}},
	} {
		if got := hours(tt.filter); !slices.Equal(got, tt.want) {
			t.Errorf("the hours of runs by %+v are %d, want %d", tt.filter, got, tt.want)
		}
	}

	// Another term has a part of its own, and that of the one before ends with it.
	recordRuns(t, s, nextTerm(t, s, term), []schedule.Run{sentAt("a", hour(7))})
	if got, want := db.Query(t, "SELECT concat(runs, '') FROM onebeat_parts WHERE part > 0 ORDER BY part"), []string{"100", "102", "2", "0"}; !slices.Equal(got, want) {
		t.Fatalf("after another term the parts say that they have %q runs, want %q", got, want)
	}
	if got, want := hours(store.Filter{Entry: "a", Limit: 2}), []int{7, 6}; !slices.Equal(got, want) {
		t.Errorf("the hours of the last runs are %d, want %d", got, want)
	}
}

// Who may write runs may write parts, of which an older onebeat had none, and what it recorded is found.
func TestPartsComeToALedgerOfPostgres(t *testing.T) {
	db := freshPostgres(t)
	s, term := ledgerOf(t, db, store.Options{})
	name := "r" + db.Query(t, "SELECT current_database()::text")[0]
	db.Exec(t, "CREATE ROLE "+name)
	defer func() {
		db.Exec(t, "DROP OWNED BY "+name)
		db.Exec(t, "DROP ROLE "+name)
	}()
	db.Exec(t, "DROP TABLE onebeat_parts; ALTER TABLE onebeat_runs DROP COLUMN part; CREATE INDEX onebeat_runs_entry_slot ON onebeat_runs (entry_id, slot);"+
		"DELETE FROM onebeat_schema WHERE version_id = 10; GRANT SELECT, INSERT, DELETE ON onebeat_runs TO "+name+"; GRANT SELECT ON onebeat_runs TO PUBLIC")
	db.Exec(t, "INSERT INTO onebeat_runs (entry_id, name, task, slot, count, state, reason, task_id, queue, request, node, term, recovered) VALUES ('a', 'n', 't', "+
		"'2026-01-01 06:00Z', 1, 'sent', '', '', '', '', 'node', 1, false)")
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	recordRuns(t, s, term, []schedule.Run{sentAt("a", hour(7))})
	runs, err := s.Runs(t.Context(), store.Filter{Entry: "a"})
	if err != nil || len(runs) != 2 {
		t.Errorf("the runs of before and after are %+v, %v", runs, err)
	}
	rights := db.Query(t, `SELECT concat(CASE grantee WHEN 0 THEN 'all' ELSE 'user' END, ' ', privilege_type) FROM pg_class, aclexplode(relacl)
		WHERE oid = 'onebeat_parts'::regclass AND grantee <> relowner ORDER BY 1`)
	if want := []string{"all SELECT", "user DELETE", "user INSERT", "user SELECT"}; !slices.Equal(rights, want) {
		t.Errorf("rights to parts are %q, want %q", rights, want)
	}
	if got := db.Query(t, "SELECT indexdef FROM pg_indexes WHERE indexname = 'onebeat_runs_part' OR indexname = 'onebeat_runs_entry_slot'"); len(got) != 1 || !strings.Contains(got[0], "(part, entry_id, slot)") {
		t.Errorf("the ledger's indexes are %q", got)
	}
}

// MySQL takes back none of a migration that is broken off, as by who did not want to wait for its index: what is there stays, and the next goes on.
func TestAMigrationOfMySQLThatWasBrokenOffGoesOn(t *testing.T) {
	for name, done := range map[string]string{
		"before the column":   "ALTER TABLE onebeat_runs DROP COLUMN part, DROP INDEX onebeat_runs_part, ADD INDEX onebeat_runs_entry_slot (entry_id, slot)",
		"before the index":    "ALTER TABLE onebeat_runs DROP INDEX onebeat_runs_part, ADD INDEX onebeat_runs_entry_slot (entry_id, slot)",
		"before it was noted": "DO 0",
	} {
		t.Run(name, func(t *testing.T) {
			db := freshMySQL(t)
			s, term := ledgerOf(t, db, store.Options{})
			recordRuns(t, s, term, []schedule.Run{sentAt("a", hour(7))})
			db.Exec(t, done)
			db.Exec(t, "DELETE FROM onebeat_schema WHERE version_id IN (8, 10)")
			if err := s.Migrate(t.Context()); err != nil {
				t.Fatal(err)
			}
			got := db.Query(t, "SELECT concat(index_name, ' ', column_name) FROM information_schema.statistics WHERE table_schema = database() AND table_name = 'onebeat_runs' AND index_name <> 'PRIMARY' ORDER BY index_name, seq_in_index")
			want := []string{"onebeat_runs_part part", "onebeat_runs_part entry_id", "onebeat_runs_part slot"}
			if got = slices.DeleteFunc(got, func(index string) bool { return strings.HasPrefix(index, "onebeat_runs_slot ") }); !slices.Equal(got, want) {
				t.Errorf("the ledger's indexes are %q, want %q", got, want)
			}
		})
	}
}

// What was sent since an instant is looked for in the parts that may have it: those of before are most of a large ledger.
func TestWhatWasSentSinceIsLookedForInItsParts(t *testing.T) {
	for name, fresh := range map[string]func(testing.TB) storetest.Database{"PostgreSQL": freshPostgres, "MySQL": freshMySQL, "SQLite": freshSQLite} {
		t.Run(name, func(t *testing.T) {
			db := fresh(t)
			s, term := ledgerOf(t, db, store.Options{})
			now, err := s.Now(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			recordRuns(t, s, term, []schedule.Run{sentAt("a", now.Add(-2*time.Minute).Truncate(time.Second)), sentAt("b", now.Truncate(time.Second))})
			for _, tt := range []struct {
				part string
				want int
			}{
				{"part", 1},
				{"0", 1}, // of an older version
				{micros(now.Add(-12 * time.Hour)), 1},
				{micros(now.Add(-14 * time.Hour)), 0}, // it ended two hours ago
			} {
				db.Exec(t, "UPDATE onebeat_runs SET part = "+tt.part)
				runs, err := s.Shard(0).SentSince(t.Context(), now.Add(-time.Minute))
				if err != nil || len(runs) != tt.want || tt.want > 0 && runs[0].Entry != "b" {
					t.Errorf("in part %s: %d runs, %v; want %d, of b", tt.part, len(runs), err, tt.want)
				}
			}
		})
	}
}

// Parts go with their runs.
func TestOldPartsAreForgotten(t *testing.T) {
	t.Run("PostgreSQL", func(t *testing.T) {
		testOldParts(t, freshPostgres(t), "UPDATE onebeat_parts SET last_day = current_date - 3 WHERE part > 0")
	})
	slots := "UPDATE onebeat_parts SET last_slot = " + micros(time.Now().AddDate(0, 0, -3)) + " WHERE part > 0"
	begun := "UPDATE onebeat_parts SET part = " + micros(time.Now().AddDate(0, 0, -4)) + " WHERE part > 0"
	t.Run("MySQL", func(t *testing.T) { testOldParts(t, freshMySQL(t), slots, begun) })
	t.Run("SQLite", func(t *testing.T) { testOldParts(t, freshSQLite(t), slots, begun) })
}

func testOldParts(t *testing.T, db storetest.Database, agings ...string) {
	s, term := ledgerOf(t, db, store.Options{KeepRuns: 2})
	parts := func() int { return len(db.Query(t, "SELECT concat(part, '') FROM onebeat_parts")) }
	for _, aging := range agings {
		recordRuns(t, s, term, []schedule.Run{sentAt("a", time.Now())})
		if err := s.TendLedger(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := parts(); n != 2 {
			t.Fatalf("there are %d parts, want that of before and the new one", n)
		}
		db.Exec(t, aging)
		if err := s.TendLedger(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := parts(); n != 1 {
			t.Errorf("after %s and a tending there are %d parts, want that of before alone", aging, n)
		}
		term = nextTerm(t, s, term)
	}
}

// Each look for runs goes into all parts that have not ended: those of nodes that were lost must not become ever more.
func TestPartsOfLostNodesEnd(t *testing.T) {
	t.Run("PostgreSQL", func(t *testing.T) {
		testLeftParts(t, freshPostgres(t), "(extract(epoch FROM first_slot) * 1000000)::bigint", "(extract(epoch FROM last_slot) * 1000000)::bigint", "last_slot < 'infinity'")
	})
	t.Run("MySQL", func(t *testing.T) {
		testLeftParts(t, freshMySQL(t), "first_slot", "last_slot", "last_slot < 9223372036854775807")
	})
	t.Run("SQLite", func(t *testing.T) {
		testLeftParts(t, freshSQLite(t), "first_slot", "last_slot", "last_slot < 9223372036854775807")
	})
}

// testLeftParts takes a part's slots in microseconds, and what one that has ended has, as the database says it.
func testLeftParts(t *testing.T, db storetest.Database, first, last, ended string) {
	s, term := ledgerOf(t, db, store.Options{KeepRuns: 1})
	age := func(by time.Duration) {
		t.Helper()
		part := db.Query(t, "SELECT concat(max(part), '') FROM onebeat_parts")[0]
		for _, table := range []string{"onebeat_runs", "onebeat_parts"} {
			db.Exec(t, fmt.Sprintf("UPDATE %s SET part = part - %d WHERE part = %s", table, by.Microseconds(), part))
		}
	}
	now := time.Now().UTC().Truncate(time.Second)
	reaching := schedule.Run{Entry: "b", Slot: now.Add(-3 * time.Minute), Through: now.Add(time.Minute), Count: 4, State: schedule.Coalesced, Node: "node", Term: 1}
	recordRuns(t, s, term, []schedule.Run{sentAt("a", now.Add(-2*time.Minute)), sentAt("a", now), reaching})
	age(25 * time.Hour)
	lost := func() {
		t.Helper()
		var err error
		if s, err = store.Open(t.Context(), db.URL, store.Options{KeepRuns: 1}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		term++
		db.Exec(t, fmt.Sprintf("UPDATE onebeat_leases SET term = %d", term))
	}
	lost()
	recordRuns(t, s, term, []schedule.Run{sentAt("a", now)})
	age(23 * time.Hour)
	if err := s.TendLedger(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := db.Query(t, "SELECT concat(runs, ' from ', "+first+", ' to ', "+last+") FROM onebeat_parts WHERE part > 0 AND "+ended)
	want := []string{fmt.Sprintf("3 from %d to %d", reaching.Slot.UnixMicro(), reaching.Through.UnixMicro())}
	if !slices.Equal(got, want) {
		t.Errorf("the parts that have ended have %q, want %q", got, want)
	}
	if got := db.Query(t, "SELECT concat(count(*), '') FROM onebeat_parts WHERE part > 0"); !slices.Equal(got, []string{"2"}) {
		t.Errorf("there are %q parts, want 2", got)
	}
}

// A part is forgotten by the database's clock when it is old, and so begins by it: the clock of its node may stand anywhere.
func TestPartsBeginByTheDatabasesClock(t *testing.T) {
	db := freshMySQL(t)
	synctest.Test(t, func(t *testing.T) { // its clock begins in 2000
		s, term := ledgerOf(t, db, store.Options{KeepRuns: 30})
		recordRuns(t, s, term, []schedule.Run{sentAt("a", hour(1))})
		if err := s.TendLedger(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.Close()
	})
	if n := len(db.Query(t, "SELECT concat(part, '') FROM onebeat_parts WHERE part > 0")); n != 1 {
		t.Errorf("there are %d parts that runs are written in, want 1", n)
	}
}

// A part that no run came to is looked at no more than others.
func TestEmptyPartsEndToo(t *testing.T) {
	db := freshSQLite(t)
	s, term := ledgerOf(t, db, store.Options{Ledger: store.LedgerExceptions})
	s.HavePartsOf(0) // each record has a part of its own
	for range 2 {
		recordRuns(t, s, term, []schedule.Run{sentAt("a", time.Now())})
	}
	if got, want := db.Query(t, "SELECT CASE WHEN last_slot > "+micros(time.Now())+" THEN 'open' ELSE 'ended' END FROM onebeat_parts WHERE part > 0 ORDER BY part"), []string{"ended", "open"}; !slices.Equal(got, want) {
		t.Errorf("the parts are %q, want %q", got, want)
	}
}

// Who wants the latest runs does not wait for a look at the whole ledger.
func TestTheLatestRunsAreInTheLatestParts(t *testing.T) {
	t.Run("PostgreSQL", func(t *testing.T) {
		testTheLatestRuns(t, freshPostgres(t), "last_slot = 'infinity'", "slot + interval '1 hour'")
	})
	t.Run("MariaDB", func(t *testing.T) {
		testTheLatestRuns(t, freshMySQL(t), "last_slot = 9223372036854775807", "slot + 3600000000")
	})
	t.Run("SQLite", func(t *testing.T) {
		testTheLatestRuns(t, freshSQLite(t), "last_slot = 9223372036854775807", "slot + 3600000000")
	})
}

func testTheLatestRuns(t *testing.T, db storetest.Database, open, later string) {
	s, term := ledgerOf(t, db, store.Options{})
	s.HavePartsOf(0) // each record has a part of its own
	for n := range 100 {
		recordRuns(t, s, term, []schedule.Run{sentAt(schedule.ID(fmt.Sprint(n)), hour(1).Add(time.Duration(n)*time.Second))})
	}
	runs, all, err := s.RunsLately(t.Context(), "", 10)
	if err != nil || len(runs) != 10 || runs[0].Entry != "99" || runs[9].Entry != "90" || all {
		t.Errorf("the latest runs of a hundred are %v, all %v, %v", runs, all, err)
	}
	db.Exec(t, "UPDATE onebeat_parts SET runs = 600000 WHERE part = (SELECT part FROM onebeat_runs WHERE entry_id = '95')")
	for state, want := range map[schedule.State]int{"": 5, schedule.Sent: 5} {
		if runs, all, err := s.RunsLately(t.Context(), state, 10); err != nil || len(runs) != want || all {
			t.Errorf("the latest runs of state %q, up to a part of many, are %v, all %v, %v; want %d", state, runs, all, err, want)
		}
	}
	db.Exec(t, "UPDATE onebeat_parts SET runs = 0, "+open+" WHERE part = (SELECT part FROM onebeat_runs WHERE entry_id = '0')")
	db.Exec(t, "UPDATE onebeat_runs SET slot = "+later+", state = 'failed' WHERE entry_id = '0'")
	for _, state := range []schedule.State{"", schedule.Failed} { // of a shard that has begun no part for hours
		if runs, _, err := s.RunsLately(t.Context(), state, 10); err != nil || len(runs) == 0 || runs[0].Entry != "0" {
			t.Errorf("the latest runs of state %q, the last of them in an old part that has not ended, are %v, %v", state, runs, err)
		}
	}
}

// A name that no entry has is not looked for in what was recorded long before.
func TestANameIsLookedForInTheLatestParts(t *testing.T) {
	db := freshSQLite(t)
	s, term := ledgerOf(t, db, store.Options{})
	now := time.Now()
	recordRuns(t, s, term, []schedule.Run{sentAt("old", now), sentAt("new", now)})
	db.Exec(t, "UPDATE onebeat_runs SET part = 1000000000000001 WHERE entry_id = 'old'")
	runs, err := s.RunsNamed(t.Context(), "n", now.Add(-time.Hour), 10)
	if err != nil || len(runs) != 1 || runs[0].Entry != "new" {
		t.Errorf("RunsNamed found %v, %v, want what is in the part of now alone", runs, err)
	}
}
