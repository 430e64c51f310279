package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/onebeat/onebeat/internal/audit"
	"github.com/onebeat/onebeat/internal/store"
	"github.com/onebeat/onebeat/test/harness"
	"github.com/onebeat/onebeat/test/stack/server"
)

const (
	// fire is for how long things go wrong in a round.
	fire = 8 * time.Second
	// calm is for how long all is well, at least, before slots are no longer judged.
	calm = 2 * time.Second
	// hope is how long slots that are owed may take to come once all is well.
	hope = 60 * time.Second
)

// hasty is the pace of a first start: it is over within seconds.
var hasty = pace{100 * time.Millisecond, 100 * time.Millisecond, 1200 * time.Millisecond, 100 * time.Millisecond, 4 * time.Second, []often{
	{"kill", 6},
	{"freeze", 5},
	{"clean stop", 5},
	{"database cut", 3},
	{"database stalled", 3},
	{"database slow", 4},
	{"broker cut", 2},
	{"broker stalled", 1},
	{"connections broken", 2},
	{"clock step", 1},
}}

// newcomers are the entries of a first start: those of some seconds in the place of those of a minute, for a
// round has no whole one, and many that are not due at all, with which the first reading takes longer.
var newcomers = []group{
	{"each second", 60, time.Second, volume, owed},
	{"each second, all", 10, time.Second, volume, owed},
	{"each second, at most once", 10, time.Second, volume, atMostOnce},
	{"each second, once", 10, time.Second, volume, byPolicy},
	{"each second, skip", 10, time.Second, volume, byPolicy},
	{"edited", 40, time.Second, volume, edited},
	{"each five seconds", 300, 5 * time.Second, volume, owed},
	{"each ten seconds", 500, 10 * time.Second, volume, owed},
	{"each minute", 300, time.Minute, volume, owed},
	{"each hour", 6000, time.Hour, volume, owed},
	{"each day", 1500, 24 * time.Hour, volume, owed},
}

// steps are the failpoints that a node passes in its first seconds.
var steps = []string{
	"lease.acquire.before", "lease.acquire.after", "journal.before", "journal.after",
	"side.before", "side.before", "side.before", "side.before", "side.after", "side.after", "side.after", // more often: they lie in the first reading
	"feed.read.before", "feed.read.after", "lease.renew.before", "lease.renew.after",
	"claim.before", "claim.commit.before", "claim.after", "publish.before", "publish.after",
	"record.before", "record.commit.before", "record.after",
}

// Each slot that should have come comes, once on Redis, whatever goes wrong while the catalog is read for the
// first time of all.
func TestFirstStartsUnderFire(t *testing.T) {
	for _, on := range [][2]string{{postgres, redis}, {mariadb, rabbitmq}, {sqlite, redis}, {postgres, rabbitmq}} {
		t.Run(on[0]+" and "+on[1], func(t *testing.T) {
			if rounds == 0 && (on[0] == sqlite || on == [2]string{postgres, rabbitmq}) {
				return // the first two have all that is tried, but for a file as the database: make starts
			}
			t.Parallel()
			f := newFirsts(t, on[0], on[1])
			n := max(rounds, 2)
			for round := range n {
				if f.round(t, seed+uint64(round)); f.failed == 3 {
					n = round + 1
					break
				}
			}
			f.tell(t, n)
		})
	}
}

// firsts are first starts on the same servers, one after another.
type firsts struct {
	database *database
	broker   *server.Server
	queues   string // the broker's kind
	nodes    []*node
	taken    *consumer

	expected, ran, policy, unsure, repeated, edits int
	terms                                          []int // that had begun when the first reading ended, beyond one a shard
	loads                                          []time.Duration
	audited                                        int64
	failed                                         int
}

func newFirsts(t *testing.T, databaseKind, brokerKind string) *firsts {
	d, b := startDatabase(t, databaseKind), startBroker(t, brokerKind)
	f := &firsts{database: d, broker: b, queues: brokerKind, taken: &consumer{read: readRedis}}
	for _, name := range []string{"a", "b", "c"} {
		n := newNode(t, name, d, b, present)
		n.level = "info"
		f.nodes = append(f.nodes, n)
	}
	if out, err := f.nodes[0].verb(t.Context(), "migrate"); err != nil {
		t.Fatalf("onebeat migrate: %v\n%s", err, out)
	}
	if brokerKind == rabbitmq {
		declare(t, b.URL())
	}
	consuming, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); f.taken.run(consuming, brokerKind, b.URL()) }()
	t.Cleanup(func() { stop(); <-done })
	return f
}

// round lets nodes start on a catalog that nobody has read, and judges what came.
func (f *firsts) round(t *testing.T, number uint64) {
	began := time.Now()
	chance := rand.New(rand.NewPCG(number, 0))
	shards := []int{5, 5, 5, 1}[chance.IntN(4)]
	nemesis := &nemesis{t: t, chance: chance, pace: hasty, nodes: f.nodes, database: f.database, broker: f.broker}
	opening := f.prepare(t, nemesis, shards)
	entries := makeEntries(newcomers)
	for i, e := range ofKind(entries, edited) {
		if i%2 == 0 { // it is enabled while others are read
			e.edits[0].period = 0
		}
	}
	f.database.insert(t, entries)
	all, err := f.taken.all()
	if err != nil {
		t.Fatal(err)
	}
	before := len(all)

	burning, quench := context.WithCancel(t.Context())
	var beside sync.WaitGroup
	edits := &editor{database: f.database, entries: ofKind(entries, edited), chance: rand.New(rand.NewPCG(number, 1))}
	beside.Go(func() { edits.run(burning) })
	watched, unwatch := context.WithCancel(t.Context())
	beside.Go(func() { f.watchLoad(watched, shards) })
	nemesis.run(fire, opening...)
	quench()
	for _, n := range f.nodes {
		n.points = nil
		if err := n.stepClock(0); err != nil {
			t.Error(err)
		}
	}
	s := &story{entries: entries, once: f.queues == redis, until: time.Now().Add(calm).Truncate(time.Second)}
	f.await(t, s, nemesis, before)
	unwatch()
	beside.Wait()
	for _, n := range f.nodes {
		if err := n.stop(); err != nil {
			nemesis.complain("%v", err)
			n.process.Kill()
		}
	}
	spans, wrong := nemesis.past()
	for _, n := range f.nodes {
		spans = append(spans, n.steps...)
	}
	for i := range spans { // a node has one of each shard
		if spans[i].connections *= shards; spans[i].until.IsZero() {
			spans[i].until = time.Now()
		}
	}
	s.spans, s.from, s.ledger = spans, f.database.firstStart(t), f.database.ledger(t)
	sent := slices.DeleteFunc(slices.Clone(s.ledger), func(e end) bool { return e.state != "sent" })
	s.arrivals = f.taken.await(t, before, len(sent))
	v := s.judge()
	v.also("around", wrong...)
	v.complaints(t, f.nodes)
	f.audit(t, v, began, s.until)
	f.expected, f.ran, f.policy, f.unsure, f.repeated = f.expected+v.expected, f.ran+v.ran, f.policy+v.policy, f.unsure+v.unsure, f.repeated+v.repeated
	for _, e := range entries {
		f.edits += len(e.edits) - 1
	}
	if len(v.wrong) > 0 {
		f.failed++
		t.Errorf("ONEBEAT_SEED=%d ONEBEAT_CHAOS_ROUNDS=1, %d shards, the first start at %s, slots until %s: %d faults\n%s\nWhat went wrong:\n%s",
			number, shards, s.from.UTC().Format(clock), s.until.UTC().Format(clock), len(v.wrong), v.examples(5), history(spans))
		f.keepLogs(t, number)
	}
}

// prepare makes all as it was before any start, and draws how the nodes begin.
func (f *firsts) prepare(t *testing.T, n *nemesis, shards int) (opening []drawn) {
	t.Helper()
	f.forget(t)
	f.database.clear(t)
	lease := []time.Duration{2 * time.Second, 0}[n.chance.IntN(2)]
	if f.database.kind == sqlite {
		lease = 0 // whoever writes waits for all others, and the sooner leases end the more is written
	}
	for _, node := range f.nodes {
		node.shards, node.lease, node.steps = shards, lease, nil
		node.build = []binary{present, present, present, racing}[n.chance.IntN(4)]
		for range 10 {
			node.points = append(node.points, drawStep(n.chance))
		}
		_ = os.Remove(node.log()) // there is none at first
		wait := time.Duration(n.chance.Int64N(int64(1500 * time.Millisecond)))
		opening = append(opening, drawn{trouble{"start", fmt.Sprintf("start of %s after %v", node.name, wait), []string{node.name}, 0, func(lasting func()) error {
			lasting()
			return node.start()
		}}, wait})
		if slow := n.between(500*time.Millisecond, 5*time.Second); n.chance.IntN(3) > 0 { // so that the first reading takes a while
			delay := n.between(20*time.Millisecond, 150*time.Millisecond)
			opening = append(opening, drawn{n.trouble("database slow", node, slow, delay, 0), slow})
		}
	}
	return opening
}

// drawStep draws a failpoint and what it does, or, once in three times, none.
func drawStep(chance *rand.Rand) string {
	point, passing, length := steps[chance.IntN(len(steps))], 1+chance.IntN(4), 200+chance.IntN(2800)
	if strings.HasPrefix(point, "side.") {
		passing = 1 + chance.IntN(14) // by the tenth or so those are written down that are not due soon
	}
	switch chance.IntN(6) {
	case 0, 1:
		return fmt.Sprintf("%s=kill@%d", point, passing)
	case 2:
		return fmt.Sprintf("%s=error@%d", point, passing)
	case 3:
		return fmt.Sprintf("%s=%dms@%d", point, length, passing)
	}
	return ""
}

// forget takes away what RabbitMQ keeps for the installation that was.
func (f *firsts) forget(t *testing.T) {
	t.Helper()
	installation, err := f.database.fact(t.Context(), "installation")
	if err != nil || f.queues != rabbitmq {
		return // there was none yet
	}
	conn, err := amqp.Dial(f.broker.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	channel, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	for shard := range 5 {
		for _, queue := range []string{"mark", "steps"} {
			if _, err := channel.QueueDelete(fmt.Sprintf("onebeat.%s.%d.%s", installation, shard, queue), false, false, false); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// audit holds the ledger against the specs by the product's own means, of which the command leaves the last
// seconds out, for they may be on their way. Here they are not.
func (f *firsts) audit(t *testing.T, v *verdict, began, until time.Time) {
	t.Helper()
	s, err := store.Open(t.Context(), f.database.url, store.Options{Node: "audit", Zone: "UTC"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	report, err := audit.Run(t.Context(), s, began.UTC(), until.UTC(), audit.Options{Late: 2 * time.Hour}, 1000, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, found := range report.Findings {
		if found.Kind != audit.Stray || !strings.HasPrefix(found.Name, "edited ") { // an edit may be told of later than the audit thinks
			v.also("audit "+string(found.Kind), fmt.Sprintf("the audit found %+v", found))
		}
	}
	f.audited += report.Slots
}

// watchLoad notes how long the first reading took, and how many terms had begun by then.
func (f *firsts) watchLoad(ctx context.Context, shards int) {
	poll := time.NewTicker(50 * time.Millisecond)
	defer poll.Stop()
	terms := 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-poll.C:
		}
		var now int
		err := f.database.db.QueryRowContext(ctx, "SELECT coalesce(sum(term), 0) FROM onebeat_leases").Scan(&now)
		text, notYet := f.database.fact(ctx, "first_load")
		if notYet != nil {
			if err == nil {
				terms = now
			}
			continue
		}
		from, err := f.database.fact(ctx, "first_start")
		if err != nil {
			continue
		}
		began, err := time.Parse(time.RFC3339Nano, from)
		ended, err2 := time.Parse(time.RFC3339Nano, text)
		if err == nil && err2 == nil {
			f.loads, f.terms = append(f.loads, ended.Sub(began)), append(f.terms, max(terms-shards, 0))
		}
		return
	}
}

// await waits until all has come that is to up to a moment after the end of the story, and is in the ledger, so that
// all shards are seen to be led; for what comes no more it does so in vain, and the judge says what it is.
func (f *firsts) await(t *testing.T, s *story, n *nemesis, before int) {
	t.Helper()
	over := time.After(hope)
	poll := time.NewTicker(300 * time.Millisecond)
	defer poll.Stop()
	for {
		select {
		case <-over:
			return
		case <-poll.C:
		}
		n.watch()
		if time.Until(s.until) > -time.Second {
			continue
		}
		if _, err := f.database.fact(t.Context(), "first_start"); err != nil {
			continue // no node has come so far
		}
		all, err := f.taken.all()
		if err != nil {
			t.Fatal(err)
		}
		spans, _ := n.past()
		so := &story{
			entries: s.entries, from: f.database.firstStart(t), until: s.until.Add(time.Second), once: s.once,
			arrivals: all[before:], ledger: f.database.ledger(t), spans: spans,
		}
		if v := so.judge(); v.missing+v.untrue == 0 {
			return
		}
	}
}

// keepLogs keeps the nodes' logs where reports are kept, or else their ends in the test's own.
func (f *firsts) keepLogs(t *testing.T, number uint64) {
	t.Helper()
	for _, n := range f.nodes {
		if reports == "" {
			t.Logf("the end of the log of %s:\n%s", n.name, n.process.Tail(15))
			continue
		}
		text, err := os.ReadFile(n.log())
		if err == nil {
			err = os.MkdirAll(reports, 0o755)
		}
		name := strings.ToLower(fmt.Sprintf("start-%s-%s-%d-%s.log", f.database.kind, f.queues, number, n.name))
		if err == nil {
			err = os.WriteFile(filepath.Join(reports, name), text, 0o644)
		}
		if err != nil {
			t.Error(err)
		}
	}
}

func (f *firsts) tell(t *testing.T, n int) {
	t.Helper()
	if f.audited == 0 {
		t.Error("the audit judged no slot")
	}
	slices.Sort(f.loads)
	moved := 0
	for _, terms := range f.terms {
		if terms > 0 {
			moved++
		}
	}
	t.Logf("%d first starts from seed %d, %d failed: %d slots expected (%d by the audit), %d ran, %d ended by their policy, %d unsure, %d repeated; %d edits; the first reading took %v at the median and %v at most, and in %d shards changed hands meanwhile",
		n, seed, f.failed, f.expected, f.audited, f.ran, f.policy, f.unsure, f.repeated, f.edits, quantile(f.loads, 0.5), quantile(f.loads, 1), moved)
}

// A failpoint that there is no more would let nothing happen.
func TestTheStepsAreThere(t *testing.T) {
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	var source strings.Builder
	for _, dir := range []string{"store", "dispatch"} {
		files, _ := filepath.Glob(filepath.Join(root, "internal", dir, "*.go"))
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			source.Write(text)
		}
	}
	for _, step := range steps {
		if !strings.Contains(source.String(), `"`+step+`"`) {
			t.Errorf("there is no failpoint %s", step)
		}
	}
}
