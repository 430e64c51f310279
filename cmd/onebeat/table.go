package main

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/term"
	"golang.org/x/text/width"
)

// folded is how far a row's columns stand in that a terminal has no room for beside the others.
const folded = 4

// printTable prints the lines that rows gives, cell by cell, in columns as wide as a terminal shows what is in
// them. What others wrote into the cells moves neither the terminal nor the columns: see legible. A cell with nothing
// in it is shown as "-", but not at the end of a line. On a terminal, columns that have no room go below the others.
func printTable(out io.Writer, rows func(line func(cells ...any))) error {
	return printTableOn(out, terminalColumns(out), rows)
}

// printTableOn prints it on a terminal of so many columns; 0 is no terminal.
func printTableOn(out io.Writer, columns int, rows func(line func(cells ...any))) error {
	var lines [][]string
	var wide, last []int // of what stands before others, and at the end
	rows(func(cells ...any) {
		texts := make([]string, len(cells))
		for i, cell := range cells {
			texts[i] = legible(fmt.Sprint(cell))
			if i < len(cells)-1 {
				texts[i] = cmp.Or(clip(texts[i]), "-")
			}
			if i == len(wide) {
				wide, last = append(wide, 0), append(last, 0)
			}
			if n := shownWidth(texts[i]); i < len(cells)-1 {
				wide[i] = max(wide[i], n)
			} else {
				last[i] = max(last[i], n)
			}
		}
		lines = append(lines, texts)
	})
	below := make([]bool, len(wide))
	if n := len(wide) - 1; n > 1 { // a name and what it says stay together
		below = foldedAt(append(slices.Clone(wide[:n]), last[n]), columns)
	}
	w := bufio.NewWriterSize(out, 1<<16)
	for _, texts := range lines {
		end := len(texts) - 1
		if end > 0 && texts[end] == "" {
			end--
		}
		for i, text := range texts[:end] {
			w.WriteString(text)
			if below[i+1] {
				w.WriteString("\n" + strings.Repeat(" ", folded))
			} else {
				w.WriteString(strings.Repeat(" ", wide[i]-shownWidth(text)+2))
			}
		}
		if len(texts) == 1 { // a sentence
			texts[0] = wrapped(texts[0], columns, folded)
		}
		w.WriteString(texts[end])
		w.WriteByte('\n')
	}
	return w.Flush()
}

// foldedAt says which columns begin a line below on a terminal of so many.
func foldedAt(wide []int, columns int) []bool {
	below, at := make([]bool, len(wide)), 0
	for i, n := range wide {
		if i > 0 && columns > 0 && at+2+n > columns {
			below[i], at = true, folded+n
			continue
		}
		if i > 0 {
			at += 2
		}
		at += n
	}
	return below
}

// terminalColumns is how wide the terminal is that out goes to; 0 where it goes elsewhere.
func terminalColumns(out io.Writer) int {
	file, ok := out.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return 0
	}
	columns, _, err := term.GetSize(int(file.Fd()))
	if err != nil {
		return 0
	}
	return columns
}

// wrapped breaks a line between words for a terminal of so many columns, what follows indented.
func wrapped(line string, columns, indent int) string {
	if columns == 0 || shownWidth(line) <= columns {
		return line
	}
	var text strings.Builder
	at := 0
	for i, word := range strings.Split(line, " ") {
		n := shownWidth(word)
		switch {
		case i > 0 && at+1+n > columns && at > indent:
			text.WriteString("\n" + strings.Repeat(" ", indent))
			at = indent
		case i > 0:
			text.WriteByte(' ')
			at++
		}
		text.WriteString(word)
		at += n
	}
	return text.String()
}

// shownWidth is how many columns of a terminal the text takes: two a character of East Asia's and an emoji, none one that
// is shown on another.
func shownWidth(text string) (columns int) {
	for _, r := range text {
		switch kind := width.LookupRune(r).Kind(); {
		case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
		case kind == width.EastAsianWide || kind == width.EastAsianFullwidth:
			columns += 2
		default:
			columns++
		}
	}
	return columns
}

// clipped is how many characters of a name are shown in a column, and each row is as wide as the widest.
const clipped = 500

// clip is a text that is not longer than a column may be.
func clip(text string) string {
	if shown := []rune(text); len(text) > clipped && len(shown) > clipped {
		return string(shown[:clipped-1]) + "…"
	}
	return text
}

// legible returns a text of one line: with a blank for each tab and end of a line, and a replacement character
// for all else that a terminal would obey (Unicode's Cc and what is no UTF-8), or that would turn the direction of what comes after it.
func legible(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t' || r == '\n':
			return ' '
		case unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r) && r != '\u200e' && r != '\u200f' && r != '\u061c':
			return unicode.ReplacementChar
		}
		return r
	}, text)
}
