package broker

import (
	"context"

	"github.com/onebeat/onebeat/internal/celery"
)

// A Refuser is a broker that tells what its user may not do, before a message is refused for it.
type Refuser interface {
	// Refuses returns what sending by the routes needs and the user may not do, in the broker's own
	// words; none where it does not tell. It changes nothing.
	Refuses(ctx context.Context, routes []celery.Route) ([]string, error)
}

// RefuserOf returns the broker as a Refuser, or nil: others are asked by the first message.
func RefuserOf(b Broker) Refuser {
	refuser, _ := adapterOf(b).(Refuser)
	return refuser
}
