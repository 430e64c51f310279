package sqlalchemy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/onebeat/onebeat/internal/broker/virtual"
	"github.com/onebeat/onebeat/internal/celery"
	"github.com/onebeat/onebeat/internal/failpoint"
)

// Rows go to the database up to so many, and so many bytes, in one statement.
const (
	chunkRows  = 500
	chunkBytes = 1 << 20 // a MySQL server takes 16 MB by default, old ones 1 MB
)

// maxName is how long a queue's name may be (kombu_queue.name).
const maxName = 200

// A row is a message on its way to a queue.
type row struct {
	queue   string
	payload string
}

// Publish writes a part and its mark in one transaction. A PublishError of it is
// never Unsure.
func (b *Broker) Publish(ctx context.Context, part celery.Part) ([]celery.Failure, error) {
	if err := failpoint.Here("sqlalchemy.publish.before"); err != nil {
		return nil, &celery.PublishError{Err: err}
	}
	failures, err := b.publish(ctx, part)
	if err == nil {
		err = failpoint.Here("sqlalchemy.publish.after")
	}
	if errors.Is(err, celery.ErrFenced) {
		return nil, celery.ErrFenced
	}
	if err != nil {
		return nil, &celery.PublishError{Err: fmt.Errorf("sqlalchemy: %w", err)}
	}
	return failures, nil
}

func (b *Broker) publish(ctx context.Context, part celery.Part) (failures []celery.Failure, err error) {
	err = b.transact(ctx, func(tx Tx) error {
		failures, err = b.write(ctx, tx, part, nil)
		return err
	})
	return failures, err
}

// write moves the mark and inserts the part's messages; record, if there is one, is called in between.
func (b *Broker) write(ctx context.Context, tx Tx, part celery.Part, record func([]celery.Failure) error) (failures []celery.Failure, err error) {
	rows, failures, err := b.render(part.Messages)
	if err != nil {
		return nil, err
	}
	rest, covered, err := b.advance(ctx, tx, part, part.Noting(failures))
	switch {
	case err != nil:
		return nil, err
	case covered && b.last.mark == part.Mark:
		failures = b.last.failures
	case covered:
		failures = nil
	case len(rest) < len(part.Messages):
		if rows, failures, err = b.render(rest); err != nil {
			return nil, err
		}
	}
	if record != nil {
		if err := failpoint.Here("sqlalchemy.publish.marked"); err != nil {
			return nil, err
		}
		if err := record(failures); err != nil {
			return nil, err
		}
		if err := failpoint.Here("sqlalchemy.publish.recorded"); err != nil {
			return nil, err
		}
	}
	if covered {
		return failures, nil
	}
	if err := b.insert(ctx, tx, rows); err != nil {
		return nil, err
	}
	b.last = outcome{part.Mark, failures}
	return failures, failpoint.Here("sqlalchemy.publish.written")
}

// advance moves the mark on to that of the part, with its note, and returns the messages that it did not cover before,
// or that it covered the part.
func (b *Broker) advance(ctx context.Context, tx Tx, part celery.Part, noting celery.Mark) (messages []celery.Message, covered bool, err error) {
	moved, err := b.move(ctx, tx, noting, part.Messages)
	if err != nil || moved {
		return part.Messages, false, err
	}
	mark, err := b.mark(ctx, tx) // something was sent before, or never can be
	switch {
	case err != nil:
		return nil, false, err
	case mark.Term > part.Mark.Term:
		return nil, false, celery.ErrFenced
	}
	if messages, covered = virtual.Rest(mark, part); covered {
		return nil, true, nil
	}
	if moved, err = b.move(ctx, tx, noting, messages); err == nil && !moved {
		err = errors.New("the mark in onebeat_marks moves beneath a transaction that holds it")
	}
	return messages, false, err
}

// move moves the mark on to the end of messages, from where they begin.
func (b *Broker) move(ctx context.Context, tx Tx, mark celery.Mark, messages []celery.Message) (bool, error) {
	first := mark.Done
	if len(messages) > 0 {
		first = messages[0].Index
	}
	moved, err := tx.Exec(ctx, b.statements.get("mark_set"), mark.Term, mark.Seq, mark.Done, []byte(mark.Note),
		b.installation, b.shard, mark.Term, mark.Seq, mark.Seq, first)
	return moved > 0, err
}

// render makes the rows of messages, and finds those that no row can take.
func (b *Broker) render(messages []celery.Message) (rows []row, failures []celery.Failure, err error) {
	rows = make([]row, 0, len(messages))
	var buffer []byte
	for _, m := range messages {
		route := m.Template.Route()
		queues := virtual.Queues(route, virtual.Bindings(route))
		reason := ""
		if len(queues) == 0 || route.ExchangeType == "fanout" {
			reason = virtual.Unbound(route)
		}
		for _, queue := range queues {
			switch {
			case strings.IndexByte(queue, 0) >= 0:
				reason = fmt.Sprintf("a queue's name may have no NUL in it on this broker; %.40q has", queue)
			case utf8.RuneCountInString(queue) > maxName:
				reason = fmt.Sprintf("a queue's name may have %d characters on this broker; %.40q… has more", maxName, queue)
			}
		}
		if buffer, err = virtual.Envelope(buffer[:0], m); err != nil {
			return nil, nil, err
		}
		if b.payload > 0 && len(buffer) > b.payload {
			reason = fmt.Sprintf("the message has %d bytes and the column %s.payload takes %d: make it a LONGTEXT", len(buffer), b.tables.message, b.payload)
		}
		if reason != "" {
			failures = append(failures, celery.Failure{Index: m.Index, Reason: reason})
			continue
		}
		for _, queue := range queues {
			rows = append(rows, row{queue, string(buffer)})
		}
	}
	return rows, failures, nil
}

// insert writes rows in order. It looks for their queues first, by name: shards that make the
// same ones at the same moment wait for each other in one direction.
func (b *Broker) insert(ctx context.Context, tx Tx, rows []row) error {
	ids := map[string]int64{}
	for _, r := range rows {
		ids[r.queue] = 0
	}
	for _, name := range slices.Sorted(maps.Keys(ids)) {
		id, err := b.queue(ctx, tx, name)
		if err != nil {
			return err
		}
		ids[name] = id
	}
	var arguments []any
	bytes := 0
	flush := func() error {
		if len(arguments) == 0 {
			return nil
		}
		_, err := tx.Exec(ctx, b.statements.insert(len(arguments)/2), arguments...)
		arguments, bytes = arguments[:0], 0
		return err
	}
	for _, r := range rows {
		if len(arguments)/2 == chunkRows || bytes+len(r.payload) > chunkBytes {
			if err := flush(); err != nil {
				return err
			}
		}
		arguments = append(arguments, r.payload, ids[r.queue])
		bytes += len(r.payload)
	}
	return flush()
}

// queue returns a queue's id, and makes the queue if there is none.
func (b *Broker) queue(ctx context.Context, tx Tx, name string) (id int64, err error) {
	for range 2 {
		found, err := first(ctx, tx, b.statements.get("queue_find"), []any{name}, &id)
		if err != nil || found {
			return id, err
		}
		if _, err := tx.Exec(ctx, b.statements.get("queue_insert"), name); err != nil {
			return 0, err
		}
	}
	return 0, fmt.Errorf("another transaction makes the queue %.40q at this moment", name)
}
