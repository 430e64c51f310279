package app

import (
	"context"
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
	"github.com/onebeat/onebeat/internal/web"
)

// Page implements web.Shown.
func (n *node) Page(context.Context, web.Asked) web.Page {
	return web.Page{Version: Version(), At: n.clock.Now().In(n.location()), Shards: n.leaders()}
}

// location is that of the zone that entries are in which name none.
func (n *node) location() *time.Location {
	location, err := schedule.Location(n.config.String("zone"))
	if err != nil {
		return time.UTC
	}
	return location
}

// leaders says who leads each shard: this node knows it of itself, and of the others as it last saw them.
func (n *node) leaders() (shards []web.Shard) {
	roll := n.roll.Load()
	for i, s := range n.opened() {
		one := web.Shard{Term: s.now().term}
		if one.Term == 0 && roll != nil && roll.Holders[i].Node != n.called() { // else it did a moment ago
			one.Node = roll.Holders[i].Node
		}
		shards = append(shards, one)
	}
	return shards
}
