package e2e

import (
	"context"
	"testing"
	"time"

	"github.com/onebeat/onebeat/test/harness"
)

// Another program holds a lock for seconds: on PostgreSQL on one row, which
// delays no entry at all; on SQLite on the whole file, which delays and loses
// nothing.
func TestAnotherProgramHoldsALock(t *testing.T) {
	t.Parallel()
	const held = 3 * time.Second
	for _, tt := range []struct {
		kind, begin, lock string
		late              time.Duration // at most, on a busy machine
	}{
		{postgres, "BEGIN", "SELECT * FROM celery_beat_schedules WHERE name = 'herd 0' FOR UPDATE", time.Second},
		{sqlite, "BEGIN IMMEDIATE", "UPDATE celery_beat_schedules SET description = 'held' WHERE name = 'herd 0'", held + 2*time.Second},
	} {
		t.Run(tt.kind, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, tt.kind, redis)
			grids := s.herd(t, 5)
			n := s.serve(t)
			first := time.Now().Truncate(time.Second).Add(2 * time.Second)
			s.awaitSent(t, "herd 0", first, 10*time.Second)

			conn, err := s.database.db.Conn(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			run := func(statement string) {
				if _, err := conn.ExecContext(context.Background(), statement); err != nil {
					t.Fatalf("%s: %v", statement, err)
				}
			}
			run(tt.begin)
			run(tt.lock)
			until(t, time.Now().Add(held))
			run("COMMIT")
			last := time.Now().Truncate(time.Second).Add(2 * time.Second)
			s.awaitSent(t, "herd 0", last, 10*time.Second)
			n.stop(t)

			s.check(t, grids, window{s.database.firstStart(t), last}, s.broker.arrivals(t))
			if late := worst(s.database.ledger(t), time.Time{}, last); late > tt.late {
				t.Errorf("a lock held for %v made slots %v late, want %v or less", held, late, tt.late)
			} else {
				t.Logf("a lock held for %v made slots %v late", held, late)
			}
			if at := s.lastRunAt(t, "herd 0"); at.Before(last) {
				t.Errorf("last_run_at of the row that was held = %v, want %v or later", at, last)
			}
		})
	}
}

// lastRunAt reads the column of an entry.
func (s *site) lastRunAt(t *testing.T, entry string) (last time.Time) {
	t.Helper()
	s.database.each(t, "SELECT last_run_at FROM celery_beat_schedules WHERE name = '"+entry+"'", func(scan func(...any)) {
		var at harness.Moment
		scan(&at)
		last = at.Time
	})
	return last
}
