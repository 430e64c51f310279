package main

import (
	"strings"
	"testing"
)

// On a terminal what does not fit beside a row's beginning goes below it, whole columns at a time.
func TestATableIsFoldedToTheTerminal(t *testing.T) {
	rows := func(line func(cells ...any)) {
		line("NAME", "SPEC", "NEXT", "WHY")
		line("a", "* * * * *", "2026-11-27 02:49:48Z", "")
		line("朝の挨拶", "0 9 * * 1-5", "", "asked for by somebody")
		line("a: a sentence about one of them")
	}
	for _, tt := range []struct {
		columns int
		want    []string
	}{
		{0, []string{
			"NAME      SPEC         NEXT                  WHY",
			"a         * * * * *    2026-11-27 02:49:48Z",
			"朝の挨拶  0 9 * * 1-5  -                     asked for by somebody",
			"a: a sentence about one of them",
		}},
		{66, []string{
			"NAME      SPEC         NEXT                  WHY",
			"a         * * * * *    2026-11-27 02:49:48Z",
			"朝の挨拶  0 9 * * 1-5  -                     asked for by somebody",
			"a: a sentence about one of them",
		}},
		{65, []string{
			"NAME      SPEC         NEXT",
			"    WHY",
			"a         * * * * *    2026-11-27 02:49:48Z",
			"朝の挨拶  0 9 * * 1-5  -",
			"    asked for by somebody",
			"a: a sentence about one of them",
		}},
		{30, []string{
			"NAME      SPEC",
			"    NEXT",
			"    WHY",
			"a         * * * * *",
			"    2026-11-27 02:49:48Z",
			"朝の挨拶  0 9 * * 1-5",
			"    -",
			"    asked for by somebody",
			"a: a sentence about one of",
			"    them",
		}},
	} {
		var out strings.Builder
		if err := printTableOn(&out, tt.columns, rows); err != nil {
			t.Fatal(err)
		}
		if got, want := out.String(), strings.Join(tt.want, "\n")+"\n"; got != want {
			t.Errorf("on %d columns:\n%swant\n%s", tt.columns, got, want)
		}
	}
}

func TestSentencesAreWrappedAtWords(t *testing.T) {
	for _, tt := range []struct {
		columns, indent int
		text, want      string
	}{
		{0, 6, "ok    one two three", "ok    one two three"},
		{19, 6, "ok    one two three", "ok    one two three"},
		{18, 6, "ok    one two three", "ok    one two\n      three"},
		{12, 0, "朝の挨拶 is off", "朝の挨拶 is\noff"},
		{8, 6, "ok    a_word_that_is_long and", "ok    a_word_that_is_long\n      and"},
	} {
		if got := wrapped(tt.text, tt.columns, tt.indent); got != tt.want {
			t.Errorf("wrapped(%q, %d, %d) =\n%s\nwant\n%s", tt.text, tt.columns, tt.indent, got, tt.want)
		}
	}
}
