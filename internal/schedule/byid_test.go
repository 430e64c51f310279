package schedule_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"github.com/onebeat/onebeat/internal/schedule"
)

func TestAKeyIsTheIDInFewerBytes(t *testing.T) {
	for _, tt := range []struct {
		id  schedule.ID
		has bool
	}{
		{"", true},
		{"7", true},
		{"12345678", true},
		{"123456789012345", true},
		{"\x00\x80 \x00", true},
		{"1234567890123456", false},
		{"4be0643f-1d98-573b-97cd-ca98a65347dd", true},
		{"019ab2c3-1111-7fff-bfff-ffffffffffff", true},
		{"4BE0643F-1D98-573B-97CD-CA98A65347DD", false}, // another text is another id
		{"4be0643f-1d98-573b-17cd-ca98a65347dd", false}, // not as RFC 9562 has it
		{"4be0643f1d98573b97cdca98a65347dd", false},
		{"4be0643f-1d98-573b-97cd-ca98a65347d-", false},
		{"4be0643-f1d98-573b-97cd-ca98a65347dd", false},
		{"4be0643f-1d98-573b-97cd-ca98a65347dg", false},
		{"------------------------------------", false},
		{schedule.ID(strings.Repeat("0", 36)), false},
		{"urn:uuid:4be0643f-1d98-573b-97cd-ca98a65347dd", false},
	} {
		key, has := tt.id.Key()
		if has != tt.has {
			t.Errorf("%q has a key: %t, want %t", tt.id, has, tt.has)
		}
		if has && key.ID() != tt.id {
			t.Errorf("the key of %q is that of %q", tt.id, key.ID())
		}
	}
}

// A ByID that was made room for takes little more than that, and all are found wherever they were looked for before.
func TestByIDHasRoomForWhatIsExpected(t *testing.T) {
	const entries = 50_000
	keys := make([]schedule.Key, entries+70)
	for i := range keys {
		keys[i], _ = schedule.ID(fmt.Sprintf("%08d", i)).Key()
	}
	fill := func(room int) (m *schedule.ByID[int64], bytes uint64) {
		m = &schedule.ByID[int64]{}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		m.Grow(room)
		for i := range entries {
			if i%64 == 0 {
				m.Warm(keys[i : i+70])
			}
			at, added := m.AtKey(keys[i])
			if !added {
				t.Fatalf("%d is in it already", i)
			}
			*at = int64(i)
		}
		runtime.ReadMemStats(&after)
		return m, after.TotalAlloc - before.TotalAlloc
	}
	grown, much := fill(0)
	roomy, little := fill(entries)
	if little > much/2 {
		t.Errorf("%d bytes were made for a ByID with room, %d for one that grew", little, much)
	}
	for name, m := range map[string]*schedule.ByID[int64]{"grown": grown, "roomy": roomy} {
		m.Grow(2 * entries) // which it does in its place
		if m.Len() != entries {
			t.Errorf("%s: %d of %d are in it", name, m.Len(), entries)
		}
		for i := range entries {
			if got, ok := m.Get(keys[i].ID()); !ok || got != int64(i) {
				t.Fatalf("%s: Get(%d) = %d, %t", name, i, got, ok)
			}
		}
	}
}

func FuzzKey(f *testing.F) {
	f.Add("12345678", "123456789")
	f.Add("4be0643f-1d98-573b-97cd-ca98a65347dd", "4be0643f-1d98-573b-97cd-ca98a65347de")
	f.Fuzz(func(t *testing.T, a, b string) {
		keyA, okA := schedule.ID(a).Key()
		keyB, okB := schedule.ID(b).Key()
		if okA && string(keyA.ID()) != a {
			t.Errorf("the key of %q is that of %q", a, keyA.ID())
		}
		if okA && okB && (keyA == keyB) != (a == b) {
			t.Errorf("keys of %q and %q are equal: %t", a, b, keyA == keyB)
		}
	})
}

func TestByIDIsAMap(t *testing.T) {
	var m schedule.ByID[int]
	ids := []schedule.ID{"7", "4be0643f-1d98-573b-97cd-ca98a65347dd", "an id that is a longer text"}
	if _, ok := m.Get("7"); ok || m.Len() != 0 {
		t.Error("the zero ByID is not empty")
	}
	m.Delete("7")
	for i, id := range ids {
		m.Set(id, i)
		m.Set(id, i+1)
	}
	for i, id := range ids {
		if got, ok := m.Get(id); !ok || got != i+1 {
			t.Errorf("Get(%q) = %d, %t, want %d", id, got, ok, i+1)
		}
	}
	all := map[schedule.ID]int{}
	for id, value := range m.All() {
		all[id] = value
	}
	if len(all) != 3 || m.Len() != 3 || all[ids[2]] != 3 {
		t.Errorf("it holds %v, want the three ids", all)
	}
	for _, id := range ids {
		m.Delete(id)
	}
	if m.Len() != 0 {
		t.Errorf("%d are left", m.Len())
	}
}

// Whatever is set and deleted in whatever order, it holds what Go's own map holds.
func TestByIDHoldsWhatAMapHolds(t *testing.T) {
	for seed, most := range []int{5, 600, 3000, 20_000, 20_000} {
		var m schedule.ByID[int]
		want := map[schedule.ID]int{}
		random := rand.New(rand.NewPCG(uint64(seed), 0))
		id := func() schedule.ID {
			n := random.IntN(most)
			if n%3 == 0 {
				return schedule.ID(fmt.Sprintf("%08x-0000-4000-8000-000000000000", n))
			}
			return schedule.ID(fmt.Sprint(n))
		}
		for i := range 4 * most {
			id, emptying := id(), i > 3*most
			if set := random.IntN(3) > 0; set != emptying {
				m.Set(id, i)
				want[id] = i
			} else {
				m.Delete(id)
				delete(want, id)
			}
			got, ok := m.Get(id)
			if value, is := want[id]; got != value || ok != is {
				t.Fatalf("of %d ids, after %d steps Get(%q) = %d, %t, want %d, %t", most, i, id, got, ok, value, is)
			}
		}
		if got := maps.Collect(m.All()); m.Len() != len(want) || !maps.Equal(got, want) {
			t.Fatalf("of %d ids it holds %d and says %d, want %d", most, len(got), m.Len(), len(want))
		}
	}
}

// Of the memory for a million entries little is empty, however many there are.
func TestByIDTakesLittleMoreThanItsValues(t *testing.T) {
	type value [2]int64
	const size = 32 // of a key and a value
	for _, n := range []int{20_000, 131_072, 140_000} {
		var m schedule.ByID[value]
		before := inUse()
		for i := range n {
			m.Set(schedule.ID(fmt.Sprintf("%08x-0000-4000-8000-000000000000", i)), value{})
		}
		if bytes := float64(inUse()-before) / float64(n); bytes > 1.8*size {
			t.Errorf("%d entries take %.0f bytes each, want %.0f at most", n, bytes, 1.8*size)
		} else {
			t.Logf("%d entries take %.0f bytes each", n, bytes)
		}
		runtime.KeepAlive(&m)
	}
}

func inUse() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what finalizers held
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// Parts go through each once, whatever is set and deleted between them.
func TestPartsGoThroughAllThatStay(t *testing.T) {
	const stay, leave = 5000, 200
	var m schedule.ByID[int]
	id := func(i int) schedule.ID { return schedule.ID(fmt.Sprintf("%08x-1d98-473b-97cd-ca98a65347dd", i)) }
	for i := range stay + leave {
		m.Set(id(i), i)
	}
	m.Set("a text that is too long for a key", stay)
	seen := map[schedule.ID]int{}
	parts := 0
	all := m.Unlike(&schedule.Sums{})
	for part := range m.Parts(all) {
		for id := range part {
			seen[id]++
		}
		m.Delete(id(stay + parts%leave))
		m.Set(id(2*stay+parts), 0)
		parts++
	}
	for i := range stay {
		if seen[id(i)] != 1 {
			t.Fatalf("%s was gone through %d times in %d parts, want once", id(i), seen[id(i)], parts)
		}
	}
	if seen["a text that is too long for a key"] != 1 || parts < 100 {
		t.Errorf("an id without a key was gone through %d times, in %d parts; want once, and many", seen["a text that is too long for a key"], parts)
	}
	for part := range m.Parts(all) {
		for range part {
			break
		}
		break // which ends it
	}
}

// Sums tell of each id that one of the two has and the other has not, and of few others.
func TestSumsTellWhereIDsDiffer(t *testing.T) {
	const both = 20_000
	id := func(i int) schedule.ID { return schedule.ID(fmt.Sprintf("%08x-1d98-473b-97cd-ca98a65347dd", i)) }
	for _, tt := range []struct {
		name      string
		gone, new []int
	}{
		{"the same", nil, nil},
		{"one is gone", []int{both}, nil},
		{"one is new", nil, []int{both}},
		{"as many gone as new", []int{both, both + 1, both + 2}, []int{both + 3, both + 4, both + 5}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var m schedule.ByID[int]
			var sums schedule.Sums
			add := func(i int) {
				key, _ := id(i).Key()
				sums.Add(key)
			}
			for i := range both {
				m.Set(id(i), i)
				add(i)
			}
			for _, i := range tt.gone {
				m.Set(id(i), i)
			}
			for _, i := range tt.new {
				add(i)
			}
			m.Set("a text that is too long for a key", 0)
			unlike := m.Unlike(&sums)
			parts, seen := -1, map[schedule.ID]bool{} // the last has no keys
			for part := range m.Parts(unlike) {
				parts++
				for id := range part {
					seen[id] = true
				}
			}
			for _, i := range tt.gone {
				if !seen[id(i)] {
					t.Errorf("%s, which is gone, is in no part that differs", id(i))
				}
			}
			for _, i := range tt.new {
				if key, _ := id(i).Key(); !unlike.Has(key) {
					t.Errorf("%s, which is new, is in no part that differs", id(i))
				}
			}
			if most := len(tt.gone) + len(tt.new); parts > most || !seen["a text that is too long for a key"] {
				t.Errorf("%d parts differ, and the id without a key was gone through: %v; want %d at most, and true", parts, seen["a text that is too long for a key"], most)
			}
		})
	}
}

// Where goes through those whose values are wanted, with and without keys, and ends when it is left.
func TestWhereGoesThroughWhatIsWanted(t *testing.T) {
	var m schedule.ByID[int]
	want := map[schedule.ID]int{}
	for i := range 1000 {
		for _, id := range []schedule.ID{schedule.ID(fmt.Sprint(i)), schedule.ID(fmt.Sprintf("%d, which is too long for a key", i))} {
			m.Set(id, i)
			if i%7 == 0 {
				want[id] = i
			}
		}
	}
	wanted := func(value int) bool { return value%7 == 0 }
	got := map[schedule.ID]int{}
	for id, value := range m.Where(wanted) {
		if _, twice := got[id]; twice {
			t.Errorf("%s came twice", id)
		}
		got[id] = value
	}
	if !maps.Equal(got, want) {
		t.Errorf("%d ids came, want the %d of the values that are wanted", len(got), len(want))
	}
	for range m.Where(wanted) {
		break
	}
}
