package celeryapp_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/onebeat/onebeat/internal/celeryapp"
	"github.com/onebeat/onebeat/internal/schedule"
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
			added,
		},
		Refused: []celeryapp.Refused{
			{Name: "lazy", Reason: "kwargs holds something that is computed at each send: let the task compute it"},
			{Name: "fast", Reason: "an interval of 0.1s is shorter than a second: let the task do several rounds"},
			{Name: "own", Reason: "a schedule of the class proj.Own: write it as a crontab, an interval, a recurrence rule, or with rules around one"},
			{Name: "timeless", Reason: "it has no schedule"},
		},
	}
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

func TestWhatIsWrongWithAnApplicationIsToldInOneLine(t *testing.T) {
	broken := t.TempDir()
	if err := os.WriteFile(filepath.Join(broken, "bad.py"), []byte("raise RuntimeError('no settings here')\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, python, app, dir, want string }{
		{"no such application", python(t), "nowhere", broken, "No module named 'nowhere'"},
		{"an application that fails", python(t), "bad", broken, "RuntimeError: no settings here"},
		{"no such Python", "no-such-python", "proj", "testdata", "there is no program no-such-python: name the application's Python with --python"},
	} {
		_, err := celeryapp.Read(t.Context(), tt.python, tt.app, tt.dir)
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want one line with %q", tt.name, err, tt.want)
		}
	}
}
