package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// The streams are written by the rules of `go doc test2json`, not taken from a run.
func TestTally(t *testing.T) {
	for _, tt := range []struct {
		name   string
		events string
		want   string // the closing line
	}{
		{"a test a name", `
			{"Action":"run","Package":"p","Test":"TestA"}
			{"Action":"pass","Package":"p","Test":"TestA"}
			{"Action":"pass","Package":"p"}`, "1 passed, 0 failed"},
		{"subtests, not their parents", `
			{"Action":"run","Package":"p","Test":"TestA"}
			{"Action":"run","Package":"p","Test":"TestA/b"}
			{"Action":"run","Package":"p","Test":"TestA/b/c"}
			{"Action":"run","Package":"p","Test":"TestA/b/d"}
			{"Action":"pass","Package":"p","Test":"TestA/b/c"}
			{"Action":"fail","Package":"p","Test":"TestA/b/d"}
			{"Action":"fail","Package":"p","Test":"TestA/b"}
			{"Action":"fail","Package":"p","Test":"TestA"}
			{"Action":"fail","Package":"p"}`, "1 passed, 1 failed"},
		{"a parent that fails by itself", `
			{"Action":"run","Package":"p","Test":"TestA"}
			{"Action":"run","Package":"p","Test":"TestA/b"}
			{"Action":"pass","Package":"p","Test":"TestA/b"}
			{"Action":"fail","Package":"p","Test":"TestA"}
			{"Action":"fail","Package":"p"}`, "1 passed, 1 failed"},
		{"a test that a panic cut off", `
			{"Action":"run","Package":"p","Test":"TestA"}
			{"Action":"pass","Package":"p","Test":"TestA"}
			{"Action":"run","Package":"p","Test":"TestB"}
			{"Action":"output","Package":"p","Test":"TestB","Output":"panic: no\n"}
			{"Action":"fail","Package":"p"}`, "1 passed, 1 failed"},
		{"a package that does not build", `
			{"Action":"build-output","ImportPath":"p","Output":"p.go:1: no\n"}
			{"Action":"build-fail","ImportPath":"p"}
			{"Action":"start","Package":"p"}
			{"Action":"fail","Package":"p","FailedBuild":"p"}`, "0 passed, 1 failed"},
		{"a package without tests", `
			{"Action":"start","Package":"p"}
			{"Action":"skip","Package":"p"}`, "0 passed, 0 failed"},
		{"the same name in two packages, interleaved, one skipped", `
			{"Action":"run","Package":"p","Test":"TestA"}
			{"Action":"run","Package":"q","Test":"TestA"}
			{"Action":"skip","Package":"q","Test":"TestA"}
			{"Action":"pass","Package":"p","Test":"TestA"}
			{"Action":"pass","Package":"q"}
			{"Action":"pass","Package":"p"}`, "1 passed, 0 failed, 1 skipped"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out strings.Builder
			tally := tally{out: &out, packages: map[string]*results{}}
			for line := range strings.Lines(tt.events) {
				if line = strings.TrimSpace(line); line != "" {
					tally.line([]byte(line))
				}
			}
			tally.close()
			lines := strings.Split(strings.TrimSpace(out.String()), "\n")
			if got := lines[len(lines)-1]; got != tt.want {
				t.Errorf("closing line = %q, want %q\n%s", got, tt.want, &out)
			}
		})
	}
}

// Who keeps the end of the output alone, or that of a package alone, is told why a test failed: not what a log said.
func TestTheEndSaysWhyATestFailed(t *testing.T) {
	said := []string{
		"=== RUN   TestA", "=== PAUSE TestA", "=== CONT  TestA",
		"    a_test.go:5: the slots are [1 2], want [1]",
		"    a_test.go:6: of an entry (-want +got):", "          1", "          2", "          3", "          4", "          5",
		"    a_test.go:7: the end of the log of node1:", "        the log's line",
		"    a_test.go:8: the end of the log of node2:", "        the log's line",
		"WARNING: DATA RACE", "Write at 0x1 by goroutine 2:",
		"--- FAIL: TestA (0.10s)",
	}
	var out strings.Builder
	tally := tally{out: &out, packages: map[string]*results{}}
	send := func(events ...event) {
		for _, e := range events {
			line, err := json.Marshal(e)
			if err != nil {
				t.Fatal(err)
			}
			tally.line(line)
		}
	}
	send(event{Action: "run", Package: "p", Test: "TestA"})
	for _, line := range said {
		send(event{Action: "output", Package: "p", Test: "TestA", Output: line + "\n"})
	}
	send(event{Action: "fail", Package: "p", Test: "TestA"}, event{Action: "output", Package: "p", Output: "FAIL\n"}, event{Action: "fail", Package: "p"})
	for n := range 12 { // each says more than one reads
		send(event{Action: "output", Package: "q", Test: "TestB", Output: fmt.Sprintf("    b_test.go:1: %d\n", n)})
	}
	send(event{Action: "fail", Package: "q", Test: "TestB"}, event{Action: "fail", Package: "q"})
	if !strings.Contains(out.String(), strings.Join(said, "\n")) {
		t.Errorf("the output of a test that failed is not there as it was:\n%s", &out)
	}
	before := out.Len()
	tally.close()
	want := `why p TestA:
    a_test.go:5: the slots are [1 2], want [1]
    a_test.go:6: of an entry (-want +got):
          1
          2
          3
          4
WARNING: DATA RACE
Write at 0x1 by goroutine 2:
why q TestB:
    b_test.go:1: 0
    b_test.go:1: 1
    b_test.go:1: 2
    b_test.go:1: 3
    b_test.go:1: 4
    b_test.go:1: 5
    b_test.go:1: 6
    b_test.go:1: 7
    and more
0 passed, 2 failed
`
	if got := out.String()[before:]; got != want {
		t.Errorf("the end is\n%s\nwant\n%s", got, want)
	}
}
