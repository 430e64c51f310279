package celery

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// A Task is what a row says should be sent.
type Task struct {
	Name  string // the Celery task's name
	Entry string // the entry's name, for the periodic_task_name header; "" for none

	// Args, Kwargs and Options are JSON texts: an array, an object, and an
	// object of apply_async options. "" is none.
	Args, Kwargs, Options string
}

// A Template is a task made ready: all of its message that does not change from
// one sending to the next. It never changes and is safe to use from any
// goroutine. What templates have in common they share, so that one costs little
// more than its own arguments.
type Template struct {
	shape *shape

	// own is the text that is this template's alone, its sections end to end.
	own  string
	ends [sections]uint32

	// argsEnd is where in the body the arguments end. A repr that differs from their
	// text by its quotes alone is made of it, and its section is empty.
	argsEnd                      uint32
	requotesArgs, requotesKwargs bool

	expiresAt *time.Time // of an absolute expires option
}

// The sections of a template's own text.
const (
	bodySection   = iota // without the shape's tail
	argsSection          // argsrepr
	kwargsSection        // kwargsrepr
	entrySection         // the entry's name
	headerSection        // the option headers, as members of an object with a comma before each
	idSection            // the option task_id
	sections
)

func (t *Template) section(i int) string {
	start := uint32(0)
	if i > 0 {
		start = t.ends[i-1]
	}
	return t.own[start:t.ends[i]]
}

// args and kwargs are the texts in a body that is JSON.
func (t *Template) args() string   { return t.own[1:t.argsEnd] }
func (t *Template) kwargs() string { return t.own[t.argsEnd+1 : t.ends[bodySection]] }

// Template checks a row strictly and makes it ready. The error is one line for
// people; it names what is wrong but never quotes an argument.
func (c *Config) Template(task Task) (*Template, error) {
	t, err := c.template(task)
	if err != nil {
		return nil, fmt.Errorf("task %s: %w", cleanName(task.Name), err)
	}
	return t, nil
}

// Route is where the messages of a task go that Template makes ready, at a small part of its cost.
func (c *Config) Route(task Task) (Route, error) {
	p, err := c.prepare(task)
	if err != nil {
		return Route{}, err
	}
	return p.shape.route, nil
}

// cleanName keeps an error one line whatever a row calls its task.
func cleanName(name string) string {
	if name == "" {
		return "(no name)"
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' {
			return ' '
		}
		return r
	}, name)
}

func (c *Config) template(task Task) (*Template, error) {
	if task.Name == "" {
		return nil, errors.New("the row names no task")
	}
	for _, text := range []string{task.Name, task.Entry} {
		if strings.ToValidUTF8(text, "") != text {
			return nil, errors.New("a name is not UTF-8")
		}
	}
	args, err := parseField("args", task.Args, "an array")
	if err != nil {
		return nil, err
	}
	kwargs, err := parseField("kwargs", task.Kwargs, "an object")
	if err != nil {
		return nil, err
	}
	p, err := c.prepare(task)
	if err != nil {
		return nil, err
	}
	body, argsEnd, err := p.body(task, args, kwargs)
	if err != nil {
		return nil, err
	}
	t := &Template{shape: p.shape}
	if !p.expiresAt.IsZero() {
		at := p.expiresAt
		t.expiresAt = &at
	}
	texts := [sections]string{
		bodySection:   string(body),
		argsSection:   p.argsRepr,
		kwargsSection: p.kwargsRepr,
		entrySection:  task.Entry,
		headerSection: p.headerText,
		idSection:     p.id,
	}
	if list, _ := args.([]value); !p.hasArgsRepr && len(list) > 0 {
		texts[argsSection] = repr(args, reprBudget, c.reprLevels)
	}
	if o, _ := kwargs.(*object); !p.hasKwargsRepr && o.len() > 0 {
		texts[kwargsSection] = repr(kwargs, reprBudget, c.reprLevels)
	}
	if p.shape.tail != "" {
		t.argsEnd = argsEnd
		if requoted(texts[bodySection][1:argsEnd], texts[argsSection]) {
			t.requotesArgs, texts[argsSection] = true, ""
		}
		if requoted(texts[bodySection][argsEnd+1:], texts[kwargsSection]) {
			t.requotesKwargs, texts[kwargsSection] = true, ""
		}
	}
	t.own = strings.Join(texts[:], "")
	end := 0
	for i, text := range texts {
		end += len(text)
		t.ends[i] = uint32(end)
	}
	return t, nil
}

// A prepared is what entries of the same task with the same options have in common.
type prepared struct {
	*options
	shape      *shape
	codec      codec
	compressed bool
	embed      *object // the third part of the body
	headerText string
	plain      bool // the options are plainJSON
}

// maxRecent is how many prepared are kept at hand while rows are read: rows of
// one table are mostly of a few tasks, with options that repeat.
const maxRecent = 256

func (c *Config) prepare(task Task) (*prepared, error) {
	key := recentKey{task.Name, task.Options, task.Entry != ""}
	c.mu.Lock()
	p := c.last
	if p == nil || c.lastKey != key {
		if p = c.recent[key]; p != nil {
			c.last, c.lastKey = p, key
		}
	}
	c.mu.Unlock()
	if p != nil {
		return p, nil
	}
	given, err := parseField("options", task.Options, "an object")
	if err != nil {
		return nil, err
	}
	own, _ := given.(*object)
	o, err := c.readOptions(task.Name, c.optionsOf(task.Name, own))
	if err != nil {
		return nil, err
	}
	codec, err := codecOf(o.serializer)
	if err != nil {
		return nil, err
	}
	compression, err := compressionOf(o.compression)
	if err != nil {
		return nil, err
	}
	if !o.hasArgsRepr {
		o.argsRepr = "()" // empty arguments are an empty tuple to Celery
	}
	if !o.hasKwargsRepr {
		o.kwargsRepr = "{}"
	}
	p = &prepared{options: o, codec: codec, compressed: compression != "", embed: new(object), headerText: headerText(o.headers), plain: plainJSON(task.Options, '{')}
	p.embed.set("callbacks", o.callbacks)
	p.embed.set("errbacks", o.errbacks)
	p.embed.set("chain", o.chain)
	p.embed.set("chord", o.chord)
	shape := c.shapeOf(task, codec, compression, o)
	if o.serializer == "json" && !p.compressed { // else a body is not in pieces
		shape.tail = string(append(appendJSON([]byte{','}, p.embed), ']'))
	}
	p.shape = c.shapes.intern(shape)

	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.recent) >= maxRecent {
		clear(c.recent)
	}
	if c.recent == nil {
		c.recent = make(map[recentKey]*prepared)
	}
	c.recent[key] = p
	return p, nil
}

// A recentKey is all of a task that a prepared depends on.
type recentKey struct {
	name, options string
	hasEntry      bool
}

// parseField parses a column of a row; "" and null give nil.
func parseField(column, text, kind string) (value, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	v, err := parseJSON(text)
	if err != nil {
		return nil, fmt.Errorf("%s %w", column, err)
	}
	switch v.(type) {
	case nil:
		return nil, nil
	case []value:
		if kind == "an array" {
			return v, nil
		}
	case *object:
		if kind == "an object" {
			return v, nil
		}
	}
	return nil, fmt.Errorf("%s must be %s", column, kind)
}

// body makes the body of the messages, but for the shape's tail.
func (p *prepared) body(task Task, args, kwargs value) (body []byte, argsEnd uint32, err error) {
	raw := make([]byte, 0, len(task.Args)+len(task.Kwargs)+len("[[],{}"))
	raw = append(append(raw, '['), textOr(task.Args, args, "[]")...)
	argsEnd = uint32(len(raw))
	raw = append(append(raw, ','), textOr(task.Kwargs, kwargs, "{}")...)
	if p.shape.tail != "" {
		return raw, argsEnd, nil
	}
	raw = append(appendJSON(append(raw, ','), p.embed), ']')
	if args == nil {
		args = []value{}
	}
	if kwargs == nil {
		kwargs = new(object)
	}
	body, err = p.codec.encode(raw, []value{args, kwargs, p.embed})
	if err == nil && p.compressed {
		body = compress(body)
	}
	return body, argsEnd, err
}

// textOr is the row's own text, spliced into the body as it is: numbers, escapes
// and doubled keys reach the worker as they were written.
func textOr(text string, v value, otherwise string) string {
	if v == nil {
		return otherwise
	}
	return strings.TrimSpace(text)
}

// headerText is the option headers as they follow the other headers of an envelope.
func headerText(headers *object) string {
	if headers.len() == 0 {
		return ""
	}
	var text []byte
	for _, key := range headers.keys {
		if replaced(key) {
			continue
		}
		text = append(appendQuoted(append(text, ','), key), ':')
		text = appendJSON(text, headers.at(key))
	}
	return string(text)
}

// Route is where the task's messages go.
func (t *Template) Route() Route { return t.shape.route }

// Priority is the priority of the messages, and whether one was asked for. A
// message without one goes as 0.
func (t *Template) Priority() (int, bool) { return int(t.shape.priority), t.shape.hasPriority }

// AtMostOnce reports whether a message that the broker may have is not sent again.
func (t *Template) AtMostOnce() bool { return t.shape.atMostOnce }

// TaskID is the id of a message: its own, unless the options fix one.
func (t *Template) TaskID(m Message) string {
	if fixed := t.section(idSection); len(fixed) > 0 {
		return fixed
	}
	return m.ID
}

// Expired reports whether an absolute expires option has passed at the instant
// given, or a relative one leaves no time: a worker would discard the message unread.
func (t *Template) Expired(at time.Time) bool {
	switch t.shape.expires {
	case absolute:
		return at.After(*t.expiresAt)
	case relative:
		return t.shape.expiresIn <= 0
	}
	return false
}

// Body is the body of the messages as it goes over AMQP.
func (t *Template) Body() []byte { return []byte(t.section(bodySection) + t.shape.tail) }

// Entry is the entry's name, as the task gave it.
func (t *Template) Entry() string { return t.section(entrySection) }

// expiry is when a message expires.
func (t *Template) expiry(at time.Time) time.Time {
	if t.shape.expires == relative {
		return addSeconds(at, t.shape.expiresIn)
	}
	return *t.expiresAt
}

// ttl is a message's expiration property in milliseconds.
func (t *Template) ttl(at time.Time) int64 {
	switch t.shape.expires {
	case relative:
		return expiration(t.shape.expiresIn)
	case absolute:
		return expiration((*t.expiresAt).Sub(at.Truncate(time.Microsecond)).Seconds())
	}
	return expiration(t.shape.expirationIn)
}

// eta is when a worker may begin; zero for at once.
func (t *Template) eta(at time.Time) time.Time {
	if t.shape.countdown != 0 {
		return addSeconds(at, t.shape.countdown)
	}
	return t.shape.eta
}
