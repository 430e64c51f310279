package main

import (
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
