package main_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

var binary string // the command

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "stack-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "stack")
	build := exec.Command("go", "build", "-o", binary, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // as `make test` has compiled it
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// stack returns the command with nothing set that names a server.
func stack(args ...string) *exec.Cmd {
	cmd := exec.Command(binary, args...)
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "ONEBEAT_TEST_") {
			cmd.Env = append(cmd.Env, variable)
		}
	}
	return cmd
}

func TestStackReturnsTheCommandsCode(t *testing.T) {
	for _, tt := range []struct {
		script string
		want   int
	}{
		{`test -n "$ONEBEAT_TEST_REDIS" && test -z "$ONEBEAT_TEST_POSTGRES"`, 0},
		{"exit 7", 7},
		{"kill -KILL $$", 128 + 9},
	} {
		cmd := stack("-services", "redis", "--", "sh", "-c", tt.script)
		_ = cmd.Run() // its code says it
		if got := cmd.ProcessState.ExitCode(); got != tt.want {
			t.Errorf("code of %q = %d, want %d", tt.script, got, tt.want)
		}
	}
}

func TestStackTakesWhatTheEnvironmentNames(t *testing.T) {
	cmd := stack("-services", "redis,postgres,mariadb,rabbitmq", "--", "sh", "-c", "echo $ONEBEAT_TEST_REDIS $ONEBEAT_TEST_PYTHON")
	cmd.Env = append(cmd.Env,
		"ONEBEAT_TEST_REDIS=redis://redis.example", "ONEBEAT_TEST_POSTGRES=postgres://db.example", "ONEBEAT_TEST_MARIADB=mysql://db.example",
		"ONEBEAT_TEST_RABBITMQ=amqp://rabbit.example", "ONEBEAT_TEST_PYTHON=/opt/python")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(out), "redis://redis.example /opt/python\n"; got != want {
		t.Errorf("the command saw %q, want %q", got, want)
	}
}

func TestStackRefusesAnUnknownService(t *testing.T) {
	cmd := stack("-services", "mongodb", "--", "true")
	out, _ := cmd.CombinedOutput()
	if code := cmd.ProcessState.ExitCode(); code != 2 || !strings.Contains(string(out), `"mongodb"`) {
		t.Errorf("code %d, output %q; want 2 and the name", code, out)
	}
}

func TestStackLeavesNothing(t *testing.T) {
	for _, tt := range []struct {
		name   string
		signal syscall.Signal // to the stack; none if zero
		script string         // prints the id of a process that must end too
		want   int
	}{
		{"when a signal ends it", syscall.SIGINT, "echo $$; exec sleep 300", 128 + 2},
		{"when it is told to stop", syscall.SIGTERM, "echo $$; exec sleep 300", 128 + 15},
		{"when the command left a child", 0, "sleep 300 >/dev/null 2>&1 & echo $!", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			temp := t.TempDir()
			cmd := stack("-services", "redis", "--", "sh", "-c", `echo "${ONEBEAT_TEST_REDIS#redis://}"; `+tt.script)
			cmd.Env = append(cmd.Env, "TMPDIR="+temp)
			stdout, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = cmd.Process.Kill() }) // if it still runs
			lines := bufio.NewReader(stdout)
			address := readLine(t, lines)
			pid, err := strconv.Atoi(readLine(t, lines))
			if err != nil {
				t.Fatal(err)
			}
			if tt.signal != 0 {
				if err := cmd.Process.Signal(tt.signal); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := io.Copy(io.Discard, lines); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait() // its code says it
			if got := cmd.ProcessState.ExitCode(); got != tt.want {
				t.Errorf("code = %d, want %d", got, tt.want)
			}
			if conn, err := net.Dial("tcp", address); err == nil {
				conn.Close()
				t.Error("the server still answers")
			}
			awaitEnd(t, pid)
			if left, _ := os.ReadDir(temp); len(left) > 0 {
				t.Errorf("%s was left behind", left[0].Name())
			}
		})
	}
}

func readLine(t *testing.T, lines *bufio.Reader) string {
	t.Helper()
	line, err := lines.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(line)
}

// awaitEnd waits until pid runs no more; init may take a moment to bury it.
func awaitEnd(t *testing.T, pid int) {
	t.Helper()
	deadline := time.After(5 * time.Second)
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	for {
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		if err != nil || strings.Contains(string(stat), ") Z ") {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("process %d still runs", pid)
		case <-poll.C:
		}
	}
}
