package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/redis/rueidis"
)

// listenToRedis calls poke for each message on the channel, until ctx ends. What
// a message says does not matter: the database knows what changed. A Redis that
// is away is waited for; edits are seen without it, later.
func listenToRedis(ctx context.Context, url, channel string, poke func(), log *slog.Logger) error {
	option, err := redisOption(url)
	if err != nil {
		return err
	}
	for failed := ""; ctx.Err() == nil; {
		err := subscribe(ctx, option, channel, poke, func() {
			failed = ""
			log.Info("listening for edits", "channel", channel)
			poke() // messages may have been missed
		})
		if err != nil && ctx.Err() == nil && err.Error() != failed {
			failed = err.Error()
			log.Warn("cannot listen for edits on Redis; trying on", "channel", channel, "err", err)
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
		}
	}
	return nil
}

// redisOption reads the URL of the Redis that tells of edits.
func redisOption(url string) (rueidis.ClientOption, error) {
	option, err := rueidis.ParseURL(url)
	if err != nil { // its text may quote the URL
		return option, errors.New("redis-url is not a Redis URL: it should be like redis://host:6379/0")
	}
	option.DisableCache = true
	option.AlwaysRESP2 = true
	return option, nil
}

// subscribe listens on one connection until it ends.
func subscribe(ctx context.Context, option rueidis.ClientOption, channel string, poke, listening func()) error {
	client, err := rueidis.NewClient(option)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer client.Close()
	conn, release := client.Dedicate()
	defer release()
	ended := conn.SetPubSubHooks(rueidis.PubSubHooks{
		OnMessage:      func(rueidis.PubSubMessage) { poke() },
		OnSubscription: func(rueidis.PubSubSubscription) { listening() },
	})
	if err := conn.Do(ctx, conn.B().Subscribe().Channel(channel).Build()).Error(); err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return nil
	}
}
