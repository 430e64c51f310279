package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/onebeat/onebeat/internal/app"
	"github.com/onebeat/onebeat/internal/schedule"
	"github.com/onebeat/onebeat/internal/store"
)

// lookAtDjango says what Django's settings are by what its tables hold, and whether those
// that were given fit.
func lookAtDjango(ctx context.Context, s *store.Store, config app.Config, named []string) finding {
	f := finding{What: "Django's settings", OK: true}
	guess, err := s.GuessDjango(ctx)
	if err != nil {
		f.OK, f.Note = false, oneLine(explain(err))
		return f
	}
	aware := config.Bool("django-use-tz") || config.Bool("django-beat-tz-aware")
	known := guess.Agree*2 > guess.Ran
	switch {
	case known && guess.Apart != 0:
		offset := guess.Apart
		if !aware {
			offset += zoneOffset(config.String("django-time-zone"), guess.At)
		}
		f.OK, f.Note = false, fmt.Sprintf("date_changed is %s last_run_at in %d of %d tasks that beat ran and saved within minutes: ", fromOther(guess.Apart), guess.Agree, guess.Ran)
		if offset == 0 {
			f.Note += "Django's USE_TZ is on: leave the settings django-… away"
		} else {
			zone := zoneThere(offset, guess.At, config, named)
			f.Note += fmt.Sprintf("Django's USE_TZ and DJANGO_CELERY_BEAT_TZ_AWARE are off, and its TIME_ZONE is %s UTC: give --django-use-tz=off --django-beat-tz-aware=off --django-time-zone=%s", fromOther(offset), zone)
		}
	case guess.Ahead > time.Minute:
		f.OK, f.Note = false, fmt.Sprintf("date_changed is %v ahead of the database's clock: Django's USE_TZ is off, and its TIME_ZONE so far east of what is given, or farther: give --django-use-tz=off and --django-time-zone, and --django-beat-tz-aware=off if its DJANGO_CELERY_BEAT_TZ_AWARE is off", guess.Ahead.Round(time.Minute))
	default:
		f.Note = "USE_TZ is on"
		if !config.Bool("django-use-tz") {
			f.Note = "USE_TZ is off, TIME_ZONE is " + config.String("django-time-zone") + ", DJANGO_CELERY_BEAT_TZ_AWARE is " + map[bool]string{true: "on", false: "off"}[aware]
		}
		if known {
			f.Note += fmt.Sprintf(": so say %d of %d tasks that beat ran, whose date_changed is minutes after last_run_at", guess.Agree, guess.Ran)
		} else {
			f.Note += ", as the settings say: no task that beat ran tells whether it is so; compare with Django's"
		}
	}
	return f
}

// fromOther says in words how far one clock is from another.
func fromOther(apart time.Duration) string {
	hours := strings.TrimSuffix(apart.Abs().String(), "0s")
	if whole, ok := strings.CutSuffix(hours, "h0m"); ok {
		hours = whole + "h"
	}
	if apart < 0 {
		return hours + " behind"
	}
	return hours + " ahead of"
}

// zoneOffset is how far the zone is ahead of UTC at the instant.
func zoneOffset(name string, at time.Time) time.Duration {
	zone, err := schedule.Location(name)
	if err != nil {
		return 0
	}
	_, seconds := at.In(zone).Zone()
	return time.Duration(seconds) * time.Second
}

// zoneThere names a zone that is so far ahead of UTC at the instant: of those that the
// settings or the rows name, or else what to put there.
func zoneThere(offset time.Duration, at time.Time, config app.Config, named []string) string {
	for _, name := range append([]string{config.String("zone")}, named...) {
		if zoneOffset(name, at) == offset {
			return name
		}
	}
	return "TIME_ZONE"
}
