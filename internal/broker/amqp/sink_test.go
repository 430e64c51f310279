package amqp

import (
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
	took, err := sink.Bare(t.Context(), r.part.Messages, 3*partOf)
	if err != nil || took <= 0 {
		t.Fatalf("Bare = %v, %v, want how long it took", took, err)
	}
	if n, err := sink.Length(t.Context()); n != 0 || err != nil {
		t.Errorf("the sink holds %d messages (%v), want none", n, err)
	}
	refusal, err := r.broker.current().try(func(channel *amqp091.Channel) error {
		_, err := channel.QueueDeclarePassive(r.queue+"_bare", true, false, false, false, quorum)
		return err
	})
	if err != nil || refusal == nil || refusal.Code != amqp091.NotFound {
		t.Errorf("Bare left its queue behind: %v, %v", refusal, err)
	}
}
