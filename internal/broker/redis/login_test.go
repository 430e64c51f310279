package redis_test

import (
	"errors"
	"log/slog"
	"net/url"
	"strings"
	"testing"

	"github.com/onebeat/onebeat/internal/broker"
	"github.com/onebeat/onebeat/internal/celery"
	"github.com/onebeat/onebeat/test/harness"
)

// A Redis that answers and does not let the user in, or has no such database, is told apart from one that is away.
func TestALoginThatIsRefusedIsSaid(t *testing.T) {
	good, err := url.Parse(harness.Env(t, "ONEBEAT_TEST_REDIS"))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name    string
		change  func(u *url.URL)
		refused bool
	}{
		{"a password where there is none", func(u *url.URL) { u.User = url.UserPassword("", "pa55word-marker") }, true},
		{"another user", func(u *url.URL) { u.User = url.UserPassword("nobody_of_that_name", "pa55word-marker") }, true},
		{"no such database", func(u *url.URL) { u.Path = "/100000" }, true},
		{"nobody answers", func(u *url.URL) { u.Host = "127.0.0.1:1" }, false},
	} {
		u := *good
		tt.change(&u)
		b, err := broker.Open(u.String(), broker.Options{Installation: "login", Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Ping(t.Context()); errors.Is(err, celery.ErrLogin) != tt.refused || err == nil || strings.Contains(err.Error(), "pa55word") {
			t.Errorf("%s: Ping = %v, want celery.ErrLogin: %v, without the password", tt.name, err, tt.refused)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
}
