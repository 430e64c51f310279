package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A Carried is an entry of another catalog as celery_beat_schedules would have it.
type Carried struct {
	Definition
	LastRunAt     time.Time
	TotalRunCount int64
	Paused        *Pause

	after time.Time // slots count after this; zero where onebeat has not run the entry
	once  bool      // the spec is the one slot that it had when it was read
}

// A Refused is an entry that Carry can't take over, and why.
type Refused struct {
	Name   string `json:"name"`
	Reason string `json:"reason"`
}

// Export returns all entries of the catalog for Carry, and those that can't be
// carried. It changes nothing.
func (s *Store) Export(ctx context.Context) (all []Carried, refused []Refused, err error) {
	if err := s.look(ctx); err != nil {
		return nil, nil, err
	}
	reading, err := s.onlyReading(ctx)
	if err != nil {
		return nil, nil, err
	}
	var ids []string
	err = s.every(ctx, s.newFeed(), func(r *row) error {
		carried, reason := reading.carried(r)
		if reason != nil {
			refused = append(refused, Refused{r.name, reason.Error()})
			return nil
		}
		carried.Description = r.description
		all, ids = append(all, carried), append(ids, r.id)
		return nil
	})
	for i := 0; err == nil && i < len(ids); i++ {
		if s.source(ids[i]) != nil {
			continue
		}
		err = s.db.each(ctx, "entry_description", func(row scanner) error { return row.Scan(&all[i].Description) }, ids[i])
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read entries: %w", err)
	}
	return all, refused, nil
}

// carried is the row for another table, or why it can't be.
func (r *reading) carried(from *row) (Carried, error) {
	from.calendars = r.calendars
	entry, err := from.entry(&r.store.options)
	if err != nil {
		return Carried{}, err
	}
	if from.oneOff && !from.enabled {
		return Carried{}, errors.New("a one-off task that has run or is disabled: nothing is left to do")
	}
	seen, known := r.seen(from)
	r.settle(from, entry)
	misfire, _ := from.misfire() // entry has read it
	carried := Carried{
		Definition: Definition{
			Name: from.name, Task: from.task, Spec: from.spec, Zone: from.zone, Rules: cmp.Or(from.written(), "{}"), Enabled: from.enabled,
			Args: from.args, Kwargs: from.kwargs, Options: from.options, Misfire: misfire,
		},
		LastRunAt: seen.last, TotalRunCount: seen.count,
	}
	if from.outside && strings.HasPrefix(from.spec, "@every") && !strings.Contains(from.spec, " from ") {
		carried.Spec += " from " + from.anchor().Format(time.RFC3339) // a table's row begins when it is made
	}
	if from.oneOff {
		if !once(entry.Spec) {
			return Carried{}, errors.New("a one-off task whose schedule has no slot any more")
		}
		carried.Spec, carried.Rules, carried.once = entry.Spec.String(), "{}", true
	}
	if known && from.enabled {
		carried.after = entry.After
	}
	if from.paused() {
		carried.Paused = &Pause{At: from.pausedAt, Until: from.pausedUntil, Reason: from.pauseReason, By: from.pausedBy}
	}
	return carried, nil
}

// Carry makes the catalog's entries be as those of another one, by name, all or none:
// definition, last run, count, pause, and from when on slots count. Entries that only
// this catalog has stay. It may be repeated: what runs here meanwhile keeps the later last
// run and the higher count, and a one-off its slot. A dry run changes nothing. It returns
// what it does, in the order of all; an *InputError names the first that can't be planned.
func (s *Store) Carry(ctx context.Context, all []Carried, dry bool) ([]Step, error) {
	rows, err := s.List(ctx)
	if err != nil {
		return nil, err
	}
	if s.home(s.shape()) != HomeColumn || !s.shape().has("total_run_count") {
		return nil, &InputError{fmt.Sprintf("table %s does not hold last_run_at and total_run_count: run `onebeat migrate` to add them, and leave --home away", s.layout.table)}
	}
	there := make(map[string]Row, len(rows))
	for _, row := range rows {
		there[row.Name] = row
	}
	definitions := make([]Definition, len(all))
	for i, carried := range all {
		definitions[i] = carried.Definition
		if old, ok := there[carried.Name]; ok && carried.once {
			definitions[i].Spec = old.Spec
		}
	}
	return s.apply(ctx, definitions, dry, func(tx transaction, steps []Step) error {
		state := ends{}
		for i, step := range steps {
			state.add(string(step.ID), all[i].LastRunAt, time.Time{}, max(all[i].TotalRunCount-there[step.Name].TotalRunCount, 0))
		}
		if err := tx.many(ctx, "row_ended_counted", state.ids, state.sent, state.counts); err != nil {
			return err
		}
		if err := s.carryAfter(ctx, tx, all, state.ids); err != nil {
			return err
		}
		for i, step := range steps {
			if pause := all[i].Paused; pause != nil && there[step.Name].Paused == nil {
				if _, err := tx.exec(ctx, "entry_pause", string(step.ID), pause.Until, pause.Reason, pause.By); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// carryAfter remembers from when on slots of the entries count, as if they had been
// planned here, so that what comes due between two catalogs is owed.
func (s *Store) carryAfter(ctx context.Context, tx transaction, all []Carried, ids []string) error {
	after := make(map[string]time.Time, len(ids))
	for i, id := range ids {
		if !all[i].after.IsZero() {
			after[id] = all[i].after
		}
	}
	for len(ids) > 0 {
		part := ids[:min(chunk, len(ids))]
		ids = ids[len(part):]
		var seen, specs []string
		var afters []time.Time
		err := tx.each(ctx, "entries_by_id", func(from scanner) error {
			var r row
			if err := s.layout.scan(&r, from, s.trailing); err != nil {
				return err
			}
			if at, ok := after[r.id]; ok {
				seen = append(seen, r.id)
				specs = append(specs, strconv.FormatUint(r.specDigest(r.zoneOr(s.options.Zone)), 16))
				afters = append(afters, at)
			}
			return nil
		}, part)
		if err == nil && len(seen) > 0 {
			err = tx.many(ctx, "entry_seen", seen, specs, afters)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
