package differential

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
)

// TestRelativeIntervalsAreCelerys compares intervals that are relative: five slots in a row, each
// asked of Celery as if the one before was sent in time, with the grid that goes through the first of them.
// Where the answers differ, it must be for one of the reasons of ClockEvery in internal/schedule.
func TestRelativeIntervalsAreCelerys(t *testing.T) {
	const instants, inRow = 10, 5
	want := comparisons(t)
	c := startCelery(t)
	r := rand.New(rand.NewPCG(90, uint64(want)))
	from, to := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).Unix(), time.Date(2037, 1, 1, 0, 0, 0, 0, time.UTC).Unix()

	var compared, different int
	listed := make(map[string]int)
	for compared < want {
		// From a second to a hundred days, as many in each order of magnitude; one in two is round.
		every := math.Exp(r.Float64() * math.Log(100*86400))
		unit := []float64{1e-6, 1, 60, 3600, 86400}[r.IntN(5)]
		every = max(math.Round(every/unit)*unit, 1)
		zone := zones[r.IntN(len(zones))]
		location, err := schedule.Location(zone)
		if err != nil {
			t.Fatal(err)
		}
		after := make([]float64, instants)
		for i := range after {
			second := from + r.Int64N(to-from)
			if _, end := time.Unix(second, 0).In(location).ZoneBounds(); !end.IsZero() && r.IntN(2) == 0 { // shortly before a change of clocks
				second = end.Unix() - r.Int64N(int64(every)*inRow+2)
			}
			after[i] = float64(second)
		}
		var answer struct{ Next [][]float64 }
		c.ask(map[string]any{"every": every, "zone": zone, "after": after}, &answer)
		for i, second := range after {
			at := time.Unix(int64(second), 0).In(location)
			spec, err := schedule.NewInterval(time.Duration(math.Round(every*1e6))*time.Microsecond, "relative", zone, at)
			if err != nil {
				t.Fatal(err)
			}
			slot, before := at, at
			for n, celerys := range answer.Next[i] {
				compared++
				want := time.UnixMicro(int64(math.Round(celerys * 1e6))).In(location)
				if n == 0 {
					slot = want.Add(-time.Microsecond) // a grid may have a slot before the first
				}
				if slot = spec.Next(slot).In(location); slot.Equal(want) {
					before = slot
					continue
				}
				if n == 0 {
					slot = spec.Next(want.Add(-mostApart)).In(location)
				}
				if reason := relativeDifference(every, before, slot, want); reason != "" {
					listed[reason]++
					break
				}
				if different++; different <= 20 {
					t.Errorf("every %v s relative in %s, from %v, slot %d: %v, Celery %v", every, zone, at, n+1, slot, want)
				}
				break // the ones after it differ too
			}
		}
	}
	t.Logf("compared %d slots of relative intervals with Celery %s: %d differences; besides, listed ones: %v", compared, c.version, different, listed)
}

// mostApart is how far the slots of a listed difference may be from each other, but for whole days.
const mostApart = 2 * time.Hour

// relativeDifference names the reason for which two slots differ, if there is one. Before is the slot before them.
func relativeDifference(every float64, before, got, celerys time.Time) string {
	const hour, day = 60 * 60, 24 * 60 * 60
	apart := got.Sub(celerys).Abs()
	midnight := before.Hour() == 0 && before.Minute() == 0
	switch {
	case hour <= every && every < day && apart <= mostApart && unevenChange(before.Add(-time.Second), celerys.Add(mostApart)):
		return "a change of clocks not at or by whole hours"
	case every > day && math.Mod(every, day) != 0 && !midnight && offset(before.Add(-1)) < offset(before) && apart <= 25*time.Hour:
		return "a midnight in a gap"
	}
	return ""
}

// unevenChange reports whether the clocks are changed from one instant to another, from or to a time
// that is no whole hour.
func unevenChange(from, to time.Time) bool {
	_, change := from.ZoneBounds()
	if change.IsZero() || change.After(to) {
		return false
	}
	return change.Minute() != 0 || (offset(change)-offset(change.Add(-1)))%3600 != 0
}
