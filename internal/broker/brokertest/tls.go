package brokertest

import (
	"context"
	"log/slog"
	"net/url"
	"strings"
	"testing"

	"github.com/onebeat/onebeat/internal/broker"
)

// A Secured is a server that speaks TLS alone, and wants a certificate of its client.
type Secured struct {
	// URL is with the host 127.0.0.1, for which its certificate is, and without
	// ssl_ parameters.
	URL       string
	Authority *Authority // of the server's certificate, and of those that it takes
}

// RunTLS checks how a broker's certificate, its name and one's own are looked at.
func RunTLS(t *testing.T, server Secured) {
	certificate, key := server.Authority.Issue(t, "client")
	ours := "ssl_certfile=" + certificate + "&ssl_keyfile=" + key
	trust := "ssl_ca_certs=" + server.Authority.File
	other := NewAuthority(t)
	strange, strangeKey := other.Issue(t, "client")
	for _, tt := range []struct {
		name, host, parameters string
		want                   []string // of the error's words; none if it works
	}{
		{"all as it should be", "127.0.0.1", trust + "&" + ours, nil},
		{"an authority that is not trusted", "127.0.0.1", ours, []string{"unknown authority", "ssl_ca_certs"}},
		{"another authority", "127.0.0.1", "ssl_ca_certs=" + other.File + "&" + ours, []string{"unknown authority", "ssl_ca_certs"}},
		{"another name", "localhost", trust + "&" + ours, []string{"certificate", "localhost", "ssl_server_hostname"}},
		{"another name, and told of it", "localhost", trust + "&ssl_server_hostname=127.0.0.1&" + ours, nil},
		{"any name", "localhost", trust + "&ssl_check_hostname=false&" + ours, nil},
		{"any name of another authority", "localhost", "ssl_ca_certs=" + other.File + "&ssl_check_hostname=false&" + ours, []string{"unknown authority"}},
		{"any authority", "localhost", "ssl_cert_reqs=none&" + ours, nil},
		{"no certificate of the client", "127.0.0.1", trust, []string{""}}, // the server chooses its words, or hangs up,
		{"a client of another authority", "127.0.0.1", trust + "&ssl_certfile=" + strange + "&ssl_keyfile=" + strangeKey, []string{""}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			u, err := url.Parse(server.URL)
			if err != nil {
				t.Fatal(err)
			}
			u.Host, u.RawQuery = tt.host+":"+u.Port(), tt.parameters
			b, err := broker.Open(u.String(), broker.Options{Installation: unique(), Logger: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			ctx, cancel := context.WithTimeout(t.Context(), wait)
			defer cancel()
			_, err = b.Take(ctx, 1)
			if tt.want == nil {
				if err != nil {
					t.Errorf("Take: %v", err)
				}
				return
			}
			if err == nil {
				t.Fatal("Take = nil, want an error")
			}
			for _, word := range tt.want {
				if text := err.Error(); !strings.Contains(text, word) || strings.Contains(text, "\n") {
					t.Errorf("Take: %v, want one line with %q", err, word)
				}
			}
		})
	}
}
