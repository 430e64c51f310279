package plan

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// The agenda agrees with a sorted list whatever is set, moved and removed.
func TestAgendaKeepsOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var a agenda
		items := make([]*item, 20)
		for i := range items {
			items[i] = &item{at: absent}
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
			if got := a.overdue(at); got != n {
				t.Fatalf("overdue(%d) = %d, want %d of %v", at, got, n, want)
			}
		}
		var got []int64
		for a.first() != nil {
			got = append(got, a.first().next)
			a.remove(a.first())
		}
		if !slices.IsSorted(got) {
			t.Fatalf("taken in the order %v", got)
		}
	})
}

func BenchmarkAgendaMovesTheFirstOfAMillion(b *testing.B) {
	var a agenda
	for i := range 1_000_000 {
		a.set(&item{at: absent}, time.UnixMicro(int64(i)))
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
	items := make([]*item, entries)
	for i := range items {
		items[i] = &item{at: absent}
	}
	var a agenda
	for _, i := range rand.New(rand.NewPCG(1, 1)).Perm(entries) {
		a.set(items[i], time.UnixMicro(1))
	}
	b.ReportAllocs()
	for b.Loop() {
		first := a.first()
		a.set(first, time.UnixMicro(first.next+1_000_000))
	}
}
