package redis

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/onebeat/onebeat/internal/celery"
)

// A message is rendered into the one buffer and sent from there: what remains of
// it is its share of a few slices and its delivery tag, less than its text.
func TestRenderingMakesLittleGarbage(t *testing.T) {
	config, err := celery.ParseConfig(nil)
	if err != nil {
		t.Fatal(err)
	}
	template, err := config.Template(celery.Task{Name: "bench.tasks.report", Args: `["daily", 1]`})
	if err != nil {
		t.Fatal(err)
	}
	const messages, most = 1000, 250
	part := make([]celery.Message, messages)
	for i := range part {
		part[i] = celery.Message{Template: template, ID: fmt.Sprint(i), Slot: time.Now(), At: time.Now(), Index: i}
	}
	b := &Broker{fence: "fence"}
	render := func() []string {
		p, err := b.prepare(t.Context(), part)
		if err != nil {
			t.Fatal(err)
		}
		var arguments []string
		if arguments, b.buffer, err = p.arguments(celery.Mark{Term: 1, Seq: 1, Done: messages}, celery.Mark{}, b.buffer); err != nil {
			t.Fatal(err)
		}
		return arguments
	}
	text := 0
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for _, argument := range render() {
		text += len(argument)
	}
	runtime.ReadMemStats(&after)
	if made := int(after.TotalAlloc - before.TotalAlloc); made > 3*text {
		t.Errorf("the first %d messages, %d bytes, made %d bytes, want three times as many at most", messages, text, made)
	}
	const rounds = 10
	runtime.ReadMemStats(&before)
	for range rounds {
		render()
	}
	runtime.ReadMemStats(&after)
	bytes := int(after.TotalAlloc-before.TotalAlloc) / rounds / messages
	if bytes > most || bytes > text/messages/2 {
		t.Errorf("a message of %d bytes makes %d bytes of garbage, want %d at most", text/messages, bytes, most)
	}
}
