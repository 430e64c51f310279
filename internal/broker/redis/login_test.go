package redis_test

import (
	"net/url"
	"testing"

	"github.com/onebeat/onebeat/internal/broker/brokertest"
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
		{"a password where there is none", func(u *url.URL) { u.User = url.UserPassword("", brokertest.LoginPassword) }, true},
		{"another user", func(u *url.URL) { u.User = url.UserPassword("nobody_of_that_name", brokertest.LoginPassword) }, true},
		{"no such database", func(u *url.URL) { u.Path = "/100000" }, true},
		{"nobody answers", func(u *url.URL) { u.Host = "127.0.0.1:1" }, false},
	} {
		u := *good
		tt.change(&u)
		brokertest.Login(t, tt.name, &u, tt.refused)
	}
}
