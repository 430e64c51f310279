package amqp

import (
	"encoding/json"
	"fmt"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/onebeat/onebeat/internal/celery"
)

// markID is the message id of marks, which tells their returns from those of tasks.
const markID = "onebeat.mark"

// Marks are kept in two queues of one message each, the newest.
//
// The steps queue is told of progress within a part. Its marks go down the channel
// that the tasks go down, behind those that they speak of, so that a mark in the
// queue says that RabbitMQ has the tasks. They are transient: if RabbitMQ itself
// crashes, tasks that it had not confirmed may be lost, and these marks with them.
// For the same reason the queue is made anew for each connection: it is then on the
// node that the connection is to.
//
// The marks queue is told what was confirmed. Its marks outlive RabbitMQ.
type markQueues struct{ steps, marks string }

// ensure makes the queues that are missing.
func (q markQueues) ensure(l *link) error {
	for _, name := range []string{q.steps, q.marks} {
		_, err := l.channel.QueueDeclare(name, true, false, false, false, amqp091.Table{
			"x-queue-type": classic, "x-max-length": int32(1), "x-overflow": "drop-head",
		})
		if err != nil {
			return fmt.Errorf("declare queue %s: %w", name, err)
		}
	}
	return nil
}

// renew makes the steps queue anew.
func (q markQueues) renew(l *link) error {
	if _, err := l.channel.QueueDelete(q.steps, false, false, false); err != nil {
		return fmt.Errorf("delete queue %s: %w", q.steps, err)
	}
	return q.ensure(l)
}

// read returns the latest mark, and leaves the queues as they are: what it gets is
// put back, also by RabbitMQ itself if the connection ends before. Between two steps
// there are stepMessages; without a step RabbitMQ has crashed since.
func (q markQueues) read(l *link) (celery.Mark, error) {
	var latest celery.Mark
	beyond := celery.AllBeyond
	for _, name := range []string{q.marks, q.steps} {
		var last amqp091.Delivery
		for {
			delivery, some, err := l.channel.Get(name, false)
			if err != nil {
				return celery.Mark{}, fmt.Errorf("read queue %s: %w", name, err)
			}
			if !some {
				break
			}
			last = delivery
		}
		if last.DeliveryTag == 0 {
			continue
		}
		var mark celery.Mark
		if err := json.Unmarshal(last.Body, &mark); err != nil {
			return celery.Mark{}, fmt.Errorf("the message in queue %s is no mark: delete the queue", name)
		}
		if err := l.channel.Nack(last.DeliveryTag, true, true); err != nil {
			return celery.Mark{}, fmt.Errorf("put mark back: %w", err)
		}
		term := max(latest.Term, mark.Term)
		if mark.Seq > latest.Seq || mark.Seq == latest.Seq && mark.Done >= latest.Done {
			latest = mark
		}
		latest.Term = term
		if name == q.steps {
			beyond = stepMessages
		}
	}
	if latest.Term > 0 { // else nothing was ever sent
		latest.Beyond = max(latest.Beyond, beyond)
	}
	return latest, nil
}

// write sends a mark down the publishing channel.
func (l *link) write(queue string, mark celery.Mark, mode uint8) (*amqp091.DeferredConfirmation, error) {
	body, err := json.Marshal(mark)
	if err != nil {
		return nil, err
	}
	return l.publish("", queue, amqp091.Publishing{
		MessageId: markID, ContentType: "application/json", DeliveryMode: mode, Body: body,
	})
}

// publish returns what will have the message's confirm. That of the channel's listener is
// only good for its moment: where RabbitMQ refused a message and then acknowledges several
// at once, the refused one among them, the client's listener is told that all were taken
// (amqp091-go 1.16, confirms.go, Multiple).
func (l *link) publish(exchange, key string, message amqp091.Publishing) (*amqp091.DeferredConfirmation, error) {
	confirm, err := l.channel.PublishWithDeferredConfirm(exchange, key, true, false, message)
	if err == nil {
		l.published++
	}
	return confirm, err
}
