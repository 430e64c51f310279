package amqp_test

import (
	"bytes"
	"fmt"
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"
	amqp091 "github.com/rabbitmq/amqp091-go"
	"go.uber.org/goleak"

	"github.com/onebeat/onebeat/internal/broker"
	"github.com/onebeat/onebeat/internal/broker/brokertest"
	"github.com/onebeat/onebeat/internal/celery"
)

// serverURL is the test server's URL with a heartbeat that lets tests of lost
// nodes be short.
func serverURL(t testing.TB) string {
	t.Helper()
	u, err := url.Parse(brokertest.ServerURL(t, "ONEBEAT_TEST_RABBITMQ"))
	if err != nil {
		t.Fatal(err)
	}
	u.RawQuery = "heartbeat=1"
	return u.String()
}

// connect is how tests look on. They keep the server's own heartbeat: a busy machine may miss one of each second.
func connect(t testing.TB, server string) *amqp091.Channel {
	t.Helper()
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	u.RawQuery = ""
	connection, err := amqp091.Dial(u.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { connection.Close() })
	channel, err := connection.Channel()
	if err != nil {
		t.Fatal(err)
	}
	return channel
}

// get takes all messages of a queue, with what a worker reads of them.
func get(t testing.TB, channel *amqp091.Channel, queue string) []amqp091.Delivery {
	t.Helper()
	var deliveries []amqp091.Delivery
	for {
		delivery, some, err := channel.Get(queue, true)
		if err != nil {
			t.Fatal(err)
		}
		if !some {
			return deliveries
		}
		deliveries = append(deliveries, delivery)
	}
}

func server(t testing.TB) brokertest.Server {
	url := serverURL(t)
	channel := connect(t, url)
	waiting := map[string][]amqp091.Delivery{} // taken from a queue, of another priority
	return brokertest.Server{
		URL:     url,
		Repeats: 10,
		Points: []string{
			"amqp.take.before", "amqp.take.after", "amqp.publish.before", "amqp.publish.middle",
			"amqp.mark.before", "amqp.confirm.before", "amqp.confirm.after",
			"event.before", "event.after",
		},
		Queue: func(t testing.TB, name string) {
			if _, err := channel.QueueDeclare(name, true, false, false, false, amqp091.Table{"x-max-priority": int32(9)}); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if _, err := channel.QueueDelete(name, false, false, false); err != nil {
					t.Errorf("delete queue: %v", err)
				}
			})
		},
		Drain: func(t testing.TB, queue string, priority int) []brokertest.Received {
			var messages []brokertest.Received
			var others []amqp091.Delivery
			for _, d := range append(waiting[queue], get(t, channel, queue)...) {
				if int(d.Priority) != priority {
					others = append(others, d)
					continue
				}
				id, _ := d.Headers["id"].(string)
				task, _ := d.Headers["task"].(string)
				messages = append(messages, brokertest.Received{ID: id, Task: task, Body: d.Body})
			}
			waiting[queue] = others
			return messages
		},
	}
}

func TestMain(m *testing.M) {
	// It starts the tests' own servers, for as long as the process lives.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/onebeat/onebeat/test/harness/process.startForGood.func1.1"))
}

func TestBroker(t *testing.T) {
	brokertest.Run(t, server(t))
}

func BenchmarkPublish(b *testing.B) {
	brokertest.Benchmark(b, server(b))
}

// What a worker reads of a message is all that its template says, and nothing of another's: they take turns in one map
// of headers.
func TestMessagesAreWhatTheirTemplatesSay(t *testing.T) {
	channel := connect(t, serverURL(t))
	here := queue(t, channel, nil)
	var options []string
	for _, more := range []string{
		`"priority": 5, "expires": 600, "reply_to": "somewhere", "correlation_id": "other", "time_limit": 60, "headers": {"tenant": "x", "f": 1.5, "deep": [1, {"n": 5000000000, "none": null}]}`,
		`"delivery_mode": 1, "serializer": "yaml", "stamped_headers": ["s"], "s": {"k": true}`,
		`"compression": "zlib"`,
	} {
		options = append(options, fmt.Sprintf(`{"queue": %q, %s}`, here, more))
	}
	part := batch(t, nil, options...)
	if failures, err := publish(t, open(t, broker.Options{}), part); err != nil || len(failures) > 0 {
		t.Fatalf("Publish = %v, %v", failures, err)
	}
	deliveries := get(t, channel, here)
	if len(deliveries) != len(options) {
		t.Fatalf("the queue has %d messages, want %d", len(deliveries), len(options))
	}
	for i, d := range deliveries {
		m := part.Messages[i]
		got := celery.Properties{
			ContentType: d.ContentType, ContentEncoding: d.ContentEncoding, DeliveryMode: d.DeliveryMode, Priority: d.Priority,
			CorrelationID: d.CorrelationId, ReplyTo: d.ReplyTo, Expiration: d.Expiration,
		}
		if diff := cmp.Diff(m.Template.Properties(m), got); diff != "" {
			t.Errorf("properties of %s (-want +got)\n%s", options[i], diff)
		}
		if diff := cmp.Diff(any(m.Template.Headers(m)), plain(d.Headers)); diff != "" {
			t.Errorf("headers of %s (-want +got)\n%s", options[i], diff)
		}
		if !bytes.Equal(d.Body, m.Template.Body()) {
			t.Errorf("the body of %s is %q, want %q", options[i], d.Body, m.Template.Body())
		}
	}
}

// plain is a value of a table as a template has it.
func plain(v any) any {
	switch v := v.(type) {
	case amqp091.Table:
		all := map[string]any{}
		for key, value := range v {
			all[key] = plain(value)
		}
		return all
	case []any:
		all := make([]any, len(v))
		for i, value := range v {
			all[i] = plain(value)
		}
		return all
	}
	return v
}

func TestSink(t *testing.T) { brokertest.RunSink(t, serverURL(t)) }

func TestObserver(t *testing.T) {
	channel := connect(t, serverURL(t))
	queue, exchange, words := unique("observed"), unique("topic"), celery.Exchanges{EventExchange: unique("events"), ControlExchange: unique("control")}
	defer func() {
		drop(t, channel, queue)
		for _, made := range []string{exchange, words.Events()} {
			if err := connect(t, serverURL(t)).ExchangeDelete(made, false, false); err != nil {
				t.Error(err)
			}
		}
	}()
	brokertest.RunObserver(t, serverURL(t), queue, exchange, broker.Options{Exchanges: words})
}

// A RabbitMQ that answers and does not let the user in, or has no such virtual host, is told apart from one that is away.
func TestALoginThatIsRefusedIsSaid(t *testing.T) {
	u, err := url.Parse(serverURL(t))
	if err != nil {
		t.Fatal(err)
	}
	host, known, nobody := u.Host, u.User, url.UserPassword("nobody_of_that_name", brokertest.LoginPassword)
	for _, tt := range []struct {
		name, host string
		user       *url.Userinfo
		path       string
		refused    bool
	}{
		{"another password", host, nobody, u.Path, true},
		{"no such virtual host", host, known, "/no_host_of_that_name", true},
		{"nobody answers", "127.0.0.1:1", nobody, u.Path, false},
	} {
		u.Host, u.User, u.Path = tt.host, tt.user, tt.path
		brokertest.Login(t, tt.name, u, tt.refused)
	}
}
