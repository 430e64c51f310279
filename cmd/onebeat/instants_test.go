package main

import (
	"strings"
	"testing"
	"time"
)

func TestInstantsAreReadAsPeopleWriteThem(t *testing.T) {
	now := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC) // 21:00 in Tokyo
	for _, tt := range []struct {
		text              string
		ahead, late, back string // by instantOrLength, lateInstant and sinceInstant; "" for what the one before gave
	}{
		{"2h", "2026-11-27T14:00:00Z", "", "2026-11-27T10:00:00Z"},
		{"1d", "2026-11-28T12:00:00Z", "", "2026-11-26T12:00:00Z"},
		{"1d12h", "2026-11-29T00:00:00Z", "", "2026-11-26T00:00:00Z"},
		{"2026-11-27T03:00:00+09:00", "2026-11-26T18:00:00Z", "", ""},
		{"2026-11-27 03:00:00 +0900", "2026-11-26T18:00:00Z", "", ""}, // as it is printed
		{"2026-11-26 18:00:00Z", "2026-11-26T18:00:00Z", "", ""},
		{"2026-11-27 03:00", "2026-11-26T18:00:00Z", "", ""},
		{"2026-11-27T03:00:30", "2026-11-26T18:00:30Z", "", ""},
		{"2026-11-27", "2026-11-26T15:00:00Z", "", ""},
		{"03:00", "2026-11-27T18:00:00Z", "2026-11-26T18:00:00Z", ""},
		{"21:00", "2026-11-28T12:00:00Z", "2026-11-27T12:00:00Z", ""},
		{"21:00:01", "2026-11-27T12:00:01Z", "2026-11-26T12:00:01Z", ""},
	} {
		want := tt.ahead
		for i, read := range []func(string, time.Time, string) (time.Time, error){instantOrLength, lateInstant, sinceInstant} {
			if other := []string{"", tt.late, tt.back}[i]; other != "" {
				want = other
			}
			got, err := read(tt.text, now, "Asia/Tokyo")
			if err != nil || got.UTC().Format(time.RFC3339) != want {
				t.Errorf("reader %d of %q = %v, %v, want %s", i, tt.text, got.UTC(), err, want)
			}
		}
	}
	for _, text := range []string{"yesterday", "25:00", "d", "xd", "-1d", "1d-2h", "1dd", "99999d", "2026-13-01", "0001-01-01T00:00:00Z"} {
		if got, err := instantOrLength(text, now, "UTC"); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("instantOrLength(%q) = %v, %v, want an error that names it", text, got, err)
		}
	}
}
