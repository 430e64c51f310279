package plan

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/onebeat/onebeat/internal/schedule"
)

// The agenda agrees with a sorted list whatever is set, moved and removed.
func TestAgendaKeepsOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := agenda{items: newItems()}
		items := make([]*item, 20)
		for i := range items {
			items[i] = a.items.fresh()
		}
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			it := items[rapid.IntRange(0, len(items)-1).Draw(t, "item")]
			if rapid.IntRange(0, 3).Draw(t, "kind") == 0 {
				a.remove(it)
			} else {
				a.set(it, time.UnixMicro(rapid.Int64Range(1, 50).Draw(t, "next")))
			}
			var want []int64
			for _, it := range items {
				if it.at != absent {
					want = append(want, it.next)
				}
			}
			slices.Sort(want)
			if first := a.first(); (first == nil) != (len(want) == 0) || first != nil && first.next != want[0] {
				t.Fatalf("first = %v, want the first of %v", first, want)
			}
			at := rapid.Int64Range(0, 50).Draw(t, "overdue at")
			n, _ := slices.BinarySearch(want, at+1)
			most := rapid.IntRange(0, 50).Draw(t, "most")
			if got := a.overdue(at, most); got != min(n, most) {
				t.Fatalf("overdue(%d, %d) = %d, want %d of %v", at, most, got, min(n, most), want)
			}
		}
		var got []place
		for a.first() != nil {
			got = append(got, a.heap[0])
			a.remove(a.first())
		}
		if !slices.IsSortedFunc(got, place.compare) { // those of one instant by their numbers
			t.Fatalf("taken in the order %v", got)
		}
	})
}

func BenchmarkAgendaMovesTheFirstOfAMillion(b *testing.B) {
	a := agenda{items: newItems()}
	for i := range 1_000_000 {
		a.set(a.items.fresh(), time.UnixMicro(int64(i)))
	}
	b.ReportAllocs()
	for b.Loop() {
		first := a.first()
		a.set(first, time.UnixMicro(first.next+1_000_000))
	}
}

// All slots of a herd are at one instant, and its entries lie anywhere in memory: each
// goes from the first place to one of the last.
func BenchmarkAgendaMovesAHerdOfAMillion(b *testing.B) {
	const entries = 1_000_000
	a := agenda{items: newItems()}
	items := make([]*item, entries)
	for i := range items {
		items[i] = a.items.fresh()
	}
	for _, i := range rand.New(rand.NewPCG(1, 1)).Perm(entries) {
		a.set(items[i], time.UnixMicro(1))
	}
	b.ReportAllocs()
	for b.Loop() {
		first := a.first()
		a.set(first, time.UnixMicro(first.next+1_000_000))
	}
}

// Specs that are alike are one, and what nobody has any more makes room: an edit costs no memory.
func TestItemsGiveBackWhatTheyHeld(t *testing.T) {
	m := newItems()
	all := make([]*item, 5000)
	at := time.Date(2026, 11, 26, 9, 0, 0, 0, time.UTC)
	for round := range 3 {
		for i := range all {
			if all[i] == nil {
				all[i] = m.fresh()
			}
			every, err := schedule.NewEvery(time.Hour, at.Add(time.Duration(round*7+i%7)*time.Second))
			if err != nil {
				t.Fatal(err)
			}
			e := &schedule.Entry{Spec: every}
			m.define(all[i], e)
			m.hold(all[i], e)
			if m.spec(all[i]) != schedule.Spec(every) || m.entry(all[i]) != e {
				t.Fatalf("item %d of round %d has %v and %p, want %v and %p", i, round, m.spec(all[i]), m.entry(all[i]), every, e)
			}
		}
	}
	if specs, known := len(m.specs.all)-len(m.specs.free), len(m.specs.known); specs != 8 || known != 7 { // and none
		t.Errorf("%d specs are held and %d are known, want 8 and 7", specs, known)
	}
	if len(m.entries.all) != len(all)+1 { // and none
		t.Errorf("there is room for %d definitions, want that of %d", len(m.entries.all), len(all))
	}
	for _, it := range all {
		m.hold(it, nil)
		m.drop(it)
	}
	if len(m.specs.known) != 0 || len(m.specs.all)-len(m.specs.free) != 1 || len(m.entries.all)-len(m.entries.free) != 1 {
		t.Errorf("%d specs and %d definitions are held of no item", len(m.specs.all)-len(m.specs.free)-1, len(m.entries.all)-len(m.entries.free)-1)
	}
	slabs := len(m.slabs)
	for range all {
		m.fresh()
	}
	if len(m.slabs) != slabs {
		t.Errorf("items are not used again: there are %d slabs, want %d", len(m.slabs), slabs)
	}
}
