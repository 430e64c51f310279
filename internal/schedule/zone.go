package schedule

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// The first and last second that a slot may have: years 1 to 9999, which is as
// far as Python's datetime goes.
const (
	firstSecond = -62135596800 // 0001-01-01T00:00:00Z
	lastSecond  = 253402300799 // 9999-12-31T23:59:59Z
)

// A zone is a time zone with its changes laid out for fast search.
//
// Local seconds, below, are what the zone's clocks show, counted as if the zone
// were UTC: the Unix time plus the offset.
type zone struct {
	name     string
	location *time.Location
	spans    []span // from the first instant of all; the end is tableEnd or lastSecond
}

// A span is a stretch of time in which a zone keeps one offset.
type span struct {
	start, end int64 // Unix seconds; the end is not part of it
	offset     int64 // seconds east of UTC

	// shown is the local second that clocks had come to before the span began.
	// Below start+offset it tells of a gap, above it of a fold.
	shown int64
}

// tableEnd bounds the table of changes: 2150-01-01T00:00:00Z. Later spans are asked of
// the time package one by one.
const tableEnd = 5680281600

var zones sync.Map // of name to *zone

// loadZone returns the zone of an IANA name; "" is UTC. The machine's own zone
// has no name here, so that nothing depends on it.
func loadZone(name string) (*zone, error) {
	if name == "" {
		name = "UTC"
	}
	if z, ok := zones.Load(name); ok {
		return z.(*zone), nil
	}
	if strings.EqualFold(name, "local") || strings.EqualFold(name, "localtime") {
		return nil, fmt.Errorf("zone %q depends on the machine: use an IANA name such as Europe/Berlin", name)
	}
	location, err := loadLocation(name)
	if err != nil {
		return nil, err
	}
	name = strings.Clone(name)
	z, _ := zones.LoadOrStore(name, newZone(name, location))
	return z.(*zone), nil
}

// Location returns the location of an IANA zone name; "" is UTC. Unlike
// time.LoadLocation it asks the data built in alone, keeps what it loaded and knows no local zone.
func Location(name string) (*time.Location, error) {
	z, err := loadZone(name)
	if err != nil {
		return nil, err
	}
	return z.location, nil
}

func newZone(name string, location *time.Location) *zone {
	z := &zone{name: name, location: location}
	s := z.ask(firstSecond - 2*24*60*60)
	s.shown = s.start + s.offset
	for s.end < tableEnd {
		next := z.ask(s.end)
		if next.offset == s.offset {
			s.end = next.end
			continue
		}
		z.spans = append(z.spans, s)
		next.start = s.end
		next.shown = s.end + s.offset
		s = next
	}
	z.spans = append(z.spans, s)
	return z
}

// ask returns the span around a Unix second as the time package knows it. The
// span may end early, with the next one keeping the same offset.
func (z *zone) ask(second int64) span {
	t := time.Unix(second, 0).In(z.location)
	_, offset := t.Zone()
	start, end := t.ZoneBounds()
	s := span{start: 2 * firstSecond, end: 2 * lastSecond, offset: int64(offset)}
	if !start.IsZero() {
		s.start = start.Unix()
		_, before := start.Add(-time.Second).Zone()
		s.shown = s.start + int64(before)
	}
	if !end.IsZero() {
		s.end = end.Unix()
	}
	if s.end <= second {
		// On the last day of a leap year ZoneBounds may give an end that has
		// passed (it takes every year for 365 days, Go 1.26 zoneinfo.go tzset).
		s.end = second + 60*60
	}
	return s
}

// find returns the span around a Unix second and its place in the table.
func (z *zone) find(second int64) (span, int) {
	low, high := 0, len(z.spans)
	if second >= z.spans[high-1].end {
		return z.ask(second), high
	}
	for high-low > 1 {
		middle := int(uint(low+high) >> 1)
		if z.spans[middle].start <= second {
			low = middle
		} else {
			high = middle
		}
	}
	return z.spans[low], low
}

// following returns the span after s, which has place i, and its place.
func (z *zone) following(s span, i int) (span, int) {
	if i+1 < len(z.spans) {
		return z.spans[i+1], i + 1
	}
	return z.ask(s.end), len(z.spans)
}

// next returns the first Unix second after one that gives a slot, for local seconds
// that the function local finds: the first at or after its argument, or never.
//
// Times in a fold are slots in the first pass, and again in the second if they are to
// repeat. A time in a gap is moved to the first instant after it, or is no slot if
// those of gaps are to be dropped.
func (z *zone) next(after int64, repeat, drop bool, local func(from int64) int64) int64 {
	s, i := z.find(after)
	from := after + 1 + s.offset
	if !repeat {
		from = max(from, s.shown)
	}
	found := local(from)
	for found-s.offset >= s.end {
		if found == never {
			return never
		}
		s, i = z.following(s, i)
		first := s.start + s.offset
		switch {
		case found < first: // a gap swallowed it
			if !drop {
				return s.start
			}
			found = local(first)
		case first < from && repeat: // a fold shows again what was passed
			from = first
			found = local(first)
		}
	}
	return found - s.offset
}

// local returns the local second of a Unix second.
func (z *zone) local(second int64) int64 {
	s, _ := z.find(second)
	return second + s.offset
}

// shifted returns the Unix second at which the zone's clocks first show a local
// second, or would if they had not been put forward before: PEP 495 with fold=0.
func (z *zone) shifted(local int64) int64 {
	s, i := z.find(local - 2*24*60*60) // no zone is as far as that from UTC
	for local-s.offset >= s.end {
		next, j := z.following(s, i)
		if local < next.start+next.offset {
			break
		}
		s, i = next, j
	}
	return local - s.offset
}

// instant returns the Unix second at which the zone's clocks first show a local
// second, or the first after the gap that swallowed it.
func (z *zone) instant(local int64) int64 {
	// No zone is as far as two days from UTC.
	s, i := z.find(local - 2*24*60*60)
	for local-s.offset >= s.end {
		s, i = z.following(s, i)
		if local < s.start+s.offset {
			return s.start
		}
	}
	return local - s.offset
}
