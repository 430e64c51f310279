package celery

import (
	"encoding/json"
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

// A repr that is made of the arguments' text anew is the one that Celery would show.
func TestReprMadeOfTheText(t *testing.T) {
	config, err := ParseConfig(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args, kwargs string
		made         bool // of the text, both of them
	}{
		{`["daily", 1]`, `{"id": 1, "from_date": "20250729"}`, true},
		{`["日本"]`, `{"é": [1.5, {}]}`, true},
		{`["daily",1]`, `{"id":1}`, false},      // spaced otherwise
		{`[true, null]`, `{"a": false}`, false}, // other words
		{`["it's"]`, `{"a": "it's"}`, false},
		{`["\"", "\\", "\n"]`, `{"a": "\u0041"}`, false},
		{`[1E5]`, `{"a": 1, "a": 2}`, false},
		{``, `{"a":1}`, false},
	} {
		template, err := config.Template(Task{Name: "t", Args: tt.args, Kwargs: tt.kwargs})
		if err != nil {
			t.Fatal(err)
		}
		if template.requotesArgs != tt.made || template.requotesKwargs != tt.made {
			t.Errorf("reprs of %s, %s are made of the text: %v, %v; want %v", tt.args, tt.kwargs, template.requotesArgs, template.requotesKwargs, tt.made)
		}
		var want [2]string
		for i, text := range []string{tt.args, tt.kwargs} {
			want[i] = []string{"()", "{}"}[i]
			if v, err := parseJSON(text); text != "" {
				if err != nil {
					t.Fatal(err)
				}
				want[i] = repr(v, reprBudget, config.reprLevels)
			}
		}
		headers := template.Headers(Message{Template: template})
		var envelope struct{ Headers map[string]any }
		if err := json.Unmarshal(template.AppendEnvelope(nil, Message{Template: template}, "tag"), &envelope); err != nil {
			t.Fatal(err)
		}
		for i, header := range []string{"argsrepr", "kwargsrepr"} {
			if headers[header] != want[i] || envelope.Headers[header] != want[i] {
				t.Errorf("%s of %s, %s = %q over AMQP and %q else, want %q", header, tt.args, tt.kwargs, headers[header], envelope.Headers[header], want[i])
			}
		}
	}
}
