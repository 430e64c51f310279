package store

import (
	"fmt"
	"slices"
	"strings"
)

// sqlalchemyLayout is sqlalchemy-celery-beat's tables, as of its version 0.5 and newer.
var sqlalchemyLayout = layout{
	name:    "sqlalchemy",
	table:   "celery_periodictask",
	movable: true,
	whence:  "`celery beat -S sqlalchemy` makes it where beat_dburi says; name its schema in --beat-schema if it has one, or choose another catalog",
	editor:  "your program",
	required: []string{
		"id", "name", "task", "args", "kwargs", "queue", "exchange", "routing_key", "priority", "expires", "one_off", "start_time",
		"enabled", "last_run_at", "total_run_count", "date_changed", "discriminator", "schedule_id",
	},
	watched: []string{
		"id", "name", "task", "args", "kwargs", "queue", "exchange", "routing_key", "headers", "priority", "expires", "expire_seconds", "one_off",
		"start_time", "enabled", "discriminator", "schedule_id",
	},
	children: []string{"interval", "crontab", "solar", "clocked"},

	overwritten: true, // and on MySQL the column has no fractions of a second
	marks:       true,

	scan: scanSQLAlchemy,
}

// discriminators are what a row says of the table in which its schedule is.
var discriminators = []string{"intervalschedule", "crontabschedule", "solarschedule", "clockedschedule"}

// scanSQLAlchemy reads the columns of the statement entries, in order, and leaves
// those after them.
func scanSQLAlchemy(r *row, from scanner, rest int) error {
	var discriminator string
	return scanTask(r, clocks{}, from, rest, orEmpty{&discriminator}, func() error {
		if !slices.Contains(discriminators, discriminator) {
			return fmt.Errorf("discriminator is %.40q: write %s", discriminator, strings.Join(discriminators, ", "))
		}
		return nil
	})
}
