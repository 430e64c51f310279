package store

import (
	"context"
	"time"
)

// The rows of a herd lie beside each other, for it is claimed as the table was read: a stretch of the table has nearly all rows
// of a record. PostgreSQL reads its pages one after the other, and looks for none of the rows in an index: of 8,000 rows of a
// million, in 540 pages, it takes 6.0 to 6.8 µs each so, and 9.0 to 11 by their ids.

const (
	stretchFrom  = chunk       // how many rows are worth more statements than one
	stretchAsked = 32          // of how many it is asked where they lie
	stretchRest  = time.Minute // for how long no stretch is tried after one that had few of the rows
)

// tellStretch tells the rows their state as row_ended_counted does, and says whether it did: where they lie in a stretch.
func (r *recording) tellStretch(ctx context.Context, tx transaction, rows ends) (done bool, err error) {
	if _, ok := r.store.texts["row_ended_stretch"]; !ok || r.with != nil || len(rows.ids) < stretchFrom || time.Now().UnixNano() < r.scattered.Load() {
		return false, nil
	}
	first, last, ok, err := r.stretch(ctx, tx, len(rows.ids))
	if err != nil || !ok {
		return false, err
	}
	passed := map[string]bool{}
	err = tx.each(ctx, "row_ended_stretch", func(row scanner) error {
		var id string
		err := row.Scan(&id)
		passed[id] = true
		return err
	}, append(r.store.told(rows.ids, rows.sent, rows.counts), first, last)...)
	if err != nil {
		return false, err
	}
	if len(passed) > len(rows.ids)/4 {
		r.scattered.Store(time.Now().Add(stretchRest).UnixNano())
	}
	rest, _ := rows.parted(func(id string) bool { return passed[id] })
	return true, tx.many(ctx, "row_ended_counted", r.store.told(rest.ids, rest.sent, rest.counts)...)
}

// stretch asks between which pages the rows lie, and says whether that is worth to read: whether they are two of a page or more. In the
// order in which they were claimed the first and the last are nearly all that it takes.
func (r *recording) stretch(ctx context.Context, tx transaction, rows int) (first, last int64, ok bool, err error) {
	asked := make([]string, 0, stretchAsked)
	for i := range stretchAsked {
		if id := string(r.runs[i*(len(r.runs)-1)/(stretchAsked-1)].Entry); r.store.source(id) == nil {
			asked = append(asked, id)
		}
	}
	err = tx.each(ctx, "stretch", func(row scanner) error {
		ok = true
		return row.Scan(&first, &last)
	}, asked)
	return first, last, ok && last-first < int64(rows)/2, err
}
