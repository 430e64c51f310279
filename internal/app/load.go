package app

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/v2"
	"go.yaml.in/yaml/v4"

	"github.com/onebeat/onebeat/internal/celery"
)

// celerySection is the file's key for settings under Celery's own names.
const celerySection = "celery"

// Load merges the settings: defaults, then the file, then the environment of
// existing deployments, then ONEBEAT_*, then flags. CELERY_TASK_ROUTES and its
// like in the environment set Celery's own settings, over the file's. All faults
// are reported together; the Config is then not for use.
func Load(flags map[string]string, getenv func(string) string, environ []string) (Config, error) {
	defaults, existing, own, given := map[string]any{}, map[string]any{}, map[string]any{}, map[string]any{}
	from := map[string]string{} // the variables that settings are taken from
	for _, s := range Settings {
		defaults[s.Name] = s.Default
		for _, name := range slices.Backward(s.Also) {
			if value := getenv(name); value != "" {
				existing[s.Name], from[s.Name] = value, name
			}
		}
		if value := getenv(s.Env()); value != "" {
			own[s.Name], from[s.Name] = value, s.Env()
		}
	}
	for name, value := range flags {
		given[name] = value
	}
	named := merge(own, given)
	file, section, err := readFile(named.String("config"))
	merged := merge(defaults, file, existing, own, given)

	config := Config{values: map[string]string{}, celery: section}
	maps.Copy(config.celery, celeryEnvironment(environ))
	config.unread = errors.As(err, new(unreadError))
	faults := []error{err}
	for _, s := range Settings {
		value := merged.String(s.Name)
		config.values[s.Name] = value
		if s.check == nil {
			continue
		}
		if err := s.check(value); err != nil {
			name := s.Name
			if _, flag := given[name]; !flag && from[name] != "" {
				name += " (" + from[name] + ")"
			}
			faults = append(faults, fmt.Errorf("%s is %q: %w", name, value, err))
		}
	}
	faults = append(faults, djangoFault(config))
	config.celery["task_send_sent_event"] = config.Bool("events")
	return config, errors.Join(faults...)
}

// With returns the settings with others in place of some of them, unchecked.
func (c Config) With(others map[string]string) Config {
	c.values = maps.Clone(c.values)
	maps.Copy(c.values, others)
	return c
}

// File returns the text of a settings file that says all that these settings say,
// but of Celery's own only those that decide how the broker is reached. It holds
// the passwords that are in URLs.
func (c Config) File() ([]byte, error) {
	file, section := map[string]any{}, map[string]any{}
	for name, value := range c.values {
		if name != "config" && value != "" {
			file[name] = value
		}
	}
	for _, name := range ofTransport {
		switch given := c.celery[name].(type) {
		case *yaml.Node:
			section[name] = given
		case string:
			var node yaml.Node
			if err := yaml.Unmarshal([]byte(given), &node); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			section[name] = node.Content[0]
		}
	}
	file[celerySection] = section
	return yaml.Marshal(file)
}

// merge lays layers of settings over each other, the last on top.
func merge(layers ...map[string]any) *koanf.Koanf {
	merged := koanf.New("\x00") // names are flat: a delimiter that none contains
	for _, layer := range layers {
		_ = merged.Load(confmap.Provider(layer, ""), nil) // a map always loads
	}
	return merged
}

// An unreadError is why nothing that a settings file says is known.
type unreadError struct{ error }

func (e unreadError) Unwrap() error { return e.error }

// readFile reads a settings file: the settings, and Celery's section but for
// those that are settings of onebeat by another name. No name, no settings.
func readFile(name string) (file, section map[string]any, err error) {
	file, section = map[string]any{}, map[string]any{}
	if name == "" {
		return file, section, nil
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return file, section, unreadError{fmt.Errorf("settings file: %w", err)}
	}
	var all yaml.Node
	if err := yaml.Unmarshal(text, &all); err != nil {
		return file, section, unreadError{fmt.Errorf("settings file %s: %w", name, err)}
	}
	if len(all.Content) == 1 && all.Content[0].Kind != yaml.MappingNode && all.Content[0].ShortTag() != "!!null" {
		return file, section, unreadError{fmt.Errorf("settings file %s: it must hold settings by name, such as zone: Asia/Tokyo", name)}
	}
	var nodes map[string]yaml.Node
	if err := all.Decode(&nodes); err != nil {
		return file, section, unreadError{fmt.Errorf("settings file %s: %w", name, err)}
	}
	var faults []error
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("settings file %s: %s", name, fmt.Sprintf(format, args...)))
	}
	// Nodes keep the order of the patterns in task_routes.
	var celerys map[string]yaml.Node
	if node, ok := nodes[celerySection]; ok {
		if err := node.Decode(&celerys); err != nil {
			fault("%q must hold Celery's settings by name", celerySection)
		}
		delete(nodes, celerySection)
	}
	take := func(setting, key string, node yaml.Node) {
		switch {
		case node.Kind != yaml.ScalarNode:
			fault("%q must be one value", key)
		case node.ShortTag() != "!!null":
			file[setting] = node.Value
		}
	}
	for _, key := range slices.Sorted(maps.Keys(celerys)) {
		node := celerys[key]
		if setting, ok := settingOf("CELERY_" + strings.ToUpper(key)); ok {
			take(setting, celerySection+"."+key, node)
			continue
		}
		section[key] = &node
	}
	names := []string{celerySection}
	for _, s := range Settings {
		names = append(names, s.Name)
	}
	for _, key := range slices.Sorted(maps.Keys(nodes)) {
		if !slices.Contains(names, key) {
			meant := "`onebeat serve --help` lists them"
			if near := celery.Near(key, names); near != "" {
				meant = "did you mean " + near + "?"
			}
			fault("no setting is called %q; %s", key, meant)
			continue
		}
		take(key, key, nodes[key])
	}
	return file, section, errors.Join(faults...)
}

// settingOf returns the setting that an existing deployment's environment name stands for.
func settingOf(env string) (name string, ok bool) {
	i := slices.IndexFunc(Settings, func(s Setting) bool { return slices.Contains(s.Also, env) })
	if i < 0 {
		return "", false
	}
	return Settings[i].Name, true
}

// celeryEnvironment collects CELERY_TASK_ROUTES and its like, by Celery's names,
// as the texts they are. What decides nothing about messages is the workers'.
func celeryEnvironment(environ []string) map[string]any {
	found := map[string]any{}
	for _, pair := range environ {
		env, value, _ := strings.Cut(pair, "=")
		name, ok := strings.CutPrefix(env, "CELERY_")
		if name = strings.ToLower(name); !ok || value == "" {
			continue
		}
		if _, ours := settingOf(env); !ours && decides(name) {
			found[name] = value
		}
	}
	return found
}

// decides reports whether one of Celery's settings decides anything about
// messages: its parser knows no others, but for those of the transport.
func decides(name string) bool {
	if slices.Contains(ofTransport, name) {
		return true
	}
	_, err := celery.ParseConfig(map[string]any{name: nil})
	return err == nil
}
