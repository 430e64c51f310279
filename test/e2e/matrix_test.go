package e2e

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/onebeat/onebeat/test/harness"
	"github.com/onebeat/onebeat/test/harness/worker"
)

// The workers' Pythons: the newest Celery, and the oldest that is promised.
var pythons = []struct{ variable, celery string }{
	{"ONEBEAT_TEST_PYTHON", "5.7."},
	{"ONEBEAT_TEST_PYTHON52", "5.2."},
}

// A task's arguments that a careless encoder would spoil: text of many scripts,
// numbers beyond 64 bits and beyond what a double holds.
const (
	oddArgs   = `[1, "grüße, 世界 🌍 \u0000 \"'", 123456789012345678901234567890, 0.1, null, true, [], {"a": {"b": [1.5e+300]}}]`
	oddKwargs = `{"schedule_id": 1, "from_date": "20250729", "größe": 9007199254740993, "nothing": null}`
)

// Rows in a table become tasks that real workers run: each slot once, with what
// the row says, on the queue that the routes say. So does a run that a person asks for.
func TestRowsBecomeTasks(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{postgres, mariadb, sqlite} {
		for _, queues := range []string{redis, rabbitmq} {
			for _, python := range pythons {
				t.Run(fmt.Sprintf("%s, %s, Celery %s", kind, queues, strings.Trim(python.celery, ".")), func(t *testing.T) {
					t.Parallel()
					testRowsBecomeTasks(t, newSite(t, kind, queues), python.variable, python.celery)
				})
			}
		}
	}
}

func testRowsBecomeTasks(t *testing.T, s *site, python, celery string) {
	w := s.worker(t, harness.Env(t, python), worker.Options{Pool: "threads"})
	options := fmt.Sprintf(`{"queue": %q, "priority": 5, "expires": 300, "time_limit": 30, "soft_time_limit": 20, "headers": {"x-tag": "ünï"}}`,
		s.broker.queue("priority"))
	s.database.insert(t,
		item{"name": "each second", "cron_expression": "@every 1s", "args": oddArgs, "kwargs": oddKwargs},
		item{"name": "routed", "cron_expression": "@every 2s", "task_name": "fetch_listed_info_task"},
		item{"name": "with options", "cron_expression": "@every 2s", "options": options},
		item{"name": "odd seconds", "cron_expression": "@every 2s", "created_at": epoch.Add(1250 * time.Millisecond)},
		item{"name": "disabled", "cron_expression": "@every 1s", "enabled": false},
		item{"name": "asked for", "cron_expression": "0 0 29 2 *", "options": options},
	)
	grids := map[string]grid{
		"each second": every(time.Second), "routed": every(2 * time.Second), "with options": every(2 * time.Second),
		"odd seconds": {2 * time.Second, time.Second}, // the grid's anchor is the whole second of created_at
	}
	n := s.serve(t)
	s.command(t, "entries", "run-now", "asked for")
	last := time.Now().Truncate(time.Second).Add(9 * time.Second)
	s.awaitSent(t, "each second", last, 10*time.Second)
	s.awaitRuns(t, "asked for", 1)
	n.stop(t)

	records := w.Await(t, s.sent(t, ""), 30*time.Second)
	planned := slices.DeleteFunc(slices.Clone(records), func(r worker.Record) bool { return r.PeriodicTaskName == "asked for" })
	if asked := len(records) - len(planned); asked != 1 {
		t.Errorf("a run was asked for once and executed %d times", asked)
	}
	s.database.exec(t, "DELETE FROM onebeat_runs WHERE name = 'asked for'") // of no slot
	s.check(t, grids, window{s.database.firstStart(t), last}, ran(t, planned))
	var wrong []string
	for _, r := range records {
		if !strings.HasPrefix(r.Celery, celery) {
			t.Fatalf("the worker is Celery %s, want %sx", r.Celery, celery)
		}
		wrong = append(wrong, s.misfits(t, r)...)
	}
	slices.Sort(wrong)
	report(t, slices.Compact(wrong))
}

// misfits compares an execution with its row.
func (s *site) misfits(t *testing.T, r worker.Record) (wrong []string) {
	t.Helper()
	differ := func(what string, got, want any) {
		if !reflect.DeepEqual(got, want) {
			wrong = append(wrong, fmt.Sprintf("%s: %s = %v, want %v", r.PeriodicTaskName, what, got, want))
		}
	}
	args, kwargs, task, queue, limits := "[]", "{}", "probe.record", "default", "[null, null]"
	switch r.PeriodicTaskName {
	case "each second":
		args, kwargs = oddArgs, oddKwargs
	case "routed":
		task, queue = "fetch_listed_info_task", "priority"
	case "with options", "asked for":
		queue, limits = "priority", "[30, 20]"
		var request map[string]any
		if err := json.Unmarshal([]byte(r.Request), &request); err != nil {
			t.Fatal(err)
		}
		differ("header x-tag", request["x-tag"], "ünï")
		differ("priority", r.Priority.V, 5)
		expires, err := time.Parse(time.RFC3339, r.Expires)
		if late := expires.Add(-5 * time.Minute).Sub(slotOf(t, r.Slot)); err != nil || late < 0 || late > 5*time.Second {
			wrong = append(wrong, fmt.Sprintf("%s: expires %s, want 5 minutes after the sending of slot %s", r.PeriodicTaskName, r.Expires, r.Slot))
		}
	}
	differ("args", decoded(t, r.Args), decoded(t, args))
	differ("kwargs", decoded(t, r.Kwargs), decoded(t, kwargs))
	differ("task", r.Task, task)
	differ("queue", r.Queue, s.broker.queue(queue))
	differ("time limits", r.TimeLimit, limits)
	return wrong
}

// decoded reads JSON and keeps every digit of its numbers.
func decoded(t *testing.T, text string) any {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return value
}
