package store

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/onebeat/onebeat/internal/schedule"
)

// Why nothing is expected of an entry, beside the reasons of schedule.
const (
	unseen    = "spec not seen yet by a node, which may have another --zone than this" // or other settings
	forgetful = "run state in memory"                                                  // of each node: nothing is remembered of it
)

// Exceptions reports whether the ledger kept exceptions only at any time since an
// instant: a slot that was sent in time then left no row there.
func (s *Store) Exceptions(ctx context.Context, since time.Time) (only bool, err error) {
	err = s.db.each(ctx, "meta", func(row scanner) error {
		var changes string
		err := row.Scan(&changes)
		only = exceptionsSince(changes, since)
		return err
	}, "ledger")
	if err != nil {
		return false, fmt.Errorf("read what the ledger keeps: %w", err)
	}
	return only, nil
}

// exceptionsSince reads the fact that NoteLedger writes. What can't be read of it
// is taken for exceptions, so that nothing is called missing that may not be.
func exceptionsSince(changes string, since time.Time) bool {
	only := false
	for line := range strings.Lines(changes) {
		keeps, from, _ := strings.Cut(strings.TrimSpace(line), " ")
		at, err := time.Parse(time.RFC3339Nano, from)
		if err != nil {
			return true
		}
		if at.Before(since) {
			only = false // it was over by then
		}
		only = only || keeps != LedgerAll
	}
	return only
}

// Subjects returns entries as an audit judges them: of those that onebeat remembers,
// the n with the lowest ids above after, and the last id that was looked at, which is
// empty when there are no more. Their Entry has no Payload.
func (s *Store) Subjects(ctx context.Context, after schedule.ID, n int) ([]schedule.Subject, schedule.ID, error) {
	if s.shape() == nil || after == "" {
		if err := s.look(ctx); err != nil {
			return nil, "", err
		}
	}
	ids, since, err := s.remembered(ctx, after, n)
	if err != nil || len(ids) == 0 {
		return nil, "", err
	}
	subjects, err := s.subjects(ctx, ids, since)
	if err != nil || len(ids) < n {
		return subjects, "", err
	}
	return subjects, schedule.ID(ids[len(ids)-1]), nil
}

// remembered returns a page of ids, and since when the spec of each counts.
func (s *Store) remembered(ctx context.Context, after schedule.ID, n int) (ids []string, since map[string]time.Time, err error) {
	since = make(map[string]time.Time, n)
	err = s.db.each(ctx, "audit_page", func(row scanner) error {
		var id string
		var at time.Time
		if err := row.Scan(&id, instant{&at}); err != nil {
			return err
		}
		ids = append(ids, id)
		since[id] = at
		return nil
	}, string(after), n)
	return ids, since, err
}

func (s *Store) subjects(ctx context.Context, ids []string, since map[string]time.Time) ([]schedule.Subject, error) {
	reading, err := s.onlyReading(ctx)
	if err != nil {
		return nil, err
	}
	options := s.options
	options.Prepare = nil // nothing is sent
	found := make(map[string]schedule.Subject, len(ids))
	err = s.some(ctx, s.newFeed(), ids, func(r *row) error {
		r.calendars = reading.calendars
		found[r.id] = reading.subject(r, &options, since[r.id])
		return nil
	})
	if err != nil {
		return nil, err
	}
	subjects := make([]schedule.Subject, len(ids))
	for i, id := range ids {
		subject, ok := found[id]
		if !ok {
			subject = schedule.Subject{ID: schedule.ID(id), Off: schedule.ReasonRemoved}
		}
		subjects[i] = subject
	}
	return subjects, nil
}

// subject says what is expected of the row's entry.
func (r *reading) subject(row *row, options *Options, since time.Time) schedule.Subject {
	subject := schedule.Subject{ID: schedule.ID(row.id), Name: row.name, Since: since}
	entry, err := row.entry(options)
	seen, _ := r.seen(row)
	switch {
	case r.home == HomeMemory:
		subject.Off = forgetful
	case !row.enabled:
		subject.Off = schedule.ReasonDisabled
	case err != nil:
		subject.Off = schedule.ReasonBadRow
	case row.seenSpec != strconv.FormatUint(row.specDigest(row.zoneOr(r.store.options.Zone)), 16):
		subject.Off = unseen
	case schedule.LimitOf(entry.Spec, seen.count).Over():
		subject.Off = schedule.ReasonDone
	default:
		row.first(entry, seen.after)
		entry.After = schedule.Later(seen.after, seen.last)
		if since.IsZero() { // it was remembered by an older onebeat
			subject.Since = seen.after
		}
		if row.paused() {
			subject.PausedAt = row.pausedAt
		}
		subject.Since = schedule.Later(subject.Since, r.taken)
		subject.Entry = entry
	}
	return subject
}

// Ends calls each for the ends in the ledger of entries whose slots lie in (from,
// until], and for the last slot of each entry before: by entry, in order of slot. The
// run is good during the call only; its name, task, queue, node and term are not read.
func (s *Store) Ends(ctx context.Context, ids []schedule.ID, from, until time.Time, each func(*schedule.Run) error) error {
	var run schedule.Run
	err := s.inParts(ctx, "audit_ends", func(row scanner) error {
		err := row.Scan((*string)(&run.Entry), instant{&run.Slot}, instant{&run.Through}, &run.Count,
			(*string)(&run.State), &run.Reason, &run.Request, instant{&run.SentAt})
		if err != nil {
			return err
		}
		return each(&run)
	}, texts(ids), from, until)
	if err != nil {
		return fmt.Errorf("read ends: %w", err)
	}
	return nil
}

func texts(ids []schedule.ID) []string {
	texts := make([]string, len(ids))
	for i, id := range ids {
		texts[i] = string(id)
	}
	return texts
}
