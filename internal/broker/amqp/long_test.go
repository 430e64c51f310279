package amqp_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/onebeat/onebeat/internal/broker"
)

// AMQP's names and ids have 255 bytes at most: a message with a longer one fails alone.
func TestPublishFailsWhatIsTooLongForAMQP(t *testing.T) {
	channel := connect(t, serverURL(t))
	here, long := queue(t, channel, nil), strings.Repeat("é", 128)
	settings := map[string]any{"task_queues": map[string]any{"declared": map[string]any{"exchange": long, "routing_key": "k"}}, "task_create_missing_queues": true}
	for _, option := range []string{"queue", "exchange", "routing_key", "reply_to", "correlation_id", "task_id", "declared"} {
		t.Run(option, func(t *testing.T) {
			options := fmt.Sprintf(`{"queue": %q, %q: %q}`, here, option, long)
			switch option {
			case "queue":
				options = to(long)
			case "declared": // its exchange is too long
				options = to("declared")
			case "exchange":
				options = fmt.Sprintf(`{"exchange": %q, "routing_key": "k"}`, long)
			case "routing_key":
				options = fmt.Sprintf(`{"exchange": "amq.topic", "routing_key": %q}`, long)
			}
			b := open(t, broker.Options{Declare: true})
			failures, err := publish(t, b, batch(t, settings, to(here), options, to(here)))
			if err != nil || len(failures) != 1 || failures[0].Index != 1 || !strings.Contains(failures[0].Reason, "255 bytes") {
				t.Errorf("Publish = %+v, %v, want one failure, of 1, that says 255 bytes", failures, err)
			}
			if got := len(get(t, channel, here)); got != 2 {
				t.Errorf("the queue holds %d messages, want 2", got)
			}
		})
	}
}
