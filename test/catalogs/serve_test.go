package catalogs

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gofrs/uuid/v5"

	"github.com/onebeat/onebeat/test/harness"
	"github.com/onebeat/onebeat/test/harness/worker"
)

// binary is the command under test, built once.
var binary string

// together is how many tests run at a time: they wait for slots for the most part.
const together = 4

func TestMain(m *testing.M) {
	harness.Together(together)
	os.Exit(run(m))
}

func run(m *testing.M) (code int) {
	dir, err := os.MkdirTemp("", "onebeat-catalogs-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	defer func() {
		if err := dropMade(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}()
	defer endShells()
	madeIn = dir
	if binary, err = harness.Build(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// onebeat runs a verb on the scheduler's tables.
func (d *database) onebeat(t *testing.T, args ...string) (out string, code int) {
	t.Helper()
	return onebeat(t, append(args, d.flags()...)...)
}

// onebeat runs the command.
func onebeat(t *testing.T, args ...string) (out string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	text, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatalf("onebeat %v: %v", args, err)
	}
	return string(text), cmd.ProcessState.ExitCode()
}

// maker is the command that makes the scheduler's tables.
var maker = map[string]string{"django": "manage.py migrate", "sqlalchemy": "celery beat -S sqlalchemy"}

// flags are the settings that say where the tables are.
func (d *database) flags() []string {
	flags := []string{"--catalog", d.name, "--database", d.url}
	if d.schema != "" {
		flags = append(flags, "--beat-schema", d.schema)
	}
	if d.zone != "" {
		flags = append(flags, "--django-use-tz=off", "--django-time-zone", d.zone, "--django-beat-tz-aware=off")
	}
	return flags
}

// A real worker runs each slot once, of tasks that the models made, and the models
// then show what ran.
func TestServeSendsTheTasks(t *testing.T) {
	each(t, func(t *testing.T, c catalog) {
		serveSendsTheTasks(t, c, harness.Env(t, "ONEBEAT_TEST_REDIS"))
	})
}

func TestServeSendsTheTasksByRabbitMQ(t *testing.T) {
	// One of each scheduler: its version and the database make no difference to the broker.
	one := func(c catalog) bool { return c.kind == "PostgreSQL" && c.schema == "" && c.zone == "" && !c.old }
	eachWhere(t, one, func(t *testing.T, c catalog) {
		serveSendsTheTasks(t, c, harness.Env(t, "ONEBEAT_TEST_RABBITMQ"))
	})
}

func serveSendsTheTasks(t *testing.T, c catalog, broker string) {
	t.Helper()
	d := newDatabase(t, c)
	queue := "catalogs-" + uuid.Must(uuid.NewV4()).String()
	if out, code := d.onebeat(t, "migrate"); code == 0 || !strings.Contains(out, maker[c.name]) {
		t.Errorf("migrate without the scheduler's tables = %d: %s; want an error that names what makes them", code, out)
	}
	d.python(t, "make_tables()\n"+schedules+fmt.Sprintf(`
queue = %q
task("grid", task="probe.record", interval=every(1, "seconds"), queue=queue, args='["a"]', headers='{"x": "y"}')
task("one-off", task="probe.record", interval=every(1, "seconds"), one_off=True, queue=queue)
task("asked for", task="probe.record", crontab=nine, queue=queue)
task("bad", queue=queue, crontab=plain_cron(day_of_week="7"))
`, queue), nil)
	if out, code := d.onebeat(t, "migrate"); code != 0 {
		t.Fatalf("migrate = %d: %s", code, out)
	}
	w := worker.Start(t, worker.Options{Broker: broker, Queues: []string{queue}, Pool: "solo"})
	log := filepath.Join(t.TempDir(), "onebeat.log")
	node := launch(t, "onebeat", onebeatCommand(log, broker, append(d.flags(), "--log-format", "json")...))
	w.Await(t, 3, time.Minute)

	if out, code := d.onebeat(t, "entries", "list"); code != 0 || !strings.Contains(out, "grid") || !strings.Contains(out, "day of week 7") {
		t.Errorf("entries list = %d: %s; want all entries, and what is wrong with the bad one", code, out)
	}
	if out, code := d.onebeat(t, "entries", "run-now", "asked for"); code != 0 {
		t.Errorf("entries run-now = %d: %s", code, out)
	}
	if out, code := d.onebeat(t, "entries", "remove", "grid"); code != 2 || !strings.Contains(out, "edited by") {
		t.Errorf("entries remove = %d: %s; want 2 and who edits entries", code, out)
	}
	awaitRun(t, w, "asked for")
	if out, code := d.onebeat(t, "entries", "pause", "grid", "--reason", "test"); code != 0 {
		t.Errorf("entries pause = %d: %s", code, out)
	}
	if err := node.Stop(syscall.SIGTERM, 30*time.Second); err != nil {
		t.Fatal(err)
	}

	var runs []struct {
		Entry string `json:"name"`
		State string `json:"state"`
		ID    string `json:"task_id"`
	}
	sent := map[string]map[string]bool{}
	total := 0
	out, code := d.onebeat(t, "runs", "list", "--json", "--limit", "1000")
	if code != 0 {
		t.Fatalf("runs list = %d: %s", code, out)
	}
	if err := json.Unmarshal([]byte(out), &runs); err != nil {
		t.Fatalf("runs list: %v\n%s", err, out)
	}
	for _, r := range runs {
		if r.State == "sent" {
			if sent[r.Entry] == nil {
				sent[r.Entry] = map[string]bool{}
			}
			sent[r.Entry][r.ID] = true
			total++
		}
	}
	records := w.Await(t, total, time.Minute)
	ran := map[string]map[string]int{}
	for _, r := range records {
		if ran[r.PeriodicTaskName] == nil {
			ran[r.PeriodicTaskName] = map[string]int{}
		}
		ran[r.PeriodicTaskName][r.Slot]++
		if !sent[r.PeriodicTaskName][r.TaskID] {
			t.Errorf("a message of %q is not in the ledger: %+v", r.PeriodicTaskName, r)
		}
		if r.PeriodicTaskName == "grid" && r.Args != `["a"]` {
			t.Errorf("grid ran with %s", r.Args)
		}
	}
	for name, slots := range ran {
		for slot, times := range slots {
			if times != 1 {
				t.Errorf("%s ran %d times for the slot %s", name, times, slot)
			}
		}
	}
	if len(ran["one-off"]) != 1 || len(ran["asked for"]) != 1 || len(ran["grid"]) < 2 || len(ran) != 3 {
		t.Errorf("runs by task = %v, want one of each of the two and several of the grid", ran)
	}
	var tasks map[string]task
	d.python(t, "show()", &tasks)
	if got := tasks["grid"]; got.Runs != len(ran["grid"]) || got.Last.IsZero() || !got.Enabled {
		t.Errorf("the models show the grid as %+v, want %d runs", got, len(ran["grid"]))
	}
	if got := tasks["one-off"]; got.Enabled || got.Runs != 0 || got.Last.IsZero() != (c.name == "django") {
		t.Errorf("the models show the one-off as %+v, want it done", got)
	}
	if got := tasks["asked for"]; got.Runs != 1 || !got.Last.IsZero() {
		t.Errorf("the models show what was asked for as %+v, want one run and no slot", got)
	}
}

// awaitRun waits until the worker ran a task of the name.
func awaitRun(t *testing.T, w *worker.Worker, name string) {
	t.Helper()
	over := time.After(time.Minute)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		for _, r := range w.Records(t) {
			if r.PeriodicTaskName == name {
				return
			}
		}
		select {
		case <-over:
			t.Fatalf("%s did not run in a minute", name)
		case <-tick.C:
		}
	}
}
