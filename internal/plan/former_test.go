package plan

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
)

// An entry of which there is always a slot on its way may be edited for good: former definitions whose slots
// are all over are let go of.
func TestFormerDefinitionsAreLetGoOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spec, err := schedule.ParseSpec("@every 1s", "UTC", time.Now())
		if err != nil {
			t.Fatal(err)
		}
		p := New(Options{Lead: 9 * time.Second})
		var sent []schedule.Due
		most := 0
		for edits := range 200 {
			e := &schedule.Entry{ID: "1", Name: "e", Spec: spec, After: time.Now(), Digest: uint64(edits + 1)}
			p.applyAll([]schedule.Change{{ID: "1", Name: "e", Entry: e}})
			sent = append(sent, p.take(100)...)
			time.Sleep(370 * time.Millisecond)
			for len(sent) > 0 && !sent[0].Slot.After(time.Now()) {
				sent[0].Entry.Seal(sent[0].Slot)
				sent = sent[1:]
			}
			for _, former := range p.former.of {
				most = max(most, len(former.ended))
			}
		}
		if most == 0 || most > 50 {
			t.Errorf("%d former definitions were kept at most, want those of some seconds: more than none, and less than 50", most)
		}
	})
}

// Entries that are removed while slots of theirs are on their way are forgotten once these have come.
func TestEntriesThatWereRemovedAreLetGoOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spec, err := schedule.ParseSpec("@every 1m", "UTC", time.Now())
		if err != nil {
			t.Fatal(err)
		}
		p := New(Options{Lead: 120 * time.Second})
		most := 0
		for i := range 6000 {
			id := schedule.ID(strconv.Itoa(i))
			p.applyAll([]schedule.Change{{ID: id, Entry: &schedule.Entry{ID: id, Spec: spec, After: time.Now()}}})
			p.take(100)
			p.applyAll([]schedule.Change{{ID: id, Reason: schedule.ReasonRemoved}})
			most = max(most, p.byID.Len())
			time.Sleep(90 * time.Millisecond)
		}
		if most < 100 || most > 2500 || len(p.gone.of) != p.byID.Len() {
			t.Errorf("%d entries that were removed were known at most, and %d of %d at the end; want those of a minute, and 2,500 at most", most, len(p.gone.of), p.byID.Len())
		}
	})
}
