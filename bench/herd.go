package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/gofrs/uuid/v5"
)

// A line is one way to send: a database and a broker.
type line struct{ database, broker string }

func (l line) String() string {
	name := map[string]string{"postgres": "PostgreSQL", "sqlite": "SQLite", "redis": "Redis", "rabbitmq": "RabbitMQ"}
	return "onebeat, " + name[l.database] + " + " + name[l.broker]
}

// A site is all that one user of onebeat has.
type site struct {
	bench    *bench
	database *database
	broker   string // URL
	queue    queue
	name     string // of the queue
	dir      string
}

func newName() string {
	return "bench_" + strings.ReplaceAll(uuid.Must(uuid.NewV4()).String(), "-", "")
}

// newSite makes a site whose table is as `onebeat migrate` makes it.
func (b *bench) newSite(ctx context.Context, l line) (s *site, err error) {
	s = &site{bench: b, name: newName()}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.dir, err = os.MkdirTemp("", "onebeat-bench-"); err != nil {
		return s, err
	}
	if s.database, err = newDatabase(ctx, l.database, b.postgres, s.dir); err != nil {
		return s, err
	}
	switch l.broker {
	case "redis":
		s.broker = b.redis
		s.queue, err = newRedisQueue(s.broker, s.name, func() string { return "onebeat:" + s.database.installation(context.Background()) + ":0" })
	case "rabbitmq":
		s.broker = b.rabbitmq
		s.queue, err = newAMQPQueue(s.broker, s.name)
	}
	if err != nil {
		return s, fmt.Errorf("make a queue: %w", err)
	}
	migrate := exec.CommandContext(ctx, b.onebeat, "migrate")
	migrate.Env = append(os.Environ(), s.env()...)
	if out, err := migrate.CombinedOutput(); err != nil {
		return s, fmt.Errorf("onebeat migrate: %w\n%s", err, out)
	}
	return s, nil
}

func (s *site) env() []string {
	return []string{"ONEBEAT_DATABASE=" + s.database.url, "ONEBEAT_BROKER=" + s.broker}
}

func (s *site) close() {
	if s.queue != nil {
		s.queue.remove()
	}
	if s.database != nil {
		s.database.close()
	}
	_ = os.RemoveAll(s.dir) // a temporary folder
}

// A Start is how long after its start a node had all entries planned, and had
// sent the first message: of the probes, of which one is due each tenth of a
// second, and which are read first. What is read last goes out when all is loaded.
type Start struct {
	Loaded    time.Duration `json:"loaded_ns"`
	FirstSend time.Duration `json:"first_send_ns"`
}

// A Herd is what was measured of entries that were due at one instant.
type Herd struct {
	Scheduler string `json:"scheduler"`
	Entries   int    `json:"entries"`

	// Sent is how many messages had come when it was over: less than Entries where
	// the time that was given to it had passed.
	Sent int `json:"sent"`

	// First and Last are from the slot to the broker's acknowledgement by the
	// ledger; Seen is until the queue was seen to hold the last. For beat all are by
	// the queue, and count from the first message if that came later than the slot.
	First time.Duration `json:"first_ns"`
	Last  time.Duration `json:"last_ns"`
	Seen  time.Duration `json:"seen_ns"`
	Rate  float64       `json:"messages_per_second"`

	// CPU is the scheduler's processor time a message, all that it does until the
	// last is recorded.
	CPU time.Duration `json:"cpu_per_message_ns"`

	Memory int64 `json:"memory_bytes"` // resident before the slot
	Peak   int64 `json:"peak_bytes"`   // the most from the start to the end

	FirstStart *Start `json:"first_start,omitempty"` // on a table that onebeat has never seen
	Restart    *Start `json:"restart,omitempty"`
}

// settle is how long before the slot a node should have loaded so many entries,
// twice, and be at rest.
func settle(entries int) time.Duration {
	return 6*time.Second + time.Duration(entries)*240*time.Microsecond
}

// errBusy is a slot that came before the node was ready for it.
var errBusy = errors.New("the slot came before the entries were loaded: the machine is too busy to measure anything")

// herd measures onebeat. On a busy machine it tries again, with more time to load.
func (b *bench) herd(ctx context.Context, l line, entries int, window time.Duration) (Herd, error) {
	result, err := b.tryHerd(ctx, l, entries, window, settle(entries))
	if errors.Is(err, errBusy) {
		result, err = b.tryHerd(ctx, l, entries, window, 3*settle(entries))
	}
	return result, err
}

func (b *bench) tryHerd(ctx context.Context, l line, entries int, window, settle time.Duration) (Herd, error) {
	result := Herd{Scheduler: l.String(), Entries: entries}
	s, err := b.newSite(ctx, l)
	if err != nil {
		return result, err
	}
	defer s.close()
	slot := time.Now().Add(settle).Truncate(time.Second)
	if err := s.database.probe(ctx, s.name); err != nil { // they come first in the table
		return result, err
	}
	if err := s.database.fill(ctx, entries, slot, s.name); err != nil {
		return result, err
	}
	var n *node
	for _, at := range []**Start{&result.FirstStart, &result.Restart} {
		if n != nil {
			if err := n.stop(); err != nil {
				return result, err
			}
		}
		if n, *at, err = s.start(ctx, entries); err != nil {
			return result, err
		}
		defer n.process.Kill() // does nothing to one that has ended
	}
	if err := s.database.unprobe(ctx); err != nil {
		return result, err
	}
	if err := until(ctx, slot.Add(-700*time.Millisecond)); err != nil { // before its first claim
		return result, err
	}
	if time.Now().After(slot) {
		return result, errBusy
	}
	before, err := s.queue.length(ctx)
	if err != nil {
		return result, err
	}
	pid := n.process.PID()
	if result.Memory, err = memory(pid, resident); err != nil {
		return result, err
	}
	spent, err := cpu(pid)
	if err != nil {
		return result, err
	}
	if b.profile != "" {
		_ = n.process.Signal(syscall.SIGUSR1)
	}
	seen, err := observe(ctx, behind{s.queue, before}, entries, slot, window, window)
	if err != nil {
		return result, fmt.Errorf("%w\n%s", err, n.process.Tail(20))
	}
	result.Sent, result.Seen = seen.count, seen.last.Sub(slot)
	if err := n.process.Await(ctx, s.database.recorded); err != nil {
		return result, err
	}
	all, err := cpu(pid)
	if err != nil {
		return result, err
	}
	result.CPU = (all - spent) / time.Duration(seen.count)
	if result.Peak, err = memory(pid, peak); err != nil {
		return result, err
	}
	if err := n.stop(); err != nil {
		return result, err
	}
	return result, result.read(ctx, s.database)
}

// read takes over what the ledger says.
func (h *Herd) read(ctx context.Context, d *database) error {
	late, err := d.lateness(ctx, herdTask)
	if err != nil {
		return err
	}
	if len(late) != h.Entries {
		return fmt.Errorf("the ledger holds %d sent slots of %d, and the queue %d messages", len(late), h.Entries, h.Sent)
	}
	h.First, h.Last = late[0], late[len(late)-1]
	h.Rate = float64(len(late)) / h.Last.Seconds()
	return nil
}

// start starts a node and waits until it has loaded all and sent something.
func (s *site) start(ctx context.Context, entries int) (*node, *Start, error) {
	was, err := s.queue.length(ctx)
	if err != nil {
		return nil, nil, err
	}
	n, err := serve(s, s.bench.profile)
	if err != nil {
		return nil, nil, err
	}
	seen, err := observe(ctx, behind{s.queue, was}, 1, n.began, time.Minute, time.Minute)
	if err != nil {
		return n, nil, fmt.Errorf("%w\n%s", err, n.process.Tail(20))
	}
	loaded, err := n.armed(ctx, entries+probes)
	return n, &Start{Loaded: loaded, FirstSend: seen.first.Sub(n.began)}, err
}

// A behind is a queue without the messages that were there before.
type behind struct {
	queue
	before int
}

func (b behind) length(ctx context.Context) (int, error) {
	n, err := b.queue.length(ctx)
	return max(n-b.before, 0), err
}
