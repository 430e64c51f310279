package broker_test

import (
	"strings"
	"testing"

	"github.com/onebeat/onebeat/internal/broker"
)

func TestOpenNamesWhatIsSupported(t *testing.T) {
	for url, want := range map[string]string{
		"kafka://":                        "redis://, rediss://, redis+socket://, sentinel://, amqp://, amqps://",
		"":                                "redis://",
		"sentinel://:secret@h:26379/0":    "master_name",
		"redis://:secret@h/x":             "number of a database",
		"amqp://me:secret@h/?heartbeat=x": "heartbeat",
		"amqp://me:secret@h;redis://i":    "of one kind",
	} {
		if _, err := broker.Open(url, broker.Options{}); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("Open(%s): %v, want %q and no password", url, err, want)
		}
	}
}

func TestRedact(t *testing.T) {
	for url, want := range map[string]string{
		"redis://:secret@h:6379/0":             "redis://:xxxxx@h:6379/0",
		"amqp://me:secret@h/v":                 "amqp://me:xxxxx@h/v",
		"redis://:secret@h;redis://:secret@i/": "redis://:xxxxx@h;redis://:xxxxx@i/",
		"redis://h/0":                          "redis://h/0",
		"rediss://h/0?ssl_keyfile_password=pw": "rediss://h/0?ssl_keyfile_password=xxxxx",
		"redis://:sec%ret@h":                   "(unreadable URL)",
		"rediss://secret@h/0":                  "rediss://xxxxx@h/0", // its colon was forgotten
		"redis://me:@h/0":                      "redis://me:xxxxx@h/0",
		"amqp://me@h/v":                        "amqp://me@h/v",
		"redis://h/0?Passwd=pw":                "redis://h/0?Passwd=xxxxx",
		"sqla+mysql://h/d?passwd=pw&a=b":       "sqla+mysql://h/d?a=b&passwd=xxxxx",
	} {
		if got := broker.Redact(url); got != want {
			t.Errorf("Redact(%s) = %s, want %s", url, got, want)
		}
	}
}
