// Package app wires a node together: settings, database, broker, the lease, and
// the steps that work under it.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/onebeat/onebeat/internal/audit"
	"github.com/onebeat/onebeat/internal/broker"
	"github.com/onebeat/onebeat/internal/celery"
	"github.com/onebeat/onebeat/internal/dispatch"
	"github.com/onebeat/onebeat/internal/schedule"
	"github.com/onebeat/onebeat/internal/store"
	"github.com/onebeat/onebeat/internal/web"
)

// A node is one running process.
type node struct {
	config Config
	log    *slog.Logger
	name   string // does not change once the database has answered; see called
	clock  *clock
	celery *celery.Config
	store  *store.Store

	dispatching *dispatch.Metrics // of all shards
	metrics     *metrics
	garbage     collector
	exit        func(code int)

	reaches atomic.Bool // this node reaches the broker
	alone   atomic.Bool // no other node was seen
	silent  atomic.Pointer[silence]
	roll    atomic.Pointer[store.Roll] // of the nodes, as it was last seen
	cut     chan struct{}              // told when this node has come not to reach it

	// Once the database has answered:
	roster  *store.Roster
	scanner *audit.Scanner
	shards  []*shard

	mu          sync.Mutex
	unreached   error      // why the database has not answered yet
	forecasting sync.Mutex // held by the one forecast that is made at a time
}

// Run is the daemon: it serves until ctx ends, and then returns nil once what it
// had claimed is sent and recorded. A database or a broker that is down is
// waited for; an error is a fault of the settings.
func Run(ctx context.Context, config Config, log *slog.Logger) error {
	n := &node{config: config, log: log, clock: newClock(log), name: NodeName(config), dispatching: dispatch.NewMetrics(), exit: os.Exit, cut: make(chan struct{}, 1)}
	n.reaches.Store(true)
	n.alone.Store(true)
	n.metrics = newMetrics(n)
	var err error
	if n.celery, err = CelerySettings(config); err != nil {
		return err
	}
	if err := CheckURLs(config); err != nil {
		return err // before the database is waited for
	}
	log.Info("onebeat starts", "version", Version(), "node", n.name, "database", broker.Redact(config.String("database")),
		"broker", broker.Redact(config.String("broker")), "zone", config.String("zone"), "listen", config.String("listen"))

	serving, stopServing := context.WithCancel(context.WithoutCancel(ctx))
	defer stopServing()
	group, serving := errgroup.WithContext(serving)
	if address := config.String("listen"); address != "off" {
		listener, err := net.Listen("tcp", address)
		if err != nil {
			return fmt.Errorf("listen: %w; choose another address with --listen", err)
		}
		registry := prometheus.NewRegistry()
		registry.MustRegister(n.dispatching, n.metrics)
		group.Go(func() error { return web.Serve(serving, listener, n, registry, log) })
	}
	group.Go(func() error {
		defer stopServing()
		if err := n.connect(ctx); err != nil || ctx.Err() != nil {
			return err
		}
		defer n.store.Close()
		defer func() {
			for _, s := range n.shards {
				_ = s.broker.Close()
			}
		}()
		if err := n.takeOver(ctx); err != nil || ctx.Err() != nil {
			return err
		}
		nudges, stop := context.WithCancel(ctx)
		defer stop()
		if url := config.String("redis-url"); url != "" && config.Bool("redis-sync") {
			group.Go(func() error { return listenToRedis(nudges, url, config.String("redis-channel"), n.store.Poke, log) })
		}
		return n.work(ctx)
	})
	err = group.Wait()
	if err == nil {
		log.Info("onebeat has stopped", "node", n.name)
	}
	return err
}

// called is this node's name, also before the database has answered.
func (n *node) called() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.name
}

// connect opens the database, waiting for it if it is down, and the broker.
func (n *node) connect(ctx context.Context) error {
	failed := ""
	for {
		err := n.openStore(ctx)
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			return nil
		}
		if refused := new(RefusedError); errors.As(err, &refused) {
			return err
		}
		n.mu.Lock()
		n.unreached = err
		n.mu.Unlock()
		if err.Error() != failed {
			failed = err.Error()
			n.log.Error("the database cannot be used; trying on", "err", err)
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return nil
		}
	}
	trace, err := openTrace(n.name)
	if err != nil {
		return err
	}
	var shards []*shard
	for number := range n.config.Int("shards") {
		s, err := n.shard(number, trace)
		if err != nil {
			return err
		}
		shards = append(shards, s)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.scanner = audit.NewScanner(n.store, audit.ScannerOptions{
		Options: audit.Options{Exceptions: n.config.String("ledger") == store.LedgerExceptions}, Now: n.clock.Now, Logger: n.log,
	})
	n.roster = n.store.Roster()
	n.shards = shards
	return nil
}

// A RefusedError is why a node does not start: waiting would not mend it. It says what to do.
type RefusedError struct{ Err error }

func (e *RefusedError) Error() string { return e.Err.Error() }
func (e *RefusedError) Unwrap() error { return e.Err }

// openStore opens the database, makes sure of onebeat's own tables, and that a node can
// work on it.
func (n *node) openStore(ctx context.Context) error {
	missing := store.MissingRefused
	if !hasTable(n.config) {
		missing = store.MissingMade
	}
	s, err := OpenStore(ctx, n.config, n.celery, missing, n.log)
	if refused := new(store.LoginError); errors.As(err, &refused) {
		return &RefusedError{err}
	}
	if err != nil {
		return err
	}
	if err := n.suits(ctx, s); err != nil { // before anything is made there
		s.Close()
		return err
	}
	if err := s.EnsureOwn(ctx); err != nil {
		s.Close()
		if refused := new(store.RightsError); errors.As(err, &refused) {
			return &RefusedError{err}
		}
		return fmt.Errorf("%w; `onebeat migrate` makes the tables, with a user who may", err)
	}
	if err := s.Rights(ctx); err != nil {
		s.Close()
		if refused := new(store.RightsError); errors.As(err, &refused) {
			return &RefusedError{err}
		}
		return err
	}
	if err := n.join(ctx, s); err != nil {
		s.Close()
		return err
	}
	if name := s.Node(); name != n.called() {
		n.log.Warn("another node has the name of this one, or had it a moment ago: this one is told apart", "node", name)
		n.mu.Lock()
		n.name = name
		n.mu.Unlock()
	}
	n.store = s
	return nil
}

// suits returns why no node should start on the database, as a RefusedError.
func (n *node) suits(ctx context.Context, s *store.Store) error {
	err := s.Look(ctx)
	if missing := new(store.TableError); errors.As(err, &missing) {
		return &RefusedError{err}
	}
	if err != nil {
		return err
	}
	before := n.clock.Now()
	now, err := s.Now(ctx)
	if err != nil {
		return err
	}
	after, most := n.clock.Now(), n.config.Length("clock-skew")
	apart := max(before.Sub(now), now.Sub(after)) // at least, however long the answer was on its way
	if apart > most {
		return &RefusedError{fmt.Errorf("this machine's clock says %s and the database's %s: set the one that is wrong, by NTP, or let them be further apart than %v with --clock-skew",
			before.Format(time.RFC3339), now.UTC().Format(time.RFC3339), most)}
	}
	return nil
}

// join makes this node known to the others, or returns why they and it do not go together.
func (n *node) join(ctx context.Context, s *store.Store) error {
	err := s.Join(ctx)
	if refused := new(store.InputError); errors.As(err, &refused) {
		return &RefusedError{err}
	}
	return err
}

// CheckURLs returns what is wrong with the URLs of the database, the broker and
// the Redis that tells of edits, and with the names of catalogs, all faults together. One that is
// not set may be in the settings file, if that could not be read.
func CheckURLs(config Config) error {
	var faults []error
	switch {
	case config.String("database") != "":
		faults = append(faults, store.CheckURL(config.String("database")))
	case !config.unread:
		faults = append(faults, ErrNoDatabase)
	}
	if config.String("broker") != "" || !config.unread {
		faults = append(faults, checkBroker(config))
	}
	if config.Bool("redis-sync") && config.String("redis-url") != "" {
		_, err := redisOption(config.String("redis-url"))
		faults = append(faults, err)
	}
	_, sources, err := catalogsOf(config)
	faults = append(faults, err)
	if shards := config.Int("shards"); shards > 1 && len(lockers(sources)) > 0 {
		faults = append(faults, fmt.Errorf("shards is %d, and one lock is for all of RedBeat's entries: leave it at 1", shards))
	}
	return errors.Join(faults...)
}

// ErrNoDatabase says that the settings name no database.
var ErrNoDatabase = errors.New("no database is set: give --database, or DATABASE_URL in the environment")

// OpenStore opens the database that the settings name. Payloads are message
// templates. A SQLite file that is not there and in which no entries are looked for is not
// refused but taken for empty. Settings that do not go together are a SettingsError.
func OpenStore(ctx context.Context, config Config, celeryConfig *celery.Config, missing store.Missing, log *slog.Logger) (*store.Store, error) {
	home := config.String("home")
	if home == "auto" {
		home = ""
	}
	table, sources, err := catalogsOf(config)
	if err != nil {
		return nil, SettingsError{err}
	}
	if missing == store.MissingRefused && table == "none" {
		missing = store.MissingEmpty
	}
	return store.Open(ctx, config.String("database"), store.Options{
		Shards:   config.Int("shards"),
		Node:     NodeName(config),
		Zone:     config.String("zone"),
		Catalog:  table,
		Sources:  sources,
		Schema:   config.String("beat-schema"),
		Django:   djangoTime(config),
		Home:     home,
		CatchUp:  config.Bool("catch-up"),
		Ledger:   config.String("ledger"),
		KeepRuns: config.Int("keep-runs"),
		Held:     held,
		LeaseFor: config.Length("lease"),
		Prepare:  prepare(celeryConfig),
		Sound:    sound(celeryConfig),
		Missing:  missing,
		Logger:   log,
	})
}

// prepare makes an entry's message template, and lets go of what it was made from.
func prepare(config *celery.Config) func(*schedule.Entry) error {
	return func(e *schedule.Entry) error {
		template, err := config.Template(celery.Task{Name: e.Task, Entry: e.Name, Args: e.Args, Kwargs: e.Kwargs, Options: e.Options})
		if err != nil {
			return err
		}
		e.Payload, e.Row = template, nil
		if name := template.Entry(); name == e.Name {
			e.Name = name // which is held once
		}
		return nil
	}
}

// sound says of an entry that prepare will not refuse it.
func sound(config *celery.Config) func(*schedule.Entry) bool {
	return func(e *schedule.Entry) bool {
		return config.Sound(celery.Task{Name: e.Task, Entry: e.Name, Args: e.Args, Kwargs: e.Kwargs, Options: e.Options})
	}
}

// CelerySettings reads the settings under Celery's own names.
func CelerySettings(config Config) (*celery.Config, error) {
	given := map[string]any{}
	for name, value := range config.Celery() {
		if !slices.Contains(ofTransport, name) {
			given[name] = value
		}
	}
	c, err := celery.ParseConfig(given)
	if err != nil {
		return nil, fmt.Errorf("settings of Celery: %w", err)
	}
	c.Origin = "onebeat@" + host()
	c.AtMostOnce = config.String("delivery") == celery.AtMostOnce
	return c, nil
}

// NodeName is the node's name by the settings, or the host's name and the process id.
func NodeName(config Config) string {
	if name := config.String("node"); name != "" {
		return name
	}
	return fmt.Sprintf("%s:%d", host(), os.Getpid())
}

func host() string {
	name, err := os.Hostname()
	if err != nil {
		return "unknown"
	}
	return name
}

// work watches the catalog, and leads whenever the lease comes to this node, until
// ctx ends and what was claimed is sent.
func (n *node) work(ctx context.Context) error {
	watching, stop := context.WithCancel(context.WithoutCancel(ctx))
	group, watching := errgroup.WithContext(watching)
	group.Go(func() error { return n.watch(watching) })
	group.Go(func() error { return n.stand(watching) })
	group.Go(func() error { return n.watchOver(watching) })
	leading, ctx := errgroup.WithContext(ctx)
	for _, s := range n.shards {
		leading.Go(func() error { return s.take(ctx) })
	}
	leading.Go(func() error { return n.greet(ctx) })
	leading.Go(func() error { return n.attend(ctx) })
	leading.Go(func() error { return n.reach(ctx) })
	err := leading.Wait()
	stop()
	return errors.Join(err, group.Wait())
}

// greet asks the broker for an answer until it has given one, and fails if it does not let this node in: the
// settings are wrong then. What a broker does that has answered once is to be outlived.
func (n *node) greet(ctx context.Context) error {
	for {
		asking, cancel := context.WithTimeout(ctx, 5*time.Second)
		err := n.shards[0].broker.Ping(asking)
		cancel()
		switch {
		case err == nil || ctx.Err() != nil:
			return nil
		case errors.Is(err, celery.ErrLogin):
			return &RefusedError{fmt.Errorf("%w; correct them in the URL of the broker", err)}
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return nil
		}
	}
}

// watch keeps the roster until ctx ends.
func (n *node) watch(ctx context.Context) error {
	for failed := ""; ; {
		err := n.roster.Run(ctx)
		if ctx.Err() != nil {
			return nil
		}
		n.metrics.reloadErrors.Inc()
		if err.Error() != failed {
			failed = err.Error()
			n.log.Error("entries cannot be read; trying on", "err", err)
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return nil
		}
	}
}

// stand says when this node knows the catalog, and gives back what reading it left.
func (n *node) stand(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-n.roster.Known():
	}
	if len(n.led()) == 0 {
		n.log.Info("standing by with the catalog loaded", "entries", n.roster.Count())
	}
	n.garbage.loaded()
	select { // what is seen for the first time is written down and handed over still
	case <-ctx.Done():
	case <-time.After(settleFor):
		n.garbage.loaded()
		letGoOfBinary()
	}
	return nil
}

// settleFor is how long after the catalog is known it is in use as it will be: what it took
// to come there is let go of.
const settleFor = 5 * time.Second

// tendInterval is the time between looks at what of the ledger is old.
const tendInterval = 10 * time.Minute

// tendLedger drops what of the ledger is old, now and then, until ctx ends.
func (n *node) tendLedger(ctx context.Context) error {
	for failed := ""; ; {
		err := n.store.TendLedger(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			failed = ""
		case err.Error() != failed:
			failed = err.Error()
			n.log.Warn("the ledger cannot be tended; trying on", "err", err)
		}
		select {
		case <-time.After(tendInterval):
		case <-ctx.Done():
			return nil
		}
	}
}
