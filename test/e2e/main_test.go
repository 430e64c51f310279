// Package e2e runs the command that users run, against real servers and real
// Celery workers, and counts what came of every slot.
//
// A site is a database, queues of a broker, and the settings of one user. Nodes
// are processes of onebeat on it, to be stopped, killed and frozen. What should
// have happened is worked out here, from whole seconds and minutes alone, and
// compared with what workers ran or what lies in the queues, and with the ledger.
package e2e

import (
	"os"
	"testing"
	"time"

	"github.com/onebeat/onebeat/test/harness"
)

// binary is the command under test, built once.
var binary string

// long makes the tests that watch the clock watch it for longer.
var long = os.Getenv("ONEBEAT_LONG") != ""

// together is how many tests run at a time. They wait for slots for the most
// part, so that it is more than there are processors.
const together = 6

func TestMain(m *testing.M) {
	harness.Together(together)
	os.Exit(harness.Main(m, &binary))
}

// until waits for an instant, to the millisecond: for slots to come while a test only
// watches, or for what has to happen right before one.
func until(t *testing.T, at time.Time) {
	t.Helper()
	<-time.After(time.Until(at))
}
