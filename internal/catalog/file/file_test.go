package file

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/onebeat/onebeat/internal/schedule"
	"github.com/onebeat/onebeat/internal/store"
)

// want are the entries of each of the files in testdata, which say the same.
var want = []store.Outside{
	{Key: "cleanup", Definition: store.Definition{
		Name: "cleanup", Task: "proj.tasks.cleanup", Spec: "0 4 * * *", Zone: "Asia/Tokyo", Enabled: true,
		Args: `[16,"x"]`, Kwargs: `{"deep":true}`, Options: `{"expires":3600,"queue":"low"}`, Description: "each night",
	}},
	{Key: "half minute", Definition: store.Definition{Name: "half minute", Task: "proj.tasks.tick", Spec: "@every 30s", Zone: "Asia/Tokyo", Enabled: true}},
	{Key: "launch", Definition: store.Definition{Name: "launch", Task: "proj.tasks.launch", Spec: "@at 2027-01-01T00:00:00Z", Zone: "Asia/Tokyo", Enabled: true}},
	{Key: "off", Definition: store.Definition{
		Name: "off", Task: "proj.tasks.tick", Spec: "@every 2h0m0s", Zone: "Europe/Berlin", Rules: `{"weekend":"sat,sun"}`,
		Misfire: schedule.Misfire{Policy: schedule.Skip, Grace: 90 * time.Second, Count: 3, Age: time.Hour},
	}},
	{Key: "sunset", Definition: store.Definition{Name: "sunset", Task: "proj.tasks.light", Spec: "@solar sunset 35.6895 139.6917", Zone: "Asia/Tokyo", Enabled: true}},
	{Key: "weekdays", Definition: store.Definition{Name: "weekdays", Task: "proj.tasks.tick", Spec: "0,30 9 * * mon-fri", Zone: "Asia/Tokyo", Enabled: true}},
}

func TestFormatsSayTheSame(t *testing.T) {
	for _, name := range []string{"schedules.yaml", "schedules.json", "schedules.toml"} {
		files, err := New(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		got, err := files.Read(t.Context())
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		for _, entry := range got {
			if _, err := schedule.ParseSpec(entry.Spec, entry.Zone, entry.Anchor); err != nil {
				t.Errorf("%s: %s: %v", name, entry.Name, err)
			}
		}
	}
}

// An instant without an offset is one of the entry's zone, as in a spec.
func TestAnInstantWithoutAnOffset(t *testing.T) {
	for _, tt := range []struct{ ending, entry, spec, problem string }{
		{".yaml", "beat_schedule: {a: {task: t, schedule: 2027-01-01 09:00:00}}", "@at 2027-01-01T09:00:00", ""},
		{".yaml", "beat_schedule: {a: {task: t, schedule: 2027-1-1 9:00:00.5}}", "@at 2027-01-01T09:00:00.5", ""},
		{".yaml", "beat_schedule: {a: {task: t, schedule: 2027-01-01}}", "@at 2027-01-01T00:00:00", ""},
		{".yaml", "beat_schedule:\n  b: &b {task: t, schedule: 2027-01-01}\n  a: {<<: *b}", "@at 2027-01-01T00:00:00", ""},
		{".yaml", "beat_schedule: {a: {task: t, schedule: 2027-01-01T09:00:00Z}}", "@at 2027-01-01T09:00:00Z", ""},
		{".yaml", "beat_schedule: {a: {task: t, schedule: 2027-01-01T09:00:00+02:00}}", "@at 2027-01-01T09:00:00+02:00", ""},
		{".toml", "[beat_schedule.a]\ntask = 't'\nschedule = 2027-01-01T09:00:00", "@at 2027-01-01T09:00:00", ""},
		{".toml", "[beat_schedule.a]\ntask = 't'\nschedule = 2027-01-01", "@at 2027-01-01T00:00:00", ""},
		{".toml", "[beat_schedule.a]\ntask = 't'\nschedule = 2027-01-01T09:00:00+02:00", "@at 2027-01-01T09:00:00+02:00", ""},
		{".toml", "[beat_schedule.a]\ntask = 't'\nschedule = 09:00:00", "", "a time of day is no schedule"},
	} {
		entries, err := parse(tt.ending, []byte(tt.entry))
		if err != nil || len(entries) == 0 {
			t.Errorf("%s: %v", tt.entry, err)
			continue
		}
		e := entries[0]
		if e.Spec != tt.spec || !strings.Contains(e.Problem, tt.problem) || (e.Problem == "") != (tt.problem == "") {
			t.Errorf("%s: %q, %q; want %q, %q", tt.entry, e.Spec, e.Problem, tt.spec, tt.problem)
		}
	}
}

// What is wrong with one entry is said of it, and the others stand.
func TestWhatIsWrongWithAnEntry(t *testing.T) {
	for _, tt := range []struct{ entry, problem string }{
		{`1`, "the entry must have task and schedule"},
		{`{schedule: 30}`, "the entry has no task"},
		{`{task: t}`, "the entry has no schedule"},
		{`{task: t, schedule: 30, queue: x}`, "queue belongs below options"},
		{`{task: t, schedule: 30, shedule: x}`, `no field is called "shedule"`},
		{`{task: t, schedule: 0.5}`, "an interval of 0.5 seconds is out of range"},
		{`{task: t, schedule: -1}`, "out of range"},
		{`{task: t, schedule: {crontab: {second: 1}}}`, `a crontab has no "second"`},
		{`{task: t, schedule: {minute: {a: 1}}}`, "minute must be a text, a number or a list of them"},
		{`{task: t, schedule: {every: 1, period: fortnights}}`, `period is "fortnights"`},
		{`{task: t, schedule: {every: often}}`, `every is "often": write a number`},
		{`{task: t, schedule: {}}`, "none of crontab"},
		{`{task: t, schedule: [1]}`, "must be seconds, a text or a kind of schedule"},
		{`{task: 1, schedule: 30}`, "task must be a text"},
		{`{task: t, schedule: 30, enabled: maybe}`, "enabled must be true or false"},
		{`{task: t, schedule: 30, relative: 1}`, "relative must be true or false"},
		{`{task: t, schedule: 30, args: {1: 2}}`, "args can't be written as JSON"},
		{`{task: t, schedule: 30, misfire_policy: 1}`, "misfire_policy must be once, skip or all"},
		{`{task: t, schedule: 30, misfire_max_count: -1}`, "misfire_max_count must be a whole number"},
		{`{task: t, schedule: 30, misfire_grace_seconds: x}`, "misfire_grace_seconds must be seconds"},
	} {
		entries, err := parse(".yaml", []byte("beat_schedule:\n  good: {task: t, schedule: 30}\n  odd: "+tt.entry+"\n"))
		if err != nil || len(entries) != 2 {
			t.Errorf("%s: %d entries, %v", tt.entry, len(entries), err)
			continue
		}
		if entries[0].Problem != "" || !strings.Contains(entries[1].Problem, tt.problem) || strings.Contains(entries[1].Problem, "\n") {
			t.Errorf("%s: the problems are %q and %q, want none and %q", tt.entry, entries[0].Problem, entries[1].Problem, tt.problem)
		}
	}
}

// A file that can't be read as a whole is an error that says where.
// What Python takes for a float is one in the message too: a task that is called with 2 for
// 2.0 may do something else.
func TestFloatsStayFloats(t *testing.T) {
	for ending, text := range map[string]string{
		".yaml": "beat_schedule:\n  a: {task: t, schedule: 30, args: [2.0, 2, 2.5, 1.0e+30, {b: -0.0}, 1000000.0, 1.5e+16], kwargs: {ratio: 3.0, many: [1.0]}}\n",
		".toml": "[beat_schedule.a]\ntask = \"t\"\nschedule = 30\nargs = [2.0, 2, 2.5, 1e30, {b = -0.0}, 1000000.0, 1.5e16]\nkwargs = {ratio = 3.0, many = [1.0]}\n",
		".json": `{"beat_schedule": {"a": {"task": "t", "schedule": 30, "args": [2.0, 2, 2.5, 1e+30, {"b": -0.0}, 1000000.0, 15000000000000000.0], "kwargs": {"ratio": 3.0, "many": [1.0]}}}}`,
	} {
		entries, err := parse(ending, []byte(text))
		if err != nil || len(entries) != 1 {
			t.Errorf("%s: %d entries, %v", ending, len(entries), err)
			continue
		}
		if e := entries[0]; e.Args != `[2.0,2,2.5,1e+30,{"b":-0.0},1000000.0,15000000000000000.0]` || e.Kwargs != `{"many":[1.0],"ratio":3.0}` {
			t.Errorf("%s: args %s, kwargs %s (%s)", ending, e.Args, e.Kwargs, e.Problem)
		}
	}
}

// Nor does an integer of any length become a float, as the decoder of YAML has it.
func TestIntegersStayIntegers(t *testing.T) {
	const long = "123456789012345678901234"
	for ending, text := range map[string]string{
		".yaml": "beat_schedule:\n  a: {task: t, schedule: 30, args: [" + long + ", +" + long + ", 18446744073709551615, {b: [-" + long + "]}, '" + long + "', !!float 100000000000000000000000], kwargs: {'" + long + "': 1, id: " + long + "}}\n",
		".json": `{"beat_schedule": {"a": {"task": "t", "schedule": 30, "args": [` + long + `, ` + long + `, 18446744073709551615, {"b": [-` + long + `]}, "` + long + `", 1e+23], "kwargs": {"` + long + `": 1, "id": ` + long + `}}}}`,
	} {
		entries, err := parse(ending, []byte(text))
		if err != nil || len(entries) != 1 {
			t.Errorf("%s: %d entries, %v", ending, len(entries), err)
			continue
		}
		want := `[` + long + `,` + long + `,18446744073709551615,{"b":[-` + long + `]},"` + long + `",1e+23]`
		if e := entries[0]; e.Args != want || e.Kwargs != `{"`+long+`":1,"id":`+long+`}` {
			t.Errorf("%s: args %s, want %s, kwargs %s (%s)", ending, e.Args, want, e.Kwargs, e.Problem)
		}
	}
}

func TestANameMayLookLikeANumber(t *testing.T) {
	entries, err := parse(".yaml", []byte("beat_schedule:\n  good: {task: t, schedule: 30}\n  2026: {task: t, schedule: 30}\n"))
	if err != nil || len(entries) != 2 || entries[0].Name != "2026" || entries[1].Name != "good" {
		t.Errorf("parse = %+v, %v, want both entries", entries, err)
	}
	if _, err := parse(".yaml", []byte("beat_schedule:\n  1: {task: t, schedule: 30}\n  \"1\": {task: t, schedule: 30}\n")); err == nil {
		t.Error("two entries of one name were taken")
	}
}

func TestWhatIsWrongWithAFile(t *testing.T) {
	for _, tt := range []struct{ ending, text, problem string }{
		{".yaml", "beat_schedule: [", ""},
		{".yaml", "beat_schedule: {a: {task: t, schedule: 30}, a: {task: u, schedule: 30}}", "a"},
		{".yaml", "cleanup: {task: t, schedule: 30}", `"cleanup" is nothing that belongs here: write entries below beat_schedule`},
		{".yaml", "beat_schedule: 5", "beat_schedule must hold entries by name"},
		{".yaml", "timezone: 5", "timezone must be a name"},
		{".json", `{"beat_schedule": {"a": {"task": "t", "schedule": 1}, "a": {"task": "u", "schedule": 1}}}`, `"a" is there twice`},
		{".json", `{`, "EOF"},
		{".toml", `beat_schedule = `, "toml"},
		{".yaml", "", "the file is empty"},
		{".toml", " \n", "the file is empty"},
	} {
		_, err := parse(tt.ending, []byte(tt.text))
		if err == nil || !strings.Contains(err.Error(), tt.problem) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s %s: %v, want one line with %q", tt.ending, tt.text, err, tt.problem)
		}
	}
	if _, err := New("schedules.ini"); err == nil {
		t.Error("a file of no known kind was taken")
	}
	missing, err := New(filepath.Join(t.TempDir(), "a.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := missing.Read(t.Context()); err == nil {
		t.Error("a file that is not there was read")
	}
	for ending, text := range map[string]string{".yaml": "beat_schedule:\n", ".json": "{}", ".toml": "[beat_schedule]\n"} {
		if entries, err := parse(ending, []byte(text)); err != nil || len(entries) > 0 {
			t.Errorf("%s %s: %v, %v; want no entries", ending, text, entries, err)
		}
	}
}

// A file that is written, replaced, removed or made is told of once.
func TestChanged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "schedules.yaml")
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(path, "timezone: UTC\n")
	files, err := New(path)
	if err != nil {
		t.Fatal(err)
	}
	told := make(chan error)
	ctx, cancel := context.WithCancel(t.Context())
	ready := make(chan struct{})
	go func() {
		close(ready)
		for {
			err := files.Changed(ctx)
			told <- err
			if err != nil {
				return
			}
		}
	}()
	<-ready
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) { // until it has looked
		files.mu.Lock()
		looked := files.last != nil
		files.mu.Unlock()
		if looked || time.Now().After(deadline) {
			break
		}
	}
	for _, step := range []struct {
		name string
		do   func()
	}{
		{"a longer text", func() { write(path, "timezone: Asia/Tokyo\n") }},
		{"another file in its place", func() {
			write(path+".new", "timezone: Asia/Seoul\n")
			if err := os.Rename(path+".new", path); err != nil {
				t.Fatal(err)
			}
		}},
		{"none", func() {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}},
		{"one again", func() { write(path, "timezone: UTC\n") }},
	} {
		step.do()
		select {
		case err := <-told:
			if err != nil {
				t.Fatalf("%s: %v", step.name, err)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("%s was not told of", step.name)
		}
	}
	cancel()
	if err := <-told; err == nil {
		t.Error("Changed returned no error after its context ended")
	}
}

func FuzzParse(f *testing.F) {
	for name := range formats {
		if text, err := os.ReadFile(filepath.Join("testdata", "schedules"+name)); err == nil {
			f.Add(name, text)
		}
	}
	f.Add(".yaml", []byte("beat_schedule: {a: {task: t, schedule: {minute: [1, 2]}, args: [!!binary aGk=]}}"))
	f.Fuzz(func(t *testing.T, ending string, text []byte) {
		if formats[ending] == nil {
			return
		}
		entries, err := parse(ending, text)
		if err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("the error has several lines: %q", err)
		}
		for _, entry := range entries {
			if entry.Problem == "" && entry.Task == "" {
				t.Errorf("an entry without a task has no problem: %+v", entry)
			}
		}
	})
}
