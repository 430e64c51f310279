package schedule_test

import (
	"slices"
	"testing"

	"github.com/onebeat/onebeat/internal/schedule"
)

func TestLint(t *testing.T) {
	for _, tt := range []struct {
		text, zone string
		want       []string
	}{
		{"*/15 9-17 * * 1-5", "America/New_York", nil},
		{"*/7 * * * *", "UTC", []string{"minute */7 does not come out even: after 56 the next is 0 again, only 4 later"}},
		{"0 */5 * * *", "UTC", []string{"hour */5 does not come out even: after 20 the next is 0 again, only 4 later"}},
		{"*/60 * * * *", "UTC", []string{"minute */60 gives 0 alone: there are only 60 of them"}},
		{"0 0 */2 * *", "UTC", []string{"day of month */2 begins anew on the 1st of each month, however long the last one was"}},
		{"@standard */7 0 9 * * *", "UTC", []string{"second */7 does not come out even: after 56 the next is 0 again, only 4 later"}},
		{"0 0 30 1,2 *", "UTC", []string{"day 30 never comes in February"}},
		{"0 0 31 */1 *", "UTC", nil},
		{"0 0 31 2-6 *", "UTC", []string{"day 31 never comes in February, April and June"}},
		{"0 0 29 2 *", "UTC", []string{"day 29 comes to February in leap years only"}},
		{"0 0 13 * fri", "UTC", []string{"both day fields are set: Celery wants a day to be in both of them, where cron takes either"}},
		{"@standard 0 0 13 * fri", "UTC", []string{"both day fields are set: a day needs to be in one of them only, where Celery wants both"}},
		{"30 2 * * *", "Europe/Berlin", []string{"02:30 on 2027-03-28 does not exist in Europe/Berlin, as clocks go forward: the slot is at 03:00 on 2027-03-28"}},
		{"DST=celery 30 2 * * *", "Europe/Berlin", []string{"02:30 on 2027-03-28 does not exist in Europe/Berlin, as clocks go forward: the slot is at 03:30 on 2027-03-28"}},
		{"30 * * * *", "Europe/Berlin", nil},
		{"30 3 * * *", "Europe/Berlin", nil},
		{"30 2 * * *", "Asia/Tokyo", nil},
		{"30 2 * 6 *", "Europe/Berlin", nil},
		{"@every 7m", "Europe/Berlin", nil},
		{"@every 2h relative", "Europe/Berlin", nil},
		{"@every 90s relative", "Europe/Berlin", []string{"1m30s relative is rounded down to 1m, as Celery does: leave relative out for slots every 1m30s"}},
		{"@every 36h relative", "Europe/Berlin", []string{"1d12h relative is rounded down to 1d, as Celery does: leave relative out for slots every 1d12h"}},
		{"@every 1d wall from 2026-11-24T01:30:00Z", "Europe/Berlin", []string{"02:30 on 2027-03-28 does not exist in Europe/Berlin, as clocks go forward: the slot is at 03:00 on 2027-03-28"}},
		{"@every 2d wall from 2026-11-24T01:30:00Z", "Europe/Berlin", []string{"02:30 on 2027-03-28 does not exist in Europe/Berlin, as clocks go forward: the slot is at 03:00 on 2027-03-28"}},
		{"@every 1d wall from 2026-11-24T04:30:00Z", "Europe/Berlin", nil},
		{"@every 1d relative", "America/Havana", []string{"00:00 on 2028-03-12 does not exist in America/Havana, as clocks go forward: the slot is at 01:00 on 2028-03-12"}},
	} {
		if got := schedule.Lint(parse(t, tt.text, tt.zone), instant(t, "2026-11-24T00:00:00Z")); !slices.Equal(got, tt.want) {
			t.Errorf("Lint(%s in %s) = %q, want %q", tt.text, tt.zone, got, tt.want)
		}
	}
}
