package failpoint

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// passings is set where this test binary is the child that passes a point.
const passings = "FAILPOINT_TEST_PASSES"

// TestMain passes the point "here", and then "there", where the environment asks
// for it: the variable is read once, so each case is a process of its own.
func TestMain(m *testing.M) {
	if os.Getenv(passings) == "" {
		os.Exit(m.Run())
	}
	for range 3 {
		for _, name := range []string{"there", "here"} {
			started := time.Now()
			word := "on"
			if err := Here(name); err != nil {
				word = err.Error()
			}
			if time.Since(started) >= 50*time.Millisecond {
				word = "late"
			}
			os.Stdout.WriteString(word + "\n")
		}
	}
	os.Exit(0)
}

func TestAnArmedPointActsOnceAtItsPassing(t *testing.T) {
	for _, tt := range []struct {
		name, armed string
		want        string // words of the six passings: there, here, there, here, there, here
		killed      bool
	}{
		{"unarmed", "", "on on on on on on", false},
		{"another", "elsewhere=kill", "on on on on on on", false},
		{"error", "here=error", "on failpoint here on on on on", false},
		{"error at the second", "here=error@2", "on on on failpoint here on on", false},
		{"a wait", "here=60ms@3", "on on on on on late", false},
		{"kill", "here=kill", "on", true},
		{"kill at the second", "here=kill@2", "on on on", true},
		{"kill at a passing that does not come", "here=kill@9", "on on on on on on", false},
		{"no action", "here", "on on on on on on", false},
		{"an unknown action", "here=dance", "on on on on on on", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			child := exec.CommandContext(t.Context(), os.Args[0])
			child.Env = append(os.Environ(), Env+"="+tt.armed, passings+"=1")
			out, err := child.Output()
			if got := strings.Join(strings.Fields(string(out)), " "); got != tt.want {
				t.Errorf("passing with %q printed %q, want %q", tt.armed, got, tt.want)
			}
			var exit *exec.ExitError
			killed := errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL
			if killed != tt.killed || !killed && err != nil {
				t.Errorf("passing with %q ended with %v, want killed = %v", tt.armed, err, tt.killed)
			}
		})
	}
}
