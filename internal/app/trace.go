package app

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"sync"
	"time"

	"github.com/onebeat/onebeat/internal/broker"
	"github.com/onebeat/onebeat/internal/celery"
	"github.com/onebeat/onebeat/internal/dispatch"
	"github.com/onebeat/onebeat/internal/lease"
	"github.com/onebeat/onebeat/internal/schedule"
	"github.com/onebeat/onebeat/internal/store"
)

// TraceEnv names a file that a node appends what it does to, a line of JSON before
// each step at the database or the broker and one after it, for a test to hold
// beside the model (docs/design/dispatch.md). Without it nothing is in between.
const TraceEnv = "ONEBEAT_TRACE"

// A keeper is the store as the lease and the dispatcher see it.
type keeper interface {
	lease.Locker
	lease.Waiter
	dispatch.Ledger
}

// openTrace returns the tracer that is asked for, nil if none is.
func openTrace(node string) (*tracer, error) {
	path := os.Getenv(TraceEnv)
	if path == "" {
		return nil, nil
	}
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	return &tracer{node: node, file: file}, nil
}

// A tracer appends lines to a file that several processes share.
type tracer struct {
	node string
	file *os.File
	mu   sync.Mutex
	call int
}

// A TraceLine is one line: of a call if Op is set, else of its return.
type TraceLine struct {
	At   int64  `json:"at"` // nanoseconds since the Unix epoch
	Node string `json:"node"`
	Call int    `json:"call"` // numbers the node's calls

	Op    string     `json:"op,omitempty"` // acquire, take, claim, publish, record
	Term  int64      `json:"term,omitempty"`
	Seq   int64      `json:"seq,omitempty"`
	Done  int        `json:"done,omitempty"`
	Seqs  []int64    `json:"seqs,omitempty"`
	Dues  []TraceDue `json:"dues,omitempty"`
	Sent  []int      `json:"sent,omitempty"` // places in the batch of the part's messages
	Lost  bool       `json:"lost,omitempty"` // it was refused, with nothing done: the term is over
	Error string     `json:"error,omitempty"`
}

// A TraceDue is a slot, or the first and last of a range, in Unix microseconds.
type TraceDue struct {
	Entry   schedule.ID `json:"entry"`
	Slot    int64       `json:"slot"`
	Through int64       `json:"through,omitempty"`
}

func (t *tracer) write(line TraceLine) {
	line.At, line.Node = time.Now().UnixNano(), t.node
	text, _ := json.Marshal(line) // strings and numbers always encode
	_, _ = t.file.Write(append(text, '\n'))
}

// step writes down the call and what came of it.
func (t *tracer) step(call TraceLine, do func() (TraceLine, error)) error {
	t.mu.Lock()
	t.call++
	call.Call = t.call
	t.mu.Unlock()
	t.write(call)
	answer, err := do()
	answer.Call = call.Call
	if err != nil {
		answer.Error = err.Error()
		answer.Lost = errors.Is(err, schedule.ErrLost) || errors.Is(err, celery.ErrFenced)
	}
	t.write(answer)
	return err
}

type tracedShard struct {
	*store.Shard
	trace *tracer
}

func (s tracedShard) Acquire(ctx context.Context, owner string) (l schedule.Lease, ok bool, err error) {
	err = s.trace.step(TraceLine{Op: "acquire"}, func() (TraceLine, error) {
		l, ok, err = s.Shard.Acquire(ctx, owner)
		return TraceLine{Term: l.Term, Lost: !ok}, err
	})
	return l, ok, err
}

func (s tracedShard) Claim(ctx context.Context, batch schedule.Batch) error {
	call := TraceLine{Op: "claim", Term: batch.Term, Seq: batch.Seq}
	for _, due := range batch.Dues {
		d := TraceDue{Entry: due.Entry.ID, Slot: due.Slot.UnixMicro()}
		if !due.Through.IsZero() {
			d.Through = due.Through.UnixMicro()
		}
		call.Dues = append(call.Dues, d)
	}
	return s.trace.step(call, func() (TraceLine, error) { return TraceLine{}, s.Shard.Claim(ctx, batch) })
}

func (s tracedShard) Record(ctx context.Context, term int64, seqs []int64, runs []schedule.Run) error {
	return s.trace.step(TraceLine{Op: "record", Term: term, Seqs: seqs}, func() (TraceLine, error) {
		return TraceLine{}, s.Shard.Record(ctx, term, seqs, runs)
	})
}

type tracedJoint struct {
	joint
	trace *tracer
}

// Send is written down as the publishing and, of what leaves the journal, the record that it is.
func (j tracedJoint) Send(ctx context.Context, part celery.Part, gone []int64, ends func([]celery.Failure) []schedule.Run) error {
	return j.trace.step(published(part), func() (TraceLine, error) {
		send := func() (TraceLine, error) { return TraceLine{}, j.joint.Send(ctx, part, gone, ends) }
		if len(gone) == 0 {
			return send()
		}
		return TraceLine{}, j.trace.step(TraceLine{Op: "record", Term: part.Mark.Term, Seqs: gone}, send)
	})
}

// published is the line of a part's publishing.
func published(part celery.Part) TraceLine {
	call := TraceLine{Op: "publish", Term: part.Mark.Term, Seq: part.Mark.Seq, Done: part.Mark.Done}
	for i := range part.Messages {
		call.Sent = append(call.Sent, part.Messages[i].Index)
	}
	return call
}

type tracedBroker struct {
	broker.Broker
	trace *tracer
}

func (b tracedBroker) Take(ctx context.Context, term int64) (mark celery.Mark, err error) {
	err = b.trace.step(TraceLine{Op: "take", Term: term}, func() (TraceLine, error) {
		mark, err = b.Broker.Take(ctx, term)
		return TraceLine{Seq: mark.Seq, Done: mark.Done}, err
	})
	return mark, err
}

func (b tracedBroker) Publish(ctx context.Context, part celery.Part) (failures []celery.Failure, err error) {
	err = b.trace.step(published(part), func() (TraceLine, error) {
		failures, err = b.Broker.Publish(ctx, part)
		return TraceLine{}, err
	})
	return failures, err
}
