// Package failpoint lets a test end or disturb the process at a named step.
//
// ONEBEAT_FAILPOINT="name=action" arms one point; "name=action@n" acts on the
// n-th passing. Actions: kill (SIGKILL to this very process), error, and a
// duration such as 300ms to wait; that it did one of the last two is said on standard
// error. Unarmed, a point costs one comparison.
//
// ONEBEAT_CLOCK_STEP=FILE steps this process's wall clock, as a person or a time
// service would step the machine's: see Step.
package failpoint

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// Env is the variable that arms a point, read once when the process starts.
const Env = "ONEBEAT_FAILPOINT"

var (
	armed, action string
	at            int64 = 1
	passed        atomic.Int64
)

func init() {
	name, rest, ok := strings.Cut(os.Getenv(Env), "=")
	if !ok {
		return
	}
	armed, action = name, rest
	if before, n, ok := strings.Cut(rest, "@"); ok {
		action = before
		if n, err := strconv.ParseInt(n, 10, 64); err == nil {
			at = n
		}
	}
}

// StepEnv names a file that holds a duration such as -90s; there need not be one yet.
const StepEnv = "ONEBEAT_CLOCK_STEP"

var stepFile = os.Getenv(StepEnv)

// Step is how far the wall clock is to be from what the machine says, for now: the
// file is read each time, so that a test can step the clock of a process at work.
func Step() time.Duration {
	if stepFile == "" {
		return 0
	}
	text, err := os.ReadFile(stepFile)
	if err != nil {
		return 0
	}
	step, _ := time.ParseDuration(strings.TrimSpace(string(text)))
	return step
}

// Here marks a step. It returns an error only when the point is armed with one.
func Here(name string) error {
	if armed == "" || armed != name || passed.Add(1) != at {
		return nil
	}
	switch action {
	case "kill":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // the signal may take a moment to arrive
	case "error":
		tell(name)
		return fmt.Errorf("failpoint %s", name)
	default:
		if wait, err := time.ParseDuration(action); err == nil {
			tell(name)
			time.Sleep(wait)
		}
		return nil
	}
}

// tell says on standard error that the point acted, as a line of a log of JSON.
func tell(name string) { fmt.Fprintf(os.Stderr, "{\"msg\":\"failpoint\",\"point\":%q}\n", name) }
