package celery

import (
	"cmp"
	"encoding/json"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Way is how a task message was seen.
type Way string

const (
	WaySent     Way = "task-sent"     // an event of the sender's (task_send_sent_event)
	WayReceived Way = "task-received" // an event of the worker's (-E)
	WayMessage  Way = "message"       // a copy of the message
	WayQueue    Way = "queue"         // the message as it waited in a queue, where not each one is seen
)

// A Sighting is a task message of any sender's, as far as it was seen.
type Sighting struct {
	Way    Way
	At     time.Time // when it was sent, or else heard of
	ID     string
	Task   string
	Entry  string // periodic_task_name, which some beats give
	Beat   bool   // whether the message says that a beat has sent it
	Sender string // of the message; empty where only a worker has told of it
	Child  bool   // whether another task has sent it

	args, kwargs     string // reprs
	eta, expires     string
	routed           bool // whether the next two are known
	exchange, key    string
	message          *Delivery // nil for an event
	body             []json.RawMessage
	hasArgs, hasBody bool
}

// stale is how long an event may be under way and still tell when it was sent.
const stale = time.Minute

// Sightings are the task messages that a delivery tells of: it may be one itself, an event,
// or several events. What was heard at an instant and is none of these gives none.
func Sightings(d Delivery, at time.Time) []Sighting {
	if !d.Event {
		if s, ok := sightingOf(d, at); ok {
			return []Sighting{s}
		}
		return nil
	}
	var events []event
	if decodeJSON(d.Body, &events) != nil {
		var one event
		if decodeJSON(d.Body, &one) != nil {
			return nil
		}
		events = []event{one}
	}
	var all []Sighting
	for _, e := range events {
		if s, ok := e.sighting(at); ok {
			all = append(all, s)
		}
	}
	return all
}

// An event is what is looked at of an event of Celery's.
type event struct {
	Type       string  `json:"type"`
	Hostname   string  `json:"hostname"`
	Timestamp  float64 `json:"timestamp"`
	UUID       string  `json:"uuid"`
	ParentID   string  `json:"parent_id"`
	Name       string  `json:"name"`
	Args       any     `json:"args"`
	Kwargs     any     `json:"kwargs"`
	ETA        any     `json:"eta"`
	Expires    any     `json:"expires"`
	Exchange   *string `json:"exchange"`
	RoutingKey *string `json:"routing_key"`
}

func (e event) sighting(at time.Time) (Sighting, bool) {
	way := Way(e.Type)
	if way != WaySent && way != WayReceived || e.UUID == "" {
		return Sighting{}, false
	}
	s := Sighting{Way: way, At: at, ID: e.UUID, Task: e.Name, Child: e.ParentID != ""}
	if way == WaySent {
		s.Sender = e.Hostname
	}
	if told := at.Add(-time.Duration(math.Round((float64(at.UnixMicro()) - e.Timestamp*1e6))) * time.Microsecond); e.Timestamp > 0 && told.Before(at) && at.Sub(told) < stale {
		s.At = told
	}
	args, isText := e.Args.(string)
	kwargs, areText := e.Kwargs.(string)
	s.args, s.kwargs, s.hasArgs = args, kwargs, isText && areText
	s.eta, _ = e.ETA.(string)
	s.expires, _ = e.Expires.(string)
	if way == WaySent && e.Exchange != nil && e.RoutingKey != nil {
		s.routed, s.exchange, s.key = true, *e.Exchange, *e.RoutingKey
	}
	return s, true
}

// sightingOf reads a task message of protocol 2.
func sightingOf(d Delivery, at time.Time) (s Sighting, ok bool) {
	text := func(name string) string {
		value, _ := d.Headers[name].(string)
		return value
	}
	s = Sighting{
		Way: WayMessage, At: at, ID: text("id"), Task: text("task"), Entry: text("periodic_task_name"), Sender: text("origin"), Child: text("parent_id") != "",
		eta: text("eta"), expires: text("expires"), routed: true, exchange: d.Exchange, key: d.RoutingKey,
		args: text("argsrepr"), kwargs: text("kwargsrepr"), hasArgs: text("argsrepr") != "", message: &d,
	}
	if name, isText := d.Properties["periodic_task_name"].(string); isText && s.Entry == "" {
		s.Entry = name
	}
	if d.Waiting {
		s.Way = WayQueue
	}
	s.Beat, _ = d.Headers["celery_beat_task"].(bool)
	s.hasBody = d.ContentType == "application/json" && d.Headers["compression"] == nil && decodeJSON(d.Body, &s.body) == nil && len(s.body) == 3
	return s, s.ID != "" && s.Task != ""
}

// Whole says whether the message itself was seen.
func (s Sighting) Whole() bool { return s.message != nil }

// A Difference is where another sender's message is not as onebeat's would be.
type Difference struct {
	Field   string `json:"field"`
	Beat    string `json:"beat,omitempty"`    // what the other sends, and onebeat; empty where they may be secrets
	Onebeat string `json:"onebeat,omitempty"` // or arguments
	Why     string `json:"why,omitempty"`     // where a known difference explains it
}

// ofClass explains what a beat knows of a task's class, and onebeat by settings alone.
const ofClass = "beat knows the task's class and its settings: `onebeat import live` or `import celery` takes them over with --settings"

// Differences are where the message that was seen is not as this template's would be, as
// far as was seen, in order of the fields. A sighting of another task has none to tell.
func (t *Template) Differences(s Sighting) []Difference {
	all := t.argumentDifferences(s)
	m := Message{ID: s.ID, At: s.At, Slot: s.At}
	if route := t.Route(); s.routed && (s.exchange != route.Exchange || s.key != route.RoutingKey) {
		all = append(all, Difference{"destination", place(s.exchange, s.key), place(route.Exchange, route.RoutingKey), ofClass})
	}
	var eta, expires time.Time
	if t.shape.countdown != 0 || !t.shape.eta.IsZero() {
		eta = t.eta(s.At)
	}
	if t.shape.expires != never {
		expires = t.expiry(s.At)
	}
	all = append(all, s.times("eta", s.eta, eta)...)
	all = append(all, s.times("expires", s.expires, expires)...)
	if s.message != nil {
		all = append(all, t.messageDifferences(s, m)...)
	}
	return all
}

func place(exchange, key string) string {
	if exchange == "" {
		return "queue " + key
	}
	return "exchange " + exchange + ", key " + key
}

// argumentDifferences compares arguments: as they are in a JSON body, or else their reprs.
func (t *Template) argumentDifferences(s Sighting) (all []Difference) {
	differ := func(field string, same bool) {
		if !same {
			all = append(all, Difference{Field: field})
		}
	}
	var own []json.RawMessage
	switch {
	case s.hasBody && decodeJSON(t.Body(), &own) == nil && len(own) == 3:
		differ("args", sameJSON(own[0], s.body[0]))
		differ("kwargs", sameJSON(own[1], s.body[1]))
	case s.hasArgs:
		differ("args", plainRepr(t.text(argsHole, Message{}).(string)) == plainRepr(s.args))
		differ("kwargs", plainRepr(t.text(kwargsHole, Message{}).(string)) == plainRepr(s.kwargs))
	}
	return all
}

func sameJSON(a, b []byte) bool {
	var values [2]any
	if decodeJSON(a, &values[0]) != nil || decodeJSON(b, &values[1]) != nil {
		return false
	}
	return reflect.DeepEqual(values[0], values[1])
}

// plainRepr is a repr in which a tuple looks like a list, as it does in a message.
func plainRepr(repr string) string {
	var plain strings.Builder
	quoted := false
	for i := 0; i < len(repr); i++ {
		c := repr[i]
		switch {
		case quoted && c == '\\' && i+1 < len(repr):
			plain.WriteByte(c)
			i++
			c = repr[i]
		case c == '\'':
			quoted = !quoted
		case quoted:
		case c == '(':
			c = '['
		case c == ')':
			c = ']'
		case c == ',' && strings.HasPrefix(repr[i+1:], ")"):
			continue
		}
		plain.WriteByte(c)
	}
	return plain.String()
}

// nearEnough is how far apart two instants may be that both count from a sending, and
// heardAfter how long a message may be under way, or wait in a queue, before it is heard of.
const (
	nearEnough = 2 * time.Second
	heardAfter = 5 * time.Second
)

// times compares an instant of a message's, which is text, with onebeat's.
func (s Sighting) times(field, beat string, own time.Time) []Difference {
	told, err := parseTime(beat)
	earlier := nearEnough
	if s.message != nil { // At is when it was heard of
		earlier = heardAfter
	}
	if apart := told.Sub(own); beat == "" && own.IsZero() || beat != "" && err == nil && !own.IsZero() && apart < nearEnough && -apart < earlier {
		return nil
	}
	d := Difference{Field: field, Beat: "none", Onebeat: "none"}
	if beat != "" {
		d.Beat, d.Why = "in "+told.Sub(s.At).Round(time.Second).String(), ofClass
	}
	if !own.IsZero() {
		d.Onebeat, d.Why = "in "+own.Sub(s.At).Round(time.Second).String(), ""
	}
	return []Difference{d}
}

// each are headers of each message's own, or compared elsewhere.
var each = []string{"id", "root_id", "origin", "onebeat_slot", "argsrepr", "kwargsrepr", "eta", "expires", "lang"}

// later are headers that an older Celery, or a beat that is not onebeat's like, leaves out.
var later = []string{"celery_beat_task", "periodic_task_name", "stamps", "stamped_headers", "replaced_task_nesting", "group_index"}

// messageDifferences compares headers and properties.
func (t *Template) messageDifferences(s Sighting, m Message) (all []Difference) {
	own := t.Headers(m)
	names := slices.Collect(maps.Keys(own))
	for name := range s.message.Headers {
		if _, both := own[name]; !both {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		beat, given := s.message.Headers[name]
		switch {
		case slices.Contains(each, name), !given && slices.Contains(later, name), beat == nil && own[name] == nil:
			continue
		case name == "ignore_result" && own[name] == nil && beat == false:
			continue // Celery writes false of what it knows by its name alone, and means the task's own
		}
		if a, errA := json.Marshal(own[name]); errA == nil {
			if b, errB := json.Marshal(beat); errB == nil && sameJSON(a, b) {
				continue
			}
		}
		d := Difference{Field: "header " + name}
		if name == "timelimit" || name == "ignore_result" {
			d.Why = ofClass
		}
		all = append(all, d)
	}
	p := t.Properties(m)
	compare := func(field, beat, own, why string) {
		if beat != own {
			all = append(all, Difference{field, cmp.Or(beat, "none"), cmp.Or(own, "none"), why})
		}
	}
	compare("content type", s.message.ContentType, p.ContentType, ofClass)
	compare("content encoding", s.message.ContentEncoding, p.ContentEncoding, ofClass)
	compare("priority", numeral(s.message.Properties["priority"]), strconv.Itoa(int(p.Priority)), ofClass)
	compare("delivery mode", numeral(s.message.Properties["delivery_mode"]), strconv.Itoa(int(p.DeliveryMode)), ofClass)
	var embed []json.RawMessage
	if s.hasBody && decodeJSON(t.Body(), &embed) == nil && len(embed) == 3 && !sameJSON(embed[2], s.body[2]) {
		all = append(all, Difference{Field: "what runs afterwards"})
	}
	return all
}

func numeral(value any) string {
	switch v := value.(type) {
	case json.Number:
		return v.String()
	case string:
		return v
	}
	return "0"
}

// Signature is the arguments' reprs, by which a message is found to be an entry's; the
// same as the Signature of a sighting with the same arguments.
func (t *Template) Signature() string {
	return plainRepr(t.text(argsHole, Message{}).(string)) + "\x00" + plainRepr(t.text(kwargsHole, Message{}).(string))
}

// Signature is the arguments' reprs; empty if they are not known.
func (s Sighting) Signature() string {
	if !s.hasArgs {
		return ""
	}
	return plainRepr(s.args) + "\x00" + plainRepr(s.kwargs)
}

// Goes says whether the template's messages go where the one that was seen went, as far as
// that is known.
func (t *Template) Goes(s Sighting) bool {
	route := t.Route()
	return !s.routed || s.exchange == route.Exchange && s.key == route.RoutingKey
}
