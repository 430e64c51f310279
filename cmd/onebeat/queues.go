package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/onebeat/onebeat/internal/broker"
	"github.com/onebeat/onebeat/internal/celery"
	"github.com/onebeat/onebeat/internal/schedule"
	"github.com/onebeat/onebeat/internal/store"
)

// mostQueues bounds how many queues are looked for: each costs the broker a question.
const mostQueues = 1000

// queues are where the entries' messages go. The zero queues are looked for by nobody.
type queues struct {
	finder broker.Finder
	config *celery.Config
	all    map[string]*queue // by kind and name
	more   bool              // than were kept
}

// A queue is one, or an exchange, and the entries that go there.
type queue struct {
	kind, name string
	route      celery.Route // of the first of them
	few
}

func newQueues(finder broker.Finder, config *celery.Config) queues {
	return queues{finder: finder, config: config, all: map[string]*queue{}}
}

func (q *queues) add(row store.Row) {
	if q.finder == nil || row.Entry == nil {
		return
	}
	route, err := q.config.Route(celery.Task{Name: row.Task, Entry: row.Name, Options: row.Options})
	if err != nil {
		return // its row has told of it
	}
	kind, name := "queue", route.RoutingKey
	if route.Exchange != "" {
		kind, name = "exchange", route.Exchange
	}
	to := q.all[kind+" "+name]
	if to == nil {
		if len(q.all) == mostQueues {
			q.more = true
			return
		}
		to = &queue{kind: kind, name: name, route: route}
		q.all[kind+" "+name] = to
	}
	to.few.add(func() string { return row.Name })
}

// look tells of each that is missing.
func (q *queues) look(ctx context.Context) (findings []finding) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	all := make([]*queue, 0, len(q.all))
	for _, to := range q.all {
		all = append(all, to)
	}
	slices.SortFunc(all, func(a, b *queue) int { return cmp.Or(cmp.Compare(b.n, a.n), cmp.Compare(a.name, b.name)) })
	for i, to := range all {
		lacks, err := q.finder.Lacks(ctx, to.route)
		if err != nil {
			return append(findings, finding{"queues", true, fmt.Sprintf("only %d of %d were looked for: %s", i, len(all), oneLine(err))})
		}
		if lacks {
			findings = append(findings, finding{to.kind + " " + to.name, false, to.note()})
		}
	}
	if q.more {
		findings = append(findings, finding{"queues", true, fmt.Sprintf("only %d were looked for: there are more", mostQueues)})
	}
	return findings
}

// note says what is missing there and what to do.
func (to *queue) note() string {
	note := fmt.Sprintf("it does not exist, so that each slot of %s ends as failed: %s. Start a worker that ", schedule.Counted(to.n, "entry"), to.few)
	if to.kind == "queue" {
		note += "consumes it"
	} else {
		note += "consumes a queue bound to it"
	}
	if made := to.route.Declare; made != nil && (to.route.Exchange == "" || to.route.Exchange == made.Exchange.Name) {
		note += ", or run serve with --declare"
	}
	return note
}
