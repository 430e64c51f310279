package web

import (
	"maps"
	"reflect"
	"regexp"
	"slices"
	"testing"
	"time"
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
		case [4]string:
			ja := b.Field(i).Interface().([4]string)
			for i := range en {
				compare(name, en[i], ja[i])
			}
		default:
			t.Errorf("%s is a %T: say here how it is compared", name, en)
		}
	}
}

func TestLengthsAreSaidInTwoUnits(t *testing.T) {
	for length, want := range map[time.Duration][2]string{
		-time.Second:                          {"0 s", "0秒"},
		59*time.Second + 499*time.Millisecond: {"59 s", "59秒"},
		59*time.Second + 500*time.Millisecond: {"1 min 0 s", "1分0秒"},
		time.Hour - time.Second:               {"59 min 59 s", "59分59秒"},
		25*time.Hour - time.Minute:            {"1 d 0 h", "1日0時間"},
		2*time.Hour + 3*time.Minute:           {"2 h 3 min", "2時間3分"},
	} {
		if got := [2]string{english.length(length), japanese.length(length)}; got != want {
			t.Errorf("%v is %q, want %q", length, got, want)
		}
	}
}
