package celery

import (
	"testing"
	"unicode/utf8"
)

// The wanted texts are those of saferepr in Celery 5.7.
func TestRepr(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		budget     int
		want       string
	}{
		{"a number", `[2]`, 1024, `[2]`},
		{"text past ASCII", `[16,"é","\u00e9"]`, 1024, `[16, 'é', 'é']`},
		{"constants", `{"y":3.5,"flag":true,"none":null}`, 1024, `{'y': 3.5, 'flag': True, 'none': None}`},
		{
			"floats as Python has them", `[1e20,1e-7,1.0,-0.0,NaN,Infinity,1e16,1e15,0.0001,0.00001,1e22]`, 1024,
			`[1e+20, 1e-07, 1.0, -0.0, nan, inf, 1e+16, 1000000000000000.0, 0.0001, 1e-05, 1e+22]`,
		},
		{"integers without bounds", `[-0,123456789012345678901234567890]`, 1024, `[0, 123456789012345678901234567890]`},
		{"only quotes are escaped", `["it's","a\nb\\c"]`, 1024, "['it\\'s', 'a\nb\\c']"},
		{"four levels deep", `[[[[1]]],{"a":{"b":{"c":1}}}]`, 1024, `[[[[...]]], {'a': {'b': {...}}}]`},
		{"three levels deep", `[[[]]]`, 1024, `[[[]]]`},
		{"empty at four", `[[[[]]]]`, 1024, `[[[[...]]]]`},
		{"doubled keys", `{"a":1,"b":2,"a":3}`, 1024, `{'a': 3, 'b': 2}`},
		{"text cut back to a space", `["aaaa bbbb cccc dddd",1,2]`, 12, `['aaaa bbbb...', ...]`},
		{"text cut without a space", `["aaaaaaaaaaaa"]`, 5, `['aaaa...']`},
		{"numbers cut", `[1,2,3,[4,5],6]`, 8, `[1, 2, 3..., ...]`},
		{"a value cut", `{"k":"v","l":[1,2]}`, 6, `{'k': , ...}`},
		{"brackets use the budget up", `[[[1]],2]`, 3, `[[[, ...]]]`},
		{"what is open is closed", `[[1,2],[3,4]]`, 4, `[[1, , ...]]`},
		{"a list left out", `[1234567,[8]]`, 8, `[1234567..., ...]`},
		{"an object begun", `{"key":{"a":1}}`, 9, `{'key': {, ...}}`},
		{"nothing left out", `[12345678]`, 6, `[12345...]`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v, err := parseJSON(tt.text)
			if err != nil {
				t.Fatal(err)
			}
			if got := repr(v, tt.budget, 3); got != tt.want {
				t.Errorf("repr(%s, %d) = %s, want %s", tt.text, tt.budget, got, tt.want)
			}
		})
	}
}

// Whatever the arguments, what is shown of them ends soon after the budget.
func FuzzReprKeepsToItsBudget(f *testing.F) {
	f.Add(`[1,"two",{"three":[4.5,null]}]`, 10)
	f.Add(`[[[["deep"]]],"long long long long"]`, 3)
	f.Fuzz(func(t *testing.T, text string, budget int) {
		budget = 1 + (budget&0x7fffffff)%2000
		v, err := parseJSON(text)
		if err != nil {
			return
		}
		// A string may double by its escapes; brackets and dots come on top.
		if got := utf8.RuneCountInString(repr(v, budget, 3)); got > 2*budget+30 {
			t.Errorf("repr(%q, %d) has %d characters", text, budget, got)
		}
	})
}
