// Package measure measures a node at work: it starts the command that users run,
// with a database and a queue of its own on the servers that the settings name, and
// looks at it from outside.
//
//   - Nothing of the user's is read or changed. The database is made on the server
//     of the URL and dropped at the end; for SQLite it is a file in a new folder
//     beside the URL's. At the broker there are a queue of its own, which no worker
//     reads, and the fence of an installation of its own. All of them carry the
//     name onebeat_bench_….
//   - The journal, the record and the ledger are on, as they always are. When a
//     message was sent is by the ledger: when the broker had acknowledged it.
//   - Processor time and memory are the node's, by the kernel's account: user and
//     system time of all its threads, and what is resident. They are zero where the
//     system is not Linux. What the servers use is not in them.
//
// Whatever runs beside it on the machine is in the figures too.
package measure

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/onebeat/onebeat/internal/app"
	"github.com/onebeat/onebeat/internal/broker"
	"github.com/onebeat/onebeat/internal/store"
)

// A Bench is what measurements are made with.
type Bench struct {
	// Config names the servers: database and broker, and how they are reached.
	Config app.Config

	// Serve is the command line of the daemon, which reads its settings from the file
	// that ONEBEAT_CONFIG names.
	Serve []string

	// Progress is told what is waited for; it may be nil.
	Progress func(format string, args ...any)

	// Soon is called with the node's process id when a burst's first claim is near, and
	// when the time begins that a steady rate is measured for, unless it is nil.
	Soon func(pid int)
}

func (b *Bench) progress(format string, args ...any) {
	if b.Progress != nil {
		b.Progress(format, args...)
	}
}

// A site is all that one user of onebeat has.
type site struct {
	bench   *Bench
	config  app.Config
	scratch *store.Scratch
	store   *store.Store
	sink    broker.Sink
	queue   string
	dir     string
}

// Name makes a name of a database or a queue that nobody else has.
func Name() string {
	random := make([]byte, 6)
	_, _ = rand.Read(random) // it never fails (crypto/rand)
	return "onebeat_bench_" + hex.EncodeToString(random)
}

var errStopped = errors.New("stopped before the end")

// cleaning bounds what is done at the end, also after a Ctrl-C.
const cleaning = 30 * time.Second

// at makes a site, calls do with it, and leaves nothing behind.
func (b *Bench) at(ctx context.Context, do func(s *site) error) (err error) {
	s := &site{bench: b, queue: Name()}
	defer func() {
		if err != nil && errors.Is(ctx.Err(), context.Canceled) {
			err = errStopped
		}
		cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleaning)
		defer cancel()
		if left := s.remove(cleanup); left != nil {
			err = errors.Join(err, fmt.Errorf("remove %s by hand: %w", s.queue, left))
		}
	}()
	if err := s.make(ctx); err != nil {
		return err
	}
	return do(s)
}

func (s *site) make(ctx context.Context) (err error) {
	if s.dir, err = os.MkdirTemp("", s.queue+"-"); err != nil {
		return err
	}
	if s.scratch, err = store.NewScratch(ctx, s.bench.Config.String("database"), s.queue); err != nil {
		return err
	}
	s.config = s.bench.Config.With(map[string]string{
		"database": s.scratch.URL, "catalog": "native", "home": "auto", "zone": "UTC", "node": s.queue, "ledger": store.LedgerAll,
		"events": "false", "redis-sync": "false", "declare": "false", "catch-up": "false", "log-level": "info", "log-format": "text",
	})
	if err = s.open(ctx); err != nil {
		return err
	}
	if err = s.store.Migrate(ctx); err != nil {
		return err
	}
	if err = s.store.Name(ctx, s.queue); err != nil { // and with it what is at the broker
		return err
	}
	transport, err := app.TransportOptions(s.config)
	if err != nil {
		return err
	}
	url, err := app.BrokerURL(s.config)
	if err != nil {
		return err
	}
	s.sink, err = broker.OpenSink(ctx, url, s.queue, broker.Options{
		Installation: s.store.Installation(), TransportOptions: transport, Node: s.queue, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil && !errors.Is(err, broker.ErrNoSink) {
		return fmt.Errorf("%w: does the broker run, and is its URL right?", err)
	}
	return err
}

// open opens the store. It may have been closed before.
func (s *site) open(ctx context.Context) error {
	celery, err := app.CelerySettings(s.config)
	if err != nil {
		return err
	}
	s.store, err = app.OpenStore(ctx, s.config, celery, store.MissingMade, slog.New(slog.DiscardHandler))
	return err
}

func (s *site) remove(ctx context.Context) error {
	var errs []error
	if s.sink != nil {
		errs = append(errs, s.sink.Remove(ctx), s.sink.Close())
	}
	if s.store != nil {
		s.store.Close()
	}
	if s.scratch != nil {
		errs = append(errs, s.scratch.Drop(ctx))
	}
	_ = os.RemoveAll(s.dir) // a temporary folder
	return errors.Join(errs...)
}

// add adds n entries that are due by the spec of their number.
func (s *site) add(ctx context.Context, n int, name string, spec func(i int) string) error {
	const atOnce = 20_000
	for done := 0; done < n; {
		s.bench.progress("adding entries: %d of %d", done, n)
		next := min(done+atOnce, n)
		if err := s.store.Fill(ctx, s.definitions(done, next, name, spec)); err != nil {
			return err
		}
		done = next
	}
	return nil
}

// definitions are entries from a number to before another, each with arguments and
// options of its own.
func (s *site) definitions(from, to int, name string, spec func(i int) string) []store.Definition {
	options := fmt.Sprintf(`{"queue": %q, "expires": 1800, "soft_time_limit": 300}`, s.queue)
	var all []store.Definition
	for i := from; i < to; i++ {
		all = append(all, store.Definition{
			Name: fmt.Sprintf("%s %d", name, i), Task: "bench.tasks.report", Spec: spec(i), Args: fmt.Sprintf(`["daily", %d]`, i),
			Kwargs: fmt.Sprintf(`{"schedule_id": %d, "from_date": "20250729", "to_date": "20250730"}`, i), Options: options,
		})
	}
	return all
}

// hourly is the spec of an entry that is due at a slot, and each hour from then on.
func hourly(slot time.Time) func(int) string {
	text := "@every 1h from " + slot.UTC().Format(time.RFC3339Nano)
	return func(int) string { return text }
}

// evenly are the specs of entries of every second, of which so many are due in each, at
// even distances.
func evenly(rate int) func(int) string {
	return func(i int) string {
		return "@every 1s from " + time.Unix(0, int64(i)*int64(time.Second)/int64(rate)).UTC().Format(time.RFC3339Nano)
	}
}

// start starts a node on the site.
func (s *site) start() (*node, error) {
	listen, err := freeAddress()
	if err != nil {
		return nil, err
	}
	text, err := s.config.With(map[string]string{"listen": listen}).File()
	if err != nil {
		return nil, err
	}
	file := s.dir + "/onebeat.yaml"
	if err := os.WriteFile(file, text, 0o600); err != nil { // it may hold passwords
		return nil, err
	}
	environ := slices.DeleteFunc(os.Environ(), func(pair string) bool {
		name, _, _ := strings.Cut(pair, "=")
		return strings.HasPrefix(name, "ONEBEAT_") || strings.HasPrefix(name, "CELERY_") || name == "DATABASE_URL" || name == "REDIS_URL"
	})
	p, err := Launch(s.bench.Serve, append(environ, "ONEBEAT_CONFIG="+file), s.dir, s.dir+"/onebeat.log")
	if err != nil {
		return nil, err
	}
	return &node{Process: p, listen: listen}, nil
}

// recorded waits until no batch is left in the journal.
func (s *site) recorded(ctx context.Context, n *node) error {
	return n.Await(ctx, func() error {
		open, err := s.store.Shard(0).Journal(ctx)
		if err == nil && len(open) > 0 {
			err = fmt.Errorf("%d batches are not recorded", len(open))
		}
		return err
	})
}

// lateness returns how late each sent slot of [since, until) was acknowledged, in order.
func (s *site) lateness(ctx context.Context, since, until time.Time) ([]time.Duration, error) {
	var late []time.Duration
	err := s.store.Sent(ctx, since, until, func(slot, sentAt time.Time) { late = append(late, sentAt.Sub(slot)) })
	slices.Sort(late)
	if err == nil && len(late) > 0 && late[0] < 0 {
		err = fmt.Errorf("a message left %v before its slot", -late[0])
	}
	return late, err
}

// until waits for an instant, and tells of what.
func (b *Bench) until(ctx context.Context, at time.Time, what string) error {
	for time.Now().Before(at) {
		b.progress("%s: %v", what, time.Until(at).Round(time.Second))
		select {
		case <-time.After(min(time.Until(at), untilAside(500*time.Millisecond))):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return ctx.Err()
}

// untilAside is how long it is until the next look of one each so often. Looks come aside from the instants that slots are at:
// who measures would have a processor of two at the very moment when what is measured wakes up, which made the first message
// of a herd some 4 ms later, and a fifth of ten slots a second.
func untilAside(each time.Duration) time.Duration {
	const aside = 37 * time.Millisecond
	now := time.Now()
	return now.Add(-aside).Truncate(each).Add(each + aside).Sub(now)
}

// A Sighting is what was seen of a queue from the outside.
type Sighting struct {
	Count       int
	First, Last time.Time // when the first message was seen, and the last of Count
}

// glance is how often a queue is looked at: the precision of a sighting. A broker that takes
// long to answer is looked at less often, so that looking does not keep it from its work.
const (
	glance     = 2 * time.Millisecond
	glanceMost = 50 * time.Millisecond
)

// Observe looks at a queue's length until it is want, or for at most window from
// when the first message is seen, which has to be within patience.
func Observe(ctx context.Context, length func(context.Context) (int, error), want int, patience, window time.Duration) (Sighting, error) {
	var seen Sighting
	over := time.Now().Add(patience)
	for seen.Count < want && time.Now().Before(over) {
		asked := time.Now()
		n, err := length(ctx)
		now := time.Now()
		if err != nil {
			return seen, err
		}
		if n > 0 && seen.Count == 0 {
			seen.First = now
			over = now.Add(window)
		}
		if n > seen.Count {
			seen.Count, seen.Last = n, now
		}
		select {
		case <-time.After(min(max(glance, 20*now.Sub(asked)), glanceMost)):
		case <-ctx.Done():
			return seen, ctx.Err()
		}
	}
	if seen.Count == 0 {
		return seen, fmt.Errorf("nothing came within %v", patience)
	}
	return seen, nil
}

// Servers names the kinds of the database and the broker, as in "PostgreSQL + Redis".
func (b *Bench) Servers() string {
	kind := func(setting string) string {
		scheme, _, _ := strings.Cut(b.Config.String(setting), ":")
		scheme, _, _ = strings.Cut(strings.ToLower(scheme), "+")
		return cmp.Or(map[string]string{
			"postgres": "PostgreSQL", "postgresql": "PostgreSQL", "mysql": "MySQL", "mariadb": "MariaDB", "sqlite": "SQLite",
			"redis": "Redis", "rediss": "Redis", "valkey": "Valkey", "valkeys": "Valkey", "sentinel": "Redis", "amqp": "RabbitMQ", "amqps": "RabbitMQ", "pyamqp": "RabbitMQ",
		}[scheme], scheme)
	}
	return kind("database") + " + " + kind("broker")
}

// quantile is the element of a sorted list below which so much of it lies.
func quantile(sorted []time.Duration, share float64) time.Duration {
	return sorted[min(int(share*float64(len(sorted))), len(sorted)-1)]
}
