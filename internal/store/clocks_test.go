package store

import (
	"testing"
	"time"
)

func TestClocksOfDjangosColumns(t *testing.T) {
	at := func(text string) time.Time {
		t.Helper()
		instant, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		return instant
	}
	for _, tt := range []struct{ name, zone, shown, meant, back string }{
		{"east of Greenwich", "Asia/Tokyo", "2026-01-01T09:00:00Z", "2026-01-01T00:00:00Z", "2026-01-01T09:00:00Z"},
		{"west of it, in winter", "America/New_York", "2026-01-01T09:00:00Z", "2026-01-01T14:00:00Z", "2026-01-01T09:00:00Z"},
		{"and in summer", "America/New_York", "2026-07-01T09:00:00Z", "2026-07-01T13:00:00Z", "2026-07-01T09:00:00Z"},
		// Clocks go from 02:00 to 03:00 at 07:00 UTC: what they skip means an hour later.
		{"before clocks go forward", "America/New_York", "2026-03-08T01:59:59Z", "2026-03-08T06:59:59Z", "2026-03-08T01:59:59Z"},
		{"skipped", "America/New_York", "2026-03-08T02:30:00Z", "2026-03-08T07:30:00Z", "2026-03-08T03:30:00Z"},
		{"after it", "America/New_York", "2026-03-08T03:00:00Z", "2026-03-08T07:00:00Z", "2026-03-08T03:00:00Z"},
		// And from 02:00 to 01:00 at 06:00 UTC.
		{"before clocks go back", "America/New_York", "2026-11-01T00:59:59Z", "2026-11-01T04:59:59Z", "2026-11-01T00:59:59Z"},
		{"shown twice", "America/New_York", "2026-11-01T01:30:00Z", "2026-11-01T05:30:00Z", "2026-11-01T01:30:00Z"},
		{"after that", "America/New_York", "2026-11-01T02:00:00Z", "2026-11-01T07:00:00Z", "2026-11-01T02:00:00Z"},
		{"half an hour skipped", "Australia/Lord_Howe", "2026-10-04T02:15:00Z", "2026-10-03T15:45:00Z", "2026-10-04T02:45:00Z"},
		{"a day skipped", "Pacific/Apia", "2011-12-30T12:00:00Z", "2011-12-30T22:00:00Z", "2011-12-31T12:00:00Z"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			aware, err := DjangoTime{Zone: tt.zone}.clocks(false)
			if err != nil {
				t.Fatal(err)
			}
			shown := lenient{at: at(tt.shown)}
			if got := aware.columns.read(shown); !got.Equal(at(tt.meant)) {
				t.Errorf("the columns' %s means %v, want %s", tt.shown, got, tt.meant)
			}
			if got := aware.columns.write(at(tt.meant)); !got.Equal(at(tt.back)) {
				t.Errorf("%s is written as %v, want %s", tt.meant, got, tt.back)
			}
			// Where the database takes UTC's time for the zone's, it is the other way round.
			naive, err := DjangoTime{Zone: tt.zone, NaiveRuns: true}.clocks(true)
			if err != nil {
				t.Fatal(err)
			}
			meant := at(tt.meant)
			if tt.back != tt.shown { // the last instant before
				meant, _ = meant.In(naive.runs.zone).ZoneBounds()
				meant = meant.Add(-time.Microsecond)
			}
			if got := naive.runs.write(shown.at); !got.Equal(meant) || got.After(at(tt.meant)) {
				t.Errorf("a run of %s is written as %v, want %v", tt.shown, got, meant)
			}
			if got := naive.runs.read(lenient{at: at(tt.meant)}); !got.Equal(at(tt.back)) {
				t.Errorf("a run that was written as %s was %v, want %s", tt.meant, got, tt.back)
			}
		})
	}
}

// Which columns are whose: see schemas' table of USE_TZ and DJANGO_CELERY_BEAT_TZ_AWARE.
func TestWhichClocksDjangosColumnsGoBy(t *testing.T) {
	noon := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name          string
		django        DjangoTime
		zones         bool
		columns, runs int // hours that noon is written later
	}{
		{"USE_TZ", DjangoTime{}, false, 0, 0},
		{"USE_TZ, zones", DjangoTime{}, true, 0, 0},
		{"aware", DjangoTime{Zone: "Asia/Tokyo"}, false, 9, 9},
		{"aware, zones", DjangoTime{Zone: "Asia/Tokyo"}, true, 0, 0},
		{"naive", DjangoTime{Zone: "Asia/Tokyo", NaiveRuns: true}, false, 9, 0},
		{"naive, zones", DjangoTime{Zone: "Asia/Tokyo", NaiveRuns: true}, true, 0, -9},
	} {
		by, err := tt.django.clocks(tt.zones)
		if err != nil {
			t.Fatal(err)
		}
		hours := func(c clock) int { return int(c.write(noon).Sub(noon) / time.Hour) }
		if hours(by.columns) != tt.columns || hours(by.runs) != tt.runs || by.columns.ahead(noon) != int64(tt.columns)*3600 {
			t.Errorf("%s: columns are %d h and runs %d h later, ahead %d s; want %d h and %d h", tt.name, hours(by.columns), hours(by.runs), by.columns.ahead(noon), tt.columns, tt.runs)
		}
	}
	if _, err := (DjangoTime{Zone: "Mars/Olympus"}).clocks(false); err == nil {
		t.Error("a zone that is none was taken")
	}
}

func TestTextsThatNameTheirOffset(t *testing.T) {
	for text, zoned := range map[string]bool{
		"2026-01-01 09:00:00": false, "2026-01-01 09:00:00.000001": false, "2026-01-01": false, "2026-01-01T09:00:00": false,
		"2026-01-01T09:00:00Z": true, "2026-01-01 09:00:00+00:00": true, "2026-01-01T09:00:00-05:00": true,
	} {
		var l lenient
		if err := l.Scan(text); err != nil || l.zoned != zoned || l.at.IsZero() {
			t.Errorf("Scan(%q) = %+v, %v; want zoned %v", text, l, err, zoned)
		}
	}
}
