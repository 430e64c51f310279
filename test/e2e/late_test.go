package e2e

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/onebeat/onebeat/test/harness"
	"github.com/onebeat/onebeat/test/harness/process"
	"github.com/onebeat/onebeat/test/stack/server"
)

// A node may be started before its servers and ended while one is away: it waits
// for them, says over HTTP how it is, ends in time, and the next one sends what
// it could not.
func TestServersComeLateAndLeaveEarly(t *testing.T) {
	t.Parallel()
	database, err := server.Postgres(t.Context(), server.PostgresOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = database.Close() })
	queues, err := server.Redis(t.Context(), server.RedisOptions{AppendOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = queues.Close() })
	do := func(steps ...func() error) {
		t.Helper()
		for _, step := range steps {
			if err := step(); err != nil {
				t.Fatal(err)
			}
		}
	}
	start := func(s *server.Server) func() error { return func() error { return s.Start(t.Context()) } }

	s := newBareSite(t, onServer(t, database.URL(), "postgres"), openRedis(t, queues.URL()))
	s.command(t, "migrate")
	grids := s.herd(t, 5)
	do(database.Stop, queues.Stop)

	port, err := process.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	listen := fmt.Sprintf("127.0.0.1:%d", port)
	n := s.launch(t, nil, "--listen", listen, "--drain", "2s")
	awaitHTTP(t, listen, "/healthz", http.StatusServiceUnavailable)
	awaitHTTP(t, listen, "/readyz", http.StatusServiceUnavailable)
	do(start(database))
	n.await(t, "lease taken")
	awaitHTTP(t, listen, "/healthz", http.StatusServiceUnavailable)
	do(start(queues))
	first := time.Now().Truncate(time.Second).Add(2 * time.Second)
	s.awaitSent(t, "herd 0", first, 15*time.Second)
	awaitHTTP(t, listen, "/healthz", http.StatusOK)
	awaitHTTP(t, listen, "/readyz", http.StatusOK)
	if metrics := awaitHTTP(t, listen, "/metrics", http.StatusOK); !strings.Contains(metrics, "onebeat_leader 1") {
		t.Errorf("/metrics does not say that the node leads:\n%s", metrics)
	}

	do(queues.Stop)
	awaitHTTP(t, listen, "/healthz", http.StatusServiceUnavailable)
	until(t, time.Now().Truncate(time.Second).Add(2500*time.Millisecond)) // claims wait for the broker
	stopping := time.Now()
	n.stop(t)
	if took := time.Since(stopping); took > 6*time.Second {
		t.Errorf("without a broker the node took %v to end, want its drain of 2s and little more", took)
	}

	do(start(queues))
	n = s.serve(t)
	last := time.Now().Truncate(time.Second).Add(2 * time.Second)
	s.awaitSent(t, "herd 0", last, 15*time.Second)
	do(database.Stop)
	stopping = time.Now()
	n.stop(t)
	if took := time.Since(stopping); took > 15*time.Second {
		t.Errorf("without a database the node took %v to end, want its drain of 10s and little more", took)
	}
	do(start(database))
	n = s.serve(t)
	last = time.Now().Truncate(time.Second).Add(2 * time.Second)
	s.awaitSent(t, "herd 0", last, 15*time.Second)
	n.stop(t)

	arrivals := s.broker.arrivals(t)
	wrong := append(once(arrivals), s.unrecorded(t, arrivals)...)
	report(t, append(wrong, s.accounted(t, grids, window{s.database.firstStart(t), last})...))
}

// awaitHTTP asks until the answer has the status, and returns its body.
func awaitHTTP(t *testing.T, address, path string, status int) (body string) {
	t.Helper()
	harness.Eventually(t, 20*time.Second, func() error {
		response, err := http.Get("http://" + address + path)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		if err != nil {
			return err
		}
		body = string(text)
		if response.StatusCode != status {
			return fmt.Errorf("%s answers %s, want %d: %s", path, response.Status, status, body)
		}
		return nil
	})
	return body
}
