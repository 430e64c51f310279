package app

import (
	"log/slog"
	"sync"
	"time"
)

// A clock is this node's clock: a wall time read once and moved on by the
// monotonic clock, so that a step of the machine's wall clock does not move it.
// The database's clock, which all nodes share, sets it right when the two are
// further apart than tolerance.
type clock struct {
	logger  *slog.Logger
	started time.Time

	mu sync.Mutex
	at time.Time // with a monotonic reading
	as time.Time // what it was then by this clock
}

// tolerance is how far the clock may be from the database's: more than a slow
// answer, less than anyone would notice in a schedule.
const tolerance = 500 * time.Millisecond

func newClock(logger *slog.Logger) *clock {
	now := time.Now()
	return &clock{logger: logger, started: now.UTC(), at: now, as: now.Round(0)}
}

// Now returns the time, in UTC, without a monotonic reading.
func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.nowLocked()
}

func (c *clock) nowLocked() time.Time { return c.as.Add(time.Since(c.at)).UTC() }

// Set tells the clock what the database's clock says at this moment. Small
// differences follow the machine's wall clock, which its time service slews.
func (c *clock) Set(database time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	wall := time.Now()
	was := c.nowLocked()
	switch {
	case apart(was, database) > tolerance:
		c.at, c.as = wall, database
		c.logger.Warn("the clock was set right by the database's", "was", was, "now", database)
	case apart(wall, database) <= tolerance && apart(wall, was) <= tolerance:
		c.at, c.as = wall, wall.Round(0)
	}
}

func apart(a, b time.Time) time.Duration { return a.Sub(b).Abs() }
