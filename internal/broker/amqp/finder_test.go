package amqp_test

import (
	"context"
	"testing"

	"github.com/onebeat/onebeat/internal/broker"
	"github.com/onebeat/onebeat/internal/celery"
)

func TestLacksTellsWhatIsMissingAndMakesNothing(t *testing.T) {
	channel := connect(t, serverURL(t))
	here, nowhere, own := queue(t, channel, nil), unique("refuse"), unique("refuse")
	if _, err := channel.QueueDeclare(own, false, true, true, false, nil); err != nil { // another connection may not use it
		t.Fatal(err)
	}
	finder := broker.FinderOf(open(t, broker.Options{Declare: true}))
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	for _, tt := range []struct {
		route celery.Route
		want  bool
	}{
		{celery.Route{RoutingKey: here}, false},
		{celery.Route{RoutingKey: nowhere}, true},
		{celery.Route{RoutingKey: nowhere, Declare: &celery.Queue{Name: nowhere}}, true}, // still
		{celery.Route{RoutingKey: own}, false},
		{celery.Route{RoutingKey: string(make([]byte, 256))}, false}, // no name of AMQP
		{celery.Route{Exchange: "amq.topic", ExchangeType: "topic", RoutingKey: nowhere}, false},
		{celery.Route{Exchange: nowhere, ExchangeType: "topic", RoutingKey: here}, true},
		{celery.Route{RoutingKey: here}, false}, // the refusals closed no connection
	} {
		if got, err := finder.Lacks(ctx, tt.route); err != nil || got != tt.want {
			t.Errorf("Lacks(%+v) = %v, %v, want %v", tt.route, got, err, tt.want)
		}
	}
	cancel()
	if got, err := finder.Lacks(ctx, celery.Route{RoutingKey: nowhere}); got || err == nil {
		t.Errorf("Lacks in no time = %v, %v, want an error", got, err)
	}
}
