package store

import (
	"context"
	"fmt"
	"slices"

	"github.com/onebeat/onebeat/internal/schedule"
)

// A bareReader is a feed that can read rows without what is remembered of them, at a fraction of the cost
// where they lie beside each other in the table.
type bareReader interface {
	// bare calls each for the rows of these ids that are there, or says that it can't. Of no ids it asks nobody.
	bare(ctx context.Context, ids []string, each func(*row) error) (bool, error)
}

// sift leaves out those of the written rows, named in the order in which they lie in the table, that say what
// they said before: most of them are runs of entries that are planned here, which the record wrote. What is
// left is to be read with all that is remembered of it. It tells of nothing, but for what is heard in between.
func (w *watch) sift(ctx context.Context, written []string) ([]string, error) {
	feed, ok := w.feed.(bareReader)
	if !ok || w.leading() == 0 || w.again {
		return written, nil
	}
	var left []string
	var rows []row
	for of := written; len(of) > 0; {
		some := of[:min(chunk, len(of))]
		of = of[len(some):]
		known := slices.DeleteFunc(slices.Clone(some), func(id string) bool {
			_, ok := w.seen.Get(schedule.ID(id))
			return !ok
		})
		rows = rows[:0]
		err := w.meanwhile(ctx, func(ctx context.Context) (err error) {
			ok, err = feed.bare(ctx, known, func(r *row) error {
				rows = append(rows, *r)
				return nil
			})
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("read entries: %w", err)
		}
		same, unchanged := make(map[string]bool, len(rows)), 0
		for i := range rows {
			id := rows[i].id
			was, again := same[id] // as a table has whose ids are not unique: which one is told of is not judged here
			same[id] = !again && w.unchanged(&rows[i])
			switch {
			case same[id]:
				unchanged++
			case was:
				unchanged--
			}
		}
		for _, id := range some {
			if !same[id] {
				left = append(left, id)
			}
		}
		if !ok || 2*unchanged < len(known) || w.over != nil && w.over() { // edits of many rows are not read twice
			return append(left, of...), nil
		}
	}
	return left, nil
}

// unchanged says whether a bare row is of an entry that is planned here, and says what it said
// before. One that is paused, or whose runs are counted, is not to be judged without what is remembered of it.
func (w *watch) unchanged(r *row) bool {
	if w.leadOf(r.id) == nil {
		return false
	}
	k, ok := w.knownOf(r)
	if !ok || k.remembered() {
		return false
	}
	r.calendars = w.reading.calendars
	zone := r.zoneOr(w.store.options.Zone)
	r.common = w.commons.of(r, zone)
	return r.ruling().Runs == 0 && r.fingerprint(zone) == k.print
}
