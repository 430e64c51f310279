package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/onebeat/onebeat/internal/failpoint"
	"github.com/onebeat/onebeat/internal/schedule"
)

// newsWait is for how long edits that the log of changes names may wait for a look that
// takes longer: so often the log is read meanwhile. Where no trigger writes it, it tells of runs that people ask
// for, and looks go on for a third of the time.
const (
	newsWait     = 3 * time.Millisecond
	unhintedWait = 10 * time.Millisecond
)

func (w *watch) newsWait() time.Duration {
	if w.hints {
		return newsWait
	}
	return unhintedWait
}

// look tells of what changed since the last look.
//
// All that it tells of was read by id after what was told before: what it finds
// out by statements that take long is which rows to read. So what the log of changes
// names meanwhile is told of in between, and nothing that is older comes after it.
func (w *watch) look(ctx context.Context) error {
	if err := failpoint.Here("feed.read.before"); err != nil {
		return err
	}
	w.looking = true
	defer func() { w.looking = false }()
	every, err := w.news(ctx)
	if err != nil {
		return err
	}
	stirred, err := w.stirred(ctx)
	if err != nil {
		return err
	}
	if every || stirred || w.marked() || time.Since(w.sweptAt) >= w.sweepInterval() {
		if err := w.sweep(ctx); err != nil {
			w.every = w.every || every // it is left for the next, unless all is read anew
			return err
		}
	}
	if err := w.outside(ctx, false); err != nil {
		return err
	}
	if err := w.refresh(ctx); err != nil {
		return err
	}
	w.count.Store(int64(w.seen.Len()))
	if err := w.requests(ctx); err != nil {
		return err
	}
	if err := w.prune(ctx); err != nil {
		return err
	}
	return failpoint.Here("feed.read.after")
}

// news tells of the rows that the log of changes names, or says that all are to be looked at.
func (w *watch) news(ctx context.Context) (every bool, err error) {
	named, every, err := w.hear(ctx)
	if err != nil {
		return false, err
	}
	named, every = append(w.waiting, named...), every || w.every
	w.waiting, w.every = nil, false
	return every, w.reread(ctx, named)
}

// hear returns the entries that the log of changes names, that the models' mark tells of, or whose pauses
// have ended. Where the log names any, or too many, all rows are to be looked at instead.
func (w *watch) hear(ctx context.Context) (named []string, every bool, err error) {
	poked := w.store.poked.Swap(false)
	every = poked && !w.hints
	ids, err := w.feed.hinted(ctx)
	if err != nil {
		return nil, false, fmt.Errorf("read changes: %w", err)
	}
	w.asked = w.asked || poked || len(ids) > 0 // a request comes with a hint
	named = ids
	if len(ids) > mostHints || slices.Contains(ids, "") {
		every, named = true, nil
	}
	edits, err := w.edits(ctx)
	if err != nil {
		return nil, false, err
	}
	named = append(named, edits...)
	w.heardAt = time.Now()
	for id, until := range w.paused {
		if !w.heardAt.Before(until) {
			named = append(named, id)
		}
	}
	return named, every, nil
}

// between tells of what was edited by now, as far as anything names it, if a look has gone on for a
// while, and returns that. What takes long itself waits for the next look.
func (w *watch) between(ctx context.Context) (told []string, err error) {
	if !w.looking || time.Since(w.heardAt) < w.newsWait() {
		return nil, nil
	}
	w.looking = false
	defer func() { w.looking = true }()
	named, every, err := w.hear(ctx)
	if err != nil {
		return nil, err
	}
	w.every = w.every || every
	if len(named) > chunk {
		w.waiting = append(w.waiting, named...)
		return nil, nil
	}
	if len(named) == 0 {
		return nil, nil
	}
	if err := w.reread(ctx, named); err != nil {
		return nil, err
	}
	return named, w.requests(ctx)
}

// errAwaited ends a look that somebody need not wait for who has come to lead.
var errAwaited = errors.New("somebody has come to lead")

// meanwhile calls read, which uses nothing of the watch that others use, and looks for
// news until it returns. In a look it returns errAwaited, as if read had not been called, once somebody comes to lead.
func (w *watch) meanwhile(ctx context.Context, read func(ctx context.Context) error) error {
	reading, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- read(reading) }()
	tick := time.NewTicker(w.newsWait())
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			return err
		case <-tick.C:
		}
		if w.looking && w.awaited() {
			cancel()
			if err := <-done; err == nil {
				return nil
			}
			return errAwaited
		}
		if _, err := w.between(ctx); err != nil {
			cancel()
			<-done
			return err
		}
	}
}

// reread reads the rows of these ids, which it puts in order, and tells of those that
// differ or are gone. Where it comes between rows that are read for the first time, those that were
// taken are told of first, and what was seen of these is written down: they may be the same.
func (w *watch) reread(ctx context.Context, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	if err := w.apply(ctx); err != nil {
		return err
	}
	slices.Sort(ids) // neighbours are read and written together
	ids = slices.Compact(ids)
	if err := w.settleLater(ctx, ids); err != nil {
		return err
	}
	if len(ids) <= chunk || w.reading.later != nil {
		return w.retellAll(ctx, ids)
	}
	w.reading.later = &w.later
	err := w.retellAll(ctx, ids)
	w.reading.later = nil
	return err
}

// retellAll does it a page at a time.
func (w *watch) retellAll(ctx context.Context, ids []string) error {
	var spare []row // for one page, while another is told of
	next := w.fetch(ctx, ids, nil)
	for {
		p := <-next
		ids = ids[len(p.ids):]
		if len(ids) > 0 {
			next = w.fetch(ctx, ids, spare)
		}
		err := w.retell(ctx, p)
		var told []string
		if err == nil {
			told, err = w.between(ctx)
		}
		if len(ids) == 0 {
			return err
		}
		if err != nil || w.over != nil && w.over() {
			<-next
			return err
		}
		if slices.ContainsFunc(told, func(id string) bool { _, ok := slices.BinarySearch(ids, id); return ok }) {
			older := <-next // or may be
			next = w.fetch(ctx, ids, older.rows)
		}
		spare = p.rows
	}
}

// A page is what was read of some ids.
type page struct {
	ids  []string
	rows []row
	err  error
}

// fetch reads the rows of the first of these ids, a chunk, in the place of those of another
// page, while others are told of.
func (w *watch) fetch(ctx context.Context, ids []string, into []row) <-chan page {
	p := page{ids: ids[:min(chunk, len(ids))], rows: into[:0]}
	if cap(into) < len(p.ids) {
		p.rows = make([]row, 0, len(p.ids))
	}
	read := make(chan page, 1)
	go func() {
		p.err = w.store.some(ctx, w.feed, p.ids, func(r *row) error {
			p.rows = append(p.rows, *r)
			return nil
		})
		read <- p
	}()
	return read
}

// retell tells of those of the rows that differ, and of ids that have none any more.
func (w *watch) retell(ctx context.Context, p page) error {
	if p.err != nil {
		return fmt.Errorf("read entries: %w", p.err)
	}
	gone := make(map[string]bool, len(p.ids))
	for _, id := range p.ids {
		gone[id] = true
	}
	several := false
	for i := range p.rows {
		several = several || !gone[p.rows[i].id]
		delete(gone, p.rows[i].id)
	}
	if several {
		p.rows = oneOfEach(p.rows)
	}
	for i := range p.rows {
		if err := w.take(ctx, &p.rows[i]); err != nil {
			return err
		}
	}
	if err := w.apply(ctx); err != nil {
		return err
	}
	return w.remove(ctx, gone)
}

// readAll reads all rows for the first time since the feed was opened.
func (w *watch) readAll(ctx context.Context) error {
	concerned, err := w.surroundings(ctx)
	if err != nil {
		return err
	}
	stop, err := w.soonest(ctx)
	together := w.readApart()
	if err == nil {
		err = w.feed.all(ctx, func(r *row) error { return w.take(ctx, r) })
	}
	stop()
	if err != nil {
		err = fmt.Errorf("read entries: %w", err)
	} else {
		err = w.apply(ctx)
	}
	concerned = append(concerned, together()...)
	if err != nil {
		return err
	}
	if err := w.reread(ctx, concerned); err != nil {
		return err
	}
	count, err := w.store.Count(ctx)
	if err != nil {
		return err
	}
	return w.swept(ctx, count)
}

// sweep reads the rows that were written since the last sweep, and finds those
// that are gone by their number. What it was to find, and what it has found and not told of, is left for the next if it
// ends with errAwaited.
func (w *watch) sweep(ctx context.Context) (err error) {
	if err := w.reshaped(ctx); err != nil {
		return err
	}
	started, behind := time.Now(), w.mark.behind
	w.mark.behind, w.asked = false, true
	if err := w.countWrites(ctx); err != nil {
		return err
	}
	concerned, err := w.surroundings(ctx)
	if err != nil {
		return err
	}
	defer func() {
		if errors.Is(err, errAwaited) {
			w.waiting, w.mark.behind = append(w.waiting, concerned...), behind || w.mark.behind
		}
	}()
	count, before := 0, w.own()
	err = w.meanwhile(ctx, func(ctx context.Context) error {
		written, rows, err := w.feed.written(ctx)
		w.written, count = append(w.written, written...), rows
		return err
	})
	if err != nil {
		return fmt.Errorf("look for changed entries: %w", err)
	}
	w.scanFor = time.Since(started)
	if len(w.written) == 0 && count == before {
		count = w.own() // what came and went since is told of
	}
	written, err := w.sift(ctx, w.written)
	if err != nil {
		return err
	}
	if err := w.reread(ctx, append(written, concerned...)); err != nil {
		return err
	}
	w.written = nil
	if err := w.swept(ctx, count); err != nil {
		return err
	}
	w.sweepFor = w.sweptAt.Sub(started)
	return nil
}

// errReshaped ends a look by statements that do not name the columns that the table has now.
var errReshaped = errors.New("the table has other columns")

// reshaped returns errReshaped where columns came or went, as by `onebeat migrate`, since all rows were read.
func (w *watch) reshaped(ctx context.Context) error {
	if w.store.layout.table == "" {
		return nil
	}
	now, err := w.store.layout.readShape(ctx, w.store.db)
	if err == nil && !maps.Equal(now, w.shaped) {
		err = errReshaped
	}
	return err
}

// surroundings looks at what rows are judged by beside themselves, and returns the entries
// that are to be judged anew.
func (w *watch) surroundings(ctx context.Context) (concerned []string, err error) {
	if err := w.lookAtWindows(ctx); err != nil {
		return nil, err
	}
	return w.lookAtCalendars(ctx)
}

// swept ends a look at all rows, of which there were so many.
func (w *watch) swept(ctx context.Context, count int) error {
	if count != w.own() {
		if err := w.compare(ctx); err != nil {
			return err
		}
	}
	if err := w.several(ctx, count-w.own()); err != nil {
		return err
	}
	triggers := 0
	if err := w.store.db.each(ctx, "triggers", func(row scanner) error { return row.Scan(&triggers) }); err != nil {
		return fmt.Errorf("look for triggers: %w", err)
	}
	w.hints = triggers >= w.store.triggers
	w.sweptAt = time.Now()
	return nil
}

// own is how many of the rows that are seen are the table's.
func (w *watch) own() int { return w.seen.Len() - w.outsiders() }

// lookAtCalendars reads the calendars and returns the entries whose rules name one that
// is another now.
func (w *watch) lookAtCalendars(ctx context.Context) (concerned []string, err error) {
	now, err := w.store.readCalendars(ctx)
	if err != nil {
		return nil, err
	}
	differ := now.differing(w.reading.calendars)
	w.reading.calendars = now
	w.calendars.Store(now)
	for id, names := range w.named {
		if slices.ContainsFunc(names, func(name string) bool { return differ[name] }) {
			concerned = append(concerned, id)
		}
	}
	return concerned, nil
}

// compare finds the rows that are gone, or that came unseen, by all ids. What it finds is
// read again: it may have come or gone since.
func (w *watch) compare(ctx context.Context) error {
	present, unlike, err := w.present(ctx)
	if err != nil {
		return fmt.Errorf("read ids of entries: %w", err)
	}
	var differ []string
	for part := range present.Parts(unlike) {
		for id := range part {
			if _, ok := w.seen.Get(id); !ok {
				differ = append(differ, string(id))
			}
		}
		if _, err := w.between(ctx); err != nil {
			return err
		}
	}
	for part := range w.seen.Parts(unlike) {
		for id := range part {
			if _, ok := present.Get(id); !ok && w.store.source(string(id)) == nil {
				differ = append(differ, string(id))
			}
		}
		if _, err := w.between(ctx); err != nil {
			return err
		}
	}
	return w.reread(ctx, differ)
}

// present returns the ids that are in the table, but for those of parts whose ids are what they were: to make a map
// of a million takes longer than to read them.
func (w *watch) present(ctx context.Context) (present schedule.ByID[struct{}], unlike *schedule.Unlike, err error) {
	var sums schedule.Sums
	keys := make([]schedule.Key, 0, w.seen.Len()+chunk)
	err = w.meanwhile(ctx, func(ctx context.Context) error {
		var m recalled
		var answer binaryRow
		into := []any{keyed{&m}}
		return w.store.db.each(ctx, "entry_ids", func(from scanner) error {
			err := answer.of(from).Scan(into...)
			if m.key == (schedule.Key{}) || m.id != "" {
				present.Set(m.id, struct{}{})
				return err
			}
			sums.Add(m.key)
			keys = append(keys, m.key)
			return err
		})
	})
	if err != nil {
		return present, nil, err
	}
	unlike = w.seen.Unlike(&sums)
	err = w.meanwhile(ctx, func(context.Context) error {
		for _, key := range keys {
			if unlike.Has(key) {
				present.AtKey(key)
			}
		}
		return nil
	})
	return present, unlike, err
}
