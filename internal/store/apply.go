package store

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"github.com/onebeat/onebeat/internal/schedule"
)

// What Apply does with a definition.
const (
	StepAdd    = "add"
	StepChange = "change"
	StepKeep   = "keep" // the entry is as the definition says
)

// A Step is what Apply does with one definition.
type Step struct {
	Name   string      `json:"name"`
	Do     string      `json:"do"`
	ID     schedule.ID `json:"id,omitempty"`     // of an entry that is there
	Fields []string    `json:"fields,omitempty"` // that a change changes
}

// Apply makes the catalog's entries be as the definitions say, by name, all or none:
// those that are there are changed, others are added, and entries that no definition
// names stay. Description and the policy for misfires of an entry that is there stay too,
// and its rules where the definition has none: {} takes them away. A dry run changes nothing. It returns what it does, in the order of the
// definitions; an *InputError names the first that can't be planned.
func (s *Store) Apply(ctx context.Context, definitions []Definition, dry bool) ([]Step, error) {
	return s.apply(ctx, definitions, dry, func(transaction, []Step) error { return nil })
}

// Faults says of each definition why it can't be planned, as Apply would of the first of them; "" where it can.
func (s *Store) Faults(ctx context.Context, definitions []Definition) ([]string, error) {
	as, err := s.present(ctx)
	if err != nil {
		return nil, err
	}
	faults := make([]string, len(definitions))
	for i, definition := range definitions {
		if err := s.validate(definition, as); err != nil {
			faults[i] = err.Error()
		}
	}
	return faults, nil
}

// apply is Apply, which calls more in its transaction when the definitions are written.
func (s *Store) apply(ctx context.Context, definitions []Definition, dry bool, more func(transaction, []Step) error) ([]Step, error) {
	if err := s.editable(""); err != nil {
		return nil, err
	}
	steps, err := s.compare(ctx, definitions)
	if err != nil || dry {
		return steps, err
	}
	as, err := s.present(ctx)
	if err != nil {
		return nil, err
	}
	err = s.db.transact(ctx, mode{}, func(tx transaction) error {
		for i, step := range steps {
			switch step.Do {
			case StepAdd:
				if steps[i].ID, err = s.add(ctx, tx, definitions[i], as); err != nil {
					return fmt.Errorf("%s: %w", step.Name, err)
				}
			case StepChange:
				err := s.edit(ctx, tx, step.ID, as, func(d *Definition) { d.take(definitions[i]) })
				if err != nil {
					return fmt.Errorf("%s: %w", step.Name, err)
				}
			}
		}
		return more(tx, steps)
	})
	if err != nil {
		return nil, fmt.Errorf("apply entries: %w", err)
	}
	return steps, nil
}

// compare finds out what is to be done.
func (s *Store) compare(ctx context.Context, definitions []Definition) ([]Step, error) {
	rows, err := s.List(ctx)
	if err != nil {
		return nil, err
	}
	as, err := s.present(ctx)
	if err != nil {
		return nil, err
	}
	named := map[string][]Row{}
	for _, row := range rows {
		named[row.Name] = append(named[row.Name], row)
	}
	steps := make([]Step, len(definitions))
	seen := map[string]bool{}
	for i, definition := range definitions {
		there := named[definition.Name]
		switch {
		case seen[definition.Name]:
			return nil, &InputError{fmt.Sprintf("%s is defined twice: give each entry a name of its own", definition.Name)}
		case len(there) > 1:
			return nil, &InputError{fmt.Sprintf("%d entries are called %s: rename all but one", len(there), definition.Name)}
		}
		seen[definition.Name] = true
		if err := s.validate(definition, as); err != nil {
			return nil, &InputError{definition.Name + ": " + err.Error()}
		}
		if err := s.fits(definition, s.shape()); err != nil {
			return nil, &InputError{definition.Name + ": " + err.Error()}
		}
		steps[i] = Step{Name: definition.Name, Do: StepAdd}
		if len(there) == 1 {
			steps[i].ID = there[0].ID
			steps[i].Fields = there[0].Definition.differs(definition)
			if steps[i].Do = StepChange; len(steps[i].Fields) == 0 {
				steps[i].Do = StepKeep
			}
		}
	}
	return steps, nil
}

// take makes d what Apply makes of it.
func (d *Definition) take(other Definition) {
	d.Task, d.Spec, d.Zone, d.Enabled = other.Task, other.Spec, other.Zone, other.Enabled
	d.Args, d.Kwargs, d.Options = other.Args, other.Kwargs, other.Options
	if other.Rules != "" {
		d.Rules = other.Rules
	}
}

// differs names the fields that take would change.
func (d Definition) differs(other Definition) []string {
	var fields []string
	for _, field := range []struct {
		name string
		same bool
	}{
		{"task", d.Task == other.Task},
		{"spec", d.Spec == other.Spec},
		{"zone", d.Zone == other.Zone},
		{"enabled", d.Enabled == other.Enabled},
		{"args", sameJSON(d.Args, other.Args, "[]")},
		{"kwargs", sameJSON(d.Kwargs, other.Kwargs, "{}")},
		{"options", sameJSON(d.Options, other.Options, "{}")},
		{"rules", other.Rules == "" || sameJSON(d.Rules, other.Rules, "{}")},
	} {
		if !field.same {
			fields = append(fields, field.name)
		}
	}
	return fields
}

// sameJSON says whether two texts are the same JSON, which some types of columns
// write in their own way.
func sameJSON(a, b, none string) bool {
	var values [2]any
	for i, text := range []string{orJSON(a, none), orJSON(b, none)} {
		decoder := json.NewDecoder(strings.NewReader(text))
		decoder.UseNumber()
		if err := decoder.Decode(&values[i]); err != nil {
			return a == b
		}
	}
	return reflect.DeepEqual(values[0], values[1])
}
