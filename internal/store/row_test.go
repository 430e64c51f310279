package store

import "testing"

func TestIsJSONAsPythonReadsIt(t *testing.T) {
	for text, want := range map[string]bool{
		`[1]`: true, ``: true, `[NaN, Infinity, -Infinity]`: true, `[{"a": NaN}]`: true, `["NaN", "\"", NaN]`: true, `["\\", NaN]`: true,
		`[NaN`: false, `["NaN]`: false, `["\\" NaN"]`: false, `[nan]`: false, `[Nan]`: false, `[NaNa]`: false, `NaN`: false, `{"a": 1}`: false,
	} {
		if err := isJSON("args", text, '[', "a list"); (err == nil) != want {
			t.Errorf("isJSON(%s): %v, want it read %v", text, err, want)
		}
	}
}
