package main

import (
	"io"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
)

// foldHelp lets the help of all verbs fit the terminal that it is shown on.
func foldHelp(root *cobra.Command) {
	help := root.HelpFunc()
	root.SetHelpFunc(func(cmd *cobra.Command, args []string) {
		out := cmd.OutOrStdout()
		columns := terminalColumns(out)
		if columns == 0 {
			help(cmd, args)
			return
		}
		var text strings.Builder
		cmd.SetOut(&text)
		help(cmd, args)
		cmd.SetOut(out)
		_, _ = io.WriteString(out, foldedHelp(text.String(), columns))
	})
}

// besides finds what stands before a description: a flag, a verb or a word, and the blanks after it.
var besides = regexp.MustCompile(`^ +\S.*?  +`)

// descriptionRoom is how many columns a description has to itself, at least.
const descriptionRoom = 24

// foldedHelp is a help for a terminal of so many columns: descriptions stay in their column, and the lines of a
// paragraph that has no room are filled anew. Examples stay as they are, to be copied.
func foldedHelp(help string, columns int) string {
	var folded strings.Builder
	write := func(line string, indent int) { folded.WriteString(wrapped(line, columns, indent) + "\n") }
	var paragraph []string
	long, examples := false, false
	end := func() {
		if long {
			paragraph = []string{strings.Join(paragraph, " ")}
		}
		for _, line := range paragraph {
			write(line, 0)
		}
		paragraph, long = nil, false
	}
	for line := range strings.SplitSeq(strings.TrimSuffix(help, "\n"), "\n") {
		if strings.HasPrefix(line, "Exit code") {
			end()
		}
		if line != "" && line[0] != ' ' {
			paragraph, long = append(paragraph, line), long || shownWidth(line) > columns
			examples = line == "Examples:"
			continue
		}
		end()
		if examples {
			folded.WriteString(line + "\n")
			continue
		}
		indent := len(besides.FindString(line))
		if indent == 0 || indent > columns-descriptionRoom {
			indent = len(line) - len(strings.TrimLeft(line, " "))
		}
		write(line, indent)
	}
	end()
	return folded.String()
}
