package measure

import (
	"os/exec"
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
