package login_test

import (
	"errors"
	"testing"

	"github.com/onebeat/onebeat/internal/login"
)

// pgx tries a server with TLS and without, and tells of both.
func TestOneLineSaysAFaultOnce(t *testing.T) {
	for text, want := range map[string]string{
		"failed to connect to `user=u`:\n\tdial: refused\n\tdial: refused":                                                  "failed to connect to `user=u`: dial: refused",
		"failed to connect to `user=u`:\n\tone: refused\n\ttwo: refused":                                                    "failed to connect to `user=u`: one: refused; two: refused",
		"open: failed to connect to `user=u`:\n\t::1: tls error: server refused TLS connection\n\t::1: FATAL: no such user": "open: failed to connect to `user=u`: ::1: FATAL: no such user",
		"failed to connect to `user=u`:\n\t::1: tls error: server refused TLS connection":                                   "failed to connect to `user=u`: ::1: tls error: server refused TLS connection",
		"renew lease: failed to connect to `user=u`:\n\tdial: refused\n\tdial: refused\nread: failed":                       "renew lease: failed to connect to `user=u`: dial: refused; read: failed",
		"open: failed to connect to `user=u`: hostname resolving error: lookup x: no such host\nlookup x: no such host":     "open: failed to connect to `user=u`: hostname resolving error: lookup x: no such host",
		"refused": "refused",
	} {
		if got := login.OneLine(errors.New(text)).Error(); got != want {
			t.Errorf("OneLine(%q) = %q, want %q", text, got, want)
		}
	}
}
