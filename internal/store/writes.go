package store

import (
	"context"
	"fmt"
	"time"
)

// Where no trigger tells of edits, PostgreSQL's statistics soon say that there was one: how many rows of a table were ever
// inserted, updated and deleted. They do not say which, and they are neither exact nor at once: what a session has written counts
// when it has nothing to do, but no more often than once a second (PostgreSQL 15 and newer, pgstat_report_stat). So they let a look at all rows
// come sooner, and none later.

const (
	// writesInterval is the time between questions for them.
	writesInterval = 200 * time.Millisecond

	// writesLag is how long after it was committed what onebeat itself has written may count.
	writesLag = 2 * time.Second
)

// writes are how many rows of the catalog's tables were ever written.
type writes struct {
	rows    int64 // inserted or deleted
	updated int64
}

// A countingFeed knows them.
type countingFeed interface {
	writes(ctx context.Context) (writes, error)
}

// counting returns the feed if there is a use for what it counts: where no shard is led, nobody waits for edits.
func (w *watch) counting() (countingFeed, bool) {
	feed, ok := w.feed.(countingFeed)
	return feed, ok && !w.hints && w.leading() > 0
}

// countWrites takes over what is written by now: what the look finds that begins then.
func (w *watch) countWrites(ctx context.Context) (err error) {
	if feed, ok := w.counting(); ok {
		w.writes, err = w.writesOf(ctx, feed)
	}
	return err
}

func (w *watch) writesOf(ctx context.Context, feed countingFeed) (writes, error) {
	w.countedAt = time.Now()
	now, err := feed.writes(ctx)
	if err != nil {
		err = fmt.Errorf("read how many rows were written: %w", err)
	}
	return now, err
}

// counted says whether it is worth while to ask: a server before PostgreSQL 15 says that nothing was ever written.
func (w *watch) counted() bool {
	_, ok := w.counting()
	return ok && w.writes != writes{}
}

// stirred says whether it is time to look at all rows because something wrote some since the last such look. Updates
// say nothing while runs are recorded, which are updates, nor where another node leads a shard: it may record some of which nothing
// is known here.
func (w *watch) stirred(ctx context.Context) (bool, error) {
	least := w.sweepFor // the server looks for half of the time at most
	if w.store.layout.marks {
		least = max(markedSweep, restTimes*w.sweepFor)
	}
	feed, _ := w.counting()
	if !w.counted() || time.Since(w.sweptAt) < least || time.Since(w.countedAt) < writesInterval {
		return false, nil
	}
	now, err := w.writesOf(ctx, feed)
	if err != nil {
		return false, err
	}
	recorded := time.Unix(0, w.store.recordedAt.Load())
	edits := w.leading() == w.shards && w.sweptAt.Sub(recorded) > writesLag
	return now.rows != w.writes.rows || edits && now.updated != w.writes.updated, nil
}
