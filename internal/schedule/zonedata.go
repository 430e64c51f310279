package schedule

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"time"
)

// The IANA time zones that slots go by, whatever the machine has: so all nodes agree, and
// Next depends on its argument alone. scripts/zones makes the archive.
//
//go:embed zones.tar.gz
var zoneArchive []byte

// zoneFiles holds the archive's files by name, in the format of RFC 9636; the release
// is in +VERSION.
var zoneFiles = sync.OnceValue(func() map[string][]byte {
	files, err := readZoneArchive(zoneArchive)
	if err != nil {
		panic("the time zones built in: " + err.Error()) // the build is broken; any test tells
	}
	return files
})

func readZoneArchive(archive []byte) (map[string][]byte, error) {
	unzipped, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		return nil, err
	}
	files := make(map[string][]byte)
	reader := tar.NewReader(unzipped)
	for {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, err
		}
		name := path.Clean(header.Name)
		switch header.Typeflag {
		case tar.TypeReg:
			if files[name], err = io.ReadAll(reader); err != nil {
				return nil, err
			}
		case tar.TypeLink: // another name for a zone
			files[name] = files[path.Clean(header.Linkname)]
		}
	}
}

const zoneVersionFile = "+VERSION"

// ZoneDataVersion returns the release of the IANA data that slots go by, such as "2026f".
func ZoneDataVersion() string {
	return strings.TrimSpace(string(zoneFiles()[zoneVersionFile]))
}

// ZoneNames returns the names of all time zones, in order.
func ZoneNames() []string {
	names := slices.Sorted(maps.Keys(zoneFiles()))
	return slices.DeleteFunc(names, func(name string) bool { return name == zoneVersionFile })
}

// ZoneData returns a zone in the format of RFC 9636, or nil if there is none of the name.
func ZoneData(name string) []byte {
	if name == zoneVersionFile {
		return nil
	}
	return zoneFiles()[name]
}

// ZoneAdvice says what to write in place of a name that no zone has.
func ZoneAdvice(name string) string {
	like := strings.ReplaceAll(strings.TrimSpace(name), " ", "_")
	var near []string
	for _, known := range ZoneNames() {
		switch {
		case strings.EqualFold(known, like):
			return "did you mean " + known + "?"
		case !strings.Contains(known, "/"): // a slip among so few letters is another zone
		case nearly(known, like), strings.EqualFold(path.Base(known), like):
			near = append(near, known)
		}
	}
	if len(near) == 1 {
		return "did you mean " + near[0] + "?"
	}
	return "use an IANA name such as Europe/Berlin"
}

// nearly says whether a slip of the pen lies between a and b: one letter more, less or another, or two in each other's place.
func nearly(a, b string) bool {
	for a != "" && b != "" && a[0] == b[0] {
		a, b = a[1:], b[1:]
	}
	for a != "" && b != "" && a[len(a)-1] == b[len(b)-1] {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	return len(a) <= 1 && len(b) <= 1 || len(a) == 2 && len(b) == 2 && a[0] == b[1] && a[1] == b[0]
}

// loadLocation returns a zone of the data built in.
func loadLocation(name string) (*time.Location, error) {
	data := ZoneData(name)
	if data == nil {
		return nil, fmt.Errorf("zone %q is not known: %s", name, ZoneAdvice(name))
	}
	return time.LoadLocationFromTZData(name, data)
}

// ZoneDiffers returns the first instant, from one to another, at which the clocks of a zone show
// something else by other data (in the format of RFC 9636) than by that which slots go by. It is the zero
// Time if they are the same.
func ZoneDiffers(name string, data []byte, from, until time.Time) (time.Time, error) {
	location, err := loadLocation(name)
	if err != nil {
		return time.Time{}, err
	}
	other, err := time.LoadLocationFromTZData(name, data)
	if err != nil {
		return time.Time{}, err
	}
	ours, theirs := zone{location: location}, zone{location: other}
	for at := from.Unix(); at < until.Unix(); {
		a, b := ours.ask(at), theirs.ask(at)
		if a.offset != b.offset {
			return time.Unix(at, 0).UTC(), nil
		}
		at = min(a.end, b.end)
	}
	return time.Time{}, nil
}
