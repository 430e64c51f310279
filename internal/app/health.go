package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/onebeat/onebeat/internal/plan"
	"github.com/onebeat/onebeat/internal/web"
)

// stall is how long dispatching may stand still before the node is unhealthy.
const stall = 8 * time.Second

// loading is how long a new term may take to have its entries loaded and what an
// earlier one left behind recovered: more than a hundred thousand entries take.
const loading = 8 * time.Second

// Health implements web.Node.
func (n *node) Health(ctx context.Context) web.Health {
	n.mu.Lock()
	open, term, planner, loaded := n.open, n.term, n.planner, n.loaded
	n.mu.Unlock()
	health := web.Health{OK: true, Node: n.name, Leader: term != 0, Term: term}
	add := func(name string, err error, detail string) {
		if err != nil {
			detail = err.Error()
			health.OK = false
		}
		health.Checks = append(health.Checks, web.Check{Name: name, OK: err == nil, Detail: detail})
	}
	if !open {
		add("database", errors.New("not reached yet; the log says why"), "")
		return health
	}
	_, err := n.store.LastSeq(ctx)
	add("database", err, "")
	add("broker", n.broker.Ping(ctx), n.dispatching.Forgotten())
	switch {
	case planner == nil:
		add("dispatch", nil, "waiting for the lease")
	case !loaded:
		add("dispatch", n.loads(), "loading entries")
	default:
		add("dispatch", n.moves(ctx, planner), "")
	}
	return health
}

// loads returns an error when a term takes too long to begin.
func (n *node) loads() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if since := time.Since(n.since); since > loading {
		return fmt.Errorf("entries are not loaded after %v; the log says why", since.Round(time.Second))
	}
	return nil
}

// moves returns an error when the dispatch loop stands still.
func (n *node) moves(ctx context.Context, planner *plan.Planner) error {
	if idle := planner.Idle(); idle > stall {
		return fmt.Errorf("the planner has not moved for %v", idle.Round(time.Second))
	}
	if stalled := n.dispatching.Stalled(); stalled > stall {
		return fmt.Errorf("claimed slots have been waiting for %v", stalled.Round(time.Second))
	}
	state, err := planner.State(ctx)
	if err != nil {
		return fmt.Errorf("the planner does not answer: %w", err)
	}
	if state.Overdue > 0 && !state.Next.IsZero() {
		if late := n.clock.Now().Sub(state.Next); late > stall {
			return fmt.Errorf("%d slots are due and not claimed, the first for %v", state.Overdue, late.Round(time.Second))
		}
	}
	return nil
}

// Ready implements web.Node.
func (n *node) Ready() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.open && (n.term == 0 || n.loaded)
}

// metrics are what the node tells of itself, beside dispatching.
type metrics struct {
	node *node

	badRows       prometheus.Gauge
	reloads       prometheus.Counter
	reloadErrors  prometheus.Counter
	droppedEvents prometheus.Counter

	entries, due, leader, term, age *prometheus.Desc
}

func newMetrics(n *node) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	return &metrics{
		node:          n,
		badRows:       prometheus.NewGauge(prometheus.GaugeOpts{Name: "onebeat_bad_rows", Help: "Rows that cannot be read and are set aside."}),
		reloads:       counter("onebeat_reloads_total", "Times that changes of entries were taken over."),
		reloadErrors:  counter("onebeat_reload_errors_total", "Times that entries could not be read."),
		droppedEvents: counter("onebeat_events_dropped_total", "Task-sent events that were given up."),
		entries:       prometheus.NewDesc("onebeat_entries", "Entries that are planned.", nil, nil),
		due:           prometheus.NewDesc("onebeat_due_backlog", "Slots that have come and are not claimed.", nil, nil),
		leader:        prometheus.NewDesc("onebeat_leader", "1 while this node holds the lease.", nil, nil),
		term:          prometheus.NewDesc("onebeat_term", "The term of the lease that this node holds; 0 for none.", nil, nil),
		age:           prometheus.NewDesc("onebeat_last_dispatch_age_seconds", "Time since the last acknowledged message; since the start while there is none.", nil, nil),
	}
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(m, ch) }

// Collect implements prometheus.Collector.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	for _, c := range []prometheus.Collector{m.badRows, m.reloads, m.reloadErrors, m.droppedEvents} {
		c.Collect(ch)
	}
	gauge := func(desc *prometheus.Desc, value float64) {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value)
	}
	n := m.node
	n.mu.Lock()
	term, planner := n.term, n.planner
	n.mu.Unlock()
	var state plan.State
	if planner != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		state, _ = planner.State(ctx) // a planner that does not answer shows in health
		cancel()
	}
	gauge(m.entries, float64(state.Entries))
	gauge(m.due, float64(state.Overdue))
	gauge(m.leader, float64(min(term, 1)))
	gauge(m.term, float64(term))
	since := n.dispatching.LastSent()
	if since.IsZero() {
		since = n.clock.started
	}
	gauge(m.age, n.clock.Now().Sub(since).Seconds())
}
