package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/onebeat/onebeat/internal/app"
	"github.com/onebeat/onebeat/internal/broker"
	"github.com/onebeat/onebeat/internal/celery"
	"github.com/onebeat/onebeat/internal/schedule"
)

const (
	listenAgain  = time.Second // between attempts to listen
	listenBuffer = 10_000      // sightings that wait to be judged
)

// A listener keeps listening at the broker, as long as it may, and says what it heard.
type listener struct {
	heard chan celery.Sighting
	news  chan error // nil when it listens; an error when it does not any more

	observer broker.Observer // nil for none
	why      string          // of none, and of gaps
	gaps     int
	lost     atomic.Int64

	routes []celery.Route
	cancel context.CancelFunc
	done   sync.WaitGroup
	closed bool
}

// newListener opens the broker of the settings. Where there is none, or it carries no
// events, the listener hears nothing and says why.
func newListener(config app.Config) (*listener, error) {
	l := &listener{heard: make(chan celery.Sighting, listenBuffer), news: make(chan error)}
	if config.String("broker") == "" {
		l.why = "no broker is named: --broker says where to listen"
		return l, nil
	}
	observer, err := app.OpenObserver(config, broker.Options{Installation: "shadow", Node: "onebeat shadow", Logger: slog.New(slog.DiscardHandler)})
	switch {
	case errors.Is(err, broker.ErrNoWord):
		l.why = "only Redis and RabbitMQ carry events"
		return l, nil
	case err != nil:
		return nil, usage("%s", oneLine(err))
	}
	l.observer = observer
	return l, nil
}

// follow listens where messages with the routes go.
func (l *listener) follow(ctx context.Context, routes []celery.Route) {
	same := slices.EqualFunc(l.routes, routes, func(a, b celery.Route) bool { return a.Exchange == b.Exchange && a.RoutingKey == b.RoutingKey })
	if l.observer == nil || l.cancel != nil && same {
		return
	}
	l.stop()
	ctx, l.cancel = context.WithCancel(ctx)
	l.routes = routes
	l.done.Go(func() { l.listen(ctx, routes) })
}

func (l *listener) stop() {
	if l.cancel != nil {
		l.cancel()
		l.done.Wait()
	}
}

func (l *listener) listen(ctx context.Context, routes []celery.Route) {
	tell := func(news error) {
		select {
		case l.news <- news:
		case <-ctx.Done():
		}
	}
	for ctx.Err() == nil {
		ready := make(chan struct{})
		ended := make(chan error, 1)
		l.done.Go(func() {
			ended <- l.observer.Listen(ctx, routes, func() { close(ready) }, l.hear)
		})
		var err error
		select {
		case <-ready:
			tell(nil)
			err = <-ended
		case err = <-ended:
		}
		tell(cmp.Or(err, error(errEnded)))
		select {
		case <-time.After(listenAgain):
		case <-ctx.Done():
		}
	}
}

var errEnded = errors.New("the broker has ended it")

// hear takes what came, and never waits.
func (l *listener) hear(d celery.Delivery) {
	for _, sighting := range celery.Sightings(d, time.Now()) {
		select {
		case l.heard <- sighting:
		default:
			l.lost.Add(1)
		}
	}
}

// tell takes in what listen has told.
func (l *listener) tell(news error) {
	if news != nil {
		l.gaps++
		l.why = oneLine(news)
	}
}

// name is where it listens; empty for nowhere.
func (l *listener) name() string {
	if l.observer == nil {
		return ""
	}
	return l.observer.String()
}

// unheard is why not all was heard; empty if it was.
func (l *listener) unheard() string {
	var reasons []string
	switch {
	case l.observer == nil:
		reasons = append(reasons, l.why)
	case l.gaps > 0:
		reasons = append(reasons, fmt.Sprintf("listening ended %s (%s)", schedule.Counted(l.gaps, "time"), l.why))
	}
	if lost := l.lost.Load(); lost > 0 {
		reasons = append(reasons, schedule.Counted(lost, "message")+" came too fast")
	}
	return strings.Join(reasons, "; ")
}

// close ends it. It may be called again.
func (l *listener) close() {
	l.stop()
	if l.observer != nil && !l.closed {
		_ = l.observer.Close()
		l.closed = true
	}
}
