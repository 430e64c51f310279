// Package brokertest is the suite that every broker adapter passes, against its
// real server.
package brokertest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gofrs/uuid/v5"

	"github.com/onebeat/onebeat/internal/broker"
	"github.com/onebeat/onebeat/internal/celery"
)

// A Server is a real broker under test.
type Server struct {
	URL string

	// Queue makes a queue that a worker would read, if the broker wants that, and
	// removes it at the end of the test.
	Queue func(t testing.TB, name string)

	// Drain takes all messages of a queue and a priority, in the order in which a
	// worker would get them.
	Drain func(t testing.TB, queue string, priority int) []Received

	// Repeats is how many messages of a part may arrive twice when a connection
	// breaks in the middle of it.
	Repeats int

	// Unordered says that messages may overtake each other.
	Unordered bool

	// Points are the failpoints of the adapter.
	Points []string

	// CrashRepeats is how many messages may arrive twice when the node crashes;
	// Repeats if zero.
	CrashRepeats int

	// Suffix is what the name of each queue ends in.
	Suffix string

	// Declare lets the broker make queues.
	Declare bool

	// Transport are broker_transport_options.
	Transport map[string]any

	// Local says that there is no connection that could break or be slow: the broker
	// is files of this machine.
	Local bool
}

// A Received message is what a worker would see.
type Received struct {
	ID   string // header id
	Task string // header task
	Body []byte
	Tag  string // the delivery tag that its sender made; none on RabbitMQ
}

// ServerURL returns the server that tests use, from the environment.
func ServerURL(t testing.TB, variable string) string {
	t.Helper()
	value := os.Getenv(variable)
	if value == "" {
		t.Fatalf("%s is not set: run the tests with `make test`, or `make stack` first", variable)
	}
	return value
}

// wait bounds whatever a test waits for.
const wait = 20 * time.Second

// Run runs the suite. A node that crashes is another process that runs the same test
// up to this call, and has to come to the same server.
func Run(t *testing.T, server Server) {
	if os.Getenv(installationEnv) != "" {
		crash(t, server)
		return
	}
	suite := t.Name()
	for _, test := range []struct {
		name string
		run  func(t *testing.T, s *site)
	}{
		{"takes a large part in order", testOrder},
		{"keeps queues and priorities apart", testQueues},
		{"does not repeat a part", testRepeat},
		{"does not repeat what another cut of the batch held", testOverlap},
		{"refuses a lower term", testTerm},
		{"takes nothing from a node whose term is over", testOver},
		{"keeps the mark and its note", testMark},
		{"moves the mark without a message", testEmpty},
		{"notes what no queue takes", testFailures},
		{"keeps installations and shards apart", testInstallations},
		{"hands the shard over", testRelease},
		{"goes on after a crash", func(t *testing.T, s *site) { testCrash(t, s, suite) }},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, newSite(t, server)) })
	}
	if server.Local {
		return
	}
	for _, test := range []struct {
		name string
		run  func(t *testing.T, s *site)
	}{
		{"takes nothing from a node that was cut off", testZombie},
		{"takes nothing that a frozen node had under way", testFrozen},
		{"goes on after a cut", testCut},
		{"sends at most once after a cut", testOnceAfterCut},
		{"goes on after a lost answer", testLostAnswer},
		{"waits for a server that is down", testDown},
		{"opens before its server is up", testLateServer},
		{"waits no longer than the context", testContext},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, newSite(t, server)) })
	}
}

// A site is an installation of its own on the server, with a queue.
type site struct {
	t            *testing.T
	server       Server
	installation string
	queue        string
	seen         []string // ids that were taken from the queue
	config       *celery.Config
}

func newSite(t *testing.T, server Server) *site {
	t.Helper()
	s := &site{t: t, server: server, installation: unique(), queue: "brokertest-" + unique() + server.Suffix, config: settings(t)}
	server.Queue(t, s.queue)
	return s
}

// settings are Celery's defaults.
func settings(t testing.TB) *celery.Config {
	t.Helper()
	config, err := celery.ParseConfig(nil)
	if err != nil {
		t.Fatal(err)
	}
	return config
}

func unique() string { return uuid.Must(uuid.NewV4()).String() }

// open opens a broker that ends with the test.
func (s *site) open(rawURL string) broker.Broker {
	s.t.Helper()
	b, err := broker.Open(rawURL, broker.Options{
		Installation:     s.installation,
		TransportOptions: s.server.Transport,
		Declare:          s.server.Declare,
		Node:             "gen1@brokertest",
		Logger:           slog.New(slog.DiscardHandler),
	})
	if err != nil {
		s.t.Fatalf("Open: %v", err)
	}
	s.t.Cleanup(func() { b.Close() })
	return b
}

// through opens a broker behind a proxy.
func (s *site) through() (broker.Broker, *Proxy) {
	s.t.Helper()
	u, err := url.Parse(s.server.URL)
	if err != nil {
		s.t.Fatal(err)
	}
	proxy := NewProxy(s.t, u.Host)
	u.Host = proxy.Address()
	return s.open(u.String()), proxy
}

// taken opens a broker that has taken term 1.
func (s *site) taken() broker.Broker {
	s.t.Helper()
	b := s.open(s.server.URL)
	s.take(b, 1)
	return b
}

func (s *site) take(b broker.Broker, term int64) celery.Mark {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), wait)
	defer cancel()
	mark, err := b.Take(ctx, term)
	if err != nil {
		s.t.Fatalf("Take(%d): %v", term, err)
	}
	if mark.Beyond != 0 && mark.Beyond != celery.AllBeyond && mark.Beyond != s.server.Repeats {
		s.t.Errorf("Take(%d): %d messages beyond the mark may have arrived, want at most %d", term, mark.Beyond, s.server.Repeats)
	}
	mark.Beyond = 0
	return mark
}

func (s *site) template(options string) *celery.Template {
	s.t.Helper()
	template, err := s.config.Template(celery.Task{Name: "proj.tasks.add", Args: `[1, 2]`, Options: options})
	if err != nil {
		s.t.Fatal(err)
	}
	return template
}

// part is messages first to last-1 of a batch, to the site's queue, and the mark
// behind them.
func (s *site) part(term, seq int64, first, last int) celery.Part {
	s.t.Helper()
	template := s.template(fmt.Sprintf(`{"queue": %q}`, s.queue))
	part := celery.Part{Mark: celery.Mark{Term: term, Seq: seq, Done: last}}
	slot := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	for i := first; i < last; i++ {
		part.Messages = append(part.Messages, celery.Message{
			Template: template, ID: fmt.Sprintf("%d-%04d-%s", seq, i, s.queue), Slot: slot, At: slot, Index: i,
		})
	}
	return part
}

func ids(messages []celery.Message) []string {
	var ids []string
	for _, m := range messages {
		ids = append(ids, m.ID)
	}
	return ids
}

// publish publishes a part that must arrive at once and whole.
func (s *site) publish(b broker.Broker, part celery.Part) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), wait)
	defer cancel()
	failures, err := publishOf(ctx, b, part)
	if err != nil || len(failures) > 0 {
		s.t.Fatalf("Publish(seq %d to %d) = %v, %v", part.Mark.Seq, part.Mark.Done, failures, err)
	}
}

// publishOf publishes a copy of the part, which has other messages afterwards: an adapter that would send
// those, or events of them, reads what it has let go of.
func publishOf(ctx context.Context, b broker.Broker, part celery.Part) ([]celery.Failure, error) {
	messages := slices.Clone(part.Messages)
	part.Messages = messages
	failures, err := b.Publish(ctx, part)
	if err == nil {
		for i := range messages {
			messages[i].ID = "written over"
		}
	}
	return failures, err
}

// persist publishes a part as often as it takes, and returns what is unsure of it.
func (s *site) persist(b broker.Broker, part celery.Part) []celery.Failure {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), wait)
	defer cancel()
	pause := time.NewTicker(20 * time.Millisecond)
	defer pause.Stop()
	for {
		failures, err := publishOf(ctx, b, part)
		if err == nil && !slices.ContainsFunc(failures, func(f celery.Failure) bool { return !f.Unsure }) {
			return failures
		}
		if !errors.As(err, new(*celery.PublishError)) || ctx.Err() != nil {
			s.t.Fatalf("Publish(seq %d to %d) = %v, %v", part.Mark.Seq, part.Mark.Done, failures, err)
		}
		<-pause.C
	}
}

// received returns the ids that came to the site's queue.
func (s *site) received() []string {
	s.t.Helper()
	ids := s.seen
	s.seen = nil
	for _, message := range s.server.Drain(s.t, s.queue, 0) {
		ids = append(ids, message.ID)
	}
	return ids
}

// expect checks that exactly these came to the site's queue, in order.
func (s *site) expect(want []string) {
	s.t.Helper()
	got := s.received()
	if s.server.Unordered {
		slices.Sort(got)
		slices.Sort(want)
	}
	if !slices.Equal(got, want) {
		s.t.Errorf("queue holds %d messages %.300q, want %d %.300q", len(got), got, len(want), want)
	}
}

// expectRepeats checks that each came, and no more than the server's Repeats twice.
func (s *site) expectRepeats(want []string) {
	s.t.Helper()
	s.expectAtMost(s.server.Repeats, want)
}

func (s *site) expectAtMost(most int, want []string) {
	s.t.Helper()
	count := map[string]int{}
	got := s.received()
	for _, id := range got {
		count[id]++
	}
	for _, id := range want {
		if count[id] == 0 {
			s.t.Errorf("message %s is lost", id)
		}
	}
	if repeats := len(got) - len(count); repeats > most {
		s.t.Errorf("%d of %d messages came twice, want at most %d", repeats, len(want), most)
	}
}

func (s *site) expectFenced(b broker.Broker, part celery.Part) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), wait)
	defer cancel()
	for {
		failures, err := b.Publish(ctx, part)
		if errors.Is(err, celery.ErrFenced) {
			return
		}
		// A connection that broke meanwhile may cost one attempt.
		if !errors.As(err, new(*celery.PublishError)) || ctx.Err() != nil {
			s.t.Fatalf("Publish(term %d) = %v, %v, want ErrFenced", part.Mark.Term, failures, err)
		}
	}
}

// expectShut checks that a node whose term is over gets nothing through while
// another publishes. It may be told so, or be kept waiting.
func (s *site) expectShut(b broker.Broker, part celery.Part) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 500*time.Millisecond)
	defer cancel()
	if failures, err := b.Publish(ctx, part); err == nil {
		s.t.Errorf("Publish(term %d) = %v, nil, want an error", part.Mark.Term, failures)
	}
}

func testOrder(t *testing.T, s *site) {
	b := s.taken()
	part := s.part(1, 1, 0, 1000)
	s.publish(b, part)
	messages := s.server.Drain(t, s.queue, 0)
	var got []string
	for _, m := range messages {
		got = append(got, m.ID)
	}
	if s.server.Unordered {
		slices.Sort(got)
	}
	if want := ids(part.Messages); !slices.Equal(got, want) { // they sort as they are numbered
		t.Fatalf("queue holds %d messages, want 1000 in order", len(got))
	}
	// Workers keep what they have not acknowledged by its tag: of two with one, a message is lost with its worker.
	tagged := map[string]bool{}
	for _, m := range messages {
		if tagged[m.Tag] {
			t.Fatalf("two messages have the delivery tag %s", m.Tag)
		}
		tagged[m.Tag] = m.Tag != ""
	}
	if messages[0].Task != "proj.tasks.add" {
		t.Errorf("header task = %q", messages[0].Task)
	}
	var body []json.RawMessage
	if err := json.Unmarshal(messages[0].Body, &body); err != nil || len(body) != 3 || string(bytes.ReplaceAll(body[0], []byte(" "), nil)) != "[1,2]" {
		t.Errorf("body = %s, want [[1, 2], {}, {…}]", messages[0].Body)
	}
}

func testQueues(t *testing.T, s *site) {
	other := "brokertest-" + unique() + s.server.Suffix
	s.server.Queue(t, other)
	part := s.part(1, 1, 0, 6)
	for i, options := range []string{
		`{"queue": %q}`, `{"queue": %q, "priority": 3}`, `{"queue": %q, "priority": 9}`,
	} {
		part.Messages[i].Template = s.template(fmt.Sprintf(options, s.queue))
		part.Messages[i+3].Template = s.template(fmt.Sprintf(options, other))
	}
	s.publish(s.taken(), part)
	for first, queue := range map[int]string{0: s.queue, 3: other} {
		for i, priority := range []int{0, 3, 9} {
			got := s.server.Drain(t, queue, priority)
			if want := part.Messages[first+i].ID; len(got) != 1 || got[0].ID != want {
				t.Errorf("priority %d of queue %d = %v, want %s", priority, first, got, want)
			}
		}
	}
}

func testRepeat(t *testing.T, s *site) {
	b := s.taken()
	part := s.part(1, 1, 0, 120)
	s.publish(b, part)
	s.publish(b, part)
	s.publish(b, s.part(1, 1, 30, 60))
	s.publish(b, s.part(1, 2, 0, 1))
	s.publish(b, part)
	s.expect(append(ids(part.Messages), ids(s.part(1, 2, 0, 1).Messages)...))
}

func testOverlap(t *testing.T, s *site) {
	b := s.taken()
	s.publish(b, s.part(1, 1, 0, 10))
	s.publish(b, s.part(1, 1, 0, 20))
	s.expect(ids(s.part(1, 1, 0, 20).Messages))
}

func testTerm(t *testing.T, s *site) {
	b := s.open(s.server.URL)
	s.take(b, 2)
	s.expectFenced(b, s.part(1, 1, 0, 3))
	s.expect(nil)
	if _, err := b.Take(t.Context(), 1); !errors.Is(err, celery.ErrFenced) {
		t.Errorf("Take(1) after Take(2): %v, want ErrFenced", err)
	}
	s.take(b, 2)
	s.publish(b, s.part(2, 1, 0, 3))
	s.expect(ids(s.part(2, 1, 0, 3).Messages))
}

func testOver(t *testing.T, s *site) {
	old, young := s.taken(), s.open(s.server.URL)
	s.publish(old, s.part(1, 1, 0, 3))
	old.Release() // or it would be waited for on RabbitMQ
	if mark := s.take(young, 2); mark.Term != 1 || mark.Seq != 1 || mark.Done != 3 {
		t.Errorf("Take(2) = %+v, want the mark of term 1 at 1/3", mark)
	}
	s.expectShut(old, s.part(1, 2, 0, 3))
	s.publish(young, s.part(2, 2, 0, 2))
	s.expectShut(old, s.part(1, 2, 0, 3))
	young.Release()
	s.expectFenced(old, s.part(1, 2, 0, 3))
	s.expect(append(ids(s.part(1, 1, 0, 3).Messages), ids(s.part(2, 2, 0, 2).Messages)...))
}

func testZombie(t *testing.T, s *site) {
	old, proxy := s.through()
	s.take(old, 1)
	s.publish(old, s.part(1, 1, 0, 3))
	proxy.Down()

	young := s.open(s.server.URL)
	if mark := s.take(young, 2); mark.Term != 1 || mark.Seq != 1 || mark.Done != 3 {
		t.Errorf("Take(2) = %+v, want the mark of term 1 at 1/3", mark)
	}
	proxy.Up()
	s.expectShut(old, s.part(1, 2, 0, 3))
	s.publish(young, s.part(2, 2, 0, 2))
	young.Release()
	s.expectFenced(old, s.part(1, 2, 0, 3))
	s.expect(append(ids(s.part(1, 1, 0, 3).Messages), ids(s.part(2, 2, 0, 2).Messages)...))
}

func testFrozen(t *testing.T, s *site) {
	old, proxy := s.through()
	s.take(old, 1)
	s.publish(old, s.part(1, 1, 0, 3))
	proxy.Stall()
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	answer := make(chan error, 1)
	go func() {
		_, err := old.Publish(ctx, s.part(1, 2, 0, 200))
		answer <- err
	}()

	young := s.open(s.server.URL)
	s.take(young, 2)
	proxy.Flow()
	if err := <-answer; err == nil {
		t.Error("Publish of the old term succeeded after Take of the new")
	}
	s.expectShut(old, s.part(1, 2, 0, 200))
	s.publish(young, s.part(2, 2, 0, 2))
	young.Release()
	s.expectFenced(old, s.part(1, 2, 0, 200))
	s.expect(append(ids(s.part(1, 1, 0, 3).Messages), ids(s.part(2, 2, 0, 2).Messages)...))
}

func testMark(t *testing.T, s *site) {
	b := s.open(s.server.URL)
	if mark := s.take(b, 1); mark != (celery.Mark{}) {
		t.Errorf("Take of a new installation = %+v, want zero", mark)
	}
	part := s.part(1, 7, 0, 60)
	part.Mark.Note = strings.Repeat(`{"é": "\u0000"}`, 15_000)
	s.publish(b, part)
	if err := b.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	for term := int64(2); term < 4; term++ {
		b = s.open(s.server.URL)
		want := part.Mark
		want.Term = term - 1
		if got := s.take(b, term); got != want {
			t.Errorf("Take(%d) = %d/%d of term %d with a note of %d bytes, want %d/%d of term %d with %d bytes",
				term, got.Seq, got.Done, got.Term, len(got.Note), want.Seq, want.Done, want.Term, len(want.Note))
		}
		b.Close()
	}
}

func testEmpty(t *testing.T, s *site) {
	b := s.taken()
	s.publish(b, s.part(1, 3, 0, 2))
	s.publish(b, celery.Part{Mark: celery.Mark{Term: 1, Seq: 3, Done: 5, Note: "three were edited"}})
	if got, want := s.take(b, 1), (celery.Mark{Term: 1, Seq: 3, Done: 5, Note: "three were edited"}); got != want {
		t.Errorf("mark = %+v, want %+v", got, want)
	}
	s.publish(b, s.part(1, 3, 2, 5))
	s.expect(ids(s.part(1, 3, 0, 2).Messages))
}

// What no queue takes is noted with the mark, for whoever comes after a crash.
func testFailures(t *testing.T, s *site) {
	b := s.taken()
	part := s.part(1, 4, 0, 30)
	nowhere := s.template(`{"exchange": "brokertest-nowhere", "routing_key": "k"}`)
	want := ids(part.Messages)
	for _, i := range []int{25, 7} {
		part.Messages[i].Template = nowhere
		want = slices.Delete(want, i, i+1)
	}
	part.Noted = func(failures []celery.Failure) string {
		var places []int
		for _, failure := range failures {
			places = append(places, failure.Index)
		}
		return fmt.Sprint(places, " failed")
	}
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	failures, err := b.Publish(ctx, part)
	if err != nil || len(failures) != 2 || failures[0].Unsure {
		t.Fatalf("Publish = %+v, %v, want 2 failures", failures, err)
	}
	b.Release() // so that it reads what is left at the broker
	if got, want := s.take(b, 1), (celery.Mark{Term: 1, Seq: 4, Done: 30, Note: "[7 25] failed"}); got != want {
		t.Errorf("mark = %+v, want %+v", got, want)
	}
	s.expect(want)
}

func testInstallations(t *testing.T, s *site) {
	b := s.taken()
	s.publish(b, s.part(1, 9, 0, 1))
	other := *s
	other.installation = unique()
	b2 := other.taken()
	other.publish(b2, s.part(1, 1, 0, 2))
	s.publish(b, s.part(1, 10, 0, 1))
	s.expect(slices.Concat(ids(s.part(1, 9, 0, 1).Messages), ids(s.part(1, 1, 0, 2).Messages), ids(s.part(1, 10, 0, 1).Messages)))
}

func testCut(t *testing.T, s *site) {
	b, proxy := s.through()
	s.take(b, 1)
	for seq, after := range []int{1, 3_000, 30_000, 100_000, 250_000} {
		part := s.part(1, int64(seq+1), 0, 300)
		proxy.CutAfter(after)
		s.persist(b, part)
		s.expectRepeats(ids(part.Messages))
	}
}

// What goes at most once comes once, or is told of as unsure: no more than may come
// twice of what goes at least once. The mark notes it for whoever comes after a crash.
func testOnceAfterCut(t *testing.T, s *site) {
	b, proxy := s.through()
	s.take(b, 1)
	template := s.template(fmt.Sprintf(`{"queue": %q, "delivery": "at_most_once"}`, s.queue))
	for seq, after := range []int{3_000, 30_000, 100_000, 250_000} {
		part := s.part(1, int64(seq+1), 0, 300)
		for i := range part.Messages {
			part.Messages[i].Template = template
		}
		part.Noted = func(unsure []celery.Failure) string { return fmt.Sprint(len(unsure), " are unsure") }
		proxy.CutAfter(after)
		unsure := map[string]bool{}
		for _, failure := range s.persist(b, part) {
			if !failure.Unsure {
				t.Fatalf("Publish = %+v, want failures that are unsure", failure)
			}
			unsure[part.Messages[failure.Index].ID] = true
		}
		if len(unsure) > s.server.Repeats {
			t.Errorf("%d messages are unsure, want at most %d", len(unsure), s.server.Repeats)
		}
		note := ""
		if len(unsure) > 0 {
			note = fmt.Sprint(len(unsure), " are unsure")
		}
		b.Release() // so that it reads what is left at the broker
		if mark := s.take(b, 1); !mark.Covers(part.Mark.Seq, part.Mark.Done) || mark.Note != note {
			t.Errorf("the mark that is left is %+v, want one of batch %d with the note %q", mark, part.Mark.Seq, note)
		}
		count := map[string]int{}
		for _, id := range s.received() {
			count[id]++
		}
		for _, m := range part.Messages {
			if n := count[m.ID]; n > 1 || n == 0 && !unsure[m.ID] {
				t.Errorf("message %d came %d times; unsure: %v", m.Index, n, unsure[m.ID])
			}
		}
	}
}

func testLostAnswer(t *testing.T, s *site) {
	b, proxy := s.through()
	s.take(b, 1)
	part := s.part(1, 1, 0, 100)
	lost := proxy.Mute()
	answer := make(chan error, 1)
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	go func() {
		_, err := b.Publish(ctx, part)
		answer <- err
	}()
	select {
	case <-lost:
	case <-ctx.Done():
		t.Fatal("the server did not answer")
	}
	proxy.Up()
	proxy.Cut()
	if err := <-answer; err != nil && !errors.As(err, new(*celery.PublishError)) {
		t.Errorf("Publish: %v, want nil or a PublishError", err)
	}
	s.persist(b, part)
	s.expectRepeats(ids(part.Messages))
}

func testDown(t *testing.T, s *site) {
	b, proxy := s.through()
	s.take(b, 1)
	s.publish(b, s.part(1, 1, 0, 1))
	proxy.Down()
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	part := s.part(1, 2, 0, 10)
	_, err := b.Publish(ctx, part)
	if !errors.As(err, new(*celery.PublishError)) {
		t.Errorf("Publish to a server that is down: %v, want a PublishError", err)
	}
	if err := b.Ping(ctx); err == nil {
		t.Error("Ping of a server that is down = nil")
	}
	proxy.Up()
	s.persist(b, part)
	s.expect(append(ids(s.part(1, 1, 0, 1).Messages), ids(part.Messages)...))
	ctx, cancel = context.WithTimeout(t.Context(), wait)
	defer cancel()
	if err := b.Ping(ctx); err != nil {
		t.Errorf("Ping: %v", err)
	}
}

func testLateServer(t *testing.T, s *site) {
	u, err := url.Parse(s.server.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := NewProxy(t, u.Host)
	proxy.Down()
	u.Host = proxy.Address()
	b := s.open(u.String())
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := b.Take(ctx, 1); err == nil {
		t.Fatal("Take from a server that is down = nil")
	}
	proxy.Up()
	s.take(b, 1)
	s.publish(b, s.part(1, 1, 0, 1))
	s.expect(ids(s.part(1, 1, 0, 1).Messages))
}

func testContext(t *testing.T, s *site) {
	b, proxy := s.through()
	s.take(b, 1)
	part := s.part(1, 1, 0, 20)
	proxy.Stall()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	began := time.Now()
	if _, err := b.Publish(ctx, part); !errors.As(err, new(*celery.PublishError)) {
		t.Errorf("Publish to a server that does not answer: %v, want a PublishError", err)
	}
	if took := time.Since(began); took > 5*time.Second { // it would wait for the proxy, or for as long as a driver does by itself
		t.Errorf("Publish with 300ms to go took %v", took)
	}
	proxy.Flow()
	s.persist(b, part)
	s.expectRepeats(ids(part.Messages))
}

func testRelease(t *testing.T, s *site) {
	first := s.taken()
	s.publish(first, s.part(1, 1, 0, 1))
	first.Release()
	second := s.open(s.server.URL)
	s.take(second, 2)
	s.publish(second, s.part(2, 2, 0, 1))
	second.Release()
	s.take(first, 3)
	s.publish(first, s.part(3, 3, 0, 1))
	s.expect(slices.Concat(ids(s.part(1, 1, 0, 1).Messages), ids(s.part(2, 2, 0, 1).Messages), ids(s.part(3, 3, 0, 1).Messages)))
}

// Benchmark publishes parts of 1000 messages of about 700 bytes to one queue and
// reports messages a second.
func Benchmark(b *testing.B, server Server) {
	queue := "brokertest-" + unique() + server.Suffix
	server.Queue(b, queue)
	template, err := settings(b).Template(celery.Task{Name: "proj.tasks.add", Args: `[1, 2]`, Options: fmt.Sprintf(`{"queue": %q}`, queue)})
	if err != nil {
		b.Fatal(err)
	}
	publisher, err := broker.Open(server.URL, broker.Options{Installation: unique(), TransportOptions: server.Transport, Declare: server.Declare, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	defer publisher.Close()
	if _, err := publisher.Take(b.Context(), 1); err != nil {
		b.Fatal(err)
	}
	part := celery.Part{Mark: celery.Mark{Term: 1, Done: 1000}}
	for i := range 1000 {
		part.Messages = append(part.Messages, celery.Message{Template: template, ID: unique(), Slot: time.Now(), At: time.Now(), Index: i})
	}
	b.ReportAllocs()
	for b.Loop() {
		part.Mark.Seq++
		if _, err := publisher.Publish(b.Context(), part); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*1000/b.Elapsed().Seconds(), "msgs/s")
}
