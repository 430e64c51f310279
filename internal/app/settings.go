package app

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/onebeat/onebeat/internal/catalog/redbeat"
	"github.com/onebeat/onebeat/internal/celery"
	"github.com/onebeat/onebeat/internal/schedule"
	"github.com/onebeat/onebeat/internal/store"
)

// A Setting is one thing that can be set, written once: flags, environment
// names, the file's keys and docs/settings.md are made from it.
type Setting struct {
	Name    string   // the flag and, in a file, the key
	Also    []string // environment names of existing deployments, first wins; ONEBEAT_<NAME> goes before them
	Kind    string   // of value, in a word; bool is true or false
	Default string
	Help    string
	Serve   bool // of the daemon only; else every verb that needs the database takes it
	check   func(value string) error
}

// Env is the setting's own environment name.
func (s Setting) Env() string {
	return "ONEBEAT_" + strings.ToUpper(strings.ReplaceAll(s.Name, "-", "_"))
}

// Settings is the table of all settings.
var Settings = []Setting{
	{Name: "config", Kind: "file", Help: "a YAML file with these settings, and Celery's own under `celery:`"},
	{Name: "database", Kind: "url", Also: []string{"DATABASE_URL"}, Help: "the database with the schedules: postgresql://…, mysql://… or sqlite:///…; SQLAlchemy's URLs are understood"},
	{Name: "zone", Kind: "zone", Also: []string{"CELERY_TIMEZONE"}, Default: "UTC", Help: "the time zone of crontabs that name none", check: zone},
	{Name: "catalog", Kind: "words", Default: "native", Help: "where the schedules are: native (celery_beat_schedules), django (django-celery-beat's) or sqlalchemy (sqlalchemy-celery-beat's) in the database, file, redbeat (RedBeat's keys in Redis), or several with commas between them: django,file", check: catalogs},
	{Name: "catalog-file", Kind: "files", Help: "of the catalog file: files of entries in YAML, JSON or TOML with the names of Celery's beat_schedule, with commas between them"},
	{Name: "redbeat-url", Kind: "url", Help: "of the catalog redbeat: its Redis (redbeat_redis_url); the broker unless set"},
	{Name: "redbeat-prefix", Kind: "text", Default: redbeat.DefaultPrefix, Help: "of the catalog redbeat: what its keys begin with (redbeat_key_prefix)"},
	{Name: "redbeat-lock", Kind: "text", Default: redbeat.DefaultLock, Help: "of the catalog redbeat: the key of the lock that keeps a RedBeat beside onebeat still (redbeat_lock_key); off for none"},
	{Name: "beat-schema", Kind: "name", Also: []string{"CELERY_BEAT_SCHEMA"}, Help: "PostgreSQL: the schema of sqlalchemy-celery-beat's tables, its beat_schema; where the connection looks unless set", check: schemaName},
	{Name: "django-use-tz", Kind: "bool", Default: "true", Help: "of the catalog django: Django's USE_TZ; without it the tables hold times of django-time-zone. `onebeat check` tells which it is by the rows", check: boolean},
	{Name: "django-time-zone", Kind: "zone", Help: "of the catalog django with USE_TZ off: Django's TIME_ZONE", check: zoneOrNone},
	{Name: "django-beat-tz-aware", Kind: "bool", Also: []string{"DJANGO_CELERY_BEAT_TZ_AWARE"}, Default: "true", Help: "of the catalog django with USE_TZ off: its DJANGO_CELERY_BEAT_TZ_AWARE; without it last_run_at is UTC's time", check: boolean},
	{Name: "home", Kind: "word", Default: "auto", Help: "where last_run_at is kept: column (of the schedules' table), table (onebeat's own), memory (lost at a restart), or auto: column where there is one, else table", check: oneOf("auto", "column", "table", "memory")},

	{Name: "broker", Kind: "url", Also: []string{"CELERY_BROKER_WRITE_URL", "CELERY_BROKER_URL"}, Serve: true, Help: "Celery's broker, or several with semicolons between them: redis://…, amqp://…, sqla+postgresql://… (also mysql, sqlite), filesystem:// or sqs://"},
	{Name: "listen", Kind: "host:port", Default: "127.0.0.1:8080", Serve: true, Help: "where the page, /healthz, /readyz, /metrics and /forecast are served; off for nowhere", check: listen},
	{Name: "node", Kind: "name", Serve: true, Help: "this node's name in leases, runs and logs; the host's name and the process id unless set"},
	{Name: "log-level", Kind: "word", Default: "info", Serve: true, Help: "debug, info, warn or error", check: oneOf("debug", "info", "warn", "error")},
	{Name: "log-format", Kind: "word", Default: "text", Serve: true, Help: "text, json or logfmt", check: oneOf("text", "json", "logfmt")},
	{Name: "catch-up", Kind: "bool", Default: "false", Serve: true, Help: "the very first start also sends what was due since the table's last_run_at", check: boolean},
	{Name: "take-over-at", Kind: "instant", Serve: true, Help: "of entries that another scheduler ran: onebeat sends from then on, and nothing for before; an instant such as 2026-11-24T09:00:00+09:00, or now. It counts once, and again after `onebeat hand-back`", check: takeOverAt},
	{Name: "events", Kind: "bool", Also: []string{"CELERY_TASK_SEND_SENT_EVENT"}, Default: "false", Serve: true, Help: "tell a task-sent event of each message, for Flower (Celery's task_send_sent_event)", check: boolean},
	{Name: "delivery", Kind: "word", Default: celery.AtLeastOnce, Serve: true, Help: "a message that may have been sent before a crash: at_least_once sends it again with the same id, at_most_once does not and records its slot as unsure; the option \"delivery\" of an entry goes before it", check: oneOf(celery.AtLeastOnce, celery.AtMostOnce)},
	{Name: "broker-loss", Kind: "word", Default: "report", Serve: true, Help: "when Redis comes back with older data: report what it has lost, or resend it, with the same ids, as far as the ledger knows it", check: oneOf("report", "resend")},
	{Name: "declare", Kind: "bool", Default: "false", Serve: true, Help: "RabbitMQ, SQS: make a queue that is missing, as Celery would", check: boolean},
	{Name: "lead", Kind: "length", Default: "750ms", Serve: true, Help: "how long before its slot an entry is claimed where a thousand or more come together, and a third of it where they are fewer; what is asked for, made or edited less long before its slot waits for what was claimed, and is that much late at most", check: length(10*time.Millisecond, mostLead)},
	{Name: "lease", Kind: "length", Default: "4s", Serve: true, Help: "how long a node that is frozen or cut off keeps the others waiting", check: length(time.Second, 10*time.Minute)},
	{Name: "shards", Kind: "number", Default: "1", Serve: true, Help: "how many parts entries are shared out in among the nodes; the same for all nodes", check: count(1, 256)},
	{Name: "clock-skew", Kind: "length", Default: "10s", Serve: true, Help: "how far this machine's clock may be from the database's for a node to start; it then goes by the database's", check: length(time.Second, 24*time.Hour)},
	{Name: "drain", Kind: "length", Default: "10s", Serve: true, Help: "how long a stop waits for what was claimed to go out", check: length(0, 10*time.Minute)},
	{Name: "batch", Kind: "number", Default: "0", Serve: true, Help: "the most slots that are claimed and sent together; 0 for what suits the broker: 8000 with RabbitMQ, 1000 with others", check: count(0, 10_000)},
	{Name: "ledger", Kind: "word", Default: "all", Serve: true, Help: "what gets a row in the ledger: all slots, or exceptions: those that were not sent", check: oneOf("all", "exceptions")},
	{Name: "keep-runs", Kind: "number", Default: "30", Serve: true, Help: "how many days the ledger goes back; 0 for all", check: count(0, 36500)},
	{Name: "redis-url", Kind: "url", Also: []string{"REDIS_URL"}, Serve: true, Help: "a Redis that tells of edits on a channel; they are seen without it too"},
	{Name: "redis-sync", Kind: "bool", Also: []string{"CELERY_BEAT_REDIS_SYNC_ENABLED"}, Default: "true", Serve: true, Help: "listen to redis-url at all", check: boolean},
	{Name: "redis-channel", Kind: "name", Also: []string{"CELERY_BEAT_REDIS_CHANNEL"}, Default: "celery_beat_schedule_updates", Serve: true, Help: "the channel that tells of edits"},
	{Name: "result-backend", Kind: "url", Also: []string{"CELERY_RESULT_BACKEND"}, Serve: true, Help: "accepted so that an existing deployment starts unchanged; workers write results, onebeat does not"},
}

// A Config is the settings of one process, checked.
type Config struct {
	values map[string]string
	celery map[string]any
	unread bool // a settings file could not be read: what is not set may be there
}

// String returns the value of a setting.
func (c Config) String(name string) string { return c.values[name] }

// Length returns the value of a setting that is a length of time.
func (c Config) Length(name string) time.Duration {
	d, _ := time.ParseDuration(c.values[name]) // checked by Load
	return d
}

// Bool returns the value of a setting that is on or off.
func (c Config) Bool(name string) bool {
	on, _ := parseBool(c.values[name]) // checked by Load
	return on
}

// Int returns the value of a setting that is a number.
func (c Config) Int(name string) int {
	n, _ := strconv.Atoi(c.values[name]) // checked by Load
	return n
}

// Celery returns the settings under Celery's own names.
func (c Config) Celery() map[string]any { return c.celery }

// tables are the catalogs that are tables of the database.
var tables = []string{"native", "django", "sqlalchemy"}

func catalogs(value string) error {
	kinds := strings.Split(value, ",")
	inTables := 0
	for i, kind := range kinds {
		if err := oneOf(append([]string{"file", "redbeat"}, tables...)...)(kind); err != nil {
			return err
		}
		if slices.Contains(kinds[:i], kind) {
			return fmt.Errorf("%s is there twice", kind)
		}
		if slices.Contains(tables, kind) {
			inTables++
		}
	}
	if inTables > 1 {
		return fmt.Errorf("choose one of %s: a database's tables are read in one way", strings.Join(tables, ", "))
	}
	return nil
}

func takeOverAt(value string) error {
	_, err := takeOverInstant(value)
	return err
}

// takeOverInstant is the value of take-over-at; zero for now.
func takeOverInstant(value string) (time.Time, error) {
	if value == "" || value == "now" {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.RFC3339, value)
	if err != nil {
		return time.Time{}, errors.New("write an instant with its offset, such as 2026-11-24T09:00:00+09:00, or now")
	}
	return at, nil
}

func oneOf(values ...string) func(string) error {
	return func(value string) error {
		if slices.Contains(values, value) {
			return nil
		}
		return fmt.Errorf("choose one of %s", strings.Join(values, ", "))
	}
}

func boolean(value string) error {
	_, err := parseBool(value)
	return err
}

// parseBool reads the words that Python programs take from an environment.
func parseBool(value string) (bool, error) {
	switch strings.ToLower(value) {
	case "true", "t", "1", "yes", "y", "on":
		return true, nil
	case "false", "f", "0", "no", "n", "off":
		return false, nil
	}
	return false, errors.New("say true or false")
}

// mostLead keeps what waits for what was claimed before it (the publisher keeps the order of claims) within the grace
// of slots: with a minute it was a minute late, and the daemon's own audit called it overdue.
const mostLead = schedule.DefaultGrace

func length(least, most time.Duration) func(string) error {
	return func(value string) error {
		d, err := time.ParseDuration(value)
		if err != nil || d < least || d > most {
			return fmt.Errorf("give a length of time from %v to %v, such as %v", least, most, max(least, time.Second))
		}
		return nil
	}
}

func count(least, most int) func(string) error {
	return func(value string) error {
		n, err := strconv.Atoi(value)
		if err != nil || n < least || n > most {
			return fmt.Errorf("give a number from %d to %d", least, most)
		}
		return nil
	}
}

func zone(value string) error {
	if _, err := schedule.Location(value); err != nil {
		return errors.New(schedule.ZoneAdvice(value))
	}
	return nil
}

func zoneOrNone(value string) error {
	if value == "" {
		return nil
	}
	return zone(value)
}

func schemaName(value string) error {
	if value != "" && !store.SchemaName.MatchString(value) {
		return errors.New("give the schema's name: letters, digits and underscores")
	}
	return nil
}

func listen(value string) error {
	if value == "off" {
		return nil
	}
	_, port, err := net.SplitHostPort(value)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return errors.New("give host:port, such as 127.0.0.1:8080, or off")
	}
	return nil
}
