//go:build !linux

package measure

import (
	"os/exec"
	"syscall"
	"time"
)

// bind keeps a Ctrl-C in a terminal from the child: it is stopped in its turn.
func bind(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// CPU is not known here.
func (p *Process) CPU() time.Duration { return 0 }

// Wakes is not known here.
func (p *Process) Wakes() int { return 0 }
