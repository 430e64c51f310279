package lease

import (
	"cmp"
	"hash/fnv"
	"slices"
)

// Share says which node each shard is to be of, by the nodes that are there and by who
// holds the shards now ("" is nobody):
//
//   - No node has more than one shard more than another.
//   - A node keeps what it holds unless it has too much.
//   - All who know the same say the same. What is free, or too much, goes by rendezvous
//     hashing: each pair of a shard and a node has a weight, and the heaviest have their way.
//
// Without nodes no shard is anybody's.
func Share(nodes, holders []string) []string {
	owners := make([]string, len(holders))
	if len(nodes) == 0 {
		return owners
	}
	least, more := len(holders)/len(nodes), len(holders)%len(nodes) // so many have one more than the least
	count := make(map[string]int, len(nodes))
	// give lets the pair have its way if the node has room. The node has as many now as it holds or was given.
	give := func(p pair) {
		switch n := count[p.node]; {
		case owners[p.shard] != "" || n > least || n == least && more == 0:
			return
		case n == least:
			more--
		}
		owners[p.shard] = p.node
		count[p.node]++
	}
	holds := make(map[string]int, len(nodes))
	for _, node := range holders {
		holds[node]++
	}
	var kept, free []pair
	for shard, holder := range holders {
		for _, node := range nodes {
			p := pair{shard: shard, node: node, weight: weight(shard, node)}
			if node == holder {
				p.holds = holds[node]
				kept = append(kept, p)
			} else {
				free = append(free, p)
			}
		}
	}
	for _, pairs := range [][]pair{kept, free} {
		slices.SortFunc(pairs, func(a, b pair) int {
			return cmp.Or(cmp.Compare(b.holds, a.holds), cmp.Compare(b.weight, a.weight), cmp.Compare(a.shard, b.shard), cmp.Compare(a.node, b.node))
		})
		for _, p := range pairs {
			give(p)
		}
	}
	return owners
}

// A pair is a shard that a node could have.
type pair struct {
	shard  int
	node   string
	weight uint64
	holds  int // how many shards the node holds, this one among them
}

// weight is that of a pair, spread evenly (FNV-1a, with the finish of MurmurHash3).
func weight(shard int, node string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(node))
	_, _ = h.Write([]byte{0, byte(shard >> 8), byte(shard)})
	sum := h.Sum64()
	sum = (sum ^ sum>>33) * 0xff51afd7ed558ccd
	sum = (sum ^ sum>>33) * 0xc4ceb9fe1a85ec53
	return sum ^ sum>>33
}
