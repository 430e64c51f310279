package catalogs

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/onebeat/onebeat/internal/schedule"
	"github.com/onebeat/onebeat/internal/store"
)

// A plan is what onebeat import prints as JSON.
type plan struct {
	Applied bool `json:"applied"`
	Steps   []struct {
		Name   string   `json:"name"`
		Do     string   `json:"do"`
		Fields []string `json:"fields"`

		Spec      string    `json:"spec"`
		Zone      string    `json:"zone"`
		LastRunAt time.Time `json:"last_run_at"`
		Remarks   []string  `json:"remarks"`
	} `json:"steps"`
	Refused []struct {
		Name   string `json:"name"`
		Reason string `json:"reason"`
	} `json:"refused"`
}

// does are the steps by entry, and what is refused.
func (p plan) does() map[string]string {
	does := map[string]string{}
	for _, step := range p.Steps {
		does[step.Name] = strings.Join(append([]string{step.Do}, step.Fields...), " ")
	}
	for _, refused := range p.Refused {
		does[refused.Name] = "refused"
	}
	return does
}

// Tasks become entries of celery_beat_schedules with their run state, so that the slots go
// on there; again as often as one likes.
func TestImportToNative(t *testing.T) {
	each(t, func(t *testing.T, c catalog) {
		d := newTables(t, c)
		d.python(t, schedules+`
task("ran here", interval=every(7, "seconds"), description="what it is for")
task("ran by beat", crontab=nine, last_run_at=at(2026, 1, 1, 0, 30), total_run_count=12, queue="high", priority=7, args="[1]", kwargs='{"a": 2}', expire_seconds=60)
task("bounds", crontab=nine, start_time=at(2030, 1, 1), expires=at(2031, 1, 1))
task("paused", crontab=nine)
task("off", crontab=nine, enabled=False)
task("clocked", clocked=day, one_off=True)
task("one-off", crontab=nine, one_off=True)
task("has run", crontab=nine, one_off=True, total_run_count=1)
task("bad", crontab=plain_cron(day_of_week="7"))
`, nil)
		s := d.open(t)
		r := newRunner(t, s)
		r.run(t, "ran here")
		if out, code := d.onebeat(t, "entries", "pause", "paused", "--reason", "for a while"); code != 0 {
			t.Fatalf("pause = %d: %s", code, out)
		}
		if err := s.Shard(0).Release(t.Context(), r.term); err != nil {
			t.Fatal(err)
		}
		source := load(t, d.open(t))
		<-time.After(time.Until(r.slots["ran here"][0])) // it was sent before its time

		command := append([]string{"import", c.name, "--json", "--database", d.url}, d.flags()[4:]...)
		run := func(want int, args ...string) (p plan) {
			t.Helper()
			out, code := onebeat(t, append(command, args...)...)
			if code != want {
				t.Fatalf("import %v = %d: %s; want %d", args, code, out, want)
			}
			if want != 1 {
				if err := json.Unmarshal([]byte(out), &p); err != nil {
					t.Fatalf("import %v: %v\n%s", args, err, out)
				}
			}
			return p
		}
		run(1) // there is no table yet
		if out, code := onebeat(t, "migrate", "--database", d.url); code != 0 {
			t.Fatalf("migrate = %d: %s", code, out)
		}
		native := func() map[string]store.Row {
			t.Helper()
			n, err := store.Open(t.Context(), d.url, store.Options{Zone: "UTC"})
			if err != nil {
				t.Fatal(err)
			}
			defer n.Close()
			load(t, n) // as a node does, which remembers
			rows, err := n.List(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			byName := map[string]store.Row{}
			for _, row := range rows {
				byName[row.Name] = row
			}
			return byName
		}
		want := map[string]string{
			"ran here": "add", "ran by beat": "add", "bounds": "add", "paused": "add", "off": "add", "clocked": "add", "one-off": "add",
			"has run": "refused", "bad": "refused",
		}
		dry := run(3)
		if diff := cmp.Diff(want, dry.does()); diff != "" || dry.Applied || len(native()) > 0 {
			t.Errorf("the plan (-want +got):\n%s\nand %d entries came of it", diff, len(native()))
		}
		for _, step := range dry.Steps {
			ran := time.Date(2026, 1, 1, 0, 30, 0, 0, time.UTC)
			if step.Name == "ran by beat" && (step.Spec != "0,30 9 * * mon-fri" || step.Zone != "Asia/Tokyo" || !step.LastRunAt.Equal(ran)) {
				t.Errorf("the plan says %+v, want 0,30 9 * * mon-fri in Asia/Tokyo, last run at %v", step, ran)
			}
			if remarks := strings.Join(step.Remarks, ";"); step.Name == "paused" && remarks != "paused" || step.Name == "off" && remarks != "disabled" {
				t.Errorf("the plan remarks of %s: %q", step.Name, remarks)
			}
		}
		if diff := cmp.Diff(want, run(3, "--apply").does()); diff != "" {
			t.Errorf("the import (-want +got):\n%s", diff)
		}

		rows := native()
		for name, was := range source {
			row, came := rows[name]
			if came != (want[name] == "add") {
				t.Errorf("%s came: %v", name, came)
			}
			if !came || was.Entry == nil {
				continue
			}
			if row.Entry == nil || row.Entry.Spec.String() != was.Entry.Spec.String() {
				t.Errorf("%s is %+v, want %s", name, row, was.Entry.Spec)
				continue
			}
			if diff := cmp.Diff(options(t, was.Entry.Options), options(t, row.Options)); diff != "" {
				t.Errorf("options of %s (-want +got):\n%s", name, diff)
			}
			if row.Args != was.Entry.Args || row.Kwargs != was.Entry.Kwargs {
				t.Errorf("%s has the arguments %s and %s", name, row.Args, row.Kwargs)
			}
		}
		here := rows["ran here"]
		if slot := r.slots["ran here"][0]; here.TotalRunCount != 1 || !here.LastRunAt.Equal(slot) || here.Entry == nil || !here.Entry.After.Equal(slot) {
			t.Errorf("ran here = %+v, want its run, and slots after %v", here, slot)
		}
		if by := rows["ran by beat"]; by.TotalRunCount != 12 || !by.LastRunAt.Equal(time.Date(2026, 1, 1, 0, 30, 0, 0, time.UTC)) {
			t.Errorf("ran by beat = %+v, want what beat wrote", by)
		}
		if paused := rows["paused"]; paused.State != schedule.ReasonPaused || paused.Paused.Reason != "for a while" {
			t.Errorf("paused = %+v", paused)
		}
		if off := rows["off"]; off.State != schedule.ReasonDisabled {
			t.Errorf("off = %+v", off)
		}

		// Again: what is here stays, what was edited there comes, and no run state goes back.
		d.exec(t, "UPDATE celery_beat_schedules SET total_run_count = 40 WHERE name = 'ran by beat'")
		d.python(t, `change("ran here", queue="other"); change("ran by beat", last_run_at=at(2020, 1, 1)); change("bounds", expires=None)`, nil)
		for name := range want {
			if want[name] == "add" {
				want[name] = "keep"
			}
		}
		want["ran here"], want["bounds"] = "change options", "change options rules"
		if diff := cmp.Diff(want, run(3, "--apply").does()); diff != "" {
			t.Errorf("the second import (-want +got):\n%s", diff)
		}
		again := native()
		if got := again["ran here"]; got.TotalRunCount != 1 || !got.LastRunAt.Equal(here.LastRunAt) || !strings.Contains(got.Options, "other") {
			t.Errorf("ran here = %+v, want the other queue and the run state of before", got)
		}
		if got := again["ran by beat"]; got.TotalRunCount != 40 || got.LastRunAt.Year() != 2026 {
			t.Errorf("ran by beat = %+v, want the later last run and the higher count", got)
		}
		if len(again) != len(rows) {
			t.Errorf("%d entries became %d", len(rows), len(again))
		}
		d.exec(t, "DELETE FROM {periodictask} WHERE name IN ('bad', 'has run')")
		run(0)
	})
}
