package schedule

import (
	"testing"
	"time"
)

// A counted is a spec that counts how often it is asked.
type counted struct {
	Spec
	asked int
}

func (c *counted) Next(t time.Time) time.Time {
	c.asked++
	return c.Spec.Next(t)
}

// A spec that rules leave out for months is asked about those months a few times at most,
// whatever is wanted to be known of the time before: its entry holds up all others meanwhile.
func TestMonthsWithoutASlotAreLookedAtFewTimes(t *testing.T) {
	spec, err := ParseSpec(`@rules {"except": ["* * * 1-11 *"]} */30 * * * *`, "UTC", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	except := &counted{Spec: spec.(*Ruled).except[0]}
	spec.(*Ruled).except[0] = except
	asked := func(of func()) int {
		except.asked = 0
		of()
		return except.asked
	}
	date := func(year int, month time.Month, day, hour, minute int) time.Time {
		return time.Date(year, month, day, hour, minute, 0, 0, time.UTC)
	}
	last, first := date(2026, 12, 31, 23, 30), date(2027, 12, 1, 0, 0)
	months := asked(func() {
		if next := spec.Next(last); !next.Equal(first) {
			t.Errorf("Next(%v) = %v, want %v", last, next, first)
		}
	})
	for name, most := range map[string]int{"Latest": 5 * months, "Latest soon after": 200, "Count": 200, "Gives": 2} {
		got := asked(func() {
			switch name {
			case "Latest":
				if slot := Latest(spec, date(2026, 12, 1, 0, 0), first.Add(-time.Microsecond)); !slot.Equal(last) {
					t.Errorf("Latest before %v = %v, want %v", first, slot, last)
				}
			case "Latest soon after":
				if slot := Latest(spec, date(2026, 12, 1, 0, 0), date(2027, 1, 1, 0, 10)); !slot.Equal(last) {
					t.Errorf("Latest = %v, want %v", slot, last)
				}
			case "Count":
				if n, slot := Count(spec, date(2026, 12, 31, 12, 0), date(2027, 1, 1, 1, 0), 1000); n != 23 || !slot.Equal(last) {
					t.Errorf("Count = %d, %v, want 23, %v", n, slot, last)
				}
			case "Gives":
				if Gives(spec, date(2027, 1, 1, 0, 0)) {
					t.Error("Gives a slot that the rules leave out")
				}
			}
		})
		if got > most {
			t.Errorf("%s asked %d times, want %d at most: there are %d between two of its slots", name, got, most, months)
		}
	}
}
