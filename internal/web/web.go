// Package web shows how a node is, and what is to come: health, readiness, metrics and
// forecasts over HTTP, and a page for people.
//
//   - Nothing here changes anything, and nothing names a task's arguments or a
//     password, so it may be scraped; it listens where it is told to.
package web

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/singleflight"
)

// A Check is one thing that a node's health depends on.
type Check struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail,omitempty"` // for people; what to do when not OK
}

// A Health is a node's state at one moment.
type Health struct {
	OK     bool    `json:"ok"`
	Node   string  `json:"node"`
	Leader bool    `json:"leader"`
	Term   int64   `json:"term,omitempty"`   // the highest of the leases that the node holds
	Shards []int   `json:"shards,omitempty"` // that it leads, where there are several
	Checks []Check `json:"checks"`
}

// A Forecast is what a forecast is asked for.
type Forecast struct {
	From  time.Time     // zero: now
	Next  time.Duration // how much time after it
	Worst int           // how many of the worst seconds are named
}

// ErrBusy is a forecast that is not made because one is being made.
var ErrBusy = errors.New("a forecast is being made: ask again later")

// A Node is what is shown.
type Node interface {
	Shown

	// Health looks at everything that dispatching needs. It answers within ctx.
	Health(ctx context.Context) Health

	// Forecast counts the slots that are to come, and returns what is to be said of them as
	// JSON; ErrBusy while it does so for another.
	Forecast(ctx context.Context, asked Forecast) (any, error)

	// Ready says whether the node does its part: it leads and has its entries
	// loaded, or it waits for the lease.
	Ready() bool
}

const (
	// mostConnections leaves the process files for the database and the broker, however many ask.
	mostConnections = 256

	// lookFor is how long a look at the node, or a page, may take: a probe gives up after some seconds.
	lookFor = 3 * time.Second

	// takenWithin is how long a client may take for its answer, once that is known.
	takenWithin = 30 * time.Second
)

// Serve answers on listener until ctx ends:
//
//	/healthz   200, or 503 when something that dispatching needs has failed
//	/          200 while the process goes on, whatever else is away; to who accepts HTML, the page
//	/readyz    200 once the node does its part, else 503
//	/metrics   Prometheus
//	/forecast  how many slots the coming time has: ?next=24h&from=2026-12-01T00:00:00Z&worst=5, each as it is unless given
func Serve(ctx context.Context, listener net.Listener, node Node, metrics prometheus.Gatherer, logger *slog.Logger) error {
	mux := http.NewServeMux()
	var looks singleflight.Group // however many ask, the database and the broker are asked once at a time
	look := func() Health {
		looked, _, _ := looks.Do("health", func() (any, error) {
			ctx, cancel := context.WithTimeout(ctx, lookFor) // and not that of who asked first
			defer cancel()
			return node.Health(ctx), nil
		})
		return looked.(Health)
	}
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		health := look()
		answer(w, health.OK, health)
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		ready := node.Ready()
		answer(w, ready, map[string]bool{"ready": ready})
	})
	mux.HandleFunc("GET /forecast", func(w http.ResponseWriter, r *http.Request) { forecast(w, r, node) })
	page := newPages(node, look)
	mux.HandleFunc("GET /page.css", style)
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Vary", "Accept, Accept-Language")
		if acceptsHTML(r.Header.Get("Accept")) {
			page.show(ctx, w, r)
			return
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, "onebeat runs; there are /healthz, /readyz, /metrics and /forecast\n")
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))

	server := &http.Server{
		Handler:        onlyOwn(listener.Addr(), mux),
		ReadTimeout:    5 * time.Second,
		WriteTimeout:   takenWithin,
		IdleTimeout:    time.Minute,
		MaxHeaderBytes: 16 << 10,
		ErrorLog:       slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
	}
	listener = &limited{listener, make(chan struct{}, mostConnections), func() {
		server.SetKeepAlivesEnabled(false) // which closes those that are idle
		server.SetKeepAlivesEnabled(true)
	}}
	stopped := make(chan struct{})
	go func() {
		<-ctx.Done()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil {
			_ = server.Close() // clients that hold on
		}
		close(stopped)
	}()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	<-stopped
	return nil
}

func answer(w http.ResponseWriter, ok bool, body any) {
	status := http.StatusOK
	if !ok {
		status = http.StatusServiceUnavailable
	}
	answerAs(w, status, body)
}

func answerAs(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client may have gone
}
