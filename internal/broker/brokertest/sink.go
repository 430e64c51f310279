package brokertest

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/onebeat/onebeat/internal/broker"
	"github.com/onebeat/onebeat/internal/celery"
)

// RunSink publishes to a sink on the broker of the URL, counts, empties it, and
// sees that nothing is left after it was removed.
func RunSink(t *testing.T, url string) {
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	options := broker.Options{Installation: unique(), Logger: slog.New(slog.DiscardHandler)}
	queue := "brokertest-sink-" + unique()
	sink, err := broker.OpenSink(ctx, url, queue, options)
	if err != nil {
		t.Fatal(err)
	}
	defer sink.Close()
	template, err := settings(t).Template(celery.Task{Name: "t", Options: fmt.Sprintf(`{"queue": %q}`, queue)})
	if err != nil {
		t.Fatal(err)
	}
	part := celery.Part{Mark: celery.Mark{Term: 3, Seq: 1, Done: 3}}
	for i := range 3 {
		part.Messages = append(part.Messages, celery.Message{Template: template, ID: unique(), Slot: time.Now(), At: time.Now(), Index: i})
	}
	publisher, err := broker.Open(url, options)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := publisher.Take(ctx, 3); err != nil {
		t.Fatal(err)
	}
	if failures, err := publisher.Publish(ctx, part); err != nil || len(failures) > 0 {
		t.Fatalf("Publish = %v, %v", failures, err)
	}
	if err := publisher.Close(); err != nil {
		t.Fatal(err)
	}
	count := func(want int) {
		t.Helper()
		for {
			n, err := sink.Length(ctx)
			if err != nil {
				t.Fatalf("Length: %v, and the last count was %d, want %d", err, n, want)
			}
			if n == want {
				return
			}
		}
	}
	count(3)
	if n, err := sink.Empty(ctx); n != 3 || err != nil {
		t.Fatalf("Empty = %d, %v, want 3", n, err)
	}
	count(0)
	if err := sink.Remove(ctx); err != nil {
		t.Fatal(err)
	}
	again, err := broker.Open(url, options)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if mark, err := again.Take(ctx, 1); err != nil || mark != (celery.Mark{}) {
		t.Errorf("Take after Remove = %+v, %v, want no mark", mark, err)
	}
	last, err := broker.OpenSink(ctx, url, queue, options)
	if err != nil {
		t.Fatal(err)
	}
	defer last.Close()
	if err := last.Remove(ctx); err != nil { // what the look for the mark made
		t.Error(err)
	}
}
