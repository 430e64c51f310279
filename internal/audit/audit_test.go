package audit_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onebeat/onebeat/internal/audit"
	"github.com/onebeat/onebeat/internal/schedule"
)

// base is the day that times such as "09:30" are of.
var base = time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)

func clock(t *testing.T, text string) time.Time {
	t.Helper()
	if text == "" {
		return time.Time{}
	}
	for _, layout := range []string{"15:04", "15:04:05", "15:04:05.999"} {
		if at, err := time.Parse(layout, text); err == nil {
			return base.Add(time.Duration(at.Hour())*time.Hour + time.Duration(at.Minute())*time.Minute + time.Duration(at.Second())*time.Second + time.Duration(at.Nanosecond()))
		}
	}
	t.Fatalf("%q is no time", text)
	return time.Time{}
}

// A fake is a ledger in memory.
type fake struct {
	subjects []schedule.Subject // in order of id
	runs     []schedule.Run     // by entry and slot
	fail     error
	asked    []schedule.ID
}

func (f *fake) Subjects(_ context.Context, after schedule.ID, n int) ([]schedule.Subject, schedule.ID, error) {
	if f.fail != nil {
		return nil, "", f.fail
	}
	var page []schedule.Subject
	for _, subject := range f.subjects {
		if subject.ID > after && len(page) < n {
			page = append(page, subject)
		}
	}
	if len(page) < n {
		return page, "", nil
	}
	return page, page[len(page)-1].ID, nil
}

func (f *fake) Ends(_ context.Context, ids []schedule.ID, from, until time.Time, each func(*schedule.Run) error) error {
	f.asked = append(f.asked, ids...)
	for _, id := range ids {
		var before *schedule.Run
		for i := range f.runs {
			run := f.runs[i]
			switch {
			case run.Entry != id || run.Slot.After(until):
			case !run.Slot.After(from):
				before = &run
			default:
				if before != nil {
					if err := each(before); err != nil {
						return err
					}
					before = nil
				}
				if err := each(&run); err != nil {
					return err
				}
			}
		}
		if before != nil {
			if err := each(before); err != nil {
				return err
			}
		}
	}
	return nil
}

// runs reads ends of the entry e, one a line: "slot state [+lateness]", "first..last state count"
// or "slot asked id".
func runs(t *testing.T, text string) []schedule.Run {
	t.Helper()
	var all []schedule.Run
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		first, last, ranged := strings.Cut(words[0], "..")
		run := schedule.Run{Entry: "e", Slot: clock(t, first), Count: 1, State: schedule.State(words[1])}
		switch {
		case words[1] == "asked":
			run.State, run.Request = schedule.Sent, words[2]
			run.SentAt = run.Slot
		case ranged:
			run.Through = clock(t, last)
			if _, err := fmt.Sscan(words[2], &run.Count); err != nil {
				t.Fatal(err)
			}
		case run.State == schedule.Sent && len(words) == 2:
			run.SentAt = run.Slot.Add(3 * time.Millisecond)
		case run.State == schedule.Sent && words[2] == "recovered":
		case run.State == schedule.Sent:
			late, err := time.ParseDuration(words[2])
			if err != nil {
				t.Fatal(err)
			}
			run.SentAt = run.Slot.Add(late)
		}
		all = append(all, run)
	}
	return all
}

func TestFindings(t *testing.T) {
	const hourly = "0 * * * *"
	for _, tt := range []struct {
		name, spec, since, after, paused string
		options                          audit.Options
		runs                             string
		slots                            int64
		want                             []string
	}{
		{
			name: "a clean ledger", spec: hourly, after: "11:00", slots: 3,
			runs: "09:00 sent\n10:00 sent\n11:00 sent",
		},
		{
			name: "a hole is named", spec: hourly, after: "11:00", slots: 3,
			runs: "09:00 sent\n11:00 sent",
			want: []string{"missing 10:00:00 1"},
		},
		{
			name: "a hole of several is one finding", spec: "*/10 * * * *", after: "11:30", slots: 18,
			runs: "08:40 sent\n08:50 sent\n11:30 sent",
			want: []string{"missing 09:00:00..11:20:00 15"},
		},
		{
			name: "the run state passed what has no end", spec: hourly, after: "11:00", slots: 3,
			runs: "09:00 sent",
			want: []string{"missing 10:00:00..11:00:00 2"},
		},
		{
			name: "what nothing has settled is overdue", spec: hourly, after: "09:00", slots: 3,
			runs: "09:00 sent",
			want: []string{"overdue 10:00:00..11:00:00 2"},
		},
		{
			name: "a double", spec: hourly, after: "11:00", slots: 3,
			runs: "09:00 sent\n10:00 sent\n10:00 sent\n11:00 sent",
			want: []string{"duplicate 10:00:00 1"},
		},
		{
			name: "a slot that ended in two ways", spec: hourly, after: "11:00", slots: 3,
			runs: "09:00 sent\n10:00 skipped\n10:00 sent\n11:00 sent",
			want: []string{"duplicate 10:00:00 1"},
		},
		{
			name: "a slot in a range that ended too", spec: hourly, after: "11:00", slots: 3,
			runs: "09:00..10:00 coalesced 2\n10:00 sent\n11:00 sent",
			want: []string{"duplicate 10:00:00 1"},
		},
		{
			name: "early by a microsecond", spec: hourly, after: "11:00", slots: 3,
			runs: "09:00 sent\n10:00 sent -1us\n11:00 sent",
			want: []string{"early 10:00:00 1"},
		},
		{
			name: "late by the grace", spec: hourly, after: "11:00", slots: 3,
			runs: "09:00 sent 5s\n10:00 sent 5001ms\n11:00 sent",
			want: []string{"late 10:00:00 1"},
		},
		{
			name: "late by what was asked", spec: hourly, after: "11:00", slots: 3, options: audit.Options{Late: 50 * time.Millisecond},
			runs: "09:00 sent 50ms\n10:00 sent 51ms\n11:00 sent",
			want: []string{"late 10:00:00 1"},
		},
		{
			name: "a slot that no spec gives", spec: hourly, after: "11:00", slots: 3,
			runs: "09:00 sent\n10:00 sent\n10:30 sent\n11:00 sent",
			want: []string{"stray 10:30:00 1"},
		},
		{
			name: "what a person did is an end", spec: hourly, after: "11:00", slots: 3,
			runs: "09:00 sent\n10:00 skipped\n10:30 skipped\n11:00 failed",
		},
		{
			name: "a range has ended all of its slots", spec: "@every 10m from 2026-11-24T00:00:00Z", after: "11:00", slots: 18,
			runs: "08:00..10:50 coalesced 18\n11:00 sent\n11:10..11:30 skipped 3",
		},
		{
			name: "a range that ends in a hole", spec: "@every 10m from 2026-11-24T00:00:00Z", after: "11:30", slots: 18,
			runs: "08:00..10:50 coalesced 18\n11:10 sent\n11:20 sent\n11:30 sent",
			want: []string{"missing 11:00:00 1"},
		},
		{
			name: "runs that people asked for are no slots", spec: hourly, after: "11:00", slots: 3,
			runs: "09:00 sent\n09:30 asked a\n10:00 sent\n10:30 asked b\n11:00 sent",
		},
		{
			name: "a run that was asked for ended twice", spec: hourly, after: "11:00", slots: 3,
			runs: "09:00 sent\n09:30 asked a\n09:30 asked a\n10:00 sent\n11:00 sent",
			want: []string{"duplicate 09:30:00 1"},
		},
		{
			name: "a recovered slot is neither early nor late", spec: hourly, after: "11:00", slots: 3,
			runs: "09:00 sent\n10:00 sent recovered\n11:00 sent",
		},
		{
			name: "an edited entry is judged since the edit", spec: hourly, since: "10:30", after: "11:00", slots: 1,
			runs: "08:45 sent\n09:45 sent\n11:00 sent",
		},
		{
			name: "what went out while the edit settled is not judged", spec: "@every 1s from 2026-11-24T00:00:00Z", since: "11:29:55", after: "11:30", slots: 3,
			runs: "11:29:56 sent\n11:29:58 sent\n11:29:59 sent\n11:30:00 sent",
		},
		{
			name: "a paused entry is judged up to its pause", spec: hourly, after: "09:00", paused: "09:30", slots: 1,
			runs: "09:00 sent",
		},
		{
			name: "a ledger of exceptions knows no holes", spec: hourly, after: "11:00", slots: 3, options: audit.Options{Exceptions: true},
			runs: "10:00 failed",
		},
		{
			name: "a ledger of exceptions knows what is overdue, late and double", spec: hourly, after: "10:00", slots: 3, options: audit.Options{Exceptions: true},
			runs: "09:00 sent 6s\n10:00 skipped\n10:00 sent 7s",
			want: []string{"late 09:00:00 1", "late 10:00:00 1", "duplicate 10:00:00 1", "overdue 11:00:00 1"},
		},
		{
			name: "a time is one slot", spec: "@at 2026-11-24T10:00:00Z", after: "10:00", slots: 1,
			runs: "10:00 sent",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			spec, err := schedule.ParseSpec(tt.spec, "UTC", time.Time{})
			if err != nil {
				t.Fatal(err)
			}
			ledger := &fake{runs: runs(t, tt.runs), subjects: []schedule.Subject{{
				ID: "e", Name: "entry", Entry: &schedule.Entry{ID: "e", Name: "entry", Spec: spec, After: clock(t, tt.after)},
				Since: clock(t, tt.since), PausedAt: clock(t, tt.paused),
			}}}
			report, err := audit.Run(t.Context(), ledger, clock(t, "08:30"), clock(t, "11:30"), tt.options, 100, nil)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range report.Findings {
				text := string(f.Kind) + " " + f.Slot.Format(time.TimeOnly)
				if !f.Through.IsZero() {
					text += ".." + f.Through.Format(time.TimeOnly)
				}
				got = append(got, fmt.Sprintf("%s %d", text, f.Count))
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("findings %q, want %q: %+v", got, tt.want, report.Findings)
			}
			if report.Slots != tt.slots {
				t.Errorf("%d slots were judged, want %d", report.Slots, tt.slots)
			}
			if report.Clean() != (len(tt.want) == 0) {
				t.Errorf("Clean = %v with %d findings", report.Clean(), len(report.Findings))
			}
		})
	}
}

func TestWhatIsNotJudgedIsCounted(t *testing.T) {
	spec, err := schedule.ParseSpec("0 * * * *", "", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	entry := &schedule.Entry{Spec: spec, After: clock(t, "11:00")}
	ledger := &fake{subjects: []schedule.Subject{
		{ID: "a", Off: schedule.ReasonDisabled},
		{ID: "b", Off: schedule.ReasonDisabled},
		{ID: "c", Off: schedule.ReasonBadRow},
		{ID: "d", Entry: entry, Since: clock(t, "11:20")},
		{ID: "e", Entry: entry, PausedAt: clock(t, "08:00")},
	}}
	report, err := audit.Run(t.Context(), ledger, clock(t, "08:30"), clock(t, "11:30"), audit.Options{}, 10, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]int{schedule.ReasonDisabled: 2, schedule.ReasonBadRow: 1, schedule.ReasonPaused: 1}
	if fmt.Sprint(report.Unjudged) != fmt.Sprint(want) || report.Since != 1 || report.Entries != 1 || report.Slots != 0 {
		t.Errorf("report %+v, want unjudged %v, one judged in part, no slots", report, want)
	}
}

func TestAllEntriesAreLookedAtInSlices(t *testing.T) {
	spec, err := schedule.ParseSpec("0 * * * *", "", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	const entries = 1234
	ledger := &fake{}
	for i := range entries {
		id := schedule.ID(fmt.Sprintf("%05d", i))
		ledger.subjects = append(ledger.subjects, schedule.Subject{ID: id, Entry: &schedule.Entry{ID: id, Spec: spec, After: clock(t, "11:00")}})
	}
	looked := 0
	report, err := audit.Run(t.Context(), ledger, clock(t, "08:30"), clock(t, "11:30"), audit.Options{}, 7, func(n int) { looked = n })
	if err != nil {
		t.Fatal(err)
	}
	if report.Entries != entries || looked != entries || len(ledger.asked) != entries {
		t.Errorf("%d entries were judged, %d told of, %d read, want %d", report.Entries, looked, len(ledger.asked), entries)
	}
	if got := report.Counts[audit.Missing]; got != 3*entries || len(report.Findings) != 7 || report.More != entries-7 {
		t.Errorf("%d missing, %d findings and %d more; want %d, 7 and %d", got, len(report.Findings), report.More, 3*entries, entries-7)
	}
	ledger.fail = errors.New("away")
	if _, err := audit.Run(t.Context(), ledger, clock(t, "08:30"), clock(t, "11:30"), audit.Options{}, 7, nil); !errors.Is(err, ledger.fail) {
		t.Errorf("Run = %v, want the ledger's error", err)
	}
}

// An hour of an entry of every second that is sent in time, with one slot that is
// missing and one that is settled late: each is counted once, over all rounds.
func TestTheScannerJudgesEachSlotOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		spec, err := schedule.NewEvery(time.Second, start)
		if err != nil {
			t.Fatal(err)
		}
		entry := &schedule.Entry{ID: "e", Name: "entry", Spec: spec, After: start}
		ledger := &growing{entry: entry, start: start}
		scanner := audit.NewScanner(ledger, audit.ScannerOptions{LookBack: time.Minute})
		for range 2 { // a node that leads again goes on where it was
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error)
			go func() { done <- scanner.Run(ctx) }()
			time.Sleep(30*time.Minute + 7*time.Second)
			cancel()
			if err := <-done; err != nil {
				t.Errorf("Run = %v, want nil", err)
			}
		}
		state := scanner.State()
		if got := state.Counts[audit.Missing]; got != 1 {
			t.Errorf("%d missing, want 1", got)
		}
		if got := state.Counts[audit.Late]; got != 40 {
			t.Errorf("%d late, want 40", got)
		}
		if got := state.Counts[audit.Overdue]; got != 0 {
			t.Errorf("%d overdue at the end, want none", got)
		}
		if ledger.overdue == 0 {
			t.Error("nothing was ever overdue, though 40 slots were settled a minute late")
		}
		if want := int64(state.Until.Sub(start)/time.Second) - 2; state.Slots != want { // but those while its spec settled
			t.Errorf("%d slots were judged until %v, want %d", state.Slots, state.Until, want)
		}
		if state.Skipped != 0 {
			t.Errorf("%v were passed over, want none", state.Skipped)
		}
	})
}

// A growing ledger is written as time goes on: every second one slot, but none of
// 00:10:00, and those from 00:20:00 to 00:20:39 a minute after.
type growing struct {
	entry   *schedule.Entry
	start   time.Time
	overdue int // looks at a time when slots were owed
}

func (g *growing) settled() (until time.Time) {
	now := time.Now().Truncate(time.Second)
	hole := g.start.Add(20 * time.Minute)
	if now.Before(hole) || !now.Before(hole.Add(100*time.Second)) {
		return now
	}
	g.overdue++
	return hole.Add(-time.Second)
}

func (g *growing) Subjects(context.Context, schedule.ID, int) ([]schedule.Subject, schedule.ID, error) {
	entry := &schedule.Entry{ID: "e", Name: "entry", Spec: g.entry.Spec, After: g.settled()}
	return []schedule.Subject{{ID: "e", Entry: entry, Since: g.start}}, "", nil
}

func (g *growing) Ends(_ context.Context, _ []schedule.ID, from, until time.Time, each func(*schedule.Run) error) error {
	last := g.settled()
	if until.Before(last) {
		last = until
	}
	late := g.start.Add(20 * time.Minute)
	for slot := g.entry.Spec.Next(from); !slot.After(last); slot = g.entry.Spec.Next(slot) {
		run := schedule.Run{Entry: "e", Slot: slot, Count: 1, State: schedule.Sent, SentAt: slot.Add(time.Millisecond)}
		if slot.Equal(g.start.Add(10 * time.Minute)) {
			continue
		}
		if !slot.Before(late) && slot.Before(late.Add(40*time.Second)) {
			run.SentAt = slot.Add(time.Minute)
		}
		if err := each(&run); err != nil {
			return err
		}
	}
	return nil
}

// A scan takes its share of a processor and no more, however slow the ledger is.
func TestTheScannerKeepsToItsShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ledger := &slow{}
		scanner := audit.NewScanner(ledger, audit.ScannerOptions{})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- scanner.Run(ctx) }()
		time.Sleep(10 * time.Hour)
		cancel()
		<-done
		if share := float64(ledger.busy) / float64(10*time.Hour); share > 0.0101 || share < 0.005 {
			t.Errorf("the scan took %.4f of the time, want a hundredth at most, and not much less", share)
		}
		state := scanner.State()
		if state.Rounds == 0 {
			t.Error("no round was ended")
		}
		// A round of 2000 slices of 100 ms takes 5.6 hours, and one hour of it is judged.
		if state.Skipped < 4*time.Hour {
			t.Errorf("%v were passed over, want 4h at least: it can't keep up", state.Skipped)
		}
	})
}

// A slow ledger has a million entries, and takes a tenth of a second for a slice.
type slow struct{ busy time.Duration }

func (s *slow) Subjects(_ context.Context, after schedule.ID, _ int) ([]schedule.Subject, schedule.ID, error) {
	const each = 100 * time.Millisecond
	time.Sleep(each)
	s.busy += each
	n := 0
	if after != "" {
		if _, err := fmt.Sscan(string(after), &n); err != nil {
			return nil, "", err
		}
	}
	if n == 1999 {
		return nil, "", nil
	}
	return nil, schedule.ID(fmt.Sprint(n + 1)), nil
}

func (s *slow) Ends(context.Context, []schedule.ID, time.Time, time.Time, func(*schedule.Run) error) error {
	return nil
}

// A slot of DST=celery in the hour after a gap is one also for who looks from within that hour.
func TestASlotOfAGapIsNoStray(t *testing.T) {
	spec, err := schedule.ParseSpec("DST=celery CRON_TZ=America/New_York 30 2 * * *", "", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	slot := time.Date(2026, 3, 8, 7, 30, 0, 0, time.UTC) // 3:30, an hour after 2:30 was passed over
	ledger := &fake{
		subjects: []schedule.Subject{{ID: "e", Entry: &schedule.Entry{ID: "e", Spec: spec, After: slot}, Since: slot.AddDate(0, -1, 0)}},
		runs:     []schedule.Run{{Entry: "e", Slot: slot, Count: 1, State: schedule.Sent, SentAt: slot.Add(time.Millisecond)}},
	}
	report, err := audit.Run(t.Context(), ledger, slot.Add(-time.Minute), slot.Add(time.Minute), audit.Options{}, 10, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !report.Clean() || report.Slots != 1 {
		t.Errorf("found %+v of %d slots, want nothing of one", report.Findings, report.Slots)
	}
}
