package main

import (
	"fmt"
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
	"github.com/onebeat/onebeat/internal/store"
)

// aheadFrom is how far the clocks of those who write last runs may be apart.
const aheadFrom = time.Minute

// silentUntil returns the instant, in the future, before which an entry has no slot for what is remembered of its
// last one, as somebody whose clock was wrong wrote it; the zero Time for most.
func silentUntil(row store.Row, now time.Time) time.Time {
	until := row.LastRunAt
	if row.Entry != nil && row.Entry.After.After(until) {
		until = row.Entry.After
	}
	if row.State == schedule.ReasonDisabled || row.State == schedule.ReasonDone || !until.After(now.Add(aheadFrom)) {
		return time.Time{}
	}
	return until
}

// setBack is what to do about entries that are silent.
const setBack = "a clock was wrong, or somebody wrote so. Set last_run_at of the row to the present, " +
	"and in onebeat_entries last_slot and after_at where they are later, and start onebeat anew"

// silent are the entries without a slot until an instant after now.
type silent struct {
	now time.Time
	few
}

func (s *silent) add(row store.Row) {
	if until := silentUntil(row, s.now); !until.IsZero() {
		s.few.add(func() string { return fmt.Sprintf("%s until %s", row.Name, until.UTC().Format(time.RFC3339)) })
	}
}

// note names the entries.
func (s *silent) note() string {
	if s.n == 0 {
		return ""
	}
	return fmt.Sprintf("a last run in the future keeps %s without a slot, %s: %s", schedule.Counted(s.n, "entry"), s.few, setBack)
}
