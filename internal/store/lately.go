package store

import (
	"context"
	"fmt"

	"github.com/onebeat/onebeat/internal/schedule"
)

const (
	// latelyParts is how many parts of the ledger RunsLately looks into at most.
	latelyParts = 50

	// latelyRuns is how many runs of parts that have ended it looks at if they are of any state, about, and
	// latelyOfState if they are of one.
	latelyRuns    = 1_000
	latelyOfState = 200_000
)

// RunsLately returns runs that were recorded lately, of any state or of one, the latest slot first. No index goes by slot: so it looks into the
// latest parts of the ledger alone, and into those that have not ended, and says whether those were all.
func (s *Store) RunsLately(ctx context.Context, state schedule.State, limit int) (runs []schedule.Run, all bool, err error) {
	enough := int64(latelyRuns)
	if state != "" {
		enough = latelyOfState
	}
	var first, sum, parts, ended int64
	all = true
	err = s.db.each(ctx, "parts_lately", func(row scanner) error {
		var part, runs int64 // 0 runs where it has not ended
		if err := row.Scan(&part, &runs); err != nil {
			return err
		}
		if parts++; sum >= enough && ended > int64(s.options.Shards) || parts > latelyParts { // a part of each shard may have ended a moment ago
			all = false
			return nil
		}
		if first, sum = part, sum+runs; runs > 0 {
			ended++
		}
		return nil
	}, latelyParts+1)
	if err != nil {
		return nil, false, fmt.Errorf("read the ledger's parts: %w", err)
	}
	runs, err = s.runs(ctx, "runs_lately", first, string(state), limit)
	return runs, all, err
}
