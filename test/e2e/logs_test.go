package e2e

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/onebeat/onebeat/test/harness"
)

// secret stands in the arguments of tasks, good and bad, and must not be logged.
const secret = "s3cret-argument"

// A log says what was sent, when and where, in the format that was chosen, and
// never what tasks are given.
func TestLogsTellOfEachSend(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"json", "logfmt", "text"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, sqlite, rabbitmq)
			s.herd(t, 1)
			s.database.insert(t,
				item{"name": "with arguments", "cron_expression": "@every 1s", "args": fmt.Sprintf("[%q]", secret), "kwargs": fmt.Sprintf(`{"a": %q}`, secret)},
				item{"name": "bad args", "cron_expression": "@every 1s", "args": fmt.Sprintf("[%q", secret)},
				item{"name": "bad kwargs", "cron_expression": "@every 1s", "kwargs": fmt.Sprintf("[%q]", secret)},
				item{"name": "refused", "cron_expression": "@every 1s", "args": fmt.Sprintf("[%q]", secret), "options": `{"queue": "e2e-that-nobody-declares"}`},
			)
			n := s.launch(t, nil, "--log-level", "debug", "--log-format", format)
			s.awaitLedger(t)
			last := time.Now().Truncate(time.Second).Add(2 * time.Second)
			s.awaitSent(t, "with arguments", last, 15*time.Second)
			n.stop(t)

			text, err := os.ReadFile(n.log)
			if err != nil {
				t.Fatal(err)
			}
			log := string(text)
			for _, hidden := range []string{secret, "guest:guest"} {
				if strings.Contains(log, hidden) {
					t.Errorf("the log holds %q", hidden)
				}
			}
			for _, want := range []string{"onebeat starts", "entries loaded", "entry set aside", "slots are due", "slot failed", "onebeat has stopped"} {
				if !strings.Contains(log, want) {
					t.Errorf("the log does not say %q:\n%s", want, log)
				}
			}
			sends := map[string]map[string]string{} // by task id
			for raw := range strings.Lines(log) {
				if fields := parsed(t, format, strings.TrimRight(raw, "\n")); fields["msg"] == "task sent" {
					sends[fields["task_id"]] = fields
				}
			}
			if format == "text" {
				return // for eyes
			}
			for _, r := range s.database.ledger(t) {
				if r.state != "sent" {
					continue
				}
				got := sends[r.taskID]
				slot, err := time.Parse(time.RFC3339Nano, got["slot"])
				if err != nil || !slot.Equal(r.slot.Time) || got["level"] != "INFO" || got["entry"] != r.entry || got["task"] != "probe.record" || got["queue"] != s.broker.queue("default") {
					t.Errorf("the send of slot %v of %s is logged as %v", r.slot.Time, r.entry, got)
				}
				if late, err := time.ParseDuration(got["late"]); err != nil || late < 0 {
					t.Errorf("the lateness of slot %v is logged as %q", r.slot.Time, got["late"])
				}
			}
		})
	}
}

// awaitLedger waits until something was sent: a node whose log is for eyes tells
// of itself there alone.
func (s *site) awaitLedger(t *testing.T) {
	t.Helper()
	harness.Eventually(t, startWait, func() error {
		if s.database.fact(t, "first_load") == "" {
			return fmt.Errorf("no node has loaded the entries")
		}
		return nil
	})
}

// pair is one key and value of a line in logfmt.
var pair = regexp.MustCompile(`^([A-Za-z_.]+)=("(?:[^"\\]|\\.)*"|[^\s"=]*)(?: |$)`)

// parsed reads a line of the log. The test fails if it is not of the format.
func parsed(t *testing.T, format, raw string) map[string]string {
	t.Helper()
	fields := map[string]string{}
	switch format {
	case "json":
		var values map[string]any
		if err := json.Unmarshal([]byte(raw), &values); err != nil {
			t.Fatalf("a line is no JSON: %s", raw)
		}
		for key, value := range values {
			fields[key] = fmt.Sprint(value)
		}
	case "logfmt":
		for rest := raw; rest != ""; {
			match := pair.FindStringSubmatch(rest)
			if match == nil {
				t.Fatalf("a line is no logfmt from %q on: %s", rest, raw)
			}
			value := match[2]
			if strings.HasPrefix(value, `"`) {
				if err := json.Unmarshal([]byte(value), &value); err != nil {
					t.Fatalf("a line has the value %s: %v", match[2], err)
				}
			}
			fields[match[1]] = value
			rest = rest[len(match[0]):]
		}
	}
	return fields
}

// Where what reads the log has ended, the node goes on, and ends well.
func TestANodeOutlivesTheReaderOfItsLog(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	queue, entries := filepath.Join(dir, "queue"), filepath.Join(dir, "entries.yaml")
	if err := errors.Join(os.Mkdir(queue, 0o777), os.WriteFile(entries, []byte("beat_schedule: {a: {task: a, schedule: '@every 1s'}}"), 0o666)); err != nil {
		t.Fatal(err)
	}
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	node := exec.Command(binary, "serve", "--listen", "off", "--database", "sqlite:///"+filepath.Join(dir, "state.db"), "--catalog", "file", "--catalog-file", entries, "--broker", "filesystem://")
	node.Env = append(os.Environ(), fmt.Sprintf(`CELERY_BROKER_TRANSPORT_OPTIONS={"data_folder_out": %q}`, queue))
	node.Stderr = write
	if err := node.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- node.Wait() }()
	defer func() { _ = node.Process.Kill() }()
	write.Close()
	for log := bufio.NewScanner(read); log.Scan() && !strings.Contains(log.Text(), "task sent"); {
	}
	read.Close()
	sent := func() int {
		messages, err := filepath.Glob(filepath.Join(queue, "*.msg"))
		if err != nil {
			t.Fatal(err)
		}
		return len(messages)
	}
	before := sent()
	if before == 0 {
		t.Fatal("nothing was sent")
	}
	harness.Eventually(t, startWait, func() error {
		if now := sent(); now < before+3 { // each of them is logged
			return fmt.Errorf("%d messages were sent, and %d before the log had no reader", now, before)
		}
		return nil
	})
	if err := node.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("the node ended with %v", err)
	}
}
