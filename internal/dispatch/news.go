package dispatch

import (
	"log/slog"
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
)

// each is the number of sends a second that are logged one by one; what is beyond it is
// told of together. A line is a fifth of what a message costs.
const each = 100

// News log what became of slots.
type news struct {
	log *slog.Logger

	until time.Time // when the second ends that told counts in
	told  int       // sends that were logged one by one

	sent  int // sends that are yet to be told of
	slot  time.Time
	worst time.Duration
}

// tell logs the ends of a part, by the instant of its acknowledgement.
func (n *news) tell(at time.Time, runs []schedule.Run) {
	if !at.Before(n.until) || n.until.Sub(at) > time.Second { // or the clock was set back
		n.flush()
		n.until, n.told = at.Add(time.Second), 0
	}
	alone := n.told+len(runs) <= each
	for i := range runs {
		run := &runs[i]
		switch {
		case run.State == schedule.Failed:
			n.log.Error("slot failed", "entry", run.Name, "task", run.Task, "task_id", run.TaskID, "slot", run.Slot, "queue", run.Queue, "err", run.Reason)
		case run.State == schedule.Unsure:
			n.log.Warn("slot is unsure: its task may have been sent, and is not sent again", "entry", run.Name, "task", run.Task, "task_id", run.TaskID, "slot", run.Slot, "queue", run.Queue, "reason", run.Reason)
		case run.State != schedule.Sent:
			n.log.Info("slot ended unsent", "entry", run.Name, "task", run.Task, "slot", run.Slot, "state", run.State, "reason", run.Reason, "count", run.Count)
		case alone:
			n.told++
			n.log.Info("task sent", "entry", run.Name, "task", run.Task, "task_id", run.TaskID, "slot", run.Slot, "late", run.SentAt.Sub(run.Slot).Round(10*time.Microsecond), "queue", run.Queue)
		default:
			if n.sent == 0 {
				n.slot = run.Slot
			}
			n.sent++
			n.worst = max(n.worst, run.SentAt.Sub(run.Slot))
		}
	}
}

// flush tells of the sends that were not logged one by one.
func (n *news) flush() {
	if n.sent > 0 {
		n.log.Info("tasks sent", "sent", n.sent, "slot", n.slot, "late", n.worst.Round(10*time.Microsecond))
		n.sent, n.worst = 0, 0
	}
}
