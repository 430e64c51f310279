package celery

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// An Exchange is a declaration of one, with Celery's defaults.
type Exchange struct {
	Name       string
	Type       string
	Durable    bool
	AutoDelete bool
	Arguments  map[string]any

	deliveryMode uint8 // of its messages; 0 leaves it to the settings
}

// A Queue is a declaration of a queue, its exchange and the binding between
// them, as a Celery producer with the same settings would make it. It must not
// be changed.
type Queue struct {
	Name       string
	Exchange   *Exchange
	RoutingKey string // of the binding
	Durable    bool
	Exclusive  bool
	AutoDelete bool
	Arguments  map[string]any // AMQP table
	Binding    map[string]any // arguments of the binding, AMQP table

	// Broadcast is set for a queue of which every worker has its own: nobody but
	// the workers declares it, and messages go to its fanout exchange.
	Broadcast bool
}

// makeQueues builds the table of queues from task_queues (celery 5.7
// app/amqp.py, Queues).
func (c *Config) makeQueues() error {
	c.exchange = &Exchange{Name: c.defaultExchange, Type: c.defaultExchangeType, Durable: true}
	c.queues = make(map[string]*Queue)
	v, err := structure(c.queueSettings)
	if err != nil {
		return err
	}
	switch v := v.(type) {
	case nil:
	case *object:
		for _, name := range v.keys {
			options, err := asObject(v.at(name))
			if err != nil {
				return fmt.Errorf("queue %q: %w", name, err)
			}
			if err := c.addQueue(name, options, true); err != nil {
				return fmt.Errorf("queue %q: %w", name, err)
			}
		}
	case []value:
		for _, item := range v {
			name, options, err := queueItem(item)
			if err != nil {
				return err
			}
			if err := c.addQueue(name, options, false); err != nil {
				return fmt.Errorf("queue %q: %w", name, err)
			}
		}
	default:
		return errors.New("must be a map of names, or a list of queues")
	}
	if len(c.queues) > 0 {
		return nil
	}
	q := &Queue{Name: c.defaultQueue, Exchange: c.exchange, RoutingKey: c.defaultRoutingKey, Durable: true}
	if c.defaultQueueType == "quorum" {
		q.Arguments = map[string]any{"x-queue-type": "quorum"}
	}
	c.putQueue(q.Name, q)
	return nil
}

// asObject is v as an object; null is an empty one.
func asObject(v value) (*object, error) {
	switch v := v.(type) {
	case nil:
		return new(object), nil
	case *object:
		return v, nil
	}
	return nil, errors.New("must be a map")
}

// queueItem takes an item of a list of queues: a name, or a map with one.
func queueItem(item value) (string, *object, error) {
	if name, isText := item.(string); isText {
		return name, new(object), nil
	}
	options, isObject := item.(*object)
	if !isObject {
		return "", nil, errors.New("each queue must be a name or a map with a name")
	}
	name, _ := options.get("name")
	text, isText := name.(string)
	if !isText {
		return "", nil, errors.New("each queue must have a name")
	}
	return text, options, nil
}

// addQueue reads one queue. In a map of names a queue without a routing key has
// its name as one (Queues.add_compat); in a list, where Python has kombu.Queue
// objects, the default routing key.
func (c *Config) addQueue(name string, options *object, named bool) error {
	r := queueReader{
		queue:    &Queue{Name: name, Durable: true, Exchange: &Exchange{Type: "direct", Durable: true}},
		rabbit:   make(map[string]any),
		specific: make(map[string]value),
	}
	for _, key := range options.keys {
		if v := options.at(key); v != nil {
			if err := r.read(key, v); err != nil {
				return fmt.Errorf("%s %w", key, err)
			}
		}
	}
	if err := r.settleFlags(); err != nil {
		return err
	}
	q := r.queue
	if named {
		q.RoutingKey = cmp.Or(r.bindingKey, q.RoutingKey, name)
	}
	if q.Broadcast {
		q.Exchange.Name = cmp.Or(q.Exchange.Name, name)
		q.Exchange.Type = "fanout"
	}
	if len(r.rabbit) > 0 {
		q.Arguments = merged(q.Arguments, r.rabbit)
	}
	c.putQueue(name, q)
	return nil
}

// merged is a new table of a and, winning, b.
func merged(a, b map[string]any) map[string]any {
	both := make(map[string]any, len(a)+len(b))
	maps.Copy(both, a)
	maps.Copy(both, b)
	return both
}

// A queueReader reads the options of one queue.
type queueReader struct {
	queue      *Queue
	bindingKey string
	rabbit     map[string]any // RabbitMQ arguments that have options of their own

	durable, autoDelete value            // of both queue and exchange
	specific            map[string]value // exchange_durable and the like, which win
}

func (r *queueReader) read(key string, v value) (err error) {
	q := r.queue
	switch key {
	case "name", "alias", "no_ack", "no_declare", "consumer_arguments", "passive": // nothing to a sender
	case "exchange":
		if nested, isObject := v.(*object); isObject {
			return readExchange(nested, q.Exchange)
		}
		return readText(v, &q.Exchange.Name)
	case "exchange_type":
		return readText(v, &q.Exchange.Type)
	case "routing_key":
		return readText(v, &q.RoutingKey)
	case "binding_key":
		return readText(v, &r.bindingKey)
	case "durable":
		r.durable = v
	case "auto_delete":
		r.autoDelete = v
	case "exchange_durable", "queue_durable", "exchange_auto_delete", "queue_auto_delete":
		r.specific[key] = v
	case "exclusive":
		return readBool(v, &q.Exclusive)
	case "broadcast":
		return readBool(v, &q.Broadcast)
	case "delivery_mode":
		q.Exchange.deliveryMode, err = readDeliveryMode(v)
	case "queue_arguments":
		q.Arguments, err = asTable(v)
	case "exchange_arguments":
		q.Exchange.Arguments, err = asTable(v)
	case "binding_arguments":
		q.Binding, err = asTable(v)
	case "expires", "message_ttl", "max_length", "max_length_bytes", "max_priority":
		return rabbitArgument(r.rabbit, key, v)
	default:
		return fmt.Errorf("is not known; nearest is %s", nearest(key, queueOptions))
	}
	return err
}

func (r *queueReader) settleFlags() error {
	q := r.queue
	for _, flag := range []struct {
		key     string
		general value
		to      *bool
	}{
		{"exchange_durable", r.durable, &q.Exchange.Durable},
		{"queue_durable", r.durable, &q.Durable},
		{"exchange_auto_delete", r.autoDelete, &q.Exchange.AutoDelete},
		{"queue_auto_delete", r.autoDelete, &q.AutoDelete},
	} {
		v, given := r.specific[flag.key]
		if !given {
			v = flag.general
		}
		if err := readBool(v, flag.to); err != nil {
			return fmt.Errorf("%s %w", flag.key, err)
		}
	}
	if q.Exclusive {
		q.AutoDelete = true
	}
	return nil
}

// queueOptions are the names that addQueue knows.
var queueOptions = []string{
	"name", "alias", "no_ack", "no_declare", "consumer_arguments", "passive", "exchange", "exchange_type", "routing_key", "binding_key",
	"durable", "auto_delete", "exclusive", "broadcast", "delivery_mode", "exchange_durable", "queue_durable", "exchange_auto_delete",
	"queue_auto_delete", "queue_arguments", "exchange_arguments", "binding_arguments", "expires", "message_ttl", "max_length",
	"max_length_bytes", "max_priority",
}

func readExchange(o *object, e *Exchange) error {
	for _, key := range o.keys {
		v := o.at(key)
		var err error
		switch key {
		case "name":
			err = readText(v, &e.Name)
		case "type":
			err = readText(v, &e.Type)
		case "durable":
			err = readBool(v, &e.Durable)
		case "auto_delete":
			err = readBool(v, &e.AutoDelete)
		case "delivery_mode":
			e.deliveryMode, err = readDeliveryMode(v)
		case "arguments":
			e.Arguments, err = asTable(v)
		case "passive", "no_declare":
		default:
			err = errors.New("is not known")
		}
		if err != nil {
			return fmt.Errorf("%s %w", key, err)
		}
	}
	return nil
}

// rabbitArgument puts one of kombu's queue options into RabbitMQ's arguments,
// seconds as milliseconds (kombu 5.7 transport/base.py, RABBITMQ_QUEUE_ARGUMENTS).
func rabbitArgument(to map[string]any, key string, v value) error {
	n, isNumber := v.(number)
	if !isNumber {
		return errors.New("must be a number")
	}
	name, scale := map[string]string{
		"expires": "x-expires", "message_ttl": "x-message-ttl", "max_length": "x-max-length",
		"max_length_bytes": "x-max-length-bytes", "max_priority": "x-max-priority",
	}[key], 1.0
	if key == "expires" || key == "message_ttl" {
		scale = 1000
	}
	to[name] = tableInt(int64(n.float() * scale))
	return nil
}

// putQueue adds q to the table, giving it the defaults that it lacks.
func (c *Config) putQueue(name string, q *Queue) {
	if q.Exchange.Name == "" {
		q.Exchange = c.exchange
	}
	if q.RoutingKey == "" {
		q.RoutingKey = c.defaultRoutingKey
	}
	if _, has := q.Arguments["x-max-priority"]; c.maxPriority > 0 && !has {
		q.Arguments = merged(q.Arguments, map[string]any{"x-max-priority": int32(c.maxPriority)})
	}
	c.queues[name] = q
}

// queue returns the queue of that name; an unknown one is made up, unless
// task_create_missing_queues is off.
func (c *Config) queue(name string) (*Queue, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if q, known := c.queues[name]; known {
		return q, nil
	}
	if !c.createMissing {
		return nil, fmt.Errorf("queue %q is not in task_queues (%s), and task_create_missing_queues is off",
			name, slices.Sorted(maps.Keys(c.queues)))
	}
	q := &Queue{
		Name: name, RoutingKey: name, Durable: true,
		Exchange: &Exchange{Name: name, Type: "direct", Durable: true},
	}
	if c.missingExchangeType != "" {
		q.Exchange.Type = c.missingExchangeType
	}
	if c.missingQueueType == "quorum" {
		q.Arguments = map[string]any{"x-queue-type": "quorum"}
	}
	c.putQueue(name, q)
	return q, nil
}
