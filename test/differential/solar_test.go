package differential

import (
	_ "embed"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
)

//go:embed solar_next.py
var solarNext string

// TestSolarSlotsAreTheEphemeriss compares the slot after random instants with the one that
// Celery finds with PyEphem, for each event, at all latitudes, from 1990 to 2045. It is within 2 s of when
// PyEphem's sun comes to the event's altitude, and of Celery's slot too, unless the search for that ended early or missed the event.
// As Celery needs a search for each, there are half as many of them as of crontabs.
func TestSolarSlotsAreTheEphemeriss(t *testing.T) {
	const tolerance = 2 // seconds
	events := []string{"dawn_astronomical", "dawn_nautical", "dawn_civil", "sunrise", "solar_noon", "sunset", "dusk_civil", "dusk_nautical", "dusk_astronomical"}
	want := comparisons(t) / 2
	ephemeris := startPython(t, solarNext)
	r := rand.New(rand.NewPCG(18, uint64(want)))
	from, to := time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC).Unix(), time.Date(2045, 1, 1, 0, 0, 0, 0, time.UTC).Unix()

	var compared, asked, unsure, passedOver, early, missed, different int
	var farthest, sum float64
	for compared < want {
		// An even spread over the globe has few places where events fail to come, so half of them are
		// spread over the latitudes, from pole to pole.
		latitude := math.Asin(2*r.Float64()-1) * 180 / math.Pi
		if r.IntN(2) == 0 {
			latitude = 180*r.Float64() - 90
		}
		event, longitude := events[asked%len(events)], 360*r.Float64()-180
		latitude, longitude = math.Round(latitude*1e4)/1e4, math.Round(longitude*1e4)/1e4
		at := from + r.Int64N(to-from)
		asked++
		var answer struct {
			Next, Crossing *float64
			Rate           float64
			Unsure         bool
			Error          string
		}
		ephemeris.ask(map[string]any{"event": event, "lat": latitude, "lon": longitude, "after": at}, &answer)
		spec, err := schedule.NewSolar(event, latitude, longitude)
		if err != nil {
			t.Fatal(err)
		}
		got := spec.Next(time.Unix(at, 0))
		switch {
		case answer.Next == nil:
			if !got.IsZero() && got.Sub(time.Unix(at, 0)) < 365*24*time.Hour {
				t.Errorf("%v after %v: %v, Celery has none: %s", spec, time.Unix(at, 0).UTC(), got, answer.Error)
			}
			continue
		case answer.Unsure || answer.Crossing == nil:
			unsure++
			continue
		case *answer.Next-float64(at) < tolerance: // one asks for it, the other may have passed it
			got = spec.Next(time.Unix(at-tolerance, 0))
		}
		compared++
		if *answer.Next-float64(got.Unix()) > 10*60 {
			// PyEphem's search may have stepped over an event that its own sun makes.
			var near struct {
				Crossing *float64
				Rises    bool
			}
			ephemeris.ask(map[string]any{"event": event, "lat": latitude, "lon": longitude, "near": got.Unix()}, &near)
			rising := event == "sunrise" || strings.HasPrefix(event, "dawn")
			if near.Crossing != nil && near.Rises == rising && math.Abs(*near.Crossing-float64(got.Unix())) < tolerance {
				missed++
				continue
			}
		}
		off := math.Abs(float64(got.Unix()) - *answer.Crossing)
		farthest, sum = max(farthest, off), sum+off
		if *answer.Next-float64(at) > 36*60*60 {
			passedOver++
		}
		if math.Abs(*answer.Next-*answer.Crossing) > tolerance/2 {
			early++
		} else {
			off = max(off, math.Abs(float64(got.Unix())-*answer.Next))
		}
		if off > tolerance {
			if different++; different <= 20 {
				t.Errorf("%v after %v: %v, Celery %v, PyEphem's sun %v, which moves by %.2f arcseconds in a second",
					spec, time.Unix(at, 0).UTC(), got, time.UnixMilli(int64(*answer.Next*1000)).UTC(), time.UnixMilli(int64(*answer.Crossing*1000)).UTC(), answer.Rate)
			}
		}
	}
	if passedOver < want/100 {
		t.Errorf("only %d of %d slots came after days without the event", passedOver, compared)
	}
	if unsure > asked/10 || early > asked/100 || missed > 1+asked/10_000 {
		t.Errorf("%d of %d slots were left out, as Celery itself is not sure of them, the search for %d ended early, and %d were missed by it", unsure, asked, early, missed)
	}
	t.Logf("compared %d events of the sun with Celery %s: %d differences; off by %.2f s on average, %.2f s at most; "+
		"%d came after days without the event; for %d PyEphem's search had ended early, and %d it had missed; %d were left out, as Celery is not sure of them",
		compared, ephemeris.version, different, sum/float64(compared), farthest, passedOver, early, missed, unsure)
}
