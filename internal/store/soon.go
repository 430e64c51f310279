package store

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
)

// soonWait is for how long a load looks for entries that are due every few minutes, before it
// reads all, where it cannot do both.
const soonWait = 300 * time.Millisecond

// soonMost is how many entries that are due every few minutes are told of before the others. Of a table that is
// looked through part by part, the first parts are soonFirst pages, half a MB, and the others up to soonPages, 16 MB: it takes
// some tens of milliseconds.
const (
	soonMost  = 10 * chunk
	soonFirst = 64
	soonPages = 2048
)

// soonest tells those who are told of rows while they are read of entries that are due every few
// minutes: rows that are often written may be anywhere in the table. What it begins has
// ended when stop returns.
func (w *watch) soonest(ctx context.Context) (stop func(), err error) {
	stop = func() {}
	first := false
	for _, l := range w.leads {
		first = first || l.first
	}
	if w.loaded || !first {
		return stop, nil
	}
	f, beside := w.feed.(*postgresFeed)
	if !beside {
		looking, cancel := context.WithTimeout(ctx, soonWait)
		defer cancel()
		return stop, w.reread(ctx, w.soon(looking, "ids_soon", soonMost))
	}
	looking, cancel := context.WithCancel(ctx)
	found := make(chan func() error)
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.soonBeside(looking, func(ids []string) {
			if len(ids) == 0 {
				return
			}
			select {
			case found <- func() error { return w.reread(ctx, ids) }:
			case <-looking.Done():
			}
		})
	}()
	f.between = found
	return func() {
		cancel()
		<-done
		f.between = nil
	}, nil
}

// soonEnough is how many pages a table has at most, a GB, that a restart does not look through for more than the ledger knows: it
// is read within seconds, and to look through it besides is a sixth of what the server does for that. What had no slot in the
// last minutes is seldom due, and what is new counts since it is read.
const soonEnough = 1 << 17

// soonBeside tells of those that had a slot lately, then of the others part by part of their table, from both of its
// ends in turn: a server tells of what it found at the end of a statement, and what is found soon is not to wait for
// what is not.
func (w *watch) soonBeside(ctx context.Context, tell func(ids []string)) {
	lately, all := w.lately(ctx)
	tell(lately)
	pages := w.pages(ctx)
	if all && pages > 0 && pages <= w.soonEnough {
		return
	}
	if pages == 0 {
		tell(w.soon(ctx, "ids_soon", soonMost))
		return
	}
	left, size := soonMost, int64(soonFirst)
	for from, until := int64(0), pages; from < until && left > 0 && ctx.Err() == nil; {
		for _, part := range [...][2]int64{{from, min(from+size, until)}, {max(until-size, from+size), until}} {
			if part[0] < part[1] && left > 0 {
				ids := w.soon(ctx, "ids_soon_part", left, pageAt(part[0]), pageAt(part[1]))
				tell(ids)
				left -= len(ids)
			}
		}
		from, until, size = from+size, until-size, min(2*size, soonPages)
	}
}

// pageAt is where a page of a table of PostgreSQL begins.
func pageAt(number int64) string { return fmt.Sprintf("(%d,0)", number) }

// pages is how many pages the table has; 0 where it cannot be looked through part by part.
func (w *watch) pages(ctx context.Context) (pages int64) {
	if _, ok := w.store.texts["ids_soon_part"]; !ok {
		return 0
	}
	err := w.store.db.each(ctx, "table_pages", func(row scanner) error { return row.Scan(&pages) }, w.store.layout.table)
	if err != nil {
		w.notFirst(ctx, err)
	}
	return pages
}

// lately returns the ids of entries that had a slot in the last minutes, as the ledger has them, and says whether there are
// some and these are all.
func (w *watch) lately(ctx context.Context) (ids []string, all bool) {
	runs := 0
	err := w.store.db.each(ctx, "ids_lately", func(row scanner) error {
		var id string
		var its int
		err := row.Scan(&id, &its)
		if w.ownID(id) {
			ids = append(ids, id)
		}
		runs += its
		return err
	}, soonMost)
	if err != nil {
		w.notFirst(ctx, err)
	}
	return ids, err == nil && len(ids) > 0 && runs < soonMost && w.store.options.Ledger != LedgerExceptions
}

// soon returns the ids of so many entries that are due every few minutes, as far as the statement finds them
// in time. Those that are not come with the others, and so does an error of the database.
func (w *watch) soon(ctx context.Context, statement string, most int, more ...any) (ids []string) {
	err := w.store.db.each(ctx, statement, func(row scanner) error {
		var id string
		err := row.Scan(orEmpty{&id})
		if w.ownID(id) {
			ids = append(ids, id)
		}
		return err
	}, append([]any{most}, more...)...)
	if err != nil {
		w.notFirst(ctx, err)
	}
	return ids
}

func (w *watch) notFirst(ctx context.Context, err error) {
	if ctx.Err() == nil {
		w.store.log.WarnContext(ctx, "entries that are due soon do not come first", "err", err)
	}
}

// ownID says whether an id may be one of the table's. The ledger knows entries of sources, and of a catalog that was
// changed for this one.
func (w *watch) ownID(id string) bool {
	switch kind := w.store.shape()["id"]; {
	case w.store.source(id) != nil:
		return false
	case kind == "uuid":
		_, keyed := schedule.ID(id).Key()
		return keyed && len(id) == 36
	case strings.Contains(kind, "int"):
		_, err := strconv.ParseInt(id, 10, 32)
		return err == nil
	}
	return true
}
