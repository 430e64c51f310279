package dispatch

import (
	"sync"
	"sync/atomic"

	"github.com/onebeat/onebeat/internal/schedule"
)

// Limits are where entries end of themselves, as one term knows it: how many runs each
// has left, counting those that are on their way. A run that fails is given back.
// Entries without a limit are not in it and cost nothing. Its methods may be called
// from any goroutine.
type Limits struct {
	any atomic.Bool // an entry was given a limit

	mu sync.Mutex
	of map[schedule.ID]*limit
}

type limit struct {
	schedule.Limit
	digest uint64 // of the definition that it is part of
	told   int64  // what the store said was sent
}

// Learn takes in what changes say of limits. What was counted of runs on their way
// stays, unless the store has gone back: then a person gave the entry more.
func (l *Limits) Learn(changes []schedule.Change) {
	for i := range changes {
		change := &changes[i]
		limited := change.Entry != nil && change.Limit != (schedule.Limit{})
		if !limited && (!l.any.Load() || change.Entry == nil && change.Reason != schedule.ReasonRemoved) {
			continue
		}
		l.mu.Lock()
		if limited {
			l.any.Store(true)
			l.learnLocked(change)
		} else {
			delete(l.of, change.ID)
		}
		l.mu.Unlock()
	}
}

func (l *Limits) learnLocked(change *schedule.Change) {
	if l.of == nil {
		l.of = map[schedule.ID]*limit{}
	}
	now := &limit{Limit: change.Limit, digest: change.Entry.Digest, told: change.Limit.Sent}
	if was := l.of[change.ID]; was != nil && now.told >= was.told {
		now.Sent = max(now.Sent, was.Sent)
	}
	l.of[change.ID] = now
}

// take counts a run of the entry, or returns false when it has none left.
func (l *Limits) take(id schedule.ID) bool {
	if !l.any.Load() {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	limit := l.of[id]
	if limit == nil {
		return true
	}
	if limit.Over() {
		return false
	}
	limit.Sent++
	return true
}

// give takes back a run that was counted and did not come to be sent.
func (l *Limits) give(id schedule.ID) {
	if !l.any.Load() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if limit := l.of[id]; limit != nil {
		limit.Sent--
	}
}

// then returns what becomes of the row of e's entry now that the slot of the run has
// ended: nothing unless it was the last, of the definition that still is the entry's.
func (l *Limits) then(e *schedule.Entry, run *schedule.Run) schedule.Then {
	if !l.any.Load() || e.Spec == nil {
		return schedule.ThenKeep
	}
	l.mu.Lock()
	limit := l.of[e.ID]
	if limit == nil || limit.Then == schedule.ThenKeep || limit.digest != e.Digest {
		l.mu.Unlock()
		return schedule.ThenKeep
	}
	then, over := limit.Then, limit.Over()
	l.mu.Unlock()
	if e.Ended() == "" && (over || run.Request == "" && e.Spec.Next(run.Last()).IsZero()) {
		return then
	}
	return schedule.ThenKeep
}
