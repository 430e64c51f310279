package dispatch_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/onebeat/onebeat/internal/celery"
	"github.com/onebeat/onebeat/internal/schedule"
)

var errFault = errors.New("a fault of the test")

// faults decides by chance what goes wrong with a call.
type faults struct {
	mu   sync.Mutex
	rand *rand.Rand
	rate float64
}

// The fates of a call.
const (
	fine   = iota
	before // it fails and did nothing
	after  // it did its work and the answer is lost
)

// fate takes its time, as a call does, and says how the call goes.
func (f *faults) fate() int {
	f.mu.Lock()
	took, fate := time.Duration(f.rand.IntN(3))*time.Millisecond, fine
	if f.rand.Float64() < f.rate {
		fate = before + f.rand.IntN(2)
	}
	f.mu.Unlock()
	time.Sleep(took)
	return fate
}

// set changes how often calls fail.
func (f *faults) set(rate float64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rate = rate
}

func newFaults(seed uint64, rate float64) *faults {
	return &faults{rand: rand.New(rand.NewPCG(seed, 1)), rate: rate}
}

// A ledger is a database: what is committed stays, whoever asks.
type ledger struct {
	*faults
	mu      sync.Mutex
	term    int64
	seq     int64
	journal []schedule.Claimed
	runs    []schedule.Run
	last    map[schedule.ID]time.Time // slots at or before it have ended
	full    bool                      // it records nothing
}

func (l *ledger) Claim(_ context.Context, batch schedule.Batch) error {
	fate := l.fate()
	if fate == before {
		return errFault
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if batch.Term != l.term {
		return schedule.ErrLost
	}
	if batch.Seq > l.seq { // else it is the same batch again
		claimed := schedule.Claimed{Term: batch.Term, Seq: batch.Seq}
		for _, due := range batch.Dues {
			claimed.Dues = append(claimed.Dues, schedule.ClaimedDue{
				Entry: due.Entry.ID, Slot: due.Slot, Digest: due.Entry.Digest, Request: due.Request,
				State: due.State, Reason: due.Reason, Through: due.Through, Count: due.Count,
			})
		}
		l.journal = append(l.journal, claimed)
		l.seq = batch.Seq
	}
	if fate == after {
		return errFault
	}
	return nil
}

func (l *ledger) Record(_ context.Context, term int64, seqs []int64, runs []schedule.Run) error {
	fate := l.fate()
	l.mu.Lock()
	defer l.mu.Unlock()
	if fate == before || l.full {
		return errFault
	}
	if term != l.term {
		return schedule.ErrLost
	}
	open := map[int64]bool{}
	for _, claimed := range l.journal {
		open[claimed.Seq] = true
	}
	if open[seqs[0]] { // else it was recorded, and the answer was lost
		l.recordLocked(seqs, runs)
	}
	if fate == after {
		return errFault
	}
	return nil
}

func (l *ledger) recordLocked(seqs []int64, runs []schedule.Run) {
	l.runs = append(l.runs, runs...)
	var rest []schedule.Claimed
	for _, claimed := range l.journal {
		keep := true
		for _, seq := range seqs {
			keep = keep && claimed.Seq != seq
		}
		if keep {
			rest = append(rest, claimed)
		}
	}
	l.journal = rest
	for _, run := range runs {
		if run.Request == "" {
			l.last[run.Entry] = schedule.Later(l.last[run.Entry], run.Last())
		}
	}
}

// sentSince is what the ledger has as sent after an instant.
func (l *ledger) sentSince(_ context.Context, at time.Time) (runs []schedule.Run, err error) {
	if l.fate() != fine {
		return nil, errFault
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, run := range l.runs {
		if run.State == schedule.Sent && run.SentAt.After(at) {
			runs = append(runs, run)
		}
	}
	return runs, nil
}

// takeOver begins a new term.
func (l *ledger) takeOver() (term, seq int64, journal []schedule.Claimed) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.term++
	return l.term, l.seq, append([]schedule.Claimed(nil), l.journal...)
}

// A sent is a message as it arrived.
type sent struct {
	id   string
	slot time.Time
	at   time.Time
}

// A broker is a Redis: a part and its mark arrive in one step or not at all.
type broker struct {
	*faults
	mu       sync.Mutex
	mark     celery.Mark
	got      []sent
	missing  map[string]bool // queues that do not exist
	unsure   bool            // what it is sent may have arrived, or not
	known    celery.Mark     // as the node was told last
	attempts int
	deaf     int // answers to Take that are lost
}

func (b *broker) Take(_ context.Context, term int64) (celery.Mark, error) {
	if b.fate() != fine {
		return celery.Mark{}, errFault
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.mark.Term > term {
		return celery.Mark{}, celery.ErrFenced
	}
	was := b.mark
	b.known = was
	b.mark.Term = term
	if b.deaf > 0 {
		b.deaf--
		return celery.Mark{}, errFault
	}
	return was, nil
}

func (b *broker) Publish(_ context.Context, part celery.Part) ([]celery.Failure, error) {
	fate := b.fate()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.attempts++
	if fate == before {
		return nil, &celery.PublishError{Err: errFault}
	}
	if b.mark.Term > part.Mark.Term {
		return nil, celery.ErrFenced
	}
	if !b.mark.Covers(b.known.Seq, b.known.Done) {
		return nil, celery.ErrForgot
	}
	var failures []celery.Failure
	if !b.mark.Covers(part.Mark.Seq, part.Mark.Done) {
		for _, m := range part.Messages {
			if b.unsure {
				failures = append(failures, celery.Failure{Index: m.Index, Reason: "cut off", Unsure: true})
				continue
			}
			if b.missing[m.Template.Route().Queue] {
				failures = append(failures, celery.Failure{Index: m.Index, Reason: "no such queue"})
				continue
			}
			b.got = append(b.got, sent{m.ID, m.Slot, time.Now()})
		}
		b.mark = part.Noting(failures)
		b.mark.Beyond = 0 // which Redis tells nobody
	}
	if fate == after {
		return nil, &celery.PublishError{Err: errFault}
	}
	b.known = b.mark
	return failures, nil
}

// config makes templates.
var config = func() *celery.Config {
	c, err := celery.ParseConfig(nil)
	if err != nil {
		panic(err)
	}
	return c
}()

// entry is an entry that sends its task by spec.
func entry(t *testing.T, id, spec string, after time.Time) *schedule.Entry {
	t.Helper()
	parsed, err := schedule.ParseSpec(spec, "UTC", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	return withTask(t, &schedule.Entry{ID: schedule.ID(id), Name: id, Digest: 1, Spec: parsed, After: after}, `{}`)
}

// withTask makes the entry's payload.
func withTask(t *testing.T, e *schedule.Entry, options string) *schedule.Entry {
	t.Helper()
	e.Task = "tasks.probe"
	template, err := config.Template(celery.Task{Name: e.Task, Entry: e.Name, Options: options})
	if err != nil {
		t.Fatal(err)
	}
	e.Payload = template
	return e
}
