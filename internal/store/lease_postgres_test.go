package store_test

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
)

// begin begins a transaction of another program's and runs a statement in it. It is taken back at the end.
func begin(t *testing.T, url, statement string) *sql.Tx {
	t.Helper()
	db, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	tx, err := db.BeginTx(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = tx.Rollback(), db.Close() })
	if _, err := tx.ExecContext(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
	return tx
}

// A record does not wait for a claim that is being written to the disk, nor a claim for a record.
func TestRecordsAndClaimsGoSideBySide(t *testing.T) {
	db := freshPostgres(t)
	s := opened(t, db)
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	lease, won, err := s.Shard(0).Acquire(t.Context(), "node")
	if err != nil || !won {
		t.Fatalf("Acquire = %v, %v", won, err)
	}
	slot := time.Date(2026, 11, 26, 9, 0, 0, 0, time.UTC)
	batch := func(seq int64) schedule.Batch {
		return schedule.Batch{Term: lease.Term, Seq: seq, Dues: []schedule.Due{{Entry: &schedule.Entry{ID: "a"}, Slot: slot}}}
	}
	if err := s.Shard(0).Claim(t.Context(), batch(1)); err != nil {
		t.Fatal(err)
	}

	claiming := begin(t, db.URL, "UPDATE onebeat_leases SET seq = 2 WHERE shard = 0")
	runs := []schedule.Run{{Entry: "a", Name: "a", Slot: slot, Count: 1, State: schedule.Sent, Node: "node", Term: lease.Term}}
	if err := s.Shard(0).Record(t.Context(), lease.Term, []int64{1}, runs); err != nil {
		t.Errorf("a record while another batch is claimed: %v", err)
	}
	if err := claiming.Rollback(); err != nil {
		t.Fatal(err)
	}

	recording := begin(t, db.URL, "SELECT term FROM onebeat_leases WHERE shard = 0 FOR KEY SHARE")
	soon, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := s.Shard(0).Claim(soon, batch(2)); err != nil {
		t.Errorf("a claim while another batch is recorded: %v", err)
	}
	if err := recording.Rollback(); err != nil {
		t.Fatal(err)
	}
}

// Nobody takes a lease while its holder's record is under way, also none that is older than this one and so does not
// know how that is held.
func TestALeaseIsNotTakenDuringARecord(t *testing.T) {
	db := freshPostgres(t)
	s := opened(t, db)
	if _, won, err := s.Shard(0).Acquire(t.Context(), "node"); err != nil || !won {
		t.Fatalf("Acquire = %v, %v", won, err)
	}
	begin(t, db.URL, "SELECT term FROM onebeat_leases WHERE shard = 0 AND term = 1 FOR KEY SHARE") // as a record ends
	for _, take := range []string{
		"UPDATE onebeat_leases SET term = term + 1 WHERE shard = 0",
		`INSERT INTO onebeat_leases AS lease (shard, owner, term, seq, guarded, expires_at) VALUES (0, 'other', 1, 0, true, now())
			ON CONFLICT (shard) DO UPDATE SET owner = excluded.owner, term = lease.term + 1`,
	} {
		tx := begin(t, db.URL, "SET LOCAL lock_timeout = '200ms'")
		if _, err := tx.ExecContext(t.Context(), take); err == nil {
			t.Errorf("the lease was taken during a record: %s", take)
		}
	}
}
