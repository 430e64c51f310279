package redis

import (
	"context"
	"fmt"
	"hash/maphash"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/rueidis"

	"github.com/onebeat/onebeat/internal/broker/address"
	"github.com/onebeat/onebeat/internal/celery"
)

const (
	peekInterval = 100 * time.Millisecond // or ten times what a look takes, if that is longer
	peekMessages = 25                     // of each list, the newest
	peekLists    = 128                    // at most
	peekAtOnce   = 8                      // lists in one request
)

// Listen subscribes to the channels of events and of fanout exchanges, and looks at the
// lists of the other routes' queues. It writes nothing.
func (b *Broker) Listen(wanted context.Context, routes []celery.Route, ready func(), heard func(celery.Delivery)) error {
	ctx, cancel := context.WithCancel(wanted)
	defer cancel()
	var mu sync.Mutex // heard is called from two goroutines
	hear := func(text []byte, exchange string) {
		d, err := celery.ParseEnvelope(text)
		if err != nil {
			return // of somebody else's
		}
		if d.Waiting = exchange == ""; !d.Waiting {
			d.Exchange, d.Event = exchange, exchange == b.words.Events()
		}
		mu.Lock()
		defer mu.Unlock()
		heard(d)
	}
	var peeked error
	var done sync.WaitGroup
	done.Go(func() {
		defer cancel()
		peeked = b.peek(ctx, b.lists(routes), func(text []byte) { hear(text, "") })
	})
	err := b.subscribe(ctx, routes, ready, hear)
	cancel()
	done.Wait()
	switch {
	case wanted.Err() != nil:
	case peeked != nil:
		return fmt.Errorf("redis: look at queues: %w", address.Explain(peeked))
	case err != nil:
		return fmt.Errorf("redis: listen: %w", address.Explain(err))
	}
	return nil
}

func (b *Broker) subscribe(ctx context.Context, routes []celery.Route, ready func(), hear func(text []byte, exchange string)) error {
	events := b.words.Events()
	patterns := map[string]string{glob(b.layout.channel(events, "")): events} // the exchange of each
	if b.layout.patterns {
		patterns[glob(b.layout.channel(events, ""))+"/task.*"] = events
	}
	for _, r := range routes {
		if r.ExchangeType == "fanout" && r.Exchange != "" {
			patterns[glob(b.layout.channel(r.Exchange, r.RoutingKey))] = r.Exchange
		}
	}
	left := len(patterns)
	hooked := rueidis.WithOnSubscriptionHook(ctx, func(s rueidis.PubSubSubscription) {
		if left--; s.Kind == "psubscribe" && left == 0 {
			ready()
		}
	})
	return b.client.Receive(hooked, b.client.B().Psubscribe().Pattern(slices.Sorted(maps.Keys(patterns))...).Build(), func(m rueidis.PubSubMessage) {
		hear([]byte(m.Message), patterns[m.Pattern])
	})
}

// glob is a pattern that matches the text alone.
func glob(text string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`).Replace(text)
}

// lists are those that messages with the routes are pushed to, as far as they are known.
func (b *Broker) lists(routes []celery.Route) []string {
	found := map[string]bool{}
	for _, r := range routes {
		queue := r.RoutingKey
		if r.Exchange != "" {
			queue = r.Queue
		}
		if queue == "" || r.ExchangeType == "fanout" && r.Exchange != "" {
			continue
		}
		for priority := range 10 {
			found[b.layout.list(queue, priority)] = true
		}
	}
	all := slices.Sorted(maps.Keys(found))
	return all[:min(len(all), peekLists)]
}

// peek looks at the lists until ctx ends, and hands over what was not there before.
func (b *Broker) peek(ctx context.Context, lists []string, see func(text []byte)) error {
	var before map[uint64]bool // the hashes of what was there at the last look; nil at first
	seed := maphash.MakeSeed()
	for len(lists) > 0 {
		began := time.Now()
		now := map[uint64]bool{}
		for some := range slices.Chunk(lists, peekAtOnce) {
			err := b.look(ctx, some, func(text string) {
				hash := maphash.String(seed, text)
				now[hash] = true
				if before != nil && !before[hash] {
					see([]byte(text))
				}
			})
			if ctx.Err() != nil {
				return nil
			}
			if err != nil {
				return err
			}
		}
		before = now
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(max(peekInterval, 10*time.Since(began))):
		}
	}
	<-ctx.Done()
	return nil
}

// look hands over the newest messages of some lists, of each the older ones first.
func (b *Broker) look(ctx context.Context, lists []string, see func(text string)) error {
	var commands []rueidis.Completed
	for _, list := range lists {
		commands = append(commands, b.client.B().Lrange().Key(list).Start(0).Stop(peekMessages-1).Build())
	}
	for _, answer := range b.client.DoMulti(ctx, commands...) {
		texts, err := answer.AsStrSlice()
		if refusal, refused := rueidis.IsRedisErr(err); refused && strings.HasPrefix(refusal.Error(), "WRONGTYPE") {
			continue // somebody else's key
		}
		if err != nil {
			return err
		}
		for _, text := range slices.Backward(texts) {
			see(text)
		}
	}
	return nil
}
