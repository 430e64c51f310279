package plan_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onebeat/onebeat/internal/plan"
	"github.com/onebeat/onebeat/internal/schedule"
)

func TestMissedSlotsAreSettledByPolicy(t *testing.T) {
	for _, tt := range []struct {
		name    string
		misfire schedule.Misfire
		away    time.Duration
		want    []string
	}{
		{"once, one missed", schedule.Misfire{}, 15 * time.Minute, []string{"e 00:10:00"}},
		{"once, many missed", schedule.Misfire{Policy: schedule.Once}, 45 * time.Minute, []string{"e 00:10:00-00:30:00 coalesced 3", "e 00:40:00"}},
		{"once, the latest is only late", schedule.Misfire{}, 30*time.Minute + 2*time.Second, []string{"e 00:10:00-00:20:00 coalesced 2", "e 00:30:00"}},
		{"once, too old", schedule.Misfire{Age: 4 * time.Minute}, 45 * time.Minute, []string{"e 00:10:00-00:40:00 skipped 4"}},
		{"skip", schedule.Misfire{Policy: schedule.Skip}, 45 * time.Minute, []string{"e 00:10:00-00:40:00 skipped 4"}},
		{"skip, within its grace", schedule.Misfire{Policy: schedule.Skip, Grace: 6 * time.Minute}, 45 * time.Minute, []string{"e 00:10:00-00:30:00 skipped 3", "e 00:40:00"}},
		{"all", schedule.Misfire{Policy: schedule.All}, 45 * time.Minute, []string{"e 00:10:00", "e 00:20:00", "e 00:30:00", "e 00:40:00"}},
		{"all, at most two", schedule.Misfire{Policy: schedule.All, Count: 2}, 45 * time.Minute, []string{"e 00:10:00-00:20:00 skipped 2", "e 00:30:00", "e 00:40:00"}},
		{"all, none older than a quarter", schedule.Misfire{Policy: schedule.All, Age: 15 * time.Minute}, 45 * time.Minute, []string{"e 00:10:00-00:20:00 skipped 2", "e 00:30:00", "e 00:40:00"}},
		{"all, after a year", schedule.Misfire{Policy: schedule.All, Count: 1}, 365*24*time.Hour + time.Minute, []string{"e 00:10:00-23:50:00 skipped 52559", "e 00:00:00"}},
		{"late is not missed", schedule.Misfire{Policy: schedule.Skip}, 10*time.Minute + 4*time.Second, []string{"e 00:10:00"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := &schedule.Entry{ID: "1", Name: "e", Spec: every(t, "@every 10m"), Misfire: tt.misfire, After: time.Now()}
				time.Sleep(tt.away)
				p := running(t, plan.Options{})
				apply(t, p, present(e))
				check(t, pull(t, p, time.Minute, nil), tt.want...)
			})
		})
	}
}

// Who cannot keep up with what is due sends less of it, but does not give up on all: what coalesces into a
// late slot is not to coalesce again, for ever, because that slot is missed too by its turn.
func TestWhatIsAlwaysMissedIsSentNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const entries, pulls = 30, 120
		p := running(t, plan.Options{})
		for i := range entries {
			id := fmt.Sprint(i + 1)
			apply(t, p, present(&schedule.Entry{ID: schedule.ID(id), Name: id, Spec: every(t, "@every 1s"), After: time.Now()}))
		}
		sent := map[string]int{}
		for range pulls {
			dues, err := p.Pull(t.Context(), 3)
			if err != nil {
				t.Fatal(err)
			}
			for _, due := range dues {
				if due.State == "" {
					sent[due.Entry.Name]++
				}
			}
			time.Sleep(time.Second)
		}
		for i := range entries { // there is time for 360 dues, half of which may be of slots that coalesced
			if got := sent[fmt.Sprint(i+1)]; got < 3 {
				t.Errorf("entry %d was sent %d times in %d s, want 3 at least", i+1, got, pulls)
			}
		}
	})
}

// A numbered spec counts the calls of Next.
type numbered struct {
	schedule.Spec
	calls int
}

func (n *numbered) Next(t time.Time) time.Time { n.calls++; return n.Spec.Next(t) }

// However many missed slots a policy sends, few are looked at one by one meanwhile: all other entries wait for it.
func TestManyMissedSlotsAreBounded(t *testing.T) {
	for _, tt := range []struct {
		name, spec string
		count      int
		first      string // that is sent
	}{
		{"no bound", "@standard * * * * * *", 1_000_000_000, "2002-12-29T20:13:16Z"},
		{"bursts", "@standard * * * 1 1 *", 1000, "2002-01-01T23:43:20Z"},
		{"few in all", "@standard 0 0 1 1 *", 1_000_000_000, "2001-01-01T00:00:00Z"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				spec, err := schedule.ParseSpec(tt.spec, "", time.Time{})
				if err != nil {
					t.Fatal(err)
				}
				looked := &numbered{Spec: spec}
				e := &schedule.Entry{ID: "1", Name: "e", Spec: looked, After: time.Now(), Misfire: schedule.Misfire{Policy: schedule.All, Count: tt.count}}
				time.Sleep(time.Until(time.Date(2002, time.December, 31, 0, 0, 0, 0, time.UTC)))
				p := running(t, plan.Options{})
				apply(t, p, present(e))
				dues, err := p.Pull(t.Context(), 2)
				if err != nil {
					t.Fatal(err)
				}
				dues = slices.DeleteFunc(dues, func(due schedule.Due) bool { return due.State != "" })
				if len(dues) == 0 || dues[0].Slot.Format(time.RFC3339) != tt.first {
					t.Errorf("first sent: %v, want the slot of %s", dues, tt.first)
				}
				if looked.calls > 2_000_000 {
					t.Errorf("%d slots were looked at", looked.calls)
				}
			})
		})
	}
}
