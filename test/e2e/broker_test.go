package e2e

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/redis/rueidis"

	"github.com/onebeat/onebeat/test/harness"
)

// The kinds of brokers.
const (
	redis    = "Redis"
	rabbitmq = "RabbitMQ"
	virtual  = "another of kombu's transports"
)

// A broker is queues of a test's own on a server: on Redis under a prefix, which
// the workers have to know too, on RabbitMQ by their names. A virtual one is the
// test's own as a whole.
type broker struct {
	kind string
	url  string
	own  string // what names begin with

	transport map[string]any // broker_transport_options of a virtual one
	suffix    string         // what names end in

	redis    rueidis.Client
	database *database // that the queues are tables of
	taken    []message // off RabbitMQ's queues so far
	queues   []string
}

func newBroker(t *testing.T, kind string) *broker {
	t.Helper()
	if kind == redis {
		return openRedis(t, harness.Env(t, "ONEBEAT_TEST_REDIS"))
	}
	return openRabbitMQ(harness.Env(t, "ONEBEAT_TEST_RABBITMQ"))
}

func openRedis(t *testing.T, url string) *broker {
	t.Helper()
	option, err := rueidis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	option.DisableCache = true
	client, err := rueidis.NewClient(option)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return &broker{kind: redis, url: url, own: "e2e-" + newID()[:8] + ":", redis: client}
}

func openRabbitMQ(url string) *broker {
	return &broker{kind: rabbitmq, url: url, own: "e2e-" + newID()[:8] + "."}
}

// queue is the name of a queue as onebeat and the workers have it.
func (b *broker) queue(name string) string {
	if b.kind == rabbitmq {
		return b.own + name
	}
	return name + b.suffix
}

// settings are Celery's settings that make onebeat and workers use the queues.
func (b *broker) settings() map[string]any {
	settings := map[string]any{
		"task_default_queue": b.queue("default"),
		"task_routes":        map[string]any{"fetch_listed_info_task": map[string]any{"queue": b.queue("priority")}},
	}
	switch {
	case b.kind == redis:
		settings["broker_transport_options"] = map[string]any{"global_keyprefix": b.own}
	case b.transport != nil:
		settings["broker_transport_options"] = b.transport
	}
	return settings
}

// channel runs do on a channel of RabbitMQ.
func (b *broker) channel(do func(*amqp.Channel) error) error {
	conn, err := amqp.Dial(b.url)
	if err != nil {
		return err
	}
	defer conn.Close()
	channel, err := conn.Channel()
	if err != nil {
		return err
	}
	return do(channel)
}

// declare makes the queues that no worker makes: those of which the test itself
// takes what arrives.
func (b *broker) declare(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		b.queues = append(b.queues, b.queue(name))
	}
	if b.kind != rabbitmq {
		return
	}
	err := b.channel(func(channel *amqp.Channel) error {
		for _, queue := range b.queues {
			if _, err := channel.QueueDeclare(queue, true, false, false, false, nil); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatalf("declare queues: %v", err)
	}
}

// remove deletes what the test left on the server, with the mark of the installation.
func (b *broker) remove(t *testing.T, installation string) {
	t.Helper()
	if b.kind == virtual || b.kind == oneDatabase {
		return
	}
	queues := []string{b.queue("default"), b.queue("priority"), "onebeat." + installation + ".0.steps", "onebeat." + installation + ".0.mark"}
	if b.kind == rabbitmq {
		err := b.channel(func(channel *amqp.Channel) error {
			for _, queue := range queues {
				if _, err := channel.QueueDelete(queue, false, false, false); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Logf("remove queues: %v", err)
		}
		return
	}
	ctx := context.Background() // the test's own is over when it cleans up
	keys, err := b.redis.Do(ctx, b.redis.B().Keys().Pattern(b.own+"*").Build()).AsStrSlice()
	if err == nil && len(keys) > 0 {
		err = b.redis.Do(ctx, b.redis.B().Del().Key(keys...).Build()).Error()
	}
	if err != nil {
		t.Logf("remove keys: %v", err)
	}
}

// A message is a task message in a queue.
type message struct {
	ID    string `json:"id"`
	Task  string `json:"task"`
	Entry string `json:"periodic_task_name"`
	Slot  string `json:"onebeat_slot"`
}

// messages returns all that ever lay in the declared queues, which nobody else reads.
func (b *broker) messages(t *testing.T) []message {
	t.Helper()
	switch b.kind {
	case redis:
		return b.listed(t)
	case oneDatabase:
		return b.rows(t)
	}
	err := b.channel(func(channel *amqp.Channel) error {
		for _, queue := range b.queues {
			for {
				delivery, some, err := channel.Get(queue, true)
				if err != nil {
					return err
				}
				if !some {
					break
				}
				text := func(name string) string { value, _ := delivery.Headers[name].(string); return value }
				b.taken = append(b.taken, message{text("id"), text("task"), text("periodic_task_name"), text("onebeat_slot")})
			}
		}
		return nil
	})
	if err != nil {
		t.Fatalf("take messages: %v", err)
	}
	return b.taken
}

// listed reads Redis's lists, one for each of kombu's steps of priority.
func (b *broker) listed(t *testing.T) []message {
	t.Helper()
	var all []message
	for _, queue := range b.queues {
		for _, step := range []string{"", "\x06\x163", "\x06\x166", "\x06\x169"} {
			texts, err := b.redis.Do(t.Context(), b.redis.B().Lrange().Key(b.own+queue+step).Start(0).Stop(-1).Build()).AsStrSlice()
			if err != nil {
				t.Fatalf("read list %s: %v", queue, err)
			}
			for _, text := range texts {
				var envelope struct{ Headers message }
				if err := json.Unmarshal([]byte(text), &envelope); err != nil {
					t.Fatalf("read message: %v", err)
				}
				all = append(all, envelope.Headers)
			}
		}
	}
	return all
}

// arrivals reads messages as arrivals.
func (b *broker) arrivals(t *testing.T) []arrival {
	t.Helper()
	messages := b.messages(t)
	all := make([]arrival, len(messages))
	for i, m := range messages {
		all[i] = arrival{entry: m.Entry, slot: slotOf(t, m.Slot), id: m.ID}
	}
	return all
}

// slotOf reads the header onebeat_slot.
func slotOf(t *testing.T, text string) time.Time {
	t.Helper()
	slot, err := time.Parse("2006-01-02T15:04:05.000000+00:00", text)
	if err != nil {
		t.Fatalf("the header onebeat_slot is %q", text)
	}
	return slot.UTC()
}
