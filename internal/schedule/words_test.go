package schedule_test

import (
	"testing"

	"github.com/onebeat/onebeat/internal/schedule"
)

func TestDescribe(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"* * * * *", "every minute"},
		{
			`@rules {"also": ["0 18 * * 5"], "except": ["2026-12-25"], "weekend": "sat,sun", "shift": "next", "offset": "-1h", "start": "2026-01-01"} 0 9 * * *`,
			"at 09:00 every day; also at 18:00 on Friday; except 2026-12-25; not on sat,sun; from days off to the next working day; later by -1h; from 2026-01-01 on",
		},
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
		{"@standard 0 0 13 * fri", "at 00:00 on day 13 of the month and on every Friday"},
		{"@standard 0 9 L,15W * *", "at 09:00 on the last day of the month and the weekday nearest day 15 of the month"},
		{"@standard 0 9 LW,L-1,L-3 2 ?", "at 09:00 on the day before the last of the month, 3 days before the last of the month and the last weekday of the month in February"},
		{"@standard 0 9 ? * fri#2,5L", "at 09:00 on the second Friday of the month and the last Friday of the month"},
		{"@standard 0 9 1 * mon#1", "at 09:00 on day 1 of the month and on the first Monday of the month"},
		{"@standard 30 0 9 * * *", "at 09:00:30 every day"},
		{"@standard */10 * * * * *", "at second 0, 10, 20, 30, 40 and 50 of every minute"},
		{"@standard * * * * * *", "every second of every minute"},
		{"@standard 15 30 * * * *", "at second 15 of the minute, at minute 30 of every hour"},
		{"@standard * 0 9 * * *", "every second of the minute, at 09:00 every day"},
		{"@standard 0 9 1-31 * 5", "at 09:00 every day"},
		{"DST=celery 0 9 * * *", "at 09:00 every day"},
		{"@solar dusk_civil -33.8688 151.2093", "at civil dusk, latitude -33.8688 and longitude 151.2093"},
		{"@rrule FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,WE;BYHOUR=9 DTSTART:20261124T090000", "every 2 weeks with BYDAY=MO,WE and BYHOUR=9 from 2026-11-24 09:00:00"},
		{"@rrule FREQ=DAILY DTSTART:20261124T090000 RDATE:20270101T120000 EXDATE:20261125T090000,20261126T090000", "every day and on 1 given date from 2026-11-24 09:00:00, without 2 given dates"},
		{"@every 1d12h from 2026-11-24T00:00:00Z", "every 1d12h from 2026-11-24T00:00:00Z"},
		{"CRON_TZ=Asia/Tokyo @every 1d wall from 2026-11-24T00:00:00Z", "every day at 09:00:00 by the clocks, from 2026-11-24"},
		{"@every 2w wall from 2026-11-24T00:00:00Z", "every 14 days at 00:00:00 by the clocks, from 2026-11-24"},
		{"@every 90s relative from 2026-11-24T00:00:13Z", "every minute at a whole minute, as from 2026-11-24 00:01:00"},
		{"CRON_TZ=Asia/Tokyo @every 2h relative from 2026-11-24T00:30:00Z", "every 2 hours at a whole hour, as from 2026-11-24 11:00:00"},
		{"CRON_TZ=Asia/Tokyo @every 36h relative from 2026-11-24T00:30:00Z", "every day at midnight, as from 2026-11-25"},
		{"@at 2026-11-24T00:00:00Z", "once at 2026-11-24T00:00:00Z"},
	} {
		if got := schedule.Describe(parse(t, tt.text, "")); got != tt.want {
			t.Errorf("Describe(%s) = %q, want %q", tt.text, got, tt.want)
		}
	}
}
