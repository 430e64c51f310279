package app

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/onebeat/onebeat/internal/broker"
	"github.com/onebeat/onebeat/internal/celery"
	"github.com/onebeat/onebeat/internal/store"
)

// storedShard is a shard of a node that was not started, with an empty database of its own.
func storedShard(t *testing.T, lease string) *shard {
	t.Helper()
	s := bareShard(slog.New(slog.DiscardHandler))
	n := s.node
	n.name = "n1"
	n.config = mustLoad(t, nil, map[string]string{
		"database": "sqlite:///" + filepath.Join(t.TempDir(), "node.db"), "broker": "redis://127.0.0.1:1/0", "node": n.name, "lease": lease,
	})
	celery, err := CelerySettings(n.config)
	if err != nil {
		t.Fatal(err)
	}
	if n.store, err = OpenStore(t.Context(), n.config, celery, store.MissingMade, n.log); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.store.Close)
	if err := n.store.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	n.roster = n.store.Roster()
	s.store = n.store.Shard(0)
	s.keeper = s.store
	return s
}

// A database that is full, or that has become a copy to read from, answers, and takes no writes: no node gets
// a lease then, and each has to say so.
func TestANodeThatCannotWriteIsNotWell(t *testing.T) {
	n := storedShard(t, "1s").node
	if err := n.store.Join(t.Context()); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", strings.TrimPrefix(n.config.String("database"), "sqlite:///")+"?_pragma=busy_timeout(10000)") // the node writes too
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	run := func(statement string) {
		t.Helper()
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- n.attend(ctx) }()
	run("CREATE TRIGGER full BEFORE UPDATE ON onebeat_nodes BEGIN SELECT RAISE(FAIL, 'the disk is full'); END")
	await(t, "a write to fail", 20*time.Second, func() bool { return n.silent.Load() != nil })
	if err := n.unheard(); err != nil {
		t.Errorf("a node that could not write for a moment says %v", err)
	}
	n.silent.Store(&silence{time.Now().Add(-stall), n.silent.Load().err})
	if err := n.unheard(); err == nil || !strings.Contains(err.Error(), "the disk is full") {
		t.Errorf("a node that cannot write says %v, want the reason", err)
	}
	run("DROP TRIGGER full")
	await(t, "a write to succeed", 20*time.Second, func() bool { return n.unheard() == nil })
	stop()
	if err := <-ended; err != nil {
		t.Errorf("attend = %v", err)
	}
}

// Of a database that says itself that it takes no writes no more is waited for than until a lease is lost.
func TestADatabaseThatSaysThatItIsFullIsTakenAtItsWord(t *testing.T) {
	n := storedShard(t, "4s").node
	lost := n.leaseLength() * 4 / 5
	full := fmt.Errorf("say that this node is there: %w", &pgconn.PgError{Code: "53100", Message: "no space left on device"})
	for _, tt := range []struct {
		ago  time.Duration
		err  error
		well bool
	}{
		{0, full, true},
		{lost, full, false},
		{lost, errors.New("connection refused"), true}, // what may pass by itself
		{stall, errors.New("connection refused"), false},
	} {
		n.silent.Store(&silence{time.Now().Add(-tt.ago), tt.err})
		if err := n.unheard(); (err == nil) != tt.well {
			t.Errorf("after %v of %q the node says %v", tt.ago, tt.err, err)
		}
	}
}

// A node may come to its work long after it has joined the others, as with take-over-at:
// it is seen again from then on, not a part of a long lease later.
func TestANodeIsSeenFromTheStart(t *testing.T) {
	n := storedShard(t, "10m").node
	if err := n.store.Join(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := n.store.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- n.attend(ctx) }()
	await(t, "the node to be seen", 20*time.Second, func() bool {
		roll, err := n.store.Roll(t.Context(), time.Minute)
		return err == nil && len(roll.Nodes) == 1
	})
	stop()
	if err := <-ended; err != nil {
		t.Errorf("attend = %v", err)
	}
}

// A pinged broker gives this answer.
type pinged struct {
	broker.Broker
	answer error
	times  *atomic.Int32
}

func (p pinged) Ping(context.Context) error {
	p.times.Add(1)
	return p.answer
}

// A node that did not reach the broker, and was left alone then, would hand its shards
// over to the next node that comes.
func TestANodeThatIsAloneHearsOfTheBrokerAgain(t *testing.T) {
	asked(t, nil, func(n *node) {
		n.alone.Store(true)
		n.reaches.Store(false)
	}, func(n *node, _ int) bool { return n.reaches.Load() })
}

// A broker that takes no messages takes none from the others either: they would hand the shards to
// each other without end.
func TestABrokerThatTakesNoMessagesIsReached(t *testing.T) {
	for _, tt := range []struct {
		answer  error
		reaches bool
	}{
		{errors.New("connection refused"), false},
		{fmt.Errorf("rabbitmq: %w: low on memory", celery.ErrTakesNone), true},
	} {
		n := asked(t, tt.answer, func(n *node) { n.reaches.Store(true) }, func(_ *node, times int) bool { return times > 3 })
		if got := n.reaches.Load(); got != tt.reaches {
			t.Errorf("%v: the broker is reached: %v, want %v", tt.answer, got, tt.reaches)
		}
	}
}

// asked is a node whose broker gives an answer, until what is awaited of it and of the times that it was asked.
func asked(t *testing.T, answer error, begin func(*node), until func(n *node, times int) bool) *node {
	t.Helper()
	s := storedShard(t, "1s")
	times := new(atomic.Int32)
	s.broker = pinged{answer: answer, times: times}
	begin(s.node)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.node.reach(ctx) }()
	await(t, "the broker to be asked", 20*time.Second, func() bool { return until(s.node, int(times.Load())) })
	stop()
	if err := <-ended; err != nil {
		t.Errorf("reach = %v", err)
	}
	return s.node
}

// A node that stops may have shards of which nothing is left to do while it ends what it
// has begun of others: it is not wedged.
func TestAShardThatIsLeftIsNotWatched(t *testing.T) {
	s := storedShard(t, "1s")
	if marks := s.marks(t.Context()); len(marks) == 0 {
		t.Fatal("a shard that is to be asked for is not watched")
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := s.take(ctx); err != nil {
		t.Fatal(err)
	}
	if marks := s.marks(t.Context()); len(marks) != 0 {
		t.Errorf("marks = %v, and none of them will move again", marks)
	}
}
