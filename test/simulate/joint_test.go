package simulate

import (
	"context"
	"slices"

	"github.com/onebeat/onebeat/internal/celery"
	"github.com/onebeat/onebeat/internal/dispatch"
	"github.com/onebeat/onebeat/internal/schedule"
)

// A joint is a node's way to the database where the broker is in it too.
type joint struct {
	*session
	broker *broker
}

// joint is nil where the broker is elsewhere.
func (n *node) joint() dispatch.Joint {
	if !n.world.rule.joint {
		return nil
	}
	return joint{n.session, n.wire.broker}
}

// Joined implements dispatch.Joint.
func (joint) Joined(context.Context) bool { return true }

// Send implements dispatch.Joint.
func (j joint) Send(ctx context.Context, part celery.Part, gone []int64, ends func([]celery.Failure) []schedule.Run) error {
	gone, runs := slices.Clone(gone), slices.Clone(ends(nil)) // the commit may come later
	part.Messages = slices.Clone(part.Messages)
	return j.transact(ctx, "send", func() error {
		db := j.db
		if part.Mark.Term != db.term {
			return schedule.ErrLost
		}
		i := slices.IndexFunc(db.journal, func(c schedule.Claimed) bool { return c.Seq == part.Mark.Seq })
		if (i < 0 || db.journal[i].Recorded >= part.Mark.Done) && db.world.rule.without != "again" {
			return nil
		}
		if err := j.broker.take(j.who, part, celery.Mark{}); err != nil {
			return err
		}
		if i >= 0 && db.world.rule.without != "how far" {
			db.journal[i].Recorded = part.Mark.Done
		}
		db.journal = slices.DeleteFunc(slices.Clone(db.journal), func(c schedule.Claimed) bool { return slices.Contains(gone, c.Seq) })
		j.write(runs)
		return nil
	})
}
