package e2e

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/onebeat/onebeat/test/harness"
)

// Edits by plain SQL take effect soon, in the entry that they are of alone: no
// slot of another is moved, lost or sent again.
func TestEditsTakeEffect(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		kind    string
		trigger bool // `onebeat migrate` has installed it
		channel bool // the editor says so on the Redis channel
		within  time.Duration
	}{
		{"PostgreSQL with the trigger", postgres, true, false, 100 * time.Millisecond},
		{"PostgreSQL without a trigger", postgres, false, false, 2 * time.Second},
		{"PostgreSQL without a trigger, with the Redis channel", postgres, false, true, 100 * time.Millisecond},
		{"SQLite with the trigger", sqlite, true, false, 100 * time.Millisecond},
		{"SQLite without a trigger", sqlite, false, false, 2 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := newDatabase(t, tt.kind)
			d.makeTable(t, shapeC)
			s := newBareSite(t, d, newBroker(t, redis))
			if tt.trigger {
				s.command(t, "migrate")
			}
			var flags []string
			announce := func() {}
			if tt.channel {
				channel := "edits-" + newID()
				flags = []string{"--redis-url", s.broker.url, "--redis-channel", channel}
				announce = func() {
					publish := s.broker.redis.B().Publish().Channel(channel).Message(`{"action": "update"}`).Build()
					if err := s.broker.redis.Do(t.Context(), publish).Error(); err != nil {
						t.Fatal(err)
					}
				}
			}
			grids := s.herd(t, 10)
			n := s.serve(t, flags...)
			if tt.channel {
				n.await(t, "listening for edits")
			}
			before, idle := time.Now(), idleTime(t)
			edits, late := s.edit(t, n, tt.trigger, announce)
			// Of all processors together, less than a quarter of one was left.
			busy := idleTime(t)-idle < time.Since(before)/4
			last := time.Now().Truncate(time.Second)
			s.awaitSent(t, "herd 0", last, 10*time.Second)
			n.stop(t)

			var others, edited []arrival
			tasks := map[time.Time]string{}
			for _, m := range s.broker.messages(t) {
				a := arrival{entry: m.Entry, slot: slotOf(t, m.Slot), id: m.ID}
				if m.Entry == "edited" {
					edited = append(edited, a)
					tasks[a.slot] = m.Task
				} else {
					others = append(others, a)
				}
			}
			wrong, doubled := faults(grids, window{d.firstStart(t), last}, others)
			report(t, append(wrong, s.unrecorded(t, append(others, edited...))...))
			if len(doubled) > 0 {
				t.Errorf("%d slots of entries that were not edited came again", len(doubled))
			}
			report(t, once(edited))
			report(t, disobeyed(edits, tasks))

			slices.Sort(late)
			t.Logf("edits were seen after %v, on a busy machine: %v", late, busy)
			if best, median := late[0], late[len(late)/2]; best > tt.within || median > tt.within && !busy {
				t.Errorf("edits took effect after %v: want %v or less", late, tt.within)
			}
			if worst := late[len(late)-1]; worst > max(tt.within, 2*time.Second) {
				t.Errorf("an edit took effect after %v, want %v or less", worst, max(tt.within, 2*time.Second))
			}
		})
	}
}

// An edit is a statement, and the task that the entry sends each second after it.
type edit struct {
	statement string
	task      string // none if empty

	committed, seen time.Time
}

// edit makes edits, each a while after the one before, and measures when the
// node saw each. They come shortly before slots, of which some were claimed
// already: the edit wins.
func (s *site) edit(t *testing.T, n *node, atOnce bool, announce func()) (edits []edit, late []time.Duration) {
	t.Helper()
	const where = " WHERE name = 'edited'"
	edits = []edit{
		{statement: "INSERT", task: "first"},
		{statement: "UPDATE celery_beat_schedules SET task_name = 'second'" + where, task: "second"},
		{statement: "UPDATE celery_beat_schedules SET enabled = false" + where},
		{statement: "UPDATE celery_beat_schedules SET enabled = true" + where, task: "second"},
		{statement: "UPDATE celery_beat_schedules SET task_name = 'third', enabled = true" + where, task: "third"},
		{statement: "DELETE FROM celery_beat_schedules" + where},
	}
	for i := range edits {
		early := time.Duration(200+i*130) * time.Millisecond
		if atOnce {
			early = time.Duration(70+i*10) * time.Millisecond
		}
		// A slot that is late may be sent as the next edit says, or not at all: so none is, or the edit waits.
		for range 30 {
			at := time.Now().Truncate(time.Second).Add(2*time.Second - early)
			until(t, at)
			if i == 0 || n.hasSent(t, at.Truncate(time.Second), "herd 0") && (edits[i-1].task == "" || n.hasSent(t, at.Truncate(time.Second), "edited")) {
				break
			}
		}
		known := len(n.find(t, "entries changed"))
		if edits[i].statement == "INSERT" {
			s.database.insert(t, item{"name": "edited", "cron_expression": "@every 1s", "task_name": "first"})
		} else {
			s.database.exec(t, edits[i].statement)
		}
		edits[i].committed = time.Now().UTC()
		announce()
		harness.Eventually(t, 10*time.Second, func() error {
			found := n.find(t, "entries changed")
			if len(found) <= known {
				return fmt.Errorf("the node has not seen: %s", edits[i].statement)
			}
			edits[i].seen = timeOf(t, found[known])
			return nil
		})
		late = append(late, edits[i].seen.Sub(edits[i].committed).Round(time.Millisecond))
	}
	until(t, time.Now().Truncate(time.Second).Add(1500*time.Millisecond))
	return edits, late
}

// hasSent says whether the node has sent the slot of the entry.
func (n *node) hasSent(t *testing.T, slot time.Time, entry string) bool {
	t.Helper()
	text := slot.UTC().Format("2006-01-02T15:04:05.000000Z")
	return slices.ContainsFunc(n.find(t, "task sent"), func(l line) bool { return l["entry"] == entry && l["slot"] == text })
}

// timeOf is when a line was logged.
func timeOf(t *testing.T, l line) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, fmt.Sprint(l["time"]))
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// disobeyed compares the tasks that were sent for the edited entry's slots with
// the edits. A slot between an edit and its being seen may go either way.
func disobeyed(edits []edit, tasks map[time.Time]string) (wrong []string) {
	const settle = 30 * time.Millisecond // from being seen to being in force, on a busy machine
	for i, e := range edits {
		over := e.seen.Add(1500 * time.Millisecond)
		if i+1 < len(edits) {
			over = edits[i+1].committed.Add(-settle)
		}
		for _, slot := range every(time.Second).slots(e.seen.Add(settle), over) {
			if got := tasks[slot]; got != e.task {
				wrong = append(wrong, fmt.Sprintf("after %s at %v, slot %v sent the task %q, want %q", e.statement, e.seen, slot, got, e.task))
			}
		}
	}
	return wrong
}
