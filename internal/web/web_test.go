package web_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/onebeat/onebeat/internal/web"
)

// A node is as it is told to be.
type node struct {
	health web.Health
	ready  bool
	bound  *time.Duration // how long Health may take, as it was told

	forecast func(web.Forecast) (any, error)
	page     func(context.Context, web.Asked) web.Page // nil: one with nothing in it
}

func (n *node) Page(ctx context.Context, asked web.Asked) web.Page {
	if n.page == nil {
		return web.Page{}
	}
	return n.page(ctx, asked)
}

func (n *node) Forecast(_ context.Context, asked web.Forecast) (any, error) { return n.forecast(asked) }

func (n *node) Health(ctx context.Context) web.Health {
	if end, ok := ctx.Deadline(); ok && n.bound != nil {
		*n.bound = time.Until(end)
	}
	return n.health
}
func (n *node) Ready() bool { return n.ready }

// serve answers for the node until the test ends, and returns its address.
func serve(t *testing.T, n web.Node) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	registry := prometheus.NewRegistry()
	gauge := prometheus.NewGauge(prometheus.GaugeOpts{Name: "onebeat_term", Help: "The term."})
	gauge.Set(7)
	registry.MustRegister(gauge)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- web.Serve(ctx, listener, n, registry, slog.New(slog.DiscardHandler)) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("Serve: %v, want nil after its context ended", err)
			}
		case <-time.After(5 * time.Second):
			t.Error("Serve did not return within 5 s of its context's end")
		}
	})
	return "http://" + listener.Addr().String()
}

func ask(t *testing.T, method, url string, headers ...string) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}

func TestAnswersSayHowTheNodeIs(t *testing.T) {
	well := web.Health{OK: true, Node: "n1", Leader: true, Term: 3, Checks: []web.Check{{Name: "broker", OK: true}}}
	ill := web.Health{Node: "n1", Checks: []web.Check{{Name: "broker", Detail: "connection refused"}}}
	for _, tt := range []struct {
		name   string
		node   node
		path   string
		status int
		body   string
	}{
		{"well", node{health: well}, "/healthz", 200, `{"ok":true,"node":"n1","leader":true,"term":3,"checks":[{"name":"broker","ok":true}]}`},
		{"ill", node{health: ill}, "/healthz", 503, `{"ok":false,"node":"n1","leader":false,"checks":[{"name":"broker","ok":false,"detail":"connection refused"}]}`},
		{"ready", node{ready: true}, "/readyz", 200, `{"ready":true}`},
		{"not ready", node{}, "/readyz", 503, `{"ready":false}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			response, body := ask(t, http.MethodGet, serve(t, &tt.node)+tt.path)
			if response.StatusCode != tt.status || strings.TrimSpace(body) != tt.body {
				t.Errorf("GET %s: %d %s, want %d %s", tt.path, response.StatusCode, body, tt.status, tt.body)
			}
			if got := response.Header.Get("Content-Type") + ", " + response.Header.Get("Cache-Control"); got != "application/json, no-store" {
				t.Errorf("GET %s has the headers %q", tt.path, got)
			}
			if !json.Valid([]byte(body)) {
				t.Errorf("GET %s is no JSON: %s", tt.path, body)
			}
		})
	}
}

func TestAForecastIsAskedForInAQuery(t *testing.T) {
	echo := func(asked web.Forecast) (any, error) { return asked, nil }
	for _, tt := range []struct {
		name     string
		query    string
		forecast func(web.Forecast) (any, error)
		status   int
		body     string
	}{
		{"as it is", "", echo, 200, `{"From":"0001-01-01T00:00:00Z","Next":86400000000000,"Worst":5}`},
		{"all of it", "?next=90m&from=2026-12-01T00:00:00Z&worst=0", echo, 200, `{"From":"2026-12-01T00:00:00Z","Next":5400000000000,"Worst":0}`},
		{"days", "?next=7d&from=2026-12-01T00:00:00Z", echo, 200, `{"From":"2026-12-01T00:00:00Z","Next":604800000000000,"Worst":5}`},
		{"too many days", "?next=31d1s", echo, 400, `{"error":"next=\"31d1s\": give a length up to 31d, such as 24h or 7d"}`},
		{"no length", "?next=soon", echo, 400, `{"error":"next=\"soon\": give a length up to 31d, such as 24h or 7d"}`},
		{"too long", "?next=745h", echo, 400, `{"error":"next=\"745h\": give a length up to 31d, such as 24h or 7d"}`},
		{"no time", "?next=0s", echo, 400, `{"error":"next=\"0s\": give a length up to 31d, such as 24h or 7d"}`},
		{"no instant", "?from=monday", echo, 400, `{"error":"from=\"monday\": give an instant such as 2026-12-01T00:00:00Z"}`},
		{"an instant that has no end", "?from=9999-12-31T23:00:00Z", echo, 400, `{"error":"from=\"9999-12-31T23:00:00Z\": give an instant such as 2026-12-01T00:00:00Z"}`},
		{"an instant before all", "?from=0000-01-01T00:00:00%2B23:00", echo, 400, `{"error":"from=\"0000-01-01T00:00:00+23:00\": give an instant such as 2026-12-01T00:00:00Z"}`},
		{"no number", "?worst=-1", echo, 400, `{"error":"worst=\"-1\": give a number from 0 to 1000"}`},
		{"something else", "?hours=3", echo, 400, `{"error":"\"hours\" is not known here: a forecast takes next, from and worst"}`},
		{"no query", "?%zz", echo, 400, `{"error":"the query cannot be read: write it as ?next=24h\u0026worst=5"}`},
		{"busy", "", func(web.Forecast) (any, error) { return nil, web.ErrBusy }, 429, `{"error":"a forecast is being made: ask again later"}`},
		{"failed", "", func(web.Forecast) (any, error) { return nil, errors.New("the database is away") }, 503, `{"error":"the database is away"}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			response, body := ask(t, http.MethodGet, serve(t, &node{forecast: tt.forecast})+"/forecast"+tt.query)
			if response.StatusCode != tt.status || strings.TrimSpace(body) != tt.body {
				t.Errorf("GET /forecast%s: %d %s, want %d %s", tt.query, response.StatusCode, body, tt.status, tt.body)
			}
			if busy := tt.status == http.StatusTooManyRequests; busy != (response.Header.Get("Retry-After") != "") {
				t.Errorf("GET /forecast%s: Retry-After is %q", tt.query, response.Header.Get("Retry-After"))
			}
		})
	}
	response, _ := ask(t, http.MethodPost, serve(t, &node{forecast: echo})+"/forecast")
	if response.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST /forecast: %d", response.StatusCode)
	}
}

func TestMetricsAreServed(t *testing.T) {
	response, body := ask(t, http.MethodGet, serve(t, &node{})+"/metrics")
	if response.StatusCode != http.StatusOK || !strings.Contains(body, "\nonebeat_term 7\n") {
		t.Errorf("GET /metrics: %d\n%s", response.StatusCode, body)
	}
}

// A probe gives up after some seconds: the answer must come before.
func TestHealthIsAskedWithABound(t *testing.T) {
	var bound time.Duration
	ask(t, http.MethodGet, serve(t, &node{bound: &bound})+"/healthz")
	if bound <= 0 || bound > 3*time.Second {
		t.Errorf("Health may take %v, want up to 3 s", bound)
	}
}

// Who opens the address in a browser learns where to go, and what asks whether the process goes on is told so.
func TestTheRootSaysWhatThereIs(t *testing.T) {
	response, body := ask(t, http.MethodGet, serve(t, &node{})+"/")
	if response.StatusCode != http.StatusOK {
		t.Errorf("GET /: %d, want %d", response.StatusCode, http.StatusOK)
	}
	for _, path := range []string{"/healthz", "/readyz", "/metrics", "/forecast"} {
		if !strings.Contains(body, path) {
			t.Errorf("GET /: %q, want it to name %s", body, path)
		}
	}
}

func TestNothingElseIsServed(t *testing.T) {
	address := serve(t, &node{})
	for _, tt := range []struct {
		method, path string
		status       int
	}{
		{http.MethodGet, "/healthz/x", http.StatusNotFound},
		{http.MethodPost, "/healthz", http.StatusMethodNotAllowed},
		{http.MethodDelete, "/metrics", http.StatusMethodNotAllowed},
		{http.MethodGet, "/debug/pprof/", http.StatusNotFound},
	} {
		if response, _ := ask(t, tt.method, address+tt.path); response.StatusCode != tt.status {
			t.Errorf("%s %s: %d, want %d", tt.method, tt.path, response.StatusCode, tt.status)
		}
	}
}

// A client that holds on to its connection does not hold up a stop, which serve bounds.
func TestAStopDoesNotWaitForClients(t *testing.T) {
	var connection net.Conn
	t.Cleanup(func() { // after the stop
		// The server has closed it: nothing more is read than its end.
		if err := connection.SetReadDeadline(time.Now().Add(2 * time.Second)); err != nil {
			t.Error(err)
		}
		if _, err := connection.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error("the connection outlives Serve")
		}
		connection.Close()
	})
	address := serve(t, &node{ready: true})
	var err error
	if connection, err = net.Dial("tcp", strings.TrimPrefix(address, "http://")); err != nil {
		t.Fatal(err)
	}
	if _, err := connection.Write([]byte("GET /readyz HTTP/1.1\r\nHost: x\r\n")); err != nil { // and never the rest
		t.Fatal(err)
	}
	ask(t, http.MethodGet, address+"/readyz") // the server has taken the connection before this one
}
