package redis_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/gofrs/uuid/v5"
	"github.com/redis/rueidis"

	"github.com/onebeat/onebeat/internal/broker"
	"github.com/onebeat/onebeat/internal/broker/brokertest"
	"github.com/onebeat/onebeat/internal/celery"
)

// wait bounds whatever a test waits for.
const wait = 10 * time.Second

func unique(name string) string { return name + "-" + uuid.Must(uuid.NewV4()).String() }

// The embedded broker of `onebeat dev` is this.
func TestBrokerOnMiniredis(t *testing.T) {
	server := server(t, "redis://"+miniredis.RunT(t).Addr())
	server.Points = nil // a node that crashes is another process, which sees another miniredis
	brokertest.Run(t, server)
}

func open(t *testing.T, url string, options broker.Options) broker.Broker {
	t.Helper()
	if options.Installation == "" {
		options.Installation = unique("adapter")
	}
	options.Logger = slog.New(slog.DiscardHandler)
	b, err := broker.Open(url, options)
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

func do(t *testing.T, client rueidis.Client, command ...string) {
	t.Helper()
	if err := client.Do(t.Context(), client.B().Arbitrary(command...).Build()).Error(); err != nil {
		t.Fatalf("%q: %v", command, err)
	}
}

// own gives a test a miniredis of its own, and a client.
func own(t *testing.T) (string, rueidis.Client) {
	t.Helper()
	url := "redis://" + miniredis.RunT(t).Addr()
	return url, connect(t, url)
}

func TestPublishFailsOnlyWhatOneKeyRefuses(t *testing.T) {
	url := brokertest.ServerURL(t, "ONEBEAT_TEST_REDIS")
	client := connect(t, url)
	good, bad := unique("good"), unique("bad")
	do(t, client, "SET", bad, "this is no list", "EX", "60")
	part := batch(t, nil, fmt.Sprintf(`{"queue": %q}`, good), fmt.Sprintf(`{"queue": %q}`, bad), fmt.Sprintf(`{"queue": %q}`, good))
	b := open(t, url, broker.Options{})
	for range 2 { // also when it is asked again
		failures, err := publish(t, b, part)
		if err != nil || len(failures) != 1 || failures[0].Index != 1 || !strings.Contains(failures[0].Reason, "WRONGTYPE") {
			t.Fatalf("Publish = %+v, %v, want one failure, of 1, with WRONGTYPE", failures, err)
		}
	}
	if got := pop(t, client, good); len(got) != 2 {
		t.Errorf("the good queue holds %d messages, want 2", len(got))
	}
}

// The bindings are what kombu 5.6 writes for queue_bind of a topic and a direct
// exchange.
func TestPublishFollowsBindings(t *testing.T) {
	url, client := own(t)
	sep := "\x06\x16"
	do(t, client, "SADD", "_kombu.binding.tex", "a.#"+sep+`^a\..*?$`+sep+"all", "a.*"+sep+`^a\.[^\.]+$`+sep+"one", "b"+sep+"^b$"+sep+"other")
	do(t, client, "SADD", "_kombu.binding.dex", "k"+sep+sep+"direct", "l"+sep+sep+"other")
	settings := map[string]any{"task_queues": map[string]any{
		"t": map[string]any{"exchange": "tex", "exchange_type": "topic", "routing_key": "a.#"},
	}}
	part := batch(t, settings,
		`{"queue": "t", "routing_key": "a.x"}`,
		`{"queue": "t", "routing_key": "a.x.y", "priority": 6}`,
		`{"exchange": "dex", "routing_key": "k"}`,
		`{"exchange": "dex", "routing_key": "nobody"}`,
	)
	failures, err := publish(t, open(t, url, broker.Options{}), part)
	if err != nil || len(failures) != 1 || failures[0].Index != 3 || !strings.Contains(failures[0].Reason, "no queue is bound") {
		t.Fatalf("Publish = %+v, %v, want one failure, of 3", failures, err)
	}
	for key, index := range map[string]int{"all": 0, "one": 0, list("all", 6): 1, "direct": 2} {
		if got := pop(t, client, key); len(got) != 1 || got[0].ID != part.Messages[index].ID {
			t.Errorf("list %q holds %v, want message %d", key, got, index)
		}
	}
	if got := pop(t, client, "other"); len(got) != 0 {
		t.Errorf("list other holds %v, want nothing", got)
	}
	part.Mark.Seq = 2
	dead := open(t, url, broker.Options{TransportOptions: map[string]any{"deadletter_queue": "dead"}})
	if failures, err := publish(t, dead, part); err != nil || failures != nil {
		t.Fatalf("Publish with a deadletter_queue = %+v, %v", failures, err)
	}
	if got := pop(t, client, "dead"); len(got) != 1 || got[0].ID != part.Messages[3].ID {
		t.Errorf("list dead holds %v, want message 3", got)
	}
}

func TestPublishPutsThePrefixBeforeEverything(t *testing.T) {
	url, client := own(t)
	installation := unique("adapter")
	b := open(t, url, broker.Options{Installation: installation, TransportOptions: map[string]any{"global_keyprefix": "pfx:", "sep": ":", "priority_steps": []any{0, 5}}})
	if failures, err := publish(t, b, batch(t, nil, `{"queue": "high", "priority": 7}`)); err != nil || failures != nil {
		t.Fatalf("Publish = %+v, %v", failures, err)
	}
	keys, err := client.Do(t.Context(), client.B().Keys().Pattern("*").Build()).AsStrSlice()
	if err != nil || len(keys) != 2 || keys[0] != "pfx:high:5" || keys[1] != "pfx:onebeat:"+installation+":0" {
		t.Errorf("keys = %q, %v, want pfx:high:5 and the fence", keys, err)
	}
}

// subscribe returns what is published to channels that match a pattern.
func subscribe(t *testing.T, url, pattern string) <-chan rueidis.PubSubMessage {
	t.Helper()
	client := connect(t, url)
	messages := make(chan rueidis.PubSubMessage, 16)
	dedicated, release := client.Dedicate()
	t.Cleanup(release)
	ready := make(chan struct{}, 1)
	dedicated.SetPubSubHooks(rueidis.PubSubHooks{
		OnMessage:      func(m rueidis.PubSubMessage) { messages <- m },
		OnSubscription: func(rueidis.PubSubSubscription) { ready <- struct{}{} },
	})
	if err := dedicated.Do(t.Context(), dedicated.B().Psubscribe().Pattern(pattern).Build()).Error(); err != nil {
		t.Fatal(err)
	}
	<-ready
	return messages
}

func receive(t *testing.T, messages <-chan rueidis.PubSubMessage) (string, envelope) {
	t.Helper()
	select {
	case m := <-messages:
		var e envelope
		if err := json.Unmarshal([]byte(m.Message), &e); err != nil {
			t.Fatal(err)
		}
		return m.Channel, e
	case <-time.After(wait):
		t.Fatal("nothing was published")
		return "", envelope{}
	}
}

func TestPublishTellsEvents(t *testing.T) {
	url := brokertest.ServerURL(t, "ONEBEAT_TEST_REDIS") + "/8"
	events := subscribe(t, url, "/8.celeryev/*")
	queue := unique("events")
	part := batch(t, nil, fmt.Sprintf(`{"queue": %q, "expires": 60}`, queue), fmt.Sprintf(`{"queue": %q}`, queue))
	part.Events = true
	if _, err := publish(t, open(t, url, broker.Options{Node: "gen7@here"}), part); err != nil {
		t.Fatal(err)
	}
	for _, m := range part.Messages {
		channel, e := receive(t, events)
		var event struct{ Type, UUID, Hostname, Queue string }
		if err := json.Unmarshal(e.Body, &event); err != nil {
			t.Fatal(err)
		}
		if channel != "/8.celeryev/task.sent" || event.Type != "task-sent" || event.UUID != m.ID || event.Hostname != "gen7@here" || event.Queue != queue {
			t.Errorf("event on %s = %s", channel, e.Body)
		}
	}
	pop(t, connect(t, url), queue)
}

func TestPublishReachesEveryWorkerOfABroadcastQueue(t *testing.T) {
	url, _ := own(t)
	workers := subscribe(t, url, "/0.bc/*")
	part := batch(t, map[string]any{"task_queues": map[string]any{"bc": map[string]any{"broadcast": true}}}, `{"queue": "bc"}`)
	if failures, err := publish(t, open(t, url, broker.Options{}), part); err != nil || failures != nil {
		t.Fatalf("Publish = %+v, %v", failures, err)
	}
	channel, e := receive(t, workers)
	if e.Headers["id"] != part.Messages[0].ID || !strings.HasPrefix(channel, "/0.bc/") {
		t.Errorf("message on %s has id %v, want %s", channel, e.Headers["id"], part.Messages[0].ID)
	}
}

// A primary that becomes a replica keeps its connections: the broker has to leave
// them, to find the new primary behind the name.
func TestPublishLeavesAReplica(t *testing.T) {
	replica, primary := start(t), start(t)
	proxy := brokertest.NewProxy(t, replica)
	b := open(t, "redis://"+proxy.Address(), broker.Options{})
	if _, err := b.Take(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	host, port, _ := net.SplitHostPort(primary)
	do(t, connect(t, "redis://"+replica), "REPLICAOF", host, port)
	part := batch(t, nil, `{"queue": "q"}`)
	if _, err := publish(t, b, part); err == nil || !strings.Contains(err.Error(), "READONLY") {
		t.Fatalf("Publish to a replica: %v, want READONLY", err)
	}
	proxy.Lead(primary)
	if failures, err := publish(t, b, part); err != nil || failures != nil {
		t.Fatalf("Publish after the name led to the primary = %v, %v", failures, err)
	}
	if got := pop(t, connect(t, "redis://"+primary), "q"); len(got) != 1 {
		t.Errorf("the primary has %d messages, want 1", len(got))
	}
}

// A Redis that takes no messages is not reached, though it answers, and one that takes them again is at once:
// nodes would hand their shards to each other without end.
func TestPingSaysWhetherMessagesAreTaken(t *testing.T) {
	address := start(t)
	client := connect(t, "redis://"+address)
	b := open(t, "redis://"+address, broker.Options{})
	if _, err := b.Take(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	for _, state := range []struct{ name, word, begin, end string }{
		{"a replica", "READONLY", "REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE"},
		{"full", "OOM", "CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0"},
	} {
		do(t, client, strings.Fields(state.begin)...)
		if _, err := publish(t, b, batch(t, nil, `{"queue": "q"}`)); err == nil || !strings.Contains(err.Error(), state.word) {
			t.Fatalf("%s: Publish = %v, want %s", state.name, err, state.word)
		}
		for range 3 {
			if err := b.Ping(t.Context()); !errors.Is(err, celery.ErrTakesNone) || !strings.Contains(err.Error(), state.word) {
				t.Errorf("%s: Ping = %v, want celery.ErrTakesNone and %s", state.name, err, state.word)
			}
		}
		do(t, client, strings.Fields(state.end)...)
		if err := b.Ping(t.Context()); err != nil {
			t.Errorf("%s no more: Ping = %v", state.name, err)
		}
	}
	if keys, err := client.Do(t.Context(), client.B().Keys().Pattern("*").Build()).AsStrSlice(); err != nil || len(keys) != 1 {
		t.Errorf("keys = %q, %v, want the fence alone", keys, err)
	}
	do(t, client, "ACL", "SETUSER", "default", "-lpushx")
	if err := b.Ping(t.Context()); err != nil {
		t.Errorf("without the right to ask so: Ping = %v", err)
	}
	do(t, client, "ACL", "SETUSER", "default", "-client")
	if err := open(t, "redis://"+address, broker.Options{}).Ping(t.Context()); err == nil || !strings.Contains(err.Error(), "NOPERM") {
		t.Errorf("without the right to connect: Ping = %v, want NOPERM", err)
	}
}

// A user with the commands that docs/operating.md lists for sending, and no more, does all that a node does.
func TestTheListedRightsSuffice(t *testing.T) {
	text, err := os.ReadFile("../../../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	_, listed, _ := strings.Cut(string(text), "Redis: the commands ")
	listed, _, _ = strings.Cut(listed, " on\nthe queues")
	queue := unique("queue")
	acl := []string{"ACL", "SETUSER", "sends", "reset", "on", ">pw", "~" + queue, "~_kombu.binding.*", "~onebeat:*", "allchannels"}
	for _, command := range regexp.MustCompile(`\b[A-Z]{3,}( SETNAME)?\b`).FindAllString(listed, -1) {
		if command != "URL" {
			acl = append(acl, "+"+strings.ReplaceAll(strings.ToLower(command), " ", "|"))
		}
	}
	if len(acl) < 18 {
		t.Fatalf("docs/operating.md lists %q", acl)
	}
	address := start(t)
	do(t, connect(t, "redis://"+address), acl...)
	options := broker.Options{Installation: unique("rights")}
	b := open(t, "redis://sends:pw@"+address+"/1", options)
	part := batch(t, nil, fmt.Sprintf(`{"queue": %q}`, queue), fmt.Sprintf(`{"exchange": "logs", "exchange_type": "fanout", "routing_key": %q}`, queue))
	if err := b.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := b.Take(t.Context(), 1); err != nil {
		t.Error(err)
	}
	for range 2 { // also when the answer is lost, and it is asked again
		if _, err := publish(t, b, part); err != nil {
			t.Error(err)
		}
	}
	sep := "\x06\x16"
	do(t, connect(t, "redis://"+address+"/1"), "SADD", "_kombu.binding.jobs", "k"+sep+sep+"bound", "k"+sep+sep+queue, "l"+sep+sep+"other")
	routes := []celery.Route{
		{RoutingKey: queue},
		{RoutingKey: "another"},
		{Exchange: "logs", ExchangeType: "fanout"},
		{Exchange: "jobs", ExchangeType: "direct", RoutingKey: "k"},
	}
	refuses := func(want ...string) {
		t.Helper()
		got, err := broker.RefuserOf(b).Refuses(t.Context(), routes)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("Refuses = %q, %v, want %q", got, err, want)
		}
	}
	refuses("LPUSH another", "LPUSH bound")
	admin := connect(t, "redis://"+address)
	do(t, admin, "ACL", "SETUSER", "sends", "~bound", "resetchannels", "-smembers")
	refuses("LPUSH another", "PUBLISH /1.logs", "SMEMBERS _kombu.binding.jobs") // of which nothing is known then
	do(t, admin, "ACL", "SETUSER", "sends", "&/1.*", "+smembers", "resetkeys", "~onebeat:*", "~"+queue, "~another")
	refuses("SMEMBERS _kombu.binding.jobs")
	routes = routes[:2]
	behind := open(t, "redis://sends:pw@"+address+"/1", broker.Options{Installation: "i", TransportOptions: map[string]any{"global_keyprefix": "pfx:"}})
	if got, err := broker.RefuserOf(behind).Refuses(t.Context(), routes[:1]); err != nil || !slices.Contains(got, "LPUSH pfx:"+queue) {
		t.Errorf("behind a prefix Refuses = %q, %v, want LPUSH pfx:%s among them", got, err, queue)
	}
	do(t, connect(t, "redis://"+address), "ACL", "SETUSER", "sends", "-lpush", "~another")
	refuses("LPUSH "+queue, "LPUSH another")
	do(t, connect(t, "redis://"+address), "ACL", "SETUSER", "sends", "-evalsha", "+lpush")
	refuses("EVALSHA", "EVAL")
	do(t, connect(t, "redis://"+address), "ACL", "SETUSER", "sends", "+evalsha")
	refuses()
	if mark, err := open(t, "redis://sends:pw@"+address+"/1", options).Take(t.Context(), 2); err != nil || mark.Done != 2 {
		t.Errorf("Take after it = %+v, %v", mark, err)
	}
}

// start runs a Redis server of its own and returns its address.
func start(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	_, port, _ := net.SplitHostPort(address)
	server := exec.CommandContext(t.Context(), "redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", t.TempDir())
	if err := server.Start(); err != nil {
		t.Fatalf("start redis-server: %v", err)
	}
	t.Cleanup(func() {
		server.Process.Kill()
		server.Wait()
	})
	for deadline := time.Now().Add(wait); ; {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
			return address
		}
		if time.Now().After(deadline) {
			t.Fatalf("redis-server does not answer: %v", err)
		}
	}
}
