package broker

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onebeat/onebeat/internal/celery"
)

// An endable is an adapter whose calls end when it is interrupted, some time after it was asked to.
type endable struct {
	Broker
	take      func()
	interrupt chan struct{}
}

func (e *endable) Take(context.Context, int64) (celery.Mark, error) {
	e.take()
	return celery.Mark{}, nil
}

func (e *endable) Publish(context.Context, celery.Part) ([]celery.Failure, error) {
	select {
	case <-e.interrupt:
		return nil, errors.New("interrupted")
	case <-time.After(time.Second):
		return nil, nil
	}
}

func (e *endable) Interrupt() {
	time.Sleep(100 * time.Millisecond)
	select {
	case e.interrupt <- struct{}{}:
	default: // no call waits
	}
}

// A call that is cancelled when it has just been answered does not end the one after it.
func TestOnlyTheCallThatIsCancelledIsInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cancelled, cancel := context.WithCancel(t.Context())
		b := newPrompt(&endable{take: cancel, interrupt: make(chan struct{})})
		if _, err := b.Take(cancelled, 1); err != nil {
			t.Errorf("Take, which was answered: %v", err)
		}
		if _, err := b.Publish(t.Context(), celery.Part{}); err != nil {
			t.Errorf("Publish after it: %v", err)
		}
		ended, end := context.WithCancel(t.Context())
		time.AfterFunc(50*time.Millisecond, end)
		if _, err := b.Publish(ended, celery.Part{}); !errors.Is(err, context.Canceled) {
			t.Errorf("Publish, which was cancelled: %v", err)
		}
	})
}
