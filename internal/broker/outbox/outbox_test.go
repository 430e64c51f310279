package outbox_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onebeat/onebeat/internal/broker/outbox"
	"github.com/onebeat/onebeat/internal/celery"
)

func messages(n int) []celery.Message { return make([]celery.Message, n) }

func TestPutDropsWhatFindsNoRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sent, dropped atomic.Int64
		start := make(chan struct{})
		o := outbox.New(func(_ context.Context, s outbox.Sent) error {
			<-start
			sent.Add(int64(len(s.Messages)))
			return nil
		}, func(events int) { dropped.Add(int64(events)) })
		o.Put(messages(1), time.Now())
		synctest.Wait() // it is under way, and the outbox is empty
		o.Put(messages(outbox.Batches*outbox.Batch+10), time.Now())
		if got := dropped.Load(); got != 10 {
			t.Errorf("dropped = %d, want the 10 that found no room", got)
		}
		close(start)
		o.Close()
		if got, want := sent.Load(), int64(1+outbox.Batches*outbox.Batch); got != want {
			t.Errorf("sent = %d, want %d", got, want)
		}
	})
}

func TestErrorsAndHangsDropEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dropped atomic.Int64
		first := true
		o := outbox.New(func(ctx context.Context, _ outbox.Sent) error {
			if first {
				first = false
				return errors.New("no broker")
			}
			<-ctx.Done()
			return ctx.Err()
		}, func(events int) { dropped.Add(int64(events)) })
		for range 3 {
			o.Put(messages(2), time.Now())
		}
		began := time.Now()
		o.Close()
		if took := time.Since(began); took != time.Second {
			t.Errorf("Close took %v, want a second", took)
		}
		if got := dropped.Load(); got != 6 {
			t.Errorf("dropped = %d, want 6", got)
		}
	})
}
