package dispatch_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/onebeat/onebeat/internal/celery"
	"github.com/onebeat/onebeat/internal/dispatch"
	"github.com/onebeat/onebeat/internal/plan"
	"github.com/onebeat/onebeat/internal/schedule"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const installation = "test"

// A world is a database and a broker that outlive the nodes.
type world struct {
	t       *testing.T
	ledger  *ledger
	broker  *broker
	entries map[schedule.ID]func(after time.Time) *schedule.Entry
	off     map[schedule.ID]string // why those that have none have none; not known for others
	limits  map[schedule.ID]schedule.Limit
	resend  bool
	joint   *joint            // nil: none
	metrics *dispatch.Metrics // of the process, over its terms; nil for each its own
	log     *slog.Logger      // nil for none
}

func newWorld(t *testing.T, seed uint64, rate float64) *world {
	return &world{t: t, ledger: &ledger{faults: newFaults(seed, rate), last: map[schedule.ID]time.Time{}}, broker: &broker{faults: newFaults(seed, rate)}, entries: map[schedule.ID]func(time.Time) *schedule.Entry{}}
}

// node runs one term of one node: until ctx ends (a clean stop) or hold does (a
// crash, or a lost lease). Each calls with what the node plans with.
func (w *world) node(ctx, hold context.Context, each func(*plan.Planner)) error {
	term, seq, journal := w.ledger.takeOver()
	planner := plan.New(plan.Options{})
	limits := &dispatch.Limits{}
	d := dispatch.New(planner, w.ledger, w.broker, dispatch.Options{
		Installation: installation, Node: "n", SentSince: w.ledger.sentSince, Resend: w.resend, Limits: limits, Metrics: w.metrics, Joint: w.together(), Logger: w.log,
	})
	entries := map[schedule.ID]*schedule.Entry{}
	w.ledger.mu.Lock()
	for id, make := range w.entries {
		limit := w.limits[id]
		for i := range w.ledger.runs {
			if run := &w.ledger.runs[i]; run.Entry == id && run.State == schedule.Sent {
				limit.Sent++
			}
		}
		if limit.Over() {
			continue
		}
		entries[id] = make(w.ledger.last[id])
		limits.Learn([]schedule.Change{{ID: id, Entry: entries[id], Limit: limit}})
	}
	w.ledger.mu.Unlock()
	claims := dispatch.ClaimsOf(journal)
	seq, err := d.Recover(hold, term, seq, claims, func(id schedule.ID) schedule.Change {
		change := schedule.Change{ID: id, Entry: entries[id]}
		if w.off[id] != "" {
			change.Name, change.Reason = "name of "+string(id), w.off[id]
		}
		return change
	})
	if err != nil {
		return err
	}
	planning, stop := context.WithCancel(hold)
	done := make(chan error, 1)
	go func() { done <- planner.Run(planning) }()
	defer func() { stop(); <-done }()
	var changes []schedule.Change
	var owed []schedule.Due
	for id, e := range entries {
		var before []time.Time
		e.After, before = claims.Settled(e)
		for _, slot := range before {
			owed = append(owed, schedule.Due{Entry: e, Slot: slot})
		}
		changes = append(changes, schedule.Change{ID: id, Entry: e})
	}
	if err := planner.Apply(hold, changes); err != nil {
		return err
	}
	for _, due := range owed {
		if err := planner.Submit(hold, due); err != nil {
			return err
		}
	}
	if each != nil {
		each(planner)
	}
	return d.Run(ctx, hold, term, seq)
}

// together is the joint, if there is one.
func (w *world) together() dispatch.Joint {
	if w.joint == nil {
		return nil
	}
	return w.joint
}

// add makes an entry known; it is planned from its last ended slot on.
func (w *world) add(id, spec string, policy schedule.Policy) {
	first := time.Now()
	w.entries[schedule.ID(id)] = func(after time.Time) *schedule.Entry {
		if after.Before(first) {
			after = first
		}
		e := entry(w.t, id, spec, after)
		e.Misfire = schedule.Misfire{Policy: policy, Grace: time.Hour}
		return e
	}
}

// verify checks the promises for slots in (from, through]: each slot of each
// entry ended once, and what was sent is at the broker once, not early.
func (w *world) verify(from, through time.Time) {
	w.t.Helper()
	ends := map[string]string{}
	for _, run := range w.ledger.runs {
		key := fmt.Sprint(run.Entry, " ", run.Slot.Format(time.RFC3339Nano))
		if was := ends[key]; was != "" {
			w.t.Errorf("slot %s ended twice: %s and %s", key, was, run.State)
		}
		ends[key] = string(run.State)
	}
	arrived := map[string]int{}
	for _, m := range w.broker.got {
		arrived[m.id]++
		if m.at.Before(m.slot) {
			w.t.Errorf("slot %v went out at %v", m.slot, m.at)
		}
	}
	for id, make := range w.entries {
		spec := make(from).Spec
		for slot := spec.Next(from); !slot.After(through); slot = spec.Next(slot) {
			key := fmt.Sprint(id, " ", slot.Format(time.RFC3339Nano))
			task := celery.TaskID(installation, string(id), slot)
			if ends[key] != string(schedule.Sent) {
				w.t.Errorf("slot %s ended as %q, want sent", key, ends[key])
			}
			if arrived[task] != 1 {
				w.t.Errorf("slot %s is at the broker %d times, want once", key, arrived[task])
			}
		}
	}
}

func TestNothingLeavesBeforeItsSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 0)
		w.add("e", "@every 10s", schedule.Once)
		from := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute+time.Second)
		defer cancel()
		if err := w.node(ctx, context.Background(), nil); err != nil {
			t.Fatal(err)
		}
		w.verify(from, from.Add(time.Minute))
		for _, m := range w.broker.got {
			if late := m.at.Sub(m.slot); late > 5*time.Millisecond {
				t.Errorf("slot %v went out %v late", m.slot, late)
			}
		}
	})
}

func TestABrokerThatIsAwayDelaysAndDoesNotLose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 0)
		for i := range 50 {
			w.add(fmt.Sprint("e", i), "* * * * *", schedule.Once)
		}
		from := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- w.node(ctx, context.Background(), nil) }()
		time.Sleep(45 * time.Second)
		w.broker.set(1)
		time.Sleep(30 * time.Second)
		back := time.Now()
		w.broker.set(0)
		time.Sleep(10 * time.Second)
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		w.verify(from, from.Add(time.Minute))
		for _, m := range w.broker.got {
			if late := m.at.Sub(back); late > 2*time.Second {
				t.Errorf("slot %v went out %v after the broker was back", m.slot, late)
			}
		}
	})
}

func TestAnEditInTheLeadIsNotSentFromOldData(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 0)
		w.add("e", "@every 10s", schedule.Once)
		w.add("d", "@every 10s", schedule.Once)
		from := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 11*time.Second)
		defer cancel()
		err := w.node(ctx, context.Background(), func(p *plan.Planner) {
			time.AfterFunc(10*time.Second-50*time.Millisecond, func() {
				edited := w.entries["e"](from)
				edited.Digest = 2
				withTask(t, edited, `{"queue": "other"}`)
				_ = p.Apply(t.Context(), []schedule.Change{{ID: "e", Entry: edited}, {ID: "d", Reason: schedule.ReasonDisabled}})
			})
		})
		if err != nil {
			t.Fatal(err)
		}
		got := map[schedule.ID]schedule.Run{}
		for _, run := range w.ledger.runs {
			if was, ok := got[run.Entry]; ok {
				t.Errorf("%s ended twice: %+v and %+v", run.Entry, was, run)
			}
			got[run.Entry] = run
		}
		if run := got["e"]; run.State != schedule.Sent || run.Queue != "other" {
			t.Errorf("the edited entry's slot: %+v, want it sent to the new queue", run)
		}
		if run := got["d"]; run.State != schedule.Skipped || run.Reason != schedule.ReasonDisabled {
			t.Errorf("the disabled entry's slot: %+v, want it skipped", run)
		}
	})
}

// A run that was asked for and claimed before an edit ends too: no slot of the new
// definition stands for it.
func TestARequestBeforeAnEditEndsAsEdited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 0)
		w.add("e", "@every 1h", schedule.Once)
		from := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := w.node(ctx, context.Background(), func(p *plan.Planner) {
			due := schedule.Due{Entry: &schedule.Entry{ID: "e"}, Slot: from.Add(100 * time.Millisecond), Request: "r"}
			if err := p.Submit(ctx, due); err != nil {
				t.Error(err)
			}
			time.AfterFunc(50*time.Millisecond, func() {
				edited := w.entries["e"](from)
				edited.Digest = 2
				_ = p.Apply(ctx, []schedule.Change{{ID: "e", Entry: edited}})
			})
		})
		if err != nil {
			t.Fatal(err)
		}
		if runs := w.ledger.runs; len(runs) != 1 || runs[0].Request != "r" || runs[0].State != schedule.Skipped || runs[0].Reason != schedule.ReasonEdited {
			t.Errorf("runs = %+v, want the request skipped as edited", runs)
		}
	})
}

// What was settled without a message is not taken for sent by a recovery.
func TestRecoveryKnowsWhatWasWithheld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 0)
		w.broker.missing = map[string]bool{"gone": true}
		past := time.Now()
		w.ledger.term, w.ledger.seq = 1, 1
		claimed := schedule.Claimed{Term: 1, Seq: 1}
		for _, id := range []string{"sent", "edited", "failed", "left", "changed", "removed", "disabled", "doubted"} {
			claimed.Dues = append(claimed.Dues, schedule.ClaimedDue{Entry: schedule.ID(id), Slot: past, Digest: 1})
			if id != "removed" && id != "disabled" {
				w.add(id, "@every 1h", schedule.Once)
			}
		}
		w.off = map[schedule.ID]string{"disabled": schedule.ReasonDisabled}
		once := w.entries["doubted"]
		w.entries["doubted"] = func(after time.Time) *schedule.Entry {
			return withTask(t, once(after), `{"delivery": "at_most_once"}`)
		}
		was := w.entries["changed"]
		w.entries["changed"] = func(after time.Time) *schedule.Entry {
			e := was(after)
			e.Digest = 2
			return e
		}
		w.ledger.journal = []schedule.Claimed{claimed}
		w.broker.mark = celery.Mark{Term: 1, Seq: 1, Done: 3, Note: `[{"seq":1,"i":1,"why":"edited"},{"seq":1,"i":2,"why":"failed: no such queue"},{"seq":1,"i":7,"why":"unsure: ` + schedule.ReasonUnsure + `"}]`}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := w.node(ctx, context.Background(), nil); err != nil {
			t.Fatal(err)
		}
		got := map[schedule.ID]string{}
		for _, run := range w.ledger.runs {
			got[run.Entry] = string(run.State) + " " + run.Reason
			if want := "name of disabled"; run.Entry == "disabled" && run.Name != want {
				t.Errorf("the run of what is disabled now has the name %q, want %q", run.Name, want)
			}
			if run.Entry == "removed" && run.Name != "removed" {
				t.Errorf("the run of what is removed now has the name %q, want its id", run.Name)
			}
		}
		want := map[schedule.ID]string{
			"sent": "sent ", "edited": "skipped edited", "failed": "failed no such queue",
			"left": "sent ", "changed": "skipped edited", "removed": "skipped removed", "disabled": "skipped disabled", "doubted": "unsure " + schedule.ReasonUnsure,
		}
		for id, end := range want {
			if got[id] != end {
				t.Errorf("%s ended as %q, want %q", id, got[id], end)
			}
		}
		if len(w.broker.got) != 1 || len(w.ledger.journal) != 0 {
			t.Errorf("%d messages and %d open batches, want 1 and 0", len(w.broker.got), len(w.ledger.journal))
		}
	})
}

// Nor by the recovery of a recovery, which died before it had recorded what it
// had found and what it had decided itself.
func TestASecondRecoveryKnowsWhatTheFirstKnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 0)
		past := time.Now()
		time.Sleep(2*time.Hour + 30*time.Minute)
		claimed := schedule.Claimed{Term: 1, Seq: 1}
		for _, id := range []string{"edited", "coalesced", "removed", "sent"} {
			claimed.Dues = append(claimed.Dues, schedule.ClaimedDue{Entry: schedule.ID(id), Slot: past, Digest: 1})
		}
		w.add("edited", "@every 24h", schedule.Once)
		w.add("sent", "@every 24h", schedule.Once)
		w.add("coalesced", "@every 1h", schedule.Once)
		w.ledger.term, w.ledger.seq, w.ledger.journal = 1, 1, []schedule.Claimed{claimed}
		w.broker.mark = celery.Mark{Term: 1, Seq: 1, Done: 1, Note: `[{"seq":1,"i":0,"why":"edited"}]`}
		for _, full := range []bool{true, false} {
			w.ledger.full = full
			hold, cancel := context.WithTimeout(t.Context(), time.Second)
			_ = w.node(hold, hold, nil)
			cancel()
		}
		got := map[schedule.ID]string{}
		for _, run := range w.ledger.runs {
			if run.Slot.Equal(past) {
				got[run.Entry] = string(run.State) + " " + run.Reason
			}
		}
		want := map[schedule.ID]string{"edited": "skipped edited", "coalesced": "coalesced misfire", "removed": "skipped removed", "sent": "sent "}
		if !maps.Equal(got, want) {
			t.Errorf("ended as %v, want %v", got, want)
		}
	})
}

// An edit between a claim and its slot leaves a journal in which the old claim
// and the new one's speak of the same slot, or in which a slot is missing that the
// new definition had not claimed yet. Each has one end.
func TestRecoveryAfterAnEditEndsEachSlotOnce(t *testing.T) {
	second := func(n int) time.Time { return time.Date(2000, 1, 1, 0, 0, n, 0, time.UTC) }
	due := func(n int, digest uint64) schedule.ClaimedDue {
		return schedule.ClaimedDue{Entry: "e", Slot: second(n), Digest: digest}
	}
	missed := schedule.ClaimedDue{Entry: "e", Slot: second(1), Through: second(2), Count: 2, State: schedule.Skipped, Reason: schedule.ReasonMisfire}
	for _, tt := range []struct {
		name    string
		journal [][]schedule.ClaimedDue // by batch
		mark    celery.Mark
		want    []string // of slots 1 to 3, of a definition of digest 2
	}{
		{"claimed again", [][]schedule.ClaimedDue{{due(1, 1)}, {due(1, 2)}}, celery.Mark{}, []string{"sent ", "sent ", "sent "}},
		{"claimed again under another name", [][]schedule.ClaimedDue{{due(1, 2)}, {due(1, 2)}}, celery.Mark{}, []string{"sent ", "sent ", "sent "}},
		{"claimed again as missed", [][]schedule.ClaimedDue{{due(1, 1), due(2, 1)}, {missed}}, celery.Mark{}, []string{"skipped misfire", "skipped misfire", "sent "}},
		{"not claimed again", [][]schedule.ClaimedDue{{due(1, 1)}}, celery.Mark{}, []string{"skipped edited", "sent ", "sent "}},
		{"withdrawn and not claimed again", [][]schedule.ClaimedDue{{due(1, 1)}}, celery.Mark{Term: 1, Seq: 1, Done: 1, Note: `[{"seq":1,"i":0,"why":"replaced"}]`}, []string{"sent ", "sent ", "sent "}},
		{"withdrawn and not claimed again, before one that was edited", [][]schedule.ClaimedDue{{due(1, 1)}, {due(2, 1)}}, celery.Mark{Term: 1, Seq: 2, Done: 1, Note: `[{"seq":1,"i":0,"why":"replaced"},{"seq":2,"i":0,"why":"edited"}]`}, []string{"sent ", "skipped edited", "sent "}},
		{"all withdrawn and not claimed again", [][]schedule.ClaimedDue{{due(1, 1)}, {due(2, 1)}, {due(3, 1)}}, celery.Mark{Term: 1, Seq: 2, Done: 1, Note: `[{"seq":1,"i":0,"why":"replaced"},{"seq":2,"i":0,"why":"replaced"}]`}, []string{"sent ", "sent ", "sent "}},
		{"the first is withdrawn and gone", [][]schedule.ClaimedDue{{due(2, 1)}}, celery.Mark{}, []string{"sent ", "sent ", "sent "}},
		{"the first is gone, under another name", [][]schedule.ClaimedDue{{due(2, 2), due(3, 2)}}, celery.Mark{}, []string{"sent ", "sent ", "sent "}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 1, 0)
				w.add("e", "@every 1s", schedule.All)
				was := w.entries["e"]
				w.entries["e"] = func(after time.Time) *schedule.Entry {
					e := was(after)
					e.Digest = 2
					return e
				}
				for i, dues := range tt.journal {
					w.ledger.journal = append(w.ledger.journal, schedule.Claimed{Term: 1, Seq: int64(i + 1), Dues: dues})
				}
				w.ledger.term, w.ledger.seq, w.broker.mark = 1, int64(len(tt.journal)), tt.mark
				ctx, stop := context.WithTimeout(t.Context(), 3500*time.Millisecond)
				defer stop()
				if err := w.node(ctx, context.Background(), nil); err != nil {
					t.Fatal(err)
				}
				got := make([]string, len(tt.want))
				sent := 0
				for _, run := range w.ledger.runs {
					for slot := run.Slot; !slot.After(run.Slot) || !slot.After(run.Through); slot = slot.Add(time.Second) {
						got[int(slot.Sub(second(1))/time.Second)] += string(run.State) + " " + run.Reason
					}
					if run.State == schedule.Sent {
						sent++
					}
				}
				if !slices.Equal(got, tt.want) {
					t.Errorf("ended as %q, want %q", got, tt.want)
				}
				if len(w.broker.got) != sent {
					t.Errorf("%d messages, want %d", len(w.broker.got), sent)
				}
			})
		})
	}
}

// What was sent before a crash is not planned again where the journal does not name a
// slot before it: the definition that sent it did not give that one, as one that counts
// since before was told of late. That slot is sent for itself.
func TestASlotThatWasPassedOverRepeatsNoneAfterIt(t *testing.T) {
	second := func(n int) time.Time { return time.Date(2000, 1, 1, 0, 0, n, 0, time.UTC) }
	for _, tt := range []struct {
		name  string
		mark  celery.Mark
		grace time.Duration
		want  string // of slots 2 to 7
		sent  int    // after the crash, of these
	}{
		{"all were sent", celery.Mark{Term: 1, Seq: 4, Done: 1}, time.Hour, "sent sent sent sent sent sent", 2},
		{"it is too late for the slot", celery.Mark{Term: 1, Seq: 4, Done: 1}, time.Second, "skipped sent sent sent sent sent", 1},
		{"two were sent", celery.Mark{Term: 1, Seq: 2, Done: 1}, time.Hour, "sent sent sent sent sent sent", 4},
		{"two were sent, and perhaps more", celery.Mark{Term: 1, Seq: 2, Done: 1, Beyond: 10}, time.Hour, "sent sent sent sent sent sent", 4},
		{"none was sent", celery.Mark{}, time.Hour, "sent sent sent sent sent sent", 6},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 1, 0)
				w.add("e", "@every 1s", schedule.Skip)
				was := w.entries["e"]
				w.entries["e"] = func(after time.Time) *schedule.Entry {
					e := was(after)
					e.Digest, e.Misfire.Grace = 1, tt.grace
					return e
				}
				for n := 3; n <= 6; n++ {
					w.ledger.journal = append(w.ledger.journal, schedule.Claimed{
						Term: 1, Seq: int64(n - 2), Dues: []schedule.ClaimedDue{{Entry: "e", Slot: second(n), Digest: 1}},
					})
				}
				w.ledger.last["e"] = second(1)
				w.ledger.term, w.ledger.seq, w.broker.mark = 1, 4, tt.mark
				time.Sleep(6500 * time.Millisecond)
				ctx, stop := context.WithTimeout(t.Context(), time.Second)
				defer stop()
				if err := w.node(ctx, context.Background(), nil); err != nil {
					t.Fatal(err)
				}
				ends := map[int][]string{}
				for _, run := range w.ledger.runs {
					ends[run.Slot.Second()] = append(ends[run.Slot.Second()], string(run.State))
				}
				var got []string
				for n := 2; n <= 7; n++ {
					got = append(got, strings.Join(ends[n], " and "))
				}
				if text := strings.Join(got, " "); text != tt.want {
					t.Errorf("the slots ended as %q, want %q", text, tt.want)
				}
				arrived := map[string]int{}
				for _, m := range w.broker.got {
					if arrived[m.id]++; arrived[m.id] > 1 {
						t.Errorf("slot %v was sent %d times", m.slot, arrived[m.id])
					}
				}
				if len(arrived) != tt.sent {
					t.Errorf("%d slots were sent after the crash, want %d", len(arrived), tt.sent)
				}
			})
		})
	}
}

func TestAStopWhileTheBrokerIsAwayIsBoundedAndLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 0)
		w.add("e", "@every 10s", schedule.Once)
		from := time.Now()
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- w.node(ctx, context.Background(), nil) }()
		time.Sleep(5 * time.Second)
		w.broker.set(1)
		time.Sleep(6 * time.Second)
		stop()
		stopped := time.Now()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
		if took := time.Since(stopped); took > 11*time.Second {
			t.Errorf("the stop took %v", took)
		}
		w.broker.set(0)
		ctx, stop = context.WithTimeout(t.Context(), 2*time.Second)
		defer stop()
		if err := w.node(ctx, context.Background(), nil); err != nil {
			t.Fatal(err)
		}
		w.verify(from, from.Add(20*time.Second))
	})
}

// Behind a mark that does not tell all, a slot whose entry goes at most once is not
// sent again, and one that goes at least once is. A crash in the middle of the
// recovery changes nothing about that.
func TestRecoveryLeavesUnsureWhatGoesAtMostOnce(t *testing.T) {
	for _, tt := range []struct {
		name   string
		beyond int
		want   string // of the slots b0 to b3 of the mark's batch and c of the next
	}{
		{"the mark tells all", 0, "sent sent sent sent sent"},
		{"two places behind it", 2, "sent unsure unsure sent sent"},
		{"as far as the batch goes", 50, "sent unsure unsure unsure sent"},
		{"no bound", celery.AllBeyond, "sent unsure unsure unsure unsure"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 1, 0)
				past := time.Now()
				names := []string{"b0", "b1", "b2", "b3", "c"}
				for _, id := range append(names, "least") {
					w.add(id, "@every 1h", schedule.Once)
					if id != "least" {
						add := w.entries[schedule.ID(id)]
						w.entries[schedule.ID(id)] = func(after time.Time) *schedule.Entry {
							return withTask(t, add(after), `{"delivery": "at_most_once"}`)
						}
					}
				}
				w.ledger.term, w.ledger.seq = 1, 2
				due := func(id string) schedule.ClaimedDue {
					return schedule.ClaimedDue{Entry: schedule.ID(id), Slot: past, Digest: 1}
				}
				w.ledger.journal = []schedule.Claimed{
					{Term: 1, Seq: 1, Dues: []schedule.ClaimedDue{due("b0"), due("b1"), due("b2"), due("b3")}},
					{Term: 1, Seq: 2, Dues: []schedule.ClaimedDue{due("c"), due("least")}},
				}
				w.broker.mark = celery.Mark{Term: 1, Seq: 1, Done: 1, Beyond: tt.beyond}

				crashed, crash := context.WithTimeout(t.Context(), 10*time.Millisecond)
				defer crash()
				w.ledger.set(1) // what is published cannot be recorded
				if err := w.node(t.Context(), crashed, nil); err == nil {
					t.Fatal("the node that crashes did not")
				}
				w.ledger.set(0)
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				if err := w.node(ctx, context.Background(), nil); err != nil {
					t.Fatal(err)
				}
				got := map[schedule.ID]schedule.Run{}
				for _, run := range w.ledger.runs {
					got[run.Entry] = run
				}
				var states []string
				arrived := 0 // least is sent, and b0, which the mark speaks of, is not sent here
				for _, id := range names {
					run := got[schedule.ID(id)]
					states = append(states, string(run.State))
					if want := celery.TaskID(installation, id, past); run.TaskID != want {
						t.Errorf("%s has the task id %q, want %q", id, run.TaskID, want)
					}
					if run.State == schedule.Sent {
						arrived++
					}
				}
				if got := strings.Join(states, " "); got != tt.want {
					t.Errorf("the slots ended as %s, want %s", got, tt.want)
				}
				if got["least"].State != schedule.Sent || len(w.broker.got) != arrived {
					t.Errorf("%d messages, want %d; least ended as %+v", len(w.broker.got), arrived, got["least"])
				}
			})
		})
	}
}

// A message that the broker may have, and that goes at most once, ends its slot.
func TestAnUnsureMessageEndsItsSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 0)
		w.add("e", "@every 10s", schedule.Once)
		w.broker.unsure = true
		ctx, cancel := context.WithTimeout(t.Context(), 11*time.Second)
		defer cancel()
		if err := w.node(ctx, context.Background(), nil); err != nil {
			t.Fatal(err)
		}
		if len(w.ledger.runs) != 1 || w.ledger.runs[0].State != schedule.Unsure || w.ledger.runs[0].TaskID == "" || !w.ledger.runs[0].SentAt.IsZero() {
			t.Errorf("runs = %+v, want one that is unsure, with its task id", w.ledger.runs)
		}
	})
}

// So it does if the node dies before it has recorded that: the part's mark says so to the next one, which would take
// what the mark speaks of for sent.
func TestAnUnsureMessageIsNotTakenForSentAfterACrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 0)
		slot := time.Now().Add(10 * time.Second)
		w.add("e", "@every 10s", schedule.Once)
		w.broker.unsure = true
		w.ledger.full = true
		crashed, crash := context.WithTimeout(t.Context(), 11*time.Second)
		defer crash()
		if err := w.node(t.Context(), crashed, nil); err == nil {
			t.Fatal("the node that crashes did not")
		}
		w.broker.unsure, w.ledger.full = false, false
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := w.node(ctx, context.Background(), nil); err != nil {
			t.Fatal(err)
		}
		if len(w.ledger.runs) != 1 || w.ledger.runs[0].State != schedule.Unsure || w.ledger.runs[0].TaskID != celery.TaskID(installation, "e", slot) {
			t.Errorf("runs = %+v, want one that is unsure, with its task id", w.ledger.runs)
		}
		if len(w.broker.got) != 0 {
			t.Errorf("%d messages were sent again, want none", len(w.broker.got))
		}
	})
}

// What no queue took ends as failed if the node dies before it has recorded that, however much of a part it is.
func TestAFailedMessageIsNotTakenForSentAfterACrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 0)
		slot := time.Now().Add(10 * time.Second)
		names := []string{"a", "b", "c"}
		for _, name := range names {
			w.add(name, "@every 10s", schedule.Once)
		}
		w.broker.missing = map[string]bool{"celery": true}
		w.ledger.full = true
		crashed, crash := context.WithTimeout(t.Context(), 11*time.Second)
		defer crash()
		if err := w.node(t.Context(), crashed, nil); err == nil {
			t.Fatal("the node that crashes did not")
		}
		w.broker.missing, w.ledger.full = nil, false
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := w.node(ctx, context.Background(), nil); err != nil {
			t.Fatal(err)
		}
		ended := map[schedule.ID]bool{}
		for _, run := range w.ledger.runs {
			ended[run.Entry] = true
			if want := celery.TaskID(installation, string(run.Entry), slot); run.State != schedule.Failed || run.Reason != "no such queue" || run.TaskID != want {
				t.Errorf("run = %+v, want one that failed since there is no such queue, with the task id %s", run, want)
			}
		}
		if len(ended) != len(names) || len(w.ledger.runs) != len(names) || len(w.broker.got) != 0 {
			t.Errorf("%d ends of %d entries, and %d messages; want one of each, and none", len(w.ledger.runs), len(ended), len(w.broker.got))
		}
	})
}

// What may have been sent and is too late to be sent again, or whose entry was edited or
// is disabled since, is unsure: to call it skipped could be untrue.
func TestRecoveryLeavesUnsureWhatItDoesNotSendAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 0)
		past := time.Now()
		time.Sleep(2*time.Hour + 30*time.Minute)
		names := []string{"once", "skip", "edited", "disabled", "all", "beyond"}
		w.off = map[schedule.ID]string{"disabled": schedule.ReasonDisabled}
		claimed := schedule.Claimed{Term: 1, Seq: 1}
		for _, id := range names {
			claimed.Dues = append(claimed.Dues, schedule.ClaimedDue{Entry: schedule.ID(id), Slot: past, Digest: 1})
			if id != "disabled" {
				w.add(id, "@every 1h", map[string]schedule.Policy{"skip": schedule.Skip, "all": schedule.All}[id])
			}
		}
		was := w.entries["edited"]
		w.entries["edited"] = func(after time.Time) *schedule.Entry {
			e := was(after)
			e.Digest = 2
			return e
		}
		w.ledger.term, w.ledger.seq, w.ledger.journal = 1, 1, []schedule.Claimed{claimed}
		w.broker.mark = celery.Mark{Term: 1, Seq: 0, Done: 9, Beyond: 5}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := w.node(ctx, context.Background(), nil); err != nil {
			t.Fatal(err)
		}
		got := map[schedule.ID]string{}
		for _, run := range w.ledger.runs {
			if run.Slot.Equal(past) {
				got[run.Entry] = string(run.State)
				if want := celery.TaskID(installation, string(run.Entry), past); run.State == schedule.Unsure && run.TaskID != want {
					t.Errorf("the unsure run of %s has the id %q, want %s", run.Entry, run.TaskID, want)
				}
			}
		}
		want := map[schedule.ID]string{"once": "unsure", "skip": "unsure", "edited": "unsure", "disabled": "unsure", "all": "sent", "beyond": "coalesced"}
		if !maps.Equal(got, want) {
			t.Errorf("ended as %v, want %v", got, want)
		}
	})
}
