package redis

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"github.com/gofrs/uuid/v5"
	"github.com/redis/rueidis"

	"github.com/onebeat/onebeat/internal/celery"
)

// A push is a part made ready for the publish script.
type push struct {
	messages []celery.Message // those that have a destination
	failures []celery.Failure // those that have none, or that Redis refused
	keys     []string         // the fence, then the lists
	lists    []load
	channels []load
}

// A load is what goes to one list or channel.
type load struct {
	to      string
	members []int // places in push.messages
}

// A destination is a list or a channel, and what the envelope says of it.
type destination struct {
	to        string
	broadcast bool
}

// A way is where the messages of a routing go, or why they go nowhere.
type way struct {
	to     []destination
	reason string
}

// prepare finds out where each message goes.
func (b *Broker) prepare(ctx context.Context, messages []celery.Message) (*push, error) {
	p := &push{keys: []string{b.fence}, messages: messages}
	ways := map[routing]way{}
	lists, channels := map[string]int{}, map[string]int{}
	var last routing // a herd is mostly of one queue
	var w way
	for i, m := range messages {
		if to := routingOf(m.Template); to != last || i == 0 {
			var known bool
			if w, known = ways[to]; !known {
				var err error
				if w, err = b.way(ctx, to); err != nil {
					return nil, err
				}
				ways[to] = w
			}
			last = to
		}
		if len(w.to) == 0 {
			if len(p.failures) == 0 {
				p.messages = slices.Clone(messages[:i]) // from here on it is not all of them
			}
			p.failures = append(p.failures, celery.Failure{Index: m.Index, Reason: w.reason})
			continue
		}
		for _, d := range w.to {
			loads, places := &p.lists, lists
			if d.broadcast {
				loads, places = &p.channels, channels
			}
			place, known := places[d.to]
			if !known {
				place = len(*loads)
				places[d.to] = place
				*loads = append(*loads, load{to: d.to})
				if place == 0 {
					(*loads)[place].members = make([]int, 0, len(messages))
				}
			}
			(*loads)[place].members = append((*loads)[place].members, i-len(p.failures))
		}
		if len(p.failures) > 0 {
			p.messages = append(p.messages, m)
		}
	}
	for _, l := range p.lists {
		p.keys = append(p.keys, l.to)
	}
	return p, nil
}

func unbound(route celery.Route) string {
	return fmt.Sprintf("no queue is bound to exchange %q with a key that matches %q: start the worker that reads it, or set deadletter_queue in broker_transport_options",
		route.Exchange, route.RoutingKey)
}

// A routing is all of a template that its destinations depend on.
type routing struct {
	celery.Route
	priority int
}

func routingOf(t *celery.Template) routing {
	priority, _ := t.Priority()
	return routing{t.Route(), priority}
}

// way is where messages go: to one list for AMQP's default exchange, to
// a channel for a fanout exchange, and for any other to the lists that the workers
// have bound.
func (b *Broker) way(ctx context.Context, route routing) (way, error) {
	if route.Exchange == "" {
		return way{to: []destination{{to: b.layout.list(route.RoutingKey, route.priority)}}}, nil
	}
	if route.ExchangeType == "fanout" {
		return way{to: []destination{{to: b.layout.channel(route.Exchange, route.RoutingKey), broadcast: true}}}, nil
	}
	key := b.layout.bindings(route.Exchange)
	var members []string
	err := b.ask(ctx, func() (err error) {
		members, err = b.client.Do(ctx, b.client.B().Smembers().Key(key).Build()).AsStrSlice()
		return err
	})
	if refusal, refused := rueidis.IsRedisErr(err); refused && (strings.HasPrefix(refusal.Error(), "WRONGTYPE") || strings.HasPrefix(refusal.Error(), "NOPERM")) {
		return way{reason: fmt.Sprintf("Redis key %q, with the bindings of exchange %q, cannot be read: %s", key, route.Exchange, refusal.Error())}, nil
	}
	if err != nil {
		return way{}, fmt.Errorf("read bindings of exchange %s: %w", route.Exchange, err)
	}
	queues := b.layout.match(members, route.RoutingKey)
	if len(queues) == 0 && b.layout.deadLetter != "" {
		queues = []string{b.layout.deadLetter}
	}
	if len(queues) == 0 {
		return way{reason: unbound(route.Route)}, nil
	}
	slices.Sort(queues)
	w := way{to: make([]destination, len(queues))}
	for i, queue := range queues {
		w.to[i].to = b.layout.list(queue, route.priority)
	}
	return w, nil
}

// arguments renders the messages, as publish.lua reads them. Every copy of a
// message has a delivery tag of its own: workers keep what they have not
// acknowledged under it.
//
// The arguments lie in the buffer, which it returns: it must not be written to as
// long as anything may read them.
func (p *push) arguments(mark, known celery.Mark, buffer []byte) (arguments []string, _ []byte, err error) {
	first := mark.Done
	if len(p.messages) > 0 {
		first = p.messages[0].Index
	}
	copies := 0
	for _, loads := range [][]load{p.lists, p.channels} {
		for _, l := range loads {
			copies += len(l.members)
		}
	}
	tags, err := newTags(copies)
	if err != nil {
		return nil, buffer, fmt.Errorf("make delivery tags: %w", err)
	}
	text := buffer[:0]
	ends := make([]int, 0, copies)
	for _, loads := range [][]load{p.lists, p.channels} {
		for _, l := range loads {
			for _, member := range l.members {
				m := p.messages[member]
				text = roomFor(copies-len(ends), text, len(ends))
				text = m.Template.AppendEnvelope(text, m, tags(len(ends)))
				ends = append(ends, len(text))
			}
		}
	}
	rest, start := unsafe.String(unsafe.SliceData(text), len(text)), 0 // a copy would be half of a herd's garbage
	next := func() string {
		envelope := rest[start:ends[0]]
		start, ends = ends[0], ends[1:]
		return envelope
	}
	arguments = make([]string, 0, 9+len(p.lists)+len(p.channels)+copies)
	arguments = append(
		arguments, strconv.FormatInt(mark.Term, 10), strconv.FormatInt(mark.Seq, 10), strconv.Itoa(mark.Done), mark.Note,
		strconv.FormatInt(mark.At, 10), mark.Last, strconv.FormatInt(known.Seq, 10), strconv.Itoa(known.Done), strconv.Itoa(first),
	)
	for _, l := range p.lists {
		arguments = append(arguments, strconv.Itoa(len(l.members)))
		for range l.members {
			arguments = append(arguments, next())
		}
	}
	for _, c := range p.channels {
		for range c.members {
			arguments = append(arguments, c.to, next())
		}
	}
	return arguments, text, nil
}

// roomFor makes room in a text of some messages for n more such as these, at once: one that grows bit by bit is copied ten
// times over, in memory that the system has to give each time. It grows by eight at most, for the first may be the longest.
func roomFor(n int, text []byte, messages int) []byte {
	each := len(text) / max(messages, 1)
	if messages == 0 || cap(text)-len(text) > each {
		return text
	}
	return slices.Grow(text, min(each*n+each*n/16, 7*len(text)))
}

// newTags makes n delivery tags, random UUIDs, in one text.
func newTags(n int) (tag func(i int) string, err error) {
	const raw, length = uuid.Size, 2*uuid.Size + 4
	random := make([]byte, n*raw)
	if _, err := rand.Read(random); err != nil {
		return nil, err
	}
	var text strings.Builder
	text.Grow(n * length)
	var room [length]byte
	for id := range slices.Chunk(random, raw) {
		u := uuid.UUID(id)
		u.SetVersion(uuid.V4)
		u.SetVariant(uuid.VariantRFC9562)
		text.Write(celery.AppendUUID(room[:0], u))
	}
	all := text.String()
	return func(i int) string { return all[i*length : (i+1)*length] }, nil
}

// refuse reads the tail of the script's answer: numbers of lists, then of
// publishes to channels, each with the error that Redis gave. A message that no
// destination took is a failure.
func (p *push) refuse(answer []string) error {
	if len(answer) == 0 {
		return nil
	}
	var publishes []load
	for _, c := range p.channels {
		for _, member := range c.members {
			publishes = append(publishes, load{c.to, []int{member}})
		}
	}
	all := slices.Concat(p.lists, publishes)
	reasons := map[int]string{}
	for pair := range slices.Chunk(answer, 2) {
		number, err := strconv.Atoi(pair[0])
		if err != nil || number < 1 || number > len(all) || len(pair) != 2 {
			return notUnderstood(answer)
		}
		for _, member := range all[number-1].members {
			reasons[member] = fmt.Sprintf("Redis key %q refuses messages: %s", all[number-1].to, pair[1])
		}
		all[number-1].members = nil
	}
	for _, taken := range all {
		for _, member := range taken.members {
			delete(reasons, member)
		}
	}
	var kept []celery.Message
	for i, m := range p.messages {
		if reason, refused := reasons[i]; refused {
			p.failures = append(p.failures, celery.Failure{Index: m.Index, Reason: reason})
		} else {
			kept = append(kept, m)
		}
	}
	p.messages = kept
	return nil
}
