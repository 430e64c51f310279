package plan

import (
	"cmp"
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
)

// walked bounds how many missed slots are counted one by one: a range longer
// than that is recorded with this count and its true ends.
const walked = 100_000

// settle judges the slots of it that are later than its grace at now, moves it on
// to the first slot that is still owed, and appends what ended unsent to dues. Where
// windows begin or end among them, it judges those up to there, and the policy's bounds
// count for those.
func (t *turns) settle(it *item, now time.Time, windows *schedule.Windows, dues []schedule.Due) []schedule.Due {
	e := t.others.items.entry(it)
	policy := e.Misfire
	grace := policy.Grace
	if grace == 0 {
		grace = schedule.DefaultGrace
	}
	late := now.Add(-grace)
	if it.next >= late.UnixMicro() || it.next < it.kept {
		return dues
	}
	first, before := it.slot(), it.slot().Add(-time.Microsecond)
	if reason, until := windows.Closed(e, first); reason != "" {
		return t.pass(it, e, late, until, reason, dues)
	}
	if begin := windows.Begins(e, first); !begin.IsZero() && !begin.After(late) {
		late = begin.Add(-time.Microsecond)
	}
	last := schedule.Latest(e.Spec, before, late) // of the missed ones

	var keep time.Time // the first missed slot that is still owed
	var into time.Time // the slot after those, into which they coalesce
	end := schedule.Coalesced
	switch policy.Policy {
	case schedule.Skip:
		end = schedule.Skipped
	case schedule.All:
		end = schedule.Skipped
		keep = lastOf(e.Spec, before, late, policy.Count)
	default:
		next := windows.Next(e, last)
		if next.IsZero() || next.After(now) {
			keep = last
		} else { // it is late, not missed: all coalesce into it
			into = next
		}
	}
	if policy.Age > 0 && policy.Policy != schedule.Skip {
		if old := now.Add(-policy.Age); last.Before(old) {
			keep, into, end = time.Time{}, time.Time{}, schedule.Skipped
		} else if !keep.IsZero() && keep.Before(old) {
			keep = e.Spec.Next(old.Add(-time.Microsecond))
		}
	}

	if keep.IsZero() {
		dues = append(dues, ended(e, first, last, end, schedule.ReasonMisfire))
		it.from = last.UnixMicro()
		next := e.Spec.Next(last)
		if !next.IsZero() && next.Equal(into) { // it is owed however late its turn is: who cannot keep up would send nothing ever
			it.kept = into.UnixMicro() + 1
		}
		t.set(it, next)
		return dues
	}
	if keep.After(first) {
		through := schedule.Latest(e.Spec, before, keep.Add(-time.Microsecond))
		dues = append(dues, ended(e, first, through, end, schedule.ReasonMisfire))
		it.from = through.UnixMicro()
	}
	it.kept = last.UnixMicro() + 1
	t.set(it, keep)
	return dues
}

// pass ends the missed slots of it that a window holds.
func (t *turns) pass(it *item, e *schedule.Entry, late, until time.Time, reason string, dues []schedule.Due) []schedule.Due {
	first, through := it.slot(), until.Add(-time.Microsecond)
	if late.Before(through) {
		through = late
	}
	last := schedule.Latest(e.Spec, first.Add(-time.Microsecond), through)
	it.from = last.UnixMicro()
	t.set(it, e.Spec.Next(last))
	return append(dues, ended(e, first, last, schedule.Skipped, reason))
}

// ended is the due for the slots from first through last, which nothing is sent for.
func ended(e *schedule.Entry, first, last time.Time, state schedule.State, reason string) schedule.Due {
	n, _ := schedule.Count(e.Spec, first.Add(-time.Microsecond), last, walked)
	return schedule.Due{Entry: e, Slot: first, State: state, Reason: reason, Through: last, Count: n}
}

// lastOf returns the first of the last count slots in (after, through], of which there is one.
func lastOf(spec schedule.Spec, after, through time.Time, count int) time.Time {
	count = min(cmp.Or(count, schedule.DefaultCount), schedule.MostCount)
	// Widen a window from its end until it holds enough, so that a long absence
	// costs no walk through all of it.
	from, few := through, through
	n := 0
	for window := time.Minute; n < count && from.After(after); window *= 2 {
		few, from = from, through.Add(-window)
		if from.Before(after) {
			from = after
		}
		n, _ = schedule.Count(spec, from, through, 2*count)
	}
	// It may hold many more, where slots come in bursts: narrow it.
	for n == 2*count && few.Sub(from) > time.Microsecond {
		middle := from.Add(few.Sub(from) / 2)
		if m, _ := schedule.Count(spec, middle, through, 2*count); m < count {
			few = middle
		} else {
			from, n = middle, m
		}
	}
	for ; n > count; n-- {
		from = spec.Next(from)
	}
	return spec.Next(from)
}
