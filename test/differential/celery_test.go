// Package differential compares onebeat's crontabs with those of the Celery that
// is installed in the Python of ONEBEAT_TEST_PYTHON, and its recurrence rules with those of
// the dateutil that comes with it.
//
// ONEBEAT_DIFFERENTIAL says how many slots are compared, 20,000 unless it is set.
package differential

import (
	"bufio"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
)

//go:embed celery_next.py
var celeryNext string

// A python is a running script that answers questions.
type python struct {
	t       *testing.T
	in      io.WriteCloser
	out     *bufio.Reader
	version string
}

func startCelery(t *testing.T) *python {
	t.Helper()
	return startPython(t, celeryNext)
}

func startPython(t *testing.T, script string) *python {
	t.Helper()
	interpreter := os.Getenv("ONEBEAT_TEST_PYTHON")
	if interpreter == "" {
		t.Fatal("ONEBEAT_TEST_PYTHON is not set: run the tests with `make test`, or `make stack` first")
	}
	cmd := exec.CommandContext(t.Context(), interpreter, "-c", script)
	cmd.Env = append(os.Environ(), "PYTHONTZPATH=") // the zones of the package tzdata, not the machine's
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := &python{t: t, in: in, out: bufio.NewReaderSize(out, 1<<16)}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil && t.Context().Err() == nil {
			t.Errorf("the script in Python: %v", err)
		}
	})
	var hello struct{ Version string }
	c.read(&hello)
	c.version = hello.Version
	return c
}

func (c *python) read(answer any) {
	c.t.Helper()
	line, err := c.out.ReadBytes('\n')
	if err != nil {
		c.t.Fatalf("the script in Python: %v", err)
	}
	if err := json.Unmarshal(line, answer); err != nil {
		c.t.Fatalf("the script in Python said %s: %v", line, err)
	}
}

func (c *python) ask(question, answer any) {
	c.t.Helper()
	line, err := json.Marshal(question)
	if err != nil {
		c.t.Fatal(err)
	}
	if _, err := c.in.Write(append(line, '\n')); err != nil {
		c.t.Fatalf("the script in Python: %v", err)
	}
	c.read(answer)
}

// Slots are Celery's answer for one crontab.
type slots struct {
	Next  []float64 // Unix seconds
	Error string
}

func (s slots) next(i int) time.Time { return time.UnixMicro(int64(s.Next[i] * 1e6)).UTC() }

func (c *python) slots(fields []string, zone string, after []float64) slots {
	c.t.Helper()
	var answer slots
	c.ask(map[string]any{"fields": fields, "zone": zone, "after": after}, &answer)
	return answer
}

// TestZonesAreOfOneRelease holds that both sides of the comparison have the same zone data:
// release 2026f of IANA is version 2026.6 of Python's package tzdata.
func TestZonesAreOfOneRelease(t *testing.T) {
	var answer struct{ Zones string }
	startCelery(t).ask(map[string]any{"zones": true}, &answer)
	ours := schedule.ZoneDataVersion()
	if want := fmt.Sprintf("%s.%d", ours[:4], ours[4]-'a'+1); answer.Zones != want {
		t.Errorf("Python has tzdata %s, onebeat %s, which is %s there: see scripts/zones", answer.Zones, ours, want)
	}
}

// comparisons returns how many slots are to be compared.
func comparisons(t *testing.T) int {
	text := os.Getenv("ONEBEAT_DIFFERENTIAL")
	if text == "" {
		return 20_000
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("ONEBEAT_DIFFERENTIAL is %q: set it to how many slots to compare", text)
	}
	return n
}

// A fieldKind is one of a crontab's fields, in the order of its text.
type fieldKind struct {
	size, first int
	names       []string
}

var (
	months   = []string{"jan", "feb", "mar", "Apr", "MAY", "june", "jul", "aug", "sept", "oct", "nov", "december"}
	weekdays = []string{"sun", "mon", "Tue", "wednesday", "THU", "fri", "sat"}

	fieldKinds = []fieldKind{{60, 0, nil}, {24, 0, nil}, {31, 1, nil}, {12, 1, months}, {7, 0, weekdays}}
)

// crontabField makes the text of a field that Celery accepts.
func (f fieldKind) crontabField(r *rand.Rand, star float64) string {
	if r.Float64() < star {
		return "*"
	}
	value := func() string {
		if f.names != nil && r.IntN(3) == 0 {
			return f.names[r.IntN(len(f.names))]
		}
		return strconv.Itoa(f.first + r.IntN(f.size))
	}
	parts := make([]string, 1+r.IntN(1+r.IntN(3)))
	for i := range parts {
		switch r.IntN(6) {
		case 0:
			parts[i] = fmt.Sprintf("*/%d", 1+r.IntN(f.size))
		case 1:
			parts[i] = value() + "-" + value()
		case 2:
			parts[i] = fmt.Sprintf("%s-%s/%d", value(), value(), 1+r.IntN(f.size))
		default:
			parts[i] = value()
		}
	}
	return strings.Join(parts, ",")
}

// The zones of the comparison. The first never change their clocks in the years of it.
var zones = []string{
	"UTC", "Asia/Tokyo", "Asia/Kolkata", "Asia/Kathmandu", "America/Phoenix", "Africa/Lagos", "Pacific/Marquesas",
	"America/New_York", "Europe/Berlin", "Europe/Dublin", "Australia/Lord_Howe", "Pacific/Chatham", "Antarctica/Troll",
	"America/Havana", "America/Santiago", "Africa/Casablanca",
}

// TestTablesAreCelerys asks Celery for the slots that internal/schedule's tables
// say are its own.
func TestTablesAreCelerys(t *testing.T) {
	c := startCelery(t)
	for _, table := range []struct {
		name   string
		celery int // the field that has Celery's slot
	}{{"celery.txt", 3}, {"differences.txt", 4}} {
		text, err := os.ReadFile("../../internal/schedule/testdata/slots/" + table.name)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
				continue
			}
			row := strings.Split(line, "|")
			zone, after, want := strings.TrimSpace(row[0]), instant(t, row[2]), instant(t, row[table.celery])
			answer := c.slots(strings.Fields(row[1]), zone, []float64{float64(after.UnixMicro()) / 1e6})
			if answer.Error != "" || answer.next(0).Sub(want).Abs() > 10*time.Microsecond { // a float's precision
				t.Errorf("%s: %s: Celery %s gives %v %s", table.name, line, c.version, answer.Next, answer.Error)
			}
		}
	}
}

func instant(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, strings.TrimSpace(text))
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// TestSlotsAreCelerys compares the slot after random instants, for random crontabs in
// random zones. Where the answers differ, it must be for one of the reasons in
// internal/schedule/testdata/slots/differences.txt. With DST=celery they differ only where
// Celery answers with a time that has gone, or has forgotten one of the gap that the clocks just passed over.
func TestSlotsAreCelerys(t *testing.T) {
	const instants = 10
	want := comparisons(t)
	c := startCelery(t)
	r := rand.New(rand.NewPCG(5, uint64(want)))
	from, to := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).Unix(), time.Date(2037, 1, 1, 0, 0, 0, 0, time.UTC).Unix()

	var compared, refused, different, gone, forgotten int
	listed := make(map[string]int)
	for compared < want {
		anyDay := 0.4
		if r.IntN(2) == 0 {
			anyDay = 1
		}
		fields := []string{
			fieldKinds[0].crontabField(r, 0.2), fieldKinds[1].crontabField(r, 0.3), fieldKinds[2].crontabField(r, anyDay),
			fieldKinds[3].crontabField(r, anyDay), fieldKinds[4].crontabField(r, anyDay),
		}
		zone := zones[r.IntN(len(zones))]
		location, err := schedule.Location(zone)
		if err != nil {
			t.Fatal(err)
		}
		after := make([]float64, instants)
		for i := range after {
			second := from + r.Int64N(to-from)
			switch {
			case i > 0 && r.IntN(2) == 0: // close by
				second = int64(after[i-1]) + r.Int64N(4000)
			case r.IntN(3) == 0: // shortly before a change of clocks, if there is one
				if _, end := time.Unix(second, 0).In(location).ZoneBounds(); !end.IsZero() {
					second = end.Unix() - 30*60*60 + r.Int64N(36*60*60)
				}
			}
			after[i] = float64(second)
		}
		answer := c.slots(fields, zone, after)
		text := strings.Join(fields, " ")
		spec, err := schedule.ParseSpec(text, zone, time.Time{})
		if (err != nil) != (answer.Error != "") {
			t.Fatalf("%q in %s: onebeat says %v, Celery %q", text, zone, err, answer.Error)
		}
		if err != nil {
			refused++
			continue
		}
		alike, err := schedule.ParseSpec("DST=celery "+text, zone, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		for i, second := range after {
			compared++
			switch at, celerys := time.Unix(int64(second), 0), answer.next(i); {
			case !celerys.After(at):
				gone++
			case alike.Next(at).Equal(celerys):
			case inGap(at.In(location)) && inGap(alike.Next(at).In(location)):
				forgotten++
			default:
				if different++; different <= 20 {
					t.Errorf("DST=celery %q in %s after %v: %v, Celery %v", text, zone, at.In(location), alike.Next(at).In(location), celerys.In(location))
				}
			}
			at, celerys := time.Unix(int64(second), 0).In(location), answer.next(i).In(location)
			got := spec.Next(at).In(location)
			if got.Equal(celerys) {
				continue
			}
			if reason := difference(at, got, celerys); reason != "" {
				listed[reason]++
				continue
			}
			if different++; different <= 20 {
				t.Errorf("%q in %s after %v: %v, Celery %v", text, zone, at, got, celerys)
			}
		}
	}
	t.Logf("compared %d slots with Celery %s: %d differences; besides, listed ones: %v; with DST=celery %d, where Celery's answer had gone, and %d, where it had forgotten a slot of a gap; %d crontabs refused by both", compared, c.version, different, listed, gone, forgotten, refused)
}

// difference names the listed reason for which two slots after at differ, if there is one.
func difference(at, got, celerys time.Time) string {
	switch {
	case offset(got.Add(-1)) < offset(got):
		return "the first instant after a gap"
	case inGap(celerys):
		return "as long after a gap as a time lies in it"
	case celerys.After(got) && repeats(got):
		return "the second pass of a fold"
	case repeats(at) && !celerys.After(at):
		return "a slot of the first pass after an instant of the second"
	}
	return ""
}

func offset(t time.Time) int {
	_, seconds := t.Zone()
	return seconds
}

// inGap reports whether the time of t follows on a gap by less than its length, so
// that it may have been meant for a time in the gap.
func inGap(t time.Time) bool {
	start, _ := t.ZoneBounds()
	return !start.IsZero() && t.Sub(start) < time.Duration(offset(start)-offset(start.Add(-1)))*time.Second
}

// repeats reports whether the clocks showed the time of t once before.
func repeats(t time.Time) bool {
	start, _ := t.ZoneBounds()
	return !start.IsZero() && t.Sub(start) < time.Duration(offset(start.Add(-1))-offset(start))*time.Second
}

// TestFieldsAreCelerys compares what random texts mean, in each field, and which
// of them are refused.
func TestFieldsAreCelerys(t *testing.T) {
	const batch = 500
	want := comparisons(t)
	c := startCelery(t)
	r := rand.New(rand.NewPCG(7, uint64(want)))
	var compared, accepted, different int
	for compared < want {
		place := r.IntN(len(fieldKinds))
		kind := fieldKinds[place]
		texts := make([]string, batch)
		for i := range texts {
			texts[i] = kind.anyText(r)
		}
		var answer struct{ Sets [][]int }
		c.ask(map[string]any{"texts": texts, "size": kind.size, "first": kind.first}, &answer)
		for i, text := range texts {
			compared++
			got := meaning(place, text)
			if got != nil {
				accepted++
			}
			if !slices.Equal(got, answer.Sets[i]) || (got == nil) != (answer.Sets[i] == nil) {
				if different++; different <= 20 {
					t.Errorf("field %d %q = %v, Celery %v", place, text, got, answer.Sets[i])
				}
			}
		}
	}
	t.Logf("compared %d texts of fields with Celery %s: %d differences; %d were accepted", compared, c.version, different, accepted)
}

// anyText makes a text that is often nearly, and sometimes quite, what Celery accepts.
func (f fieldKind) anyText(r *rand.Rand) string {
	text := []rune(f.crontabField(r, 0.05))
	pieces := []string{
		"*", "/", "-", ",", " ", "\t", "\n", "_", "+", "#", "?", "L", "W", "H", ".", "@", "0", "1", "5", "7", "12", "31", "60", "99",
		"jan", "MAR", "may", "mon", "sun", "ſun", "Friday", "x", "é", "٣", "５", "½", "²", "\u00a0", "\u0130", "99999999999999999999", "*/", "-0", "1-5/2",
	}
	for range r.IntN(4) {
		at := r.IntN(len(text) + 1)
		switch r.IntN(3) {
		case 0:
			if at < len(text) {
				text = slices.Delete(text, at, at+1)
			}
		default:
			text = slices.Insert(text, at, []rune(pieces[r.IntN(len(pieces))])...)
		}
	}
	return string(text)
}

// meaning returns the values of a field, seen from the slots that it gives, or nil
// if it is refused.
func meaning(place int, text string) []int {
	fields := [5]string{"0", "0", "*", "*", "*"}
	fields[place] = text
	from, until := time.Date(2023, 1, 1, 0, 0, 0, 0, time.UTC), [5]time.Duration{time.Hour, 24 * time.Hour, 31 * 24 * time.Hour, 365 * 24 * time.Hour, 7 * 24 * time.Hour}
	if place == 3 {
		fields[2] = "1"
	}
	spec, err := schedule.ParseCrontabFields(fields[0], fields[1], fields[4], fields[2], fields[3], "")
	if err != nil {
		return nil
	}
	values := []int{}
	for slot := spec.Next(from.Add(-1)); slot.Before(from.Add(until[place])); slot = spec.Next(slot) {
		values = append(values, [5]int{slot.Minute(), slot.Hour(), slot.Day(), int(slot.Month()), int(slot.Weekday())}[place])
	}
	slices.Sort(values)
	return values
}

// TestCharactersArePythons compares every character that Python's Unicode knows, as
// part of a word, as a digit and as a blank.
func TestCharactersArePythons(t *testing.T) {
	c := startCelery(t)
	var answer struct{ Classes string }
	c.ask(map[string]any{"characters": true}, &answer)
	var compared, different int
	for code, class := range []byte(answer.Classes) {
		if class == 'n' {
			continue
		}
		compared++
		if got := classOf(rune(code)); got != class {
			if different++; different <= 20 {
				t.Errorf("U+%04X is %c, in Python %c", code, got, class)
			}
		}
	}
	t.Logf("compared %d characters with Python: %d differences", compared, different)
}

// classOf finds a character's class, as celery_next.py names them, by what a minute
// field makes of it.
func classOf(character rune) byte {
	text := string(character)
	first := func(text string) int {
		if values := meaning(0, text); len(values) > 0 {
			return values[0]
		}
		return -1
	}
	if number := first(text); number >= 0 && text != "*" {
		return byte('0' + number)
	}
	switch {
	case text == "," || text == "/": // these have a meaning after a range
		return '-'
	case first(text+"5"+text) == 5:
		return 's'
	case first("1-2"+text) == -1: // the end of the range is another word
		return 'w'
	}
	return '-'
}
