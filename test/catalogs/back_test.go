package catalogs

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gofrs/uuid/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/onebeat/onebeat/test/harness"
	"github.com/onebeat/onebeat/test/harness/process"
	"github.com/onebeat/onebeat/test/harness/worker"
)

// django-celery-beat's own beat, onebeat, and beat again run the same rows in turn,
// stopped at random moments: nothing is sent twice by the two together, and no entry
// is left out for longer than the switch took.
func TestDjangosBeatAndBack(t *testing.T) {
	eachOf(t, "django", func(t *testing.T, c catalog) {
		d := newTables(t, c)
		queue := "catalogs-" + uuid.Must(uuid.NewV4()).String()
		broker := harness.Env(t, "ONEBEAT_TEST_REDIS")
		d.python(t, schedules+fmt.Sprintf(`
for name in ("a", "b", "c"):
    task(name, task="probe.record", interval=every(3, "seconds"), queue=%q, args='["%%s"]' %% name, kwargs='{"a": [1, null]}', headers='{"x": "y"}', priority=7, expire_seconds=60)
`, queue), nil)
		dir := t.TempDir()
		w := worker.Start(t, worker.Options{Broker: broker, Queues: []string{queue}, Pool: "solo"})
		beat := func(name string) *process.Process {
			return launch(t, name, d.beatCommand(t, broker, "django_beat"))
		}
		onebeat := func(name string) *process.Process {
			return launch(t, name, onebeatCommand(filepath.Join(dir, name+".log"), broker, append(d.flags(), "--take-over-at", "now")...))
		}
		seed := rand.Uint64()
		t.Logf("the random moments are those of the seed %d", seed)
		moments := rand.New(rand.NewPCG(seed, 1))
		stop := func(p *process.Process, runs int) {
			t.Helper()
			w.Await(t, len(w.Records(t))+runs, time.Minute)
			after := time.NewTimer(time.Duration(moments.Int64N(int64(3 * time.Second)))) // anywhere in the period
			<-after.C
			if err := end(p); err != nil {
				t.Fatal(err)
			}
		}
		for round := range 2 {
			other := beat(fmt.Sprint("beat ", round))
			if round == 0 {
				w.Await(t, 3, time.Minute)
				shadowAgrees(t, d.flags())
			}
			stop(other, 6)
			stop(onebeat(fmt.Sprint("onebeat ", round)), 6)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			out, err := exec.CommandContext(ctx, binary, append([]string{"hand-back"}, d.flags()...)...).CombinedOutput()
			cancel()
			if err != nil {
				t.Fatalf("hand-back: %v\n%s", err, out)
			}
		}
		if out, code := d.onebeat(t, "hand-back", "--json"); code != 0 || !strings.Contains(out, `"handed_back": true`) {
			t.Errorf("a second hand-back = %d: %s", code, out)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		refused, err := exec.CommandContext(ctx, binary, append([]string{"serve", "--broker", broker, "--listen", "off"}, d.flags()...)...).CombinedOutput()
		if err == nil || !strings.Contains(string(refused), "--take-over-at") {
			t.Errorf("serve after a hand-back ended with %v: %s; want it to say what to do", err, refused)
		}

		messagesAgree(t, w.Records(t), but(c))
		inTurn(t, w.Records(t), 3, 3*time.Second)
	})
}

// inTurn checks that of entries of a period nobody sent what the other had sent.
func inTurn(t *testing.T, records []worker.Record, entries int, period time.Duration) {
	t.Helper()
	times := map[string][]time.Time{}
	for _, record := range records {
		times[record.Args] = append(times[record.Args], record.ReceivedAt)
	}
	for args, at := range times {
		slices.SortFunc(at, time.Time.Compare)
		for i := 1; i < len(at); i++ {
			// Beat counts from when it sent, onebeat keeps whole seconds: so a second and the
			// time that a machine may need are taken off the two.
			if gap := at[i].Sub(at[i-1]); gap < (period-time.Second)*7/10 {
				t.Errorf("%s ran again after %v, at %v", args, gap, at[i])
			}
		}
		t.Logf("%s ran %d times", args, len(at))
	}
	if len(times) != entries {
		t.Errorf("%d entries ran, want %d", len(times), entries)
	}
}

// its are what of a request differs from message to message, or from sender to sender.
var its = []string{
	"id", "root_id", "correlation_id", "delivery_tag", "reply_to", "origin", "hostname", "expires", // of the message, of its sender
	"onebeat_slot", "probe_received_at", // onebeat adds the one, the tests' worker the other
}

// since52 are what messages have as of a Celery later than 5.2, or a django-celery-beat
// later than 2.4: onebeat sends what the newest do, whom workers of either understand.
var since52 = []string{"celery_beat_task", "replaced_task_nesting", "stamped_headers", "stamps", "ignore_result", "periodic_task_name"}

// but are what messages of a catalog's beat and of onebeat differ in.
func but(c catalog) []string {
	names := slices.Clone(its)
	if c.old {
		names = append(names, since52...)
	}
	return names
}

// without takes out what has one of the names, at any depth.
func without(value any, names []string) {
	switch v := value.(type) {
	case map[string]any:
		for _, name := range names {
			delete(v, name)
		}
		for _, inner := range v {
			without(inner, names)
		}
	case []any:
		for _, inner := range v {
			without(inner, names)
		}
	}
}

// messagesAgree compares what workers see of each entry's messages, whoever sent them,
// but for what has one of the names, and the entry's name where the beat gives none.
func messagesAgree(t *testing.T, records []worker.Record, but []string) {
	t.Helper()
	type seen struct{ beat, onebeat map[string]any }
	all := map[string]seen{}
	for _, record := range records {
		var request map[string]any
		if err := json.Unmarshal([]byte(record.Request), &request); err != nil {
			t.Fatal(err)
		}
		if request["expires"] == nil {
			t.Errorf("%s came without expires", record.Args)
		}
		without(request, but)
		request["task"], request["args"], request["kwargs"] = record.Task, record.Args, record.Kwargs
		s := all[record.Args]
		if record.Slot == "" {
			s.beat = request
		} else {
			s.onebeat = request
		}
		all[record.Args] = s
	}
	for args, s := range all {
		if s.beat == nil || s.onebeat == nil {
			t.Errorf("%s: sent by Celery's beat %t, by onebeat %t; want both", args, s.beat != nil, s.onebeat != nil)
			continue
		}
		unnamed(s.beat, s.onebeat)
		if diff := cmp.Diff(s.beat, s.onebeat); diff != "" {
			t.Errorf("of %s workers see another message (-beat +onebeat):\n%s", args, diff)
		}
	}
}

// unnamed takes the entry's name, which onebeat gives as a header and as a property, from
// its message where the beat's has none.
func unnamed(beat, onebeat map[string]any) {
	const name = "periodic_task_name"
	if _, given := beat[name]; !given {
		delete(onebeat, name)
	}
	for _, part := range []string{"headers", "properties"} {
		theirs, _ := beat[part].(map[string]any)
		if ours, isMap := onebeat[part].(map[string]any); isMap && theirs[name] == nil {
			delete(ours, name)
		}
	}
}
