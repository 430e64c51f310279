package schedule

import (
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode"
)

// ParseSpec reads a spec:
//
//	0 9 * * 1-5                                five crontab fields: minute, hour, day of month, month, day of week
//	@every 90s                                 a fixed grid, from anchor on; units w, d and those of time.ParseDuration
//	@every 1d from 2026-11-24T00:00:00Z        the grid's own anchor
//	@at 2026-11-24T09:00:00+09:00              once; without an offset, by the zone's clocks
//	CRON_TZ=Asia/Tokyo 0 9 * * *               any of these with a zone of its own; TZ= is the same
//
// Zone is an IANA name, "" is UTC. A zero anchor is the Unix epoch. Fields are
// parted by white space of any kind. A spec that has no slot at all, such as the
// 30th of February, is an error. Errors are one line; those about the text are
// a *SpecError.
//
// Equal crontab texts in equal zones share one value, so that a million rows of "0 9 * * *"
// cost a million pointers.
func ParseSpec(text, zone string, anchor time.Time) (Spec, error) {
	rest := strings.TrimSpace(text)
	for _, prefix := range []string{"CRON_TZ=", "TZ="} {
		if after, ok := strings.CutPrefix(rest, prefix); ok {
			zone, rest = cutBlank(after)
			if zone == "" {
				return nil, &SpecError{Text: text, Problem: prefix + " names no zone: write it as in " + prefix + "Asia/Tokyo"}
			}
			break
		}
	}
	if !strings.HasPrefix(rest, "@") {
		key := internKey{rest, zone}
		if c, ok := crontabs.get(key); ok {
			return c, nil
		}
		c, err := parseCrontab(rest, zone)
		if err != nil {
			return nil, within(err, text, strings.Index(text, rest))
		}
		return crontabs.put(key, c), nil
	}

	z, err := loadZone(zone)
	if err != nil {
		return nil, err
	}
	var spec Spec
	word, argument := cutBlank(rest)
	offset := strings.Index(text, rest)
	switch word {
	case "@every":
		offset += len(rest) - len(argument)
		spec, err = parseEvery(argument, z, anchor)
	case "@at":
		offset += len(rest) - len(argument)
		spec, err = parseAt(argument, z)
	default:
		err = &SpecError{Text: rest, Problem: unknownShorthand(word)}
	}
	if err != nil {
		return nil, within(err, text, offset)
	}
	return spec, nil
}

// ParseCrontabFields reads five crontab fields that are kept apart, in the order of
// Celery's constructor. A SpecError's text is the field at fault.
func ParseCrontabFields(minute, hour, dayOfWeek, dayOfMonth, month, zone string) (*Crontab, error) {
	z, err := loadZone(zone)
	if err != nil {
		return nil, err
	}
	c, fault := newCrontab([5]string{minute, hour, dayOfMonth, month, dayOfWeek}, z)
	if fault != nil {
		return nil, fault
	}
	return crontabs.put(internKey{c.text, ""}, c), nil
}

// parseCrontab reads five fields in one text.
func parseCrontab(text, zone string) (*Crontab, error) {
	z, err := loadZone(zone)
	if err != nil {
		return nil, err
	}
	fields := strings.Fields(text)
	if len(fields) != 5 {
		problem := fmt.Sprintf("a crontab has five fields (minute, hour, day of month, month, day of week), not %d", len(fields))
		if len(fields) == 6 {
			problem += ": Celery knows no seconds"
		}
		return nil, &SpecError{Text: text, Problem: problem}
	}
	c, fault := newCrontab([5]string(fields), z)
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
	instead := map[string]string{
		"@hourly": "0 * * * *", "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@weekly": "0 0 * * 0",
		"@monthly": "0 0 1 * *", "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *",
	}[strings.ToLower(word)]
	if instead != "" {
		return fmt.Sprintf("Celery knows no %s: write %s", word, instead)
	}
	return fmt.Sprintf("%q is no spec: use five crontab fields, @every or @at", word)
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

type internKey struct{ text, zone string }

// An interned is a bounded table of crontabs. When it is full, any one goes: the
// worst that can come of it is two equal values.
type interned struct {
	mu    sync.RWMutex
	table map[internKey]*Crontab
}

const maxInterned = 1 << 15

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
	in.setLocked(internKey{strings.Clone(key.text), strings.Clone(key.zone)}, c)
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
