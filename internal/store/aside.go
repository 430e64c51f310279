package store

import (
	"cmp"
	"slices"
	"strings"
	"sync"

	"github.com/onebeat/onebeat/internal/schedule"
)

// An Aside is a row that is set aside.
type Aside struct {
	ID      schedule.ID
	Name    string
	Problem string // what is wrong and what to do
}

// asideMost is of how many rows that are set aside a roster knows more than the id: a whole catalog may be.
const asideMost = 1000

// aside are the rows that are set aside, whoever leads their shards.
type aside struct {
	mu    sync.Mutex
	known map[schedule.ID]Aside
	more  map[schedule.ID]struct{}
}

// note takes over what is known of a row from now on.
func (a *aside) note(change *schedule.Change) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if change.Entry != nil || change.Reason != schedule.ReasonBadRow {
		a.dropLocked(change.ID)
		return
	}
	if a.known == nil {
		a.known, a.more = map[schedule.ID]Aside{}, map[schedule.ID]struct{}{}
	}
	if _, known := a.known[change.ID]; !known && len(a.known) == asideMost {
		a.more[change.ID] = struct{}{}
		return
	}
	a.known[change.ID] = Aside{change.ID, change.Name, change.Problem}
	delete(a.more, change.ID)
}

func (a *aside) drop(id schedule.ID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.dropLocked(id)
}

func (a *aside) dropLocked(id schedule.ID) {
	delete(a.known, id)
	delete(a.more, id)
}

func (a *aside) some(most int) (rows []Aside, all int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, row := range a.known {
		rows = append(rows, row)
	}
	slices.SortFunc(rows, func(a, b Aside) int { return cmp.Or(strings.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID)) })
	return rows[:min(most, len(rows))], len(a.known) + len(a.more)
}
