package redis

import (
	"context"
	"fmt"
	"strings"

	"github.com/redis/rueidis"

	"github.com/onebeat/onebeat/internal/broker/address"
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

// Refuses implements broker.Refuser.
func (b *Broker) Refuses(ctx context.Context, queues []string) ([]string, error) {
	refused, err := mayScript.Exec(ctx, b.client, nil, append([]string{b.fence}, queues...)).AsStrSlice()
	if refusal, ok := rueidis.IsRedisErr(err); ok && strings.HasPrefix(refusal.Error(), "NOPERM") {
		return []string{"EVALSHA", "EVAL"}, nil // one of them
	}
	if err != nil {
		return nil, fmt.Errorf("redis: ask for rights: %w", address.Explain(err))
	}
	return refused, nil
}
