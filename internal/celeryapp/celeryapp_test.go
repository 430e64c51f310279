package celeryapp_test

import (
	cmp2 "cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"

	"github.com/onebeat/onebeat/internal/catalog/file"
	"github.com/onebeat/onebeat/internal/celery"
	"github.com/onebeat/onebeat/internal/celeryapp"
	"github.com/onebeat/onebeat/internal/schedule"
	"github.com/onebeat/onebeat/internal/store"
)

func python(t *testing.T) string {
	t.Helper()
	path := os.Getenv("ONEBEAT_TEST_PYTHON")
	if path == "" {
		t.Fatal("ONEBEAT_TEST_PYTHON is not set: run the tests with `make test`, or `make stack` first")
	}
	return path
}

func TestReadTellsOfEveryKind(t *testing.T) {
	app, err := celeryapp.Read(t.Context(), python(t), "proj", "testdata")
	if err != nil {
		t.Fatal(err)
	}
	entry := func(name, spec string, remarks ...string) celeryapp.Entry {
		if remarks == nil {
			remarks = []string{}
		}
		return celeryapp.Entry{Name: name, Task: "proj." + name, Spec: spec, Args: "[]", Kwargs: "{}", Options: "{}", Remarks: remarks}
	}
	nightly := entry("nightly", "0 2,3 * * mon-fri")
	nightly.Args, nightly.Kwargs = `[1, "\u00e9", {"a": null}]`, `{"b": 2.5}`
	nightly.Options = `{"queue": "low", "expires": 60.0, "priority": 3}`
	object, linked := entry("object", "@every 30s"), entry("linked", "@every 30s")
	object.Options = `{"queue": "apart"}`
	linked.Options = `{"link": {"task": "proj.then", "args": [1], "kwargs": {}, "options": {}, "subtask_type": null, "immutable": false}}`
	exchange := entry("exchange", "@every 30s")
	exchange.Options = `{"exchange": "t"}`
	added := entry("added", "@every 10s")
	added.Args = "[7]"
	want := celeryapp.App{
		Zone: "Asia/Tokyo",
		Entries: []celeryapp.Entry{
			nightly,
			entry("lists", "0,30 */2 * * *"),
			entry("number", "@every 30s"),
			entry("fraction", "@every 1500000us"),
			entry("length", "@every 3600s relative"),
			entry("schedule", "@every 86400s relative"),
			entry("sun", "@solar sunset 35.6895 139.6917"),
			object,
			linked,
			exchange,
			added,
		},
		Refused: []celeryapp.Refused{
			{Name: "topic", Reason: "options holds the queue apart as an object, and Celery would take its name for another one: put it among task_queues, and its name here"},
			{Name: "own exchange", Reason: "options holds an object of the class kombu.entity.Exchange: write the name or the value that it stands for"},
			{Name: "lazy", Reason: "kwargs holds something that is computed at each send: let the task compute it"},
			{Name: "fast", Reason: "an interval of 0.1s is shorter than a second: let the task do several rounds"},
			{Name: "own", Reason: "a schedule of the class proj.Own: write it as a crontab, an interval, a recurrence rule, or with rules around one"},
			{Name: "timeless", Reason: "it has no schedule"},
			{Name: "broker_transport_options", Reason: "sentinel_kwargs may hold a password: write it into the settings file by hand"},
			{Name: "broker_use_ssl", Reason: "it names files of the application's machine: write it into the settings file by hand, with onebeat's own"},
		},
	}
	var settings any
	if err := json.Unmarshal(app.Settings, &settings); err != nil {
		t.Fatal(err)
	}
	wantSettings := map[string]any{
		"task_default_queue": "usual",
		"task_routes": map[string]any{
			"proj.z*": map[string]any{"queue": "slow"}, "proj.sun": map[string]any{"queue": "outside", "priority": 5.0}, "proj.*": map[string]any{"queue": "mine"},
		},
		"task_queues": []any{
			map[string]any{"name": "named"},
			map[string]any{
				"name": "mine", "exchange": map[string]any{"name": "mine", "type": "topic", "durable": false}, "routing_key": "mine.#",
				"max_priority": 9.0, "queue_arguments": map[string]any{"x-queue-type": "classic"},
			},
		},
		"broker_transport_options": map[string]any{"global_keyprefix": "ours-", "priority_steps": []any{0.0, 1.0, 2.0}, "master_name": "main", "visibility_timeout": 3600.0},
		"task_annotations": map[string]any{
			"proj.nightly": map[string]any{"queue": "class", "time_limit": 60.0, "ignore_result": true, "expires": 3600.0},
		},
	}
	if diff := cmp.Diff(wantSettings, settings); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
	files(t, app)
	app.Settings = nil
	if diff := cmp.Diff(want, app); diff != "" {
		t.Errorf("Read (-want +got):\n%s", diff)
	}
	for _, entry := range app.Entries {
		if _, err := schedule.ParseSpec(entry.Spec, app.Zone, time.Time{}); err != nil {
			t.Errorf("the spec of %s can't be read: %v", entry.Name, err)
		}
	}
	if left, _ := filepath.Glob("testdata/__pycache__"); len(left) > 0 {
		t.Errorf("%v was left behind", left)
	}
}

// files reads what the two files say, as onebeat does.
func files(t *testing.T, app celeryapp.App) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "schedules.yaml")
	text, err := app.EntriesFile()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	catalog, err := file.New(path)
	if err != nil {
		t.Fatal(err)
	}
	entries, err := catalog.Read(t.Context())
	if err != nil || len(entries) != len(app.Entries) {
		t.Fatalf("%d entries, %v, of\n%s", len(entries), err, text)
	}
	for _, entry := range app.Entries {
		i := slices.IndexFunc(entries, func(e store.Outside) bool { return e.Name == entry.Name })
		got := entries[i]
		if got.Problem != "" || got.Task != entry.Task || got.Spec != entry.Spec || got.Zone != app.Zone ||
			!same(t, got.Args, entry.Args, "[]") || !same(t, got.Kwargs, entry.Kwargs, "{}") || !same(t, got.Options, entry.Options, "{}") {
			t.Errorf("the file says %+v, want %+v", got, entry)
		}
	}
	text, err = app.SettingsFile()
	if err != nil {
		t.Fatal(err)
	}
	if routes := strings.Index(string(text), "proj.z*"); routes < 0 || strings.Index(string(text), "proj.*") < routes {
		t.Errorf("the order of routes is lost:\n%s", text)
	}
	var read struct {
		Zone   string
		Celery map[string]any
	}
	if err := yaml.Unmarshal(text, &read); err != nil || read.Zone != "Asia/Tokyo" {
		t.Fatalf("the settings are %+v, %v, of\n%s", read, err, text)
	}
	delete(read.Celery, "broker_transport_options") // which are the broker's to read
	if _, err := celery.ParseConfig(read.Celery); err != nil {
		t.Errorf("onebeat does not take the settings: %v\n%s", err, text)
	}
}

func same(t *testing.T, got, want, none string) bool {
	t.Helper()
	var values [2]any
	for i, text := range []string{got, want} {
		if err := json.Unmarshal([]byte(cmp2.Or(text, none)), &values[i]); err != nil {
			t.Fatal(err)
		}
	}
	return cmp.Equal(values[0], values[1])
}

func TestWhatIsWrongWithAnApplicationIsToldInOneLine(t *testing.T) {
	broken := t.TempDir()
	for name, raised := range map[string]string{"bad": "RuntimeError('no settings here')", "bare": `ModuleNotFoundError("No module named 'celery'")`} {
		if err := os.WriteFile(filepath.Join(broken, name+".py"), []byte("raise "+raised+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct{ name, python, app, dir, want string }{
		{"no such application", python(t), "nowhere", broken, "No module named 'nowhere'"},
		{"an application that fails", python(t), "bad", broken, "RuntimeError: no settings here"},
		{"a Python without Celery", python(t), "bare", broken, "No module named 'celery': name the application's own Python with --python, such as venv/bin/python"},
		{"no such Python", "no-such-python", "proj", "testdata", "there is no program no-such-python: name the application's Python with --python"},
	} {
		_, err := celeryapp.Read(t.Context(), tt.python, tt.app, tt.dir)
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want one line with %q", tt.name, err, tt.want)
		}
	}
}

// What an application begins as it is loaded, a thread or a program, does not keep anybody waiting.
func TestAnApplicationThatGoesOnIsRead(t *testing.T) {
	dir := t.TempDir()
	goesOn := filepath.Join(dir, "goes-on")
	if err := os.WriteFile(goesOn, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, begins := range map[string]string{
		"thread":  "import threading\nthreading.Thread(target=threading.Event().wait).start()\n",
		"program": "import subprocess\nsubprocess.Popen(['sh', '-c', 'while test -e goes-on; do sleep 0.1; done'])\n",
	} {
		code := begins + "from celery import Celery\napp = Celery()\napp.conf.beat_schedule = {'e': {'task': 't', 'schedule': 30}}\n"
		if err := os.WriteFile(filepath.Join(dir, name+".py"), []byte(code), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	context.AfterFunc(ctx, func() { _ = os.Remove(goesOn) })
	for _, name := range []string{"thread", "program"} {
		app, err := celeryapp.Read(ctx, python(t), name, dir)
		if err != nil || ctx.Err() != nil || len(app.Entries) != 1 {
			t.Errorf("Read of an application that begins a %s: %+v, %v, want one entry at once", name, app.Entries, err)
		}
	}
}

// One entry that is no entry keeps no other back, and says nothing of what it holds.
func TestWhatIsNoEntryIsRefusedAlone(t *testing.T) {
	dir := t.TempDir()
	const code = `from celery import Celery
from kombu import Exchange, Queue
app = Celery()
@app.task(name="t", ignore_result=1)
def t(): pass
app.conf.task_send_sent_event = 1
app.conf.task_queues = [Queue("q", Exchange("x", "topic", delivery_mode=1), routing_key="k")]
app.conf.beat_schedule = {
    "task": {"task": t, "schedule": 30}, "none": None, "nan": {"task": "t", "schedule": float("nan")},
    "options": {"task": "t", "schedule": 30, "options": ["secret"]}, 5: {"task": "t", "schedule": 30},
}
`
	if err := os.WriteFile(filepath.Join(dir, "odd.py"), []byte(code), 0o600); err != nil {
		t.Fatal(err)
	}
	app, err := celeryapp.Read(t.Context(), python(t), "odd", dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(app.Entries) != 1 || app.Entries[0].Name != "5" {
		t.Errorf("entries = %+v, want that of the name 5", app.Entries)
	}
	const undocumented = "it is not as Celery documents entries of beat_schedule "
	want := []celeryapp.Refused{
		{Name: "task", Reason: "its task is an object of the class celery.local.PromiseProxy: write the task's name"},
		{Name: "none", Reason: undocumented + "(AttributeError)"},
		{Name: "nan", Reason: undocumented + "(ValueError)"},
		{Name: "options", Reason: undocumented + "(AttributeError)"},
	}
	if diff := cmp.Diff(want, app.Refused); diff != "" {
		t.Errorf("refused (-want +got):\n%s", diff)
	}
	const settings = `{"task_send_sent_event": true, "task_queues": [{"name": "q", "exchange": {"name": "x", "type": "topic", "delivery_mode": 1}, "routing_key": "k"}], "task_annotations": {"t": {"ignore_result": true}}}`
	if got := string(app.Settings); got != settings {
		t.Errorf("settings are\n%s, want\n%s", got, settings)
	}
}

// A zone of whatever class is carried by its name, or as what it always is ahead of UTC; else it is told.
func TestZonesOfEveryClass(t *testing.T) {
	dir := t.TempDir()
	for i, tt := range []struct {
		zone, want string
		refused    int
	}{
		{`zoneinfo.ZoneInfo("Asia/Tokyo")`, "Asia/Tokyo", 0},
		{"tz.gettz('Europe/Berlin')", "Europe/Berlin", 0}, // dateutil's
		{"datetime.timezone.utc", "UTC", 0},
		{"datetime.timezone(datetime.timedelta(hours=9))", "Etc/GMT-9", 0},
		{"datetime.timezone(-datetime.timedelta(hours=3))", "Etc/GMT+3", 0},
		{"datetime.timezone(datetime.timedelta(hours=5, minutes=30))", "UTC", 1},
	} {
		name := fmt.Sprintf("zone%d", i)
		code := "import datetime, zoneinfo\nfrom dateutil import tz\nfrom celery import Celery\napp = Celery()\napp.conf.timezone = " + tt.zone + "\n"
		if err := os.WriteFile(filepath.Join(dir, name+".py"), []byte(code), 0o600); err != nil {
			t.Fatal(err)
		}
		app, err := celeryapp.Read(t.Context(), python(t), name, dir)
		if err != nil {
			t.Fatal(err)
		}
		if app.Zone != tt.want || len(app.Refused) != tt.refused {
			t.Errorf("%s is %q with %v refused, want %q with %d", tt.zone, app.Zone, app.Refused, tt.want, tt.refused)
		}
	}
}
