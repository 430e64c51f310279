package schedule

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/teambition/rrule-go"
)

// The bounds of what a rule may ask for, so that no slot takes long to find.
const (
	maxRuleCount    = 10_000
	maxRuleInterval = 1_000_000
	maxTimesOfDay   = 24 * 60
)

// localLayout is a local time in iCalendar.
const localLayout = "20060102T150405"

// NewRecurrence reads recurrence rules that are not in one text with their start: rules
// are as ParseSpec reads them after @rrule, without a DTSTART. Start is where they begin.
func NewRecurrence(rules string, start time.Time, zone string) (*Recurrence, error) {
	z, err := loadZone(zone)
	if err != nil {
		return nil, err
	}
	return parseRecurrence(rules, z, start)
}

// parseRecurrence reads what follows "@rrule": properties of iCalendar, parted by
// blanks or line ends. "RRULE:" may be left out.
func parseRecurrence(text string, z *zone, anchor time.Time) (*Recurrence, error) {
	r := &Recurrence{zone: z}
	started := false
	var parts []string // of RRULEs, with their places
	var places []int
	var dates, without []property
	offset := 0
	for word := range strings.FieldsSeq(text) {
		offset += strings.Index(text[offset:], word)
		p, err := parseProperty(word, z)
		if err == nil {
			switch p.name {
			case "RRULE":
				parts, places = append(parts, p.value), append(places, offset+len(word)-len(p.value))
			case "DTSTART":
				if started {
					err = p.fault("there are two DTSTARTs: leave one out")
					break
				}
				started = true
				r.zone = p.zone
				var at []stamp
				if at, err = p.stamps(); err == nil && len(at) != 1 {
					err = p.fault("DTSTART is one time, as in DTSTART:20261124T090000")
				} else if err == nil {
					r.start = at[0].local
				}
			case "RDATE":
				dates = append(dates, p)
			case "EXDATE":
				without = append(without, p)
			default:
				err = p.fault(fmt.Sprintf("%.40q is no property that is known: use RRULE, DTSTART, RDATE or EXDATE", p.name))
			}
		}
		if err != nil {
			return nil, within(err, text, offset)
		}
		offset += len(word)
	}
	if !started {
		if anchor.IsZero() {
			anchor = time.Unix(0, 0)
		}
		s, _ := z.find(anchor.Unix())
		r.start = anchor.Unix() + s.offset
	}
	for i, part := range parts {
		rule, fault := r.parseRule(strings.ToUpper(part))
		if fault != nil {
			return nil, within(fault, text, places[i])
		}
		r.rules = append(r.rules, rule)
	}
	if err := r.addDates(dates, without); err != nil {
		return nil, err
	}
	if r.Next(time.Unix(firstSecond, 0)).IsZero() {
		return nil, &SpecError{Text: text, Problem: "the rules give no slot at all: write one such as FREQ=WEEKLY;BYDAY=MO DTSTART:20261124T090000"}
	}
	r.text = r.format()
	return r, nil
}

// addDates takes in RDATE and EXDATE, whose times without a zone are by r's.
func (r *Recurrence) addDates(dates, without []property) error {
	for _, p := range slices.Concat(dates, without) {
		if !p.zoned {
			p.zone = r.zone
		}
		at, err := p.stamps()
		if err != nil {
			return err
		}
		for _, s := range at {
			switch {
			case p.name == "RDATE":
				r.dates = append(r.dates, s.second)
			case s.isDate:
				r.daysOff = append(r.daysOff, floorDiv(s.local, daySeconds))
			default:
				r.without = append(r.without, s.second)
			}
		}
	}
	for _, set := range []*[]int64{&r.dates, &r.without, &r.daysOff} {
		slices.Sort(*set)
		*set = slices.Compact(*set)
	}
	return nil
}

// format returns the recurrence as ParseSpec reads it, whatever the zone there.
func (r *Recurrence) format() string {
	words := []string{"@rrule", "DTSTART;TZID=" + r.zone.name + ":" + time.Unix(r.start, 0).UTC().Format(localLayout)}
	for _, rule := range r.rules {
		words = append(words, "RRULE:"+rule.text)
	}
	list := func(name, layout string, unit int64, values []int64) {
		var texts []string
		for _, value := range values {
			texts = append(texts, time.Unix(value*unit, 0).UTC().Format(layout))
		}
		if len(texts) > 0 {
			words = append(words, name+strings.Join(texts, ","))
		}
	}
	list("RDATE:", localLayout+"Z", 1, r.dates)
	list("EXDATE:", localLayout+"Z", 1, r.without)
	list("EXDATE;VALUE=DATE:", "20060102", daySeconds, r.daysOff)
	return strings.Join(words, " ")
}

// words says when the recurrence has slots: the rules' periods in words, their parts as
// they are.
func (r *Recurrence) words() string {
	units := map[rrule.Frequency]string{
		rrule.YEARLY: "year", rrule.MONTHLY: "month", rrule.WEEKLY: "week", rrule.DAILY: "day",
		rrule.HOURLY: "hour", rrule.MINUTELY: "minute", rrule.SECONDLY: "second",
	}
	var all []string
	for _, rule := range r.rules {
		words := everyFew(int64(max(rule.option.Interval, 1)), units[rule.option.Freq])
		var parts []string
		for part := range strings.SplitSeq(rule.text, ";") {
			if name, _, _ := strings.Cut(part, "="); part != "" && name != "FREQ" && name != "INTERVAL" {
				parts = append(parts, part)
			}
		}
		if len(parts) > 0 {
			words += " with " + join(parts)
		}
		all = append(all, words)
	}
	if n := len(r.dates); n > 0 {
		all = append(all, "on "+Counted(n, "given date"))
	}
	words := join(all) + " from " + time.Unix(r.start, 0).UTC().Format("2006-01-02 15:04:05")
	if n := len(r.without) + len(r.daysOff); n > 0 {
		words += ", without " + Counted(n, "given date")
	}
	return words
}

// A property is a line of iCalendar.
type property struct {
	text        string
	name, value string
	zone        *zone
	zoned       bool // by a TZID of its own
}

func (p property) fault(problem string) error { return &SpecError{Text: p.text, Problem: problem} }

// parseProperty parts a line into its name, parameters and value. A line without a name
// is an RRULE. Z is the zone where it names none.
func parseProperty(text string, z *zone) (property, error) {
	p := property{text: text, zone: z}
	head, value, ok := strings.Cut(text, ":")
	if !ok {
		p.name, p.value = "RRULE", text
		return p, nil
	}
	name, parameters, _ := strings.Cut(head, ";")
	p.name, p.value = strings.ToUpper(name), value
	for parameter := range strings.SplitSeq(parameters, ";") {
		key, value, _ := strings.Cut(parameter, "=")
		switch strings.ToUpper(key) {
		case "", "VALUE":
		case "TZID":
			named, err := loadZone(value)
			if err != nil {
				return p, p.fault(err.Error())
			}
			p.zone, p.zoned = named, true
		default:
			return p, p.fault(fmt.Sprintf("%.40q is no parameter that is known: use TZID or VALUE", key))
		}
	}
	return p, nil
}

// A stamp is a time of iCalendar.
type stamp struct {
	local  int64 // local second
	second int64 // Unix second
	isDate bool  // a whole day
}

// stamps reads a property's value as times, parted by commas.
func (p property) stamps() ([]stamp, error) {
	var all []stamp
	for text := range strings.SplitSeq(p.value, ",") {
		s, ok := parseStamp(text, p.zone)
		if !ok {
			return nil, p.fault(fmt.Sprintf("%.40q is not a time of iCalendar: write it as 20261124T090000, or with a Z for UTC", text))
		}
		all = append(all, s)
	}
	return all, nil
}

func parseStamp(text string, z *zone) (s stamp, ok bool) {
	if t, err := time.Parse(localLayout+"Z", text); err == nil {
		span, _ := z.find(t.Unix())
		return stamp{local: t.Unix() + span.offset, second: t.Unix()}, true
	}
	if t, err := time.Parse(localLayout, text); err == nil {
		return stamp{local: t.Unix(), second: z.instant(t.Unix())}, true
	}
	if t, err := time.Parse("20060102", text); err == nil {
		return stamp{local: t.Unix(), second: z.instant(t.Unix()), isDate: true}, true
	}
	return stamp{}, false
}

var frequencies = map[string]rrule.Frequency{
	"YEARLY": rrule.YEARLY, "MONTHLY": rrule.MONTHLY, "WEEKLY": rrule.WEEKLY, "DAILY": rrule.DAILY,
	"HOURLY": rrule.HOURLY, "MINUTELY": rrule.MINUTELY, "SECONDLY": rrule.SECONDLY,
}

var ruleDays = []struct {
	name string
	day  rrule.Weekday
}{{"MO", rrule.MO}, {"TU", rrule.TU}, {"WE", rrule.WE}, {"TH", rrule.TH}, {"FR", rrule.FR}, {"SA", rrule.SA}, {"SU", rrule.SU}}

// parseRule reads an RRULE's value, which is in upper case. A SpecError's offset counts from its
// beginning.
func (r *Recurrence) parseRule(text string) (rule, *SpecError) {
	made := rule{text: text, lastLocal: never, lastSlot: never}
	option := &made.option
	option.Dtstart, option.Interval, option.Freq = time.Unix(r.start, 0).UTC(), 1, -1
	count := 0
	offset := 0
	seen := make(map[string]bool)
	for part := range strings.SplitSeq(text, ";") {
		name, value, _ := strings.Cut(part, "=")
		problem := ""
		numbers := func(low, high int, negative bool) []int {
			var all []int
			for item := range strings.SplitSeq(value, ",") {
				n, err := strconv.Atoi(item)
				if size := max(n, -n); err != nil || size < low || size > high || n < 0 && !negative {
					problem = fmt.Sprintf("%s %.40q is out of range: use %d to %d", name, item, low, high)
					if negative {
						problem += fmt.Sprintf(", or -%d to -%d from the end", high, low)
					}
					return nil
				}
				all = append(all, n)
			}
			slices.Sort(all)
			return slices.Compact(all)
		}
		switch {
		case seen[name]:
			problem = name + " is there twice: leave one out"
		case name == "FREQ":
			var ok bool
			if option.Freq, ok = frequencies[value]; !ok {
				problem = fmt.Sprintf("FREQ %.40q is not known: use YEARLY, MONTHLY, WEEKLY, DAILY, HOURLY, MINUTELY or SECONDLY", value)
			}
		case name == "INTERVAL":
			if n := numbers(1, maxRuleInterval, false); n != nil {
				option.Interval = n[0]
			}
		case name == "COUNT":
			if n := numbers(1, maxRuleCount, false); n != nil {
				count = n[0]
			}
		case name == "UNTIL":
			s, ok := parseStamp(value, r.zone)
			switch {
			case !ok:
				problem = fmt.Sprintf("UNTIL %.40q is not a time of iCalendar: write it as 20261124T090000, or with a Z for UTC", value)
			case strings.HasSuffix(value, "Z"):
				made.lastSlot = s.second
			default:
				made.lastLocal = s.local
			}
		case name == "WKST":
			days, fault := parseRuleDays(value)
			if problem = fault; fault == "" {
				option.Wkst = days[0]
			}
		case name == "BYDAY":
			option.Byweekday, problem = parseRuleDays(value)
		case name == "BYSECOND":
			option.Bysecond = numbers(0, 59, false)
		case name == "BYMINUTE":
			option.Byminute = numbers(0, 59, false)
		case name == "BYHOUR":
			option.Byhour = numbers(0, 23, false)
		case name == "BYMONTHDAY":
			option.Bymonthday = numbers(1, 31, true)
		case name == "BYYEARDAY":
			option.Byyearday = numbers(1, 366, true)
		case name == "BYWEEKNO":
			option.Byweekno = numbers(1, 53, true)
		case name == "BYMONTH":
			option.Bymonth = numbers(1, 12, false)
		case name == "BYSETPOS":
			option.Bysetpos = numbers(1, 366, true)
		case part == "" && offset > 0: // a ; at the end
		default:
			problem = fmt.Sprintf("%.40q is no part of a rule of RFC 5545: write it as FREQ=WEEKLY;BYDAY=MO;BYHOUR=9", part)
		}
		if problem != "" {
			return rule{}, &SpecError{Text: text, Offset: offset, Problem: problem}
		}
		seen[name] = true
		offset += len(part) + 1
	}
	switch {
	case option.Freq < 0:
		return rule{}, &SpecError{Text: text, Problem: "the rule has no FREQ: write it as FREQ=WEEKLY;BYDAY=MO;BYHOUR=9"}
	case seen["COUNT"] && seen["UNTIL"]:
		return rule{}, &SpecError{Text: text, Problem: "a rule has COUNT or UNTIL, not both: leave one out"}
	case seen["BYWEEKNO"] && option.Freq != rrule.YEARLY:
		return rule{}, &SpecError{Text: text, Problem: "BYWEEKNO is for FREQ=YEARLY only: leave it out"}
	case option.Freq > rrule.MONTHLY && slices.ContainsFunc(option.Byweekday, func(day rrule.Weekday) bool { return day.N() != 0 }):
		return rule{}, &SpecError{Text: text, Problem: "BYDAY has numbers for FREQ=MONTHLY and YEARLY only: write MO, not 1MO"}
	}
	fillIn(option)
	if len(option.Byhour)*len(option.Byminute)*len(option.Bysecond) > maxTimesOfDay {
		return rule{}, &SpecError{Text: text, Problem: fmt.Sprintf("the rule gives more than %d times a day: use FREQ=MINUTELY or SECONDLY", maxTimesOfDay)}
	}
	if count > 0 && !made.endAfter(count) {
		return rule{}, &SpecError{Text: text, Problem: "COUNT is not reached in good time: use UNTIL, or leave it out"}
	}
	return made, nil
}

// fillIn writes out what a rule takes from DTSTART, as RFC 5545 says below its table
// of parts: so that the rule stays the same when it is followed from later on.
func fillIn(option *rrule.ROption) {
	start := option.Dtstart
	if len(option.Byweekno)+len(option.Byyearday)+len(option.Bymonthday)+len(option.Byweekday) == 0 {
		switch option.Freq {
		case rrule.YEARLY:
			if len(option.Bymonth) == 0 {
				option.Bymonth = []int{int(start.Month())}
			}
			option.Bymonthday = []int{start.Day()}
		case rrule.MONTHLY:
			option.Bymonthday = []int{start.Day()}
		case rrule.WEEKLY:
			option.Byweekday = []rrule.Weekday{ruleDays[(start.Weekday()+6)%7].day}
		}
	}
	if len(option.Byhour) == 0 && option.Freq < rrule.HOURLY {
		option.Byhour = []int{start.Hour()}
	}
	if len(option.Byminute) == 0 && option.Freq < rrule.MINUTELY {
		option.Byminute = []int{start.Minute()}
	}
	if len(option.Bysecond) == 0 && option.Freq < rrule.SECONDLY {
		option.Bysecond = []int{start.Second()}
	}
}

// endAfter ends the rule after a number of times, if it has as many before the calendar
// ends and they can be found in good time.
func (r *rule) endAfter(count int) bool {
	last := r.local(r.option.Dtstart.Unix())
	if last == never {
		return false // the library would look for it in eight thousand years
	}
	looks := mostLooks
	next := func() int64 { return r.subDaily(last+1, &looks) }
	if r.option.Freq < rrule.HOURLY {
		next = r.follow()
		next() // the one that is known
	}
	for n := 1; n < count && last != never; n++ {
		last = next()
	}
	r.lastLocal = last
	return last != never
}

// follow returns a function that gives the local seconds of a rule of days, weeks, months
// or years, one after the other from DTSTART on.
func (r *rule) follow() func() int64 {
	option := r.option
	option.Until = time.Unix(lastSecond, 0)
	found, err := rrule.NewRRule(option)
	if err != nil {
		return func() int64 { return never }
	}
	next := found.Iterator()
	return func() int64 {
		if at, ok := next(); ok {
			return at.Unix()
		}
		return never
	}
}

// parseRuleDays reads days such as MO,-1FR.
func parseRuleDays(text string) (days []rrule.Weekday, problem string) {
	for item := range strings.SplitSeq(text, ",") {
		at := max(0, len(item)-2)
		order, found := item[:at], false
		n, err := strconv.Atoi(order)
		for _, known := range ruleDays {
			if item[at:] == known.name && (order == "" || err == nil && n != 0 && -53 <= n && n <= 53) {
				found = true
				days = append(days, known.day.Nth(n))
			}
		}
		if !found {
			return nil, fmt.Sprintf("%.40q is no day of a rule: use MO, TU, WE, TH, FR, SA or SU, or as 2MO or -1FR in a month", item)
		}
	}
	return days, ""
}
