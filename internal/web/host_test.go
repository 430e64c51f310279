package web_test

import (
	"bufio"
	"context"
	"log/slog"
	"net"
	"net/http"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/onebeat/onebeat/internal/web"
)

// Whose site lets its name mean 127.0.0.1, once a browser shows it, does not read what is shown on loopback.
func TestOnLoopbackNobodysNameIsAnswered(t *testing.T) {
	address := serve(t, &node{})
	for host, want := range map[string]int{
		"site.example:8080":         http.StatusForbidden,
		"127.0.0.1.site.example":    http.StatusForbidden,
		"localhost.site.example.":   http.StatusForbidden,
		"127.0.0.1:8080":            http.StatusOK,
		"[::1]:8080":                http.StatusOK,
		"[::ffff:127.0.0.1]":        http.StatusOK,
		"localhost:8080":            http.StatusOK,
		"LOCALHOST.":                http.StatusOK,
		"onebeat.localhost":         http.StatusOK,
		"host.docker.internal:8080": http.StatusOK,
		"desk.local":                http.StatusOK,
		"node1:8080":                http.StatusOK,
	} {
		for _, path := range []string{"/", "/metrics", "/page.css"} {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			request.Host = host
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			if response.StatusCode != want {
				t.Errorf("GET %s of %s: %d, want %d", path, host, response.StatusCode, want)
			}
		}
	}
}

// Elsewhere a node has names that it does not know.
func TestElsewhereEachNameIsAnswered(t *testing.T) {
	for address, want := range map[string]int{"127.0.0.1": http.StatusForbidden, "::1": http.StatusForbidden, "::": http.StatusOK, "192.0.2.1": http.StatusOK} {
		p := &pipes{come: make(chan net.Conn), closed: make(chan struct{}), at: net.ParseIP(address)}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- web.Serve(ctx, p, &node{}, prometheus.NewRegistry(), slog.New(slog.DiscardHandler)) }()
		client, server := net.Pipe()
		p.come <- server
		go func() {
			_, _ = client.Write([]byte("GET / HTTP/1.1\r\nHost: beat.example\r\nConnection: close\r\n\r\n"))
		}()
		response, err := http.ReadResponse(bufio.NewReader(client), nil)
		if err != nil {
			t.Fatal(err)
		}
		if response.StatusCode != want {
			t.Errorf("a node that listens on %s answers %d, want %d", address, response.StatusCode, want)
		}
		client.Close()
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Serve: %v", err)
		}
	}
}
