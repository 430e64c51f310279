package dispatch_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onebeat/onebeat/internal/celery"
	"github.com/onebeat/onebeat/internal/dispatch"
	"github.com/onebeat/onebeat/internal/plan"
	"github.com/onebeat/onebeat/internal/schedule"
)

// A joint is a ledger and a broker in one database: a part is in both or in neither.
type joint struct {
	*ledger
	broker *broker
	apart  bool // they are not
}

func (j *joint) Joined(context.Context) bool { return !j.apart }

func (j *joint) Send(_ context.Context, part celery.Part, gone []int64, ends func([]celery.Failure) []schedule.Run) error {
	fate := j.ledger.fate()
	j.mu.Lock()
	defer j.mu.Unlock()
	j.broker.mu.Lock()
	defer j.broker.mu.Unlock()
	j.broker.attempts++
	if part.Mark.Term != j.term {
		return schedule.ErrLost
	}
	i := slices.IndexFunc(j.journal, func(c schedule.Claimed) bool { return c.Seq == part.Mark.Seq })
	if i >= 0 && j.journal[i].Recorded < part.Mark.Done { // else it was sent, and the answer was lost
		var failures []celery.Failure
		var got []sent
		if !j.broker.mark.Covers(part.Mark.Seq, part.Mark.Done) {
			for _, m := range part.Messages {
				if j.broker.missing[m.Template.Route().Queue] {
					failures = append(failures, celery.Failure{Index: m.Index, Reason: "no such queue"})
					continue
				}
				got = append(got, sent{m.ID, m.Slot, time.Now()})
			}
		}
		runs := slices.Clone(ends(failures))
		if fate == before || j.full {
			return errFault // all of it is taken back
		}
		j.broker.got, j.broker.mark = append(j.broker.got, got...), part.Mark
		j.journal[i].Recorded = part.Mark.Done
		j.recordLocked(gone, runs)
	}
	if fate == after {
		return errFault
	}
	return nil
}

// halves are the messages without a run that says sent, and the other way about.
func (w *world) halves() (halves []string) {
	arrived := map[string]int{}
	for _, m := range w.broker.got {
		arrived[m.id]++
	}
	for _, run := range w.ledger.runs {
		if run.State == schedule.Sent {
			arrived[run.TaskID]--
		}
	}
	for id, n := range arrived {
		if n != 0 {
			halves = append(halves, fmt.Sprint(id, " ", n))
		}
	}
	return halves
}

// Wherever a node is lost, all that is at the broker is recorded and the other way about,
// before anybody has recovered it; and each slot is sent once.
func TestMessagesAndRecordsAreThereTogetherOrNotAtAll(t *testing.T) {
	for seed := range uint64(30) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, seed, 0.2)
				w.joint = &joint{ledger: w.ledger, broker: w.broker}
				for i := range 20 {
					w.add(fmt.Sprint("e", i), fmt.Sprintf("@every %ds", 1+i%3), schedule.All)
				}
				from, chance := time.Now(), rand.New(rand.NewPCG(seed, 2))
				for range 30 {
					hold, crash := context.WithTimeout(t.Context(), time.Duration(chance.IntN(2000))*time.Millisecond)
					_ = w.node(t.Context(), hold, nil) // it ends by the crash
					crash()
					if halves := w.halves(); len(halves) > 0 {
						t.Fatalf("after %v there are halves: %v", time.Since(from), halves)
					}
				}
				w.ledger.set(0)
				w.broker.set(0)
				through := time.Now()
				ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
				defer stop()
				if err := w.node(ctx, context.Background(), nil); err != nil {
					t.Fatal(err)
				}
				w.verify(from, through)
				if halves := w.halves(); len(halves) > 0 {
					t.Errorf("there are halves in the end: %v", halves)
				}
				if len(w.ledger.journal) > 0 {
					t.Errorf("%d batches are left in the journal", len(w.ledger.journal))
				}
			})
		})
	}
}

// What of a batch was sent and recorded before its node was lost is neither sent nor
// recorded again, and the rest is.
func TestAPartThatIsRecordedStaysAsItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 0)
		w.joint = &joint{ledger: w.ledger, broker: w.broker}
		w.add("a", "@every 1h", schedule.All)
		w.add("b", "@every 1h", schedule.All)
		now := time.Now()
		term, seq, _ := w.ledger.takeOver()
		planner := make(list)
		d := dispatch.New(planner, w.ledger, w.broker, dispatch.Options{Installation: installation, Joint: w.joint})
		hold, crash := context.WithCancel(t.Context())
		if _, err := d.Recover(hold, term, seq, dispatch.ClaimsOf(nil), nil); err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- d.Run(hold, hold, term, seq) }()
		planner <- []schedule.Due{{Entry: w.entries["a"](now), Slot: now.Add(time.Second)}, {Entry: w.entries["b"](now), Slot: now.Add(3 * time.Second)}}
		time.Sleep(2 * time.Second)
		crash()
		<-done
		if open := w.ledger.journal; len(open) != 1 || open[0].Recorded != 1 || len(w.ledger.runs) != 1 || len(w.broker.got) != 1 {
			t.Fatalf("after the first part: journal %+v, runs %+v, %d messages; want one of two slots recorded and sent", open, w.ledger.runs, len(w.broker.got))
		}
		w.broker.mark = celery.Mark{} // as of another broker: the journal tells
		ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
		defer stop()
		if err := w.node(ctx, context.Background(), nil); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, run := range w.ledger.runs {
			got = append(got, fmt.Sprint(run.Entry, " ", run.State, " ", run.Recovered))
		}
		if want := []string{"a sent false", "b sent true"}; !slices.Equal(got, want) || len(w.broker.got) != 2 || len(w.ledger.journal) != 0 {
			t.Errorf("ended are %q with %d messages and the journal %+v, want %q, 2 and none", got, len(w.broker.got), w.ledger.journal, want)
		}
	})
}

// What an earlier term sent without a record, when ledger and broker were apart, is
// recorded with the first part that goes in one transaction.
func TestWhatWasSentApartIsRecordedWithTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 0)
		w.joint = &joint{ledger: w.ledger, broker: w.broker}
		past := time.Now()
		w.ledger.term, w.ledger.seq = 1, 1
		claimed := schedule.Claimed{Term: 1, Seq: 1}
		for _, id := range []schedule.ID{"a", "b", "c"} {
			w.add(string(id), "@every 1h", schedule.All)
			claimed.Dues = append(claimed.Dues, schedule.ClaimedDue{Entry: id, Slot: past, Digest: 1})
		}
		w.ledger.journal = []schedule.Claimed{claimed}
		w.broker.mark = celery.Mark{Term: 1, Seq: 1, Done: 2, Note: `[{"seq":1,"i":1,"why":"expired"}]`}
		ctx, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		if err := w.node(ctx, context.Background(), nil); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, run := range w.ledger.runs {
			got = append(got, fmt.Sprint(run.Entry, " ", run.State, " ", run.Reason))
		}
		if want := []string{"a sent ", "b skipped expired", "c sent "}; !slices.Equal(got, want) || len(w.broker.got) != 1 || len(w.ledger.journal) != 0 {
			t.Errorf("ended are %q with %d messages and the journal %+v, want %q, 1 and none", got, len(w.broker.got), w.ledger.journal, want)
		}
	})
}

// A message that the broker takes no copy of in one attempt, and takes in the next, is sent
// and recorded so.
func TestAnAttemptThatIsTakenBackSaysNothingOfTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 0)
		w.joint = &joint{ledger: w.ledger, broker: w.broker}
		w.add("e", "@every 10s", schedule.Once)
		w.limits = map[schedule.ID]schedule.Limit{"e": {Runs: 1, Then: schedule.ThenDelete}}
		w.broker.missing = map[string]bool{"celery": true}
		w.ledger.full = true
		ctx, stop := context.WithTimeout(t.Context(), 35*time.Second)
		defer stop()
		err := w.node(ctx, context.Background(), func(*plan.Planner) {
			time.AfterFunc(15*time.Second, func() {
				w.ledger.mu.Lock()
				defer w.ledger.mu.Unlock()
				w.broker.missing, w.ledger.full = nil, false
			})
		})
		if err != nil {
			t.Fatal(err)
		}
		var ends []string
		for _, run := range w.ledger.runs {
			ends = append(ends, fmt.Sprintf("%s %s %d", run.State, run.Reason, run.Then))
		}
		if want := []string{"sent  2", "skipped done 2", "skipped done 2"}; w.broker.attempts < 3 || !slices.Equal(ends, want) || len(w.broker.got) != 1 {
			t.Errorf("after %d attempts runs ended as %q with %d messages, want %q with 1", w.broker.attempts, ends, len(w.broker.got), want)
		}
	})
}

// A term that is over sends nothing, and its end is told as that.
func TestAFencedTransactionSendsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 0)
		w.joint = &joint{ledger: w.ledger, broker: w.broker}
		w.add("e", "@every 10s", schedule.Once)
		ctx, stop := context.WithTimeout(t.Context(), 20*time.Second) // for the planner to hear of it
		defer stop()
		err := w.node(ctx, context.Background(), func(*plan.Planner) {
			time.AfterFunc(9900*time.Millisecond, func() { w.ledger.takeOver() }) // the slot is claimed by now
		})
		if !errors.Is(err, schedule.ErrLost) {
			t.Errorf("Run = %v, want that the term is over", err)
		}
		if len(w.broker.got) != 0 || len(w.ledger.runs) != 0 {
			t.Errorf("%d messages and %d runs of a term that is over, want none", len(w.broker.got), len(w.ledger.runs))
		}
	})
}

// Ledger and broker that turn out to be apart go their own ways.
func TestApartIsSentAsEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 0)
		w.joint = &joint{ledger: w.ledger, broker: w.broker, apart: true}
		w.add("e", "@every 10s", schedule.Once)
		from := time.Now()
		ctx, stop := context.WithTimeout(t.Context(), 35*time.Second)
		defer stop()
		if err := w.node(ctx, context.Background(), nil); err != nil {
			t.Fatal(err)
		}
		w.verify(from, from.Add(30*time.Second))
		if open := w.ledger.journal; len(open) != 0 || w.broker.mark.Done == 0 {
			t.Errorf("journal %+v, mark %+v; want none, and that of the broker's own", open, w.broker.mark)
		}
	})
}
