package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/onebeat/onebeat/internal/app"
	"github.com/onebeat/onebeat/internal/broker"
	"github.com/onebeat/onebeat/internal/celery"
	"github.com/onebeat/onebeat/internal/schedule"
	"github.com/onebeat/onebeat/internal/store"
)

const (
	// workersWait is how long workers may take to tell their queues and tasks, as with
	// Celery's own inspect.
	workersWait = time.Second

	// mostWork bounds how many pairs of a queue and a task are kept to ask workers about.
	mostWork = 10_000

	// mostTold is of how many queues and tasks a line is printed: a worker of another application knows none.
	mostTold = 20
)

// A job is a task, and the queue that entries send it to.
type job struct{ queue, task string }

// A bound is an exchange of a kind, with the key that something is sent there with, or that a queue is bound to it by.
type bound struct{ exchange, kind, key string }

// workers are the jobs of the entries, to compare with what live workers tell.
type workers struct {
	config *celery.Config
	jobs   map[job]*few // and the entries
	ways   map[bound]*few
	more   bool // than were kept
	zoned  few  // entries that go by the setting zone
}

func newWorkers(config *celery.Config) workers {
	return workers{config: config, jobs: map[job]*few{}, ways: map[bound]*few{}}
}

// add counts an entry. What goes through an exchange with a name, workers of several queues may take.
func (w *workers) add(row store.Row) {
	if w.jobs == nil || row.Entry == nil {
		return
	}
	if row.Zone == "" && goesBySetting(row) {
		w.zoned.add(func() string { return row.Name })
	}
	route, err := w.config.Route(celery.Task{Name: row.Task, Entry: row.Name, Options: row.Options})
	switch {
	case err != nil:
	case route.Exchange != "":
		w.more = count(w.ways, bound{route.Exchange, route.ExchangeType, route.RoutingKey}, row.Name) || w.more
	default:
		w.more = count(w.jobs, job{route.RoutingKey, row.Task}, row.Name) || w.more
	}
}

// routes are those that entries go by.
func (w *workers) routes() (all []celery.Route) {
	queues := map[string]bool{}
	for job := range w.jobs {
		queues[job.queue] = true
	}
	for _, queue := range slices.Sorted(maps.Keys(queues)) {
		all = append(all, celery.Route{RoutingKey: queue})
	}
	for _, to := range w.sortedWays() {
		all = append(all, celery.Route{Exchange: to.exchange, ExchangeType: to.kind, RoutingKey: to.key})
	}
	return all
}

func (w *workers) sortedWays() []bound {
	return slices.SortedFunc(maps.Keys(w.ways), func(a, b bound) int {
		return cmp.Or(cmp.Compare(a.exchange, b.exchange), cmp.Compare(a.key, b.key), cmp.Compare(a.kind, b.kind))
	})
}

// count adds an entry to what it goes to, and says whether there are too many of those to keep.
func count[T comparable](all map[T]*few, to T, entry string) (more bool) {
	entries := all[to]
	if entries == nil {
		if len(all) == mostWork {
			return true
		}
		entries = &few{}
		all[to] = entries
	}
	entries.add(func() string { return entry })
	return false
}

// goesBySetting says whether an entry whose row names no zone goes by the setting's: in a spec one may stand too.
func goesBySetting(row store.Row) bool {
	const elsewhere = "Etc/GMT-14"
	if locationOf(row.Entry.Spec) == "" {
		return false
	}
	other, err := schedule.Reading{Zone: elsewhere, Key: string(row.ID)}.Parse(row.Spec)
	return err != nil || locationOf(other) == elsewhere // what needs more than its text to be read is taken to
}

// locationOf is the zone that a spec goes by, if any.
func locationOf(spec schedule.Spec) string {
	if zoned, ok := spec.(interface{ Location() *time.Location }); ok {
		return zoned.Location().String()
	}
	return ""
}

// look asks the workers, and tells what nobody takes and what is thrown away. Queues that
// are missing have been told of.
func (w *workers) look(ctx context.Context, config app.Config, lacking []finding) []finding {
	if len(w.jobs)+len(w.ways) == 0 {
		return nil
	}
	observer, err := app.OpenObserver(config, broker.Options{Installation: "check", Node: "onebeat", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil // another kind of broker, over which no worker can be asked
	}
	defer func() { _ = observer.Close() }()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	replies, err := observer.Ask(ctx, []celery.Request{
		{Method: "active_queues", Ticket: "active_queues"},
		{Method: "registered", Ticket: "registered"},
		{Method: "conf", Ticket: "conf"},
	}, workersWait)
	if err != nil {
		return []finding{{"workers", true, "they could not be asked for their queues and tasks: " + oneLine(err)}}
	}
	all := answers(replies)
	return append(w.elsewhere(all, config.String("zone"), time.Now()), w.compare(all, lacking)...)
}

// elsewhere tells of workers whose application has another zone for crontabs that name none than the setting.
func (w *workers) elsewhere(all map[string]told, here string, now time.Time) (findings []finding) {
	there := map[string]*few{} // zones, and the workers
	for _, name := range slices.Sorted(maps.Keys(all)) {
		zone := all[name].zone
		if _, err := schedule.Location(zone); zone == "" || err != nil || w.zoned.n == 0 {
			continue
		}
		half := now.AddDate(0, 6, 0)
		if zoneOffset(zone, now) == zoneOffset(here, now) && zoneOffset(zone, half) == zoneOffset(here, half) {
			continue
		}
		if there[zone] == nil {
			there[zone] = &few{}
		}
		there[zone].add(func() string { return name })
	}
	for _, zone := range slices.Sorted(maps.Keys(there)) {
		findings = append(findings, finding{"zone", false, fmt.Sprintf("what names none goes by %s here, and by %s in the application of the workers (%s): %s: %s. Set CELERY_TIMEZONE=%s, or --zone, or give the entries zones of their own",
			here, zone, there[zone], schedule.Counted(w.zoned.n, "entry"), w.zoned, zone)})
	}
	return findings
}

// What a worker has told of itself: nil where it has not, or in no way that Celery's do.
type told struct {
	queues, tasks map[string]bool
	bound         []bound // the queues
	zone          string  // empty where its application sets none
}

// A binding is what binds a queue to an exchange, as workers tell it.
type binding struct {
	Exchange struct{ Name, Type string } `json:"exchange"`
	Key      string                      `json:"routing_key"`
}

// takes says whether a queue that is bound so is given what is sent to an exchange with a key, or may be.
func (b bound) takes(exchange, key string) bool {
	switch {
	case b.exchange != exchange:
		return false
	case b.kind == "direct":
		return b.key == key
	case b.kind == "topic": // RabbitMQ takes no word at all for "#" too, and leaves out the dot
		return celery.TopicMatches(b.key, key) || celery.TopicMatches(b.key, key+".") || celery.TopicMatches(b.key, "."+key)
	}
	return true
}

// answers sorts them by worker.
func answers(replies []celery.Reply) map[string]told {
	all := map[string]told{}
	for _, r := range replies {
		w := all[r.Worker]
		var queues []struct {
			Name string `json:"name"`
			binding
			Bindings []binding `json:"bindings"`
		}
		var tasks []string
		var settings struct {
			Zone   string `json:"timezone"`
			Former string `json:"CELERY_TIMEZONE"`
		}
		switch {
		case r.Ticket == "conf" && json.Unmarshal(r.Answer, &settings) == nil:
			w.zone = cmp.Or(settings.Zone, settings.Former)
		case r.Ticket == "active_queues" && json.Unmarshal(r.Answer, &queues) == nil:
			w.queues = map[string]bool{}
			for _, queue := range queues {
				w.queues[queue.Name] = true
				for _, b := range append(queue.Bindings, queue.binding) {
					w.bound = append(w.bound, bound{b.Exchange.Name, b.Exchange.Type, b.Key})
				}
			}
		case r.Ticket == "registered" && json.Unmarshal(r.Answer, &tasks) == nil:
			w.tasks = map[string]bool{}
			for _, task := range tasks { // such as "proj.add [rate_limit=10/m]"
				name, _, _ := strings.Cut(task, " [")
				w.tasks[name] = true
			}
		}
		all[r.Worker] = w
	}
	return all
}

// known are the tasks that any of the workers knows.
func known(all map[string]told, workers []string) []string {
	tasks := map[string]bool{}
	for _, name := range workers {
		maps.Copy(tasks, all[name].tasks)
	}
	return slices.Sorted(maps.Keys(tasks))
}

// compare holds the jobs against the workers.
func (w *workers) compare(all map[string]told, lacking []finding) (findings []finding) {
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(all)), func(name string) bool { return all[name].queues == nil })
	if len(names) == 0 {
		return []finding{{"workers", true, fmt.Sprintf("none answered within %v: what is sent waits in its queue until one runs (they are asked by Celery's remote control, at this broker and database, with the broker_transport_options that are given)", workersWait)}}
	}
	answered := few{}
	for _, name := range names {
		answered.add(func() string { return name })
	}
	idle := map[string]*few{} // queues, and the entries
	var unknown []finding     // tasks
	for _, to := range slices.SortedFunc(maps.Keys(w.jobs), func(a, b job) int { return cmp.Or(cmp.Compare(a.queue, b.queue), cmp.Compare(a.task, b.task)) }) {
		if slices.ContainsFunc(lacking, func(f finding) bool { return f.What == "queue "+to.queue }) {
			continue
		}
		takes := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !all[name].queues[to.queue] })
		ignorant := few{}
		for _, name := range takes {
			// Tasks of Celery's own, celery.…, are known to all, and not told.
			if all[name].tasks != nil && !all[name].tasks[to.task] && !strings.HasPrefix(to.task, "celery.") {
				ignorant.add(func() string { return name })
			}
		}
		switch {
		case len(takes) == 0:
			idle[to.queue] = joined(idle[to.queue], w.jobs[to])
		case ignorant.n > 0:
			name, meant := to.task, ""
			if strings.TrimSpace(name) != name {
				name = strconv.Quote(name)
			}
			if len(unknown) < mostTold {
				if near := celery.Near(to.task, known(all, takes)); near != "" {
					meant = " (is it " + near + "?)"
				}
			}
			unknown = append(unknown, finding{"task " + name, false, fmt.Sprintf("workers that take from its queue %s do not know it (%s), so that they throw away the messages of %s: %s. Correct the task's name%s, or start them with the code that has it",
				to.queue, ignorant, schedule.Counted(w.jobs[to].n, "entry"), w.jobs[to], meant)})
		}
	}
	for _, to := range w.sortedWays() {
		if slices.ContainsFunc(lacking, func(f finding) bool { return f.What == "exchange "+to.exchange }) {
			continue
		}
		taken := slices.ContainsFunc(names, func(name string) bool {
			return slices.ContainsFunc(all[name].bound, func(b bound) bool { return b.takes(to.exchange, to.key) })
		})
		if !taken {
			findings = append(findings, finding{"exchange " + to.exchange, false, fmt.Sprintf("none of the workers that answered (%s) takes from a queue that is bound to it and takes %q, so that the messages of %s reach none of them: %s. Start a worker with such a queue, or correct the route",
				answered, to.key, schedule.Counted(w.ways[to].n, "entry"), w.ways[to])})
		}
	}
	for _, queue := range slices.Sorted(maps.Keys(idle)) {
		findings = append(findings, finding{"queue " + queue, false, fmt.Sprintf("none of the workers that answered (%s) takes from it, so that the messages of %s wait there: %s. Start a worker with -Q %s, or send them elsewhere: by task_default_queue and task_routes, which `onebeat import live --settings onebeat.yaml --apply` takes over from the workers for --config, or by an entry's option queue",
			answered, schedule.Counted(idle[queue].n, "entry"), idle[queue], queue)})
	}
	findings = append(findings, unknown...)
	if more := len(findings) - mostTold; more > 0 {
		findings = append(findings[:mostTold], finding{"workers", false, fmt.Sprintf("and so it is with %d more queues or tasks", more)})
	}
	if len(findings) == 0 {
		findings = append(findings, finding{"workers", true, fmt.Sprintf("those that answered take from all queues that entries go to, and know the tasks there: %s", answered)})
	}
	if w.more {
		findings = append(findings, finding{"workers", true, fmt.Sprintf("only %d pairs of a queue and a task were compared: there are more", mostWork)})
	}
	return findings
}

// joined counts the entries of both.
func joined(all, more *few) *few {
	if all == nil {
		all = &few{}
	}
	for _, name := range more.names {
		all.add(func() string { return name })
	}
	all.n += more.n - len(more.names)
	return all
}
