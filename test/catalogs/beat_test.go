package catalogs

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gofrs/uuid/v5"

	"github.com/onebeat/onebeat/test/harness"
	"github.com/onebeat/onebeat/test/harness/process"
	"github.com/onebeat/onebeat/test/harness/worker"
)

// beatCommand is Celery's own beat with the scheduler's package, of an app in test/python.
func (d *database) beatCommand(t *testing.T, broker, app string) process.Command {
	t.Helper()
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	config := map[string]any{"result_expires": nil, "beat_dburi": sqlalchemyURL(d.url)}
	if d.schema != "" {
		config["beat_schema"] = d.schema
	}
	text, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	scheduler := map[string]string{
		"django": "django_celery_beat.schedulers:DatabaseScheduler", "sqlalchemy": "sqlalchemy_celery_beat.schedulers:DatabaseScheduler",
	}[d.name]
	return process.Command{
		Path: harness.Env(t, d.variable()),
		Args: []string{"-m", "celery", "-A", app, "beat", "-S", scheduler, "-l", "INFO"},
		Dir:  filepath.Join(root, "test", "python"), Log: filepath.Join(t.TempDir(), "beat.log"),
		Env: append([]string{
			"CELERY_BROKER_URL=" + broker, "PROBE_CONFIG=" + string(text), "BEAT_DATABASE=" + d.url,
			"PYTHONUNBUFFERED=1", "PYTHONDONTWRITEBYTECODE=1",
		}, d.environment()...),
	}
}

// gatedBeatCommand is beatCommand's beat, which begins once there is a file at gate. What takes it
// long on a busy machine, it has done by then; of the database it has seen nothing.
func (d *database) gatedBeatCommand(t *testing.T, broker, app, gate string) process.Command {
	t.Helper()
	command := d.beatCommand(t, broker, app)
	command.Args = append([]string{"gated_beat.py", gate}, command.Args[2:]...) // in place of -m celery
	return command
}

// sqlalchemyURL is the URL of a database as SQLAlchemy reads it.
func sqlalchemyURL(url string) string {
	for scheme, driver := range map[string]string{"postgres:": "postgresql+psycopg2:", "mysql:": "mysql+pymysql:"} {
		if rest, ok := strings.CutPrefix(url, scheme); ok {
			return driver + rest
		}
	}
	return url
}

// launch starts a process for as long as the test lasts, whose log is told of if that fails.
func launch(t *testing.T, name string, command process.Command) *process.Process {
	t.Helper()
	p, err := process.Start(command)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("the end of the log of %s:\n%s", name, p.Tail(25))
		}
	})
	return p
}

// onebeatCommand is a node with these settings, and the broker.
func onebeatCommand(log, broker string, settings ...string) process.Command {
	return process.Command{
		Path: binary, Log: log,
		Args: append([]string{"serve", "--broker", broker, "--listen", "off"}, settings...),
	}
}

// A crew is one process for each database.
type crew struct {
	t     *testing.T
	nodes []*process.Process
}

// start starts the command of each database.
func start(t *testing.T, all []*database, command func(*database) process.Command) *crew {
	t.Helper()
	c := &crew{t: t}
	for _, d := range all {
		c.nodes = append(c.nodes, launch(t, d.String(), command(d)))
	}
	return c
}

// stop ends them cleanly, all at once.
func (c *crew) stop() {
	c.t.Helper()
	var group sync.WaitGroup
	errs := make([]error, len(c.nodes))
	for i, node := range c.nodes {
		group.Go(func() { errs[i] = end(node) })
	}
	group.Wait()
	for _, err := range errs {
		if err != nil {
			c.t.Fatal(err)
		}
	}
}

// end asks the process to end, more than once: Celery's beat ends by an exception out of
// the signal's handler, which the code that it comes up in may swallow.
func end(node *process.Process) error {
	for range 5 {
		if err := node.Signal(syscall.SIGTERM); err != nil {
			break // it has ended
		}
		select {
		case <-node.Done():
			return nil
		case <-time.After(6 * time.Second):
		}
	}
	return node.Stop(syscall.SIGTERM, 30*time.Second)
}

// byEntry are the messages of each entry, whose name is in the arguments: Celery's beat
// does not always name it in the message.
func byEntry(t *testing.T, records []worker.Record) map[string][]worker.Record {
	t.Helper()
	all := map[string][]worker.Record{}
	for _, r := range records {
		var args []string
		if err := json.Unmarshal([]byte(r.Args), &args); err != nil || len(args) != 1 {
			t.Fatalf("arguments %s: %v", r.Args, err)
		}
		all[args[0]] = append(all[args[0]], r)
	}
	return all
}

// From Celery's beat to onebeat and back: each process is stopped before a slot, and the next
// goes on after it and has to see to it. No slot is lost, none is sent by both, and
// both send the same messages. (A one-off that Celery's beat has sent and not yet disabled is
// not among them: sqlalchemy-celery-beat 0.9 then sends by itself what is overdue twice.)
func TestFromBeatToOnebeatAndBack(t *testing.T) {
	t.Parallel()
	broker := harness.Env(t, "ONEBEAT_TEST_REDIS")
	queue := "catalogs-" + uuid.Must(uuid.NewV4()).String()
	w := worker.Start(t, worker.Options{Broker: broker, Queues: []string{queue}, Pool: "solo"})
	var all []*database
	for _, c := range catalogs {
		d := newTables(t, c)
		all = append(all, d)
		d.python(t, fmt.Sprintf(`
named = lambda name, **columns: task(name, task="probe.record", queue=%q, args=json.dumps([%q + name]), **columns)
named("minute", crontab=cron(minute="*"), kwargs='{"a": null, "b": [1, "ü"]}', priority=3, headers='{"x": "y"}', expire_seconds=600)
named("one-off", interval=every(1, "seconds"), one_off=True)
named("clocked", clocked=once(at(2030, 1, 1)), one_off=True)
`, queue, d.String()+" "), nil)
		if out, code := d.onebeat(t, "migrate"); code != 0 {
			t.Fatalf("migrate = %d: %s", code, out)
		}
	}
	beats := func(gate string) *crew {
		t.Helper()
		return start(t, all, func(d *database) process.Command {
			return d.gatedBeatCommand(t, broker, map[string]string{"django": "probe_django", "sqlalchemy": "probe"}[d.name], gate)
		})
	}
	onebeats := func() *crew {
		t.Helper()
		return start(t, all, func(d *database) process.Command {
			return onebeatCommand(filepath.Join(t.TempDir(), "onebeat.log"), broker, append(d.flags(), "--catch-up")...)
		})
	}
	// sent returns whether the task of the name was sent for each catalog since then. It waits for that until the instant.
	sent := func(name string, since, until time.Time) bool {
		t.Helper()
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			of, missing := byEntry(t, w.Records(t)), false
			for _, d := range all {
				sent := of[d.String()+" "+name]
				missing = missing || len(sent) == 0 || sent[len(sent)-1].ReceivedAt.Before(since)
			}
			if !missing {
				return true
			}
			if time.Now().After(until) {
				return false
			}
			<-tick.C
		}
	}
	open := filepath.Join(t.TempDir(), "open")
	if err := os.WriteFile(open, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	gate := filepath.Join(t.TempDir(), "gate")

	beat := beats(open)
	harness.Eventually(t, 3*time.Minute, func() error {
		for _, d := range all {
			var enabled bool
			err := d.db.QueryRowContext(t.Context(), d.sql("SELECT enabled FROM {periodictask} WHERE name = 'one-off'")).Scan(&enabled)
			if err != nil {
				return fmt.Errorf("%v: look at the one-off task: %w", d.catalog, err)
			}
			if enabled {
				return fmt.Errorf("%v: the one-off task was not sent and disabled", d.catalog)
			}
		}
		return nil
	})
	// The first slot is the first that all of them send. They read the tables again now that a row of
	// them has changed, and sqlalchemy-celery-beat counts from there what it has not sent yet: what came
	// due meanwhile is left out. Nor is what they sent at their start, which may be overdue, to be
	// taken for the slot of a minute that has just begun.
	first := time.Now().Add(5 * time.Second).Truncate(time.Minute).Add(time.Minute)
	for tries := 1; !sent("minute", first, first.Add(25*time.Second)); tries++ {
		if tries == 5 {
			t.Fatalf("Celery's beats did not all send the slot %v, nor one of the four before", first.Format(time.TimeOnly))
		}
		first = first.Add(time.Minute)
	}
	// between stops them, who rest by then and take their time on a busy machine, before the slot, and returns after it.
	between := func(who string, running *crew, slot time.Time) {
		t.Helper()
		<-time.After(time.Until(slot.Add(-30 * time.Second)))
		running.stop()
		if now := time.Now(); !now.Before(slot) {
			t.Fatalf("%s ended at %v, after the slot %v that the next ones should find: the machine is too busy to tell anything",
				who, now.Format(time.TimeOnly), slot.Format(time.TimeOnly))
		}
		<-time.After(time.Until(slot.Add(100 * time.Millisecond)))
	}
	second := first.Add(time.Minute)
	between("Celery's beats", beat, second)
	for _, d := range all { // to be onebeat's: no beat has seen the row like this
		d.exec(t, "UPDATE {clockedschedule} SET clocked_time = '"+d.stored(t, second.Add(5*time.Second))+"'")
	}
	onebeat := onebeats()
	third := second.Add(time.Minute)
	for _, name := range []string{"minute", "clocked"} {
		if !sent(name, second, third) {
			t.Errorf("onebeat did not send the %s task of all in the minute %v", name, second.Format(time.TimeOnly))
		}
	}
	beat = beats(gate) // they have read no row before it opens
	between("onebeat", onebeat, third)
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	over := third.Add(time.Minute)
	sent("minute", third, over) // or else the list below says so
	beat.stop()

	of := byEntry(t, w.Records(t))
	for _, d := range all {
		for _, name := range []string{"one-off", "clocked"} {
			if got := of[d.String()+" "+name]; len(got) != 1 {
				t.Errorf("%v: the %s task was sent %d times: %+v", d.catalog, name, len(got), got)
			}
		}
		minutes := of[d.String()+" minute"]
		var got []string
		for _, r := range minutes {
			if sender := "beat"; !r.ReceivedAt.Before(first) && r.ReceivedAt.Before(over) {
				if r.Slot != "" {
					sender = "onebeat"
				}
				got = append(got, r.ReceivedAt.Truncate(time.Minute).Format(time.TimeOnly)+" by "+sender)
			}
		}
		want := []string{first.Format(time.TimeOnly) + " by beat", second.Format(time.TimeOnly) + " by onebeat", third.Format(time.TimeOnly) + " by beat"}
		if !slices.Equal(got, want) {
			t.Errorf("%v: the slots sent are %q, want %q", d.catalog, got, want)
		}
		// This beat knows the task's class, and writes its ignore_result where onebeat leaves that to the worker.
		messagesAgree(t, minutes, append(but(d.catalog), "ignore_result"))
	}
}
