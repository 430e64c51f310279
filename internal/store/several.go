package store

import (
	"cmp"
	"context"
	"strings"
)

// A table whose ids are not unique may have several rows of one id. One of them is told of: the same in each look and by
// each node, whatever was written last.

// oneOfEach leaves one row of each id.
func oneOfEach(rows []row) []row {
	place := make(map[string]int, len(rows))
	kept := rows[:0]
	for i := range rows {
		at, again := place[rows[i].id]
		switch {
		case !again:
			place[rows[i].id] = len(kept)
			kept = append(kept, rows[i])
		case rows[i].goesBefore(&kept[at]):
			kept[at] = rows[i]
		}
	}
	return kept
}

// goesBefore says whether this one of two rows of an id is told of: the enabled one, then that of the first name.
func (r *row) goesBefore(other *row) bool {
	if r.enabled != other.enabled {
		return r.enabled
	}
	return cmp.Or(
		strings.Compare(r.name, other.name), strings.Compare(r.task, other.task), strings.Compare(r.spec, other.spec), strings.Compare(r.zone, other.zone),
		strings.Compare(r.rules, other.rules), strings.Compare(r.args, other.args), strings.Compare(r.kwargs, other.kwargs), strings.Compare(r.options, other.options),
	) < 0
}

// several looks which ids have several rows when there are so many more rows than entries, says so once, and tells
// of the right row of each: the last that was read was told of.
func (w *watch) several(ctx context.Context, beyond int) error {
	if beyond == w.beyond {
		return nil
	}
	var ids []string
	rows := 0
	if beyond != 0 {
		if err := w.store.doubled(ctx, func(id string, more int) {
			ids, rows = append(ids, id), rows+more
		}); err != nil {
			return err
		}
	}
	if rows > 0 && rows != w.doubled {
		w.store.log.WarnContext(ctx, "rows have the id of another: of those of one id only one is sent, the enabled one with the first name", "rows", rows, "entry_id", ids[0])
	}
	w.beyond, w.doubled = beyond, rows
	return w.reread(ctx, ids)
}
