package celery

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

var heardAt = time.Date(2026, 11, 24, 9, 0, 1, 0, time.UTC)

// sentEvent is a task-sent event of Celery's as it goes over the wire.
func sentEvent(args, kwargs, more string) Delivery {
	return Delivery{Event: true, RoutingKey: "task.sent", Body: fmt.Appendf(nil,
		`{"hostname": "gen42@beat", "utcoffset": -9, "pid": 42, "clock": 1, "uuid": "u1", "root_id": "u1", "parent_id": null, "name": "t", "args": %q, "kwargs": %q, "retries": 0, "timestamp": %d.5, "type": "task-sent"%s}`,
		args, kwargs, heardAt.Unix()-1, more)}
}

func fields(all []Difference) string {
	var names []string
	for _, d := range all {
		name := d.Field
		if d.Why != "" {
			name += "*"
		}
		names = append(names, name)
	}
	return strings.Join(names, ", ")
}

// An event and the template of the entry that it came of agree, whatever Python's tuples look
// like; a planted difference is named, with its reason where it is known.
func TestDifferencesOfEvents(t *testing.T) {
	config, err := ParseConfig(nil)
	if err != nil {
		t.Fatal(err)
	}
	const here = `, "queue": "celery", "exchange": "", "routing_key": "celery", "eta": null, "expires": null`
	for _, tt := range []struct{ name, args, kwargs, options, event, want string }{
		{"no arguments", "", "", "", "()|{}|" + here, ""},
		{"a list", `[1, "a"]`, `{"b": [1, [2]]}`, "", "[1, 'a']|{'b': [1, [2]]}|" + here, ""},
		{"a tuple with one in it", `[1, [2]]`, "", "", "(1, (2,))|{}|" + here, ""},
		{"brackets and quotes in a text", `["a(,) 'b' \\"]`, "", "", `['a(,) \'b\' \']|{}|` + here, ""},
		{"other arguments", `[1]`, `{"a": 1}`, "", "[2]|{'a': 2}|" + here, "args, kwargs"},
		{"another queue", "", "", "", `()|{}|, "queue": "high", "exchange": "", "routing_key": "high", "eta": null, "expires": null`, "destination*"},
		{"expires of the class", "", "", "", `()|{}|, "exchange": "", "routing_key": "celery", "expires": "2026-11-24T09:01:00+00:00"`, "expires*"},
		{"expires of both", "", "", `{"expires": 60}`, `()|{}|, "exchange": "", "routing_key": "celery", "expires": "2026-11-24T18:01:00.4+09:00"`, ""},
		{"expires of onebeat", "", "", `{"expires": 60}`, "()|{}|" + here, "expires"},
		{"a countdown", "", "", `{"countdown": 5}`, `()|{}|, "exchange": "", "routing_key": "celery", "eta": "2026-11-24T09:00:05.5+00:00"`, ""},
	} {
		template, err := config.Template(Task{Name: "t", Args: tt.args, Kwargs: tt.kwargs, Options: tt.options})
		if err != nil {
			t.Fatal(err)
		}
		parts := strings.SplitN(tt.event, "|", 3)
		seen := Sightings(sentEvent(parts[0], parts[1], parts[2]), heardAt)
		if len(seen) != 1 {
			t.Fatalf("%s: %d sightings", tt.name, len(seen))
		}
		s := seen[0]
		if s.Way != WaySent || s.ID != "u1" || s.Sender != "gen42@beat" || s.Child || !s.At.Equal(heardAt.Add(-500*time.Millisecond)) {
			t.Errorf("%s: the sighting is %+v", tt.name, s)
		}
		if got := fields(template.Differences(s)); got != tt.want {
			t.Errorf("%s: differences %q, want %q", tt.name, got, tt.want)
		}
	}
}

// A message of the template's own has no difference; each planted one is named and no argument
// is shown.
func TestDifferencesOfMessages(t *testing.T) {
	config, err := ParseConfig(map[string]any{"task_serializer": "json"})
	if err != nil {
		t.Fatal(err)
	}
	task := Task{Name: "t", Entry: "one", Args: `[1.0, "secret"]`, Kwargs: `{"a": 12345678901234567890}`, Options: `{"priority": 3, "expires": 60, "headers": {"x": {"y": [1]}}, "queue": "q"}`}
	template, err := config.Template(task)
	if err != nil {
		t.Fatal(err)
	}
	sighting := func(t *testing.T, task Task, edit func(*Delivery)) Sighting {
		t.Helper()
		other, err := config.Template(task)
		if err != nil {
			t.Fatal(err)
		}
		d, err := ParseEnvelope(other.AppendEnvelope(nil, Message{ID: "u", Slot: heardAt, At: heardAt}, "tag"))
		if err != nil {
			t.Fatal(err)
		}
		if edit != nil {
			edit(&d)
		}
		seen := Sightings(d, heardAt)
		if len(seen) != 1 {
			t.Fatalf("%d sightings of %+v", len(seen), d)
		}
		return seen[0]
	}
	with := func(options string) Task {
		task := task
		task.Options = options
		return task
	}
	for _, tt := range []struct {
		name string
		task Task
		edit func(*Delivery)
		want string
	}{
		{"the same", task, nil, ""},
		{"an older Celery's", task, func(d *Delivery) {
			for _, name := range []string{"celery_beat_task", "stamps", "stamped_headers", "replaced_task_nesting", "onebeat_slot", "periodic_task_name"} {
				delete(d.Headers, name)
			}
			d.Headers["ignore_result"] = false
		}, ""},
		{"one that was heard of late", task, func(d *Delivery) { d.Headers["expires"] = heardAt.Add(56 * time.Second).Format(time.RFC3339) }, ""},
		{"one that expires sooner", task, func(d *Delivery) { d.Headers["expires"] = heardAt.Add(50 * time.Second).Format(time.RFC3339) }, "expires"},
		{"one that expires later", task, func(d *Delivery) { d.Headers["expires"] = heardAt.Add(63 * time.Second).Format(time.RFC3339) }, "expires"},
		{"another priority", with(`{"priority": 4, "expires": 60, "headers": {"x": {"y": [1]}}, "queue": "q"}`), nil, "priority*"},
		{"another header", with(`{"priority": 3, "expires": 60, "headers": {"x": {"y": [2]}, "z": 1}, "queue": "q"}`), nil, "header x, header z"},
		{"limits of the class", with(`{"priority": 3, "expires": 60, "headers": {"x": {"y": [1]}}, "queue": "q", "time_limit": 5, "ignore_result": true}`), nil, "header ignore_result*, header timelimit*"},
		{"a serializer", with(`{"priority": 3, "expires": 60, "headers": {"x": {"y": [1]}}, "queue": "q", "serializer": "yaml"}`), nil, "content type*"},
		{"a link", with(`{"priority": 3, "expires": 60, "headers": {"x": {"y": [1]}}, "queue": "q", "link": {"task": "u"}}`), nil, "what runs afterwards"},
		{"an integer for a float", Task{Name: "t", Entry: "one", Args: `[1, "secret"]`, Kwargs: task.Kwargs, Options: task.Options}, nil, "args"},
	} {
		s := sighting(t, tt.task, tt.edit)
		all := template.Differences(s)
		if got := fields(all); got != tt.want {
			t.Errorf("%s: differences %q, want %q", tt.name, got, tt.want)
		}
		if strings.Contains(fmt.Sprint(all), "secret") {
			t.Errorf("%s: arguments are shown: %v", tt.name, all)
		}
	}
	if s := sighting(t, task, nil); s.Entry != "one" || !s.Beat || s.Way != WayMessage {
		t.Errorf("the sighting is %+v", s)
	}
}

// What is no task message, or not understood, is no sighting; events may come many at a time.
func TestSightings(t *testing.T) {
	for body, want := range map[string]int{
		`[{"type": "task-received", "uuid": "a", "name": "t", "parent_id": "b"}, {"type": "task-started", "uuid": "a"}, {"type": "task-received", "uuid": "c", "name": "t"}]`: 2,
		`{"type": "worker-heartbeat", "uuid": "a"}`: 0, `{"type": "task-sent"}`: 0, `what`: 0, `[1]`: 0, `{"type": "task-sent", "uuid": "a", "timestamp": 1e300, "args": 5}`: 1,
	} {
		if got := Sightings(Delivery{Event: true, Body: []byte(body)}, heardAt); len(got) != want {
			t.Errorf("Sightings(%s) = %+v, want %d", body, got, want)
		}
	}
	for _, d := range []Delivery{{}, {Headers: map[string]any{"id": "a"}}, {Headers: map[string]any{"task": 5, "id": "a"}}} {
		if got := Sightings(d, heardAt); got != nil {
			t.Errorf("Sightings(%+v) = %+v, want none", d, got)
		}
	}
}
