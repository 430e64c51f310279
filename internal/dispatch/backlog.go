package dispatch

import (
	"context"
	"sync"
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
)

// A backlog has the batches that are through with publishing and not recorded yet. While slots are
// late, recording waits for their messages: it would take the processors and the database from those.
// Its methods may be called from any goroutine.
type backlog struct {
	changed chan struct{} // to who records
	fewer   chan struct{} // to who publishes

	mu      sync.Mutex
	batches []settled
	size    int           // of the batches, and of those that are being recorded
	bound   int           // of size
	late    time.Duration // by how much slots are
	over    bool          // no batch comes any more
}

// behind bounds the slots that are published and not recorded, but for the last batch of them: who takes
// over has to read those before it goes on. What it finds so may be twice as many with what it sends itself.
const behind = 80_000

// A batch waits for others to be sent for as long as patience, and while few are waiting: where a broker takes its time,
// slots may be late for days, and people look for their runs meanwhile.
const (
	patience = time.Second
	few      = 32_000
)

// In a herd it waits for as long as so many are sent within a second, and the next are late by so much.
const (
	herdSlots = 10_000
	herdLate  = 250 * time.Millisecond
)

// least is how many slots a batch counts as at least, for what it costs beside them: a row of the journal,
// and notes with each mark.
const least = 128

// sizeOf is how many slots a batch with these runs counts as.
func sizeOf(runs []schedule.Run) int { return max(len(runs), least) }

func newBacklog() *backlog {
	return &backlog{changed: make(chan struct{}, 1), fewer: make(chan struct{}, 1), bound: behind}
}

// tell wakes who waits for the channel, now or when it comes to wait.
func tell(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// put adds a batch once there is room for it, or returns why ctx has ended. late is by how much the slots
// that come next are late.
func (b *backlog) put(ctx context.Context, s settled, late time.Duration) error {
	for !b.take(s, late) {
		select {
		case <-b.fewer:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

func (b *backlog) take(s settled, late time.Duration) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.size >= b.bound {
		return false
	}
	b.addLocked(s, late)
	return true
}

// add adds a batch that an earlier term has left, for which there need not be room.
func (b *backlog) add(s settled) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.addLocked(s, herdLate)
	b.bound = behind + min(b.size, behind)
}

func (b *backlog) addLocked(s settled, late time.Duration) {
	s.at = time.Now()
	b.batches, b.size, b.late = append(b.batches, s), b.size+sizeOf(s.runs), late
	tell(b.changed)
}

// end says that no batch comes any more.
func (b *backlog) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.over = true
	tell(b.changed)
}

// next waits until something is to be recorded, and appends the batches that are: all, but no more once
// they have most slots. It appends none when no batch comes any more.
func (b *backlog) next(all []settled, most int) []settled {
	for {
		given, wait, over := b.give(all, most)
		if over || len(given) > len(all) {
			return given
		}
		if wait <= 0 {
			<-b.changed
			continue
		}
		rest := time.NewTimer(wait)
		select {
		case <-b.changed:
		case <-rest.C:
		}
		rest.Stop()
	}
}

// give appends what is to be recorded now. What is there and need not be recorded yet waits for that long.
func (b *backlog) give(all []settled, most int) (_ []settled, wait time.Duration, over bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.batches) == 0 {
		return all, 0, b.over
	}
	if wait = b.waitLocked(); wait > 0 {
		return all, wait, false
	}
	n := 0
	for size := 0; n < len(b.batches) && size < most; n++ {
		size += sizeOf(b.batches[n].runs)
	}
	all = append(all, b.batches[:n]...)
	rest := copy(b.batches, b.batches[n:])
	clear(b.batches[rest:])
	b.batches = b.batches[:rest]
	return all, 0, false
}

// waitLocked is for how long what is there need not be recorded yet.
func (b *backlog) waitLocked() time.Duration {
	switch {
	case b.over || b.late < promptFor:
		return 0
	case b.size <= b.bound-together && b.herdLocked():
		return herdLate
	case b.size <= few-together:
		return patience - time.Since(b.batches[0].at)
	}
	return 0
}

// herdLocked says whether a herd is being sent.
func (b *backlog) herdLocked() bool {
	sent, since := 0, time.Now().Add(-patience)
	for i := len(b.batches) - 1; i >= 0 && sent < herdSlots && b.batches[i].at.After(since); i-- {
		sent += len(b.batches[i].runs)
	}
	return b.late >= herdLate && sent >= herdSlots
}

// done says that so many slots are recorded.
func (b *backlog) done(size int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.size -= size; b.size == 0 {
		b.bound = behind
	}
	tell(b.fewer)
}
