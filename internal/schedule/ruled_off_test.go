package schedule_test

import (
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
