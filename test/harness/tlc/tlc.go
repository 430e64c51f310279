// Package tlc runs TLC, the checker of TLA+ models, which scripts/deps installs.
package tlc

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/onebeat/onebeat/test/harness"
)

// A Check is one run over a module.
type Check struct {
	Module     string            // the file's path
	Beside     map[string]string // other modules, by the name of their file
	Constants  map[string]string // as a configuration has them
	Spec       string            // "Spec" if empty
	Symmetry   string
	Invariants []string
	Within     time.Duration
}

// A Result is what TLC said.
type Result struct {
	Violated  string // the invariant that is broken, or ""
	Generated int    // states, of which
	Distinct  int    // differ
	Depth     int
	Took      time.Duration
	Output    string
}

// Run checks, and fails the test if TLC could not come to an end.
func Run(t testing.TB, c Check) Result {
	t.Helper()
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	jar := filepath.Join(root, ".cache", "tla2tools.jar")
	if _, err := os.Stat(jar); err != nil {
		t.Fatalf("%s is not there: run scripts/deps", jar)
	}
	dir := t.TempDir()
	text, err := os.ReadFile(c.Module)
	if err != nil {
		t.Fatal(err)
	}
	module := filepath.Base(c.Module)
	files := maps.Clone(c.Beside)
	if files == nil {
		files = map[string]string{}
	}
	files[module], files["check.cfg"] = string(text), c.config()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), c.Within)
	defer cancel()
	began := time.Now()
	// TLC unpacks the standard modules into Java's folder for temporary files and removes them at its end, each run the
	// same names: two at once in one folder take them from one another.
	cmd := exec.CommandContext(ctx, "java", "-XX:+UseParallelGC", "-Xmx6g", "-Djava.io.tmpdir="+t.TempDir(), "-jar", jar, "-deadlock", "-workers", "2", "-config", "check.cfg", module)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	r := Result{Took: time.Since(began).Round(time.Second), Output: string(out)}
	if m := regexp.MustCompile(`Invariant (\w+) is violated`).FindSubmatch(out); m != nil {
		r.Violated = string(m[1])
		return r
	}
	if err != nil || !bytes.Contains(out, []byte("No error has been found")) {
		t.Fatalf("TLC on %s: %v, %v\n%s", module, err, ctx.Err(), out[max(0, len(out)-4000):])
	}
	r.Generated, r.Distinct = number(out, `(\d+) states generated, `), number(out, `(\d+) distinct states found, 0 states left`)
	r.Depth = number(out, `depth of the complete state graph search is (\d+)`)
	return r
}

func number(out []byte, pattern string) int {
	if m := regexp.MustCompile(pattern).FindSubmatch(out); m != nil {
		n, _ := strconv.Atoi(string(m[1])) // digits alone
		return n
	}
	return 0
}

func (c Check) config() string {
	var text strings.Builder
	text.WriteString("CONSTANTS\n")
	for _, name := range slices.Sorted(maps.Keys(c.Constants)) {
		fmt.Fprintf(&text, "  %s = %s\n", name, c.Constants[name])
	}
	spec := c.Spec
	if spec == "" {
		spec = "Spec"
	}
	fmt.Fprintf(&text, "SPECIFICATION %s\n", spec)
	if c.Symmetry != "" {
		fmt.Fprintf(&text, "SYMMETRY %s\n", c.Symmetry)
	}
	fmt.Fprintf(&text, "INVARIANTS %s\n", strings.Join(c.Invariants, " "))
	return text.String()
}
