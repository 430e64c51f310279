package amqp_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/onebeat/onebeat/internal/broker"
	"github.com/onebeat/onebeat/internal/broker/brokertest"
	"github.com/onebeat/onebeat/test/harness/process"
	servers "github.com/onebeat/onebeat/test/stack/server"
)

// A server that answers TLS in the clear runs, and another port or URL is what helps.
func TestTLSThatIsAnsweredInTheClearIsSaid(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	b, err := broker.Open("amqps://"+server.Listener.Addr().String(), broker.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if err := b.Ping(t.Context()); err == nil || !strings.Contains(err.Error(), "the server does no TLS at this port") {
		t.Errorf("Ping = %v, want that the server does no TLS there", err)
	}
}

func TestTLS(t *testing.T) {
	authority := brokertest.NewAuthority(t)
	certificate, key := authority.Issue(t, "127.0.0.1")
	port, err := process.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	private, err := servers.RabbitMQ(t.Context(),
		fmt.Sprintf("listeners.ssl.local = 127.0.0.1:%d", port),
		"ssl_options.cacertfile = "+authority.File, "ssl_options.certfile = "+certificate, "ssl_options.keyfile = "+key,
		"ssl_options.verify = verify_peer", "ssl_options.fail_if_no_peer_cert = true",
	)
	if err != nil {
		t.Fatal(err)
	}
	defer private.Close()
	brokertest.RunTLS(t, brokertest.Secured{URL: fmt.Sprintf("amqps://127.0.0.1:%d", port), Authority: authority})
}
