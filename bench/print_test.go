package main

import (
	"strings"
	"testing"
	"time"

	"github.com/onebeat/onebeat/internal/measure"
)

// Of the lines that grew the fewest entries are held against the most.
func TestGrowthIsFromTheFewestToTheMost(t *testing.T) {
	herd := func(scheduler string, entries int, rate float64, cpu time.Duration) Herd {
		return Herd{Scheduler: scheduler, Burst: measure.Burst{Entries: entries, Rate: rate, CPU: cpu}, Load: new(measure.Load)}
	}
	beat := herd("celery beat", 1000, 400, time.Millisecond)
	beat.Load = nil
	var out strings.Builder
	printGrowth(&out, []Herd{
		herd("onebeat", 10_000, 90_000, 3*time.Microsecond), herd("onebeat", 1000, 50_000, 4*time.Microsecond), beat,
		herd("onebeat", 1_000_000, 40_000, 6*time.Microsecond), herd("once", 1000, 1, 1),
	})
	if got, want := out.String(), "onebeat, 1,000,000 entries to 1,000: 80 % of the messages/s, 1.5 times the CPU a message\n"; got != want {
		t.Errorf("printGrowth printed %q, want %q", got, want)
	}
}
