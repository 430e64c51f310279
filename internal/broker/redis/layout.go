package redis

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/onebeat/onebeat/internal/celery"
)

// A layout is where kombu's Redis transport keeps queues, bindings and channels
// (kombu 5.6, transport/redis.py), as the workers' broker_transport_options say.
type layout struct {
	prefix     string // global_keyprefix, before every name
	sep        string // between a queue and its priority, and within a binding
	steps      []int  // priority_steps; nil for kombu's
	fanout     string // before every channel of a fanout exchange
	patterns   bool   // whether a channel ends in the routing key
	deadLetter string // takes what no binding matches; none if empty
}

// newLayout reads broker_transport_options. Options that speak of consuming are
// not looked at.
func newLayout(options map[string]any, db int) (layout, error) {
	l := layout{
		sep:      "\x06\x16",
		fanout:   fmt.Sprintf("/%d.", db),
		patterns: true,
	}
	var faults []error
	for _, option := range []struct {
		name string
		to   *string
	}{
		{"global_keyprefix", &l.prefix},
		{"sep", &l.sep},
		{"deadletter_queue", &l.deadLetter},
	} {
		switch value := options[option.name].(type) {
		case nil:
		case string:
			*option.to = value
		default:
			faults = append(faults, fmt.Errorf("broker_transport_options %s: %v is no text", option.name, value))
		}
	}
	switch value := options["fanout_prefix"].(type) {
	case nil:
	case bool:
		if !value {
			l.fanout = ""
		}
	case string:
		l.fanout = strings.ReplaceAll(value, "{db}", strconv.Itoa(db))
	default:
		faults = append(faults, fmt.Errorf("broker_transport_options fanout_prefix: %v is neither true, false nor text", value))
	}
	switch value := options["fanout_patterns"].(type) {
	case nil:
	case bool:
		l.patterns = value
	default:
		faults = append(faults, fmt.Errorf("broker_transport_options fanout_patterns: %v is neither true nor false", value))
	}
	if value, ok := options["priority_steps"]; ok && value != nil {
		steps, err := parseSteps(value)
		if err != nil {
			faults = append(faults, err)
		}
		l.steps = steps
	}
	return l, errors.Join(faults...)
}

func parseSteps(value any) ([]int, error) {
	var steps []int
	switch list := value.(type) {
	case []int:
		steps = list
	case []any:
		for _, item := range list {
			switch n := item.(type) {
			case int:
				steps = append(steps, n)
			case int64:
				steps = append(steps, int(n))
			case float64:
				steps = append(steps, int(n))
			default:
				return nil, fmt.Errorf("broker_transport_options priority_steps: %v is no number", item)
			}
		}
	default:
		return nil, fmt.Errorf("broker_transport_options priority_steps: %v is no list of numbers", value)
	}
	if len(steps) == 0 {
		return nil, errors.New("broker_transport_options priority_steps: the list is empty")
	}
	return steps, nil
}

// list names the list that holds a queue's messages of a priority.
func (l layout) list(queue string, priority int) string {
	return l.prefix + queue + celery.RedisSuffix(priority, l.steps, l.sep)
}

// bindings names the set of an exchange's bindings.
func (l layout) bindings(exchange string) string {
	return l.prefix + "_kombu.binding." + exchange
}

// channel names the pub/sub channel of a fanout exchange.
func (l layout) channel(exchange, routingKey string) string {
	if l.patterns && routingKey != "" {
		return l.prefix + l.fanout + exchange + "/" + routingKey
	}
	return l.prefix + l.fanout + exchange
}

// match returns the queues that an exchange's bindings give for a routing key,
// each once, in the order of members.
func (l layout) match(members []string, routingKey string) []string {
	var queues []string
	seen := map[string]bool{}
	for _, member := range members {
		fields := strings.Split(member, l.sep)
		if len(fields) != 3 {
			continue
		}
		key, pattern, queue := fields[0], fields[1], fields[2]
		if queue == "" || seen[queue] || queue == l.deadLetter {
			continue
		}
		if key == routingKey || pattern != "" && celery.TopicMatches(key, routingKey) {
			seen[queue] = true
			queues = append(queues, queue)
		}
	}
	return queues
}
