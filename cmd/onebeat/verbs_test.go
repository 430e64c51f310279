package main

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/onebeat/onebeat/internal/store"
)

// verbs returns all commands below root, the ones that hold others among them.
func verbs(root *cobra.Command) []*cobra.Command {
	var all []*cobra.Command
	for _, verb := range root.Commands() {
		all = append(append(all, verb), verbs(verb)...)
	}
	return all
}

func TestEveryVerbHasHelpWithAnExample(t *testing.T) {
	bareEnvironment(t)
	for _, verb := range append(verbs(rootCommand()), rootCommand()) {
		if verb.Short == "" || verb.Example == "" || !strings.Contains(verb.Example, verb.CommandPath()) {
			t.Errorf("%s has no short help or no example that uses it", verb.CommandPath())
		}
		for line := range strings.Lines(verb.Example) {
			if !strings.HasPrefix(line, "  onebeat ") {
				t.Errorf("an example of %s does not begin with two blanks and onebeat: %q", verb.CommandPath(), line)
			}
		}
		args := append(strings.Fields(verb.CommandPath())[1:], "--help")
		code, stdout, stderr := onebeat(t, args...)
		if code != 0 || stderr != "" || !strings.Contains(stdout, "\nExamples:\n") {
			t.Errorf("onebeat %q: code %d and stderr %q, want help with an example:\n%s", args, code, stderr, stdout)
		}
		if strings.Contains(stdout, "\x1b") {
			t.Errorf("onebeat %q prints colours where there is no terminal", args)
		}
	}
}

// What a verb answers a program can read too; the daemons and the help have no answer.
func TestEveryVerbThatAnswersHasJSON(t *testing.T) {
	for _, verb := range verbs(rootCommand()) {
		without := verb.HasSubCommands() || verb.Name() == "serve" || verb.Name() == "dev" || verb.Name() == "help"
		if got := verb.Flags().Lookup("json") != nil; got == without {
			t.Errorf("%s has --json: %v, want %v", verb.CommandPath(), got, !without)
		}
	}
}

// The flags of an example are those of its verb.
func TestExamplesParse(t *testing.T) {
	for _, verb := range verbs(rootCommand()) {
		for line := range strings.Lines(verb.Example) {
			command, _, _ := strings.Cut(strings.TrimSpace(line), "  #")
			command, _, _ = strings.Cut(command, " <")
			words := split(strings.ReplaceAll(command, `"`, "'"))
			found, rest, err := rootCommand().Find(words[1:])
			if err != nil {
				t.Errorf("%s: %v", line, err)
				continue
			}
			if err := found.ParseFlags(rest); err != nil {
				t.Errorf("%s: %v", line, err)
			}
			if found.HasSubCommands() {
				t.Errorf("%s: it names no verb to run", line)
			}
		}
	}
}

// marker is a password that must be seen nowhere.
const marker = "pa55word-marker"

func TestNoVerbShowsAPassword(t *testing.T) {
	bareEnvironment(t)
	t.Chdir(t.TempDir())
	databases := []string{
		"postgresql+asyncpg://app:" + marker + "@127.0.0.1:1/app",
		"postgres://127.0.0.1:1/app?user=app&password=" + marker,
		"postgres://app:" + marker + "@127.0.0.1:port/app",
		"postgres://app:" + marker + "/@127.0.0.1/app",
		"postgres://app:" + marker + "%zz@127.0.0.1/app",
		"postgres://app:" + marker + "@127.0.0.1:1/app?sslmode=odd",
		"mysql://app:" + marker + "@127.0.0.1/app",
		"app:" + marker + "@127.0.0.1/app",
		marker,
		"mysql://app:%70" + marker[1:] + "@127.0.0.1:1/app?ssl_ca=none.pem",
		"postgres://127.0.0.1:1/app?sslmode=verify-full&sslkey=none.pem&sslpassword=" + marker,
		"postgres://app:" + marker + "@127.0.0.1:1,127.0.0.1:2/app",
		"mysql://app:" + marker + "@127.0.0.1:1/app?passwd=" + marker,
		"postgres://app:1;" + marker + "@127.0.0.1:1/app",
		"sqlite:///none/app.db?password=" + marker,
		"postgres://app:" + marker + "@%2Fnone%2F/app",
	}
	brokers := []string{
		"redis://:" + marker + "@127.0.0.1:1/0",
		"redis://127.0.0.1:1/0?password=" + marker,
		"redis://:" + marker + "@127.0.0.1:port/0",
		"redis://:" + marker + "%zz@127.0.0.1:1/0",
		"amqp://app:" + marker + "@127.0.0.1:1/",
		"amqp://app:" + marker + "@127.0.0.1:port/",
		"kafka://app:" + marker + "@127.0.0.1:1/",
		"app:" + marker + "@127.0.0.1",
		marker,
		"redis://" + marker + "@127.0.0.1:1/0", // its colon was forgotten
		"redis://127.0.0.1:1/0?Passwd=" + marker,
		"sqs://AKIA:" + marker + "@127.0.0.1:1",
		"sqla+mysql://app:%70" + marker[1:] + "@127.0.0.1:1/app",
		"redis://:" + marker + "@127.0.0.1:1/0;redis://:" + marker + "@127.0.0.1:2/0",
		"sentinel://:" + marker + "@127.0.0.1:1/0;sentinel://:" + marker + "@127.0.0.1:2",
		"amqps://app:" + marker + "@127.0.0.1:1/?ssl_keyfile=none.pem&ssl_certfile=none.pem",
	}
	t.Setenv("CELERY_BROKER_TRANSPORT_OPTIONS", strings.ReplaceAll(`{"master_name": "m", "sentinel_kwargs": {"password": "MARKER"},
		"predefined_queues": {"q": {"url": "http://127.0.0.1:1/q", "access_key_id": "MARKER", "secret_access_key": "MARKER"}}}`, "MARKER", marker))
	lines := [][]string{
		{"check"},
		{"check", "--json"},
		{"bench", "burst"},
		{"migrate"},
		{"migrate", "--print"},
		{"runs", "list"},
		{"entries", "list"},
		{"entries", "show", "x"},
		{"entries", "edit", "x", "--disabled"},
		{"entries", "remove", "x"},
		{"entries", "add", "x", "--task", "t", "--spec", "* * * * *"},
		{"entries", "resume", "x"},
		{"entries", "run-now", "x"},
		{"entries", "pause", "x", "--reason", "r"},
		{"health", "--listen", "127.0.0.1:1"},
		{"next", "* * * * *"},
		{"version"},
	}
	for i, database := range databases {
		t.Setenv("DATABASE_URL", database)
		t.Setenv("CELERY_BROKER_URL", brokers[i])
		t.Setenv("REDIS_URL", brokers[i])
		t.Setenv("CELERY_RESULT_BACKEND", brokers[i])
		all := lines
		if i > 0 {
			all = lines[:7] // the others open a database as these do
		}
		for _, args := range all {
			if _, stdout, stderr := onebeat(t, args...); shown(stdout + stderr) {
				t.Errorf("onebeat %q with database %s and broker %s shows the password:\n%s%s", args, database, brokers[i], stdout, stderr)
			}
		}
		// The daemon waits for a database that is away, and says so in its log.
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		var out, log strings.Builder
		run(ctx, []string{"serve", "--listen", "off", "--log-level", "debug"}, strings.NewReader(""), &out, &log)
		cancel()
		if text := out.String() + log.String(); shown(text) || text == "" {
			t.Errorf("onebeat serve with database %s and broker %s says\n%s", database, brokers[i], text)
		}
	}
	t.Setenv("REDIS_URL", "redis://:"+marker+"@127.0.0.1:1/0")
	t.Setenv("DATABASE_URL", "sqlite:///here.db") // so that the broker is come to
	if code, _, stderr := onebeat(t, "migrate"); code != 0 {
		t.Fatal(stderr)
	}
	for _, broker := range brokers {
		for _, args := range [][]string{{"serve", "--listen", "off", "--log-level", "debug"}, {"check"}} {
			t.Setenv("CELERY_BROKER_URL", broker)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			var out, log strings.Builder
			run(ctx, args, strings.NewReader(""), &out, &log)
			cancel()
			if text := out.String() + log.String(); shown(text) || text == "" {
				t.Errorf("onebeat %q with broker %s says\n%s", args, broker, text)
			}
		}
	}
	i := 0 // each example has another database
	for _, verb := range verbs(rootCommand()) {
		if verb.HasSubCommands() || verb.Name() == "dev" || verb.Name() == "serve" {
			continue
		}
		for line := range strings.Lines(verb.Example) {
			command, _, _ := strings.Cut(strings.TrimSpace(line), "  #")
			command, _, _ = strings.Cut(command, " <")
			args := split(strings.ReplaceAll(command, `"`, "'"))[1:]
			if verb.Flags().Lookup("json") != nil && i%2 == 0 {
				args = append(args, "--json")
			}
			t.Setenv("DATABASE_URL", databases[i%len(databases)])
			t.Setenv("CELERY_BROKER_URL", brokers[i%len(brokers)])
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			var out, complaints strings.Builder
			run(ctx, args, strings.NewReader(""), &out, &complaints)
			cancel()
			if text := out.String() + complaints.String(); shown(text) {
				t.Errorf("onebeat %q with database %s and broker %s shows the password:\n%s", args, databases[i%len(databases)], brokers[i%len(brokers)], text)
			}
			i++
		}
	}
}

// shown says whether the text has the marker in it, also where its first sign is written otherwise.
func shown(text string) bool { return strings.Contains(strings.ToLower(text), marker[1:]) }

// onebeat dev needs nothing, sends its samples, and stops when it is told to.
// What it logs at debug level names no argument of a task.
func TestDevSendsItsSamples(t *testing.T) {
	bareEnvironment(t)
	t.Chdir(t.TempDir())
	redis, health := freeAddress(t), freeAddress(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	reading, writing := io.Pipe()
	var out strings.Builder
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, []string{"dev", "--redis-listen", redis, "--listen", health, "--file", "d.db", "--log-level", "debug"}, strings.NewReader(""), &out, writing)
		writing.Close()
	}()
	log := new(strings.Builder)
	sent := make(chan struct{})
	read := make(chan struct{})
	go func() {
		defer close(read)
		buffer := make([]byte, 4096)
		for seen := false; ; {
			n, err := reading.Read(buffer)
			log.Write(buffer[:n])
			if !seen && strings.Contains(log.String(), `task sent entry="hello every 5 seconds"`) { // another sample may come first
				seen = true
				close(sent)
			}
			if err != nil {
				return
			}
		}
	}()
	select {
	case <-sent:
	case <-time.After(30 * time.Second):
		t.Error("no task was sent within 30 s, though one is due every 5 s")
	}
	if exit, stdout, stderr := onebeat(t, "health", "--listen", health); exit != 0 || !strings.Contains(stdout, "dispatches, term 1") {
		t.Errorf("onebeat health: code %d, %s%s", exit, stdout, stderr)
	}
	if response, err := http.Get("http://" + health + "/readyz"); err != nil || response.StatusCode != http.StatusOK {
		t.Errorf("/readyz: %v, %v", response, err)
	} else {
		response.Body.Close()
	}
	database := "sqlite:///" + filepath.Join(mustGetwd(t), "d.db")
	if exit, stdout, _ := onebeat(t, "entries", "list", "--database", database); exit != 0 || !strings.Contains(stdout, "demo.hello") {
		t.Errorf("onebeat entries list: code %d\n%s", exit, stdout)
	}
	stop()
	select {
	case exit := <-code:
		if exit != 0 {
			t.Errorf("onebeat dev ended with code %d", exit)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("onebeat dev did not stop within 20 s")
	}
	<-read
	if exit, stdout, _ := onebeat(t, "runs", "list", "--database", database, "--state", "sent"); exit != 0 || !strings.Contains(stdout, "hello every 5 seconds") {
		t.Errorf("onebeat runs list: code %d\n%s", exit, stdout)
	}
	if !strings.Contains(out.String(), "redis://"+redis) {
		t.Errorf("onebeat dev does not say where its broker is:\n%s", out.String())
	}
	for _, secret := range []string{`"name": "onebeat"`, `"name":"onebeat"`, "[2, 3]", "[2,3]", `"daily"`, "\x1b"} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("the log shows %q, an argument or a colour:\n%s", secret, log)
		}
	}
	if !strings.Contains(log.String(), "DBG") {
		t.Errorf("the log is not at debug level:\n%s", log)
	}
}

func TestDevRefusesBadAddressesAndTakenOnes(t *testing.T) {
	bareEnvironment(t)
	t.Chdir(t.TempDir())
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	for _, tt := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"dev", "--redis-listen", "here"}, 2, "--redis-listen here: give host:port"},
		{[]string{"dev", "--log-level", "loud"}, 2, `log-level is "loud": choose one of debug, info, warn, error`},
		{[]string{"dev", "--listen", "here"}, 2, `listen is "here": give host:port, such as 127.0.0.1:8080, or off`},
		{[]string{"dev", "--redis-listen", listener.Addr().String()}, 1, "choose another address with --redis-listen"},
		{[]string{"dev", "--redis-listen", freeAddress(t), "--listen", listener.Addr().String()}, 1, "choose another address with --listen"},
	} {
		code, stdout, stderr := onebeat(t, tt.args...)
		if code != tt.code || !strings.Contains(stderr, tt.want) || strings.Count(stderr, "\n") > 1 && code == exitUsage {
			t.Errorf("onebeat %q: code %d, stdout %q, stderr %q; want code %d and %q", tt.args, code, stdout, stderr, tt.code, tt.want)
		}
	}
}

// A hundred thousand rows are to be listed in under three seconds; these are a
// fiftieth of them, as the race detector and a busy machine take twenty times as long.
func TestManyEntriesAreListedInTime(t *testing.T) {
	const count = 2_000
	bareEnvironment(t)
	t.Chdir(t.TempDir())
	t.Setenv("DATABASE_URL", "sqlite:///many.db")
	if code, _, stderr := onebeat(t, "migrate"); code != 0 {
		t.Fatal(stderr)
	}
	execSQL(t, "sqlite", "many.db", `WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
		INSERT INTO celery_beat_schedules (name, task_name, cron_expression) SELECT 'entry ' || i, 'tasks.t', (i % 60) || ' * * * *' FROM n`)
	for _, args := range [][]string{{"entries", "list"}, {"entries", "list", "--json"}} {
		start := time.Now()
		code, stdout, stderr := onebeat(t, args...)
		if elapsed, limit := time.Since(start), 3*time.Second; code != 0 || elapsed > limit {
			t.Errorf("onebeat %q took %v with code %d, want under %v: %s", args, elapsed, code, limit, stderr)
		}
		if got := strings.Count(stdout, "entry "); got != count {
			t.Errorf("onebeat %q lists %d entries, want %d", args, got, count)
		}
	}
}

// freeAddress is a port of this machine that was free a moment ago.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

func mustGetwd(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// Names and reasons are others' words: they do not move a terminal's cursor, or change its colours, and columns stay where
// they are.
func TestATableShowsWhatATerminalWouldObey(t *testing.T) {
	var out strings.Builder
	err := printTable(&out, func(line func(cells ...any)) {
		line("NAME", "STATE")
		line("a\x1b[2Jb\xff\u009bc\r夜", "active")
		line("two\tcells\nor lines", "paused")
		line("毎分🚀", "active")
		line("は\u3099 e\u0301", "")
		line("txt.\u202egnp", "active")
		line("", "done")
		line("a remark on all of this that makes no column wider")
	})
	want := "NAME                STATE\n" +
		"a\ufffd[2Jb\ufffd\ufffdc\ufffd夜        active\n" +
		"two cells or lines  paused\n" +
		"毎分🚀              active\n" +
		"は\u3099 e\u0301\n" +
		"txt.\ufffdgnp            active\n" +
		"-                   done\n" +
		"a remark on all of this that makes no column wider\n"
	if err != nil || out.String() != want {
		t.Errorf("the table is %q, %v, want %q", out.String(), err, want)
	}
}

// What one row holds hides no other, in what is read by people or by programs.
func TestARowHidesNoOther(t *testing.T) {
	bareEnvironment(t)
	t.Chdir(t.TempDir())
	t.Setenv("DATABASE_URL", "sqlite:///odd.db")
	if code, _, stderr := onebeat(t, "migrate"); code != 0 {
		t.Fatal(stderr)
	}
	deep := strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000) // as deep as encoding/json reads
	execSQL(t, "sqlite", "odd.db", `INSERT INTO celery_beat_schedules (name, task_name, cron_expression, args, last_run_at, timezone) VALUES
		('good', 't', '@every 2s', '[1]', NULL, ''),
		('deep', 't', '@every 2s', '`+deep+`', NULL, ''),
		('late', 't', '@every 2s', '[]', '9999-12-31 23:59:59', ''),
		('`+strings.Repeat("n", 100_000)+`', '`+strings.Repeat("t", 100_000)+`', '@every 2s', '[]', NULL, ''),
		('zone', 't', '@every 2s', '[]', NULL, '`+strings.Repeat("Z", 100_000)+`')`)
	code, stdout, stderr := onebeat(t, "entries", "list", "--json")
	var list []map[string]any
	if err := json.Unmarshal([]byte(stdout), &list); code != 0 || err != nil || len(list) != 5 {
		t.Fatalf("onebeat entries list --json: code %d, %v, %d entries, want 5\n%s", code, err, len(list), stderr)
	}
	for _, args := range [][]string{{"entries", "list"}, {"entries", "list", "--bad"}, {"check"}} {
		if code, stdout, stderr := onebeat(t, args...); code == 1 || !strings.Contains(stdout, "zone") || len(stdout) > 110_000 {
			t.Errorf("onebeat %q: code %d, %d bytes, want the row and not all that it holds each time\n%s", args, code, len(stdout), stderr)
		}
	}
}

// PostgreSQL has years that JSON's times do not.
func TestAFarYearIsJSON(t *testing.T) {
	for at, want := range map[time.Time]string{
		time.Date(200000, 1, 1, 0, 0, 0, 0, time.UTC): `"last_run_at":"200000-01-01T00:00:00Z"`,
		time.Date(-4000, 1, 1, 0, 0, 0, 0, time.UTC):  `"last_run_at":"-4000-01-01T00:00:00Z"`,
		time.Date(2026, 1, 1, 0, 0, 0, 5e8, time.UTC): `"last_run_at":"2026-01-01T00:00:00.5Z"`,
	} {
		if got, err := json.Marshal(view{Row: store.Row{LastRunAt: at}}.printed()); err != nil || !strings.Contains(string(got), want) || strings.Contains(string(got), "next") {
			t.Errorf("the entry is %s, %v, want %s", got, err, want)
		}
	}
}
