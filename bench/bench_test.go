package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/rueidis"

	"github.com/onebeat/onebeat/internal/measure"
	"github.com/onebeat/onebeat/test/harness"
)

// binary is the command under test, built once, without the race detector.
var binary string

func TestMain(m *testing.M) { os.Exit(harness.Main(m, &binary)) }

// short is what the tests measure with: bounds hold on a busy machine, for they
// are ratios, and processor time, with much room.
func short(t *testing.T) *bench {
	t.Helper()
	b := &bench{
		onebeat: binary, dir: t.TempDir(), postgres: harness.Env(t, "ONEBEAT_TEST_POSTGRES"),
		redis: harness.Env(t, "ONEBEAT_TEST_REDIS"), rabbitmq: harness.Env(t, "ONEBEAT_TEST_RABBITMQ"), python: harness.Env(t, "ONEBEAT_TEST_PYTHON"),
		django: harness.Env(t, "ONEBEAT_TEST_DJANGO"), redbeat: harness.Env(t, "ONEBEAT_TEST_REDBEAT"),
	}
	return b
}

func TestAHerdLeavesFasterThanBeats(t *testing.T) {
	const entries = 2000
	b := short(t)
	var group []Herd
	for _, line := range []string{"postgres+redis", "beat", "django", "redbeat"} {
		h, err := b.named(t.Context(), line, entries, 3*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		group = append(group, h)
	}
	var table bytes.Buffer
	printHerds(&table, group)
	t.Logf("\n%s", &table)
	ours := group[0]
	if ours.First < 0 {
		t.Errorf("the first message left %v before its slot", -ours.First)
	}
	if most := 40 * time.Microsecond; ours.CPU > most {
		t.Errorf("a message took %v of processor time, want %v at most", ours.CPU, most)
	}
	if most := int64(100 << 20); ours.Peak > most {
		t.Errorf("%d entries took %d MB, want %d MB at most", entries, ours.Peak>>20, most>>20)
	}
	for _, theirs := range group[1:] {
		if ratio := theirs.ratio(ours); ratio < 5 {
			t.Errorf("onebeat sent %.1f times as fast as %s, want 5 times at least", ratio, theirs.Scheduler)
		}
		if ours.CPU*20 > theirs.CPU {
			t.Errorf("a message took %v of processor time, and of %s %v: want a twentieth at most", ours.CPU, theirs.Scheduler, theirs.CPU)
		}
		if ours.Peak > 2*theirs.Peak {
			t.Errorf("%d entries took %d MB, and of %s %d MB: want twice as much at most", entries, ours.Peak>>20, theirs.Scheduler, theirs.Peak>>20)
		}
	}
}

// What a message costs does not grow with how many there are. Of so many that leave
// for a second the speed is what the machine had left for them: the best of three
// tries counts.
func TestManyCostNoMoreThanFew(t *testing.T) {
	b := short(t)
	for _, database := range []string{"postgres", "sqlite"} {
		m, err := b.measure(database, "redis")
		if err != nil {
			t.Fatal(err)
		}
		few, err := m.Burst(t.Context(), 2_000, 0)
		if err != nil {
			t.Fatal(err)
		}
		var many measure.Burst
		for range 3 {
			again, err := m.Burst(t.Context(), 20_000, 0)
			if err != nil {
				t.Fatal(err)
			}
			if again.Rate > many.Rate {
				many = again
			}
			if many.Rate > few.Rate/2 {
				break
			}
		}
		t.Logf("%s: %.0f messages/s and %v of processor time each of %d, %.0f and %v of %d", database, few.Rate, few.CPU, few.Entries, many.Rate, many.CPU, many.Entries)
		if many.Rate < few.Rate/4 {
			t.Errorf("%s: %d leave at %.0f a second, %d at %.0f: want a quarter at least", database, few.Entries, few.Rate, many.Entries, many.Rate)
		}
		if many.CPU > 2*few.CPU {
			t.Errorf("%s: a message of %d takes %v of processor time, and of %d %v: want twice as much at most", database, few.Entries, few.CPU, many.Entries, many.CPU)
		}
	}
}

// Slots of every second go out as they come: a node does not fall behind.
func TestSteadySlotsAreKeptUpWith(t *testing.T) {
	const rate, seconds = 2_000, 4
	m, err := short(t).measure("postgres", "redis")
	if err != nil {
		t.Fatal(err)
	}
	steady, err := m.Steady(t.Context(), rate, seconds*time.Second) // it fails if one is early
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", steady)
	if want := rate * seconds; steady.Sent != want {
		t.Errorf("%d messages in %d s, want %d", steady.Sent, seconds, want)
	}
	if most := time.Second; steady.P99 > most {
		t.Errorf("a hundredth of the messages were later than %v, want %v at most", steady.P99, most)
	}
	if steady.Processor > 0.4 {
		t.Errorf("%d slots a second took %.0f %% of a processor, want 40 at most", rate, 100*steady.Processor)
	}
	if steady.Wakes > 2.2 {
		t.Errorf("for each of %d slots a second %.2f threads woke up, want 2.2 at most", rate, steady.Wakes)
	}
}

// What a node adds to the work of RabbitMQ is little beside it. The servers and whatever else
// the machine does share two processors: the best of three tries counts.
func TestRabbitMQSetsThePace(t *testing.T) {
	m, err := short(t).measure("postgres", "rabbitmq")
	if err != nil {
		t.Fatal(err)
	}
	const least = 0.25
	var best float64
	for range 3 {
		herd, err := m.Burst(t.Context(), 10_000, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%.0f messages/s, of the %.0f that RabbitMQ itself confirms", herd.Rate, herd.Bare)
		if best = max(best, herd.Rate/herd.Bare); best > 2*least {
			return
		}
	}
	if best < least {
		t.Errorf("a herd leaves at %.0f %% of RabbitMQ's own rate of confirmed messages, want %.0f at least", 100*best, 100*least)
	}
}

func TestIdlingIsNeverEarly(t *testing.T) {
	m, err := short(t).measure("postgres", "redis")
	if err != nil {
		t.Fatal(err)
	}
	const rate = 10
	idle, err := m.Steady(t.Context(), rate, 3*time.Second) // it fails if one is early
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", idle)
	if want := 3 * rate; idle.Sent != want {
		t.Errorf("%d messages in 3 s, want %d", idle.Sent, want)
	}
	if most := 200 * time.Millisecond; idle.P50 > most {
		t.Errorf("half of the messages were later than %v, want %v at most", idle.P50, most)
	}
}

// client is a connection to Redis.
func (b *bench) client(t *testing.T) rueidis.Client {
	t.Helper()
	options, err := rueidis.ParseURL(b.redis)
	if err != nil {
		t.Fatal(err)
	}
	options.DisableCache = true
	client, err := rueidis.NewClient(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// left is what the servers hold of a bench.
func (b *bench) left(t *testing.T) []string {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, b.postgres)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(ctx) }()
	rows, err := conn.Query(ctx, "SELECT datname::text FROM pg_database WHERE datname LIKE 'onebeat\\_bench%'")
	if err != nil {
		t.Fatal(err)
	}
	left, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	client := b.client(t)
	keys, err := client.Do(ctx, client.B().Keys().Pattern("*onebeat_bench*").Build()).AsStrSlice()
	if err != nil {
		t.Fatal(err)
	}
	return append(left, keys...)
}

// What a bench that was killed has left can be told from what is others', by its name.
func TestAKilledBenchLeavesItsName(t *testing.T) {
	b := short(t)
	ctx := context.WithoutCancel(t.Context())
	client := b.client(t)
	all := func() map[string]bool {
		t.Helper()
		keys, err := client.Do(ctx, client.B().Keys().Pattern("*").Build()).AsStrSlice()
		if err != nil {
			t.Fatal(err)
		}
		set := map[string]bool{}
		for _, key := range keys {
			set[key] = true
		}
		return set
	}
	before := all()
	dir := t.TempDir()
	killed := exec.Command(b.onebeat, "bench", "lateness", "--for", "1h", "--database", b.postgres, "--broker", b.redis)
	killed.Env = append(os.Environ(), "TMPDIR="+dir)
	if err := killed.Start(); err != nil {
		t.Fatal(err)
	}
	for over := time.Now().Add(time.Minute); len(b.left(t)) < 2 || len(all()) <= len(before); { // a database, and what a node has at the broker
		if time.Now().After(over) {
			t.Fatal("it made nothing of its own")
		}
	}
	if err := killed.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = killed.Wait()
	folders, err := os.ReadDir(dir)
	if err != nil || len(folders) != 1 {
		t.Fatalf("%d folders for a while, %v; want one", len(folders), err)
	}
	name, _, _ := strings.Cut(folders[0].Name(), "-")
	if len(name) < len("onebeat_bench_000000000000") {
		t.Errorf("the folder for a while is %s, want a name that begins with onebeat_bench_", folders[0].Name())
	}
	for key := range all() {
		if before[key] {
			continue
		}
		if !strings.Contains(key, name) {
			t.Errorf("Redis holds the key %s of a bench called %s", key, name)
		}
		if err := client.Do(ctx, client.B().Del().Key(key).Build()).Error(); err != nil {
			t.Error(err)
		}
	}
	conn, err := pgx.Connect(ctx, b.postgres)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, "DROP DATABASE "+pgx.Identifier{name}.Sanitize()+" WITH (FORCE)"); err != nil {
		t.Error(err)
	}
}

// A broker that loses what it took is no measure.
func TestWhatIsLostIsNotMeasured(t *testing.T) {
	b := short(t)
	m, err := b.measure("postgres", "redis")
	if err != nil {
		t.Fatal(err)
	}
	client := b.client(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			keys, _ := client.Do(ctx, client.B().Keys().Pattern("onebeat_bench_*").Build()).AsStrSlice()
			for _, key := range keys {
				_ = client.Do(ctx, client.B().Del().Key(key).Build()).Error() // until the bench is over
			}
		}
	}()
	_, err = m.Steady(ctx, 100, time.Second)
	cancel()
	<-done
	if err == nil || !strings.Contains(err.Error(), "of the messages that the node sent the ledger holds ") {
		t.Errorf("Steady = %v, want an error that tells how many were lost", err)
	}
}

// The verb measures on the servers that it is given, and what is in the database
// that is named stays as it is, also where it is stopped half way.
func TestVerbLeavesNothingBehind(t *testing.T) {
	b := short(t)
	ctx := t.Context()
	file := filepath.Join(t.TempDir(), "theirs.db")
	if err := os.WriteFile(file, []byte("whatever it is, it is not opened"), 0o600); err != nil {
		t.Fatal(err)
	}
	if left := b.left(t); len(left) > 0 {
		t.Fatalf("there is %q before", left)
	}
	for _, tt := range []struct{ database, broker string }{{b.postgres, b.redis}, {"sqlite:///" + file, b.rabbitmq}} {
		cmd := exec.CommandContext(ctx, b.onebeat, "bench", "--entries", "200", "--rate", "20", "--for", "1s", "--json")
		cmd.Env = append(os.Environ(), "DATABASE_URL="+tt.database, "CELERY_BROKER_URL="+tt.broker, "CELERY_TASK_DEFAULT_QUEUE=theirs", "ONEBEAT_LEDGER=exceptions")
		var complaints bytes.Buffer
		cmd.Stderr = &complaints
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("onebeat bench: %v\n%s", err, &complaints)
		}
		var report map[string]map[string]any
		var loose map[string]json.RawMessage
		if err := json.Unmarshal(out, &loose); err != nil {
			t.Fatalf("%v in\n%s", err, out)
		}
		delete(loose, "version")
		delete(loose, "servers")
		part, _ := json.Marshal(loose)
		if err := json.Unmarshal(part, &report); err != nil {
			t.Fatalf("%v in\n%s", err, out)
		}
		for what, want := range map[string]map[string]float64{
			"burst": {"entries": 200}, "steady": {"sent": 20}, "lateness": {"sent": 10}, "load": {"entries": 200}, "edit": {"edits": 40, "polled": 8, "bulk": 200},
		} {
			for figure, n := range want {
				if got := report[what][figure]; got != n {
					t.Errorf("%s: %s is %v, want %v", what, figure, got, n)
				}
			}
			for figure, value := range report[what] {
				parts, ok := value.(map[string]any)
				if !ok {
					parts = map[string]any{"": value}
				}
				for part, value := range parts {
					if n, ok := value.(float64); !ok || n <= 0 {
						t.Errorf("%s: %s %s is %v, want a figure above 0", what, figure, part, value)
					}
				}
			}
		}
	}

	stopped := exec.CommandContext(ctx, b.onebeat, "bench", "lateness", "--for", "1h", "--database", b.postgres, "--broker", b.redis)
	if err := stopped.Start(); err != nil {
		t.Fatal(err)
	}
	for len(b.left(t)) < 2 { // a database, and the fence of a node that sends
		if ctx.Err() != nil {
			t.Fatal("it made nothing of its own")
		}
	}
	if err := stopped.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := stopped.Wait(); err == nil {
		t.Error("it ended as if it had measured")
	}

	if left := b.left(t); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
	names, err := filepath.Glob(filepath.Join(filepath.Dir(file), "*"))
	if text, _ := os.ReadFile(file); err != nil || !slices.Equal(names, []string{file}) || string(text) != "whatever it is, it is not opened" {
		t.Errorf("beside the user's file is %q, and in it %q", names, text)
	}
}

// A user who may not make a database is told so, and nothing is made elsewhere.
func TestVerbNeedsADatabaseOfItsOwn(t *testing.T) {
	b := short(t)
	ctx := t.Context()
	conn, err := pgx.Connect(ctx, b.postgres)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	const role = "onebeat_bench_humble"
	for _, text := range []string{"DROP ROLE IF EXISTS " + role, "CREATE ROLE " + role + " LOGIN PASSWORD 'humble'"} {
		if _, err := conn.Exec(ctx, text); err != nil {
			t.Fatal(err)
		}
	}
	defer func() { _, _ = conn.Exec(context.Background(), "DROP ROLE "+role) }()
	_, rest, _ := strings.Cut(b.postgres, "@")
	out, err := exec.CommandContext(ctx, b.onebeat, "bench", "burst", "--database", "postgres://"+role+":humble@"+rest, "--broker", b.redis).CombinedOutput()
	if text := string(out); err == nil || !strings.Contains(text, "must be allowed to make one") || strings.Contains(text, "humble@") || strings.Count(text, "\n") != 1 {
		t.Errorf("onebeat bench: %v, %s; want one line that says what the user must be allowed", err, out)
	}
}
