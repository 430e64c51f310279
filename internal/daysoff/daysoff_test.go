package daysoff_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/onebeat/onebeat/internal/daysoff"
	"github.com/onebeat/onebeat/internal/schedule"
)

func day(text string) time.Time {
	at, err := time.Parse(time.DateOnly, text)
	if err != nil {
		panic(err)
	}
	return at
}

var span = daysoff.Span{From: day("2026-01-01"), Until: day("2028-12-31")}

// ics is an iCalendar file with these events, each a line a property.
func ics(events ...string) string {
	text := "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//test//EN\r\n"
	for _, event := range events {
		text += "BEGIN:VEVENT\r\nDTSTAMP:20260101T000000Z\r\n" + strings.ReplaceAll(event, "\n", "\r\n") + "\r\nEND:VEVENT\r\n"
	}
	return text + "END:VCALENDAR\r\n"
}

func TestRead(t *testing.T) {
	for _, tt := range []struct {
		name, file string
		want       string // "day reason" a line
		timed      int
		outside    int
	}{
		{
			name: "a list of dates",
			file: "# holidays\n2026-12-25\n2027-01-01 New Year\n\n2026/5/3,Constitution Day\n",
			want: "2026-05-03 Constitution Day\n2026-12-25 \n2027-01-01 New Year",
		},
		{
			name: "a CSV with a header, quotes and CRLF",
			file: "\ufeffdate,name\r\n2026-11-03,\"Culture, Day\"\r\n2026-11-23,勤労感謝の日\r\n",
			want: "2026-11-03 Culture, Day\n2026-11-23 勤労感謝の日",
		},
		{
			name: "ranges, and days that come twice",
			file: "2026-12-30..2027-01-02 closed\n2027-01-01 New Year\n2027-01-01 New Year\n",
			want: "2026-12-30 closed\n2026-12-31 closed\n2027-01-01 closed; New Year\n2027-01-02 closed",
		},
		{
			name: "a range with blanks around its dots", file: "2026-12-30 .. 2027-01-01 closed\n2027-05-03 .. 2027-05-04, closed too\n",
			want: "2026-12-30 closed\n2026-12-31 closed\n2027-01-01 closed\n2027-05-03 closed too\n2027-05-04 closed too",
		},
		{
			name: "what is outside", file: "2025-12-31..2026-01-01\n2029-01-01\n2020-01-01\n",
			want: "2026-01-01 ", outside: 2,
		},
		{
			name: "all-day events, the end of which is not in them",
			file: ics("UID:1\nDTSTART;VALUE=DATE:20261225\nDTEND;VALUE=DATE:20261227\nSUMMARY:Christmas\\, both days", "UID:2\nDTSTART;VALUE=DATE:20260501\nSUMMARY:Labour Day"),
			want: "2026-05-01 Labour Day\n2026-12-25 Christmas, both days\n2026-12-26 Christmas, both days",
		},
		{
			name: "an event of a length", file: ics("UID:1\nDTSTART;VALUE=DATE:20260810\nDURATION:P1W\nSUMMARY:closed"),
			want: "2026-08-10 closed\n2026-08-11 closed\n2026-08-12 closed\n2026-08-13 closed\n2026-08-14 closed\n2026-08-15 closed\n2026-08-16 closed",
		},
		{
			name: "events with a time of the day", file: ics("UID:1\nDTSTART:20260501T090000Z\nDTEND:20260501T100000Z\nSUMMARY:meeting", "UID:2\nDTSTART;VALUE=DATE:20260502"),
			want: "2026-05-02 ", timed: 1,
		},
		{
			name: "a yearly event that began long ago", file: ics("UID:1\nDTSTART;VALUE=DATE:19491123\nRRULE:FREQ=YEARLY\nSUMMARY:Labour"),
			want: "2026-11-23 Labour\n2027-11-23 Labour\n2028-11-23 Labour",
		},
		{
			name: "a yearly event by the day of the week, with an exception and an extra day",
			file: ics("UID:1\nDTSTART;VALUE=DATE:20251127\nRRULE:FREQ=YEARLY;BYMONTH=11;BYDAY=4TH\nEXDATE;VALUE=DATE:20271125\nRDATE;VALUE=DATE:20271126\nSUMMARY:Thanksgiving"),
			want: "2026-11-26 Thanksgiving\n2027-11-26 Thanksgiving\n2028-11-23 Thanksgiving",
		},
		{
			name: "a rule that ends, and a beginning that it does not give",
			file: ics("UID:1\nDTSTART;VALUE=DATE:20260105\nRRULE:FREQ=MONTHLY;BYMONTHDAY=10;UNTIL=20260310\nSUMMARY:x"),
			want: "2026-01-05 x\n2026-01-10 x\n2026-02-10 x\n2026-03-10 x",
		},
		{
			name: "an event of some days over the beginning of the span", file: ics("UID:1\nDTSTART;VALUE=DATE:20201230\nDTEND;VALUE=DATE:20210104\nRRULE:FREQ=YEARLY;UNTIL=20251230\nSUMMARY:turn"),
			want: "2026-01-01 turn\n2026-01-02 turn\n2026-01-03 turn",
		},
		{
			name: "an occurrence that was moved, and one that was cancelled",
			file: ics("UID:1\nDTSTART;VALUE=DATE:20260601\nRRULE:FREQ=YEARLY\nSUMMARY:June",
				"UID:1\nRECURRENCE-ID;VALUE=DATE:20270601\nDTSTART;VALUE=DATE:20270602\nSUMMARY:June, moved",
				"UID:1\nRECURRENCE-ID;VALUE=DATE:20280601\nDTSTART;VALUE=DATE:20280601\nSTATUS:CANCELLED"),
			want: "2026-06-01 June\n2027-06-02 June, moved",
		},
		{
			name: "lines that are folded", file: ics("UID:1\nDTSTART;VALUE=DATE:20260501\nSUMMARY:a long\n  reason"),
			want: "2026-05-01 a long reason",
		},
		{
			name: "lines that are folded within a character", file: ics("UID:1\nDTSTART;VALUE=DATE:20261123\nSUMMARY:\xe5\x8b\n \xa4\xe5\n\t\x8a\xb4"),
			want: "2026-11-23 勤労",
		},
		{
			name: "an occurrence that was given a time of the day",
			file: ics("UID:1\nDTSTART;VALUE=DATE:20260601\nRRULE:FREQ=YEARLY\nSUMMARY:June",
				"UID:1\nRECURRENCE-ID;VALUE=DATE:20270601\nDTSTART:20270601T090000Z\nSUMMARY:June, a meeting"),
			want: "2026-06-01 June\n2028-06-01 June", timed: 1,
		},
		{
			name: "a reason with a comma after a blank, or after a tab", file: "2026-12-25 Christmas, observed\n2026-12-29..2026-12-30\tclosed, all of us\n",
			want: "2026-12-25 Christmas, observed\n2026-12-29 closed, all of us\n2026-12-30 closed, all of us",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			found, err := daysoff.Read(strings.NewReader(tt.file), span)
			if err != nil {
				t.Fatal(err)
			}
			var want []schedule.DayOff
			for line := range strings.SplitSeq(tt.want, "\n") {
				date, reason, _ := strings.Cut(line, " ")
				want = append(want, schedule.DayOff{Day: date, Reason: reason})
			}
			if diff := cmp.Diff(daysoff.Found{Days: want, Timed: tt.timed, Outside: tt.outside}, found); diff != "" {
				t.Errorf("Read (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReadRefuses(t *testing.T) {
	for _, tt := range []struct{ name, file, want string }{
		{"no date", "2026-12-25\nchristmas\n", `line 2 begins with "christmas": write a date`},
		{"a day that is not", "2026-02-30\n", `line 1 begins with "2026-02-30"`},
		{"a range backwards", "2026-12-25..2026-12-24\n", "line 1 begins"},
		{"another encoding", "2026-01-01,\x8c\xb3\x93\xfa\n", "convert it"},
		{"an iCalendar cut short", "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nDTSTART;VALUE=DATE:20260501\r\n", "cut short"},
		{"a rule that can't be", ics("UID:1\nDTSTART;VALUE=DATE:20260501\nRRULE:FREQ=SOMETIMES\nSUMMARY:odd"), `the event "odd"`},
		{"an event without a beginning", ics("UID:1\nSUMMARY:odd"), "no DTSTART"},
		{"a day off for centuries", ics("UID:1\nDTSTART;VALUE=DATE:20260501\nDTEND;VALUE=DATE:24260501\nSUMMARY:odd"), "ten years"},
		{"a day off each second", ics("UID:1\nDTSTART;VALUE=DATE:20260501\nRRULE:FREQ=SECONDLY\nSUMMARY:odd"), "recurs more than"},
	} {
		_, err := daysoff.Read(strings.NewReader(tt.file), span)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: Read = %v, want an error with %q", tt.name, err, tt.want)
		}
	}
}

// Whatever the file, Read ends without a panic, and days are dates within the span.
func FuzzRead(f *testing.F) {
	f.Add("2026-12-25..2026-12-31 a\n")
	f.Add(ics("UID:1\nDTSTART;VALUE=DATE:20251127\nDTEND;VALUE=DATE:20251129\nRRULE:FREQ=YEARLY;BYMONTH=11;BYDAY=4TH\nEXDATE;VALUE=DATE:20271125"))
	f.Add(ics("UID:1\nRECURRENCE-ID:20251127\nDTSTART;VALUE=DATE:20251127\nDURATION:-P1W\nRDATE;VALUE=PERIOD:20260101/P1D"))
	f.Fuzz(func(t *testing.T, file string) {
		found, err := daysoff.Read(strings.NewReader(file), span)
		if err != nil {
			return
		}
		for _, off := range found.Days {
			if at := day(off.Day); at.Before(span.From) || at.After(span.Until) {
				t.Errorf("%s is outside the span", off.Day)
			}
		}
	})
}
