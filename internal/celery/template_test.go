package celery

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

const (
	goldenID  = "5d6f1a2b-3c4d-4e5f-8a9b-0c1d2e3f4a5b"
	goldenTag = "0d0a0e13-9c51-4522-93d3-ef1737f3e79b"
)

var (
	// goldenTask is the entry of the golden messages, which Celery's own beat produced.
	goldenTask = Task{
		Name: "proj.tasks.add", Entry: "add-every",
		Args: `[16, "é"]`, Kwargs: `{"y": 3.5, "flag": true, "none": null}`,
		Options: `{"queue":"high","priority":5,"expires":60}`,
	}
	goldenAt = time.Date(2026, 11, 23, 8, 29, 39, 430384000, time.UTC)
)

func template(t testing.TB, settings map[string]any, task Task) *Template {
	t.Helper()
	c := config(t, settings)
	c.Origin = "gen4242@beat-1"
	made, err := c.Template(task)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func golden(t testing.TB) (*Template, Message) {
	t.Helper()
	made := template(t, nil, goldenTask)
	return made, Message{Template: made, ID: goldenID, Slot: goldenAt.Truncate(time.Second), At: goldenAt}
}

func decode(t *testing.T, text []byte) any {
	t.Helper()
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return v
}

// The envelope that Celery's beat sent, with what is meant to differ from it:
// ignore_result null, an empty reply_to, celery_beat_task (since Celery 5.7),
// onebeat_slot, and periodic_task_name as a property too.
func TestGoldenEnvelope(t *testing.T) {
	made, m := golden(t)
	got := decode(t, made.AppendEnvelope(nil, m, goldenTag)).(map[string]any)
	body, err := base64.StdEncoding.DecodeString(got["body"].(string))
	if err != nil {
		t.Fatal(err)
	}
	got["body"] = decode(t, body)
	want := decode(t, []byte(`{
		"body": [[16, "\u00e9"], {"y": 3.5, "flag": true, "none": null}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}],
		"content-encoding": "utf-8", "content-type": "application/json",
		"headers": {"lang": "py", "task": "proj.tasks.add", "id": "5d6f1a2b-3c4d-4e5f-8a9b-0c1d2e3f4a5b", "shadow": null, "eta": null,
			"expires": "2026-11-23T08:30:39.430384+00:00", "group": null, "group_index": null, "retries": 0, "timelimit": [null, null],
			"root_id": "5d6f1a2b-3c4d-4e5f-8a9b-0c1d2e3f4a5b", "parent_id": null, "argsrepr": "[16, '\u00e9']",
			"kwargsrepr": "{'y': 3.5, 'flag': True, 'none': None}", "origin": "gen4242@beat-1", "ignore_result": null,
			"replaced_task_nesting": 0, "stamped_headers": null, "stamps": {}, "celery_beat_task": true, "periodic_task_name": "add-every",
			"onebeat_slot": "2026-11-23T08:29:39.000000+00:00"},
		"properties": {"correlation_id": "5d6f1a2b-3c4d-4e5f-8a9b-0c1d2e3f4a5b", "reply_to": "",
			"delivery_mode": 2, "expiration": "60000", "delivery_info": {"exchange": "", "routing_key": "high"}, "priority": 5,
			"body_encoding": "base64", "delivery_tag": "0d0a0e13-9c51-4522-93d3-ef1737f3e79b", "periodic_task_name": "add-every"}}`))
	if diff := cmp.Diff(want, any(got)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// The same message over AMQP, with the types of a table that workers were seen
// to read.
func TestGoldenAMQP(t *testing.T) {
	made, m := golden(t)
	wantHeaders := map[string]any{
		"lang": "py", "task": "proj.tasks.add", "id": goldenID, "shadow": nil, "eta": nil,
		"expires": "2026-11-23T08:30:39.430384+00:00", "group": nil, "group_index": nil, "retries": int32(0),
		"timelimit": []any{nil, nil}, "root_id": goldenID, "parent_id": nil, "argsrepr": "[16, 'é']",
		"kwargsrepr": "{'y': 3.5, 'flag': True, 'none': None}", "origin": "gen4242@beat-1", "ignore_result": nil,
		"replaced_task_nesting": int32(0), "stamped_headers": nil, "stamps": map[string]any{}, "celery_beat_task": true,
		"periodic_task_name": "add-every", "onebeat_slot": "2026-11-23T08:29:39.000000+00:00",
	}
	if diff := cmp.Diff(wantHeaders, made.Headers(m)); diff != "" {
		t.Errorf("Headers (-want +got)\n%s", diff)
	}
	wantProperties := Properties{
		ContentType: "application/json", ContentEncoding: "utf-8", DeliveryMode: 2, Priority: 5, CorrelationID: goldenID, Expiration: "60000",
	}
	if diff := cmp.Diff(wantProperties, made.Properties(m)); diff != "" {
		t.Errorf("Properties (-want +got)\n%s", diff)
	}
	want := decode(t, []byte(`[[16, "\u00e9"], {"y": 3.5, "flag": true, "none": null}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]`))
	if diff := cmp.Diff(want, decode(t, made.Body())); diff != "" {
		t.Errorf("Body (-want +got)\n%s", diff)
	}
}

// The event that Celery sent after it, without the utcoffset.
func TestGoldenEvent(t *testing.T) {
	made, m := golden(t)
	at := time.Date(2026, 11, 23, 8, 29, 37, 771009000, time.UTC)
	event := made.AppendEvent(nil, m, "gen4242@beat-1", 4242, at)
	want := decode(t, []byte(`{"hostname": "gen4242@beat-1", "pid": 4242, "clock": 1, "uuid": "5d6f1a2b-3c4d-4e5f-8a9b-0c1d2e3f4a5b",
		"root_id": "5d6f1a2b-3c4d-4e5f-8a9b-0c1d2e3f4a5b", "parent_id": null, "name": "proj.tasks.add", "args": "[16, '\u00e9']",
		"kwargs": "{'y': 3.5, 'flag': True, 'none': None}", "retries": 0, "eta": null, "expires": "2026-11-23T08:30:39.430384+00:00",
		"queue": "high", "exchange": "", "routing_key": "high", "timestamp": 1795422577.771009, "type": "task-sent"}`))
	if diff := cmp.Diff(want, decode(t, event)); diff != "" {
		t.Errorf("AppendEvent (-want +got)\n%s", diff)
	}
	got := decode(t, AppendEventEnvelope(nil, event, Exchanges{}.Events(), "gen4242@beat-1", goldenTag))
	wantEnvelope := decode(t, fmt.Appendf(nil, `{"body": %q, "content-encoding": "utf-8", "content-type": "application/json",
		"headers": {"hostname": "gen4242@beat-1"}, "properties": {"delivery_mode": 1,
		"delivery_info": {"exchange": "celeryev", "routing_key": "task.sent"}, "priority": 0, "body_encoding": "base64",
		"delivery_tag": %q}}`, base64.StdEncoding.EncodeToString(event), goldenTag))
	if diff := cmp.Diff(wantEnvelope, got); diff != "" {
		t.Errorf("AppendEventEnvelope (-want +got)\n%s", diff)
	}
}

// Numbers reach the worker as the row wrote them.
func TestBodyKeepsTheRowsText(t *testing.T) {
	made := template(t, nil, Task{Name: "x", Args: ` [1.0, 123456789012345678901234567890, NaN, 1E2, "\ud800"] `, Kwargs: `{"a": 1, "a": 2}`})
	want := `[[1.0, 123456789012345678901234567890, NaN, 1E2, "\ud800"],{"a": 1, "a": 2},{"callbacks":null,"errbacks":null,"chain":null,"chord":null}]`
	if got := string(made.Body()); got != want {
		t.Errorf("Body = %s, want %s", got, want)
	}
}

func TestTimes(t *testing.T) {
	at := time.Date(2026, 11, 23, 12, 0, 0, 123456789, time.UTC)
	for _, tt := range []struct{ options, eta, expires, ttl string }{
		{`{"expires":60}`, "", "2026-11-23T12:01:00.123456+00:00", "60000"},
		{`{"expires":0}`, "", "2026-11-23T12:00:00.123456+00:00", "0"},
		{`{"expires":-5}`, "", "2026-11-23T11:59:55.123456+00:00", "0"},
		{`{"expires":1.5}`, "", "2026-11-23T12:00:01.623456+00:00", "1500"},
		{`{"expires":"2026-11-23T13:00:00.123456+01:00"}`, "", "2026-11-23T12:00:00.123456+00:00", "0"},
		{`{"expires":"2026-11-23T12:00:10.123456789"}`, "", "2026-11-23T12:00:10.123456+00:00", "10000"},
		{`{"expires":"2026-11-24"}`, "", "2026-11-24T00:00:00.000000+00:00", "43199876"},
		{`{"expires":"2999-01-01T00:00:00Z"}`, "", "2999-01-01T00:00:00.000000+00:00", "315360000000"},
		{`{"countdown":10}`, "2026-11-23T12:00:10.123456+00:00", "", ""},
		{`{"countdown":0,"eta":"2026-12-01T00:00:00+02:00"}`, "2026-11-30T22:00:00.000000+00:00", "", ""},
		{`{"countdown":1,"eta":"2026-12-01T00:00:00+02:00"}`, "2026-11-23T12:00:01.123456+00:00", "", ""},
	} {
		made := template(t, nil, Task{Name: "x", Options: tt.options})
		m := Message{ID: goldenID, Slot: at, At: at}
		headers := made.Headers(m)
		for key, want := range map[string]string{"eta": tt.eta, "expires": tt.expires} {
			if got, _ := headers[key].(string); got != want {
				t.Errorf("%s gives %s %q, want %q", tt.options, key, got, want)
			}
		}
		if got := made.Properties(m).Expiration; got != tt.ttl {
			t.Errorf("%s gives expiration %q, want %q", tt.options, got, tt.ttl)
		}
	}
}

func TestExpired(t *testing.T) {
	made := template(t, nil, Task{Name: "x", Options: `{"expires":"2026-11-23T12:00:00"}`})
	noon := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for at, want := range map[time.Time]bool{noon.Add(-1): false, noon: false, noon.Add(1): true} {
		if got := made.Expired(at); got != want {
			t.Errorf("Expired(%v) = %v, want %v", at, got, want)
		}
	}
	for expires, want := range map[string]bool{"1": false, "0.001": false, "0": true, "-5": true} { // from when the message is made
		if got := template(t, nil, Task{Name: "x", Options: `{"expires":` + expires + `}`}).Expired(noon.AddDate(9, 0, 0)); got != want {
			t.Errorf("Expired with expires %s = %v, want %v", expires, got, want)
		}
	}
}

func TestTemplateRefuses(t *testing.T) {
	const secret = "hunter2"
	for _, tt := range []struct {
		name string
		task Task
		want string
	}{
		{"no name", Task{}, "names no task"},
		{"args of another kind", Task{Args: `{"a":"hunter2"}`}, "args must be an array"},
		{"kwargs of another kind", Task{Kwargs: `["hunter2"]`}, "kwargs must be an object"},
		{"broken JSON", Task{Args: `["hunter2",]`}, "args is not JSON: no value at byte 11"},
		{"two values", Task{Args: `["hunter2"] []`}, "more after the end"},
		{"not UTF-8", Task{Args: "[\"hunter2\xff\"]"}, "args is not UTF-8"},
		{"a raw newline in text", Task{Args: "[\"hunter2\n\"]"}, "control character"},
		{"too deep", Task{Args: strings.Repeat("[", 600) + strings.Repeat("]", 600)}, "nested deeper"},
		{"too long an integer", Task{Args: "[" + strings.Repeat("9", 5000) + "]"}, "4300 digits"},
		{"a leading zero", Task{Args: "[01]"}, "no value at byte 3"},
		{"an empty eta", Task{Options: `{"eta":""}`}, "option eta"},
		{"an expiry that is no time", Task{Options: `{"expires":"soon"}`}, "option expires"},
		{"an expiry of another kind", Task{Options: `{"expires":true}`}, "number of seconds or a time"},
		{"a priority that is text", Task{Options: `{"priority":"high"}`}, "option priority"},
		{"a fraction of a priority", Task{Options: `{"priority":1.5}`}, "option priority"},
		{"pickle", Task{Options: `{"serializer":"pickle"}`}, "never sent"},
		{"a signature", Task{Options: `{"serializer":"auth"}`}, "not supported"},
		{"zstd", Task{Options: `{"compression":"zstd"}`}, "use zlib"},
		{"an own content type", Task{Options: `{"content_type":"x"}`}, "cannot be given"},
		{"headers that break workers", Task{Options: `{"headers":{"id":null}}`}, "must not set id"},
		{"headers of another kind", Task{Options: `{"headers":[]}`}, "must be an object"},
		{"a header that is no number", Task{Options: `{"headers":{"a":{"b":[1,NaN]}}}`}, "not finite"},
		{"a header beyond all numbers", Task{Options: `{"headers":{"a":-1e999}}`}, "not finite"},
		{"a header with a name in it that AMQP cannot carry", Task{Options: `{"headers":{"a":{"` + strings.Repeat("a", 256) + `":1}}}`}, "255 bytes"},
		{"a signature without a task", Task{Options: `{"link":{"args":[]}}`}, "option link"},
		{"a stamp that is not there", Task{Options: `{"stamped_headers":["a"]}`}, "stamped_headers"},
		{"a stamp whose name AMQP cannot carry", Task{Options: `{"stamped_headers":["` + strings.Repeat("a", 256) + `"],"` + strings.Repeat("a", 256) + `":1}`}, "255 bytes"},
		{"an integer too big for msgpack", Task{Args: "[99999999999999999999]", Options: `{"serializer":"msgpack"}`}, "beyond 64 bits"},
		{"retries that are null text", Task{Options: `{"retries":"0"}`}, "option retries"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.name != "no name" {
				tt.task.Name = "x"
			}
			_, err := config(t, nil).Template(tt.task)
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.ContainsAny(err.Error(), "\n") || strings.Contains(err.Error(), secret) {
				t.Errorf("Template: %v, want one line with %q and no argument", err, tt.want)
			}
		})
	}
}

func TestOwnHeadersAndID(t *testing.T) {
	made := template(t, nil, Task{Name: "x", Entry: "e", Options: `{"task_id":"it's \"mine\"","headers":{"n":5000000000,"f":1.0,"list":[1,null],"lang":"go"}}`})
	m := Message{ID: goldenID}
	headers := made.Headers(m)
	want := map[string]any{"n": int64(5000000000), "f": 1.0, "list": []any{int32(1), nil}, "lang": "go", "id": `it's "mine"`, "root_id": `it's "mine"`, "onebeat_slot": nil}
	for key, v := range want {
		if diff := cmp.Diff(v, headers[key]); diff != "" {
			t.Errorf("header %s (-want +got)\n%s", key, diff)
		}
	}
	if got := made.TaskID(m); got != `it's "mine"` {
		t.Errorf("TaskID = %s, want the one of the options", got)
	}
}

// An option that is null is as one that was not given, and an id that is empty too: a worker that finds these in
// headers dies of some, and cannot retry or replace the task of others.
func TestOptionsThatAreNullAreNotGiven(t *testing.T) {
	m := Message{ID: goldenID, Slot: goldenAt, At: goldenAt}
	show := func(options string) string {
		made := template(t, nil, Task{Name: "x", Options: options})
		return fmt.Sprintf("%s\n%v\n%+v", made.AppendEnvelope(nil, m, goldenTag), made.Headers(m), made.Properties(m))
	}
	plain := show("")
	options := []string{`{"task_id": ""}`, `{"root_id": ""}`}
	for _, key := range []string{
		"task_id", "root_id", "parent_id", "correlation_id", "reply_to", "origin", "argsrepr", "kwargsrepr", "shadow", "retries", "replaced_task_nesting",
		"group_id", "group_index", "ignore_result", "time_limit", "soft_time_limit", "expires", "countdown", "eta", "priority", "delivery_mode", "queue",
		"exchange", "routing_key", "serializer", "compression", "headers", "stamped_headers", "link", "link_error", "chain", "chord",
	} {
		options = append(options, fmt.Sprintf(`{%q: null}`, key))
	}
	for _, text := range options {
		if got := show(text); got != plain {
			t.Errorf("options %s make\n%s\nwant\n%s", text, got, plain)
		}
	}
}

// Whatever a row holds, it is refused or makes messages that are whole.
func FuzzTemplate(f *testing.F) {
	f.Add("x", "e", `[1,"two"]`, `{"a":1.5}`, `{"expires":60,"headers":{"a":[1]}}`)
	f.Add("x\"y", "é\\", `["\ud800",NaN]`, `{"":{}}`, `{"serializer":"yaml","task_id":"\u0000","link":{"task":"t"},"unknown":"\"}"}`)
	f.Add("x", "", ``, ``, `{"eta":"2026-01-01","countdown":-1,"stamped_headers":["s"],"s":[null],"compression":"gzip","serializer":"msgpack"}`)
	c, err := ParseConfig(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, name, entry, args, kwargs, options string) {
		made, err := c.Template(Task{Name: name, Entry: entry, Args: args, Kwargs: kwargs, Options: options})
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("an error of many lines: %v", err)
			}
			return
		}
		m := Message{ID: goldenID, Slot: goldenAt, At: goldenAt}
		for what, text := range map[string][]byte{
			"AppendEnvelope": made.AppendEnvelope(nil, m, goldenTag),
			"AppendEvent":    made.AppendEvent(nil, m, "node", 1, goldenAt),
		} {
			if v, err := parseJSON(string(text)); err != nil || !utf8.Valid(text) {
				t.Errorf("%s gives %v (%v): %q", what, v, err, text)
			}
		}
		if id, _ := made.Headers(m)["id"].(string); id == "" {
			t.Error("a message without an id kills its worker")
		}
	})
}

func TestAppendEnvelopeDoesNotAllocate(t *testing.T) {
	made, m := golden(t)
	buffer := make([]byte, 0, 4096)
	if n := testing.AllocsPerRun(100, func() { buffer = made.AppendEnvelope(buffer[:0], m, goldenTag) }); n != 0 {
		t.Errorf("AppendEnvelope allocates %v times", n)
	}
	if n := testing.AllocsPerRun(100, func() { buffer = made.AppendEvent(buffer[:0], m, "node", 1, goldenAt) }); n != 0 {
		t.Errorf("AppendEvent allocates %v times", n)
	}
	if !bytes.HasSuffix(buffer, []byte("}")) {
		t.Errorf("AppendEvent ends in %q", buffer)
	}
}

// 100,000 entries, each with arguments, a name and a header of its own, take 60 MB at most.
func TestTemplatesAreSmall(t *testing.T) {
	c := config(t, nil)
	templates := make([]*Template, 20_000)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range templates {
		var err error
		templates[i], err = c.Template(Task{
			Name: fmt.Sprintf("proj.tasks.t%d", i%20), Entry: fmt.Sprintf("send-report-to-customer-%d", i),
			Args: fmt.Sprintf(`[%d, "customer-%d"]`, i, i), Kwargs: `{"dry_run": false, "format": "pdf"}`,
			Options: fmt.Sprintf(`{"queue":"q%d","expires":3600,"headers":{"tenant":"t-%d"}}`, i%10, i),
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if each := (after.HeapAlloc - before.HeapAlloc) / uint64(len(templates)); each > 600 {
		t.Errorf("a template takes %d bytes, want 600 at most", each)
	} else {
		t.Logf("a template takes %d bytes", each)
	}
	runtime.KeepAlive(templates)
}

// Shapes that no template has any more are let go, so that edits do not pile up.
func TestShapesAreLetGo(t *testing.T) {
	c := config(t, nil)
	for i := range 1000 {
		if _, err := c.Template(Task{Name: fmt.Sprintf("task%d", i)}); err != nil {
			t.Fatal(err)
		}
	}
	left := 0
	for range 100 {
		runtime.GC()
		c.shapes.mu.Lock()
		left = len(c.shapes.known)
		c.shapes.mu.Unlock()
		if left <= maxRecent {
			return
		}
	}
	t.Errorf("%d shapes are left of 1000", left)
}

func BenchmarkAppendEnvelope(b *testing.B) {
	made, m := golden(b)
	buffer := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		buffer = made.AppendEnvelope(buffer[:0], m, goldenTag)
	}
	b.SetBytes(int64(len(buffer)))
}

func BenchmarkTemplate(b *testing.B) {
	c := config(b, nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Template(goldenTask); err != nil {
			b.Fatal(err)
		}
	}
}

// The option "delivery" is onebeat's own: it decides, and leaves no trace.
func TestDeliveryNeverGoesOnTheWire(t *testing.T) {
	for _, tt := range []struct {
		overall bool
		options string
		want    bool
	}{
		{false, ``, false},
		{false, `{"delivery": "at_most_once"}`, true},
		{false, `{"delivery": null}`, false},
		{true, ``, true},
		{true, `{"delivery": "at_least_once"}`, false},
	} {
		c := config(t, nil)
		c.AtMostOnce = tt.overall
		m := Message{ID: "id", Slot: time.Unix(0, 0), At: time.Unix(0, 0)}
		plain, err := c.Template(Task{Name: "t"})
		if err != nil {
			t.Fatal(err)
		}
		got, err := c.Template(Task{Name: "t", Options: tt.options})
		if err != nil {
			t.Fatal(err)
		}
		if got.AtMostOnce() != tt.want {
			t.Errorf("with %v overall, %s goes at most once: %v, want %v", tt.overall, tt.options, got.AtMostOnce(), tt.want)
		}
		if with, without := string(got.AppendEnvelope(nil, m, "tag")), string(plain.AppendEnvelope(nil, m, "tag")); with != without {
			t.Errorf("options %s make the envelope %s, want %s", tt.options, with, without)
		}
		if with, without := fmt.Sprint(got.Headers(m), got.Properties(m)), fmt.Sprint(plain.Headers(m), plain.Properties(m)); with != without {
			t.Errorf("options %s make the message %s, want %s", tt.options, with, without)
		}
	}
	for _, options := range []string{`{"delivery": "exactly_once"}`, `{"delivery": 1}`} {
		if _, err := config(t, nil).Template(Task{Name: "t", Options: options}); err == nil || !strings.Contains(err.Error(), "delivery") {
			t.Errorf("options %s: %v, want an error that names the option", options, err)
		}
	}
}
