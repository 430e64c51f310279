package main

import (
	"time"

	"github.com/spf13/pflag"

	"github.com/onebeat/onebeat/internal/schedule"
)

// instantOrLength reads an instant, or a length from now on; empty is no instant. A time of
// the day alone is the next.
func instantOrLength(text string, now time.Time, zone string) (time.Time, error) {
	return readInstant(text, now, zone, true)
}

// lateInstant is instantOrLength, but that a time of the day alone is the latest.
func lateInstant(text string, now time.Time, zone string) (time.Time, error) {
	return readInstant(text, now, zone, false)
}

// sinceInstant reads an instant, or a length back from now. A time of the day alone is the latest.
func sinceInstant(text string, now time.Time, zone string) (time.Time, error) {
	if length, err := schedule.ReadLength(text); err == nil {
		if length < 0 {
			return time.Time{}, usage("%s is no time ago: give a length such as 2h", text)
		}
		return now.Add(-length), nil
	}
	return lateInstant(text, now, zone)
}

// Instants as the verbs print them, and as people write them by the zone's clocks.
var (
	withOffset = []string{time.RFC3339, "2006-01-02 15:04:05 -0700", "2006-01-02 15:04:05Z07:00"}
	byClock    = []string{"2006-01-02 15:04", "2006-01-02 15:04:05", "2006-01-02T15:04", "2006-01-02T15:04:05", time.DateOnly}
	ofTheDay   = []string{"15:04", time.TimeOnly}
)

func readInstant(text string, now time.Time, zone string, ahead bool) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if length, err := schedule.ReadLength(text); err == nil {
		return now.Add(length), nil
	}
	for _, layout := range withOffset {
		if instant, err := time.Parse(layout, text); err == nil && !instant.IsZero() { // which stands for none
			return instant, nil
		}
	}
	location, err := schedule.Location(zone)
	if err != nil {
		return time.Time{}, err
	}
	for _, layout := range byClock {
		if t, err := time.Parse(layout, text); err == nil && !t.IsZero() {
			return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), 0, location), nil
		}
	}
	for _, layout := range ofTheDay {
		clock, err := time.Parse(layout, text)
		if err != nil {
			continue
		}
		day := now.In(location)
		at := func(days int) time.Time {
			return time.Date(day.Year(), day.Month(), day.Day()+days, clock.Hour(), clock.Minute(), clock.Second(), 0, location)
		}
		instant := at(0)
		switch {
		case ahead && !instant.After(now):
			instant = at(1)
		case !ahead && instant.After(now):
			instant = at(-1)
		}
		return instant, nil
	}
	return time.Time{}, usage("%q is neither a length such as 2h nor an instant such as 2030-01-01T00:00:00Z, \"2030-01-01 03:00\" or 03:00", text)
}

// A lengthFlag is a flag whose value schedule.ReadLength reads.
type lengthFlag time.Duration

// lengthVar defines a flag of a length.
func lengthVar(flags *pflag.FlagSet, to *time.Duration, name string, unless time.Duration, usage string) {
	*to = unless
	flags.Var((*lengthFlag)(to), name, usage)
}

func (f *lengthFlag) Set(text string) error {
	length, err := schedule.ReadLength(text)
	if err == nil {
		*f = lengthFlag(length)
	}
	return err
}

// String is empty for no length, so that help shows no default.
func (f *lengthFlag) String() string {
	if *f == 0 {
		return ""
	}
	return time.Duration(*f).String()
}

func (f *lengthFlag) Type() string { return "duration" }
