// Command tally runs a `go test -json` and tells what came of it:
//
//	tally go test -json ./...
//
// It prints a line for each package, the output of what failed, then once more the
// little of it that says why, for who keeps the end alone, and a closing
// line "N passed, N failed" that counts every test and subtest without subtests
// of its own. What failed without a test to blame, such as a package that does
// not build or ends in the middle of a test, counts as one failure. It exits with
// the command's code, and with 1 if no test ran at all.
package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: tally go test -json packages…")
		os.Exit(2)
	}
	cmd := exec.Command(os.Args[1], os.Args[2:]...)
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		fail(err)
	}
	if err := cmd.Start(); err != nil {
		fail(err)
	}
	t := tally{out: os.Stdout, packages: map[string]*results{}}
	if err := t.read(stdout); err != nil {
		_ = cmd.Process.Kill() // it would wait for ever to be read
		fail(err)
	}
	err = cmd.Wait()
	t.close()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		os.Exit(max(exit.ExitCode(), 1))
	case err != nil:
		fail(err)
	case t.failed > 0 || t.passed == 0:
		os.Exit(1)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "tally:", err)
	os.Exit(1)
}

// An event is a line of `go test -json`, as `go doc test2json` and `go help
// buildjson` describe it.
type event struct {
	Action     string
	Package    string
	ImportPath string // in place of Package where it is about building
	Test       string
	Elapsed    float64
	Output     string
}

// results are those of one package's tests while it runs.
type results struct {
	ended  map[string]string   // by test: pass, fail or skip; "" while it runs
	output map[string][]string // by test; "" is the package's own
}

// A tally counts as events come in, and forgets a package once it has ended.
type tally struct {
	out      io.Writer
	packages map[string]*results
	reasons  []string // of what failed

	passed, failed, skipped int
}

func (t *tally) read(lines io.Reader) error {
	in := bufio.NewReader(lines)
	for {
		line, err := in.ReadBytes('\n')
		if len(line) > 0 {
			t.line(line)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (t *tally) line(line []byte) {
	var e event
	if json.Unmarshal(line, &e) != nil {
		fmt.Fprintf(t.out, "%s", line) // not of go test: a message of the tool itself
		return
	}
	if e.Action == "build-output" {
		fmt.Fprint(t.out, e.Output)
		return
	}
	if e.Package == "" {
		return
	}
	p := t.packages[e.Package]
	if p == nil {
		p = &results{ended: map[string]string{}, output: map[string][]string{}}
		t.packages[e.Package] = p
	}
	switch e.Action {
	case "run":
		p.ended[e.Test] = ""
	case "output":
		p.output[e.Test] = append(p.output[e.Test], e.Output)
	case "pass", "fail", "skip":
		if e.Test == "" {
			t.end(e, p)
			delete(t.packages, e.Package)
			return
		}
		p.ended[e.Test] = e.Action
		if e.Action == "pass" {
			delete(p.output, e.Test)
		}
	}
}

// end counts a package that has ended and tells of it.
func (t *tally) end(e event, p *results) {
	passed, failed, skipped := p.count()
	if e.Action == "fail" {
		for _, test := range p.failures() {
			said := p.output[test]
			fmt.Fprint(t.out, strings.Join(said, ""))
			if why := reason(said); why != "" {
				t.reasons = append(t.reasons, fmt.Sprintf("why %s %s:\n%s", e.Package, cmp.Or(test, "failed"), why))
			}
		}
		if failed == 0 {
			failed = 1
		}
		fmt.Fprintf(t.out, "FAIL  %s  %d passed, %d failed  %.1f s\n", e.Package, passed, failed, e.Elapsed)
	} else if len(p.ended) > 0 {
		fmt.Fprintf(t.out, "ok    %s  %d passed  %.1f s\n", e.Package, passed, e.Elapsed)
	}
	t.passed, t.failed, t.skipped = t.passed+passed, t.failed+failed, t.skipped+skipped
}

// count counts the tests without subtests, and those that failed though none of
// their subtests did.
func (p *results) count() (passed, failed, skipped int) {
	parent, blamed := map[string]bool{}, map[string]bool{} // blamed: a subtest failed
	for test, ended := range p.ended {
		bad := ended != "pass" && ended != "skip" // it failed, or it ran when the package ended
		for above := range ancestors(test) {
			parent[above] = true
			blamed[above] = blamed[above] || bad
		}
	}
	for test, ended := range p.ended {
		switch {
		case ended == "pass" && !parent[test]:
			passed++
		case ended == "skip" && !parent[test]:
			skipped++
		case ended != "pass" && ended != "skip" && !blamed[test]:
			failed++
		}
	}
	return passed, failed, skipped
}

// ancestors yields the names of the tests that test is a subtest of.
func ancestors(test string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := strings.LastIndexByte(test, '/'); i >= 0; i = strings.LastIndexByte(test[:i], '/') {
			if !yield(test[:i]) {
				return
			}
		}
	}
}

// failures returns the tests that failed and said something, then "" for the package itself.
func (p *results) failures() []string {
	tests := make([]string, 0, len(p.output))
	for test := range p.output {
		if test != "" && p.ended[test] != "skip" {
			tests = append(tests, test)
		}
	}
	slices.Sort(tests)
	return append(tests, "")
}

var (
	frame   = regexp.MustCompile(`^(=== |\s*--- |(FAIL|PASS|ok|exit status)\b|coverage:)`)
	message = regexp.MustCompile(`^(    \S+\.go:\d+: |panic: |fatal error: |WARNING: DATA RACE)`)
	log     = regexp.MustCompile(`^    \S+\.go:\d+: the end of the log of .*:$`) // as tests tell of a process's
)

// reason returns the beginnings of the messages among what a failed test said, as many as are read at a
// glance. The logs of processes are not among them.
func reason(output []string) string {
	const messages, lines = 8, 5
	var why strings.Builder
	said, length, silent := 0, 0, false // the messages so far, and what is known of the last
	for line := range strings.Lines(strings.Join(output, "")) {
		if frame.MatchString(line) {
			continue
		}
		if message.MatchString(line) || said == 0 {
			if silent = log.MatchString(strings.TrimSuffix(line, "\n")); !silent {
				said, length = said+1, 0
			}
			if said > messages {
				why.WriteString("    and more\n")
				break
			}
		}
		if length++; !silent && length <= lines {
			why.WriteString(line)
		}
	}
	return why.String()
}

// close prints why tests failed, and the closing line.
func (t *tally) close() {
	fmt.Fprint(t.out, strings.Join(t.reasons, ""))
	if t.skipped > 0 {
		fmt.Fprintf(t.out, "%d passed, %d failed, %d skipped\n", t.passed, t.failed, t.skipped)
		return
	}
	fmt.Fprintf(t.out, "%d passed, %d failed\n", t.passed, t.failed)
}
