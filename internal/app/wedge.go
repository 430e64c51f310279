package app

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime/pprof"
	"strings"
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
)

// A watchdog finds what stands still though nothing outside of this process keeps it:
// marks that are the same look after look. It counts looks and not time, so that a
// process that was frozen is not taken for a wedged one when it wakes up.
type watchdog struct {
	marks map[string]mark
}

// A mark is a number that changes while what it is of gets on.
type mark struct {
	at   int64
	most int // looks that it may be the same in
	same int
}

// look takes the marks of now, by what they are of, and returns what has stood still
// for too long, or "".
func (w *watchdog) look(now map[string]mark) (stuck string) {
	for what, m := range now {
		if was := w.marks[what]; was.at == m.at {
			m.same = was.same + 1
		}
		now[what] = m
		if m.same >= m.most {
			stuck = what
		}
	}
	w.marks = now
	return stuck
}

// lookMost is the longest time between two looks of the watchdog, which come with the node's beats.
const lookMost = time.Second

func (n *node) lookInterval() time.Duration { return min(lookMost, n.leaseLength()/attendance) }

// untilLook is how long it is until the watchdog looks next.
func (n *node) untilLook() time.Duration {
	return schedule.Beat(n.name, time.Now(), n.lookInterval())
}

// looks is how many looks the time takes, at least.
func (n *node) looks(length time.Duration) int {
	return int((length + n.lookInterval() - 1) / n.lookInterval())
}

// watchOver ends the process when dispatching is wedged, until ctx ends. Every call of
// the database and the broker has a bound, so that servers that are away wedge nothing.
func (n *node) watchOver(ctx context.Context) error {
	var dog watchdog
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(n.untilLook()):
		}
		if stuck := dog.look(n.marks(ctx)); stuck != "" {
			n.giveWay(stuck)
		}
	}
}

// marks are of all that has to get on within a bound.
func (n *node) marks(ctx context.Context) map[string]mark {
	shards := n.opened()
	if len(shards) == 1 {
		return shards[0].marks(ctx)
	}
	marks := map[string]mark{}
	for _, s := range shards {
		for what, m := range s.marks(ctx) {
			marks[fmt.Sprintf("%s (shard %d)", what, s.number)] = m
		}
	}
	return marks
}

func (s *shard) marks(ctx context.Context) map[string]mark {
	most := s.node.looks(stall)
	if s.left.Load() {
		return nil
	}
	marks := map[string]mark{
		"the lease is neither asked for nor renewed": {at: s.asked.Load(), most: most + s.node.looks(s.node.leaseLength())},
	}
	busy := s.dispatching.Busy()
	for _, call := range busy {
		marks[call.What+" does not return, whatever its bound says"] = mark{at: call.Number, most: most}
	}
	now := s.now()
	if now.planner == nil {
		return marks
	}
	marks["the planner's loop stands still"] = mark{at: now.planner.Ticked().UnixNano(), most: most}
	if len(busy) > 0 || !now.loaded {
		return marks
	}
	if open, moved := s.dispatching.Open(); open > 0 {
		marks["claimed slots lie between two stages"] = mark{at: moved.UnixNano(), most: most}
	}
	asking, cancel := context.WithTimeout(ctx, s.node.lookInterval()/2)
	defer cancel()
	if state, err := now.planner.State(asking); err == nil && state.Overdue > 0 && !state.Next.IsZero() {
		marks["slots are due and nobody claims them"] = mark{at: state.Next.UnixNano(), most: most}
	}
	return marks
}

// giveWay ends the process at once. What hangs cannot be waited for, and all that was
// claimed is in the journal: the node that has the lease next, which is free with
// this process's session, ends it.
func (n *node) giveWay(stuck string) {
	dump := dumpGoroutines(n.name)
	n.log.Error("this node is wedged and ends itself; another goes on", "stuck", stuck, "goroutines", dump)
	n.exit(1)
}

// dumpGoroutines writes where all goroutines are into a file for whoever looks for the
// cause, and returns its name, or why there is none.
func dumpGoroutines(node string) string {
	name := strings.Map(func(r rune) rune {
		if r == '/' || r == ':' || r == os.PathSeparator {
			return '-'
		}
		return r
	}, node)
	file, err := os.CreateTemp("", filepath.Base("onebeat-"+name)+"-*.goroutines")
	if err != nil {
		return err.Error()
	}
	defer func() { _ = file.Close() }()
	if err := pprof.Lookup("goroutine").WriteTo(file, 2); err != nil {
		return err.Error()
	}
	return file.Name()
}
