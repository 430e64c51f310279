package app

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/onebeat/onebeat/internal/broker"
	"github.com/onebeat/onebeat/internal/celery"
	"github.com/onebeat/onebeat/internal/dispatch"
	"github.com/onebeat/onebeat/internal/plan"
	"github.com/onebeat/onebeat/internal/schedule"
)

// minutely is an entry that is due every minute from the moment it is made.
func minutely(t *testing.T, id schedule.ID) *schedule.Entry {
	t.Helper()
	config, err := celery.ParseConfig(nil)
	if err != nil {
		t.Fatal(err)
	}
	template, err := config.Template(celery.Task{Name: "tasks.tick"})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	spec, err := schedule.NewEvery(time.Minute, now)
	if err != nil {
		t.Fatal(err)
	}
	return &schedule.Entry{ID: id, Name: "tick " + string(id), Task: "tasks.tick", Spec: spec, After: now, Payload: template}
}

// stuck is a ledger and a broker that do not answer until they are let go.
type stuck struct{ free chan struct{} }

func (s stuck) wait(ctx context.Context) error {
	select {
	case <-s.free:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s stuck) Publish(ctx context.Context, _ celery.Part) ([]celery.Failure, error) {
	return nil, s.wait(ctx)
}

func (stuck) Take(context.Context, int64) (celery.Mark, error)             { return celery.Mark{}, nil }
func (stuck) Claim(context.Context, schedule.Batch) error                  { return nil }
func (stuck) Record(context.Context, int64, []int64, []schedule.Run) error { return nil }
func (stuck) Journal(context.Context) ([]schedule.Claimed, error)          { return nil, nil }

// In each case dispatching stands still, or moves. Health must say so within ten
// seconds.
func TestAStallIsSeenWithinTenSeconds(t *testing.T) {
	for _, tt := range []struct {
		name string
		want string // the reason; empty for none
		// run starts what moves until ctx ends, and waits for nothing.
		run func(ctx context.Context, t *testing.T, s *shard, planner *plan.Planner)
	}{
		{"all moves", "", func(ctx context.Context, t *testing.T, s *shard, planner *plan.Planner) {
			go planner.Run(ctx)
			dispatcher(s, planner, func() stuck { s := stuck{make(chan struct{})}; close(s.free); return s }()).start(ctx)
			if err := planner.Apply(ctx, []schedule.Change{{ID: "1", Entry: minutely(t, "1")}}); err != nil {
				t.Error(err)
			}
		}},
		{"nothing is due", "", func(ctx context.Context, t *testing.T, s *shard, planner *plan.Planner) {
			go planner.Run(ctx)
			dispatcher(s, planner, stuck{make(chan struct{})}).start(ctx)
		}},
		{"the planner's loop has ended", "the planner has not moved for", func(context.Context, *testing.T, *shard, *plan.Planner) {}},
		{"nobody pulls", "due and not claimed", func(ctx context.Context, t *testing.T, _ *shard, planner *plan.Planner) {
			go planner.Run(ctx)
			if err := planner.Apply(ctx, []schedule.Change{{ID: "1", Entry: minutely(t, "1")}}); err != nil {
				t.Error(err)
			}
		}},
		{"the broker does not answer", "claimed slots have been waiting for", func(ctx context.Context, t *testing.T, s *shard, planner *plan.Planner) {
			go planner.Run(ctx)
			dispatcher(s, planner, stuck{make(chan struct{})}).start(ctx)
			if err := planner.Apply(ctx, []schedule.Change{{ID: "1", Entry: minutely(t, "1")}}); err != nil {
				t.Error(err)
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log := slog.New(slog.DiscardHandler)
				s := bareShard(log)
				planner := plan.New(plan.Options{Now: s.node.clock.Now})
				s.leads(1, planner)
				s.ready()
				ctx, cancel := context.WithCancel(t.Context())
				tt.run(ctx, t, s, planner)

				time.Sleep(70 * time.Second) // the first slot came after a minute
				asking, done := context.WithTimeout(ctx, 3*time.Second)
				err := s.moves(asking, s.now())
				done()
				if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
					t.Errorf("10 s after the first slot: %v, want %q", err, tt.want)
				}
				cancel()
				synctest.Wait()
			})
		})
	}
}

// Who alerts on silence is told of it: the age of the last send grows while none leaves, and what has come and is not
// claimed is counted.
func TestMetricsTellOfSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := bareShard(slog.New(slog.DiscardHandler))
		planner := plan.New(plan.Options{Now: s.node.clock.Now})
		s.leads(1, planner)
		s.ready()
		all := newMetrics(s.node)
		expect := func(when string, age, due float64) {
			t.Helper()
			if got := gauges(t, all); math.Round(got["onebeat_last_dispatch_age_seconds"]) != age || got["onebeat_due_backlog"] != due {
				t.Errorf("%s the last send is %v s ago and %v slots wait; want %v s and %v", when, got["onebeat_last_dispatch_age_seconds"], got["onebeat_due_backlog"], age, due)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		go planner.Run(ctx)
		free := stuck{make(chan struct{})}
		close(free.free)
		working, stop := context.WithCancel(ctx)
		dispatcher(s, planner, free).start(working)
		if err := planner.Apply(ctx, []schedule.Change{{ID: "1", Entry: minutely(t, "1")}, {ID: "2", Entry: minutely(t, "2")}}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(40 * time.Second)
		expect("before the first slot", 40, 0)
		time.Sleep(50 * time.Second)
		expect("half a minute after it", 30, 0)
		stop()
		time.Sleep(50 * time.Second)
		expect("with nobody who sends", 80, 2)
		cancel()
		synctest.Wait()
	})
}

// gauges are the values of what a collector tells that has no labels.
func gauges(t *testing.T, from prometheus.Collector) map[string]float64 {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(from)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, family := range families {
		m := family.GetMetric()[0]
		values[family.GetName()] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
	}
	return values
}

// bareShard is the one shard of a node that has a clock and metrics and nothing else.
func bareShard(log *slog.Logger) *shard {
	n := &node{log: log, clock: newClock(log), dispatching: dispatch.NewMetrics()}
	s := &shard{node: n, log: log, dispatching: n.dispatching.Beside()}
	n.shards = []*shard{s}
	return s
}

// A broker of one shard that answers or not.
type answering struct {
	broker.Broker
	err error
}

func (a answering) Ping(context.Context) error { return a.err }

// Each shard has a connection of its own: a node is not well if one that it leads has none.
func TestHealthAsksTheBrokerForEachShardThatIsLed(t *testing.T) {
	away := errors.New("no way to the broker")
	s := storedShard(t, "4s")
	n := s.node
	s.broker = answering{}
	other := &shard{node: n, number: 1, log: n.log, store: n.store.Shard(1), broker: answering{err: away}, dispatching: n.dispatching.Beside()}
	n.shards = append(n.shards, other)
	broken := func() (detail string) {
		for _, check := range n.Health(t.Context()).Checks {
			if check.Name == "broker" && !check.OK {
				detail = check.Detail
			}
		}
		return detail
	}
	if detail := broken(); detail != "" {
		t.Errorf("the broker's check of a node that leads nothing is %q, want it well: the first shard's connection is", detail)
	}
	s.leads(1, nil)
	if detail := broken(); detail != "" {
		t.Errorf("the broker's check is %q, want it well: the shard without a connection is another node's", detail)
	}
	other.leads(1, nil)
	if detail := broken(); detail != "shard 1: no way to the broker" {
		t.Errorf("the broker's check is %q, want it to name the shard that is led and cannot be sent", detail)
	}
	s.broker = answering{err: away}
	if detail := broken(); detail != "shard 0: no way to the broker; shard 1: no way to the broker" {
		t.Errorf("the broker's check is %q, want it to name both shards in one line", detail)
	}
}

// A listening broker answers who still waits; after that nobody does.
type listening struct {
	broker.Broker
	heard context.CancelFunc
}

func (l listening) Ping(ctx context.Context) error {
	defer l.heard()
	return ctx.Err()
}

// While a database hangs, the broker is not said to.
func TestHealthOfADatabaseThatHangsBlamesNoOther(t *testing.T) {
	g := grounds["PostgreSQL"](t)
	hanging := openedStore(t, g.url)
	if err := hanging.EnsureOwn(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := storedShard(t, "4s")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	s.store, s.broker = hanging.Shard(0), listening{heard: cancel}
	tx, err := g.db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	if _, err := tx.ExecContext(t.Context(), "LOCK TABLE onebeat_leases IN ACCESS EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	for _, check := range s.node.Health(ctx).Checks {
		if failed := check.Name == "database"; check.OK == failed {
			t.Errorf("the check of the %s is %+v while the database hangs", check.Name, check)
		}
		if check.Name == "database" && !strings.HasPrefix(check.Detail, "no answer in time") {
			t.Errorf("of the database that hangs is said %q", check.Detail)
		}
	}
}

// A dispatching is a dispatcher that can be started.
type dispatching struct{ *dispatch.Dispatcher }

func dispatcher(s *shard, planner *plan.Planner, by stuck) dispatching {
	return dispatching{dispatch.New(planner, by, by, dispatch.Options{Now: s.node.clock.Now, Logger: s.log, Metrics: s.dispatching})}
}

func (d dispatching) start(ctx context.Context) { go d.Run(ctx, ctx, 1, 0) }

// A term whose entries are not read is no healthy one for ever.
func TestEntriesThatDoNotLoadAreSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := bareShard(slog.New(slog.DiscardHandler))
		s.leads(1, plan.New(plan.Options{}))
		time.Sleep(5 * time.Second)
		if err := s.moves(t.Context(), s.now()); err != nil {
			t.Errorf("after 5 s: %v; many entries may take as long", err)
		}
		time.Sleep(5 * time.Second)
		if err := s.moves(t.Context(), s.now()); err == nil || !strings.Contains(err.Error(), "entries are not loaded after 10s") {
			t.Errorf("after 10 s: %v", err)
		}
	})
}
