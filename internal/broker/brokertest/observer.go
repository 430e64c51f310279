package brokertest

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"testing"
	"time"

	"github.com/onebeat/onebeat/internal/broker"
	"github.com/onebeat/onebeat/internal/celery"
)

// RunObserver listens at the broker of the URL to what a Broker sends there, through a
// connection that breaks on the way: events, and the messages themselves to the queue, to
// which those through the topic exchange go. Neither need exist. Exchanges of events and of
// remote control that have names of their own are used alone.
func RunObserver(t *testing.T, rawURL, queue, exchange string, options broker.Options) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*wait)
	defer cancel()
	u, err := url.Parse(rawURL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := NewProxy(t, u.Host)
	u.Host = proxy.Address()
	options.Installation, options.Node, options.Declare, options.Logger = unique(), "gen7@here", true, slog.New(slog.DiscardHandler)
	observer, err := broker.OpenObserver(u.String(), options)
	if err != nil {
		t.Fatal(err)
	}
	defer observer.Close()
	publisher, err := broker.Open(rawURL, options)
	if err != nil {
		t.Fatal(err)
	}
	defer publisher.Close()
	config, err := celery.ParseConfig(map[string]any{"task_queues": []any{
		map[string]any{"name": queue, "exchange": map[string]any{"name": exchange, "type": "topic"}, "routing_key": "a.b"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	template, err := config.Template(celery.Task{Name: "t", Args: "[1]", Options: fmt.Sprintf(`{"queue": %q, "headers": {"x": 1}, "priority": 3}`, queue)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := publisher.Take(ctx, 1); err != nil {
		t.Fatal(err)
	}
	seq := int64(0)
	send := func() (id string) {
		t.Helper()
		seq++
		m := celery.Message{Template: template, ID: unique(), Slot: time.Now(), At: time.Now()}
		part := celery.Part{Mark: celery.Mark{Term: 1, Seq: seq, Done: 1}, Messages: []celery.Message{m}, Events: true}
		if failures, err := publishOf(ctx, publisher, part); err != nil || len(failures) > 0 {
			t.Fatalf("Publish = %v, %v", failures, err)
		}
		return m.ID
	}

	for _, end := range []string{"a break", "the caller's wish"} {
		listening, stop := context.WithCancel(ctx)
		ready, ended, heard := make(chan struct{}), make(chan error, 1), make(chan celery.Sighting, 1000)
		go func() {
			var err error
			for again := true; again; { // a connection that broke may be found dead once more
				again = false
				err = observer.Listen(listening, []celery.Route{template.Route()}, func() { close(ready) }, func(d celery.Delivery) {
					for _, s := range celery.Sightings(d, time.Now()) {
						heard <- s
					}
				})
				select {
				case <-ready:
				default:
					again = err != nil && ctx.Err() == nil
				}
			}
			ended <- err
		}()
		select {
		case <-ready:
		case err := <-ended:
			t.Fatalf("Listen ended with %v before it was ready", err)
		}
		// An exchange that the first message has made is found within some seconds, so one
		// after the other is sent until both ways have told.
		left := map[bool]bool{false: true, true: true} // by whether the message itself was seen
		sent := map[string]bool{}
		again := time.NewTicker(300 * time.Millisecond)
		for len(left) > 0 {
			select {
			case s := <-heard:
				if !sent[s.ID] {
					continue // of another test
				}
				if differences := template.Differences(s); s.Task != "t" || len(differences) > 0 {
					t.Errorf("a sighting is %+v, which differs in %v", s, differences)
				}
				delete(left, s.Whole())
			case <-again.C:
				sent[send()] = true
			case err := <-ended:
				t.Fatalf("Listen ended with %v before %v was heard", err, left)
			case <-ctx.Done():
				t.Fatalf("%v was not heard", left)
			}
		}
		again.Stop()
		if end == "a break" {
			proxy.Cut()
		} else {
			stop()
		}
		select {
		case err := <-ended:
			if (err != nil) != (end == "a break") {
				t.Errorf("after %s Listen = %v", end, err)
			}
		case <-ctx.Done():
			t.Errorf("Listen goes on after %s", end)
		}
		stop()
	}

	began := time.Now()
	replies, err := observer.Ask(ctx, []celery.Request{{Method: "ping", Ticket: "t", Workers: []string{"nobody@" + unique()}}}, 200*time.Millisecond)
	if err != nil || len(replies) > 0 || time.Since(began) > wait {
		t.Errorf("Ask = %v, %v after %v, want no reply", replies, err, time.Since(began))
	}
}
