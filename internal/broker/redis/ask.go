package redis

import (
	"context"
	"fmt"
	"time"

	"github.com/gofrs/uuid/v5"
	"github.com/redis/rueidis"

	"github.com/onebeat/onebeat/internal/broker/address"
	"github.com/onebeat/onebeat/internal/celery"
)

const (
	// askPoll is how often answers are looked for.
	askPoll = 50 * time.Millisecond

	// tidyWait bounds the removal of what Ask has made.
	tidyWait = 2 * time.Second
)

// Ask publishes the requests where the workers listen, and takes their answers from a
// list of its own. The list is bound to the exchange of answers as Celery binds its own,
// so that an answer that comes too late goes nowhere.
func (b *Broker) Ask(ctx context.Context, requests []celery.Request, wait time.Duration) (replies []celery.Reply, err error) {
	name, err := uuid.NewV4()
	if err != nil {
		return nil, fmt.Errorf("redis: ask workers: %w", err)
	}
	key, list := name.String(), "onebeat."+name.String()+"."+b.words.Replies()
	bindings, member := b.layout.bindings(b.words.Replies()), key+b.layout.sep+b.layout.sep+list
	do := func(ctx context.Context, commands ...rueidis.Completed) error {
		for _, answer := range b.client.DoMulti(ctx, commands...) {
			if err := answer.Error(); err != nil {
				return fmt.Errorf("redis: ask workers: %w", address.Explain(err))
			}
		}
		return nil
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidyWait)
		defer cancel()
		tidied := do(ctx, b.client.B().Srem().Key(bindings).Member(member).Build(), b.client.B().Del().Key(b.layout.list(list, 0)).Build())
		if err == nil {
			err = tidied
		}
	}()
	commands := []rueidis.Completed{b.client.B().Sadd().Key(bindings).Member(member).Build()}
	over := time.Now().Add(wait)
	for _, r := range requests {
		body, err := r.Body(b.words.Replies(), key)
		if err != nil {
			return nil, err
		}
		envelope, err := celery.AppendControlEnvelope(nil, body, b.words.Control(), over, uuid.Must(uuid.NewV4()).String())
		if err != nil {
			return nil, fmt.Errorf("redis: ask workers: %w", err)
		}
		commands = append(commands, b.client.B().Publish().Channel(b.layout.channel(b.words.Control(), "")).Message(string(envelope)).Build())
	}
	if err := do(ctx, commands...); err != nil {
		return nil, err
	}
	for time.Now().Before(over) {
		text, err := b.client.Do(ctx, b.client.B().Rpop().Key(b.layout.list(list, 0)).Build()).AsBytes()
		switch {
		case rueidis.IsRedisNil(err):
			select {
			case <-time.After(askPoll):
			case <-ctx.Done():
				return nil, fmt.Errorf("redis: ask workers: %w", ctx.Err())
			}
			continue
		case err != nil:
			return nil, fmt.Errorf("redis: answers of workers: %w", err)
		}
		d, err := celery.ParseEnvelope(text)
		if err != nil {
			return nil, fmt.Errorf("redis: answers of workers: %w", err)
		}
		more, err := celery.ReadReplies(d)
		if err != nil {
			return nil, fmt.Errorf("redis: %w", err)
		}
		replies = append(replies, more...)
	}
	return replies, nil
}
