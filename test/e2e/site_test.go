package e2e

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/onebeat/onebeat/test/harness"
	"github.com/onebeat/onebeat/test/harness/process"
	"github.com/onebeat/onebeat/test/harness/worker"
)

// startWait bounds what waits for a process to be at work, on a busy machine.
const startWait = 30 * time.Second

// A site is all that one user has: a database, a broker, and settings.
type site struct {
	database *database
	broker   *broker
	celery   map[string]any // Celery's settings, shared with workers
	dir      string
	nodes    int
}

// newSite makes a site whose table is in the full shape, as `onebeat migrate`
// makes it.
func newSite(t *testing.T, database, broker string) *site {
	t.Helper()
	s := newBareSite(t, newDatabase(t, database), newBroker(t, broker))
	s.command(t, "migrate")
	return s
}

// newBareSite makes a site whose database is as it is.
func newBareSite(t *testing.T, d *database, b *broker) *site {
	t.Helper()
	t.Cleanup(func() {
		var installation string // stays empty where nothing ran
		_ = d.db.QueryRowContext(context.Background(), "SELECT value FROM onebeat_meta WHERE "+d.column("key")+" = 'installation'").Scan(&installation)
		b.remove(t, installation)
	})
	return &site{database: d, broker: b, celery: b.settings(), dir: t.TempDir()}
}

// config writes the settings file and returns its path. JSON is YAML too.
func (s *site) config(t *testing.T) string {
	t.Helper()
	text, err := json.Marshal(map[string]any{
		"database": s.database.url, "broker": s.broker.url, "listen": "off", "celery": s.celery,
	})
	path := filepath.Join(s.dir, "onebeat.yaml")
	if err == nil { // a node that was just launched may be reading it
		err = os.WriteFile(path+".new", text, 0o600)
	}
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// command runs a verb that ends by itself, and returns what it printed.
func (s *site) command(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startWait)
	defer cancel()
	out, err := exec.CommandContext(ctx, binary, append(args, "--config", s.config(t))...).CombinedOutput()
	if err != nil {
		t.Fatalf("onebeat %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// A node is a process of `onebeat serve`.
type node struct {
	process *process.Process
	name    string
	log     string
}

// freeze freezes the node; beside a SQLite file not in the middle of a write, for then another node ends it: it would not wake
// up.
func (n *node) freeze(t *testing.T, d *database) {
	t.Helper()
	for range 100 {
		n.process.Pause()
		if n.process.AwaitPaused(time.Second); d.kind != sqlite || d.writable(t) {
			return
		}
		t.Log("the node, or another, was in the middle of a write")
		n.process.Resume()
	}
	t.Fatal("the node has been writing whenever it was looked at")
}

// writable says whether a SQLite file can be written at this moment.
func (d *database) writable(t *testing.T) bool {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+strings.TrimPrefix(d.url, "sqlite:///")+"?_pragma=busy_timeout(0)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.ExecContext(t.Context(), "BEGIN IMMEDIATE"); err != nil {
		return false
	}
	if _, err := conn.ExecContext(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	return true
}

// serve starts a node and returns when it plans and dispatches.
func (s *site) serve(t *testing.T, flags ...string) *node {
	t.Helper()
	n := s.launch(t, nil, flags...)
	n.await(t, "entries loaded")
	return n
}

// launch starts a node with more in its environment.
func (s *site) launch(t *testing.T, env []string, flags ...string) *node {
	t.Helper()
	s.nodes++
	n := &node{name: fmt.Sprintf("node%d", s.nodes), log: filepath.Join(s.dir, fmt.Sprintf("node%d.log", s.nodes))}
	args := append([]string{"serve", "--config", s.config(t), "--node", n.name, "--log-format", "json"}, flags...)
	p, err := process.Start(process.Command{Path: binary, Args: args, Env: env, Log: n.log, Dir: s.dir})
	if err != nil {
		t.Fatalf("start onebeat: %v", err)
	}
	n.process = p
	t.Cleanup(func() {
		p.Resume()
		p.Kill()
		if t.Failed() {
			t.Logf("the end of the log of %s:\n%s", n.name, p.Tail(25))
		}
	})
	return n
}

// A line is one line of a node's log.
type line map[string]any

// lines returns what the node has logged; all of it has to be JSON.
func (n *node) lines(t *testing.T) []line {
	t.Helper()
	text, err := os.ReadFile(n.log)
	if err != nil {
		t.Fatal(err)
	}
	var lines []line
	for raw := range bytes.Lines(text) {
		var l line
		if !bytes.HasSuffix(raw, []byte("\n")) {
			break // still being written
		}
		if err := json.Unmarshal(raw, &l); err != nil {
			t.Fatalf("%s logged what is no JSON: %s", n.name, raw)
		}
		lines = append(lines, l)
	}
	return lines
}

// find returns the lines with the message.
func (n *node) find(t *testing.T, msg string) []line {
	t.Helper()
	var found []line
	for _, l := range n.lines(t) {
		if l["msg"] == msg {
			found = append(found, l)
		}
	}
	return found
}

// await waits until the node has logged the message.
func (n *node) await(t *testing.T, msg string) {
	t.Helper()
	harness.Eventually(t, startWait, func() error {
		if len(n.find(t, msg)) > 0 {
			return nil
		}
		return fmt.Errorf("%s has not logged %q:\n%s", n.name, msg, n.process.Tail(25))
	})
}

// stop ends the node as a deployment does, and fails the test if it does not end well.
func (n *node) stop(t *testing.T) {
	t.Helper()
	if err := n.process.Stop(syscall.SIGTERM, 20*time.Second); err != nil {
		t.Fatal(err)
	}
	if state := n.process.State(); !state.Success() {
		t.Errorf("%s ended with %v after SIGTERM\n%s", n.name, state, n.process.Tail(25))
	}
}

// kill ends the node with SIGKILL and returns when it is gone.
func (n *node) kill() { n.process.Kill() }

// sent returns how many slots of the entry the ledger has as sent; of all
// entries for "".
func (s *site) sent(t *testing.T, entry string) int {
	t.Helper()
	count := 0
	for _, r := range s.database.ledger(t) {
		if r.state == "sent" && (entry == "" || r.entry == entry) {
			count++
		}
	}
	return count
}

// awaitSent waits until the ledger has the entry's slot as sent.
func (s *site) awaitSent(t *testing.T, entry string, slot time.Time, wait time.Duration) {
	t.Helper()
	harness.Eventually(t, max(time.Until(slot), 0)+wait, func() error {
		for _, r := range s.database.ledger(t) {
			if r.entry == entry && r.state == "sent" && r.slot.Equal(slot) {
				return nil
			}
		}
		return fmt.Errorf("slot %v of %s is not recorded as sent", slot, entry)
	})
}

// worker starts a Celery worker that reads the site's queues.
func (s *site) worker(t *testing.T, python string, options worker.Options) *worker.Worker {
	t.Helper()
	options.Python, options.Broker, options.Config = python, s.broker.url, s.celery
	options.Queues = []string{s.broker.queue("default"), s.broker.queue("priority")}
	return worker.Start(t, options)
}

// ran is what a worker ran, as arrivals.
func ran(t *testing.T, records []worker.Record) []arrival {
	t.Helper()
	all := make([]arrival, len(records))
	for i, r := range records {
		all[i] = arrival{entry: r.PeriodicTaskName, slot: slotOf(t, r.Slot), id: r.TaskID, at: r.ReceivedAt}
	}
	return all
}
