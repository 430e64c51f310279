package redis_test

import (
	"fmt"
	"testing"

	"github.com/alicebob/miniredis/v2"

	"github.com/onebeat/onebeat/internal/broker"
	"github.com/onebeat/onebeat/internal/broker/brokertest"
	"github.com/onebeat/onebeat/internal/celery"
)

// noted is a note of the failures, as a dispatcher makes one.
func noted(failures []celery.Failure) string { return fmt.Sprint(failures) }

// Redis has done its work and its answer is lost: what no queue takes has failed all the same.
func TestWhatNoQueueTakesFailsThoughTheAnswerIsLost(t *testing.T) {
	server := miniredis.RunT(t)
	client := connect(t, "redis://"+server.Addr())
	proxy := brokertest.NewProxy(t, server.Addr())
	b := open(t, "redis://"+proxy.Address(), broker.Options{})
	if _, err := publish(t, b, batch(t, nil, `{"queue": "good"}`)); err != nil { // Redis knows the script from then on
		t.Fatal(err)
	}
	part := batch(t, nil, `{"queue": "good"}`, `{"exchange": "ex", "routing_key": "k"}`, `{"queue": "good"}`)
	part.Mark.Seq, part.Noted = 2, noted
	heard := proxy.MuteAfter(1) // of the bindings
	go func() {
		<-heard
		proxy.Up()
		proxy.Cut()
	}()
	for _, attempt := range []string{"whose answer was lost", "once more"} {
		failures, err := publish(t, b, part)
		if err != nil || len(failures) != 1 || failures[0].Index != 1 {
			t.Errorf("Publish %s = %+v, %v, want one failure, of 1", attempt, failures, err)
		}
		do(t, client, "SADD", "_kombu.binding.ex", "k\x06\x16\x06\x16bound") // too late
	}
	if got, late := len(pop(t, client, "good")), len(pop(t, client, "bound")); got != 3 || late != 0 {
		t.Errorf("%d messages arrived, and %d in the queue that was bound later; want 3 and none", got, late)
	}
}

// A worker may bind its queue from one attempt to the next: what counts is the one that Redis carried out.
func TestTheAttemptThatRedisCarriedOutCounts(t *testing.T) {
	for _, arrives := range []bool{true, false} {
		t.Run(fmt.Sprint("the first arrives: ", arrives), func(t *testing.T) {
			server := miniredis.RunT(t)
			client := connect(t, "redis://"+server.Addr())
			proxy := brokertest.NewProxy(t, server.Addr())
			b := open(t, "redis://"+proxy.Address(), broker.Options{})
			if _, err := publish(t, b, batch(t, nil, `{"queue": "good"}`)); err != nil {
				t.Fatal(err)
			}
			part := batch(t, nil, `{"queue": "good"}`, `{"exchange": "ex", "routing_key": "k"}`)
			part.Mark.Seq, part.Noted = 2, noted
			lost := func() {
				t.Helper()
				if err := b.Ping(t.Context()); err != nil { // it is connected again
					t.Fatal(err)
				}
				heard := proxy.MuteAfter(1) // of the bindings
				go func() {
					<-heard
					proxy.Down()
				}()
				if failures, err := publish(t, b, part); err == nil {
					t.Fatalf("Publish = %+v, nil, want an error: the answer was lost", failures)
				}
				proxy.Up()
			}
			if arrives {
				lost()
			} else {
				proxy.Down()
				if failures, err := publish(t, b, part); err == nil {
					t.Fatalf("Publish = %+v, nil, want an error: nobody was reached", failures)
				}
				proxy.Up()
			}
			do(t, client, "SADD", "_kombu.binding.ex", "k\x06\x16\x06\x16bound")
			lost()
			failures, err := publish(t, b, part)
			if failed := len(failures) == 1; err != nil || failed != arrives {
				t.Errorf("Publish = %+v, %v, want a failure: %v", failures, err, arrives)
			}
			if sent := len(pop(t, client, "bound")) == 1; sent == arrives {
				t.Errorf("the message without a queue at first is there: %v, want %v", sent, !arrives)
			}
		})
	}
}
