package redbeat

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/onebeat/onebeat/internal/catalog"
	"github.com/onebeat/onebeat/internal/schedule"
	"github.com/onebeat/onebeat/internal/store"
)

// A definition is the field definition of an entry's hash.
type definition struct {
	Name     string          `json:"name"`
	Task     string          `json:"task"`
	Args     json.RawMessage `json:"args"`
	Kwargs   json.RawMessage `json:"kwargs"`
	Options  json.RawMessage `json:"options"`
	Schedule json.RawMessage `json:"schedule"`
	Enabled  *bool           `json:"enabled"`
}

// A meta is the field meta.
type meta struct {
	Last  *datetime `json:"last_run_at"`
	Total int64     `json:"total_run_count"`
}

// A datetime is an instant. Zone is a name, or an offset in seconds; none is UTC.
type datetime struct {
	Type        string          `json:"__type__"`
	Year        int             `json:"year"`
	Month       int             `json:"month"`
	Day         int             `json:"day"`
	Hour        int             `json:"hour"`
	Minute      int             `json:"minute"`
	Second      int             `json:"second"`
	Microsecond int             `json:"microsecond"`
	Zone        json.RawMessage `json:"timezone,omitempty"`
}

func (d *datetime) time() (time.Time, error) {
	zone := time.UTC
	var name string
	var offset float64
	switch {
	case len(d.Zone) == 0 || string(d.Zone) == "null":
	case json.Unmarshal(d.Zone, &offset) == nil:
		zone = time.FixedZone("", int(offset))
	case json.Unmarshal(d.Zone, &name) == nil:
		var err error
		if zone, err = schedule.Location(name); err != nil {
			return time.Time{}, err
		}
	default:
		return time.Time{}, errors.New("its timezone is neither a name nor an offset in seconds")
	}
	return time.Date(d.Year, time.Month(d.Month), d.Day, d.Hour, d.Minute, d.Second, d.Microsecond*1000, zone), nil
}

// entry makes the entry of what is stored. Key is what follows the prefix.
func (s stored) entry(key string) store.Outside {
	e := store.Outside{Key: key, Definition: store.Definition{Name: key, Enabled: true}}
	if err := s.read(&e); err != nil {
		e.Problem = err.Error()
	}
	return e
}

func (s stored) read(e *store.Outside) error {
	if s.problem != "" {
		return errors.New(s.problem)
	}
	var m meta
	if s.meta != "" {
		if err := json.Unmarshal([]byte(s.meta), &m); err != nil {
			return errors.New("meta is not JSON as RedBeat writes it: delete that field of the hash")
		}
	}
	if m.Last != nil {
		last, err := m.Last.time()
		if err != nil {
			return fmt.Errorf("last_run_at: %w", err)
		}
		e.LastRunAt = last.UTC()
	}
	e.TotalRunCount = m.Total
	var d definition
	if err := json.Unmarshal([]byte(s.definition), &d); err != nil {
		return errors.New("definition is not JSON as RedBeat writes it: save the entry anew")
	}
	if d.Enabled != nil {
		e.Enabled = *d.Enabled
	}
	e.Name, e.Task = cmp.Or(d.Name, e.Key), d.Task
	switch {
	case d.Task == "":
		return errors.New("the definition has no task: write the Celery task's name there")
	case len(d.Schedule) == 0 || string(d.Schedule) == "null":
		return errors.New("the definition has no schedule: write an interval, a crontab or an rrule there")
	}
	var err error
	if e.Args, err = values("args", d.Args, false); err != nil {
		return err
	}
	if e.Kwargs, err = values("kwargs", d.Kwargs, false); err != nil {
		return err
	}
	if e.Options, err = values("options", d.Options, true); err != nil {
		return err
	}
	return when(e, d.Schedule)
}

// values are JSON in which RedBeat's instants are as kombu writes them into a message,
// or, of options, texts.
func values(what string, text json.RawMessage, options bool) (string, error) {
	if len(text) == 0 || string(text) == "null" {
		return "", nil
	}
	if !strings.Contains(string(text), "__type__") {
		return string(text), nil
	}
	decoder := json.NewDecoder(strings.NewReader(string(text)))
	decoder.UseNumber()
	var all any
	if err := decoder.Decode(&all); err != nil {
		return "", fmt.Errorf("%s can't be read", what)
	}
	all, err := plain(all, options)
	if err != nil {
		return "", fmt.Errorf("%s: %w", what, err)
	}
	made, err := json.Marshal(all)
	return string(made), err
}

func plain(value any, options bool) (any, error) {
	switch v := value.(type) {
	case []any:
		for i := range v {
			made, err := plain(v[i], options)
			if err != nil {
				return nil, err
			}
			v[i] = made
		}
	case map[string]any:
		if v["__type__"] == "datetime" {
			text, err := json.Marshal(v)
			if err != nil {
				return nil, err
			}
			var d datetime
			if err := json.Unmarshal(text, &d); err != nil {
				return nil, errors.New("it has an instant that RedBeat would not write")
			}
			at, err := d.time()
			if err != nil {
				return nil, err
			}
			iso := at.Format("2006-01-02T15:04:05.999999-07:00")
			if options {
				return iso, nil
			}
			return map[string]any{"__type__": "datetime", "__value__": iso}, nil
		}
		if kind, ok := v["__type__"].(string); ok && (kind == "interval" || kind == "crontab" || kind == "rrule" || kind == "weekday") {
			return nil, fmt.Errorf("it has a schedule (%s), which no message can hold", kind)
		}
		for name := range v {
			made, err := plain(v[name], options)
			if err != nil {
				return nil, err
			}
			v[name] = made
		}
	}
	return value, nil
}

// A timing is a schedule of any kind.
type timing struct {
	Type     string  `json:"__type__"`
	Every    float64 `json:"every"`
	Relative bool    `json:"relative"`

	Minute any `json:"minute"`
	Hour   any `json:"hour"`
	Dow    any `json:"day_of_week"`
	Dom    any `json:"day_of_month"`
	Month  any `json:"month_of_year"`
}

// when gives the entry its spec.
func when(e *store.Outside, text json.RawMessage) error {
	var number float64
	if json.Unmarshal(text, &number) == nil {
		return every(e, number, false)
	}
	var t timing
	if err := json.Unmarshal(text, &t); err != nil {
		return errors.New("the schedule can't be read: save the entry anew")
	}
	switch t.Type {
	case "interval":
		return every(e, t.Every, t.Relative)
	case "crontab":
		var fields []string
		for _, f := range []struct {
			name  string
			value any
		}{{"minute", t.Minute}, {"hour", t.Hour}, {"day_of_month", t.Dom}, {"month_of_year", t.Month}, {"day_of_week", t.Dow}} {
			if f.value == nil {
				f.value = "*"
			}
			field, ok := catalog.Field(f.value)
			if !ok {
				return fmt.Errorf("the crontab's %s is neither a text nor a number nor a list of them", f.name)
			}
			fields = append(fields, field)
		}
		e.Spec = strings.Join(fields, " ")
		return nil
	case "rrule":
		return recurrence(e, text)
	}
	return fmt.Errorf("the schedule is of the kind %q: RedBeat has interval, crontab and rrule", t.Type)
}

// every gives an interval, on the grid through the last run: each slot that is
// written as the last run lies on it, so that a run moves nothing.
func every(e *store.Outside, seconds float64, relative bool) error {
	spec, period, err := catalog.Every(seconds)
	if err != nil {
		return err
	}
	e.Spec = spec
	if relative {
		e.Spec += " relative"
	}
	if !e.LastRunAt.IsZero() {
		e.Anchor = schedule.GridThrough(e.LastRunAt, period)
	}
	return nil
}
