package lease_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/onebeat/onebeat/internal/lease"
)

// Whoever is there and whatever they hold, all shards are somebody's, as evenly as can
// be, and no more is moved than that asks for.
func TestShardsAreSharedOutEvenlyAndFewMove(t *testing.T) {
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	for range 20_000 {
		nodes := make([]string, 1+random.IntN(7))
		for n := range nodes {
			nodes[n] = fmt.Sprintf("node-%d-%d", n, random.IntN(1000))
		}
		holders := make([]string, 1+random.IntN(20))
		holds := map[string]int{}
		for shard := range holders {
			if n := random.IntN(len(nodes) + 1); n < len(nodes) {
				holders[shard] = nodes[random.IntN(n+1)] // some hold far more than others
				holds[holders[shard]]++
			}
		}
		owners := lease.Share(nodes, holders)

		count, moved := map[string]int{}, 0
		for shard, owner := range owners {
			if !slices.Contains(nodes, owner) {
				t.Fatalf("seed %d: shard %d of %v goes to %q, which is none of %v", seed, shard, holders, owner, nodes)
			}
			count[owner]++
			if holders[shard] != "" && holders[shard] != owner {
				moved++
			}
		}
		least, more := len(holders)/len(nodes), len(holders)%len(nodes)
		// What has to move: all that is above the least, but for one each of as many as may have more.
		surplus, may := 0, more
		for _, node := range nodes {
			if n := count[node]; n < least || n > least+1 {
				t.Fatalf("seed %d: %d of %d shards go to one of %d nodes", seed, n, len(holders), len(nodes))
			}
			if above := holds[node] - least; above > 0 {
				surplus += above
				if may > 0 {
					may, surplus = may-1, surplus-1
				}
			}
		}
		if moved != surplus {
			t.Fatalf("seed %d: %d shards of %v are moved among %v, want %d", seed, moved, holders, nodes, surplus)
		}
		again := slices.Clone(nodes)
		slices.Reverse(again)
		if !slices.Equal(owners, lease.Share(again, holders)) {
			t.Fatalf("seed %d: the order of nodes matters", seed)
		}
		if !slices.Equal(owners, lease.Share(nodes, owners)) {
			t.Fatalf("seed %d: what is shared out moves again", seed)
		}
	}
	if owners := lease.Share(nil, make([]string, 3)); !slices.Equal(owners, make([]string, 3)) {
		t.Errorf("without nodes: %q", owners)
	}
}

// One who comes takes from all, and what one had who goes is spread over all.
func TestShardsSpreadOverAll(t *testing.T) {
	nodes := []string{"a:1", "b:1", "c:1", "d:1"}
	owners := lease.Share(nodes, make([]string, 64))
	for i, owner := range owners {
		if owner == "d:1" {
			owners[i] = ""
		}
	}
	got := map[string]int{}
	for i, owner := range lease.Share(nodes[:3], owners) {
		if owners[i] == "" {
			got[owner]++
		}
	}
	for _, node := range nodes[:3] {
		if got[node] < 5 || got[node] > 6 {
			t.Errorf("%s got %d of the 16 shards of a node that has gone", node, got[node])
		}
	}
}
