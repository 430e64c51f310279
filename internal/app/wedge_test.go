package app

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onebeat/onebeat/internal/celery"
	"github.com/onebeat/onebeat/internal/dispatch"
	"github.com/onebeat/onebeat/internal/plan"
	"github.com/onebeat/onebeat/internal/schedule"
)

// deaf is a ledger and a broker of which one call does not return before it is let go,
// whatever becomes of its context; or, with " for now", returns when its context ends.
type deaf struct {
	stuck
	what string
}

func (d deaf) hang(ctx context.Context, what string) error {
	switch d.what {
	case what:
		<-d.free
	case what + " for now":
		return d.wait(ctx)
	}
	return nil
}

func (d deaf) Publish(ctx context.Context, _ celery.Part) ([]celery.Failure, error) {
	return nil, d.hang(ctx, "publishing")
}
func (d deaf) Claim(ctx context.Context, _ schedule.Batch) error { return d.hang(ctx, "claiming") }
func (d deaf) Record(ctx context.Context, _ int64, _ []int64, _ []schedule.Run) error {
	return d.hang(ctx, "recording")
}

// A node that is wedged says what stands still and ends, within ten seconds or so of
// the first slot; one that waits for its servers, or has nothing to do, never does.
func TestAWedgedNodeEndsItself(t *testing.T) {
	type start func(ctx context.Context, free chan struct{}, s *shard, planner *plan.Planner)
	run := func(what string) start {
		return func(ctx context.Context, free chan struct{}, s *shard, planner *plan.Planner) {
			go planner.Run(ctx)
			d := deaf{stuck{free}, what}
			go dispatch.New(planner, d, d, dispatch.Options{Now: s.node.clock.Now, Logger: s.log, Metrics: s.dispatching}).Run(ctx, ctx, 1, 0)
		}
	}
	for _, tt := range []struct {
		name, want string
		start      start
		gone       bool // nobody asks for the lease
	}{
		{"all moves", "", run(""), false},
		{"the broker does not answer", "", run("publishing for now"), false},
		{"the database does not answer", "", run("claiming for now"), false},
		{"the broker does not return", "publishing does not return", run("publishing"), false},
		{"the ledger does not return from a claim", "claiming does not return", run("claiming"), false},
		{"the ledger does not return from a record", "recording does not return", run("recording"), false},
		{"the planner's loop has ended", "the planner's loop stands still", func(context.Context, chan struct{}, *shard, *plan.Planner) {}, false},
		{"nobody pulls", "slots are due and nobody claims them", func(ctx context.Context, _ chan struct{}, _ *shard, planner *plan.Planner) { go planner.Run(ctx) }, false},
		{"the lease is left alone", "the lease is neither asked for nor renewed", run(""), true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("TMPDIR", t.TempDir())
			synctest.Test(t, func(t *testing.T) {
				log := new(lockedLog)
				logger := slog.New(slog.NewTextHandler(log, nil))
				s := bareShard(logger)
				n := s.node
				n.name = "a/b:1"
				n.config = mustLoad(t, nil, nil)
				ctx, cancel := context.WithCancel(t.Context())
				var ended time.Time
				var code int
				n.exit = func(c int) {
					if ended.IsZero() {
						ended, code = time.Now(), c
					}
					cancel()
				}
				planner := plan.New(plan.Options{Now: n.clock.Now})
				s.leads(1, planner)
				s.ready()
				free := make(chan struct{})
				tt.start(ctx, free, s, planner)
				if tt.want != "the planner's loop stands still" {
					if err := planner.Apply(ctx, []schedule.Change{{ID: "1", Entry: minutely(t, "1")}}); err != nil {
						t.Fatal(err)
					}
				}
				began := time.Now()
				if !tt.gone {
					go func() {
						for range time.Tick(500 * time.Millisecond) {
							s.asked.Add(1)
							if ctx.Err() != nil {
								return
							}
						}
					}()
				}
				go n.watchOver(ctx)
				time.Sleep(75 * time.Second) // the first slot came after a minute
				cancel()
				close(free)
				time.Sleep(time.Second)
				if tt.want == "" {
					if !ended.IsZero() {
						t.Errorf("the node ended itself after %v:\n%s", ended.Sub(began), log)
					}
					return
				}
				if ended.IsZero() || code == 0 || !strings.Contains(log.String(), tt.want) {
					t.Fatalf("the node went on, or ended with %d: want it to end with another code, and to say %q:\n%s", code, tt.want, log)
				}
				_, dump, _ := strings.Cut(log.String(), "goroutines=")
				name, _, _ := strings.Cut(dump, "\n")
				text, err := os.ReadFile(name)
				if err != nil || !bytes.Contains(text, []byte("watchOver")) {
					t.Errorf("the goroutines are in %q (%v), want a file with their stacks", name, err)
				}
			})
		})
	}
}

// A process that was frozen finds all its marks as they were, and has looked but once.
func TestAWatchdogCountsLooks(t *testing.T) {
	var dog watchdog
	for range 8 {
		if stuck := dog.look(map[string]mark{"a": {at: 7, most: 8}, "b": {at: time.Now().UnixNano(), most: 8}}); stuck != "" {
			t.Fatalf("%s is stuck before its time", stuck)
		}
	}
	dog.look(map[string]mark{"b": {at: 1, most: 8}}) // a ended
	for range 8 {
		if stuck := dog.look(map[string]mark{"a": {at: 7, most: 8}}); stuck != "" {
			t.Fatalf("%s is stuck, though it began anew", stuck)
		}
	}
	if stuck := dog.look(map[string]mark{"a": {at: 7, most: 8}}); stuck != "a" {
		t.Errorf("look = %q, want a", stuck)
	}
}
