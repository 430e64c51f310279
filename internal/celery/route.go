package celery

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// A Route is where a message goes.
type Route struct {
	Queue string // for people; empty where only an exchange is known

	// Exchange and RoutingKey are the real destination, Exchange "" being AMQP's
	// default exchange, whose routing key is the name of a queue.
	Exchange     string
	ExchangeType string // direct, topic, fanout, headers or a plug-in's
	RoutingKey   string

	// Declare is what Celery would declare before it sends; nil for nothing.
	Declare *Queue
}

// A router is one map of task_routes.
type router struct {
	exact     map[string]*object
	patterns  []pattern
	unordered bool
}

type pattern struct {
	glob    string
	regexp  *regexp.Regexp
	options *object
}

// readRoutes reads task_routes: a map, or a list of maps or lists of pairs.
func readRoutes(v value) ([]router, error) {
	v, err := structure(v)
	if err != nil {
		return nil, err
	}
	switch v := v.(type) {
	case nil:
		return nil, nil
	case *object:
		r, err := readRouter(v)
		return []router{r}, err
	case []value:
		var routers []router
		for _, item := range v {
			r, err := readRouter(item)
			if err != nil {
				return nil, err
			}
			routers = append(routers, r)
		}
		return routers, nil
	}
	return nil, errCode
}

var errCode = errors.New("must be a map of task names or patterns: routers in code cannot be read, so give the routes that they return")

func readRouter(v value) (router, error) {
	r := router{exact: make(map[string]*object)}
	switch v := v.(type) {
	case *object:
		r.unordered = v.unordered
		for _, key := range v.keys {
			if err := r.add(key, v.at(key)); err != nil {
				return r, err
			}
		}
		return r, nil
	case []value:
		for _, item := range v {
			pair, isList := item.([]value)
			if !isList || len(pair) != 2 {
				return r, errors.New("must be a map, or a list of maps: a list of pairs stands in a list of its own")
			}
			key, isText := pair[0].(string)
			if !isText {
				return r, errors.New("has a pair that does not begin with a task name or pattern")
			}
			if err := r.add(key, pair[1]); err != nil {
				return r, err
			}
		}
		return r, nil
	}
	return r, errCode
}

func (r *router) add(key string, v value) error {
	options := new(object)
	switch v := v.(type) {
	case string:
		if v != "" {
			options.set("queue", v)
		}
	case *object:
		for _, name := range v.keys {
			if name != "headers" { // since Celery 5.7 beat gives every entry headers, which hide these
				options.set(name, v.at(name))
			}
		}
	default:
		return fmt.Errorf("for %q must be a map or the name of a queue", key)
	}
	for _, name := range options.keys {
		if slices.Contains(notInRoutes, name) {
			return fmt.Errorf("for %q cannot set %s: Celery fails to send then", key, name)
		}
	}
	if !strings.Contains(key, "*") {
		r.exact[key] = options
		return nil
	}
	r.patterns = append(r.patterns, pattern{key, globRegexp(key), options})
	return nil
}

// notInRoutes are options that Celery has taken out by the time it asks its
// routers, so that a route with one of them raises a TypeError (celery 5.7
// app/base.py, send_task).
var notInRoutes = []string{
	"args", "kwargs", "name", "task_id", "countdown", "eta", "expires", "group_id", "group_index", "retries", "chord", "link", "link_error",
	"callbacks", "errbacks", "reply_to", "time_limit", "soft_time_limit", "root_id", "parent_id", "shadow", "chain", "ignore_result",
	"replaced_task_nesting",
}

// route returns the options that task_routes has for a task; nil for none. In
// one map an exact name beats any pattern; of patterns the first wins.
func (c *Config) route(task string) (*object, error) {
	for _, r := range c.routers {
		if options, found := r.exact[task]; found {
			return options, nil
		}
		var first *pattern
		for i := range r.patterns {
			p := &r.patterns[i]
			switch {
			case !p.regexp.MatchString(task):
			case first == nil:
				first = p
			case r.unordered && string(appendJSON(nil, p.options)) != string(appendJSON(nil, first.options)):
				return nil, fmt.Errorf("task_routes has two patterns for %s (%s and %s) and their order was lost: write them as a list of pairs", task, first.glob, p.glob)
			}
		}
		if first != nil {
			return first.options, nil
		}
	}
	return nil, nil
}

// globRegexp is Python's fnmatch.translate.
func globRegexp(glob string) *regexp.Regexp {
	var b strings.Builder
	b.WriteString(`(?s)\A`)
	for i := 0; i < len(glob); i++ {
		switch glob[i] {
		case '*':
			b.WriteString(`.*`)
		case '?':
			b.WriteString(`.`)
		case '[':
			end := globSetEnd(glob, i+1)
			if end < 0 {
				b.WriteString(`\[`)
				continue
			}
			b.WriteString(globSet(glob[i+1 : end]))
			i = end
		default:
			b.WriteString(regexp.QuoteMeta(glob[i : i+1]))
		}
	}
	b.WriteString(`\z`)
	re, err := regexp.Compile(b.String())
	if err != nil { // an empty range like [z-a] matches nothing
		return regexp.MustCompile(`\z\A.`)
	}
	return re
}

// globSetEnd finds the bracket that ends a set; one that comes first is a member.
func globSetEnd(glob string, from int) int {
	at := from
	if at < len(glob) && glob[at] == '!' {
		at++
	}
	if at < len(glob) && glob[at] == ']' {
		at++
	}
	if end := strings.IndexByte(glob[min(at, len(glob)):], ']'); end >= 0 {
		return at + end
	}
	return -1
}

func globSet(set string) string {
	not := ""
	if strings.HasPrefix(set, "!") {
		not, set = "^", set[1:]
	}
	return "[" + not + strings.NewReplacer(`\`, `\\`, `[`, `\[`, `]`, `\]`, `^`, `\^`, `&`, `\&`, `~`, `\~`).Replace(set) + "]"
}

// resolve settles where a message with these options goes: first the queue, as
// Router.route does (celery 5.7 app/routes.py), then the destination, as
// send_task_message does (app/amqp.py). The options are completed with those of
// the task's route.
func (c *Config) resolve(task string, o *object) (Route, error) {
	route, err := c.route(task)
	if err != nil {
		return Route{}, err
	}
	if name, named := route.get("queue"); named { // unknown, it fails the task even where an option names another
		if text, isText := name.(string); isText && text != "" {
			if _, err := c.queue(text); err != nil {
				return Route{}, err
			}
		}
	}
	if o.at("queue") == "" {
		o.set("queue", nil) // as no queue at all
	}
	for i := range route.len() {
		if key := route.keys[i]; o.at(key) == nil && route.at(key) != nil {
			o.set(key, route.at(key))
		}
	}
	var texts [4]string
	for i, key := range []string{"queue", "exchange", "routing_key", "exchange_type"} {
		v, _ := o.get(key)
		if err := readText(v, &texts[i]); err != nil {
			return Route{}, fmt.Errorf("option %s %w", key, err)
		}
	}
	name, exchange, key, kind := texts[0], texts[1], texts[2], texts[3]
	if name == "" && (route.len() == 0 || o.at("exchange") == nil) {
		name = c.defaultQueue
	}
	var q *Queue
	if name != "" {
		if q, err = c.queue(name); err != nil {
			return Route{}, err
		}
		kind = cmp.Or(kind, q.Exchange.Type)
	}
	r := Route{Queue: name, ExchangeType: cmp.Or(kind, "direct"), Exchange: exchange, RoutingKey: key}
	if q != nil && !q.Broadcast {
		r.Declare = q
	}
	switch {
	case r.ExchangeType == "direct" && (exchange == "" || key == ""):
		if name == "" {
			return Route{}, fmt.Errorf("the route of %s has an exchange but no routing key and no queue, so Celery would send it nowhere", task)
		}
		r.Exchange, r.RoutingKey = "", name
	case o.at("exchange") == nil:
		r.Exchange = q.Exchange.Name
		r.RoutingKey = cmp.Or(key, q.RoutingKey)
	}
	return r, nil
}

// TopicMatches says whether a topic binding's key takes a routing key: "*" is one word, "#" any text. It
// follows TopicExchange.key_to_pattern of kombu, so "a.#" wants the dot, unlike RabbitMQ. A key that is no
// text, which anybody may write where bindings are kept, takes nothing.
func TopicMatches(key, routingKey string) bool {
	words := strings.Split(key, ".")
	for i, word := range words {
		switch word {
		case "*":
			words[i] = `[^.]+`
		case "#":
			words[i] = `.*`
		default:
			words[i] = regexp.QuoteMeta(word)
		}
	}
	pattern, err := regexp.Compile(`^` + strings.Join(words, `\.`) + `$`)
	return err == nil && pattern.MatchString(routingKey)
}
