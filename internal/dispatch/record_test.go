package dispatch

import (
	"testing"

	"github.com/onebeat/onebeat/internal/schedule"
)

// What the runs of a herd were in is let go of after it, but for what goes on in between: else it is held for the rest of the term.
func TestLittleIsSpared(t *testing.T) {
	const each = 1000
	var s spare
	var inHand [][]schedule.Run
	for range 2 { // herds
		for range behind / each {
			inHand = append(inHand, s.take(each))
		}
		for _, runs := range inHand {
			s.give(runs)
		}
		inHand = nil
		held := 0
		for _, runs := range s.slices {
			held += cap(runs)
		}
		if held > few || held < few/2 {
			t.Errorf("room for %d runs is held after %d were recorded, want some, and for %d at most", held, behind, few)
		}
	}
}
