package redis

import (
	"context"
	"fmt"
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

// Empty throws the messages away.
func (s Sink) Empty(ctx context.Context) error { return s.delete(ctx, s.key) }

// Remove deletes the list and the shard's fence.
func (s Sink) Remove(ctx context.Context) error { return s.delete(ctx, s.key, s.fence) }

// delete lets Redis free the memory beside its other work.
func (s Sink) delete(ctx context.Context, keys ...string) error {
	if err := s.client.Do(ctx, s.client.B().Unlink().Key(keys...).Build()).Error(); err != nil {
		return fmt.Errorf("redis: remove the queue: %w", err)
	}
	return nil
}
