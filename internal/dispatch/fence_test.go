package dispatch_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onebeat/onebeat/internal/celery"
	"github.com/onebeat/onebeat/internal/plan"
	"github.com/onebeat/onebeat/internal/schedule"
)

// A term that the broker knows before it is taken is another database's too: it is left, and the next one sends.
func TestATermThatTheBrokerKnowsIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 0)
		w.add("e", "@every 2s", schedule.Once)
		w.broker.mark = celery.Mark{Term: 1, Seq: 7, Done: 1} // of the other's
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := w.node(ctx, context.Background(), nil); !errors.Is(err, schedule.ErrLost) || len(w.broker.got) > 0 {
			t.Errorf("the first term = %v, and it sent %d messages, want that it is over", err, len(w.broker.got))
		}
		if err := w.node(ctx, context.Background(), nil); err != nil || len(w.broker.got) == 0 {
			t.Errorf("the next term = %v, and it sent %d messages", err, len(w.broker.got))
		}
	})
}

// An answer to Take may be lost: what is found then is the term's own.
func TestATermThatIsTakenTwiceGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 0)
		w.add("e", "@every 2s", schedule.Once)
		w.broker.deaf = 1
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := w.node(ctx, context.Background(), nil); err != nil || len(w.broker.got) == 0 {
			t.Errorf("the term = %v, and it sent %d messages", err, len(w.broker.got))
		}
	})
}

// Whom the broker refuses is told that it did: the term may go on in the database.
func TestABrokerThatRefusesTheTermIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 0)
		w.add("e", "@every 2s", schedule.Once)
		err := w.node(t.Context(), context.Background(), func(*plan.Planner) {
			w.broker.mu.Lock()
			defer w.broker.mu.Unlock()
			w.broker.mark.Term = 2
		})
		if !errors.Is(err, celery.ErrFenced) {
			t.Errorf("Run = %v, want celery.ErrFenced", err)
		}
	})
}
