package e2e

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/onebeat/onebeat/internal/failpoint"
	"github.com/onebeat/onebeat/internal/schedule"
	"github.com/onebeat/onebeat/test/harness"
)

// atStart are the points that a node passes at its start alone. The others come
// again and again.
var atStart = []string{"lease.acquire.", "journal.", "side.", "redis.take.", "amqp.take."}

// steps bounds what RabbitMQ may hold of a part beyond the last mark: there is a
// mark every so many messages.
const steps = 50

// A node that dies between any two steps loses no slot. On Redis none is doubled
// either; on RabbitMQ at most what came after the last mark, with the same ids.
// On PostgreSQL a node dies at a step when it first comes, on SQLite later, and
// the next one dies there too, where it recovers from that.
func TestNothingIsLostAtAnyCrash(t *testing.T) {
	t.Parallel()
	points := failpoints(t)
	if len(points) < 20 {
		t.Fatalf("%d failpoints were found in the source: %v", len(points), points)
	}
	for _, queues := range []string{redis, rabbitmq} {
		for _, kind := range []string{postgres, sqlite} {
			for _, point := range points {
				if ofOther(point, queues) {
					continue
				}
				t.Run(fmt.Sprintf("%s, %s, %s", point, kind, queues), func(t *testing.T) {
					t.Parallel()
					testCrash(t, kind, queues, point)
				})
			}
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

func testCrash(t *testing.T, kind, queues, point string) {
	d := newDatabase(t, kind)
	shape := shapeD // run state in the row
	if (kind == sqlite) == (queues == redis) {
		shape = shapeA // run state in onebeat's own table
	}
	d.makeTable(t, shape)
	s := newBareSite(t, d, newBroker(t, queues))
	s.broker.declare(t, "default")
	grids := map[string]grid{}
	var items []item
	for i := range 3 + steps + 7 { // each part on an even second has more than one mark
		name, period := fmt.Sprintf("herd %02d", i), 2*time.Second
		if i < 3 {
			name, period = fmt.Sprintf("each second %d", i), time.Second
		}
		grids[name] = every(period)
		items = append(items, item{"name": name, "cron_expression": fmt.Sprintf("@every %v", period)})
	}
	d.insert(t, items...)

	crashes := []int{1}
	if kind == sqlite && !slices.ContainsFunc(atStart, func(prefix string) bool { return strings.HasPrefix(point, prefix) }) {
		crashes = []int{3, 1} // and once more in what recovers from that
	}
	var crashed time.Time // first
	for _, passing := range crashes {
		s.crash(t, point, passing)
		if crashed.IsZero() {
			crashed = time.Now()
		}
	}
	n := s.serve(t, "--lease", "2s", "--events")
	down := time.Since(crashed)
	last := time.Now().Truncate(2 * time.Second).Add(2 * time.Second)
	s.awaitSent(t, "herd 03", last, 20*time.Second)
	n.stop(t)

	arrivals := s.broker.arrivals(t)
	w := window{d.firstStart(t), last}
	owed := w
	if down > schedule.DefaultGrace-time.Second { // on a machine this slow, slots may have been missed by policy
		owed.until = owed.after
	}
	wrong, doubled := faults(grids, owed, arrivals)
	wrong = append(wrong, s.unrecorded(t, arrivals)...)
	wrong = append(wrong, s.accounted(t, grids, w)...)
	for _, times := range doubled {
		if queues == redis || len(ids(times)) > 1 || len(times) > 1+len(crashes) {
			wrong = append(wrong, fmt.Sprintf("%s: slot %v arrived %d times, with the ids %v", times[0].entry, times[0].slot, len(times), ids(times)))
		}
	}
	if most := steps * len(crashes); len(doubled) > most {
		wrong = append(wrong, fmt.Sprintf("%d slots are doubled, want %d at most", len(doubled), most))
	}
	report(t, wrong)
	if len(doubled) > 0 {
		t.Logf("%d messages doubled, with equal ids", len(doubled))
	}
}

// crash runs a node until it dies at a passing of the point.
func (s *site) crash(t *testing.T, point string, passing int) {
	t.Helper()
	n := s.launch(t, []string{fmt.Sprintf("%s=%s=kill@%d", failpoint.Env, point, passing)}, "--lease", "2s", "--events")
	select {
	case <-n.process.Done():
	case <-time.After(20 * time.Second):
		t.Fatalf("passing %d of %s was not reached", passing, point)
	}
	if status, ok := n.process.State().Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
		t.Fatalf("the node ended with %v, want SIGKILL", n.process.State())
	}
}
