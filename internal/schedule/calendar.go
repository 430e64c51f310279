package schedule

import (
	"fmt"
	"sync"
)

// A DayOff is a date on which nobody works, and why.
type DayOff struct {
	Day    string `json:"day"` // 2026-12-25
	Reason string `json:"reason,omitempty"`
}

// A Calendar is days off that many entries may share by its name. It does not
// change: an edit makes a new one.
type Calendar struct {
	name   string
	days   daysOff // ranges alone
	digest uint64

	mu  sync.Mutex
	row map[uint8]int64 // days in a row that are off, by the days of the week that are off too
}

// NewCalendar makes a calendar of dates in any order. An error says which can't be
// read.
func NewCalendar(name string, dates []string) (*Calendar, error) {
	c := &Calendar{name: name, row: map[uint8]int64{}}
	for _, text := range dates {
		days, ok, err := parseDates(text)
		if err == nil && !ok {
			err = fmt.Errorf("%.40q is no date: write it as 2026-12-25", text)
		}
		if err != nil {
			return nil, fmt.Errorf("the calendar %s has a day that can't be read: %w", name, err)
		}
		c.days.ranges = append(c.days.ranges, days)
	}
	c.days.sort()
	sum := empty64
	for _, days := range c.days.ranges {
		sum = sum.number(uint64(days.first)).number(uint64(days.last))
	}
	c.digest = uint64(sum)
	return c, nil
}

// Name is what rules call it by.
func (c *Calendar) Name() string { return c.name }

// Digest is equal for calendars with the same days, whatever their names.
func (c *Calendar) Digest() uint64 { return c.digest }

// longest returns how many days in a row are off at most, where some days of the
// week are off too.
func (c *Calendar) longest(week uint8) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	run, ok := c.row[week]
	if !ok {
		run = (&daysOff{week: week, calendars: []*Calendar{c}}).walk()
		c.row[week] = run
	}
	return run
}
