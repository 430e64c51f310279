package measure

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// bind makes the child end with this process, however that ends. A Ctrl-C in a
// terminal does not reach it: it is stopped in its turn.
func bind(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// CPU returns the processor time that the process has used since it began, in
// nanoseconds rather than in the hundredths of a second of /proc: the clock of
// another process has its id, complemented, above three bits of which 2 is the
// kind (clock_getcpuclockid(3), linux/posix-timers_types.h).
func (p *Process) CPU() time.Duration {
	var spent unix.Timespec
	if err := unix.ClockGettime(int32(^p.PID())<<3|2, &spent); err != nil {
		return 0 // it has ended
	}
	return time.Duration(spent.Nano())
}

// Wakes returns how often a thread of the process has woken from a sleep of its own since it
// began, of the threads that there are. It is what small messages cost, and hardly hangs on what else
// the machine does.
func (p *Process) Wakes() (all int) {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", p.PID()))
	for _, task := range tasks {
		status, _ := os.ReadFile(task) // it may have ended
		_, rest, _ := bytes.Cut(status, []byte("\nvoluntary_ctxt_switches:"))
		number, _, _ := bytes.Cut(rest, []byte("\n"))
		n, _ := strconv.Atoi(string(bytes.TrimSpace(number)))
		all += n
	}
	return all
}
