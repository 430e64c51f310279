package e2e

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/onebeat/onebeat/internal/failpoint"
	"github.com/onebeat/onebeat/test/harness"
)

// herd inserts entries each second, the first of them "herd 0", and declares the
// queue that they go to.
func (s *site) herd(t *testing.T, size int) map[string]grid { return s.herdWith(t, size, nil) }

// herdWith is herd with more columns.
func (s *site) herdWith(t *testing.T, size int, more item) map[string]grid {
	t.Helper()
	s.broker.declare(t, "default")
	grids := map[string]grid{}
	var items []item
	for i := range size {
		name := fmt.Sprintf("herd %d", i)
		grids[name] = every(time.Second)
		it := item{"name": name, "cron_expression": "@every 1s"}
		maps.Copy(it, more)
		items = append(items, it)
	}
	s.database.insert(t, items...)
	return grids
}

// The leader dies or ends, the second takes over: no slot is lost or doubled. By
// how much later slots are then is logged.
func TestASecondNodeTakesOver(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{postgres, mariadb, sqlite} {
		for _, queues := range []string{redis, rabbitmq} {
			t.Run(kind+", "+queues, func(t *testing.T) {
				t.Parallel()
				s := newSite(t, kind, queues)
				grids := s.herd(t, 20)
				leader := s.serve(t)
				second := s.launch(t, nil)
				second.await(t, "waiting for the lease")
				first := time.Now().Truncate(time.Second).Add(2 * time.Second)
				s.awaitSent(t, "herd 0", first, 10*time.Second)

				// In the middle of a second, and then just before a slot: what was
				// claimed of it is lost with the leader.
				killed := first.Add(2*time.Second - 50*time.Millisecond)
				until(t, killed)
				leader.kill()
				died := death{time.Now(), 1}
				second.await(t, "lease taken")
				s.awaitSent(t, "herd 0", killed.Add(2*time.Second).Truncate(time.Second), 20*time.Second)

				third := s.launch(t, nil)
				third.await(t, "waiting for the lease")
				stopped := time.Now().Truncate(time.Second).Add(2*time.Second - 50*time.Millisecond)
				until(t, stopped)
				second.stop(t)
				third.await(t, "lease taken")
				last := stopped.Truncate(time.Second).Add(3 * time.Second)
				s.awaitSent(t, "herd 0", last, 20*time.Second)
				third.stop(t)

				s.check(t, grids, window{s.database.firstStart(t), last}, s.broker.arrivals(t), died)
				runs := s.database.ledger(t)
				t.Logf("late at worst: %v before, %v after SIGKILL, %v after SIGTERM",
					worst(runs, time.Time{}, killed), worst(runs, killed, stopped), worst(runs, stopped, last))
				if late := worst(runs, killed, last); late > 3*time.Second {
					t.Errorf("taking over made slots %v late, want under 1s on an idle machine and 3s on a busy one", late)
				}
			})
		}
	}
}

// worst is the greatest lateness of the slots after one instant up to another.
func worst(runs []recorded, after, until time.Time) (worst time.Duration) {
	for _, r := range runs {
		if r.state == "sent" && !r.sentAt.IsZero() && r.slot.After(after) && !r.slot.After(until) {
			worst = max(worst, r.sentAt.Sub(r.slot.Time))
		}
	}
	return worst.Round(time.Millisecond)
}

// A leader that was frozen past its lease wakes up in the middle of publishing,
// while another leads: it sends nothing.
func TestALeaderThatWakesUpSendsNothing(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{postgres, mariadb, sqlite} {
		for _, queues := range []string{redis, rabbitmq} {
			t.Run(kind+", "+queues, func(t *testing.T) {
				t.Parallel()
				flags := []string{"--lease", "2s"}
				s := newSite(t, kind, queues)
				grids := s.herd(t, 20)
				// The fourth publishing takes a while, so that the freeze falls into it.
				slow := failpoint.Env + "=redis.publish.before=400ms@4"
				if queues == rabbitmq {
					slow = failpoint.Env + "=amqp.publish.before=400ms@4"
				}
				leader := s.launch(t, []string{slow}, flags...)
				leader.await(t, "entries loaded")
				second := s.launch(t, nil, flags...)
				second.await(t, "waiting for the lease")
				s.awaitRuns(t, "herd 0", 1)

				frozen := s.database.ledger(t)[0].slot.Add(3*time.Second + 200*time.Millisecond)
				until(t, frozen)
				leader.freeze(t, s.database)
				second.await(t, "lease taken")
				second.await(t, "entries loaded")
				woken := time.Now().Truncate(time.Second).Add(2 * time.Second)
				s.awaitSent(t, "herd 0", woken, 20*time.Second)
				leader.process.Resume()
				lost := func() error {
					for _, l := range leader.lines(t) {
						if msg, _ := l["msg"].(string); strings.HasPrefix(msg, "lease") && msg != "lease taken" || msg == "waiting for the lease" {
							return nil
						}
					}
					return fmt.Errorf("the leader that woke up has not seen that its lease is gone")
				}
				harness.Eventually(t, 10*time.Second, lost)
				last := time.Now().Truncate(time.Second).Add(2 * time.Second)
				s.awaitSent(t, "herd 0", last, 20*time.Second)
				leader.stop(t)
				second.stop(t)

				arrivals := s.broker.arrivals(t)
				w := window{s.database.firstStart(t), last}
				wrong := append(once(arrivals), s.unrecorded(t, arrivals)...)
				report(t, append(wrong, s.accounted(t, grids, w)...))
				for _, r := range s.database.ledger(t) {
					if r.node == leader.name && r.sentAt.After(woken) {
						t.Errorf("%s: slot %v was sent by the old leader at %v, after it woke up at %v", r.entry, r.slot.Time, r.sentAt.Time, woken)
						break
					}
				}
				runs := s.database.ledger(t)
				t.Logf("late at worst after the freeze: %v; unsent: %d slots", worst(runs, frozen, last), unsent(runs))
			})
		}
	}
}

// unsent counts slots that ended without a message.
func unsent(runs []recorded) (n int) {
	for _, r := range runs {
		if r.state != "sent" {
			n += r.count
		}
	}
	return n
}
