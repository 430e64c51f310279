package dispatch_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onebeat/onebeat/internal/celery"
	"github.com/onebeat/onebeat/internal/dispatch"
	"github.com/onebeat/onebeat/internal/schedule"
)

// A list is a planner that hands over what the test says.
type list chan []schedule.Due

func (l list) Pull(ctx context.Context, _ int) ([]schedule.Due, error) {
	select {
	case dues := <-l:
		return dues, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// open are the batches that the journal names.
func (l *ledger) open() (seqs []int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, claimed := range l.journal {
		seqs = append(seqs, claimed.Seq)
	}
	return seqs
}

// The journal tells of a slot that an edit withdrew until another claim has it, and of that
// claim until the first is recorded: whenever the node is lost, the next finds the slot.
func TestAWithdrawnSlotIsInTheJournalUntilItIsClaimedAgain(t *testing.T) {
	t.Run("ledger and broker apart", func(t *testing.T) { testAWithdrawnSlot(t, false) })
	t.Run("in one database", func(t *testing.T) { testAWithdrawnSlot(t, true) })
}

func testAWithdrawnSlot(t *testing.T, together bool) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 0)
		if together {
			w.joint = &joint{ledger: w.ledger, broker: w.broker}
		}
		slot := time.Now()
		due := func(e *schedule.Entry) schedule.Due { return schedule.Due{Entry: e, Slot: slot} }
		replaced := func(id string) (old, by *schedule.Entry) {
			old, by = entry(t, id, "@every 1s", slot), entry(t, id, "@every 1s", slot)
			old.End(schedule.ReasonEdited, slot, by, slot.Add(-time.Second))
			return old, by
		}
		a, newA := replaced("a")
		b, newB := replaced("b")
		c := entry(t, "c", "@every 1s", slot)
		term, seq, _ := w.ledger.takeOver()
		planner := make(list)
		d := dispatch.New(planner, w.ledger, w.broker, dispatch.Options{Installation: installation, Joint: w.together()})
		if _, err := d.Recover(t.Context(), term, seq, dispatch.ClaimsOf(nil), nil); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- d.Run(ctx, context.Background(), term, seq) }()
		ended := schedule.Due{Entry: newB, Slot: slot.Add(-time.Second), Through: slot, Count: 2, State: schedule.Coalesced, Reason: schedule.ReasonMisfire}
		for i, step := range []struct {
			dues []schedule.Due
			open []int64
		}{
			{[]schedule.Due{due(a), due(b), due(c)}, []int64{1}},
			{[]schedule.Due{due(newA)}, []int64{1, 2}},
			{[]schedule.Due{{Entry: c, Slot: slot.Add(time.Second)}}, []int64{1, 2}},
			{[]schedule.Due{ended}, nil},
		} {
			planner <- step.dues
			time.Sleep(2 * time.Second)
			if open := w.ledger.open(); !slices.Equal(open, step.open) {
				t.Errorf("after batch %d the journal has the batches %v, want %v", i+1, open, step.open)
			}
		}
		stop()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, run := range w.ledger.runs {
			got = append(got, fmt.Sprint(run.Entry, " ", run.Slot.Sub(slot), " ", run.State))
		}
		slices.Sort(got)
		if want := []string{"a 0s sent", "b -1s coalesced", "c 0s sent", "c 1s sent"}; !slices.Equal(got, want) {
			t.Errorf("ended are %q, want %q", got, want)
		}
	})
}

// A deaf broker takes no messages.
type deaf struct{ *broker }

func (deaf) Publish(context.Context, celery.Part) ([]celery.Failure, error) {
	return nil, &celery.PublishError{Err: errFault}
}

// A recovery that is lost in turn leaves a slot that an edit had withdrawn in the journal.
func TestARecoveryClaimsWhatWasWithdrawn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 0)
		slot := time.Now().UTC().Truncate(time.Second).Add(time.Second)
		e := entry(t, "e", "@every 1s", time.Now())
		e.Digest = 2
		w.ledger.journal = []schedule.Claimed{{Term: 1, Seq: 1, Dues: []schedule.ClaimedDue{{Entry: "e", Slot: slot, Digest: 1}}}}
		w.ledger.term, w.ledger.seq = 1, 1
		w.broker.mark = celery.Mark{Term: 1, Seq: 1, Done: 1, Note: `[{"seq":1,"i":0,"why":"replaced"}]`}
		term, seq, journal := w.ledger.takeOver()
		d := dispatch.New(make(list), w.ledger, deaf{w.broker}, dispatch.Options{Installation: installation})
		hold, lost := context.WithTimeout(t.Context(), 10*time.Second)
		defer lost()
		_, err := d.Recover(hold, term, seq, dispatch.ClaimsOf(journal), func(schedule.ID) schedule.Change { return schedule.Change{ID: "e", Entry: e} })
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("Recover = %v", err)
		}
		want := schedule.ClaimedDue{Entry: "e", Slot: slot, Digest: 2}
		if open := w.ledger.journal; len(open) != 1 || open[0].Seq != 2 || len(open[0].Dues) != 1 || open[0].Dues[0] != want {
			t.Errorf("the journal has %+v, want the slot claimed anew", open)
		}
	})
}
