package web_test

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/onebeat/onebeat/internal/web"
)

// Pipes are a listener of a bubble: nothing is between server and client that would take
// what is not read.
type pipes struct {
	come   chan net.Conn
	closed chan struct{}
	at     net.IP
	taken  atomic.Int64
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case connection := <-p.come:
		p.taken.Add(1)
		return connection, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}
func (p *pipes) Close() error   { close(p.closed); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: p.at} }

// servePipes answers for the node until the returned function is called, which a bubble has to do.
func servePipes(t *testing.T, n web.Node) (dial func(request string) net.Conn, taken *atomic.Int64, stop func()) {
	p := &pipes{come: make(chan net.Conn), closed: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- web.Serve(ctx, p, n, prometheus.NewRegistry(), slog.New(slog.DiscardHandler)) }()
	var clients []net.Conn
	dial = func(request string) net.Conn {
		client, server := net.Pipe()
		clients = append(clients, client)
		go func() {
			select {
			case p.come <- server:
				_, _ = io.WriteString(client, request)
			case <-ctx.Done():
			}
		}()
		return client
	}
	stop = func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Serve: %v", err)
		}
		for _, client := range clients {
			client.Close()
		}
	}
	return dial, &p.taken, stop
}

const askReady = "GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n"

// Who does not read its answer is let go of.
func TestAnAnswerThatIsNotReadIsGivenUp(t *testing.T) {
	for _, path := range []string{"/healthz", "/readyz", "/forecast", "/metrics", "/", "/page.css"} {
		t.Run(path, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dial, _, stop := servePipes(t, &node{forecast: func(web.Forecast) (any, error) { return "much", nil }})
				defer stop()
				client := dial("GET " + path + " HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\n\r\n")
				time.Sleep(31 * time.Second)
				if n, err := client.Read(make([]byte, 1)); err == nil {
					t.Errorf("%d bytes of an answer came after half a minute in which none was read", n)
				}
			})
		})
	}
}

// Who does not send the whole of a request is let go of.
func TestARequestThatDoesNotEndIsGivenUp(t *testing.T) {
	for _, request := range []string{"", "GET /readyz HTTP/1.1\r\n", "GET /readyz HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"} {
		synctest.Test(t, func(t *testing.T) {
			dial, _, stop := servePipes(t, &node{ready: true})
			defer stop()
			client := dial(request)
			if err := client.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, client); err != nil {
				t.Errorf("after %q: %v, want the end of the connection", request, err)
			}
		})
	}
}

// A forecast may take as long as it is given, and is answered.
func TestALongForecastIsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dial, _, stop := servePipes(t, &node{forecast: func(web.Forecast) (any, error) {
			time.Sleep(5 * time.Minute)
			return "much", nil
		}})
		defer stop()
		response, err := http.ReadResponse(bufio.NewReader(dial("GET /forecast HTTP/1.1\r\nHost: x\r\n\r\n")), nil)
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(response.Body); err != nil || string(body) != "\"much\"\n" {
			t.Errorf("GET /forecast: %q, %v", body, err)
		}
	})
}

// Who asks is answered however many connections others hold on to without asking.
func TestIdleConnectionsGiveWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dial, _, stop := servePipes(t, &node{ready: true})
		defer stop()
		for i := range 1000 {
			client := dial(askReady)
			begin := time.Now()
			response, err := http.ReadResponse(bufio.NewReader(client), nil)
			if err != nil {
				t.Fatal(err)
			}
			if took := time.Since(begin); response.StatusCode != http.StatusOK || took > 2*time.Second {
				t.Fatalf("connection %d: %s after %v", i, response.Status, took)
			}
		}
	})
}

// Connections that never ask take no more than so many of the process's files, and let who asks through in the end.
func TestConnectionsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dial, taken, stop := servePipes(t, &node{ready: true})
		defer stop()
		for range 1000 {
			dial("GET /readyz HTTP/1.1\r\n")
		}
		synctest.Wait()
		if n := taken.Load(); n > 256 {
			t.Errorf("%d connections are open at once", n)
		}
		if response, err := http.ReadResponse(bufio.NewReader(dial(askReady)), nil); err != nil || response.StatusCode != http.StatusOK {
			t.Errorf("GET /readyz behind them: %v, %v", response, err)
		}
	})
}
