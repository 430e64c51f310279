package file

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/onebeat/onebeat/internal/catalog"
	"github.com/onebeat/onebeat/internal/schedule"
	"github.com/onebeat/onebeat/internal/store"
)

func sorted(m map[string]any) []string { return slices.Sorted(maps.Keys(m)) }

// fields are the keys of an entry: Celery's own, and those of the columns of
// celery_beat_schedules.
var fields = map[string]func(*store.Outside, any) error{
	"task":     word(func(e *store.Outside) *string { return &e.Task }),
	"schedule": func(*store.Outside, any) error { return nil }, // last of all, see define
	"relative": func(*store.Outside, any) error { return nil },
	"args":     asPython(func(e *store.Outside) *string { return &e.Args }),
	"kwargs":   asPython(func(e *store.Outside) *string { return &e.Kwargs }),
	"options":  asJSON(func(e *store.Outside) *string { return &e.Options }),

	"enabled":     truth(func(e *store.Outside) *bool { return &e.Enabled }),
	"one_off":     truth(func(e *store.Outside) *bool { return &e.OneOff }),
	"timezone":    word(func(e *store.Outside) *string { return &e.Zone }),
	"description": word(func(e *store.Outside) *string { return &e.Description }),
	"rules":       asJSON(func(e *store.Outside) *string { return &e.Rules }),

	"misfire_policy": func(e *store.Outside, value any) error {
		text, ok := value.(string)
		if !ok {
			return errors.New("must be once, skip or all")
		}
		e.Misfire.Policy = schedule.Policy(text)
		return nil
	},
	"misfire_grace_seconds": seconds(func(e *store.Outside) *time.Duration { return &e.Misfire.Grace }),
	"misfire_max_age_seconds": seconds(func(e *store.Outside) *time.Duration {
		return &e.Misfire.Age
	}),
	"misfire_max_count": func(e *store.Outside, value any) error {
		n, ok := catalog.Number(value)
		if !ok || n < 0 || n != math.Trunc(n) || n > math.MaxInt32 {
			return errors.New("must be a whole number, 0 or more")
		}
		e.Misfire.Count = int(n)
		return nil
	},
}

// ofOptions are keys that people look for in the entry and that are options.
var ofOptions = []string{"queue", "exchange", "routing_key", "priority", "expires", "headers", "countdown", "eta", "retry", "serializer", "compression"}

// define makes the entry what the value says.
func define(e *store.Outside, value any) error {
	given, ok := value.(map[string]any)
	if !ok {
		return errors.New("the entry must have task and schedule")
	}
	for _, name := range sorted(given) {
		take, known := fields[name]
		switch {
		case slices.Contains(ofOptions, name):
			return fmt.Errorf("%s belongs below options", name)
		case !known:
			return fmt.Errorf("no field is called %q: there are %s", name, strings.Join(slices.Sorted(maps.Keys(fields)), ", "))
		}
		if given[name] == nil {
			continue
		}
		if err := take(e, given[name]); err != nil {
			return fmt.Errorf("%s %w", name, err)
		}
	}
	if e.Task == "" {
		return errors.New("the entry has no task: write the Celery task's name as task")
	}
	if given["schedule"] == nil {
		return errors.New("the entry has no schedule: write seconds, a crontab such as \"0 9 * * 1-5\", or one of crontab, interval, solar")
	}
	relative, ok := given["relative"].(bool)
	if given["relative"] != nil && !ok {
		return errors.New("relative must be true or false")
	}
	spec, err := specOf(given["schedule"])
	if err != nil {
		return fmt.Errorf("schedule: %w", err)
	}
	if relative && strings.HasPrefix(spec, "@every ") {
		spec += " relative"
	}
	e.Spec = spec
	return nil
}

// specOf is a schedule in the grammar of specs.
func specOf(value any) (string, error) {
	if n, ok := catalog.Number(value); ok {
		return every(n)
	}
	switch v := value.(type) {
	case string:
		return v, nil
	case time.Time: // which YAML and TOML know
		switch v.Location().String() { // as TOML's decoder names what has no offset
		case "time-local":
			return "", errors.New("a time of day is no schedule: write a crontab such as \"30 9 * * *\"")
		case "datetime-local", "date-local":
			return local(v), nil
		}
		return "@at " + v.Format(time.RFC3339Nano), nil
	case map[string]any:
		return kind(v)
	}
	return "", errors.New("must be seconds, a text or a kind of schedule")
}

// A form is a kind of schedule as an object of these fields.
type form struct {
	name   string
	fields []string // in the order of the spec
	spec   func(given map[string]string) (string, error)
}

var forms = []form{
	{"crontab", []string{"minute", "hour", "day_of_month", "month_of_year", "day_of_week"}, func(given map[string]string) (string, error) {
		return strings.Join([]string{
			cmp.Or(given["minute"], "*"), cmp.Or(given["hour"], "*"), cmp.Or(given["day_of_month"], "*"),
			cmp.Or(given["month_of_year"], "*"), cmp.Or(given["day_of_week"], "*"),
		}, " "), nil
	}},
	{"interval", []string{"every", "period"}, func(given map[string]string) (string, error) {
		unit, ok := units[cmp.Or(given["period"], "seconds")]
		n, err := strconv.ParseFloat(given["every"], 64)
		switch {
		case !ok:
			return "", fmt.Errorf("period is %q: write days, hours, minutes or seconds", given["period"])
		case err != nil:
			return "", fmt.Errorf("every is %q: write a number", given["every"])
		}
		return every(n * unit)
	}},
	{"solar", []string{"event", "lat", "lon"}, func(given map[string]string) (string, error) {
		return "@solar " + given["event"] + " " + given["lat"] + " " + given["lon"], nil
	}},
}

var units = map[string]float64{"days": 86400, "hours": 3600, "minutes": 60, "seconds": 1}

// kind is the spec of a schedule that is an object: one of forms, by itself or
// below its name.
func kind(given map[string]any) (string, error) {
	for _, form := range forms {
		if inner, ok := given[form.name].(map[string]any); ok && len(given) == 1 {
			return form.of(inner)
		}
	}
	for _, form := range forms {
		if slices.ContainsFunc(form.fields, func(name string) bool { return given[name] != nil }) {
			return form.of(given)
		}
	}
	return "", errors.New("none of crontab (minute, hour, day_of_month, month_of_year, day_of_week), interval (every, period) and solar (event, lat, lon) is given")
}

func (f form) of(given map[string]any) (string, error) {
	texts := map[string]string{}
	for _, name := range sorted(given) {
		if !slices.Contains(f.fields, name) {
			return "", fmt.Errorf("a %s has no %q: it has %s", f.name, name, strings.Join(f.fields, ", "))
		}
		text, ok := catalog.Field(given[name])
		if !ok {
			return "", fmt.Errorf("%s must be a text, a number or a list of them", name)
		}
		texts[name] = text
	}
	return f.spec(texts)
}

// every is the spec of an interval of so many seconds.
func every(seconds float64) (string, error) {
	spec, _, err := catalog.Every(seconds)
	return spec, err
}

func word(into func(*store.Outside) *string) func(*store.Outside, any) error {
	return func(e *store.Outside, value any) error {
		text, ok := value.(string)
		if !ok {
			return errors.New("must be a text")
		}
		*into(e) = text
		return nil
	}
}

func truth(into func(*store.Outside) *bool) func(*store.Outside, any) error {
	return func(e *store.Outside, value any) error {
		is, ok := value.(bool)
		if !ok {
			return errors.New("must be true or false")
		}
		*into(e) = is
		return nil
	}
}

func seconds(into func(*store.Outside) *time.Duration) func(*store.Outside, any) error {
	return func(e *store.Outside, value any) error {
		n, ok := catalog.Number(value)
		if !ok || !(n >= 0 && n <= math.MaxInt64/1e9) {
			return errors.New("must be seconds, 0 or more")
		}
		*into(e) = time.Duration(n * float64(time.Second))
		return nil
	}
}

// asJSON keeps a value as the JSON text that it is in a table.
func asJSON(into func(*store.Outside) *string) func(*store.Outside, any) error {
	return func(e *store.Outside, value any) error {
		text, err := json.Marshal(value)
		if err != nil {
			return errors.New("can't be written as JSON: use texts, numbers, lists and objects")
		}
		*into(e) = string(text)
		return nil
	}
}

// asPython is asJSON of what a task is called with, in which 1.0 stays a float.
func asPython(into func(*store.Outside) *string) func(*store.Outside, any) error {
	take := asJSON(into)
	return func(e *store.Outside, value any) error { return take(e, pointed(value)) }
}

// pointed is a value in which floats that are whole numbers are written with a point, as
// Python does: without one they reach the task as integers.
func pointed(value any) any {
	switch v := value.(type) {
	case float64:
		if text, err := json.Marshal(v); err == nil && !bytes.ContainsAny(text, ".e") {
			return json.Number(text) + ".0"
		}
	case []any:
		for i := range v {
			v[i] = pointed(v[i])
		}
	case map[string]any:
		for name := range v {
			v[name] = pointed(v[name])
		}
	}
	return value
}
