package store

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
)

// led is a store on a PostgreSQL of its own whose node is there and has the lease.
func led(t *testing.T, name string) (*Store, schedule.Lease) {
	t.Helper()
	s := scratchedPostgres(t, name)
	if err := s.Join(t.Context()); err != nil {
		t.Fatal(err)
	}
	lease, won, err := s.Shard(0).Acquire(t.Context(), s.Node())
	if err != nil || !won {
		t.Fatalf("Acquire = %v, %v", won, err)
	}
	return s, lease
}

// onNextBeat lets the lease last on, as on a beat that is not this one.
func onNextBeat(t *testing.T, s *Store, term int64) schedule.Lease {
	t.Helper()
	return onNextBeatWithin(t.Context(), t, s, term)
}

func onNextBeatWithin(ctx context.Context, t *testing.T, s *Store, term int64) schedule.Lease {
	t.Helper()
	s.beats.mu.Lock()
	s.beats.leftAt = time.Time{}
	s.beats.mu.Unlock()
	lease, err := s.Shard(0).Renew(ctx, term)
	if err != nil {
		t.Fatal(err)
	}
	return lease
}

// there is how the other nodes see this one.
func there(t *testing.T, s *Store) (nodes []Node) {
	t.Helper()
	roll, err := s.Roll(t.Context(), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	return roll.Nodes
}

// Who leads is there for the others with the renewal of its lease, as it last said that it is, until it leaves.
func TestARenewalSaysThatItsNodeIsThere(t *testing.T) {
	const within = time.Minute
	s, lease := led(t, "onebeat_beat")
	if s.Attends(true, within) {
		t.Error("a node is said to be there that never was")
	}
	if _, err := s.Attend(t.Context(), true, within); err != nil {
		t.Fatal(err)
	}
	if _, err := s.db.(*postgres).pool.Exec(t.Context(), "UPDATE onebeat_nodes SET seen_at = seen_at - interval '1 hour'"); err != nil {
		t.Fatal(err)
	}
	renewed := onNextBeat(t, s, lease.Term)
	if renewed.Term != lease.Term || renewed.Now.Before(lease.Now) || renewed.For != lease.For {
		t.Errorf("Renew = %+v after %+v", renewed, lease)
	}
	if nodes := there(t, s); len(nodes) != 1 || !nodes[0].Fit || nodes[0].Ago > time.Minute {
		t.Errorf("after a renewal there is %+v, want this node, fit", nodes)
	}
	if roll := <-s.Attended(); len(roll.Nodes) != 1 || roll.Holders[0].Node != s.Node() {
		t.Errorf("a renewal brought %+v, want this node, which has the lease", roll)
	}
	if !s.Attends(true, within) {
		t.Error("the node is to say what a renewal has said")
	}
	if s.Attends(false, within) {
		t.Error("a renewal has said of a node that is not fit any more what it does not know")
	}
	onNextBeat(t, s, lease.Term)
	if nodes := there(t, s); len(nodes) != 1 || nodes[0].Fit {
		t.Errorf("there is %+v, want this node, not fit", nodes)
	}
	if err := s.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	onNextBeat(t, s, lease.Term)
	if nodes := there(t, s); len(nodes) != 0 {
		t.Errorf("after it left there is %+v", nodes)
	}
}

// A change of which no notice came is found by the renewal of the lease, and where that found none the log is not read for it again.
func TestARenewalLooksForChanges(t *testing.T) {
	s, lease := led(t, "onebeat_beat_news")
	if _, err := s.Attend(t.Context(), true, time.Minute); err != nil {
		t.Fatal(err)
	}
	f := s.newFeed().(*postgresFeed)
	if err := f.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer f.close()
	if s.beats.quiet() {
		t.Error("nothing is new before anybody looked")
	}
	onNextBeat(t, s, lease.Term)
	if !s.beats.quiet() {
		t.Error("a renewal has found something new in an empty log")
	}
	if _, err := s.db.(*postgres).pool.Exec(t.Context(), "INSERT INTO onebeat_changes (entry_id) VALUES ('a')"); err != nil {
		t.Fatal(err)
	}
	onNextBeat(t, s, lease.Term)
	began := time.Now()
	if err := f.wait(t.Context(), nil, 20*time.Second); err != nil || time.Since(began) > 10*time.Second {
		t.Fatalf("wait = %v after %v, want it to end with the renewal that found a change", err, time.Since(began))
	}
	if ids, err := f.hinted(t.Context()); err != nil || !slices.Equal(ids, []string{"a"}) {
		t.Errorf("hinted = %v, %v; want a", ids, err)
	}
	if !s.beats.quiet() {
		t.Error("something is new after what was just read")
	}
}

// A lease whose term is over is not renewed with all the rest either.
func TestARenewalOfATermThatIsOver(t *testing.T) {
	s, lease := led(t, "onebeat_beat_over")
	if _, err := s.Attend(t.Context(), true, time.Minute); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Shard(0).Renew(t.Context(), lease.Term+1); err != schedule.ErrLost {
		t.Errorf("Renew of another term = %v, want ErrLost", err)
	}
}

// Who locks the log of changes for himself, as VACUUM FULL and REINDEX do, keeps nobody from the lease, nor its guard from its holder.
func TestALeaseIsRenewedWhileTheLogOfChangesIsLocked(t *testing.T) {
	s, lease := led(t, "onebeat_beat_locked")
	if _, err := s.Attend(t.Context(), true, time.Minute); err != nil {
		t.Fatal(err)
	}
	guard := s.Shard(0).guard.(*postgresGuard)
	session := guard.conn
	for _, before := range []string{"anything was asked", "a renewal"} {
		locked, err := s.db.(*postgres).pool.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = locked.Rollback(context.WithoutCancel(t.Context())) }()
		if _, err := locked.Exec(t.Context(), "LOCK TABLE onebeat_changes IN ACCESS EXCLUSIVE MODE"); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), s.leaseFor*2/5) // as a renewal has
		onNextBeatWithin(ctx, t, s, lease.Term)
		cancel()
		if guard.session() == nil || guard.conn != session {
			t.Errorf("locked after %s: the session with the guard is another now", before)
		}
		if err := locked.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
		onNextBeat(t, s, lease.Term)
	}
	if nodes := there(t, s); len(nodes) != 1 {
		t.Errorf("there is %+v, want this node", nodes)
	}
}

// A transaction that stays open makes a snapshot old, and all that was written since is behind it: a beat does not go through a
// long log for that, but leaves it to who reads the log.
func TestABeatLeavesAlongLogToWhoReadsIt(t *testing.T) {
	s, lease := led(t, "onebeat_beat_old")
	if _, err := s.Attend(t.Context(), true, time.Minute); err != nil {
		t.Fatal(err)
	}
	pool := s.db.(*postgres).pool
	open, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = open.Rollback(context.WithoutCancel(t.Context())) }()
	for _, text := range []string{"SET LOCAL idle_in_transaction_session_timeout = 0", "SELECT pg_current_xact_id()"} {
		if _, err := open.Exec(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	f := s.newFeed().(*postgresFeed)
	for _, tt := range []struct {
		hints int
		quiet bool
	}{{10, true}, {2000, false}} {
		if _, err := pool.Exec(t.Context(), "INSERT INTO onebeat_changes (entry_id) SELECT n::text FROM generate_series(1, $1) AS n", tt.hints); err != nil {
			t.Fatal(err)
		}
		if err := f.open(t.Context()); err != nil { // all of that is known
			t.Fatal(err)
		}
		s.beats.mu.Lock()
		s.beats.quietAt = time.Time{}
		s.beats.mu.Unlock()
		onNextBeat(t, s, lease.Term)
		if quiet := s.beats.quiet(); quiet != tt.quiet {
			t.Errorf("with %d hints behind an old snapshot a renewal says that nothing is new: %v, want %v", tt.hints, quiet, tt.quiet)
		}
		if told := len(s.beats.news) > 0; told == tt.quiet {
			t.Errorf("with %d hints behind an old snapshot a renewal says that something is new: %v, want %v", tt.hints, told, !tt.quiet)
		}
		f.close()
	}
}

// A beat looks at the end of the log of changes alone, however many are in it, as in the hour after a bulk of new rows.
func TestABeatReadsNoLongLog(t *testing.T) {
	s, _ := led(t, "onebeat_beat_log")
	for _, text := range []string{
		"INSERT INTO onebeat_changes (entry_id) SELECT n::text FROM generate_series(1, 100000) AS n",
		"ANALYZE onebeat_changes",
	} {
		if _, err := s.db.(*postgres).pool.Exec(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	plan := generalPlan(t, s, "beat", "(text, bigint, boolean, bigint, bigint, bigint, text)", "('node', 1, true, 0, 1, 4000000, '1:1:')")
	if strings.Contains(plan, "Seq Scan on onebeat_changes") || !strings.Contains(plan, "onebeat_changes_xid") {
		t.Errorf("a beat reads the log of changes otherwise than from its end:\n%s", plan)
	}
}
