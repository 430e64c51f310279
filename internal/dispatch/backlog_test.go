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
	slow int           // how many times as long it takes

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
	time.Sleep(time.Duration(len(part.Messages)*r.slow) * eachMessage)
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
		slow                 int // how many times as long the broker takes
		first, pending       int // at least, and at most
		fail                 bool
		full, recordedWithin time.Duration
	}{
		{what: "a herd of 20,000", slots: 20_000, first: 20_000, pending: 20_000},
		{what: "a herd of 100,000", slots: 100_000, first: 72_000, pending: 82_000},
		{what: "a herd of 100,000 on a slow broker", slots: 100_000, slow: 10, first: 3000, pending: 34_000},
		{what: "a herd with a note for each mark", slots: 20_000, first: 1000, pending: 20_000, fail: true},
		{what: "a broker that is full for a minute", slots: 20_000, first: 10_000, pending: 20_000, full: time.Minute, recordedWithin: 2 * time.Second},
	} {
		t.Run(tt.what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &race{herd: newHerd(t, tt.slots), slow: max(tt.slow, 1), full: tt.full, fail: tt.fail}
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

// A heavy is a herd whose ledger takes its time for each run.
type heavy struct {
	*herd
	each time.Duration
}

func (h *heavy) Record(ctx context.Context, term int64, seqs []int64, runs []schedule.Run) error {
	select {
	case <-time.After(time.Duration(len(runs)) * h.each):
		return h.herd.Record(ctx, term, seqs, runs)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// A ledger that is slow is not asked to record more at once than it can while one waits for its answer.
func TestARecordIsAsLargeAsTheLedgerWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &heavy{newHerd(t, 20_000), time.Millisecond}
		hold, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		ctx, cancel := context.WithCancel(hold)
		defer cancel()
		h.left, h.done = len(h.dues), cancel
		if err := dispatch.New(h, h, h, dispatch.Options{Installation: "heavy"}).Run(ctx, hold, 1, 0); err != nil || h.recorded != len(h.dues) {
			t.Errorf("Run: %v; %d of %d slots are recorded after a minute, want all after a third of it", err, h.recorded, len(h.dues))
		}
	})
}

// A former is a broker and a ledger of which a node before has sent all and recorded nothing.
type former struct {
	*heavy
	mark  celery.Mark
	calls int
}

func (f *former) Take(context.Context, int64) (celery.Mark, error) { return f.mark, nil }

func (f *former) Record(ctx context.Context, term int64, seqs []int64, runs []schedule.Run) error {
	f.calls++
	return f.heavy.Record(ctx, term, seqs, runs)
}

// Who takes over records what was sent in as few transactions as its former would have, as soon as it knows
// that the ledger is not slow.
func TestARecoveryRecordsBatchesTogether(t *testing.T) {
	for _, tt := range []struct {
		each  time.Duration // that a run takes to be recorded
		calls int
	}{{calls: 4}, {each: time.Millisecond, calls: 20}} {
		synctest.Test(t, func(t *testing.T) { recoverTogether(t, tt.each, tt.calls) })
	}
}

// journalOf is what a first term left of dues that it claimed in batches of so many.
func journalOf(dues []schedule.Due, each int) (journal []schedule.Claimed) {
	for i, due := range dues {
		if i%each == 0 {
			journal = append(journal, schedule.Claimed{Term: 1, Seq: int64(i/each + 1)})
		}
		last := &journal[len(journal)-1]
		last.Dues = append(last.Dues, schedule.ClaimedDue{Entry: due.Entry.ID, Slot: due.Slot})
	}
	return journal
}

// An heir comes after a node that was lost in the midst of a herd.
type heir struct {
	*race
	mark celery.Mark
}

func (h *heir) Take(context.Context, int64) (celery.Mark, error) { return h.mark, nil }

// Who takes over in the midst of a herd sends the rest of it before it records what its former has sent.
func TestWhoTakesOverSendsBeforeItRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const sent, each, rest = 30_000, 1000, 20_000
		h := &heir{&race{herd: newHerd(t, sent+rest), slow: 1}, celery.Mark{Term: 1, Seq: sent / each, Done: each}}
		time.Sleep(time.Second) // until it was seen that the other was lost
		present := func(id schedule.ID) schedule.Change { return schedule.Change{ID: id} }
		d := dispatch.New(h, h, h, dispatch.Options{Installation: "heir"})
		seq, err := d.Recover(t.Context(), 2, sent/each, dispatch.ClaimsOf(journalOf(h.dues[:sent], each)), present)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		h.left, h.done = rest, cancel
		if err := d.Run(ctx, t.Context(), 2, seq); err != nil {
			t.Fatal(err)
		}
		if h.first != rest || h.recorded != sent+rest {
			t.Errorf("%d of %d were sent before the first record, and %d of %d recorded", h.first, rest, h.recorded, sent+rest)
		}
	})
}

func recoverTogether(t *testing.T, eachRun time.Duration, calls int) {
	t.Helper()
	const batches, each = 40, 500
	f := &former{heavy: &heavy{newHerd(t, batches*each), eachRun}, mark: celery.Mark{Term: 1, Seq: batches, Done: each}}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	journal := journalOf(f.dues, each)
	d := dispatch.New(f, f, f, dispatch.Options{Installation: "former"})
	seq, err := d.Recover(ctx, 2, batches, dispatch.ClaimsOf(journal), func(id schedule.ID) schedule.Change { return schedule.Change{ID: id} })
	if err != nil || seq != batches || f.recorded != 0 {
		t.Fatalf("Recover: %d, %v, with %d recorded; want %d, and none: what comes next does not wait for that", seq, err, f.recorded, batches)
	}
	running, stop := context.WithCancel(ctx)
	f.done = stop
	if err := d.Run(running, ctx, 2, seq); err != nil {
		t.Fatal(err)
	}
	if f.recorded != batches*each || f.calls > calls {
		t.Errorf("where a run takes %v, %d were recorded in %d transactions, want %d in %d at most", eachRun, f.recorded, f.calls, batches*each, calls)
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

// An open counts the batches that are claimed and not recorded.
type open struct {
	mu        sync.Mutex
	now, most int
}

func (o *open) move(n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.now += n
	o.most = max(o.most, o.now)
}

// A far is a stream whose broker answers late, so that each slot is a little late, and the next waits.
type far struct {
	*steady
	answer  time.Duration
	batches open
}

// Pull hands over half a lead's slots, as a planner does.
func (f *far) Pull(ctx context.Context, most int) ([]schedule.Due, error) {
	if f.handed < len(f.dues) {
		time.Sleep(time.Until(f.dues[f.handed].Slot.Add(-125 * time.Millisecond)))
		for horizon := time.Now().Add(250 * time.Millisecond); most > 0; most-- {
			if i := f.handed + most; i <= len(f.dues) && !f.dues[i-1].Slot.After(horizon) {
				break
			}
		}
	}
	return f.steady.Pull(ctx, most)
}

func (f *far) Claim(context.Context, schedule.Batch) error {
	f.batches.move(1)
	return nil
}

func (f *far) Publish(ctx context.Context, part celery.Part) ([]celery.Failure, error) {
	time.Sleep(f.answer)
	return f.steady.Publish(ctx, part)
}

func (f *far) Record(ctx context.Context, term int64, seqs []int64, runs []schedule.Run) error {
	f.batches.move(-len(seqs))
	return f.steady.Record(ctx, term, seqs, runs)
}

// Where slots are always late, for the broker is far away, their records come soon all the same.
func TestWhatIsAlwaysLateIsRecordedSoon(t *testing.T) {
	for _, tt := range []struct{ apart, answer time.Duration }{
		{50 * time.Millisecond, 60 * time.Millisecond},
		{50 * time.Millisecond, 300 * time.Millisecond},
		{10 * time.Millisecond, 40 * time.Millisecond},
		{2 * time.Millisecond, 130 * time.Millisecond},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := &far{steady: &steady{stream: newStream(t, 5000, tt.apart)}, answer: tt.answer}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			f.done = cancel
			if err := dispatch.New(f, f, f, dispatch.Options{Installation: "far"}).Run(ctx, t.Context(), 1, 0); err != nil {
				t.Fatal(err)
			}
			if f.recorded != len(f.dues) || f.worst > 2*time.Second || f.batches.most > 30 {
				t.Errorf("a slot each %v and a broker that answers after %v: %d of %d are recorded, %v at most after they were sent, with %d batches at most in the journal; want all, 2 s and 30 at most",
					tt.apart, tt.answer, f.recorded, len(f.dues), f.worst, f.batches.most)
			}
		})
	}
}

// A shut is a herd whose ledger records nothing for a time.
type shut struct {
	*herd
	until   time.Time
	batches open
}

func (s *shut) Claim(context.Context, schedule.Batch) error {
	s.batches.move(1)
	return nil
}

func (s *shut) Record(ctx context.Context, term int64, seqs []int64, runs []schedule.Run) error {
	if time.Now().Before(s.until) {
		return errors.New("the table is locked")
	}
	s.batches.move(-len(seqs))
	return s.herd.Record(ctx, term, seqs, runs)
}

// Small batches are bounded too while nothing can be recorded: each is in the journal, which a takeover reads.
func TestTheJournalIsBoundedWhileNothingIsRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shut{herd: newHerd(t, 5000), until: time.Now().Add(time.Minute)}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		s.left, s.done = len(s.dues), cancel
		if err := dispatch.New(s, s, s, dispatch.Options{Installation: "shut", Batch: 1, Ahead: 8}).Run(ctx, t.Context(), 1, 0); err != nil {
			t.Fatal(err)
		}
		if s.recorded != len(s.dues) || s.batches.most > 1100 {
			t.Errorf("%d of %d slots are recorded, and %d batches were in the journal; want all, and 1,100 at most", s.recorded, len(s.dues), s.batches.most)
		}
	})
}

// Sending goes on for long while nothing can be recorded, and people are told by then.
func TestWhatCannotBeRecordedIsAStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const locked = 30 * time.Second
		s := &shut{herd: newHerd(t, 120), until: time.Now().Add(locked)}
		for i := range s.dues {
			s.dues[i].Slot = time.Now().Add(time.Duration(i) * 500 * time.Millisecond)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		s.left, s.done = len(s.dues), cancel
		metrics := dispatch.NewMetrics()
		var during, after time.Duration
		time.AfterFunc(locked-time.Second, func() { during = metrics.Stalled() })
		time.AfterFunc(locked+2*time.Second, func() { after = metrics.Stalled() })
		if err := dispatch.New(s, s, s, dispatch.Options{Installation: "shut", Batch: 1, Metrics: metrics}).Run(ctx, t.Context(), 1, 0); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if during < 20*time.Second || after > time.Second || s.recorded != len(s.dues) {
			t.Errorf("with a table that was locked for %v, %v were told of before that was over and %v after it, and %d of %d slots are recorded; want 20 s at least, a second at most, and all",
				locked, during, after, s.recorded, len(s.dues))
		}
	})
}

// A torn is a ledger that has lost some of what it is to record, or a broker that has lost what it had.
type torn struct {
	*herd
	publish, record error
}

func (t *torn) Publish(context.Context, celery.Part) ([]celery.Failure, error) { return nil, t.publish }

func (t *torn) Record(context.Context, int64, []int64, []schedule.Run) error { return t.record }

// What the next term has to put right is not tried for ever, nor waits for the next slot, which may be far off.
func TestATermEndsWhenItCannotGoOn(t *testing.T) {
	for _, tt := range []torn{{publish: celery.ErrForgot}, {record: schedule.ErrJournal}, {record: schedule.ErrLost}} {
		synctest.Test(t, func(t *testing.T) {
			tt.herd = newHerd(t, 10)
			tt.left = len(tt.dues) // after which none is due
			began, want := time.Now(), errors.Join(tt.publish, tt.record)
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			err := dispatch.New(&tt, &tt, &tt, dispatch.Options{Installation: "torn"}).Run(ctx, t.Context(), 1, 0)
			if took := time.Since(began); !errors.Is(want, err) || took > time.Second {
				t.Errorf("Run = %v after %v, want %v within a second", err, took, want)
			}
		})
	}
}
