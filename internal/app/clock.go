package app

import (
	"log/slog"
	"sync"
	"time"

	"github.com/onebeat/onebeat/internal/failpoint"
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
	now, wall := readWall()
	return &clock{logger: logger, started: wall.UTC(), at: now, as: wall}
}

// readWall reads the wall clock: with a monotonic reading, and as it stands.
func readWall() (now, wall time.Time) {
	now = time.Now()
	return now, now.Round(0).Add(failpoint.Step())
}

// Now returns the time, in UTC, without a monotonic reading.
func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.nowLocked()
}

func (c *clock) nowLocked() time.Time { return c.as.Add(time.Since(c.at)).UTC() }

// Set tells the clock what the database's clock said at a moment that is past by took
// at most: how long the answer was on its way is not known. Small differences follow the
// machine's wall clock, which its time service slews. A clock that must be wrong is set
// to the earliest that it can be, for nothing may be early.
func (c *clock) Set(database time.Time, took time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, wall := readWall()
	was := c.nowLocked()
	latest := database.Add(took)
	switch {
	case was.Before(database.Add(-tolerance)), was.After(latest.Add(tolerance)):
		c.at, c.as = now, database
		c.logger.Warn("the clock was set right by the database's", "was", was, "now", database, "answer_took", took)
	case took < prompt && apart(wall, database) <= tolerance && apart(wall, was) <= tolerance:
		c.at, c.as = now, wall
	}
}

// prompt is how long an answer may take for the machine's clock to be followed by it.
const prompt = 200 * time.Millisecond

func apart(a, b time.Time) time.Duration { return a.Sub(b).Abs() }
