package main

import (
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
