package redis_test

import (
	"context"
	"errors"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"github.com/onebeat/onebeat/internal/broker"
	"github.com/onebeat/onebeat/internal/broker/brokertest"
	"github.com/onebeat/onebeat/internal/celery"
)

// Signs of life and events come beside messages. Were Redis asked by two of them at once, the client would hand all that
// follows to goroutines of its own, for as long as the connection lives: each message would wake four threads instead of one.
func TestRedisIsAskedByOneAtATime(t *testing.T) {
	b := open(t, brokertest.ServerURL(t, "ONEBEAT_TEST_REDIS"), broker.Options{})
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	if _, err := b.Take(ctx, 1); err != nil {
		t.Fatal(err)
	}
	part := batch(t, nil, `{"queue": "`+unique("alone")+`"}`)
	part.Events = true
	var pings sync.WaitGroup
	defer pings.Wait()
	for range 4 {
		pings.Go(func() {
			for range 200 {
				if err := b.Ping(ctx); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for seq := range int64(200) {
		part.Mark = celery.Mark{Term: 1, Seq: seq + 1, Done: 1}
		if _, err := b.Publish(ctx, part); err != nil {
			t.Fatal(err)
		}
	}
	pings.Wait()
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	for _, stack := range strings.Split(string(stacks), "\n\n") {
		if strings.Contains(stack, "_background") {
			t.Errorf("the client has a goroutine of its own:\n%s", stack)
		}
	}
}

// A node that hands over must not keep the next one waiting for a server that says nothing.
func TestACallIsLetGoOfAtOnce(t *testing.T) {
	server, err := url.Parse(brokertest.ServerURL(t, "ONEBEAT_TEST_REDIS"))
	if err != nil {
		t.Fatal(err)
	}
	client, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{server.Host}, DisableCache: true})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	proxy := brokertest.NewProxy(t, server.Host)
	server.Host = proxy.Address()
	b := open(t, server.String(), broker.Options{})
	bounded, end := context.WithTimeout(t.Context(), wait)
	defer end()
	if _, err := b.Take(bounded, 1); err != nil {
		t.Fatal(err)
	}
	queue := unique("cancelled")
	part := batch(t, nil, `{"queue": "`+queue+`"}`)
	proxy.Stall()
	for what, call := range map[string]func(context.Context) error{
		"Publish": func(ctx context.Context) error { _, err := b.Publish(ctx, part); return err },
		"Take":    func(ctx context.Context) error { _, err := b.Take(ctx, 1); return err },
		"again":   func(ctx context.Context) error { _, err := b.Publish(ctx, part); return err },
	} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		stop := time.AfterFunc(50*time.Millisecond, cancel)
		began := time.Now()
		if err := call(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("%s, which was cancelled: %v", what, err)
		}
		if took := time.Since(began); took > wait/2 {
			t.Errorf("%s, which was cancelled, took %v", what, took)
		}
		stop.Stop()
		cancel()
	}
	proxy.Flow()
	if _, err := publish(t, b, part); err != nil {
		t.Errorf("it is not sent afterwards: %v", err)
	}
	if n, err := client.Do(bounded, client.B().Llen().Key(queue).Build()).AsInt64(); n != 1 || err != nil {
		t.Errorf("it came %d times, %v", n, err)
	}
}
