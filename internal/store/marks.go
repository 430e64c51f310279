package store

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"
)

// Django's and SQLAlchemy's models move a mark with every edit, in a table of one row, for their
// own beat to poll. Where no trigger tells of edits, it says when to look for them: at once after an
// edit by the models. What plain SQL edits moves no mark, and is found by the look at all rows that comes from time to time.

const (
	markInterval = 500 * time.Millisecond // between readings of the mark, at least: a watch that nothing wakes looks each second or so

	// restTimes is how many times as long as a look at all rows takes there is none after it, whatever
	// the mark says.
	restTimes = 4
)

// A mark is what a watch knows of the models' mark of changes.
type mark struct {
	value  string // as it was last read; empty where nothing was ever edited
	readAt time.Time
	whole  bool // it moved then, to a whole second: another edit of that second leaves it as it is
	behind bool // it has moved since the last look at all rows
}

// readMark takes the mark as it is before all rows are read as the point to go on from.
func (w *watch) readMark(ctx context.Context) error {
	if !w.store.layout.marks {
		return nil
	}
	now := mark{readAt: time.Now()}
	err := w.store.db.each(ctx, "mark", func(row scanner) error { return row.Scan(orEmpty{&now.value}) })
	if err != nil {
		return fmt.Errorf("read mark of changes: %w", err)
	}
	w.mark = now
	return nil
}

// edits returns the entries that the models have edited since it was last asked, as far as the rows
// themselves say when they were. The look at all rows that it makes due finds the rest: those that are gone, and those
// whose schedule was edited in its own table.
func (w *watch) edits(ctx context.Context) ([]string, error) {
	if !w.store.layout.marks || w.hints || time.Since(w.mark.readAt) < markInterval {
		return nil, nil
	}
	was := w.mark
	if err := w.readMark(ctx); err != nil {
		return nil, err
	}
	// Not whether it is later: those who edit may have clocks that differ.
	moved := w.mark.value != was.value
	w.mark.whole = moved && inWholeSeconds(w.mark.value)
	w.mark.behind = was.behind || moved || was.whole
	if !moved && !was.whole {
		return nil, nil
	}
	return w.edited(ctx, was.value)
}

// marked says whether it is time to look at all rows because of the mark.
func (w *watch) marked() bool {
	return w.mark.behind && time.Since(w.sweptAt) >= restTimes*w.sweepFor
}

func inWholeSeconds(instant string) bool {
	_, parts, _ := strings.Cut(instant, ".")
	parts, _, _ = strings.Cut(parts, "+")
	return strings.Trim(parts, "0") == ""
}

// edited returns the rows that say that they were changed since the mark was moved to what it was. Of
// so many, as after many runs or a bulk of new rows, that it is no dearer to look at all, it returns those that were changed last: an
// edit that moved the mark just now is mostly among them.
func (w *watch) edited(ctx context.Context, was string) ([]string, error) {
	var ids []string
	err := w.store.db.each(ctx, "ids_edited", func(row scanner) error {
		var id string
		err := row.Scan(orEmpty{&id})
		ids = append(ids, id)
		return err
	}, cmp.Or(was, w.mark.value), cmp.Or(w.mark.value, was), sweepFrom+1) // there is none before the first edit
	if err != nil {
		return nil, fmt.Errorf("look for edited entries: %w", err)
	}
	if len(ids) > sweepFrom {
		ids = ids[:chunk]
	}
	return ids, nil
}
