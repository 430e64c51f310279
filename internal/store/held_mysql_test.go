package store

import (
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/onebeat/onebeat/internal/schedule"
)

// A crowd is a store on MariaDB and other programs that edit its rows, where InnoDB ends at once whom it pleases of those that wait
// for each other.
type crowd struct {
	*Store
	pool *sql.DB
	term int64
}

func crowded(t *testing.T, name string, options Options, statements ...string) crowd {
	t.Helper()
	s, err := Open(t.Context(), scratched(t, "ONEBEAT_TEST_MARIADB", name), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	c := crowd{Store: s, pool: s.db.(*mySQL).pool}
	for _, statement := range statements {
		c.exec(t, c.pool, statement)
	}
	if options.Catalog == "" {
		err = s.Migrate(t.Context())
	} else {
		err = s.EnsureOwn(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	lease, won, err := s.Shard(0).Acquire(t.Context(), t.Name())
	if err != nil || !won {
		t.Fatalf("Acquire = %v, %v", won, err)
	}
	c.term = lease.Term
	return c
}

func (c crowd) exec(t *testing.T, on sqlConn, statement string) {
	t.Helper()
	if _, err := on.ExecContext(t.Context(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// begin begins another program's transaction.
func (c crowd) begin(t *testing.T) *sql.Tx {
	t.Helper()
	tx, err := c.pool.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tx.Rollback() })
	return tx
}

// claimed claims a slot of each entry and returns their runs.
func (c crowd) claimed(t *testing.T, ids ...string) (runs []schedule.Run) {
	t.Helper()
	slot := time.Date(2026, 1, 1, 9, 0, 0, 0, time.UTC)
	batch := schedule.Batch{Term: c.term, Seq: 1}
	for _, id := range ids {
		batch.Dues = append(batch.Dues, schedule.Due{Entry: &schedule.Entry{ID: schedule.ID(id)}, Slot: slot})
		runs = append(runs, schedule.Run{Entry: schedule.ID(id), Slot: slot, Count: 1, State: schedule.Sent, Term: c.term})
	}
	if err := c.Shard(0).Claim(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	return runs
}

// waits says whether so many statements come to wait for others soon.
func (c crowd) waits(t *testing.T, statements int, atMost time.Duration) bool {
	t.Helper()
	for over := time.Now().Add(atMost); time.Now().Before(over); time.Sleep(5 * time.Millisecond) {
		var n int
		err := c.pool.QueryRowContext(t.Context(), "SELECT count(*) FROM information_schema.processlist "+
			"WHERE db = database() AND id <> connection_id() AND command <> 'Sleep' AND time_ms > 50").Scan(&n)
		if err != nil {
			t.Error(err)
			return false
		}
		if n >= statements {
			return true
		}
	}
	return false
}

func rowsNamed(ids ...string) string {
	rows := make([]string, len(ids))
	for i, id := range ids {
		rows[i] = fmt.Sprintf("('%s', 'entry %s', 't', '* * * * *')", id, id)
	}
	return "INSERT INTO celery_beat_schedules (id, name, task_name, cron_expression) VALUES " + strings.Join(rows, ", ")
}

const describe = "UPDATE celery_beat_schedules SET description = 'edited' WHERE id = '%s'"

// Who edits rows in another order than that of a record is not ended for it.
func TestWhoEditsRowsIsNotEndedForARecord(t *testing.T) {
	for _, server := range []string{"MariaDB", "MySQL"} {
		t.Run(server, func(t *testing.T) {
			c := crowded(t, "onebeat_edited", Options{})
			if server == "MySQL" { // of which MariaDB knows all that is used
				c.queues = true
				c.db.(*mySQL).nowait.Store(false)
			}
			c.exec(t, c.pool, rowsNamed("a", "b"))
			runs := c.claimed(t, "a", "b")
			person := c.begin(t)
			c.exec(t, person, fmt.Sprintf(describe, "b"))
			var recording errgroup.Group
			recording.Go(func() error { return c.Shard(0).Record(t.Context(), c.term, []int64{1}, runs) })
			c.waits(t, 1, recordPatience/2) // where the record waits for b, it has a
			c.exec(t, person, fmt.Sprintf(describe, "a"))
			if err := recording.Wait(); err != nil {
				t.Error(err)
			}
			if err := person.Commit(); err != nil {
				t.Error(err)
			}
		})
	}
}

// Programs that have rows which a record asks for, and wait for one that it has, are not ended for it; nor is the record.
// MariaDB stands in line even where it is to skip a row, for as long as it takes to see that it would have to.
func TestWhoWaitsForARowIsNotEndedByWhoAsksForOthers(t *testing.T) {
	t.Parallel()
	const persons, rows, asked = 6, 50, 1000
	c := crowded(t, "onebeat_asked", Options{})
	ids := []string{"ours"}
	for i := range persons * rows {
		ids = append(ids, fmt.Sprintf("theirs-%d-%d", i%persons, i/persons))
	}
	c.exec(t, c.pool, rowsNamed(ids...))
	var done atomic.Bool
	var editing errgroup.Group
	for i := range persons {
		editing.Go(func() error {
			for !done.Load() {
				person, err := c.pool.BeginTx(t.Context(), nil)
				if err != nil {
					return err
				}
				for _, like := range []string{fmt.Sprintf("theirs-%d-%%", i), "ours"} {
					if err == nil {
						_, err = person.ExecContext(t.Context(), "UPDATE celery_beat_schedules SET description = 'edited' WHERE id LIKE '"+like+"'")
					}
				}
				if err := errors.Join(err, person.Rollback()); err != nil {
					return err
				}
			}
			return nil
		})
	}
	begun := 0
	for range asked {
		err := c.rehearse(t.Context(), mode{recording: true}, func(tx transaction) error {
			begun++
			return tx.each(t.Context(), "rows_free", func(scanner) error { return nil }, ids)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	done.Store(true)
	if err := editing.Wait(); err != nil {
		t.Error(err)
	}
	if begun != asked {
		t.Errorf("of %d transactions %d were ended, want none", asked, begun-asked)
	}
}

// Django's programs write a row and then their mark of changes, and go on to other rows: who does is not ended for a record
// that disables one of these.
func TestWhoMovesDjangosMarkIsNotEndedForARecord(t *testing.T) {
	c := crowded(t, "onebeat_moved", Options{Catalog: "django"}, djangoTables...)
	c.exec(t, c.pool, "UPDATE django_celery_beat_periodictask SET one_off = 1 WHERE id = 2")
	runs := c.claimed(t, "2")
	person := c.begin(t)
	c.exec(t, person, "UPDATE django_celery_beat_periodictask SET queue = 'other' WHERE id = 1")
	c.exec(t, person, "UPDATE django_celery_beat_periodictasks SET last_update = '2026-01-01 10:00:00'")
	var recording errgroup.Group
	recording.Go(func() error {
		part := schedule.Settling{Term: c.term, Seq: 1, Done: 1, Gone: []int64{1}}
		return c.Shard(0).RecordWith(t.Context(), part, func(_ Tx, record func([]schedule.Run) error) error { return record(runs) })
	})
	if !c.waits(t, 1, 10*time.Second) {
		t.Fatal("the record does not wait for the mark")
	}
	c.exec(t, person, "UPDATE django_celery_beat_periodictask SET queue = 'other' WHERE id = 2")
	if err := person.Commit(); err != nil {
		t.Error(err)
	}
	if err := recording.Wait(); err != nil {
		t.Error(err)
	}
	var enabled bool
	if err := c.pool.QueryRowContext(t.Context(), "SELECT enabled FROM django_celery_beat_periodictask WHERE id = 2").Scan(&enabled); err != nil || enabled {
		t.Errorf("the one-off row is enabled: %v, %v", enabled, err)
	}
}

// A record that waits for the counter of the hints and is ended for it, as the server says by another error, is begun anew.
func TestARecordThatIsEndedForACounterIsBegunAnew(t *testing.T) {
	c := crowded(t, "onebeat_counter", Options{})
	ids := []string{"a"}
	for i := range 100 {
		ids = append(ids, fmt.Sprint("b-", i))
	}
	c.exec(t, c.pool, rowsNamed(append(ids, "z")...))
	runs := c.claimed(t, "z")
	var editing errgroup.Group
	asked := 0
	part := schedule.Settling{Term: c.term, Seq: 1, Done: 1, Gone: []int64{1}}
	err := c.Shard(0).RecordWith(t.Context(), part, func(tx Tx, record func([]schedule.Run) error) error {
		if err := record(runs); err != nil {
			return err
		}
		if asked++; asked == 1 {
			editing.Go(func() error { // its triggers hold the counter while it waits for z
				_, err := c.pool.ExecContext(t.Context(), "UPDATE celery_beat_schedules SET enabled = 0")
				return err
			})
			if !c.waits(t, 1, 10*time.Second) {
				return errors.New("the edit does not wait for the row")
			}
		}
		_, err := tx.Exec(t.Context(), "INSERT INTO onebeat_changes (entry_id) VALUES ('z')")
		return err
	})
	if err := errors.Join(err, editing.Wait()); err != nil || asked != 2 {
		t.Errorf("RecordWith = %v after %d transactions, want two", err, asked)
	}
}
