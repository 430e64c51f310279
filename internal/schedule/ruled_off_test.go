package schedule_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
)

// However many slots days off drop in a row, the next one comes.
func TestRulesDropAnyNumberOfSlots(t *testing.T) {
	for _, tt := range []struct{ spec, after, want string }{
		{`@rules {"weekend": "sat,sun"} @every 1s`, "2026-11-27T23:59:59Z", "2026-11-30T00:00:00Z"},
		{`@rules {"weekend": "sat,sun", "offset": "1h"} @every 1s`, "2026-11-28T00:59:59Z", "2026-11-30T01:00:00Z"},
		{`@rules {"weekend": "sat,sun", "also": ["0 12 * * *"]} @every 1500ms from 2026-11-27T00:00:00.25Z`, "2026-11-27T23:59:59.25Z", "2026-11-30T00:00:00.25Z"},
		{`@rules {"except": ["2026-06-01..2026-10-31"]} * * * * *`, "2026-05-31T23:59:00Z", "2026-11-01T00:00:00Z"},
		{`CRON_TZ=Europe/Berlin @rules {"except": ["2026-03-01..2026-10-31"]} * * * * *`, "2026-02-28T22:59:00Z", "2026-10-31T23:00:00Z"},
		{`CRON_TZ=America/Sao_Paulo @rules {"except": ["2018-11-03..2018-11-04"]} @every 1s`, "2018-11-03T02:59:59Z", "2018-11-05T02:00:00Z"}, // the 4th began at 01:00
		{`@rules {"except": ["2026-11-27..2226-11-27"]} @every 1s`, "2026-11-26T23:59:59Z", "2226-11-28T00:00:00Z"},
		{`@rules {"except": ["* * * 2-12 *"]} * * * * *`, "2026-01-31T23:59:00Z", "2027-01-01T00:00:00Z"},
	} {
		spec, err := schedule.ParseSpec(tt.spec, "UTC", time.Time{})
		if err != nil {
			t.Errorf("ParseSpec(%s): %v", tt.spec, err)
			continue
		}
		after, err1 := time.Parse(time.RFC3339Nano, tt.after)
		want, err2 := time.Parse(time.RFC3339Nano, tt.want)
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		if got := spec.Next(after); !got.Equal(want) {
			t.Errorf("Next(%s) of %s = %v, want %s", tt.after, tt.spec, got, tt.want)
		}
	}
}

// What is off for ever costs no more than a look at some slots, also of specs of which each costs a lot.
func TestDaysOffForEverCostLittle(t *testing.T) {
	const sunset = "@solar sunset 35.6895 139.6917"
	after := time.Date(2026, time.December, 31, 12, 0, 0, 0, time.UTC)
	took := func(text, want string) time.Duration {
		spec, err := schedule.ParseSpec(text, "Asia/Tokyo", time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		best := time.Duration(1<<63 - 1)
		for range 5 {
			start := time.Now()
			next := spec.Next(after)
			best = min(best, time.Since(start))
			if got := next.Format(time.DateOnly); got != want {
				t.Fatalf("Next(%v) of %s = %v, want one of %s", after, text, next, want)
			}
		}
		return best
	}
	plain := took(sunset, "2027-01-01")
	if off := took(`@rules {"except": ["2027-01-01..9999-12-31"]} `+sunset, "0001-01-01"); off > 1000*plain {
		t.Errorf("a day off for ever takes %v, and the next sunset %v; want a thousand times as long at most", off, plain)
	}
}

// Rules that drop every slot of centuries leave none: what is looked at for longer would keep others waiting.
func TestRulesThatDropAllForLongLeaveNone(t *testing.T) {
	for also, leaves := range map[string]bool{"0 0 1 * *": true, "0 0 * * 1": false} { // a slot a month, or a week, since the year 1
		text := fmt.Sprintf(`@rules {"also": [%q], "except": [%q]} @at 2030-01-02T00:00:00Z`, also, also)
		if _, err := schedule.ParseSpec(text, "UTC", time.Time{}); (err == nil) != leaves {
			t.Errorf("ParseSpec(%s): %v; want that it leaves a slot: %v", text, err, leaves)
		}
	}
}
