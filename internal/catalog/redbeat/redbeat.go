// Package redbeat is the catalog of RedBeat's entries: the hashes and the sorted
// set that celery-redbeat keeps in Redis, which stays their editor. onebeat writes
// what RedBeat itself would write when an entry ran, meta and score, so that the two
// can follow each other; and it holds RedBeat's own lock, so that a RedBeat beside it
// stands still.
//
// The keys are those of RedBeat 1.0 to 2.4 (redbeat/schedulers.py, redbeat/decoder.py).
package redbeat

import (
	"cmp"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/rueidis"

	"github.com/onebeat/onebeat/internal/broker/address"
	"github.com/onebeat/onebeat/internal/schedule"
	"github.com/onebeat/onebeat/internal/store"
)

var (
	//go:embed record.lua
	recordText string
	//go:embed lock.lua
	lockText string
	//go:embed unlock.lua
	unlockText string

	recordScript = rueidis.NewLuaScript(recordText)
	lockScript   = rueidis.NewLuaScript(lockText)
	unlockScript = rueidis.NewLuaScript(unlockText)
)

// Defaults of RedBeat's settings.
const (
	DefaultPrefix = "redbeat:"
	DefaultLock   = "redbeat::lock"
)

// Options are RedBeat's own settings.
type Options struct {
	Prefix string // redbeat_key_prefix
	Lock   string // redbeat_lock_key; empty: none is held
	Zone   string // of crontabs: the application's timezone
}

// A RedBeat is its keys in one Redis. It implements store.Source, store.Recorder and
// store.Locker.
type RedBeat struct {
	name    string // the URL without its password
	option  rueidis.ClientOption
	options Options

	mu     sync.Mutex
	client rueidis.Client
	specs  map[string]schedule.Spec // by name, of those that can be read
	print  uint64                   // of what Changed last told of
	took   time.Duration            // a read
}

// New reads the URL, in which all may stand that the broker's takes but Sentinels. It does not connect.
func New(url string, options Options) (*RedBeat, error) {
	option, err := readURL(url)
	if err != nil {
		return nil, err
	}
	option.DisableCache = true
	option.AlwaysRESP2 = true
	if options.Lock != "" && !strings.HasPrefix(options.Lock, options.Prefix) {
		options.Lock = options.Prefix + options.Lock // as RedBeat does
	}
	return &RedBeat{name: address.Redact(url), option: option, options: options}, nil
}

func readURL(raw string) (rueidis.ClientOption, error) {
	unread := errors.New("redbeat-url is not a Redis URL: it should be like redis://host:6379/0") // others may quote it
	u, err := address.Parse(raw)
	if err != nil {
		return rueidis.ClientOption{}, unread
	}
	query := u.Query()
	if u.Scheme == "redis+socket" {
		u.Scheme, u.RawQuery = "unix", url.Values{"db": {cmp.Or(strings.TrimLeft(query.Get("virtual_host"), "/"), "0")}}.Encode()
	}
	option, err := rueidis.ParseURL(u.String())
	if err != nil {
		return option, unread
	}
	for name := range query {
		if u.Scheme != "unix" && strings.HasPrefix(name, "ssl_") {
			option.TLSConfig, err = address.TLS(cmp.Or(u.Hostname(), "localhost"), query)
			break
		}
	}
	return option, err
}

// Name implements store.Source.
func (r *RedBeat) Name() string { return "redbeat" }

// String implements store.Source.
func (r *RedBeat) String() string { return "RedBeat's entries in " + r.name }

// Close ends the connections.
func (r *RedBeat) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.client != nil {
		r.client.Close()
		r.client = nil
	}
}

// connected returns the client, which connects by itself from then on.
func (r *RedBeat) connected() (rueidis.Client, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.client != nil {
		return r.client, nil
	}
	client, err := rueidis.NewClient(r.option)
	if err != nil {
		return nil, fmt.Errorf("reach Redis: %w", address.Explain(err))
	}
	r.client = client
	return client, nil
}

// patience is how long a call waits for Redis.
const patience = 10 * time.Second

// A stored is an entry as it is stored.
type stored struct {
	key, definition, meta string
	problem               string // why it can't be read, and what to do
}

// page is how many entries are asked for at a time.
const page = 1000

// stored reads all entries that the sorted set names.
func (r *RedBeat) stored(ctx context.Context) ([]stored, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	client, err := r.connected()
	if err != nil {
		return nil, err
	}
	keys, err := client.Do(ctx, client.B().Zrange().Key(r.options.Prefix+":schedule").Min("0").Max("-1").Build()).AsStrSlice()
	if err != nil {
		return nil, fmt.Errorf("read RedBeat's schedule: %w", address.Explain(err))
	}
	all := make([]stored, 0, len(keys))
	for len(keys) > 0 {
		part := keys[:min(page, len(keys))]
		keys = keys[len(part):]
		asked := make(rueidis.Commands, len(part))
		for i, key := range part {
			asked[i] = client.B().Hmget().Key(key).Field("definition", "meta").Build()
		}
		for i, answer := range client.DoMulti(ctx, asked...) {
			values, err := answer.ToArray()
			if refused, ok := rueidis.IsRedisErr(err); ok && strings.HasPrefix(refused.Error(), "WRONGTYPE") {
				all = append(all, stored{key: part[i], problem: "the key holds another type than an entry's hash: delete it, or take it out of the sorted set"})
				continue
			}
			if err != nil {
				return nil, fmt.Errorf("read RedBeat's entry %s: %w", part[i], address.Explain(err))
			}
			definition, _ := values[0].ToString() // nil of a hash that is gone
			meta, _ := values[1].ToString()
			if definition != "" {
				all = append(all, stored{key: part[i], definition: definition, meta: meta})
			}
		}
	}
	return all, nil
}

// printOf tells definitions apart. Meta is left out: each run writes it.
func printOf(all []stored) uint64 {
	h, sum := fnv.New64a(), uint64(0)
	for _, s := range all { // which come in order of their score
		h.Reset()
		_, _ = fmt.Fprintf(h, "%d %s %s%s", len(s.key), s.key, s.definition, s.problem) // it never fails
		sum += h.Sum64()
	}
	return sum + uint64(len(all))
}

// Read implements store.Source.
func (r *RedBeat) Read(ctx context.Context) ([]store.Outside, error) {
	began := time.Now()
	all, err := r.stored(ctx)
	if err != nil {
		return nil, err
	}
	entries := make([]store.Outside, len(all))
	specs := make(map[string]schedule.Spec, len(all))
	for i, s := range all {
		entries[i] = s.entry(strings.TrimPrefix(s.key, r.options.Prefix))
		e := &entries[i]
		if e.Problem == "" {
			zone := e.Zone
			if zone == "" {
				zone = r.options.Zone
			}
			// What is wrong with it the store says.
			if spec, err := (schedule.Reading{Zone: zone, Anchor: e.Anchor, Key: "redbeat:" + e.Key}).Parse(e.Spec); err == nil {
				specs[e.Key] = spec
			}
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.specs, r.took = specs, time.Since(began)
	if r.print == 0 {
		r.print = printOf(all)
	}
	return entries, nil
}

// pollInterval is the time between looks at the keys; reading them is a tenth of the
// time at most.
const pollInterval = time.Second

// Changed implements store.Source. RedBeat tells of no edits, so it looks.
func (r *RedBeat) Changed(ctx context.Context) error {
	for {
		r.mu.Lock()
		wait := max(pollInterval, 10*r.took)
		r.mu.Unlock()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
		all, err := r.stored(ctx)
		if err != nil {
			return err
		}
		now := printOf(all)
		r.mu.Lock()
		changed := r.print != 0 && now != r.print
		r.print = now
		r.mu.Unlock()
		if changed {
			return nil
		}
	}
}

// Record implements store.Recorder: it writes what RedBeat writes when entries ran.
func (r *RedBeat) Record(ctx context.Context, ends []store.End) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	client, err := r.connected()
	if err != nil {
		return err
	}
	for len(ends) > 0 {
		part := ends[:min(page, len(ends))]
		ends = ends[len(part):]
		calls := make([]rueidis.LuaExec, 0, len(part))
		for _, end := range part {
			if end.Last.IsZero() {
				continue // a run that a person asked for, which is no slot
			}
			calls = append(calls, rueidis.LuaExec{
				Keys: []string{r.options.Prefix + end.Key, r.options.Prefix + ":schedule"},
				Args: []string{encodeTime(end.Last), strconv.FormatInt(end.Count, 10), r.score(end)},
			})
		}
		for _, answer := range recordScript.ExecMulti(ctx, client, calls...) {
			if err := answer.Error(); err != nil {
				return fmt.Errorf("write RedBeat's run state: %w", address.Explain(err))
			}
		}
	}
	return nil
}

// score is when the entry is due next, in whole seconds of the epoch, -1 if never.
func (r *RedBeat) score(end store.End) string {
	r.mu.Lock()
	spec := r.specs[end.Key]
	r.mu.Unlock()
	if spec == nil {
		return "0" // RedBeat looks by itself
	}
	next := spec.Next(end.Last)
	if next.IsZero() {
		return "-1"
	}
	return strconv.FormatInt(next.Unix(), 10)
}

// lockFor is how long the lock lasts without being prolonged.
const lockFor = 30 * time.Second

// Lock implements store.Locker.
func (r *RedBeat) Lock(ctx context.Context, owner string) (free time.Duration, err error) {
	if r.options.Lock == "" {
		return 0, nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	client, err := r.connected()
	if err != nil {
		return 0, err
	}
	left, err := lockScript.Exec(ctx, client, []string{r.options.Lock}, []string{owner, strconv.FormatInt(lockFor.Milliseconds(), 10)}).AsInt64()
	switch {
	case err != nil:
		return 0, fmt.Errorf("take RedBeat's lock: %w", address.Explain(err))
	case left == -2:
		return 0, nil
	case left < 0:
		return 0, r.heldForGood()
	}
	return max(time.Duration(left)*time.Millisecond, time.Millisecond), nil
}

func (r *RedBeat) heldForGood() error {
	return fmt.Errorf("RedBeat's lock %s is held for good: if no RedBeat runs, delete the key", r.options.Lock)
}

// Held implements store.Locker.
func (r *RedBeat) Held(ctx context.Context) (owner string, free time.Duration, err error) {
	if r.options.Lock == "" {
		return "", 0, nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	client, err := r.connected()
	if err != nil {
		return "", 0, err
	}
	answers := client.DoMulti(ctx, client.B().Get().Key(r.options.Lock).Build(), client.B().Pttl().Key(r.options.Lock).Build())
	owner, err = answers[0].ToString()
	if rueidis.IsRedisNil(err) {
		return "", 0, nil
	}
	left, pttlErr := answers[1].AsInt64()
	switch err := errors.Join(err, pttlErr); {
	case err != nil:
		return "", 0, fmt.Errorf("read RedBeat's lock: %w", address.Explain(err))
	case left == -2: // it ended meanwhile
		return "", 0, nil
	case left < 0:
		return owner, 0, r.heldForGood()
	}
	return owner, max(time.Duration(left)*time.Millisecond, time.Millisecond), nil
}

// Unlock implements store.Locker.
func (r *RedBeat) Unlock(ctx context.Context, owner string) error {
	if r.options.Lock == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	client, err := r.connected()
	if err != nil {
		return err
	}
	if err := unlockScript.Exec(ctx, client, []string{r.options.Lock}, []string{owner}).Error(); err != nil {
		return fmt.Errorf("give RedBeat's lock back: %w", address.Explain(err))
	}
	return nil
}

// encodeTime is an instant as RedBeat writes it.
func encodeTime(t time.Time) string {
	t = t.UTC()
	text, err := json.Marshal(datetime{
		Type: "datetime", Year: t.Year(), Month: int(t.Month()), Day: t.Day(),
		Hour: t.Hour(), Minute: t.Minute(), Second: t.Second(), Microsecond: t.Nanosecond() / 1000, Zone: json.RawMessage(`"UTC"`),
	})
	if err != nil {
		panic(err) // numbers always have a JSON form
	}
	return string(text)
}
