package redbeat

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/onebeat/onebeat/internal/store"
)

// A rule is a schedule of the kind rrule: the arguments of dateutil's.
type rule struct {
	Freq     any      `json:"freq"` // a number or a name
	Interval *int64   `json:"interval"`
	Wkst     any      `json:"wkst"`
	Count    *int64   `json:"count"`
	Start    *float64 `json:"dtstart"` // seconds of the epoch
	StartIn  float64  `json:"dtstart_tz"`
	Until    *float64 `json:"until"`

	BySetPos   any `json:"bysetpos"`
	ByMonth    any `json:"bymonth"`
	ByMonthDay any `json:"bymonthday"`
	ByYearDay  any `json:"byyearday"`
	ByEaster   any `json:"byeaster"`
	ByWeekNo   any `json:"byweekno"`
	ByWeekDay  any `json:"byweekday"`
	ByHour     any `json:"byhour"`
	ByMinute   any `json:"byminute"`
	BySecond   any `json:"bysecond"`
}

var (
	frequencies = []string{"YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY", "MINUTELY", "SECONDLY"} // dateutil's numbers
	weekdays    = []string{"MO", "TU", "WE", "TH", "FR", "SA", "SU"}
)

// halfZones are zones whose clocks are off by part of an hour and never change, by
// their offset in minutes. Those of whole hours are Etc/GMT's.
var halfZones = map[int]string{330: "Asia/Kolkata", 345: "Asia/Kathmandu", 390: "Asia/Yangon", 270: "Asia/Kabul", 570: "Australia/Darwin", 525: "Australia/Eucla", -570: "Pacific/Marquesas"}

// fixedZone is the name of a zone of the offset in minutes.
func fixedZone(minutes float64) (string, error) {
	n := int(minutes)
	switch {
	case float64(n) != minutes:
	case n == 0:
		return "UTC", nil
	case n%60 == 0 && n >= -12*60 && n <= 14*60:
		return fmt.Sprintf("Etc/GMT%+d", -n/60), nil // whose signs are the other way round
	case halfZones[n] != "":
		return halfZones[n], nil
	}
	return "", fmt.Errorf("dtstart's offset is %v minutes, which no zone keeps: write dtstart in UTC", minutes)
}

// recurrence gives the spec of an rrule.
func recurrence(e *store.Outside, text json.RawMessage) error {
	var r rule
	if err := json.Unmarshal(text, &r); err != nil {
		return errors.New("the rrule can't be read: save the entry anew")
	}
	if r.ByEaster != nil {
		return errors.New("byeaster is not known: write the dates as an rrule with bymonth and bymonthday, or as RDATE of a file")
	}
	frequency, err := named(r.Freq, frequencies)
	if err != nil {
		return fmt.Errorf("freq %w", err)
	}
	parts := []string{"FREQ=" + frequency}
	if r.Interval != nil && *r.Interval != 1 {
		parts = append(parts, "INTERVAL="+strconv.FormatInt(*r.Interval, 10))
	}
	if r.Count != nil {
		parts = append(parts, "COUNT="+strconv.FormatInt(*r.Count, 10))
	}
	if r.Until != nil {
		parts = append(parts, "UNTIL="+instant(*r.Until).Format("20060102T150405Z"))
	}
	for _, by := range []struct {
		name   string
		value  any
		values []string
	}{
		{"WKST", r.Wkst, weekdays},
		{"BYSETPOS", r.BySetPos, nil},
		{"BYMONTH", r.ByMonth, nil},
		{"BYMONTHDAY", r.ByMonthDay, nil},
		{"BYYEARDAY", r.ByYearDay, nil},
		{"BYWEEKNO", r.ByWeekNo, nil},
		{"BYDAY", r.ByWeekDay, weekdays},
		{"BYHOUR", r.ByHour, nil},
		{"BYMINUTE", r.ByMinute, nil},
		{"BYSECOND", r.BySecond, nil},
	} {
		list, err := list(by.value, by.values)
		if err != nil {
			return fmt.Errorf("%s %w", strings.ToLower(by.name), err)
		}
		if list != "" {
			parts = append(parts, by.name+"="+list)
		}
	}
	e.Spec = "@rrule RRULE:" + strings.Join(parts, ";")
	if r.Start != nil {
		zone, err := fixedZone(r.StartIn)
		if err != nil {
			return err
		}
		local := instant(*r.Start).Add(time.Duration(r.StartIn * float64(time.Minute)))
		e.Spec += " DTSTART;TZID=" + zone + ":" + local.Format("20060102T150405")
	}
	return nil
}

func instant(seconds float64) time.Time { return time.Unix(int64(seconds), 0).UTC() }

// named is a value that is the number of a name, or one of names, or an object with
// the number of a weekday.
func named(value any, names []string) (string, error) {
	switch v := value.(type) {
	case string:
		if slices.Contains(names, strings.ToUpper(v)) {
			return strings.ToUpper(v), nil
		}
	case float64:
		if v >= 0 && int(v) < len(names) && v == float64(int(v)) {
			return names[int(v)], nil
		}
	case map[string]any:
		if day, ok := v["wkday"]; ok {
			name, err := named(day, names)
			if n, ok := v["n"].(float64); ok && err == nil && n != 0 {
				name = strconv.Itoa(int(n)) + name
			}
			return name, err
		}
	}
	return "", fmt.Errorf("is %v: use one of %s", value, strings.Join(names, ", "))
}

// list is a value or several as RFC 5545 writes them; empty for none.
func list(value any, names []string) (string, error) {
	values, ok := value.([]any)
	if !ok {
		if value == nil {
			return "", nil
		}
		values = []any{value}
	}
	parts := make([]string, len(values))
	for i, v := range values {
		if names != nil {
			part, err := named(v, names)
			if err != nil {
				return "", err
			}
			parts[i] = part
			continue
		}
		n, ok := v.(float64)
		if !ok || n != float64(int(n)) {
			return "", fmt.Errorf("is %v: use whole numbers", v)
		}
		parts[i] = strconv.Itoa(int(n))
	}
	return strings.Join(parts, ","), nil
}
