package app

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/v2"
	"go.yaml.in/yaml/v4"
)

// A Setting is one thing that can be set, written once: flags, environment
// names, the file's keys and docs/settings.md are made from it.
type Setting struct {
	Name    string   // the flag and, in a file, the key
	Also    []string // environment names of existing deployments, first wins; ONEBEAT_<NAME> goes before them
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
	{Name: "config", Help: "a YAML file with these settings, and Celery's own under `celery:`"},
	{Name: "database", Also: []string{"DATABASE_URL"}, Help: "the database with the schedules: postgresql://… or sqlite:///…; SQLAlchemy's URLs are understood"},
	{Name: "broker", Also: []string{"CELERY_BROKER_WRITE_URL", "CELERY_BROKER_URL"}, Help: "Celery's broker: redis://… or amqp://…"},
	{Name: "zone", Also: []string{"CELERY_TIMEZONE"}, Default: "UTC", Help: "the time zone of crontabs that name none", check: zone},
	{Name: "catalog", Default: "native", Help: "the tables that the schedules are in: native (celery_beat_schedules)", check: oneOf("native")},
	{Name: "home", Default: "auto", Help: "where last_run_at is kept: column (of the schedules' table), table (onebeat's own), memory (lost at a restart), or auto: column where there is one, else table", check: oneOf("auto", "column", "table", "memory")},
	{Name: "node", Help: "this node's name in leases, runs and logs; the host's name and the process id unless set"},
	{Name: "log-level", Default: "info", Help: "debug, info, warn or error", check: oneOf("debug", "info", "warn", "error")},
	{Name: "log-format", Default: "text", Help: "text, json or logfmt", check: oneOf("text", "json", "logfmt")},

	{Name: "listen", Default: "127.0.0.1:8080", Serve: true, Help: "where /healthz, /readyz and /metrics are served; off for nowhere"},
	{Name: "catch-up", Default: "false", Serve: true, Help: "the very first start also sends what was due since the table's last_run_at", check: boolean},
	{Name: "events", Also: []string{"CELERY_TASK_SEND_SENT_EVENT"}, Default: "false", Serve: true, Help: "tell a task-sent event of each message, for Flower (Celery's task_send_sent_event)", check: boolean},
	{Name: "declare", Default: "false", Serve: true, Help: "RabbitMQ: declare a queue that is missing, as Celery would", check: boolean},
	{Name: "lead", Default: "250ms", Serve: true, Help: "how long before its slot an entry is claimed", check: length(10*time.Millisecond, time.Minute)},
	{Name: "lease", Default: "5s", Serve: true, Help: "how long a node that is cut off keeps the others waiting", check: length(time.Second, 10*time.Minute)},
	{Name: "drain", Default: "10s", Serve: true, Help: "how long a stop waits for what was claimed to go out", check: length(0, 10*time.Minute)},
	{Name: "batch", Default: "1000", Serve: true, Help: "the most slots that are claimed and sent together", check: count(1, 5000)},
	{Name: "redis-url", Also: []string{"REDIS_URL"}, Serve: true, Help: "a Redis whose channel tells of edits"},
	{Name: "redis-channel", Also: []string{"CELERY_BEAT_REDIS_CHANNEL"}, Default: "celery_beat_schedule_updates", Serve: true, Help: "the channel that tells of edits; none: edits are seen without it too"},
	{Name: "result-backend", Also: []string{"CELERY_RESULT_BACKEND"}, Serve: true, Help: "accepted so that an existing deployment starts unchanged; workers write results, onebeat does not"},
}

// A Config is the settings of one process, checked.
type Config struct {
	values map[string]string
	celery map[string]any
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
	b, _ := strconv.ParseBool(c.values[name]) // checked by Load
	return b
}

// Int returns the value of a setting that is a number.
func (c Config) Int(name string) int {
	n, _ := strconv.Atoi(c.values[name]) // checked by Load
	return n
}

// Celery returns the settings under Celery's own names.
func (c Config) Celery() map[string]any { return c.celery }

// celerySection is the file's key for settings under Celery's own names.
const celerySection = "celery"

// Load merges the settings: defaults, then the file, then the environment of
// existing deployments, then ONEBEAT_*, then flags. Environment variables of the
// form CELERY_TASK_… set Celery's own settings. All faults are reported together.
func Load(flags map[string]string, getenv func(string) string, environ []string) (Config, error) {
	merged := koanf.New("\x00") // names are flat: a delimiter that none contains
	layer := func(values map[string]any) {
		_ = merged.Load(confmap.Provider(values, ""), nil) // a map always loads
	}
	defaults := map[string]any{}
	existing, own := map[string]any{}, map[string]any{}
	for _, s := range Settings {
		defaults[s.Name] = s.Default
		for _, name := range slices.Backward(s.Also) {
			if value := getenv(name); value != "" {
				existing[s.Name] = value
			}
		}
		if value := getenv(s.Env()); value != "" {
			own[s.Name] = value
		}
	}
	given := map[string]any{}
	for name, value := range flags {
		given[name] = value
	}
	layer(defaults)
	layer(own)
	layer(given)
	file, celery, err := readFile(merged.String("config"))
	if err != nil {
		return Config{}, err
	}
	layer(file)
	layer(existing)
	layer(own)
	layer(given)

	for name, value := range celeryEnvironment(environ) {
		celery[name] = value
	}
	config := Config{values: map[string]string{}, celery: celery}
	var faults []error
	for _, s := range Settings {
		value := merged.String(s.Name)
		config.values[s.Name] = value
		if s.check == nil {
			continue
		}
		if err := s.check(value); err != nil {
			faults = append(faults, fmt.Errorf("%s is %q: %w", s.Name, value, err))
		}
	}
	if on := merged.String("events"); on == "true" {
		celery["task_send_sent_event"] = true
	}
	return config, errors.Join(faults...)
}

// readFile reads a settings file; no name, no settings.
func readFile(name string) (file, celery map[string]any, err error) {
	file, celery = map[string]any{}, map[string]any{}
	if name == "" {
		return file, celery, nil
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, nil, fmt.Errorf("settings file: %w", err)
	}
	var nodes map[string]yaml.Node
	if err := yaml.Unmarshal(text, &nodes); err != nil {
		return nil, nil, fmt.Errorf("settings file %s: %w", name, err)
	}
	for key, node := range nodes {
		if key == celerySection {
			// Nodes keep the order of the patterns in task_routes.
			var section map[string]yaml.Node
			if err := node.Decode(&section); err != nil {
				return nil, nil, fmt.Errorf("settings file %s: %q must hold Celery's settings by name", name, key)
			}
			for k, v := range section {
				celery[k] = &v
			}
			continue
		}
		if !slices.ContainsFunc(Settings, func(s Setting) bool { return s.Name == key }) {
			return nil, nil, fmt.Errorf("settings file %s: no setting is called %q; `onebeat serve --help` lists them", name, key)
		}
		if node.Kind != yaml.ScalarNode {
			return nil, nil, fmt.Errorf("settings file %s: %q must be one value", name, key)
		}
		file[key] = node.Value
	}
	return file, celery, nil
}

// celeryEnvironment collects CELERY_TASK_ROUTES and its like, by Celery's names,
// as the texts they are.
func celeryEnvironment(environ []string) map[string]any {
	found := map[string]any{}
	for _, pair := range environ {
		name, value, _ := strings.Cut(pair, "=")
		rest, ok := strings.CutPrefix(name, "CELERY_TASK_")
		if !ok || value == "" || rest == "SEND_SENT_EVENT" {
			continue
		}
		found["task_"+strings.ToLower(rest)] = value
	}
	return found
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
	if _, err := strconv.ParseBool(value); err != nil {
		return errors.New("say true or false")
	}
	return nil
}

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
	if _, err := time.LoadLocation(value); err != nil || value == "Local" {
		return errors.New("no such time zone: use an IANA name such as Asia/Tokyo")
	}
	return nil
}
