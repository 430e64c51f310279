package store

import (
	"fmt"
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
)

// DjangoTime are the settings of Django that say what an instant in its tables means. The
// zero value is USE_TZ on: instants are true, and in UTC where a database knows no zones.
type DjangoTime struct {
	// Zone is TIME_ZONE, an IANA name, where USE_TZ is off: columns of a database that
	// knows no zones then hold that zone's wall clock. Empty says that USE_TZ is on.
	Zone string

	// NaiveRuns says that DJANGO_CELERY_BEAT_TZ_AWARE is off, which counts with USE_TZ off
	// alone: then django-celery-beat takes UTC's wall clock for last_run_at, which a
	// database that knows zones takes for Zone's.
	NaiveRuns bool
}

// clocks are what a catalog's columns hold: last_run_at on the one hand, all others on the
// other.
type clocks struct{ columns, runs clock }

// clocks returns what the columns hold in a database that knows zones, or in one that
// does not.
func (d DjangoTime) clocks(zones bool) (c clocks, err error) {
	if d.Zone == "" {
		return c, nil
	}
	zone, err := schedule.Location(d.Zone)
	if err != nil {
		return c, fmt.Errorf("time zone %q of Django: %s", d.Zone, schedule.ZoneAdvice(d.Zone))
	}
	if !zones {
		c.columns = clock{zone: zone}
	}
	if zones == d.NaiveRuns {
		c.runs = clock{zone: zone, mistaken: zones}
	}
	return c, nil
}

// told are the columns of a statement that tells rows of their last runs, which are
// written as the table has them.
func (s *Store) told(ids []string, runs []time.Time, more ...any) []any {
	l := s.layout
	if l.clocks.runs.zone != nil {
		written := make([]time.Time, len(runs))
		for i, at := range runs {
			written[i] = l.clocks.runs.write(at)
		}
		runs = written
	}
	columns := append([]any{ids, runs}, more...)
	if l.ahead {
		ahead := make([]int64, len(ids))
		for i, now := 0, l.clocks.columns.ahead(time.Now()); i < len(ahead); i++ {
			ahead[i] = now
		}
		columns = append(columns, ahead)
	}
	return columns
}

// A clock is what a column holds that says of no zone which it means: the wall clock of a
// zone. The zero clock is UTC's.
type clock struct {
	zone *time.Location

	// mistaken says that it is the other way round: the column holds instants, and those
	// are what UTC's wall clock would mean in the zone.
	mistaken bool
}

// read is the instant that a column's value means, which was read as UTC's.
func (c clock) read(value lenient) time.Time {
	switch {
	case c.zone == nil || value.at.IsZero() || value.zoned:
		return value.at
	case c.mistaken:
		return wallClock(value.at, c.zone)
	}
	return meant(value.at, c.zone)
}

// write is the value of a column that means the instant.
func (c clock) write(at time.Time) time.Time {
	switch {
	case c.zone == nil || at.IsZero():
		return at
	case c.mistaken:
		written := meant(at, c.zone)
		if !wallClock(written, c.zone).Equal(at) { // clocks skip it: a later one would hide the slots that follow
			skipped, _ := written.In(c.zone).ZoneBounds()
			written = skipped.Add(-time.Microsecond)
		}
		return written
	}
	return wallClock(at, c.zone)
}

// ahead is how many seconds the column's clock is ahead of UTC now.
func (c clock) ahead(now time.Time) int64 {
	if c.zone == nil || c.mistaken {
		return 0
	}
	return int64(offset(now, c.zone) / time.Second)
}

// wallClock is what clocks of the zone show at the instant, as if UTC's did.
func wallClock(at time.Time, zone *time.Location) time.Time { return at.Add(offset(at, zone)).UTC() }

// meant is when clocks of the zone show what UTC's do at wall: the first of two times, and
// where clocks skip it, as if they had not yet been put forward. So does Django (Python's
// datetime with fold=0), and so PostgreSQL does of those that are skipped.
func meant(wall time.Time, zone *time.Location) time.Time {
	before := offset(wall.Add(-24*time.Hour), zone)
	at := wall.Add(-before)
	if offset(at, zone) == before {
		return at
	}
	if after := offset(wall.Add(24*time.Hour), zone); offset(wall.Add(-after), zone) == after {
		return wall.Add(-after)
	}
	return at
}

func offset(at time.Time, zone *time.Location) time.Duration {
	_, seconds := at.In(zone).Zone()
	return time.Duration(seconds) * time.Second
}
