package schedule

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A SpecError says what is wrong with the text of a spec, and what would be right.
type SpecError struct {
	Text    string // the whole text
	Offset  int    // the byte of Text where the fault begins
	Field   string // "minute", "hour", ...; empty if the fault lies in no one field
	Problem string // one line
}

func (e *SpecError) Error() string {
	if e.Offset == 0 || e.Offset > len(e.Text) {
		return e.Problem
	}
	return fmt.Sprintf("%s (at character %d of %.200q)", e.Problem, utf8.RuneCountInString(e.Text[:e.Offset])+1, e.Text)
}

// StandardHint is how a text is told to be of the standard dialect, as errors say it
// that would be none there.
const StandardHint = "@standard before the fields"

// A field is one of a crontab's five.
type field struct {
	name        string
	first, last int
}

var (
	minuteField     = field{"minute", 0, 59}
	hourField       = field{"hour", 0, 23}
	dayOfMonthField = field{"day of month", 1, 31}
	monthField      = field{"month", 1, 12}
	dayOfWeekField  = field{"day of week", 0, 6}
)

// crontabFields are the fields in the order of a crontab's text.
var crontabFields = [5]field{minuteField, hourField, dayOfMonthField, monthField, dayOfWeekField}

// A fieldSet is what a field was understood as.
type fieldSet struct {
	values uint64 // bit n stands for the value n
	star   bool   // a part begins with "*"
	text   string // the field again, as plainly as can be
}

// parse reads a field as crontab_parser does (celery/schedules.py, 5.7):
//
//	field := part ("," part)*
//	part  := word "-" word "/" step | word "-" word | "*/" step | "*" | value
//
// The forms are tried in this order and each has only to match the beginning of
// the part: what follows is passed over, as in "1-5-9". A value is a number as
// Python's int reads it or else a name, of which three letters count: that of a
// month, or else that of a day, in any field. A range whose end is lower wraps round,
// and a step takes every n-th value of the list that comes before it.
//
// A SpecError's offset counts from the beginning of text.
func (f field) parse(text string) (fieldSet, *SpecError) {
	var set fieldSet
	var parts []string
	offset := 0
	for part := range strings.SplitSeq(text, ",") {
		values, plain, problem := f.parsePart(part)
		if problem != "" {
			return fieldSet{}, &SpecError{Text: text, Offset: offset, Field: f.name, Problem: problem}
		}
		set.values |= values
		set.star = set.star || plain[0] == '*'
		parts = append(parts, plain)
		offset += len(part) + 1
	}
	set.text = strings.Join(parts, ",")
	return set, nil
}

// parsePart returns the values of one part, and the part again with numbers for
// words and without what is passed over.
func (f field) parsePart(part string) (values uint64, plain, problem string) {
	if part == "" {
		return 0, "", f.name + " has an empty part: remove the comma, or write * for every " + f.name
	}
	if part == "*" || part == "*\n" {
		return f.sequence(f.first, f.last, 1), "*", ""
	}
	if rest, ok := strings.CutPrefix(part, "*/"); ok {
		step, problem := f.step(rest)
		if problem != "" {
			return 0, "", problem
		}
		return f.sequence(f.first, f.last, step), "*/" + strconv.Itoa(step), ""
	}
	word, rest := cutWord(part)
	if word == "" || !strings.HasPrefix(rest, "-") {
		return f.single(part)
	}
	end, rest := cutWord(rest[1:])
	if end == "" {
		return f.single(part)
	}
	from, problem := f.value(word)
	if problem != "" {
		return 0, "", problem
	}
	to, problem := f.value(end)
	if problem != "" {
		return 0, "", problem
	}
	plain = fmt.Sprintf("%d-%d", from, to)
	step := 1
	if stepText, ok := strings.CutPrefix(rest, "/"); ok {
		if step, problem = f.step(stepText); problem != "" {
			return 0, "", problem
		}
		plain += "/" + strconv.Itoa(step)
	}
	return f.sequence(from, to, step), plain, ""
}

// sequence returns every step-th value from one to another, round the field's end.
func (f field) sequence(from, to, step int) (values uint64) {
	size := f.last - f.first + 1
	count := to - from + 1
	if count <= 0 {
		count += size
	}
	for i := 0; i < count; i += step {
		values |= 1 << (f.first + (from-f.first+i)%size)
	}
	return values
}

func (f field) single(part string) (values uint64, plain, problem string) {
	value, problem := f.value(part)
	if problem != "" {
		if before, step, ok := strings.Cut(part, "/"); ok {
			if _, bad := f.value(before); bad == "" {
				problem = fmt.Sprintf("%s %.40q has a step, which Celery takes only after * or a range: write %.40s-%d/%.40s", f.name, part, before, f.last, step)
			}
		}
		return 0, "", problem
	}
	return 1 << value, strconv.Itoa(value), ""
}

// step reads the word at the beginning of text as a step. Steps longer than any
// field are all alike: they take the first value only.
func (f field) step(text string) (step int, problem string) {
	word, _ := cutWord(text)
	if word == "" {
		return 0, f.name + " has an empty step: write a number after the /"
	}
	step, ok := parseInt(word)
	switch {
	case !ok:
		return 0, fmt.Sprintf("%s step %.40q is not a number", f.name, word)
	case step == 0:
		return 0, f.name + " step 0 leads nowhere: use 1 or more"
	}
	return step, ""
}

// value reads the whole of text as a number or a name.
func (f field) value(text string) (value int, problem string) {
	if strings.HasPrefix(text, "-") {
		return 0, fmt.Sprintf("%s %.40q is negative: use %d to %d", f.name, text, f.first, f.last)
	}
	value, ok := parseInt(text)
	if !ok {
		value, ok = parseName(text)
	}
	switch {
	case !ok:
		return 0, fmt.Sprintf("%s %.40q is nothing that Celery knows: use %d to %d, *, */2, 1-5 or 1-5/2, or several with commas", f.name, text, f.first, f.last)
	case f == dayOfWeekField && value == 7:
		return 0, "day of week 7 is not a day for Celery: use 0 for Sunday, or " + StandardHint
	case value < f.first:
		return 0, fmt.Sprintf("%s %.40s is too low: use %d to %d", f.name, text, f.first, f.last)
	case value > f.last:
		return 0, fmt.Sprintf("%s %.40s is too high: use %d to %d", f.name, text, f.first, f.last)
	}
	return value, ""
}

// parseName reads a name by its first three letters, in any case, a month before
// a day: celery/utils/time.py, yearmonth and weekday.
func parseName(text string) (value int, ok bool) {
	if len(text) < 3 {
		return 0, false
	}
	letters := []byte(text[:3])
	for i, b := range letters {
		if 'A' <= b && b <= 'Z' {
			letters[i] += 'a' - 'A'
		}
	}
	const months, days = "janfebmaraprmayjunjulaugsepoctnovdec", "sunmontuewedthufrisat"
	for i := 0; i < len(months); i += 3 {
		if string(letters) == months[i:i+3] {
			return i/3 + 1, true
		}
	}
	for i := 0; i < len(days); i += 3 {
		if string(letters) == days[i:i+3] {
			return i / 3, true
		}
	}
	return 0, false
}

// tooMuch stands for every number that is higher than any field's values.
const tooMuch = 1000

// parseInt reads a number as Python's int does: blanks around it, a sign,
// leading zeros, single underscores between digits, and the decimal digits of any
// script. Numbers beyond tooMuch come out as tooMuch, with their sign.
func parseInt(text string) (number int, ok bool) {
	text = strings.TrimSpace(text)
	negative := strings.HasPrefix(text, "-")
	if negative || strings.HasPrefix(text, "+") {
		text = text[1:]
	}
	// sys.int_info.default_max_str_digits: Python refuses longer ones.
	const maxDigits = 4300
	digits, afterDigit := 0, false
	for _, r := range text {
		if r == '_' && afterDigit {
			afterDigit = false
			continue
		}
		digit := digitValue(r)
		if digit < 0 || digits == maxDigits {
			return 0, false
		}
		digits++
		afterDigit = true
		number = min(number*10+digit, tooMuch)
	}
	if negative {
		number = -number
	}
	return number, afterDigit
}

// digitValue returns the value of a decimal digit of any script, or -1.
func digitValue(r rune) int {
	if '0' <= r && r <= '9' {
		return int(r - '0')
	}
	if r < utf8.RuneSelf {
		return -1
	}
	// Decimal digits come in runs of ten, in order (Unicode, chapter 4.6).
	for _, run := range unicode.Nd.R16 {
		if rune(run.Lo) <= r && r <= rune(run.Hi) {
			return int(r-rune(run.Lo)) % 10
		}
	}
	for _, run := range unicode.Nd.R32 {
		if rune(run.Lo) <= r && r <= rune(run.Hi) {
			return int(r-rune(run.Lo)) % 10
		}
	}
	return -1
}

// cutWord cuts off the beginning of text that the \w of Python's re matches.
func cutWord(text string) (word, rest string) {
	i := strings.IndexFunc(text, func(r rune) bool {
		return r != '_' && !unicode.IsLetter(r) && !unicode.IsNumber(r) || r == utf8.RuneError
	})
	if i < 0 {
		return text, ""
	}
	return text[:i], text[i:]
}

// newCrontab makes a crontab of its fields, which stand in the order of
// crontabFields. The errors' texts and offsets are those of the field at fault.
func newCrontab(texts [5]string, z *zone, celeryClocks bool) (*Crontab, *SpecError) {
	var sets [5]fieldSet
	for i, f := range crontabFields {
		var fault *SpecError
		if sets[i], fault = f.parse(texts[i]); fault != nil {
			return nil, fault
		}
	}
	c := &Crontab{
		seconds:     1 << 0,
		minutes:     sets[0].values,
		hours:       uint32(sets[1].values),
		daysOfMonth: uint32(sets[2].values),
		months:      uint16(sets[3].values),
		daysOfWeek:  uint8(sets[4].values),
		subDaily:    sets[1].star || sets[1].values == everyHour,

		celeryClocks: celeryClocks,
		zone:         z,
	}
	if !c.comes() {
		return nil, &SpecError{
			Text: texts[2], Field: dayOfMonthField.name,
			Problem: fmt.Sprintf("day of month %s never comes in month %s: choose a day or a month that exists", sets[2].text, sets[3].text),
		}
	}
	c.text = c.prefix() + strings.Join([]string{sets[0].text, sets[1].text, sets[2].text, sets[3].text, sets[4].text}, " ")
	return c, nil
}
