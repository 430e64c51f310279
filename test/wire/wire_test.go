// Package wire holds what onebeat puts on the wire against Celery itself.
//
// Real Celery is asked what its beat would send for thousands of random entries
// under random settings, and its own message class reads what onebeat sends for
// the same. Both must say the same, outside the differences that are intended:
//
//   - ids, the delivery tag and the sender's name differ by nature;
//   - periodic_task_name and onebeat_slot are onebeat's own;
//   - ignore_result is null where nobody asked, also for Celery before 5.6.3,
//     which says false: later workers take a false for an order to keep results;
//   - a message without any routing key is refused, where Celery sends it to be lost;
//   - a task class with a soft time limit beyond its hard one is sent all the same;
//   - a serializer in a route counts also for tasks that Celery has code of;
//   - reply_to is empty: onebeat waits for no results;
//   - times have six digits of fraction and +00:00, for the oldest workers;
//   - an event has no utcoffset, by which receivers would shift its time.
package wire

import (
	"bufio"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/onebeat/onebeat/internal/celery"
)

//go:embed oracle.py
var oracle string

// A question is one entry under some settings, and what onebeat makes of it.
type question struct {
	Config     string   `json:"config"`
	Registered []string `json:"registered,omitempty"` // tasks that Celery knows
	Task       string   `json:"task"`
	Args       string   `json:"args"`
	Kwargs     string   `json:"kwargs"`
	Options    string   `json:"options"`
	At         float64  `json:"at"`
	Ours       string   `json:"ours,omitempty"`
	Event      string   `json:"event,omitempty"`
}

// A message is a worker's reading of an envelope: Python's repr of each value.
type message struct {
	Body            string            `json:"body"`
	ContentType     string            `json:"content_type"`
	ContentEncoding string            `json:"content_encoding"`
	Headers         map[string]string `json:"headers"`
	Properties      map[string]string `json:"properties"`
}

type declaration struct {
	Queue           string         `json:"queue"`
	Exchange        string         `json:"exchange"`
	Type            string         `json:"type"`
	RoutingKey      string         `json:"routing_key"`
	Durable         bool           `json:"durable"`
	AutoDelete      bool           `json:"auto_delete"`
	ExchangeDurable bool           `json:"exchange_durable"`
	Arguments       map[string]any `json:"arguments"`
}

type reply struct {
	Error      string            `json:"error"`
	Celery     *message          `json:"celery"`
	Ours       *message          `json:"ours"`
	Exchange   string            `json:"exchange"`
	RoutingKey string            `json:"routing_key"`
	Declared   *declaration      `json:"declared"`
	Event      map[string]string `json:"event"`
	OurEvent   map[string]string `json:"our_event"`
}

func python(t *testing.T, name string) string {
	t.Helper()
	path := os.Getenv(name)
	if path == "" {
		t.Fatalf("%s is not set: run the tests with `make test`, or `make stack` first", name)
	}
	return path
}

// ask runs the oracle over all questions and hands each reply over in order.
func ask(t *testing.T, python string, questions func(version string) []question, each func(version string, q question, r reply)) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), python, "-c", oracle)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	var version [2]int
	if err := json.NewDecoder(strings.NewReader(line(t, lines))).Decode(&version); err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("%d.%d", version[0], version[1])
	all := questions(name)
	written := make(chan error, 1)
	go func() { written <- write(in, all) }()
	for _, q := range all {
		var r reply
		if err := json.Unmarshal([]byte(line(t, lines)), &r); err != nil {
			t.Fatal(err)
		}
		each(name, q, r)
	}
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
}

func line(t *testing.T, r *bufio.Reader) string {
	t.Helper()
	text, err := r.ReadString('\n')
	if err != nil {
		t.Fatalf("the oracle ended early (its Python needs celery, PyYAML and msgpack): %v", err)
	}
	return text
}

func write(to io.WriteCloser, questions []question) error {
	encoder := json.NewEncoder(to)
	for _, q := range questions {
		if err := encoder.Encode(q); err != nil {
			return err
		}
	}
	return to.Close()
}

// settings decodes a configuration, leaving structures as text, whose order of
// keys counts.
func settings(t *testing.T, config string) map[string]any {
	t.Helper()
	var raw map[string]json.RawMessage
	if err := json.Unmarshal([]byte(config), &raw); err != nil {
		t.Fatal(err)
	}
	decoded := make(map[string]any)
	for name, text := range raw {
		if text[0] == '{' || text[0] == '[' {
			decoded[name] = string(text)
			continue
		}
		var v any
		if err := json.Unmarshal(text, &v); err != nil {
			t.Fatal(err)
		}
		decoded[name] = v
	}
	return decoded
}

const (
	taskID = "5d6f1a2b-3c4d-4e5f-8a9b-0c1d2e3f4a5b"
	tag    = "0d0a0e13-9c51-4522-93d3-ef1737f3e79b"
	cases  = 3000
)

var at = time.Date(2026, 11, 23, 8, 29, 37, 760389000, time.UTC)

func TestNewestCeleryAgrees(t *testing.T) { agrees(t, python(t, "ONEBEAT_TEST_PYTHON")) }
func TestOldestCeleryAgrees(t *testing.T) { agrees(t, python(t, "ONEBEAT_TEST_PYTHON52")) }

func agrees(t *testing.T, python string) {
	compared := 0
	var templates []*celery.Template
	var faults []error
	ask(t, python, func(version string) []question {
		questions := generate(rand.New(rand.NewPCG(1, 2)), cases, version)
		configs := make(map[string]*celery.Config)
		for i := range questions {
			q := &questions[i]
			if configs[q.Config] == nil {
				c, err := celery.ParseConfig(settings(t, q.Config))
				if err != nil {
					t.Fatalf("ParseConfig(%s): %v", q.Config, err)
				}
				configs[q.Config] = c
			}
			template, err := configs[q.Config].Template(celery.Task{Name: q.Task, Entry: "entry", Args: q.Args, Kwargs: q.Kwargs, Options: q.Options})
			templates, faults = append(templates, template), append(faults, err)
			q.At = float64(at.UnixMicro()) / 1e6
			if err == nil {
				m := celery.Message{Template: template, ID: taskID, Slot: at, At: at}
				q.Ours = string(template.AppendEnvelope(nil, m, tag))
				checkTable(t, *q, template.Headers(m))
				q.Event = string(template.AppendEvent(nil, m, "onebeat@host", 1, at))
			}
		}
		return questions
	}, func(version string, q question, r reply) {
		template, fault := templates[0], faults[0]
		templates, faults = templates[1:], faults[1:]
		lost := r.Celery != nil && r.Exchange == "" && r.RoutingKey == "" // Celery sends it, to no queue
		if r.Error != "" || fault != nil {
			refused := strings.Contains(r.Error, "soft_time_limit must be less")
			if fault == nil && !refused || r.Error == "" && !lost {
				t.Errorf("%s\nours %v\nCelery %s: %v", show(q), fault, version, r.Error)
			}
			return
		}
		compared++
		if diff := compare(version, q, r, template); diff != "" {
			t.Errorf("%s\n(-Celery %s +ours)\n%s", show(q), version, diff)
		}
	})
	if compared < cases*9/10 {
		t.Errorf("only %d of %d entries were sent by both", compared, cases)
	}
}

// checkTable holds the headers for AMQP against those of the envelope.
func checkTable(t *testing.T, q question, table map[string]any) {
	t.Helper()
	text, err := json.Marshal(table)
	if err != nil {
		t.Errorf("%s\nHeaders: %v", show(q), err)
		return
	}
	var got map[string]any
	var want struct{ Headers map[string]any }
	if err := errors.Join(json.Unmarshal(text, &got), json.Unmarshal([]byte(q.Ours), &want)); err != nil {
		t.Errorf("%s\n%v", show(q), err)
	}
	if diff := cmp.Diff(want.Headers, got); diff != "" {
		t.Errorf("%s\n(-envelope +AMQP)\n%s", show(q), diff)
	}
}

func show(q question) string {
	return fmt.Sprintf("settings %s\ntask %s %q\nargs %s\nkwargs %s\noptions %s", q.Config, q.Task, q.Registered, q.Args, q.Kwargs, q.Options)
}

// A whole is all that is compared of one message.
type whole struct {
	Message              message
	Exchange, RoutingKey string
	Declared             *declaration
	Event                map[string]string
}

func compare(version string, q question, r reply, template *celery.Template) string {
	route := template.Route()
	theirs := whole{
		Message: normal(*r.Celery, r.Celery.Headers["id"]), Exchange: r.Exchange, RoutingKey: r.RoutingKey,
		Declared: r.Declared, Event: event(r.Event, r.Celery.Headers["id"]),
	}
	ours := whole{
		Message: normal(*r.Ours, r.Ours.Headers["id"]), Exchange: route.Exchange, RoutingKey: route.RoutingKey,
		Declared: declared(route.Declare),
	}
	if r.Event != nil {
		ours.Event = event(r.OurEvent, r.Ours.Headers["id"])
	}
	for _, key := range []string{"onebeat_slot", "periodic_task_name"} {
		if _, given := theirs.Message.Headers[key]; !given {
			delete(ours.Message.Headers, key)
		}
		if _, given := theirs.Message.Properties[key]; !given {
			delete(ours.Message.Properties, key)
		}
	}
	if !strings.Contains(q.Options, `"reply_to"`) {
		theirs.Message.Properties["reply_to"] = "''"
	}
	if theirs.Message.Headers["ignore_result"] == "False" && !strings.Contains(q.Options, "ignore_result") {
		theirs.Message.Headers["ignore_result"] = "None"
	}
	if !strings.Contains(q.Options, `"origin"`) || version == "5.2" {
		delete(ours.Message.Headers, "origin")
		delete(theirs.Message.Headers, "origin")
	}
	for _, since := range []string{"replaced_task_nesting", "stamped_headers", "stamps", "celery_beat_task"} {
		if _, known := theirs.Message.Headers[since]; !known && version == "5.2" {
			delete(ours.Message.Headers, since)
		}
	}
	if version == "5.2" && strings.Contains(theirs.Message.Headers["argsrepr"]+theirs.Message.Headers["kwargsrepr"], "...") {
		for _, key := range []string{"argsrepr", "kwargsrepr"} { // it cut reprs in another way
			delete(ours.Message.Headers, key)
			delete(theirs.Message.Headers, key)
		}
		delete(ours.Event, "args")
		delete(ours.Event, "kwargs")
		delete(theirs.Event, "args")
		delete(theirs.Event, "kwargs")
	}
	return cmp.Diff(theirs, ours)
}

// normal takes out of a message what differs by nature.
func normal(m message, id string) message {
	headers := make(map[string]string)
	for key, v := range m.Headers {
		headers[key] = instant(key, strings.ReplaceAll(v, id, "(id)"))
	}
	properties := make(map[string]string)
	for key, v := range m.Properties {
		properties[key] = strings.ReplaceAll(v, id, "(id)")
	}
	delete(properties, "delivery_tag")
	m.Headers, m.Properties = headers, properties
	return m
}

// instant writes the two times of a message in one form.
func instant(key, v string) string {
	if key != "eta" && key != "expires" {
		return v
	}
	text := strings.Trim(v, "'")
	for _, layout := range []string{"2006-01-02T15:04:05Z07:00", "2006-01-02T15:04:05", "2006-01-02"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC().Format(time.RFC3339Nano)
		}
	}
	return v
}

func event(e map[string]string, id string) map[string]string {
	if e == nil {
		return nil
	}
	kept := make(map[string]string)
	for key, v := range e {
		switch key {
		case "hostname", "utcoffset", "pid", "clock", "timestamp":
		case "queue":
			if strings.HasPrefix(v, "'bcast.") {
				v = "'bc'" // each producer makes a name up
			}
			kept[key] = v
		default:
			kept[key] = instant(key, strings.ReplaceAll(v, id, "(id)"))
		}
	}
	return kept
}

func declared(q *celery.Queue) *declaration {
	if q == nil {
		return nil
	}
	arguments := make(map[string]any)
	text, _ := json.Marshal(q.Arguments)
	_ = json.Unmarshal(text, &arguments)
	return &declaration{
		Queue: q.Name, Exchange: q.Exchange.Name, Type: q.Exchange.Type, RoutingKey: q.RoutingKey,
		Durable: q.Durable, AutoDelete: q.AutoDelete, ExchangeDurable: q.Exchange.Durable, Arguments: nonNil(arguments),
	}
}

func nonNil(m map[string]any) map[string]any {
	if m == nil {
		return map[string]any{}
	}
	return m
}
