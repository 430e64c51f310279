// Package simulate runs several nodes at once, each with its planner, dispatcher,
// lease and recovery, in a bubble of simulated time, on a simulated database and
// broker. By a seed, calls are lost, delayed and repeated, nodes are killed,
// stopped, frozen and cut off, clocks are slow, people edit entries and ask for
// runs, and the broker forgets. Afterwards every slot that an entry should have had
// is matched with the ledger and with what arrived.
//
// A seed repeats its history but for things that happen at the very same instant.
package simulate

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/onebeat/onebeat/internal/schedule"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rules are the worlds that seeds are tried in, in turn.
var rules = []rule{{}, {steps: 3}, {}, {forgets: true}, {joint: true}, {pauses: true}, {edits: true}, {edits: true, steps: 3}, {edits: true, joint: true}}

// Each slot comes to one end, whatever goes wrong.
func TestEachSlotOnce(t *testing.T) {
	seeds := 1000
	if testing.Short() {
		seeds = 200
	}
	if text := os.Getenv("ONEBEAT_SEEDS"); text != "" {
		var err error
		if seeds, err = strconv.Atoi(text); err != nil {
			t.Fatalf("ONEBEAT_SEEDS=%s is not a number", text)
		}
	}
	const parts = 4
	for part := range parts {
		t.Run(fmt.Sprint("part ", part), func(t *testing.T) {
			t.Parallel()
			for seed := part; seed < seeds && !t.Failed(); seed += parts { // one history is enough to read
				try(t, uint64(seed), rules[seed/parts%len(rules)])
			}
		})
	}
}

// kept are seeds that failed once, and what was wrong. A seed that fails in
// TestEachSlotOnce becomes one by a line here. They say less once the simulation
// has changed, so that what they found has a test of its own beside the code.
var kept = []struct {
	seed uint64
	rule rule
	why  string
}{
	{0, rule{}, "a second edit before a slot planned all since the first again"},
	{2, rule{}, "an entry that was off for a moment got a slot twice"},
	{4, rule{steps: 3}, "a slot that two definitions had claimed had two ends after a crash"},
	{24, rule{}, "a slot that was withdrawn, and not claimed again before a crash, had no end"},
	{36, rule{steps: 3}, "what a recovery had skipped was taken for sent by the next"},
	{52, rule{steps: 3}, "a node that lost its lease waited for ever, and kept the queue"},
	{400, rule{}, "an edit withdrew a slot from before those that were missed, for good"},
	{984, rule{}, "a slot that was withdrawn was lost when a later one was recovered"},
	{25, rule{}, "an entry that was off for a moment began late with its new spec"},
	{17631, rule{forgets: true}, "what it had sent then was planned again by the next node"},
	{528, rule{}, "a slot that had ended as edited was sent by a later edit"},
	{13, rule{forgets: true}, "a slot that was withdrawn had no end when the node was lost and the entry edited again"},
	{4581, rule{steps: 3}, "what claimed a slot anew was recorded before what it was withdrawn from"},
	{18125, rule{forgets: true}, "a slot that a new spec owed was passed over where the former had a later one on record"},
	{1353, rule{}, "a spec that was another meanwhile went on as if it had not been"},
	{3487, rule{forgets: true}, "a slot that a recovery withdrew had no end when the next node was lost"},
	{3020, rule{}, "slots of an edit that another node had sent were sent again by the next, which had not seen it"},
	{2599, rule{joint: true}, "so was one that went with its record"},
	{550, rule{pauses: true}, "a slot that was sent in a recovery was skipped too by a pause that came in the midst of it"},
	{1551, rule{forgets: true}, "a part that arrived late was read when its messages had been written over"},
}

func TestSeedsThatFailedOnce(t *testing.T) {
	for _, k := range kept {
		t.Run(k.why, func(t *testing.T) { try(t, k.seed, k.rule) })
	}
}

func try(t *testing.T, seed uint64, rule rule) {
	t.Helper()
	wrong, history := simulate(t, seed, rule)
	if len(wrong) == 0 {
		return
	}
	t.Errorf("seed %d, %+v:\n%s\nThe history of these slots, and all that went wrong:\n\n%s\nTo keep it as a test, add to kept: {%d, rule{steps: %d, joint: %v, forgets: %v, pauses: %v, edits: %v}, \"why\"}",
		seed, rule, strings.Join(wrong, "\n"), history, seed, rule.steps, rule.joint, rule.forgets, rule.pauses, rule.edits)
}

// What keeps slots single is needed: without it, a few seeds find a fault.
func TestTheSeedsFindWhatIsLeftOut(t *testing.T) {
	for _, without := range []string{"fence", "mark at publish", "term at claim", "term and journal at record", "journal"} {
		found(t, rule{without: without}, 2000)
	}
	for _, without := range []string{"exclusive queue", "mark at publish"} {
		found(t, rule{without: without, steps: 3}, 2000)
	}
	for _, without := range []string{"again", "how far", "term at claim", "journal"} {
		found(t, rule{without: without, joint: true}, 2000)
	}
}

func found(t *testing.T, rule rule, within int) {
	t.Helper()
	for seed := range within {
		if wrong, _ := simulate(t, uint64(seed), rule); len(wrong) > 0 {
			t.Logf("%+v: found by seed %d: %s", rule, seed, wrong[0])
			return
		}
	}
	t.Errorf("%+v: no fault was found by %d seeds", rule, within)
}

// simulate runs one world and returns what was wrong at its end.
func simulate(t *testing.T, seed uint64, rule rule) (wrong []string, history string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, seed, rule)
		through := w.run()
		var named map[string]bool
		if wrong, named = w.check(through); len(wrong) > 0 {
			history = w.history(named)
		}
	})
	return wrong, history
}

// run lets things go wrong for a while and then lets all slots come to an end. It
// returns the last slot that must have come to it.
func (w *world) run() (through time.Time) {
	nodes := map[int]*node{}
	born := 0
	start := func(i int) {
		born++
		nodes[i] = w.start(fmt.Sprint("node", born))
	}
	var all []*node
	for i := range 3 {
		start(i)
		all = append(all, nodes[i])
	}
	w.late.Go(w.people)
	if w.rule.pauses {
		w.late.Go(w.pauses)
	}
	if w.rule.edits {
		w.late.Go(w.edits)
	}
	for range 4 + w.chance.IntN(8) {
		time.Sleep(time.Duration(w.chance.Int64N(int64(6 * time.Second))))
		i := w.chance.IntN(3)
		n := nodes[i]
		if w.chance.IntN(2) == 0 {
			n = w.leader(nodes) // where it hurts
		}
		for j := range nodes {
			if nodes[j] == n {
				i = j
			}
		}
		length := time.Duration(w.chance.Int64N(int64(12 * time.Second)))
		switch w.chance.IntN(7) {
		case 0, 1:
			n.die()
			start(i)
			all = append(all, nodes[i])
		case 2:
			n.freeze(length)
		case 3:
			w.note(n.name, "is stopped", nil)
			n.stop()
			start(i)
			all = append(all, nodes[i])
		case 4:
			n.part(length, n.session.link)
		case 5:
			n.part(length, n.wire.link)
		case 6:
			n.part(length, n.session.link, n.wire.link)
		}
		if w.rule.forgets {
			switch w.chance.IntN(4) {
			case 0:
				w.broker.keep()
			case 1:
				w.broker.forget()
			}
		}
	}
	time.Sleep(12 * time.Second) // the frozen wake up
	close(w.calm)
	w.note("world", "all is well from now on", nil)
	time.Sleep(15 * time.Second)
	through = time.Now().Add(-3 * time.Second)
	for _, n := range all {
		n.stop()
	}
	for _, n := range all {
		select {
		case <-n.stopped:
		case <-time.After(time.Minute):
			w.t.Fatalf("seed %d: %s does not stop:\n%s", w.seed, n.name, w.history(nil))
		}
		n.kill()
	}
	w.late.Wait()
	return through
}

// people edit entries, some of them twice within a moment, until all is well.
func (w *world) people() {
	chance := rand.New(rand.NewPCG(w.seed, 2))
	respecify := func() { w.respecify(chance) }
	for !w.isCalm() {
		time.Sleep(time.Duration(chance.Int64N(int64(3 * time.Second))))
		again := time.Duration(chance.Int64N(int64(600 * time.Millisecond)))
		switch chance.IntN(10) {
		case 8, 9: // while a slot is on its way
			time.Sleep(time.Second - time.Since(w.began)%time.Second - time.Duration(chance.Int64N(int64(400*time.Millisecond))))
			for range 2 + chance.IntN(2) {
				respecify()
				time.Sleep(again / 4)
			}
		case 6, 7:
			respecify()
		case 5:
			respecify()
			time.Sleep(3 * again)
			respecify()
		case 4:
			w.db.ask([]schedule.ID{"all1", "edited", "paused"}[chance.IntN(3)])
		case 3:
			w.db.edit("once", func(e *entry) { e.digest++ })
		case 0:
			w.db.edit("edited", func(e *entry) { e.digest++ })
		case 1:
			w.db.edit("edited", func(e *entry) { e.name++ })
		case 2:
			w.db.edit("paused", func(e *entry) { e.off, e.gone = true, again%2 == 0 })
			time.Sleep(again)
			w.db.edit("paused", func(e *entry) { e.off = false })
		}
	}
}

func (w *world) respecify(chance *rand.Rand) {
	spec, off := every[chance.IntN(len(every))], chance.IntN(3) == 0
	w.db.edit("respecified", func(e *entry) { e.spec, e.off, e.gone, e.digest = spec, off, false, e.digest+1 })
}

// edits edits entries while a node recovers what was claimed of them, which may wait for its slots, or goes on from there.
func (w *world) edits() {
	chance := rand.New(rand.NewPCG(w.seed, 4))
	for {
		select {
		case <-w.nextTake():
		case <-w.calm:
			return
		}
		lead := []time.Duration{50 * time.Millisecond, 750 * time.Millisecond, 5 * time.Second}[chance.IntN(3)]
		for range 1 + chance.IntN(3) {
			time.Sleep(time.Duration(chance.Int64N(int64(lead))))
			switch chance.IntN(3) {
			case 0:
				w.respecify(chance)
			case 1:
				w.db.edit("edited", func(e *entry) { e.digest++ })
			case 2:
				w.db.edit("paused", func(e *entry) { e.off, e.gone = !e.off, chance.IntN(2) == 0 })
			}
		}
	}
}

// pauses pauses an entry for a moment, while a node recovers what was left of it or goes on from there.
func (w *world) pauses() {
	chance := rand.New(rand.NewPCG(w.seed, 3))
	for {
		select {
		case <-w.nextTake():
		case <-w.calm:
			return
		}
		time.Sleep(time.Duration(chance.Int64N(int64(60 * time.Millisecond))))
		w.db.edit("held", func(e *entry) { e.held = true })
		time.Sleep(time.Duration(chance.Int64N(int64(200 * time.Millisecond))))
		w.db.edit("held", func(e *entry) { e.held, e.until = false, time.Now() })
	}
}

// leader is the node that holds the lease, or any.
func (w *world) leader(nodes map[int]*node) *node {
	_ = w.db.lock(w.t.Context())
	defer w.db.unlock()
	for _, n := range nodes {
		if n.name == w.db.owner {
			return n
		}
	}
	return nodes[0]
}

// check matches the slots that were to be with the ledger and with what arrived.
// It returns what is wrong and the names of the slots that it is wrong with.
func (w *world) check(through time.Time) (wrong []string, named map[string]bool) {
	named = map[string]bool{}
	fault := func(name, format string, args ...any) {
		named[name] = true
		wrong = append(wrong, name+" "+fmt.Sprintf(format, args...))
	}
	ends, arrived := w.ends(), map[string]int{}
	for _, a := range w.broker.got {
		if arrived[a.id]++; a.at.Before(a.slot) {
			fault(a.name, "arrived %v before its time", a.slot.Sub(a.at))
		}
		if a.name == "" {
			fault(a.name, "arrived with the id %s, which is no slot's", a.id)
		}
	}
	known := 0
	w.obeyed(fault)
	for _, e := range w.db.entries {
		for slot := e.grid.Next(e.first); !slot.After(time.Now()); slot = e.grid.Next(slot) {
			name, id := w.name(e.id, slot, ""), taskID(e.id, slot, "")
			known += len(ends[name])
			owed := e.id != "paused" && !slot.After(through)
			if e.id == "respecified" {
				owed = owed && e.has(slot) && e.seen == e.sight() && slot.After(e.after)
			}
			if slices.Contains(w.db.claimed, id) && len(ends[name]) == 0 {
				fault(name, "was claimed and has no end")
			}
			w.match(name, id, ends[name], arrived[id], owed, e.id[:3] == "all", fault)
		}
		if e.id == "respecified" {
			w.whole(e, arrived, ends, fault)
		}
	}
	for _, r := range w.db.asked {
		id := taskID(r.entry, r.at, r.id)
		known += len(ends[r.name()])
		w.match(r.name(), id, ends[r.name()], arrived[id], r.at.Before(through), false, fault)
	}
	total := 0
	for _, runs := range ends {
		total += len(runs)
	}
	if total != known {
		wrong = append(wrong, fmt.Sprintf("%d ends are of no slot", total-known))
	}
	if len(w.db.journal) > 0 {
		wrong = append(wrong, fmt.Sprintf("%d batches are left in the journal", len(w.db.journal)))
	}
	return wrong, named
}

// obeyed finds what was sent from a definition though its sender had been told before the slot, under that term, that it is no more: the edit wins.
func (w *world) obeyed(fault func(name, format string, args ...any)) {
	entries := map[schedule.ID]*entry{}
	for _, e := range w.db.entries {
		entries[e.id] = e
	}
	told := map[int64][]telling{}
	for _, t := range w.told {
		told[t.term] = append(told[t.term], t)
	}
	for _, a := range w.broker.got {
		if w.broker.unsure[a.id] { // what is sent again is of the entry as it is then
			continue
		}
		for _, t := range told[a.term] {
			e := entries[t.entry]
			if !t.at.Before(a.slot) || a.id != taskID(t.entry, a.slot, "") {
				continue
			}
			if !t.off && a.from >= 0 && a.from < t.digest { // what goes at most once has one template of all definitions
				fault(a.name, "came of definition %d, though who sent it was told of %d %v before it", a.from, t.digest, a.slot.Sub(t.at))
			}
			i := 0
			for i < len(e.edits) && e.edits[i].at.Before(a.slot) {
				i++
			}
			// A recovery may get to it only when it is back: then it is as it was when the slot was claimed.
			back := !t.begun && slices.ContainsFunc(told[a.term], func(later telling) bool {
				return later.entry == t.entry && !later.off && later.at.After(t.at) && later.at.Before(a.at)
			})
			if t.off && !back && (i == 0 || e.edits[i-1].off && e.edits[i-1].at.Before(t.at)) {
				fault(a.name, "came, though who sent it was told %v before it that there is none", a.slot.Sub(t.at))
			}
		}
	}
}

// whole finds slots that are missing between the first and the last that came of one
// definition of the entry, and such as no definition gives that they came of. When
// an edit is seen is not known to the moment.
func (w *world) whole(e *entry, arrived map[string]int, ends map[string][]schedule.Run, fault func(name, format string, args ...any)) {
	first, last := map[int]time.Time{}, map[int]time.Time{}
	for _, a := range w.broker.got {
		if a.id != taskID(e.id, a.slot, "") || w.broker.unsure[a.id] { // what is sent again is of the entry as it is then
			continue
		}
		if a.from >= len(e.specs) || e.specs[a.from] == nil || !e.specs[a.from].Next(a.slot.Add(-time.Microsecond)).Equal(a.slot) {
			fault(a.name, "came of definition %d, which does not give it", a.from)
			continue
		}
		if at, ok := first[a.from]; !ok || a.slot.Before(at) {
			first[a.from] = a.slot
		}
		last[a.from] = schedule.Later(last[a.from], a.slot)
	}
	for from, slot := range first {
		for ; !slot.After(last[from]); slot = e.specs[from].Next(slot) {
			id, name := taskID(e.id, slot, ""), w.name(e.id, slot, "")
			// One that was on its way when the entry went for a moment has ended for that, and so has one that a recovery
			// waited for when it was edited.
			off := slices.ContainsFunc(ends[name], func(run schedule.Run) bool {
				return run.Reason == schedule.ReasonDisabled || run.Reason == schedule.ReasonEdited && run.Recovered
			})
			if arrived[id] == 0 && !w.broker.unsure[id] && !off {
				fault(name, "is missing between others of definition %d", from)
			}
		}
	}
}

// match holds one slot's ends beside what arrived of it.
func (w *world) match(name, id string, runs []schedule.Run, got int, owed, sent bool, fault func(name, format string, args ...any)) {
	unsure := w.broker.unsure[id]
	switch {
	case len(runs) > 1:
		fault(name, "ended %d times: %s", len(runs), states(runs))
	case got > 1 && !unsure:
		fault(name, "arrived %d times", got)
	case len(runs) == 0 && got > 0:
		fault(name, "arrived and has no end")
	case len(runs) == 0 && owed:
		fault(name, "has no end")
	case len(runs) == 0:
	case runs[0].State == schedule.Sent && got == 0 && !unsure:
		fault(name, "is recorded as sent and did not arrive")
	case runs[0].State == schedule.Sent && runs[0].TaskID != id:
		fault(name, "is recorded with the id %s, want %s", runs[0].TaskID, id)
	case runs[0].State != schedule.Sent && got > 0 && !unsure:
		fault(name, "is recorded as %s and arrived", states(runs))
	case runs[0].State != schedule.Sent && sent:
		fault(name, "is recorded as %s, want sent", states(runs))
	}
}

// ends are the runs of each slot by its name, ranges taken apart.
func (w *world) ends() map[string][]schedule.Run {
	ends := map[string][]schedule.Run{}
	for _, run := range w.db.runs {
		if run.Request != "" {
			name := w.name(run.Entry, run.Slot, run.Request)
			ends[name] = append(ends[name], run)
			continue
		}
		i := slices.IndexFunc(w.db.entries, func(e *entry) bool { return e.id == run.Entry })
		spec := w.db.entries[i].grid
		for slot := run.Slot; !slot.IsZero() && !slot.After(run.Last()); slot = spec.Next(slot) {
			name := w.name(run.Entry, slot, "")
			ends[name] = append(ends[name], run)
		}
	}
	return ends
}

func states(runs []schedule.Run) string {
	all := map[string]bool{}
	for _, run := range runs {
		all[strings.TrimSpace(string(run.State)+" "+run.Reason)+" by "+run.Node] = true
	}
	return strings.Join(slices.Sorted(maps.Keys(all)), ", ")
}
