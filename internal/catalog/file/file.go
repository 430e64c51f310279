// Package file is the catalog of entries in files: YAML, JSON or TOML with the names
// of Celery's beat_schedule. A file is read again when it changes. onebeat never
// writes it; what it remembers of entries is in its database.
package file

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/BurntSushi/toml"
	"github.com/gofrs/uuid/v5"
	"go.yaml.in/yaml/v4"

	"github.com/onebeat/onebeat/internal/store"
)

// Files are files of entries. They implement store.Source.
type Files struct {
	paths []string

	mu   sync.Mutex
	last []os.FileInfo // as Changed last told of; nil before
}

// New returns the catalog of the files at these paths, which need not be there yet.
// The ending of a name says what is in it: .yaml, .yml, .json or .toml.
func New(paths ...string) (*Files, error) {
	if len(paths) == 0 {
		return nil, errors.New("no file of entries is named")
	}
	for _, path := range paths {
		if _, ok := formats[filepath.Ext(path)]; !ok {
			return nil, fmt.Errorf("%s is no file of entries: its name must end in .yaml, .yml, .json or .toml", path)
		}
	}
	return &Files{paths: paths}, nil
}

// Name implements store.Source.
func (f *Files) Name() string { return "file" }

// String implements store.Source.
func (f *Files) String() string { return strings.Join(f.paths, ", ") }

// Read implements store.Source.
func (f *Files) Read(context.Context) ([]store.Outside, error) {
	var all []store.Outside
	for _, path := range f.paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		entries, err := parse(filepath.Ext(path), text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		all = append(all, entries...)
	}
	return all, nil
}

// lookInterval is the time between looks at the files. A file that was written must
// have been left alone for one before it is read, so that no half of it is.
const lookInterval = 250 * time.Millisecond

// Changed implements store.Source.
func (f *Files) Changed(ctx context.Context) error {
	f.mu.Lock()
	last := f.last
	if last == nil {
		last = f.look() // what is there now was read, or will be
	}
	f.mu.Unlock()
	tick := time.NewTicker(lookInterval)
	defer tick.Stop()
	for before := last; ; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		now := f.look()
		if still := slices.EqualFunc(now, before, same); still && !slices.EqualFunc(now, last, same) {
			f.mu.Lock()
			f.last = now
			f.mu.Unlock()
			return nil
		}
		before = now
	}
}

// look returns what is known of each file; nil of one that is not there.
func (f *Files) look() []os.FileInfo {
	infos := make([]os.FileInfo, len(f.paths))
	for i, path := range f.paths {
		if info, err := os.Stat(path); err == nil {
			infos[i] = info
		}
	}
	return infos
}

func same(a, b os.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// formats read a text as maps, lists, texts, numbers, truths and instants.
var formats = map[string]func([]byte) (map[string]any, error){
	".yaml": readYAML, ".yml": readYAML, ".json": readJSON, ".toml": readTOML,
}

func readYAML(text []byte) (map[string]any, error) {
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil || len(document.Content) == 0 {
		return nil, err
	}
	for _, entry := range valuesOf(document.Content[0], "beat_schedule") {
		for i := 1; i < len(entry.Content); i += 2 {
			keepLocal(entry.Content[i], 0)
		}
	}
	mark := uuid.Must(uuid.NewV4()).String()
	markIntegers(&document, mark)
	var all any
	if err := document.Decode(&all); err != nil || all == nil {
		return nil, err
	}
	named, ok := unmarked(all, mark).(map[string]any)
	if !ok {
		return nil, errors.New("write entries below beat_schedule")
	}
	return named, nil
}

// integer is one as JSON writes it too, but for a plus.
var integer = regexp.MustCompile(`^[-+]?[1-9][0-9]*$`)

// markIntegers makes texts that begin with the mark of the integers that the decoder would make floats of, for they are
// beyond 64 bits: Python has them as they are.
func markIntegers(node *yaml.Node, mark string) {
	if node.Kind == yaml.ScalarNode && node.Style == 0 && node.ShortTag() == "!!float" && integer.MatchString(node.Value) {
		node.SetString(mark + strings.TrimPrefix(node.Value, "+"))
	}
	for i, inner := range node.Content {
		if node.Kind != yaml.MappingNode || i%2 == 1 {
			markIntegers(inner, mark)
		}
	}
}

// unmarked is the value with numbers for the texts that are marked.
func unmarked(value any, mark string) any {
	switch v := value.(type) {
	case string:
		if digits, marked := strings.CutPrefix(v, mark); marked {
			return json.Number(digits)
		}
	case []any:
		for i := range v {
			v[i] = unmarked(v[i], mark)
		}
	case map[string]any:
		for name := range v {
			v[name] = unmarked(v[name], mark)
		}
	case map[any]any: // which nothing takes, and errors may show
		for name := range v {
			v[name] = unmarked(v[name], mark)
		}
	}
	return value
}

// valuesOf are the values of a name in a map, of which there should be one, if it is a map.
func valuesOf(node *yaml.Node, name string) (values []*yaml.Node) {
	for i := 1; node.Kind == yaml.MappingNode && i < len(node.Content); i += 2 {
		if node.Content[i-1].Value == name {
			values = append(values, node.Content[i])
		}
	}
	return values
}

// keepLocal makes an entry's schedule a text if it is an instant without an offset, which YAML takes for one of UTC. Merged is
// how many maps are around it that it is merged into.
func keepLocal(entry *yaml.Node, merged int) {
	if entry.Kind == yaml.AliasNode {
		entry = entry.Alias
	}
	for _, schedule := range valuesOf(entry, "schedule") {
		if schedule.Kind == yaml.AliasNode {
			schedule = schedule.Alias
		}
		if schedule.ShortTag() != "!!timestamp" {
			continue
		}
		for _, layout := range []string{"2006-1-2 15:4:5.999999999", "2006-1-2"} {
			if at, err := time.Parse(layout, schedule.Value); err == nil {
				schedule.SetString(local(at))
			}
		}
	}
	for _, more := range valuesOf(entry, "<<") {
		if merged == 8 { // as one that is merged into itself, which the decoder refuses
			return
		}
		keepLocal(more, merged+1)
		if more.Kind == yaml.SequenceNode {
			for _, one := range more.Content {
				keepLocal(one, merged+1)
			}
		}
	}
}

// local is the spec of an instant by the clocks of the entry's zone.
func local(at time.Time) string { return "@at " + at.Format("2006-01-02T15:04:05.999999999") }

func readTOML(text []byte) (map[string]any, error) {
	var all map[string]any
	err := toml.Unmarshal(text, &all)
	return all, err
}

func readJSON(text []byte) (map[string]any, error) {
	if err := twice(json.NewDecoder(bytes.NewReader(text)), ""); err != nil {
		return nil, err
	}
	var all map[string]any
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	err := d.Decode(&all)
	return all, err
}

// twice reads a value and fails if a name is twice in an object: of two entries of
// one name a decoder would drop the first. The other formats forbid it.
func twice(d *json.Decoder, within string) error {
	token, err := d.Token()
	if err != nil {
		return err
	}
	open, ok := token.(json.Delim)
	if !ok {
		return nil
	}
	for names := map[string]bool{}; d.More(); {
		name := within
		if open == '{' {
			key, err := d.Token()
			if err != nil {
				return err
			}
			name, _ = key.(string)
			if names[name] {
				return fmt.Errorf("%q is there twice: rename one", name)
			}
			names[name] = true
		}
		if err := twice(d, name); err != nil {
			return err
		}
	}
	_, err = d.Token() // that closes it
	return err
}

// parse reads the entries of a file. Its error is of the whole file; what is wrong
// with one entry is the entry's Problem.
func parse(ending string, text []byte) ([]store.Outside, error) {
	if len(bytes.TrimSpace(text)) == 0 { // as a full disk, or a program that was killed, leaves it
		return nil, errors.New("the file is empty: write beat_schedule with nothing in it if there are to be no entries")
	}
	all, err := formats[ending](text)
	if err != nil {
		return nil, errors.New(strings.Join(strings.Fields(err.Error()), " ")) // on one line
	}
	for _, name := range sorted(all) {
		if name != "beat_schedule" && name != "timezone" {
			return nil, fmt.Errorf("%q is nothing that belongs here: write entries below beat_schedule, and their zone as timezone", name)
		}
	}
	zone, ok := all["timezone"].(string)
	if all["timezone"] != nil && !ok {
		return nil, errors.New("timezone must be a name, such as Asia/Tokyo")
	}
	if all["beat_schedule"] == nil {
		return nil, nil
	}
	named, ok := byName(all["beat_schedule"])
	if !ok {
		return nil, errors.New("beat_schedule must hold entries by name")
	}
	var entries []store.Outside
	for _, name := range sorted(named) {
		entry := store.Outside{Key: name, Definition: store.Definition{Name: name, Zone: zone, Enabled: true}}
		if err := define(&entry, named[name]); err != nil {
			entry.Problem = err.Error()
		}
		entries = append(entries, entry)
	}
	return entries, nil
}

// byName are entries by their names, which YAML may take for numbers or dates.
func byName(value any) (map[string]any, bool) {
	keyed, ok := value.(map[any]any)
	if !ok {
		named, ok := value.(map[string]any)
		return named, ok
	}
	named := map[string]any{}
	for key, entry := range keyed {
		named[fmt.Sprint(key)] = entry
	}
	return named, len(named) == len(keyed) // 1 and "1" are two keys of one name
}
