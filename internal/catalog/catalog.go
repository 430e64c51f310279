// Package catalog has what the catalogs outside of the database share: how Celery's
// schedules, as JSON and its like have them, are written as specs.
package catalog

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Number returns a value that any of the decoders made of a number.
func Number(value any) (number float64, ok bool) {
	switch n := value.(type) {
	case int:
		return float64(n), true
	case int64:
		return float64(n), true
	case uint64:
		return float64(n), true
	case float64:
		return n, true
	case json.Number:
		f, err := n.Float64()
		return f, err == nil
	}
	return 0, false
}

// Field returns a field of a schedule, a text, a number or a list of these, as a text
// without blanks in which commas part a list. It is false for anything else.
func Field(value any) (text string, ok bool) {
	if n, ok := Number(value); ok {
		return strconv.FormatFloat(n, 'f', -1, 64), true
	}
	switch v := value.(type) {
	case string:
		return strings.Join(strings.Fields(v), ""), true
	case []any:
		parts := make([]string, len(v))
		for i := range v {
			if parts[i], ok = Field(v[i]); !ok {
				return "", false
			}
		}
		return strings.Join(parts, ","), true
	}
	return "", false
}

// Every returns the spec of an interval of so many seconds, and its period.
func Every(seconds float64) (spec string, period time.Duration, err error) {
	micros := math.Round(seconds * 1e6)
	if !(micros >= 1e6 && micros <= math.MaxInt64/1e3) {
		return "", 0, fmt.Errorf("an interval of %v seconds is out of range: use a second or more", seconds)
	}
	period = time.Duration(micros) * time.Microsecond
	return "@every " + period.String(), period, nil
}
