package amqp

import (
	"errors"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"
)

// When a connection ends, confirms that came before may not have been read yet. They are, and
// then the wait ends with what became of the connection.
func TestConfirmsAreReadAfterTheEnd(t *testing.T) {
	lost := errors.New("connection reset by peer")
	l := &link{
		socket:   &socket{},
		confirms: make(chan amqp091.Confirmation, 2),
		returns:  make(chan amqp091.Return, 1),
		broken:   make(chan struct{}),
		cause:    lost,
	}
	f := &flight{link: l}
	for range 3 {
		f.add(flying{confirm: &amqp091.DeferredConfirmation{}})
	}
	f.messages[1].message.ID = "second"
	l.confirms <- amqp091.Confirmation{DeliveryTag: 1, Ack: true}
	l.returns <- amqp091.Return{MessageId: "second"}
	l.confirms <- amqp091.Confirmation{DeliveryTag: 2, Ack: true}
	for _, end := range []func(){func() { close(l.returns) }, func() { close(l.confirms) }, func() { close(l.broken) }} {
		end()
	}

	ended := make(chan error, 1)
	go func() { ended <- f.await(t.Context(), 0) }()
	select {
	case err := <-ended:
		if !errors.Is(err, lost) {
			t.Errorf("await = %v, want %v", err, lost)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("await does not return")
	}
	if f.answered != 2 || len(f.returned) != 1 {
		t.Errorf("%d confirms and %d returns were read, want 2 and 1", f.answered, len(f.returned))
	}
}
