package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gofrs/uuid/v5"

	"github.com/onebeat/onebeat/internal/celery"
	"github.com/onebeat/onebeat/internal/schedule"
	"github.com/onebeat/onebeat/internal/store"
	"github.com/onebeat/onebeat/test/harness"
	"github.com/onebeat/onebeat/test/harness/worker"
)

func TestCheckTellsWhatNoWorkerTakesOrKnows(t *testing.T) {
	for _, server := range []string{"ONEBEAT_TEST_REDIS", "ONEBEAT_TEST_RABBITMQ"} {
		t.Run(server, func(t *testing.T) {
			url, python := harness.Env(t, server), harness.Env(t, "ONEBEAT_TEST_PYTHON")
			bareEnvironment(t)
			name := "check-" + uuid.Must(uuid.NewV4()).String() // others' workers are not asked
			t.Setenv("ONEBEAT_DATABASE", "sqlite:///"+filepath.Join(t.TempDir(), "app.db"))
			t.Setenv("ONEBEAT_BROKER", url)
			t.Setenv("ONEBEAT_DECLARE", "true")
			t.Setenv("CELERY_CONTROL_EXCHANGE", name)
			t.Setenv("CELERY_TASK_DEFAULT_QUEUE", name)
			run := func(want int, args ...string) string {
				t.Helper()
				code, stdout, stderr := onebeat(t, args...)
				if code != want {
					t.Fatalf("onebeat %q: code %d, want %d\n%s%s", args, code, want, stdout, stderr)
				}
				return stdout
			}
			add := func(entry, task, options string) {
				t.Helper()
				run(0, "entries", "add", entry, "--task", task, "--spec", "0 9 * * *", "--options", options)
			}
			run(0, "migrate")
			if got := run(0, "check"); strings.Contains(got, "workers") {
				t.Errorf("check asks workers about no entry:\n%s", got)
			}
			add("fine", "probe.record", "{}")
			add("own", "celery.backend_cleanup", "{}")
			if got, want := run(0, "check"), "ok    workers: none answered within 1s: "; !strings.Contains(got, want) {
				t.Errorf("check without a worker: want a line that begins with %q, got:\n%s", want, got)
			}
			worker.Start(t, worker.Options{Broker: url, Python: python, Queues: []string{name, name + "-topic"}, Config: map[string]any{
				"control_exchange": name,
				"task_queues": map[string]any{
					name: map[string]any{}, name + "-topic": map[string]any{"exchange": name + "-topic", "exchange_type": "topic", "routing_key": "a.#"},
				},
			}})
			if got, want := run(0, "check"), "ok    workers: those that answered take from all queues that entries go to, and know the tasks there: "; !strings.Contains(got, want) {
				t.Errorf("check of entries that are taken: want a line that begins with %q, got:\n%s", want, got)
			}
			for _, entry := range []string{"a", "b", "c", "d", "e", "f"} {
				add(entry, "probe.record", `{"queue": "`+name+`-idle"}`)
			}
			add("g", "probe.zone", `{"queue": "`+name+`-idle"}`)
			add("x", "no.such", "{}")
			add("bound", "no.such", `{"exchange": "`+name+`", "exchange_type": "topic", "routing_key": "k"}`)
			add("taken", "no.such", `{"exchange": "`+name+`-topic", "exchange_type": "topic", "routing_key": "a.b"}`)
			got := run(exitNo, "check")
			for _, want := range []string{
				"WRONG exchange " + name + ": none of the workers that answered (",
				") takes from a queue that is bound to it and takes \"k\", so that the messages of 1 entry reach none of them: bound. Start a worker with such a queue, or correct the route\n",
				"WRONG task no.such: workers that take from its queue " + name + " do not know it (",
				"), so that they throw away the messages of 1 entry: x. Correct the task's name, or start them with the code that has it\n",
				"WRONG queue " + name + "-idle: none of the workers that answered (",
				") takes from it, so that the messages of 7 entries wait there: a, b, c, d, e, and 2 more. Start a worker with -Q " + name + "-idle, or send them elsewhere",
			} {
				if !strings.Contains(got, want) {
					t.Errorf("check: want %q in:\n%s", want, got)
				}
			}
			if strings.Count(got, "WRONG") != 3 {
				t.Errorf("check: want three lines alone that are WRONG:\n%s", got)
			}
		})
	}
}

// The zone of an application's crontabs may be set in its code alone: hours off, and nobody would know.
func TestCheckTellsThatTheWorkersHaveAnotherZone(t *testing.T) {
	url, python := harness.Env(t, "ONEBEAT_TEST_REDIS"), harness.Env(t, "ONEBEAT_TEST_PYTHON")
	bareEnvironment(t)
	name := "check-" + uuid.Must(uuid.NewV4()).String()
	t.Setenv("ONEBEAT_DATABASE", "sqlite:///"+filepath.Join(t.TempDir(), "app.db"))
	t.Setenv("ONEBEAT_BROKER", url)
	t.Setenv("CELERY_CONTROL_EXCHANGE", name)
	t.Setenv("CELERY_TASK_DEFAULT_QUEUE", name)
	worker.Start(t, worker.Options{Broker: url, Python: python, Queues: []string{name}, Config: map[string]any{"control_exchange": name, "timezone": "Asia/Tokyo"}})
	run := func(args ...string) string {
		t.Helper()
		_, stdout, _ := onebeat(t, args...)
		return stdout
	}
	run("migrate")
	run("entries", "add", "own zone", "--task", "probe.record", "--spec", "0 9 * * *", "--entry-zone", "UTC")
	run("entries", "add", "own zone in the spec", "--task", "probe.record", "--spec", "CRON_TZ=UTC 0 9 * * *")
	run("entries", "add", "own zone in a rule", "--task", "probe.record", "--spec", "@rrule DTSTART;TZID=UTC:20260101T090000 FREQ=DAILY")
	run("entries", "add", "interval", "--task", "probe.record", "--spec", "@every 1h")
	if got := run("check"); strings.Contains(got, "Asia/Tokyo") {
		t.Errorf("check of entries that go by no zone but their own:\n%s", got)
	}
	run("entries", "add", "morning", "--task", "probe.record", "--spec", "0 9 * * *")
	got, want := run("check"), "WRONG zone: what names none goes by UTC here, and by Asia/Tokyo in the application of the workers ("
	if !strings.Contains(got, want) || !strings.Contains(got, "): 1 entry: morning. Set CELERY_TIMEZONE=Asia/Tokyo") {
		t.Errorf("check: want %q and morning in:\n%s", want, got)
	}
	for _, zone := range []string{"Asia/Tokyo", "Japan"} {
		if got := run("check", "--zone", zone); strings.Contains(got, "WRONG") {
			t.Errorf("check with --zone %s:\n%s", zone, got)
		}
	}
}

// Where a worker of another application answers, or a deploy went wrong, everything is unknown: a page says so.
func TestWhatWorkersDoNotKnowIsNoFlood(t *testing.T) {
	config, err := celery.ParseConfig(nil)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorkers(config)
	for i := range 1000 {
		w.add(store.Row{Definition: store.Definition{Name: "e", Task: fmt.Sprintf("t%d", i)}, Entry: &schedule.Entry{}})
	}
	got := w.compare(map[string]told{"a": {queues: map[string]bool{"celery": true}, tasks: map[string]bool{}}}, nil)
	if len(got) != mostTold+1 || got[mostTold].Note != "and so it is with 980 more queues or tasks" || got[mostTold].OK {
		t.Errorf("findings = %d, the last %+v, want %d and one that counts the others", len(got), got[len(got)-1], mostTold)
	}
}

// A task that is misspelt is told with the one that was meant, and blanks around it are seen.
func TestATaskWithASlipOfThePenIsToldWithTheOneThatWasMeant(t *testing.T) {
	config, err := celery.ParseConfig(nil)
	if err != nil {
		t.Fatal(err)
	}
	knows := map[string]told{"a": {queues: map[string]bool{"celery": true}, tasks: map[string]bool{"example.greet": true, "celery.ping": true}}}
	for task, want := range map[string]finding{
		"example.gret":   {"task example.gret", false, "Correct the task's name (is it example.greet?), or start them with the code that has it"},
		" example.greet": {`task " example.greet"`, false, "Correct the task's name (is it example.greet?), or start them with the code that has it"},
		"nightly":        {"task nightly", false, "Correct the task's name, or start them with the code that has it"},
	} {
		w := newWorkers(config)
		w.add(store.Row{Definition: store.Definition{Name: "e", Task: task}, Entry: &schedule.Entry{}})
		got := w.compare(knows, nil)
		if len(got) != 1 || got[0].What != want.What || !strings.HasSuffix(got[0].Note, want.Note) {
			t.Errorf("of the task %q: %+v, want %+v", task, got, want)
		}
	}
}
