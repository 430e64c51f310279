// Package outbox sends task-sent events behind the messages they speak of.
//
// Events are for eyes (Flower), so that they may be lost and must not cost
// anything: Put never waits, a full outbox drops, and an error drops what it
// hit. What was dropped is counted.
package outbox

import (
	"context"
	"sync"
	"time"

	"github.com/onebeat/onebeat/internal/celery"
)

// Batches is how many batches of events wait at most, and Batch is how many
// messages one holds at most.
const (
	Batches = 64
	Batch   = 250
)

// sendWait bounds one batch's way to the broker, closeWait all of them at the end.
const (
	sendWait  = 5 * time.Second
	closeWait = time.Second
)

// An Outbox sends the events of messages in the background, in order.
type Outbox struct {
	waiting chan Sent
	dropped func(events int)
	cancel  context.CancelFunc
	done    sync.WaitGroup
	close   sync.Once
}

// Sent is messages that the broker took at an instant.
type Sent struct {
	Messages []celery.Message
	At       time.Time
}

// New starts an outbox. It calls send, one call at a time, and dropped, which may
// be nil, with the number of events that were given up.
func New(send func(context.Context, Sent) error, dropped func(events int)) *Outbox {
	if dropped == nil {
		dropped = func(int) {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	o := &Outbox{waiting: make(chan Sent, Batches), dropped: dropped, cancel: cancel}
	o.done.Go(func() {
		for sent := range o.waiting {
			bounded, cancel := context.WithTimeout(ctx, sendWait)
			if err := send(bounded, sent); err != nil {
				o.dropped(len(sent.Messages))
			}
			cancel()
		}
	})
	return o
}

// Put hands messages over and returns at once. It keeps no part of the slice.
func (o *Outbox) Put(messages []celery.Message, at time.Time) {
	for len(messages) > 0 {
		n := min(len(messages), Batch)
		sent := Sent{Messages: append([]celery.Message(nil), messages[:n]...), At: at}
		messages = messages[n:]
		select {
		case o.waiting <- sent:
		default:
			o.dropped(n)
		}
	}
}

// Close sends what waits, for a second at most, and drops the rest. It may be
// called again; Put must not be called after it.
func (o *Outbox) Close() {
	o.close.Do(func() { close(o.waiting) })
	stop := time.AfterFunc(closeWait, o.cancel)
	defer stop.Stop()
	o.done.Wait()
	o.cancel()
}
