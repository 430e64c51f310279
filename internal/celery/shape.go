package celery

import (
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"time"
	"weak"
)

// A shape is all that messages of alike entries have in common: where they go,
// their constant headers and properties, and the text of the envelope between
// the few places that differ.
type shape struct {
	route       Route
	headers     []field
	tables      []any // of headers that are no holes: the value as Headers has it
	properties  Properties
	envelope    []part
	event       []part
	tail        string // the end of the body, if it is the same in all
	priority    uint8
	hasPriority bool

	countdown     float64
	eta           time.Time
	expires       expiry
	expiresIn     float64
	expirationIn  float64
	hasExpiration bool
	atMostOnce    bool
}

// A field is a header; its value may be a hole.
type field struct {
	key   string
	value value
}

// A part is constant text and the hole after it.
type part struct {
	text string
	hole hole
}

// A hole is a place that each message, or each template, fills in its own way.
type hole byte

const (
	noHole hole = iota
	idHole
	etaHole
	expiresHole
	argsHole
	kwargsHole
	entryHole
	slotHole
	headersHole // the option headers
	bodyHole
	tagHole
	ttlHole
	nodeHole
	pidHole
	atHole
)

// A writer makes parts of text and holes.
type writer struct {
	parts []part
	text  []byte
}

func (w *writer) put(text string) { w.text = append(w.text, text...) }

func (w *writer) hole(h hole) {
	w.parts = append(w.parts, part{string(w.text), h})
	w.text = w.text[:0]
}

func (w *writer) value(v value) {
	if h, isHole := v.(hole); isHole {
		w.hole(h)
		return
	}
	w.text = appendJSON(w.text, v)
}

// object writes fields as an object, without its closing brace.
func (w *writer) object(fields []field) {
	for i, f := range fields {
		if i == 0 {
			w.put("{")
		} else {
			w.put(",")
		}
		w.text = append(appendQuoted(w.text, f.key), ':')
		w.value(f.value)
	}
}

// shapeOf puts a message together: headers as celery 5.7 app/amqp.py makes them
// (as_task_v2) and beat completes them (beat.py, apply_async), properties as
// kombu 5.7 does (messaging.py, transport/virtual/base.py).
func (c *Config) shapeOf(task Task, codec codec, compression string, o *options) *shape {
	s := &shape{
		route: o.route, priority: o.priority, hasPriority: o.hasPriority,
		countdown: o.countdown, eta: o.eta, expires: o.expiresKind, expiresIn: o.expiresIn,
		expirationIn: o.expirationIn, hasExpiration: o.hasExpiration || o.expiresKind != never,
		atMostOnce: o.atMostOnce,
		properties: Properties{
			ContentType: codec.contentType, ContentEncoding: codec.contentEncoding,
			DeliveryMode: o.deliveryMode, Priority: o.priority, CorrelationID: o.correlationID,
		},
	}
	s.properties.ReplyTo, _ = o.replyTo.(string)
	s.headers = c.headersOf(task, compression, o)
	s.tables = make([]any, len(s.headers))
	for i, f := range s.headers {
		s.tables[i] = table(f.value)
	}
	s.envelope = s.envelopeOf(task, o)
	s.event = s.eventOf()
	return s
}

func (c *Config) headersOf(task Task, compression string, o *options) []field {
	var eta, expires, rootID, parentID, origin value = nil, nil, idHole, nil, c.Origin
	if o.countdown != 0 || !o.eta.IsZero() {
		eta = etaHole
	}
	if o.expiresKind != never {
		expires = expiresHole
	}
	if o.rootID != "" {
		rootID = o.rootID
	}
	if o.parentID != "" {
		parentID = o.parentID
	}
	if o.origin != nil {
		origin = o.origin
	}
	fields := []field{
		{"lang", "py"},
		{"task", task.Name},
		{"id", idHole},
		{"shadow", o.shadow},
		{"eta", eta},
		{"expires", expires},
		{"group", o.group},
		{"group_index", o.groupIndex},
		{"retries", o.retries},
		{"timelimit", []value{o.timeLimit, o.softTimeLimit}},
		{"root_id", rootID},
		{"parent_id", parentID},
		{"argsrepr", argsHole},
		{"kwargsrepr", kwargsHole},
		{"origin", origin},
		{"ignore_result", o.ignoreResult},
		{"replaced_task_nesting", o.nesting},
		{"stamped_headers", o.stampedHeaders},
		{"stamps", o.stamps},
		{"celery_beat_task", true},
	}
	if compression != "" {
		fields = append(fields, field{"compression", compression})
	}
	for i, f := range fields {
		if v, given := o.headers.get(f.key); given && replaced(f.key) {
			fields[i].value = v
		}
	}
	if _, given := o.headers.get("periodic_task_name"); task.Entry != "" && !given {
		fields = append(fields, field{"periodic_task_name", entryHole})
	}
	return append(fields, field{"onebeat_slot", slotHole})
}

// replaced reports whether an option header takes the place of one that every
// message has. The rest of those, the ownHeaders, it may not name at all.
func replaced(key string) bool {
	switch key {
	case "lang", "shadow", "group", "group_index", "root_id", "parent_id", "argsrepr", "kwargsrepr", "origin",
		"ignore_result", "stamped_headers", "stamps", "celery_beat_task":
		return true
	}
	return false
}

// envelopeOf is the message of every transport but AMQP.
func (s *shape) envelopeOf(task Task, o *options) []part {
	var w writer
	w.put(`{"body":`)
	w.hole(bodyHole)
	w.put(`,"content-encoding":`)
	w.value(s.properties.ContentEncoding)
	w.put(`,"content-type":`)
	w.value(s.properties.ContentType)
	w.put(`,"headers":`)
	w.object(s.headers)
	w.hole(headersHole)
	w.put(`},"properties":`)

	var correlationID value = idHole
	if o.correlationID != "" {
		correlationID = o.correlationID
	}
	destination := new(object)
	destination.set("exchange", s.route.Exchange)
	destination.set("routing_key", s.route.RoutingKey)
	fields := []field{{"correlation_id", correlationID}, {"reply_to", s.properties.ReplyTo}}
	for _, key := range o.extra.keys {
		fields = append(fields, field{key, o.extra.at(key)})
	}
	fields = append(fields, field{"delivery_mode", number(strconv.Itoa(int(o.deliveryMode)))})
	if s.hasExpiration {
		fields = append(fields, field{"expiration", ttlHole})
	}
	fields = append(
		fields, field{"delivery_info", destination}, field{"priority", number(strconv.Itoa(int(o.priority)))},
		field{"body_encoding", "base64"}, field{"delivery_tag", tagHole},
	)
	// django-celery-results reads the entry's name from a property up to 2.5.1,
	// from the header since.
	if name, given := o.headers.get("periodic_task_name"); given {
		fields = append(fields, field{"periodic_task_name", name})
	} else if task.Entry != "" {
		fields = append(fields, field{"periodic_task_name", entryHole})
	}
	w.object(fields)
	w.put("}}")
	w.hole(noHole)
	return w.parts
}

// eventOf is a task-sent event. It has no utcoffset: receivers shift the time by it.
func (s *shape) eventOf() []part {
	header := func(key string) value {
		return s.headers[slices.IndexFunc(s.headers, func(f field) bool { return f.key == key })].value
	}
	var queue, key value // null for none
	if s.route.Queue != "" {
		queue = s.route.Queue
	}
	if s.route.RoutingKey != "" {
		key = s.route.RoutingKey
	}
	var w writer
	w.object([]field{
		{"hostname", nodeHole},
		{"pid", pidHole},
		{"clock", number("1")},
		{"uuid", idHole},
		{"root_id", header("root_id")},
		{"parent_id", header("parent_id")},
		{"name", header("task")},
		{"args", header("argsrepr")},
		{"kwargs", header("kwargsrepr")},
		{"retries", header("retries")},
		{"eta", header("eta")},
		{"expires", header("expires")},
		{"queue", queue},
		{"exchange", s.route.Exchange},
		{"routing_key", key},
		{"timestamp", atHole},
		{"type", "task-sent"},
	})
	w.put("}")
	w.hole(noHole)
	return w.parts
}

// shapes holds the shapes in use, each once. A shape that no template has any
// more is let go.
type shapes struct {
	mu    sync.Mutex
	known map[string]weak.Pointer[shape]
}

// intern returns the shape that is known and equal to s, or else s.
func (all *shapes) intern(s *shape) *shape {
	key := fmt.Sprint(s.envelope, s.event, s.tail, s.countdown, s.eta.UnixMicro(), s.expires, s.expiresIn, s.expirationIn, s.hasPriority, s.atMostOnce)
	all.mu.Lock()
	defer all.mu.Unlock()
	if same := all.known[key].Value(); same != nil {
		return same
	}
	if all.known == nil {
		all.known = make(map[string]weak.Pointer[shape])
	}
	all.known[key] = weak.Make(s)
	runtime.AddCleanup(s, all.forget, key)
	return s
}

func (all *shapes) forget(key string) {
	all.mu.Lock()
	defer all.mu.Unlock()
	if all.known[key].Value() == nil {
		delete(all.known, key)
	}
}
