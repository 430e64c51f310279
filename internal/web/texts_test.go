package web

import (
	"maps"
	"reflect"
	"regexp"
	"slices"
	"testing"
)

// Each language has every text, with what is filled in in the same order.
func TestBothLanguagesHaveEveryText(t *testing.T) {
	verbs := regexp.MustCompile(`%[a-z]`)
	compare := func(name, en, ja string) {
		t.Helper()
		if en == "" || ja == "" {
			t.Errorf("%s is %q and %q: one has no text", name, en, ja)
		}
		if a, b := verbs.FindAllString(en, -1), verbs.FindAllString(ja, -1); !slices.Equal(a, b) {
			t.Errorf("%s: %q fills in %v, %q fills in %v", name, en, a, ja, b)
		}
	}
	a, b := reflect.ValueOf(english), reflect.ValueOf(japanese)
	for i := range a.NumField() {
		name := a.Type().Field(i).Name
		switch en := a.Field(i).Interface().(type) {
		case string:
			compare(name, en, b.Field(i).String())
		case map[string]string:
			ja := b.Field(i).Interface().(map[string]string)
			if x, y := slices.Sorted(maps.Keys(en)), slices.Sorted(maps.Keys(ja)); !slices.Equal(x, y) || len(x) == 0 {
				t.Errorf("%s has %v and %v", name, x, y)
			}
			for key, text := range en {
				compare(name+" "+key, text, ja[key])
			}
		default:
			t.Errorf("%s is a %T: say here how it is compared", name, en)
		}
	}
}
