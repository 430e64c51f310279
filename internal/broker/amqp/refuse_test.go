package amqp_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/gofrs/uuid/v5"
	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/onebeat/onebeat/internal/broker"
	"github.com/onebeat/onebeat/internal/celery"
)

// wait bounds whatever a test waits for.
const wait = 20 * time.Second

func unique(name string) string { return name + "-" + uuid.Must(uuid.NewV4()).String() }

func open(t *testing.T, options broker.Options) broker.Broker {
	t.Helper()
	options.Installation = unique("refuse")
	options.Logger = slog.New(slog.DiscardHandler)
	b, err := broker.Open(serverURL(t), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// batch makes one message of each of the options, in one part.
func batch(t *testing.T, settings map[string]any, options ...string) celery.Part {
	t.Helper()
	config, err := celery.ParseConfig(settings)
	if err != nil {
		t.Fatal(err)
	}
	part := celery.Part{Mark: celery.Mark{Term: 1, Seq: 1, Done: len(options)}}
	for i, text := range options {
		template, err := config.Template(celery.Task{Name: "proj.tasks.add", Options: text})
		if err != nil {
			t.Fatal(err)
		}
		part.Messages = append(part.Messages, celery.Message{Template: template, ID: unique("task"), Slot: time.Now(), At: time.Now(), Index: i})
	}
	return part
}

func publish(t *testing.T, b broker.Broker, part celery.Part) ([]celery.Failure, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	return b.Publish(ctx, part)
}

// queue makes a queue with arguments that ends with the test.
func queue(t *testing.T, channel *amqp091.Channel, arguments amqp091.Table) string {
	t.Helper()
	name := unique("refuse")
	if _, err := channel.QueueDeclare(name, true, false, false, false, arguments); err != nil {
		t.Fatal(err)
	}
	drop(t, channel, name)
	return name
}

// drop deletes a queue, and the exchange of its name, at the end of the test.
func drop(t *testing.T, channel *amqp091.Channel, name string) {
	t.Cleanup(func() {
		_, err1 := channel.QueueDelete(name, false, false, false)
		err2 := channel.ExchangeDelete(name, false, false)
		if err := errors.Join(err1, err2); err != nil {
			t.Errorf("delete %s: %v", name, err)
		}
	})
}

func to(queue string) string { return fmt.Sprintf(`{"queue": %q}`, queue) }

func TestPublishFailsOnlyWhatHasNoQueue(t *testing.T) {
	channel := connect(t, serverURL(t))
	here := queue(t, channel, nil)
	part := batch(t, nil, to(here), to("refuse-nowhere"),
		`{"exchange": "refuse-no-exchange", "routing_key": "k"}`, `{"exchange": "amq.topic", "routing_key": "refuse.unbound"}`, to(here))
	part.Noted = func(failures []celery.Failure) string { return fmt.Sprint(len(failures), " failed") }
	b := open(t, broker.Options{})
	failures, err := publish(t, b, part)
	if err != nil {
		t.Fatalf("Publish: %v", err)
	}
	for i, want := range []string{"queue refuse-nowhere does not exist", "exchange refuse-no-exchange does not exist", "no queue is bound to it"} {
		if len(failures) != 3 || failures[i].Index != i+1 || !strings.Contains(failures[i].Reason, want) {
			t.Fatalf("Publish = %+v, want failures of 1 (%s) and two more", failures, want)
		}
	}
	if got := get(t, channel, here); len(got) != 2 {
		t.Errorf("queue holds %d messages, want 2", len(got))
	}
	if again, err := publish(t, b, part); err != nil || len(again) != 3 {
		t.Errorf("Publish again = %+v, %v, want the same failures", again, err)
	}
	if got := get(t, channel, here); len(got) != 0 {
		t.Errorf("queue holds %d messages after the same part again, want 0", len(got))
	}
	b.Release() // so that it reads what is left at the broker
	mark, err := b.Take(t.Context(), 1)
	if err != nil || !mark.Covers(1, len(part.Messages)) || mark.Note != "3 failed" { // one of which came back
		t.Errorf("the mark that is left is %+v, %v, want one that notes that 3 failed", mark, err)
	}
}

func TestPublishDeclaresWhatIsMissing(t *testing.T) {
	channel := connect(t, serverURL(t))
	name := unique("refuse")
	part := batch(t, map[string]any{"task_queue_max_priority": 5}, to(name))
	b := open(t, broker.Options{Declare: true})
	if failures, err := publish(t, b, part); err != nil || failures != nil {
		t.Fatalf("Publish = %v, %v", failures, err)
	}
	drop(t, channel, name)
	if got := get(t, channel, name); len(got) != 1 {
		t.Errorf("queue holds %d messages, want 1", len(got))
	}
	// A worker with the same settings makes the same declaration; others are refused.
	if _, err := channel.QueueDeclare(name, true, false, false, false, amqp091.Table{"x-max-priority": int32(5)}); err != nil {
		t.Errorf("declare as a worker would: %v", err)
	}
	// It was there, and is gone again.
	if _, err := channel.QueueDelete(name, false, false, false); err != nil {
		t.Fatal(err)
	}
	part.Mark.Seq = 2
	part.Messages[0].ID = unique("task")
	if failures, err := publish(t, b, part); err != nil || failures != nil {
		t.Fatalf("Publish after the queue was deleted = %v, %v", failures, err)
	}
	if got := get(t, channel, name); len(got) != 1 || got[0].MessageId != part.Messages[0].ID {
		t.Errorf("queue holds %d messages, want the new one", len(got))
	}
}

func TestPublishKeepsWhatAFullQueueRefused(t *testing.T) {
	channel := connect(t, serverURL(t))
	full := queue(t, channel, amqp091.Table{"x-max-length": int32(2), "x-overflow": "reject-publish"})
	other := queue(t, channel, nil)
	for range 2 { // so that it refuses the very first
		if err := channel.Publish("", full, false, false, amqp091.Publishing{MessageId: "someone else's"}); err != nil {
			t.Fatal(err)
		}
	}
	part := batch(t, nil, to(full), to(full), to(full), to(full), to(full), to(full), to(other))
	b := open(t, broker.Options{})
	_, err := publish(t, b, part)
	var unpublished *celery.PublishError
	if !errors.As(err, &unpublished) || unpublished.Unsure {
		t.Fatalf("Publish to a full queue: %v, want a PublishError that is not Unsure", err)
	}
	count := map[string]int{}
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	for err != nil {
		for _, d := range get(t, channel, full) {
			count[d.MessageId]++
		}
		if _, err = b.Publish(ctx, part); err != nil && !errors.As(err, &unpublished) {
			t.Fatal(err)
		}
	}
	for _, d := range append(get(t, channel, full), get(t, channel, other)...) {
		count[d.MessageId]++
	}
	for _, m := range part.Messages {
		if count[m.ID] != 1 {
			t.Errorf("message %d came %d times, want once", m.Index, count[m.ID])
		}
	}
}

// A queue that stays full keeps the others waiting for a moment only.
func TestAQueueThatStaysFullDoesNotStopTheOthers(t *testing.T) {
	channel := connect(t, serverURL(t))
	full := queue(t, channel, amqp091.Table{"x-max-length": int32(1), "x-overflow": "reject-publish"})
	other := queue(t, channel, nil)
	if err := channel.Publish("", full, false, false, amqp091.Publishing{MessageId: "someone else's"}); err != nil {
		t.Fatal(err)
	}
	part := batch(t, nil, to(full), to(full), to(full), to(full), to(other))
	b := open(t, broker.Options{})
	failures, err := publish(t, b, part)
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	for err != nil && ctx.Err() == nil {
		failures, err = b.Publish(ctx, part)
	}
	if err != nil || len(failures) == 0 || !strings.Contains(failures[0].Reason, "full") {
		t.Fatalf("Publish in the end = %+v, %v, want failures that say the queue is full", failures, err)
	}
	if got := len(get(t, channel, other)); got != 1 {
		t.Errorf("%d messages in the other queue, want 1", got)
	}
	next := batch(t, nil, to(full), to(full), to(full), to(other))
	next.Mark.Seq = part.Mark.Seq + 1
	if failures, err = b.Publish(ctx, next); err != nil || len(failures) == 0 {
		t.Errorf("the next part = %+v, %v, want failures at the first try", failures, err)
	}
	if got := len(get(t, channel, other)); got != 1 {
		t.Errorf("%d more messages in the other queue, want 1", got)
	}
}

// A node that crashes after a queue refused a message must leave a mark from which
// the message is sent again.
func TestMarkStaysBeforeWhatWasRefused(t *testing.T) {
	channel := connect(t, serverURL(t))
	full := queue(t, channel, amqp091.Table{"x-max-length": int32(1), "x-overflow": "reject-publish"})
	b := open(t, broker.Options{})
	part := batch(t, nil, to(full), to(full), to(full), to(full))
	if _, err := publish(t, b, part); err == nil {
		t.Fatal("Publish to a full queue = nil")
	}
	taken := len(get(t, channel, full))
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	b.Release()
	mark, err := b.Take(ctx, 2)
	if err != nil {
		t.Fatal(err)
	}
	if mark.Seq != 1 || mark.Done != taken {
		t.Errorf("mark is at %d/%d, want 1/%d, before the first message that was refused", mark.Seq, mark.Done, taken)
	}
}

// RabbitMQ closes the connection for a header table that fits no frame, and reads nothing that comes after it.
func TestPublishGoesOnWithoutAPoisonMessage(t *testing.T) {
	channel := connect(t, serverURL(t))
	here := queue(t, channel, nil)
	poison := func(bytes int) string {
		return fmt.Sprintf(`{"queue": %q, "headers": {"x": [1, 2.5, null, true, {"y": %q}]}}`, here, strings.Repeat("x", bytes))
	}
	part := batch(t, nil, to(here), to(here), poison(200_000), poison(130_000), poison(5_000_000), to(here))
	b := open(t, broker.Options{})
	failures, err := publish(t, b, part)
	if err != nil || len(failures) != 2 || failures[0].Index != 2 || failures[1].Index != 4 || !strings.Contains(failures[1].Reason, "RabbitMQ takes 131072 at most") {
		t.Fatalf("Publish = %+v, %v, want failures of 2 and 4, for their size", failures, err)
	}
	seen := map[string]bool{}
	for _, d := range get(t, channel, here) {
		seen[d.MessageId] = true
	}
	for _, index := range []int{0, 1, 3, 5} {
		if !seen[part.Messages[index].ID] {
			t.Errorf("message %d is missing", index)
		}
	}
	b.Release()
	if mark, err := b.Take(t.Context(), 1); err != nil || !mark.Covers(1, len(part.Messages)) {
		t.Errorf("the mark that is left is %+v, %v, want one of the whole part", mark, err)
	}
}

// RabbitMQ closes the channel for a message to an exchange that is for other exchanges.
func TestPublishGoesOnWithoutWhatClosesTheChannel(t *testing.T) {
	channel := connect(t, serverURL(t))
	here, internal := queue(t, channel, nil), queue(t, channel, nil)
	if err := channel.ExchangeDeclare(internal, "direct", true, false, true, false, nil); err != nil {
		t.Fatal(err)
	}
	part := batch(t, nil, to(here), fmt.Sprintf(`{"exchange": %q, "routing_key": "k"}`, internal), to(here))
	failures, err := publish(t, open(t, broker.Options{}), part)
	if err != nil || len(failures) != 1 || failures[0].Index != 1 || !strings.Contains(failures[0].Reason, "internal exchange") {
		t.Fatalf("Publish = %+v, %v, want a failure of 1 alone, with RabbitMQ's reason", failures, err)
	}
	seen := map[string]bool{}
	for _, d := range get(t, channel, here) {
		seen[d.MessageId] = true
	}
	if !seen[part.Messages[0].ID] || !seen[part.Messages[2].ID] {
		t.Errorf("the queue has %v, want messages 0 and 2", seen)
	}
}

func TestPublishTellsEvents(t *testing.T) {
	channel := connect(t, serverURL(t))
	here := queue(t, channel, nil)
	if err := channel.ExchangeDeclare("celeryev", "topic", true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	listener, err := channel.QueueDeclare("", false, true, true, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := channel.QueueBind(listener.Name, "#", "celeryev", false, nil); err != nil {
		t.Fatal(err)
	}
	events, err := channel.Consume(listener.Name, "", true, true, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	part := batch(t, nil, to(here), to(here))
	part.Events = true
	if _, err := publish(t, open(t, broker.Options{Node: "gen7@here"}), part); err != nil {
		t.Fatal(err)
	}
	timeout := time.After(wait)
	for _, m := range part.Messages {
		select {
		case d := <-events:
			var event struct{ Type, UUID, Hostname, Queue string }
			if err := json.Unmarshal(d.Body, &event); err != nil {
				t.Fatal(err)
			}
			if event.Type != "task-sent" || event.UUID != m.ID || event.Hostname != "gen7@here" || event.Queue != here {
				t.Errorf("event = %s", d.Body)
			}
			if d.RoutingKey != "task.sent" || d.DeliveryMode != amqp091.Transient || d.Headers["hostname"] != "gen7@here" {
				t.Errorf("event came with key %s, mode %d, headers %v", d.RoutingKey, d.DeliveryMode, d.Headers)
			}
		case <-timeout:
			t.Fatal("no event came")
		}
	}
}

// A RabbitMQ that crashed has lost the transient marks: then the lasting one does not
// say how much it took since.
func TestAMarkWithoutStepsHasNoBound(t *testing.T) {
	channel := connect(t, serverURL(t))
	here := queue(t, channel, nil)
	options := broker.Options{Installation: unique("steps"), Logger: slog.New(slog.DiscardHandler)}
	b, err := broker.Open(serverURL(t), options)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	for term, want := range []int{0, 10, celery.AllBeyond, celery.AllBeyond, 10} {
		mark, err := b.Take(ctx, int64(term+1))
		if err != nil || mark.Beyond != want {
			t.Fatalf("Take(%d) = %+v, %v, want %d beyond the mark", term+1, mark, err, want)
		}
		if term != 2 { // the node of term 3 is lost before it has settled what was open
			part := batch(t, nil, to(here))
			part.Mark.Term, part.Mark.Seq = int64(term+1), int64(term+1)
			if _, err := b.Publish(ctx, part); err != nil {
				t.Fatal(err)
			}
		}
		b.Release()
		if term == 1 { // as a crash would
			if _, err := channel.QueuePurge("onebeat."+options.Installation+".0.steps", false); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
}
