package simulate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/onebeat/onebeat/internal/celery"
	"github.com/onebeat/onebeat/internal/schedule"
)

const installation = "simulated"

// A rule is how a world is.
type rule struct {
	steps   int    // 0: a broker like Redis; else one like RabbitMQ, with a mark every so many messages
	joint   bool   // the broker is in the database, and takes a part with its record in one step
	forgets bool   // the broker comes back with older data
	pauses  bool   // somebody pauses an entry whenever a node takes over, and resumes it soon
	edits   bool   // somebody edits one then
	without string // what is left out, to see that the checks find it: see mutations
}

// A world is what outlives the nodes: a database, a broker, the table of
// entries, and the network between.
type world struct {
	t      *testing.T
	rule   rule
	seed   uint64
	began  time.Time
	chance *rand.Rand // of the one goroutine that makes things go wrong
	db     *database
	broker *broker
	calm   chan struct{} // closed when nothing more goes wrong
	late   sync.WaitGroup

	mu     sync.Mutex
	events []event
	wants  map[string]string // names of requests by their tasks' ids
	taken  chan struct{}     // closed when a node takes the broker
	told   []telling
}

// An event is a line of the history. Slots are named by batch where there are many.
type event struct {
	at   time.Duration
	who  string
	what string
	ids  []string // entry and slot
	err  error
}

func newWorld(t *testing.T, seed uint64, rule rule) *world {
	w := &world{
		t: t, rule: rule, seed: seed, began: time.Now(), chance: rand.New(rand.NewPCG(seed, 1)),
		calm: make(chan struct{}), wants: map[string]string{},
	}
	w.db = newDatabase(w)
	w.broker = &broker{world: w, unsure: map[string]bool{}}
	return w
}

func (w *world) note(who, what string, err error, ids ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, event{time.Since(w.began), who, what, ids, err})
}

// A telling is what who leads under a term knew of an entry from an instant on.
type telling struct {
	at     time.Time
	term   int64
	entry  schedule.ID
	digest int
	off    bool
	begun  bool // it is no recovery that has to hear of it
}

func (w *world) tell(term int64, begun bool, changes []schedule.Change) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range changes {
		t := telling{at: time.Now(), term: term, entry: c.ID, off: c.Entry == nil, begun: begun}
		if !t.off {
			t.digest = int(c.Entry.Digest)
		}
		w.told = append(w.told, t)
	}
}

func (w *world) want(task, name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wants[task] = name
}

func (w *world) wanted(task string) (name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.wants[task]
}

// nextTake is closed when a node next takes the broker.
func (w *world) nextTake() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.taken == nil {
		w.taken = make(chan struct{})
	}
	return w.taken
}

func (w *world) tellTake() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.taken != nil {
		close(w.taken)
		w.taken = nil
	}
}

func (w *world) isCalm() bool {
	select {
	case <-w.calm:
		return true
	default:
		return false
	}
}

// history tells what went wrong, and all that befell the slots that are named.
func (w *world) history(named map[string]bool) string {
	var text strings.Builder
	slices.SortStableFunc(w.events, func(a, b event) int { return cmp.Compare(a.at, b.at) })
	for _, e := range w.events {
		ids := slices.DeleteFunc(slices.Clone(e.ids), func(id string) bool { return !named[id] })
		if len(e.ids) > 0 && len(ids) == 0 {
			continue
		}
		fmt.Fprintf(&text, "%10.3fs  %-6s %s", e.at.Seconds(), e.who, e.what)
		if len(ids) > 0 {
			fmt.Fprintf(&text, ": %s", strings.Join(ids, ", "))
		}
		if e.err != nil {
			fmt.Fprintf(&text, " (%v)", e.err)
		}
		text.WriteByte('\n')
	}
	return text.String()
}

// name is how the history names a slot: its entry, and its time since the start or
// the request.
func (w *world) name(id schedule.ID, slot time.Time, asked string) string {
	if asked != "" {
		return request{id: asked, entry: id}.name()
	}
	return fmt.Sprintf("%s@%gs", id, slot.Sub(w.began).Seconds())
}

var (
	errFault = errors.New("lost on the way there")
	errAway  = errors.New("lost on the way back")
	errSlow  = errors.New("given up; it arrives later")
	errCut   = errors.New("cut off")
	errDead  = errors.New("the node is dead")
)

// A link is what a node reaches the database or the broker by.
type link struct {
	world *world
	who   string
	to    string
	rate  float64 // of calls that go wrong

	// ordered: one connection, on which nothing is repeated or arrives after it has ended.
	ordered bool

	mu    sync.Mutex
	rands map[string]*rand.Rand // by operation, so that a seed repeats whatever goroutine is first
	dead  bool
	cut   bool
	thaw  chan struct{} // not nil while the node is frozen
}

// set changes what can be reached.
func (l *link) set(change func(l *link)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change(l)
}

func (l *link) frozen() (thaw chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.thaw
}

// The fates of a call.
const (
	fine   = iota
	before // it is lost before it has done anything
	after  // it does its work and the answer is lost
	later  // it does its work after the caller has given up
	twice  // the network repeats it: it does its work again later
)

// fate is how a call goes, how long it takes, and how much later what comes later is.
func (l *link) fate(op string) (fate int, takes, lag time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.rands[op]
	if r == nil {
		r = rand.New(rand.NewPCG(l.world.seed, hash(l.who+l.to+op)))
		l.rands[op] = r
	}
	takes, lag = time.Duration(r.Int64N(2e6)), time.Duration(r.Int64N(3e9))
	if r.Float64() < l.rate/4 {
		takes += time.Duration(r.Int64N(8e8))
	}
	if r.Float64() < l.rate {
		fate = before + r.IntN(4)
	}
	if l.world.isCalm() {
		fate = fine
	}
	return fate, takes, lag
}

// hash is FNV-1a.
func hash(text string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(text) {
		h = (h ^ uint64(text[i])) * 1099511628211
	}
	return h
}

// call does one step at the far end, or does not, as the network and the node's
// state will have it. A node that is frozen has its call on the way: it is not
// undone by the end of ctx.
//
// do is told whether anybody waits for its answer.
func (l *link) call(ctx context.Context, op string, do func(answered bool) error) error {
	fate, takes, lag := l.fate(op)
	if l.ordered && fate >= later {
		fate = before
	}
	if l.reached() == errDead {
		return errDead
	}
	time.Sleep(takes)
	if thaw := l.frozen(); thaw != nil {
		<-thaw
	}
	if err := l.reached(); err != nil {
		if err == errCut {
			rest(ctx, time.Second)
		}
		return err
	}
	switch fate {
	case before:
		rest(ctx, lag)
		return errFault
	case later:
		l.later(lag, do)
		return errSlow
	case twice:
		l.later(lag, do)
	}
	err := do(true)
	if thaw := l.frozen(); thaw != nil {
		<-thaw
	}
	if l.reached() != nil || fate == after {
		return errAway
	}
	return err
}

func (l *link) reached() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.dead:
		return errDead
	case l.cut:
		return errCut
	}
	return nil
}

// later does the work some time from now, whoever has died meanwhile.
func (l *link) later(lag time.Duration, do func(answered bool) error) {
	l.world.late.Go(func() {
		time.Sleep(lag)
		_ = do(false)
	})
}

// rest waits, no longer than ctx.
func rest(ctx context.Context, length time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(length):
	}
}

// config makes templates.
var config = func() *celery.Config {
	c, err := celery.ParseConfig(nil)
	if err != nil {
		panic(err)
	}
	return c
}()

// templates are made once for all worlds: they do not change. One is of each digest, in turn.
var templates = func() (made [64]*celery.Template) {
	for i := range made {
		made[i] = templateOf([]string{`{}`, `{"queue": "other"}`}[i%2])
	}
	return made
}()

// rare is of what goes at most once.
var rare = templateOf(`{"delivery": "at_most_once"}`)

func templateOf(options string) *celery.Template {
	template, err := config.Template(celery.Task{Name: "tasks.probe", Entry: "e", Options: options})
	if err != nil {
		panic(err)
	}
	return template
}
