package redis_test

import (
	"strings"
	"testing"

	"github.com/onebeat/onebeat/internal/broker"
)

// What is wrong with the bindings of one exchange stops nothing else.
func TestPublishFailsOnlyWhatHasNoReadableBindings(t *testing.T) {
	sep := "\x06\x16"
	for _, tt := range []struct {
		name    string
		command []string
		reason  string
	}{
		{"no set", []string{"SET", "_kombu.binding.ex", "this is no set"}, "WRONGTYPE"},
		{"a key that is no text", []string{"SADD", "_kombu.binding.ex", "caf\xe9.#" + sep + "^caf" + sep + "queue"}, "no queue is bound"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			url, client := own(t)
			do(t, client, tt.command...)
			part := batch(t, nil, `{"queue": "good"}`, `{"exchange": "ex", "routing_key": "k"}`, `{"queue": "good"}`)
			failures, err := publish(t, open(t, url, broker.Options{}), part)
			if err != nil || len(failures) != 1 || failures[0].Index != 1 || !strings.Contains(failures[0].Reason, tt.reason) {
				t.Fatalf("Publish = %+v, %v, want one failure, of 1, with %q", failures, err, tt.reason)
			}
			if got := pop(t, client, "good"); len(got) != 2 {
				t.Errorf("the good queue holds %d messages, want 2", len(got))
			}
		})
	}
}
