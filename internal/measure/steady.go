package measure

import (
	"context"
	"fmt"
	"time"
)

// A Steady is how a node kept up with entries of every second, at even distances.
type Steady struct {
	Rate  float64       `json:"slots_per_second"`
	For   time.Duration `json:"for_ns"`
	Slots int           `json:"slots"`
	Sent  int           `json:"sent"` // of the slots; a node that does not keep up coalesces some

	// How late the broker's acknowledgement of what was sent was, by the ledger.
	P50  time.Duration `json:"p50_ns"`
	P99  time.Duration `json:"p99_ns"`
	P999 time.Duration `json:"p999_ns"`
	Most time.Duration `json:"most_ns"`

	CPU       time.Duration `json:"cpu_per_message_ns"`
	Processor float64       `json:"processor"`         // the part of one processor that the node used
	Wakes     float64       `json:"wakes_per_message"` // how often one of its threads woke up
	Peak      int64         `json:"peak_bytes"`

	Alone Alone `json:"database_alone"` // right after, with what the ledger holds then
}

// warmUp is how long a node sends before it is measured.
const warmUp = 2 * time.Second

// Steady measures rate slots a second for a length of time. The queue is emptied as it
// goes, as workers would, so that the broker's memory does not grow.
func (b *Bench) Steady(ctx context.Context, rate int, length time.Duration) (Steady, error) {
	result := Steady{Rate: float64(rate), For: length, Slots: int(float64(rate) * length.Seconds())}
	err := b.at(ctx, func(s *site) error {
		if err := s.add(ctx, rate, "tick", evenly(rate)); err != nil {
			return err
		}
		began := time.Now()
		n, err := s.start()
		if err != nil {
			return err
		}
		defer n.Kill()
		if _, err := n.armed(ctx, rate, loadPause); err != nil {
			return err
		}
		s.store.Close() // beside a SQLite file, a node that is alone with it need not leave it to others
		stop := s.keepEmpty(ctx)
		defer func() { _, _ = stop() }() // again, where it is an error that matters

		since := time.Now().Add(warmUp).Truncate(time.Second)
		until := since.Add(length)
		if err := b.until(ctx, since, "warming up"); err != nil {
			return err
		}
		spent, woken := n.CPU(), n.Wakes()
		if b.Soon != nil {
			b.Soon(n.PID())
		}
		if err := b.until(ctx, until, "measuring"); err != nil {
			return err
		}
		used, wakes := n.CPU()-spent, n.Wakes()-woken
		_, result.Peak = n.Memory()
		came, err := stop()
		if err != nil {
			return err
		}
		if err := n.Stop(); err != nil { // which sends and records what was claimed
			return err
		}
		rest, err := s.sink.Empty(ctx)
		if err != nil {
			return err
		}
		if err := s.open(ctx); err != nil {
			return err
		}
		late, err := s.lateness(ctx, since, until)
		if err != nil {
			return err
		}
		if len(late) == 0 {
			return n.Explain(fmt.Errorf("of %d slots none was sent: they are too many for this machine and these servers, or those fail", result.Slots))
		}
		// A node that cannot keep up leaves the last slots for later.
		if len(late) > result.Slots+rate {
			return fmt.Errorf("%d messages were sent for %d slots", len(late), result.Slots)
		}
		all, err := s.lateness(ctx, began.Add(-time.Minute), time.Now().Add(time.Minute))
		if err != nil {
			return err
		}
		if came += rest; came != len(all) {
			return fmt.Errorf("of the messages that the node sent the ledger holds %d, and in the queue were %d", len(all), came)
		}
		result.Sent = len(late)
		result.P50, result.P99, result.P999, result.Most = quantile(late, 0.5), quantile(late, 0.99), quantile(late, 0.999), late[len(late)-1]
		result.CPU = used / time.Duration(len(late))
		result.Wakes = float64(wakes) / float64(len(late))
		result.Processor = float64(used) / float64(length)
		result.Alone, err = s.alone(ctx)
		return err
	})
	return result, err
}

// keepEmpty empties the queue each second until it is stopped, which gives how many messages
// were in it, or the error that ended it before.
func (s *site) keepEmpty(ctx context.Context) (stop func() (int, error)) {
	emptying, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	var came int
	var failed error
	go func() {
		defer close(done)
		for failed == nil {
			select {
			case <-time.After(untilAside(time.Second)):
				var n int
				n, failed = s.sink.Empty(ctx)
				came += n
			case <-emptying.Done():
				return
			}
		}
	}()
	return func() (int, error) { cancel(); <-done; return came, failed }
}
