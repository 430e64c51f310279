package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/onebeat/onebeat/internal/shadow"
)

func TestShadowAgreesOnlyOnWhatWasCompared(t *testing.T) {
	for _, tt := range []struct {
		name     string
		entries  []shadow.Finding
		agree    bool
		compared int
	}{
		{"no entry", nil, false, 0},
		{"nothing heard", []shadow.Finding{{Open: 3}}, false, 0},
		{"both", []shadow.Finding{{Both: 2}, {Open: 1}}, true, 2},
		{"one alone", []shadow.Finding{{Both: 2}, {OnlyBeat: 1}}, false, 3},
	} {
		report := shadowReport{Entries: tt.entries}
		if report.settle(); report.Agree != tt.agree || report.Compared != tt.compared {
			t.Errorf("%s: agree %v of %d, want %v of %d", tt.name, report.Agree, report.Compared, tt.agree, tt.compared)
		}
	}
}

// Among thousands of entries those are found that have something to tell, and first of all those that differ.
func TestShadowListsWhatThereIsToTell(t *testing.T) {
	for _, tt := range []struct {
		quiet int
		want  []string
		lines int
	}{
		{quietMost, []string{"sent by beat alone  ", "They do not agree on 1 of 22 entries: sent by beat alone. See the remarks.\n"}, 1 + 22 + 1},
		{3000, []string{
			"sent by beat alone  ", "agreed on  ", "They do not agree on 1 of 3002 entries: sent by beat alone. See the remarks.\n",
			"Not listed: 3000 entries without a slot in this time, of which nothing was seen either. --json has all.\n",
		}, 1 + 2 + 2},
	} {
		report := shadowReport{Entries: []shadow.Finding{{Name: "agreed on", Both: 1}, {Name: "sent by beat alone", OnlyBeat: 1}}}
		for n := range tt.quiet {
			report.Entries = append(report.Entries, shadow.Finding{Name: fmt.Sprint("quiet ", n)})
		}
		report.settle()
		var out strings.Builder
		if err := printShadow(&out, report); err != nil {
			t.Fatal(err)
		}
		for _, want := range tt.want {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%d quiet entries: shadow does not print %q:\n%s", tt.quiet, want, &out)
			}
		}
		if got := strings.Count(out.String(), "\n"); got != tt.lines {
			t.Errorf("%d quiet entries: %d lines, want %d:\n%s", tt.quiet, got, tt.lines, &out)
		}
	}
}
