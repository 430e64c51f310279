// Package process runs child processes that cannot outlive their parent.
//
// A child gets a log file, a process group of its own, so that a Ctrl-C in a
// terminal reaches only whom it should, and a signal from the kernel when the
// process that started it dies, however it dies.
//
//   - What is signalled is what was started, by its id, with its descendants
//     where that is said. Nothing is ever found by its name.
//   - It is for Linux: the kernel's signal at the death of a parent is.
package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A Command says what to run. Path and Log are required.
type Command struct {
	Path string
	Args []string
	Log  string // the file that takes stdout and stderr; it is appended to

	Dir  string
	Env  []string // added to this process's environment
	User *syscall.Credential

	Files []*os.File // the child has copies of these as its files from 3 on

	// Orphaned is sent to the process when its parent dies; SIGKILL if zero.
	Orphaned syscall.Signal
}

// A Process is a child that was started. Its methods may be called from any
// goroutine.
type Process struct {
	cmd  *exec.Cmd
	name string
	log  string
	done chan struct{}

	logged int64 // the log's length before the process wrote to it
}

// ErrEnded says that a process ended by itself before it was ready.
var ErrEnded = errors.New("ended before it was ready")

// Start starts the command. The caller ends it with Stop or Kill.
func Start(command Command) (*Process, error) {
	log, err := os.OpenFile(command.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	defer log.Close() // the child has its own copy

	before, err := log.Stat()
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}

	orphaned := command.Orphaned
	if orphaned == 0 {
		orphaned = syscall.SIGKILL
	}
	cmd := exec.Command(command.Path, command.Args...)
	cmd.Dir = command.Dir
	cmd.Env = append(os.Environ(), command.Env...)
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = log, log, command.Files
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: orphaned, Credential: command.User}
	if err := startForGood(cmd); err != nil {
		return nil, err
	}
	p := &Process{cmd: cmd, name: filepath.Base(command.Path), log: command.Log, logged: before.Size(), done: make(chan struct{})}
	go func() {
		defer close(p.done)
		_ = cmd.Wait() // how it ended is in cmd.ProcessState
	}()
	return p, nil
}

var (
	starts  = make(chan func())
	starter sync.Once
)

// startForGood starts cmd from a thread that lives as long as this process: the
// kernel takes the end of the thread that started a child for the end of its
// parent (prctl(2), PR_SET_PDEATHSIG).
func startForGood(cmd *exec.Cmd) error {
	starter.Do(func() {
		go func() {
			runtime.LockOSThread()
			for start := range starts {
				start()
			}
		}()
	})
	result := make(chan error)
	starts <- func() { result <- cmd.Start() }
	return <-result
}

// PID returns the process's id, which is its group's too.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// State says how the process ended, once Done is closed.
func (p *Process) State() *os.ProcessState { return p.cmd.ProcessState }

// Signal sends sig to the process alone.
func (p *Process) Signal(sig syscall.Signal) error { return p.cmd.Process.Signal(sig) }

// Stop asks the process to end with sig and returns when it has. One that takes
// longer than wait is killed, and that is an error.
func (p *Process) Stop(sig syscall.Signal, wait time.Duration) error {
	if err := p.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal %s: %w", p.name, err)
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(wait):
		p.Kill()
		return fmt.Errorf("%s did not end within %v of %v and was killed\n%s", p.name, wait, sig, p.Tail(20))
	}
}

// Kill ends the process and its descendants with SIGKILL and returns when none
// of them runs any more.
func (p *Process) Kill() {
	family := p.family()
	if len(family) == 0 {
		return
	}
	for _, pid := range family {
		_ = syscall.Kill(pid, syscall.SIGKILL) // gone already is as good
	}
	<-p.done
	for _, pid := range family[1:] {
		for running(pid) {
			time.Sleep(time.Millisecond)
		}
	}
}

// Pause freezes the process and its descendants, as a stalled machine would.
func (p *Process) Pause() { p.signalFamily(syscall.SIGSTOP) }

// AwaitPaused waits until all threads of a paused process have stopped, for at most so long: one that is in the kernel
// stops when it comes back from there.
func (p *Process) AwaitPaused(atMost time.Duration) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for over := time.Now().Add(atMost); time.Now().Before(over); <-tick.C {
		stats, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", p.PID()))
		stopped := true
		for _, name := range stats {
			_, state, _, ok := readStat(name)
			stopped = stopped && (!ok || state == "T")
		}
		if stopped {
			return
		}
	}
}

// Resume lets a paused process go on.
func (p *Process) Resume() { p.signalFamily(syscall.SIGCONT) }

func (p *Process) signalFamily(sig syscall.Signal) {
	for _, pid := range p.family() {
		_ = syscall.Kill(pid, sig)
	}
}

// Await calls ready until it returns nil. It gives up with the reason and the
// end of the log when ctx is over or the process ends, then with ErrEnded.
func (p *Process) Await(ctx context.Context, ready func(context.Context) error) error {
	for {
		began := time.Now()
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("%s %w: %v\n%s", p.name, ErrEnded, p.cmd.ProcessState, p.Tail(20))
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w\n%s", p.name, err, p.Tail(20))
		case <-time.After(Pause(began)):
		}
	}
}

// Pause is how long who waits for something rests after a look that began then: a look that
// takes its time is taken less often, so that processors are left to what is waited for.
func Pause(began time.Time) time.Duration {
	return min(max(20*time.Millisecond, 6*time.Since(began)), 250*time.Millisecond)
}

// AwaitLog waits until the log holds text, as Await waits.
func (p *Process) AwaitLog(ctx context.Context, text string) error {
	return p.Await(ctx, func(context.Context) error {
		log, err := os.ReadFile(p.log)
		if err != nil {
			return err
		}
		if !bytes.Contains(log[p.logged:], []byte(text)) {
			return fmt.Errorf("its log does not say %q", text)
		}
		return nil
	})
}

// Tail returns the last lines of the process's log, at most n.
func (p *Process) Tail(n int) string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-n):], []byte("\n")))
}

// family returns the process and all its descendants, the process first; none if
// the process has ended, for its id may be another's by now.
func (p *Process) family() []int {
	select {
	case <-p.done:
		return nil
	default:
	}
	children := map[int][]int{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, stat := range stats {
		if pid, _, parent, ok := readStat(stat); ok {
			children[parent] = append(children[parent], pid)
		}
	}
	family := []int{p.PID()}
	for i := 0; i < len(family); i++ {
		family = append(family, children[family[i]]...)
	}
	return family
}

// running reports whether pid still runs; a zombie does not.
func running(pid int) bool {
	_, state, _, ok := readStat(fmt.Sprintf("/proc/%d/stat", pid))
	return ok && state != "Z" && state != "X"
}

// readStat reads a process's id, state and parent. The name before them stands
// in parentheses and may itself hold any character (proc(5)).
func readStat(path string) (pid int, state string, parent int, ok bool) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, "", 0, false
	}
	head, rest, _ := strings.Cut(string(text), " ")
	fields := strings.Fields(rest[strings.LastIndexByte(rest, ')')+1:])
	if len(fields) < 2 {
		return 0, "", 0, false
	}
	pid, errPID := strconv.Atoi(head)
	parent, errParent := strconv.Atoi(fields[1])
	return pid, fields[0], parent, errPID == nil && errParent == nil
}
