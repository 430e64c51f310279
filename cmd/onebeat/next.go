package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/onebeat/onebeat/internal/schedule"
)

// maxCount is the most slots that one answer may have.
const maxCount = 100_000

// nextCommand shows the coming slots of a spec.
func nextCommand() *cobra.Command {
	var ask question
	var asJSON, batch bool
	cmd := &cobra.Command{
		Use:   "next SPEC",
		Short: "Show the coming slots of a spec",
		Long: `Show the coming slots of a spec, in its zone and in UTC, what it means in words,
what in it may surprise, and on which days the clocks are changed.

A spec is five crontab fields (minute, hour, day of month, month, day of week)
in Celery's grammar, @standard and five or six crontab fields (seconds first) in the
standard one, @every LENGTH [wall|relative] [from TIME], @at TIME, @solar EVENT LATITUDE LONGITUDE
(of sunrise, solar_noon, sunset, and dawn_ and dusk_ civil, nautical and astronomical), or
@rrule and an RRULE of RFC 5545, with DTSTART:TIME, RDATE:TIMES and EXDATE:TIMES after it.
CRON_TZ=ZONE before it names its zone; DST=celery makes it do as Celery does where clocks are changed. @every without
"from" counts from --from, as an entry does that is first seen then.

With --batch, standard input has a JSON object a line, and each is answered by one:

  {"id", "kind": "crontab", "expr", "zone", "after", "count"}
  {"id", "kind": "crontab", "minute", "hour", "day_of_week", "day_of_month", "month_of_year", "zone", "after", "count"}
  {"id", "kind": "interval", "every" (seconds), "relative" or "wall": true, "anchor", "zone", "after", "count"}
  {"id", "kind": "clocked", "at", "zone", "after", "count"}
  {"id", "kind": "solar", "event", "lat", "lon", "after", "count"}
  {"id", "kind": "rrule", "rrule", "dtstart", "zone", "after", "count"}

  {"id", "next": [times in UTC]} or {"id", "error"}

Crontabs may have "dialect": "celery" or "standard", and "dst": "real" or "celery".
All may have "rules": an object as stands after @rules, whose days are those of the zone.
Fields left out are "*", the zone UTC, the time now, the count 1, the anchor and dtstart the time.
The H of the standard dialect, splay and jitter are spread by "id".`,
		Example: `  onebeat next "0 9 * * 1-5" --zone Asia/Tokyo
  onebeat next "*/15 * * * *" --from 2026-11-24T00:00:00Z --count 3 --json
  onebeat next "30 0 9 LW * *" --dialect standard
  onebeat next "@solar sunset 35.6895 139.6917" --zone Asia/Tokyo
  onebeat next "@rrule FREQ=MONTHLY;BYDAY=-1FR DTSTART:20261124T170000" --zone Europe/Berlin
  onebeat next "@every 90s from 2026-11-24T00:00:00Z"
  onebeat next --batch < questions.jsonl > answers.jsonl`,
		Args: func(cmd *cobra.Command, args []string) error {
			switch {
			case batch && len(args) > 0:
				return usage("next --batch reads its specs from standard input: leave %q out", args[0])
			case !batch && len(args) != 1:
				return usage(`next takes one spec in quotes, as in onebeat next "0 9 * * 1-5", not %d arguments`, len(args))
			case !batch && strings.TrimSpace(args[0]) == "":
				return usage(`the spec is empty: write one, as in onebeat next "0 9 * * 1-5"`)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if batch {
				return answerAll(cmd.InOrStdin(), cmd.OutOrStdout(), time.Now())
			}
			if !cmd.Flags().Changed("zone") {
				config, err := settings(cmd)
				if err != nil {
					return err
				}
				ask.Zone = config.String("zone")
			}
			ask.Kind, ask.Expr = "crontab", args[0]
			found, err := ask.answer(time.Now())
			if err != nil {
				text := strings.ReplaceAll(err.Error(), schedule.StandardHint, "--dialect standard")
				if file, ok := cmd.ErrOrStderr().(*os.File); ok && isTerminal(file) {
					text += caret(err)
				}
				return usage("%s", text)
			}
			if asJSON {
				return found.writeJSON(cmd.OutOrStdout())
			}
			return found.write(cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVar(&ask.Zone, "zone", "UTC", "IANA zone of the spec, such as Europe/Berlin; unless given, that of the settings, as serve takes it [ONEBEAT_ZONE, CELERY_TIMEZONE, or the file of ONEBEAT_CONFIG]")
	cmd.Flags().StringVar(&ask.After, "from", "", "show slots after this time (default now)")
	cmd.Flags().IntVar(&ask.Count, "count", 10, "how many slots to show")
	cmd.Flags().StringVar(&ask.Dialect, "dialect", "celery", "grammar of crontab fields: celery or standard")
	cmd.Flags().StringVar(&ask.DST, "dst", "real", "what crontabs do where clocks are changed: real or celery")
	cmd.Flags().StringVar(&ask.entry, "id", "", "id of the entry, by which H, splay and jitter are spread")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().BoolVar(&batch, "batch", false, "answer the JSON lines of standard input")
	return cmd
}

// caret returns, for people, two more lines: the text and a mark below the character that is
// wrong; or nothing, where the fault lies in no one place.
func caret(err error) string {
	fault, ok := errors.AsType[*schedule.SpecError](err)
	if !ok || fault.Offset > len(fault.Text) || fault.Offset == 0 && fault.Field == "" {
		return ""
	}
	blank := func(text string) string {
		return strings.Map(func(r rune) rune {
			if unicode.IsPrint(r) {
				return r
			}
			return ' '
		}, text)
	}
	return "\n  " + blank(fault.Text) + "\n  " + strings.Repeat(" ", shownWidth(blank(fault.Text[:fault.Offset]))) + "^"
}

// A question asks for slots: the arguments of next, or a line of its batch.
type question struct {
	ID      json.RawMessage `json:"id"`
	Kind    string          `json:"kind"`
	Dialect string          `json:"dialect"`
	DST     string          `json:"dst"`

	entry string // its id, by which H is spread

	Expr        string `json:"expr"`
	Minute      *part  `json:"minute"`
	Hour        *part  `json:"hour"`
	DayOfWeek   *part  `json:"day_of_week"`
	DayOfMonth  *part  `json:"day_of_month"`
	MonthOfYear *part  `json:"month_of_year"`

	Every    float64 `json:"every"` // seconds
	Anchor   string  `json:"anchor"`
	Relative bool    `json:"relative"`
	Wall     bool    `json:"wall"`

	At string `json:"at"`

	Event string   `json:"event"`
	Lat   *float64 `json:"lat"`
	Lon   *float64 `json:"lon"`

	RRule   string `json:"rrule"`
	DTStart string `json:"dtstart"`

	Rules json.RawMessage `json:"rules"`

	Zone  string `json:"zone"`
	After string `json:"after"`
	Count int    `json:"count"`
}

// A part is the text of a crontab's field. In JSON it may be a whole number, as
// Celery takes it.
type part string

func (p *part) UnmarshalJSON(data []byte) error {
	var text string
	if json.Unmarshal(data, &text) == nil {
		*p = part(text)
		return nil
	}
	if _, err := strconv.Atoi(string(data)); err != nil {
		return fmt.Errorf("%s is no crontab field: use a string or a whole number", data)
	}
	*p = part(data)
	return nil
}

func (p *part) orStar() string {
	if p == nil {
		return "*"
	}
	return string(*p)
}

// The slots that a question found.
type slots struct {
	spec     schedule.Spec
	location *time.Location // to show them in
	after    time.Time
	next     []time.Time
}

func (q question) answer(now time.Time) (slots, error) {
	if q.Count < 1 || q.Count > maxCount {
		return slots{}, fmt.Errorf("count %d is out of range: use 1 to %d", q.Count, maxCount)
	}
	after := now
	if q.After != "" {
		var err error
		if after, err = schedule.ParseInstant(q.After, q.Zone); err != nil {
			return slots{}, err
		}
	}
	reading, err := q.reading(after)
	if err != nil {
		return slots{}, err
	}
	spec, err := q.spec(reading)
	if err == nil && len(q.Rules) > 0 && string(q.Rules) != "null" {
		spec, err = ruled(reading, q.Rules, spec)
	}
	if err != nil {
		return slots{}, err
	}
	found := slots{spec: spec, after: after}
	if zoned, ok := spec.(interface{ Location() *time.Location }); ok {
		found.location = zoned.Location() // its text may name another zone
	} else if found.location, err = schedule.Location(reading.ZoneOf(q.Expr)); err != nil {
		return slots{}, err
	}
	for slot := spec.Next(after); !slot.IsZero() && len(found.next) < q.Count; slot = spec.Next(slot) {
		found.next = append(found.next, slot)
	}
	return found, nil
}

// reading says how the question's spec is to be read.
func (q question) reading(anchor time.Time) (schedule.Reading, error) {
	r := schedule.Reading{Zone: q.Zone, Anchor: anchor, Key: q.entry}
	switch q.Dialect {
	case "", "celery":
	case "standard":
		r.Standard = true
	default:
		return r, fmt.Errorf("dialect %q is not known: use celery or standard", q.Dialect)
	}
	switch q.DST {
	case "", "real":
	case "celery":
		r.CeleryClocks = true
	default:
		return r, fmt.Errorf("dst %q is not known: use real or celery", q.DST)
	}
	return r, nil
}

func (q question) spec(reading schedule.Reading) (schedule.Spec, error) {
	switch q.Kind {
	case "crontab":
		if q.Expr != "" {
			return reading.Parse(q.Expr)
		}
		return reading.ParseFields(q.Minute.orStar(), q.Hour.orStar(), q.DayOfWeek.orStar(), q.DayOfMonth.orStar(), q.MonthOfYear.orStar())
	case "interval":
		anchor := reading.Anchor
		if q.Anchor != "" {
			var err error
			if anchor, err = schedule.ParseInstant(q.Anchor, q.Zone); err != nil {
				return nil, err
			}
		}
		const longest = float64(1<<63-1) / float64(time.Second)
		if q.Every >= longest {
			return nil, errors.New("every is too long: an interval ends at 292 years")
		}
		by := ""
		switch {
		case q.Relative && q.Wall:
			return nil, errors.New("an interval is relative or wall, not both")
		case q.Relative:
			by = "relative"
		case q.Wall:
			by = "wall"
		}
		return schedule.NewInterval(time.Duration(math.Round(q.Every*1e6))*time.Microsecond, by, q.Zone, anchor)
	case "clocked":
		at, err := schedule.ParseInstant(q.At, q.Zone)
		return schedule.NewAt(at), err
	case "solar":
		if q.Lat == nil || q.Lon == nil {
			return nil, errors.New("a solar event needs a place: give lat and lon in degrees")
		}
		return schedule.NewSolar(q.Event, *q.Lat, *q.Lon)
	case "rrule":
		start := reading.Anchor
		if q.DTStart != "" {
			var err error
			if start, err = schedule.ParseInstant(q.DTStart, q.Zone); err != nil {
				return nil, err
			}
		}
		return schedule.NewRecurrence(q.RRule, start, q.Zone)
	}
	return nil, fmt.Errorf("kind %q is not known: use crontab, interval, clocked, solar or rrule", q.Kind)
}

// ruled puts rules around a spec. An error is about the rules alone.
func ruled(reading schedule.Reading, rules json.RawMessage, spec schedule.Spec) (schedule.Spec, error) {
	text, err := json.Marshal(rules) // in one line
	if err != nil {
		return nil, err
	}
	found, err := reading.Parse("@rules " + string(text) + " " + spec.String())
	if fault, ok := errors.AsType[*schedule.SpecError](err); ok {
		return nil, errors.New(fault.Problem)
	}
	return found, err
}

// write prints slots for people: a line in words, a line for each thing that may
// surprise, then a line a slot.
func (s slots) write(out io.Writer) error {
	fmt.Fprintf(out, "%s (%s)\n", schedule.Describe(s.spec), s.location)
	for _, warning := range schedule.Lint(s.spec, s.after) {
		fmt.Fprintf(out, "warning: %s\n", warning)
	}
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	for _, slot := range s.next {
		local := slot.In(s.location)
		fmt.Fprintf(table, "%s\t%s%s\n", local.Format("Mon 2006-01-02 15:04:05.999999 -07:00"), slot.Format(time.RFC3339Nano), clockChange(local))
	}
	if len(s.next) == 0 {
		fmt.Fprintln(table, "no slot comes any more")
	}
	return table.Flush()
}

// clockChange is a column that says how the clocks are changed on the local day
// of a slot, or nothing.
func clockChange(local time.Time) string {
	year, month, day := local.Date()
	_, before := time.Date(year, month, day, 0, 0, 0, 0, local.Location()).Add(-time.Second).Zone()
	_, after := time.Date(year, month, day+1, 0, 0, 0, 0, local.Location()).Zone()
	switch minutes := (after - before) / 60; {
	case minutes > 0:
		return fmt.Sprintf("\tclocks go forward by %d minutes", minutes)
	case minutes < 0:
		return fmt.Sprintf("\tclocks go back by %d minutes", -minutes)
	}
	return ""
}

func (s slots) writeJSON(out io.Writer) error {
	return json.NewEncoder(out).Encode(struct {
		Spec        string      `json:"spec"`
		Zone        string      `json:"zone"`
		Description string      `json:"description"`
		Warnings    []string    `json:"warnings,omitempty"`
		Next        []time.Time `json:"next"`
	}{s.spec.String(), s.location.String(), schedule.Describe(s.spec), schedule.Lint(s.spec, s.after), append([]time.Time{}, s.next...)})
}

// answerAll answers a batch: a JSON line out for each in, in order. Blank lines
// are passed over.
func answerAll(in io.Reader, out io.Writer, now time.Time) error {
	const longestLine = 1 << 20
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, longestLine)
	buffered := bufio.NewWriterSize(out, 1<<16)
	encoder := json.NewEncoder(buffered)
	encoder.SetEscapeHTML(false)
	for lines.Scan() {
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 {
			continue
		}
		if err := encoder.Encode(answerLine(line, now)); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read the batch: %w", err)
	}
	return buffered.Flush()
}

// A reply is a line of a batch's answers.
type reply struct {
	ID    json.RawMessage `json:"id"`
	Next  *[]time.Time    `json:"next,omitempty"` // an empty list is an answer
	Error string          `json:"error,omitempty"`
}

func answerLine(line []byte, now time.Time) reply {
	ask := question{Count: 1}
	if err := json.Unmarshal(line, &ask); err != nil {
		return reply{ID: ask.ID, Error: fmt.Sprintf("the line is no question: %v", err)}
	}
	if ask.entry = string(ask.ID); len(ask.ID) > 0 && ask.ID[0] == '"' {
		if err := json.Unmarshal(ask.ID, &ask.entry); err != nil {
			return reply{ID: ask.ID, Error: fmt.Sprintf("the line is no question: %v", err)}
		}
	}
	found, err := ask.answer(now)
	if err != nil {
		return reply{ID: ask.ID, Error: err.Error()}
	}
	next := append([]time.Time{}, found.next...)
	return reply{ID: ask.ID, Next: &next}
}
