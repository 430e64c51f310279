package celery

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// A setting reads one of Celery's settings into a Config.
type setting struct {
	name string
	read func(c *Config, v value) error
}

// settings are Celery's own names, and all that ParseConfig knows.
var settings = []setting{
	{"task_annotations", func(c *Config, v value) (err error) { c.annotations, err = readAnnotations(v); return }},
	{"task_compression", func(c *Config, v value) error { return readText(v, &c.compression) }},
	{"task_create_missing_queue_exchange_type", func(c *Config, v value) error { return readText(v, &c.missingExchangeType) }},
	{"task_create_missing_queue_type", func(c *Config, v value) error { return readQueueType(v, &c.missingQueueType) }},
	{"task_create_missing_queues", func(c *Config, v value) error { return readBool(v, &c.createMissing) }},
	{"task_default_delivery_mode", func(c *Config, v value) (err error) { c.deliveryMode, err = readDeliveryMode(v); return }},
	{"task_default_exchange", func(c *Config, v value) error { return readText(v, &c.defaultExchange) }},
	{"task_default_exchange_type", func(c *Config, v value) error { return readText(v, &c.defaultExchangeType) }},
	{"task_default_priority", func(c *Config, v value) error { return c.setDefault("priority", v) }},
	{"task_default_queue", func(c *Config, v value) error { return readText(v, &c.defaultQueue) }},
	{"task_default_queue_type", func(c *Config, v value) error { return readQueueType(v, &c.defaultQueueType) }},
	{"task_default_routing_key", func(c *Config, v value) error { return readText(v, &c.defaultRoutingKey) }},
	{"task_ignore_result", readIgnoreResult},
	{"task_protocol", func(_ *Config, v value) error { return readProtocol(v) }},
	{"task_queue_max_priority", func(c *Config, v value) (err error) { c.maxPriority, err = readCount(v); return }},
	{"task_queues", func(c *Config, v value) error { c.queueSettings = v; return nil }},
	{"task_repr_maxlevels", func(c *Config, v value) (err error) { c.reprLevels, err = readCount(v); return }},
	{"task_routes", func(c *Config, v value) (err error) { c.routers, err = readRoutes(v); return }},
	{"task_send_sent_event", func(c *Config, v value) error { return readBool(v, &c.SendSentEvent) }},
	{"task_serializer", func(c *Config, v value) error { return readText(v, &c.serializer) }},
	{"task_soft_time_limit", func(c *Config, v value) error { return c.setDefault("soft_time_limit", v) }},
	{"task_time_limit", func(c *Config, v value) error { return c.setDefault("time_limit", v) }},
}

// fromGo makes a value of what a decoder of YAML or JSON, a flag or an
// environment variable gave. Text that stands for a structure is read as YAML,
// of which JSON is a part.
func fromGo(v any) (value, error) {
	switch v := v.(type) {
	case nil, bool:
		return v, nil
	case string:
		return v, nil
	case int:
		return number(strconv.Itoa(v)), nil
	case int64:
		return number(strconv.FormatInt(v, 10)), nil
	case uint64:
		return number(strconv.FormatUint(v, 10)), nil
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1e15 { // a JSON decoder's integer
			return number(strconv.FormatInt(int64(v), 10)), nil
		}
		return number(pythonFloat(v)), nil
	case []any:
		return fromList(v)
	case []string:
		list := make([]value, len(v))
		for i, s := range v {
			list[i] = s
		}
		return list, nil
	case map[string]any:
		return fromMap(v)
	case map[string]string:
		o := new(object)
		for _, key := range slices.Sorted(maps.Keys(v)) {
			o.set(key, v[key])
		}
		o.unordered = true
		return o, nil
	case *yaml.Node:
		return fromYAML(v)
	case yaml.Node:
		return fromYAML(&v)
	}
	return nil, fmt.Errorf("is a %T, which no setting can be", v)
}

func fromList(items []any) (value, error) {
	list := make([]value, len(items))
	for i, item := range items {
		v, err := fromGo(item)
		if err != nil {
			return nil, err
		}
		list[i] = v
	}
	return list, nil
}

func fromMap(m map[string]any) (value, error) {
	o := &object{unordered: true}
	for _, key := range slices.Sorted(maps.Keys(m)) {
		v, err := fromGo(m[key])
		if err != nil {
			return nil, err
		}
		o.set(key, v)
	}
	return o, nil
}

func fromYAML(node *yaml.Node) (value, error) {
	switch node.Kind {
	case yaml.DocumentNode:
		return fromYAML(node.Content[0])
	case yaml.AliasNode:
		return fromYAML(node.Alias)
	case yaml.SequenceNode:
		list := make([]value, len(node.Content))
		for i, item := range node.Content {
			v, err := fromYAML(item)
			if err != nil {
				return nil, err
			}
			list[i] = v
		}
		return list, nil
	case yaml.MappingNode:
		o := new(object)
		for i := 0; i < len(node.Content); i += 2 {
			v, err := fromYAML(node.Content[i+1])
			if err != nil {
				return nil, err
			}
			o.set(node.Content[i].Value, v)
		}
		return o, nil
	}
	var scalar any
	if err := node.Decode(&scalar); err != nil {
		return nil, errors.New("is not YAML")
	}
	if _, known := scalar.(interface{ Unix() int64 }); known { // a date: the text is what was meant
		return node.Value, nil
	}
	return fromGo(scalar)
}

// structure reads text that stands for a map or a list.
func structure(v value) (value, error) {
	text, isText := v.(string)
	if !isText {
		return v, nil
	}
	var node yaml.Node
	if err := yaml.Unmarshal([]byte(text), &node); err != nil {
		return nil, errors.New("is neither JSON nor YAML")
	}
	if node.IsZero() {
		return nil, nil
	}
	return fromYAML(&node)
}

func readText(v value, to *string) error {
	switch v := v.(type) {
	case nil:
		return nil
	case string:
		*to = v
		return nil
	}
	return errors.New("must be text")
}

func readBool(v value, to *bool) error {
	switch v := v.(type) {
	case nil:
		return nil
	case bool:
		*to = v
		return nil
	case number: // as Python's code may have it
		return readBool(string(v), to)
	case string:
		switch strings.ToLower(v) {
		case "true", "yes", "on", "1":
			*to = true
			return nil
		case "false", "no", "off", "0", "":
			*to = false
			return nil
		}
	}
	return errors.New("must be true or false")
}

func readIgnoreResult(c *Config, v value) error {
	if v == nil {
		return nil
	}
	var ignored bool
	if err := readBool(v, &ignored); err != nil {
		return err
	}
	return c.setDefault("ignore_result", ignored)
}

// readCount reads a whole number that is not negative; null is 0.
func readCount(v value) (int, error) {
	if text, isText := v.(string); isText {
		v = number(text)
	}
	switch v := v.(type) {
	case nil:
		return 0, nil
	case number:
		if n, ok := v.int(); ok && n >= 0 && n <= math.MaxInt32 {
			return int(n), nil
		}
	}
	return 0, errors.New("must be a whole number, 0 or more")
}

func readProtocol(v value) error {
	if n, err := readCount(v); v != nil && (err != nil || n != 2) {
		return errors.New("must be 2: message protocol 1 is for workers older than Celery 4, which are not supported")
	}
	return nil
}

func readQueueType(v value, to *string) error {
	if err := readText(v, to); err != nil {
		return err
	}
	if *to != "" && *to != "classic" && *to != "quorum" {
		return fmt.Errorf("must be classic or quorum, not %q", *to)
	}
	return nil
}

// readDeliveryMode reads 1 or transient, 2 or persistent; null is 0.
func readDeliveryMode(v value) (uint8, error) {
	switch v {
	case nil:
		return 0, nil
	case number("1"), "1", "transient":
		return 1, nil
	case number("2"), "2", "persistent":
		return 2, nil
	}
	return 0, errors.New("must be 1 (transient) or 2 (persistent)")
}

// nearest is the name that is fewest edits away from the one given.
func nearest(name string, names []string) string {
	return slices.MinFunc(names, func(a, b string) int { return distance(name, a) - distance(name, b) })
}

// Near is the name that was meant by the one given, where one is so near that it was; else empty.
func Near(name string, names []string) string {
	if len(names) == 0 {
		return ""
	}
	if near := nearest(name, names); distance(name, near) <= max(1, len(name)/3) {
		return near
	}
	return ""
}

// distance is how many insertions, deletions, replacements and swaps of neighbours lie between a and b.
func distance(a, b string) int {
	above, row, next := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		next[0] = i + 1
		for j := range len(b) {
			replaced := row[j]
			if a[i] != b[j] {
				replaced++
			}
			next[j+1] = min(replaced, row[j+1]+1, next[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				next[j+1] = min(next[j+1], above[j-1]+1)
			}
		}
		above, row, next = row, next, above
	}
	return row[len(b)]
}
