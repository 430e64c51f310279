package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/onebeat/onebeat/test/harness/process"
)

// cpu returns the processor time that a process has used since it began, in
// nanoseconds rather than in the hundredths of a second of /proc: the clock of
// another process has its id, complemented, above three bits of which 2 is the
// kind (clock_getcpuclockid(3), linux/posix-timers_types.h).
func cpu(pid int) (time.Duration, error) {
	var spent unix.Timespec
	if err := unix.ClockGettime(int32(^pid)<<3|2, &spent); err != nil {
		return 0, fmt.Errorf("read the processor time of %d: %w", pid, err)
	}
	return time.Duration(spent.Nano()), nil
}

// Fields of /proc/PID/status.
const (
	resident = "VmRSS:" // memory in use
	peak     = "VmHWM:" // the most that ever was
)

// memory returns a field of a process's status, in bytes.
func memory(pid int, field string) (int64, error) {
	status, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	defer status.Close()
	for lines := bufio.NewScanner(status); lines.Scan(); {
		if text, ok := strings.CutPrefix(lines.Text(), field); ok {
			kB, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(text), " kB"), 10, 64)
			return kB << 10, err
		}
	}
	return 0, fmt.Errorf("/proc/%d/status has no %s", pid, field)
}

// A node is a process of `onebeat serve`.
type node struct {
	process *process.Process
	began   time.Time
	listen  string
}

// serve starts a node on a site. With a profile it is this command that stands
// in for onebeat's: the same daemon, profiled.
func serve(s *site, profile string) (*node, error) {
	port, err := process.FreePort()
	if err != nil {
		return nil, err
	}
	n := &node{listen: net.JoinHostPort("127.0.0.1", strconv.Itoa(port))}
	command := process.Command{
		Path: s.bench.onebeat, Args: []string{"serve"}, Dir: s.dir, Log: filepath.Join(s.dir, "onebeat.log"),
		Env: append(s.env(), "ONEBEAT_LISTEN="+n.listen),
	}
	if profile != "" {
		if command.Path, err = os.Executable(); err != nil {
			return nil, err
		}
		command.Args = []string{profiled, profile}
	}
	n.began = time.Now()
	n.process, err = process.Start(command)
	return n, err
}

// stop ends the node as its user would.
func (n *node) stop() error { return n.process.Stop(syscall.SIGTERM, 30*time.Second) }

// armed returns how long after its start the node planned all entries.
func (n *node) armed(ctx context.Context, entries int) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	err := n.process.Await(ctx, func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.listen+"/metrics", nil)
		if err != nil {
			return err
		}
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
			if text, ok := strings.CutPrefix(lines.Text(), "onebeat_entries "); ok {
				if planned, _ := strconv.ParseFloat(text, 64); int(planned) >= entries {
					return nil
				}
				return fmt.Errorf("%s of %d entries are planned", text, entries)
			}
		}
		return errors.New("there is no metric onebeat_entries")
	})
	return time.Since(n.began), err
}
