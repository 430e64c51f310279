package celery

import (
	"strings"
	"testing"
)

// TestRoute is the matrix of destinations that Celery 5.2 and 5.6 were seen to
// choose. A row declares the queue named, or nothing ("-").
func TestRoute(t *testing.T) {
	const (
		tq   = `{"t":{"exchange":"tex","exchange_type":"topic","routing_key":"t.def"},"d":{"exchange":"dex","routing_key":"d.rk"}}`
		none = "-"
	)
	for _, tt := range []struct {
		name, options           string
		config                  map[string]any
		exchange, key, declared string
	}{
		{"nothing", `{}`, nil, "", "celery", "celery"},
		{"queue", `{"queue":"q"}`, nil, "", "q", "q"},
		{"exchange only", `{"exchange":"E"}`, nil, "", "celery", "celery"},
		{"routing key only", `{"routing_key":"R"}`, nil, "", "celery", "celery"},
		{"exchange and routing key", `{"exchange":"E","routing_key":"R"}`, nil, "E", "R", "celery"},
		{"queue and routing key", `{"queue":"q","routing_key":"R"}`, nil, "", "q", "q"},
		{"queue and exchange", `{"queue":"q","exchange":"E"}`, nil, "", "q", "q"},
		{"queue, exchange and routing key", `{"queue":"q","exchange":"E","routing_key":"R"}`, nil, "E", "R", "q"},
		{"queue on a topic exchange", `{"queue":"t"}`, map[string]any{"task_queues": tq}, "tex", "t.def", "t"},
		{"queue on a topic exchange, own key", `{"queue":"t","routing_key":"t.x"}`, map[string]any{"task_queues": tq}, "tex", "t.x", "t"},
		{"queue on a direct exchange", `{"queue":"d"}`, map[string]any{"task_queues": tq}, "", "d", "d"},
		{
			"topic default exchange, unknown queue", `{"queue":"new"}`,
			map[string]any{"task_default_exchange": "dx", "task_default_exchange_type": "topic"},
			"", "new", "new",
		},
		{
			"topic default exchange, nothing", `{}`,
			map[string]any{"task_default_exchange": "dx", "task_default_exchange_type": "topic", "task_default_routing_key": "dr"},
			"dx", "dr", "celery",
		},
		{"route's queue A, option queue B", `{"queue":"B"}`, map[string]any{"task_routes": `{"x":"A"}`}, "", "B", "B"},
		{"route's queue A", `{"priority":3}`, map[string]any{"task_routes": `{"x":{"queue":"A","priority":7}}`}, "", "A", "A"},
		{"route's exchange and key", `{}`, map[string]any{"task_routes": `{"x":{"exchange":"E","routing_key":"R"}}`}, "E", "R", none},
		{"route's key only, direct", `{}`, map[string]any{"task_routes": `{"x":{"routing_key":"R"}}`}, "", "celery", "celery"},
		{
			"route's key only, topic default exchange", `{}`,
			map[string]any{"task_routes": `{"x":{"routing_key":"R"}}`, "task_default_exchange": "dx", "task_default_exchange_type": "topic"},
			"dx", "R", "celery",
		},
		{"exchange of a type, no key", `{"exchange":"E","exchange_type":"topic"}`, nil, "E", "", "celery"},
		{"empty queue", `{"queue":""}`, nil, "", "celery", "celery"},
		{"queues without the default one", `{}`, map[string]any{"task_queues": tq}, "", "celery", "celery"},
		{"broadcast", `{"queue":"bc"}`, map[string]any{"task_queues": `[{"name":"bc","broadcast":true}]`}, "bc", "celery", none},
		{"exact name beats an earlier pattern", `{}`, map[string]any{"task_routes": `{"*":"P","x":"X"}`}, "", "X", "X"},
		{"first pattern wins", `{}`, map[string]any{"task_routes": `{"x*":"P","*":"Q"}`}, "", "P", "P"},
		{"? alone is no pattern", `{}`, map[string]any{"task_routes": `{"?":"P"}`}, "", "celery", "celery"},
		{"list of pairs, wrapped", `{}`, map[string]any{"task_routes": `[[["x*","P"],["*","Q"]]]`}, "", "P", "P"},
		{"second router", `{}`, map[string]any{"task_routes": `[{"y":"Y"},{"x":"X"}]`}, "", "X", "X"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			template, err := config(t, tt.config).Template(Task{Name: "x", Options: tt.options})
			if err != nil {
				t.Fatal(err)
			}
			route := template.Route()
			declared := none
			if route.Declare != nil {
				declared = route.Declare.Name
			}
			if route.Exchange != tt.exchange || route.RoutingKey != tt.key || declared != tt.declared {
				t.Errorf("goes to exchange %q by key %q declaring %s, want %q, %q, %s", route.Exchange, route.RoutingKey, declared, tt.exchange, tt.key, tt.declared)
			}
		})
	}
}

func TestRoutePriority(t *testing.T) {
	c := config(t, map[string]any{"task_routes": `{"x":{"queue":"A","priority":7}}`})
	for _, tt := range []struct {
		options string
		want    int
		given   bool
	}{{`{"priority":3}`, 3, true}, {``, 7, true}} {
		template, err := c.Template(Task{Name: "x", Options: tt.options})
		if err != nil {
			t.Fatal(err)
		}
		if got, given := template.Priority(); got != tt.want || given != tt.given {
			t.Errorf("priority with %s = %d, %v, want %d, %v", tt.options, got, given, tt.want, tt.given)
		}
	}
}

func TestRouteRefused(t *testing.T) {
	for _, tt := range []struct {
		name   string
		config map[string]any
		want   string
	}{
		{"exchange without a key", map[string]any{"task_routes": `{"x":{"exchange":"E"}}`}, "nowhere"},
		{"unknown queue", map[string]any{"task_routes": `{"x":"q"}`, "task_create_missing_queues": false}, "not in task_queues"},
		{
			"patterns that lost their order",
			map[string]any{"task_routes": map[string]any{"x*": "P", "*": "Q"}},
			"order was lost",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := config(t, tt.config).Template(Task{Name: "x"}); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Template: %v, want an error with %q", err, tt.want)
			}
		})
	}
}

// Python's fnmatch.fnmatchcase gives these answers.
func TestGlob(t *testing.T) {
	for _, tt := range []struct {
		glob, name string
		want       bool
	}{
		{"proj.*", "proj.add", true},
		{"proj.*", "xproj.add", false},
		{"*.add", "proj.adder", false},
		{"a.?.*", "a.b.c", true},
		{"a.[bc].*", "a.c.x", true},
		{"a.[!bc].*", "a.c.x", false},
		{"a.[b-d]*", "a.cx", true},
		{"a[*", "a[x", true},
		{"*[]]", "x]", true},
		{"(a|b)*", "a", false},
	} {
		if got := globRegexp(tt.glob).MatchString(tt.name); got != tt.want {
			t.Errorf("%q matches %q: %v, want %v", tt.glob, tt.name, got, tt.want)
		}
	}
}

// Each row was compared with the regular expression that kombu 5.7's
// TopicExchange.key_to_pattern makes of the binding.
func TestTopicMatches(t *testing.T) {
	for _, tt := range []struct {
		binding, key string
		want         bool
	}{
		{"a.#", "a.b", true},
		{"a.#", "a.b.c", true},
		{"a.#", "a", false},
		{"a.#", "ab", false},
		{"*.b", "a.b", true},
		{"*.b", "a.c.b", false},
		{"*.b", ".b", false},
		{"#", "", true},
		{"#", "a.b", true},
		{"a+b", "a+b", true},
		{"a+b", "aab", false},
		{"a.*.c", "a.b.c", true},
		{"a.*.c", "a.c", false},
		{"\xff", "\xff", false},
	} {
		if got := TopicMatches(tt.binding, tt.key); got != tt.want {
			t.Errorf("TopicMatches(%q, %q) = %v, want %v", tt.binding, tt.key, got, tt.want)
		}
	}
}
