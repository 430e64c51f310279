package celery

import (
	"encoding/base64"
	"slices"
	"strconv"
	"time"
)

// Properties are the AMQP properties of a message (AMQP 0-9-1, class basic).
type Properties struct {
	ContentType     string
	ContentEncoding string
	DeliveryMode    uint8 // 1 transient, 2 persistent
	Priority        uint8
	CorrelationID   string
	ReplyTo         string
	Expiration      string // milliseconds; "" for none
}

// Properties returns the AMQP properties of m.
func (t *Template) Properties(m Message) Properties {
	p := t.shape.properties
	if p.CorrelationID == "" {
		p.CorrelationID = t.TaskID(m)
	}
	if t.shape.hasExpiration {
		p.Expiration = strconv.FormatInt(t.ttl(m.At), 10)
	}
	return p
}

// Headers returns the headers of m as an AMQP table: strings, bools, nil, int32
// (int64 where it must be), float64, []any and nested map[string]any, which other messages
// have too and nobody changes.
func (t *Template) Headers(m Message) map[string]any {
	headers := make(map[string]any, len(t.shape.headers))
	t.FillHeaders(headers, m)
	return headers
}

// FillHeaders makes headers those of m, whatever they were. Lists and maps among them are other messages' too.
func (t *Template) FillHeaders(headers map[string]any, m Message) {
	clear(headers)
	for i, f := range t.shape.headers {
		if h, isHole := f.value.(hole); isHole {
			headers[f.key] = t.text(h, m)
		} else {
			headers[f.key] = t.shape.tables[i]
		}
	}
	if own := t.section(headerSection); len(own) > 0 {
		v, err := parseJSON("{" + own[1:] + "}")
		if err != nil {
			panic("celery: a template's own headers: " + err.Error())
		}
		for key, v := range table(v).(map[string]any) {
			headers[key] = v
		}
	}
}

// text is what fills a hole among the headers.
func (t *Template) text(h hole, m Message) any {
	switch h {
	case idHole:
		return t.TaskID(m)
	case argsHole:
		if t.requotesArgs {
			return string(appendRequoted(nil, t.args()))
		}
		return t.section(argsSection)
	case kwargsHole:
		if t.requotesKwargs {
			return string(appendRequoted(nil, t.kwargs()))
		}
		return t.section(kwargsSection)
	case entryHole:
		return t.section(entrySection)
	}
	if at := t.time(h, &m); !at.IsZero() {
		return string(appendTime(nil, at))
	}
	return nil
}

// time is the time that fills a hole.
func (t *Template) time(h hole, m *Message) time.Time {
	switch h {
	case etaHole:
		return t.eta(m.At)
	case expiresHole:
		return t.expiry(m.At)
	}
	return m.Slot
}

// AppendEnvelope appends m as every transport but AMQP carries it: one JSON
// object with the body in base64. The delivery tag must be new for each attempt
// to send; workers keep unacknowledged messages by it.
func (t *Template) AppendEnvelope(dst []byte, m Message, deliveryTag string) []byte {
	return t.fill(dst, t.shape.envelope, &filling{Message: m, tag: deliveryTag})
}

// AppendEvent appends the body of m's task-sent event. The node is the sender's
// name, as in the origin header; the instant is that of the sending.
func (t *Template) AppendEvent(dst []byte, m Message, node string, pid int, at time.Time) []byte {
	return t.fill(dst, t.shape.event, &filling{Message: m, node: node, pid: pid, at: at})
}

// A filling is what fills the holes of one message.
type filling struct {
	Message
	tag  string
	node string
	pid  int
	at   time.Time
}

func (t *Template) fill(dst []byte, parts []part, f *filling) []byte {
	var id [2]int // where the id, which comes three times, was first written
	for i := range parts {
		dst = append(dst, parts[i].text...)
		switch h := parts[i].hole; h {
		case noHole:
		case idHole:
			if id[1] > 0 {
				dst = append(dst, dst[id[0]:id[1]]...)
				continue
			}
			id[0] = len(dst)
			if fixed := t.section(idSection); len(fixed) > 0 {
				dst = appendQuoted(dst, fixed)
			} else {
				dst = appendQuoted(dst, f.ID)
			}
			id[1] = len(dst)
		case argsHole:
			if t.requotesArgs {
				dst = append(appendRequoted(append(dst, '"'), t.args()), '"')
			} else {
				dst = appendQuoted(dst, t.section(argsSection))
			}
		case kwargsHole:
			if t.requotesKwargs {
				dst = append(appendRequoted(append(dst, '"'), t.kwargs()), '"')
			} else {
				dst = appendQuoted(dst, t.section(kwargsSection))
			}
		case entryHole:
			dst = appendQuoted(dst, t.section(entrySection))
		case headersHole:
			dst = append(dst, t.section(headerSection)...)
		case bodyHole:
			dst = append(dst, '"')
			dst = appendBase64(dst, t.section(bodySection), t.shape.tail)
			dst = append(dst, '"')
		case tagHole:
			dst = appendQuoted(dst, f.tag)
		case nodeHole:
			dst = appendQuoted(dst, f.node)
		case pidHole:
			dst = strconv.AppendInt(dst, int64(f.pid), 10)
		case atHole:
			dst = appendUnix(dst, f.at)
		case ttlHole:
			dst = append(dst, '"')
			dst = strconv.AppendInt(dst, t.ttl(f.At), 10)
			dst = append(dst, '"')
		default:
			at := t.time(h, &f.Message)
			if at.IsZero() {
				dst = append(dst, "null"...)
				continue
			}
			dst = append(dst, '"')
			dst = appendTime(dst, at)
			dst = append(dst, '"')
		}
	}
	return dst
}

// appendBase64 appends body and tail, which are one text.
func appendBase64(dst []byte, body, tail string) []byte {
	start, size := len(dst), base64.StdEncoding.EncodedLen(len(body)+len(tail))
	dst = slices.Grow(dst, size+len(body)+len(tail))
	text := append(append(dst[start+size:start+size], body...), tail...) // joined behind where it is encoded to
	base64.StdEncoding.Encode(dst[start:start+size], text)
	return dst[:start+size]
}

// appendUnix writes t as Python's time.time(): seconds with a fraction.
func appendUnix(dst []byte, t time.Time) []byte {
	dst = strconv.AppendInt(dst, t.Unix(), 10)
	return appendMicros(append(dst, '.'), t)
}

// AppendEventEnvelope appends an event as virtual transports carry it; on Redis it
// is published to <prefix>/<database>.<exchange>/task.sent.
func AppendEventEnvelope(dst, event []byte, exchange, node, deliveryTag string) []byte {
	dst = append(dst, `{"body":"`...)
	dst = base64.StdEncoding.AppendEncode(dst, event)
	dst = append(dst, `","content-encoding":"utf-8","content-type":"application/json","headers":{"hostname":`...)
	dst = appendQuoted(dst, node)
	dst = append(dst, `},"properties":{"delivery_mode":1,"delivery_info":{"exchange":`...)
	dst = appendQuoted(dst, exchange)
	dst = append(dst, `,"routing_key":"task.sent"},"priority":0,"body_encoding":"base64","delivery_tag":`...)
	dst = appendQuoted(dst, deliveryTag)
	return append(dst, "}}"...)
}
