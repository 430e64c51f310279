package store

import (
	"testing"
	"time"
)

func TestExceptionsSince(t *testing.T) {
	at := func(hour int) time.Time { return time.Date(2026, 11, 24, hour, 0, 0, 0, time.UTC) }
	const switched = "all 2026-11-24T01:00:00Z\nexceptions 2026-11-24T03:00:00Z\nall 2026-11-24T05:00:00Z"
	for _, tt := range []struct {
		name, changes string
		since         time.Time
		want          bool
	}{
		{"nothing was noted", "", at(0), false},
		{"it always kept all", "all 2026-11-24T01:00:00Z", at(0), false},
		{"it keeps exceptions", "exceptions 2026-11-24T01:00:00Z", at(2), true},
		{"it kept exceptions for a while since then", switched, at(2), true},
		{"since a moment when it did", switched, at(4), true},
		{"since it keeps all again", switched, at(6), false},
		{"what was noted cannot be read", "all yesterday", at(6), true},
	} {
		if got := exceptionsSince(tt.changes, tt.since); got != tt.want {
			t.Errorf("%s: exceptionsSince(%q, %v) = %v, want %v", tt.name, tt.changes, tt.since, got, tt.want)
		}
	}
}
