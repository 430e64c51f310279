package celery

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// options are the apply_async options of one message, read and checked.
type options struct {
	route Route

	serializer, compression string
	deliveryMode            uint8
	priority                uint8
	hasPriority             bool

	id, rootID, parentID              string
	shadow, group, origin, replyTo    value
	correlationID                     string
	groupIndex, ignoreResult          value
	retries, nesting                  value
	timeLimit, softTimeLimit          value
	argsRepr, kwargsRepr              string
	hasArgsRepr, hasKwargsRepr        bool
	stampedHeaders                    value
	stamps                            *object
	headers                           *object
	callbacks, errbacks, chain, chord value
	countdown                         float64
	eta                               time.Time
	expiresKind                       expiry
	expiresIn                         float64 // seconds from the message's instant
	expiresAt                         time.Time
	hasExpiration                     bool
	expirationIn                      float64
	atMostOnce                        bool
	extra                             *object // what Celery does not know becomes a property
}

// An expiry says what an expires option counts from.
type expiry byte

const (
	never expiry = iota
	relative
	absolute
)

// ignored are options that steer Python's publisher and leave no trace in a message.
var ignored = []string{
	"mandatory", "immediate", "timeout", "confirm_timeout", "retry", "retry_policy", "declare", "add_to_parent",
	"queue", "exchange", "routing_key", "exchange_type", // settled by resolve
}

// refused are names that are arguments of Celery's own functions, or parts of an
// envelope: as options they raise an error in Python or make a message that
// workers cannot read.
var refused = []string{
	"args", "kwargs", "name", "producer", "connection", "publisher", "router", "result_cls", "task_type", "callbacks", "errbacks",
	"create_sent_event", "now", "timezone", "event_dispatcher", "message", "body", "content_type", "content_encoding",
	"delivery_info", "delivery_tag", "body_encoding", "periodic_task_name", "self", "task",
}

// A reader takes options out of an object and keeps the first fault.
type reader struct {
	o   *object
	err error
}

func (r *reader) fail(key, what string) {
	if r.err == nil {
		r.err = fmt.Errorf("option %s %s", key, what)
	}
}

func (r *reader) text(key string) (string, bool) {
	v, _ := r.o.get(key)
	s, isText := v.(string)
	if v != nil && !isText {
		r.fail(key, "must be text")
	}
	return s, isText
}

// nullable is text or null, for a header.
func (r *reader) nullable(key string) value {
	if s, given := r.text(key); given {
		return s
	}
	return nil
}

func (r *reader) count(key string, otherwise value) value {
	v, _ := r.o.get(key)
	if v == nil {
		return otherwise
	}
	if n, isNumber := v.(number); isNumber {
		if i, ok := n.int(); ok && i >= 0 && i <= math.MaxInt32 {
			return n
		}
	}
	r.fail(key, "must be a whole number, 0 or more")
	return otherwise
}

func (r *reader) seconds(key string) (float64, bool) {
	v, _ := r.o.get(key)
	if v == nil {
		return 0, false
	}
	n, isNumber := v.(number)
	if !isNumber || !(math.Abs(n.float()) <= maxSeconds) {
		r.fail(key, "must be a number of seconds, at most 100 years")
		return 0, false
	}
	return n.float(), true
}

// limit is a number of seconds as it was written, or null.
func (r *reader) limit(key string) value {
	if s, given := r.seconds(key); given {
		if s < 0 {
			r.fail(key, "must not be negative")
		}
		return r.o.at(key)
	}
	return nil
}

func (r *reader) bool(key string) value {
	v, _ := r.o.get(key)
	if _, isBool := v.(bool); v != nil && !isBool {
		r.fail(key, "must be true or false")
		return nil
	}
	return v
}

func (r *reader) object(key string) *object {
	v, _ := r.o.get(key)
	o, isObject := v.(*object)
	if v != nil && !isObject {
		r.fail(key, "must be an object")
	}
	return o
}

// signatures are tasks to run afterwards: one, or a list of them.
func (r *reader) signatures(key string) value {
	v, _ := r.o.get(key)
	if v == nil {
		return nil
	}
	list, isList := v.([]value)
	if !isList {
		list = []value{v}
	}
	for _, item := range list {
		r.signature(key, item)
	}
	return list
}

func (r *reader) signature(key string, v value) {
	o, _ := v.(*object)
	task, _ := o.get("task")
	if name, isText := task.(string); !isText || name == "" {
		r.fail(key, `must hold signatures, objects with a "task"`)
	}
}

// readOptions checks every option of o for a task.
func (c *Config) readOptions(task string, o *object) (*options, error) {
	r := &reader{o: o}
	p := &options{headers: r.object("headers"), extra: new(object), stamps: new(object)}
	if r.err != nil {
		return nil, r.err
	}
	name, routeName := task, ""
	if s, given := r.text("route_name"); given {
		routeName = s
	}
	var err error
	if p.route, err = c.resolve(cmp.Or(routeName, name), o); err != nil {
		return nil, err
	}
	p.serializer = c.serializer
	if s, _ := r.text("serializer"); s != "" {
		p.serializer = s
	}
	p.compression = c.compression
	if s, _ := r.text("compression"); s != "" {
		p.compression = s
	}
	p.readPromise(c, r)
	p.readDelivery(c, r)
	p.readHeaders(r)
	p.readTimes(r)
	p.callbacks, p.errbacks = r.signatures("link"), r.signatures("link_error")
	if v, _ := o.get("chain"); v != nil {
		if _, isList := v.([]value); !isList {
			r.fail("chain", "must be a list of signatures")
		}
		p.chain = r.signatures("chain")
	}
	if v, _ := o.get("chord"); v != nil {
		r.signature("chord", v)
		p.chord = v
	}
	p.readStamps(r)
	p.readExtra(r)
	return p, r.err
}

// readPromise reads onebeat's own option, which leaves no trace in a message.
func (p *options) readPromise(c *Config, r *reader) {
	p.atMostOnce = c.AtMostOnce
	switch promise, given := r.text("delivery"); {
	case !given:
	case promise == AtMostOnce, promise == AtLeastOnce:
		p.atMostOnce = promise == AtMostOnce
	default:
		r.fail("delivery", "must be "+AtLeastOnce+" or "+AtMostOnce)
	}
}

func (p *options) readDelivery(c *Config, r *reader) {
	mode, _ := r.o.get("delivery_mode")
	m, err := readDeliveryMode(mode)
	if err != nil {
		r.fail("delivery_mode", err.Error())
	}
	if m == 0 && p.route.Queue != "" {
		if q, err := c.queue(p.route.Queue); err == nil {
			m = q.Exchange.deliveryMode
		}
	}
	p.deliveryMode = cmp.Or(m, c.deliveryMode, 2)
	if v, _ := r.o.get("priority"); v != nil {
		n, isNumber := v.(number)
		i, isInt := n.int()
		if !isNumber || !isInt || i < 0 || i > math.MaxUint8 {
			r.fail("priority", "must be a whole number from 0 to 255")
		}
		p.priority, p.hasPriority = uint8(i), true
	}
}

func (p *options) readHeaders(r *reader) {
	p.id, _ = r.text("task_id")
	p.rootID, _ = r.text("root_id")
	p.parentID, _ = r.text("parent_id")
	p.shadow, p.group, p.origin, p.replyTo = r.nullable("shadow"), r.nullable("group_id"), r.nullable("origin"), r.nullable("reply_to")
	p.correlationID, _ = r.text("correlation_id")
	p.groupIndex = r.count("group_index", nil)
	p.retries = r.count("retries", number("0"))
	p.nesting = r.count("replaced_task_nesting", number("0"))
	p.timeLimit, p.softTimeLimit = r.limit("time_limit"), r.limit("soft_time_limit")
	p.ignoreResult = r.bool("ignore_result")
	p.argsRepr, p.hasArgsRepr = r.text("argsrepr")
	p.kwargsRepr, p.hasKwargsRepr = r.text("kwargsrepr")
	if p.headers != nil {
		for _, key := range ownHeaders {
			if _, given := p.headers.get(key); given {
				r.fail("headers", "must not set "+key+": it has an option of its own, or is made for each message")
			}
		}
		for _, key := range p.headers.keys {
			if len(key) > math.MaxUint8 {
				r.fail("headers", "has a name of more than 255 bytes")
			}
			if fault := tableFault(p.headers.at(key)); fault != "" {
				r.fail("headers", fault)
			}
		}
	}
}

// ownHeaders are headers that a worker dies of, or loses messages for, when
// they are wrong; headers must not set them unchecked.
var ownHeaders = []string{
	"task", "id", "eta", "expires", "retries", "timelimit", "replaced_task_nesting", "compression", "onebeat_slot",
}

func (p *options) readTimes(r *reader) {
	p.countdown, _ = r.seconds("countdown")
	if text, given := r.text("eta"); given {
		var err error
		if p.eta, err = parseTime(text); err != nil {
			r.fail("eta", err.Error())
		}
	}
	p.expirationIn, p.hasExpiration = r.seconds("expiration")
	switch v, _ := r.o.get("expires"); v := v.(type) {
	case nil:
	case string:
		t, err := parseTime(v)
		if err != nil {
			r.fail("expires", err.Error())
		}
		p.expiresKind, p.expiresAt = absolute, t
	case number:
		p.expiresIn, _ = r.seconds("expires")
		p.expiresKind = relative
	default:
		r.fail("expires", "must be a number of seconds or a time")
	}
}

func (p *options) readStamps(r *reader) {
	v, _ := r.o.get("stamped_headers")
	if v == nil {
		return
	}
	names, isList := v.([]value)
	if !isList {
		r.fail("stamped_headers", "must be a list of names")
		return
	}
	for _, item := range names {
		name, isText := item.(string)
		stamp, given := r.o.get(name)
		if !isText || !given {
			r.fail("stamped_headers", "must be a list of names, each with an option of that name")
			return
		}
		if len(name) > math.MaxUint8 {
			r.fail("stamped_headers", "has a name of more than 255 bytes")
		}
		if fault := tableFault(stamp); fault != "" {
			r.fail(name, fault)
		}
		p.stamps.set(name, stamp)
	}
	p.stampedHeaders = names
}

// known are the options read above. argsrepr, kwargsrepr and origin are not among
// them: Celery makes headers of them and properties as well.
var known = []string{
	"delivery", "headers", "route_name", "serializer", "compression", "delivery_mode", "priority", "task_id", "root_id", "parent_id", "shadow",
	"group_id", "reply_to", "correlation_id", "group_index", "retries", "replaced_task_nesting", "time_limit",
	"soft_time_limit", "ignore_result", "countdown", "eta", "expiration", "expires", "link", "link_error",
	"chain", "chord", "stamped_headers",
}

func (p *options) readExtra(r *reader) {
	for _, key := range r.o.keys {
		_, isStamp := p.stamps.get(key)
		switch v := r.o.at(key); {
		case isStamp, v == nil, slices.Contains(known, key), slices.Contains(ignored, key):
		case slices.Contains(refused, key):
			r.fail(key, "cannot be given: it is not an option of a message")
		default:
			p.extra.set(key, v)
		}
	}
}

// ofMessages are properties of a message that an option sets by their names: AMQP's own (0-9-1, class basic), and those
// that Celery makes headers of as well.
var ofMessages = []string{
	"app_id", "application_headers", "cluster_id", "message_id", "timestamp", "type", "user_id", "argsrepr", "kwargsrepr", "origin",
}

// UnknownOptions returns the names among a task's options, a JSON object, that neither Celery nor AMQP knows. Celery takes them
// without a word, and makes properties of them that no worker reads (celery 5.7 app/amqp.py): they are mostly written wrong.
// Nil where the text is no such object.
func UnknownOptions(text string) (names []string) {
	v, err := parseField("options", text, "an object")
	o, ok := v.(*object)
	if err != nil || !ok {
		return nil
	}
	stamps, _ := o.get("stamped_headers")
	stamped, _ := stamps.([]value)
	for _, key := range o.keys {
		in := func(names []string) bool { return slices.Contains(names, key) }
		isStamp := slices.ContainsFunc(stamped, func(name value) bool { return name == value(key) })
		if o.at(key) != nil && !isStamp && !slices.ContainsFunc([][]string{known, ignored, refused, ofMessages}, in) {
			names = append(names, key)
		}
	}
	return names
}

// HasTaskID reports whether a task's options, a JSON object, have one id for all of its messages.
func HasTaskID(text string) bool {
	if !strings.Contains(text, "task_id") {
		return false
	}
	v, err := parseField("options", text, "an object")
	o, ok := v.(*object)
	if err != nil || !ok {
		return false
	}
	id, _ := o.get("task_id")
	written, isText := id.(string)
	return isText && written != ""
}

// tableFault is why AMQP's tables cannot carry all of v, "" if they can. RabbitMQ ends the connection for a number that is
// not finite, with an internal error.
func tableFault(v value) (fault string) {
	switch v := v.(type) {
	case number:
		if _, ok := v.int(); !ok && v.isInt() {
			return "has an integer beyond 64 bits, which AMQP cannot carry"
		}
		if f := v.float(); math.IsInf(f, 0) || math.IsNaN(f) {
			return "has a number that is not finite, which RabbitMQ cannot read"
		}
	case []value:
		for _, item := range v {
			fault = cmp.Or(fault, tableFault(item))
		}
	case *object:
		for _, key := range v.keys {
			if len(key) > math.MaxUint8 {
				return "has a name of more than 255 bytes"
			}
			fault = cmp.Or(fault, tableFault(v.at(key)))
		}
	}
	return fault
}

// asTable is v as an AMQP table.
func asTable(v value) (map[string]any, error) {
	o, isObject := v.(*object)
	if !isObject || tableFault(v) != "" {
		return nil, errors.New("must be a map that AMQP can carry")
	}
	return table(o).(map[string]any), nil
}

// table is v with the types of an AMQP table: int32 where it fits, else int64.
func table(v value) any {
	switch v := v.(type) {
	case number:
		if i, err := strconv.ParseInt(string(v), 10, 64); err == nil {
			return tableInt(i)
		}
		return v.float()
	case []value:
		list := make([]any, len(v))
		for i, item := range v {
			list[i] = table(item)
		}
		return list
	case *object:
		m := make(map[string]any, v.len())
		if v != nil {
			for _, key := range v.keys {
				m[key] = table(v.at(key))
			}
		}
		return m
	}
	return v
}

func tableInt(i int64) any {
	if i == int64(int32(i)) {
		return int32(i)
	}
	return i
}
