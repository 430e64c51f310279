package e2e

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/onebeat/onebeat/internal/failpoint"
	"github.com/onebeat/onebeat/test/harness"
)

// atStart are the points that a node passes at its start alone. The others come
// again and again.
var atStart = []string{"lease.acquire.", "journal.", "side.", "redis.take.", "amqp.take.", "sqlalchemy.take."}

// The ways in which a step goes wrong: the process dies, the step fails once, or it
// takes longer than the lease lasts, beside a second node.
const (
	byKill  = "kill"
	byError = "error"
	byDelay = "3s"
)

// A crash is one point that goes wrong at a site of one kind.
type crash struct{ point, mode, kind, queues, policy string }

func (c crash) String() string {
	return strings.Join([]string{c.point, c.mode, c.kind, c.queues, c.policy}, ", ")
}

// crashes returns all combinations, or those that the tests take: for each point each
// mode, the policies in turn, on PostgreSQL and the first broker that passes it; it
// killed, and one of the other modes in turn, on SQLite and the last broker.
func crashes(points []string, all bool) []crash {
	policies := []string{"once", "skip", "all"}
	modes := []string{byKill, byError, byDelay}
	var cases []crash
	turn := 0
	for _, point := range points {
		brokers := slices.DeleteFunc([]string{redis, rabbitmq}, func(queues string) bool { return ofOther(point, queues) })
		if len(brokers) == 0 {
			continue
		}
		if all {
			for _, mode := range modes {
				for _, kind := range []string{postgres, mariadb, sqlite} {
					for _, queues := range brokers {
						for _, policy := range policies {
							cases = append(cases, crash{point, mode, kind, queues, policy})
						}
					}
				}
			}
			continue
		}
		for i, mode := range modes {
			cases = append(cases, crash{point, mode, postgres, brokers[0], policies[(turn+i)%3]})
		}
		last := brokers[len(brokers)-1]
		cases = append(cases, crash{point, byKill, sqlite, last, policies[(turn+1)%3]}, crash{point, modes[1+turn%2], sqlite, last, policies[(turn+2)%3]})
		turn++
	}
	return cases
}

// A node whose step goes wrong, at any of the named points and in any of the ways, loses
// no slot: what was late is settled by its entry's policy, and each slot has one end. On
// Redis none is doubled either; on RabbitMQ at most what came after the last mark, with
// the same ids. On PostgreSQL a node dies at a step when it first comes, on SQLite later,
// and the next one dies there too, where it recovers from that.
func TestNothingIsLostAtAnyCrash(t *testing.T) {
	t.Parallel()
	for _, c := range crashes(failpoints(t), long) {
		t.Run(c.String(), func(t *testing.T) {
			t.Parallel()
			testCrash(t, c)
		})
	}
}

// Every failpoint is passed by the test above, or killed at by its broker's own suite,
// which fails where it is not passed. That of a broker which has none here is named.
func TestEachFailpointIsHit(t *testing.T) {
	t.Parallel()
	points := failpoints(t)
	if len(points) < 40 {
		t.Errorf("%d failpoints were found in the source, want 40 at least: %v", len(points), points)
	}
	hit := map[[2]string]bool{}
	for _, c := range crashes(points, false) {
		hit[[2]string{c.point, c.mode}] = true
	}
	joint := map[string]bool{}
	for _, c := range jointCrashes(false) {
		joint[c.point] = true
	}
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	for _, point := range points {
		word, _, _ := strings.Cut(point, ".")
		if of, ok := adapters[word]; !ok || of != "" {
			for _, mode := range []string{byKill, byError, byDelay} {
				if !hit[[2]string{point, mode}] {
					t.Errorf("%s is never hit with %s", point, mode)
				}
			}
			continue
		}
		found := joint[point]
		suites, _ := filepath.Glob(filepath.Join(root, "internal", "broker", word, "*_test.go"))
		for _, suite := range suites {
			text, err := os.ReadFile(suite)
			if err != nil {
				t.Fatal(err)
			}
			found = found || strings.Contains(string(text), strconv.Quote(point))
		}
		if !found {
			t.Errorf("%s is never hit: name it in the Points of its broker's suite", point)
		}
	}
}

// adapters are the brokers whose failpoints are passed here, by the word that these
// begin with. Those of the others are passed in their own tests (brokertest).
var adapters = map[string]string{"redis": redis, "amqp": rabbitmq, "sqlalchemy": "", "filesystem": "", "sqs": ""}

// ofOther says whether the point lies in the adapter of another broker.
func ofOther(point, broker string) bool {
	word, _, _ := strings.Cut(point, ".")
	of, ok := adapters[word]
	return ok && of != broker
}

// failpoints collects the names of all failpoints from the source, so that none
// is forgotten here.
func failpoints(t *testing.T) []string {
	t.Helper()
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, dir := range []string{"internal", "cmd"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			for _, declaration := range file.Decls {
				if function, ok := declaration.(*ast.FuncDecl); ok {
					collect(t, path, function, names)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// collect finds the points that a function passes by name, and those that it
// gives to a transaction, as its point, to be passed there.
func collect(t *testing.T, path string, function *ast.FuncDecl, names map[string]bool) {
	t.Helper()
	add := func(name ast.Expr) {
		switch name := name.(type) {
		case *ast.BasicLit:
			text, err := strconv.Unquote(name.Value)
			if err != nil {
				t.Fatal(err)
			}
			names[text] = true
		default:
			if field, ok := name.(*ast.SelectorExpr); !ok || field.Sel.Name != "point" {
				t.Errorf("%s: the name of a failpoint in %s can't be found here: make it a literal", path, function.Name.Name)
			}
		}
	}
	ast.Inspect(function, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			callee, ok := n.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if on, ok := callee.X.(*ast.Ident); ok && on.Name == "failpoint" && callee.Sel.Name == "Here" {
				add(n.Args[0])
			}
		case *ast.KeyValueExpr:
			if key, ok := n.Key.(*ast.Ident); ok && key.Name == "point" {
				add(n.Value)
			}
		}
		return true
	})
}

func testCrash(t *testing.T, c crash) {
	d := newDatabase(t, c.kind)
	shape := shapeD // run state in the row
	if (c.kind == sqlite) == (c.queues == redis) {
		shape = shapeA // run state in onebeat's own table
	}
	d.makeTable(t, shape)
	s := newBareSite(t, d, crashBroker(t, d, c.queues))
	d.exec(t, "ALTER TABLE celery_beat_schedules ADD COLUMN misfire_policy varchar(20) NOT NULL DEFAULT 'once'")
	d.exec(t, "ALTER TABLE celery_beat_schedules ADD COLUMN misfire_grace_seconds double precision")
	s.broker.declare(t, "default")
	grids := map[string]grid{}
	var items []item
	for i := range 3 + steps + 7 { // each part on an even second has more than one mark
		name, period := fmt.Sprintf("herd %02d", i), 2*time.Second
		if i < 3 {
			name, period = fmt.Sprintf("each second %d", i), time.Second
		}
		grids[name] = every(period)
		items = append(items, item{"name": name, "cron_expression": fmt.Sprintf("@every %v", period), "misfire_policy": c.policy, "misfire_grace_seconds": 1})
	}
	d.insert(t, items...)

	passings := []int{1}
	if !slices.ContainsFunc(atStart, func(prefix string) bool { return strings.HasPrefix(c.point, prefix) }) {
		switch {
		case c.mode != byKill:
			passings = []int{3}
		case c.kind == sqlite:
			passings = []int{3, 1} // and once more in what recovers from that
		}
	}
	flags := []string{"--lease", "2s", "--events"}
	var nodes []*node
	if c.mode == byKill {
		for _, passing := range passings {
			s.crash(t, c.point, passing)
			if c.queues == oneDatabase && !strings.HasPrefix(c.point, "sqlalchemy.take.") {
				report(t, s.halfSent(t))
			}
		}
		nodes = append(nodes, s.serve(t, flags...))
	} else {
		wrong := s.launch(t, []string{fmt.Sprintf("%s=%s=%s@%d", failpoint.Env, c.point, c.mode, passings[0])}, flags...)
		nodes = append(nodes, wrong)
		if c.mode == byDelay {
			harness.Eventually(t, startWait, func() error {
				if len(wrong.find(t, "lease taken"))+len(wrong.find(t, "failpoint")) == 0 {
					return fmt.Errorf("the first node does not lead yet")
				}
				return nil
			})
			nodes = append(nodes, s.launch(t, nil, flags...))
		}
		wrong.await(t, "failpoint")
	}
	last := time.Now().Truncate(2 * time.Second).Add(4 * time.Second)
	s.awaitSentSince(t, slices.Sorted(maps.Keys(grids)), last, startWait)
	for _, n := range nodes {
		n.stop(t)
	}

	arrivals := s.broker.arrivals(t)
	w := window{d.firstStart(t), last}
	owed := w
	if c.policy != "all" {
		owed.until = owed.after // what was late by more than a second may have been missed
	}
	wrong, doubled := faults(grids, owed, arrivals)
	wrong = append(wrong, s.unrecorded(t, arrivals)...)
	wrong = append(wrong, s.accounted(t, grids, w)...)
	wrong = append(wrong, s.againstPolicy(t, c.policy, last)...)
	for _, times := range doubled {
		if c.queues != rabbitmq || len(ids(times)) > 1 || len(times) > 1+len(passings) {
			wrong = append(wrong, fmt.Sprintf("%s: slot %v arrived %d times, with the ids %v", times[0].entry, times[0].slot, len(times), ids(times)))
		}
	}
	if most := steps * len(passings); len(doubled) > most {
		wrong = append(wrong, fmt.Sprintf("%d slots are doubled, want %d at most", len(doubled), most))
	}
	report(t, wrong)
	if c.queues == oneDatabase && !slices.ContainsFunc(nodes, func(n *node) bool { return len(n.find(t, jointly)) > 0 }) {
		t.Errorf("no node says %q", jointly)
	}
	if len(doubled) > 0 {
		t.Logf("%d messages doubled, with equal ids", len(doubled))
	}
}

// crashBroker makes the broker of a crash.
func crashBroker(t *testing.T, d *database, kind string) *broker {
	t.Helper()
	if kind == oneDatabase {
		return inDatabase(d)
	}
	return newBroker(t, kind)
}

// awaitSentSince waits until the ledger has a slot of each entry as sent that is not before
// slot, and that no recovery sent: one that a stop cuts off leaves the rest to the next node.
func (s *site) awaitSentSince(t *testing.T, entries []string, slot time.Time, wait time.Duration) {
	t.Helper()
	harness.Eventually(t, max(time.Until(slot), 0)+wait, func() error {
		sent := map[string]bool{}
		for _, r := range s.database.ledger(t) {
			sent[r.entry] = sent[r.entry] || r.state == "sent" && !r.slot.Before(slot) && !r.recovered
		}
		for _, entry := range entries {
			if !sent[entry] {
				return fmt.Errorf("no slot of %s from %v on is recorded as sent", entry, slot)
			}
		}
		return nil
	})
}

// againstPolicy is what ended up to an instant otherwise than sent and than all entries'
// policy says: nothing for all, skipped for skip, and for once coalesced into a later
// slot, which was sent. On RabbitMQ what may have arrived is unsure instead.
func (s *site) againstPolicy(t *testing.T, policy string, last time.Time) (wrong []string) {
	t.Helper()
	coalesced := map[string]recorded{} // the last end, by entry
	for _, r := range s.database.ledger(t) {
		if before, ok := coalesced[r.entry]; ok && r.state != "sent" && r.state != "coalesced" && r.state != "unsure" {
			wrong = append(wrong, fmt.Sprintf("%s: slot %v is coalesced, and the next one %s", r.entry, before.slot.Time, r.state))
		}
		delete(coalesced, r.entry)
		switch {
		case r.state == "sent":
		case r.state == "unsure" && s.broker.kind == rabbitmq && policy != "all":
		case r.state == "coalesced" && policy == "once" && r.reason == "misfire":
			coalesced[r.entry] = r
		case r.state == "skipped" && policy == "skip" && r.reason == "misfire":
		default:
			wrong = append(wrong, fmt.Sprintf("%s: slot %v ended as %s (%s), and its policy is %s", r.entry, r.slot.Time, r.state, r.reason, policy))
		}
	}
	for entry, r := range coalesced {
		if !r.slot.After(last) {
			wrong = append(wrong, fmt.Sprintf("%s: slot %v is coalesced, and none after it was sent", entry, r.slot.Time))
		}
	}
	return wrong
}

// crash runs a node until it dies at a passing of the point.
func (s *site) crash(t *testing.T, point string, passing int) {
	t.Helper()
	s.crashWith(t, point, passing, "--events")
}

func (s *site) crashWith(t *testing.T, point string, passing int, flags ...string) {
	t.Helper()
	n := s.launch(t, []string{fmt.Sprintf("%s=%s=kill@%d", failpoint.Env, point, passing)}, append(flags, "--lease", "2s")...)
	select {
	case <-n.process.Done():
	case <-time.After(20 * time.Second):
		t.Fatalf("passing %d of %s was not reached", passing, point)
	}
	if status, ok := n.process.State().Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
		t.Fatalf("the node ended with %v, want SIGKILL", n.process.State())
	}
}
