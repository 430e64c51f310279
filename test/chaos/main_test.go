// Package chaos runs three nodes of the real command for minutes or hours while
// everything around them goes wrong, and then matches every slot that should have
// been with what came of it.
//
// By a seed, which is printed, nodes are killed, frozen, stopped and replaced by
// another version of the command, their links to the database and the broker are cut,
// stalled and slowed down, the servers are killed and stopped, and nodes' wall clocks
// are stepped; all the while some entries are edited. What should have been sent is
// worked out from the specs alone, from whole seconds and minutes, never from the
// ledger (after Jepsen's test of Chronos).
//
//   - Most messages are taken off their queue by a consumer that loses and doubles
//     none, whatever happens to the broker; real Celery workers run the others, and
//     record what they ran.
//   - Workers are stopped before a broker is, and started after: what a worker itself
//     repeats or loses then is not what is tried here.
//   - It runs for three minutes unless ONEBEAT_CHAOS gives a length: make chaos.
//   - By then nobody knows any more how the catalog was first read. So first starts are
//     tried by themselves, one after another, with faults from their first moment on: make starts.
package chaos

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/onebeat/onebeat/test/harness"
)

// The settings of a run, from its environment.
var (
	// lasting is for how long things go wrong.
	lasting = 3 * time.Minute
	// seed decides what goes wrong when.
	seed = uint64(time.Now().UnixNano()) % 1_000_000
	// reports is where a report of each run is written; empty for nowhere.
	reports = os.Getenv("ONEBEAT_CHAOS_REPORT")
	// rounds is how many first starts are tried in each setting; 0 for those of the tests.
	rounds = 0
	// former is the commit that the old version of the command is built from. Unless
	// it is given it is the same source under another version.
	former = os.Getenv("ONEBEAT_CHAOS_FORMER")
)

// A binary is a build of the command.
type binary struct{ path, version string }

// The builds: nodes change from one to another. One of them has the race detector.
var present, racing, old binary

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	if text := os.Getenv("ONEBEAT_CHAOS"); text != "" {
		length, err := time.ParseDuration(text)
		if err != nil || length < 30*time.Second {
			fmt.Fprintf(os.Stderr, "ONEBEAT_CHAOS=%q: give a length from 30s, such as 10m\n", text)
			return 2
		}
		lasting = length
	}
	if text := os.Getenv("ONEBEAT_CHAOS_ROUNDS"); text != "" {
		number, err := strconv.Atoi(text)
		if err != nil || number < 1 {
			fmt.Fprintf(os.Stderr, "ONEBEAT_CHAOS_ROUNDS=%q: give a number from 1\n", text)
			return 2
		}
		rounds = number
	}
	if text := os.Getenv("ONEBEAT_SEED"); text != "" {
		number, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			fmt.Fprintf(os.Stderr, "ONEBEAT_SEED=%q: give a number\n", text)
			return 2
		}
		seed = number
	}
	dir, err := os.MkdirTemp("", "onebeat-chaos-")
	if err == nil {
		defer os.RemoveAll(dir)
		err = build(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// build makes the builds of the command in a folder.
func build(dir string) error {
	root, err := harness.Root()
	if err != nil {
		return err
	}
	oldSource := root
	if former != "" {
		oldSource = filepath.Join(dir, "former")
		if err := export(root, former, oldSource); err != nil {
			return err
		}
	}
	for _, b := range []struct {
		into    *binary
		source  string
		version string
		flags   []string
	}{
		{&present, root, "chaos-present", nil},
		{&racing, root, "chaos-racing", []string{"-race", "-gcflags=modernc.org/sqlite/lib=-race=false", "-gcflags=modernc.org/libc/...=-race=false"}}, // as scripts/everytest
		{&old, oldSource, "chaos-old", nil},
	} {
		*b.into = binary{filepath.Join(dir, b.version), b.version}
		flags := append([]string{"-ldflags", "-X github.com/onebeat/onebeat/internal/app.version=" + b.version}, b.flags...)
		if err := harness.BuildFrom(b.source, b.into.path, flags...); err != nil {
			return err
		}
	}
	return nil
}

// export writes the source of a commit into a folder.
func export(root, commit, dir string) error {
	archive := exec.Command("git", "-C", root, "archive", commit)
	source, err := archive.Output()
	if err != nil {
		return fmt.Errorf("git archive %s: %w", commit, err)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	unpack := exec.Command("tar", "-x", "-C", dir)
	unpack.Stdin = bytes.NewReader(source)
	if out, err := unpack.CombinedOutput(); err != nil {
		return fmt.Errorf("unpack %s: %w\n%s", commit, err, strings.TrimSpace(string(out)))
	}
	return nil
}
