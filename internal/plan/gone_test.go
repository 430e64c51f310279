package plan_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onebeat/onebeat/internal/plan"
	"github.com/onebeat/onebeat/internal/schedule"
)

// An entry that goes and is back while slots of it are on their way has all slots of its new spec but those, and
// none twice, whatever it is edited to then.
func TestAnEntryThatIsBackWithinTheLeadHasEachSlotOnce(t *testing.T) {
	const away, back = 10 * time.Second, 11 * time.Second // slots up to 20 s are on their way
	for _, tt := range []struct {
		name   string
		reason string
		specs  []string // the first goes, the others come, a second apart
		want   map[int]string
	}{
		{"disabled", schedule.ReasonDisabled, []string{"@every 5s", "@every 5s"}, map[int]string{15: "disabled", 20: "disabled", 25: "sent", 30: "sent"}},
		{"removed", schedule.ReasonRemoved, []string{"@every 5s", "@every 5s"}, map[int]string{15: "removed", 20: "removed", 25: "sent", 30: "sent"}},
		{"paused", schedule.ReasonPaused, []string{"@every 5s", "@every 5s"}, map[int]string{15: "paused", 20: "paused", 25: "sent", 30: "sent"}},
		{"disabled, back with more slots", schedule.ReasonDisabled, []string{"@every 5s", "@every 3s"}, map[int]string{12: "sent", 15: "disabled", 18: "sent", 20: "disabled", 21: "sent", 24: "sent", 27: "sent", 30: "sent"}},
		{"removed, back with more slots", schedule.ReasonRemoved, []string{"@every 5s", "@every 3s"}, map[int]string{12: "sent", 15: "removed", 18: "sent", 20: "removed", 21: "sent", 24: "sent", 27: "sent", 30: "sent"}},
		{"disabled, back with more slots, and edited again", schedule.ReasonDisabled, []string{"@every 5s", "@every 3s", "@every 4s"}, map[int]string{12: "sent", 15: "disabled", 16: "sent", 18: "edited", 20: "disabled", 21: "edited", 24: "sent", 28: "sent"}},
		{"disabled, and back with fewer", schedule.ReasonDisabled, []string{"@every 5s", "@every 30s"}, map[int]string{15: "disabled", 20: "disabled", 30: "sent"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				p := running(t, plan.Options{Lead: 30 * time.Second})
				var way []schedule.Due
				ends := map[int][]string{}
				through := func(at time.Duration) { // pulls what there is, and is the sender
					for time.Since(began) < at {
						pull(t, p, 100*time.Millisecond, func(due schedule.Due) { way = append(way, due) })
						way = slices.DeleteFunc(way, func(due schedule.Due) bool {
							if due.Slot.After(time.Now()) {
								return false
							}
							end := due.Reason
							if due.State == "" {
								end = due.Entry.Seal(due.Slot)
							}
							if end == "" {
								end = "sent"
							}
							if end != schedule.ReasonReplaced { // the new definition's end stands for the slot
								ends[int(due.Slot.Sub(began)/time.Second)] = append(ends[int(due.Slot.Sub(began)/time.Second)], end)
							}
							return true
						})
					}
				}
				edit := func(i int) {
					now := time.Now()
					apply(t, p, present(&schedule.Entry{ID: "1", Name: "e", Digest: uint64(i + 1), Spec: every(t, tt.specs[i]), After: now, Since: now.UnixMicro()}))
				}
				edit(0)
				through(away + time.Millisecond)
				apply(t, p, schedule.Change{ID: "1", Reason: tt.reason})
				for i := 1; i < len(tt.specs); i++ {
					through(back + time.Duration(i-1)*time.Second + time.Millisecond)
					edit(i)
				}
				through(31 * time.Second)
				got := map[int]string{}
				for slot, end := range ends {
					if slot > 10 {
						got[slot] = fmt.Sprint(end)
					}
				}
				want := map[int]string{}
				for slot, end := range tt.want {
					want[slot] = "[" + end + "]"
				}
				if !maps.Equal(got, want) {
					t.Errorf("slots ended as %v, want %v", got, want)
				}
			})
		})
	}
}
