package celery

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"regexp"
)

// A Delivery is a message as it was found at a broker: a task, an event, or an answer of
// remote control. What headers and properties hold is as JSON has it in Go, numbers as
// json.Number.
type Delivery struct {
	Exchange, RoutingKey         string
	ContentType, ContentEncoding string
	Headers                      map[string]any
	Properties                   map[string]any // by kombu's names: priority, correlation_id, …
	Body                         []byte
	Waiting                      bool // it was looked at in a queue, where a worker may take it unseen
	Event                        bool // it went to the exchange of events
}

// ParseEnvelope reads a message as virtual transports carry it.
func ParseEnvelope(text []byte) (Delivery, error) {
	var envelope struct {
		Body            string         `json:"body"`
		ContentType     string         `json:"content-type"`
		ContentEncoding string         `json:"content-encoding"`
		Headers         map[string]any `json:"headers"`
		Properties      map[string]any `json:"properties"`
	}
	if err := decodeJSON(text, &envelope); err != nil || envelope.Properties == nil {
		return Delivery{}, errors.New("a message is no envelope")
	}
	d := Delivery{
		ContentType: envelope.ContentType, ContentEncoding: envelope.ContentEncoding,
		Headers: envelope.Headers, Properties: envelope.Properties, Body: []byte(envelope.Body),
	}
	if envelope.Properties["body_encoding"] == "base64" {
		body, err := base64.StdEncoding.DecodeString(envelope.Body)
		if err != nil {
			return Delivery{}, errors.New("a message's body is not base64")
		}
		d.Body = body
	}
	if info, isMap := envelope.Properties["delivery_info"].(map[string]any); isMap {
		d.Exchange, _ = info["exchange"].(string)
		d.RoutingKey, _ = info["routing_key"].(string)
	}
	return d, nil
}

// decodeJSON reads JSON of Python's, with its numbers as they are written.
func decodeJSON(text []byte, to any) error {
	decoder := json.NewDecoder(bytes.NewReader(finite(text)))
	decoder.UseNumber()
	return decoder.Decode(to)
}

// finite is JSON with null for the NaN and Infinity that Python writes.
func finite(text []byte) []byte {
	if !bytes.Contains(text, []byte("NaN")) && !bytes.Contains(text, []byte("Infinity")) {
		return text
	}
	var ready []byte
	quoted := false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\' && i+1 < len(text):
			ready = append(ready, c, text[i+1])
			i++
			continue
		case c == '"':
			quoted = !quoted
		case !quoted && (c == 'N' || c == 'I' || c == '-'):
			word := notFinite.Find(text[i:])
			if word == nil {
				break
			}
			ready = append(ready, "null"...)
			i += len(word) - 1
			continue
		}
		ready = append(ready, text[i])
	}
	return ready
}

var notFinite = regexp.MustCompile(`^(?:NaN|-?Infinity)`)
