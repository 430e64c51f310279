package app

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/onebeat/onebeat/internal/celery"
	"github.com/onebeat/onebeat/internal/store"
)

// load reads settings as a process with this environment and these flags does.
func load(t *testing.T, environ []string, flags map[string]string) (Config, error) {
	t.Helper()
	getenv := func(name string) string {
		for _, pair := range environ {
			if value, ok := strings.CutPrefix(pair, name+"="); ok {
				return value
			}
		}
		return ""
	}
	return Load(flags, getenv, environ)
}

func mustLoad(t *testing.T, environ []string, flags map[string]string) Config {
	t.Helper()
	config, err := load(t, environ, flags)
	if err != nil {
		t.Fatal(err)
	}
	return config
}

func settingsFile(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "onebeat.yaml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestWithUseTZOffDjangosTimeZoneIsAsked(t *testing.T) {
	off := map[string]string{"catalog": "django", "django-use-tz": "off"}
	if _, err := load(t, nil, off); err == nil || !strings.Contains(err.Error(), "django-time-zone") {
		t.Errorf("Load without the zone = %v, want it to ask for the zone", err)
	}
	if _, err := load(t, nil, map[string]string{"catalog": "native", "django-use-tz": "off"}); err != nil {
		t.Errorf("Load of another catalog = %v", err)
	}
	off["django-time-zone"] = "Asia/Tokyo"
	for _, tt := range []struct {
		environ []string
		naive   bool
	}{{nil, false}, {[]string{"DJANGO_CELERY_BEAT_TZ_AWARE=False"}, true}} {
		config := mustLoad(t, tt.environ, off)
		if got, want := djangoTime(config), (store.DjangoTime{Zone: "Asia/Tokyo", NaiveRuns: tt.naive}); got != want {
			t.Errorf("with %v Django's time is %+v, want %+v", tt.environ, got, want)
		}
	}
	off["django-use-tz"] = "on"
	if got := djangoTime(mustLoad(t, nil, off)); got != (store.DjangoTime{}) {
		t.Errorf("with USE_TZ on Django's time is %+v", got)
	}
}

func TestSettingsAreLaidOverEachOther(t *testing.T) {
	file := settingsFile(t, "zone: Europe/Berlin\nlisten: 127.0.0.1:1\n")
	for _, tt := range []struct {
		name    string
		environ []string
		flags   map[string]string
		want    string // zone
	}{
		{"the default", nil, nil, "UTC"},
		{"the file over the default", nil, map[string]string{"config": file}, "Europe/Berlin"},
		{"an existing environment over the file", []string{"CELERY_TIMEZONE=Asia/Tokyo"}, map[string]string{"config": file}, "Asia/Tokyo"},
		{"onebeat's own name over the existing one", []string{"CELERY_TIMEZONE=Asia/Tokyo", "ONEBEAT_ZONE=Asia/Seoul"}, map[string]string{"config": file}, "Asia/Seoul"},
		{"a flag over all", []string{"CELERY_TIMEZONE=Asia/Tokyo", "ONEBEAT_ZONE=Asia/Seoul"}, map[string]string{"config": file, "zone": "Asia/Dhaka"}, "Asia/Dhaka"},
		{"an empty variable is none", []string{"CELERY_TIMEZONE=", "ONEBEAT_ZONE="}, map[string]string{"config": file}, "Europe/Berlin"},
		{"the file by its variable", []string{"ONEBEAT_CONFIG=" + file}, nil, "Europe/Berlin"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := mustLoad(t, tt.environ, tt.flags).String("zone"); got != tt.want {
				t.Errorf("zone = %q, want %q", got, tt.want)
			}
		})
	}
}

func TestTheFirstOfSeveralNamesWins(t *testing.T) {
	// celery 5.7 app/base.py: broker_write_url before broker_url.
	config := mustLoad(t, []string{"CELERY_BROKER_URL=redis://read", "CELERY_BROKER_WRITE_URL=redis://write"}, nil)
	if got, want := config.String("broker"), "redis://write"; got != want {
		t.Errorf("broker = %q, want %q", got, want)
	}
}

// The environment of the first user's deployment (beat semantics, section 12),
// all of it, starts onebeat as it is.
var existing = []string{
	"CELERY_BROKER_URL=redis://redis:6379/1",
	"CELERY_RESULT_BACKEND=redis://redis:6379/2",
	"CELERY_TIMEZONE=Asia/Tokyo",
	"CELERY_ENABLE_UTC=true",
	"CELERY_TASK_SERIALIZER=json",
	"CELERY_RESULT_SERIALIZER=json",
	`CELERY_ACCEPT_CONTENT=["json"]`,
	"CELERY_BEAT_REDIS_SYNC_ENABLED=true",
	"CELERY_BEAT_MIN_SYNC_INTERVAL=5",
	"CELERY_BEAT_REDIS_CHANNEL=celery_beat_schedule_updates",
	"CELERY_TASK_TRACK_STARTED=True",
	"CELERY_TASK_ACKS_LATE=true",
	"REDIS_URL=redis://redis:6379/0",
	"DATABASE_URL=postgresql+asyncpg://app:secret@postgres:5432/app",
	"DATABASE_POOL_SIZE=10", "DATABASE_MAX_OVERFLOW=20", "DATABASE_POOL_TIMEOUT=30", "DATABASE_ECHO=false",
}

func TestAnExistingDeploymentStartsUnchanged(t *testing.T) {
	config := mustLoad(t, existing, nil)
	if err := CheckURLs(config); err != nil {
		t.Errorf("CheckURLs: %v", err)
	}
	if _, err := CelerySettings(config); err != nil {
		t.Errorf("CelerySettings: %v", err)
	}
	for name, want := range map[string]string{
		"database": "postgresql+asyncpg://app:secret@postgres:5432/app", "broker": "redis://redis:6379/1", "zone": "Asia/Tokyo",
		"redis-url": "redis://redis:6379/0", "redis-channel": "celery_beat_schedule_updates", "result-backend": "redis://redis:6379/2",
	} {
		if got := config.String(name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	if !config.Bool("redis-sync") {
		t.Error("redis-sync is off, want on")
	}
	options, err := TransportOptions(mustLoad(t, append([]string{`CELERY_BROKER_TRANSPORT_OPTIONS={"global_keyprefix": "app-"}`}, existing...), nil))
	if err != nil || options["global_keyprefix"] != "app-" {
		t.Errorf("TransportOptions = %v, %v", options, err)
	}
	if got, want := config.Celery()["task_serializer"], "json"; got != want {
		t.Errorf("task_serializer = %v, want %v", got, want)
	}
	if config := mustLoad(t, append([]string{"CELERY_BEAT_REDIS_SYNC_ENABLED=False"}, existing...), nil); config.Bool("redis-sync") {
		t.Error("redis-sync is on though CELERY_BEAT_REDIS_SYNC_ENABLED is False")
	}
}

// A .env file is read by what starts a process, not by onebeat.
func TestNoEnvFileIsRead(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile(".env", []byte("CELERY_TIMEZONE=Asia/Tokyo\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := mustLoad(t, nil, nil).String("zone"); got != "UTC" {
		t.Errorf("zone = %q, want UTC", got)
	}
}

func TestEventsAreSetByAnyOfTheirNames(t *testing.T) {
	section := settingsFile(t, "celery:\n  task_send_sent_event: true\n")
	for _, tt := range []struct {
		name    string
		environ []string
		flags   map[string]string
		want    bool
	}{
		{"unset", nil, nil, false},
		{"as Python writes it", []string{"CELERY_TASK_SEND_SENT_EVENT=True"}, nil, true},
		{"as a number", []string{"ONEBEAT_EVENTS=1"}, nil, true},
		{"in Celery's section", nil, map[string]string{"config": section}, true},
		{"a flag over Celery's section", nil, map[string]string{"config": section, "events": "false"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			celery, err := CelerySettings(mustLoad(t, tt.environ, tt.flags))
			if err != nil {
				t.Fatal(err)
			}
			if celery.SendSentEvent != tt.want {
				t.Errorf("events are %v, want %v", celery.SendSentEvent, tt.want)
			}
		})
	}
}

func TestCelerysSection(t *testing.T) {
	file := settingsFile(t, `
zone: ~
celery:
  timezone: Asia/Tokyo
  broker_url: redis://redis:6379/1
  broker_transport_options: {global_keyprefix: app-}
  task_default_queue: default
  task_routes:
    zebra.*: {queue: zoo}
    "*": {queue: rest}
`)
	config := mustLoad(t, []string{"CELERY_TASK_DEFAULT_QUEUE=priority"}, map[string]string{"config": file})
	if got := config.String("zone") + " " + config.String("broker"); got != "Asia/Tokyo redis://redis:6379/1" {
		t.Errorf("zone and broker are %q, want Celery's timezone and broker_url", got)
	}
	if options, err := TransportOptions(config); err != nil || options["global_keyprefix"] != "app-" {
		t.Errorf("TransportOptions = %v, %v", options, err)
	}
	parsed, err := CelerySettings(config)
	if err != nil {
		t.Fatal(err)
	}
	// The first pattern that fits wins, as written (celery 5.7 app/routes.py).
	template, err := parsed.Template(celery.Task{Name: "zebra.feed"})
	if err != nil {
		t.Fatal(err)
	}
	if got := template.Route().RoutingKey; got != "zoo" {
		t.Errorf("zebra.feed goes to %q, want zoo", got)
	}
	if got := config.Celery()["task_default_queue"]; got != "priority" {
		t.Errorf("task_default_queue = %v, want the environment's", got)
	}
}

func TestAllFaultsAreToldTogether(t *testing.T) {
	file := settingsFile(t, "databse: x\nbatch: [1]\ncelery: 7\nlead: 6s\n")
	_, err := load(t, []string{"CELERY_TIMEZONE=Tokyo", "ONEBEAT_DECLARE=maybe", "ONEBEAT_HOME=attic"},
		map[string]string{"config": file, "log-level": "loud", "lease": "0", "listen": "8080", "drain": "-1s"})
	if err == nil {
		t.Fatal("no fault was told")
	}
	for _, want := range []string{
		`no setting is called "databse"; did you mean database?`, `"batch" must be one value`, `"celery" must hold Celery's settings by name`,
		`zone (CELERY_TIMEZONE) is "Tokyo"`, `declare (ONEBEAT_DECLARE) is "maybe": say true or false`, `home (ONEBEAT_HOME) is "attic": choose one of auto, column, table, memory`,
		`log-level is "loud"`, `lead is "6s": give a length of time from 10ms to 5s`, `lease is "0": give a length of time from 1s to 10m0s`, `listen is "8080"`, `drain is "-1s"`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the faults do not tell %s:\n%v", want, err)
		}
	}
}

// What the machine is set to is no zone: it would be another on the next machine.
func TestZonesDoNotDependOnTheMachine(t *testing.T) {
	t.Setenv("TZ", "Asia/Tokyo")
	for _, name := range []string{"Local", "local", "localtime", "../etc/passwd"} {
		if _, err := load(t, nil, map[string]string{"zone": name}); err == nil {
			t.Errorf("zone %q was taken", name)
		}
	}
}

// What is looked at before anything is logged waits for no server: one that does not answer kept a start silent for seconds.
func TestSettingsAreCheckedWithoutTheBroker(t *testing.T) {
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	if err := CheckURLs(mustLoad(t, []string{"DATABASE_URL=sqlite:///x.db", "CELERY_BROKER_URL=redis://" + server.Addr().String()}, nil)); err != nil {
		t.Errorf("CheckURLs: %v", err)
	}
	_ = server.(*net.TCPListener).SetDeadline(time.Now())
	if conn, err := server.Accept(); err == nil {
		conn.Close()
		t.Error("CheckURLs has connected to the broker")
	}
}

func TestURLFaultsAreToldTogetherAndWithoutPasswords(t *testing.T) {
	const secret = "hunter2"
	config := mustLoad(t, []string{"DATABASE_URL=" + secret, "CELERY_BROKER_URL=" + secret, "REDIS_URL=" + secret}, nil)
	err := CheckURLs(config)
	if err == nil || strings.Count(err.Error(), "\n") != 2 || strings.Contains(err.Error(), secret) {
		t.Errorf("CheckURLs: %v; want three faults that do not show %q", err, secret)
	}
	for _, url := range []string{"postgres://u@h:99999/d", "postgres://u@h/d?sslmode=" + secret, "postgres://u@h/d?sslmode=verify-ca&sslrootcert=/no/such/" + secret} {
		err := CheckURLs(mustLoad(t, []string{"DATABASE_URL=" + url, "CELERY_BROKER_URL=redis://h"}, nil))
		if err == nil || strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), secret) {
			t.Errorf("CheckURLs with the database %s: %v, want one line that does not show %q", url, err, secret)
		}
	}
	if err := CheckURLs(mustLoad(t, append([]string{"CELERY_BEAT_REDIS_SYNC_ENABLED=off"}, append(existing, "REDIS_URL=x")...), nil)); err != nil {
		t.Errorf("CheckURLs with a Redis that is not listened to: %v", err)
	}
}

func TestBrokerURLTakesUseSSL(t *testing.T) {
	for _, tt := range []struct{ broker, use, want string }{
		{"redis://:pw@h/1", "", "redis://:pw@h/1"},
		{"redis://:pw@h/1", "false", "redis://:pw@h/1"},
		{"redis://:pw@h/1", "true", "redis://:pw@h/1?ssl_cert_reqs=required"},
		{"amqp://h//;amqp://i//", "true", "amqp://h//?ssl=true;amqp://i//?ssl=true"},
		{"rediss://h?ssl_ca_certs=/mine", `{"ssl_ca_certs": "/other", "ssl_cert_reqs": 2}`, "rediss://h?ssl_ca_certs=%2Fmine&ssl_cert_reqs=required"},
		{"amqp://h", `{"keyfile": "/k", "certfile": "/c", "cert_reqs": "ssl.CERT_NONE"}`, "amqp://h?ssl=true&ssl_cert_reqs=ssl.CERT_NONE&ssl_certfile=%2Fc&ssl_keyfile=%2Fk"},
	} {
		got, err := BrokerURL(mustLoad(t, []string{"CELERY_BROKER_URL=" + tt.broker, "CELERY_BROKER_USE_SSL=" + tt.use}, nil))
		if err != nil || got != tt.want {
			t.Errorf("broker %s with broker_use_ssl %s = %s, %v, want %s", tt.broker, tt.use, got, err, tt.want)
		}
	}
	for _, bad := range []string{"CELERY_EVENT_EXCHANGE=[1]", "CELERY_BROKER_USE_SSL=[1]", "CELERY_BROKER_FAILOVER_STRATEGY=random", `CELERY_BROKER_USE_SSL={"nonsense": 1}`} {
		err := CheckURLs(mustLoad(t, []string{"DATABASE_URL=sqlite:///x.db", "CELERY_BROKER_URL=redis://h", bad}, nil))
		if err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want one line", bad, err)
		}
	}
	if on, err := shuffle(mustLoad(t, []string{"CELERY_BROKER_FAILOVER_STRATEGY=shuffle"}, nil)); err != nil || !on {
		t.Errorf("shuffle = %v, %v, want true", on, err)
	}
}

// A file of the settings says the same as they.
func TestFileSaysTheSame(t *testing.T) {
	given, err := Load(map[string]string{"database": "postgres://u:p%40w@h/d", "broker": "redis://h/1", "zone": "Asia/Tokyo", "batch": "77"}, func(string) string { return "" },
		[]string{`CELERY_BROKER_TRANSPORT_OPTIONS={"global_keyprefix": "p:", "priority_steps": [0, 5]}`, "CELERY_TASK_DEFAULT_QUEUE=theirs", "CELERY_EVENT_EXCHANGE=told"})
	if err != nil {
		t.Fatal(err)
	}
	text, err := given.With(map[string]string{"node": "bench"}).File()
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "onebeat.yaml")
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := Load(map[string]string{"config": name}, func(string) string { return "" }, nil)
	if err != nil {
		t.Fatalf("Load of\n%s: %v", text, err)
	}
	for _, s := range Settings {
		want := map[string]string{"config": name, "node": "bench"}[s.Name]
		if want == "" {
			want = given.String(s.Name)
		}
		if got.String(s.Name) != want {
			t.Errorf("%s is %q, want %q", s.Name, got.String(s.Name), want)
		}
	}
	if given.String("node") != "" {
		t.Error("With changed the settings that it was called on")
	}
	options, err := TransportOptions(got)
	if err != nil || options["global_keyprefix"] != "p:" || fmt.Sprint(options["priority_steps"]) != "[0 5]" {
		t.Errorf("options of the transport are %v, %v", options, err)
	}
	if words, err := exchanges(got); err != nil || words.Events() != "told" || words.Control() != "celery.pidbox" {
		t.Errorf("exchanges are %+v, %v", words, err)
	}
	if _, there := got.Celery()["task_default_queue"]; there {
		t.Error("a setting of Celery that decides where messages go is in the file")
	}
}
