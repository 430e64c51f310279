package measure

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A Process is a scheduler under measurement. It does not outlive this process
// where the system can see to that.
type Process struct {
	Began time.Time

	cmd  *exec.Cmd
	log  string
	done chan struct{}
}

// Launch starts a command line with an environment, in a folder; what it prints goes to
// the log. The caller ends it with Stop or Kill.
func Launch(command, environ []string, dir, log string) (*Process, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer out.Close() // the child has its own
	p := &Process{cmd: exec.Command(command[0], command[1:]...), log: log, done: make(chan struct{}), Began: time.Now()}
	p.cmd.Env, p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = environ, dir, out, out
	bind(p.cmd)
	started := make(chan error)
	go func() {
		// The kernel takes the end of the thread that started a child for the end of its
		// parent (prctl(2), PR_SET_PDEATHSIG): this one waits for it.
		runtime.LockOSThread()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			_ = p.cmd.Wait() // how it ended is in its log
			close(p.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// PID is the process's id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Stop ends the process as its user would, and waits for it.
func (p *Process) Stop() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-p.done:
		return nil
	case <-time.After(30 * time.Second):
		p.Kill()
		return fmt.Errorf("%s did not end within 30 s and was killed", filepath.Base(p.cmd.Path))
	}
}

// Kill ends the process. It does nothing to one that has ended.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// Await calls ready each millisecond until it returns nil. It gives up with the reason when ctx is over or
// the process ends.
func (p *Process) Await(ctx context.Context, ready func() error) error {
	return p.await(ctx, time.Millisecond, ready)
}

func (p *Process) await(ctx context.Context, pause time.Duration, ready func() error) error {
	for {
		err := ready()
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return p.Explain(errors.New("it ended before it was ready"))
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return ctx.Err() // by who measures
			}
			return p.Explain(fmt.Errorf("%w: %w", ctx.Err(), err))
		case <-time.After(pause):
		}
	}
}

// tail is how much of a log goes into an error.
const tail = 2000

// Explain adds to an error the last lines of the process's log: those that warn, if it is a node's and has any.
func (p *Process) Explain(err error) error {
	text, _ := os.ReadFile(p.log) // no log, nothing to add
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	warn := func(line []byte) bool {
		return bytes.Contains(line, []byte(" WRN ")) || bytes.Contains(line, []byte(" ERR "))
	}
	if slices.ContainsFunc(lines, warn) {
		lines = slices.DeleteFunc(lines, func(line []byte) bool { return !warn(line) })
	}
	last, long := len(lines), 0
	for last > 0 && long+len(lines[last-1]) <= tail {
		last--
		long += len(lines[last])
	}
	return fmt.Errorf("%w\n%s", err, bytes.Join(lines[last:], []byte("\n")))
}

// Fields of /proc/PID/status.
const (
	resident = "VmRSS:" // memory in use
	highest  = "VmHWM:" // the most that ever was
)

// Memory returns how much memory of a process is resident, and the most that ever
// was, in bytes; zero where the system does not tell.
func (p *Process) Memory() (now, most int64) {
	status, err := os.Open(fmt.Sprintf("/proc/%d/status", p.PID()))
	if err != nil {
		return 0, 0
	}
	defer status.Close()
	for lines := bufio.NewScanner(status); lines.Scan(); {
		for field, to := range map[string]*int64{resident: &now, highest: &most} {
			if text, ok := strings.CutPrefix(lines.Text(), field); ok {
				kB, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(text, " kB")), 10, 64)
				*to = kB << 10
			}
		}
	}
	return now, most
}

// A node is a process of `onebeat serve`.
type node struct {
	*Process
	listen string
}

// planned is how many entries the node plans, -1 if it does not answer yet.
func (n *node) planned(ctx context.Context) int {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.listen+"/metrics", nil)
	if err != nil {
		return -1
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return -1
	}
	defer answer.Body.Close()
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		if text, ok := strings.CutPrefix(lines.Text(), "onebeat_entries "); ok {
			planned, _ := strconv.ParseFloat(text, 64)
			return int(planned)
		}
	}
	return -1
}

// armedWithin bounds how long a node may take to load its entries.
func armedWithin(entries int) time.Duration {
	return 5*time.Minute + time.Duration(entries)*60*time.Microsecond
}

// What a node plans is asked for at these pauses: an edit is seen at once, and while a node works for
// seconds, asking takes little of the machine from it.
const (
	editPause = time.Millisecond
	loadPause = 20 * time.Millisecond
)

// armed waits until the node plans so many entries, and returns when it was seen.
func (n *node) armed(ctx context.Context, entries int, pause time.Duration) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, armedWithin(entries))
	defer cancel()
	err := n.await(ctx, pause, func() error {
		if planned := n.planned(ctx); planned != entries {
			return fmt.Errorf("%d of %d entries are planned", planned, entries)
		}
		return nil
	})
	return time.Now(), err
}

// freeAddress is a port of this machine that nobody listens on.
func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}
