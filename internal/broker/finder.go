package broker

import (
	"context"

	"github.com/onebeat/onebeat/internal/celery"
)

// A Finder is a broker at which a message for a queue that nobody has made fails.
type Finder interface {
	// Lacks reports whether the queue of a route, or its exchange where it names one, is
	// surely not there. It makes nothing. Where the user may not look it is false. It is not
	// called beside Take and Publish.
	Lacks(ctx context.Context, route celery.Route) (bool, error)
}

// FinderOf returns the broker as a Finder, or nil: with others queues come to be by the first message.
func FinderOf(b Broker) Finder {
	finder, _ := adapterOf(b).(Finder)
	return finder
}
