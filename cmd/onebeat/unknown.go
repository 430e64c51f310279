package main

import (
	"fmt"
	"strings"

	"github.com/onebeat/onebeat/internal/celery"
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
