package schedule

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// A Solar is a Spec of a daily event of the sun at a place: at sea level, with a
// free horizon and no refraction but what the event's own angle has of it, as
// celery/schedules.py has it.
//
// Slots are whole seconds, and within two of PyEphem's. A day on which the event
// does not come, as near the poles, is passed over.
type Solar struct {
	event               *solarEvent
	latitude, longitude float64 // degrees, north and east
}

// A solarEvent is the moment at which the sun comes to an altitude. The zero
// altitude stands for the highest of the day.
type solarEvent struct {
	name     string
	words    string
	altitude float64 // degrees
	limb     bool    // it is the sun's upper limb, not its centre, that comes there
	rising   bool
}

const horizon = -34.0 / 60 // degrees: refraction lifts the sun by as much

var solarEvents = []solarEvent{
	{"dawn_astronomical", "astronomical dawn", -18, false, true},
	{"dawn_nautical", "nautical dawn", -12, false, true},
	{"dawn_civil", "civil dawn", -6, false, true},
	{"sunrise", "sunrise", horizon, true, true},
	{"solar_noon", "solar noon", 0, false, true},
	{"sunset", "sunset", horizon, true, false},
	{"dusk_civil", "civil dusk", -6, false, false},
	{"dusk_nautical", "nautical dusk", -12, false, false},
	{"dusk_astronomical", "astronomical dusk", -18, false, false},
	// Celery up to 5.6.2 had the sign wrong. This is for who counts on its hours.
	{"dusk_astronomical_legacy", "the afternoon hour that Celery up to 5.6.2 took for astronomical dusk", 18, false, false},
}

// NewSolar returns the spec of an event, by Celery's name, at a place in degrees.
func NewSolar(event string, latitude, longitude float64) (Solar, error) {
	if !(-90 <= latitude && latitude <= 90) {
		return Solar{}, fmt.Errorf("latitude %v is not on earth: use -90 (south) to 90 (north)", latitude)
	}
	if !(-180 <= longitude && longitude <= 180) {
		return Solar{}, fmt.Errorf("longitude %v is not on earth: use -180 (west) to 180 (east)", longitude)
	}
	var names []string
	for i := range solarEvents {
		if solarEvents[i].name == event {
			return Solar{&solarEvents[i], latitude, longitude}, nil
		}
		names = append(names, solarEvents[i].name)
	}
	return Solar{}, fmt.Errorf("solar event %.40q is not known: use one of %s", event, strings.Join(names, ", "))
}

// parseSolar reads what follows "@solar": an event, a latitude and a longitude.
func parseSolar(text string) (Solar, error) {
	words := strings.Fields(text)
	if len(words) != 3 {
		return Solar{}, &SpecError{Text: text, Problem: fmt.Sprintf("@solar takes an event, a latitude and a longitude, as in @solar sunset 35.6895 139.6917, not %d words", len(words))}
	}
	var place [2]float64
	for i, word := range words[1:] {
		var err error
		// ParseFloat reads hexadecimal, underscores and names of numbers as well.
		if place[i], err = strconv.ParseFloat(word, 64); err != nil || strings.Trim(word, "+-.0123456789") != "" {
			return Solar{}, &SpecError{Text: text, Offset: strings.LastIndex(text, word), Problem: fmt.Sprintf("%.40q is not in degrees: write a number such as -33.8688", word)}
		}
	}
	s, err := NewSolar(words[0], place[0], place[1])
	if err != nil {
		return Solar{}, &SpecError{Text: text, Problem: err.Error()}
	}
	return s, nil
}

// String implements Spec.
func (s Solar) String() string {
	degrees := func(d float64) string { return strconv.FormatFloat(d, 'f', -1, 64) }
	return "@solar " + s.event.name + " " + degrees(s.latitude) + " " + degrees(s.longitude)
}

// Next implements Spec. There is no slot if the event does not come for two years,
// as at the very poles, nor after the year 9999.
func (s Solar) Next(t time.Time) time.Time {
	const longest = 2 * 366 // days
	after := max(t.Unix(), firstSecond-1)
	first := floorDiv(after-s.noon(0), daySeconds)
	for day := first; day < first+longest; day++ {
		slot, ok := s.slot(day)
		switch {
		case slot > lastSecond:
			return time.Time{}
		case ok && slot > after:
			return time.Unix(slot, 0).UTC()
		}
	}
	return time.Time{}
}

// noon returns when it is noon by the place's mean time, on a day counted from
// 1970-01-01. The sun is within 17 minutes of the meridian then.
func (s Solar) noon(day int64) int64 {
	return day*daySeconds + daySeconds/2 - int64(math.Round(s.longitude*daySeconds/360))
}

// slot returns when the event comes between the midnights around a day's noon, if
// it does. It depends on the day alone.
func (s Solar) slot(day int64) (second int64, ok bool) {
	noon := s.noon(day)
	sky := newSky(float64(noon), s.longitude*math.Pi/180)
	transit := sky.meridian(0)
	if s.event.altitude == 0 {
		return noon + int64(math.Round(transit*daySeconds)), true
	}
	low := sky.meridian(-math.Pi)
	if !s.event.rising {
		low = sky.meridian(math.Pi)
	}
	above := func(at float64) bool {
		sun := sky.at(at)
		altitude := sun.altitude(s.latitude * math.Pi / 180)
		if s.event.limb {
			altitude += sunRadius / sun.distance
		}
		return altitude > s.event.altitude*math.Pi/180
	}
	high := transit
	if above(low) || !above(high) {
		return noon, false
	}
	const halvings = 24 // of half a day: to the hundredth of a second
	for range halvings {
		if middle := (low + high) / 2; above(middle) {
			high = middle
		} else {
			low = middle
		}
	}
	return noon + int64(math.Round((low+high)/2*daySeconds)), true
}

// A sky is where the sun is seen on one day at one longitude. Instants are in days
// from the noon that it was made for, about half a day before and after.
type sky struct {
	before, noon, after sun
}

// newSky computes the sun at three instants, among which the rest is interpolated.
func newSky(noon, longitude float64) sky {
	s := sky{newSun(noon-daySeconds/2, longitude), newSun(noon, longitude), newSun(noon+daySeconds/2, longitude)}
	// The hour angle rises through the day, from half a turn before noon to half a turn after.
	s.noon.hourAngle = math.Remainder(s.noon.hourAngle, 2*math.Pi)
	s.before.hourAngle = s.noon.hourAngle - math.Pi + math.Remainder(s.before.hourAngle-s.noon.hourAngle+math.Pi, 2*math.Pi)
	s.after.hourAngle = s.noon.hourAngle + math.Pi + math.Remainder(s.after.hourAngle-s.noon.hourAngle-math.Pi, 2*math.Pi)
	return s
}

// at returns the sun at an instant: the parabola through the three that are known. It
// is off by less than a hundredth of a second of arc.
func (s sky) at(at float64) sun {
	x := 2 * at // half days
	along := func(before, noon, after float64) float64 {
		return noon + x*(after-before)/2 + x*x*(before+after-2*noon)/2
	}
	return sun{
		hourAngle:   along(s.before.hourAngle, s.noon.hourAngle, s.after.hourAngle),
		declination: along(s.before.declination, s.noon.declination, s.after.declination),
		distance:    along(s.before.distance, s.noon.distance, s.after.distance),
	}
}

// meridian returns the instant at which the sun's hour angle is that given, half a
// turn from noon at most.
func (s sky) meridian(hourAngle float64) (at float64) {
	for range 4 { // each step leaves a thousandth of the error
		at += math.Remainder(hourAngle-s.at(at).hourAngle, 4*math.Pi) / (2 * math.Pi)
	}
	return at
}
