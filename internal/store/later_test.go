package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
)

// What is put off is handed out in parts, in order of ids whatever order it came in, each once, and is
// found from when it came until it is known to be written down, put in order meanwhile or not.
func TestWhatIsPutOffComesInOrderOfIDs(t *testing.T) {
	const sights = laterRun + 3*laterPart/2
	var l later
	at := time.Unix(1_800_000_000, 0)
	all := make([]laterSight, sights)
	for i := range all {
		binary.BigEndian.PutUint32(all[i].key[4:], uint32(i+1)<<4) // of which many begin alike
		all[i].key[8], all[i].spec = 0x80, uint64(i)
	}
	ids := []string{string(all[1].key.ID()), string(all[sights-1].key.ID()), "of no key, for it is too long", "none"}
	finds := func(when string, want ...laterSight) {
		t.Helper()
		if found, _ := l.of(ids); !slices.Equal(found, want) {
			t.Errorf("%s: %v is put off of %v, want %v", when, found, ids, want)
		}
	}
	finds("before any came")
	put := func(places []int) {
		for _, i := range places {
			l.put(all[i], at, at.Add(putOffFor+time.Duration(i)*time.Second))
		}
	}
	came := rand.Perm(sights)
	came = slices.DeleteFunc(came, func(i int) bool { return i == 1 || i == sights-1 })
	put([]int{1})
	put(came[:laterRun/2])
	finds("nothing is in order", all[1])
	if !l.order() || l.order() {
		t.Error("one run is put in order, and then none")
	}
	finds("all is in order", all[1])
	put(came[laterRun/2:])
	put([]int{sights - 1})
	finds("more came", all[1], all[sights-1])
	l.order()
	finds("the first run is in order", all[1], all[sights-1])
	if got, want := time.UnixMicro(l.soonest.Load()), at.Add(putOffFor); !got.Equal(want) {
		t.Errorf("the soonest slot is at %v, want %v", got, want)
	}
	var parts []laterSight
	for {
		part, after := l.part()
		if len(part) == 0 {
			break
		}
		if len(part) > laterPart || !after.Equal(at) {
			t.Fatalf("a part of %d counts after %v, want %d at most and %v", len(part), after, laterPart, at)
		}
		if len(parts) == 0 {
			finds("nothing is written down", all[1], all[sights-1])
		} else {
			finds(fmt.Sprintf("%d are written down", len(parts)), all[sights-1])
		}
		parts = append(parts, part...)
	}
	if !slices.Equal(parts, all) {
		t.Errorf("%d sights came out in order, want all of %d", len(parts), sights)
	}
	if l.soonest.Load() != 0 || l.length != 0 {
		t.Errorf("%d are left, with a slot at %d", l.length, l.soonest.Load())
	}
}

// A starting is a watch that leads at a first start, of rows that have no slot for long.
func starting(t *testing.T, rows int) *heard {
	t.Helper()
	h := hear(t, rows)
	h.exec("UPDATE celery_beat_schedules SET cron_expression = '0 9 1 1 *', created_at = '2026-01-01 00:00:00'")
	h.exec("DELETE FROM onebeat_entries")
	h.exec("DELETE FROM onebeat_meta WHERE key IN ('first_start', 'first_load')")
	leads := h.leads[0]
	leads.begun = false
	h.feed.close()
	h.watch = h.store.newWatch(1)
	h.watch.feed = h.feed
	h.coming = append(h.coming, leads)
	h.admit()
	h.news = map[schedule.ID][]schedule.Change{}
	return h
}

// A parted is a database in which something happens when a part of what was put off has been written down.
type parted struct {
	database
	counted
	do func(part int)
}

func (p *parted) transact(ctx context.Context, how mode, work func(transaction) error) error {
	before := p.seen
	err := p.counted.transact(ctx, how, work)
	if p.seen > before {
		p.do(p.seen)
	}
	return err
}

// An edit that comes while what was seen at a first start is written down waits for one part of that at
// most, and for what was seen of its own entry.
func TestAnEditDoesNotWaitForWhatIsWrittenDown(t *testing.T) {
	const rows = 2*laterPart + 99
	last := fmt.Sprintf("%05d", rows)
	h := starting(t, rows)
	db := &parted{database: h.store.db, counted: counted{database: h.store.db}}
	told := map[schedule.ID]int{} // how many sights were written down when it was told of
	h.tells = func(change schedule.Change) {
		if change.Name == "edited" {
			told[change.ID] = db.rows
		}
	}
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	db.do = func(part int) {
		if part == 1 {
			if db.rows != laterPart || len(h.news) != rows {
				t.Errorf("%d entries were told of when %d sights were written down, want %d and %d", len(h.news), db.rows, rows, laterPart)
			}
			h.exec("UPDATE celery_beat_schedules SET name = 'edited', cron_expression = '0 9 2 1 *' WHERE id = '" + last + "'")
			h.exec("INSERT INTO celery_beat_schedules (id, name, task_name, cron_expression) VALUES ('new', 'edited', 't', '@every 1s')")
		}
		if remembered(t, h.lite, "") == rows+1 {
			stop()
		}
	}
	h.store.db = db
	if err := h.follow(ctx, func() {}); context.Cause(ctx) != context.Canceled {
		t.Fatalf("follow = %v, before all was written down", err)
	}
	want := laterPart + 3 // of the edited entry as it was and as it is, and of the new one
	if told[schedule.ID(last)] != want || told["new"] != want {
		t.Errorf("so many sights were written down when edits were told of: %v, want %d", told, want)
	}
	for _, id := range []schedule.ID{schedule.ID(last), "new"} {
		news := schedule.Change{}
		if all := h.news[id]; len(all) > 0 {
			news = all[len(all)-1]
		}
		if news.Entry == nil || !news.Entry.After.After(h.reading.first.at) {
			t.Errorf("slots of %s count after %v, want after the edit, not since the first start at %v", id, news.Entry, h.reading.first.at)
		}
		var spec string
		query := fmt.Sprintf("SELECT spec FROM onebeat_entries WHERE entry_id = '%s' AND after_at > %d", id, h.reading.first.at.UnixMicro())
		if err := h.lite.reader.QueryRowContext(t.Context(), query).Scan(&spec); err != nil {
			t.Errorf("what is remembered of %s: %v", id, err)
		}
	}
}

// leading takes the lease of a store that has run state in the table.
func leading(t *testing.T, s *Store) (*Shard, schedule.Lease) {
	t.Helper()
	s.options.Home = HomeTable
	shard := s.Shard(0)
	lease, won, err := shard.Acquire(t.Context(), "a")
	if err != nil || !won {
		t.Fatalf("Acquire = %v, %v", won, err)
	}
	return shard, lease
}

// A slot is not claimed before what was seen of its entry is written down, for what ends is noted there.
// Of entries that have none, nothing is written for that.
func TestWhatIsPutOffIsWrittenDownBeforeItsFirstClaim(t *testing.T) {
	h := starting(t, 3)
	shard, lease := leading(t, h.store)
	h.reading = reading{store: h.store, home: HomeTable, first: beginning{at: time.Now().Truncate(time.Microsecond), loading: true, loaded: map[int]bool{}}, remember: h.remembers, holds: h.holds, later: &h.later}
	if err := h.store.look(t.Context()); err != nil {
		t.Fatal(err)
	}
	err := h.feed.feed.all(t.Context(), func(r *row) error { return h.take(t.Context(), r) })
	if err == nil {
		err = h.apply(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	var dues []schedule.Due
	for _, id := range []schedule.ID{"00001", "00002"} {
		entry := h.news[id][0].Entry
		dues = append(dues, schedule.Due{Entry: entry, Slot: entry.Spec.Next(entry.After)})
	}
	dues[1].Slot = dues[1].Slot.Add(-time.Hour) // which is none of its slots
	for seq, want := range []int{0, 1} {
		batch := schedule.Batch{Term: lease.Term, Seq: int64(seq + 1), Dues: dues[1-seq : 2-seq]}
		if err := shard.Claim(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
		if got := remembered(t, h.lite, ""); got != want {
			t.Errorf("after the claim of the slot %v, %d entries are remembered, want %d", batch.Dues[0].Slot, got, want)
		}
	}
	runs := []schedule.Run{{Entry: "00001", Slot: dues[0].Slot, State: schedule.Sent, Count: 1}}
	if err := shard.Record(t.Context(), lease.Term, []int64{2}, runs); err != nil {
		t.Fatal(err)
	}
	if err := h.writeLater(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := remembered(t, h.lite, fmt.Sprintf("WHERE last_slot = %d", dues[0].Slot.UnixMicro())); got != 1 || remembered(t, h.lite, "") != 3 {
		t.Errorf("the slot that was sent is remembered of %d entries of %d, want 1 of 3", got, remembered(t, h.lite, ""))
	}
}

// A refusing is a database that refuses to write down what was put off.
type refusing struct{ database }

func (refusing) transact(context.Context, mode, func(transaction) error) error {
	return errors.New("the connection is lost")
}

// A claiming is a feed during whose reading of all rows something is claimed.
type claiming struct {
	feed
	claim func()
}

func (c claiming) all(ctx context.Context, each func(*row) error) error {
	c.claim()
	return c.feed.all(ctx, each)
}

// What was put off when the sight of the catalog was lost is put off no more when all rows are read again: meanwhile
// slots are claimed and recorded.
func TestWhatIsPutOffIsNotForgottenWhenAllIsReadAgain(t *testing.T) {
	h := starting(t, 3)
	shard, lease := leading(t, h.store)
	db := h.store.db
	h.feed.feed = claiming{h.feed.feed, func() { h.store.db = refusing{db} }}
	_ = h.load(t.Context())
	if h.later.length != 3 || len(h.news) != 3 {
		t.Fatalf("%d sights of %d entries are put off, want 3", h.later.length, len(h.news))
	}
	h.store.db = db
	entry := h.news["00001"][0].Entry
	slot := entry.Spec.Next(entry.After)
	h.feed.feed = claiming{h.feed.feed.(claiming).feed, func() {
		batch := schedule.Batch{Term: lease.Term, Seq: 1, Dues: []schedule.Due{{Entry: entry, Slot: slot}}}
		if err := shard.Claim(t.Context(), batch); err != nil {
			t.Error(err)
		}
		runs := []schedule.Run{{Entry: "00001", Slot: slot, State: schedule.Sent, Count: 1}}
		if err := shard.Record(t.Context(), lease.Term, []int64{1}, runs); err != nil {
			t.Error(err)
		}
	}}
	if err := h.load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := h.writeLater(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := remembered(t, h.lite, fmt.Sprintf("WHERE last_slot = %d", slot.UnixMicro())); got != 1 || remembered(t, h.lite, "") != 3 {
		t.Errorf("the slot that was sent is remembered of %d entries of %d, want 1 of 3", got, remembered(t, h.lite, ""))
	}
}

// Who takes over from a node that was lost during the first start goes on from that: slots count since then.
func TestAFirstStartThatAnotherEnds(t *testing.T) {
	h := starting(t, 3)
	at := time.Now().UTC().Add(-time.Minute).Truncate(time.Second)
	h.exec(fmt.Sprintf("INSERT INTO onebeat_meta (key, value) VALUES ('first_start', '%s')", at.Format(time.RFC3339Nano)))
	l := h.leads[0]
	delete(h.leads, 0)
	if err := h.feed.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := h.load(t.Context()); err != nil { // while the other leads
		t.Fatal(err)
	}
	h.coming = append(h.coming, l)
	if err := h.begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := h.writeLater(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, id := range []schedule.ID{"00001", "00003"} {
		if news := h.news[id]; len(news) != 1 || news[0].Entry == nil || !news[0].Entry.After.Equal(at) {
			t.Errorf("news of %s = %v, want it once, with slots after %v", id, news, at)
		}
	}
	if remembered(t, h.lite, "") != 3 || h.reading.first.loading {
		t.Errorf("%d entries are remembered, and the first start goes on: %v; want 3, and no more", remembered(t, h.lite, ""), h.reading.first.loading)
	}
}

// A listed is a Source that is a list.
type listed []Outside

func (l *listed) Name() string                            { return "list" }
func (l *listed) String() string                          { return "a list" }
func (l *listed) Read(context.Context) ([]Outside, error) { return *l, nil }
func (l *listed) Changed(ctx context.Context) error       { <-ctx.Done(); return ctx.Err() }

// What is put off of entries of a source is written down before they are found to be gone or disabled: when they
// have slots again, these count from then.
func TestWhatIsPutOffOfASourceIsWrittenDownBeforeItsEntriesEnd(t *testing.T) {
	entries := listed{
		{Key: "gone", Definition: Definition{Name: "gone", Task: "t", Spec: "0 9 1 1 *", Enabled: true}},
		{Key: "off", Definition: Definition{Name: "off", Task: "t", Spec: "0 9 1 1 *", Enabled: true}},
	}
	h := hear(t, 1, &entries)
	h.exec("DELETE FROM onebeat_entries WHERE entry_id LIKE 'list:%'")
	began := time.Now()
	for _, id := range []schedule.ID{"list:gone", "list:off"} {
		key, _ := id.Key()
		h.later.put(laterSight{key: key, spec: 1}, began, began.Add(time.Hour))
	}
	entries = listed{entries[1]}
	entries[0].Enabled = false
	h.moved[0].Store(true)
	if err := h.look(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := h.writeLater(t.Context()); err != nil {
		t.Fatal(err)
	}
	if all, ended := remembered(t, h.lite, "WHERE entry_id LIKE 'list:%'"), remembered(t, h.lite, "WHERE entry_id LIKE 'list:%' AND spec = ''"); all != 2 || ended != 2 {
		t.Errorf("of %d entries that are remembered it is known of %d that they have no slots; want 2 and 2", all, ended)
	}
}
