package simulate

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/onebeat/onebeat/internal/celery"
)

// An arrival is a message as the broker got it.
type arrival struct {
	id   string
	slot time.Time
	at   time.Time
	term int64  // of who sent it
	name string // of the entry and slot, for the history
	from int    // the digest of the definition, modulo the number of templates
}

// A broker keeps the mark and what arrived. Like Redis, it takes a part and its
// mark in one step. Like RabbitMQ, it takes one message after another and a mark
// now and then, and only on the connection that holds the shard's queue.
type broker struct {
	world *world

	mu      sync.Mutex
	mark    celery.Mark
	got     []arrival
	queue   *wire           // RabbitMQ: the connection that holds the queue
	unsure  map[string]bool // ids of messages that came after the last mark when a connection ended, or that were forgotten
	kept    celery.Mark     // what it goes back to when it forgets
	keptGot int
}

// A wire is a node's connection to the broker.
type wire struct {
	*link
	broker *broker
	known  celery.Mark // as the node was told last
}

// Take implements dispatch.Publisher.
func (c *wire) Take(ctx context.Context, term int64) (was celery.Mark, err error) {
	err = c.call(ctx, "take", func(answered bool) error {
		for !c.broker.takeQueue(c) {
			rest(ctx, 50*time.Millisecond)
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
		b := c.broker
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.mark.Term > term {
			return celery.ErrFenced
		}
		if answered {
			was = b.mark
		}
		if b.world.rule.without != "fence" {
			b.mark.Term = term
		}
		c.world.note(c.who, "takes the broker", nil)
		c.world.tellTake()
		return nil
	})
	if err == nil {
		c.known = was
	}
	return was, err
}

// Publish implements dispatch.Publisher.
func (c *wire) Publish(ctx context.Context, part celery.Part) ([]celery.Failure, error) {
	fate, _, lag := c.fate("break")
	known := c.known
	part.Messages = slices.Clone(part.Messages) // they may arrive later, as what is on the wire does
	err := c.call(ctx, "publish", func(bool) error {
		if c.broker.world.rule.steps > 0 {
			stop := -1 // the connection ends after so many messages
			if fate != fine {
				stop = int(lag/time.Millisecond) % (len(part.Messages) + 1)
			}
			return c.stream(part, stop)
		}
		return c.broker.take(c.who, part, known)
	})
	switch {
	case err == nil:
		c.known = part.Mark
	case !errors.Is(err, celery.ErrFenced) && !errors.Is(err, celery.ErrForgot):
		err = &celery.PublishError{Err: err}
	}
	return nil, err
}

// take is one step: a part and its mark.
func (b *broker) take(who string, part celery.Part, known celery.Mark) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.mark.Term > part.Mark.Term && b.world.rule.without != "fence" {
		return celery.ErrFenced
	}
	if b.world.rule.forgets && !b.mark.Covers(known.Seq, known.Done) {
		return celery.ErrForgot
	}
	if b.mark.Covers(part.Mark.Seq, part.Mark.Done) && b.world.rule.without != "mark at publish" {
		return nil
	}
	for _, m := range part.Messages {
		b.arrive(who, part.Mark.Term, m)
	}
	b.mark = part.Mark
	return nil
}

func (b *broker) arrive(who string, term int64, m celery.Message) {
	name := b.world.db.named(m)
	b.got = append(b.got, arrival{m.ID, m.Slot, time.Now(), term, name, slices.Index(templates[:], m.Template)})
	b.world.note(who, "arrived", nil, name)
}

// stream is message after message. A connection that ends leaves what came after
// the last mark unsure.
func (c *wire) stream(part celery.Part, stop int) error {
	b := c.broker
	if !b.takeQueue(c) {
		return errCut
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.mark.Term > part.Mark.Term && b.world.rule.without != "exclusive queue" {
		return celery.ErrFenced
	}
	if b.mark.Covers(part.Mark.Seq, part.Mark.Done) {
		return nil
	}
	var open []celery.Message
	for i, m := range part.Messages {
		if i == stop {
			for _, m := range open {
				b.unsure[m.ID] = true
			}
			b.queue = nil
			return errCut
		}
		if b.mark.Covers(part.Mark.Seq, m.Index+1) && b.world.rule.without != "mark at publish" {
			continue
		}
		b.arrive(c.who, part.Mark.Term, m)
		if open = append(open, m); len(open) == b.world.rule.steps {
			b.mark = celery.Mark{Term: part.Mark.Term, Seq: part.Mark.Seq, Done: m.Index + 1, Note: part.Mark.Note}
			open = open[:0]
		}
	}
	b.mark = part.Mark
	return nil
}

// takeQueue gives the queue to the connection if no other has it.
func (b *broker) takeQueue(c *wire) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.world.rule.steps == 0 {
		return true
	}
	if c.reached() == errDead {
		return false
	}
	if b.queue == nil || b.world.rule.without == "exclusive queue" {
		b.queue = c
	}
	return b.queue == c
}

// drop ends the connection.
func (b *broker) drop(c *wire) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.queue == c {
		b.queue = nil
	}
}

// keep remembers how the broker is now.
func (b *broker) keep() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.kept, b.keptGot = b.mark, len(b.got)
	b.world.note("broker", "is saved", nil)
}

// forget goes back to that. What was claimed by now and had not arrived by then is
// beyond any promise: the broker forgot it, or forgot the term that kept an old
// node from sending it.
func (b *broker) forget() {
	_ = b.world.db.lock(context.Background())
	claimed := slices.Clone(b.world.db.claimed)
	b.world.db.unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	knew := map[string]bool{}
	for _, a := range b.got[:b.keptGot] {
		knew[a.id] = true
	}
	for _, id := range claimed {
		if !knew[id] {
			b.unsure[id] = true
		}
	}
	b.got = slices.Clone(b.got[:b.keptGot])
	b.mark = b.kept
	b.world.note("broker", "comes back as it was when it was saved", nil)
}
