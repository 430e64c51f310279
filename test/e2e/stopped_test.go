package e2e

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/onebeat/onebeat/internal/failpoint"
	"github.com/onebeat/onebeat/test/harness"
)

// A leader that is stopped in the middle of a write to a SQLite file, which keeps the file locked, is ended by the node
// that waits, which goes on sooner than the lease ends.
func TestALeaderThatIsStoppedInTheMiddleOfAWriteIsEnded(t *testing.T) {
	t.Parallel()
	for journal, point := range map[string]string{"wal": "claim.commit.before", "delete": "record.commit.before"} {
		t.Run(point+", "+journal, func(t *testing.T) {
			t.Parallel()
			d := newDatabase(t, sqlite)
			d.exec(t, "PRAGMA journal_mode = "+journal)
			d.exec(t, "CREATE TABLE anothers AS SELECT 0 AS n") // so that the mode is left as it is
			s := newBareSite(t, d, newBroker(t, redis))
			s.command(t, "migrate")
			leader := s.launch(t, []string{failpoint.Env + "=" + point + "=10m@4"})
			leader.await(t, "entries loaded")
			second := s.launch(t, nil)
			second.await(t, "standing by with the catalog loaded")
			grids := s.herd(t, 20) // now, for the leader is to come to its failpoint when the second is there
			seen := time.Now().Truncate(time.Second).Add(3 * time.Second)

			leader.await(t, "failpoint")
			stopped := time.Now()
			leader.process.Pause()
			leader.process.AwaitPaused(startWait)
			if d.writable(t) {
				t.Fatal("the file can be written: the leader is in no transaction")
			}
			select {
			case <-leader.process.Done():
			case <-time.After(startWait):
				t.Fatalf("the leader has not ended:\n%s", second.process.Tail(20))
			}
			if status := leader.process.State().Sys().(syscall.WaitStatus); !status.Signaled() || status.Signal() != syscall.SIGKILL {
				t.Errorf("the leader ended with %v, want by SIGKILL", leader.process.State())
			}
			second.await(t, "lease taken")
			last := time.Now().Truncate(time.Second).Add(3 * time.Second)
			s.awaitSent(t, "herd 0", last, 20*time.Second)
			second.stop(t)

			arrivals := s.broker.arrivals(t)
			of := slices.DeleteFunc(slices.Clone(arrivals), func(a arrival) bool { return !a.slot.After(seen) })
			wrong, _ := faults(grids, window{seen, last}, of)
			report(t, slices.Concat(wrong, once(arrivals), s.unrecorded(t, arrivals)))
			late := worst(d.ledger(t), stopped.Add(-2*time.Second), last)
			t.Logf("late at worst after the stop: %v", late)
			if late > 10*time.Second {
				t.Errorf("slots were late by %v, want under 5s on an idle machine and 10s on a busy one", late)
			}
			told := slices.DeleteFunc(second.lines(t), func(l line) bool { return l["pid"] == nil })
			if len(told) != 1 || told[0]["level"] != "WARN" || fmt.Sprint(told[0]["pid"]) != fmt.Sprint(leader.process.PID()) ||
				!strings.Contains(fmt.Sprint(told[0]["msg"]), "it is ended") {
				t.Errorf("the second node told of processes: %v, want one warning that process %d is ended", told, leader.process.PID())
			}
		})
	}
}

// A node that starts when the only one there is was stopped in the middle of a write does not wait for that one.
func TestANodeStartsWhereOneWasStoppedInTheMiddleOfAWrite(t *testing.T) {
	t.Parallel()
	s := newSite(t, sqlite, redis)
	s.herd(t, 1)
	first := s.launch(t, []string{failpoint.Env + "=claim.commit.before=10m@2"})
	first.await(t, "failpoint")
	first.process.Pause()
	second := s.launch(t, nil)
	second.await(t, "lease taken")
	s.awaitSent(t, "herd 0", time.Now().Truncate(time.Second).Add(2*time.Second), 20*time.Second)
	second.stop(t)
	harness.Eventually(t, startWait, func() error {
		select {
		case <-first.process.Done():
			return nil
		default:
			return fmt.Errorf("%s runs", first.name)
		}
	})
}
