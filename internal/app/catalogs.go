package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/onebeat/onebeat/internal/catalog/file"
	"github.com/onebeat/onebeat/internal/catalog/redbeat"
	"github.com/onebeat/onebeat/internal/store"
)

// A SettingsError says which settings do not go together, and what to do.
type SettingsError struct{ error }

func (e SettingsError) Unwrap() error { return e.error }

// catalogsOf returns which tables of the database the entries are in, and their
// catalogs outside of it.
func catalogsOf(config Config) (table string, sources []store.Source, err error) {
	table = "none"
	for kind := range strings.SplitSeq(config.String("catalog"), ",") {
		var source store.Source
		switch {
		case slices.Contains(tables, kind):
			table = kind
			if err := djangoFault(config); err != nil {
				return "", nil, err
			}
			continue
		case kind == "file":
			if config.String("catalog-file") == "" {
				return "", nil, errors.New("no file of entries is named: give --catalog-file")
			}
			source, err = file.New(strings.Split(config.String("catalog-file"), ",")...)
		case kind == "redbeat":
			source, err = openRedBeat(config)
		}
		if err != nil {
			return "", nil, err
		}
		sources = append(sources, source)
	}
	return table, sources, nil
}

// hasTable says whether entries are in a table of the database.
func hasTable(config Config) bool {
	return slices.ContainsFunc(strings.Split(config.String("catalog"), ","), func(kind string) bool { return slices.Contains(tables, kind) })
}

// djangoTime are the settings of Django that say what an instant in its tables means.
func djangoTime(config Config) store.DjangoTime {
	if config.Bool("django-use-tz") {
		return store.DjangoTime{}
	}
	return store.DjangoTime{Zone: config.String("django-time-zone"), NaiveRuns: !config.Bool("django-beat-tz-aware")}
}

// djangoFault is what is missing among those settings.
func djangoFault(config Config) error {
	if config.Bool("django-use-tz") || config.String("django-time-zone") != "" || !slices.Contains(strings.Split(config.String("catalog"), ","), "django") {
		return nil
	}
	return errors.New("django-use-tz is off, and django-time-zone is not set: give Django's TIME_ZONE, which its tables' times are in")
}

func openRedBeat(config Config) (store.Source, error) {
	url := config.String("redbeat-url")
	if url == "" && config.String("broker") != "" {
		all, err := BrokerURL(config)
		if err != nil {
			return nil, err
		}
		url, _, _ = strings.Cut(all, ";")
	}
	if !strings.HasPrefix(url, "redis") && !strings.HasPrefix(url, "unix:") {
		return nil, errors.New("RedBeat's entries are in Redis, and the broker is none: give --redbeat-url")
	}
	lock := config.String("redbeat-lock")
	if lock == "off" {
		lock = ""
	}
	return redbeat.New(url, redbeat.Options{Prefix: config.String("redbeat-prefix"), Lock: lock, Zone: config.String("zone")})
}

// takeOverLead is how long before the instant of a take-over the entries are loaded.
const takeOverLead = 3 * time.Second

// takeOver waits for the instant from which on this installation sends the entries of
// another scheduler. It fails if they were handed back.
func (n *node) takeOver(ctx context.Context) error {
	value := n.config.String("take-over-at")
	if value == "" {
		err := n.store.HandedBack(ctx)
		switch {
		case errors.Is(err, store.ErrHandedBack):
			return &RefusedError{err}
		case err != nil && ctx.Err() == nil:
			n.log.Warn("whether the entries were handed back cannot be read; going on", "err", err)
			return nil
		}
		return err
	}
	at, err := takeOverInstant(value)
	if err != nil {
		return err
	}
	since, said, err := n.store.TakeOver(ctx, at)
	if err != nil {
		return err
	}
	if !said {
		n.log.Info("take-over-at is passed over: onebeat has the entries already", "since", since.UTC())
		return nil
	}
	now, err := n.store.Now(ctx)
	if err != nil {
		return err
	}
	n.log.Info("taking the entries over: no slot before is sent", "at", since.UTC())
	select {
	case <-time.After(since.Sub(now) - takeOverLead):
	case <-ctx.Done():
	}
	return nil
}

// How often the lock of a catalog is asked for, and prolonged.
const (
	lockRetry   = time.Second
	lockProlong = 10 * time.Second
)

// errUnlocked says that another program has taken a catalog's lock.
var errUnlocked = errors.New("another scheduler has taken the lock of its entries")

// lockers are the catalogs that other programs run too.
func lockers(sources []store.Source) (found []store.Locker) {
	for _, source := range sources {
		if locker, ok := source.(store.Locker); ok {
			found = append(found, locker)
		}
	}
	return found
}

// lock takes the locks of catalogs that other programs run too, waiting for those
// that are held; prolong keeps them until ctx ends. A clean end gives them back with
// unlock: after a crash they end by themselves, and another node of this
// installation has them at once.
func (n *node) lock(ctx, hold context.Context) error {
	for _, locker := range lockers(n.store.Sources()) {
		if err := n.await(ctx, hold, locker); err != nil {
			return err
		}
	}
	return nil
}

// await takes one lock.
func (n *node) await(ctx, hold context.Context, locker store.Locker) error {
	for failed := ""; ; {
		free, err := locker.Lock(hold, n.lockOwner())
		switch {
		case err == nil && free == 0:
			return nil
		case err == nil:
			err = fmt.Errorf("another scheduler holds their lock, for %v at most: stop it, and onebeat goes on when it is free", free.Round(time.Second))
		}
		said, _, _ := strings.Cut(err.Error(), ", for ")
		if hold.Err() == nil && ctx.Err() == nil && said != failed {
			failed = said
			n.log.Warn("nothing is sent yet: the entries are not free", "catalog", locker.String(), "err", err)
		}
		select {
		case <-time.After(lockRetry):
		case <-ctx.Done():
			return ctx.Err()
		case <-hold.Done():
			return context.Cause(hold)
		}
	}
}

// prolong keeps the locks until ctx ends. It fails if one was taken.
func (n *node) prolong(ctx context.Context) error {
	tick := time.NewTicker(lockProlong)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		for _, locker := range lockers(n.store.Sources()) {
			free, err := locker.Lock(ctx, n.lockOwner())
			switch {
			case ctx.Err() != nil:
				return nil
			case err != nil:
				n.log.Warn("the lock of entries cannot be prolonged; trying on", "catalog", locker.String(), "err", err)
			case free != 0:
				return fmt.Errorf("%s: %w", locker, errUnlocked)
			}
		}
	}
}

// unlock tells catalogs that keep run state too what ended, and gives their locks back.
func (n *node) unlock() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := n.store.FlushSources(ctx); err != nil {
		n.log.Error("run state could not be written where the entries are", "err", err)
	}
	for _, locker := range lockers(n.store.Sources()) {
		if err := locker.Unlock(ctx, n.lockOwner()); err != nil {
			n.log.Warn("the lock of entries could not be given back: it ends by itself", "catalog", locker.String(), "err", err)
		}
	}
}

func (n *node) lockOwner() string { return lockOwner(n.store.Installation()) }

func lockOwner(installation string) string { return "onebeat:" + installation }

// Unfree returns why nodes cannot send what other programs run too, while one of those holds its lock.
func Unfree(ctx context.Context, s *store.Store) error {
	installation, err := s.Known(ctx)
	if err != nil {
		return nil // there is no node yet, or the database tells why elsewhere
	}
	for _, locker := range lockers(s.Sources()) {
		owner, free, err := locker.Held(ctx)
		switch {
		case owner == "" || owner == lockOwner(installation):
		case err != nil:
			return err
		default:
			return fmt.Errorf("another scheduler holds the lock of %s, for %v at most: onebeat sends nothing of them until that one is stopped, or the lock has run out", locker, free.Round(time.Second))
		}
	}
	return nil
}
