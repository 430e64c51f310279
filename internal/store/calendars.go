package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/onebeat/onebeat/internal/schedule"
)

// A Calendar is days off that the rules of entries name.
type Calendar struct {
	Name    string            `json:"name"`
	Days    []schedule.DayOff `json:"days"`    // in order
	Problem string            `json:"problem"` // why its days can't be used, and what to do; else empty
	Entries []string          `json:"entries"` // the names of those whose rules name it
}

// ErrNoCalendar says that no calendar has the name.
var ErrNoCalendar = errors.New("no calendar has this name: see `onebeat calendars list`")

// calendars are those of the database, as they were read. A nil one has none.
type calendars struct {
	days     map[string][]schedule.DayOff
	made     map[string]*schedule.Calendar
	problems map[string]error
}

// readCalendars reads all.
func (s *Store) readCalendars(ctx context.Context) (*calendars, error) {
	c := &calendars{days: map[string][]schedule.DayOff{}, made: map[string]*schedule.Calendar{}, problems: map[string]error{}}
	err := s.db.each(ctx, "calendar_days", func(row scanner) error {
		var name string
		var off schedule.DayOff
		if err := row.Scan(&name, &off.Day, &off.Reason); err != nil {
			return err
		}
		c.days[name] = append(c.days[name], off)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read calendars: %w", err)
	}
	for name, days := range c.days {
		dates := make([]string, len(days))
		for i, off := range days {
			dates[i] = off.Day
		}
		if c.made[name], err = schedule.NewCalendar(name, dates); err != nil {
			delete(c.made, name)
			c.problems[name] = fmt.Errorf("%w, or import the calendar again", err)
		}
	}
	return c, nil
}

// find returns the calendar of a name, or says what to do.
func (c *calendars) find(name string) (*schedule.Calendar, error) {
	if c != nil {
		if made := c.made[name]; made != nil {
			return made, nil
		}
		if problem := c.problems[name]; problem != nil {
			return nil, problem
		}
	}
	return nil, fmt.Errorf("there is no calendar %q: import it with `onebeat calendars import`, or take its name out of the rules", name)
}

// differing returns the names of those that are others now.
func (c *calendars) differing(old *calendars) map[string]bool {
	differ := map[string]bool{}
	for name := range c.days {
		differ[name] = true
	}
	if old != nil {
		for name := range old.days {
			differ[name] = true
		}
	}
	maps.DeleteFunc(differ, func(name string, _ bool) bool { return old.digest(name) == c.digest(name) })
	return differ
}

// digest tells apart what the name may mean.
func (c *calendars) digest(name string) uint64 {
	made, err := c.find(name)
	if err != nil {
		return uint64(empty.text(err.Error()))
	}
	return made.Digest()
}

// A ruling is what of an entry's rules is not the spec's matter alone.
type ruling struct {
	Calendars []string `json:"calendars"`
	Runs      int64    `json:"max_runs"`
}

// ruling reads what of the rules is not the spec's matter alone: of most rows nothing.
func (r *row) ruling() ruling {
	if r.common != nil || !mayRule(r.rules) && !mayRule(r.spec) {
		return ruling{}
	}
	var ruling ruling
	_, text, _ := strings.Cut(r.ruled(), "@rules")
	_ = json.NewDecoder(strings.NewReader(text)).Decode(&ruling) // what is wrong with it is the row's problem
	return ruling
}

func mayRule(text string) bool {
	return len(text) > len("@rules") && (strings.Contains(text, `"calendars"`) || strings.Contains(text, `"max_runs"`))
}

// Calendars returns all calendars by name.
func (s *Store) Calendars(ctx context.Context) ([]Calendar, error) {
	if err := s.look(ctx); err != nil {
		return nil, err
	}
	read, err := s.readCalendars(ctx)
	if err != nil {
		return nil, err
	}
	all := map[string]*Calendar{}
	for name, days := range read.days {
		all[name] = &Calendar{Name: name, Days: days, Entries: []string{}}
		if problem := read.problems[name]; problem != nil {
			all[name].Problem = problem.Error()
		}
	}
	err = s.every(ctx, s.newFeed(), func(r *row) error {
		for _, name := range r.ruling().Calendars {
			if calendar := all[name]; calendar != nil {
				calendar.Entries = append(calendar.Entries, r.name)
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read entries: %w", err)
	}
	found := make([]Calendar, 0, len(all))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		slices.Sort(all[name].Entries)
		found = append(found, *all[name])
	}
	return found, nil
}

// Calendar returns the calendar of the name, or ErrNoCalendar.
func (s *Store) Calendar(ctx context.Context, name string) (Calendar, error) {
	all, err := s.Calendars(ctx)
	if err != nil {
		return Calendar{}, err
	}
	i := slices.IndexFunc(all, func(c Calendar) bool { return c.Name == name })
	if i < 0 {
		return Calendar{}, ErrNoCalendar
	}
	return all[i], nil
}

// PutCalendar makes the days those of the calendar, which may be new. What can't be
// used is an *InputError. Entries whose rules name it are edited by that.
func (s *Store) PutCalendar(ctx context.Context, name string, days []schedule.DayOff) error {
	names, dates, reasons := make([]string, len(days)), make([]string, len(days)), make([]string, len(days))
	for i, off := range days {
		names[i], dates[i], reasons[i] = name, off.Day, off.Reason
	}
	if _, err := schedule.NewCalendar(name, dates); err != nil {
		return &InputError{err.Error()}
	}
	switch {
	case name == "" || len(name) > 190 || strings.TrimSpace(name) != name:
		return &InputError{"a calendar needs a name of at most 190 bytes, without blanks around it"}
	case len(days) == 0:
		return &InputError{"a calendar needs a day at least: remove it with `onebeat calendars remove`"}
	}
	return s.rewriteCalendar(ctx, name, func(tx transaction) error {
		return tx.many(ctx, "calendar_insert", names, dates, reasons)
	})
}

// RemoveCalendar deletes the calendar. While rules of entries name it, that is an
// *InputError: without it they could not be used.
func (s *Store) RemoveCalendar(ctx context.Context, name string) error {
	calendar, err := s.Calendar(ctx, name)
	if err != nil {
		return err
	}
	if n := len(calendar.Entries); n > 0 {
		return &InputError{fmt.Sprintf("the rules of %s name the calendar %s: take it out of them first: %s", schedule.Counted(n, "entry"), name, some(calendar.Entries, 10))}
	}
	return s.rewriteCalendar(ctx, name, func(transaction) error { return nil })
}

// rewriteCalendar deletes the calendar's days, writes others, and tells who watches.
func (s *Store) rewriteCalendar(ctx context.Context, name string, write func(transaction) error) error {
	err := s.db.transact(ctx, mode{}, func(tx transaction) error {
		if _, err := tx.exec(ctx, "calendar_delete", name); err != nil {
			return err
		}
		if err := write(tx); err != nil {
			return err
		}
		return hint(ctx, tx, "")
	})
	if err != nil {
		return fmt.Errorf("write calendar: %w", err)
	}
	return nil
}
