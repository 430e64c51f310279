package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/onebeat/onebeat/test/harness"
	"github.com/onebeat/onebeat/test/harness/flower"
	"github.com/onebeat/onebeat/test/harness/worker"
	"github.com/onebeat/onebeat/test/stack/server"
)

// Flower shows a task of onebeat as it shows one of Celery: sent, before any
// worker has it, then received, started and succeeded.
func TestFlowerShowsTasksFromTheSendingOn(t *testing.T) {
	t.Parallel()
	for _, queues := range []string{redis, rabbitmq} {
		t.Run(queues, func(t *testing.T) {
			t.Parallel()
			b := newBroker(t, queues)
			if queues == redis {
				// Flower reads events under no prefix: a server of its own keeps them apart.
				private, err := server.Redis(t.Context(), server.RedisOptions{})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = private.Close() })
				b = openRedis(t, private.URL())
				b.own = ""
			}
			s := newBareSite(t, newDatabase(t, sqlite), b)
			s.command(t, "migrate")
			s.broker.declare(t, "default", "priority")
			s.database.insert(t, item{"name": "shown", "cron_expression": "@every 2s", "args": `["ü"]`})
			url := flower.Start(t, s.broker.url)
			n := s.serve(t, "--events")
			s.awaitSent(t, "shown", every(2*time.Second).next(time.Now()), 10*time.Second)
			id := s.database.ledger(t)[0].taskID

			var task shown
			harness.Eventually(t, 10*time.Second, func() (err error) {
				task, err = showTask(url, id)
				return err
			})
			if task.State != "PENDING" || task.Sent == 0 || task.Received != 0 || task.Name != "probe.record" || task.Args != "['ü']" {
				t.Errorf("Flower shows the task that no worker has as %+v, want it pending, sent, with its name and arguments", task)
			}
			if !strings.HasPrefix(task.Client, "onebeat@") {
				t.Errorf("Flower names the sender %q, want onebeat@ and the host", task.Client)
			}

			w := s.worker(t, harness.Env(t, "ONEBEAT_TEST_PYTHON"), worker.Options{Pool: "threads", Events: true})
			w.Await(t, 1, 20*time.Second)
			harness.Eventually(t, 20*time.Second, func() (err error) {
				if task, err = showTask(url, id); err == nil && task.State != "SUCCESS" {
					err = fmt.Errorf("Flower shows the task that ran as %+v", task)
				}
				return err
			})
			if task.Sent == 0 || task.Received < task.Sent || task.Started == 0 || task.Succeeded == 0 {
				t.Errorf("Flower shows the task that ran as %+v, want it sent, received, started and succeeded", task)
			}
			n.stop(t)
		})
	}
}

// A shown is a task as Flower's API tells of it. Instants are seconds since 1970,
// 0 for what has not happened.
type shown struct {
	State, Name, Args, Client          string
	Sent, Received, Started, Succeeded float64
}

// showTask asks Flower for a task.
func showTask(url, id string) (task shown, err error) {
	response, err := http.Get(url + "/api/task/info/" + id)
	if err != nil {
		return task, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return task, fmt.Errorf("Flower does not know the task: %s", response.Status)
	}
	return task, json.NewDecoder(response.Body).Decode(&task)
}
