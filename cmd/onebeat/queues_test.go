package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/gofrs/uuid/v5"
	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/onebeat/onebeat/test/harness"
)

func TestCheckTellsOfQueuesThatNobodyDeclared(t *testing.T) {
	server := harness.Env(t, "ONEBEAT_TEST_RABBITMQ")
	bareEnvironment(t)
	connection, err := amqp091.Dial(server)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	channel, err := connection.Channel()
	if err != nil {
		t.Fatal(err)
	}
	name := "check-" + uuid.Must(uuid.NewV4()).String()
	t.Setenv("CELERY_CONTROL_EXCHANGE", name) // no workers answer but those of this test
	if _, err := channel.QueueDeclare(name+"-here", false, true, true, false, nil); err != nil {
		t.Fatal(err)
	}
	database := filepath.Join(t.TempDir(), "app.db")
	t.Setenv("ONEBEAT_DATABASE", "sqlite:///"+database)
	t.Setenv("ONEBEAT_BROKER", server)
	done := func(args ...string) string {
		t.Helper()
		code, stdout, stderr := onebeat(t, args...)
		if code != 0 {
			t.Fatalf("onebeat %q: code %d\n%s%s", args, code, stdout, stderr)
		}
		return stdout
	}
	add := func(entry, options string) {
		t.Helper()
		done("entries", "add", entry, "--task", "t", "--spec", "0 9 * * *", "--options", options)
	}
	done("migrate")
	add("fine", `{"queue": "`+name+`-here"}`)
	add("bound", `{"exchange": "amq.topic", "exchange_type": "topic", "routing_key": "k"}`)
	add("off", `{"queue": "`+name+`-off"}`)
	execSQL(t, "sqlite", database, "UPDATE celery_beat_schedules SET enabled = false WHERE name = 'off'")
	if got := done("check"); strings.Contains(got, name) {
		t.Errorf("check tells of queues that are there, or that nothing goes to:\n%s", got)
	}
	for _, entry := range []string{"a", "b", "c", "d", "e", "f", "g"} {
		add(entry, `{"queue": "`+name+`"}`)
	}
	add("x", `{"exchange": "`+name+`", "exchange_type": "topic", "routing_key": "k"}`)
	add("y", `{"exchange": "`+name+`", "exchange_type": "topic", "routing_key": "l"}`)
	want := "WRONG queue " + name + ": it does not exist, so that each slot of 7 entries ends as failed: a, b, c, d, e, and 2 more. Start a worker that consumes it, or run serve with --declare\n" +
		"WRONG exchange " + name + ": it does not exist, so that each slot of 2 entries ends as failed: x, y. Start a worker that consumes a queue bound to it\n"
	for range 2 { // the first has made nothing
		code, stdout, stderr := onebeat(t, "check")
		if code != exitNo || !strings.Contains(stdout, want) || strings.Count(stdout, name) != 2 {
			t.Fatalf("check: code %d, want %d and these lines alone of queues:\n%s\ngot:\n%s%s", code, exitNo, want, stdout, stderr)
		}
	}
	if got := done("check", "--declare"); strings.Contains(got, name) {
		t.Errorf("check --declare tells of queues that would be made:\n%s", got)
	}
}
