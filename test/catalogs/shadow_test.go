package catalogs

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gofrs/uuid/v5"

	"github.com/onebeat/onebeat/test/harness"
	"github.com/onebeat/onebeat/test/harness/process"
	"github.com/onebeat/onebeat/test/harness/worker"
)

// A looked is what shadow tells as JSON.
type looked struct {
	Agree    bool
	Compared int
	Unheard  string
	Entries  []lookedEntry
	Heard    struct {
		Sent     int      `json:"task_sent"`
		Received int      `json:"task_received"`
		Messages int      `json:"messages"`
		Strays   int      `json:"strays"`
		Senders  []string `json:"senders"`
	}
}

type lookedEntry struct {
	Name        string
	Both        int
	OnlyBeat    int      `json:"only_beat"`
	OnlyOnebeat int      `json:"only_onebeat"`
	Ways        []string `json:"seen_by"`
	Remark      string
	Differences []struct{ Field, Beat, Onebeat, Why string }
}

func (e lookedEntry) differs() string {
	var fields []string
	for _, d := range e.Differences {
		fields = append(fields, d.Field)
	}
	return strings.Join(fields, ", ")
}

// shadow looks on for as long.
func lookOn(t *testing.T, during time.Duration, flags ...string) (told looked, byName map[string]lookedEntry) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), during+time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, append([]string{"shadow", "--for", during.String(), "--json"}, flags...)...)
	var problems strings.Builder
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if jsonErr := json.Unmarshal(out, &told); jsonErr != nil {
		t.Fatalf("shadow ended with %v: %s%s", err, out, problems.String())
	}
	if want := map[bool]int{true: 0, false: 3}[told.Agree && told.Compared > 0]; cmd.ProcessState.ExitCode() != want {
		t.Errorf("shadow ended with %d, want %d", cmd.ProcessState.ExitCode(), want)
	}
	byName = map[string]lookedEntry{}
	for _, e := range told.Entries {
		byName[e.Name] = e
	}
	return told, byName
}

// shadowBeat starts Celery's beat with entries in code.
func shadowBeat(t *testing.T, broker string, config map[string]any) *process.Process {
	t.Helper()
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	beat := launch(t, "beat", process.Command{
		Path: harness.Env(t, "ONEBEAT_TEST_PYTHON"), Dir: filepath.Join(root, "test", "python"), Log: filepath.Join(dir, "beat.log"),
		Args: []string{"-m", "celery", "-A", "shadow_beat", "beat", "-s", filepath.Join(dir, "schedule"), "--pidfile=", "-l", "INFO"},
		Env:  []string{"CELERY_BROKER_URL=" + broker, "SHADOW_CONFIG=" + string(text), "PYTHONUNBUFFERED=1", "PYTHONDONTWRITEBYTECODE=1"},
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := beat.AwaitLog(ctx, "Sending due task"); err != nil {
		t.Fatal(err)
	}
	return beat
}

// fileOf writes a file, and returns where.
func fileOf(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Beside Celery's own beat with entries in code, each planted disagreement is told, of the entry
// that it was planted in, and no other.
func TestShadowHearsWhatBeatSends(t *testing.T) {
	t.Parallel()
	onEachBroker(t, "12", func(t *testing.T, url string, redis bool) { // events are told apart by the database
		own := uuid.Must(uuid.NewV4()).String()
		names := strings.NewReplacer("QUEUE", "shadow-"+own, "TOPICAL", "topical-"+own, "TASK", "shadow."+own)
		var schedule map[string]any
		if err := json.Unmarshal([]byte(names.Replace(`{
				"same": {"task": "TASK.same", "schedule": 2, "args": [1, [2, "it's (x)"]], "kwargs": {"a": {"b": null}}, "options": {"expires": 60, "priority": 3}},
				"args": {"task": "TASK.args", "schedule": 2, "args": [1]},
				"queue": {"task": "TASK.queue", "schedule": 2, "options": {"queue": "QUEUE-other"}},
				"expires": {"task": "TASK.expires", "schedule": 2, "options": {"expires": 30}},
				"disabled": {"task": "TASK.disabled", "schedule": 2},
				"twin one": {"task": "TASK.twin", "schedule": 2, "args": [1]},
				"twin two": {"task": "TASK.twin", "schedule": 3, "args": [2]},
				"half as often": {"task": "TASK.half", "schedule": 4},
				"copied": {"task": "TASK.copied", "schedule": 2, "options": {"queue": "TOPICAL", "priority": 3, "headers": {"x": 1}}}
			}`)), &schedule); err != nil {
			t.Fatal(err)
		}
		events := map[bool]string{true: "events-" + own, false: "celeryev"}[redis] // its own name, and the usual one
		shadowBeat(t, url, map[string]any{
			"event_exchange": events, "task_send_sent_event": true, "beat_max_loop_interval": 1, "beat_schedule": schedule, "task_default_queue": "shadow-" + own,
			"task_queues": [][]string{{"shadow-" + own, "shadow-" + own, "direct", "shadow-" + own}, {"topical-" + own, "shadow.topic." + own, "topic", "a.b"}},
		})
		entries := fileOf(t, "entries.yaml", names.Replace(`
beat_schedule:
  same: {task: TASK.same, schedule: 2, args: [1, [2, "it's (x)"]], kwargs: {a: {b: null}}, options: {expires: 60, priority: 3}}
  args: {task: TASK.args, schedule: 2, args: ["a secret"]}
  queue: {task: TASK.queue, schedule: 2}
  expires: {task: TASK.expires, schedule: 2}
  disabled: {task: TASK.disabled, schedule: 2, enabled: false}
  only onebeat: {task: TASK.nobody, schedule: 2}
  twin one: {task: TASK.twin, schedule: 2, args: [1]}
  twin two: {task: TASK.twin, schedule: 3, args: [2]}
  half as often: {task: TASK.half, schedule: 2}
  copied: {task: TASK.copied, schedule: 2, options: {queue: TOPICAL, priority: 5, headers: {x: 2}}}
`))
		settings := fileOf(t, "settings.yaml", names.Replace(`
celery:
  event_exchange: `+events+`
  task_default_queue: QUEUE
  task_queues: [{name: QUEUE, exchange: QUEUE, routing_key: QUEUE}, {name: TOPICAL, exchange: {name: shadow.topic.`+own+`, type: topic}, routing_key: a.b}]
`))
		told, found := lookOn(t, 30*time.Second, "--catalog", "file", "--catalog-file", entries, "--config", settings, "--broker", url, "--database", "sqlite:///"+filepath.Join(t.TempDir(), "state.db"))
		if told.Agree || told.Unheard != "" || told.Heard.Sent < 60 || len(told.Heard.Senders) != 1 {
			t.Errorf("shadow heard %+v, unheard %q", told.Heard, told.Unheard)
		}
		for name, want := range map[string]struct{ differs, remark string }{
			"same": {}, "twin one": {}, "twin two": {},
			"args": {"args", "args differs"}, "queue": {"destination", "queue shadow-" + own + "-other, here queue shadow-" + own}, "expires": {"expires", "in 30s, here none"},
			"copied": {"header x, priority", "priority: 3, here 5"},
		} {
			e := found[name]
			if e.differs() != want.differs || !strings.Contains(e.Remark, want.remark) || want.remark == "" && e.Remark != "" && e.OnlyBeat+e.OnlyOnebeat == 0 || e.Both < 5 || e.OnlyBeat+e.OnlyOnebeat > 1 {
				t.Errorf("%s is %+v, want that both sent it, %+v", name, e, want)
			}
			if !slices.Contains(e.Ways, "task-sent") || name == "copied" && !slices.Contains(e.Ways, map[bool]string{true: "queue", false: "message"}[redis]) {
				t.Errorf("%s was seen by %v", name, e.Ways)
			}
		}
		if e := found["disabled"]; e.Both != 0 || e.OnlyBeat < 5 || e.Remark != "disabled" {
			t.Errorf("disabled is %+v, want that beat alone sent it", e)
		}
		if e := found["only onebeat"]; e.Both != 0 || e.OnlyBeat != 0 || e.OnlyOnebeat < 3 || !strings.Contains(e.Remark, "the other did not send it") {
			t.Errorf("only onebeat is %+v, want that onebeat alone would have sent it", e)
		}
		if e := found["half as often"]; e.Both < 3 || e.OnlyOnebeat < 1 || e.OnlyBeat > 1 {
			t.Errorf("half as often is %+v, want that beat sends every second one", e)
		}
		if strings.Contains(fmt.Sprint(told), "secret") {
			t.Error("arguments are shown")
		}
		if redis {
			nothingLeft(t, url)
		}
	})
}

// Without events of the sender, those of workers tell; an application that sends the same
// tasks is told of and does not count. The workers' exchanges have names of their own, by which they can
// be asked too.
func TestShadowHearsWorkers(t *testing.T) {
	t.Parallel()
	url := harness.Env(t, "ONEBEAT_TEST_RABBITMQ")
	queue := "shadow-" + uuid.Must(uuid.NewV4()).String()
	exchanges := map[string]any{"event_exchange": "events-" + queue, "control_exchange": "control-" + queue}
	worker.Start(t, worker.Options{Broker: url, Queues: []string{queue}, Pool: "solo", Events: true, Config: exchanges})
	settings := fileOf(t, "settings.yaml", fmt.Sprintf("celery: {event_exchange: events-%s, control_exchange: control-%[1]s}\n", queue))
	shadowBeat(t, url, map[string]any{"beat_max_loop_interval": 1, "task_default_queue": queue, "beat_schedule": map[string]any{
		"one": map[string]any{"task": "probe.record", "schedule": 2, "args": []string{queue}},
	}})
	entries := fileOf(t, "entries.yaml", fmt.Sprintf("beat_schedule:\n  one: {task: probe.record, schedule: 2, args: [%s]}\n  other: {task: shadow.other, schedule: 2}\n", queue))
	_, found := lookOn(t, 20*time.Second, "--catalog", "file", "--catalog-file", entries, "--config", settings, "--broker", url, "--database", "sqlite:///"+filepath.Join(t.TempDir(), "state.db"))
	if e := found["one"]; e.Both < 5 || e.OnlyBeat+e.OnlyOnebeat > 1 || !slices.Equal(e.Ways, []string{"task-received"}) || len(e.Differences) > 0 {
		t.Errorf("one is %+v, want that workers told of it", e)
	}
	// A worker tells of what it reads alone: of the other nothing is known.
	if e := found["other"]; len(e.Ways) > 0 || e.OnlyOnebeat > 0 || !strings.Contains(e.Remark, "nothing tells") {
		t.Errorf("other is %+v, want that nothing tells", e)
	}
	live := importFiles(t, nil, "live", "--broker", url, "--config", settings)
	if got := live.Settings.(map[string]any)["celery"].(map[string]any); len(live.Workers) != 1 || got["event_exchange"] != exchanges["event_exchange"] || got["control_exchange"] != exchanges["control_exchange"] {
		t.Errorf("%v told of %v, want one worker with %v", live.Workers, got, exchanges)
	}
}

// With neither, Redis shows what waits in a queue.
func TestShadowSeesWhatWaitsInRedis(t *testing.T) {
	t.Parallel()
	url := harness.Env(t, "ONEBEAT_TEST_REDIS")
	queue := "shadow-" + uuid.Must(uuid.NewV4()).String()
	shadowBeat(t, url, map[string]any{"beat_max_loop_interval": 1, "task_default_queue": queue, "beat_schedule": map[string]any{
		"one": map[string]any{"task": "shadow.one", "schedule": 2, "args": []string{queue}, "options": map[string]any{"priority": 7}},
		"two": map[string]any{"task": "shadow.two", "schedule": 2, "kwargs": map[string]any{"of": queue}, "options": map[string]any{"time_limit": 5}},
	}})
	entries := fileOf(t, "entries.yaml", fmt.Sprintf("beat_schedule:\n  one: {task: shadow.one, schedule: 2, args: [%[1]s], options: {priority: 7}}\n  two: {task: shadow.two, schedule: 2, kwargs: {of: %[1]s}}\n", queue))
	settings := fileOf(t, "settings.yaml", "celery: {task_default_queue: "+queue+"}\n")
	_, found := lookOn(t, 20*time.Second, "--catalog", "file", "--catalog-file", entries, "--config", settings, "--broker", url, "--database", "sqlite:///"+filepath.Join(t.TempDir(), "state.db"))
	for name, differs := range map[string]string{"one": "", "two": "header timelimit"} {
		if e := found[name]; e.Both < 5 || e.OnlyBeat+e.OnlyOnebeat > 1 || !slices.Contains(e.Ways, "queue") || e.differs() != differs {
			t.Errorf("%s is %+v, want that it was seen, with the difference %q", name, e, differs)
		}
	}
}

// Beside the beats of django-celery-beat and sqlalchemy-celery-beat, whose rows were edited
// behind their backs, the messages that wait in the queue are told apart by the name that
// they bear.
func TestShadowBesideDatabaseSchedulers(t *testing.T) {
	t.Parallel()
	for _, c := range []catalog{{name: "django", kind: "SQLite"}, {name: "sqlalchemy", kind: "SQLite"}} {
		t.Run(c.String(), func(t *testing.T) {
			t.Parallel()
			d := newTables(t, c)
			queue := "shadow-" + uuid.Must(uuid.NewV4()).String()
			broker := harness.Env(t, "ONEBEAT_TEST_REDIS")
			d.python(t, fmt.Sprintf(`
named = lambda name, **columns: task(name, task="shadow.any", interval=every(2, "seconds"), queue=%q, args='["a secret"]', headers='{"x": "y"}', priority=7, expire_seconds=60, **columns)
for name in ("same", "moved", "limited", "switched off"):
    named(name)
named("switched on", enabled=False)
`, queue), nil)
			if out, code := d.onebeat(t, "migrate"); code != 0 {
				t.Fatalf("migrate = %d: %s", code, out)
			}
			beat := launch(t, "beat", d.beatCommand(t, broker, map[string]string{"django": "django_beat", "sqlalchemy": "probe"}[c.name]))
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			for _, name := range []string{"same", "moved", "limited", "switched off"} {
				if err := beat.AwaitLog(ctx, "Sending due task "+name); err != nil {
					t.Fatal(err)
				}
			}
			harness.Eventually(t, time.Minute, func() error { // each time that it has sent, Django's beat reads a row and saves all of it
				saved := 0
				if c.name != "django" {
					return nil // each few minutes
				}
				if err := d.db.QueryRowContext(t.Context(), d.sql("SELECT count(*) FROM {periodictask} WHERE last_run_at IS NOT NULL")).Scan(&saved); err != nil {
					return err
				}
				if saved < 4 {
					return fmt.Errorf("beat has saved %d of four rows", saved)
				}
				return nil
			})
			for _, edit := range []string{"queue = 'elsewhere' WHERE name = 'moved'", "priority = 3, headers = '{\"x\": \"z\"}' WHERE name = 'limited'", "enabled = false WHERE name = 'switched off'", "enabled = true WHERE name = 'switched on'"} {
				d.exec(t, "UPDATE {periodictask} SET "+edit) // which a beat does not see
			}
			_, found := lookOn(t, 24*time.Second, append(d.flags(), "--broker", broker, "--patience", "10s")...)
			for name, differs := range map[string]string{"same": "", "moved": "destination", "limited": "header x, priority"} {
				if e := found[name]; e.Both < 5 || e.OnlyBeat+e.OnlyOnebeat > 1 || !slices.Contains(e.Ways, "queue") || e.differs() != differs {
					t.Errorf("%s is %+v, want that it was seen, with the differences %q", name, e, differs)
				}
			}
			if e := found["switched off"]; e.Both != 0 || e.OnlyBeat < 5 || e.Remark != "disabled" {
				t.Errorf("switched off is %+v, want that beat alone sent it", e)
			}
			if e := found["switched on"]; e.Both != 0 || e.OnlyBeat != 0 || e.OnlyOnebeat < 3 || !slices.Equal(e.Ways, []string{"last run"}) {
				t.Errorf("switched on is %+v, want that onebeat alone would have sent it", e)
			}
		})
	}
}

// Beside RedBeat, whose messages bear no name, they are told apart by their arguments.
func TestShadowBesideRedBeat(t *testing.T) {
	t.Parallel()
	r := newRedBeats(t)
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	queue := "shadow-" + uuid.Must(uuid.NewV4()).String()
	r.python(t, fmt.Sprintf(`
for name in ("one", "two"):
    entry(name, schedule(run_every=2), task="shadow.any", args=[name], options={"queue": %q})
entry("three", schedule(run_every=2), task="shadow.three", args=["three"], options={"queue": %q, "expires": 30})
`, queue, queue), nil)
	dir := t.TempDir()
	beat := launch(t, "RedBeat", process.Command{
		Path: harness.Env(t, "ONEBEAT_TEST_REDBEAT"), Log: filepath.Join(dir, "beat.log"), Dir: dir,
		Args: []string{"-m", "celery", "-A", "redbeat_shell:app", "beat", "-S", "redbeat.RedBeatScheduler", "--max-interval", "1", "-l", "info"},
		Env:  []string{"PYTHONPATH=" + filepath.Join(root, "test", "python"), "REDBEAT_URL=" + r.url, "REDBEAT_PREFIX=" + r.prefix},
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := beat.AwaitLog(ctx, "Sending due task"); err != nil {
		t.Fatal(err)
	}
	settings := fileOf(t, "settings.yaml", "celery: {task_annotations: {shadow.three: {priority: 5}}}\n")
	_, found := lookOn(t, 20*time.Second, "--catalog", "redbeat", "--redbeat-url", r.url, "--redbeat-prefix", r.prefix, "--redbeat-lock", r.prefix+":lock", "--zone", "Asia/Tokyo",
		"--config", settings, "--broker", r.url, "--patience", "10s", "--database", "sqlite:///"+filepath.Join(dir, "state.db"))
	for name, differs := range map[string]string{"one": "", "two": "", "three": "priority"} {
		if e := found[name]; e.Both < 5 || e.OnlyBeat+e.OnlyOnebeat > 1 || !slices.Contains(e.Ways, "queue") || e.differs() != differs {
			t.Errorf("%s is %+v, want that it was seen, with the differences %q", name, e, differs)
		}
	}
}
