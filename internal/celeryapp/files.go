package celeryapp

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"go.yaml.in/yaml/v4"
)

// SettingsFile is a settings file of onebeat with the application's settings.
func (a App) SettingsFile() ([]byte, error) {
	var settings yaml.Node
	if err := yaml.Unmarshal(a.Settings, &settings); err != nil { // JSON is YAML, and keeps its order
		return nil, fmt.Errorf("settings: %w", err)
	}
	inner := settings.Content[0]
	plain(inner)
	return written("Settings of the application for onebeat: give the file as --config.\n",
		[]string{"zone", "celery"}, []*yaml.Node{text(a.Zone), inner})
}

// EntriesFile is a file of the application's entries, for the catalog file.
func (a App) EntriesFile() ([]byte, error) {
	all := &yaml.Node{Kind: yaml.MappingNode}
	for _, entry := range a.Entries {
		var names []string
		var values []*yaml.Node
		for _, field := range []struct{ name, value, none string }{
			{"args", entry.Args, "[]"}, {"kwargs", entry.Kwargs, "{}"}, {"options", entry.Options, "{}"},
		} {
			if field.value == field.none || field.value == "" {
				continue
			}
			node, err := fromJSON(field.value)
			if err != nil {
				return nil, fmt.Errorf("%s: %s: %w", entry.Name, field.name, err)
			}
			names, values = append(names, field.name), append(values, node)
		}
		all.Content = append(all.Content, text(entry.Name), mapping(append([]string{"task", "schedule"}, names...),
			append([]*yaml.Node{text(entry.Task), text(entry.Spec)}, values...)))
	}
	return written("Entries of the application for onebeat: --catalog file --catalog-file with this file.\n",
		[]string{"timezone", "beat_schedule"}, []*yaml.Node{text(a.Zone), all})
}

// fromJSON is a JSON text as YAML. Numbers stay as they are written.
func fromJSON(object string) (*yaml.Node, error) {
	decoder := json.NewDecoder(bytes.NewReader([]byte(object)))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return nil, err
	}
	return node(value), nil
}

func node(value any) *yaml.Node {
	switch v := value.(type) {
	case json.Number:
		return &yaml.Node{Kind: yaml.ScalarNode, Value: v.String()}
	case string:
		return text(v)
	case []any:
		list := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
		for _, item := range v {
			list.Content = append(list.Content, node(item))
		}
		return list
	case map[string]any:
		var names []string
		var values []*yaml.Node
		for _, name := range slices.Sorted(maps.Keys(v)) {
			names, values = append(names, name), append(values, node(v[name]))
		}
		m := mapping(names, values)
		m.Style = yaml.FlowStyle
		return m
	}
	var n yaml.Node
	_ = n.Encode(value) // null, true or false, which always have a form
	return &n
}

func text(s string) *yaml.Node {
	var n yaml.Node
	n.SetString(s)
	return &n
}

func mapping(names []string, values []*yaml.Node) *yaml.Node {
	m := &yaml.Node{Kind: yaml.MappingNode}
	for i, name := range names {
		m.Content = append(m.Content, text(name), values[i])
	}
	return m
}

// plain lets what was JSON look like YAML.
func plain(n *yaml.Node) {
	n.Style = 0
	for _, inner := range n.Content {
		plain(inner)
	}
	if n.Kind == yaml.ScalarNode && n.Tag == "!!str" {
		n.SetString(n.Value)
	}
}

func written(comment string, names []string, values []*yaml.Node) ([]byte, error) {
	var out bytes.Buffer
	out.WriteString("# " + comment)
	e := yaml.NewEncoder(&out)
	e.SetIndent(2)
	if err := e.Encode(mapping(names, values)); err != nil {
		return nil, err
	}
	return out.Bytes(), e.Close()
}
