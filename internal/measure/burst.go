package measure

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/onebeat/onebeat/internal/app"
	"github.com/onebeat/onebeat/internal/celery"
)

// A Burst is what was measured of entries that were due at one instant.
type Burst struct {
	Entries int `json:"entries"`
	Beside  int `json:"beside,omitempty"` // so many others that are not due

	// From the slot: First and Last are the broker's first and last acknowledgement,
	// by the ledger; Seen is until the queue was seen to hold the last message.
	First time.Duration `json:"first_ns"`
	Last  time.Duration `json:"last_ns"`
	Seen  time.Duration `json:"seen_ns"`
	Rate  float64       `json:"messages_per_second"` // to Last

	// Bare is the broker's own rate of confirmed messages, measured right before and right
	// after with as many of the same messages; 0 where there is no such measure, as on Redis.
	Bare float64 `json:"bare_messages_per_second,omitempty"`

	CPU    time.Duration `json:"cpu_per_message_ns"` // until the last is recorded
	Memory int64         `json:"memory_bytes"`       // resident before the slot
	Peak   int64         `json:"peak_bytes"`         // the most from the start to the end
}

// settle is how long before the slot a node begins to load so many entries, with what it gives back five
// seconds later: a start of its own, and no part of what messages cost.
func settle(entries int) time.Duration {
	return 7*time.Second + time.Duration(entries)*100*time.Microsecond
}

// burstFor bounds a burst.
const burstFor = 2 * time.Minute

// behind is how long after the slot the queue is looked at first: until then the processors are the node's and the broker's.
const behind = 5 * time.Millisecond

// errBusy is a slot that came before the node was ready for it.
var errBusy = errors.New("the slot came before the entries were loaded: the machine is too busy to measure anything")

// Burst measures entries that are all due at one instant, in a catalog that has so many
// beside them which are due a day later. On a busy machine it tries again, with as much more time as loading took.
func (b *Bench) Burst(ctx context.Context, entries, beside int) (Burst, error) {
	began := time.Now()
	result, err := b.burst(ctx, entries, beside, settle(entries+beside))
	if errors.Is(err, errBusy) {
		result, err = b.burst(ctx, entries, beside, 2*time.Since(began))
	}
	return result, err
}

func (b *Bench) burst(ctx context.Context, entries, beside int, settle time.Duration) (Burst, error) {
	result := Burst{Entries: entries, Beside: beside}
	err := b.at(ctx, func(s *site) error {
		before, err := s.bare(ctx, entries)
		if err != nil {
			return err
		}
		if err := s.add(ctx, beside, "report of another customer", hourly(farOff())); err != nil {
			return err
		}
		slot := time.Now().Add(settle).Truncate(time.Second)
		if err := s.add(ctx, entries, "report of customer", hourly(slot)); err != nil {
			return err
		}
		n, err := s.start()
		if err != nil {
			return err
		}
		defer n.Kill()
		if _, err := n.armed(ctx, entries+beside, loadPause); err != nil {
			return err
		}
		if time.Until(slot) < time.Second {
			return errBusy
		}
		if err := b.until(ctx, slot.Add(-700*time.Millisecond), "waiting for the slot"); err != nil { // before the first claim
			return err
		}
		result.Memory, _ = n.Memory()
		spent := n.CPU()
		if b.Soon != nil {
			b.Soon(n.PID())
		}
		if _, err := s.sink.Length(ctx); err != nil { // which connects
			return err
		}
		if err := b.until(ctx, slot.Add(behind), "waiting for the slot"); err != nil {
			return err
		}
		seen, err := Observe(ctx, s.sink.Length, entries, burstFor, burstFor)
		if err != nil {
			return n.Explain(err)
		}
		result.Seen = seen.Last.Sub(slot)
		if err := s.recorded(ctx, n); err != nil {
			return err
		}
		result.CPU = (n.CPU() - spent) / time.Duration(entries)
		_, result.Peak = n.Memory()
		if err := n.Stop(); err != nil {
			return err
		}
		late, err := s.lateness(ctx, slot, slot.Add(time.Second))
		if err != nil {
			return err
		}
		if len(late) != entries || seen.Count != entries {
			return fmt.Errorf("of %d messages the ledger holds %d, and the queue %d", entries, len(late), seen.Count)
		}
		result.First, result.Last = late[0], late[len(late)-1]
		result.Rate = float64(entries) / result.Last.Seconds()
		after, err := s.bare(ctx, entries)
		if before > 0 {
			result.Bare = 2 * float64(entries) / (before + after).Seconds()
		}
		return err
	})
	return result, err
}

// bare returns how long the broker itself takes for n messages, one by one confirmed; 0 if
// it has no such thing.
func (s *site) bare(ctx context.Context, n int) (time.Duration, error) {
	sink, ok := s.sink.(interface {
		Bare(ctx context.Context, messages []celery.Message, n int) (time.Duration, error)
	})
	if !ok {
		return 0, nil
	}
	settings, err := app.CelerySettings(s.config)
	if err != nil {
		return 0, err
	}
	const different = 1000
	messages := make([]celery.Message, 0, different)
	for i, d := range s.definitions(0, different, "report of customer", hourly(time.Now())) {
		template, err := settings.Template(celery.Task{Name: d.Task, Entry: d.Name, Args: d.Args, Kwargs: d.Kwargs, Options: d.Options})
		if err != nil {
			return 0, err
		}
		id := fmt.Sprintf("00000000-0000-5000-8000-%012d", i)
		messages = append(messages, celery.Message{Template: template, ID: id, Slot: time.Now(), At: time.Now(), Index: i})
	}
	s.bench.progress("the broker alone")
	return sink.Bare(ctx, messages, n)
}
