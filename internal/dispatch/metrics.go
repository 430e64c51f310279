package dispatch

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/onebeat/onebeat/internal/celery"
	"github.com/onebeat/onebeat/internal/schedule"
)

// Metrics tell how one dispatcher gets on, and keep from one term of a process to the next what it knows of the broker. It is a
// prometheus.Collector.
type Metrics struct {
	*counters

	forgot atomic.Int64                // the next term after one of this process in which the broker was seen to have older data, and was not told of it; 0: none
	note   atomic.Pointer[string]      // of the last time that one did
	handed atomic.Pointer[celery.Mark] // of the last part with messages that the broker got, or may have got, from this process; nil: none

	batches   atomic.Int64 // as open
	moved     atomic.Int64 // Unix nanoseconds: when a stage last got on
	recording atomic.Int64 // Unix nanoseconds: since when the present record is tried; 0 for none

	mu    sync.Mutex
	calls int64
	busy  map[int64]Call
}

// counters are what Prometheus is told, of all dispatchers of a process together.
type counters struct {
	lateness prometheus.Histogram
	runs     *prometheus.CounterVec
	open     prometheus.Gauge
	database prometheus.Counter
	broker   prometheus.Counter
	lost     *prometheus.CounterVec

	lastSent atomic.Int64 // Unix nanoseconds; 0 if nothing was sent yet
}

// A Call is something that a stage waits for, and that has a bound of seconds: a call of
// the ledger or the broker, or a rest.
type Call struct {
	What   string
	Number int64 // of this call alone
}

// NewMetrics returns metrics that count from zero.
func NewMetrics() *Metrics {
	m := &counters{
		lateness: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "onebeat_lateness_seconds",
			Help:    "Time from a slot to the broker's acknowledgement of its message.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300},
		}),
		runs: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "onebeat_slots_total",
			Help: "Slots by the state that they ended in.",
		}, []string{"state"}),
		open: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "onebeat_journal_batches",
			Help: "Batches that are claimed and not yet recorded.",
		}),
		database: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "onebeat_database_errors_total",
			Help: "Claims and records that failed and were tried again.",
		}),
		broker: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "onebeat_broker_errors_total",
			Help: "Publishings that failed and were tried again.",
		}),
	}
	m.lost = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "onebeat_broker_lost_total",
		Help: "Messages that the broker had taken and lost, by what was done: resent or reported.",
	}, []string{"action"})
	for _, action := range []string{"resent", "reported"} {
		m.lost.WithLabelValues(action)
	}
	for _, state := range schedule.States {
		m.runs.WithLabelValues(string(state)) // shown from the start, so that a rate has a beginning
	}
	return &Metrics{counters: m, busy: map[int64]Call{}}
}

// Beside returns Metrics of another dispatcher, which count into what these tell
// Prometheus.
func (m *Metrics) Beside() *Metrics {
	return &Metrics{counters: m.counters, busy: map[int64]Call{}}
}

// LastSent returns when a message was last acknowledged; zero if none was yet.
func (m *counters) LastSent() time.Time {
	if at := m.lastSent.Load(); at != 0 {
		return time.Unix(0, at).UTC()
	}
	return time.Time{}
}

// Describe implements prometheus.Collector.
func (m *counters) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range m.collectors() {
		c.Describe(ch)
	}
}

// Collect implements prometheus.Collector.
func (m *counters) Collect(ch chan<- prometheus.Metric) {
	for _, c := range m.collectors() {
		c.Collect(ch)
	}
}

func (m *counters) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.lateness, m.runs, m.open, m.database, m.broker, m.lost}
}

// recalled counts messages that the broker has lost, if they are known.
func (m *Metrics) recalled(lost int, known, resend bool, at time.Time) {
	action := "reported"
	if resend {
		action = "resent"
	}
	m.lost.WithLabelValues(action).Add(float64(lost))
	note := fmt.Sprintf("it came back with older data at %s: %s %s; the log names them", at.UTC().Format(time.RFC3339), schedule.Counted(lost, "message"), action)
	switch {
	case known && lost == 0:
		note = fmt.Sprintf("it came back with older data at %s: nothing that is on record was sent since then", at.UTC().Format(time.RFC3339))
	case !known:
		note = fmt.Sprintf("it came back at %s without what it had: what it has lost is not known", at.UTC().Format(time.RFC3339))
	}
	m.note.Store(&note)
}

// Forgotten tells people of the last time that the broker came back with older data;
// empty if it never did.
func (m *Metrics) Forgotten() string {
	if note := m.note.Load(); note != nil {
		return *note
	}
	return ""
}

// Stalled returns for how long batches have been waiting in the stages without
// any of them getting on, or to be recorded while others are sent: 0 while there is none or work goes on.
func (m *Metrics) Stalled() time.Duration {
	if m.batches.Load() == 0 {
		return 0
	}
	since := m.moved.Load()
	if recording := m.recording.Load(); recording != 0 {
		since = min(since, recording)
	}
	return time.Duration(time.Now().UnixNano() - since)
}

// Open returns how many batches are in the stages, and when one of them last got on.
func (m *Metrics) Open() (batches int64, movedAt time.Time) {
	return m.batches.Load(), time.Unix(0, m.moved.Load())
}

// Busy returns what the stages wait for at present.
func (m *Metrics) Busy() []Call {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Collect(maps.Values(m.busy))
}

// begin notes a call until done is called.
func (m *Metrics) begin(what string) (done func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls++
	number := m.calls
	m.busy[number] = Call{what, number}
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.busy, number)
	}
}

// progress counts batches that came into the stages, or went out of them, or 0
// for a step between. What comes in behind others moves none of them.
func (m *Metrics) progress(batches int) {
	open := m.batches.Add(int64(batches))
	m.open.Add(float64(batches))
	if batches <= 0 || open == int64(batches) {
		m.moved.Store(time.Now().UnixNano())
	}
}

func (m *counters) databaseError() { m.database.Inc() }
func (m *counters) brokerError()   { m.broker.Inc() }

// ended counts the runs of a part.
func (m *counters) ended(runs []schedule.Run) {
	counts := make(map[schedule.State]int, 1)
	for i := range runs {
		run := &runs[i]
		counts[run.State] += run.Count
		if run.State == schedule.Sent {
			m.lateness.Observe(run.SentAt.Sub(run.Slot).Seconds())
			m.lastSent.Store(run.SentAt.UnixNano())
		}
	}
	for state, count := range counts {
		m.runs.WithLabelValues(string(state)).Add(float64(count))
	}
}
