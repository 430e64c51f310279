package plan_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onebeat/onebeat/internal/plan"
	"github.com/onebeat/onebeat/internal/schedule"
)

// A table is a catalog: entries as they are now.
type table struct {
	mu     sync.Mutex
	rows   map[schedule.ID]func() *schedule.Entry // each call makes another
	asked  []schedule.ID
	wait   time.Duration // how long an answer takes
	broken bool
}

func newTable() *table { return &table{rows: map[schedule.ID]func() *schedule.Entry{}} }

func (c *table) row(id schedule.ID) func() *schedule.Entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rows[id]
}

// write makes the row of an entry, and returns news of it.
func (c *table) write(t *testing.T, id, spec string, digest uint64) schedule.Change {
	parsed, at := every(t, spec), time.Now()
	make := func() *schedule.Entry {
		return &schedule.Entry{ID: schedule.ID(id), Name: id, Spec: parsed, After: at, Digest: digest}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rows[schedule.ID(id)] = make
	return present(make())
}

// bring supplies the planner with what it wants until the test ends.
func (c *table) bring(t *testing.T, p *plan.Planner) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			ids, err := p.Wanted(ctx)
			if err != nil {
				return
			}
			var entries []*schedule.Entry
			c.mu.Lock()
			c.asked = append(c.asked, ids...)
			for _, id := range ids {
				if row := c.rows[id]; row != nil && !c.broken {
					entries = append(entries, row())
				}
			}
			wait := c.wait
			c.mu.Unlock()
			time.Sleep(wait)
			if p.Supply(ctx, ids, entries) != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
}

// lean are the options of a planner that holds as little as it can.
var lean = plan.Options{Keep: 1, Far: 10 * time.Minute}

// seal takes each slot as a sender does.
func seal(due schedule.Due) { due.Entry.Seal(due.Slot) }

func TestADefinitionIsFetchedBeforeItsSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, rows := running(t, lean), newTable()
		apply(t, p, rows.write(t, "kept", "@every 6h", 1), rows.write(t, "left", "@every 1h", 2), rows.write(t, "soon", "@every 5m", 3))
		rows.bring(t, p)
		pull(t, p, 57*time.Minute, seal)
		if len(rows.asked) != 0 {
			t.Errorf("%v were fetched, though none is due for minutes", rows.asked)
		}
		got := pull(t, p, 4*time.Minute, seal)
		slices.Sort(got) // both are of one instant
		check(t, got, "left 01:00:00", "soon 01:00:00")
		if !slices.Equal(rows.asked, []schedule.ID{"left"}) {
			t.Errorf("%v were fetched, want the one that is due and was left", rows.asked)
		}
		got = pull(t, p, time.Hour, seal)
		if len(rows.asked) != 2 || !slices.Contains(got, "left 02:00:00") {
			t.Errorf("after its slot it was fetched again %d times, and handed over %v", len(rows.asked)-1, got)
		}
	})
}

// left returns news as it comes of an entry whose definition is left in the catalog.
func left(change schedule.Change) schedule.Change {
	change.Entry.Payload = schedule.Left{}
	return change
}

// sketched returns the same as a sketch.
func sketched(change schedule.Change) schedule.Change {
	e := left(change).Entry
	return schedule.Change{Sketches: []schedule.Sketch{e.Sketch(e.ID.KeyOrNone(), e.Spec.Next(e.After))}}
}

func TestAnEntryThatComesWithoutItsDefinitionGetsItInTime(t *testing.T) {
	t.Run("by itself", func(t *testing.T) { testLeftGetsItInTime(t, left) })
	t.Run("as a sketch", func(t *testing.T) { testLeftGetsItInTime(t, sketched) })
}

func testLeftGetsItInTime(t *testing.T, as func(schedule.Change) schedule.Change) {
	synctest.Test(t, func(t *testing.T) {
		p, rows := running(t, plan.Options{Keep: 100}), newTable()
		for _, spec := range []string{"@every 1m", "@every 1h"} {
			apply(t, p, as(rows.write(t, spec[len("@every "):], spec, 1)))
		}
		rows.bring(t, p)
		got := pull(t, p, time.Hour+time.Second, func(due schedule.Due) {
			if due.Entry.Left() {
				t.Errorf("%s is handed over without its definition", due.Entry.ID)
			}
			seal(due)
		})
		if len(got) != 61 || !slices.Contains(got, "1m 00:01:00") || !slices.Contains(got, "1h 01:00:00") {
			t.Errorf("within an hour %d slots were handed over, want 60 of each minute and one of the hour: %v", len(got), got)
		}
		slices.Sort(rows.asked)
		if !slices.Equal(rows.asked, []schedule.ID{"1h", "1m"}) {
			t.Errorf("%v were fetched, want each once", rows.asked)
		}
	})
}

func TestASketchOfAnEntryThatIsKnownIsAnEdit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, rows := running(t, plan.Options{Keep: 100}), newTable()
		rows.bring(t, p)
		apply(t, p, rows.write(t, "held", "@every 1h", 1), sketched(rows.write(t, "left", "@every 1h", 1)), rows.write(t, "off", "@every 1h", 1))
		apply(t, p, schedule.Change{ID: "off", Reason: schedule.ReasonDisabled})
		check(t, pull(t, p, 30*time.Minute, seal))
		for _, id := range []string{"held", "left", "off"} {
			apply(t, p, sketched(rows.write(t, id, "@every 40m", 2)))
		}
		apply(t, p, sketched(rows.write(t, "never", "@at 2000-01-01T00:00:00Z", 2))) // which has passed
		if state, err := p.State(t.Context()); err != nil || state.Entries != 4 || state.Overdue != 0 {
			t.Errorf("the state is %+v, %v, want 4 entries of which none is overdue", state, err)
		}
		got := pull(t, p, 20*time.Minute, seal)
		slices.Sort(got)
		check(t, got, "held 00:40:00", "left 00:40:00", "off 00:40:00")
	})
}

func TestADefinitionThatIsAnotherWaitsForNewsOfIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, rows := running(t, lean), newTable()
		apply(t, p, rows.write(t, "kept", "@every 6h", 1), rows.write(t, "a", "@every 1h", 2))
		rows.bring(t, p)
		news := rows.write(t, "a", "@every 1h", 3)
		check(t, pull(t, p, time.Hour+3*time.Second, seal)) // it is not sent from either
		apply(t, p, news)
		var digest uint64
		got := pull(t, p, time.Minute, func(due schedule.Due) { digest = due.Entry.Digest })
		check(t, got, "a 01:00:00")
		if digest != 3 {
			t.Errorf("handed over from definition %d, want 3", digest)
		}
	})
}

func TestADefinitionThatCannotBeFetchedIsWantedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, rows := running(t, lean), newTable()
		apply(t, p, rows.write(t, "kept", "@every 6h", 1), rows.write(t, "a", "@every 1h", 2))
		rows.broken = true
		rows.bring(t, p)
		check(t, pull(t, p, time.Hour+2*time.Second, seal))
		state, err := p.State(t.Context())
		if err != nil || state.Overdue != 1 || !state.Next.Equal(time.Date(2000, 1, 1, 1, 0, 0, 0, time.UTC)) {
			t.Errorf("State = %+v, %v, want one slot overdue, of one o'clock", state, err)
		}
		rows.mu.Lock()
		rows.broken = false
		rows.mu.Unlock()
		check(t, pull(t, p, 2*time.Second, seal), "a 01:00:00")
	})
}

func TestADefinitionIsHeldWhileItsSlotIsNotSealed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, rows := running(t, lean), newTable()
		apply(t, p, rows.write(t, "kept", "@every 6h", 1), rows.write(t, "a", "@every 1h", 2))
		rows.bring(t, p)
		var waiting schedule.Due
		check(t, pull(t, p, time.Hour+time.Minute, func(due schedule.Due) { waiting = due }), "a 01:00:00")
		apply(t, p, schedule.Change{ID: "a", Reason: schedule.ReasonDisabled})
		if reason := waiting.Entry.Seal(waiting.Slot); reason != schedule.ReasonDisabled {
			t.Errorf("a slot that was on its way when its entry was disabled: %q", reason)
		}
	})
}

// Slots may be on their way for long, as when the broker is away.
func TestADefinitionIsHeldUntilTheLastOfItsSlotsIsSealed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, rows := running(t, plan.Options{Keep: 1, Far: time.Minute}), newTable()
		apply(t, p, rows.write(t, "kept", "@every 6h", 1), rows.write(t, "a", "@every 10m", 2))
		rows.bring(t, p)
		var waiting []schedule.Due
		got := pull(t, p, 20*time.Minute+30*time.Second, func(due schedule.Due) { waiting = append(waiting, due) })
		check(t, got, "a 00:10:00", "a 00:20:00")
		waiting[0].Entry.Seal(waiting[0].Slot)
		pull(t, p, 3*time.Second, seal) // the planner has a look
		apply(t, p, rows.write(t, "a", "@every 30m", 3))
		if reason := waiting[1].Entry.Seal(waiting[1].Slot); reason != schedule.ReasonEdited {
			t.Errorf("a slot that was on its way at an edit: %q, want %q", reason, schedule.ReasonEdited)
		}
	})
}

func TestARunOnRequestOfADefinitionThatIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, rows := running(t, lean), newTable()
		apply(t, p, rows.write(t, "kept", "@every 6h", 1), rows.write(t, "a", "@every 3h", 2), rows.write(t, "b", "@every 3h", 3), rows.write(t, "c", "@every 3h", 4))
		rows.wait = time.Second
		rows.bring(t, p)
		for _, id := range []schedule.ID{"a", "b", "c"} {
			due := schedule.Due{Entry: &schedule.Entry{ID: id}, Slot: time.Now(), Request: "r", Reason: schedule.ReasonRemoved} // if it were not there
			if err := p.Submit(t.Context(), due); err != nil {
				t.Fatal(err)
			}
		}
		apply(t, p, schedule.Change{ID: "b", Reason: schedule.ReasonRemoved}, schedule.Change{ID: "c", Reason: schedule.ReasonDisabled})
		dues := map[schedule.ID]schedule.Due{}
		pull(t, p, 30*time.Minute, func(due schedule.Due) { dues[due.Entry.ID] = due })
		if a := dues["a"]; a.State != "" || a.Reason != "" || a.Entry.Digest != 2 {
			t.Errorf("the run that was asked for is %+v", a)
		}
		for id, reason := range map[schedule.ID]string{"b": schedule.ReasonRemoved, "c": schedule.ReasonDisabled} {
			if due := dues[id]; due.State != schedule.Skipped || due.Reason != reason {
				t.Errorf("the run of an entry that has gone meanwhile is %+v, want it skipped: %s", due, reason)
			}
		}
		apply(t, p, rows.write(t, "a", "@every 3h", 5))
		if ended := dues["a"].Entry.Ended(); ended == "" {
			t.Error("an edit did not end the definition that a run on request was on its way with")
		}
		check(t, pull(t, p, 3*time.Hour, seal), "a 03:00:00")
	})
}

// Whatever is edited and when, slots are handed over that would be if all definitions
// were held, each from the same definition.
func TestLeavingDefinitionsChangesNoSlot(t *testing.T) {
	for seed := range uint64(60) {
		whole, left := history(t, seed, plan.Options{}), history(t, seed, plan.Options{Keep: 1, Far: time.Minute})
		if !slices.Equal(whole, left) {
			t.Fatalf("seed %d: with definitions left in the catalog\n%v\nare handed over, else\n%v", seed, left, whole)
		}
	}
}

// history runs a planner through edits by a seed and returns what was sent.
func history(t *testing.T, seed uint64, opts plan.Options) (sent []string) {
	synctest.Test(t, func(t *testing.T) {
		chance := rand.New(rand.NewPCG(seed, 0))
		p, rows := running(t, opts), newTable()
		rows.wait = time.Duration(chance.IntN(1000)) * time.Millisecond
		rows.bring(t, p)
		ids, specs := []string{"a", "b", "an id that has no key, as it is too long"}, []string{"@every 4m", "@every 6m", "@every 40s", "@every 12m from 2000-01-01T00:03:00Z"}
		digest := uint64(0)
		for range 40 {
			id := ids[chance.IntN(len(ids))]
			change := schedule.Change{ID: schedule.ID(id), Reason: []string{schedule.ReasonDisabled, schedule.ReasonRemoved}[chance.IntN(2)]}
			if chance.IntN(4) > 0 {
				digest++
				change = rows.write(t, id, specs[chance.IntN(len(specs))], digest)
			}
			apply(t, p, change)
			if row := rows.row(schedule.ID(ids[0])); row != nil && chance.IntN(8) == 0 {
				apply(t, p, present(row())) // news of nothing new
			}
			pull(t, p, time.Duration(1+chance.IntN(540))*time.Second+3*time.Millisecond, func(due schedule.Due) {
				if due.State == "" && due.Entry.Seal(due.Slot) == "" {
					sent = append(sent, fmt.Sprint(due.Slot.Format("02 15:04:05 "), due.Entry.ID, due.Entry.Digest))
				}
			})
		}
		slices.Sort(sent)
	})
	return sent
}
