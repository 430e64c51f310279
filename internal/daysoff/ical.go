package daysoff

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	ical "github.com/emersion/go-ical"

	"github.com/onebeat/onebeat/internal/schedule"
)

// icalDate is how iCalendar writes a date.
const icalDate = "20060102"

// An event is a VEVENT that takes whole days.
type event struct {
	uid, reason string
	first       time.Time
	length      int // days
	rules       []string
	dates       []time.Time // RDATE
	without     []time.Time // EXDATE
	instead     time.Time   // RECURRENCE-ID: of which occurrence it takes the place; else zero
	cancelled   bool
}

// calendar takes the days off of an iCalendar file, which may hold several calendars.
func (f *finding) calendar(text string) error {
	const last = "END:VCALENDAR"
	if !strings.HasSuffix(strings.ToUpper(strings.TrimSpace(text)), last) {
		return fmt.Errorf("the file is cut short: an iCalendar ends with %s", last)
	}
	var events []event
	replaced := map[string][]time.Time{} // occurrences, by UID
	decoder := ical.NewDecoder(strings.NewReader(text))
	for {
		calendar, err := decode(decoder)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("the file is no iCalendar: %w", err)
		}
		for _, component := range calendar.Children {
			if component.Name != ical.CompEvent {
				continue
			}
			e, whole, err := newEvent(component.Props)
			if err != nil {
				return fmt.Errorf("the event %.60q: %w", e.reason, err)
			}
			if !e.instead.IsZero() {
				replaced[e.uid] = append(replaced[e.uid], e.instead)
			}
			if !whole {
				f.timed++
				continue
			}
			events = append(events, e)
		}
	}
	for _, e := range events {
		if e.cancelled {
			continue
		}
		if e.instead.IsZero() {
			e.without = append(e.without, replaced[e.uid]...)
		}
		if err := f.occurrences(e); err != nil {
			return fmt.Errorf("the event %.60q: %w", e.reason, err)
		}
	}
	return nil
}

// decode reads the next calendar. The library panics at some lines that are none.
func decode(decoder *ical.Decoder) (calendar *ical.Calendar, err error) {
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("a line is no property: %v", fault)
		}
	}()
	return decoder.Decode()
}

// newEvent reads a VEVENT; whole is false for one with a time of the day.
func newEvent(props ical.Props) (e event, whole bool, err error) {
	if summary := props.Get(ical.PropSummary); summary != nil {
		texts, err := summary.TextList() // for not all programs write \, for a comma
		if err != nil {
			return e, false, err
		}
		e.reason = strings.Join(strings.Fields(strings.Join(texts, ",")), " ")
	}
	if uid := props.Get(ical.PropUID); uid != nil {
		e.uid = uid.Value
	}
	if status := props.Get(ical.PropStatus); status != nil {
		e.cancelled = strings.EqualFold(status.Value, "CANCELLED")
	}
	if instead, err := dates(props, ical.PropRecurrenceID); err != nil {
		return e, false, err
	} else if len(instead) > 0 {
		e.instead = instead[0]
	}
	start := props.Get(ical.PropDateTimeStart)
	if start == nil {
		return e, false, errors.New("it has no DTSTART")
	}
	if len(start.Value) != len(icalDate) {
		return e, false, nil
	}
	if e.first, err = time.Parse(icalDate, start.Value); err != nil {
		return e, false, fmt.Errorf("its DTSTART is no date: %.40q", start.Value)
	}
	if e.length, err = days(props, e.first); err != nil {
		return e, false, err
	}
	for _, rule := range props.Values(ical.PropRecurrenceRule) {
		e.rules = append(e.rules, rule.Value)
	}
	if e.dates, err = dates(props, ical.PropRecurrenceDates); err != nil {
		return e, false, err
	}
	if e.without, err = dates(props, ical.PropExceptionDates); err != nil {
		return e, false, err
	}
	return e, true, nil
}

// days is how many days an event takes that begins with first.
func days(props ical.Props, first time.Time) (int, error) {
	length := 1
	if end := props.Get(ical.PropDateTimeEnd); end != nil {
		last, err := time.Parse(icalDate, end.Value)
		if err != nil {
			return 0, fmt.Errorf("its DTEND is no date: %.40q", end.Value)
		}
		length = int(last.Sub(first) / (24 * time.Hour)) // the end itself is not in it
	} else if duration := props.Get(ical.PropDuration); duration != nil {
		lasts, err := duration.Duration()
		if err != nil {
			return 0, err
		}
		length = int(lasts / (24 * time.Hour))
	}
	if length > 3660 {
		return 0, fmt.Errorf("it takes %d days: write ten years or less", length)
	}
	return max(length, 1), nil
}

// dates are the days of a property that holds several.
func dates(props ical.Props, name string) (all []time.Time, err error) {
	for _, prop := range props.Values(name) {
		for text := range strings.SplitSeq(prop.Value, ",") {
			if len(text) < len(icalDate) {
				return nil, fmt.Errorf("its %s is no date: %.40q", name, text)
			}
			day, err := time.Parse(icalDate, text[:len(icalDate)]) // a time of the day is nothing to a whole day
			if err != nil {
				return nil, fmt.Errorf("its %s is no date: %.40q", name, text)
			}
			all = append(all, day)
		}
	}
	return all, nil
}

// occurrences takes the days of an event, within the span for one that recurs.
func (f *finding) occurrences(e event) error {
	lasts := time.Duration(e.length-1) * 24 * time.Hour
	starts, goesOn := e.dates, false
	for _, rule := range e.rules {
		spec, err := schedule.ParseSpec("@rrule DTSTART:"+e.first.Format(icalDate)+"T000000 "+rule, "UTC", time.Time{})
		if err != nil {
			return err
		}
		begin := f.span.From.Add(-lasts - time.Microsecond)
		if begin.Before(e.first) {
			begin = e.first
		}
		n := 0
		for day := spec.Next(begin); !day.IsZero() && !day.After(f.span.Until); day = spec.Next(day) {
			if n++; n > mostDays {
				return fmt.Errorf("it recurs more than %d times: no day off does", mostDays)
			}
			starts = append(starts, day.Truncate(24*time.Hour))
		}
		goesOn = goesOn || n > 0
	}
	if over := e.first.Add(lasts).Before(f.span.From); !over || !goesOn { // else nothing is left out with it
		starts = append(starts, e.first)
	}
	for _, start := range starts {
		if slices.ContainsFunc(e.without, start.Equal) {
			continue
		}
		if err := f.add(start, start.Add(lasts), e.reason); err != nil {
			return err
		}
	}
	return nil
}
