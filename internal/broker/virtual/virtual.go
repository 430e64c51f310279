// Package virtual is what those of kombu's transports have in common that bring no
// exchanges of their own: where a message goes, and what a mark covers.
//
// kombu imitates AMQP's exchanges in the process that publishes (kombu 5.7,
// transport/virtual): a message for a named exchange goes to the queues which that
// process itself has declared. A Celery producer declares the one queue that the
// route came from, so that is the only one a message can reach here.
package virtual

import (
	"fmt"

	"github.com/gofrs/uuid/v5"

	"github.com/onebeat/onebeat/internal/celery"
)

// A Binding ties a queue to an exchange.
type Binding struct {
	Key   string // a direct exchange's routing key, or a topic exchange's pattern
	Queue string
}

// Bindings are the bindings that Celery makes of a route's exchange before it sends.
func Bindings(route celery.Route) []Binding {
	q := route.Declare
	if q == nil || q.Exchange == nil || q.Exchange.Name != route.Exchange {
		return nil
	}
	return []Binding{{Key: q.RoutingKey, Queue: q.Name}}
}

// Queues returns the queues that a message with the route goes to, each once: for
// AMQP's default exchange the one that the routing key names, for any other those
// that the bindings give. None is no error: the caller says what can be done.
func Queues(route celery.Route, bindings []Binding) []string {
	if route.Exchange == "" {
		return []string{route.RoutingKey}
	}
	var queues []string
	seen := map[string]bool{}
	for _, b := range bindings {
		if b.Queue == "" || seen[b.Queue] || !matches(route, b.Key) {
			continue
		}
		seen[b.Queue] = true
		queues = append(queues, b.Queue)
	}
	return queues
}

func matches(route celery.Route, key string) bool {
	switch route.ExchangeType {
	case "fanout":
		return true
	case "topic":
		return key == route.RoutingKey || celery.TopicMatches(key, route.RoutingKey)
	}
	return key == route.RoutingKey
}

// Unbound is why a message that no queue takes is not sent.
func Unbound(route celery.Route) string {
	if route.ExchangeType == "fanout" {
		return fmt.Sprintf("this broker cannot send to every worker: exchange %q is of the type fanout; name a queue instead", route.Exchange)
	}
	return fmt.Sprintf("no queue is bound to exchange %q with a key that matches %q: this broker keeps no exchanges, so name the queue", route.Exchange, route.RoutingKey)
}

// Envelope appends a message as these transports carry it, with a delivery tag of
// its own: one JSON object in ASCII, as Python writes it, so that no charset spoils it.
func Envelope(dst []byte, m celery.Message) ([]byte, error) {
	tag, err := uuid.NewV4()
	if err != nil {
		return dst, fmt.Errorf("make delivery tag: %w", err)
	}
	return appendASCII(dst, m.Template.AppendEnvelope(nil, m, tag.String())), nil
}

// appendASCII appends JSON with what is not ASCII escaped. It stands in strings
// only, so that an escape says the same.
func appendASCII(dst, json []byte) []byte {
	for _, r := range string(json) {
		switch {
		case r < 0x80:
			dst = append(dst, byte(r))
		case r < 0x10000:
			dst = fmt.Appendf(dst, `\u%04x`, r)
		default:
			r -= 0x10000
			dst = fmt.Appendf(dst, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		}
	}
	return dst
}

// Rest returns those messages of a part that a mark does not cover, and whether the
// mark covers the part as a whole.
func Rest(mark celery.Mark, part celery.Part) (rest []celery.Message, covered bool) {
	if mark.Covers(part.Mark.Seq, part.Mark.Done) {
		return nil, true
	}
	if mark.Seq != part.Mark.Seq {
		return part.Messages, false
	}
	for _, m := range part.Messages {
		if m.Index >= mark.Done {
			rest = append(rest, m)
		}
	}
	return rest, false
}
