package sqs_test

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/onebeat/onebeat/internal/broker/brokertest"
	"github.com/onebeat/onebeat/test/harness/sqs"
)

// urlEnv tells a node that crashes where the server is.
const urlEnv = "ONEBEAT_SQS_TEST_URL"

func TestMain(m *testing.M) {
	// Nothing of the machine's own AWS is asked or used.
	for name, value := range map[string]string{
		"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
		"AWS_REGION": "", "AWS_DEFAULT_REGION": "", "AWS_PROFILE": "", "AWS_ENDPOINT_URL": "",
	} {
		os.Setenv(name, value)
	}
	goleak.VerifyTestMain(m)
}

// An envelope is what a kombu consumer reads of a message.
type envelope struct {
	Body       []byte
	Headers    struct{ ID, Task string }
	Properties struct {
		Priority    int
		DeliveryTag string `json:"delivery_tag"`
	}
}

func read(t testing.TB, body string) (e envelope) {
	t.Helper()
	text, err := base64.StdEncoding.DecodeString(body)
	if err != nil {
		text = []byte(body)
	}
	if err := json.Unmarshal(text, &e); err != nil || e.Properties.DeliveryTag == "" {
		t.Fatalf("envelope %.200s: %v", text, err)
	}
	return e
}

func drain(t testing.TB, fake *sqs.Server, queue string, priority int) (received []brokertest.Received) {
	t.Helper()
	for _, body := range fake.Bodies(queue, func(body string) bool { return read(t, body).Properties.Priority == priority }) {
		e := read(t, body)
		received = append(received, brokertest.Received{ID: e.Headers.ID, Task: e.Headers.Task, Body: e.Body, Tag: e.Properties.DeliveryTag})
	}
	return received
}

// The most that a standard queue gets twice: what is under way in 16 requests, and
// after a crash a part, of which the suite sends 200 messages.
const (
	repeats      = 16 * 10
	crashRepeats = 200
)

func server(t testing.TB, fifo bool) brokertest.Server {
	t.Helper()
	url := os.Getenv(urlEnv)
	var fake *sqs.Server
	if url == "" {
		fake = sqs.New(t)
		url = fake.URL()
		if t, ok := t.(*testing.T); ok {
			t.Setenv(urlEnv, url)
		}
	}
	suffix := ""
	if fifo {
		suffix = ".fifo"
	}
	s := brokertest.Server{
		URL:    url,
		Suffix: suffix,
		Points: []string{
			"sqs.take.before", "sqs.take.after", "sqs.publish.before", "sqs.batch.before", "sqs.batch.after",
			"sqs.publish.sent", "sqs.publish.after",
		},
		Declare: true,
		Queue:   func(testing.TB, string) {},
		Drain: func(t testing.TB, queue string, priority int) []brokertest.Received {
			return drain(t, fake, queue, priority)
		},
	}
	if !fifo {
		s.Unordered, s.Repeats, s.CrashRepeats = true, repeats, crashRepeats
	}
	return s
}

func TestBroker(t *testing.T) {
	for name, fifo := range map[string]bool{"standard": false, "FIFO": true} {
		t.Run(name, func(t *testing.T) { brokertest.Run(t, server(t, fifo)) })
	}
}

func BenchmarkPublish(b *testing.B) {
	for name, fifo := range map[string]bool{"standard": false, "FIFO": true} {
		b.Run(name, func(b *testing.B) { brokertest.Benchmark(b, server(b, fifo)) })
	}
}
