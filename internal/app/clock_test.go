package app

import (
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A step of the wall clock is the same as the clock having been told another time
// than the wall shows: only the database's clock may move it.
func TestASteppedWallClockDoesNotMoveTheClock(t *testing.T) {
	for _, step := range []time.Duration{time.Hour, -time.Hour, 600 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			c := newClock(slog.New(slog.DiscardHandler))
			truth := time.Now().Add(-step).Round(0) // the wall stepped away from it
			c.as = truth
			start := time.Now()
			for range 10 {
				time.Sleep(time.Second)
				now := truth.Add(time.Since(start))
				c.Set(now.Add(20*time.Millisecond), 30*time.Millisecond) // an answer takes a moment
				if got := c.Now(); !got.Equal(now) {
					t.Fatalf("after a step of %v, Now = %v, want %v", step, got, now)
				}
			}
		})
	}
}

func TestTheDatabasesClockSetsTheClockRight(t *testing.T) {
	for _, apart := range []time.Duration{time.Hour, -time.Hour, 501 * time.Millisecond, -501 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			var log strings.Builder
			c := newClock(slog.New(slog.NewTextHandler(&log, nil)))
			c.Set(time.Now().Add(apart), 0)
			time.Sleep(90 * time.Second)
			if got, want := c.Now(), time.Now().Add(apart); !got.Equal(want) {
				t.Errorf("Now = %v, want the database's %v", got, want)
			}
			if got := strings.Count(log.String(), "set right"); got != 1 {
				t.Errorf("it was told %d times, want once:\n%s", got, log.String())
			}
		})
	}
}

func TestAClockThatIsCloseFollowsTheMachines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClock(slog.New(slog.DiscardHandler))
		c.as = c.as.Add(100 * time.Millisecond) // the time service slewed the machine's meanwhile
		c.Set(time.Now().Add(-200*time.Millisecond), 0)
		if got, want := c.Now(), time.Now(); !got.Equal(want) {
			t.Errorf("Now = %v, want the machine's %v", got, want)
		}
	})
}

// Lengths are measured with the monotonic clock, and the time that is given out
// is compared with slots, which have none.
func TestTheClockMovesByTheMonotonicClock(t *testing.T) {
	c := newClock(slog.New(slog.DiscardHandler))
	for _, database := range []time.Time{time.Now(), time.Now().Add(time.Hour)} {
		c.Set(database, 0)
		if !strings.Contains(c.at.String(), " m=") {
			t.Errorf("the clock moves on from %v, which has no monotonic reading", c.at)
		}
		if now := c.Now(); strings.Contains(now.String(), " m=") || now.Location() != time.UTC {
			t.Errorf("Now = %v, want UTC without a monotonic reading", now)
		}
	}
}

// A node behind a slow link has a clock that was wrong when it started. No answer of the
// database comes quickly, and yet nothing may be early.
func TestASlowAnswerSetsAWrongClockRight(t *testing.T) {
	for _, tt := range []struct {
		name        string
		wrong, want time.Duration // by how much the clock is ahead
	}{
		{"an hour ahead", time.Hour, -400 * time.Millisecond}, // as far as the answer may have travelled
		{"an hour behind", -time.Hour, -400 * time.Millisecond},
		{"ahead by no more than can be told", 450 * time.Millisecond, 450 * time.Millisecond},
		{"right", 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newClock(slog.New(slog.DiscardHandler))
				c.as = c.as.Add(tt.wrong)
				database := time.Now()
				time.Sleep(400 * time.Millisecond) // the answer's way back
				c.Set(database, 800*time.Millisecond)
				if got := time.Until(c.Now()); got != tt.want {
					t.Errorf("the clock is ahead by %v, want %v", got, tt.want)
				}
			})
		})
	}
}
