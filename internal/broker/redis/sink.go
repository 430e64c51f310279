package redis

import (
	"context"
	"fmt"

	"github.com/redis/rueidis"
)

// A Sink is a list that no worker reads.
type Sink struct {
	*Broker
	key string
}

// Sink is the queue of the name, without a priority.
func (b *Broker) Sink(queue string) Sink { return Sink{b, b.layout.list(queue, 0)} }

// Length is how many messages lie there.
func (s Sink) Length(ctx context.Context) (int, error) {
	n, err := s.client.Do(ctx, s.client.B().Llen().Key(s.key).Build()).AsInt64()
	if err != nil {
		return 0, fmt.Errorf("redis: length of the queue: %w", err)
	}
	return int(n), nil
}

// emptyScript lets Redis free the memory beside its other work.
var emptyScript = rueidis.NewLuaScript("local n = redis.call('LLEN', KEYS[1]) redis.call('UNLINK', KEYS[1]) return n")

// Empty throws the messages away, and returns how many they were.
func (s Sink) Empty(ctx context.Context) (int, error) {
	n, err := emptyScript.Exec(ctx, s.client, []string{s.key}, nil).AsInt64()
	if err != nil {
		return 0, fmt.Errorf("redis: empty the queue: %w", err)
	}
	return int(n), nil
}

// Remove deletes the list and the shard's fence.
func (s Sink) Remove(ctx context.Context) error {
	if err := s.client.Do(ctx, s.client.B().Unlink().Key(s.key, s.fence).Build()).Error(); err != nil {
		return fmt.Errorf("redis: remove the queue: %w", err)
	}
	return nil
}
