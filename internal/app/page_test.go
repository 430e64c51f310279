package app

import (
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
	"github.com/onebeat/onebeat/internal/store"
	"github.com/onebeat/onebeat/internal/web"
)

// Of its own shards a node knows who leads them, and of the others as it last saw them.
func TestThePageKnowsWhoLeads(t *testing.T) {
	s := bareShard(slog.New(slog.DiscardHandler))
	n := s.node
	n.name, n.config = "here", Config{values: map[string]string{"lease": "4s"}}
	for number := 1; number < 4; number++ {
		n.shards = append(n.shards, &shard{node: n, number: number})
	}
	unknown := web.Shard{Unknown: true}
	if got, want := n.leaders(), []web.Shard{unknown, unknown, unknown, unknown}; !slices.Equal(got, want) {
		t.Errorf("before it has seen the others the leaders are %+v, want %+v", got, want)
	}
	roll := &store.Roll{Holders: []store.Holder{{Node: "there"}, {Node: "there"}, {Node: "here"}, {}}, Asked: time.Now()}
	n.roll.Store(roll)
	s.leads(7, nil)
	if got, want := n.leaders(), []web.Shard{{Term: 7}, {Node: "there"}, {}, {}}; !slices.Equal(got, want) {
		t.Errorf("the leaders are %+v, want %+v", got, want)
	}
	old := *roll
	old.Asked = old.Asked.Add(-n.leaseLength() - time.Second)
	n.roll.Store(&old)
	if got, want := n.leaders(), []web.Shard{{Term: 7}, unknown, unknown, unknown}; !slices.Equal(got, want) {
		t.Errorf("once the database has not answered for longer than a lease the leaders are %+v, want %+v", got, want)
	}
}

// The page asks for runs by the states that there are.
func TestThePageKnowsTheStates(t *testing.T) {
	var states []string
	for _, state := range schedule.States {
		states = append(states, string(state))
	}
	if !slices.Equal(states, web.States) {
		t.Errorf("the page knows the states %v, slots end as %v", web.States, states)
	}
}
