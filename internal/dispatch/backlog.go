package dispatch

import (
	"context"
	"sync"
	"time"
)

// A backlog has the batches that are through with publishing and not recorded yet. While slots are
// late, recording waits for their messages: it would take the processors and the database from those.
// Its methods may be called from any goroutine.
type backlog struct {
	changed chan struct{} // to who records
	fewer   chan struct{} // to who publishes

	mu      sync.Mutex
	batches []settled
	slots   int  // of the batches, and of those that are being recorded
	late    bool // slots are
	over    bool // no batch comes any more
}

// behind bounds the slots that are published and not recorded, but for the last batch of them: who takes
// over has to read and record those before it goes on.
const behind = 32_000

// patience is how long recording waits for a publishing that does not get on.
const patience = time.Second

func newBacklog() *backlog {
	return &backlog{changed: make(chan struct{}, 1), fewer: make(chan struct{}, 1)}
}

// tell wakes who waits for the channel, now or when it comes to wait.
func tell(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// put adds a batch once there is room for it, or returns why ctx has ended. late says that the slots
// that come next are.
func (b *backlog) put(ctx context.Context, s settled, late bool) error {
	for !b.take(s, late) {
		select {
		case <-b.fewer:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

func (b *backlog) take(s settled, late bool) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.slots >= behind {
		return false
	}
	b.batches, b.slots, b.late = append(b.batches, s), b.slots+len(s.runs), late
	tell(b.changed)
	return true
}

// end says that no batch comes any more.
func (b *backlog) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.over = true
	tell(b.changed)
}

// next waits until something is to be recorded, and appends the batches that are: all, but no more once
// they have as many slots as are recorded together. It appends none when no batch comes any more.
func (b *backlog) next(all []settled) []settled {
	for due := false; ; {
		var wait, over bool
		if all, wait, over = b.give(all, due); over || len(all) > 0 {
			return all
		}
		due = false
		if !wait {
			<-b.changed
			continue
		}
		rest := time.NewTimer(patience)
		select {
		case <-b.changed:
		case <-rest.C:
			due = true
		}
		rest.Stop()
	}
}

// give appends what is to be recorded now. due says that what is there has waited for long enough; wait,
// that something is there and need not be recorded yet.
func (b *backlog) give(all []settled, due bool) (_ []settled, wait, over bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.batches) == 0 {
		return all, false, b.over
	}
	if b.late && !due && !b.over && b.slots <= behind-together {
		return all, true, false
	}
	n := 0
	for slots := 0; n < len(b.batches) && slots < together; n++ {
		slots += len(b.batches[n].runs)
	}
	all = append(all, b.batches[:n]...)
	rest := copy(b.batches, b.batches[n:])
	clear(b.batches[rest:])
	b.batches = b.batches[:rest]
	return all, false, false
}

// done says that so many slots are recorded.
func (b *backlog) done(slots int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.slots -= slots
	tell(b.fewer)
}
