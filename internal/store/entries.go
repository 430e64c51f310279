package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gofrs/uuid/v5"

	"github.com/onebeat/onebeat/internal/schedule"
)

// A Definition is what a person writes of an entry.
type Definition struct {
	Name        string           `json:"name"`
	Task        string           `json:"task"`
	Spec        string           `json:"spec"` // as schedule.Reading reads it
	Zone        string           `json:"zone,omitempty"`
	Rules       string           `json:"rules,omitempty"` // JSON of what stands around the spec; empty is none
	Enabled     bool             `json:"enabled"`
	Args        string           `json:"args"` // JSON texts; empty is none
	Kwargs      string           `json:"kwargs"`
	Options     string           `json:"options,omitempty"`
	Description string           `json:"description,omitempty"` // read by Find alone
	Misfire     schedule.Misfire `json:"misfire"`
}

// A Pause is a person's word that an entry shall not run.
type Pause struct {
	At     time.Time `json:"at"`
	Until  time.Time `json:"until,omitzero"` // zero: until resumed
	Reason string    `json:"reason"`
	By     string    `json:"by"`
}

// Active is the state of a Row that is planned. The others are reasons:
// schedule.ReasonDisabled, ReasonPaused, ReasonBadRow, ReasonDone.
const Active = "active"

// A Row is an entry as the catalog has it, also if it can't be read.
type Row struct {
	ID schedule.ID `json:"id"`
	Definition
	State         string    `json:"state"`
	Problem       string    `json:"problem,omitempty"` // of a bad row: what is wrong and what to do
	Paused        *Pause    `json:"paused,omitempty"`
	LastRunAt     time.Time `json:"last_run_at,omitzero"`
	TotalRunCount int64     `json:"total_run_count"`

	// Ran says of a disabled entry that its row is enabled: it is a one-off task, and its count says that it has run.
	Ran bool `json:"-"`

	// Limit is where the entry ends of itself.
	Limit schedule.Limit `json:"-"`

	// Entry is nil where State is not Active. Its next slot is Spec.Next(After).
	Entry *schedule.Entry `json:"-"`
}

var (
	// ErrNoEntry says that no entry has the id or name.
	ErrNoEntry = errors.New("no entry has this id or name: see `onebeat entries list`")

	// ErrNotPaused says that there is no pause to end.
	ErrNotPaused = errors.New("the entry is not paused")
)

// An InputError is a definition that can't be stored as it is: nothing was
// changed.
type InputError struct{ Problem string }

func (e *InputError) Error() string { return e.Problem }

// List returns all entries, good and bad, by their names, and changes nothing.
func (s *Store) List(ctx context.Context) ([]Row, error) {
	var rows []Row
	err := s.list(ctx, false, func(row Row) { rows = append(rows, row) })
	slices.SortFunc(rows, func(a, b Row) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(string(a.ID), string(b.ID)))
	})
	return rows, err
}

// Outline calls each for all entries, good and bad, and changes nothing. Of what Prepare
// would surely not refuse, it does not make what is sent: an Entry may be one whose definition is left in
// the catalog.
func (s *Store) Outline(ctx context.Context, each func(Row)) error { return s.list(ctx, true, each) }

func (s *Store) list(ctx context.Context, mayLeave bool, each func(Row)) error {
	if err := s.look(ctx); err != nil {
		return err
	}
	reading, err := s.onlyReading(ctx)
	if err != nil {
		return err
	}
	var commons commons
	err = s.every(ctx, s.newFeed(), func(r *row) error {
		r.mayLeave = mayLeave && s.options.Sound != nil
		r.common = commons.of(r, r.zoneOr(s.options.Zone))
		each(reading.row(r))
		return nil
	})
	if err != nil {
		return fmt.Errorf("read entries: %w", err)
	}
	return nil
}

// Count is how many entries there are, good and bad.
func (s *Store) Count(ctx context.Context) (n int, err error) {
	err = s.db.each(ctx, "entry_count", func(row scanner) error { return row.Scan(&n) })
	if err != nil {
		return 0, fmt.Errorf("count entries: %w", err)
	}
	return n, nil
}

// Unheeded counts the entries whose rows ask for what onebeat does not do: not to be sent while a run goes on.
func (s *Store) Unheeded(ctx context.Context) (n int, err error) {
	if !s.shape().has("execution_policy") || s.layout.name != nativeLayout.name {
		return 0, nil
	}
	err = s.db.each(ctx, "unheeded", func(row scanner) error { return row.Scan(&n) })
	if err != nil {
		return 0, fmt.Errorf("count entries with an execution policy: %w", err)
	}
	return n, nil
}

// Doubled counts the rows beyond the first of each id: none of them is an entry of its own.
func (s *Store) Doubled(ctx context.Context) (n int, err error) {
	err = s.doubled(ctx, func(_ string, more int) { n += more })
	return n, err
}

// doubled calls each for the ids that several rows have, with how many do beside one.
func (s *Store) doubled(ctx context.Context, each func(id string, more int)) error {
	if s.layout.name != nativeLayout.name { // the others' ids are their primary keys
		return nil
	}
	err := s.db.each(ctx, "doubled", func(row scanner) error {
		var id string
		more := 0
		err := row.Scan(orEmpty{&id}, &more)
		each(id, more)
		return err
	})
	if err != nil {
		return fmt.Errorf("count ids: %w", err)
	}
	return nil
}

// Find returns the entry of the id, or else the one of the name. A name that
// several have is an error that lists their ids.
func (s *Store) Find(ctx context.Context, idOrName string) (Row, error) {
	if err := s.look(ctx); err != nil {
		return Row{}, err
	}
	var ids []string
	err := s.db.each(ctx, "entry_find", func(row scanner) error {
		var id string
		var exact bool
		if err := row.Scan(&id, &exact); err != nil {
			return err
		}
		if exact {
			ids = []string{id}
		} else {
			ids = append(ids, id)
		}
		return nil
	}, idOrName)
	if others, exact := s.findOutside(ctx, idOrName); exact {
		ids = others
	} else {
		ids = append(ids, others...)
	}
	switch {
	case err != nil:
		return Row{}, fmt.Errorf("find entry: %w", err)
	case len(ids) == 0:
		return Row{}, ErrNoEntry
	case len(ids) > 1:
		return Row{}, &InputError{fmt.Sprintf("%d entries have the name %q: use an id, %s", len(ids), idOrName, some(ids, 10))}
	}
	return s.get(ctx, ids[0])
}

func some(ids []string, most int) string {
	if len(ids) > most {
		return strings.Join(ids[:most], ", ") + " …"
	}
	return strings.Join(ids, ", ")
}

// get returns the entry of the id with its description.
func (s *Store) get(ctx context.Context, id string) (Row, error) {
	reading, err := s.onlyReading(ctx)
	if err != nil {
		return Row{}, err
	}
	found := false
	var entry Row
	err = s.some(ctx, s.newFeed(), []string{id}, func(r *row) error {
		found = true
		entry = reading.row(r)
		return nil
	})
	if err == nil && found && s.source(id) == nil {
		err = s.db.each(ctx, "entry_description", func(row scanner) error { return row.Scan(&entry.Description) }, id)
	}
	switch {
	case err != nil:
		return Row{}, fmt.Errorf("read entry: %w", err)
	case !found:
		return Row{}, ErrNoEntry
	}
	return entry, nil
}

// onlyReading is a reading that remembers nothing.
func (s *Store) onlyReading(ctx context.Context) (*reading, error) {
	as, err := s.present(ctx)
	if err != nil {
		return nil, err
	}
	taken, err := s.Taken(ctx)
	if err != nil && !errors.Is(err, ErrHandedBack) {
		return nil, err
	}
	return &reading{store: s, home: s.home(s.shape()), first: beginning{at: as.now}, calendars: as.calendars, taken: taken}, nil
}

// A present is what a definition is judged by beside itself.
type present struct {
	now       time.Time
	calendars *calendars
}

func (s *Store) present(ctx context.Context) (as present, err error) {
	if as.now, err = s.Now(ctx); err != nil {
		return as, err
	}
	as.calendars, err = s.readCalendars(ctx)
	return as, err
}

// row makes the row that people see.
func (r *reading) row(from *row) Row {
	from.calendars = r.calendars
	change := r.change(from)
	seen, _ := r.seen(from)
	misfire, _ := from.misfire() // what is wrong with it is the row's Problem
	row := Row{
		ID: change.ID, Entry: change.Entry, Limit: change.Limit, State: change.Reason, Problem: change.Problem,
		Definition: Definition{
			Name: from.name, Task: from.task, Spec: from.spec, Zone: from.zone, Rules: from.written(), Enabled: from.enabled,
			Args: from.args, Kwargs: from.kwargs, Options: from.options, Description: from.description, Misfire: misfire,
		},
		LastRunAt: seen.last, TotalRunCount: seen.count, Ran: from.ran,
	}
	if row.Entry != nil {
		row.State = Active
	}
	if from.paused() {
		row.Paused = &Pause{At: from.pausedAt, Until: from.pausedUntil, Reason: from.pauseReason, By: from.pausedBy}
	}
	return row
}

// editable returns why an entry, or a new one, can't be edited here, or nil.
func (s *Store) editable(id schedule.ID) error {
	if x := s.source(string(id)); x != nil {
		return &InputError{fmt.Sprintf("the entry is edited where it is kept, %s: onebeat pauses, resumes and runs it, and sees each edit", x)}
	}
	if s.layout.editor == "" {
		return nil
	}
	if s.layout.table == "" {
		var kept []string
		for _, x := range s.sources {
			kept = append(kept, x.String())
		}
		return &InputError{fmt.Sprintf("entries are edited where they are kept, %s: onebeat pauses, resumes and runs them, and sees each edit", strings.Join(kept, ", "))}
	}
	return &InputError{fmt.Sprintf("entries in %s are edited by %s: onebeat pauses, resumes and runs them, and sees each edit", s.layout.table, s.layout.editor)}
}

// Add stores a new entry and returns its id. A definition that could not be
// planned is an *InputError.
func (s *Store) Add(ctx context.Context, definition Definition) (schedule.ID, error) {
	if err := s.editable(""); err != nil {
		return "", err
	}
	if err := s.look(ctx); err != nil {
		return "", err
	}
	as, err := s.present(ctx)
	if err != nil {
		return "", err
	}
	var id schedule.ID
	err = s.db.transact(ctx, mode{}, func(tx transaction) error {
		id, err = s.add(ctx, tx, definition, as)
		return err
	})
	var refused *InputError
	switch {
	case errors.As(err, &refused):
		return "", refused
	case err != nil:
		return "", fmt.Errorf("add entry: %w", err)
	}
	return id, nil
}

func (s *Store) add(ctx context.Context, tx transaction, definition Definition, as present) (schedule.ID, error) {
	if err := s.validate(definition, as); err != nil {
		return "", err
	}
	values := definition.values(as.now)
	table := s.shape()
	if err := s.fits(definition, table); err != nil {
		return "", err
	}
	fresh, err := uuid.NewV4()
	if err != nil {
		return "", err
	}
	values["id"] = fresh.String()
	var id string
	err = tx.each(ctx, "entry_insert", func(row scanner) error { return row.Scan(&id) }, pick(values, s.layout.inserting(table))...)
	if err != nil {
		return "", shorten(err)
	}
	return schedule.ID(id), hint(ctx, tx, schedule.ID(id))
}

// Edit changes an entry's definition: change is called with what the row holds
// now, and no other program's edit comes in between. What could not be planned is
// an *InputError.
func (s *Store) Edit(ctx context.Context, id schedule.ID, change func(*Definition)) error {
	if err := s.editable(id); err != nil {
		return err
	}
	if err := s.look(ctx); err != nil {
		return err
	}
	as, err := s.present(ctx)
	if err != nil {
		return err
	}
	err = s.db.transact(ctx, mode{}, func(tx transaction) error { return s.edit(ctx, tx, id, as, change) })
	if err != nil {
		return fmt.Errorf("edit entry: %w", err)
	}
	return nil
}

func (s *Store) edit(ctx context.Context, tx transaction, id schedule.ID, as present, change func(*Definition)) error {
	description, found := "", false
	err := tx.each(ctx, "entry_lock", func(row scanner) error {
		found = true
		return row.Scan(&description)
	}, string(id))
	if err != nil {
		return err
	}
	if !found {
		return ErrNoEntry
	}
	entry, err := s.get(ctx, string(id)) // locked, so that what another connection sees is what there is
	if err != nil {
		return err
	}
	entry.Description = description
	change(&entry.Definition)
	table := s.shape()
	if err := errors.Join(s.validate(entry.Definition, as), s.fits(entry.Definition, table)); err != nil {
		return err
	}
	args := append(pick(entry.values(as.now), table.of(s.layout.updated)), string(id))
	if _, err := tx.exec(ctx, "entry_update", args...); err != nil {
		return shorten(err)
	}
	return hint(ctx, tx, id)
}

// Remove deletes the entry's row.
func (s *Store) Remove(ctx context.Context, id schedule.ID) error {
	if err := s.editable(id); err != nil {
		return err
	}
	if err := s.look(ctx); err != nil {
		return err
	}
	return s.write(ctx, "remove entry", id, "entry_delete", ErrNoEntry, string(id))
}

// Pause keeps the entry from being planned until the instant, or until Resume if
// that is zero. A pause that ends leaves nothing to catch up.
func (s *Store) Pause(ctx context.Context, id schedule.ID, until time.Time, reason, by string) error {
	now, err := s.Now(ctx)
	if err != nil {
		return fmt.Errorf("pause entry: %w", err)
	}
	if !until.IsZero() && !until.After(now) {
		return &InputError{"the pause would end before it began: name a later instant"}
	}
	return s.write(ctx, "pause entry", id, "entry_pause", nil, string(id), until, reason, by)
}

// Resume ends the entry's pause. Its slots count from now.
func (s *Store) Resume(ctx context.Context, id schedule.ID) error {
	return s.write(ctx, "resume entry", id, "entry_resume", ErrNotPaused, string(id))
}

// write runs the statement and hints that the entry changed, or any if it names none.
// Where it wrote nothing, the error is none.
func (s *Store) write(ctx context.Context, what string, id schedule.ID, name string, none error, args ...any) error {
	err := s.db.transact(ctx, mode{}, func(tx transaction) error {
		written, err := tx.exec(ctx, name, args...)
		if err != nil {
			return err
		}
		if written == 0 {
			return none
		}
		return hint(ctx, tx, id)
	})
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// validate says why the definition could not be planned, as an *InputError.
func (s *Store) validate(definition Definition, as present) error {
	r := row{
		id:   "new", // any will do to see whether it can be planned
		name: definition.Name, task: definition.Task, spec: definition.Spec, zone: definition.Zone, rules: definition.Rules, createdAt: as.now, calendars: as.calendars,
		args: definition.Args, kwargs: definition.Kwargs, options: definition.Options,
		policy: string(definition.Misfire.Policy), graceSeconds: definition.Misfire.Grace.Seconds(),
		maxCount: int64(definition.Misfire.Count), maxAgeSeconds: definition.Misfire.Age.Seconds(),
	}
	if r.name == "" {
		return &InputError{"the entry has no name: give it one"}
	}
	if _, err := r.entry(&s.options); err != nil {
		return &InputError{err.Error()}
	}
	return nil
}

// shorten says of what a server tells of a text that its column is too short for what to do.
func shorten(err error) error {
	if refused(err, []string{"22001"}, []uint16{1406}, -1) {
		return &InputError{"a text is longer than its column of the table takes: shorten the name, the task, the spec or the zone"}
	}
	return err
}

// fits says which column the table lacks for the definition.
func (s *Store) fits(definition Definition, table shape) error {
	for _, need := range []struct {
		column string
		needed bool
	}{
		{"timezone", definition.Zone != ""},
		{"rules", definition.Rules != "" && definition.Rules != "{}"},
		{"options", definition.Options != "" && definition.Options != "{}"},
		{"misfire_policy", definition.Misfire.Policy != "" && definition.Misfire.Policy != schedule.Once},
		{"misfire_grace_seconds", definition.Misfire.Grace != 0},
		{"misfire_max_count", definition.Misfire.Count != 0},
		{"misfire_max_age_seconds", definition.Misfire.Age != 0},
		{"description", definition.Description != ""},
	} {
		if need.needed && !table.has(need.column) {
			return &InputError{fmt.Sprintf("table %s has no column %s: run `onebeat migrate` to add it", s.layout.table, need.column)}
		}
	}
	return nil
}

// values are the columns of a row with this definition, but for the id. Instants
// are written as all kinds of database read them.
func (d Definition) values(now time.Time) map[string]any {
	at := now.UTC().Format("2006-01-02 15:04:05.000000")
	return map[string]any{
		"name": d.Name, "task_name": d.Task, "cron_expression": d.Spec, "enabled": d.Enabled,
		"args": orJSON(d.Args, "[]"), "kwargs": orJSON(d.Kwargs, "{}"), "options": orJSON(d.Options, "{}"),
		"description": d.Description, "timezone": d.Zone, "rules": orJSON(d.Rules, "{}"),
		"misfire_policy":        string(orPolicy(d.Misfire.Policy)),
		"misfire_grace_seconds": orNone(d.Misfire.Grace.Seconds()), "misfire_max_age_seconds": orNone(d.Misfire.Age.Seconds()),
		"misfire_max_count": orNone(d.Misfire.Count),
		"created_at":        at, "updated_at": at,
		"tags": "[]", "execution_policy": "allow", "auto_generated_name": false,
	}
}

func orJSON(text, empty string) string {
	if strings.TrimSpace(text) == "" {
		return empty
	}
	return text
}

func orPolicy(policy schedule.Policy) schedule.Policy {
	if policy == "" {
		return schedule.Once
	}
	return policy
}

// orNone is null for zero, which stands for the default.
func orNone[N int | float64](n N) any {
	if n == 0 {
		return nil
	}
	return n
}

func pick(values map[string]any, names []string) []any {
	picked := make([]any, len(names))
	for i, name := range names {
		picked[i] = values[name]
	}
	return picked
}
