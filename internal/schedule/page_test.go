package schedule_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
)

// TestPageOfTimeIsTrue runs the examples of docs/time.md: the rows of its tables of zone,
// spec, after and next, and each spec of the first table.
func TestPageOfTimeIsTrue(t *testing.T) {
	page, err := os.ReadFile("../../docs/time.md")
	if err != nil {
		t.Fatal(err)
	}
	var specs, slots int
	zones := make(map[string]bool)
	table := ""
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		switch {
		case !strings.HasPrefix(line, "|"):
			table = ""
			continue
		case table == "":
			table = strings.Join(cells, " ")
			continue
		case strings.HasPrefix(cells[0], "---"):
			continue
		}
		switch table {
		case "spec slots":
			specs++
			parse(t, strings.Trim(cells[0], "`"), "")
		case "zone spec after next":
			slots++
			zones[cells[0]] = true
			spec, err := schedule.ParseSpec(strings.Trim(cells[1], "`"), cells[0], time.Time{})
			if err != nil {
				t.Errorf("%s: %v", line, err)
			} else if got := spec.Next(instant(t, cells[2])); !got.Equal(instant(t, cells[3])) {
				location, _ := schedule.Location(cells[0])
				t.Errorf("%s: the next slot is %v", strings.TrimSpace(line), got.In(location))
			}
		}
	}
	for _, zone := range []string{"America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Pacific/Chatham", "Antarctica/Troll", "Africa/Casablanca", "Pacific/Apia", "Europe/Dublin"} {
		if !zones[zone] {
			t.Errorf("there is no example of %s", zone)
		}
	}
	if release := "release " + schedule.ZoneDataVersion(); !strings.Contains(string(page), release) {
		t.Errorf("the page does not say %s", release)
	}
	if specs < 10 || slots < 30 {
		t.Errorf("only %d specs and %d slots were found on the page", specs, slots)
	}
}
