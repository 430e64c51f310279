package brokertest

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/onebeat/onebeat/internal/failpoint"
)

// The variables that make a test process the node that crashes.
const (
	installationEnv = "ONEBEAT_BROKERTEST_INSTALLATION"
	queueEnv        = "ONEBEAT_BROKERTEST_QUEUE"
)

// crashBatches is how many batches of 200 messages the node sends that crashes.
const crashBatches = 2

// crash is the life of a node that has a failpoint armed.
func crash(t *testing.T, server Server) {
	s := &site{t: t, server: server, installation: os.Getenv(installationEnv), queue: os.Getenv(queueEnv), config: settings(t)}
	b := s.taken()
	for seq := int64(1); seq <= crashBatches; seq++ {
		part := s.part(1, seq, 0, 200)
		part.Events = true
		s.publish(b, part)
	}
}

// testCrash kills a node at each of the server's points, and has another go on.
func testCrash(t *testing.T, s *site, suite string) {
	for _, point := range s.server.Points {
		t.Run(point, func(t *testing.T) {
			s := newSite(t, s.server)
			node := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+strings.ReplaceAll(suite, "/", "$/^")+"$")
			node.Env = append(os.Environ(), failpoint.Env+"="+point+"=kill", installationEnv+"="+s.installation, queueEnv+"="+s.queue)
			output, err := node.CombinedOutput()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
				t.Fatalf("the node was not killed at %s: %v\n%s", point, err, output)
			}
			b := s.open(s.server.URL)
			s.take(b, 2)
			var want []string
			for seq := int64(1); seq <= crashBatches; seq++ {
				part := s.part(2, seq, 0, 200)
				s.publish(b, part)
				for _, m := range part.Messages {
					want = append(want, m.ID)
				}
			}
			s.expectAtMost(max(s.server.Repeats, s.server.CrashRepeats), want)
		})
	}
}
