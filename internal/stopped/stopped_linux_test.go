package stopped

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	_ "modernc.org/sqlite"
)

// childEnv makes a test process one that holds a lock: its file and what it is.
const childEnv = "ONEBEAT_STOPPED_TEST_CHILD"

// What a child is.
const (
	node     = "node"     // shows its sign
	stranger = "stranger" // does not
	writing  = "writing"  // has begun a write
	reading  = "reading"  // is in the middle of a statement that reads
	done     = "done"     // has read, and does nothing
	asking   = "asking"   // begins a write, as the first thing it does
	idle     = "idle"
)

const wait = 30 * time.Second

// TestChild is a process that does what it is told to and waits.
func TestChild(t *testing.T) {
	what := strings.Fields(os.Getenv(childEnv))
	if len(what) != 3 {
		return // it is not one
	}
	file, kind, does := what[0], what[1], what[2]
	if kind == node {
		w := On(file, slog.Default())
		if err := w.Show(); err != nil {
			t.Fatal(err)
		}
		defer w.Close()
	}
	db := open(t, file)
	switch does {
	case writing:
		execute(t, db, "BEGIN IMMEDIATE")
		execute(t, db, "INSERT INTO some VALUES (0)")
	case asking:
		execute(t, db, "PRAGMA busy_timeout = 30000")
		fmt.Println("ready")
		execute(t, db, "BEGIN IMMEDIATE")
	case done:
		execute(t, db, "SELECT n FROM some")
	case reading:
		rows, err := db.QueryContext(t.Context(), "SELECT n FROM some")
		if err != nil || !rows.Next() {
			t.Fatal("nothing to read", err)
		}
		defer rows.Close()
	}
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin) // until it is let go of
}

func open(t *testing.T, file string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	db.SetMaxOpenConns(1)
	return db
}

func execute(t *testing.T, db *sql.DB, text string) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), text); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
}

// A child is a process that runs TestChild.
type child struct {
	cmd   *exec.Cmd
	ended chan struct{}
}

func start(t *testing.T, file, kind, does string) *child {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 4*wait)
	c := &child{exec.CommandContext(ctx, os.Args[0], "-test.run=^TestChild$"), make(chan struct{})}
	c.cmd.Env = append(os.Environ(), childEnv+"="+strings.Join([]string{file, kind, does}, " "), "GORACE=atexit_sleep_ms=0")
	in, err := c.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	c.cmd.Stdout, c.cmd.Stderr = write, write
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	write.Close()
	go func() {
		defer close(c.ended)
		_ = c.cmd.Wait()
	}()
	t.Cleanup(func() {
		c.signal(syscall.SIGCONT)
		in.Close()
		<-c.ended
		cancel()
		out.Close()
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatalf("a %s that is %s says %q, %v", kind, does, line, err)
	}
	return c
}

func (c *child) signal(signal syscall.Signal) { _ = c.cmd.Process.Signal(signal) }

// stop stops it and returns when all its threads are stopped: until then it may run for a while.
func (c *child) stop(t *testing.T) {
	t.Helper()
	c.signal(syscall.SIGSTOP)
	runs := func(name string) bool {
		text, err := os.ReadFile(name)
		p, ok := parseProcess(0, text)
		return err != nil || !ok || p.state != 'T'
	}
	for over := time.Now().Add(wait); ; {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", c.cmd.Process.Pid))
		if err == nil && len(threads) > 0 && !slices.ContainsFunc(threads, runs) {
			return
		}
		if time.Now().After(over) {
			t.Fatal("the process does not stop")
		}
	}
}

// awaitEnd returns when it was killed.
func (c *child) awaitEnd(t *testing.T) {
	t.Helper()
	select {
	case <-c.ended:
		if status := c.cmd.ProcessState.Sys().(syscall.WaitStatus); !status.Signaled() || status.Signal() != syscall.SIGKILL {
			t.Errorf("it ended with %v, want by SIGKILL", c.cmd.ProcessState)
		}
	case <-time.After(wait):
		t.Fatal("it has not ended")
	}
}

// A waiter is a node that waits for a file.
type waiter struct {
	*Watch
	db   *sql.DB
	file string
	log  *bytes.Buffer
}

func newWaiter(t *testing.T, journal string) waiter {
	t.Helper()
	file := filepath.Join(t.TempDir(), "some.db")
	db := open(t, file)
	execute(t, db, "PRAGMA journal_mode = "+journal)
	execute(t, db, "CREATE TABLE some AS SELECT 1 AS n UNION ALL SELECT 2")
	log := &bytes.Buffer{}
	link := filepath.Join(t.TempDir(), "link.db") // SQLite's other files are beside what it leads to
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	w := On(link, slog.New(slog.NewTextHandler(log, nil)))
	if err := w.Show(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return waiter{w, db, file, log}
}

// looks looks much more often than is enough.
func (w waiter) looks() {
	for range 3 * enough {
		w.look()
	}
}

var journals = []string{"wal", "delete"}

// runs says whether the child has not ended: the kernel knows at once, unlike whoever waits for it.
func (c *child) runs() bool {
	p, ok := processOf(c.cmd.Process.Pid)
	return ok && p.state != 'Z'
}

func TestANodeThatIsStoppedInTheMiddleOfAWriteIsEnded(t *testing.T) {
	t.Parallel()
	for _, journal := range journals {
		t.Run(journal, func(t *testing.T) {
			t.Parallel()
			w := newWaiter(t, journal)
			c := start(t, w.file, node, writing)
			c.stop(t)
			err := w.During(func() error {
				for over := time.Now().Add(wait); ; <-time.After(time.Millisecond) {
					_, err := w.db.ExecContext(t.Context(), "BEGIN IMMEDIATE")
					if err == nil || time.Now().After(over) {
						return err
					}
				}
			})
			if err != nil {
				t.Fatalf("the file stays locked: %v\n%s", err, w.log)
			}
			c.awaitEnd(t)
			count := 0
			if err := w.db.QueryRowContext(t.Context(), "SELECT count(*) FROM some").Scan(&count); err != nil || count != 2 {
				t.Errorf("the file has %d rows, %v, want 2: what was not committed is not there", count, err)
			}
			execute(t, w.db, "COMMIT")
			want := fmt.Sprintf("it is ended, as by kill -9, and what it had claimed goes on\" program=stopped.test pid=%d\n", c.cmd.Process.Pid)
			if got := w.log.String(); strings.Count(got, "\n") != 1 || !strings.HasSuffix(got, want) {
				t.Errorf("log = %s, want one line that ends with %s", got, want)
			}
		})
	}
}

// Without a write-ahead log nobody can commit while a process that is stopped reads.
func TestANodeThatIsStoppedInTheMiddleOfAReadIsEnded(t *testing.T) {
	t.Parallel()
	w := newWaiter(t, "delete")
	c := start(t, w.file, node, reading)
	c.stop(t)
	execute(t, w.db, "BEGIN IMMEDIATE")
	execute(t, w.db, "INSERT INTO some VALUES (3)")
	if _, err := w.db.ExecContext(t.Context(), "COMMIT"); err == nil {
		t.Fatal("a reader keeps nobody from a commit")
	}
	w.looks()
	c.awaitEnd(t)
	execute(t, w.db, "COMMIT")
}

// Who rests so that others can write need not where there are none. One that waits is seen also if it has never read.
func TestAloneWithTheFile(t *testing.T) {
	for _, journal := range journals {
		t.Run(journal, func(t *testing.T) {
			w := newWaiter(t, journal)
			if want := journal == "wal"; w.Alone() != want {
				t.Errorf("alone at first: %v, want %v", !want, want)
			}
			if On(w.file, slog.Default()).Alone() {
				t.Error("alone before it shows that it is a node")
			}
			reader := start(t, w.file, stranger, done)
			if w.Alone() {
				t.Error("alone beside a program that has read from the file and has it open")
			}
			reader.signal(syscall.SIGKILL)
			reader.awaitEnd(t)
			if want := journal == "wal"; w.Alone() != want {
				t.Errorf("alone once the other has ended: %v, want %v", !want, want)
			}
			execute(t, w.db, "BEGIN IMMEDIATE")
			start(t, w.file, stranger, asking)
			for over := time.Now().Add(wait); w.Alone(); {
				if time.Now().After(over) {
					t.Fatal("alone beside a program that waits for the file")
				}
			}
			execute(t, w.db, "ROLLBACK")
		})
	}
}

func TestNoOtherProcessIsEnded(t *testing.T) {
	t.Parallel()
	for _, journal := range journals {
		for _, tt := range []struct {
			name, kind, does string
			stopped          bool
			named            int
		}{
			{"a stranger", stranger, writing, true, 1},
			{"a node that runs", node, writing, false, 0},
			{"a node that has no lock", node, idle, true, 0},
		} {
			t.Run(tt.name+", "+journal, func(t *testing.T) {
				t.Parallel()
				w := newWaiter(t, journal)
				c := start(t, w.file, tt.kind, tt.does)
				if tt.stopped {
					c.stop(t)
				}
				w.looks()
				if !c.runs() {
					t.Error("it is ended")
				}
				named := strings.Count(w.log.String(), fmt.Sprintf("let it go on (kill -CONT and its pid), or end it\" program=stopped.test pid=%d\n", c.cmd.Process.Pid))
				if named != tt.named || strings.Count(w.log.String(), "\n") != named {
					t.Errorf("it was told of %d times, want %d:\n%s", named, tt.named, w.log)
				}
				if c.stop(t); tt.kind == stranger {
					w.Had()
					w.looks()
					if got := strings.Count(w.log.String(), "\n"); got != 2 {
						t.Errorf("it was stopped a second time and told of %d times in all, want 2", got)
					}
				}
			})
		}
	}
}

// Two parts of a process may show its sign, and one of them may hide it: the other's stays.
func TestASignStaysUntilItIsHiddenAsOftenAsShown(t *testing.T) {
	t.Parallel()
	w := newWaiter(t, "wal")
	second := On(w.file, slog.New(slog.DiscardHandler))
	shown := func() bool {
		asked := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestAsksForTheSign$")
		asked.Env = append(os.Environ(), childEnv+"="+w.file, "GORACE=atexit_sleep_ms=0")
		return asked.Run() == nil
	}
	for range 2 {
		if err := second.Show(); err != nil {
			t.Fatal(err)
		}
	}
	if second.Close(); !shown() {
		t.Error("one has hidden it, and the other's is gone")
	}
	if w.Close(); shown() {
		t.Error("both have hidden it, and it is there")
	}
}

// TestAsksForTheSign is a process that looks for that of the one that has started it.
func TestAsksForTheSign(t *testing.T) {
	file := os.Getenv(childEnv)
	if file == "" || strings.Contains(file, " ") {
		return // it is not that
	}
	w := On(file, slog.Default())
	if err := w.Show(); err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if !w.sign.of(os.Getppid()) {
		t.Error("there is none")
	}
}

// A node of another file that is stopped while it has this one's lock is a stranger to those of this file.
func TestANodeOfAnotherFileIsAStranger(t *testing.T) {
	t.Parallel()
	w, other := newWaiter(t, "wal"), newWaiter(t, "wal")
	c := start(t, w.file, node, writing)
	c.stop(t)
	p, ok := w.holder()
	if !ok || p.id != c.cmd.Process.Pid {
		t.Fatalf("holder = %+v, %v, want the process %d", p, ok, c.cmd.Process.Pid)
	}
	if !w.sign.of(p.id) {
		t.Error("its own file has no sign of it")
	}
	if other.sign.of(p.id) {
		t.Error("another file has a sign of it")
	}
}

// What does not hold any more at the last look keeps a process from being ended, and those count from the first again.
func TestAProcessThatIsAnotherByNowIsNotEnded(t *testing.T) {
	t.Parallel()
	w := newWaiter(t, "wal")
	c := start(t, w.file, node, writing)
	c.stop(t)
	is, ok := w.holder()
	if !ok {
		t.Fatal("nobody has the lock")
	}
	for name, was := range map[string]process{
		"a process that had its id before":     {is.id, is.started - 1, is.ran, is.name, is.state},
		"a process that has gone on meanwhile": {is.id, is.started, is.ran + 1, is.name, is.state},
	} {
		if err := w.end(was); !errors.Is(err, errMoved) {
			t.Errorf("end of %s: %v, want %v", name, err, errMoved)
		}
	}
	c.signal(syscall.SIGCONT)
	for over := time.Now().Add(wait); ; {
		if p, ok := processOf(is.id); ok && p.state != 'T' {
			break
		}
		if time.Now().After(over) {
			t.Fatal("it does not go on")
		}
	}
	if err := w.end(is); !errors.Is(err, errMoved) {
		t.Errorf("end of a process that goes on: %v, want %v", err, errMoved)
	}
	if !c.runs() {
		t.Error("it is ended")
	}
}

// Each look has to find it stopped.
func TestLooksAreInARow(t *testing.T) {
	t.Parallel()
	w := newWaiter(t, "wal")
	c := start(t, w.file, stranger, writing)
	c.stop(t)
	for range enough - 1 {
		w.look()
	}
	w.at = w.at.Add(-2 * apart) // the next one comes much later
	for range enough - 1 {
		w.look()
	}
	w.seen.ran-- // it ran meanwhile
	for range enough - 1 {
		w.look()
	}
	c.signal(syscall.SIGCONT)
	for over := time.Now().Add(wait); w.times > 0; w.look() {
		if time.Now().After(over) {
			t.Fatal("it does not go on")
		}
	}
	c.stop(t)
	for range enough - 1 {
		w.look()
	}
	if w.log.Len() > 0 {
		t.Errorf("it was told of before it had been seen stopped %d times in a row:\n%s", enough, w.log)
	}
	if w.look(); w.log.Len() == 0 {
		t.Error("it was not told of")
	}
}

// Looks must not take SQLite's locks from this very process.
func TestALookLeavesThisProcessItsLocks(t *testing.T) {
	t.Parallel()
	for _, journal := range journals {
		t.Run(journal, func(t *testing.T) {
			t.Parallel()
			w := newWaiter(t, journal)
			execute(t, w.db, "BEGIN IMMEDIATE")
			w.looks()
			w.looks()
			asked := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestAsksForTheLock$")
			asked.Env = append(os.Environ(), childEnv+"="+w.file, "GORACE=atexit_sleep_ms=0")
			if out, err := asked.CombinedOutput(); err == nil || !strings.Contains(string(out), "database is locked") {
				t.Errorf("another process that wants to write: %v, want that the file is locked\n%s", err, out)
			}
			execute(t, w.db, "COMMIT")
		})
	}
}

// TestAsksForTheLock is a process that wants to write.
func TestAsksForTheLock(t *testing.T) {
	if file := os.Getenv(childEnv); file != "" && !strings.Contains(file, " ") {
		execute(t, open(t, file), "BEGIN IMMEDIATE")
	}
}

// A verb of onebeat, which is no node, ends nobody.
func TestOnlyANodeLooks(t *testing.T) {
	t.Parallel()
	w := newWaiter(t, "wal")
	c := start(t, w.file, node, writing)
	c.stop(t)
	during := func(watch *Watch) error {
		return watch.During(func() error {
			select {
			case <-c.ended:
				return nil
			case <-time.After((enough + 3) * lookInterval):
				return errors.New("it is not ended")
			}
		})
	}
	if err := during(On(w.file, slog.New(slog.DiscardHandler))); err == nil {
		t.Error("one that is no node has ended it")
	}
	if err := during(w.Watch); err != nil {
		t.Errorf("a node waits: %v", err)
	}
}

func TestParseProcess(t *testing.T) {
	after := " 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4242 20 21"
	for _, tt := range []struct {
		text string
		want process
		ok   bool
	}{
		{"7 (onebeat) T" + after, process{7, 4242, 23, "onebeat", 'T'}, true},
		{"7 (a) T (b) S" + after, process{7, 4242, 23, "a) T (b", 'S'}, true},
		{"7 (two\nlines) t" + after + "\n", process{7, 4242, 23, "two\nlines", 't'}, true},
		{"7 (onebeat) T 1 2 3", process{}, false},
		{"7 onebeat T" + after, process{}, false},
		{"7 )(" + after, process{}, false},
		{"7 (onebeat) T" + strings.Replace(after, "4242", "-1", 1), process{}, false},
		{"7 (onebeat) T" + strings.Replace(after, " 11 ", " eleven ", 1), process{}, false},
		{"", process{}, false},
	} {
		got, ok := parseProcess(7, []byte(tt.text))
		if ok != tt.ok || ok && got != tt.want {
			t.Errorf("parseProcess(%q) = %+v, %v, want %+v, %v", tt.text, got, ok, tt.want, tt.ok)
		}
	}
}
