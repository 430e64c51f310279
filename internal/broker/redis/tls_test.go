package redis_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/onebeat/onebeat/internal/broker"
	"github.com/onebeat/onebeat/internal/broker/brokertest"
	"github.com/onebeat/onebeat/test/harness/process"
	servers "github.com/onebeat/onebeat/test/stack/server"
)

func TestTLS(t *testing.T) {
	authority := brokertest.NewAuthority(t)
	certificate, key := authority.Issue(t, "127.0.0.1")
	port, err := process.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	private, err := servers.Redis(t.Context(), servers.RedisOptions{Arguments: []string{
		"--tls-port", strconv.Itoa(port), "--tls-cert-file", certificate, "--tls-key-file", key, "--tls-ca-cert-file", authority.File,
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer private.Close()
	brokertest.RunTLS(t, brokertest.Secured{URL: fmt.Sprintf("rediss://127.0.0.1:%d/0", port), Authority: authority})
}

// A Redis without TLS takes the handshake for a command that has not come to its end.
func TestTLSThatIsNotAnsweredIsSaid(t *testing.T) {
	t.Parallel()
	b := open(t, "rediss://"+start(t), broker.Options{})
	if err := b.Ping(t.Context()); err == nil || !strings.Contains(err.Error(), "TLS handshake") || !strings.Contains(err.Error(), "redis://") {
		t.Errorf("Ping = %v, want that the handshake is not answered, and what to look at", err)
	}
}
