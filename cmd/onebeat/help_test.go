package main

import (
	"strings"
	"testing"
)

// On a terminal a flag's description stays beside it, a paragraph is filled anew, and an example can be copied.
func TestHelpFitsTheTerminal(t *testing.T) {
	const help = `Look at the settings and at
what is wrong. It changes nothing.

  long       a word with a description
             of two lines

Usage:
  onebeat check [flags]

Examples:
  onebeat check --database sqlite:///schedules.db --broker redis://localhost:6379/1

Flags:
      --json         print JSON
  -A, --app string   the application, as Celery's own commands take it
`
	const want = `Look at the settings and at
what is wrong. It changes nothing.

  long       a word with a description
             of two lines

Usage:
  onebeat check [flags]

Examples:
  onebeat check --database sqlite:///schedules.db --broker redis://localhost:6379/1

Flags:
      --json         print JSON
  -A, --app string   the application, as
                     Celery's own commands
                     take it
`
	if got := foldedHelp(help, 45); got != want {
		t.Errorf("in 45 columns:\n%s\nwant\n%s", got, want)
	}
	if got, want := foldedHelp("one two three\nfour five\nsix\n", 10), "one two\nthree four\nfive six\n"; got != want {
		t.Errorf("a paragraph without room is\n%swant\n%s", got, want)
	}
	if got := foldedHelp(help, 200); got != help {
		t.Errorf("with room enough it became\n%s", got)
	}
	for line := range strings.Lines(foldedHelp(help, 30)) {
		if shownWidth(line)-1 > 30 && !strings.Contains(line, "sqlite") {
			t.Errorf("in 30 columns: %q", line)
		}
	}
}
