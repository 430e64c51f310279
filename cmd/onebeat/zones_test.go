package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
	"github.com/onebeat/onebeat/internal/store"
)

// Without a DST rule, Berlin's data ends in a fixed offset: TZif's footer, by RFC 9636.
const (
	berlinRule = "\nCET-1CEST,M3.5.0,M10.5.0/3\n"
	berlinNone = "\nCET-1\n"
)

func TestCheckNamesTheZonesThatTheMachineHasOtherwise(t *testing.T) {
	dir := t.TempDir()
	write := func(name, data string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	berlin := string(schedule.ZoneData("Europe/Berlin"))
	if !strings.HasSuffix(berlin, berlinRule) {
		t.Fatalf("Berlin's data ends in %q", berlin[max(len(berlin)-40, 0):])
	}
	now := time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)
	ours := "slots go by the IANA data built in, " + schedule.ZoneDataVersion()

	if got := lookAtZones([]string{filepath.Join(dir, "none")}, now).note(); got != ours {
		t.Errorf("without data of the machine: %q, want %q", got, ours)
	}

	write("Europe/Berlin", berlin)
	write("Asia/Tokyo", string(schedule.ZoneData("Asia/Tokyo")))
	if got, want := lookAtZones([]string{filepath.Join(dir, "none"), dir}, now).note(), ours+"; the machine's, in "+dir+", shows the same times"; got != want {
		t.Errorf("with the same data: %q, want %q", got, want)
	}

	write("tzdata.zi", "# version 1999z\n# more\n")
	write("Europe/Berlin", strings.TrimSuffix(berlin, berlinRule)+berlinNone)
	write("America/New_York", "no zone")
	machine := lookAtZones([]string{dir}, now)
	// Germany's clocks go forward on the last Sunday of March.
	want := ours + "; the machine's, 1999z, differs in 1 zone: Europe/Berlin"
	if got := machine.note(); got != want {
		t.Errorf("with other data: %q, want %q", got, want)
	}

	row := func(spec, zone string) store.Row {
		t.Helper()
		parsed, err := schedule.ParseSpec(spec, zone, now)
		if err != nil {
			t.Fatal(err)
		}
		return store.Row{Entry: &schedule.Entry{Spec: parsed}}
	}
	seen := newRows(now)
	for _, row := range []store.Row{row("0 9 * * *", "Asia/Tokyo"), row("@every 90s", "Europe/Berlin"), {}} {
		seen.add(row, nil)
	}
	if got := machine.ofEntries(seen.zones); got != "" {
		t.Errorf("with entries in other zones: %q, want nothing", got)
	}
	seen.add(row("0 9 * * *", "Europe/Berlin"), nil)
	seen.add(row("@every 1d wall", "Europe/Berlin"), nil)
	if got, want := machine.ofEntries(seen.zones), "the machine's data shows other times for the zones of 2 entries: Europe/Berlin from 2027-03-28. Bring it up to date if their tasks ask for local time here"; got != want {
		t.Errorf("with two entries there: %q, want %q", got, want)
	}
}
