package storetest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
	"github.com/onebeat/onebeat/internal/store"
)

// refusedJoin fails unless the node is told that it can't join, and why.
func refusedJoin(t *testing.T, s *store.Store, want string) {
	t.Helper()
	err := s.Join(t.Context())
	if input := new(store.InputError); !errors.As(err, &input) || !strings.Contains(err.Error(), want) {
		t.Fatalf("Join = %v, want an InputError that says %q", err, want)
	}
}

func join(t *testing.T, s *store.Store) {
	t.Helper()
	if err := s.Join(t.Context()); err != nil {
		t.Fatalf("Join: %v", err)
	}
}

func roll(t *testing.T, s *store.Store, within time.Duration) store.Roll {
	t.Helper()
	roll, err := s.Roll(t.Context(), within)
	if err != nil {
		t.Fatal(err)
	}
	return roll
}

// names are the nodes that a node sees.
func names(t *testing.T, s *store.Store, within time.Duration) (names []string) {
	t.Helper()
	for _, node := range roll(t, s, within).Nodes {
		names = append(names, node.Name)
	}
	return names
}

// Nodes see each other, and who holds which shard, until they leave, die or fall silent.
func testNodesSeeEachOther(t *testing.T, db Database) {
	a, b := open(t, db, store.Options{Node: "a", Shards: 3}), open(t, db, store.Options{Node: "b", Shards: 3})
	join(t, a)
	join(t, b)
	if seen, err := b.Attend(t.Context(), true, time.Minute); err != nil || len(seen.Nodes) != 2 || !seen.Nodes[1].Fit || seen.Nodes[1].Ago != 0 {
		t.Fatalf("Attend = %+v, %v: want a and b, which is fit now", seen, err)
	}
	lease, won, err := a.Shard(1).Acquire(t.Context(), "a")
	if err != nil || !won {
		t.Fatalf("Acquire = %v, %v", won, err)
	}
	if _, won, err := b.Shard(2).Acquire(t.Context(), "b"); err != nil || !won {
		t.Fatalf("Acquire of another shard = %v, %v", won, err)
	}
	if _, won, err := b.Shard(1).Acquire(t.Context(), "b"); err != nil || won {
		t.Fatalf("Acquire of a shard that is held = %v, %v", won, err)
	}
	got := roll(t, a, time.Minute)
	if len(got.Nodes) != 2 || got.Nodes[0].Name != "a" || got.Nodes[0].Fit || got.Nodes[1].Name != "b" || !got.Nodes[1].Fit {
		t.Errorf("nodes = %+v, want a, and b which is fit", got.Nodes)
	}
	if owners := []string{got.Holders[0].Node, got.Holders[1].Node, got.Holders[2].Node}; !slices.Equal(owners, []string{"", "a", "b"}) {
		t.Errorf("holders = %q", owners)
	}
	other, err := open(t, db, store.Options{}).Present(t.Context(), time.Minute)
	if err != nil || len(other.Nodes) != 2 || !slices.Equal(other.Holders, got.Holders) {
		t.Errorf("Present, to who is no node, = %+v, %v; want the same", other, err)
	}
	if b.Shard(1).Orphaned(t.Context(), got.Holders[1]) {
		t.Error("a's shard is called an orphan, and a lives")
	}
	b.Shard(1).Yield()

	if err := a.Shard(1).Release(t.Context(), lease.Term); err != nil {
		t.Fatal(err)
	}
	if err := a.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := names(t, b, time.Minute); !slices.Equal(got, []string{"b"}) {
		t.Errorf("after a left: %q", got)
	}
	join(t, a)
	if err := b.Gone(t.Context(), "a", time.Hour); err != nil {
		t.Fatal(err)
	}
	if got := names(t, b, time.Minute); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("after somebody said that a was not seen for an hour, though it was: %q", got)
	}
	if err := b.Gone(t.Context(), "a", 0); err != nil {
		t.Fatal(err)
	}
	if got := names(t, b, time.Minute); !slices.Equal(got, []string{"b"}) {
		t.Errorf("after somebody said that a has gone: %q", got)
	}
	await(t, "b to have been silent", func() bool { return len(names(t, a, 50*time.Millisecond)) == 0 })
}

// Nodes of one name are told apart while both are there, and a node that joins again keeps its name.
func testNodesOfOneName(t *testing.T, db Database) {
	first := open(t, db, store.Options{Node: "a", LeaseFor: time.Minute})
	join(t, first)
	join(t, first)
	var called []string
	for range 2 {
		namesake := open(t, db, store.Options{Node: "a", LeaseFor: time.Minute})
		join(t, namesake)
		called = append(called, namesake.Node())
	}
	if !slices.Equal(called, []string{"a#2", "a#3"}) || first.Node() != "a" {
		t.Errorf("nodes of the name a are called %q beside %q, want a#2 and a#3 beside a", called, first.Node())
	}
	if got := names(t, first, time.Minute); !slices.Equal(got, []string{"a", "a#2", "a#3"}) {
		t.Errorf("nodes = %q", got)
	}
	if err := first.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	again := open(t, db, store.Options{Node: "a", LeaseFor: time.Minute})
	join(t, again)
	if again.Node() != "a" {
		t.Errorf("a node of a name that nobody has any more is called %q", again.Node())
	}
}

// Who waits and has the lock of a holder's session, as when that session was lost and
// the holder lives, gives it back.
func testLockOfALivingHolder(t *testing.T, db Database) {
	holder, waiter := open(t, db, store.Options{Node: "a", LeaseFor: time.Minute}), open(t, db, store.Options{Node: "b", LeaseFor: time.Minute})
	if !waiter.Shard(0).Orphaned(t.Context(), store.Holder{Node: "a", Guarded: true}) {
		t.Fatal("the lock is not to be had, and nobody has it")
	}
	lease := acquire(t, holder)
	seen := roll(t, waiter, time.Minute).Holders[0]
	if seen.Guarded {
		t.Fatal("the holder has the lock too")
	}
	if waiter.Shard(0).Orphaned(t.Context(), seen) {
		t.Error("the shard is called an orphan, and its holder lives")
	}
	await(t, "the holder to have the lock", func() bool {
		if _, err := holder.Shard(0).Renew(t.Context(), lease.Term); err != nil {
			t.Fatal(err)
		}
		return roll(t, waiter, time.Minute).Holders[0].Guarded
	})
}

// A node's session that ends leaves its shards to be had, at once.
func testOrphanedShards(t *testing.T, db Database) {
	const length = time.Minute
	holder, err := store.Open(t.Context(), db.URL, store.Options{Node: "a", Shards: 2, LeaseFor: length})
	if err != nil {
		t.Fatal(err)
	}
	closed := false
	defer func() {
		if !closed {
			holder.Close()
		}
	}()
	other := open(t, db, store.Options{Node: "b", Shards: 2, LeaseFor: length})
	join(t, holder)
	join(t, other)
	for shard := range 2 {
		if _, won, err := holder.Shard(shard).Acquire(t.Context(), "a"); err != nil || !won {
			t.Fatalf("Acquire = %v, %v", won, err)
		}
	}
	holder.Close()
	closed = true
	for shard, held := range roll(t, other, length).Holders {
		await(t, "the shard to be called an orphan", func() bool { return other.Shard(shard).Orphaned(t.Context(), held) })
		if _, won, err := other.Shard(shard).Acquire(t.Context(), "b"); err != nil || !won {
			t.Errorf("Acquire of shard %d, whose holder died = %v, %v", shard, won, err)
		}
	}
}

// Another number of shards counts once nothing is left of the former one, and then
// whoever goes by the former one can do no harm.
func testAnotherNumberOfShards(t *testing.T, db Database) {
	const length = 500 * time.Millisecond
	createTable(t, db, shapeNamed("full"))
	one, two := open(t, db, store.Options{Node: "one", LeaseFor: length}), open(t, db, store.Options{Node: "two", Shards: 2, LeaseFor: length})
	join(t, one)
	refusedJoin(t, two, "node one, seen")
	lease, won, err := one.Shard(0).Acquire(t.Context(), "one")
	if err != nil || !won {
		t.Fatalf("Acquire = %v, %v", won, err)
	}
	claim(t, one, batch(lease.Term, 1, at(9, 0), id(0)))
	if err := one.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := one.Shard(0).Renew(t.Context(), lease.Term); err != nil {
		t.Fatal(err)
	}
	refusedJoin(t, two, "holds a lease still")
	await(t, "the lease to end", func() bool { return roll(t, two, 0).Holders[0] == store.Holder{} })
	refusedJoin(t, two, "nodes with --shards 1 left 1 batch claimed and not recorded")
	record(t, one, lease.Term, []int64{1}, sent(batch(lease.Term, 1, at(9, 0), id(0)))) // it was frozen, and its lease nobody else's
	join(t, two)

	if _, err := one.Attend(t.Context(), true, time.Minute); !errors.Is(err, store.ErrShards) {
		t.Errorf("Attend of a node with another number of shards = %v, want ErrShards", err)
	}
	if got := names(t, two, time.Minute); !slices.Equal(got, []string{"two"}) {
		t.Errorf("nodes = %q", got)
	}
	if err := one.Shard(0).Claim(t.Context(), batch(lease.Term, 2, at(9, 1), id(0))); !errors.Is(err, schedule.ErrLost) {
		t.Errorf("Claim of a node with another number of shards = %v, want ErrLost", err)
	}
	for shard := range 2 {
		if _, won, err := one.Shard(shard).Acquire(t.Context(), "one"); err != nil || won {
			t.Errorf("Acquire of shard %d, of a node with another number of shards = %v, %v", shard, won, err)
		}
	}
	if _, won, err := two.Shard(1).Acquire(t.Context(), "two"); err != nil || !won {
		t.Errorf("Acquire = %v, %v", won, err)
	}
	await(t, "the other to be named as there", func() bool { // on a busy machine it may be long since it was seen
		join(t, two)
		err := one.Join(t.Context())
		if err == nil {
			t.Fatal("Join of a node with another number of shards = nil")
		}
		return strings.Contains(err.Error(), "node two, seen")
	})
}

// Who asks for a lease while another number of shards is written waits for that, and
// does not get it.
func testAnotherNumberOfShardsRaces(t *testing.T, db Database) {
	for _, held := range []string{"never held", "held before"} {
		t.Run(held, func(t *testing.T) {
			s := open(t, db, store.Options{})
			if held == "held before" {
				if err := s.Shard(0).Release(t.Context(), acquire(t, s).Term); err != nil {
					t.Fatal(err)
				}
			}
			write, commit := db.Begin(t)
			write("UPDATE onebeat_meta SET value = '2' WHERE value = '1'")
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			if _, won, _ := s.Shard(0).Acquire(ctx, "node"); won {
				t.Error("Acquire got the lease by the number of before")
			}
			commit()
			if _, won, err := s.Shard(0).Acquire(t.Context(), "node"); err != nil || won {
				t.Errorf("Acquire afterwards = %v, %v", won, err)
			}
			db.Exec(t, "UPDATE onebeat_meta SET value = '1' WHERE value = '2'")
		})
	}
}

// await waits until it is so.
func await(t *testing.T, what string, so func() bool) {
	t.Helper()
	over := time.After(bound)
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for !so() {
		select {
		case <-over:
			t.Fatalf("waited %v for %s", bound, what)
		case <-poll.C:
		}
	}
}
