package broker

import (
	"context"

	"github.com/onebeat/onebeat/internal/broker/sqlalchemy"
	"github.com/onebeat/onebeat/internal/celery"
)

// A Tx is an open transaction on the database that a broker's messages are in.
type Tx = sqlalchemy.Tx

// A Shared is a broker whose messages are in a database that may be another's too: then
// both may write in one transaction.
type Shared struct {
	prompt  *prompt
	adapter *sqlalchemy.Broker
}

// SharedOf returns b as such a broker; nil if its messages are in no database.
func SharedOf(b Broker) *Shared {
	p, _ := b.(*prompt)
	if p == nil {
		return nil
	}
	adapter, _ := p.Broker.(*sqlalchemy.Broker)
	if adapter == nil {
		return nil
	}
	return &Shared{p, adapter}
}

// Shares says whether the transactions that within begins are of the database that the
// messages are in, and may write them. It writes there as PublishIn would, which within
// has to take back. An error says why that could not be found out, or what keeps such a
// transaction from writing.
func (s *Shared) Shares(ctx context.Context, within func(func(Tx) error) error) (bool, error) {
	return prompted(ctx, s.prompt, func() (bool, error) { return s.adapter.Shares(ctx, within) })
}

// Prepare makes the tables that are missing. It comes before PublishIn's transaction.
func (s *Shared) Prepare(ctx context.Context) error {
	_, err := prompted(ctx, s.prompt, func() (struct{}, error) { return struct{}{}, s.adapter.Prepare(ctx) })
	return err
}

// PublishIn writes a part and its mark in a transaction of someone else's, and calls record
// in it, before the messages are written, with those that the broker takes no copy of.
// Nothing is sent before the transaction is committed. ErrFenced, with nothing to commit, if
// the broker has seen a higher term; a part that was sent before is not sent again, and
// record is called all the same.
func (s *Shared) PublishIn(ctx context.Context, tx Tx, part celery.Part, record func([]celery.Failure) error) error {
	select {
	case s.prompt.turn <- struct{}{}:
		defer s.prompt.yield()
	case <-ctx.Done():
		return ctx.Err()
	}
	return s.adapter.PublishIn(ctx, tx, part, record)
}
