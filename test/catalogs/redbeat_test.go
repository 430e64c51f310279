package catalogs

import (
	"bytes"
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

	"github.com/onebeat/onebeat/internal/catalog/redbeat"
	"github.com/onebeat/onebeat/internal/schedule"
	"github.com/onebeat/onebeat/internal/store"
	"github.com/onebeat/onebeat/test/harness"
	"github.com/onebeat/onebeat/test/harness/process"
	"github.com/onebeat/onebeat/test/harness/worker"
)

// A redbeats is RedBeat's keys below a prefix of a test's own.
type redbeats struct{ url, prefix string }

func newRedBeats(t *testing.T) redbeats {
	return redbeats{harness.Env(t, "ONEBEAT_TEST_REDIS"), "rb-" + uuid.Must(uuid.NewV4()).String() + ":"}
}

// python runs code beside the real RedBeat.
func (r redbeats) python(t *testing.T, code string, answer any) {
	t.Helper()
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), harness.Env(t, "ONEBEAT_TEST_REDBEAT"), filepath.Join(root, "test", "python", "redbeat_shell.py"), r.url, r.prefix)
	cmd.Stdin = strings.NewReader(code)
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Run(); err != nil {
		t.Fatalf("RedBeat: %v\n%s", err, problems.String())
	}
	if answer == nil {
		return
	}
	if err := json.Unmarshal(out.Bytes(), answer); err != nil {
		t.Fatalf("RedBeat told %q: %v", out.String(), err)
	}
}

func (r redbeats) open(t *testing.T) *redbeat.RedBeat {
	t.Helper()
	source, err := redbeat.New(r.url, redbeat.Options{Prefix: r.prefix, Lock: r.prefix + ":lock", Zone: "Asia/Tokyo"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(source.Close)
	return source
}

const kindsOfRedBeats = `
entry("grid", schedule(run_every=30), args=[1, "x"], kwargs={"at": datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=timezone.utc)},
    options={"queue": "q", "expires": datetime(2027, 1, 1, tzinfo=timezone.utc)})
entry("cron", crontab(minute="*/7", hour=[9, 10], day_of_week="mon-fri"))
entry("rule", rrule("DAILY", interval=2, byhour=[9, 18], dtstart=datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=9)))))
entry("weekly", rrule("WEEKLY", byweekday=[MO, FR], dtstart=datetime(2026, 1, 1, 5, 30, tzinfo=timezone.utc)))
entry("thrice", rrule("HOURLY", count=3, dtstart=datetime(2020, 1, 1, tzinfo=timezone.utc)))
entry("off", schedule(run_every=30), enabled=False)
`

// What RedBeat's own classes store is read as they mean it, and what onebeat writes
// they read as if they had run the entry themselves.
func TestRedBeatsEntries(t *testing.T) {
	t.Parallel()
	r := newRedBeats(t)
	r.python(t, kindsOfRedBeats, nil)
	source := r.open(t)
	entries, err := source.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]store.Outside{}
	for _, e := range entries {
		if e.Problem != "" {
			t.Errorf("%s: %s", e.Key, e.Problem)
		}
		found[e.Key] = e
	}
	if len(found) != 6 || found["off"].Enabled || !found["grid"].Enabled {
		t.Fatalf("the entries are %+v", found)
	}
	grid := found["grid"]
	if grid.Args != `[1, "x"]` || grid.Kwargs != `{"at":{"__type__":"datetime","__value__":"2026-01-02T03:04:05.000006+00:00"}}` ||
		grid.Options != `{"expires":"2027-01-01T00:00:00+00:00","queue":"q"}` || grid.LastRunAt.IsZero() {
		t.Errorf("grid is %+v", grid)
	}

	// Each runs at a slot of its own; RedBeat then computes the next one that onebeat does.
	ran := map[string]time.Time{}
	var ends []store.End
	for _, key := range []string{"grid", "cron", "rule", "weekly"} {
		e := found[key]
		spec, err := schedule.ParseSpec(e.Spec, "Asia/Tokyo", e.Anchor)
		if err != nil {
			t.Fatalf("%s: %v", key, err)
		}
		ran[key] = spec.Next(e.LastRunAt)
		ends = append(ends, store.End{Key: key, Last: ran[key], Count: 2})
	}
	ends = append(ends, store.End{Key: "gone", Last: time.Now(), Count: 1}, store.End{Key: "off", Count: 1})
	for range 2 { // the second time nothing is left to write
		if err := source.Record(t.Context(), ends); err != nil {
			t.Fatal(err)
		}
	}
	var shown map[string]struct {
		Last  time.Time
		Next  *time.Time
		Total int
		Score float64
	}
	r.python(t, `tell({name: show(name) for name in ("grid", "cron", "rule", "weekly")})`, &shown)
	for key, slot := range ran {
		e := found[key]
		spec, _ := schedule.ParseSpec(e.Spec, "Asia/Tokyo", e.Anchor)
		got, next := shown[key], spec.Next(slot)
		if !got.Last.Equal(slot) || got.Total != 2 || got.Next == nil || got.Next.Sub(next).Abs() > time.Second || got.Score != float64(next.Unix()) {
			t.Errorf("%s: RedBeat has %+v, next %v; want last %v, 2 runs, next %v", key, got, got.Next, slot, next)
		}
	}
	var there int
	r.python(t, `tell(redis.exists(prefix + "gone"))`, &there)
	if there != 0 {
		t.Error("a run of an entry that is gone made it anew")
	}
}

// RedBeat's entries become rows of a table, with their run state, and are due there when
// RedBeat would send them.
func TestImportFromRedBeat(t *testing.T) {
	t.Parallel()
	r := newRedBeats(t)
	r.python(t, kindsOfRedBeats, nil)
	read, err := r.open(t).Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"PostgreSQL", "MariaDB", "SQLite"} {
		t.Run(kind, func(t *testing.T) {
			d := newDatabase(t, catalog{name: "native", kind: kind})
			if out, code := onebeat(t, "migrate", "--database", d.url); code != 0 {
				t.Fatalf("migrate = %d: %s", code, out)
			}
			flags := []string{"import", "redbeat", "--database", d.url, "--redbeat-url", r.url, "--redbeat-prefix", r.prefix, "--zone", "Asia/Tokyo", "--json"}
			if out, code := onebeat(t, flags...); code != 0 || !strings.Contains(out, `"applied": false`) {
				t.Errorf("import = %d: %s; want a plan", code, out)
			}
			for range 2 { // the second time it is all there
				if out, code := onebeat(t, append(flags, "--apply")...); code != 0 {
					t.Fatalf("import --apply = %d: %s", code, out)
				}
			}
			s, err := store.Open(t.Context(), d.url, store.Options{Zone: "Asia/Tokyo"})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			rows, err := s.List(t.Context())
			if err != nil || len(rows) != len(read) {
				t.Fatalf("%d rows, %v; want %d", len(rows), err, len(read))
			}
			for _, e := range read {
				i := slices.IndexFunc(rows, func(row store.Row) bool { return row.Name == e.Name })
				if i < 0 {
					t.Errorf("%s did not come", e.Name)
					continue
				}
				row := rows[i]
				spec, err := schedule.ParseSpec(e.Spec, "Asia/Tokyo", e.Anchor)
				if err != nil {
					t.Fatal(err)
				}
				if row.Enabled != e.Enabled || row.Task != e.Task || !row.LastRunAt.Truncate(time.Second).Equal(e.LastRunAt.Truncate(time.Second)) {
					t.Errorf("%s is %+v, want %+v", e.Name, row, e)
				}
				if at := e.LastRunAt.Add(time.Hour); row.Entry != nil && !row.Entry.Spec.Next(at).Equal(spec.Next(at)) {
					t.Errorf("%s is due at %v, want %v", e.Name, row.Entry.Spec.Next(at), spec.Next(at))
				}
			}
		})
	}
}

// RedBeat, onebeat and RedBeat again run the same entries in turn: each stands still
// while the other has the lock, and none sends what the other has sent.
func TestRedBeatAndBack(t *testing.T) {
	t.Parallel()
	r := newRedBeats(t)
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	queue := "catalogs-" + uuid.Must(uuid.NewV4()).String()
	r.python(t, fmt.Sprintf(`
for name in ("a", "b", "c"):
    entry(name, schedule(run_every=2), args=[name], kwargs={"n": [1, None, 2.5]}, options={"queue": %q, "priority": 7, "expires": 60, "headers": {"x": {"y": [1]}}, "time_limit": 30})
entry("poison", crontab(), options={"queue": %q})
redis.hset(prefix + "poison", "definition", redis.hget(prefix + "poison", "definition").replace('"*"', '"7777"'))
`, queue, queue), nil)
	dir := t.TempDir()
	w := worker.Start(t, worker.Options{Broker: r.url, Queues: []string{queue}, Pool: "solo"})
	beat := func(name string) *process.Process {
		return launch(t, name, process.Command{
			Path: harness.Env(t, "ONEBEAT_TEST_REDBEAT"), Log: filepath.Join(dir, name+".log"), Dir: dir,
			Args: []string{"-m", "celery", "-A", "redbeat_shell:app", "beat", "-S", "redbeat.RedBeatScheduler", "--max-interval", "1", "-l", "info"},
			Env:  []string{"PYTHONPATH=" + filepath.Join(root, "test", "python"), "REDBEAT_URL=" + r.url, "REDBEAT_PREFIX=" + r.prefix},
		})
	}
	settings := []string{"--catalog", "redbeat", "--redbeat-url", r.url, "--redbeat-prefix", r.prefix, "--redbeat-lock", r.prefix + ":lock", "--zone", "Asia/Tokyo", "--database", "sqlite:///" + filepath.Join(dir, "state.db")}
	onebeat := func(name string) *process.Process {
		return launch(t, name, onebeatCommand(filepath.Join(dir, name+".log"), r.url, settings...))
	}
	stop := func(p *process.Process) {
		t.Helper()
		if err := end(p); err != nil {
			t.Fatal(err)
		}
	}

	// The poison would end RedBeat, so it is there for onebeat alone.
	r.python(t, `redis.rename(prefix + "poison", prefix + "kept"); redis.zrem(prefix + ":schedule", prefix + "poison")`, nil)
	first := beat("the first RedBeat")
	w.Await(t, 6, time.Minute)
	shadowAgrees(t, settings)
	node := onebeat("onebeat")
	awaitLog(t, filepath.Join(dir, "onebeat.log"), "nothing is sent yet: the entries are not free")
	stop(first)
	r.python(t, `redis.rename(prefix + "kept", prefix + "poison"); redis.zadd(prefix + ":schedule", {prefix + "poison": 0})`, nil)
	taken := len(w.Records(t))
	w.Await(t, taken+9, time.Minute)
	awaitLog(t, filepath.Join(dir, "onebeat.log"), "7777")

	// Nor does a node that is killed keep the lock from the next one, which would wait for its end.
	node.Kill()
	node = onebeat("the next onebeat")
	taken = len(w.Records(t))
	w.Await(t, taken+9, time.Minute)
	if log, err := os.ReadFile(filepath.Join(dir, "the next onebeat.log")); err != nil || strings.Contains(string(log), "the entries are not free") {
		t.Errorf("the next node waited for the lock of the one before (%v):\n%s", err, log)
	}

	// An edit by RedBeat's own class counts while onebeat runs, and a pause holds.
	r.python(t, fmt.Sprintf(`entry("d", schedule(run_every=2), args=["d"], options={"queue": %q, "expires": 60})`, queue), nil)
	awaitArgs(t, w, `["d"]`)
	waiting := beat("the waiting RedBeat") // which does not get the lock
	before := len(w.Records(t))
	w.Await(t, before+8, time.Minute)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, binary, append([]string{"entries", "list"}, settings...)...).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "7777") || !strings.Contains(string(out), "redbeat:d") {
		t.Errorf("entries list: %v\n%s", err, out)
	}

	// onebeat gives the lock back, and the RedBeat that waited goes on.
	r.python(t, `redis.rename(prefix + "poison", prefix + "kept"); redis.zrem(prefix + ":schedule", prefix + "poison")`, nil)
	stop(node)
	last := len(w.Records(t))
	w.Await(t, last+8, time.Minute)
	stop(waiting)

	inTurn(t, w.Records(t), 4, 2*time.Second)
	messagesAgree(t, w.Records(t), its)
}

func awaitLog(t *testing.T, path, text string) {
	t.Helper()
	awaitOutput(t, func() string {
		log, err := os.ReadFile(path)
		if err != nil {
			return err.Error()
		}
		return string(log)
	}, text)
}

func awaitArgs(t *testing.T, w *worker.Worker, args string) {
	t.Helper()
	awaitOutput(t, func() string {
		var all []string
		for _, r := range w.Records(t) {
			all = append(all, r.Args)
		}
		return strings.Join(all, "\n")
	}, args)
}

// shadowAgrees looks on while another scheduler runs three entries, of two seconds or three.
func shadowAgrees(t *testing.T, settings []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, binary, append([]string{"shadow", "--for", "10s", "--patience", "5s", "--json"}, settings...)...).Output()
	var told struct {
		Entries []struct {
			Name        string
			Both        int
			OnlyBeat    int `json:"only_beat"`
			OnlyOnebeat int `json:"only_onebeat"`
			Remark      string
		}
	}
	if jsonErr := json.Unmarshal(out, &told); jsonErr != nil {
		t.Fatalf("shadow ended with %v: %s", err, out)
	}
	seen := 0
	for _, e := range told.Entries {
		// The other scheduler counts from when it sent: on a busy machine it leaves slots out, and of its first
		// send here the slot may have come before.
		if e.OnlyBeat > 1 || e.OnlyBeat+e.OnlyOnebeat > 0 && !strings.Contains(e.Remark, "drifts") {
			t.Errorf("shadow ended with %v, and the two do not agree on %s: %s", err, e.Name, out)
		}
		if e.Both > 0 {
			seen++
		}
	}
	if seen != 3 { // a busy machine's beat sends each five seconds what is due each three
		t.Errorf("shadow ended with %v, having seen slots that both had of %d entries, want 3: %s", err, seen, out)
	}
}
