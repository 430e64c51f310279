package redis

import (
	"context"
	"fmt"
	"strings"

	"github.com/redis/rueidis"

	"github.com/onebeat/onebeat/internal/broker/address"
	"github.com/onebeat/onebeat/internal/celery"
)

// Forgets implements broker.Keeper. Who may not ask for INFO is told nothing.
func (b *Broker) Forgets(ctx context.Context) (anew, working string, err error) {
	text, err := b.client.Do(ctx, b.client.B().Info().Build()).ToString()
	if err != nil {
		return "", "", fmt.Errorf("redis: ask for its settings: %w", address.Explain(err))
	}
	facts := map[string]string{}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		facts[name] = value
	}
	if facts["aof_enabled"] == "0" {
		anew = "Redis writes no log (AOF): what waits there is lost, all of it or what came last, when it is started anew. Set appendonly yes"
	}
	if policy := facts["maxmemory_policy"]; strings.HasPrefix(policy, "allkeys-") && facts["maxmemory"] != "0" {
		working = fmt.Sprintf("Redis throws queues away where its memory is full (maxmemory-policy %s): set noeviction", policy)
	}
	return anew, working, nil
}

// Refuses implements broker.Refuser. Of messages with a priority the lists beside a queue's own are not asked for.
func (b *Broker) Refuses(ctx context.Context, routes []celery.Route) ([]string, error) {
	if err := b.begin(ctx); err != nil {
		return nil, fmt.Errorf("redis: wait for a call before it: %w", err)
	}
	defer b.end()
	needs := []string{b.fence}
	seen := map[[2]string]bool{}
	need := func(command, key string) {
		if pair := [2]string{command, key}; !seen[pair] {
			seen[pair] = true
			needs = append(needs, command, key)
		}
	}
	for _, route := range routes {
		if route.Exchange != "" && route.ExchangeType != "fanout" {
			need("SMEMBERS", b.layout.bindings(route.Exchange))
		}
		way, err := b.way(ctx, routing{Route: route})
		if err != nil {
			return nil, fmt.Errorf("redis: %w", address.Explain(err))
		}
		for _, d := range way.to {
			if d.broadcast {
				need("PUBLISH", d.to)
			} else {
				need("LPUSH", d.to)
			}
		}
	}
	refused, err := mayScript.Exec(ctx, b.client, nil, needs).AsStrSlice()
	if refusal, ok := rueidis.IsRedisErr(err); ok && strings.HasPrefix(refusal.Error(), "NOPERM") {
		return []string{"EVALSHA", "EVAL"}, nil // one of them
	}
	if err != nil {
		return nil, fmt.Errorf("redis: ask for rights: %w", address.Explain(err))
	}
	return refused, nil
}
