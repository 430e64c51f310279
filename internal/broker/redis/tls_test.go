package redis_test

import (
	"fmt"
	"strconv"
	"testing"

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
