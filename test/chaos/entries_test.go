package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/gofrs/uuid/v5"
)

// The queues: what the consumer takes, and what Celery workers run.
const (
	volume = "volume"
	worked = "worked"
)

// A group is entries of one kind.
type group struct {
	name   string
	number int
	period time.Duration
	queue  string
	kind   kind
}

// A kind says what may become of a slot besides being sent once.
type kind int

const (
	// owed is sent, however late: its policy or its grace says so.
	owed kind = iota
	// byPolicy may end unsent where it was late by more than its grace.
	byPolicy
	// atMostOnce may be unsure instead, where the broker may have had it.
	atMostOnce
	// edited is disabled, enabled and given other specs meanwhile.
	edited
)

// groups are all entries: about two hundred slots a second, and more each minute.
var groups = []group{
	{"each second", 80, time.Second, volume, owed},
	{"each second, all", 20, time.Second, volume, owed},
	{"each minute", 300, time.Minute, volume, owed},
	{"each second, at most once", 20, time.Second, volume, atMostOnce},
	{"each second, once", 20, time.Second, volume, byPolicy},
	{"each second, skip", 20, time.Second, volume, byPolicy},
	{"edited", 30, time.Second, volume, edited},
	{"worked each second", 10, time.Second, worked, owed},
	{"worked each minute", 40, time.Minute, worked, owed},
}

// An entry is a row of the table and its slots: whole periods since 1970, UTC.
type entry struct {
	id, name string
	group    *group

	mu    sync.Mutex
	edits []edit // the first of them is the row's making
}

// An edit is a definition of an entry.
type edit struct {
	period    time.Duration // 0 while it is disabled
	asked     time.Time     // when the statement left
	committed time.Time     // when its answer was there
}

// epoch is the rows' created_at: intervals are counted from a whole minute.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// makeEntries returns the rows to be.
func makeEntries(of []group) []*entry {
	var all []*entry
	for g := range of {
		for i := range of[g].number {
			all = append(all, &entry{
				id: uuid.Must(uuid.NewV4()).String(), name: fmt.Sprintf("%s %03d", of[g].name, i), group: &of[g],
				edits: []edit{{period: of[g].period}},
			})
		}
	}
	return all
}

// spec is the entry's first spec.
func (e *entry) spec() string {
	if e.group.period == time.Minute {
		return "* * * * *"
	}
	return fmt.Sprintf("@every %v", e.group.period)
}

// options are the row's options of apply_async.
func (e *entry) options() string {
	options := map[string]any{"queue": e.group.queue}
	if e.group.kind == atMostOnce {
		options["delivery"] = "at_most_once"
	}
	text, _ := json.Marshal(options) // a map of texts
	return string(text)
}

// misfires is the row's policy, and its grace in seconds, nil for the default.
func (e *entry) misfires() (policy string, grace any) {
	switch e.group.name {
	case "each second, all":
		return "all", nil
	case "each second, skip":
		return "skip", nil
	case "each second, once":
		return "once", nil
	}
	return "once", 7200
}

// An editor changes entries, one at a time, until ctx ends.
type editor struct {
	database *database
	entries  []*entry
	chance   *rand.Rand
	failed   int // statements without an answer, which were given again
}

func (d *editor) run(ctx context.Context) {
	for ctx.Err() == nil {
		e := d.entries[d.chance.IntN(len(d.entries))]
		d.edit(ctx, e, []time.Duration{0, time.Second, 2 * time.Second, 3 * time.Second}[d.chance.IntN(4)])
		wait := time.Duration(100+d.chance.IntN(900)) * time.Millisecond
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

// edit gives an entry a definition of its own. A statement that had no answer may
// have come about; it is given again, and does the same.
func (d *editor) edit(ctx context.Context, e *entry, period time.Duration) {
	e.mu.Lock()
	number := len(e.edits)
	if e.edits[number-1].period == period {
		e.mu.Unlock()
		return
	}
	e.edits = append(e.edits, edit{period: period, asked: time.Now()})
	e.mu.Unlock()
	spec := fmt.Sprintf("@every %v", max(period, time.Second))
	for {
		attempt, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
		err := d.database.exec(attempt, `UPDATE celery_beat_schedules SET cron_expression = ?, enabled = ?, args = ?, updated_at = ? WHERE id = ?`,
			spec, period != 0, fmt.Sprintf("[%d]", number), time.Now().UTC(), e.id)
		cancel()
		if err == nil {
			break
		}
		d.failed++
		time.Sleep(200 * time.Millisecond)
	}
	e.mu.Lock()
	e.edits[number].committed = time.Now()
	e.mu.Unlock()
}
