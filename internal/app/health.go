package app

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/onebeat/onebeat/internal/audit"
	"github.com/onebeat/onebeat/internal/login"
	"github.com/onebeat/onebeat/internal/schedule"
	"github.com/onebeat/onebeat/internal/web"
)

// stall is how long dispatching may stand still before the node is unhealthy.
const stall = 8 * time.Second

// loading is how long a new term may take to have its entries loaded and what an
// earlier one left behind recovered: more than a hundred thousand entries take.
const loading = 8 * time.Second

// Health implements web.Node.
func (n *node) Health(ctx context.Context) web.Health {
	shards, led := n.opened(), n.led()
	health := web.Health{OK: true, Node: n.called(), Leader: len(led) > 0, Term: highest(led)}
	if len(shards) > 1 {
		for _, s := range led {
			health.Shards = append(health.Shards, s.number)
		}
	}
	add := func(name string, err error, detail string) {
		if err != nil {
			detail = login.OneLine(err).Error() // errors of several shards stand on a line each
			health.OK = false
		}
		health.Checks = append(health.Checks, web.Check{Name: name, OK: err == nil, Detail: detail})
	}
	if len(shards) == 0 {
		n.mu.Lock()
		err := n.unreached
		n.mu.Unlock()
		if err == nil {
			err = errors.New("not reached yet")
		}
		add("database", err, "")
		return health
	}
	var err error
	asked := make(chan struct{})
	go func() { // beside the broker, for which one that hangs would leave no time
		defer close(asked)
		if _, err = shards[0].store.LastSeq(ctx); err == nil {
			err = n.unheard()
		}
	}()
	unreached := reached(ctx, shards, led)
	<-asked
	add("database", inTime(ctx, err), "")
	add("broker", inTime(ctx, unreached), forgotten(shards))
	if len(led) == 0 {
		add("dispatch", nil, n.stands())
		return health
	}
	var faults []error
	loads := ""
	for _, s := range led {
		now := s.now()
		err := s.moves(ctx, now)
		if err != nil && len(shards) > 1 {
			err = fmt.Errorf("shard %d: %w", s.number, err)
		}
		faults = append(faults, err)
		switch {
		case now.term != 0 && now.planner == nil:
			loads = "waiting for another scheduler to give its entries free"
		case !now.loaded:
			loads = "loading entries"
		}
	}
	add("dispatch", errors.Join(faults...), loads)
	if led[0].number == 0 && led[0].now().loaded { // who audits
		add("audit", nil, audited(n.scanner.State()))
	}
	return health
}

// inTime says of what did not answer until ctx was over that it did not, and what to look at.
func inTime(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return errors.New("no answer in time: look at its load, at who holds locks there, and at the network between")
	}
	return err
}

// reached asks the broker for an answer on the connection of each shard that this node leads, or, where it
// leads none, on the first's. Each shard has a connection of its own, and may have lost it alone.
func reached(ctx context.Context, shards, led []*shard) error {
	if len(led) == 0 {
		led = shards[:1]
	}
	faults := make([]error, len(led))
	var asking sync.WaitGroup
	for i, s := range led {
		asking.Go(func() {
			if faults[i] = s.broker.Ping(ctx); faults[i] != nil && len(shards) > 1 {
				faults[i] = fmt.Errorf("shard %d: %w", s.number, faults[i])
			}
		})
	}
	asking.Wait()
	return errors.Join(faults...)
}

// highest is the highest term that this node holds, 0 for none.
func highest(led []*shard) (term int64) {
	for _, s := range led {
		term = max(term, s.now().term)
	}
	return term
}

// forgotten tells people of what brokers that came back with older data have lost.
func forgotten(shards []*shard) string {
	var notes []string
	for _, s := range shards {
		if note := s.dispatching.Forgotten(); note != "" {
			notes = append(notes, note)
		}
	}
	return strings.Join(notes, "; ")
}

// stands says in words how far a node is that waits for the lease.
func (n *node) stands() string {
	if n.known() {
		return "waiting for the lease, with " + schedule.Counted(n.roster.Count(), "entry") + " loaded"
	}
	return "waiting for the lease; loading entries"
}

// known says whether the catalog was read to its end.
func (n *node) known() bool {
	select {
	case <-n.roster.Known():
		return true
	default:
		return false
	}
}

// audited says in words what the scanner found. It is no reason to restart a node,
// which would mend nothing.
func audited(state audit.State) string {
	if state.Until.IsZero() {
		return "the first round has not ended yet"
	}
	text := fmt.Sprintf("%s, missing %d, duplicate %d, early %d, late %d, overdue %d, stray %d, until %s", schedule.Counted(state.Slots, "slot"),
		state.Counts[audit.Missing], state.Counts[audit.Duplicate], state.Counts[audit.Early], state.Counts[audit.Late],
		state.Counts[audit.Overdue], state.Counts[audit.Stray], state.Until.UTC().Format(time.RFC3339))
	for kind, n := range state.Counts {
		if n > 0 && kind != audit.Late {
			return text + "; `onebeat audit` names them"
		}
	}
	return text
}

// moves returns an error when a term takes too long to begin, or the dispatch loop
// stands still.
func (s *shard) moves(ctx context.Context, now reign) error {
	if now.term == 0 || now.planner == nil {
		return nil // its term has just ended, or waits for another scheduler, as long as that takes
	}
	if !now.loaded {
		if since := time.Since(now.since); since > loading {
			return fmt.Errorf("entries are not loaded after %v; the log says why", since.Round(time.Second))
		}
		return nil
	}
	if idle := now.planner.Idle(); idle > stall {
		return fmt.Errorf("the planner has not moved for %v", idle.Round(time.Second))
	}
	if stalled := s.dispatching.Stalled(); stalled > stall {
		return fmt.Errorf("claimed slots have been waiting for %v", stalled.Round(time.Second))
	}
	state, err := now.planner.State(ctx)
	if err != nil {
		return fmt.Errorf("the planner does not answer: %w", err)
	}
	if state.Overdue > 0 && !state.Next.IsZero() {
		if late := s.node.clock.Now().Sub(state.Next); late > stall {
			return fmt.Errorf("%s due and not claimed, the first for %v", schedule.Counted(state.Overdue, "slot"), late.Round(time.Second))
		}
	}
	return nil
}

// Ready implements web.Node.
func (n *node) Ready() bool {
	shards, led := n.opened(), n.led()
	for _, s := range led {
		if now := s.now(); now.term != 0 && !now.loaded {
			return false
		}
	}
	return len(led) > 0 || len(shards) > 0 && n.known()
}

// metrics are what the node tells of itself, beside dispatching.
type metrics struct {
	node *node

	badRows       prometheus.Gauge
	reloads       prometheus.Counter
	reloadErrors  prometheus.Counter
	droppedEvents prometheus.Counter

	entries, due, leader, shards, term, age *prometheus.Desc

	audited, auditBehind, auditSkipped *prometheus.Desc
	found                              map[audit.Kind]*prometheus.Desc
}

func newMetrics(n *node) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	describe := func(name, help string) *prometheus.Desc { return prometheus.NewDesc(name, help, nil, nil) }
	return &metrics{
		node: n,

		audited:      describe("onebeat_audit_slots_total", "Slots whose end in the ledger was compared with what the spec says."),
		auditBehind:  describe("onebeat_audit_behind_seconds", "How old the latest slot is up to which all were audited; 0 before the first round's end."),
		auditSkipped: describe("onebeat_audit_skipped_seconds_total", "Time whose slots were not audited, for there were too many."),
		found: map[audit.Kind]*prometheus.Desc{
			audit.Missing:   describe("onebeat_audit_missing_total", "Audited slots that have no end in the ledger."),
			audit.Duplicate: describe("onebeat_audit_duplicate_total", "Audited slots that ended twice."),
			audit.Early:     describe("onebeat_audit_early_total", "Audited slots that were sent before their time."),
			audit.Late:      describe("onebeat_audit_late_total", "Audited slots that were sent later than their entry's grace."),
			audit.Stray:     describe("onebeat_audit_stray_total", "Audited slots that were sent though no spec gives them."),
			audit.Overdue:   describe("onebeat_audit_overdue", "Slots that were past and not settled in the last round of the audit."),
		},

		badRows:       prometheus.NewGauge(prometheus.GaugeOpts{Name: "onebeat_bad_rows", Help: "Rows that cannot be read and are set aside."}),
		reloads:       counter("onebeat_reloads_total", "Times that changes of entries were taken over."),
		reloadErrors:  counter("onebeat_reload_errors_total", "Times that entries could not be read."),
		droppedEvents: counter("onebeat_events_dropped_total", "Task-sent events that were given up."),
		entries:       prometheus.NewDesc("onebeat_entries", "Entries that are planned.", nil, nil),
		due:           prometheus.NewDesc("onebeat_due_backlog", "Slots that have come and are not claimed.", nil, nil),
		leader:        prometheus.NewDesc("onebeat_leader", "1 while this node holds a lease.", nil, nil),
		shards:        prometheus.NewDesc("onebeat_shards", "Shards whose leases this node holds.", nil, nil),
		term:          prometheus.NewDesc("onebeat_term", "The highest term of the leases that this node holds; 0 for none.", nil, nil),
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
	led := n.led()
	entries, overdue := 0, 0
	for _, s := range led {
		planner := s.now().planner
		if planner == nil {
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		state, _ := planner.State(ctx) // a planner that does not answer shows in health
		cancel()
		entries += state.Entries
		overdue += state.Overdue
	}
	gauge(m.entries, float64(entries))
	gauge(m.due, float64(overdue))
	gauge(m.leader, float64(min(len(led), 1)))
	gauge(m.shards, float64(len(led)))
	gauge(m.term, float64(highest(led)))
	since := n.dispatching.LastSent()
	if since.IsZero() {
		since = n.clock.started
	}
	gauge(m.age, n.clock.Now().Sub(since).Seconds())
	m.collectAudit(ch)
}

// collectAudit tells what the audit found since the process began.
func (m *metrics) collectAudit(ch chan<- prometheus.Metric) {
	m.node.mu.Lock()
	scanner := m.node.scanner
	m.node.mu.Unlock()
	var state audit.State
	if scanner != nil {
		state = scanner.State()
	}
	send := func(desc *prometheus.Desc, kind prometheus.ValueType, value float64) {
		ch <- prometheus.MustNewConstMetric(desc, kind, value)
	}
	send(m.audited, prometheus.CounterValue, float64(state.Slots))
	send(m.auditSkipped, prometheus.CounterValue, state.Skipped.Seconds())
	behind := 0.0
	if !state.Until.IsZero() {
		behind = m.node.clock.Now().Sub(state.Until).Seconds()
	}
	send(m.auditBehind, prometheus.GaugeValue, behind)
	for kind, desc := range m.found {
		of := prometheus.CounterValue
		if kind == audit.Overdue {
			of = prometheus.GaugeValue
		}
		send(desc, of, float64(state.Counts[kind]))
	}
}
