package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// idlers is how many entries are due on the minute.
const idlers = 10

// An Idle is how late a node was that had little to do.
type Idle struct {
	Scheduler string        `json:"scheduler"`
	Entries   int           `json:"entries"`
	For       time.Duration `json:"for_ns"`
	Sent      int           `json:"sent"`

	// From the slot to the broker's acknowledgement, by the ledger.
	P50 time.Duration `json:"p50_ns"`
	P99 time.Duration `json:"p99_ns"`
	Max time.Duration `json:"max_ns"`

	// Processor is the part of one processor that the node used.
	Processor float64 `json:"processor"`
}

// idle measures lateness: of entries on the minute, or dense, of every second at
// even distances.
func (b *bench) idle(ctx context.Context, l line, length time.Duration, dense bool) (Idle, error) {
	result := Idle{Scheduler: l.String(), Entries: idlers, For: length}
	s, err := b.newSite(ctx, l)
	if err != nil {
		return result, err
	}
	defer s.close()
	task := probeTask
	if dense {
		err = s.database.probe(ctx, s.name)
	} else {
		task = minuteTask
		err = s.database.minutes(ctx, s.name)
	}
	if err != nil {
		return result, err
	}
	n, err := serve(s, b.profile)
	if err != nil {
		return result, err
	}
	defer n.process.Kill() // does nothing to one that has ended
	if _, err := n.armed(ctx, idlers); err != nil {
		return result, err
	}
	began := time.Now()
	spent, err := cpu(n.process.PID())
	if err != nil {
		return result, err
	}
	if err := until(ctx, began.Add(length)); err != nil {
		return result, err
	}
	all, err := cpu(n.process.PID())
	if err != nil {
		return result, err
	}
	result.Processor = float64(all-spent) / float64(time.Since(began))
	if err := n.stop(); err != nil {
		return result, err
	}
	late, err := s.database.lateness(ctx, task)
	if err != nil {
		return result, err
	}
	if len(late) == 0 {
		return result, errors.New("nothing was sent: watch for longer than a minute, or --dense")
	}
	if late[0] < 0 {
		return result, fmt.Errorf("a message left %v before its slot", -late[0])
	}
	result.Sent = len(late)
	result.P50, result.P99, result.Max = late[len(late)/2], late[len(late)*99/100], late[len(late)-1]
	return result, nil
}
