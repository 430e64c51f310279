package schedule_test

import (
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
)

func TestZonesAreBuiltIn(t *testing.T) {
	if version := schedule.ZoneDataVersion(); !regexp.MustCompile(`^20\d\d[a-z]$`).MatchString(version) {
		t.Errorf("the zone data is of release %q", version)
	}
	names := schedule.ZoneNames()
	// As many are in zone.tab and backward of IANA's release 2026f.
	if len(names) < 590 || !slices.IsSorted(names) {
		t.Errorf("there are %d zones, in order: %v", len(names), slices.IsSorted(names))
	}
	for _, name := range names {
		if _, err := schedule.Location(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{"+VERSION", "Africa", "europe/berlin", "../Europe/Berlin", "Nowhere", "Local", "localtime"} {
		if _, err := schedule.Location(name); err == nil {
			t.Errorf("%q is taken for a zone", name)
		}
	}
}

// The machine's own data decides nothing: ZONEINFO is where package time looks first.
func TestZonesAreNotTheMachines(t *testing.T) {
	t.Setenv("ZONEINFO", t.TempDir())
	at := instant(t, "2027-06-01T12:00:00Z")
	for _, tt := range []struct{ name, want string }{
		{"Europe/Berlin", "2027-06-01T14:00:00+02:00"},
		{"Africa/Casablanca", "2027-06-01T12:00:00Z"}, // an hour ahead until 2026-09-20: the data of 2025 knows nothing of it
		{"America/Vancouver", "2027-06-01T05:00:00-07:00"},
	} {
		location, err := schedule.Location(tt.name)
		if err != nil {
			t.Fatal(err)
		}
		if got := at.In(location).Format(time.RFC3339); got != tt.want {
			t.Errorf("%s shows %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestZoneDiffers(t *testing.T) {
	from, until := instant(t, "2026-11-25T00:00:00Z"), instant(t, "2031-11-25T00:00:00Z")
	for _, tt := range []struct{ name, other, want string }{
		{"Europe/Berlin", "Europe/Berlin", ""},
		{"Europe/Berlin", "Europe/Paris", ""}, // other names and another past
		{"Europe/Berlin", "Europe/London", "2026-11-25T00:00:00Z"},
		{"Europe/Berlin", "Africa/Lagos", "2027-03-28T01:00:00Z"}, // an hour ahead all year
		{"America/Phoenix", "America/Denver", "2027-03-14T09:00:00Z"},
	} {
		got, err := schedule.ZoneDiffers(tt.name, schedule.ZoneData(tt.other), from, until)
		if err != nil {
			t.Fatal(err)
		}
		if want := tt.want; want == "" && !got.IsZero() || want != "" && !got.Equal(instant(t, want)) {
			t.Errorf("%s differs from %s at %v, want %q", tt.name, tt.other, got, want)
		}
	}
	if _, err := schedule.ZoneDiffers("Europe/Berlin", []byte("no zone"), from, until); err == nil {
		t.Error("what is no zone is none")
	}
	if _, err := schedule.ZoneDiffers("Nowhere", schedule.ZoneData("UTC"), from, until); err == nil {
		t.Error("there is no zone of the name")
	}
}

func TestANameThatNoZoneHasIsAnsweredWithTheNearest(t *testing.T) {
	for name, want := range map[string]string{
		"Asia/Tokio": "did you mean Asia/Tokyo?", "Tokyo": "did you mean Asia/Tokyo?", "America/NewYork": "did you mean America/New_York?",
		"Europe/Brelin": "did you mean Europe/Berlin?", "asia/tokyo": "did you mean Asia/Tokyo?",
		"Eastern": "use an IANA name such as Europe/Berlin", // of several countries
		"EDT":     "use an IANA name such as Europe/Berlin", "": "use an IANA name such as Europe/Berlin", "Mars/Olympus": "use an IANA name such as Europe/Berlin",
	} {
		if got := schedule.ZoneAdvice(name); got != want {
			t.Errorf("ZoneAdvice(%q) = %q, want %q", name, got, want)
		}
	}
}
