package wire

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
)

// A generator makes random questions.
type generator struct {
	*rand.Rand
	version string
	narrow  bool // only numbers of 64 bits, for msgpack
}

// oneOf picks one of the texts.
func (g *generator) oneOf(texts ...string) string { return texts[g.IntN(len(texts))] }

func (g *generator) chance(percent int) bool { return g.IntN(100) < percent }

func generate(r *rand.Rand, n int, version string) []question {
	g := &generator{Rand: r, version: version}
	var questions []question
	for len(questions) < n {
		config := g.config()
		for range 40 {
			questions = append(questions, g.question(config))
		}
	}
	return questions
}

var tasks = []string{"proj.add", "proj.tasks.mul", "other.feed", "x", "a.b.c"}

func (g *generator) question(config string) question {
	q := question{Config: config, Task: g.oneOf(tasks...)}
	if strings.Contains(config, "annotations") || strings.Contains(config, "task_default_priority") ||
		strings.Contains(config, "time_limit") || strings.Contains(config, "task_ignore_result") {
		q.Registered = tasks
		q.Config = strings.Replace(config, `"routing_key":"t.y","serializer":"yaml"`, `"routing_key":"t.y"`, 1)
	}
	options := g.options()
	g.narrow = strings.Contains(config+options, "msgpack")
	if g.chance(90) {
		q.Args = g.array(0)
	}
	if g.chance(80) {
		q.Kwargs = g.object(0)
	}
	if g.chance(85) {
		q.Options = options
	}
	return q
}

// since52 reports whether the oracle is newer than 5.2.
func (g *generator) since52() bool { return g.version != "5.2" }

func (g *generator) config() string {
	members := map[string]string{}
	some := func(percent int, key string, texts ...string) {
		if g.chance(percent) {
			members[key] = g.oneOf(texts...)
		}
	}
	some(30, "task_default_queue", `"celery"`, `"main"`)
	some(20, "task_default_exchange", `"dx"`, `"celery"`)
	some(30, "task_default_exchange_type", `"topic"`, `"direct"`, `"fanout"`)
	some(20, "task_default_routing_key", `"dr"`, `"dr.x"`)
	some(15, "task_queue_max_priority", "10")
	some(50, "task_routes",
		`{"proj.*":{"queue":"A","priority":7},"proj.add":"B"}`,
		`{"*.feed":"feeds","other.*":{"exchange":"E","routing_key":"R"}}`,
		`[{"x":{"routing_key":"r.x"}},{"*":{"queue":"rest"}}]`,
		`[[["a.?.*",{"queue":"q1"}],["a.[bc].*","q2"],["*",{}]]]`,
		`{"proj.*":{"queue":"t","routing_key":"t.y","serializer":"yaml"},"x":""}`,
		`{"a.*":{"exchange":"E","exchange_type":"topic","routing_key":"k"},"proj.[!t]*":"bang"}`,
		`{"x":{"queue":"A","delivery_mode":1,"custom":"p"}}`,
		`{"other.*":{"routing_key":"only"},"*":{"compression":"zlib"}}`)
	some(45, "task_queues",
		`{"t":{"exchange":"tex","exchange_type":"topic","routing_key":"t.def"},"d":{"exchange":"dex","routing_key":"d.rk"},"A":{}}`,
		`{"bare":{},"bound":{"binding_key":"b.k"},"typed":{"exchange_type":"topic"},"args":{"exchange":"ae","queue_arguments":{"x-max-priority":3}}}`,
		`[{"name":"t","exchange":"tex","exchange_type":"topic","routing_key":"t.def"},{"name":"plain"},{"name":"bc","broadcast":true}]`,
		`[{"name":"q","routing_key":"q.k"},{"name":"fan","exchange":"fx","exchange_type":"fanout"}]`,
		`{"celery":{"exchange":"cx","exchange_type":"topic","binding_key":"c.#","routing_key":"c.d"},"soft":{"durable":false},"mode":{"exchange":"m","delivery_mode":1}}`)
	some(40, "task_send_sent_event", "true")
	some(15, "task_serializer", `"yaml"`, `"msgpack"`)
	some(10, "task_default_delivery_mode", "1", `"transient"`, `"persistent"`)
	some(10, "task_default_priority", "4")
	some(20, "task_annotations",
		`{"proj.add":{"priority":3,"queue":"A","time_limit":30,"rate_limit":"1/s"},"*":{"expires":100}}`,
		`[{"x":{"serializer":"yaml","soft_time_limit":2.5}},{"x":{"priority":8},"*":{"priority":1}}]`,
		`{"a.b.c":{"ignore_result":true,"routing_key":"k","exchange":"E"}}`)
	if g.since52() {
		some(10, "task_create_missing_queues", "false")
		some(10, "task_compression", `"gzip"`, `"zlib"`)
		some(10, "task_time_limit", "60", "1.5")
		some(10, "task_soft_time_limit", "30")
		some(10, "task_default_queue_type", `"quorum"`)
		some(10, "task_create_missing_queue_type", `"quorum"`)
		some(10, "task_create_missing_queue_exchange_type", `"topic"`)
		some(10, "task_repr_maxlevels", "1", "5", "0")
		some(10, "task_ignore_result", "true")
	}
	return object(members)
}

// object writes members as JSON, in the order of their keys.
func object(members map[string]string) string {
	raw := make(map[string]json.RawMessage)
	for key, text := range members {
		raw[key] = json.RawMessage(text)
	}
	text, err := json.Marshal(raw)
	if err != nil {
		panic(err)
	}
	return string(text)
}

func (g *generator) options() string {
	members := map[string]string{}
	some := func(percent int, key string, texts ...string) {
		if g.chance(percent) {
			members[key] = g.oneOf(texts...)
		}
	}
	some(25, "queue", `"q"`, `"t"`, `"d"`, `"bc"`, `"A"`, `"bare"`, `"typed"`, `"fan"`, `"mode"`, `"soft"`, `"args"`, `""`, "null")
	some(15, "exchange", `"E"`, `"tex"`, "null")
	some(15, "routing_key", `"R"`, `"t.x"`, "null")
	some(5, "exchange_type", `"topic"`, `"direct"`)
	some(20, "priority", "0", "3", "9", "255", "null")
	some(20, "expires", "60", "0", "1.5", "0.0004", "-3", "86400", "null")
	some(10, "countdown", "10", "0", "0.25", "null")
	some(10, "eta", `"2026-12-01T10:00:00+01:00"`, `"2026-12-01T10:00:00"`, `"2026-12-01T10:00:00.123456+00:00"`)
	some(10, "time_limit", "60", "2.5", "null")
	some(10, "soft_time_limit", "30")
	some(10, "ignore_result", "true", "false")
	some(8, "shadow", `"other"`, `"with \"quotes\""`)
	some(8, "task_id", `"fixed-1"`, `"it's \u00e9"`)
	some(8, "root_id", `"root"`)
	some(8, "parent_id", `"parent"`)
	some(5, "group_id", `"g"`)
	some(5, "group_index", "2")
	some(5, "retries", "1", "0")
	some(8, "link", `{"task":"after","args":[],"kwargs":{"a":1.0},"options":{},"subtask_type":null,"immutable":true}`, `[{"task":"one"},{"task":"two"}]`)
	some(5, "link_error", `{"task":"oops"}`)
	some(5, "chain", `[{"task":"next","args":[1]}]`)
	some(3, "chord", `{"task":"body"}`)
	some(15, "headers", `{"tenant":"x","n":1,"f":1.0,"deep":[1,{"a":null}]}`, `{}`, `{"periodic_task_name":"mine"}`, `{"lang":"go","shadow":"s","origin":"o"}`)
	some(15, "serializer", `"json"`, `"yaml"`, `"msgpack"`)
	some(8, "compression", `"zlib"`, `"gzip"`, `"application/x-gzip"`)
	some(8, "delivery_mode", "1", "2", `"persistent"`, `"transient"`)
	some(5, "argsrepr", `"(secret)"`, `""`)
	some(5, "kwargsrepr", `"{secret}"`)
	some(5, "origin", `"me@home"`)
	some(5, "reply_to", `"somewhere"`)
	some(5, "correlation_id", `"corr"`)
	some(5, "mandatory", "true")
	some(5, "timeout", "3")
	some(5, "retry", "false")
	some(8, "MessageGroupId", `"group"`, "7")
	some(5, "unknown_opt", `{"a":[1,2.50]}`)
	some(3, "expiration", "5", "0.25")
	if g.since52() {
		some(8, "expires", `"2026-11-23T09:00:00+00:00"`, `"2026-11-23T09:00:00.25"`, `"2020-01-01T00:00:00"`)
		some(5, "replaced_task_nesting", "1")
		if g.chance(5) {
			members["stamped_headers"], members["tenant"], members["deep"] = `["tenant","deep"]`, `"acme"`, `[1,{"b":2}]`
		}
	}
	return object(members)
}

// value makes the JSON text of a random value.
func (g *generator) value(depth int) string {
	if depth < 6 && g.chance(25) {
		if g.chance(50) {
			return g.array(depth + 1)
		}
		return g.object(depth + 1)
	}
	switch g.IntN(6) {
	case 0:
		return g.oneOf("null", "true", "false")
	case 1:
		if g.narrow {
			return g.oneOf("0", "-1", "127", "128", "-129", "65536", "9223372036854775807", "18446744073709551615", "-9223372036854775808")
		}
		return g.oneOf("0", "-0", "7", "-1", "123456789012345678901234567890", "9007199254740993", "2147483648")
	case 2:
		if g.chance(50) {
			return g.oneOf("1.0", "-0.0", "1e5", "1E-7", "1e21", "1e16", "123456789012345.6", "0.0001", "0.00001", "1e999", "1.10", "5e-324", "NaN", "Infinity", "-Infinity")
		}
		return strconv.FormatFloat(g.NormFloat64()*1e3, 'g', g.IntN(17)+1, 64)
	}
	return g.text()
}

func (g *generator) text() string {
	if g.chance(6) {
		return strconv.Quote(strings.Repeat(g.oneOf("long ", "x", "é ", "'"), g.IntN(1200)))
	}
	return g.oneOf(
		`""`, `"plain"`, `"it's"`, `"é"`, `"\u00e9"`, `"\ud83d\ude00"`, `"😀"`, `"a\/b"`, `"\n\t\"\\\b\f\r"`, `"yes"`, `"on"`, `"1:30"`, `"0o7"`, `"<<"`, `"="`,
		`"2026-01-01"`, `"~"`, `"null"`, `"1e5"`, `" lead"`, `"#"`, `"\u2028\u0085\ufeff\u007f"`, `"&a *b !c"`, `"- x: y"`, `"<script>"`, `"\u0000"`, `"%s {0}"`)
}

func (g *generator) array(depth int) string {
	items := make([]string, g.IntN(5))
	for i := range items {
		items[i] = g.value(depth)
	}
	return "[" + strings.Join(items, g.oneOf(",", ", ", " ,\n\t")) + "]"
}

func (g *generator) object(depth int) string {
	members := make([]string, g.IntN(5))
	for i := range members {
		key := fmt.Sprintf("%q", g.oneOf("a", "b", "c", "name", "x y"))
		if g.chance(30) {
			key = g.text()
		}
		members[i] = key + g.oneOf(":", ": ", " : ") + g.value(depth)
	}
	return g.oneOf("", " ") + "{" + strings.Join(members, ", ") + "}"
}
