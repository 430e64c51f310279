package store

import (
	"context"
	"fmt"
	"hash/maphash"
)

// Where no trigger tells of edits, SQLite and MySQL do not tell which rows were written.
// Reading each row's columns and what is remembered beside it takes seconds at
// 100,000 rows; so of each row the watcher keeps a hash of one text that the
// database makes of it (the statement entries_print; MySQL makes the hash too), and reads what differs.

// prints are hashes of rows by rowid.
type prints struct {
	seed maphash.Seed
	was  map[int64]uint64
}

// begin starts anew: all rows are read.
func (p *prints) begin() {
	p.seed, p.was = maphash.MakeSeed(), map[int64]uint64{}
}

// printPage keeps the hashes of the page of rows after a rowid.
func (f *sqliteFeed) printPage(ctx context.Context, after int64) error {
	_, _, err := f.page(ctx, after, func(rowid int64, print uint64, _ string) { f.prints.was[rowid] = print })
	return err
}

// page calls each for the hashes of a page, and returns its last rowid and whether
// more may follow.
func (f *sqliteFeed) page(ctx context.Context, after int64, each func(rowid int64, print uint64, id string)) (last int64, more bool, err error) {
	rows := 0
	err = f.lite.each(ctx, "entries_print", func(row scanner) error {
		var id, text string
		if err := row.Scan(&last, orEmpty{&id}, &text); err != nil {
			return err
		}
		rows++
		each(last, maphash.String(f.prints.seed, text), id)
		return nil
	}, after, chunk)
	if err != nil {
		return 0, false, fmt.Errorf("compare rows: %w", err)
	}
	return last, rows == chunk, nil
}

// different returns the ids of rows whose hash is another than it was, and of new ones.
func (f *sqliteFeed) different(ctx context.Context) (ids []string, err error) {
	now := make(map[int64]uint64, len(f.prints.was))
	for after, more := int64(0), true; more; {
		after, more, err = f.page(ctx, after, func(rowid int64, print uint64, id string) {
			now[rowid] = print
			if was, ok := f.prints.was[rowid]; !ok || was != print {
				ids = append(ids, id)
			}
		})
		if err != nil {
			return nil, err
		}
	}
	f.prints.was = now // what is gone is left out
	return ids, nil
}
