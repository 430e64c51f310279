package store

import (
	"errors"
	"fmt"
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

	scan: scanDjango,
}

// scanDjango reads the columns of the statement entries, in order, and leaves
// those after them.
func scanDjango(r *row, from scanner, rest int) error {
	var schedules int64
	return scanTask(r, from, rest, &schedules, func() error {
		switch {
		case schedules == 0:
			return errors.New("the task has no schedule: choose an interval, a crontab, a solar event or a clocked time")
		case schedules > 1:
			return fmt.Errorf("the task has %d schedules: keep one of interval, crontab, solar and clocked", schedules)
		}
		return nil
	})
}
