package forecast_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/onebeat/onebeat/internal/forecast"
	"github.com/onebeat/onebeat/internal/schedule"
)

var midnight = time.Date(2026, 11, 26, 0, 0, 0, 0, time.UTC)

func entry(t *testing.T, name, text string) forecast.Entry {
	t.Helper()
	spec, err := schedule.ParseSpec(text, "UTC", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	return forecast.Entry{Name: name, Spec: spec}
}

func count(entries []forecast.Entry, from time.Time, length time.Duration) *forecast.Count {
	c := forecast.New(from, from, length)
	for _, e := range entries {
		c.Add(e)
	}
	return c
}

func run(t *testing.T, entries []forecast.Entry, from time.Time, length time.Duration, worst int) forecast.Report {
	t.Helper()
	report, err := count(entries, from, length).Report(t.Context(), worst, func(int, int) {})
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func TestWorstSecondsAndWhoIsInThem(t *testing.T) {
	var entries []forecast.Entry
	for n := range 8 {
		entries = append(entries, entry(t, fmt.Sprintf("at nine %d", n), "0 9 * * *"))
	}
	entries = append(entries, entry(t, "each minute", "* * * * *"), entry(t, "half past", "@standard 30 59 8 * * *"), entry(t, "never today", "0 9 1 1 *"))
	report := run(t, entries, midnight.Add(8*time.Hour), 2*time.Hour, 3)
	want := forecast.Report{
		From: midnight.Add(8 * time.Hour), Until: midnight.Add(10 * time.Hour), Entries: 11, Slots: 8 + 120 + 1, Held: []forecast.Held{},
		Worst: []forecast.Second{
			{At: midnight.Add(9 * time.Hour), Slots: 9, Names: []string{"at nine 0", "at nine 1", "at nine 2", "at nine 3", "at nine 4"}, More: 4},
			{At: midnight.Add(8*time.Hour + time.Minute), Slots: 1, Names: []string{"each minute"}},
			{At: midnight.Add(8*time.Hour + 2*time.Minute), Slots: 1, Names: []string{"each minute"}},
		},
		Hours: []forecast.Hour{
			{At: midnight.Add(8 * time.Hour), Slots: 59 + 1, Worst: 1}, // 8:00 itself is before
			{At: midnight.Add(9 * time.Hour), Slots: 60 + 8, Worst: 9},
			{At: midnight.Add(10 * time.Hour), Slots: 1, Worst: 1},
		},
	}
	if diff := cmp.Diff(want, report); diff != "" {
		t.Errorf("Report (-want +got):\n%s", diff)
	}
}

func TestSlotsWithinASecond(t *testing.T) {
	report := run(t, []forecast.Entry{
		entry(t, "early", "@every 10s from 2026-11-26T00:00:00.1Z"), entry(t, "late", "@every 10s from 2026-11-26T00:00:00.9Z"),
	}, midnight.Add(500*time.Millisecond), 10*time.Second, 9)
	want := []forecast.Second{
		{At: midnight, Slots: 1, Names: []string{"late"}}, // the early one was before
		{At: midnight.Add(10 * time.Second), Slots: 1, Names: []string{"early"}},
	}
	if diff := cmp.Diff(want, report.Worst); diff != "" {
		t.Errorf("worst seconds (-want +got):\n%s", diff)
	}
}

// As long after a gap as a time lies in it, also for who asks from within that time.
func TestWhoHasASlotInAGapIsNamed(t *testing.T) {
	from := time.Date(2026, 3, 8, 0, 0, 0, 0, time.UTC)
	celery, each := entry(t, "as Celery", "DST=celery CRON_TZ=America/New_York 30 2 * * *"), entry(t, "each minute", "* * * * *")
	report := run(t, []forecast.Entry{celery, each}, from, 24*time.Hour, 1)
	want := []forecast.Second{{At: time.Date(2026, 3, 8, 7, 30, 0, 0, time.UTC), Slots: 2, Names: []string{"as Celery", "each minute"}}}
	if diff := cmp.Diff(want, report.Worst); diff != "" {
		t.Errorf("Worst (-want +got):\n%s", diff)
	}
	celery.Left = 3
	c := forecast.New(from, time.Date(2026, 3, 8, 7, 20, 0, 0, time.UTC), time.Hour) // within the hour after the gap
	c.Add(celery)
	c.Add(each)
	report, err := c.Report(t.Context(), 1, func(int, int) {})
	if diff := cmp.Diff(want, report.Worst); diff != "" || err != nil {
		t.Errorf("Worst from within (-want +got):\n%s\n%v", diff, err)
	}
}

func TestNothingToCome(t *testing.T) {
	report := run(t, nil, midnight, time.Hour, 5)
	if report.Slots != 0 || len(report.Worst) != 0 || len(report.Hours) != 2 {
		t.Errorf("Report of nothing = %+v, want no slots in the two hours that it touches", report)
	}
}

func TestTheWorstAreTheFirstOfEqualOnes(t *testing.T) {
	var entries []forecast.Entry
	for second := range 50 {
		for n := range second % 10 {
			entries = append(entries, entry(t, fmt.Sprint(second, n), fmt.Sprintf("@standard %d * * * * *", second)))
		}
	}
	report := run(t, entries, midnight, 59*time.Second, 7)
	var got []int
	for _, second := range report.Worst {
		got = append(got, second.At.Second())
	}
	if diff := cmp.Diff([]int{9, 19, 29, 39, 49, 8, 18}, got); diff != "" {
		t.Errorf("seconds (-want +got):\n%s", diff)
	}
}

// Entries of one spec cost one walk through the time, however many they are.
func TestEntriesOfOneSpecAreWalkedOnce(t *testing.T) {
	counted := &counting{Spec: entry(t, "", "* * * * *").Spec}
	var entries []forecast.Entry
	for range 1000 {
		entries = append(entries, forecast.Entry{Name: "e", Spec: counted})
	}
	report := run(t, entries, midnight, time.Hour, 1)
	if report.Slots != 60_000 || counted.calls > 70 {
		t.Errorf("%d slots by %d calls of Next, want 60000 by about 61", report.Slots, counted.calls)
	}
}

type counting struct {
	schedule.Spec
	calls int
}

func (c *counting) Next(t time.Time) time.Time {
	c.calls++
	return c.Spec.Next(t)
}

func TestItEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := count([]forecast.Entry{entry(t, "e", "@every 1s")}, midnight, 24*time.Hour).Report(ctx, 1, func(int, int) {})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Report = %v, want context.Canceled", err)
	}
	if diff := cmp.Diff(midnight.Add(forecast.Most), run(t, nil, midnight, 1000*time.Hour, 1).Until, cmpopts.EquateApproxTime(0)); diff != "" {
		t.Errorf("a longer time ends (-want +got):\n%s", diff)
	}
}

func TestWhatIsLeftToAnEntryCounts(t *testing.T) {
	few, same := entry(t, "few", "* * * * *"), entry(t, "same", "* * * * *")
	few.Left, same.Left = 3, 3
	report := run(t, []forecast.Entry{few, same, entry(t, "many", "* * * * *")}, midnight, 10*time.Minute, 4)
	if report.Slots != 3+3+10 {
		t.Errorf("%d slots, want 16", report.Slots)
	}
	want := []forecast.Second{
		{At: midnight.Add(time.Minute), Slots: 3, Names: []string{"few", "same", "many"}},
		{At: midnight.Add(2 * time.Minute), Slots: 3, Names: []string{"few", "same", "many"}},
		{At: midnight.Add(3 * time.Minute), Slots: 3, Names: []string{"few", "same", "many"}},
		{At: midnight.Add(4 * time.Minute), Slots: 1, Names: []string{"many"}},
	}
	if diff := cmp.Diff(want, report.Worst); diff != "" {
		t.Errorf("the worst seconds (-want +got):\n%s", diff)
	}
}

func TestFullestIsTheFullestSecondOfAnEntry(t *testing.T) {
	entries := []forecast.Entry{
		entry(t, "each hour", "0 * * * *"), entry(t, "at nine", "0 9 * * *"), entry(t, "at ten", "0 10 * * *"), entry(t, "at ten too", "0 10 * * *"),
		entry(t, "half past", "30 * * * *"), entry(t, "never today", "0 9 1 1 *"),
	}
	for i, want := range []forecast.Second{
		{At: midnight.Add(10 * time.Hour), Slots: 3, Names: []string{"each hour", "at ten", "at ten too"}},
		{At: midnight.Add(9 * time.Hour), Slots: 2, Names: []string{"each hour", "at nine"}},
		{At: midnight.Add(10 * time.Hour), Slots: 3, Names: []string{"each hour", "at ten", "at ten too"}},
		{At: midnight.Add(10 * time.Hour), Slots: 3, Names: []string{"each hour", "at ten", "at ten too"}},
		{At: midnight.Add(30 * time.Minute), Slots: 1, Names: []string{"half past"}},
		{},
	} {
		got, err := count(entries, midnight, 24*time.Hour).Fullest(t.Context(), entries[i], nil)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("Fullest of %s (-want +got):\n%s", entries[i].Name, diff)
		}
	}
	got, err := count(entries, midnight, 24*time.Hour).Fullest(t.Context(), entries[0], entry(t, "", "0 10-23 * * *").Spec)
	want := forecast.Second{At: midnight.Add(9 * time.Hour), Slots: 2, Names: []string{"each hour", "at nine"}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("Fullest but for what was there before (-want +got):\n%s%v", diff, err)
	}
}

// Where the spec ends before what is left to its entry is sent, all that it gives counts.
func TestASpecMayEndBeforeWhatIsLeft(t *testing.T) {
	once, bounded := entry(t, "once", "@at 2026-11-26T00:02:00Z"), entry(t, "bounded", `@rules {"end": "2026-11-26T00:02:30Z"} * * * * *`)
	once.Left, bounded.Left = 5, 5
	report := run(t, []forecast.Entry{once, bounded}, midnight, time.Hour, 1)
	want := []forecast.Second{{At: midnight.Add(2 * time.Minute), Slots: 2, Names: []string{"once", "bounded"}}}
	if diff := cmp.Diff(want, report.Worst); report.Slots != 3 || diff != "" {
		t.Errorf("%d slots, want 3; the worst second (-want +got):\n%s", report.Slots, diff)
	}
}

// What is left to an entry is spent from now on, not from when the forecast begins.
func TestWhatIsLeftIsSpentBefore(t *testing.T) {
	few := entry(t, "few", "* * * * *")
	few.Left = 3
	for _, tt := range []struct {
		ahead time.Duration
		slots int64
	}{{0, 3}, {-time.Hour, 3}, {time.Minute, 2}, {2*time.Minute + time.Second, 1}, {time.Hour, 0}} {
		c := forecast.New(midnight, midnight.Add(tt.ahead), time.Hour)
		c.Add(few)
		report, err := c.Report(t.Context(), 9, func(int, int) {})
		if err != nil {
			t.Fatal(err)
		}
		if report.Slots != tt.slots || len(report.Worst) != int(tt.slots) {
			t.Errorf("%v ahead: %d slots in %d seconds, want %d", tt.ahead, report.Slots, len(report.Worst), tt.slots)
		}
	}
}

// A spec is not asked who is in a second that lies outside of its slots: some take long to say that there is none.
func TestOnlyWhoMayBeInASecondIsAsked(t *testing.T) {
	nine := &counting{Spec: entry(t, "", "0 9 * * *").Spec}
	report := run(t, []forecast.Entry{{Name: "nine", Spec: nine}, entry(t, "each second", "@every 1s")}, midnight, 24*time.Hour, 500)
	if len(report.Worst) != 500 || report.Worst[0].Slots != 2 || nine.calls > 5 {
		t.Errorf("%d seconds, the worst with %d slots, by %d calls of Next; want 500, 2, and about 3", len(report.Worst), report.Worst[0].Slots, nine.calls)
	}
}

// A slot that a window holds is told apart, by the window that its record will name.
func TestSlotsThatWindowsHoldAreToldApart(t *testing.T) {
	window := func(name, at string, length time.Duration) schedule.Window {
		return schedule.Window{Name: name, Scope: schedule.ScopeAll, Spec: entry(t, "", at).Spec, Length: length}
	}
	windows := schedule.NewWindows([]schedule.Window{
		window("a", "@at 2026-11-26T00:04:00Z", 2*time.Minute), window("b", "@at 2026-11-26T00:02:00Z", 6*time.Minute),
	})
	outside := entry(t, "outside", "* * * * *")
	outside.Spec = windows.Outside(&schedule.Entry{ID: "1", Spec: outside.Spec})
	few := outside
	few.Name, few.Left = "few", 2 // 0:01 and 0:08
	for _, tt := range []struct {
		entries []forecast.Entry
		slots   int64
		held    []forecast.Held
	}{
		{[]forecast.Entry{entry(t, "each minute", "* * * * *")}, 10, []forecast.Held{}},
		{[]forecast.Entry{outside}, 4, []forecast.Held{{Window: "b", Slots: 4}, {Window: "a", Slots: 2}}},
		{[]forecast.Entry{outside, few}, 6, []forecast.Held{{Window: "b", Slots: 8}, {Window: "a", Slots: 4}}},
	} {
		report := run(t, tt.entries, midnight, 10*time.Minute, 1)
		if diff := cmp.Diff(tt.held, report.Held); report.Slots != tt.slots || diff != "" {
			t.Errorf("%d slots, want %d; those held (-want +got):\n%s", report.Slots, tt.slots, diff)
		}
	}
}
