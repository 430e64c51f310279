package schedule_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/robfig/cron/v3"
	"pgregory.net/rapid"

	"github.com/onebeat/onebeat/internal/schedule"
)

// standard reads a crontab of the standard dialect.
func standard(t testing.TB, text, zone string) schedule.Spec {
	t.Helper()
	spec, err := schedule.Reading{Zone: zone, Standard: true, Key: "7"}.Parse(text)
	if err != nil {
		t.Fatalf("Parse(%q, %q): %v", text, zone, err)
	}
	return spec
}

// anyStandard draws the text of a crontab of the standard dialect: the fields that
// robfig/cron reads as well, or with rules all of them.
func anyStandard(t *rapid.T, rules bool) string {
	field := func(name string, first, last int, names ...string) string {
		value := func() string {
			n := rapid.IntRange(first, last).Draw(t, name)
			if names != nil && rapid.Bool().Draw(t, "named") {
				return names[n-first]
			}
			return fmt.Sprint(n)
		}
		rising := func() string {
			from := rapid.IntRange(first, last).Draw(t, name)
			return fmt.Sprintf("%d-%d", from, rapid.IntRange(from, last).Draw(t, name))
		}
		step := rapid.IntRange(1, last)
		forms := []func() string{
			func() string { return "*" },
			func() string { return "*" },
			value,
			func() string { return value() + "," + value() },
			rising,
			func() string { return fmt.Sprintf("%s/%d", rising(), step.Draw(t, "step")) },
			func() string { return fmt.Sprintf("*/%d", step.Draw(t, "step")) },
			func() string { return fmt.Sprintf("%s/%d,%s", value(), step.Draw(t, "step"), rising()) },
		}
		if rules {
			forms = append(forms, func() string { return "H" }, func() string { return fmt.Sprintf("H/%d", step.Draw(t, "step")) })
		}
		switch {
		case name == "day":
			forms = append(forms, func() string { return "?" })
			if rules {
				forms = append(forms,
					func() string { return "L" }, func() string { return "LW" },
					func() string { return fmt.Sprintf("L-%d", rapid.IntRange(1, 27).Draw(t, "before")) },
					func() string { return fmt.Sprintf("%dW,%s", rapid.IntRange(1, 28).Draw(t, "near"), value()) })
			}
		case name == "weekday" && rules:
			forms = append(forms, func() string { return value() + "L" },
				func() string { return fmt.Sprintf("%s#%d", value(), rapid.IntRange(1, 5).Draw(t, "nth")) })
		}
		return rapid.SampledFrom(forms).Draw(t, name+" form")()
	}
	months := []string{"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}
	days := []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}
	lastDay := 28 // so that it comes in every month
	fields := []string{field("minute", 0, 59), field("hour", 0, 23), field("day", 1, lastDay), field("month", 1, 12, months...), field("weekday", 0, 6, days...)}
	if rapid.Bool().Draw(t, "seconds") {
		fields = append([]string{field("second", 0, 59)}, fields...)
	}
	return strings.Join(fields, " ")
}

// Where clocks are not changed, slots are those of robfig/cron.
func TestStandardSlotsAreThoseOfAnotherCron(t *testing.T) {
	other := cron.NewParser(cron.SecondOptional | cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow)
	rapid.Check(t, func(t *rapid.T) {
		text := anyStandard(t, false)
		zone := rapid.SampledFrom([]string{"UTC", "Asia/Tokyo", "Asia/Kathmandu", "America/Phoenix"}).Draw(t, "zone")
		location, err := schedule.Location(zone)
		if err != nil {
			t.Fatal(err)
		}
		theirs, err := other.Parse(text)
		if err != nil {
			t.Fatalf("robfig/cron: %q: %v", text, err)
		}
		ours, err := schedule.Reading{Zone: zone, Standard: true}.Parse(text)
		if err != nil {
			t.Fatalf("Parse(%q): %v", text, err)
		}
		const from, to = 946684800, 2114380800 // 2000 to 2037
		at := time.Unix(rapid.Int64Range(from, to).Draw(t, "second"), 0)
		for range 200 { // 20,000 slots in all
			got, want := ours.Next(at), theirs.Next(at.In(location))
			if want.IsZero() { // it looks no further than five years
				return
			}
			if !got.Equal(want) {
				t.Fatalf("%q in %s after %v: %v, robfig/cron %v", text, zone, at.UTC(), got, want.UTC())
			}
			at = want
		}
	})
}

// Days are held against the rules' own words, date by date.
func TestDayRules(t *testing.T) {
	isWorkday := func(day time.Time) bool { return day.Weekday() != time.Saturday && day.Weekday() != time.Sunday }
	lastOfMonth := func(day time.Time) time.Time { return day.AddDate(0, 1, -day.Day()) }
	nearest := func(n int) func(time.Time) bool {
		return func(day time.Time) bool {
			nth := day.AddDate(0, 0, n-day.Day())
			if nth.Month() != day.Month() {
				return false // the month has no such day
			}
			for away := 0; ; away++ {
				for _, candidate := range []time.Time{nth.AddDate(0, 0, -away), nth.AddDate(0, 0, away)} {
					if candidate.Month() == day.Month() && isWorkday(candidate) {
						return candidate.Equal(day)
					}
				}
			}
		}
	}
	nth := func(weekday time.Weekday, n int) func(time.Time) bool {
		return func(day time.Time) bool {
			return day.Weekday() == weekday && day.AddDate(0, 0, -7*(n-1)).Month() == day.Month() && day.AddDate(0, 0, -7*n).Month() != day.Month()
		}
	}
	for _, tt := range []struct {
		dates, weekdays string
		given           func(day time.Time) bool
	}{
		{"L", "*", func(day time.Time) bool { return day.Equal(lastOfMonth(day)) }},
		{"L-3", "?", func(day time.Time) bool { return day.AddDate(0, 0, 3).Equal(lastOfMonth(day)) }},
		{"L-30", "*", func(day time.Time) bool { return day.Day() == 1 && lastOfMonth(day).Day() == 31 }},
		{"LW", "*", func(day time.Time) bool {
			for later := day.AddDate(0, 0, 1); later.Month() == day.Month(); later = later.AddDate(0, 0, 1) {
				if isWorkday(later) {
					return false
				}
			}
			return isWorkday(day)
		}},
		{"15W", "*", nearest(15)},
		{"1W", "*", nearest(1)},
		{"31w", "*", nearest(31)},
		{"30W,1", "*", func(day time.Time) bool { return nearest(30)(day) || day.Day() == 1 }},
		{"*", "5L", func(day time.Time) bool {
			return day.Weekday() == time.Friday && day.AddDate(0, 0, 7).Month() != day.Month()
		}},
		{"*", "sunl", func(day time.Time) bool {
			return day.Weekday() == time.Sunday && day.AddDate(0, 0, 7).Month() != day.Month()
		}},
		{"*", "fri#2", nth(time.Friday, 2)},
		{"?", "7#5", nth(time.Sunday, 5)},
		{"*", "mon#1,wednesday#3", func(day time.Time) bool { return nth(time.Monday, 1)(day) || nth(time.Wednesday, 3)(day) }},
		{"*", "7", func(day time.Time) bool { return day.Weekday() == time.Sunday }},
		{"*", "7-7", func(day time.Time) bool { return day.Weekday() == time.Sunday }},
		{"*", "5-7", func(day time.Time) bool {
			return day.Weekday() == time.Friday || day.Weekday() == time.Saturday || day.Weekday() == time.Sunday
		}},
		{"*", "fri-mon", func(day time.Time) bool { return day.Weekday() >= time.Friday || day.Weekday() <= time.Monday }},
		{"*", "1-7/3", func(day time.Time) bool {
			return slices.Contains([]time.Weekday{time.Monday, time.Thursday, time.Sunday}, day.Weekday())
		}},
		{"13", "fri", func(day time.Time) bool { return day.Day() == 13 || day.Weekday() == time.Friday }},
		{"L", "mon#1", func(day time.Time) bool { return day.Equal(lastOfMonth(day)) || nth(time.Monday, 1)(day) }},
		{"*/2", "fri", func(day time.Time) bool { return day.Day()%2 == 1 || day.Weekday() == time.Friday }},
		{"28-3", "*", func(day time.Time) bool { return day.Day() >= 28 || day.Day() <= 3 }},
	} {
		spec := standard(t, "0 0 "+tt.dates+" * "+tt.weekdays, "")
		slot := time.Date(1999, 12, 31, 0, 0, 0, 0, time.UTC)
		for day := slot.AddDate(0, 0, 1); day.Year() < 2030; day = day.AddDate(0, 0, 1) {
			if !tt.given(day) {
				continue
			}
			if slot = spec.Next(slot); !slot.Equal(day) {
				t.Errorf("%v gives %v, want %v", spec, slot, day)
				break
			}
		}
	}
}

func TestShorthands(t *testing.T) {
	for text, same := range map[string]string{
		"@hourly": "0 * * * *", "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@weekly": "0 0 * * 0",
		"@monthly": "0 0 1 * *", "@yearly": "0 0 1 1 *", "@Annually": "0 0 1 1 *",
	} {
		if got, want := standard(t, text, "Asia/Tokyo"), standard(t, same, "Asia/Tokyo"); got != want {
			t.Errorf("%s is %v, want %v", text, got, want)
		}
		if got, want := parse(t, "@standard "+text, ""), standard(t, same, ""); got != want {
			t.Errorf("@standard %s is %v, want %v", text, got, want)
		}
	}
	if got, want := standard(t, "@every 90s", ""), parse(t, "@every 90s", ""); got != want {
		t.Errorf("@every 90s in the standard dialect is %v, want %v", got, want)
	}
}

// H is the same for a key for good, different between keys and between fields, within
// its range, and about even.
func TestHSpreadsByKey(t *testing.T) {
	const keys = 2400
	counts := make(map[int]int)
	var same int
	for i := range keys {
		r := schedule.Reading{Standard: true, Key: fmt.Sprint("entry ", i)}
		first := func(text string) time.Time {
			spec, err := r.Parse(text)
			if err != nil {
				t.Fatal(err)
			}
			again, err := r.Parse(text)
			if err != nil || again != spec {
				t.Fatalf("%s for %q is %v, then %v (%v)", text, r.Key, spec, again, err)
			}
			return spec.Next(instant(t, "2026-10-31T23:59:59Z"))
		}
		counts[first("H * * * *").Minute()]++
		if at := first("H H * * *"); at.Minute()%24 == at.Hour() {
			same++
		}
		if hour := first("0 H(0-7) * * *").Hour(); hour > 7 {
			t.Errorf("H(0-7) is %d", hour)
		}
		if at := first("H/15 * * * *"); at.Minute() > 14 || at.Hour() != 0 {
			t.Errorf("H/15 begins at %v", at)
		}
		if at := first("H(30-59)/20 * * * *"); at.Minute() < 30 || at.Minute() > 49 || at.Hour() != 0 {
			t.Errorf("H(30-59)/20 begins at %v", at)
		}
		if at := first("0 0 H * *"); at.Day() > 28 {
			t.Errorf("H is day %d of the month", at.Day())
		}
	}
	for minute := range 60 {
		if n := counts[minute]; n < 10 || n > 80 { // 40 is even, and the deviation of its share is 6.3
			t.Errorf("minute %d is that of %d keys of %d", minute, n, keys)
		}
	}
	if same > keys/12 { // one in 24 by chance
		t.Errorf("the minute is the hour, modulo 24, for %d keys of %d", same, keys)
	}
}

func TestStandardErrorsSayWhereAndWhat(t *testing.T) {
	for _, tt := range []struct {
		text   string
		offset int
		want   string
	}{
		{"0 9 * * 8", 8, "day of week 8 is too high: use 0 to 7"},
		{"0 9 * *", 0, "a standard crontab has five fields (minute, hour, day of month, month, day of week), or six with seconds first, not 4"},
		{"0 60 9 * * *", 2, "minute 60 is too high: use 0 to 59"},
		{"0 9 * * 1,L", 10, "day of week L is not a day: write 5L for the last Friday of the month, or 6 for Saturday"},
		{"0 9 * * fri#6", 8, `day of week "FRI#6" is not a day: write #1 to #5 for the first to the fifth of the month`},
		{"0 9 L-31 * *", 4, `day of month "L-31" is not a day: write L-1 to L-30, days before the last of the month`},
		{"0 9 32W * *", 4, `day of month "32W" is not a day: write 1W to 31W for the nearest weekday, or LW for the last`},
		{"0 ? * * *", 2, `hour "?" is not understood: use 0 to 23, *, */5, 1-5, 1-5/2, 5/15 or H, or several with commas`},
		{"0 9 * mon *", 6, `month "MON" is not a month: use 1 to 12, jan to dec, *, */3, 1-5 or H, or several with commas`},
		{"0 9 * * foo", 8, `day of week "FOO" is not a day: use 0 to 7 (0 and 7 are Sunday), sun to sat, *, 1-5, 5L, fri#2 or H, or several with commas`},
		{"0 9 first * *", 4, `day of month "FIRST" is not a day: use 1 to 31, *, */2, 1-5, 5/10, L, L-3, LW, 15W or H, or several with commas`},
		{"0 9 30 2 *", 0, "day of month 30 never comes in month 2: choose a day or a month that exists"},
		{"0 9 31W 2,4 *", 0, "day of month 31W never comes in month 2,4: choose a day or a month that exists"},
		{"*/0 9 * * *", 0, "minute step 0 leads nowhere: use 1 or more"},
		{"0 9,,10 * * *", 4, "hour has an empty part: remove the comma, or write * for every hour"},
		{"H(7-0) * * * *", 0, `minute "H(7-0)" ends before it begins: write H(0-7)`},
		{"H(7 * * * *", 0, `minute "H(7" is not a range: write H, or H(0-59) for one of them`},
		{"CRON_TZ=Asia/Tokyo @standard 0 9 * * 8", 37, "day of week 8 is too high: use 0 to 7"},
		{"@reboot", 0, `"@reboot" is no spec: use five crontab fields, @standard, @every, @at, @solar or @rrule`},
		{"DST=none 0 9 * * *", 0, "DST=none is not known: write DST=real or DST=celery"},
	} {
		_, err := schedule.Reading{Standard: true, Key: "7"}.Parse(tt.text)
		var fault *schedule.SpecError
		if !errors.As(err, &fault) || fault.Problem != tt.want || fault.Offset != tt.offset || fault.Text != tt.text {
			t.Errorf("Parse(%q): %#v, want %q at %d", tt.text, err, tt.want, tt.offset)
		}
	}
	_, err := schedule.ParseSpec("@standard H 9 * * *", "", time.Time{})
	if want := `minute H is spread by an entry's id, and there is none here: name one, or write a number (at character 11 of "@standard H 9 * * *")`; err == nil || err.Error() != want {
		t.Errorf("H without a key: %v, want %s", err, want)
	}
}
