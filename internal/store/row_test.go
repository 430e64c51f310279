package store

import (
	"strings"
	"testing"
)

func TestIsJSONAsPythonReadsIt(t *testing.T) {
	for text, want := range map[string]bool{
		`[1]`: true, ``: true, ` null `: true, `[NaN, Infinity, -Infinity]`: true, `[{"a": NaN}]`: true, `["NaN", "\"", NaN]`: true, `["\\", NaN]`: true,
		`[NaN`: false, `["NaN]`: false, `["\\" NaN"]`: false, `[nan]`: false, `[Nan]`: false, `[NaNa]`: false, `[-NaN]`: false, `[1NaN]`: false, `[NaN.5]`: false, `[2Infinity]`: false, `NaN`: false, `{"a": 1}`: false,
	} {
		if err := isJSON("args", text, '[', "a list"); (err == nil) != want {
			t.Errorf("isJSON(%s): %v, want it read %v", text, err, want)
		}
	}
}

// What a program has encoded twice looks as it should at first sight.
func TestJSONThatWasEncodedTwiceIsToldSo(t *testing.T) {
	err := isJSON("kwargs", `"{\"a\": 1}"`, '{', "an object")
	if want := "kwargs is a text in JSON, as of what was encoded twice: write an object"; err == nil || err.Error() != want {
		t.Errorf("isJSON of a text: %v, want %s", err, want)
	}
}

// An end that can't be read is not passed over: the task would be sent for ever.
func TestBoundsOfATaskAreReadOrToldOf(t *testing.T) {
	for _, tt := range []struct{ column, value, says string }{
		{"expires", "2030-01-01 00:00:00", ""},
		{"expires", "2030-01-01 00:00:00+0900", ""},
		{"expires", "0000-00-00 00:00:00", ""},
		{"expires", "infinity", ""},
		{"start_time", "-infinity", ""},
		{"start_time", "", ""},
		{"expires", "soon", `expires is "soon"`},
		{"expires", "-infinity", `expires is "-infinity"`},
		{"expires", "2030-13-01 00:00:00", "expires is"},
		{"start_time", "infinity", `start_time is "infinity"`},
		{"clocked_time", "infinity", `clocked_time is "infinity"`},
	} {
		var r row
		err := scanDjango(&r, clocks{}, aTask{tt.column: tt.value}, 0)
		if err != nil || (r.problem == "") != (tt.says == "") || !strings.HasPrefix(r.problem, tt.says) {
			t.Errorf("%s %q: problem %q, %v; want %q", tt.column, tt.value, r.problem, err, tt.says)
		}
	}
}

// An aTask is a row of Django's with an interval of an hour and these columns.
type aTask map[string]string

// Scan implements scanner.
func (a aTask) Scan(into ...any) error {
	for i, at := range map[string]int{"expires": 11, "start_time": 14, "clocked_time": 30} {
		if value, ok := a[i]; ok {
			if err := into[at].(*lenient).Scan(value); err != nil {
				return err
			}
		}
	}
	*into[2].(orEmpty).into, *into[18].(*int64), *into[20].(orEmpty).into = "t", 1, "hours"
	every := int64(1)
	*into[19].(**int64) = &every
	return nil
}
