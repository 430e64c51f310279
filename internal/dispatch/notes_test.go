package dispatch

import (
	"fmt"
	"maps"
	"testing"

	"github.com/onebeat/onebeat/internal/celery"
)

// Where a queue is missing, thousands of slots fail for one reason: their note is no longer than some bytes for each.
func TestANoteOfThousandsIsShort(t *testing.T) {
	const slots = 8000
	reasons := [...]string{"queue low does not exist: start its worker, or set declare", "queue high does not exist: start its worker, or set declare"}
	n := newNotes()
	want := map[int64]map[int]string{1: {}, 2: {}}
	var more []note
	for i := range slots {
		failure := celery.Failure{Index: i, Reason: reasons[i%2]}
		one := failed(int64(1+i%4/2), failure)
		want[one.Seq][i] = "failed: " + failure.Reason
		if one.Seq == 2 {
			more = append(more, one)
		} else {
			n.withhold(one.Seq, i, one.Reason)
		}
	}
	text := n.text(more...)
	if most := 6 * slots; len(text) > most {
		t.Errorf("the note of %d slots has %d bytes, want %d at most", slots, len(text), most)
	}
	got, err := readNotes(text)
	if err != nil || !maps.EqualFunc(got, want, maps.Equal[map[int]string, map[int]string]) {
		t.Errorf("it is read as %d and %d slots, %v; want what was noted", len(got[1]), len(got[2]), err)
	}
}

// A mark may be of a node of an older version, which wrote a note for each slot.
func TestANoteOfEachSlotIsRead(t *testing.T) {
	got, err := readNotes(`[{"seq":7,"i":0,"why":"edited"},{"seq":7,"i":2,"why":"edited"}]`)
	if err != nil || fmt.Sprint(got) != "map[7:map[0:edited 2:edited]]" {
		t.Errorf("readNotes = %v, %v", got, err)
	}
}
