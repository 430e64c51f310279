package main

import (
	"strings"
	"testing"
	"time"

	"github.com/onebeat/onebeat/internal/measure"
)

// Figures of a node that does not keep up are of what it sent: what it did not send is told of.
func TestWhatABenchDidNotSendIsToldOf(t *testing.T) {
	print := func(sent int) string {
		t.Helper()
		var out strings.Builder
		report := benchReport{Steady: &measure.Steady{Rate: 30_000, For: 4 * time.Second, Slots: 120_000, Sent: sent}}
		if err := report.print(&out); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	if got, want := print(59_647), "59,647 for 120,000 slots: the node did not keep up, and coalesced the others"; !strings.Contains(got, want) {
		t.Errorf("it prints\n%s\nwant %q", got, want)
	}
	if got := print(120_000); !strings.Contains(got, " 120,000\n") || strings.Contains(got, "keep up") {
		t.Errorf("it prints\n%s\nwant 120,000 alone", got)
	}
}
