package redis_test

import (
	"encoding/json"
	"testing"

	"github.com/redis/rueidis"
	"go.uber.org/goleak"

	"github.com/onebeat/onebeat/internal/broker"
	"github.com/onebeat/onebeat/internal/broker/brokertest"
	"github.com/onebeat/onebeat/internal/celery"
)

// envelope is what a kombu consumer reads of a list's element.
type envelope struct {
	Body       []byte         `json:"body"` // base64
	Headers    map[string]any `json:"headers"`
	Properties struct {
		DeliveryTag string `json:"delivery_tag"`
	} `json:"properties"`
}

func connect(t testing.TB, url string) rueidis.Client {
	t.Helper()
	option, err := rueidis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	option.DisableCache, option.ForceSingleClient, option.AlwaysRESP2 = true, true, true
	client, err := rueidis.NewClient(option)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// list is the key of a queue's list for a priority, as redis-cli would name it.
func list(queue string, priority int) string {
	return queue + map[int]string{0: "", 3: "\x06\x163", 6: "\x06\x166", 9: "\x06\x169"}[priority]
}

// pop takes all of a list from the end that workers BRPOP.
func pop(t testing.TB, client rueidis.Client, key string) []brokertest.Received {
	t.Helper()
	var messages []brokertest.Received
	for {
		text, err := client.Do(t.Context(), client.B().Rpop().Key(key).Build()).AsBytes()
		if rueidis.IsRedisNil(err) {
			return messages
		}
		if err != nil {
			t.Fatal(err)
		}
		var e envelope
		if err := json.Unmarshal(text, &e); err != nil || e.Properties.DeliveryTag == "" {
			t.Fatalf("envelope %s: %v", text, err)
		}
		id, _ := e.Headers["id"].(string)
		task, _ := e.Headers["task"].(string)
		messages = append(messages, brokertest.Received{ID: id, Task: task, Body: e.Body, Tag: e.Properties.DeliveryTag})
	}
}

func server(t testing.TB, url string) brokertest.Server {
	client := connect(t, url)
	return brokertest.Server{
		URL:    url,
		Points: []string{"redis.take.before", "redis.take.after", "redis.publish.before", "redis.publish.after", "event.before", "event.after"},
		Queue: func(t testing.TB, name string) {
			t.Cleanup(func() {
				for _, priority := range []int{0, 3, 6, 9} {
					client.Do(t.Context(), client.B().Del().Key(list(name, priority)).Build())
				}
			})
		},
		Drain: func(t testing.TB, queue string, priority int) []brokertest.Received {
			return pop(t, client, list(queue, priority))
		},
	}
}

func TestMain(m *testing.M) {
	// It starts the tests' own servers, for as long as the process lives.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/onebeat/onebeat/test/harness/process.startForGood.func1.1"))
}

func TestBroker(t *testing.T) {
	brokertest.Run(t, server(t, brokertest.ServerURL(t, "ONEBEAT_TEST_REDIS")))
}

func BenchmarkPublish(b *testing.B) {
	brokertest.Benchmark(b, server(b, brokertest.ServerURL(b, "ONEBEAT_TEST_REDIS")))
}

func TestSink(t *testing.T) { brokertest.RunSink(t, brokertest.ServerURL(t, "ONEBEAT_TEST_REDIS")) }

func TestObserver(t *testing.T) {
	client := connect(t, brokertest.ServerURL(t, "ONEBEAT_TEST_REDIS"))
	for _, options := range []broker.Options{
		{},
		{TransportOptions: map[string]any{"global_keyprefix": "p[*:", "fanout_prefix": "{db}x?"}, Exchanges: celery.Exchanges{EventExchange: "events[of]*", ControlExchange: "words"}},
		{TransportOptions: map[string]any{"fanout_patterns": false}},
	} {
		prefix, _ := options.TransportOptions["global_keyprefix"].(string)
		queue, exchange := unique("observed"), unique("topic")
		bindings := prefix + "_kombu.binding." + exchange
		do(t, client, "SADD", bindings, "a.b\x06\x16^a\\.b$\x06\x16"+queue) // as a worker binds its queue
		brokertest.RunObserver(t, brokertest.ServerURL(t, "ONEBEAT_TEST_REDIS"), queue, exchange, options)
		do(t, client, "DEL", bindings, prefix+queue+"\x06\x163")
	}
}
