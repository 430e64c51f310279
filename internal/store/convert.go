package store

import (
	"encoding/json"
	"fmt"
	"time"
)

// An instant scans a time that may be null, which is the zero Time, from what
// either database answers: a time, or microseconds since the Unix epoch. It is
// always in UTC.
type instant struct{ into *time.Time }

// Scan implements sql.Scanner.
func (i instant) Scan(value any) error {
	switch v := value.(type) {
	case nil:
		*i.into = time.Time{}
	case time.Time:
		*i.into = v.UTC()
	case int64:
		*i.into = time.UnixMicro(v).UTC()
	case []byte:
		return i.Scan(string(v))
	case string:
		at, err := parseInstant(v)
		if err != nil {
			return err
		}
		*i.into = at
	default:
		return fmt.Errorf("an instant can't be a %T", value)
	}
	return nil
}

// instantLayouts are how programs write instants as text, mostly into SQLite:
// SQLAlchemy, Python's isoformat, CURRENT_TIMESTAMP. Without an offset it is UTC.
// A fraction of a second is taken with each of them.
var instantLayouts = []string{
	"2006-01-02 15:04:05", "2006-01-02T15:04:05Z07:00", "2006-01-02 15:04:05Z07:00",
	"2006-01-02T15:04:05", "2006-01-02 15:04", "2006-01-02",
	"2006-01-02 15:04:05Z0700", "2006-01-02 15:04:05Z07", "2006-01-02T15:04:05Z0700", "2006-01-02T15:04:05Z07",
}

func parseInstant(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range instantLayouts {
		if at, err := time.Parse(layout, text); err == nil {
			return at.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no instant: write it as 2006-01-02 15:04:05", text)
}

// plainArgs makes plain values of arguments, for databases that know no others.
func plainArgs(args []any) []any {
	for i, arg := range args {
		args[i] = plainArg(arg)
	}
	return args
}

// plainArg makes microseconds of instants, null of zero ones, and JSON of slices.
func plainArg(arg any) any {
	switch v := arg.(type) {
	case time.Time:
		if v.IsZero() {
			return nil
		}
		return v.UnixMicro()
	case []string, []int64:
		text, err := json.Marshal(v)
		if err != nil {
			panic(err) // strings and numbers always have a JSON form
		}
		return string(text)
	}
	return arg
}
