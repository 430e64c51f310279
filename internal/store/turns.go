package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	driver "modernc.org/sqlite"
	codes "modernc.org/sqlite/lib"
)

// SQLite has no queue for its lock: who waits asks again after 1, 2, 5 and so on, in the end 100 ms, and
// who writes without a pause has it each time again in less than one.
const (
	lockFor      = 5 * time.Second        // how long the lock is waited for
	lockInterval = time.Millisecond       // how often it is asked for meanwhile
	stintFor     = time.Second            // how long this process writes at a stretch
	restFor      = 110 * time.Millisecond // how long it leaves the lock alone then: one wait of others and a little
)

// begin takes the file's lock, once it is this process's turn, and begins a transaction. It asks for the lock more
// often than SQLite does by itself: between two programs that write without a pause it is free for so short a
// time that a lease could run out before it is found so.
func (l *sqlite) begin(ctx context.Context, conn *sql.Conn) (*sql.Tx, error) {
	if err := patience(ctx, conn, 0); err != nil {
		return nil, err
	}
	tx, err := l.lock(ctx, conn)
	if err != nil {
		return nil, errors.Join(err, patience(ctx, conn, lockFor)) // for migrations, which come past this
	}
	// Without a write-ahead log a commit waits until nobody reads.
	if err := patience(ctx, tx, lockFor); err != nil {
		_ = tx.Rollback()
		return nil, err
	}
	return tx, nil
}

// patience sets how long the connection waits for locks by itself.
func patience(ctx context.Context, on sqlConn, wait time.Duration) error {
	_, err := on.ExecContext(context.WithoutCancel(ctx), fmt.Sprintf("PRAGMA busy_timeout = %d", wait.Milliseconds()))
	return err
}

func (l *sqlite) lock(ctx context.Context, conn *sql.Conn) (*sql.Tx, error) {
	err := l.turns.rest(ctx, l.stopped.Alone, func() (version int64, err error) {
		err = conn.QueryRowContext(ctx, "PRAGMA data_version").Scan(&version)
		return version, err
	})
	if err != nil {
		return nil, err
	}
	tx, err := conn.BeginTx(ctx, nil)
	if isLocked(err) {
		until := time.Now().Add(lockFor)
		err = l.stopped.During(func() error {
			for isLocked(err) && time.Now().Before(until) {
				if err := rest(ctx, lockInterval); err != nil {
					return err
				}
				tx, err = conn.BeginTx(ctx, nil)
			}
			return err
		})
	}
	if err == nil {
		l.stopped.Had()
	}
	return tx, err
}

// isLocked says that another has the file's lock.
func isLocked(err error) bool { return says(err, codes.SQLITE_BUSY) }

// says reports whether SQLite failed with a code, or one of those that tell more of it.
func says(err error, code int) bool {
	failed := new(driver.Error)
	return errors.As(err, &failed) && failed.Code()&0xff == code
}

// turns say when this process leaves a file's lock to others. One that has had it nearly all the time rests for longer
// than others wait between two tries: once a second, and half of the time for as long as others are seen to write then. One that is alone with the
// file does not rest: who opens it later is seen a second after that.
//
// Who has the one connection that writes has the turns too.
type turns struct {
	began  time.Time     // the stint
	held   time.Duration // how much of it the lock was held for
	until  time.Time     // when the rest after it ends; zero while none is due
	others bool          // wrote during the last rest
}

// rest waits for the end of a rest that is due, unless this process is alone with the file. version moves with each write of
// others, and fails while one is made.
func (t *turns) rest(ctx context.Context, alone func() bool, version func() (int64, error)) error {
	if t.until.IsZero() {
		return nil
	}
	switch left := time.Until(t.until); {
	case left <= 0:
	case alone():
		t.others = false
	default:
		before, err1 := version()
		if err := rest(ctx, left); err != nil {
			return err
		}
		after, err2 := version()
		t.others = before != after || err1 != nil || err2 != nil
	}
	t.begin()
	return nil
}

func (t *turns) begin() { t.began, t.held, t.until = time.Now(), 0, time.Time{} }

// had takes note of a transaction that has just ended, and held the lock for so long.
func (t *turns) had(held time.Duration) {
	t.held += held
	now, atMost := time.Now(), stintFor
	if t.others {
		atMost = restFor
	}
	switch took := now.Sub(t.began); {
	case took < atMost:
	case t.held > took-took/4:
		t.until = now.Add(restFor)
	default:
		t.begin()
	}
}
