package amqp

import (
	"context"
	"errors"
	"testing"

	amqp091 "github.com/rabbitmq/amqp091-go"
)

// What RabbitMQ itself does is measured beside whatever lies in the sink, and leaves nothing.
func TestBareMeasuresBesideTheSink(t *testing.T) {
	r := newRace(t)
	sink, err := r.broker.Sink(t.Context(), r.queue)
	if err != nil {
		t.Fatal(err)
	}
	gone := func() bool {
		t.Helper()
		refusal, err := r.broker.current().try(func(channel *amqp091.Channel) error {
			_, err := channel.QueueDeclarePassive(r.queue+"_bare", true, false, false, false, quorum)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return refusal != nil && refusal.Code == amqp091.NotFound
	}
	took, err := sink.Bare(t.Context(), r.part.Messages, 3*partOf)
	if err != nil || took <= 0 {
		t.Fatalf("Bare = %v, %v, want how long it took", took, err)
	}
	if n, err := sink.Length(t.Context()); n != 0 || err != nil {
		t.Errorf("the sink holds %d messages (%v), want none", n, err)
	}
	if !gone() {
		t.Error("Bare left its queue behind")
	}

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error)
	go func() {
		_, err := sink.Bare(ctx, r.part.Messages, 1_000_000_000)
		ended <- err
	}()
	for gone() {
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("Bare = %v, want context.Canceled", err)
	}
	if err := sink.Remove(t.Context()); err != nil || !gone() {
		t.Errorf("Remove = %v; what a Bare that was cut off left is there: %v", err, !gone())
	}
}
