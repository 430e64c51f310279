package main

import (
	"cmp"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
)

// zoneDirs are where machines keep their zone data, by package time (go1.26 zoneinfo_unix.go).
var zoneDirs = []string{"/usr/share/zoneinfo", "/usr/share/lib/zoneinfo", "/usr/lib/locale/TZ", "/etc/zoneinfo"}

// zonesAhead is how far the machine's zone data is compared with that built in.
const zonesAhead = 5 // years

// machineZones are the zones of which the machine's data shows other times than that built in.
type machineZones struct {
	dir     string // empty where the machine has none
	version string // empty where it is not told
	differ  []zoneDifference
}

type zoneDifference struct {
	name string
	from time.Time
}

func (d zoneDifference) String() string { return d.name + " from " + d.from.Format(time.DateOnly) }

// lookAtZones compares the machine's zone data, in the first of the directories that there is, with that
// built in.
func lookAtZones(dirs []string, now time.Time) machineZones {
	var machine machineZones
	for _, dir := range dirs {
		if info, err := os.Stat(dir); err == nil && info.IsDir() {
			machine.dir = dir
			break
		}
	}
	if machine.dir == "" {
		return machine
	}
	files := os.DirFS(machine.dir)
	// The first line of tzdata.zi: # version 2024a
	if text, err := fs.ReadFile(files, "tzdata.zi"); err == nil {
		line, _, _ := strings.Cut(string(text), "\n")
		machine.version, _ = strings.CutPrefix(line, "# version ")
	}
	for _, name := range schedule.ZoneNames() {
		data, err := fs.ReadFile(files, name)
		if err != nil {
			continue // a name that the machine does not have misleads nobody
		}
		if from, err := schedule.ZoneDiffers(name, data, now, now.AddDate(zonesAhead, 0, 0)); err == nil && !from.IsZero() {
			machine.differ = append(machine.differ, zoneDifference{name, from})
		}
	}
	// The nearest first.
	slices.SortStableFunc(machine.differ, func(a, b zoneDifference) int { return a.from.Compare(b.from) })
	return machine
}

// note says whose data slots go by, and where the machine's differs.
func (machine machineZones) note() string {
	note := "slots go by the IANA data built in, " + schedule.ZoneDataVersion()
	if machine.dir == "" {
		return note
	}
	theirs := cmp.Or(machine.version, "in "+machine.dir)
	if len(machine.differ) == 0 {
		return fmt.Sprintf("%s; the machine's, %s, shows the same times", note, theirs)
	}
	return fmt.Sprintf("%s; the machine's, %s, differs in %s: %s", note, theirs, schedule.Counted(len(machine.differ), "zone"),
		some(machine.differ, 3, func(d zoneDifference) string { return d.name }))
}

// ofEntries names the zones, of those that entries use and how many do, in which the machine's data shows other
// times, or returns nothing.
func (machine machineZones) ofEntries(used map[string]int) string {
	entries := 0
	differ := slices.DeleteFunc(slices.Clone(machine.differ), func(d zoneDifference) bool {
		entries += used[d.name]
		return used[d.name] == 0
	})
	if len(differ) == 0 {
		return ""
	}
	return fmt.Sprintf("the machine's data shows other times for the zones of %s: %s. Bring it up to date if their tasks ask for local time here", schedule.Counted(entries, "entry"), some(differ, 5, zoneDifference.String))
}

// some names the first few, at most so many.
func some(all []zoneDifference, most int, name func(zoneDifference) string) string {
	var names []string
	for _, d := range all[:min(len(all), most)] {
		names = append(names, name(d))
	}
	return named(names, len(all))
}
