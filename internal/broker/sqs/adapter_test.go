package sqs_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gofrs/uuid/v5"

	"github.com/onebeat/onebeat/internal/broker"
	"github.com/onebeat/onebeat/internal/celery"
	"github.com/onebeat/onebeat/test/harness/sqs"
)

// wait bounds whatever a test waits for.
const wait = 20 * time.Second

func open(t *testing.T, url string, options broker.Options) broker.Broker {
	t.Helper()
	if options.Installation == "" {
		options.Installation = uuid.Must(uuid.NewV4()).String()
	}
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	b, err := broker.Open(url, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// part makes one message of each of the options.
func part(t *testing.T, settings map[string]any, options ...string) celery.Part {
	t.Helper()
	config, err := celery.ParseConfig(settings)
	if err != nil {
		t.Fatal(err)
	}
	p := celery.Part{Mark: celery.Mark{Term: 1, Seq: 1, Done: len(options)}}
	for i, text := range options {
		template, err := config.Template(celery.Task{Name: "proj.tasks.add", Options: text})
		if err != nil {
			t.Fatal(err)
		}
		p.Messages = append(p.Messages, celery.Message{Template: template, ID: fmt.Sprintf("id-%04d", i), Slot: time.Now(), At: time.Now(), Index: i})
	}
	return p
}

func publish(t *testing.T, b broker.Broker, p celery.Part) ([]celery.Failure, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	return b.Publish(ctx, p)
}

func drained(t *testing.T, fake *sqs.Server, queue string) (ids []string) {
	t.Helper()
	for _, m := range drain(t, fake, queue, 0) {
		ids = append(ids, m.ID)
	}
	slices.Sort(ids)
	return ids
}

func ids(p celery.Part) (ids []string) {
	for _, m := range p.Messages {
		ids = append(ids, m.ID)
	}
	return ids
}

func TestOpenReadsURLsAndOptions(t *testing.T) {
	for _, tt := range []struct {
		url     string
		options map[string]any
		want    string // "" is no error
	}{
		{"sqs://", nil, ""},
		{"sqs://AKIA:secret%2Fwith%2Bsigns@", nil, ""},
		{"sqs://AKIA:secret@localhost:9324", map[string]any{"region": "eu-central-1", "visibility_timeout": 3600.0, "is_secure": false}, ""},
		{"sqs://AKIA:secret/with/slashes@", nil, "%2F"},
		{"sqs://AKIA:12/secret/@", nil, "%2F"},
		{"sqs://AKIA@", nil, "without its secret"},
		{"sqs://", map[string]any{"region": 7}, "region"},
		{"sqs://", map[string]any{"visibility_timeout": "long"}, "visibility_timeout"},
		{"sqs://", map[string]any{"sqs_base64_encoding": "yes"}, "sqs_base64_encoding"},
		{"sqs://", map[string]any{"predefined_queues": map[string]any{"q": map[string]any{"secret_access_key": "secret"}}}, `"q" has none`},
		{"sqs://", map[string]any{"predefined_queues": map[string]any{"q": map[string]any{"url": "https://h/1/q.fifo"}}}, ".fifo"},
		{"sqs://", map[string]any{"predefined_queues": []any{"q"}}, "predefined_queues"},
	} {
		b, err := broker.Open(tt.url, broker.Options{TransportOptions: tt.options})
		if err == nil {
			if strings.Contains(b.String(), "secret") {
				t.Errorf("String of %s = %s", tt.url, b)
			}
			b.Close()
		}
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("Open(%s, %v): %v", tt.url, tt.options, err)
		case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "secret/") || strings.Contains(err.Error(), "AKIA")):
			t.Errorf("Open(%s, %v): %v, want %q and no secret", tt.url, tt.options, err, tt.want)
		}
	}
}

// What SQS did not take is sent again, and nothing else.
func TestPublishRepeatsNothingThatWasTaken(t *testing.T) {
	for name, disturb := range map[string]func(*sqs.Server){
		"throttled requests":        func(fake *sqs.Server) { fake.Throttle(3) },
		"entries that were refused": func(fake *sqs.Server) { fake.FailEntries(25) },
	} {
		for _, queue := range []string{"standard", "ordered.fifo"} {
			t.Run(name+", "+queue, func(t *testing.T) {
				fake := sqs.New(t)
				b := open(t, fake.URL(), broker.Options{Declare: true})
				if _, err := b.Take(t.Context(), 1); err != nil {
					t.Fatal(err)
				}
				p := part(t, nil, slices.Repeat([]string{fmt.Sprintf(`{"queue": %q}`, queue)}, 95)...)
				disturb(fake)
				fake.Advance(time.Hour)
				tries := 0
				for {
					tries++
					failures, err := publish(t, b, p)
					if err == nil && failures == nil {
						break
					}
					var unpublished *celery.PublishError
					if !errors.As(err, &unpublished) || unpublished.Unsure || tries > 10 {
						t.Fatalf("Publish = %v, %v, want a PublishError that is sure", failures, err)
					}
					fake.Advance(6 * time.Minute) // deduplication must not be what helps
				}
				if tries < 2 {
					t.Error("nothing was disturbed")
				}
				if got := drained(t, fake, queue); !slices.Equal(got, ids(p)) {
					t.Errorf("the queue holds %d messages, want each of %d once", len(got), len(p.Messages))
				}
			})
		}
	}
}

// A request without an answer may have been carried out: a standard queue has its ten
// messages twice then, a FIFO queue once.
func TestPublishIsUnsureOfWhatHadNoAnswer(t *testing.T) {
	for queue, most := range map[string]int{"standard": 10, "ordered.fifo": 0} {
		t.Run(queue, func(t *testing.T) {
			fake := sqs.New(t)
			b := open(t, fake.URL(), broker.Options{Declare: true})
			p := part(t, nil, slices.Repeat([]string{fmt.Sprintf(`{"queue": %q}`, queue)}, 40)...) // in requests of ten, in any order
			fake.LoseAnswers("SendMessageBatch", 1)
			_, err := publish(t, b, p)
			var unpublished *celery.PublishError
			if !errors.As(err, &unpublished) || unpublished.Unsure != (most > 0) {
				t.Fatalf("Publish: %v, want a PublishError that is unsure: %v", err, most > 0)
			}
			if _, err := publish(t, b, p); err != nil {
				t.Fatalf("Publish again: %v", err)
			}
			got := drained(t, fake, queue)
			if repeats := len(got) - 40; repeats != most || !slices.Equal(slices.Compact(got), ids(p)) {
				t.Errorf("the queue holds %d messages, want each of 40, and %d twice", len(got), most)
			}
		})
	}
}

// A FIFO queue takes the same slot once within five minutes, also from a node that
// knows nothing of the one before.
func TestAFIFOQueueTakesASlotOnce(t *testing.T) {
	fake := sqs.New(t)
	p := part(t, nil, slices.Repeat([]string{`{"queue": "q.fifo"}`}, 25)...)
	for _, wait := range []time.Duration{0, 4 * time.Minute, 6 * time.Minute} {
		fake.Advance(wait)
		if _, err := publish(t, open(t, fake.URL(), broker.Options{Declare: true}), p); err != nil {
			t.Fatal(err)
		}
		want := 25
		if wait == 4*time.Minute {
			want = 0
		}
		if got := drained(t, fake, "q.fifo"); len(got) != want {
			t.Errorf("after %v more the queue took %d messages, want %d", wait, len(got), want)
		}
	}
}

// Names, attributes and properties are kombu's.
func TestPublishDoesAsKombuDoes(t *testing.T) {
	fake := sqs.New(t)
	options := map[string]any{
		"queue_name_prefix": "app.", "visibility_timeout": 3600, "sqs_base64_encoding": false,
		"sqs-creation-attributes": map[string]any{"KmsMasterKeyId": "alias/aws/sqs"},
	}
	b := open(t, fake.URL(), broker.Options{Installation: "i", Declare: true, TransportOptions: options})
	if _, err := b.Take(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	p := part(t, nil, `{"queue": "a.b/c"}`, `{"queue": "a.b.fifo", "MessageGroupId": "group"}`, `{"queue": "late", "DelaySeconds": 60}`)
	if failures, err := publish(t, b, p); err != nil || failures != nil {
		t.Fatalf("Publish = %v, %v", failures, err)
	}
	if got, want := fake.Queues(), []string{"app-a-b.fifo", "app-a-b_c", "app-late", "app-onebeat-i-0"}; !slices.Equal(got, want) {
		t.Errorf("queues = %q, want %q", got, want)
	}
	for _, name := range []string{"app-a-b_c", "app-a-b.fifo"} {
		attributes := fake.Attributes(name)
		if attributes["VisibilityTimeout"] != "3600" || attributes["KmsMasterKeyId"] == "" || (attributes["FifoQueue"] == "true") != strings.HasSuffix(name, ".fifo") {
			t.Errorf("attributes of %s = %v", name, attributes)
		}
	}
	bodies := fake.Bodies("app-a-b_c", func(string) bool { return true })
	if len(bodies) != 1 || !strings.HasPrefix(bodies[0], "{") {
		t.Errorf("body = %q, want JSON", bodies)
	}
}

func TestPublishFailsWhatNoQueueTakes(t *testing.T) {
	fake := sqs.New(t)
	settings := map[string]any{"task_queues": map[string]any{"bc": map[string]any{"broadcast": true}, "g": map[string]any{}, "none": map[string]any{}, "big": map[string]any{}}}
	b := open(t, fake.URL(), broker.Options{Declare: true})
	if _, err := publish(t, b, part(t, settings, `{"queue": "g"}`, `{"queue": "big"}`)); err != nil {
		t.Fatal(err)
	}
	b = open(t, fake.URL(), broker.Options{})
	for queue, want := range map[string]bool{"g": false, "none": true} {
		if got, err := broker.FinderOf(b).Lacks(t.Context(), celery.Route{RoutingKey: queue}); err != nil || got != want {
			t.Errorf("Lacks(%s) = %v, %v, want %v", queue, got, err, want)
		}
	}
	p := part(t, settings, `{"queue": "g"}`, `{"queue": "none"}`, `{"queue": "bc"}`, `{"exchange": "e", "routing_key": "r"}`,
		fmt.Sprintf(`{"queue": "big", "headers": {"x": %q}}`, strings.Repeat("x", 900_000)), `{"queue": "big"}`)
	p.Mark.Seq = 2
	reasons := map[int]string{1: "--declare", 2: "fanout", 3: "no queue is bound", 4: "limit"}
	for range 2 { // also when it is asked again
		failures, err := publish(t, b, p)
		if err != nil || len(failures) != len(reasons) {
			t.Fatalf("Publish = %v, %v, want failures %v", failures, err, reasons)
		}
		for _, f := range failures {
			if want := reasons[f.Index]; want == "" || !strings.Contains(f.Reason, want) {
				t.Errorf("failure of %d: %s, want %q", f.Index, f.Reason, want)
			}
		}
	}
	if got := drained(t, fake, "g"); len(got) != 2 {
		t.Errorf("queue g holds %q, want 2 messages", got)
	}
	if got := drained(t, fake, "big"); len(got) != 2 {
		t.Errorf("queue big holds %q, want 2 messages", got)
	}
}

// SQS has the mark and its answer is lost: what no queue takes has failed all the same.
func TestWhatNoQueueTakesFailsThoughTheMarksAnswerIsLost(t *testing.T) {
	fake := sqs.New(t)
	installation := uuid.Must(uuid.NewV4()).String()
	if _, err := publish(t, open(t, fake.URL(), broker.Options{Declare: true, Installation: installation}), part(t, nil, `{"queue": "good"}`)); err != nil {
		t.Fatal(err)
	}
	b := open(t, fake.URL(), broker.Options{Installation: installation})
	p := part(t, nil, `{"queue": "good"}`, `{"queue": "missing"}`, `{"queue": "good"}`)
	p.Mark.Seq = 2
	fake.LoseAnswers("SendMessage", 1)
	if _, err := publish(t, b, p); err == nil {
		t.Fatal("Publish = nil, want an error: the mark's answer was lost")
	}
	failures, err := publish(t, b, p)
	if err != nil || len(failures) != 1 || failures[0].Index != 1 {
		t.Errorf("Publish again = %+v, %v, want one failure, of 1", failures, err)
	}
	if got := drained(t, fake, "good"); len(got) != 3 {
		t.Errorf("the good queue holds %q, want 3 messages", got)
	}
}

// A queue that SQS refuses to this user, or that can have no such name, stops no other.
func TestPublishFailsOnlyWhatIsRefusedForItsQueue(t *testing.T) {
	fake := sqs.New(t)
	long := strings.Repeat("q", 81)
	b := open(t, fake.URL(), broker.Options{Declare: true})
	if _, err := publish(t, b, part(t, nil, `{"queue": "good"}`, `{"queue": "theirs"}`)); err != nil {
		t.Fatal(err)
	}
	fake.Deny("theirs", "AccessDenied")
	fake.Deny("looked-up", "AccessDeniedException")
	fake.Deny("encrypted", "KmsNotFound")
	p := part(t, nil, `{"queue": "good"}`, `{"queue": "theirs"}`, fmt.Sprintf(`{"queue": %q}`, long), `{"queue": "looked-up"}`, `{"queue": "größe"}`, `{"queue": "theirs"}`, `{"queue": "encrypted"}`, `{"queue": "good"}`)
	p.Mark.Seq = 2
	for range 2 { // also when it is asked again
		failures, err := publish(t, b, p)
		if err != nil || len(failures) != 6 {
			t.Fatalf("Publish = %v, %v, want failures of all but the good queue", failures, err)
		}
		for _, f := range failures {
			if f.Unsure || !strings.Contains(f.Reason, "refuses") {
				t.Errorf("failure of %d: %+v, want one that is sure, and says that SQS refuses", f.Index, f)
			}
		}
	}
	if got := drained(t, fake, "good"); len(got) != 3 {
		t.Errorf("the good queue holds %q, want 3 messages", got)
	}
	fake.Deny("theirs", "") // it was given
	p = part(t, nil, `{"queue": "theirs"}`)
	p.Mark.Seq = 3
	if failures, err := publish(t, b, p); err != nil || failures != nil {
		t.Errorf("Publish = %v, %v once the right is given", failures, err)
	}
	for _, code := range []string{"RequestThrottled", "InvalidClientTokenId", "KmsThrottled"} { // which passes, or is no queue's matter
		fake.Deny("theirs", code)
		p.Mark.Seq++
		if failures, err := publish(t, b, p); err == nil {
			t.Errorf("Publish = %v, nil where SQS says %s, want an error, for it is to be tried again", failures, code)
		}
	}
}

// With predefined queues nothing is made or looked up, and the mark is in the one
// that is named for it.
func TestPredefinedQueues(t *testing.T) {
	fake := sqs.New(t)
	maker := open(t, fake.URL(), broker.Options{Installation: "i", Declare: true})
	if _, err := publish(t, maker, part(t, nil, `{"queue": "g"}`)); err != nil {
		t.Fatal(err)
	}
	drained(t, fake, "g")
	queues := map[string]any{"g": map[string]any{"url": fake.QueueURL("g"), "region": "eu-west-1", "access_key_id": "k", "secret_access_key": "s"}}
	options := broker.Options{Installation: "i", Declare: true, TransportOptions: map[string]any{"predefined_queues": queues}}
	var log strings.Builder
	for _, fenced := range []bool{false, true} {
		log.Reset()
		options.Logger = slog.New(slog.NewTextHandler(io.Writer(&log), nil))
		if fenced {
			queues["onebeat"] = map[string]any{"url": fake.QueueURL("onebeat-i-0")}
		}
		b := open(t, fake.URL(), options)
		if err := b.Ping(t.Context()); err != nil {
			t.Errorf("Ping: %v", err)
		}
		if _, err := b.Take(t.Context(), 5); err != nil {
			t.Fatal(err)
		}
		p := part(t, nil, `{"queue": "g"}`, `{"queue": "other"}`)
		p.Mark.Term, p.Mark.Seq = 5, 7
		failures, err := publish(t, b, p)
		if err != nil || len(failures) != 1 || !strings.Contains(failures[0].Reason, "predefined_queues") {
			t.Fatalf("Publish = %v, %v, want one failure", failures, err)
		}
		if got := drained(t, fake, "g"); len(got) != 1 {
			t.Errorf("queue g holds %q, want 1 message", got)
		}
		if warned := strings.Contains(log.String(), "nothing is fenced"); warned == fenced {
			t.Errorf("with the mark's queue %v the log says %q", fenced, log.String())
		}
	}
	late := open(t, fake.URL(), options)
	if mark, err := late.Take(t.Context(), 6); err != nil || mark.Seq != 7 || mark.Term != 5 {
		t.Errorf("Take = %+v, %v, want the mark of term 5 at 7", mark, err)
	}
	options.Installation = uuid.Must(uuid.NewV4()).String()
	if mark, err := open(t, fake.URL(), options).Take(t.Context(), 7); err == nil || !strings.Contains(err.Error(), "another installation") {
		t.Errorf("Take where another installation keeps its mark = %+v, %v", mark, err)
	}
	queues["onebeat"] = map[string]any{"url": fake.QueueURL("g")} // which hides what is read
	if _, err := open(t, fake.URL(), options).Take(t.Context(), 7); err == nil || !strings.Contains(err.Error(), "set it to 0") {
		t.Errorf("Take with a queue that hides: %v", err)
	}
}

// An SQS that answers and does not know the key is told apart from one that is away, or
// that withholds a right.
func TestALoginThatIsRefusedIsSaid(t *testing.T) {
	fake := sqs.New(t)
	predefined := broker.Options{TransportOptions: map[string]any{"predefined_queues": map[string]any{"q": map[string]any{"url": fake.QueueURL("q")}}}}
	for _, tt := range []struct {
		name, url, code string
		refused         bool
	}{
		{"no such key", fake.URL(), "InvalidClientTokenId", true},
		{"no such key, in newer words", fake.URL(), "UnrecognizedClientException", true},
		{"another secret", fake.URL(), "SignatureDoesNotMatch", true},
		{"a right is wanting", fake.URL(), "AccessDenied", false},
		{"throttled", fake.URL(), "ThrottlingException", false},
		{"nobody answers", "sqs://key:secret@127.0.0.1:1", "", false},
	} {
		for _, options := range []broker.Options{{}, predefined} {
			fake.Refuse(tt.code)
			b := open(t, tt.url, options)
			ctx, cancel := context.WithTimeout(t.Context(), wait)
			err := b.Ping(ctx)
			cancel()
			if tt.url != fake.URL() && options.TransportOptions != nil {
				continue // its queues are elsewhere
			}
			if errors.Is(err, celery.ErrLogin) != tt.refused || err == nil || strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "secret") {
				t.Errorf("%s: Ping = %v, want celery.ErrLogin: %v, in one line, without the secret", tt.name, err, tt.refused)
			}
		}
	}
	fake.Refuse("")
	if err := open(t, fake.URL(), broker.Options{}).Ping(t.Context()); err != nil {
		t.Errorf("Ping = %v once it serves", err)
	}
}
