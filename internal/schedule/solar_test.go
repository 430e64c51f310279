package schedule_test

import (
	"strings"
	"testing"
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
)

var solarNames = []string{
	"dawn_astronomical", "dawn_nautical", "dawn_civil", "sunrise", "solar_noon", "sunset",
	"dusk_civil", "dusk_nautical", "dusk_astronomical", "dusk_astronomical_legacy",
}

// solarTolerance is how far a slot may be from the ephemeris.
const solarTolerance = 2 * time.Second

// TestSolarSlotsAreTheEphemeriss holds slots against those of Celery and PyEphem, all
// over the earth; many of them come after days without the event.
func TestSolarSlotsAreTheEphemeriss(t *testing.T) {
	var total, farthest time.Duration
	table := rows(t, "solar.txt", 5)
	for _, row := range table {
		spec := parse(t, "@solar "+row[0]+" "+row[1]+" "+row[2], "")
		off := spec.Next(instant(t, row[3])).Sub(instant(t, row[4])).Abs()
		total, farthest = total+off, max(farthest, off)
		if off > solarTolerance {
			t.Errorf("%v: Next(%s) = %v, the ephemeris %s", spec, row[3], spec.Next(instant(t, row[3])), row[4])
		}
	}
	if len(table) < 2000 {
		t.Errorf("only %d slots were compared", len(table))
	}
	t.Logf("%d slots are off by %v on average and by %v at most", len(table), total/time.Duration(len(table)), farthest)
}

// The first events after the beginning of 2025-03-20, as Celery 5.6.3 has them, and the
// one hour that Celery up to 5.6.2 has instead.
func TestSolarEventsOfOneDay(t *testing.T) {
	places := []string{"35.6895 139.6917", "51.4769 0", "-33.8688 151.2093", "-0.1807 -78.4678"}
	for event, times := range map[string]string{
		"dawn_astronomical":        "19:18:32 04:08:57 18:35:31 10:09:16",
		"dawn_nautical":            "19:48:39 04:49:50 19:04:54 10:33:16",
		"dawn_civil":               "20:18:23 05:29:06 19:33:59 10:57:16",
		"sunrise":                  "20:43:50 06:02:20 19:58:54 11:17:55",
		"solar_noon":               "02:48:42 12:07:22 02:02:39 17:21:10",
		"sunset":                   "08:52:43 18:13:23 08:06:37 23:24:25",
		"dusk_civil":               "09:18:12 18:46:43 08:31:30 23:45:04",
		"dusk_nautical":            "09:47:58 19:26:10 09:00:33 00:09:22",
		"dusk_astronomical":        "10:18:07 20:07:17 09:29:55 00:33:22",
		"dusk_astronomical_legacy": "07:19:06 16:08:59",
	} {
		for i, want := range strings.Fields(times) {
			got := parse(t, "@solar "+event+" "+places[i], "").Next(instant(t, "2025-03-20T00:00:00Z"))
			if off := got.Sub(instant(t, "2025-03-20T"+want+"Z")).Abs(); off > solarTolerance {
				t.Errorf("%s at %s is at %v, want %s", event, places[i], got, want)
			}
		}
	}
}

func TestSolarPassesOverDaysWithoutTheEvent(t *testing.T) {
	const tromso = "69.6492 18.9553"
	at := instant(t, "2025-06-01T00:00:00Z")
	sunset := parse(t, "@solar sunset "+tromso, "").Next(at)
	// The midnight sun is there until the second half of July.
	if sunset.Before(instant(t, "2025-07-20T00:00:00Z")) || sunset.After(instant(t, "2025-08-01T00:00:00Z")) {
		t.Errorf("the first sunset in Tromsø after %v is %v", at, sunset)
	}
	spec, noons := parse(t, "@solar solar_noon "+tromso, ""), 0
	for slot := spec.Next(at); slot.Before(at.AddDate(1, 0, 0)); slot = spec.Next(slot) {
		noons++
	}
	if noons != 365 {
		t.Errorf("%d solar noons in a year", noons)
	}
}

func TestSolarRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"@solar sunset 35.6895":      "@solar takes an event, a latitude and a longitude, as in @solar sunset 35.6895 139.6917, not 2 words",
		"@solar moonrise 0 0":        "not known: use one of dawn_astronomical, dawn_nautical, dawn_civil, sunrise, solar_noon, sunset, dusk_civil, dusk_nautical, dusk_astronomical, dusk_astronomical_legacy",
		"@solar sunset 90.1 0":       "latitude 90.1 is not on earth: use -90 (south) to 90 (north)",
		"@solar sunset 0 -180.5":     "longitude -180.5 is not on earth: use -180 (west) to 180 (east)",
		"@solar sunset NaN 0":        `"NaN" is not in degrees: write a number such as -33.8688 (at character 15 of`,
		"@solar sunset 0 0x1p4":      `"0x1p4" is not in degrees: write a number such as -33.8688 (at character 17 of`,
		"@solar sunset 35.6 139.7 9": "not 4 words",
	} {
		if _, err := schedule.ParseSpec(text, "", time.Time{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseSpec(%q): %v, want %q", text, err, want)
		}
	}
}

func BenchmarkSolar(b *testing.B) {
	for _, place := range []string{"35.6895 139.6917", "78.2232 15.6267"} {
		b.Run(place, func(b *testing.B) {
			spec := parse(b, "@solar sunset "+place, "")
			start := time.Date(2010, 1, 1, 0, 0, 0, 0, time.UTC)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				spec.Next(start.Add(time.Duration(i%350_000) * time.Hour))
			}
		})
	}
}
