package shadow

import (
	"strings"
	"testing"
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
)

func at(minute, second float64) time.Time {
	return time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC).Add(time.Duration(minute*60e9 + second*1e9))
}

// entry is one as it is after a run; its grid goes through the last run, as django's does.
func entry(t *testing.T, text string, last time.Time, count int64) Entry {
	t.Helper()
	spec, err := schedule.ParseSpec(text, "UTC", last.Truncate(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	return Entry{ID: "1", Name: "one", Text: text, Spec: spec, Last: last, Count: count, Keeps: true}
}

func TestJudge(t *testing.T) {
	type look struct {
		at time.Time
		e  Entry
	}
	minutely := func(last time.Time, count int64) Entry { return entry(t, "* * * * *", last, count) }
	for _, tt := range []struct {
		name                              string
		looks                             []look
		end                               time.Time
		both, onlyBeat, onlyOnebeat, open int
		remark                            string
	}{
		{"each minute, told of at once", []look{
			{at(0, 30), minutely(at(0, 0.05), 7)}, {at(1, 1), minutely(at(1, 0.04), 8)}, {at(2, 1), minutely(at(2, 0.06), 9)},
		}, at(2, 30), 2, 0, 0, 0, ""},
		{"each minute, told of after three", []look{
			{at(0, 30), minutely(at(0, 0.05), 7)}, {at(1, 1), minutely(at(0, 0.05), 7)}, {at(3, 20), minutely(at(3, 0.06), 10)},
		}, at(4, 30), 3, 0, 0, 1, ""},
		{"a minute left out", []look{
			{at(0, 30), minutely(at(0, 0.05), 7)}, {at(3, 20), minutely(at(3, 0.06), 9)},
		}, at(3, 30), 2, 0, 1, 0, "did not send"},
		{"a minute sent twice", []look{
			{at(0, 30), minutely(at(0, 0.05), 7)}, {at(1, 20), minutely(at(1, 0.06), 9)},
		}, at(1, 30), 1, 1, 0, 0, "docs/differences.md"},
		{"silence", []look{{at(0, 30), minutely(at(0, 0.05), 7)}}, at(6, 30), 0, 0, 2, 4, "did not send"},
		{"an interval that drifts", []look{
			{at(0, 1), entry(t, "@every 10s", at(0, 0.5), 1)}, {at(0, 11), entry(t, "@every 10s", at(0, 10.6), 2)}, {at(0, 21), entry(t, "@every 10s", at(0, 20.7), 3)},
		}, at(0, 25), 2, 0, 0, 0, ""},
		{"a one-off that is done", []look{
			{at(0, 1), entry(t, "@at 2026-11-24T09:00:30Z", time.Time{}, 1)}, {at(0, 40), Entry{ID: "1", Name: "one", Text: "@at 2026-11-24T09:00:30Z", Off: "disabled"}},
		}, at(6, 0), 1, 0, 0, 0, "disabled"},
		{"an edit", []look{
			{at(0, 30), minutely(at(0, 0.05), 7)}, {at(0, 40), entry(t, "*/2 * * * *", at(0, 0.05), 7)}, {at(2, 10), entry(t, "*/2 * * * *", at(2, 0.05), 8)},
		}, at(2, 30), 1, 0, 0, 0, ""},
		{"a bad row that the other runs", []look{
			{at(0, 30), Entry{ID: "1", Off: "day of week 7", Last: at(0, 0), Count: 1}}, {at(1, 30), Entry{ID: "1", Off: "day of week 7", Last: at(1, 0), Count: 2}},
		}, at(1, 40), 0, 1, 0, 0, "day of week 7"},
	} {
		j := Judge{Patience: 4 * time.Minute}
		for _, look := range tt.looks {
			j.See(look.at, []Entry{look.e})
		}
		f := j.Findings(tt.end)[0]
		if f.Both != tt.both || f.OnlyBeat != tt.onlyBeat || f.OnlyOnebeat != tt.onlyOnebeat || f.Open != tt.open {
			t.Errorf("%s: both %d, only beat %d, only onebeat %d, open %d; want %d, %d, %d, %d",
				tt.name, f.Both, f.OnlyBeat, f.OnlyOnebeat, f.Open, tt.both, tt.onlyBeat, tt.onlyOnebeat, tt.open)
		}
		if (tt.remark == "") != (f.Remark == "") || !strings.Contains(f.Remark, tt.remark) {
			t.Errorf("%s: the remark is %q, want %q", tt.name, f.Remark, tt.remark)
		}
	}
}

// An entry that is gone is judged no more.
func TestGone(t *testing.T) {
	j := Judge{Patience: time.Minute}
	j.See(at(0, 0), []Entry{entry(t, "* * * * *", at(0, 0), 1)})
	j.See(at(1, 0), nil)
	if found := j.Findings(at(9, 0)); len(found) != 0 {
		t.Errorf("found %+v of what is gone", found)
	}
}
