package store

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// In ten seconds a process writes over and over, for a while each time and with a pause after each: how often it
// rests tells how much it leaves to others.
func TestWhoWritesAllTheTimeRests(t *testing.T) {
	const lasts = 10 * time.Second
	for _, tt := range []struct {
		name        string
		held, pause time.Duration
		others      bool // write during rests
		alone       bool // nobody else has the file open
		least, most int  // rests
	}{
		{"without a pause, beside others that only read", 5 * time.Millisecond, 0, false, false, 8, 9},
		{"without a pause, alone with the file", 5 * time.Millisecond, 0, false, true, 0, 0},
		{"without a pause, beside others", 5 * time.Millisecond, 0, true, false, 40, 42},
		{"for long, beside others", 300 * time.Millisecond, 0, true, false, 20, 22},
		{"with pauses that leave enough to others", 5 * time.Millisecond, 2 * time.Millisecond, true, false, 0, 0},
		{"now and then", 900 * time.Millisecond, time.Second, true, false, 0, 0},
		{"with a pause that is a rest", 1500 * time.Millisecond, 120 * time.Millisecond, true, false, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var turns turns
				var version int64
				rests := 0
				for began := time.Now(); time.Since(began) < lasts; {
					asked := time.Now()
					err := turns.rest(t.Context(), func() bool { return tt.alone }, func() (int64, error) {
						if tt.others {
							version++
						}
						return version, nil
					})
					if err != nil {
						t.Fatal(err)
					}
					switch rested := time.Since(asked); {
					case rested > restFor:
						t.Fatalf("it rested for %v, want %v at most", rested, restFor)
					case rested > 0:
						rests++
					}
					time.Sleep(tt.held)
					turns.had(tt.held)
					time.Sleep(tt.pause)
				}
				if rests < tt.least || rests > tt.most {
					t.Errorf("it rested %d times, want %d to %d", rests, tt.least, tt.most)
				}
			})
		})
	}
}

// Others that can't be told of, as the file is locked, count as writing; and who is stopped does not wait.
func TestARestDuringAnothersWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := turns{until: time.Now().Add(restFor)}
		stopped, stop := context.WithCancel(t.Context())
		stop()
		accompanied := func() bool { return false }
		locked := func() (int64, error) { return 0, errors.New("database is locked") }
		if err := turns.rest(stopped, accompanied, locked); !errors.Is(err, context.Canceled) {
			t.Errorf("rest of a process that was stopped: %v, want %v", err, context.Canceled)
		}
		if err := turns.rest(t.Context(), accompanied, locked); err != nil || !turns.others {
			t.Errorf("rest beside a write: %v, others %v, want true", err, turns.others)
		}
	})
}

// A shared is a file without a write-ahead log, as Django makes it, that onebeat and another program write to.
type shared struct {
	store *Store
	other *sql.DB // waits for the lock as SQLite does by itself
}

func share(t *testing.T) shared {
	t.Helper()
	file := filepath.Join(t.TempDir(), "django.db")
	other, err := sql.Open("sqlite", "file:"+file+"?_pragma=busy_timeout(60000)&_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { other.Close() })
	other.SetMaxOpenConns(1)
	if _, err := other.ExecContext(t.Context(), "CREATE TABLE anothers AS SELECT 0 AS n"); err != nil {
		t.Fatal(err)
	}
	s := storeOf(t, "sqlite:///"+file, Options{})
	return shared{s, other}
}

// write is a write of the other program, which does something in the middle of it.
func (s shared) write(ctx context.Context, meanwhile func()) error {
	tx, err := s.other.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.ExecContext(ctx, "UPDATE anothers SET n = n + 1"); err != nil {
		return err
	}
	meanwhile()
	return tx.Commit()
}

// While onebeat writes without a pause, a program that writes now and then comes to write, too. Measured: after 38 to
// 53 transactions, and 448 or more when onebeat did not rest.
func TestAnotherProgramWritesToABusyFile(t *testing.T) {
	const writes, most = 5, 250
	s := share(t)
	ctx, stop := context.WithCancel(t.Context())
	written := make(chan error, 1)
	go func() {
		for range writes {
			if err := s.write(ctx, func() {}); err != nil {
				written <- err
				return
			}
			<-time.After(5 * time.Millisecond)
		}
		written <- nil
	}()
	for n := 1; ; n++ {
		err := s.store.db.transact(t.Context(), mode{}, func(transaction) error {
			<-time.After(20 * time.Millisecond)
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		select {
		case err := <-written:
			t.Logf("%d writes of another program waited for %d transactions", writes, n)
			if err != nil {
				t.Error(err)
			}
			stop()
			return
		default:
		}
		if n == most || err != nil {
			t.Errorf("another program has not written %d times beside %d transactions", writes, n)
			stop()
			<-written
			return
		}
	}
}

// Another program leaves the lock for a moment between long writes, in which a lease is renewed; each renewal begins when
// a write has. Measured: 6 writes, and 27 to 98 when onebeat asked for the lock as seldom as others do.
func TestALeaseIsRenewedInTheMomentBetweenWrites(t *testing.T) {
	const renewals, most = 5, 20
	s := share(t)
	lease, won, err := s.store.Shard(0).Acquire(t.Context(), "node-1")
	if err != nil || !won {
		t.Fatal(lease, won, err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	began, writes := make(chan struct{}), 0
	var writing sync.WaitGroup
	writing.Go(func() {
		for ctx.Err() == nil {
			writes++
			err := s.write(ctx, func() {
				select {
				case began <- struct{}{}:
				default:
				}
				<-time.After(200 * time.Millisecond)
			})
			if err != nil && ctx.Err() == nil {
				t.Error(err)
			}
			<-time.After(5 * time.Millisecond)
		}
	})
	for range renewals {
		<-began
		if _, err := s.store.Shard(0).Renew(t.Context(), lease.Term); err != nil {
			t.Error(err)
		}
	}
	stop()
	writing.Wait()
	t.Logf("%d renewals waited for %d writes", renewals, writes)
	if writes > most {
		t.Errorf("%d renewals waited for %d writes of another program, want %d at most", renewals, writes, most)
	}
}
