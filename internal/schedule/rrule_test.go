package schedule_test

import (
	"errors"
	"testing"
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
)

func TestRecurrenceRefuses(t *testing.T) {
	for _, tt := range []struct {
		text   string
		offset int
		want   string
	}{
		{"@rrule", 6, "the rules give no slot at all: write one such as FREQ=WEEKLY;BYDAY=MO DTSTART:20261124T090000"},
		{"@rrule BYDAY=MO", 7, "the rule has no FREQ: write it as FREQ=WEEKLY;BYDAY=MO;BYHOUR=9"},
		{"@rrule FREQ=FORTNIGHTLY", 7, `FREQ "FORTNIGHTLY" is not known: use YEARLY, MONTHLY, WEEKLY, DAILY, HOURLY, MINUTELY or SECONDLY`},
		{"@rrule RRULE:FREQ=DAILY;BYHOUR=9,24", 24, `BYHOUR "24" is out of range: use 0 to 23`},
		{"@rrule FREQ=MONTHLY;BYMONTHDAY=0", 20, `BYMONTHDAY "0" is out of range: use 1 to 31, or -31 to -1 from the end`},
		{"@rrule FREQ=DAILY;INTERVAL=0", 18, `INTERVAL "0" is out of range: use 1 to 1000000`},
		{"@rrule FREQ=DAILY;EVERY=2", 18, `"EVERY=2" is no part of a rule of RFC 5545: write it as FREQ=WEEKLY;BYDAY=MO;BYHOUR=9`},
		{"@rrule FREQ=DAILY;BYDAY=XX", 18, `"XX" is no day of a rule: use MO, TU, WE, TH, FR, SA or SU, or as 2MO or -1FR in a month`},
		{"@rrule FREQ=WEEKLY;BYDAY=1MO", 7, "BYDAY has numbers for FREQ=MONTHLY and YEARLY only: write MO, not 1MO"},
		{"@rrule FREQ=MONTHLY;BYWEEKNO=3", 7, "BYWEEKNO is for FREQ=YEARLY only: leave it out"},
		{"@rrule FREQ=DAILY;COUNT=3;UNTIL=20270101T000000", 7, "a rule has COUNT or UNTIL, not both: leave one out"},
		{"@rrule FREQ=DAILY;UNTIL=tomorrow", 18, `UNTIL "TOMORROW" is not a time of iCalendar: write it as 20261124T090000, or with a Z for UTC`},
		{"@rrule FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", 7, "the rules give no slot at all: write one such as FREQ=WEEKLY;BYDAY=MO DTSTART:20261124T090000"},
		{"@rrule FREQ=HOURLY;INTERVAL=2;BYHOUR=1 DTSTART:20260101T000000", 7, "the rules give no slot at all: write one such as FREQ=WEEKLY;BYDAY=MO DTSTART:20261124T090000"},
		{"@rrule FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30;COUNT=3", 7, "COUNT is not reached in good time: use UNTIL, or leave it out"},
		{"@rrule FREQ=HOURLY;BYHOUR=3;BYMONTH=2;BYMONTHDAY=29;COUNT=10000", 7, "COUNT is not reached in good time: use UNTIL, or leave it out"},
		{"@rrule FREQ=DAILY DTSTART:tomorrow", 18, `"tomorrow" is not a time of iCalendar: write it as 20261124T090000, or with a Z for UTC`},
		{"@rrule FREQ=DAILY DTSTART;TZID=Mars/Olympus:20260101T000000", 18, `zone "Mars/Olympus" is not known: use an IANA name such as Europe/Berlin`},
		{"@rrule FREQ=DAILY SUMMARY:Backup", 18, `"SUMMARY" is no property that is known: use RRULE, DTSTART, RDATE or EXDATE`},
		{"@rrule FREQ=DAILY DTSTART:20260101T000000 DTSTART:20260102T000000", 42, "there are two DTSTARTs: leave one out"},
		{"DST=celery @rrule FREQ=DAILY", 0, "DST=celery is for crontabs: Celery has no recurrence rules"},
	} {
		_, err := schedule.ParseSpec(tt.text, "", time.Time{})
		var fault *schedule.SpecError
		if !errors.As(err, &fault) || fault.Problem != tt.want || fault.Offset != tt.offset {
			t.Errorf("ParseSpec(%q): %#v, want %q at %d", tt.text, err, tt.want, tt.offset)
		}
	}
}

// Rules that hardly ever come, or never, are found out in milliseconds: a row with one is
// read again and again. They once took seconds each.
func TestRecurrenceIsReadQuickly(t *testing.T) {
	begin := time.Now()
	for _, text := range []string{
		"FREQ=HOURLY;INTERVAL=24;BYHOUR=5 DTSTART:20260101T060000",
		"FREQ=MINUTELY;INTERVAL=1440;BYHOUR=5 DTSTART:20260101T000000",
		"FREQ=SECONDLY;INTERVAL=86400;BYHOUR=5 DTSTART:20260101T000000",
		"FREQ=HOURLY;INTERVAL=168;BYDAY=SU DTSTART:20260101T000000",
		"FREQ=SECONDLY;INTERVAL=86399;BYHOUR=5;BYMINUTE=3;BYSECOND=5;BYDAY=MO DTSTART:20260101T000000",
		"FREQ=DAILY;BYHOUR=0,1,2,3,4,5,6,7,8,9,10,11,12;BYMINUTE=0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31,32,33,34,35,36,37,38,39,40,41,42,43,44,45,46,47,48,49,50,51,52,53,54,55,56,57,58,59;COUNT=10000 DTSTART:20260101T000000",
	} {
		schedule.ParseSpec("@rrule "+text, "", time.Time{})
	}
	if took := time.Since(begin); took > 3*time.Second {
		t.Errorf("six rules took %v to read", took)
	}
}

// A start that is kept apart is read by the zone's clocks.
func TestRecurrenceFromItsStart(t *testing.T) {
	spec, err := schedule.NewRecurrence("RRULE:FREQ=DAILY;COUNT=3", instant(t, "2025-11-01T13:00:00Z"), "America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	at := instant(t, "2025-01-01T00:00:00Z")
	for _, want := range []string{"2025-11-01T13:00:00Z", "2025-11-02T14:00:00Z", "2025-11-03T14:00:00Z"} {
		if at = spec.Next(at); !at.Equal(instant(t, want)) {
			t.Errorf("%v gives %v, want %s", spec, at, want)
		}
	}
	if at = spec.Next(at); !at.IsZero() {
		t.Errorf("%v gives %v after its COUNT", spec, at)
	}
}

func BenchmarkRecurrence(b *testing.B) {
	for _, text := range []string{
		"FREQ=WEEKLY;BYDAY=MO,WE;BYHOUR=9", "FREQ=MINUTELY;INTERVAL=15", "FREQ=MONTHLY;BYDAY=-1FR", "FREQ=YEARLY;BYWEEKNO=1;BYDAY=MO",
		"FREQ=SECONDLY;BYHOUR=7;BYMINUTE=7;BYSECOND=7;BYMONTH=2;BYMONTHDAY=29;BYDAY=MO",
	} {
		b.Run(text, func(b *testing.B) {
			spec, at := parse(b, "@rrule DTSTART:19700101T000000 "+text, "America/New_York"), instant(b, "2026-11-24T00:00:00Z")
			for b.Loop() {
				spec.Next(at)
			}
		})
	}
}
