package schedule

import (
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode"
)

// A Reading says how texts are to be read that leave something open.
type Reading struct {
	Zone   string    // IANA name, "" is UTC
	Anchor time.Time // of an @every without "from", an @rrule without DTSTART; zero is the Unix epoch
	Key    string    // what H is spread by: the entry's id. Without it H is an error

	Standard     bool // the dialect of crontabs is the standard one, not Celery's
	CeleryClocks bool // as if DST=celery stood before

	// Calendar returns the calendar of a name that rules give. Its error says what to
	// do, on one line. Nil: there are none.
	Calendar func(name string) (*Calendar, error)

	ruled bool // rules are around it already
}

// ParseSpec reads a spec:
//
//	0 9 * * 1-5                                five crontab fields: minute, hour, day of month, month, day of week
//	@standard 30 0 9 L * fri#2                 five or six crontab fields of the standard dialect, or @hourly, @daily, ...
//	@every 90s                                 a fixed grid, from anchor on; units w, d and those of time.ParseDuration
//	@every 1d from 2026-11-24T00:00:00Z        the grid's own anchor
//	@every 1d wall                             whole days at the same time of the zone's clocks
//	@every 1h relative                         rounded to whole units of the zone's clocks, as Celery does
//	@at 2026-11-24T09:00:00+09:00              once; without an offset, by the zone's clocks
//	@solar sunset 35.6895 139.6917             an event of the sun at a latitude and a longitude
//	@rrule FREQ=WEEKLY;BYDAY=MO DTSTART:20261124T090000 RDATE:... EXDATE:...
//	                                           recurrence rules of RFC 5545, parted by blanks
//	@rules {"weekend": "sat,sun"} 0 9 * * *    any of these with more specs, exclusions, days off, bounds and shifts around it
//	CRON_TZ=Asia/Tokyo 0 9 * * *               any of these with a zone of its own; TZ= is the same
//	DST=celery 30 2 * * *                      a crontab that does at changes of clocks as Celery does
//
// Zone is an IANA name, "" is UTC. A zero anchor is the Unix epoch. Fields are
// parted by white space of any kind. A spec that has no slot at all, such as the
// 30th of February, is an error. Errors are one line; those about the text are
// a *SpecError.
//
// Equal crontab texts in equal zones share one value, so that a million rows of "0 9 * * *"
// cost a million pointers.
func ParseSpec(text, zone string, anchor time.Time) (Spec, error) {
	return Reading{Zone: zone, Anchor: anchor}.Parse(text)
}

// Parse reads a spec, as ParseSpec does.
func (r Reading) Parse(text string) (Spec, error) {
	rest, err := r.cutPrefixes(text)
	if err != nil {
		return nil, err
	}
	offset := strings.Index(text, rest)
	word, argument := cutBlank(rest)
	after := offset + len(rest) - len(argument)
	switch {
	case word == "@standard":
		r.Standard, rest, offset = true, argument, after
		fallthrough
	case !strings.HasPrefix(rest, "@") || r.Standard && shorthands[strings.ToLower(rest)] != "":
		c, err := r.parseCrontab(rest)
		if err != nil {
			return nil, within(err, text, offset)
		}
		return c, nil
	}

	if word == "@rules" {
		spec, err := r.parseRuled(argument)
		if err != nil {
			return nil, within(err, text, after)
		}
		return spec, nil
	}
	z, err := loadZone(r.Zone)
	if err != nil {
		return nil, err
	}
	var spec Spec
	switch word {
	case "@every":
		spec, err = parseEvery(argument, z, r.Anchor)
	case "@at":
		spec, err = parseAt(argument, z)
	case "@rrule":
		if r.CeleryClocks {
			return nil, &SpecError{Text: text, Problem: "DST=celery is for crontabs: Celery has no recurrence rules"}
		}
		spec, err = parseRecurrence(argument, z, r.Anchor)
	case "@solar":
		spec, err = parseSolar(argument)
	default:
		err, after = &SpecError{Text: rest, Problem: unknownShorthand(word)}, offset
	}
	if err != nil {
		return nil, within(err, text, after)
	}
	return spec, nil
}

// cutPrefixes takes in the settings that stand before a spec and returns what
// comes after them.
func (r *Reading) cutPrefixes(text string) (rest string, err error) {
	rest = strings.TrimSpace(text)
	for {
		word, after := cutBlank(rest)
		name, value, ok := strings.Cut(word, "=")
		switch {
		case !ok:
			return rest, nil
		case name == "CRON_TZ" || name == "TZ":
			if value == "" {
				return "", &SpecError{Text: text, Problem: name + "= names no zone: write it as in " + name + "=Asia/Tokyo"}
			}
			r.Zone = value
		case name == "DST":
			if value != "celery" && value != "real" {
				return "", &SpecError{Text: text, Offset: strings.Index(text, word), Problem: fmt.Sprintf("DST=%.40s is not known: write DST=real or DST=celery", value)}
			}
			r.CeleryClocks = value == "celery"
		default:
			return rest, nil
		}
		rest = after
	}
}

// ZoneOf returns the zone by which a text is read: the one that stands before its spec, or that of the reading.
func (r Reading) ZoneOf(text string) string {
	_, _ = r.cutPrefixes(text) // r is a copy
	return r.Zone
}

// ParseCrontabFields reads five crontab fields that are kept apart, in the order of
// Celery's constructor. A SpecError's text is the field at fault.
func ParseCrontabFields(minute, hour, dayOfWeek, dayOfMonth, month, zone string) (*Crontab, error) {
	return Reading{Zone: zone}.ParseFields(minute, hour, dayOfWeek, dayOfMonth, month)
}

// ParseFields is ParseCrontabFields with all that a Reading says. In the standard
// dialect a SpecError's text is that of all fields in a crontab's order.
func (r Reading) ParseFields(minute, hour, dayOfWeek, dayOfMonth, month string) (*Crontab, error) {
	texts := [5]string{minute, hour, dayOfMonth, month, dayOfWeek}
	if r.Standard {
		return r.parseCrontab(strings.Join(texts[:], " "))
	}
	z, err := loadZone(r.Zone)
	if err != nil {
		return nil, err
	}
	c, fault := newCrontab(texts, z, r.CeleryClocks)
	if fault != nil {
		return nil, fault
	}
	return crontabs.put(internKey{text: c.text}, c), nil
}

// parseCrontab reads the fields of a crontab in one text.
func (r Reading) parseCrontab(text string) (*Crontab, error) {
	key := internKey{text, r.Zone, r.Standard, r.CeleryClocks}
	if c, ok := crontabs.get(key); ok {
		return c, nil
	}
	z, err := loadZone(r.Zone)
	if err != nil {
		return nil, err
	}
	if !r.Standard {
		c, err := parseCelery(text, z, r.CeleryClocks)
		if err != nil {
			return nil, err
		}
		return crontabs.put(key, c), nil
	}
	c, fault := parseStandard(text, r.Key, z, r.CeleryClocks)
	if fault != nil {
		return nil, fault
	}
	if strings.Contains(text, "H") { // it is another crontab for another key
		key = internKey{text: c.text}
	}
	return crontabs.put(key, c), nil
}

// parseCelery reads five fields in one text.
func parseCelery(text string, z *zone, celeryClocks bool) (*Crontab, error) {
	fields := strings.Fields(text)
	if len(fields) != 5 {
		problem := fmt.Sprintf("a crontab has five fields (minute, hour, day of month, month, day of week), not %d", len(fields))
		switch len(fields) {
		case 6:
			problem += ": Celery knows no seconds, use " + StandardHint
		case 1, 2, 3: // as in 90, 5m, every 5 minutes
			problem += ": write an interval as @every 90s or @every 5m"
		}
		return nil, &SpecError{Text: text, Problem: problem}
	}
	c, fault := newCrontab([5]string(fields), z, celeryClocks)
	if fault != nil {
		offset := 0
		for i, f := range crontabFields {
			offset += strings.Index(text[offset:], fields[i])
			if f.name == fault.Field {
				break
			}
			offset += len(fields[i])
		}
		return nil, within(fault, text, offset)
	}
	return c, nil
}

// within turns a SpecError about a part of text, which begins at offset, into one
// about text. Other errors stay as they are.
func within(err error, text string, offset int) error {
	fault, ok := err.(*SpecError)
	if !ok {
		return err
	}
	moved := *fault
	moved.Text = text
	moved.Offset += offset
	return &moved
}

func unknownShorthand(word string) string {
	if instead, ok := shorthands[strings.ToLower(word)]; ok {
		return fmt.Sprintf("Celery knows no %s: write %s", word, instead)
	}
	return fmt.Sprintf("%q is no spec: use five crontab fields, @standard, @every, @at, @solar or @rrule", word)
}

// cutBlank parts text at its first run of white space.
func cutBlank(text string) (word, rest string) {
	i := strings.IndexFunc(text, unicode.IsSpace)
	if i < 0 {
		return text, ""
	}
	return text[:i], strings.TrimSpace(text[i:])
}

// crontabs holds crontabs by how they were written and by their own text.
var crontabs = interned{table: make(map[internKey]*Crontab)}

type internKey struct {
	text, zone             string
	standard, celeryClocks bool
}

// An interned is a bounded table of crontabs. When it is full, any one goes: the
// worst that can come of it is two equal values.
type interned struct {
	mu    sync.RWMutex
	table map[internKey]*Crontab
}

const maxInterned = 1 << 17

func (in *interned) get(key internKey) (*Crontab, bool) {
	in.mu.RLock()
	defer in.mu.RUnlock()
	c, ok := in.table[key]
	return c, ok
}

// put returns the crontab that stands for all with c's text, which may be c.
func (in *interned) put(key internKey, c *Crontab) *Crontab {
	in.mu.Lock()
	defer in.mu.Unlock()
	own := internKey{text: c.text} // it names the zone, or is UTC's
	if first, ok := in.table[own]; ok {
		c = first
	} else {
		in.setLocked(own, c)
	}
	// The caller's texts may be small parts of big ones.
	key.text, key.zone = strings.Clone(key.text), strings.Clone(key.zone)
	in.setLocked(key, c)
	return c
}

func (in *interned) setLocked(key internKey, c *Crontab) {
	if _, ok := in.table[key]; !ok && len(in.table) >= maxInterned {
		for old := range in.table {
			delete(in.table, old)
			break
		}
	}
	in.table[key] = c
}
