package brokertest

import (
	"errors"
	"log/slog"
	"net/url"
	"strings"
	"testing"

	"github.com/onebeat/onebeat/internal/broker"
	"github.com/onebeat/onebeat/internal/celery"
)

// LoginPassword is the password of URLs for Login.
const LoginPassword = "pa55word-marker"

// Login pings at the URL: that fails, without LoginPassword, and with celery.ErrLogin where it is refused.
func Login(t *testing.T, name string, u *url.URL, refused bool) {
	t.Helper()
	b, err := broker.Open(u.String(), broker.Options{Installation: "login", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Ping(t.Context()); errors.Is(err, celery.ErrLogin) != refused || err == nil || strings.Contains(err.Error(), "pa55word") {
		t.Errorf("%s: Ping = %v, want celery.ErrLogin: %v, without the password", name, err, refused)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
}
