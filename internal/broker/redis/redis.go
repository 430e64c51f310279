// Package redis sends Celery's task messages to Redis, in the layout of kombu's
// Redis transport.
//
// A part and its mark go in one script, so that Redis takes both or neither: the
// script refuses a lower term, and does nothing for a part whose mark it has. That
// makes publishing exactly once, whatever happens to the connection or the node: a
// part that may have arrived is sent again and found there.
//
// The fence is one hash a shard, "onebeat:<installation>:<shard>" after the
// global_keyprefix. It never expires; a Redis that evicts keys (any maxmemory-policy
// of allkeys) may lose it, as it may lose the queues.
package redis

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/onebeat/onebeat/internal/broker/address"
	"github.com/onebeat/onebeat/internal/broker/outbox"
	"github.com/onebeat/onebeat/internal/celery"
	"github.com/onebeat/onebeat/internal/failpoint"
)

// dialWait bounds a connection attempt (broker_connection_timeout of Celery).
const dialWait = 4 * time.Second

// keepAlive lets the system find out within some ten seconds that the other end of a connection
// is gone, and keep what stands between from forgetting it: it need not wake this process for that.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: 2 * time.Second, Count: 3}

var (
	//go:embed take.lua
	takeText string
	//go:embed publish.lua
	publishText string
	//go:embed may.lua
	mayText string

	takeScript    = rueidis.NewLuaScript(takeText)
	publishScript = rueidis.NewLuaScript(publishText)
	mayScript     = rueidis.NewLuaScript(mayText)
)

// Options are what Open needs beside the URL.
type Options struct {
	Installation string
	Shard        int
	Transport    map[string]any // broker_transport_options
	Shuffle      bool           // try the URLs of a list in any order, not from the first on
	Node         string         // names the sender of events
	Exchanges    celery.Exchanges
	Logger       *slog.Logger
	Dropped      func(events int) // told of task-sent events that were given up; may be nil
}

// A Broker publishes for one shard.
type Broker struct {
	client rueidis.Client
	name   string // the URL without its password
	node   string
	words  celery.Exchanges
	fence  string
	layout layout
	socket *socket
	events *outbox.Outbox

	turn   chan struct{} // held by who asks Redis
	buffer []byte        // envelopes are rendered here, and sent from here

	known celery.Mark // as Redis told last: it must not be behind that

	// last is what the last part came to, if Redis took it: the answer may have
	// been lost, or the caller may ask again.
	last outcome
}

// An outcome is what a part came to, by the note of its mark: from one attempt to the next
// queues may have been bound, and the note tells which of them Redis carried out.
type outcome struct {
	mark     celery.Mark
	failures map[string][]celery.Failure
}

// maybe takes in what an attempt may have come to, unless that is known of an attempt with this note.
func (o *outcome) maybe(mark celery.Mark, note string, failures []celery.Failure) {
	if o.mark != mark || o.failures == nil {
		*o = outcome{mark, map[string][]celery.Failure{}}
	}
	if _, known := o.failures[note]; !known {
		o.failures[note] = failures
	}
}

// of is what the part came to if Redis has its mark with this note.
func (o *outcome) of(mark celery.Mark, note string) []celery.Failure {
	if o.mark != mark {
		return nil
	}
	return o.failures[note]
}

// Open reads the URL and the options. It tries to connect once and goes on if
// that fails, since each call connects anew when it has to.
func Open(rawURL string, options Options) (*Broker, error) {
	target, err := parseURL(rawURL, options.Transport)
	if err != nil {
		return nil, err
	}
	if options.Shuffle {
		rand.Shuffle(len(target.addresses), func(i, j int) {
			target.addresses[i], target.addresses[j] = target.addresses[j], target.addresses[i]
		})
	}
	layout, err := newLayout(options.Transport, target.db)
	if err != nil {
		return nil, err
	}
	b := &Broker{
		name:   address.Redact(rawURL),
		node:   options.Node,
		words:  options.Exchanges,
		fence:  fmt.Sprintf("%sonebeat:%s:%d", layout.prefix, options.Installation, options.Shard),
		layout: layout,
		socket: &socket{target: target},
		turn:   make(chan struct{}, 1),
	}
	b.client, err = rueidis.NewClient(rueidis.ClientOption{
		InitAddress:         target.addresses[:1], // socket knows all
		DialCtxFn:           b.socket.dial,
		Dialer:              net.Dialer{Timeout: dialWait, KeepAlive: -1, KeepAliveConfig: keepAlive}, // -1: the client asks for no sign of life itself
		Username:            target.username,
		Password:            target.password,
		SelectDB:            target.db,
		ClientName:          "onebeat",
		ClientSetInfo:       rueidis.DisableClientSetInfo,
		ForceSingleClient:   true,
		AlwaysRESP2:         true,
		DisableRetry:        true,
		DisableCache:        true,
		PipelineMultiplex:   -1, // one connection
		RingScaleEachConn:   8,
		ReadBufferEachConn:  32 << 10,
		WriteBufferEachConn: 32 << 10,
	})
	if b.client == nil {
		return nil, fmt.Errorf("redis: %w", err)
	}
	if err != nil {
		options.Logger.Warn("broker cannot be reached", "broker", b.name, "err", err)
	}
	b.events = outbox.New(b.sendEvents, options.Dropped)
	return b, nil
}

// String is the URL without its password.
func (b *Broker) String() string { return b.name }

// begin waits until nobody else asks Redis, or ctx ends; who has begun calls end. One call at
// a time is written and read by its own goroutine. If two of them ever meet, the client hands all
// that follow on that connection to goroutines of its own, which costs twice the processor time.
func (b *Broker) begin(ctx context.Context) error {
	select {
	case b.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (b *Broker) end() { <-b.turn }

// Interrupt ends a call of Take or Publish that is under way, if its context has ended: the
// answer of a server that says nothing is not waited for.
func (b *Broker) Interrupt() { b.socket.end() }

// Ping asks for an answer by a push to a list that is not there: Redis does nothing, or says why
// it takes no messages.
func (b *Broker) Ping(ctx context.Context) error {
	if err := b.begin(ctx); err != nil {
		return fmt.Errorf("redis: wait for a call before it: %w", err)
	}
	defer b.end()
	err := b.ask(ctx, func() error {
		return b.client.Do(ctx, b.client.B().Lpushx().Key(b.fence+":none").Element("").Build()).Error()
	})
	refusal, refused := rueidis.IsRedisErr(err)
	switch {
	case err == nil:
		return nil
	case loginRefused(err):
		return fmt.Errorf("redis: %w, or has no such database: %w", celery.ErrLogin, err)
	case refused && strings.HasPrefix(refusal.Error(), "NOPERM") && strings.Contains(refusal.Error(), "lpushx"):
		return nil // it answers, and may not be asked more
	case refused:
		return fmt.Errorf("redis: %w: %s", celery.ErrTakesNone, strings.TrimSuffix(refusal.Error(), "."))
	}
	return fmt.Errorf("redis: %w", err)
}

// loginRefused says whether Redis asks for another user, password or database, in the words of any of its versions.
func loginRefused(err error) bool {
	refusal, refused := rueidis.IsRedisErr(err)
	if !refused {
		return false
	}
	text := strings.TrimPrefix(refusal.Error(), "ERR ") // which the client takes away too
	return slices.ContainsFunc([]string{"WRONGPASS", "NOAUTH", "invalid password", "AUTH <password>", "Client sent AUTH", "DB index"}, func(word string) bool {
		return strings.HasPrefix(text, word)
	})
}

// Release does nothing: the next Take needs nobody's leave.
func (b *Broker) Release() {}

// Close ends the connections. Events that wait are sent, for a second at most.
func (b *Broker) Close() error {
	b.events.Close()
	b.client.Close()
	return nil
}

// Take makes Redis refuse lower terms, and returns the mark as it stood.
func (b *Broker) Take(ctx context.Context, term int64) (celery.Mark, error) {
	if err := failpoint.Here("redis.take.before"); err != nil {
		return celery.Mark{}, err
	}
	if err := b.begin(ctx); err != nil {
		return celery.Mark{}, fmt.Errorf("redis: take term: %w", err)
	}
	defer b.end()
	answer, err := b.run(ctx, takeScript, []string{b.fence}, []string{strconv.FormatInt(term, 10)})
	if err == nil {
		err = failpoint.Here("redis.take.after")
	}
	if err != nil {
		return celery.Mark{}, fmt.Errorf("redis: take term: %w", err)
	}
	switch {
	case answer[0] == "fenced":
		return celery.Mark{}, celery.ErrFenced
	case answer[0] == "taken" && len(answer) == 7:
		mark, err := readMark(answer[1:])
		b.known = mark
		return mark, err
	}
	return celery.Mark{}, fmt.Errorf("redis: take term: %w", notUnderstood(answer))
}

// readMark reads term, seq, done, note, at and last.
func readMark(fields []string) (celery.Mark, error) {
	term, err1 := strconv.ParseInt(fields[0], 10, 64)
	seq, err2 := strconv.ParseInt(fields[1], 10, 64)
	done, err3 := strconv.Atoi(fields[2])
	at, err4 := strconv.ParseInt(fields[4], 10, 64)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return celery.Mark{}, fmt.Errorf("redis: read mark: %w", err)
	}
	return celery.Mark{Term: term, Seq: seq, Done: done, Note: fields[3], At: at, Last: fields[5]}, nil
}

// run runs a script that may be run again: both do nothing the second time.
func (b *Broker) run(ctx context.Context, script *rueidis.Lua, keys, args []string) (answer []string, err error) {
	err = b.ask(ctx, func() (err error) {
		if answer, err = script.Exec(ctx, b.client, keys, args).AsStrSlice(); err != nil {
			b.buffer = nil // a connection that was given up may still be sending from it
		}
		return err
	})
	if err == nil && len(answer) == 0 {
		err = errors.New("the answer is empty")
	}
	return answer, address.Explain(err)
}

// ask asks Redis for what may be asked again: a connection that proves dead, as an idle one may be,
// is replaced at once. One to a server that is not the one to ask any more is given up.
func (b *Broker) ask(ctx context.Context, question func() error) error {
	err := question()
	if _, refused := rueidis.IsRedisErr(err); err != nil && !refused && ctx.Err() == nil {
		b.socket.next()
		err = question()
	}
	if refusal, refused := rueidis.IsRedisErr(err); refused && strings.HasPrefix(refusal.Error(), "READONLY") {
		b.socket.cut() // it was made a replica: another is the master by now
	}
	if errors.Is(err, context.DeadlineExceeded) {
		b.socket.cut() // it may be frozen, or cut off, and another be in its place
	}
	return err
}

func notUnderstood(answer []string) error {
	return fmt.Errorf("the answer %.40q is not understood", answer[0])
}
