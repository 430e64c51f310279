package app

import (
	"context"
	"log/slog"
	"time"

	"github.com/onebeat/onebeat/internal/broker"
	"github.com/onebeat/onebeat/internal/celery"
	"github.com/onebeat/onebeat/internal/dispatch"
	"github.com/onebeat/onebeat/internal/schedule"
	"github.com/onebeat/onebeat/internal/store"
)

// A joint is a shard's store and a broker whose messages may be in the same database.
type joint struct {
	store  *store.Store
	shard  *store.Shard
	broker *broker.Shared
	log    *slog.Logger
}

// joint returns what sends and records in one transaction; nil where no broker does.
func (s *shard) joint() dispatch.Joint {
	shared := broker.SharedOf(s.broker)
	if shared == nil {
		return nil
	}
	j := joint{s.node.store, s.store, shared, s.log}
	if s.trace != nil {
		return tracedJoint{j, s.trace}
	}
	return j
}

// joinWait bounds how long it may take to find out whether the two are in one database.
const joinWait = 5 * time.Second

// Joined implements dispatch.Joint, and says in the log how messages and records go in
// this term.
func (j joint) Joined(ctx context.Context) bool {
	bounded, cancel := context.WithTimeout(ctx, joinWait)
	defer cancel()
	joined, err := Joined(bounded, j.store, j.broker)
	switch {
	case ctx.Err() != nil:
		return false
	case err != nil:
		j.log.Warn("messages and their records go in two transactions: the broker cannot be written with the schedules' database", "err", err)
	case joined:
		j.log.Info("messages and their records go in one transaction: the broker is in the schedules' database")
	default:
		j.log.Info("messages and their records go in two transactions: the broker is not in the schedules' database")
	}
	return joined && err == nil
}

// Joined says whether a broker's messages are in the store's database, and may be
// written in its transactions. It leaves nothing there. An error says what is in the way.
func Joined(ctx context.Context, s *store.Store, b *broker.Shared) (bool, error) {
	return b.Shares(ctx, func(look func(broker.Tx) error) error {
		return s.Rehearse(ctx, func(tx store.Tx) error { return look(tx) })
	})
}

// Send implements dispatch.Joint.
func (j joint) Send(ctx context.Context, part celery.Part, gone []int64, ends func([]celery.Failure) []schedule.Run) error {
	if err := j.broker.Prepare(ctx); err != nil {
		return err
	}
	settling := schedule.Settling{Term: part.Mark.Term, Seq: part.Mark.Seq, Done: part.Mark.Done, Gone: gone}
	return j.shard.RecordWith(ctx, settling, func(tx store.Tx, record func([]schedule.Run) error) error {
		return j.broker.PublishIn(ctx, tx, part, func(failures []celery.Failure) error { return record(ends(failures)) })
	})
}
