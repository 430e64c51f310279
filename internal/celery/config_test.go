package celery

import (
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

func config(t testing.TB, settings map[string]any) *Config {
	t.Helper()
	c, err := ParseConfig(settings)
	if err != nil {
		t.Fatalf("ParseConfig(%v): %v", settings, err)
	}
	return c
}

func TestParseConfigReportsAllFaults(t *testing.T) {
	_, err := ParseConfig(map[string]any{
		"task_rotes": "{}", "task_protocol": 1, "task_serializer": "pickle", "task_compression": "zstd",
		"task_default_priority": "high", "task_routes": "proj.router", "task_queues": `{"q":{"exchange_typ":"topic"}}`,
	})
	if err == nil {
		t.Fatal("ParseConfig: no error")
	}
	for _, want := range []string{
		"nearest is task_routes", "task_protocol must be 2", "never sent", "use zlib", "priority must be", "routers in code", "nearest is exchange_type",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("ParseConfig: no %q in:\n%v", want, err)
		}
	}
}

// The same settings, as a decoder of JSON gives them, as text, and as YAML nodes.
func TestParseConfigForms(t *testing.T) {
	var node yaml.Node
	if err := yaml.Unmarshal([]byte("x*: {queue: P}\n'*': Q\n"), &node); err != nil {
		t.Fatal(err)
	}
	for name, settings := range map[string]map[string]any{
		"text":        {"task_routes": `{"x*":{"queue":"P"},"*":"Q"}`, "task_default_priority": "3"},
		"YAML text":   {"task_routes": "x*: {queue: P}\n'*': Q", "task_default_priority": 3},
		"YAML node":   {"task_routes": &node, "task_default_priority": 3.0},
		"list":        {"task_routes": []any{map[string]any{"x*": map[string]any{"queue": "P"}}, map[string]any{"*": "Q"}}, "task_default_priority": int64(3)},
		"order saved": {"task_routes": map[string]any{"x*": "P", "y*": "Q"}, "task_annotations": map[string]any{"x1": map[string]any{"priority": 3}}},
	} {
		t.Run(name, func(t *testing.T) {
			template, err := config(t, settings).Template(Task{Name: "x1"})
			if err != nil {
				t.Fatal(err)
			}
			if priority, given := template.Priority(); template.Route().Queue != "P" || priority != 3 || !given {
				t.Errorf("goes to %s with priority %d, %v, want P, 3, true", template.Route().Queue, priority, given)
			}
		})
	}
}

// Code in Python, and what is told of it, may have 1 for true and 0 for false.
func TestTruthsMayBeNumbers(t *testing.T) {
	c := config(t, map[string]any{"task_send_sent_event": 1, "task_ignore_result": 1, "task_create_missing_queues": 0})
	if !c.SendSentEvent {
		t.Error("task_send_sent_event of 1 is not on")
	}
	template, err := c.Template(Task{Name: "t"})
	if err != nil {
		t.Fatal(err)
	}
	if ignored := template.Headers(Message{})["ignore_result"]; ignored != true {
		t.Errorf("ignore_result is %v, want true", ignored)
	}
	if _, err := c.Template(Task{Name: "t", Options: `{"queue": "unknown"}`}); err == nil {
		t.Error("a queue that is not there is made, with task_create_missing_queues of 0")
	}
	if _, err := ParseConfig(map[string]any{"task_send_sent_event": 2}); err == nil {
		t.Error("2 is taken for true or false")
	}
}
