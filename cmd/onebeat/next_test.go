package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
)

// runNext carries out onebeat next and returns what it printed.
func runNext(t *testing.T, stdin string, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd := nextCommand()
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(args)
	cmd.SetIn(strings.NewReader(stdin))
	cmd.SetOut(&out)
	err := cmd.Execute()
	return out.String(), err
}

func TestNextPrintsSlotsInTheZoneAndInUTC(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"0 9 * * 1-5", "--zone", "Asia/Tokyo", "--from", "2026-11-20 09:00", "--count", "2"}, `at 09:00 on Monday to Friday (Asia/Tokyo)
Mon 2026-11-23 09:00:00 +09:00   2026-11-23T00:00:00Z
Tue 2026-11-24 09:00:00 +09:00   2026-11-24T00:00:00Z
`},
		{[]string{"30 2 * * *", "--zone", "Europe/Berlin", "--from", "2025-03-29T12:00:00Z", "--count", "2"}, `at 02:30 every day (Europe/Berlin)
warning: 02:30 on 2025-03-30 does not exist in Europe/Berlin, as clocks go forward: the slot is at 03:00 on 2025-03-30
Sun 2025-03-30 03:00:00 +02:00   2025-03-30T01:00:00Z   clocks go forward by 60 minutes
Mon 2025-03-31 02:30:00 +02:00   2025-03-31T00:30:00Z
`},
		{[]string{"0 0 13 * fri", "--from", "2026-11-24T00:00:00Z", "--count", "1", "--json"}, `{"spec":"0 0 13 * 5","zone":"UTC","description":"at 00:00 on Friday when it is day 13 of the month","warnings":["both day fields are set: Celery wants a day to be in both of them, where cron takes either"],"next":["2027-08-13T00:00:00Z"]}
`},
		{[]string{"@rrule FREQ=MONTHLY;BYDAY=-1FR DTSTART:20261124T170000", "--zone", "Europe/Berlin", "--from", "2026-11-24T00:00:00Z", "--count", "1"}, `every month with BYDAY=-1FR from 2026-11-24 17:00:00 (Europe/Berlin)
Fri 2026-11-27 17:00:00 +01:00   2026-11-27T16:00:00Z
`},
		{[]string{"30 0 9 LW * *", "--dialect", "standard", "--dst", "celery", "--from", "2026-11-24T00:00:00Z", "--count", "1"}, `at 09:00:30 on the last weekday of the month (UTC)
Mon 2026-11-30 09:00:30 +00:00   2026-11-30T09:00:30Z
`},
		{[]string{"@every 90s", "--from", "2026-11-24T00:00:00.5Z", "--count", "1"}, `every 1m30s from 2026-11-24T00:00:00.5Z (UTC)
Tue 2026-11-24 00:01:30.5 +00:00   2026-11-24T00:01:30.5Z
`},
		{[]string{"@at 2026-11-24T09:00:00", "--zone", "Asia/Tokyo", "--from", "2026-11-25T00:00:00Z"}, `once at 2026-11-24T00:00:00Z (Asia/Tokyo)
no slot comes any more
`},
		{[]string{"CRON_TZ=Asia/Tokyo */20 9,10 1 */3 *", "--from", "2026-11-24T00:00:00Z", "--count", "1", "--json"}, `{"spec":"CRON_TZ=Asia/Tokyo */20 9,10 1 */3 *","zone":"Asia/Tokyo","description":"at 09:00, 09:20, 09:40, 10:00, 10:20 and 10:40 on day 1 of the month in January, April, July and October","next":["2027-01-01T00:00:00Z"]}
`},
	} {
		got, err := runNext(t, "", tt.args...)
		if err != nil || got != tt.want {
			t.Errorf("onebeat next %q printed (error %v):\n%s\nwant:\n%s", tt.args, err, got, tt.want)
		}
	}
}

func TestNextRefusesInOneLine(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"0 9 * * 7"}, `day of week 7 is not a day for Celery: use 0 for Sunday, or --dialect standard (at character 9 of "0 9 * * 7")`},
		{[]string{"0 9 * * *", "--zone", "Mars/Olympus"}, `zone "Mars/Olympus" is not known: use an IANA name such as Europe/Berlin`},
		{[]string{"0 9 * * *", "--zone", "america/new york"}, `zone "america/new york" is not known: did you mean America/New_York?`},
		{[]string{" "}, `the spec is empty: write one, as in onebeat next "0 9 * * 1-5"`},
		{[]string{"0 9 * * *", "--count", "0"}, "count 0 is out of range: use 1 to 100000"},
		{[]string{"0 9 * * *", "--dialect", "quartz"}, `dialect "quartz" is not known: use celery or standard`},
		{[]string{"0 9 * * *", "--dst", "none"}, `dst "none" is not known: use real or celery`},
		{[]string{"0 9 5#6 * *", "--dialect", "standard"}, `day of month "5#6" is not a day: use 1 to 31, *, */2, 1-5, 5/10, L, L-3, LW, 15W or H, or several with commas (at character 5 of "0 9 5#6 * *")`},
		{[]string{"0 9 * * *", "--from", "noon"}, `"noon" is not a time: write it as 2026-11-24T09:00:00Z or 2026-11-24T09:00:00+09:00`},
		{[]string{"0", "9", "*", "*", "*"}, `next takes one spec in quotes, as in onebeat next "0 9 * * 1-5", not 5 arguments`},
		{[]string{"0 9 * * *", "--batch"}, `next --batch reads its specs from standard input: leave "0 9 * * *" out`},
	} {
		out, err := runNext(t, "", tt.args...)
		var exit exitError
		if !errors.As(err, &exit) || exit.code != exitUsage || exit.msg != tt.want || out != "" {
			t.Errorf("onebeat next %q: error %#v and output %q, want code 2 and %q", tt.args, err, out, tt.want)
		}
	}
}

func TestNextPointsAtTheWrongCharacter(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"0 9 * * 7", "\n  0 9 * * 7\n          ^"},
		{"61 9 * * *", "\n  61 9 * * *\n  ^"},
		{"0 9,24 * * *", "\n  0 9,24 * * *\n      ^"},
		{"CRON_TZ=Asia/Tokyo 0\t9 * * 1,2,8", "\n  CRON_TZ=Asia/Tokyo 0 9 * * 1,2,8\n                                 ^"},
		{"@every 1d from noon", "\n  @every 1d from noon\n                 ^"},
		{"@solar sunset ü 7", "\n  @solar sunset ü 7\n                ^"},
		{`@rules {"weekend": "sat"} 0 9 * * 7`, "\n  @rules {\"weekend\": \"sat\"} 0 9 * * 7\n                                    ^"},
		{"０ 毎 * * *", "\n  ０ 毎 * * *\n     ^"},
		{"0 9 * *", ""},
		{"0 0 30 2 *", "\n  0 0 30 2 *\n      ^"},
	} {
		_, err := schedule.ParseSpec(tt.text, "", time.Time{})
		if got := caret(err); err == nil || got != tt.want {
			t.Errorf("%s:%s\nwant%s\n(%v)", tt.text, got, tt.want, err)
		}
	}
}

func TestNextAnswersABatchLineByLine(t *testing.T) {
	for _, tt := range []struct{ line, want string }{
		{`{"id":"a","kind":"crontab","expr":"0 9 * * 1-5","zone":"Asia/Tokyo","after":"2026-11-20T00:00:00Z","count":2}`, `{"id":"a","next":["2026-11-23T00:00:00Z","2026-11-24T00:00:00Z"]}`},
		{`{"id":2,"kind":"crontab","dialect":"celery","dst":"real","minute":30,"hour":"1","day_of_week":"*","day_of_month":"*","month_of_year":"*","zone":"America/New_York","after":"2025-11-02T05:30:00Z"}`, `{"id":2,"next":["2025-11-03T06:30:00Z"]}`},
		{`{"id":3,"kind":"crontab","day_of_week":7}`, `{"id":3,"error":"day of week 7 is not a day for Celery: use 0 for Sunday, or @standard before the fields"}`},
		{`{"id":3,"kind":"crontab","dialect":"standard","minute":0,"hour":9,"day_of_week":7,"after":"2026-11-24T00:00:00Z"}`, `{"id":3,"next":["2026-11-29T09:00:00Z"]}`},
		{`{"id":3,"kind":"crontab","dialect":"standard","expr":"@weekly","zone":"Asia/Tokyo","after":"2026-11-24T00:00:00Z"}`, `{"id":3,"next":["2026-11-28T15:00:00Z"]}`},
		{`{"id":3,"kind":"crontab","dialect":"standard","expr":"@every 90s","after":"2026-11-24T00:00:00Z"}`, `{"id":3,"next":["2026-11-24T00:01:30Z"]}`},
		{`{"id":"3","kind":"crontab","dialect":"standard","expr":"0 0 9 LW * *","dst":"celery","after":"2026-10-24T00:00:00Z"}`, `{"id":"3","next":["2026-10-30T09:00:00Z"]}`},
		{`{"id":4,"kind":"interval","every":1.5,"after":"2026-01-01T00:00:00Z","count":2}`, `{"id":4,"next":["2026-01-01T00:00:01.5Z","2026-01-01T00:00:03Z"]}`},
		{`{"id":5,"kind":"interval","every":3600,"anchor":"2026-01-01T00:20:00Z","after":"2026-01-02T00:00:00Z"}`, `{"id":5,"next":["2026-01-02T00:20:00Z"]}`},
		{`{"id":6,"kind":"interval","every":0}`, `{"id":6,"error":"an interval of 0s is too short: use 1s or more"}`},
		{`{"id":6,"kind":"interval","every":1e300}`, `{"id":6,"error":"every is too long: an interval ends at 292 years"}`},
		{`{"id":6,"kind":"interval","every":5400,"relative":true,"anchor":"2025-01-01T10:07:13Z","after":"2025-01-01T10:07:13Z","count":2}`, `{"id":6,"next":["2025-01-01T11:00:00Z","2025-01-01T12:00:00Z"]}`},
		{`{"id":6,"kind":"interval","every":86400,"relative":true,"zone":"Asia/Tokyo","after":"2025-01-01T10:07:13Z"}`, `{"id":6,"next":["2025-01-01T15:00:00Z"]}`},
		{`{"id":6,"kind":"interval","every":86400,"wall":true,"zone":"Europe/Berlin","anchor":"2025-03-29 09:00","after":"2025-03-29T08:00:00Z"}`, `{"id":6,"next":["2025-03-30T07:00:00Z"]}`},
		{`{"id":6,"kind":"interval","every":3600,"wall":true}`, `{"id":6,"error":"wall is for whole days, as in @every 1d wall: leave it out of an interval of 1h, which counts real time"}`},
		{`{"id":6,"kind":"interval","every":86400,"wall":true,"relative":true}`, `{"id":6,"error":"an interval is relative or wall, not both"}`},
		{`{"id":7,"kind":"crontab","minute":0,"hour":9,"zone":"Asia/Tokyo","rules":{"weekend":"sat,sun","except":["2026-11-23"]},"after":"2026-11-20T00:00:00Z","count":2}`, `{"id":7,"next":["2026-11-24T00:00:00Z","2026-11-25T00:00:00Z"]}`},
		{`{"id":7,"kind":"crontab","expr":"CRON_TZ=Asia/Tokyo 0 9 * * *","rules":{"weekend":"sat,sun"},"after":"2026-11-20T00:00:00Z","count":2}`, `{"id":7,"next":["2026-11-23T00:00:00Z","2026-11-24T00:00:00Z"]}`},
		{`{"id":7,"kind":"clocked","at":"2026-11-24T09:00:00Z","rules":{"offset":"-1h"},"after":"2026-01-01T00:00:00Z"}`, `{"id":7,"next":["2026-11-24T08:00:00Z"]}`},
		{`{"id":7,"kind":"rrule","rrule":"FREQ=DAILY","dtstart":"2026-11-24T09:00:00","zone":"Asia/Tokyo","rules":{"shift":"next","weekend":"tue"},"after":"2026-01-01T00:00:00Z"}`, `{"id":7,"next":["2026-11-25T00:00:00Z"]}`},
		{`{"id":7,"kind":"crontab","expr":"0 9 * * *","rules":null,"after":"2026-11-20T09:00:00Z"}`, `{"id":7,"next":["2026-11-21T09:00:00Z"]}`},
		{`{"id":7,"kind":"crontab","expr":"0 9 * * *","rules":[]}`, `{"id":7,"error":"rules can't be read: they are a JSON array: write an object such as {\"except\": [\"2026-12-25\"]}"}`},
		{`{"id":7,"kind":"crontab","expr":"0 9 * * *","rules":{"weekend":"someday"}}`, `{"id":7,"error":"weekend: \"someday\" is no day: write sun, mon, tue, wed, thu, fri or sat, parted by commas"}`},
		{`{"id":7,"kind":"crontab","expr":"@rules {} 0 9 * * *","rules":{}}`, `{"id":7,"error":"rules stand once, before the spec: join these with those around them"}`},
		{`{"id":7,"kind":"clocked","at":"2026-11-24T09:00:00+09:00","after":"2026-01-01T00:00:00Z","count":9}`, `{"id":7,"next":["2026-11-24T00:00:00Z"]}`},
		{`{"id":8,"kind":"clocked","at":"2020-01-01T00:00:00Z","after":"2026-01-01T00:00:00Z"}`, `{"id":8,"next":[]}`},
		{`{"id":9,"kind":"solar","event":"sunset"}`, `{"id":9,"error":"a solar event needs a place: give lat and lon in degrees"}`},
		{`{"id":9,"kind":"solar","event":"moonrise","lat":0,"lon":181}`, `{"id":9,"error":"longitude 181 is not on earth: use -180 (west) to 180 (east)"}`},
		{`{"id":9,"kind":"lunar"}`, `{"id":9,"error":"kind \"lunar\" is not known: use crontab, interval, clocked, solar or rrule"}`},
		{`{"id":9,"kind":"rrule","rrule":"FREQ=DAILY;COUNT=2","dtstart":"2025-11-01T09:00:00","zone":"America/New_York","after":"2025-01-01T00:00:00Z","count":3}`, `{"id":9,"next":["2025-11-01T13:00:00Z","2025-11-02T14:00:00Z"]}`},
		{`{"id":9,"kind":"rrule","rrule":"DTSTART:20251101T090000\nRRULE:FREQ=DAILY\nEXDATE:20251102T090000","after":"2025-11-01T09:00:00Z"}`, `{"id":9,"next":["2025-11-03T09:00:00Z"]}`},
		{`{"id":9,"kind":"rrule","rrule":"FREQ=NEVER","dtstart":"2025-11-01T09:00:00Z"}`, `{"id":9,"error":"FREQ \"NEVER\" is not known: use YEARLY, MONTHLY, WEEKLY, DAILY, HOURLY, MINUTELY or SECONDLY"}`},
		{`{"id":10,"kind":"crontab","minute":30,"hour":2,"zone":"Europe/Berlin","dst":"celery","after":"2025-03-29T12:00:00Z"}`, `{"id":10,"next":["2025-03-30T01:30:00Z"]}`},
		{`{"id":10,"kind":"crontab","expr":"0 9 * * *","dst":"none"}`, `{"id":10,"error":"dst \"none\" is not known: use real or celery"}`},
		{`{"id":11,"kind":"crontab","minute":[1]}`, `{"id":11,"error":"the line is no question: [1] is no crontab field: use a string or a whole number"}`},
		{`{"id":12,`, `{"id":null,"error":"the line is no question: unexpected end of JSON input"}`},
	} {
		got, err := runNext(t, "\n"+tt.line+"\n", "--batch")
		if err != nil || got != tt.want+"\n" {
			t.Errorf("onebeat next --batch with %s\nprinted %swant    %s (error %v)", tt.line, got, tt.want, err)
		}
	}
}

// A hundred thousand lines are to take under five seconds; these are a tenth of
// them, as the race detector and a busy machine take several times as long.
func TestNextAnswersALongBatchInTime(t *testing.T) {
	const count = 10_000
	var lines strings.Builder
	for i := range count {
		fmt.Fprintf(&lines, `{"id":%d,"kind":"crontab","minute":"%d","hour":"*/%d","day_of_month":"1-%d","zone":"America/New_York","after":"2026-01-01T00:00:00Z","count":5}`+"\n", i, i%60, 1+i%11, 1+i%28)
	}
	start := time.Now()
	out, err := runNext(t, lines.String(), "--batch")
	if err != nil {
		t.Fatal(err)
	}
	if elapsed, limit := time.Since(start), 5*time.Second; elapsed > limit {
		t.Errorf("a batch of %d lines took %v, want under %v", count, elapsed, limit)
	}
	i := 0
	for line := range strings.Lines(out) {
		var answer struct {
			ID   int
			Next []time.Time
		}
		if err := json.Unmarshal([]byte(line), &answer); err != nil || answer.ID != i || len(answer.Next) != 5 {
			t.Fatalf("answer %d is %s (%v)", i, line, err)
		}
		i++
	}
	if i != count {
		t.Errorf("%d answers, want %d", i, count)
	}
}

// An entry's H is the same wherever it is asked for.
func TestNextSpreadsHByID(t *testing.T) {
	const from = "2026-11-24T00:00:00Z"
	alone, err := runNext(t, "", "H H(1-4) * * *", "--dialect", "standard", "--id", "42", "--from", from, "--count", "1", "--json")
	if err != nil {
		t.Fatal(err)
	}
	var found struct{ Next []time.Time }
	if err := json.Unmarshal([]byte(alone), &found); err != nil || len(found.Next) != 1 {
		t.Fatalf("onebeat next printed %s (%v)", alone, err)
	}
	for _, id := range []string{`42`, `"42"`} {
		line := fmt.Sprintf(`{"id":%s,"kind":"crontab","expr":"@standard H H(1-4) * * *","after":"%s"}`, id, from)
		want := fmt.Sprintf(`{"id":%s,"next":["%s"]}`, id, found.Next[0].Format(time.RFC3339))
		if got, err := runNext(t, line, "--batch"); err != nil || got != want+"\n" {
			t.Errorf("onebeat next --batch with %s printed %swant %s (error %v)", line, got, want, err)
		}
	}
	if hour := found.Next[0].Hour(); hour < 1 || hour > 4 {
		t.Errorf("H(1-4) is %d", hour)
	}
}

// Celery 5.6.3 gives 08:52:43.
func TestNextAnswersForTheSun(t *testing.T) {
	got, err := runNext(t, `{"id":1,"kind":"solar","event":"sunset","lat":35.6895,"lon":139.6917,"after":"2025-03-20T00:00:00Z"}`, "--batch")
	if err != nil {
		t.Fatal(err)
	}
	var answer struct{ Next []time.Time }
	want := time.Date(2025, 3, 20, 8, 52, 43, 0, time.UTC)
	if err := json.Unmarshal([]byte(got), &answer); err != nil || len(answer.Next) != 1 || answer.Next[0].Sub(want).Abs() > 2*time.Second {
		t.Errorf("onebeat next --batch printed %s (%v), want about %v", got, err, want)
	}
}

// Whatever the line, it is answered by one line, and soon.
func FuzzNextAnswersALine(f *testing.F) {
	for _, seed := range []string{
		`{"id":1,"kind":"crontab","dialect":"standard","minute":"H","zone":"Europe/Berlin","count":3}`,
		`{"id":"a","kind":"interval","every":1.5,"anchor":"2026-01-01"}`, `{"id":2,"kind":"clocked","at":"2026-01-01 09:00"}`,
		`{"id":3,"kind":"solar","event":"sunset","lat":-90,"lon":180}`, `{"id":4,"kind":"rrule","rrule":"FREQ=HOURLY;COUNT=3","dtstart":"2026-01-01"}`, `[]`, `"`,
		`{"id":5,"kind":"interval","every":9000,"relative":true,"zone":"Australia/Lord_Howe","rules":{"jitter":"1h","weekend":"sun"}}`, `{"id":6,"kind":"interval","every":604800,"wall":true,"count":9}`,
	} {
		f.Add(seed)
	}
	now := time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, line string) {
		var out bytes.Buffer
		if err := answerAll(strings.NewReader(strings.NewReplacer("\n", " ", "\r", " ").Replace(line)), &out, now); err != nil {
			return // too long a line
		}
		if text := out.String(); strings.Count(text, "\n") > 1 || text != "" && !json.Valid([]byte(text)) {
			t.Errorf("%q is answered by %q", line, text)
		}
	})
}
