package redis_test

import (
	"strings"
	"testing"

	"github.com/onebeat/onebeat/internal/broker"
	servers "github.com/onebeat/onebeat/test/stack/server"
)

// Who checks is told that a Redis without a log loses messages when it starts anew, and that
// one which evicts any key loses queues.
func TestWhatRedisForgetsIsTold(t *testing.T) {
	for _, appends := range []bool{false, true} {
		redis, err := servers.Redis(t.Context(), servers.RedisOptions{AppendOnly: appends})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = redis.Close() })
		b, err := broker.Open(redis.URL()+"/0", broker.Options{Installation: "keep"})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = b.Close() })
		anew, working, err := broker.KeeperOf(b).Forgets(t.Context())
		if err != nil || strings.Contains(anew, "appendonly yes") == appends || working != "" {
			t.Errorf("append only %v: Forgets = %q, %q, %v", appends, anew, working, err)
		}
		client := connect(t, redis.URL())
		set := client.B().ConfigSet().ParameterValue().ParameterValue("maxmemory", "100mb").ParameterValue("maxmemory-policy", "allkeys-lru").Build()
		if err := client.Do(t.Context(), set).Error(); err != nil {
			t.Fatal(err)
		}
		if _, working, err = broker.KeeperOf(b).Forgets(t.Context()); err != nil || !strings.Contains(working, "allkeys-lru") {
			t.Errorf("Forgets of a Redis that evicts = %q, %v, want its policy", working, err)
		}
	}
}
