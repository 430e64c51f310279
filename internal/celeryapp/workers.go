package celeryapp

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// A Worker is what a running worker told of itself over remote control, each a JSON text;
// empty is no answer (celery 5.7 worker/control.py).
type Worker struct {
	Name       string
	Conf       json.RawMessage // conf, with defaults
	Registered json.RawMessage // registered, with Attributes
	Queues     json.RawMessage // active_queues
}

// Attributes are those of a task's class that decide about its messages, in the order that
// workers are asked for them in.
func Attributes() []string { return slices.Clone(attributes) }

var attributes = []string{
	"queue", "routing_key", "exchange", "priority", "expires", "serializer", "delivery_mode", "compression",
	"time_limit", "soft_time_limit", "ignore_result",
}

// inherited are the settings that a class has an attribute from unless it says otherwise.
var inherited = map[string]string{
	"priority": "task_default_priority", "serializer": "task_serializer", "compression": "task_compression",
	"time_limit": "task_time_limit", "soft_time_limit": "task_soft_time_limit", "ignore_result": "task_ignore_result",
}

// defaults are Celery's settings that decide about messages, with what they are unless set
// (celery 5.7 app/defaults.py).
var defaults = []struct{ name, value string }{
	{"control_exchange", `"celery"`},
	{"event_exchange", `"celeryev"`},
	{"task_compression", "null"},
	{"task_create_missing_queue_exchange_type", "null"},
	{"task_create_missing_queue_type", `"classic"`},
	{"task_create_missing_queues", "true"},
	{"task_default_delivery_mode", "2"},
	{"task_default_exchange", "null"},
	{"task_default_exchange_type", `"direct"`},
	{"task_default_priority", "null"},
	{"task_default_queue", `"celery"`},
	{"task_default_queue_type", `"classic"`},
	{routingKey, "null"},
	{"task_ignore_result", "false"},
	{"task_queue_max_priority", "null"},
	{"task_send_sent_event", "false"},
	{"task_serializer", `"json"`},
	{"task_soft_time_limit", "null"},
	{"task_time_limit", "null"},
}

// transport are the options of broker_transport_options that decide where a message comes to lie, as read.py has them.
var transport = []string{
	"global_keyprefix", "sep", "priority_steps", "fanout_prefix", "fanout_patterns", "deadletter_queue", "master_name", "queue_tablename", "message_tablename",
	"data_folder_out", "control_folder", "region", "queue_name_prefix", "visibility_timeout", "sqs-creation-attributes", "queue_tags", "sqs_base64_encoding", "is_secure",
	"sts_role_arn", "sts_token_timeout",
}

// secrets are those that do too, and may hold a password.
var secrets = []string{"sentinel_kwargs", "predefined_queues"}

const (
	routingKey = "task_default_routing_key"

	// hidden is what Celery writes in the place of a setting whose name sounds like a
	// secret's: API, TOKEN, KEY, SECRET, PASS, SIGNATURE or DATABASE is in it, at any
	// depth (celery 5.7 app/utils.py).
	hidden = "********"

	fromCode = "`onebeat import celery APP` reads it from the code"
)

var errHidden = errors.New("hidden by Celery, as all is whose name has API, KEY, TOKEN, PASS, SECRET, SIGNATURE or DATABASE in it: " + fromCode)

// FromWorkers is what the workers together say of their application. Where they
// disagree, or tell no data, what they say is refused.
func FromWorkers(workers []Worker) (App, error) {
	c := &crowd{app: App{Entries: []Entry{}, Refused: []Refused{}}}
	for _, w := range workers {
		c.app.Workers = append(c.app.Workers, w.Name)
		if err := c.add(w); err != nil {
			return App{}, fmt.Errorf("what worker %s told is not understood: %w", w.Name, err)
		}
	}
	c.zone()
	c.entries()
	if err := c.settings(); err != nil {
		return App{}, err
	}
	return c.app, nil
}

// A crowd is several workers' answers.
type crowd struct {
	app        App
	confs      []answer // members of conf, by worker
	registered []answer // texts of tasks' attributes, by worker
	queues     map[string]map[string]any
}

// An answer is a worker's.
type answer struct {
	worker  string
	members []member
}

func (c *crowd) add(w Worker) error {
	for _, part := range []struct {
		what, text string
		take       func(json.RawMessage) error
	}{
		{"its configuration", string(w.Conf), func(text json.RawMessage) error {
			all, err := members(text)
			c.confs = append(c.confs, answer{w.Name, all})
			return err
		}},
		{"its tasks", string(w.Registered), func(text json.RawMessage) error { return c.addTasks(w.Name, text) }},
		{"its queues", string(w.Queues), c.addQueues},
	} {
		problem := ""
		if members, err := members(json.RawMessage(part.text)); err == nil && len(members) == 1 && members[0].name == "error" {
			problem = "it ended with an error there"
		}
		if part.text == "" {
			problem = "no answer came in time: a longer --wait may help"
		}
		if problem != "" {
			c.refuse("worker "+w.Name, fmt.Sprintf("it did not tell %s: %s", part.what, problem))
			continue
		}
		if err := part.take(json.RawMessage(part.text)); err != nil {
			return fmt.Errorf("%s: %w", part.what, err)
		}
	}
	return nil
}

func (c *crowd) refuse(name, reason string) {
	c.app.Refused = append(c.app.Refused, Refused{Name: name, Reason: reason})
}

func (c *crowd) addQueues(text json.RawMessage) error {
	var queues []map[string]any
	if err := json.Unmarshal(text, &queues); err != nil {
		return errors.New("not a list of queues")
	}
	for _, queue := range queues {
		name, _ := queue["name"].(string)
		if c.queues == nil {
			c.queues = map[string]map[string]any{}
		}
		c.queues[name] = queue
	}
	return nil
}

// addTasks reads texts such as "proj.add [queue=low expires=1 day, 0:00:00]".
func (c *crowd) addTasks(worker string, text json.RawMessage) error {
	var tasks []string
	if err := json.Unmarshal(text, &tasks); err != nil {
		return errors.New("not a list of tasks")
	}
	a := answer{worker: worker}
	for _, task := range tasks {
		name, rest, _ := strings.Cut(task, " [")
		text, err := encoded(strings.TrimSuffix(rest, "]"))
		if err != nil {
			return err
		}
		a.members = append(a.members, member{name, text})
	}
	c.registered = append(c.registered, a)
	return nil
}

// agreed returns what the answers say of a name, those that say anything; it refuses it
// as what if they disagree.
func (c *crowd) agreed(answers []answer, name, what string) (text json.RawMessage, ok bool) {
	says := map[string][]string{}
	for _, a := range answers {
		if i := slices.IndexFunc(a.members, func(m member) bool { return m.name == name }); i >= 0 {
			text = a.members[i].text
			says[string(text)] = append(says[string(text)], a.worker)
		}
	}
	if len(says) > 1 {
		var camps []string
		for _, who := range says {
			slices.Sort(who)
			camps = append(camps, strings.Join(who, ", "))
		}
		slices.Sort(camps)
		c.refuse(what, fmt.Sprintf("the workers disagree (%s): with --worker one may be asked alone", strings.Join(camps, " against ")))
		return nil, false
	}
	return text, len(says) == 1
}

// names are those of which any answer says something, in the order of the first to do so.
func names(answers []answer) []string {
	var all []string
	seen := map[string]bool{}
	for _, a := range answers {
		for _, m := range a.members {
			if !seen[m.name] {
				seen[m.name], all = true, append(all, m.name)
			}
		}
	}
	return all
}

// zoneNamed finds the name in the text of a zone of Python's.
var zoneNamed = regexp.MustCompile(`^(?:zoneinfo\.ZoneInfo\(key=|<\w+ |<)?'?([A-Za-z][\w+/-]*)'?(?:\)|>|\s.*>)?$`)

func (c *crowd) zone() {
	c.app.Zone = "UTC"
	for _, conf := range c.confs { // as the name or as an object, by how the application has it
		for i, m := range conf.members {
			var shown string
			if m.name != "timezone" || json.Unmarshal(m.text, &shown) != nil {
				continue
			}
			if named := zoneNamed.FindStringSubmatch(shown); named != nil {
				conf.members[i].text, _ = encoded(named[1]) // any text can be
			}
		}
	}
	text, told := c.agreed(c.confs, "timezone", "timezone")
	var name string
	if err := json.Unmarshal(text, &name); told && err == nil && name != "" {
		if !zoneNamed.MatchString(name) {
			c.refuse("timezone", "it is told as an object of Python's; crontabs are taken by UTC: "+fromCode)
			return
		}
		c.app.Zone = name
		return
	}
	if utc, told := c.agreed(c.confs, "enable_utc", "enable_utc"); told && string(utc) == "false" {
		c.refuse("timezone", "none is set and enable_utc is off, so that each machine's own zone counts; crontabs are taken by UTC: set timezone in the application")
	}
}

// settings writes the settings that are not Celery's defaults, and what the classes of
// tasks say.
func (c *crowd) settings() error {
	var ready []member
	told := map[string]string{}
	for _, d := range defaults {
		text, ok := c.agreed(c.confs, d.name, d.name)
		if d.name == routingKey {
			text, ok = c.routingKey(told)
		}
		if !ok || string(text) == "null" {
			continue
		}
		told[d.name] = string(text)
		if string(text) != d.value {
			ready = append(ready, member{d.name, text})
		}
	}
	for _, structure := range []struct {
		name string
		read func(json.RawMessage) (json.RawMessage, error)
	}{{"task_queues", c.taskQueues}, {"task_routes", taskRoutes}} {
		text, ok := c.agreed(c.confs, structure.name, structure.name)
		if !ok || string(text) == "null" {
			continue
		}
		text, err := structure.read(text)
		if err != nil {
			c.refuse(structure.name, err.Error())
			continue
		}
		if string(text) != "[]" && string(text) != "{}" {
			ready = append(ready, member{structure.name, text})
		}
	}
	if reached := c.transport(); len(reached) > 0 {
		ready = append(ready, member{"broker_transport_options", object(reached)})
	}
	if tasks := c.tasks(told); len(tasks) > 0 {
		ready = append(ready, member{"task_annotations", object(tasks)})
	}
	c.app.Settings = object(ready)
	return nil
}

// routingKey is the default queue's routing key, which conf hides and the workers that
// read the queue tell. Where there are task_queues these have keys of their own.
func (c *crowd) routingKey(told map[string]string) (json.RawMessage, bool) {
	for _, conf := range c.confs {
		if slices.ContainsFunc(conf.members, func(m member) bool { return m.name == "task_queues" && len(m.text) > len("null") }) {
			return nil, false
		}
	}
	var queue string
	if json.Unmarshal([]byte(cmp.Or(told["task_default_queue"], `"celery"`)), &queue) != nil {
		return nil, false
	}
	key, isText := c.queues[queue]["routing_key"].(string)
	if !isText {
		if told["task_default_exchange_type"] != "" && told["task_default_exchange_type"] != `"direct"` {
			c.refuse(routingKey, "Celery hides it, and no worker that answered reads the default queue: "+fromCode)
		}
		return nil, false
	}
	if key == queue {
		return nil, false
	}
	text, err := encoded(key)
	return text, err == nil
}

// transport is what broker_transport_options say that decides where messages come to lie.
func (c *crowd) transport() (ready []member) {
	if text, told := c.agreed(c.confs, "broker_use_ssl", "broker_use_ssl"); told && string(text) != "null" && string(text) != "false" {
		c.refuse("broker_use_ssl", "it names files of the worker's machine: write it into the settings file by hand, with onebeat's own")
	}
	text, _ := c.agreed(c.confs, "broker_transport_options", "broker_transport_options")
	all, err := members(text)
	if err != nil {
		return nil
	}
	for _, m := range all {
		switch {
		case string(m.text) == "null":
		case slices.Contains(secrets, m.name):
			c.refuse("broker_transport_options", m.name+" may hold a password: write it into the settings file by hand")
		case slices.Contains(transport, m.name) && isHidden(m.text):
			c.refuse("broker_transport_options", fmt.Sprintf("%s: %v", m.name, errHidden))
		case slices.Contains(transport, m.name):
			ready = append(ready, m)
		}
	}
	return ready
}

// tasks are the attributes of tasks' classes that are not the settings'.
func (c *crowd) tasks(told map[string]string) (ready []member) {
	all := names(c.registered)
	slices.Sort(all)
	for _, task := range all {
		text, ok := c.agreed(c.registered, task, "task "+task)
		var shown string
		if !ok || json.Unmarshal(text, &shown) != nil || shown == "" {
			continue
		}
		own, err := taskAttributes(shown, told)
		if err != nil {
			c.refuse("task "+task, err.Error())
		}
		if len(own) > 0 {
			ready = append(ready, member{task, object(own)})
		}
	}
	return ready
}

// taskAttributes reads "queue=low expires=1 day, 0:00:00", whose attributes are in order.
func taskAttributes(shown string, told map[string]string) (own []member, problem error) {
	type found struct{ name, value string }
	var all []found
	for _, name := range attributes {
		if rest, first := strings.CutPrefix(shown, name+"="); first && len(all) == 0 {
			all, shown = append(all, found{name: name}), rest
		} else if before, after, there := strings.Cut(shown, " "+name+"="); there && len(all) > 0 {
			all[len(all)-1].value = before
			all, shown = append(all, found{name: name}), after
		}
	}
	if len(all) > 0 {
		all[len(all)-1].value = shown
	}
	for _, f := range all {
		text, err := taskAttribute(f.name, f.value)
		if err != nil {
			problem = fmt.Errorf("%s %w", f.name, err)
			continue
		}
		setting := inherited[f.name]
		i := slices.IndexFunc(defaults, func(d struct{ name, value string }) bool { return d.name == setting })
		if setting == "" || string(text) != cmp.Or(told[setting], defaults[max(i, 0)].value) {
			own = append(own, member{f.name, text})
		}
	}
	return own, problem
}

// taskAttribute is an attribute as JSON, of which Python's str was told.
func taskAttribute(name, shown string) (json.RawMessage, error) {
	switch name {
	case "ignore_result":
		switch shown {
		case "True", "False":
			return json.RawMessage(strings.ToLower(shown)), nil
		}
		return nil, errReplaced
	case "priority", "delivery_mode", "time_limit", "soft_time_limit", "expires":
		if number.MatchString(shown) {
			return json.RawMessage(shown), nil
		}
		if seconds, isLength := lengthOf(shown); isLength {
			return json.RawMessage(seconds), nil
		}
		if name != "expires" && name != "delivery_mode" {
			return nil, errReplaced
		}
	}
	if replaced(shown) {
		return nil, errReplaced
	}
	return encoded(shown)
}

// taskQueues is task_queues as onebeat's own settings have it.
func (c *crowd) taskQueues(text json.RawMessage) (json.RawMessage, error) {
	if named, err := members(text); err == nil {
		var hiding []string
		for i, m := range named {
			queue := c.queues[m.name]
			key, told := queue["routing_key"].(string)
			inner, err := members(m.text)
			if err != nil {
				continue
			}
			for j := range inner {
				if inner[j].name == "routing_key" && told {
					inner[j].text, _ = encoded(key) // any text can be
				}
			}
			if named[i].text = object(inner); isHidden(named[i].text) {
				hiding = append(hiding, m.name)
			}
		}
		if len(hiding) > 0 {
			return nil, fmt.Errorf("queues %s: %w", strings.Join(hiding, ", "), errHidden)
		}
		return object(named), nil
	}
	return listOf(text, taskQueue, errReplaced)
}

// listOf is a list with each item as one makes it; not is the error for what is no list.
func listOf(text json.RawMessage, one func(json.RawMessage) (json.RawMessage, error), not error) (json.RawMessage, error) {
	var items []json.RawMessage
	if err := json.Unmarshal(text, &items); err != nil {
		return nil, not
	}
	for i, item := range items {
		var err error
		if items[i], err = one(item); err != nil {
			return nil, err
		}
	}
	return json.Marshal(items)
}

// taskQueue is a queue as kombu describes one, without what is as always.
func taskQueue(text json.RawMessage) (json.RawMessage, error) {
	var name string
	if json.Unmarshal(text, &name) == nil {
		if replaced(name) {
			return nil, errReplaced
		}
		return object([]member{{"name", text}}), nil
	}
	all, err := members(text)
	if err != nil {
		return nil, errReplaced
	}
	var ready []member
	for _, m := range all {
		name, plain := m.name, string(m.text)
		switch name {
		case "queue":
			return nil, errors.New("task_queues has a Broadcast: write it as {name: …, broadcast: true}")
		case "name", "routing_key":
		case "exchange":
			if m.text, err = taskExchange(m.text); err != nil {
				return nil, err
			}
		case "queue_arguments", "binding_arguments", "expires", "message_ttl", "max_length", "max_length_bytes", "max_priority":
			if plain == "{}" || plain == "0" {
				continue
			}
		case "durable":
			name = "queue_durable"
			if plain == "true" {
				continue
			}
		case "auto_delete":
			name = "queue_auto_delete"
			fallthrough
		case "exclusive":
			if plain == "false" {
				continue
			}
		default:
			continue
		}
		if plain != "null" && plain != `""` {
			ready = append(ready, member{name, m.text})
		}
	}
	return object(ready), nil
}

func taskExchange(text json.RawMessage) (json.RawMessage, error) {
	all, err := members(text)
	if err != nil {
		return text, nil // its name alone, or null
	}
	return object(slices.DeleteFunc(all, func(m member) bool {
		switch string(m.text) {
		case "null", "{}":
			return true
		case "true", "false":
			return (m.name == "durable") == (string(m.text) == "true") || m.name == "passive" || m.name == "no_declare"
		}
		return false
	})), nil
}

// taskRoutes is task_routes without routers in code.
func taskRoutes(text json.RawMessage) (json.RawMessage, error) {
	if bytes.HasPrefix(text, []byte("{")) {
		return taskRouter(text)
	}
	return listOf(text, taskRouter, errRouter)
}

var errRouter = errors.New("it has a router in code: write the routes that it returns, by task name or pattern, or as far as it is data, " + fromCode)

func taskRouter(text json.RawMessage) (json.RawMessage, error) {
	routes, err := members(text)
	if err != nil {
		var pairs [][]json.RawMessage
		if json.Unmarshal(text, &pairs) != nil {
			return nil, errRouter
		}
		for _, pair := range pairs {
			var pattern string
			if len(pair) != 2 || json.Unmarshal(pair[0], &pattern) != nil {
				return nil, errRouter
			}
			if replaced(pattern) {
				return nil, errors.New("it has a compiled expression: write it as a pattern with * and ?")
			}
			routes = append(routes, member{pattern, pair[1]})
		}
	}
	var hiding []string
	for i, r := range routes {
		var queue string
		if isHidden(r.text) {
			hiding = append(hiding, r.name)
		} else if json.Unmarshal(r.text, &queue) == nil {
			routes[i].text = object([]member{{"queue", r.text}})
		}
		if holdsReplaced(r.text) {
			return nil, fmt.Errorf("%s %w", r.name, errReplaced)
		}
	}
	if len(hiding) > 0 {
		return nil, fmt.Errorf("%s: %w", strings.Join(hiding, ", "), errHidden)
	}
	return object(routes), nil
}

// isHidden says whether Celery hid anything in the JSON.
func isHidden(text json.RawMessage) bool { return bytes.Contains(text, []byte(`"`+hidden+`"`)) }

// A member is one of an object, whose order counts.
type member struct {
	name string
	text json.RawMessage
}

// object writes the members as a JSON object.
func object(all []member) json.RawMessage {
	text := []byte{'{'}
	for i, m := range all {
		if i > 0 {
			text = append(text, ',')
		}
		name, _ := encoded(m.name) // any text can be
		text = append(append(append(text, name...), ':'), m.text...)
	}
	return append(text, '}')
}

// members reads an object, in order.
func members(text json.RawMessage) (all []member, err error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	if open, err := decoder.Token(); err != nil || open != json.Delim('{') {
		return nil, errors.New("no JSON object")
	}
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return nil, errors.New("no JSON object")
		}
		var inner json.RawMessage
		if err := decoder.Decode(&inner); err != nil {
			return nil, errors.New("no JSON object")
		}
		if inner, err = compacted(inner); err != nil {
			return nil, err
		}
		all = append(all, member{name.(string), inner})
	}
	return all, nil
}

// compacted is a JSON text without blanks, and with letters in the place of their escapes,
// which YAML may not have.
func compacted(text json.RawMessage) (json.RawMessage, error) {
	text = bytes.TrimSpace(text)
	switch text[0] {
	case '{':
		all, err := members(text)
		return object(all), err
	case '[':
		var list []json.RawMessage
		if err := json.Unmarshal(text, &list); err != nil {
			return nil, errors.New("no JSON list")
		}
		ready := []byte{'['}
		for i, item := range list {
			if i > 0 {
				ready = append(ready, ',')
			}
			item, err := compacted(item)
			if err != nil {
				return nil, err
			}
			ready = append(ready, item...)
		}
		return append(ready, ']'), nil
	case '"':
		var s string
		if err := json.Unmarshal(text, &s); err != nil {
			return nil, errors.New("no JSON text")
		}
		if replaced(s) { // two workers have an object in two places
			s = place.ReplaceAllString(s, "")
		}
		return encoded(s)
	}
	return text, nil
}

// encoded is a text as JSON.
func encoded(text string) (json.RawMessage, error) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(text); err != nil {
		return nil, err
	}
	return bytes.TrimSpace(out.Bytes()), nil
}

// entries reads beat_schedule.
func (c *crowd) entries() {
	var schedules []answer
	for _, conf := range c.confs {
		i := slices.IndexFunc(conf.members, func(m member) bool { return m.name == "beat_schedule" })
		if i < 0 {
			continue
		}
		all, err := members(conf.members[i].text)
		if err != nil {
			c.refuse("beat_schedule", fmt.Sprintf("worker %s tells no map of it: %s", conf.worker, fromCode))
			continue
		}
		for i, m := range all {
			if all[i].text, err = outcomeOf(m.name, m.text); err != nil {
				c.refuse(m.name, err.Error())
			}
		}
		schedules = append(schedules, answer{conf.worker, all})
	}
	for _, name := range names(schedules) {
		text, ok := c.agreed(schedules, name, name)
		var told outcome
		switch {
		case !ok || json.Unmarshal(text, &told) != nil:
			continue
		case told.Reason != "":
			c.refuse(name, told.Reason)
			continue
		}
		var silent []string
		for _, a := range schedules {
			if !slices.ContainsFunc(a.members, func(m member) bool { return m.name == name }) {
				silent = append(silent, a.worker)
			}
		}
		if len(silent) > 0 {
			told.Entry.Remarks = append(told.Entry.Remarks, "not known to "+strings.Join(slices.Sorted(slices.Values(silent)), ", "))
		}
		c.app.Entries = append(c.app.Entries, told.Entry)
	}
}

// An outcome is what one worker's telling of an entry came to. Workers of two versions tell
// the same in two ways, so that outcomes are what is compared.
type outcome struct {
	Entry  Entry
	Reason string // why it cannot be carried over
}

func outcomeOf(name string, text json.RawMessage) (json.RawMessage, error) {
	entry, err := entryOf(name, text)
	if err != nil {
		return json.Marshal(outcome{Reason: err.Error()})
	}
	return json.Marshal(outcome{Entry: entry})
}

// mapOf is an object by name; nil if it is none.
func mapOf(text json.RawMessage) map[string]json.RawMessage {
	all, err := members(text)
	if err != nil {
		return nil
	}
	m := map[string]json.RawMessage{}
	for _, one := range all {
		m[one.name] = one.text
	}
	return m
}
