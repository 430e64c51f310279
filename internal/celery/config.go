package celery

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
)

// Config is Celery's own settings that decide where a message goes and what it
// says. It is safe to use from any goroutine.
type Config struct {
	// Origin is the origin header: who sent a message. It may be set until the
	// first Template is made.
	Origin string

	// AtMostOnce is the delivery of tasks whose options do not say it: at_most_once
	// if set, else at_least_once. It may be set until the first Template is made.
	AtMostOnce bool

	// SendSentEvent is task_send_sent_event: a task-sent event follows each message.
	SendSentEvent bool

	serializer, compression string
	deliveryMode            uint8
	reprLevels              int

	defaultQueue, defaultExchange, defaultExchangeType, defaultRoutingKey string
	defaultQueueType, missingQueueType, missingExchangeType               string
	createMissing                                                         bool
	maxPriority                                                           int
	queueSettings                                                         value

	routers     []router
	annotations []*object
	defaults    *object // options of every task, from the settings
	exchange    *Exchange

	mu     sync.Mutex
	queues map[string]*Queue
	recent map[recentKey]*prepared

	last    *prepared // the one that was asked for last: rows that were made together mostly have the same
	lastKey recentKey

	shapes shapes
}

// ParseConfig reads settings under Celery's names (celery 5.7 app/defaults.py).
// A structure may come decoded, as text in JSON or YAML, or as a *yaml.Node; only
// the latter two keep the order of the patterns in task_routes. Where that order
// was lost and matters, Template says so. All faults are reported together.
func ParseConfig(given map[string]any) (*Config, error) {
	c := &Config{
		Origin: "onebeat", serializer: "json", deliveryMode: 2, reprLevels: 3,
		defaultQueue: "celery", defaultExchangeType: "direct", createMissing: true,
		defaults: new(object),
	}
	var faults []error
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if err := c.read(name, given[name]); err != nil {
			faults = append(faults, fmt.Errorf("%s %w", name, err))
		}
	}
	c.defaultExchange = cmp.Or(c.defaultExchange, c.defaultQueue)
	c.defaultRoutingKey = cmp.Or(c.defaultRoutingKey, c.defaultQueue)
	if err := c.makeQueues(); err != nil {
		faults = append(faults, fmt.Errorf("task_queues: %w", err))
	}
	if _, err := codecOf(c.serializer); err != nil {
		faults = append(faults, fmt.Errorf("task_serializer: %w", err))
	}
	if _, err := compressionOf(c.compression); err != nil {
		faults = append(faults, fmt.Errorf("task_compression: %w", err))
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	return c, nil
}

func (c *Config) read(name string, given any) error {
	i := slices.IndexFunc(settings, func(s setting) bool { return s.name == name })
	if i < 0 {
		names := make([]string, len(settings))
		for i, s := range settings {
			names[i] = s.name
		}
		return fmt.Errorf("is not a setting that decides how messages are sent; nearest is %s", nearest(name, names))
	}
	v, err := fromGo(given)
	if err != nil || v == nil {
		return err
	}
	return settings[i].read(c, v)
}

// readAnnotations reads task_annotations: a map of task names to attributes, or
// a list of such maps.
func readAnnotations(v value) ([]*object, error) {
	v, err := structure(v)
	if err != nil || v == nil {
		return nil, err
	}
	list, isList := v.([]value)
	if !isList {
		list = []value{v}
	}
	var annotations []*object
	for _, item := range list {
		tasks, isObject := item.(*object)
		if !isObject {
			return nil, errors.New("must be a map of task names; annotations in code cannot be read")
		}
		for _, task := range tasks.keys {
			attributes, err := asObject(tasks.at(task))
			if err != nil {
				return nil, fmt.Errorf("for %q %w", task, err)
			}
			tasks.set(task, attributes)
		}
		annotations = append(annotations, tasks)
	}
	return annotations, nil
}

// executionOptions are what a task's class gives its messages where an entry
// does not (celery 5.7 app/task.py, extract_exec_options), and ignore_result.
var executionOptions = []string{
	"queue", "routing_key", "exchange", "priority", "expires", "serializer", "delivery_mode", "compression",
	"time_limit", "soft_time_limit", "ignore_result",
}

// setDefault makes a setting an option of every task.
func (c *Config) setDefault(option string, v value) error {
	if text, isText := v.(string); isText { // as the environment has it
		if parsed, err := parseJSON(text); err == nil {
			v = parsed
		}
	}
	c.defaults.set(option, v)
	r := &reader{o: c.defaults}
	p := new(options)
	p.readDelivery(c, r)
	p.readHeaders(r)
	return r.err
}

// optionsOf merges what the settings and annotations say of a task with the
// entry's own options, which win, null included.
func (c *Config) optionsOf(task string, own *object) *object {
	merged := new(object)
	for _, key := range c.defaults.keys {
		merged.set(key, c.defaults.at(key))
	}
	// Celery applies the first map that names the task, then the first that has
	// "*", which therefore wins (celery 5.7 app/annotations.py, resolve_all).
	for _, name := range []string{task, "*"} {
		for _, tasks := range c.annotations {
			attributes, found := tasks.get(name)
			if !found || attributes.(*object).len() == 0 {
				continue
			}
			for _, key := range executionOptions {
				if v, given := attributes.(*object).get(key); given {
					merged.set(key, v)
				}
			}
			break
		}
	}
	if own != nil {
		for _, key := range own.keys {
			merged.set(key, own.at(key))
		}
	}
	return merged
}
