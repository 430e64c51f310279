package schedule

import (
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestFieldIsReadAsCeleryReadsIt(t *testing.T) {
	table, err := os.ReadFile("testdata/grammar.txt")
	if err != nil {
		t.Fatal(err)
	}
	read := 0
	for line := range strings.Lines(string(table)) {
		if line[0] == '#' {
			continue
		}
		row := strings.Split(line, "|")
		text, err := strconv.Unquote(strings.TrimSpace(row[1]))
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		name, want := strings.TrimSpace(row[0]), strings.TrimSpace(row[2])
		for _, f := range crontabFields {
			if f.name != name {
				continue
			}
			read++
			set, fault := f.parse(text)
			if got := values(set, fault); got != want {
				t.Errorf("%s %q = %s, want %s", name, text, got, want)
			}
			if fault != nil {
				continue
			}
			if again, fault := f.parse(set.text); fault != nil || again.values != set.values || again.star != set.star {
				t.Errorf("%s %q is %q again, which reads as %v (%v), want %v", name, text, set.text, again, fault, set)
			}
		}
	}
	if lines := strings.Count(string(table), "\n") - 1; read != lines {
		t.Errorf("read %d rows of %d", read, lines)
	}
}

// values returns a set's values in order, or "error".
func values(set fieldSet, fault *SpecError) string {
	if fault != nil {
		return "error"
	}
	var all []string
	for n := range 64 {
		if set.values>>n&1 != 0 {
			all = append(all, strconv.Itoa(n))
		}
	}
	return strings.Join(all, ",")
}

func TestSpecErrorSaysWhereAndWhat(t *testing.T) {
	for _, tt := range []struct {
		text   string
		offset int
		want   string
	}{
		{"0 9 * * 7", 8, "day of week 7 is not a day for Celery: use 0 for Sunday, or @standard before the fields"},
		{"7 7 7 7 7", 8, "day of week 7 is not a day for Celery: use 0 for Sunday, or @standard before the fields"},
		{"CRON_TZ=Asia/Tokyo  0 9 * * 1,7", 30, "day of week 7 is not a day for Celery: use 0 for Sunday, or @standard before the fields"},
		{"60 * * * *", 0, "minute 60 is too high: use 0 to 59"},
		{"0 9 0 * *", 4, "day of month 0 is too low: use 1 to 31"},
		{"5/15 * * * *", 0, `minute "5/15" has a step, which Celery takes only after * or a range: write 5-59/15`},
		{"*/0 * * * *", 0, "minute step 0 leads nowhere: use 1 or more"},
		{"0 9 1,,2 * *", 6, "day of month has an empty part: remove the comma, or write * for every day of month"},
		{"0 9 31 4,6 *", 4, "day of month 31 never comes in month 4,6: choose a day or a month that exists"},
		{"0 9 * *", 0, "a crontab has five fields (minute, hour, day of month, month, day of week), not 4"},
		{"0 0 9 * * *", 0, "a crontab has five fields (minute, hour, day of month, month, day of week), not 6: Celery knows no seconds, use @standard before the fields"},
		{"every 5 minutes", 0, "a crontab has five fields (minute, hour, day of month, month, day of week), not 3: write an interval as @every 90s or @every 5m"},
		{"90", 0, "a crontab has five fields (minute, hour, day of month, month, day of week), not 1: write an interval as @every 90s or @every 5m"},
		{"", 0, "a crontab has five fields (minute, hour, day of month, month, day of week), not 0"},
		{"@Daily", 0, "Celery knows no @Daily: write 0 0 * * *"},
		{"@reboot", 0, `"@reboot" is no spec: use five crontab fields, @standard, @every, @at, @solar or @rrule`},
		{"@every 500ms", 0, "an interval of 500ms is too short: use 1s or more"},
		{"@every 1s1ns", 0, "an interval of 1.000000001s is too fine: use whole microseconds"},
		{"@every soon", 0, `"soon" is not a length of time: write it as 90s, 1h30m or 1d`},
		{"@every", 0, `"" is not a length of time: write it as 90s, 1h30m or 1d`},
		{"@every 16000w", 0, `"16000w" is too long: an interval ends at 292 years`},
		{"@every 1h from noon", 15, `"noon" is not a time: write it as 2026-11-24T09:00:00Z or 2026-11-24T09:00:00+09:00`},
		{"@at 2026-02-30T00:00:00Z", 4, `"2026-02-30T00:00:00Z" is not a time: write it as 2026-11-24T09:00:00Z or 2026-11-24T09:00:00+09:00`},
		{"TZ= 0 9 * * *", 0, "TZ= names no zone: write it as in TZ=Asia/Tokyo"},
	} {
		_, err := ParseSpec(tt.text, "", time.Time{})
		fault, ok := err.(*SpecError)
		if !ok {
			t.Errorf("ParseSpec(%q): %v, want a SpecError", tt.text, err)
			continue
		}
		if fault.Problem != tt.want || (tt.offset > 0 && fault.Offset != tt.offset) || fault.Text != tt.text {
			t.Errorf("ParseSpec(%q) = %q at %d of %q, want %q at %d", tt.text, fault.Problem, fault.Offset, fault.Text, tt.want, tt.offset)
		}
		if strings.Contains(err.Error(), "\n") {
			t.Errorf("ParseSpec(%q): %q has more than one line", tt.text, err)
		}
	}
}

func TestFieldsApartSayWhichIsWrong(t *testing.T) {
	_, err := ParseCrontabFields("0", "9", "mon,8", "*", "*", "")
	want := SpecError{Text: "mon,8", Offset: 4, Field: "day of week", Problem: "day of week 8 is too high: use 0 to 6"}
	if fault, ok := err.(*SpecError); !ok || *fault != want {
		t.Errorf("ParseCrontabFields: %#v, want %#v", err, want)
	}
}

func TestZoneThatIsNotKnown(t *testing.T) {
	for _, zone := range []string{"Mars/Olympus", "Local", "localtime", "../etc/passwd", "EST5EDT4"} {
		for _, text := range []string{"0 9 * * *", "@every 1h", "CRON_TZ=" + zone + " 0 9 * * *"} {
			if _, err := ParseSpec(text, zone, time.Time{}); err == nil || !strings.Contains(err.Error(), zone) {
				t.Errorf("ParseSpec(%q, %q): %v, want an error that names the zone", text, zone, err)
			}
		}
	}
}

func TestEqualSpecsShareOneValue(t *testing.T) {
	one, err := ParseSpec("0 9 * * 1-5", "Asia/Tokyo", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	for _, same := range []struct{ text, zone string }{
		{" 0  9 * * 1-5 ", "Asia/Tokyo"}, {"00 9 * * Mon-Friday", "Asia/Tokyo"}, {"CRON_TZ=Asia/Tokyo 0 9 * * 1-5", "Europe/Berlin"},
	} {
		if other, err := ParseSpec(same.text, same.zone, time.Time{}); err != nil || other != one {
			t.Errorf("ParseSpec(%q, %q) is another value (%v)", same.text, same.zone, err)
		}
	}
	if other, err := ParseCrontabFields("0", "9", "1-5", "*", "*", "Asia/Tokyo"); err != nil || Spec(other) != one {
		t.Errorf("ParseCrontabFields gives another value (%v)", err)
	}
	if other, err := ParseSpec("0 9 * * 1-5", "Europe/Berlin", time.Time{}); err != nil || other == one {
		t.Errorf("ParseSpec in another zone gives the same value (%v)", err)
	}
}

func TestInternTableIsBounded(t *testing.T) {
	in := interned{table: make(map[internKey]*Crontab)}
	for i := range maxInterned + 1000 {
		in.put(internKey{text: strconv.Itoa(i)}, &Crontab{text: "own " + strconv.Itoa(i)})
	}
	if len(in.table) != maxInterned {
		t.Errorf("the table holds %d, want %d", len(in.table), maxInterned)
	}
}
