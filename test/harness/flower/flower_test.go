package flower_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/onebeat/onebeat/test/harness"
	"github.com/onebeat/onebeat/test/harness/flower"
	"github.com/onebeat/onebeat/test/harness/worker"
)

// Whoever asks Flower of a task right after Start must find it.
func TestFlowerSeesTheFirstTask(t *testing.T) {
	for _, variable := range []string{"ONEBEAT_TEST_REDIS", "ONEBEAT_TEST_RABBITMQ"} {
		t.Run(variable, func(t *testing.T) {
			broker := harness.Env(t, variable)
			queue := fmt.Sprintf("flower-test-%d-%d", os.Getpid(), time.Now().UnixNano())
			w := worker.Start(t, worker.Options{Broker: broker, Queues: []string{queue}, Events: true})
			url := flower.Start(t, broker)

			cmd := exec.CommandContext(t.Context(), harness.Env(t, "ONEBEAT_TEST_PYTHON"), "-c", `
import sys
from celery import Celery
Celery(broker=sys.argv[1]).send_task("probe.record", task_id=sys.argv[2], queue=sys.argv[2])
`, broker, queue)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("send: %v\n%s", err, out)
			}
			w.Await(t, 1, 20*time.Second)

			deadline := time.After(10 * time.Second)
			poll := time.NewTicker(100 * time.Millisecond)
			defer poll.Stop()
			for state := ""; state != "SUCCESS"; {
				select {
				case <-deadline:
					t.Fatalf("Flower shows the task as %q, want SUCCESS", state)
				case <-poll.C:
					state = stateOf(t, url, queue)
				}
			}
		})
	}
}

// stateOf returns the state of a task in Flower, "" if it does not know it.
func stateOf(t *testing.T, url, id string) string {
	t.Helper()
	response, err := http.Get(url + "/api/task/info/" + id)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusNotFound {
		return ""
	}
	var task struct{ State string }
	if err := json.NewDecoder(response.Body).Decode(&task); err != nil {
		t.Fatal(err)
	}
	return task.State
}
