package schedule_test

import (
	"testing"

	"github.com/onebeat/onebeat/internal/schedule"
)

func TestDescribe(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"* * * * *", "every minute"},
		{"*/15 * * * *", "every 15 minutes"},
		{"0,30 * * * *", "every 30 minutes"},
		{"*/7 * * * *", "at the minutes 0, 7, 14, 21, 28, 35, 42, 49 and 56 of every hour"},
		{"30 * * * *", "at minute 30 of every hour"},
		{"* 9-17 * * mon-fri", "every minute of the hours 9 to 17 on Monday to Friday"},
		{"0 9 * * *", "at 09:00 every day"},
		{"59 23 * * *", "at 23:59 every day"},
		{"0 9-17 * * *", "at minute 0 of the hours 9 to 17 every day"},
		{"0 9,12 1,15 * *", "at 09:00 and 12:00 on day 1 and 15 of the month"},
		{"0 0 13 * fri", "at 00:00 on Friday when it is day 13 of the month"},
		{"0 0 29 2 *", "at 00:00 on day 29 of the month in February"},
		{"0 0 * nov-feb *", "at 00:00 in January, February, November and December"},
		{"@every 1d12h from 2026-11-24T00:00:00Z", "every 1d12h from 2026-11-24T00:00:00Z"},
		{"@at 2026-11-24T00:00:00Z", "once at 2026-11-24T00:00:00Z"},
	} {
		if got := schedule.Describe(parse(t, tt.text, "")); got != tt.want {
			t.Errorf("Describe(%s) = %q, want %q", tt.text, got, tt.want)
		}
	}
}
