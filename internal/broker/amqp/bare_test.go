package amqp

import (
	"fmt"
	"log/slog"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/gofrs/uuid/v5"
	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/onebeat/onebeat/internal/celery"
)

// Parts of this size go out of herds.
const partOf = 1000

// A race is the adapter and a bare channel, each at work on one quorum queue with the
// same messages: what the bare one does is all that RabbitMQ and its client can do.
type race struct {
	channel  *amqp091.Channel
	confirms <-chan amqp091.Confirmation
	queue    string
	messages []amqp091.Publishing

	broker *Broker
	part   celery.Part
}

func newRace(tb testing.TB) *race {
	tb.Helper()
	url := os.Getenv("ONEBEAT_TEST_RABBITMQ")
	if url == "" {
		tb.Fatal("ONEBEAT_TEST_RABBITMQ is not set: run the tests with `make test`, or `make stack` first")
	}
	connection, err := amqp091.Dial(url)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { connection.Close() })
	r := &race{queue: "amqp-race-" + uuid.Must(uuid.NewV4()).String(), part: celery.Part{Mark: celery.Mark{Term: 1, Done: partOf}}}
	if r.channel, err = connection.Channel(); err != nil {
		tb.Fatal(err)
	}
	if _, err := r.channel.QueueDeclare(r.queue, true, false, false, false, quorum); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _, _ = r.channel.QueueDelete(r.queue, false, false, false) })
	if err := r.channel.Confirm(false); err != nil {
		tb.Fatal(err)
	}
	r.confirms = r.channel.NotifyPublish(make(chan amqp091.Confirmation, 4*partOf))
	config, err := celery.ParseConfig(nil)
	if err != nil {
		tb.Fatal(err)
	}
	template, err := config.Template(celery.Task{
		Name: "bench.tasks.report", Entry: "report of customer 1", Args: `["daily", 1]`,
		Kwargs:  `{"schedule_id": 1, "from_date": "20250729", "to_date": "20250730"}`,
		Options: fmt.Sprintf(`{"queue": %q, "expires": 1800, "soft_time_limit": 300}`, r.queue),
	})
	if err != nil {
		tb.Fatal(err)
	}
	for i := range partOf {
		m := celery.Message{Template: template, ID: uuid.Must(uuid.NewV4()).String(), Slot: time.Now(), At: time.Now(), Index: i}
		r.part.Messages = append(r.part.Messages, m)
		r.messages = append(r.messages, publishing(m, amqp091.Table{}))
	}
	if r.broker, err = Open(url, Options{Installation: r.queue, Logger: slog.New(slog.DiscardHandler)}); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { r.broker.Close() })
	if _, err := r.broker.Take(tb.Context(), 1); err != nil {
		tb.Fatal(err)
	}
	return r
}

// ours publishes a part by the adapter.
func (r *race) ours(tb testing.TB) time.Duration {
	tb.Helper()
	began := time.Now()
	r.part.Mark.Seq++
	if failures, err := r.broker.Publish(tb.Context(), r.part); err != nil || len(failures) > 0 {
		tb.Fatalf("Publish = %v, %v", failures, err)
	}
	return time.Since(began)
}

// bare publishes the part's messages and waits for their confirms, and does nothing else.
func (r *race) bare(tb testing.TB) time.Duration {
	tb.Helper()
	began := time.Now()
	for _, message := range r.messages {
		if err := r.channel.Publish("", r.queue, true, false, message); err != nil {
			tb.Fatal(err)
		}
	}
	for range r.messages {
		select {
		case confirm := <-r.confirms:
			if !confirm.Ack {
				tb.Fatal("a message was not confirmed")
			}
		case <-time.After(20 * time.Second):
			tb.Fatal("a confirm did not come within 20 s")
		}
	}
	return time.Since(began)
}

// run publishes so many parts in each way, in turn, so that what else the machine does
// falls on both, and returns the medians.
func (r *race) run(tb testing.TB, parts int) (ours, bare time.Duration) {
	tb.Helper()
	var all [2][]time.Duration
	for range parts {
		all[0] = append(all[0], r.ours(tb))
		all[1] = append(all[1], r.bare(tb))
	}
	for _, took := range all {
		slices.Sort(took)
	}
	return all[0][parts/2], all[1][parts/2]
}

// BenchmarkQuorum tells messages/s, and how much of the bare ones they are.
func BenchmarkQuorum(b *testing.B) {
	ours, bare := newRace(b).run(b, b.N)
	b.ReportMetric(partOf/ours.Seconds(), "msgs/s")
	b.ReportMetric(partOf/bare.Seconds(), "bare-msgs/s")
	b.ReportMetric(100*bare.Seconds()/ours.Seconds(), "%")
}

// Marks, headers made a message at a time and the order of confirms cost little beside
// what RabbitMQ does: 103 to 117 % of the bare speed were measured.
func TestPublishingKeepsUpWithBareConfirms(t *testing.T) {
	ours, bare := newRace(t).run(t, 9)
	t.Logf("%d messages take %v, and %v bare", partOf, ours, bare)
	if ours > 2*bare {
		t.Errorf("%d messages take %v, and %v bare: want twice as long at most", partOf, ours, bare)
	}
}
