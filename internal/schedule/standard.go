package schedule

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// The fields of the standard dialect differ from Celery's in their grammar; one of
// seconds may come before them.
var (
	secondField    = field{"second", 0, 59}
	standardFields = [6]field{secondField, minuteField, hourField, dayOfMonthField, monthField, dayOfWeekField}
)

// shorthands are the names of the standard dialect for whole crontabs.
var shorthands = map[string]string{
	"@hourly": "0 * * * *", "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@weekly": "0 0 * * 0",
	"@monthly": "0 0 1 * *", "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *",
}

// A standardSet is what a field of the standard dialect was understood as.
type standardSet struct {
	fieldSet
	any   bool // a part is "*", "?" or "*/1": the field restricts nothing
	rules dayRules
}

// parseStandard reads the five or six fields of the standard dialect, or one of its
// shorthands. Key is what H is spread by.
func parseStandard(text, key string, z *zone, celeryClocks bool) (*Crontab, *SpecError) {
	whole := text
	if fields, ok := shorthands[strings.ToLower(text)]; ok {
		text = fields
	}
	texts := strings.Fields(text)
	if len(texts) != 5 && len(texts) != 6 {
		return nil, &SpecError{Text: whole, Problem: fmt.Sprintf("a standard crontab has five fields (minute, hour, day of month, month, day of week), or six with seconds first, not %d", len(texts))}
	}
	var sets [6]standardSet
	sets[0] = standardSet{fieldSet: fieldSet{values: 1, text: "0"}}
	offset := 0
	for i, word := range texts {
		place := i + len(sets) - len(texts)
		offset += strings.Index(text[offset:], word)
		var fault *SpecError
		if sets[place], fault = (standardField{standardFields[place], key}).parse(word); fault != nil {
			return nil, within(fault, text, offset).(*SpecError)
		}
		offset += len(word)
	}
	c := &Crontab{
		seconds:     sets[0].values,
		minutes:     sets[1].values,
		hours:       uint32(sets[2].values),
		daysOfMonth: uint32(sets[3].values),
		months:      uint16(sets[4].values),
		daysOfWeek:  uint8(sets[5].values),
		subDaily:    sets[2].star || sets[2].values == everyHour,

		celeryClocks: celeryClocks,
		zone:         z,
	}
	rules := dayRules{
		either: !sets[3].any && !sets[5].any,
		last:   sets[3].rules.last, workday: sets[3].rules.workday,
		nth: sets[5].rules.nth, lastOf: sets[5].rules.lastOf,
	}
	if rules != (dayRules{}) {
		c.rules = &rules
	}
	if !c.comes() {
		return nil, &SpecError{Text: whole, Problem: fmt.Sprintf("day of month %s never comes in month %s: choose a day or a month that exists", sets[3].text, sets[4].text)}
	}
	var plain []string
	for i, set := range sets {
		if i > 0 || set.values != 1 {
			plain = append(plain, set.text)
		}
	}
	c.text = c.prefix() + "@standard " + strings.Join(plain, " ")
	return c, nil
}

// A standardField reads a field of the standard dialect.
type standardField struct {
	field
	key string
}

// parse reads a field:
//
//	field := part ("," part)*
//	part  := range ["/" step] | value | "?"
//	range := "*" | value "-" value | value (with a step: from there to the end) | "H" | "H(" value "-" value ")"
//
// A value is a number or an English name, whole or of three letters; 7 is Sunday.
// A range whose end is lower wraps round, as in Celery's. "?" is "*", in the day fields only. "H" is one
// value, or with a step the first of several, that differs from key to key.
//
// Days of the month may also be "L" (the last), "L-3" (three days before it), "15W" (the weekday
// nearest to the 15th, in the same month) and "LW" (the last weekday); days of the week
// "5L" or "friL" (the last Friday of the month) and "fri#2" (the second).
func (f standardField) parse(text string) (standardSet, *SpecError) {
	var set standardSet
	var plain []string
	offset := 0
	for part := range strings.SplitSeq(text, ",") {
		again, problem := f.parsePart(part, &set)
		if problem != "" {
			return standardSet{}, &SpecError{Text: text, Offset: offset, Field: f.name, Problem: problem}
		}
		plain = append(plain, again)
		offset += len(part) + 1
	}
	set.text = strings.Join(plain, ",")
	return set, nil
}

// parsePart adds a part to a set and returns the part again, plainly.
func (f standardField) parsePart(part string, set *standardSet) (plain, problem string) {
	if part == "" {
		return "", f.name + " has an empty part: remove the comma, or write * for every " + f.name
	}
	part = strings.ToUpper(part)
	if part == "?" && f.isDay() {
		part = "*"
	}
	plain, problem, ok := f.parseDayRule(part, &set.rules)
	if ok || problem != "" {
		return plain, problem
	}
	text, stepText, stepped := strings.Cut(part, "/")
	step := 1
	if stepped {
		if step, problem = f.step(stepText); problem != "" {
			return "", problem
		}
	}
	var from int
	to := f.last
	switch {
	case text == "*":
		set.star = true
		set.any = set.any || step == 1
		set.values |= f.sequence(f.first, f.last, step)
		if step == 1 {
			return "*", ""
		}
		return "*/" + strconv.Itoa(step), ""
	case strings.HasPrefix(text, "H"):
		if from, to, problem = f.spread(text, step, stepped); problem != "" {
			return "", problem
		}
	default:
		first, last, isRange := strings.Cut(text, "-")
		if from, problem = f.value(first); problem != "" {
			return "", problem
		}
		switch {
		case isRange:
			if to, problem = f.value(last); problem != "" {
				return "", problem
			}
		case !stepped:
			to = from
		}
	}
	if f.field == dayOfWeekField {
		// Sunday ends a range as 7; else it is 0.
		if from == 7 {
			from, to = 0, to%7
		}
	}
	if to > f.last {
		set.values |= f.weekTo7(from, step)
	} else {
		set.values |= f.sequence(from, to, step)
	}
	switch {
	case from == to:
		return strconv.Itoa(from), ""
	case step == 1:
		return fmt.Sprintf("%d-%d", from, to), ""
	}
	return fmt.Sprintf("%d-%d/%d", from, to, step), ""
}

// weekTo7 returns every step-th day of the week from one to the Sunday after it.
func (f standardField) weekTo7(from, step int) (values uint64) {
	for day := from; day <= 7; day += step {
		values |= 1 << (day % 7)
	}
	return values
}

func (f standardField) isDay() bool { return f.field == dayOfMonthField || f.field == dayOfWeekField }

// parseDayRule reads a part that is a rule of a day field.
func (f standardField) parseDayRule(part string, rules *dayRules) (plain, problem string, ok bool) {
	switch f.field {
	case dayOfMonthField:
		before, isLast := strings.CutPrefix(part, "L-")
		day, isWorkday := strings.CutSuffix(part, "W")
		switch {
		case part == "L":
			rules.last |= 1
		case part == "LW":
			rules.workday |= 1
		case isLast:
			n, err := strconv.Atoi(before)
			if err != nil || n < 1 || n > 30 {
				return "", fmt.Sprintf("day of month %.40q is not a day: write L-1 to L-30, days before the last of the month", part), false
			}
			rules.last |= 1 << n
			return "L-" + strconv.Itoa(n), "", true
		case isWorkday:
			n, problem := f.value(day)
			if problem != "" {
				return "", fmt.Sprintf("day of month %.40q is not a day: write 1W to 31W for the nearest weekday, or LW for the last", part), false
			}
			rules.workday |= 1 << n
			return strconv.Itoa(n) + "W", "", true
		default:
			return "", "", false
		}
		return part, "", true
	case dayOfWeekField:
		if part == "L" {
			return "", "day of week L is not a day: write 5L for the last Friday of the month, or 6 for Saturday", false
		}
		if day, order, isNth := strings.Cut(part, "#"); isNth {
			d, problem := f.value(day)
			if problem != "" {
				return "", problem, false
			}
			if len(order) != 1 || order[0] < '1' || order[0] > '5' {
				return "", fmt.Sprintf("day of week %.40q is not a day: write #1 to #5 for the first to the fifth of the month", part), false
			}
			rules.nth[order[0]-'1'] |= 1 << (d % 7)
			return strconv.Itoa(d%7) + "#" + order, "", true
		}
		if day, isLast := strings.CutSuffix(part, "L"); isLast {
			if d, problem := f.value(day); problem == "" {
				rules.lastOf |= 1 << (d % 7)
				return strconv.Itoa(d%7) + "L", "", true
			}
		}
	}
	return "", "", false
}

// spread reads an H, with a range in parentheses or without, as the values from
// one to another: the first is drawn from the range, or with a step from its first step.
func (f standardField) spread(text string, step int, stepped bool) (from, to int, problem string) {
	first, last := f.first, f.last
	if f.field == dayOfMonthField {
		last = 28 // which every month has
	}
	if text != "H" {
		inner, opened := strings.CutPrefix(text, "H(")
		inner, closed := strings.CutSuffix(inner, ")")
		low, high, isRange := strings.Cut(inner, "-")
		if !opened || !closed || !isRange {
			return 0, 0, fmt.Sprintf("%s %.40q is not a range: write H, or H(%d-%d) for one of them", f.name, text, first, last)
		}
		if first, problem = f.value(low); problem != "" {
			return 0, 0, problem
		}
		if last, problem = f.value(high); problem != "" {
			return 0, 0, problem
		}
		if first > last {
			return 0, 0, fmt.Sprintf("%s %.40q ends before it begins: write H(%d-%d)", f.name, text, last, first)
		}
	}
	if f.key == "" {
		return 0, 0, f.name + " H is spread by an entry's id, and there is none here: name one, or write a number"
	}
	choices := last - first + 1
	if stepped {
		choices = min(choices, step)
	}
	sum := sha256.Sum256([]byte(f.name + "\x00" + f.key))
	from = first + int(binary.BigEndian.Uint64(sum[:8])%uint64(choices))
	if stepped {
		return from, last, ""
	}
	return from, from, ""
}

// step reads the whole of text as a step.
func (f standardField) step(text string) (step int, problem string) {
	step, ok := digits(text)
	switch {
	case !ok:
		return 0, fmt.Sprintf("%s step %.40q is not a number: write a number after the /", f.name, text)
	case step == 0:
		return 0, f.name + " step 0 leads nowhere: use 1 or more"
	}
	return step, ""
}

// value reads the whole of text as a number or a name. Sunday may be 7.
func (f standardField) value(text string) (value int, problem string) {
	last := f.last
	if f.field == dayOfWeekField {
		last = 7
	}
	value, ok := digits(text)
	if !ok {
		value, ok = f.named(text)
	}
	switch {
	case !ok:
		return 0, f.unknown(text)
	case value < f.first:
		return 0, fmt.Sprintf("%s %.40s is too low: use %d to %d", f.name, text, f.first, last)
	case value > last:
		return 0, fmt.Sprintf("%s %.40s is too high: use %d to %d", f.name, text, f.first, last)
	}
	return value, ""
}

func (f standardField) unknown(text string) string {
	switch f.field {
	case dayOfMonthField:
		return fmt.Sprintf("day of month %.40q is not a day: use 1 to 31, *, */2, 1-5, 5/10, L, L-3, LW, 15W or H, or several with commas", text)
	case dayOfWeekField:
		return fmt.Sprintf("day of week %.40q is not a day: use 0 to 7 (0 and 7 are Sunday), sun to sat, *, 1-5, 5L, fri#2 or H, or several with commas", text)
	case monthField:
		return fmt.Sprintf("month %.40q is not a month: use 1 to 12, jan to dec, *, */3, 1-5 or H, or several with commas", text)
	}
	return fmt.Sprintf("%s %.40q is not understood: use %d to %d, *, */5, 1-5, 1-5/2, 5/15 or H, or several with commas", f.name, text, f.first, f.last)
}

// named reads an English name of the field's own values, whole or of three letters.
func (f standardField) named(text string) (value int, ok bool) {
	if f.field != monthField && f.field != dayOfWeekField {
		return 0, false
	}
	for value := f.first; value <= f.last; value++ {
		name := time.Weekday(value).String()
		if f.field == monthField {
			name = time.Month(value).String()
		}
		if strings.EqualFold(text, name) || strings.EqualFold(text, name[:3]) {
			return value, true
		}
	}
	return 0, false
}

// digits reads a number of ASCII digits and nothing else. Numbers beyond tooMuch
// come out as tooMuch.
func digits(text string) (number int, ok bool) {
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return 0, false
		}
		number = min(number*10+int(text[i]-'0'), tooMuch)
	}
	return number, text != ""
}
