package redis

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/gofrs/uuid/v5"
	"github.com/redis/rueidis"

	"github.com/onebeat/onebeat/internal/broker/outbox"
	"github.com/onebeat/onebeat/internal/celery"
	"github.com/onebeat/onebeat/internal/failpoint"
)

// Publish sends a part in one step with its mark. A PublishError of it is never
// Unsure.
func (b *Broker) Publish(ctx context.Context, part celery.Part) ([]celery.Failure, error) {
	if err := failpoint.Here("redis.publish.before"); err != nil {
		return nil, &celery.PublishError{Err: err}
	}
	if err := b.begin(ctx); err != nil {
		return nil, unpublished(err)
	}
	defer b.end()
	messages := part.Messages
	for {
		push, err := b.prepare(ctx, messages)
		if err != nil {
			return nil, unpublished(err)
		}
		mark := part.Noting(push.failures)
		answer, err := b.send(ctx, push, mark)
		if err != nil {
			b.last.maybe(part.Mark, mark.Note, push.failures)
			return nil, unpublished(err)
		}
		switch answer[0] {
		case "sent":
			if err := push.refuse(answer[1:]); err != nil {
				return nil, unpublished(err)
			}
			if part.Events {
				b.events.Put(push.messages, time.Now())
			}
			b.last = outcome{part.Mark, map[string][]celery.Failure{mark.Note: push.failures}}
			b.known = part.Mark
			return push.failures, nil
		case "covered":
			if len(answer) < 2 {
				return nil, nil // by a later part
			}
			if answer[1] == mark.Note { // else it is of an attempt before, for which other queues were bound
				b.last.maybe(part.Mark, mark.Note, push.failures) // the script ran twice in this one
			}
			return b.last.of(part.Mark, answer[1]), nil
		case "fenced":
			return nil, celery.ErrFenced
		case "forgot":
			return nil, celery.ErrForgot
		case "overlap":
			// Another cut of the same batch had arrived: what it held is left out.
			done, err := strconv.Atoi(answer[1])
			rest := slices.DeleteFunc(slices.Clone(messages), func(m celery.Message) bool { return m.Index < done })
			if err == nil && len(rest) < len(messages) {
				messages = rest
				continue
			}
		}
		return nil, unpublished(notUnderstood(answer))
	}
}

func unpublished(err error) error {
	return &celery.PublishError{Err: fmt.Errorf("redis: %w", err)}
}

// send runs the publish script.
func (b *Broker) send(ctx context.Context, p *push, mark celery.Mark) ([]string, error) {
	arguments, buffer, err := p.arguments(mark, b.known, b.buffer)
	b.buffer = buffer
	if err != nil {
		return nil, err
	}
	answer, err := b.run(ctx, publishScript, p.keys, arguments)
	if err != nil {
		return nil, err
	}
	return answer, failpoint.Here("redis.publish.after")
}

// sendEvents publishes a task-sent event of each message. Who listens is named
// by the channel: kombu's workers and Flower subscribe to it with a pattern.
func (b *Broker) sendEvents(ctx context.Context, sent outbox.Sent) error {
	if err := failpoint.Here("event.before"); err != nil {
		return err
	}
	channel := b.layout.channel(b.words.Events(), "task.sent")
	commands := make(rueidis.Commands, 0, len(sent.Messages))
	var event []byte
	for _, m := range sent.Messages {
		tag, err := uuid.NewV4()
		if err != nil {
			return err
		}
		event = m.Template.AppendEvent(event[:0], m, b.node, os.Getpid(), sent.At)
		envelope := celery.AppendEventEnvelope(nil, event, b.words.Events(), b.node, tag.String())
		commands = append(commands, b.client.B().Publish().Channel(channel).Message(rueidis.BinaryString(envelope)).Build())
	}
	if err := b.begin(ctx); err != nil {
		return err
	}
	defer b.end()
	for _, answer := range b.client.DoMulti(ctx, commands...) {
		if err := answer.Error(); err != nil {
			return err
		}
	}
	return failpoint.Here("event.after")
}
