package login_test

import (
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"

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

// What keeps TLS from being is told with what helps, and not that the server may be away.
func TestHintGoesByWhatIsWrong(t *testing.T) {
	for want, err := range map[string]error{
		"max_connections":                      &pgconn.PgError{Code: "53300"},
		"takes: close others":                  &mysql.MySQLError{Number: 1040},
		"the server needs another certificate": x509.CertificateInvalidError{Reason: x509.Expired},
		"names the host otherwise":             x509.HostnameError{Certificate: &x509.Certificate{}},
		"names the authority's certificate":    x509.UnknownAuthorityError{},
		"does the server run":                  errors.New("refused"),
	} {
		if got := login.Hint(fmt.Errorf("open: %w", err)); !strings.Contains(got, want) {
			t.Errorf("Hint(%T) = %q, want %q", err, got, want)
		}
	}
}
