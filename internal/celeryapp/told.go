package celeryapp

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// What workers tell of objects of Python's is a text: str of lengths of time, repr of all
// else (celery 5.7 utils/serialization.py, jsonify).

var errReplaced = errors.New("is told as the text of an object of Python's, and not as data: " + fromCode)

// A replacement stands for an object: <…>, or a call such as UUID('…').
var replacement = regexp.MustCompile(`(?s)^(?:<.+>|[A-Za-z_][\w.]*\(.*\)|\w+\{.*\})$`)

// place is where an object lies in a process's memory.
var place = regexp.MustCompile(` at 0x[0-9a-f]+`)

func replaced(text string) bool { return replacement.MatchString(text) }

// holdsReplaced says whether any text in the JSON stands for an object.
func holdsReplaced(text json.RawMessage) bool {
	var value any
	if json.Unmarshal(text, &value) != nil {
		return false
	}
	return anyText(value, replaced)
}

// anyText says whether a text in the value, at any depth, is such.
func anyText(value any, such func(string) bool) bool {
	switch v := value.(type) {
	case string:
		return such(v)
	case []any:
		return slices.ContainsFunc(v, func(item any) bool { return anyText(item, such) })
	case map[string]any:
		for _, item := range v {
			if anyText(item, such) {
				return true
			}
		}
	}
	return false
}

var (
	number  = regexp.MustCompile(`^-?\d+(?:\.\d+)?$`)
	length  = regexp.MustCompile(`^(?:(\d+) days?, )?(\d+):(\d\d):(\d\d)(?:\.(\d{6}))?$`) // str of a timedelta
	instant = regexp.MustCompile(`^\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d.*)?$`)
	crontab = regexp.MustCompile(`^<crontab: (.*) \(m/h/(d/dM/MY|dM/MY/d)\)>$`)
	solar   = regexp.MustCompile(`^<solar: (\w+) at latitude (\S+), longitude: (\S+)>$`)
	freq    = regexp.MustCompile(`^<freq: ((\d+\.\d\d) (second|minute|hour|day)s?)>$`)
)

// lengthOf is a timedelta's str in seconds, a float as its total_seconds are.
func lengthOf(text string) (seconds string, ok bool) {
	parts := length.FindStringSubmatch(text)
	if parts == nil {
		return "", false
	}
	var sum int64
	for i, unit := range []int64{86400, 3600, 60, 1} {
		if parts[i+1] != "" {
			n, err := strconv.ParseInt(parts[i+1], 10, 32)
			if err != nil {
				return "", false
			}
			sum += n * unit
		}
	}
	return strconv.FormatInt(sum, 10) + "." + cmp.Or(parts[5], "0"), true
}

// entryOf is an entry of beat_schedule as a worker tells it.
func entryOf(name string, text json.RawMessage) (Entry, error) {
	given := mapOf(text)
	if given == nil {
		return Entry{}, errors.New("it " + errReplaced.Error())
	}
	for _, field := range []string{"schedule", "task"} {
		if given[field] == nil {
			return Entry{}, errors.New("it has no " + field)
		}
	}
	if isHidden(text) || string(text) == `"`+hidden+`"` {
		return Entry{}, errHidden
	}
	e := Entry{Name: name, Args: "[]", Kwargs: "{}", Options: "{}", Remarks: []string{}}
	if err := json.Unmarshal(given["task"], &e.Task); err != nil {
		return Entry{}, errors.New("its task has no name")
	}
	var remarks []string
	var err error
	if e.Spec, remarks, err = specOf(given["schedule"], string(given["relative"]) == "true"); err != nil {
		return Entry{}, err
	}
	e.Remarks = append(e.Remarks, remarks...)
	dates := false
	for _, field := range []struct {
		name string
		to   *string
	}{{"args", &e.Args}, {"kwargs", &e.Kwargs}, {"options", &e.Options}} {
		value := given[field.name]
		if value == nil || string(value) == "null" || string(value) == "[]" || string(value) == "{}" {
			continue
		}
		if field.name == "options" {
			value = optionsOf(value)
		}
		if holdsReplaced(value) {
			return Entry{}, fmt.Errorf("%s %w", field.name, errReplaced)
		}
		if wanted := map[bool]string{true: "[", false: "{"}[field.name == "args"]; !bytes.HasPrefix(value, []byte(wanted)) {
			return Entry{}, fmt.Errorf("%s %w", field.name, errReplaced)
		}
		var inner any
		if field.name != "options" && json.Unmarshal(value, &inner) == nil {
			dates = dates || anyText(inner, instant.MatchString)
		}
		*field.to = string(value)
	}
	if dates {
		e.Remarks = append(e.Remarks, "a date among the arguments is carried as text: if the code has a datetime there, use `onebeat import celery`")
	}
	return e, nil
}

// optionsOf are options with lengths of time in seconds.
func optionsOf(text json.RawMessage) json.RawMessage {
	all, err := members(text)
	if err != nil {
		return text
	}
	for i, m := range all {
		var shown string
		if json.Unmarshal(m.text, &shown) != nil {
			continue
		}
		if seconds, isLength := lengthOf(shown); isLength && (m.name == "expires" || m.name == "countdown") {
			all[i].text = json.RawMessage(seconds)
		}
	}
	return object(all)
}

// specOf reads a schedule, which is a number of seconds or a text.
func specOf(text json.RawMessage, relative bool) (spec string, remarks []string, err error) {
	var shown string
	if json.Unmarshal(text, &shown) != nil {
		shown = string(text)
	}
	if seconds, isLength := lengthOf(shown); isLength || number.MatchString(shown) {
		if isLength {
			shown = seconds
		}
		spec, err = everyOf(shown, relative)
		return spec, nil, err
	}
	if found := crontab.FindStringSubmatch(shown); found != nil {
		spec, err = crontabOf(found[1], found[2] == "d/dM/MY")
		return spec, nil, err
	}
	if found := solar.FindStringSubmatch(shown); found != nil {
		return "@solar " + strings.Join(found[1:], " "), nil, nil
	}
	if found := freq.FindStringSubmatch(shown); found != nil {
		return freqOf(found[1], found[2], found[3])
	}
	return "", nil, errors.New("its schedule is told as a text of Python's that is no crontab, interval or solar event: " + fromCode)
}

// everyOf is an interval of a number of seconds.
func everyOf(seconds string, relative bool) (string, error) {
	s, err := strconv.ParseFloat(seconds, 64)
	if err != nil || s < 1 || s > 1e9 {
		return "", fmt.Errorf("an interval of %ss is shorter than a second, or longer than life: let the task do several rounds", seconds)
	}
	spec := "@every " + strconv.FormatFloat(s, 'f', -1, 64) + "s"
	if s != math.Trunc(s) {
		spec = fmt.Sprintf("@every %dus", int64(math.Round(s*1e6)))
	}
	if relative {
		spec += " relative"
	}
	return spec, nil
}

// freqOf is an interval that Celery has rounded to two digits of its largest unit: the
// one whole number of the next smaller unit that it can be.
func freqOf(shown, figure, unit string) (spec string, remarks []string, err error) {
	n, err := strconv.ParseFloat(figure, 64)
	if err != nil {
		return "", nil, errors.New("its length is no number")
	}
	in := map[string]float64{"second": 1, "minute": 60, "hour": 3600, "day": 86400}[unit]
	grain := map[string]float64{"second": 0.01, "minute": 1, "hour": 60, "day": 3600}[unit]
	seconds := math.Round(n*in/grain) * grain
	if fmt.Sprintf("%.2f", seconds/in) != figure {
		return "", nil, fmt.Errorf("its length is told rounded (%s): %s", shown, fromCode)
	}
	spec, err = everyOf(strconv.FormatFloat(seconds, 'f', -1, 64), false)
	remarks = []string{"whether it is relative is not told"}
	if unit != "second" {
		remarks = append(remarks, fmt.Sprintf("its length is told rounded (%s): compare it with the code", shown))
	}
	return spec, remarks, err
}

// crontabOf reads the fields of a crontab's repr. Of old the day of the week came third
// (celery 5.2 schedules.py).
func crontabOf(shown string, weekThird bool) (string, error) {
	fields := strings.Fields(strings.ReplaceAll(shown, ", ", ","))
	if len(fields) != 5 || strings.Contains(shown, "(") {
		return "", errors.New("its crontab has fields that are told as objects of Python's: " + fromCode)
	}
	for i, field := range fields {
		list := strings.Trim(field, "[]{}")
		if list != field { // of numbers, as a rule, which the code may have in any order
			items := strings.Split(strings.ReplaceAll(list, "'", ""), ",")
			slices.SortFunc(items, func(a, b string) int {
				x, errX := strconv.Atoi(a)
				y, errY := strconv.Atoi(b)
				if errX != nil || errY != nil {
					return strings.Compare(a, b)
				}
				return x - y
			})
			fields[i] = strings.Join(items, ",")
		}
	}
	if weekThird {
		fields[2], fields[3], fields[4] = fields[3], fields[4], fields[2]
	}
	return strings.Join(fields, " "), nil
}
