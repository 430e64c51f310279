package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
)

// djangoLayout is django-celery-beat's tables, as of its version 1.5 and newer.
var djangoLayout = layout{
	name:   "django",
	table:  "django_celery_beat_periodictask",
	whence: "run `python manage.py migrate django_celery_beat`, or choose another catalog",
	editor: "Django",
	required: []string{
		"id", "name", "task", "args", "kwargs", "queue", "exchange", "routing_key", "headers", "priority", "expires", "one_off", "start_time",
		"enabled", "last_run_at", "total_run_count", "date_changed", "interval_id", "crontab_id", "solar_id", "clocked_id",
	},
	watched: []string{
		"id", "name", "task", "args", "kwargs", "queue", "exchange", "routing_key", "headers", "priority", "expires", "expire_seconds", "one_off",
		"start_time", "enabled", "interval_id", "crontab_id", "solar_id", "clocked_id",
	},
	children: []string{"interval", "crontab", "solar", "clocked"},

	overwritten: true,
	marks:       true,

	ahead: true,
}

// djangoBy is the layout where Django's settings are these.
func djangoBy(by clocks) *layout {
	l := djangoLayout
	l.clocks = by
	l.scan = func(r *row, from scanner, rest int) error { return scanDjango(r, by, from, rest) }
	return &l
}

// scanDjango reads the columns of the statement entries, in order, and leaves
// those after them.
func scanDjango(r *row, by clocks, from scanner, rest int) error {
	var schedules int64
	return scanTask(r, by, from, rest, &schedules, func() error {
		switch {
		case schedules == 0:
			return errors.New("the task has no schedule: choose an interval, a crontab, a solar event or a clocked time")
		case schedules > 1:
			return fmt.Errorf("the task has %d schedules: keep one of interval, crontab, solar and clocked", schedules)
		}
		return nil
	})
}

// A DjangoGuess is what the rows of the catalog django tell of Django's settings, read as
// the settings in Options have it.
type DjangoGuess struct {
	// Ran is how many tasks django-celery-beat has run, each of which it saved within three
	// minutes. Agree of them were saved Apart after they ran and those minutes: a whole
	// number of quarters of an hour, as zones are apart. It is 0 where the settings are right.
	Ran, Agree int
	Apart      time.Duration
	At         time.Time // when one of those was saved

	// Ahead is how far the latest change of a row is ahead of the database's clock.
	Ahead time.Duration
}

// zoneStep is what zones are apart by, and zoneMost how far from UTC.
const (
	zoneStep = 15 * time.Minute
	zoneMost = 14 * time.Hour
)

// GuessDjango looks at all rows for what they tell of Django's settings.
func (s *Store) GuessDjango(ctx context.Context) (guess DjangoGuess, err error) {
	if err := s.look(ctx); err != nil {
		return guess, err
	}
	now, err := s.Now(ctx)
	if err != nil {
		return guess, err
	}
	const early, late = 10 * time.Second, 200 * time.Second // beat saves each three minutes
	votes := map[time.Duration]int{}
	last := map[time.Duration]time.Time{}
	var newest time.Time
	err = s.every(ctx, s.newFeed(), func(r *row) error {
		if s.source(r.id) != nil {
			return nil
		}
		newest = schedule.Later(newest, r.createdAt)
		if r.lastRunAt.IsZero() || r.lastRunAt.Equal(r.lastSlot) { // never, or by onebeat
			return nil
		}
		guess.Ran++
		apart := r.createdAt.Sub(r.lastRunAt) + early
		steps := apart.Truncate(zoneStep)
		if apart < steps {
			steps -= zoneStep
		}
		if apart-steps <= early+late && steps.Abs() <= zoneMost {
			votes[steps]++
			last[steps] = schedule.Later(last[steps], r.createdAt)
		}
		return nil
	})
	guess.Agree, guess.At = votes[0], last[0]
	for apart, n := range votes {
		if n > guess.Agree || n == guess.Agree && apart != 0 && guess.Apart != 0 && apart < guess.Apart {
			guess.Agree, guess.Apart, guess.At = n, apart, last[apart]
		}
	}
	if !newest.IsZero() {
		guess.Ahead = newest.Sub(now)
	}
	return guess, err
}
