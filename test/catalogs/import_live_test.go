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
	"github.com/google/go-cmp/cmp"
	"github.com/redis/rueidis"
	"go.yaml.in/yaml/v4"

	"github.com/onebeat/onebeat/test/harness"
	"github.com/onebeat/onebeat/test/harness/process"
)

// liveApp starts a worker of the application live in an environment, and returns when it can be asked.
func liveApp(t *testing.T, python, broker, name string, env []string) {
	t.Helper()
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	w := launch(t, name, process.Command{
		Path: python, Args: []string{"-m", "celery", "-A", "live", "worker", "-P", "solo", "-n", name, "-l", "INFO", "--without-gossip", "--without-mingle"},
		Dir: filepath.Join(root, "internal", "celeryapp", "testdata"), Log: filepath.Join(t.TempDir(), name+".log"),
		Env: append([]string{"CELERY_BROKER_URL=" + broker, "PYTHONUNBUFFERED=1", "PYTHONDONTWRITEBYTECODE=1", "C_FORCE_ROOT=1"}, env...),
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := w.AwaitLog(ctx, name+" ready."); err != nil {
		t.Fatal(err)
	}
}

// files is what an import has written to its two files, and what it said.
type files struct {
	Entries, Settings any
	Refused           map[string]string
	Workers           []string
}

func importFiles(t *testing.T, env []string, command ...string) (f files) {
	t.Helper()
	dir := t.TempDir()
	entries, settings := filepath.Join(dir, "entries.yaml"), filepath.Join(dir, "settings.yaml")
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, append(append([]string{"import"}, command...), "--file", entries, "--settings", settings, "--apply", "--json")...)
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Dir = filepath.Join(root, "internal", "celeryapp", "testdata")
	cmd.Env = append(append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1"), env...)
	var problems strings.Builder
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if code := cmd.ProcessState.ExitCode(); code != 0 && code != 3 { // some is refused
		t.Fatalf("import %v: %v\n%s%s", command, err, out, problems.String())
	}
	var answer struct {
		Refused []struct{ Name, Reason string }
		Workers []string
	}
	if err := json.Unmarshal(out, &answer); err != nil {
		t.Fatalf("import %v: %v\n%s", command, err, out)
	}
	f.Workers, f.Refused = answer.Workers, map[string]string{}
	for _, r := range answer.Refused {
		f.Refused[r.Name] = r.Reason
	}
	for path, to := range map[string]*any{entries: &f.Entries, settings: &f.Settings} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := yaml.Unmarshal(text, to); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

// Running workers of the newest Celery and of 5.2, of both brokers, tell together what the
// code says, but for what remote control cannot tell, which is named.
func TestImportLiveTellsWhatTheCodeSays(t *testing.T) {
	t.Parallel()
	onEachBroker(t, "13", func(t *testing.T, url string, redis bool) {
		own := uuid.Must(uuid.NewV4()).String()
		env, flags := []string{"LIVE_QUEUE=live-" + own}, []string{"live", "--broker", url, "--wait", "6s"}
		if redis { // its exchanges have names of their own
			env = append(env, "LIVE_EXCHANGES=own")
			flags = append(flags, "--config", fileOf(t, "settings.yaml", "celery: {event_exchange: own, control_exchange: own}\n"))
		}
		newest, old := harness.Env(t, "ONEBEAT_TEST_PYTHON"), harness.Env(t, "ONEBEAT_TEST_PYTHON52")
		workers := []string{"new@" + own, "old@" + own}
		liveApp(t, newest, url, workers[0], env)
		liveApp(t, old, url, workers[1], env)
		both := importFiles(t, env, append(flags, "--worker", workers[0], "--worker", workers[1])...)
		if diff := cmp.Diff(workers, both.Workers); diff != "" {
			t.Errorf("who told (-want +got):\n%s", diff)
		}
		for _, one := range []struct{ worker, python string }{{workers[0], newest}, {workers[1], old}} {
			live := importFiles(t, env, append(flags, "--worker", one.worker)...)
			sameAsCode(t, one.worker, live, importFiles(t, env, "celery", "-A", "live", "--python", one.python))
			if one.worker == workers[0] {
				sameAsCode(t, "both", both, importFiles(t, env, "celery", "live", "--python", one.python))
			}
		}
		if redis {
			nothingLeft(t, url)
		}
	})
}

// onEachBroker runs a test on Redis, in a database of its own, and on RabbitMQ, at once.
func onEachBroker(t *testing.T, database string, test func(t *testing.T, url string, redis bool)) {
	for _, broker := range []string{"ONEBEAT_TEST_REDIS", "ONEBEAT_TEST_RABBITMQ"} {
		t.Run(strings.TrimPrefix(broker, "ONEBEAT_TEST_"), func(t *testing.T) {
			t.Parallel()
			url, redis := harness.Env(t, broker), broker == "ONEBEAT_TEST_REDIS"
			if redis {
				url = strings.TrimSuffix(url, "/") + "/" + database
			}
			test(t, url, redis)
		})
	}
}

// sameAsCode compares what was told with what the code says.
func sameAsCode(t *testing.T, who string, live, code files) {
	t.Helper()
	// A queue that a worker has declared names the default exchange, which the code leaves open.
	usual := live.Settings.(map[string]any)["celery"].(map[string]any)["task_queues"].([]any)[0].(map[string]any)
	if diff := cmp.Diff(map[string]any{"name": usual["name"], "type": "direct"}, usual["exchange"]); diff != "" {
		t.Errorf("%s: the default exchange (-want +got):\n%s", who, diff)
	}
	delete(usual, "exchange")
	if diff := cmp.Diff(code.Settings, live.Settings); diff != "" {
		t.Errorf("%s: settings (-code +live):\n%s", who, diff)
	}
	entries := code.Entries.(map[string]any)["beat_schedule"].(map[string]any)
	for name, words := range map[string]string{ // beside what the code refuses too
		"rounded": "told rounded", "object": "text of an object of Python's", "hidden": "hidden by Celery",
	} {
		if entries[name] == nil && name != "object" || !strings.Contains(live.Refused[name], words) {
			t.Errorf("%s: %s was refused for %q, want %q", who, name, live.Refused[name], words)
		}
		delete(entries, name)
		delete(live.Refused, name)
		delete(code.Refused, name)
	}
	dated := entries["dated"].(map[string]any)
	dated["kwargs"] = map[string]any{"at": "2026-01-02T03:04:00"} // the code has a datetime
	if diff := cmp.Diff(code.Entries, live.Entries); diff != "" {
		t.Errorf("%s: entries (-code +live):\n%s", who, diff)
	}
	if got, want := keys(live.Refused), keys(code.Refused); !slices.Equal(got, want) {
		t.Errorf("%s: %v were refused, want %v", who, got, want)
	}
}

func keys(m map[string]string) (all []string) {
	for name := range m {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

// nothingLeft looks for what onebeat may have left in a Redis.
func nothingLeft(t *testing.T, url string) {
	t.Helper()
	option, err := rueidis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	option.DisableCache = true
	client, err := rueidis.NewClient(option)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for _, pattern := range []string{"*onebeat*", "*reply.*pidbox*"} {
		left, err := client.Do(t.Context(), client.B().Keys().Pattern(pattern).Build()).AsStrSlice()
		if err != nil || len(left) > 0 {
			t.Errorf("%v are left behind (%v)", left, err)
		}
	}
}

// With nobody to ask, the answer says what may be wrong.
func TestImportLiveWithoutWorkers(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		broker, want string
		code         int
	}{
		{strings.TrimSuffix(harness.Env(t, "ONEBEAT_TEST_REDIS"), "/") + "/14", "no worker answered at redis://", 1},
		{harness.Env(t, "ONEBEAT_TEST_RABBITMQ"), "no worker answered at amqp://", 1},
		{"sqla+sqlite:///" + filepath.Join(t.TempDir(), "b.db"), "only Redis and RabbitMQ", 2},
		{"", "no broker is set", 2},
		{"redis://127.0.0.1:1", "refused", 1},
	} {
		out, code := onebeat(t, "import", "live", "--broker", tt.broker, "--worker", fmt.Sprint("nobody@", uuid.Must(uuid.NewV4())), "--wait", "300ms", "--file", filepath.Join(t.TempDir(), "f.yaml"))
		if code != tt.code || !strings.Contains(out, tt.want) || strings.Count(strings.TrimSpace(out), "\n") > 0 || strings.Contains(out, "guest:guest") {
			t.Errorf("import live at %q = %d: %s; want %d and %q", tt.broker, code, out, tt.code, tt.want)
		}
	}
}
