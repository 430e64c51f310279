package store

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
)

// A mysqlFeed polls the log of changes. Its serial numbers are given out before
// transactions commit, so that a lower one may come after a higher: numbers that
// were missing are looked for until their transactions must have ended.
type mysqlFeed struct {
	m     *mySQL
	since int64               // the last serial number read
	gaps  map[int64]time.Time // numbers that were missing, and when that was noticed

	movedAt time.Time // when the log's end was last found to have moved

	was schedule.ByID[uint64] // hashes of rows
}

const (
	// gapFor is how long a missing number is looked for. A transaction that takes
	// longer is seen by the next look at all rows.
	gapFor = time.Minute

	// mostGaps is how many are looked for. Beyond that any entry may have changed.
	mostGaps = 10_000

	// pollInterval is how often the log's end is read: an edit is known of in less than 50 ms. Who edits
	// goes on to: for a while it is read more often. gapInterval is how often the log is looked into while
	// numbers are missing.
	pollInterval     = 40 * time.Millisecond
	pollSoonInterval = 20 * time.Millisecond
	pollSoonFor      = 10 * time.Second
	gapInterval      = 5 * pollInterval
)

func (f *mysqlFeed) open(ctx context.Context) error {
	f.gaps = map[int64]time.Time{}
	return f.m.each(ctx, "changes_open", func(row scanner) error { return row.Scan(&f.since) })
}

func (f *mysqlFeed) close() {}

func (f *mysqlFeed) last(ctx context.Context) (last int64, err error) {
	err = f.m.each(ctx, "changes_start", func(row scanner) error { return row.Scan(&last) })
	return last, err
}

func (f *mysqlFeed) wait(ctx context.Context, poke <-chan struct{}, atMost time.Duration) error {
	if len(f.gaps) > 0 {
		atMost = min(atMost, gapInterval)
	}
	interval := pollInterval
	if time.Since(f.movedAt) < pollSoonFor {
		interval = pollSoonInterval
	}
	return poll(ctx, poke, atMost, interval, func() (bool, error) {
		last, err := f.last(ctx)
		moved := last > f.since // it is lower once what is old was forgotten
		if moved {
			f.movedAt = time.Now()
		}
		return moved, err
	})
}

func (f *mysqlFeed) hinted(ctx context.Context) (ids []string, err error) {
	now := time.Now()
	missing := make([]int64, 0, len(f.gaps))
	for number, noticed := range f.gaps {
		if now.Sub(noticed) > gapFor {
			delete(f.gaps, number)
		} else {
			missing = append(missing, number)
		}
	}
	named := map[string]bool{}
	var read []int64 // in order
	err = f.m.each(ctx, "changes", func(row scanner) error {
		var number int64
		var id string
		err := row.Scan(&number, &id)
		named[id] = true
		read = append(read, number)
		return err
	}, f.since, missing)
	if err != nil {
		return nil, err
	}
	for _, number := range read {
		if number <= f.since {
			delete(f.gaps, number)
			continue
		}
		if number-f.since > mostGaps || len(f.gaps) > mostGaps {
			named[""] = true
			clear(f.gaps)
		} else {
			for gap := f.since + 1; gap < number; gap++ {
				f.gaps[gap] = now
			}
		}
		f.since = number
	}
	for id := range named {
		ids = append(ids, id)
	}
	return ids, nil
}

// all reads all rows, a page at a time.
func (f *mysqlFeed) all(ctx context.Context, each func(*row) error) error {
	var after any
	f.was = schedule.ByID[uint64]{}
	for more := true; more; {
		if f.gaps != nil { // it is open. Before the rows: what is written in between differs the next time
			if _, _, err := f.prints(ctx, after, chunk, func(id string, print uint64) { f.was.Set(schedule.ID(id), print) }); err != nil {
				return err
			}
		}
		page, last, err := f.rows(ctx, "entries_page", after, chunk)
		if err != nil {
			return err
		}
		for i := range page {
			if err := each(&page[i]); err != nil {
				return err
			}
		}
		after, more = last, len(page) == chunk
	}
	return nil
}

// prints calls each for the hashes of a page of rows after a key, and returns the last key and how
// many rows there were.
func (f *mysqlFeed) prints(ctx context.Context, after any, most int, each func(id string, print uint64)) (last string, rows int, err error) {
	err = f.m.each(ctx, "entries_print", func(row scanner) error {
		var print string
		if err := row.Scan(&last, &print); err != nil {
			return err
		}
		hash, err := strconv.ParseUint(print, 16, 64)
		rows++
		each(last, hash)
		return err
	}, after, most)
	if err != nil {
		return "", 0, fmt.Errorf("compare rows: %w", err)
	}
	return last, rows, nil
}

// written returns the ids of rows whose hash is another than it was, of new ones and of those that are gone: MySQL does
// not tell which rows were written.
func (f *mysqlFeed) written(ctx context.Context) (ids []string, count int, err error) {
	var now schedule.ByID[uint64]
	var after any
	stay := 0
	for more := true; more; {
		last, rows, err := f.prints(ctx, after, sweepFrom, func(id string, print uint64) {
			now.Set(schedule.ID(id), print)
			was, ok := f.was.Get(schedule.ID(id))
			if ok {
				stay++
			}
			if !ok || was != print {
				ids = append(ids, id)
			}
		})
		if err != nil {
			return nil, 0, err
		}
		after, more = last, rows == sweepFrom
	}
	if stay < f.was.Len() {
		for id := range f.was.All() {
			if _, ok := now.Get(id); !ok {
				ids = append(ids, string(id))
			}
		}
	}
	f.was = now
	return ids, now.Len(), nil
}

func (f *mysqlFeed) some(ctx context.Context, ids []string, each func(*row) error) error {
	found, _, err := f.rows(ctx, "entries_by_id", ids)
	if err != nil {
		return err
	}
	for i := range found {
		if err := each(&found[i]); err != nil {
			return err
		}
	}
	return nil
}

// rows returns rows and the key of the last: a connection that answers is not to
// wait for what is done with them.
func (f *mysqlFeed) rows(ctx context.Context, name string, args ...any) (rows []row, last string, err error) {
	err = f.m.each(ctx, name, func(from scanner) error {
		var r row
		err := f.m.layout.scan(&r, lastInto{from, &last}, 1)
		rows = append(rows, r)
		return err
	}, args...)
	return rows, last, err
}
