package storetest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
	"github.com/onebeat/onebeat/internal/store"
)

func testExceptions(t *testing.T, db Database) {
	all := full(t, db)
	lease := acquire(t, all)
	s := open(t, db, store.Options{Ledger: store.LedgerExceptions})

	b := batch(lease.Term, 1, at(9, 0), id(0), id(1))
	claim(t, s, b)
	runs := sent(b)
	runs[1].State, runs[1].Reason, runs[1].TaskID, runs[1].SentAt = schedule.Skipped, schedule.ReasonExpired, "", time.Time{}
	record(t, s, lease.Term, []int64{1}, runs)
	if left := journal(t, s); len(left) != 0 {
		t.Errorf("%d batches are left in the journal, want none", len(left))
	}
	got, err := s.Runs(t.Context(), store.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 1 || got[0].Entry != id(1) || got[0].State != schedule.Skipped {
		t.Errorf("the ledger holds %+v, want the skipped slot alone", got)
	}
	if e := entry(t, s, id(0)); !e.LastRunAt.Equal(at(9, 0)) || e.TotalRunCount != 1 {
		t.Errorf("the entry that was sent: last run %v, %d runs; want 9:00 and 1", e.LastRunAt, e.TotalRunCount)
	}

	for _, s := range []*store.Store{all, all, s, s, all} {
		if err := s.NoteLedger(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	var kept []string
	for line := range strings.Lines(db.Query(t, "SELECT value FROM onebeat_meta WHERE onebeat_meta.key = 'ledger'")[0]) {
		what, since, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		instant, err := time.Parse(time.RFC3339Nano, since)
		if err != nil || time.Since(instant).Abs() > time.Hour {
			t.Errorf("the ledger keeps %s since %q, want about now", what, since)
		}
		kept = append(kept, what)
	}
	if want := "[all exceptions all]"; fmt.Sprint(kept) != want {
		t.Errorf("what the ledger kept, in order: %v, want %s", kept, want)
	}
}

func testOldDays(t *testing.T, db Database) {
	all := full(t, db)
	lease := acquire(t, all)
	s := open(t, db, store.Options{KeepRuns: 30})
	now := now(t, db)
	const older, old, young = 400, 40, 29
	for _, days := range []int{older, old, young} {
		slot := now.AddDate(0, 0, -days)
		record(t, s, lease.Term, nil, sent(batch(lease.Term, 0, slot, id(days))))
		if !db.Postgres {
			continue
		}
		// There it is the day of the record that counts.
		day := slot.Format(time.DateOnly)
		if days == old {
			db.Exec(t, fmt.Sprintf("CREATE TABLE onebeat_runs_%s PARTITION OF onebeat_runs FOR VALUES FROM ('%s') TO ('%s')",
				slot.Format("20060102"), day, slot.AddDate(0, 0, 1).Format(time.DateOnly)))
		}
		db.Exec(t, fmt.Sprintf("UPDATE onebeat_runs SET day = '%s' WHERE entry_id = '%s'", day, id(days)))
	}
	if err := all.TendLedger(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := entries(t, s); len(got) != 3 {
		t.Errorf("where all is kept, the ledger holds %v, want all three", got)
	}
	for range 2 { // it may be called at any time
		if err := s.TendLedger(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got := entries(t, s); len(got) != 1 || got[0] != id(young) {
		t.Errorf("where 30 days are kept, the ledger holds %v, want the young one", got)
	}
	if !db.Postgres {
		return
	}
	for _, day := range []time.Time{now, now.AddDate(0, 0, 3)} {
		name := "onebeat_runs_" + day.UTC().Format("20060102")
		if got := db.Query(t, "SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = 'onebeat_runs'::regclass AND inhrelid = to_regclass('"+name+"')"); len(got) != 1 {
			t.Errorf("there is no partition %s", name)
		}
	}
	record(t, s, lease.Term, nil, sent(batch(lease.Term, 0, now, id(0))))
	if got := db.Query(t, "SELECT count(*) FROM onebeat_runs_"+now.UTC().Format("20060102")); got[0] != "1" {
		t.Errorf("today's partition holds %s runs, want today's", got[0])
	}
}

// entries are the entries of all runs.
func entries(t testing.TB, s *store.Store) (ids []schedule.ID) {
	t.Helper()
	runs, err := s.Runs(t.Context(), store.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	for _, run := range runs {
		ids = append(ids, run.Entry)
	}
	return ids
}
