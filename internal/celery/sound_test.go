package celery

import (
	"encoding/json"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// pieces are what texts of JSON, and of nearly JSON, are made of.
var pieces = []string{
	"[", "]", "{", "}", ",", ":", " ", `"`, `"a"`, `"a": `, `"ü"`, `"b": 1`, `"c": [true], "d": {}`, `\n`, `\u00e9`, `\x`, "1", "-1", "01", "1.5", "1.", "-", ".5", "1e5", "NaN", "Infinity",
	"true", "false", "null", "nul", "\t", "\n", "\xff", "\x7f", "[1, 2]", `{"k": [1]}`, strings.Repeat("9", 19), strings.Repeat("[", 40), strings.Repeat("]", 40),
}

// What is called sound is made ready, and every reader of JSON reads it.
func TestWhatIsSoundIsMadeReady(t *testing.T) {
	config, err := ParseConfig(nil)
	if err != nil {
		t.Fatal(err)
	}
	sound := 0
	rapid.Check(t, func(t *rapid.T) {
		text := func(name, first, last string) string {
			inner := strings.Join(rapid.SliceOfN(rapid.SampledFrom(pieces), 0, 3).Draw(t, name), rapid.SampledFrom([]string{"", ", "}).Draw(t, name+" with"))
			if rapid.IntRange(0, 9).Draw(t, name+" is closed") > 0 {
				return first + inner + last
			}
			return inner
		}
		task := Task{Name: "tasks.add", Entry: "an entry", Args: text("args", "[", "]"), Kwargs: text("kwargs", "{", "}"), Options: rapid.SampledFrom([]string{"", "{}", `{"expires": 60}`, `{"expires": NaN}`, `{"serializer": "yaml"}`, `{"x": }`}).Draw(t, "options")}
		if !config.Sound(task) {
			return
		}
		sound++
		if _, err := config.Template(task); err != nil {
			t.Fatalf("Sound(%+v), but Template: %v", task, err)
		}
		for text, first := range map[string]string{task.Args: "[", task.Kwargs: "{", task.Options: "{"} {
			if text != "" && (!json.Valid([]byte(text)) || !strings.HasPrefix(text, first)) {
				t.Fatalf("Sound(%+v), but %q is no JSON that begins with %s", task, text, first)
			}
		}
	})
	if sound == 0 {
		t.Error("no task was sound: nothing was compared")
	}
}

func FuzzPlainJSON(f *testing.F) {
	for _, piece := range pieces {
		f.Add("["+piece+"]", true)
		f.Add(`{"k": `+piece+"}", false)
	}
	f.Fuzz(func(t *testing.T, text string, list bool) {
		first := byte('{')
		if list {
			first = '['
		}
		if !plainJSON(text, first) || text == "" {
			return
		}
		if !json.Valid([]byte(text)) || text[0] != first {
			t.Fatalf("plainJSON(%q, %c) is true", text, first)
		}
		if _, err := parseJSON(text); err != nil {
			t.Fatalf("plainJSON(%q, %c) is true, but it can't be read: %v", text, first, err)
		}
	})
}

// What rows mostly hold is sound: else nothing would be saved.
func TestWhatRowsHoldIsSound(t *testing.T) {
	config, err := ParseConfig(nil)
	if err != nil {
		t.Fatal(err)
	}
	plain := Task{
		Name: "reports.tasks.send", Entry: "report of customer 7", Args: `["daily", 7, -1.5, true, null, [], {}]`,
		Kwargs: `{"schedule_id": 7, "to": "Zoë \"Z\"", "filter": {"tags": ["a", "b"]}}`, Options: `{"queue": "reports", "expires": 1800, "soft_time_limit": 300}`,
	}
	for _, tt := range []struct {
		name   string
		change func(*Task)
		want   bool
	}{
		{"as it mostly is", func(*Task) {}, true},
		{"with nothing", func(t *Task) { t.Args, t.Kwargs, t.Options = "", "", "" }, true},
		{"without a task", func(t *Task) { t.Name = "" }, false},
		{"with a name that is not UTF-8", func(t *Task) { t.Entry = "\xff" }, false},
		{"args of another kind", func(t *Task) { t.Args = "{}" }, false},
		{"kwargs with no value", func(t *Task) { t.Kwargs = `{"a"}` }, false},
		{"a comma too many", func(t *Task) { t.Args = "[1,]" }, false},
		{"an end too many", func(t *Task) { t.Args = "[1]]" }, false},
		{"an end too few", func(t *Task) { t.Args = "[[1]" }, false},
		{"the wrong end", func(t *Task) { t.Args = "[1}" }, false},
		{"NaN, which Python alone reads", func(t *Task) { t.Args = "[NaN]" }, false},
		{"an option that is none", func(t *Task) { t.Options = `{"args": []}` }, false},
		{"an option of the wrong kind", func(t *Task) { t.Options = `{"expires": []}` }, false},
		{"another serializer", func(t *Task) { t.Options = `{"serializer": "msgpack"}` }, false},
	} {
		task := plain
		tt.change(&task)
		if got := config.Sound(task); got != tt.want {
			t.Errorf("%s: Sound is %v, want %v", tt.name, got, tt.want)
		}
	}
}

func BenchmarkSound(b *testing.B) {
	config, err := ParseConfig(nil)
	if err != nil {
		b.Fatal(err)
	}
	task := Task{
		Name: "reports.tasks.send", Entry: "report of customer 7", Args: `["daily", 7]`,
		Kwargs: `{"schedule_id": 7, "from_date": "20250729", "to_date": "20250730"}`, Options: `{"queue": "reports", "expires": 1800, "soft_time_limit": 300}`,
	}
	b.ReportAllocs()
	for b.Loop() {
		if !config.Sound(task) {
			b.Fatal("it is not sound")
		}
	}
}
