package store

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
)

// A stalled feed does more than it is asked, as if it took long.
type stalled struct {
	feed
	written_ func(ctx context.Context, ids []string, count int) ([]string, int, error)
	some_    func(ids []string)
}

func (f *stalled) written(ctx context.Context) ([]string, int, error) {
	ids, count, err := f.feed.written(ctx)
	if err != nil || f.written_ == nil {
		return ids, count, err
	}
	return f.written_(ctx, ids, count)
}

func (f *stalled) some(ctx context.Context, ids []string, each func(*row) error) error {
	var rows []row
	err := f.feed.some(ctx, ids, func(r *row) error {
		rows = append(rows, *r)
		return nil
	})
	if f.some_ != nil {
		f.some_(ids)
	}
	for i := 0; err == nil && i < len(rows); i++ {
		err = each(&rows[i])
	}
	return err
}

// A heard is a watch that leads, whose catalog has rows, and what it told of.
type heard struct {
	*watch
	t     *testing.T
	lite  *sqlite
	feed  *stalled
	tells func(schedule.Change)
	news  map[schedule.ID][]schedule.Change // since the load
}

func hear(t *testing.T, rows int, sources ...Source) *heard {
	t.Helper()
	s := storeOf(t, "sqlite:///"+filepath.Join(t.TempDir(), "entries.db"), Options{Sources: sources})
	h := &heard{t: t, lite: s.db.(*sqlite), watch: s.newWatch(1), tells: func(schedule.Change) {}}
	h.exec(fmt.Sprintf(`WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
		INSERT INTO celery_beat_schedules (id, name, task_name, cron_expression) SELECT printf('%%05d', i), 'as it was', 't', '@every 1h' FROM n`, rows))
	h.feed = &stalled{feed: h.watch.feed}
	h.watch.feed = h.feed
	h.leads[0] = &lead{ctx: t.Context(), failed: make(chan error, 1), first: true, watcher: loader(func(_ context.Context, changes []schedule.Change) error {
		for _, change := range changes {
			if h.news != nil {
				h.news[change.ID] = append(h.news[change.ID], change)
			}
			h.tells(change)
		}
		return nil
	})}
	if err := h.feed.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.feed.close)
	if err := h.load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := h.writeLater(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.news = map[schedule.ID][]schedule.Change{}
	return h
}

// exec runs a statement as another program might.
func (h *heard) exec(text string) {
	h.t.Helper()
	if _, err := h.lite.writer.ExecContext(context.Background(), text); err != nil {
		h.t.Error(err)
	}
}

// await waits for the channel to be closed.
func (h *heard) await(what string, closed <-chan struct{}) {
	h.t.Helper()
	select {
	case <-closed:
	case <-time.After(20 * time.Second):
		h.t.Errorf("%s did not come", what)
	}
}

// lookAtAll looks at all rows.
func (h *heard) lookAtAll() {
	h.t.Helper()
	h.sweptAt = time.Time{}
	if err := h.look(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
}

// An edit that the log of changes names, and a run that is asked for, are told of while a look
// at all rows goes on, however long that takes.
func TestAnEditDoesNotWaitForALookAtAllRows(t *testing.T) {
	h := hear(t, 3)
	told := make(chan struct{})
	h.tells = func(change schedule.Change) {
		if change.Name == "edited" {
			close(told)
		}
	}
	h.feed.written_ = func(_ context.Context, ids []string, count int) ([]string, int, error) {
		h.exec("UPDATE celery_beat_schedules SET name = 'edited' WHERE id = '00002'")
		h.await("the edit, while all rows are looked at,", told)
		return ids, count, nil
	}
	h.lookAtAll()
	if got := len(h.news["00002"]); got != 1 || len(h.news) != 1 {
		t.Errorf("news = %v, want the edit once", h.news)
	}
}

// Where edits are told of while a look at all rows goes on, it finds as many rows as there were when it began, and does not
// take any for gone: to compare the ids of all would take as long as the look.
func TestEditsMeanwhileAreNoRowsThatAreGone(t *testing.T) {
	h := hear(t, 3)
	told := make(chan struct{})
	h.tells = func(change schedule.Change) {
		if change.ID == "new" {
			close(told)
		}
	}
	h.feed.written_ = func(_ context.Context, ids []string, count int) ([]string, int, error) {
		h.exec("INSERT INTO celery_beat_schedules (id, name, task_name, cron_expression) VALUES ('new', 'new', 't', '@every 1h')")
		h.await("the new row, while all rows are looked at,", told)
		return ids, count, nil
	}
	h.store.db = &after{h.store.db, "entry_ids", func() { t.Error("the ids of all rows were compared") }}
	h.lookAtAll()
	if got := h.seen.Len(); got != 4 {
		t.Errorf("%d rows are seen, want 4", got)
	}
}

// What was read ahead, and then edited, removed or made anew, is not told of as it was.
func TestAnOlderSightNeverComesAfterANewerOne(t *testing.T) {
	const rows = 2*chunk + 10
	h := hear(t, rows)
	h.feed.written_ = func(_ context.Context, ids []string, count int) ([]string, int, error) {
		for i := range rows {
			ids = append(ids, fmt.Sprintf("%05d", i+1))
		}
		return ids, count, nil
	}
	edited, once := make(chan struct{}), false
	h.feed.some_ = func(ids []string) {
		if !slices.Contains(ids, "01500") || once {
			return
		}
		once = true // its rows were read, and are told of after the edits
		h.exec("UPDATE celery_beat_schedules SET name = 'edited' WHERE id = '01500'")
		h.exec("DELETE FROM celery_beat_schedules WHERE id = '01501'")
		h.exec("UPDATE celery_beat_schedules SET name = 'edited' WHERE id = '00500'") // was told of before
		close(edited)
	}
	h.tells = func(change schedule.Change) {
		if change.ID == "01000" { // the last of the first page
			h.await("the edit of what is read ahead", edited)
			h.heardAt = time.Time{} // the look goes on for long
		}
	}
	h.again = true // all that is read is told of
	h.lookAtAll()
	for id, want := range map[schedule.ID]string{"00500": "edited", "01500": "edited", "01501": "", "02010": "as it was"} {
		news := h.news[id]
		if len(news) == 0 || news[len(news)-1].Name != want {
			t.Errorf("the last news of %s are %v, want the name %q", id, news, want)
		}
	}
	if n := slices.IndexFunc(h.news["01500"], func(c schedule.Change) bool { return c.Name != "edited" }); n >= 0 {
		t.Errorf("news of 01500 = %v, want it as it was edited alone", h.news["01500"])
	}
	if news := h.news["01501"]; len(news) != 1 || news[0].Reason != schedule.ReasonRemoved {
		t.Errorf("news of 01501 = %v, want that it is gone alone", news)
	}
}

// Rows that come while all ids are compared are not taken for gone, and those that go are not
// taken for new.
func TestRowsThatComeAndGoInAComparison(t *testing.T) {
	h := hear(t, 3)
	h.feed.written_ = func(_ context.Context, ids []string, count int) ([]string, int, error) {
		return ids, count + 1, nil // which makes it compare
	}
	told := make(chan struct{})
	h.tells = func(change schedule.Change) {
		if change.ID == "new" {
			close(told)
		}
	}
	compared := false
	h.store.db = &after{h.store.db, "entry_ids", func() {
		compared = true
		h.exec("DELETE FROM celery_beat_schedules WHERE id = '00003'")
		h.exec("INSERT INTO celery_beat_schedules (id, name, task_name, cron_expression) VALUES ('new', 'new', 't', '@every 1h')")
		h.await("the new row, while ids are compared,", told)
	}}
	h.lookAtAll()
	if !compared {
		t.Fatal("nothing was compared")
	}
	if news := h.news["new"]; len(news) != 1 || news[0].Entry == nil {
		t.Errorf("news of the new row = %v, want that it is there alone", news)
	}
	if news := h.news["00003"]; len(news) != 1 || news[0].Reason != schedule.ReasonRemoved {
		t.Errorf("news of the removed row = %v, want that it is gone alone", news)
	}
}

// An after is a database in which something happens when a statement has been read.
type after struct {
	database
	name string
	do   func()
}

func (a *after) each(ctx context.Context, name string, row func(scanner) error, args ...any) error {
	err := a.database.each(ctx, name, row, args...)
	if name == a.name {
		a.do()
	}
	return err
}

// More than a page of edits that come while a look goes on are told of by the next, at once.
func TestManyEditsWaitForTheNextLook(t *testing.T) {
	const rows = chunk + 10
	h := hear(t, rows)
	if err := h.look(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.exec("UPDATE celery_beat_schedules SET name = 'edited'")
	h.looking, h.heardAt = true, time.Time{}
	if _, err := h.between(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(h.news) != 0 || h.interval() != 0 {
		t.Errorf("%d edits were told of within a look, and the next comes after %v; want none, and at once", len(h.news), h.interval())
	}
	if err := h.look(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(h.news) != rows || h.interval() == 0 {
		t.Errorf("%d of %d edits were told of by the next look, and another comes after %v; want all, and some time", len(h.news), rows, h.interval())
	}
}

// A row that is edited while all rows are read the first time, after it was taken, is remembered as it
// is then: one that was switched off has no spec that counts since before.
func TestWhatIsToBeWrittenLaterIsWrittenBeforeItsRowIsReadAgain(t *testing.T) {
	h := hear(t, 3)
	h.exec("DELETE FROM onebeat_entries")
	h.exec("UPDATE celery_beat_schedules SET cron_expression = '0 9 1 1 *'")
	h.seen = schedule.ByID[known]{}
	h.reading.first, h.reading.told, h.reading.later = beginning{loading: true, loaded: map[int]bool{}}, map[int]bool{}, &h.later
	h.reading.first.at = time.Now().Truncate(time.Microsecond)
	err := h.feed.feed.all(t.Context(), func(r *row) error { return h.take(t.Context(), r) })
	if err != nil {
		t.Fatal(err)
	}
	if err := h.apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	if h.later.length != 3 {
		t.Fatalf("%d sights are to be written later, want 3", h.later.length)
	}
	h.exec("UPDATE celery_beat_schedules SET enabled = 0 WHERE id = '00002'")
	if err := h.reread(t.Context(), []string{"00002"}); err != nil {
		t.Fatal(err)
	}
	if err := h.writeLater(t.Context()); err != nil {
		t.Fatal(err)
	}
	var specs []string
	err = h.lite.each(t.Context(), "sides", func(from scanner) error {
		var spec string
		var rest any
		err := from.Scan(&rest, &spec, &rest, &rest, &rest, &rest, &rest, &rest, &rest)
		specs = append(specs, spec)
		return err
	}, []string{"00001", "00002"})
	if err != nil {
		t.Fatal(err)
	}
	if len(specs) != 2 || (specs[0] == "") == (specs[1] == "") {
		t.Errorf("the specs that are remembered are %q, want one of the entry that is on, and none of the other", specs)
	}
}

// What is seen of thousands of entries that were added together is written down in few parts, but of
// those that have a slot soon, before they are told of.
func TestManyNewEntriesAreWrittenDownTogether(t *testing.T) {
	const rows, soon = 2*laterPart + 500, 1
	h := hear(t, 1)
	count := &counted{database: h.store.db}
	h.store.db = count
	h.tells = func(change schedule.Change) {
		if change.Name == "soon" && remembered(t, h.lite, "WHERE entry_id = '"+string(change.ID)+"'") != 1 {
			t.Errorf("entry %s is due soon, and told of before it is written down", change.ID)
		}
	}
	h.exec(fmt.Sprintf(`WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
		INSERT INTO celery_beat_schedules (name, task_name, cron_expression)
		SELECT iif(i <= %d, 'soon', 'later'), 't', iif(i <= %[2]d, '@every 1s', '@every 1h') FROM n`, rows, soon))
	if err := h.look(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := h.writeLater(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(h.news) != rows || remembered(t, h.lite, "") != rows+1 {
		t.Errorf("%d of %d new entries were told of, and %d are remembered", len(h.news), rows, remembered(t, h.lite, "")-1)
	}
	if most := rows/laterPart + 1 + soon; count.seen > most {
		t.Errorf("they were written down in %d parts, want %d at most", count.seen, most)
	}
	if written := count.rows; written != rows {
		t.Errorf("%d sights were written, want each of %d once", written, rows)
	}
}

// What is seen of many new entries is not written down once they are led elsewhere, and read again when
// they are led here.
func TestManyNewEntriesOfAnOldTerm(t *testing.T) {
	const rows = chunk + 500
	h := hear(t, 1)
	lead := h.leads[0]
	h.tells = func(schedule.Change) { lead.over.Store(true) }
	h.exec(fmt.Sprintf(`WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
		INSERT INTO celery_beat_schedules (name, task_name, cron_expression) SELECT 'new', 't', '@every 1h' FROM n`, rows))
	if err := h.look(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := h.writeLater(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := remembered(t, h.lite, ""); got != 1 {
		t.Errorf("%d new entries are remembered after the term was over, want none", got-1)
	}
	anew := 0
	for id := range h.news {
		if k, ok := h.seen.Get(id); ok && k.next == 0 {
			anew++
		}
	}
	if anew != len(h.news) || anew == 0 {
		t.Errorf("%d of %d that were told of are to be read again, want all", anew, len(h.news))
	}
}

func remembered(t *testing.T, lite *sqlite, where string) (n int) {
	t.Helper()
	if err := lite.reader.QueryRowContext(t.Context(), "SELECT count(*) FROM onebeat_entries "+where).Scan(&n); err != nil {
		t.Error(err)
	}
	return n
}

// A counted is a database that counts how often what was seen is written down.
type counted struct {
	database
	seen, rows int
}

func (c *counted) transact(ctx context.Context, how mode, work func(transaction) error) error {
	return c.database.transact(ctx, how, func(tx transaction) error { return work(countedIn{tx, c}) })
}

type countedIn struct {
	transaction
	count *counted
}

func (c countedIn) many(ctx context.Context, name string, columns ...any) error {
	if name == "entry_seen" || name == "entry_first_seen" {
		c.count.seen++
		c.count.rows += len(columns[0].([]string))
	}
	return c.transaction.many(ctx, name, columns...)
}

// An edit that just escapes a look at all rows is told of within a second where the database is quick enough, and if
// it is not, it is looked at for a third of the time at most.
func TestTheRestAfterALookAtAllRows(t *testing.T) {
	const ms = time.Millisecond
	for _, tt := range []struct {
		name              string
		scan, whole, rest time.Duration
	}{
		{"a thousand rows", 1 * ms, 1 * ms, 747 * ms},
		{"100,000 rows", 20 * ms, 25 * ms, 690 * ms},
		{"a million rows", 170 * ms, 175 * ms, 340 * ms},
		{"a million rows, one of which is gone", 170 * ms, 400 * ms, 400 * ms},
		{"a million rows, of which many were written", 170 * ms, 1500 * ms, 1500 * ms},
		{"a million rows on a busy machine", 450 * ms, 460 * ms, 900 * ms},
		{"ten million rows", 2000 * ms, 2010 * ms, 4000 * ms},
	} {
		w := &watch{store: &Store{layout: &layout{}}, scanFor: tt.scan, sweepFor: tt.whole}
		rest := w.sweepInterval()
		if rest != tt.rest {
			t.Errorf("%s: the rest after a look of %v, of %v in all, is %v, want %v", tt.name, tt.scan, tt.whole, rest, tt.rest)
		}
		// It comes as a look begins, which a comparison of all ids follows that takes as long.
		if told := rest + 3*tt.scan; tt.whole < time.Second && tt.scan < 200*ms && told > time.Second {
			t.Errorf("%s: an edit is told of after %v, want a second at most", tt.name, told)
		}
	}
}

// The search for rows that are gone makes the next look wait no longer than as long as it took.
func TestALookForWhatIsGoneIsNoLongerLook(t *testing.T) {
	h := hear(t, 3)
	h.exec("DELETE FROM celery_beat_schedules WHERE id = '00003'")
	h.exec("DELETE FROM onebeat_changes") // no trigger tells of it
	var scanned time.Duration
	h.store.db = &after{h.store.db, "entry_ids", func() { scanned = h.scanFor }}
	h.lookAtAll()
	if news := h.news["00003"]; len(news) != 1 || news[0].Reason != schedule.ReasonRemoved {
		t.Errorf("news of the removed row = %v, want that it is gone", news)
	}
	if scanned == 0 || scanned != h.scanFor || h.sweepFor <= h.scanFor {
		t.Errorf("looking took %v, %v once all ids were compared, and %v in all; want the same, and more in all", scanned, h.scanFor, h.sweepFor)
	}
}

// A look at all rows is left off for who comes to lead, who tells of what is due first. What it was to find, and what else
// was to be judged anew, is left for the next.
func TestALookIsLeftOffForWhoComesToLead(t *testing.T) {
	for _, named := range []bool{false, true} {
		h := hear(t, 3)
		h.named["00001"] = []string{"holidays"}
		h.exec("INSERT INTO onebeat_calendars (calendar, day) VALUES ('holidays', '2026-12-25')")
		h.feed.written_ = func(ctx context.Context, _ []string, _ int) ([]string, int, error) {
			h.mu.Lock()
			h.coming = append(h.coming, &lead{ctx: t.Context(), watcher: h.leads[0].watcher, asked: map[string]bool{}})
			h.mu.Unlock()
			h.await("the end of a look at all rows, once somebody comes to lead,", ctx.Done())
			return nil, 0, ctx.Err()
		}
		h.sweptAt, h.every, h.mark.behind = time.Time{}, named, true
		if err := h.look(t.Context()); !errors.Is(err, errAwaited) {
			t.Fatalf("look: %v, want that somebody has come to lead", err)
		}
		if h.every != named || !h.mark.behind || !slices.Equal(h.waiting, []string{"00001"}) || h.interval() > 0 {
			t.Errorf("all rows may have changed: %v, and %v; %q are to be judged anew, after %v; want %v, true, and 00001 at once", h.every, h.mark.behind, h.waiting, h.interval(), named)
		}
		h.exec("UPDATE celery_beat_schedules SET name = 'edited' WHERE id = '00002'")
		h.exec("DELETE FROM onebeat_changes") // no trigger tells of it
		h.feed.written_ = nil
		if err := h.begin(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := h.look(t.Context()); err != nil {
			t.Fatal(err)
		}
		if news := h.news["00002"]; len(news) == 0 || news[len(news)-1].Name != "edited" || len(h.waiting) > 0 {
			t.Errorf("news of the edited row = %v, and %q wait; want the edit, and none", news, h.waiting)
		}
	}
}

// A bared is a feed that reads rows alone too, as PostgreSQL's does.
type bared struct {
	*stalled
	bare_ func(ctx context.Context) error
}

func (f *bared) bare(ctx context.Context, _ []string, _ func(*row) error) (bool, error) {
	return true, f.bare_(ctx)
}

// Nor is what it has found by then lost, which the feed will not find again.
func TestWhatALookHasFoundIsNotLostWithIt(t *testing.T) {
	h := hear(t, 3)
	h.named["00001"] = []string{"holidays"}
	h.exec("INSERT INTO onebeat_calendars (calendar, day) VALUES ('holidays', '2026-12-25')")
	h.exec("UPDATE celery_beat_schedules SET name = 'edited' WHERE id = '00002'")
	h.exec("DELETE FROM onebeat_changes") // no trigger tells of it
	feed := &bared{h.feed, func(ctx context.Context) error {
		h.mu.Lock()
		h.coming = []*lead{{ctx: t.Context(), shard: 1}}
		h.mu.Unlock()
		h.mark.behind = true // another edit comes meanwhile
		h.await("the end of a look at all rows, once somebody comes to lead,", ctx.Done())
		return ctx.Err()
	}}
	h.watch.feed = feed
	h.sweptAt = time.Time{}
	if err := h.look(t.Context()); !errors.Is(err, errAwaited) {
		t.Fatalf("look: %v, want that somebody has come to lead", err)
	}
	if !h.mark.behind || !slices.Equal(h.waiting, []string{"00001"}) || len(h.news) > 0 {
		t.Errorf("the mark is behind: %v, and %q are to be judged anew, with the news %v; want true, 00001 and none", h.mark.behind, h.waiting, h.news)
	}
	h.coming = nil
	feed.bare_ = func(context.Context) error { return nil }
	if err := h.look(t.Context()); err != nil {
		t.Fatal(err)
	}
	if news := h.news["00002"]; len(news) != 1 || news[0].Name != "edited" || len(h.waiting) > 0 {
		t.Errorf("news of the edited row = %v, and %q wait; want the edit, and none", news, h.waiting)
	}
}
