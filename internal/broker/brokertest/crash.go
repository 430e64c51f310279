package brokertest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/onebeat/onebeat/internal/celery"
	"github.com/onebeat/onebeat/internal/failpoint"
)

// The variables that make a test process the node that crashes.
const (
	installationEnv = "ONEBEAT_BROKERTEST_INSTALLATION"
	queueEnv        = "ONEBEAT_BROKERTEST_QUEUE"
)

// crashBatches is how many batches of 200 messages the node sends that crashes.
const crashBatches = 2

// crash is the life of a node that has a failpoint armed. What fails is tried again.
func crash(t *testing.T, server Server) {
	s := &site{t: t, server: server, installation: os.Getenv(installationEnv), queue: os.Getenv(queueEnv), config: settings(t)}
	b := s.open(s.server.URL)
	again := func(what string, do func(context.Context) error) {
		ctx, cancel := context.WithTimeout(t.Context(), wait)
		defer cancel()
		for {
			err := do(ctx)
			if err == nil {
				return
			}
			if ctx.Err() != nil {
				t.Fatalf("%s: %v", what, err)
			}
		}
	}
	again("Take(1)", func(ctx context.Context) error {
		_, err := b.Take(ctx, 1)
		return err
	})
	for seq := int64(1); seq <= crashBatches; seq++ {
		part := s.part(1, seq, 0, 200)
		part.Events = true
		again(fmt.Sprintf("Publish(seq %d)", seq), func(ctx context.Context) error {
			failures, err := b.Publish(ctx, part)
			if err == nil && len(failures) > 0 {
				t.Fatalf("Publish(seq %d) = %v", seq, failures)
			}
			return err
		})
	}
	_ = b.Close() // events that wait are sent first
	os.Exit(0)    // a node has no test's end: connections to the other process's server may be open
}

// expectWithin checks that nothing has arrived beyond what the mark tells, and
// keeps what it took from the queue for what is received later.
func (s *site) expectWithin(mark celery.Mark) {
	s.t.Helper()
	messages := s.received()
	for _, id := range messages {
		var seq int64
		var index int
		if _, err := fmt.Sscanf(id, "%d-%d-", &seq, &index); err != nil {
			s.t.Fatalf("id %s: %v", id, err)
		}
		from := 0
		if mark.Seq == seq {
			from = mark.Done
		}
		if !mark.Covers(seq, index+1) && index-from >= mark.Beyond {
			s.t.Errorf("message %d of batch %d has arrived, and the mark is at %d/%d and %d beyond", index, seq, mark.Seq, mark.Done, mark.Beyond)
		}
	}
	s.seen = append(s.seen, messages...)
}

// testCrash kills a node at each of the server's points, or lets the step fail once, and
// has another go on.
func testCrash(t *testing.T, s *site, suite string) {
	for _, point := range s.server.Points {
		t.Run(point, func(t *testing.T) { testCrashAt(t, s.server, suite, point, "kill") })
		t.Run(point+" fails", func(t *testing.T) { testCrashAt(t, s.server, suite, point, "error") })
	}
}

func testCrashAt(t *testing.T, server Server, suite, point, mode string) {
	s := newSite(t, server)
	node := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+strings.ReplaceAll(suite, "/", "$/^")+"$")
	node.Env = append(os.Environ(), failpoint.Env+"="+point+"="+mode, installationEnv+"="+s.installation, queueEnv+"="+s.queue)
	output, err := node.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case mode == "kill" && (!errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL):
		t.Fatalf("the node was not killed at %s: %v\n%s", point, err, output)
	case mode == "error" && (err != nil || !strings.Contains(string(output), `"msg":"failpoint"`)):
		t.Fatalf("the node did not go on from a failure at %s: %v\n%s", point, err, output)
	}
	b := s.open(s.server.URL)
	mark, err := b.Take(t.Context(), 2)
	if err != nil {
		t.Fatalf("Take(2): %v", err)
	}
	s.expectWithin(mark)
	var want []string
	for seq := int64(1); seq <= crashBatches; seq++ {
		part := s.part(2, seq, 0, 200)
		s.publish(b, part)
		for _, m := range part.Messages {
			want = append(want, m.ID)
		}
	}
	s.expectAtMost(max(s.server.Repeats, s.server.CrashRepeats), want)
}
