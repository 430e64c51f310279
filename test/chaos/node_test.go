package chaos

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/onebeat/onebeat/internal/broker/brokertest"
	"github.com/onebeat/onebeat/internal/failpoint"
	"github.com/onebeat/onebeat/test/harness/process"
	"github.com/onebeat/onebeat/test/stack/server"
)

// A node is a place where one process of `onebeat serve` runs at a time, with links of
// its own to the servers and a wall clock of its own. What is done to its process is
// done by one fault at a time.
type node struct {
	name     string
	dir      string
	database *brokertest.Proxy // nil where the database is a file
	broker   *brokertest.Proxy
	urls     [2]string     // of the two, through the links
	shards   int           // that it parts entries among; 0 is one
	lease    time.Duration // 0 is the default
	level    string        // of its log; empty is warn
	clock    string        // the file with its clock's step

	build   binary
	points  []string // a failpoint of each next process, and what it does; empty for none
	point   string   // of the process
	steps   []span   // of each process that has one, from its start on
	process *process.Process
	starts  int
	frozen  bool                            // the process was, and may have been in the middle of a write to a file: then another node ends it
	command func() (process.Command, error) // of the next process
}

// newNode makes a place with links.
func newNode(t testing.TB, name string, d *database, b *server.Server, build binary) *node {
	t.Helper()
	n := &node{name: name, dir: t.TempDir(), build: build}
	n.clock = filepath.Join(n.dir, "clock")
	n.command = n.serve
	if d != nil {
		n.urls[0] = d.url
	}
	if d != nil && d.server != nil {
		n.database, n.urls[0] = link(t, d.url)
	}
	n.broker, n.urls[1] = link(t, b.URL())
	t.Cleanup(func() {
		if n.process != nil {
			n.process.Resume()
			n.process.Kill()
		}
	})
	return n
}

// link puts a proxy before a server and returns the URL through it.
func link(t testing.TB, to string) (*brokertest.Proxy, string) {
	t.Helper()
	at, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	proxy := brokertest.NewProxy(t, at.Host)
	at.Host = proxy.Address()
	return proxy, at.String()
}

// settings are the arguments that every verb takes.
func (n *node) settings() ([]string, error) {
	settings := map[string]any{
		"database": n.urls[0], "broker": n.urls[1], "listen": "off",
		"celery": map[string]any{"task_default_queue": volume},
	}
	if n.lease > 0 {
		settings["lease"] = n.lease.String()
	}
	if n.shards > 1 { // a former version may not know of them
		settings["shards"] = n.shards
	}
	text, err := json.Marshal(settings)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(n.dir, "onebeat.yaml")
	return []string{"--config", path}, os.WriteFile(path, text, 0o600) // JSON is YAML too
}

func (n *node) log() string { return filepath.Join(n.dir, "log") }

// start starts the node's process.
func (n *node) start() error {
	n.frozen = false
	command, err := n.command()
	if err == nil {
		n.process, err = process.Start(command)
	}
	return err
}

// serve is `onebeat serve` by the node's build. Each process has a name of its own.
func (n *node) serve() (process.Command, error) {
	settings, err := n.settings()
	n.starts++
	n.point = ""
	if len(n.points) > 0 {
		n.point, n.points = n.points[0], n.points[1:]
	}
	if n.point != "" {
		n.steps = append(n.steps, span{kind: "step", text: fmt.Sprintf("%s-%d has %s", n.name, n.starts, n.point), from: time.Now(), connections: 2})
	}
	args := append([]string{"serve", "--node", fmt.Sprintf("%s-%d", n.name, n.starts), "--log-format", "json", "--log-level", cmp.Or(n.level, "warn")}, settings...)
	return process.Command{
		Path: n.build.path, Args: args, Log: n.log(), Dir: n.dir,
		Env: []string{failpoint.StepEnv + "=" + n.clock, failpoint.Env + "=" + n.point, "ONEBEAT_CLOCK_SKEW=24h"}, // it may start while its clock is wrong
	}, err
}

// stop ends the process as a deployment does. One that has said nothing yet may not have come to
// listen for the signal, which ends it then.
func (n *node) stop() error {
	if err := n.process.Stop(syscall.SIGTERM, 40*time.Second); err != nil {
		return err
	}
	if state := n.process.State(); !state.Success() && !n.mayHaveDied() && !(n.endedBy(syscall.SIGTERM) && n.silent()) {
		return fmt.Errorf("%s ended with %v after SIGTERM:\n%s", n.name, state, n.process.Tail(10))
	}
	return nil
}

// ended says whether the process has.
func (n *node) ended() bool {
	select {
	case <-n.process.Done():
		return true
	default:
		return false
	}
}

// diedAtStep says whether the process, which has ended, was to at its failpoint.
func (n *node) diedAtStep() bool {
	return strings.Contains(n.point, "=kill") && n.endedBy(syscall.SIGKILL)
}

// mayHaveDied says whether the process, which has ended, was to at its failpoint, or may have been ended as one that was
// frozen.
func (n *node) mayHaveDied() bool {
	return n.diedAtStep() || n.frozen && n.endedBy(syscall.SIGKILL)
}

// silent says whether the process, if its log tells of it, has not said yet that it starts.
func (n *node) silent() bool {
	text, err := os.ReadFile(n.log())
	return n.level == "info" && (err != nil || !bytes.Contains(text, fmt.Appendf(nil, `"node":"%s-%d"`, n.name, n.starts)))
}

// endedBy says whether a signal ended the process, which has ended.
func (n *node) endedBy(signal syscall.Signal) bool {
	status, ok := n.process.State().Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == signal
}

// stepClock steps the wall clock that the node sees.
func (n *node) stepClock(step time.Duration) error {
	next := n.clock + ".next"
	if err := os.WriteFile(next, []byte(step.String()), 0o600); err != nil {
		return err
	}
	return os.Rename(next, n.clock)
}

// verb runs one that ends by itself.
func (n *node) verb(ctx context.Context, args ...string) (string, error) {
	settings, err := n.settings()
	if err != nil {
		return "", err
	}
	out, err := exec.CommandContext(ctx, present.path, append(args, settings...)...).CombinedOutput()
	return string(out), err
}

// complaints are lines of the node's log that must not be there.
func (n *node) complaints() (lines []string, err error) {
	text, err := os.ReadFile(n.log())
	if err != nil {
		return nil, err
	}
	for line := range bytes.Lines(text) {
		for _, bad := range []string{"DATA RACE", "panic:", "fatal error:"} {
			if bytes.Contains(line, []byte(bad)) {
				lines = append(lines, n.name+": "+strings.TrimSpace(string(line)))
			}
		}
	}
	return lines, nil
}
