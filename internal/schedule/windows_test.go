package schedule_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/onebeat/onebeat/internal/schedule"
)

func window(t rapid.TB, name, scope, target, spec string, length time.Duration) schedule.Window {
	t.Helper()
	parsed, err := schedule.ParseSpec(spec, "UTC", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	return schedule.Window{Name: name, Scope: scope, Target: target, Spec: parsed, Length: length, Reason: "why"}
}

func scheduled(t rapid.TB, id, spec string) *schedule.Entry {
	t.Helper()
	parsed, err := schedule.ParseSpec(spec, "UTC", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	return &schedule.Entry{ID: schedule.ID(id), Spec: parsed}
}

func TestWindowsHoldWhomTheyAreFor(t *testing.T) {
	windows := schedule.NewWindows([]schedule.Window{
		window(t, "night", schedule.ScopeAll, "", "0 2 * * *", 2*time.Hour),
		window(t, "bills", schedule.ScopeGroup, "billing", "@at 2026-12-01T12:00:00Z", time.Hour),
		window(t, "one", schedule.ScopeEntry, "7", "@at 2026-12-01T13:00:00Z", time.Hour),
	})
	plain, billing := scheduled(t, "1", "* * * * *"), scheduled(t, "2", `@rules {"group": "billing"} * * * * *`)
	seven := scheduled(t, "7", "* * * * *")
	for _, tt := range []struct {
		clock string
		entry *schedule.Entry
		want  string
	}{
		{"01:59:59", plain, ""},
		{"02:00:00", plain, "window night: why"},
		{"03:59:59", billing, "window night: why"},
		{"04:00:00", plain, ""}, // the end is not in it
		{"12:00:00", plain, ""},
		{"12:00:00", billing, "window bills: why"},
		{"13:00:00", billing, ""},
		{"13:00:00", seven, "window one: why"},
		{"13:00:00", plain, ""},
	} {
		slot, err := time.Parse(time.DateTime, "2026-12-01 "+tt.clock)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := windows.Closed(tt.entry, slot); got != tt.want {
			t.Errorf("entry %s at %s is held by %q, want %q", tt.entry.ID, tt.clock, got, tt.want)
		}
		if got, until := (*schedule.Windows)(nil).Closed(tt.entry, slot); got != "" || !until.IsZero() {
			t.Errorf("no windows hold %s", tt.clock)
		}
	}
	if got := schedule.GroupOf(billing.Spec); got != "billing" {
		t.Errorf("GroupOf = %q", got)
	}
	if got := windows.Outside(plain).String(); got != "* * * * * outside of night" {
		t.Errorf("the spec outside of windows is %q", got)
	}
	if got := schedule.NewWindows(nil).Outside(plain); got != plain.Spec {
		t.Errorf("outside of no windows is %v, want the spec itself", got)
	}
}

// Closed, Begins and Next agree with the instants that the windows hold, one by one.
func TestWindowsAgreeWithTheirInstants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		start := time.Date(2026, 3, 28, 0, 0, 0, 0, time.UTC)
		var all []schedule.Window
		for n := range rapid.IntRange(1, 3).Draw(t, "windows") {
			spec := rapid.SampledFrom([]string{"0 2 * * *", "*/40 * * * *", "CRON_TZ=Europe/Berlin 30 2 * * *", "@at 2026-03-29T05:00:00Z"}).Draw(t, "spec")
			all = append(all, window(t, fmt.Sprint(n), schedule.ScopeAll, "", spec, time.Duration(rapid.IntRange(1, 90).Draw(t, "minutes"))*time.Minute))
		}
		windows := schedule.NewWindows(all)
		e := scheduled(t, "1", rapid.SampledFrom([]string{"*/10 * * * *", "@every 7m", "15 * * * *"}).Draw(t, "entry"))
		const minutes = 2 * 24 * 60
		held, begins := [minutes]bool{}, [minutes]bool{}
		for _, w := range all {
			for at := w.Spec.Next(start.Add(-3 * time.Hour)); at.Before(start.Add(minutes * time.Minute)); at = w.Spec.Next(at) {
				if at.IsZero() {
					break
				}
				first := int(at.Sub(start) / time.Minute)
				if first >= 0 {
					begins[first] = true
				}
				for m := first; m < min(first+int(w.Length/time.Minute), minutes); m++ {
					if m >= 0 {
						held[m] = true
					}
				}
			}
		}
		nextOpen, nextBegin := time.Time{}, time.Time{}
		for m := minutes - 1; m >= 0; m-- {
			at := start.Add(time.Duration(m) * time.Minute)
			reason, until := windows.Closed(e, at)
			if (reason != "") != held[m] || held[m] && !until.After(at) {
				t.Fatalf("Closed(%v) = %q until %v, want held %t", at, reason, until, held[m])
			}
			before := at.Add(-time.Microsecond)
			if e.Spec.Next(before).Equal(at) && !held[m] {
				nextOpen = at
			}
			if begins[m] {
				nextBegin = at
			}
			if !nextOpen.IsZero() {
				if got := windows.Next(e, before); !got.Equal(nextOpen) {
					t.Fatalf("Next(%v) = %v, want %v", before, got, nextOpen)
				}
			}
			if !nextBegin.IsZero() {
				if got := windows.Begins(e, before); !got.Equal(nextBegin) {
					t.Fatalf("Begins(%v) = %v, want %v", before, got, nextBegin)
				}
			}
		}
	})
}
