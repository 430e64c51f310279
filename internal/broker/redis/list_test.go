package redis_test

import (
	"context"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/onebeat/onebeat/internal/broker"
	"github.com/onebeat/onebeat/internal/broker/brokertest"
)

// The servers of a list stand for each other, in their order.
func TestAListOfURLsIsTriedInOrder(t *testing.T) {
	server := miniredis.RunT(t)
	client := connect(t, "redis://"+server.Addr())
	first, second := brokertest.NewProxy(t, server.Addr()), brokertest.NewProxy(t, server.Addr())
	first.Down()
	b := open(t, "redis://"+first.Address()+";redis://"+second.Address(), broker.Options{})
	part := batch(t, nil, `{"queue": "list"}`)
	if _, err := publish(t, b, part); err != nil {
		t.Fatalf("Publish with the first server down: %v", err)
	}
	first.Up()
	second.Down()
	part.Mark.Seq = 2
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	for _, err := b.Publish(ctx, part); err != nil; _, err = b.Publish(ctx, part) {
		if ctx.Err() != nil {
			t.Fatalf("Publish with the second server down: %v", err)
		}
	}
	if got := pop(t, client, "list"); len(got) != 2 {
		t.Errorf("%d messages arrived, want 2", len(got))
	}
	first.Down()
	if _, err := publish(t, b, part); err == nil {
		t.Error("Publish with both down = nil")
	}
}

// One that says nothing any more is left for the next, also by what asks for bindings first.
func TestAFrozenServerOfAListIsLeft(t *testing.T) {
	server := miniredis.RunT(t)
	client := connect(t, "redis://"+server.Addr())
	do(t, client, "SADD", "_kombu.binding.ex", "k\x06\x16\x06\x16bound")
	first, second := brokertest.NewProxy(t, server.Addr()), brokertest.NewProxy(t, server.Addr())
	b := open(t, "redis://"+first.Address()+";redis://"+second.Address(), broker.Options{})
	part := batch(t, nil, `{"exchange": "ex", "routing_key": "k"}`)
	if _, err := publish(t, b, part); err != nil {
		t.Fatal(err)
	}
	first.Stall()
	part.Mark.Seq = 2
	over := time.Now().Add(wait)
	for {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond) // of one attempt
		_, err := b.Publish(ctx, part)
		cancel()
		if err == nil {
			break
		}
		if time.Now().After(over) {
			t.Fatalf("Publish with the first server frozen: %v", err)
		}
	}
	if got := pop(t, client, "bound"); len(got) != 2 {
		t.Errorf("%d messages arrived, want 2", len(got))
	}
}
