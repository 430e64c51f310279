package celery

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// A Request is a command of remote control that workers answer (kombu 5.7 pidbox.py).
type Request struct {
	Method    string
	Arguments map[string]any // fit for JSON
	Workers   []string       // the names of those that are asked; none is all
	Ticket    string         // comes back with each answer
}

// Exchanges are where workers tell events, and where they hear remote control and answer it,
// as Celery's settings have them. The zero Exchanges are Celery's defaults.
type Exchanges struct {
	EventExchange, ControlExchange string // the settings event_exchange and control_exchange
}

// Events is where events go.
func (e Exchanges) Events() string { return cmp.Or(e.EventExchange, "celeryev") }

// Control is where remote control goes (kombu 5.7 pidbox.py).
func (e Exchanges) Control() string { return cmp.Or(e.ControlExchange, "celery") + ".pidbox" }

// Replies is where the answers to remote control go.
func (e Exchanges) Replies() string { return "reply." + e.Control() }

// Body is the request as JSON. Answers go to the exchange with the key.
func (r Request) Body(exchange, key string) ([]byte, error) {
	arguments := r.Arguments
	if arguments == nil {
		arguments = map[string]any{}
	}
	body, err := json.Marshal(map[string]any{
		"method": r.Method, "arguments": arguments, "destination": r.Workers, "pattern": nil, "matcher": nil,
		"ticket": r.Ticket, "reply_to": map[string]string{"exchange": exchange, "routing_key": key},
	})
	if err != nil {
		return nil, fmt.Errorf("request %s: %w", r.Method, err)
	}
	return body, nil
}

// ControlHeaders are the headers of a request that nobody need answer after an instant.
func ControlHeaders(until time.Time) map[string]any {
	return map[string]any{"clock": int64(1), "expires": float64(until.UnixMilli()) / 1000}
}

// AppendControlEnvelope appends a request's body for an exchange as virtual transports carry it.
func AppendControlEnvelope(dst, body []byte, exchange string, until time.Time, deliveryTag string) ([]byte, error) {
	text, err := json.Marshal(map[string]any{
		"body": base64.StdEncoding.EncodeToString(body), "content-encoding": "utf-8", "content-type": "application/json",
		"headers": ControlHeaders(until),
		"properties": map[string]any{
			"delivery_mode": 1, "delivery_info": map[string]string{"exchange": exchange, "routing_key": ""},
			"priority": 0, "body_encoding": "base64", "delivery_tag": deliveryTag,
		},
	})
	return append(dst, text...), err
}

// A Reply is a worker's answer to a request.
type Reply struct {
	Ticket string
	Worker string
	Answer json.RawMessage
}

// ReadReplies reads the answers in a delivery: one, as a rule.
func ReadReplies(d Delivery) ([]Reply, error) {
	ticket, _ := d.Headers["ticket"].(string)
	var answers map[string]json.RawMessage
	if err := decodeJSON(d.Body, &answers); err != nil {
		return nil, errors.New("a worker's answer is not JSON")
	}
	var replies []Reply
	for worker, answer := range answers {
		replies = append(replies, Reply{ticket, worker, answer})
	}
	return replies, nil
}
