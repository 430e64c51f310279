package celery

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Whether Python 3.11's json.loads reads these, and what repr says of it.
func TestParseJSON(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{`null`, `None`},
		{" [ 1 , 2 ]\r\n\t", `[1, 2]`},
		{`[-1,0,-0,1.5,1e3,1E-3,-2.5e+2]`, `[-1, 0, 0, 1.5, 1000.0, 0.001, -250.0]`},
		{`[NaN,Infinity,-Infinity]`, `[nan, inf, -inf]`},
		{`"\"\\\/\b\u0041\u00e9\ud83d\ude00"`, "'\"\\/\bAé😀'"},
		{"\"\x7f\"", "'\x7f'"},
		{`{"a":1,"b":{"c":[]},"a":2}`, `{'a': 2, 'b': {'c': []}}`},
		{``, ``},
		{`[1,]`, ``},
		{`{"a":1,}`, ``},
		{`{a:1}`, ``},
		{`{"a" 1}`, ``},
		{`['a']`, ``},
		{`[1 2]`, ``},
		{`[`, ``},
		{`{"a"`, ``},
		{`"abc`, ``},
		{`"\x"`, ``},
		{`"\u12g4"`, ``},
		{`"\u 123"`, ``},
		{"\"\t\"", ``},
		{`01`, ``},
		{`1.`, ``},
		{`.5`, ``},
		{`+1`, ``},
		{`1e`, ``},
		{`-`, ``},
		{`nul`, ``},
		{`nan`, ``},
		{`-NaN`, ``},
		{"\ufeff[]", ``},
		{`[] []`, ``},
		{"[\u00a0]", ``},
	} {
		v, err := parseJSON(tt.text)
		if (err != nil) != (tt.want == "") {
			t.Errorf("parseJSON(%q): %v", tt.text, err)
		} else if err == nil && repr(v, reprBudget, 0) != tt.want {
			t.Errorf("parseJSON(%q) is %s, want %s", tt.text, repr(v, reprBudget, 0), tt.want)
		}
	}
}

// encoding/json reads all that appendQuoted writes, wherever the escapes fall
// among its groups of eight.
func TestAppendQuoted(t *testing.T) {
	for _, s := range []string{"\"", "\\", "\n", "\t", "\x00", "\x1f", "é", "😀", "\x7f", "!", "#", "[", "]", " "} {
		for at := range 20 {
			want := strings.Repeat("a", at) + s + strings.Repeat("z", 19-at)
			var got string
			if err := json.Unmarshal(appendQuoted(nil, want), &got); err != nil || got != want {
				t.Errorf("appendQuoted(%q) reads as %q (%v)", want, got, err)
			}
		}
	}
}

// A value that is read from what was written is the same.
func FuzzAppendJSON(f *testing.F) {
	f.Add(`{"a":[1,2.50,"x\n",null,true,{"b":-1e9}]}`)
	f.Add(`["\u0000\u001f\"\\","é😀",NaN]`)
	f.Fuzz(func(t *testing.T, text string) {
		v, err := parseJSON(text)
		if err != nil {
			return
		}
		again, err := parseJSON(string(appendJSON(nil, v)))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(v, again, cmp.AllowUnexported(object{})); diff != "" {
			t.Errorf("(-read +read again)\n%s", diff)
		}
	})
}
