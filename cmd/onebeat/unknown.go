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
	names []string // of the first
	n     int
}

func (u *unknown) add(row store.Row) {
	const most = 5
	if row.Options != u.last {
		u.last, u.found = row.Options, celery.UnknownOptions(row.Options)
	}
	if len(u.found) == 0 {
		return
	}
	if u.n++; u.n <= most {
		u.names = append(u.names, fmt.Sprintf("%s of %s", strings.Join(u.found, " and "), row.Name))
	}
}

// note names the options and the entries.
func (u *unknown) note() string {
	if u.n == 0 {
		return ""
	}
	names := strings.Join(u.names, ", ")
	if more := u.n - len(u.names); more > 0 {
		names += fmt.Sprintf(", and %d more", more)
	}
	return "neither Celery nor a worker knows " + names + ": are they written as in apply_async's?"
}
