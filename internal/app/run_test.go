package app

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/onebeat/onebeat/internal/store"
	"github.com/onebeat/onebeat/internal/web"
)

// A running node, with SQLite in a file and a broker in this process.
type running struct {
	address string
	config  Config
	redis   *miniredis.Miniredis
	log     *lockedLog
	stop    func() error // ends it and returns what Run did
}

// A lockedLog may be written and read at once.
type lockedLog struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lockedLog) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

func (l *lockedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// runNode starts a node on a new database with the entries and further settings.
func runNode(t *testing.T, entries []store.Definition, further map[string]string) *running {
	t.Helper()
	redis := miniredis.RunT(t)
	r := &running{address: freeAddress(t), redis: redis, log: new(lockedLog)}
	flags := map[string]string{
		"database": "sqlite:///" + filepath.Join(t.TempDir(), "node.db"), "broker": "redis://:" + password + "@" + redis.Addr() + "/0",
		"listen": r.address, "log-level": "debug", "log-format": "logfmt", "node": "n1",
	}
	redis.RequireAuth(password)
	for name, value := range further {
		flags[name] = value
	}
	r.config = mustLoad(t, nil, flags)
	celery, err := CelerySettings(r.config)
	if err != nil {
		t.Fatal(err)
	}
	s, err := OpenStore(t.Context(), r.config, celery, store.MissingMade, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	err = s.Migrate(t.Context())
	for _, entry := range entries {
		_, added := s.Add(t.Context(), entry)
		err = errors.Join(err, added)
	}
	s.Close()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, r.config, NewLogger(r.config, r.log)) }()
	r.stop = sync.OnceValue(func() error {
		cancel()
		select {
		case err := <-ended:
			return err
		case <-time.After(20 * time.Second):
			return errors.New("the node did not stop within 20 s")
		}
	})
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Errorf("Run: %v\n%s", err, r.log)
		}
	})
	return r
}

// password is the broker's, and must be seen nowhere.
const password = "pa55word-marker"

// get returns the status and the body of an answer.
func (r *running) get(path string) (int, string) {
	response, err := http.Get("http://" + r.address + path)
	if err != nil {
		return 0, err.Error()
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err.Error()
	}
	return response.StatusCode, string(body)
}

// health returns the state that /healthz answers with, and its status.
func (r *running) health(t *testing.T) (status int, health web.Health) {
	t.Helper()
	status, body := r.get("/healthz")
	if status != 0 {
		if err := json.Unmarshal([]byte(body), &health); err != nil {
			t.Fatalf("/healthz: %v\n%s", err, body)
		}
	}
	return status, health
}

// await asks until the answer is yes, for at most so long.
func await(t *testing.T, what string, atMost time.Duration, yes func() bool) {
	t.Helper()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for end := time.Now().Add(atMost); ; <-ticker.C {
		if yes() {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", atMost, what)
		}
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

var ticking = store.Definition{Name: "tick", Task: "tasks.tick", Spec: "@every 1s", Args: `["argument-marker"]`, Kwargs: `{"k": "argument-marker"}`, Enabled: true}

func TestANodeTellsOfItself(t *testing.T) {
	r := runNode(t, []store.Definition{ticking}, map[string]string{"events": "true"})
	await(t, "the node is ready", 10*time.Second, func() bool { status, _ := r.get("/readyz"); return status == http.StatusOK })
	await(t, "tasks were sent", 10*time.Second, func() bool { return strings.Count(r.log.String(), "task sent") >= 2 })

	status, health := r.health(t)
	if status != http.StatusOK || !health.OK || !health.Leader || health.Term != 1 || health.Node != "n1" || len(health.Checks) != 4 {
		t.Errorf("/healthz: %d %+v, want 200 with the lease, its term, and four checks", status, health)
	}
	status, metrics := r.get("/metrics")
	if status != http.StatusOK {
		t.Fatalf("/metrics: %d %s", status, metrics)
	}
	problems, err := promlint.New(strings.NewReader(metrics)).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("promlint: %v %v", problems, err)
	}
	// What a dashboard is built on.
	for _, want := range []string{
		`onebeat_slots_total{state="sent"} `, "onebeat_lateness_seconds_bucket{", "onebeat_due_backlog 0", "onebeat_journal_batches ",
		"onebeat_reloads_total 0", "onebeat_reload_errors_total 0", "onebeat_bad_rows 0", "onebeat_broker_errors_total 0",
		"onebeat_database_errors_total 0", "onebeat_leader 1", "onebeat_term 1", "onebeat_last_dispatch_age_seconds ", "onebeat_entries 1",
	} {
		if !strings.Contains(metrics, "\n"+want) {
			t.Errorf("/metrics does not tell %q:\n%s", want, metrics)
		}
	}
	if err := r.stop(); err != nil {
		t.Errorf("Run: %v", err)
	}
	for _, secret := range []string{password, "argument-marker"} {
		if strings.Contains(r.log.String()+metrics+fmt.Sprint(health), secret) {
			t.Errorf("log, metrics or health show %q:\n%s", secret, r.log)
		}
	}
	for _, want := range []string{`msg="onebeat starts"`, `msg="entries loaded" entries=1`, `msg="task sent" entry=tick task=tasks.tick task_id=`, "queue=celery", `msg="onebeat has stopped"`, "level=DEBUG"} {
		if !strings.Contains(r.log.String(), want) {
			t.Errorf("the log does not say %s:\n%s", want, r.log)
		}
	}
}

func TestABrokerThatIsAwayShowsAndComesBack(t *testing.T) {
	r := runNode(t, []store.Definition{ticking}, nil)
	await(t, "tasks were sent", 10*time.Second, func() bool { return strings.Contains(r.log.String(), "task sent") })
	r.redis.SetError("LOADING the broker is away")
	await(t, "health fails with the broker", 10*time.Second, func() bool {
		status, health := r.health(t)
		return status == http.StatusServiceUnavailable && !health.OK && slices.ContainsFunc(health.Checks, func(c web.Check) bool { return c.Name == "broker" && !c.OK && c.Detail != "" })
	})
	await(t, "the failures are counted", 10*time.Second, func() bool {
		_, metrics := r.get("/metrics")
		return !strings.Contains(metrics, "\nonebeat_broker_errors_total 0\n")
	})
	r.redis.SetError("")
	await(t, "health is well again", 10*time.Second, func() bool { status, _ := r.health(t); return status == http.StatusOK })
	if got := strings.Count(r.log.String(), "fails; trying on"); got > 3 {
		t.Errorf("one outage was logged as %d failures:\n%s", got, r.log)
	}
}

// A stop while the broker is away says what it leaves, and what becomes of that.
func TestAStopSaysWhatItLeaves(t *testing.T) {
	r := runNode(t, []store.Definition{ticking}, map[string]string{"drain": "100ms"})
	await(t, "tasks were sent", 10*time.Second, func() bool { return strings.Contains(r.log.String(), "task sent") })
	r.redis.SetError("LOADING the broker is away")
	await(t, "publishing fails", 10*time.Second, func() bool { return strings.Contains(r.log.String(), "publishing fails") })
	if err := r.stop(); err != nil {
		t.Fatalf("Run: %v", err)
	}
	log := r.log.String()
	_, left, _ := strings.Cut(log, "level=WARN msg=\"this node stops with slots that are claimed and not sent, or not recorded yet")
	left, _, _ = strings.Cut(left, "\n")
	if !strings.Contains(left, "the node that leads next") || !strings.Contains(left, "slots=") || strings.Contains(left, "slots=0") || !strings.Contains(left, "first=") {
		t.Errorf("the log does not say what the stop left:\n%s", log)
	}
}

// What planning has passed it does not come back to: a last run that somebody set back counts for who takes over.
func TestALastRunThatWasSetBackCountsForTheNextTerm(t *testing.T) {
	slot := time.Now().Add(time.Second).UTC()
	hourly := store.Definition{Name: "hourly", Task: "tasks.hourly", Spec: "@every 1h from " + slot.Add(-24*time.Hour).Format(time.RFC3339Nano), Enabled: true}
	r := runNode(t, []store.Definition{ticking, hourly}, nil)
	sent := func(r *running, entry string) int {
		return strings.Count(r.log.String(), `msg="task sent" entry=`+entry+" ")
	}
	await(t, "the hourly entry was sent", 10*time.Second, func() bool { return sent(r, "hourly") == 1 })
	db, err := sql.Open("sqlite", strings.TrimPrefix(r.config.String("database"), "sqlite:///"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	recorded := func() (yes bool) {
		err := db.QueryRow("SELECT last_run_at IS NOT NULL FROM celery_beat_schedules WHERE name = 'hourly'").Scan(&yes)
		return err == nil && yes
	}
	await(t, "it is recorded", 10*time.Second, recorded)
	if _, err := db.Exec("UPDATE celery_beat_schedules SET last_run_at = '2026-01-01 00:00:00' WHERE name = 'hourly'"); err != nil {
		t.Fatal(err)
	}
	until := sent(r, "tick") + 3
	await(t, "others are sent meanwhile", 10*time.Second, func() bool { return sent(r, "tick") >= until })
	if err := r.stop(); err != nil || sent(r, "hourly") != 1 {
		t.Errorf("Run = %v, and the entry was sent %d times, want once:\n%s", err, sent(r, "hourly"), r.log)
	}
	next := runNode(t, nil, map[string]string{"database": r.config.String("database")})
	await(t, "its latest slot is sent again", 10*time.Second, func() bool { return sent(next, "hourly") == 1 })
}

// The second node on a database is well, and ready to take over.
func TestANodeThatWaitsIsWell(t *testing.T) {
	first := runNode(t, nil, nil)
	await(t, "the first node leads", 10*time.Second, func() bool { _, health := first.health(t); return health.Leader })
	second := runNode(t, nil, map[string]string{
		"database": first.config.String("database"), "broker": first.config.String("broker"), "node": "n2",
	})
	await(t, "the second node is ready", 10*time.Second, func() bool { status, _ := second.get("/readyz"); return status == http.StatusOK })
	if status, health := second.health(t); status != http.StatusOK || health.Leader || health.Term != 0 {
		t.Errorf("/healthz of the waiting node: %d %+v", status, health)
	}
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	await(t, "the second node leads", 10*time.Second, func() bool {
		status, health := second.health(t)
		return status == http.StatusOK && health.Leader && health.Term == 2
	})
}

// Nodes with one name, as in containers whose host names are equal, are two all the same.
func TestNodesOfOneNameAreToldApart(t *testing.T) {
	first := runNode(t, nil, nil)
	await(t, "the first node leads", 10*time.Second, func() bool { _, health := first.health(t); return health.Leader })
	second := runNode(t, nil, map[string]string{"database": first.config.String("database"), "broker": first.config.String("broker")})
	await(t, "the second node is ready", 10*time.Second, func() bool { status, _ := second.get("/readyz"); return status == http.StatusOK })
	_, one := first.health(t)
	if _, two := second.health(t); one.Node != "n1" || two.Node != "n1#2" || two.Leader {
		t.Errorf("nodes = %q and %q, which leads: %v; want n1 and n1#2, which waits", one.Node, two.Node, two.Leader)
	}
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	await(t, "the second node leads", 10*time.Second, func() bool {
		_, health := second.health(t)
		return health.Leader && health.Term == 2 && health.Node == "n1#2"
	})
}

// A database that cannot be reached is waited for: the node answers meanwhile.
func TestADatabaseThatIsAwayShows(t *testing.T) {
	log, address := new(lockedLog), freeAddress(t)
	config := mustLoad(t, nil, map[string]string{
		"database": "postgres://app:" + password + "@127.0.0.1:1/app", "broker": "redis://127.0.0.1:1/0", "listen": address,
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, config, NewLogger(config, log)) }()
	r := &running{address: address}
	await(t, "health fails with the database, and says why", 10*time.Second, func() bool {
		status, health := r.health(t)
		return status == http.StatusServiceUnavailable && len(health.Checks) == 1 && health.Checks[0].Name == "database" &&
			strings.Contains(health.Checks[0].Detail, "connection refused") && !strings.Contains(health.Checks[0].Detail, password)
	})
	if status, body := r.get("/readyz"); status != http.StatusServiceUnavailable {
		t.Errorf("/readyz: %d %s, want 503", status, body)
	}
	await(t, "the reason is logged", 10*time.Second, func() bool { return strings.Contains(log.String(), "the database cannot be used; trying on") })
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Run: %v, want nil: it was told to stop", err)
	}
	if strings.Contains(log.String(), password) {
		t.Errorf("the log shows the password:\n%s", log)
	}
}

func TestFaultsOfSettingsEndRun(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	good := map[string]string{"database": "sqlite:///" + filepath.Join(t.TempDir(), "x.db"), "broker": "redis://127.0.0.1:1/0", "listen": "off"}
	for _, tt := range []struct{ name, value, want string }{
		{"database", "", "no database is set"},
		{"broker", "kafka://localhost", `broker "kafka" is not supported`},
		{"listen", taken.Addr().String(), "choose another address with --listen"},
		{"redis-url", "http://localhost", "redis-url is not a Redis URL"},
	} {
		flags := map[string]string{}
		for name, value := range good {
			flags[name] = value
		}
		flags[tt.name] = tt.value
		err := Run(t.Context(), mustLoad(t, nil, flags), slog.New(slog.DiscardHandler))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Run with %s %q: %v, want %q", tt.name, tt.value, err, tt.want)
		}
	}
}

// migrated opens the database of a node's settings with all tables in place. The caller closes it.
func migrated(t *testing.T, config Config) *store.Store {
	t.Helper()
	celery, err := CelerySettings(config)
	if err != nil {
		t.Fatal(err)
	}
	s, err := OpenStore(t.Context(), config, celery, store.MissingMade, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Migrate(t.Context()); err != nil {
		s.Close()
		t.Fatal(err)
	}
	return s
}

// A database without the table is the wrong one: nothing is left there.
func TestAStartOnADatabaseWithoutTheTableLeavesNothingThere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "other.db")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	config := mustLoad(t, nil, map[string]string{
		"database": "sqlite:///" + path, "broker": "redis://" + miniredis.RunT(t).Addr() + "/0", "listen": "off",
	})
	err := Run(t.Context(), config, slog.New(slog.DiscardHandler))
	if refused := new(RefusedError); !errors.As(err, &refused) || !strings.Contains(err.Error(), "there is no table celery_beat_schedules") {
		t.Errorf("Run = %v, want it to say that there is no table", err)
	}
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	tables := 0
	if err := db.QueryRowContext(t.Context(), "SELECT count(*) FROM sqlite_master").Scan(&tables); err != nil {
		t.Fatal(err)
	}
	if tables != 0 {
		t.Errorf("the start has left %d tables and indexes in the database, want none", tables)
	}
}

// Entries that were handed back are another scheduler's: to start the node again changes nothing, and that is what its end says.
func TestAStartAfterAHandBackIsRefused(t *testing.T) {
	config := mustLoad(t, nil, map[string]string{
		"database": "sqlite:///" + filepath.Join(t.TempDir(), "node.db"), "broker": "redis://" + miniredis.RunT(t).Addr() + "/0", "listen": "off",
	})
	s := migrated(t, config)
	_, err := s.HandBack(t.Context(), "somebody", false)
	s.Close()
	if err != nil {
		t.Fatal(err)
	}
	err = Run(t.Context(), config, slog.New(slog.DiscardHandler))
	if refused := new(RefusedError); !errors.As(err, &refused) || !errors.Is(err, store.ErrHandedBack) {
		t.Errorf("Run after a hand-back = %v, want it refused", err)
	}
}

// A broker that does not let the node in is a fault of the settings, unless it has done so
// before: then somebody changes the password, and the node is to be started again.
func TestABrokerThatRefusesTheLoginEndsAStart(t *testing.T) {
	redis := miniredis.RunT(t)
	redis.RequireAuth(password)
	for _, login := range []string{"", ":wrong-" + password + "@"} {
		log := new(lockedLog)
		config := mustLoad(t, nil, map[string]string{
			"database": "sqlite:///" + filepath.Join(t.TempDir(), "node.db"), "broker": "redis://" + login + redis.Addr() + "/0", "listen": "off",
		})
		migrated(t, config).Close()
		err := Run(t.Context(), config, NewLogger(config, log))
		if refused := new(RefusedError); !errors.As(err, &refused) || !strings.Contains(err.Error(), "refuses the user or the password") {
			t.Errorf("Run with the login %q = %v, want it to say that the broker refuses it\n%s", login, err, log)
		}
		if strings.Contains(log.String()+fmt.Sprint(err), password) {
			t.Errorf("log or error show the password: %v\n%s", err, log)
		}
	}
	r := runNode(t, []store.Definition{ticking}, nil)
	await(t, "tasks were sent", 10*time.Second, func() bool { return strings.Contains(r.log.String(), "task sent") })
	r.redis.RequireAuth("another")
	r.redis.SetError("WRONGPASS invalid username-password pair or user is disabled.")
	await(t, "health fails with the broker", 10*time.Second, func() bool { status, _ := r.health(t); return status == http.StatusServiceUnavailable })
	r.redis.RequireAuth(password)
	r.redis.SetError("")
	await(t, "health is well again", 10*time.Second, func() bool { status, _ := r.health(t); return status == http.StatusOK })
}

// A message on the channel makes an edit known at once where no trigger does.
func TestAMessageOnTheChannelPokes(t *testing.T) {
	redis := miniredis.RunT(t)
	redis.RequireAuth(password)
	log := new(lockedLog)
	poked := make(chan struct{}, 100)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- listenToRedis(ctx, "redis://:"+password+"@"+redis.Addr()+"/0", "edits", func() { poked <- struct{}{} }, slog.New(slog.NewTextHandler(log, nil)))
	}()
	<-poked // at the subscription: messages may have been missed
	await(t, "the message has a listener", 10*time.Second, func() bool { return redis.Publish("edits", `{"event_type":"schedule_updated"}`) == 1 })
	<-poked
	if got := redis.Publish("other", "x"); got != 0 {
		t.Errorf("%d listen to another channel", got)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if strings.Contains(log.String(), password) {
		t.Errorf("the log shows the password:\n%s", log)
	}
}

// A database that was restored, or is a copy of another's, gives lower terms than the
// broker has seen.
func TestADatabaseBehindItsBrokerEndsRun(t *testing.T) {
	n := runNode(t, []store.Definition{ticking}, nil)
	await(t, "the node leads", 20*time.Second, func() bool { return len(n.redis.DB(0).Keys()) > 0 })
	if err := n.stop(); err != nil {
		t.Fatal(err)
	}
	for _, key := range n.redis.DB(0).Keys() {
		if strings.HasPrefix(key, "onebeat:") {
			n.redis.DB(0).HSet(key, "term", "900")
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	err := Run(ctx, n.config, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "restored") || strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), password) {
		t.Errorf("Run = %v, want one line that says what to do", err)
	}
}
