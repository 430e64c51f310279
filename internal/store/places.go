package store

import (
	"context"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/onebeat/onebeat/internal/schedule"
)

// Places are where rows lay in the table (PostgreSQL's ctid) when all were looked at. A row is read there without an index of
// the table: of 100,000 new ones beside a million the server takes 0.85 µs each so, and by id 4.6. What is remembered of them,
// by id and in its order, comes to 0.5 beside that. An edit moves a row; what is not where it was is read by id.
// Places are not changed once they are made.
type places = schedule.ByID[pgtype.TID]

// byPlaceFrom is how many rows are worth more statements than one.
const byPlaceFrom = 100

// placesOf takes the places off the ids, as the statement ids_since has them, and returns them, nil for a few rows.
func placesOf(ids []string) *places {
	var of *places
	if len(ids) >= byPlaceFrom {
		of = &places{}
		of.Grow(len(ids))
	}
	for i, text := range ids {
		place, id, _ := strings.Cut(text, ")")
		ids[i] = id
		block, offset, _ := strings.Cut(strings.TrimPrefix(place, "("), ",")
		b, err1 := strconv.ParseUint(block, 10, 32)
		o, err2 := strconv.ParseUint(offset, 10, 16)
		if of != nil && err1 == nil && err2 == nil {
			of.Set(schedule.ID(id), pgtype.TID{BlockNumber: uint32(b), OffsetNumber: uint16(o), Valid: true})
		}
	}
	return of
}

// placesFor returns the places that are known, nil where these ids are too few for them.
func (f *postgresFeed) placesFor(ids []string) *places {
	if len(ids) < byPlaceFrom {
		return nil
	}
	return f.places.Load()
}

// someByPlace calls each for those of these ids whose rows are where they lay, with what is remembered of them at the same
// moment, and returns the other ids.
func (f *postgresFeed) someByPlace(ctx context.Context, ids []string, each func(*row) error) (others []string, err error) {
	if f.placesFor(ids) == nil {
		return ids, nil
	}
	rows := make([]row, 0, len(ids))
	err = f.p.atOneMoment(ctx, func(on postgresOn) error {
		others, err = f.bareByPlace(ctx, on, ids, func(r *row) error {
			rows = append(rows, *r)
			return nil
		})
		if err != nil || len(rows) == 0 {
			return err
		}
		return recall(ctx, on, rows)
	})
	if err != nil {
		return nil, err
	}
	for i := range rows {
		rows[i].bare = false
		if err := each(&rows[i]); err != nil {
			return nil, err
		}
	}
	return others, nil
}

// bareByPlace calls each for those of these ids whose rows are where they lay, without what is remembered of them, and
// returns the other ids.
func (f *postgresFeed) bareByPlace(ctx context.Context, on querier, ids []string, each func(*row) error) (others []string, err error) {
	of := f.placesFor(ids)
	if of == nil {
		return ids, nil
	}
	lay := make([]pgtype.TID, 0, len(ids))
	left := make(map[schedule.ID]bool, len(ids)) // of those that have a place: another row may lie there now
	for _, text := range ids {
		id := schedule.ID(text)
		if place, ok := of.Get(id); ok {
			lay, left[id] = append(lay, place), true
		} else {
			others = append(others, text)
		}
	}
	if len(lay) < byPlaceFrom {
		return ids, nil
	}
	err = f.alone(ctx, on, func(r *row) error {
		if id := schedule.ID(r.id); left[id] {
			delete(left, id)
			return each(r)
		}
		return nil
	}, "entries_alone_at", lay)
	for id := range left {
		others = append(others, string(id))
	}
	return others, err
}
