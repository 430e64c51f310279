package main

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"unicode"

	"golang.org/x/text/width"
)

// printTable prints the lines that rows gives, cell by cell, in columns as wide as a terminal shows what is in
// them. What others wrote into the cells moves neither the terminal nor the columns: see legible. A cell with nothing
// in it is shown as "-", but not at the end of a line.
func printTable(out io.Writer, rows func(line func(cells ...any))) error {
	var lines [][]string
	var wide []int
	rows(func(cells ...any) {
		texts := make([]string, len(cells))
		for i, cell := range cells {
			texts[i] = legible(fmt.Sprint(cell))
			if i == len(cells)-1 {
				break // nothing stands behind it
			}
			if texts[i] == "" {
				texts[i] = "-"
			}
			if i == len(wide) {
				wide = append(wide, 0)
			}
			wide[i] = max(wide[i], shownWidth(texts[i]))
		}
		lines = append(lines, texts)
	})
	w := bufio.NewWriterSize(out, 1<<16)
	for _, texts := range lines {
		end := len(texts) - 1
		if end > 0 && texts[end] == "" {
			end--
		}
		for i, text := range texts[:end] {
			w.WriteString(text)
			w.WriteString(strings.Repeat(" ", wide[i]-shownWidth(text)+2))
		}
		w.WriteString(texts[end])
		w.WriteByte('\n')
	}
	return w.Flush()
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

// legible returns a text of one line: with a blank for each tab and end of a line, and a replacement character
// for all else that a terminal would obey (Unicode's Cc and what is no UTF-8).
func legible(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t' || r == '\n':
			return ' '
		case unicode.IsControl(r):
			return unicode.ReplacementChar
		}
		return r
	}, text)
}
