package dispatch

import (
	"cmp"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
)

// each is the number of slots a second that are logged one by one; what is beyond it is
// told of together. A line is a fifth of what a message costs.
const each = 100

// News log what became of slots.
type news struct {
	log *slog.Logger

	until time.Time              // when the second ends that told counts in
	told  map[schedule.State]int // slots that were logged one by one, of each state: what failed is not to be lost among others

	sent  int // sends that are yet to be told of
	slot  time.Time
	worst time.Duration
	other map[ending]int // and slots that ended otherwise
}

// An ending is what slots are told of together by.
type ending struct {
	state  schedule.State
	reason string
}

// tell logs the ends of a part, by the instant of its acknowledgement. So many slots go out right after them.
func (n *news) tell(at time.Time, runs []schedule.Run, more int) {
	if !at.Before(n.until) || n.until.Sub(at) > time.Second { // or the clock was set back
		n.flush()
		n.until, n.told = at.Add(time.Second), map[schedule.State]int{}
	}
	alone := n.sent == 0 && n.told[schedule.Sent]+len(runs)+more <= each // of sends that go out together all are, or none
	for i := range runs {
		run := &runs[i]
		switch {
		case run.State == schedule.Sent && alone:
			n.told[run.State]++
			n.log.Info("task sent", "entry", run.Name, "task", run.Task, "task_id", run.TaskID, "slot", run.Slot, "late", run.SentAt.Sub(run.Slot).Round(10*time.Microsecond), "queue", run.Queue)
		case run.State == schedule.Sent:
			if n.sent == 0 {
				n.slot = run.Slot
			}
			n.sent++
			n.worst = max(n.worst, run.SentAt.Sub(run.Slot))
		case n.told[run.State] >= each:
			if n.other == nil {
				n.other = map[ending]int{}
			}
			n.other[ending{run.State, run.Reason}] += run.Count
		default:
			n.told[run.State]++
			n.end(run)
		}
	}
}

// end logs a slot that was not sent, or perhaps.
func (n *news) end(run *schedule.Run) {
	switch run.State {
	case schedule.Failed:
		n.log.Error("slot failed", "entry", run.Name, "task", run.Task, "task_id", run.TaskID, "slot", run.Slot, "queue", run.Queue, "err", run.Reason)
	case schedule.Unsure:
		n.log.Warn("slot is unsure: its task may have been sent, and is not sent again", "entry", run.Name, "task", run.Task, "task_id", run.TaskID, "slot", run.Slot, "queue", run.Queue, "reason", run.Reason)
	default:
		n.log.Info("slot ended unsent", "entry", run.Name, "task", run.Task, "slot", run.Slot, "state", run.State, "reason", run.Reason, "count", run.Count)
	}
}

// flush tells of what was not logged one by one.
func (n *news) flush() {
	if n.sent > 0 {
		n.log.Info("tasks sent", "sent", n.sent, "slot", n.slot, "late", n.worst.Round(10*time.Microsecond))
		n.sent, n.worst = 0, 0
	}
	ends := slices.SortedFunc(maps.Keys(n.other), func(a, b ending) int {
		return cmp.Or(cmp.Compare(a.state, b.state), cmp.Compare(a.reason, b.reason))
	})
	for _, end := range ends {
		switch slots := n.other[end]; end.state {
		case schedule.Failed:
			n.log.Error("slots failed: onebeat runs list --state failed names them", "slots", slots, "err", end.reason)
		case schedule.Unsure:
			n.log.Warn("slots are unsure: onebeat runs list --state unsure names them", "slots", slots, "reason", end.reason)
		default:
			n.log.Info("slots ended unsent", "slots", slots, "state", end.state, "reason", end.reason)
		}
	}
	clear(n.other)
}
