package broker

import (
	"context"
	"errors"
	"time"

	"github.com/onebeat/onebeat/internal/celery"
)

// A prompt broker lets go of a call whose context is cancelled at once, though its
// adapter may wait for a connection that says nothing until the call's bound: a node
// that hands over must not keep the next one waiting. What it let go of is still
// refused by the broker once a higher term was taken, and the next call waits for it.
type prompt struct {
	Broker
	turn chan struct{} // held while the adapter is called
}

// An interrupter is an adapter that ends a call under way when it is asked to. Its calls need no
// goroutine of their own, which for a message that leaves alone is a third of the processor time.
type interrupter interface {
	// Interrupt makes a call whose context has ended return at once. It may be called when
	// there is none.
	Interrupt()
}

func newPrompt(b Broker) *prompt { return &prompt{b, make(chan struct{}, 1)} }

func (p *prompt) Take(ctx context.Context, term int64) (mark celery.Mark, err error) {
	return prompted(ctx, p, func() (celery.Mark, error) { return p.Broker.Take(ctx, term) })
}

func (p *prompt) Publish(ctx context.Context, part celery.Part) ([]celery.Failure, error) {
	return prompted(ctx, p, func() ([]celery.Failure, error) { return p.Broker.Publish(ctx, part) })
}

// releaseWait is how long Release waits for a connection that says nothing: it goes on behind.
const releaseWait = 250 * time.Millisecond

func (p *prompt) Release() {
	released := make(chan struct{})
	go func() {
		defer close(released)
		p.turn <- struct{}{}
		defer p.yield()
		p.Broker.Release()
	}()
	select {
	case <-released:
	case <-time.After(releaseWait):
	}
}

// closeWait is how long Close waits for a call that was let go of.
const closeWait = 6 * time.Second

func (p *prompt) Close() error {
	select {
	case p.turn <- struct{}{}:
		defer p.yield()
	case <-time.After(closeWait):
	}
	return p.Broker.Close()
}

func (p *prompt) yield() { <-p.turn }

// prompted returns what do does, or the context's error as soon as it is cancelled. Its
// deadline is the adapter's to keep: whoever does not is noticed by that.
func prompted[T any](ctx context.Context, p *prompt, do func() (T, error)) (T, error) {
	var none T
	select {
	case p.turn <- struct{}{}:
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.Canceled) {
			return none, ctx.Err()
		}
		p.turn <- struct{}{}
	}
	if b, ok := p.Broker.(interrupter); ok {
		defer p.yield()
		return interruptible(ctx, b, do)
	}
	type answer struct {
		value T
		err   error
	}
	answered := make(chan answer, 1)
	go func() {
		value, err := do()
		p.yield()
		answered <- answer{value, err}
	}()
	var a answer
	select {
	case a = <-answered:
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.Canceled) {
			return none, ctx.Err()
		}
		a = <-answered
	}
	return a.value, a.err
}

// interruptible is prompted for an adapter that can be interrupted.
func interruptible[T any](ctx context.Context, b interrupter, do func() (T, error)) (T, error) {
	over := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(over)
		if errors.Is(ctx.Err(), context.Canceled) {
			b.Interrupt()
		}
	})
	value, err := do()
	if !stop() {
		<-over // or it may interrupt the next call
	}
	if err != nil && errors.Is(ctx.Err(), context.Canceled) {
		return value, ctx.Err()
	}
	return value, err
}
