package e2e

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/onebeat/onebeat/internal/failpoint"
)

// A node in which a call hangs, whatever its bound says, ends itself with one line that
// says what hangs, and the other goes on: no slot is lost or doubled.
func TestAWedgedNodeMakesWay(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ kind, queues, point, says string }{
		{postgres, redis, "claim.before", "claiming"},
		{postgres, rabbitmq, "amqp.publish.before", "publishing"},
		{sqlite, redis, "redis.publish.before", "publishing"},
		{sqlite, redis, "record.before", "recording"},
	} {
		t.Run(tt.kind+", "+tt.queues+", "+tt.says, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, tt.kind, tt.queues)
			grids := s.herd(t, 5)
			hung := s.launch(t, []string{failpoint.Env + "=" + tt.point + "=10m@5", "TMPDIR=" + t.TempDir()})
			hung.await(t, "entries loaded")
			second := s.launch(t, nil)
			second.await(t, "waiting for the lease")
			select {
			case <-hung.process.Done():
			case <-time.After(time.Minute):
				t.Fatalf("the node goes on:\n%s", hung.process.Tail(20))
			}
			if state := hung.process.State(); state.ExitCode() != 1 {
				t.Errorf("the node ended with %v, want the exit code 1", state)
			}
			said := hung.find(t, "this node is wedged and ends itself; another goes on")
			if len(said) != 1 || !strings.Contains(said[0]["stuck"].(string), tt.says) {
				t.Fatalf("the node said %v, want once that it ends for %s", said, tt.says)
			}
			if dump, err := os.ReadFile(said[0]["goroutines"].(string)); err != nil || !strings.Contains(string(dump), "failpoint.Here") {
				t.Errorf("the goroutines are not in the file that is named: %v", err)
			}
			second.await(t, "lease taken")
			last := time.Now().Truncate(time.Second).Add(3 * time.Second)
			s.awaitSent(t, "herd 0", last, 20*time.Second)
			second.stop(t)
			arrivals := s.broker.arrivals(t)
			wrong := append(once(arrivals), s.unrecorded(t, arrivals)...)
			report(t, append(wrong, s.accounted(t, grids, window{s.database.firstStart(t), last})...))
		})
	}
}
