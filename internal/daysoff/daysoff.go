// Package daysoff reads days off from the files that people keep them in: iCalendar
// (RFC 5545) and plain lists of dates.
//
//   - An event that takes whole days is a day off, or several: one that recurs, on each
//     day on which it does. Cancelled events and changed occurrences count as they say.
//   - Events that have a time of the day are no days off. A Found says how many there were.
//   - What can't be read is an error: nothing of the file is for use then.
package daysoff

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/onebeat/onebeat/internal/schedule"
)

// A Span is the days that are read: from From to Until, both with their day. What is
// outside is left out.
type Span struct{ From, Until time.Time }

// A Found is what a file holds.
type Found struct {
	Days []schedule.DayOff // in order, each once

	Timed   int // events with a time of the day, which were left out
	Outside int // days, or events that are over, outside the span
}

// folds are where a long line of iCalendar goes on in the next (RFC 5545, section 3.1), perhaps within a character.
var folds = regexp.MustCompile("\r?\n[ \t]")

// mostDays bounds what is read of one file.
const mostDays = 100_000

// Read reads a file: iCalendar if it begins as such, else a list.
//
// In a list each line is a date or a range of dates (2026-12-25, 2026/12/25,
// 2026-12-29..2027-01-03), perhaps with a reason after a comma or a blank. Empty lines,
// those that begin with #, and a first line that begins with no digit mean nothing.
func Read(file io.Reader, span Span) (Found, error) {
	text, err := io.ReadAll(io.LimitReader(file, 64<<20))
	if err != nil {
		return Found{}, err
	}
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	beginning := bytes.TrimSpace(text[:min(len(text), 200)])
	isCalendar := len(beginning) >= 5 && bytes.EqualFold(beginning[:5], []byte("BEGIN"))
	if isCalendar {
		text = folds.ReplaceAll(text, nil)
	}
	if !utf8.Valid(text) {
		return Found{}, errors.New("the file is not UTF-8: convert it, as with iconv")
	}
	found := &finding{span: span, days: map[string]string{}}
	if isCalendar {
		err = found.calendar(string(text))
	} else {
		err = found.list(string(text))
	}
	if err != nil {
		return Found{}, err
	}
	return found.found(), nil
}

// A finding collects days off.
type finding struct {
	span Span
	days map[string]string // reasons by day

	timed, outside int
}

func (f *finding) found() Found {
	found := Found{Timed: f.timed, Outside: f.outside}
	for _, day := range slices.Sorted(maps.Keys(f.days)) {
		found.Days = append(found.Days, schedule.DayOff{Day: day, Reason: f.days[day]})
	}
	return found
}

// add takes the days from first to last.
func (f *finding) add(first, last time.Time, reason string) error {
	if last.Before(f.span.From) || first.After(f.span.Until) {
		f.outside++
		return nil
	}
	if first.Before(f.span.From) {
		first = f.span.From
	}
	if last.After(f.span.Until) {
		last = f.span.Until
	}
	for day := first; !day.After(last); day = day.AddDate(0, 0, 1) {
		if len(f.days) >= mostDays {
			return fmt.Errorf("the file has more than %d days off", mostDays)
		}
		name := day.Format(time.DateOnly)
		switch known := f.days[name]; {
		case known == "":
			f.days[name] = reason
		case reason != "" && !slices.Contains(strings.Split(known, "; "), reason):
			f.days[name] += "; " + reason
		}
	}
	return nil
}

func (f *finding) list(text string) error {
	lines := bufio.NewScanner(strings.NewReader(text))
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' || n == 1 && (line[0] < '0' || line[0] > '9') && line[0] != '"' {
			continue
		}
		days, reason := parted(line)
		from, to, ok := parseDays(days)
		if !ok {
			return fmt.Errorf("line %d begins with %.40q: write a date such as 2026-12-25, or 2026-12-29..2027-01-03", n, days)
		}
		if err := f.add(from, to, reason); err != nil {
			return err
		}
	}
	return lines.Err()
}

// blankly is days, which may be a range with blanks around its dots, and a reason after a blank.
var blankly = regexp.MustCompile(`^(\S+?(?:\s*\.\.\s*\S+)?)(?:\s+(.*))?$`)

// parted parts a line into days and a reason.
func parted(line string) (days, reason string) {
	if fields, err := csv.NewReader(strings.NewReader(line)).Read(); err == nil && len(fields) > 1 {
		if _, _, ok := parseDays(fields[0]); ok {
			return fields[0], strings.TrimSpace(fields[1])
		}
	}
	if parts := blankly.FindStringSubmatch(line); parts != nil {
		return strings.Trim(parts[1], `"`), parts[2]
	}
	return line, ""
}

// parseDays reads a date, or a range of dates.
func parseDays(text string) (from, to time.Time, ok bool) {
	first, last, ranged := strings.Cut(text, "..")
	if !ranged {
		last = first
	}
	from, wrong := parseDate(first)
	to, also := parseDate(last)
	return from, to, wrong == nil && also == nil && !to.Before(from)
}

func parseDate(text string) (time.Time, error) {
	text = strings.TrimSpace(text)
	if day, err := time.Parse("2006/1/2", text); err == nil {
		return day, nil
	}
	return time.Parse(time.DateOnly, text)
}
