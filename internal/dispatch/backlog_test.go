package dispatch_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onebeat/onebeat/internal/celery"
	"github.com/onebeat/onebeat/internal/dispatch"
	"github.com/onebeat/onebeat/internal/schedule"
)

// A race is a herd whose broker takes a message in 20 µs, and whose ledger records a run in as long.
type race struct {
	*herd
	full time.Duration // how long the broker takes nothing once it has half of all
	fail bool          // it does not take the first message

	mu        sync.Mutex
	published int
	pending   int // the most that were published and not recorded
	first     int // how many were published when the first were recorded
	recordAt  []time.Time
}

const eachMessage = 20 * time.Microsecond

func (r *race) Publish(ctx context.Context, part celery.Part) ([]celery.Failure, error) {
	r.mu.Lock()
	full, published := r.full, r.published
	if published >= len(r.dues)/2 {
		r.full = 0
	} else {
		full = 0
	}
	r.mu.Unlock()
	if full > 0 {
		select {
		case <-time.After(full):
		case <-ctx.Done():
		}
		return nil, errors.New("the broker is full")
	}
	time.Sleep(time.Duration(len(part.Messages)) * eachMessage)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.published += len(part.Messages)
	r.pending = max(r.pending, r.published-r.recorded)
	if r.fail && published == 0 {
		return []celery.Failure{{Index: part.Messages[0].Index, Reason: "no such queue"}}, nil
	}
	return nil, nil
}

func (r *race) Record(ctx context.Context, term int64, seqs []int64, runs []schedule.Run) error {
	r.mu.Lock()
	if len(r.recordAt) == 0 {
		r.first = r.published
	}
	r.recordAt = append(r.recordAt, time.Now())
	r.mu.Unlock()
	time.Sleep(time.Duration(len(runs)) * eachMessage)
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.herd.Record(ctx, term, seqs, runs)
}

func (r *race) run(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r.left, r.done = len(r.dues), cancel
	if err := dispatch.New(r, r, r, dispatch.Options{Installation: "race"}).Run(ctx, t.Context(), 1, 0); err != nil {
		t.Fatal(err)
	}
	if r.recorded != len(r.dues) {
		t.Errorf("%d slots are recorded, want %d", r.recorded, len(r.dues))
	}
}

// What is late is sent before what was sent is recorded, but no more than who takes over could record soon.
func TestMessagesComeBeforeRecords(t *testing.T) {
	for _, tt := range []struct {
		what                 string
		slots                int
		first, pending       int // at least, and at most
		fail                 bool
		full, recordedWithin time.Duration
	}{
		{what: "a herd of 20,000", slots: 20_000, first: 20_000, pending: 20_000},
		{what: "a herd of 100,000", slots: 100_000, first: 24_000, pending: 34_000},
		{what: "a herd with a note for each mark", slots: 20_000, first: 1000, pending: 20_000, fail: true},
		{what: "a broker that is full for a minute", slots: 20_000, first: 10_000, pending: 20_000, full: time.Minute, recordedWithin: 2 * time.Second},
	} {
		t.Run(tt.what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &race{herd: newHerd(t, tt.slots), full: tt.full, fail: tt.fail}
				began := time.Now()
				r.run(t)
				if r.first < tt.first || r.pending > tt.pending {
					t.Errorf("%d were sent before the first record, and %d at most were not recorded; want %d at least and %d at most", r.first, r.pending, tt.first, tt.pending)
				}
				if tt.fail && r.first > 3000 {
					t.Errorf("%d were sent before the first record, want it at once: each mark carries the notes until then", r.first)
				}
				if at := r.recordAt[0].Sub(began); tt.full > 0 && at > tt.recordedWithin {
					t.Errorf("the first record came %v after the herd, want %v at most: nothing is sent meanwhile", at, tt.recordedWithin)
				}
			})
		})
	}
}

// A former is a broker and a ledger of which a node before has sent all and recorded nothing.
type former struct {
	*herd
	mark  celery.Mark
	calls int
}

func (f *former) Take(context.Context, int64) (celery.Mark, error) { return f.mark, nil }

func (f *former) Record(_ context.Context, _ int64, seqs []int64, runs []schedule.Run) error {
	f.recorded += len(runs)
	f.calls++
	return nil
}

// Who takes over records what was sent in as few transactions as its former would have.
func TestARecoveryRecordsBatchesTogether(t *testing.T) {
	const batches, each = 40, 500
	f := &former{herd: newHerd(t, batches*each), mark: celery.Mark{Term: 1, Seq: batches, Done: each}}
	var journal []schedule.Claimed
	for i, due := range f.dues {
		if i%each == 0 {
			journal = append(journal, schedule.Claimed{Term: 1, Seq: int64(i/each + 1)})
		}
		last := &journal[len(journal)-1]
		last.Dues = append(last.Dues, schedule.ClaimedDue{Entry: due.Entry.ID, Slot: due.Slot})
	}
	d := dispatch.New(f, f, f, dispatch.Options{Installation: "former"})
	seq, err := d.Recover(t.Context(), 2, batches, dispatch.ClaimsOf(journal), func(id schedule.ID) schedule.Change { return schedule.Change{ID: id} })
	if err != nil || seq != batches {
		t.Fatalf("Recover: %d, %v; want %d", seq, err, batches)
	}
	if f.recorded != batches*each || f.calls > 3 {
		t.Errorf("%d runs were recorded in %d transactions, want %d in 3 at most", f.recorded, f.calls, batches*each)
	}
}

// Slots that are not late are recorded as they are sent, also where they come without a pause.
func TestWhatIsInTimeIsRecordedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStream(t, 30_000, 33*time.Microsecond)
		r := &steady{stream: s}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		s.done = cancel
		if err := dispatch.New(r, r, r, dispatch.Options{Installation: "steady"}).Run(ctx, t.Context(), 1, 0); err != nil {
			t.Fatal(err)
		}
		if r.recorded != len(r.dues) || r.worst > 100*time.Millisecond {
			t.Errorf("%d of %d slots are recorded, %v at most after they were sent; want all, 100 ms at most", r.recorded, len(r.dues), r.worst)
		}
	})
}

// A steady is a stream that looks how long after they were sent slots are recorded.
type steady struct {
	*stream
	worst time.Duration
}

func (s *steady) Record(ctx context.Context, term int64, seqs []int64, runs []schedule.Run) error {
	for i := range runs {
		s.worst = max(s.worst, time.Since(runs[i].SentAt))
	}
	return s.stream.Record(ctx, term, seqs, runs)
}
