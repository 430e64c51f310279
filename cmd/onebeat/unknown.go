package main

import (
	"fmt"
	"strings"

	"github.com/onebeat/onebeat/internal/celery"
	"github.com/onebeat/onebeat/internal/schedule"
	"github.com/onebeat/onebeat/internal/store"
)

// unknown are the entries with options that nobody knows.
type unknown struct {
	last  string   // options that were looked at: many rows have the same
	found []string // in them
	few
}

func (u *unknown) add(row store.Row) {
	if row.Options != u.last {
		u.last, u.found = row.Options, celery.UnknownOptions(row.Options)
	}
	if len(u.found) > 0 {
		u.few.add(func() string { return fmt.Sprintf("%s of %s", clip(strings.Join(u.found, " and ")), clip(row.Name)) })
	}
}

// note names the options and the entries.
func (u *unknown) note() string {
	if u.n == 0 {
		return ""
	}
	return fmt.Sprintf("neither Celery nor a worker knows %s: are they written as in apply_async's?", u.few)
}

// oneID are the entries of several slots whose messages all have the id that their options name.
type oneID struct{ few }

func (o *oneID) add(row store.Row) {
	if row.Entry == nil || row.Limit.Runs == 1 || schedule.Single(row.Entry.Spec) || !celery.HasTaskID(row.Options) {
		return
	}
	o.few.add(func() string { return clip(row.Name) })
}

// note names the entries and says what to do.
func (o *oneID) note() string {
	if o.n == 0 {
		return ""
	}
	return fmt.Sprintf("%s with the option task_id, so that all slots of one have one id, the result of each takes the place of the one before, and a FIFO queue of SQS drops slots: %s. "+
		"Leave task_id out: each slot has an id of its own then", schedule.Counted(o.n, "entry"), o.few)
}
