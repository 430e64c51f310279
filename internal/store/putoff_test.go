package store

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
)

// adds adds entries of one spec that were made at some time.
func (h *heard) adds(id string, rows int, spec string, made time.Time) {
	h.t.Helper()
	h.exec(fmt.Sprintf(`WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
		INSERT INTO celery_beat_schedules (id, name, task_name, cron_expression, created_at) SELECT '%s' || i, 'added', 't', '%s', '%s' FROM n`,
		rows, id, spec, made.UTC().Format("2006-01-02 15:04:05.000000")))
}

// facts are those that tell of what is put off.
func (h *heard) facts() map[int]time.Time {
	h.t.Helper()
	since, err := h.store.putOffs(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	return since
}

// another is a watch of the node that comes to lead after this one was lost.
func (h *heard) another() *heard {
	h.t.Helper()
	h.feed.close()
	after := &heard{t: h.t, lite: h.lite, watch: h.store.newWatch(h.shards), tells: func(schedule.Change) {}, news: map[schedule.ID][]schedule.Change{}}
	after.feed = &stalled{feed: after.watch.feed}
	after.watch.feed = after.feed
	after.coming = []*lead{{ctx: h.t.Context(), failed: make(chan error, 1), watcher: loader(func(_ context.Context, changes []schedule.Change) error {
		for _, change := range changes {
			after.news[change.ID] = append(after.news[change.ID], change)
		}
		return nil
	})}}
	return after
}

// Of what was put off when the node was lost, the next one, however long after, counts slots since it was seen. Once all is
// written down, what comes is new.
func TestWhatIsPutOffIsNotLostWithTheNode(t *testing.T) {
	const added = chunk + 100
	h := hear(t, 3)
	h.adds("a", added, "0 9 1 1 *", time.Now().Add(-24*time.Hour)) // as a program may say
	noted := -1
	h.tells = func(change schedule.Change) {
		if change.ID != "" && noted < 0 {
			noted = len(h.facts())
		}
	}
	h.hints = true
	if err := h.look(t.Context()); err != nil {
		t.Fatal(err)
	}
	if h.later.length != added || noted != 1 || remembered(t, h.lite, "") != 3 {
		t.Fatalf("%d of %d entries are put off, and as the first was told of %d facts said so; want all, and 1", h.later.length, added, noted)
	}
	for _, again := range []bool{false, true} { // the second time, who reads anew is lost too
		after := h.another()
		after.loads(t)
		late := 0
		for id := range h.news {
			if after.counts(t, id).After(h.counts(t, id)) {
				late++
			}
		}
		if len(h.news) != added || late > 0 {
			t.Errorf("slots of %d of %d entries count after a later instant than they were seen at", late, len(h.news))
		}
		if !again {
			continue
		}
		if err := after.writeLater(t.Context()); err != nil {
			t.Fatal(err)
		}
		if remembered(t, h.lite, "") != 3+added || len(after.facts()) != 0 {
			t.Errorf("%d entries are remembered, and %v is put off; want %d and none", remembered(t, h.lite, ""), after.facts(), 3+added)
		}
		began := time.Now()
		after.adds("b", 1, "0 9 1 1 *", began.Add(-time.Hour))
		after.lookAtAll()
		if got := after.counts(t, "b1"); got.Before(began.Add(-10 * time.Second)) {
			t.Errorf("slots of an entry that came then count after %v, want since it came at %v", got, began)
		}
	}
}

// What was not put off by the node that was lost, or came since, is not sent for slots of before.
func TestWhatCameAfterTheNodeWasLostIsNew(t *testing.T) {
	h := hear(t, 3)
	lost := time.Now().UTC().Add(-time.Hour).Truncate(time.Second)
	h.exec(fmt.Sprintf("INSERT INTO onebeat_meta (key, value) VALUES ('put_off:0/1', '%s'), ('put_off:0/2', '2026-01-01T00:00:00Z'), ('put_off:?', '')", lost.Format(time.RFC3339Nano)))
	h.adds("put off", 1, "0 9 1 1 *", lost.Add(-24*time.Hour))
	h.adds("made since", 1, "0 9 1 1 *", lost.Add(time.Minute))
	h.adds("often", 1, "@every 59s", lost.Add(-24*time.Hour))
	began := time.Now()
	after := h.another()
	after.loads(t)
	for id, want := range map[schedule.ID]time.Time{"put off1": lost, "made since1": lost.Add(time.Minute)} {
		if got := after.counts(t, id); !got.Equal(want) {
			t.Errorf("slots of %s count after %v, want %v", id, got, want)
		}
	}
	if got := after.counts(t, "often1"); got.Before(began.Add(-10 * time.Second)) {
		t.Errorf("slots of what had one within the minute, and would have been written down, count after %v, want since it was read at %v", got, began)
	}
}

// A node that takes over while it knows the catalog learns what the one that was lost had put off.
func TestWhoStandsByLearnsWhatIsPutOff(t *testing.T) {
	h := hear(t, 3)
	standby := h.another()
	leads := standby.coming
	standby.coming = nil
	standby.loads(t)
	lost := time.Now().UTC().Add(-time.Hour).Truncate(time.Second)
	h.exec(fmt.Sprintf("INSERT INTO onebeat_meta (key, value) VALUES ('put_off:0/1', '%s')", lost.Format(time.RFC3339Nano)))
	h.adds("put off", 1, "0 9 1 1 *", lost.Add(-24*time.Hour))
	standby.lookAtAll()
	standby.coming = leads
	if err := standby.begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := standby.counts(t, "put off1"); !got.Equal(lost) {
		t.Errorf("its slots count after %v, want %v", got, lost)
	}
}

// A node whose term is over takes no fact of another's away, nor tells of what it would put off.
func TestWhoseTermIsOverChangesNothingOfWhatIsPutOff(t *testing.T) {
	h := hear(t, 3)
	shard, lease := leading(t, h.store)
	h.leads[0].term = lease.Term
	h.adds("a", chunk+1, "0 9 1 1 *", time.Now())
	h.lookAtAll()
	if err := h.writeSome(t.Context()); err != nil || len(h.facts()) != 1 {
		t.Fatalf("writeSome = %v, with the facts %v", err, h.facts())
	}
	if err := shard.Release(t.Context(), lease.Term); err != nil {
		t.Fatal(err)
	}
	if _, won, err := shard.Acquire(t.Context(), "another"); err != nil || !won {
		t.Fatalf("Acquire = %v, %v", won, err)
	}
	if err := h.writeLater(t.Context()); !errors.Is(err, schedule.ErrLost) || len(h.facts()) != 1 {
		t.Errorf("what ends the putting off = %v with the facts %v, want ErrLost and one", err, h.facts())
	}
}

// A sight is not put off with others whose slots may have come by then: they are written down as of one instant.
func TestWhatIsSeenAfterTheFirstSlotIsNotPutOff(t *testing.T) {
	var l later
	at := time.Unix(1_800_000_000, 0)
	for _, tt := range []struct {
		after, next time.Duration
		want        bool
	}{{0, time.Minute, true}, {59 * time.Second, time.Hour, true}, {time.Minute, time.Hour, false}} {
		if got := l.put(laterSight{}, at.Add(tt.after), at.Add(tt.next)); got != tt.want {
			t.Errorf("put off after %v: %v, want %v", tt.after, got, tt.want)
		}
	}
	if _, after := l.part(); !after.Equal(at.Add(59*time.Second)) || l.length != 2 {
		t.Errorf("%d count after %v", l.length, after)
	}
}

// With another number of shards, what was put off is put off in each.
func TestWhatIsPutOffWithAnotherNumberOfShards(t *testing.T) {
	url := "sqlite:///" + filepath.Join(t.TempDir(), "entries.db")
	two := storeOf(t, url, Options{Node: "n", Shards: 2})
	if err := two.Join(t.Context()); err != nil {
		t.Fatal(err)
	}
	const since = "2026-11-26T09:00:00Z"
	if _, err := two.db.exec(t.Context(), "meta_insert", "put_off:1/2", since); err != nil {
		t.Fatal(err)
	}
	three := storeOf(t, url, Options{Node: "n", Shards: 3})
	if err := three.Join(t.Context()); err != nil {
		t.Fatal(err)
	}
	all, err := allPutOffs(t.Context(), three.db)
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, one := range all {
		if keys = append(keys, one.key); one.since.Format(time.RFC3339) != since {
			t.Errorf("%s says %v, want %s", one.key, one.since, since)
		}
	}
	if got := strings.Join(slices.Sorted(slices.Values(keys)), " "); got != "put_off:0/3 put_off:1/3 put_off:2/3" {
		t.Errorf("the facts are %s", got)
	}
}
