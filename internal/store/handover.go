package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// The fact take_over says since when onebeat sends the entries of another scheduler,
// or that they were handed back and when: then nobody does.
const (
	takeOver   = "take_over"
	handedBack = "handed back "
)

// ErrHandedBack says that the entries were handed back to another scheduler.
var ErrHandedBack = errors.New("the entries were handed back to another scheduler: stop it, and give --take-over-at now, or an instant, to take them over again")

// TakeOver says that onebeat sends the slots from an instant on, now if it is zero,
// and nothing for before. It counts for a catalog that onebeat never ran, and for one
// that was handed back; else it changes nothing. It returns since when onebeat sends,
// and whether this call said so.
func (s *Store) TakeOver(ctx context.Context, at time.Time) (since time.Time, said bool, err error) {
	now, err := s.Now(ctx)
	if err != nil {
		return time.Time{}, false, err
	}
	if at.IsZero() {
		at = now
	}
	before := at.Add(-time.Microsecond).UTC().Format(time.RFC3339Nano) // slots count after it
	first, err := s.meta(ctx, "first_start", func() (string, error) { return before, nil })
	if err != nil {
		return time.Time{}, false, fmt.Errorf("take over: %w", err)
	}
	known, err := s.meta(ctx, takeOver, func() (string, error) { return first, nil }) // onebeat may have run before
	if err != nil {
		return time.Time{}, false, fmt.Errorf("take over: %w", err)
	}
	if strings.HasPrefix(known, handedBack) {
		if _, err := s.db.exec(ctx, "meta_update", takeOver, known, before); err != nil {
			return time.Time{}, false, fmt.Errorf("take over: %w", err)
		}
		known = before
	}
	since, err = time.Parse(time.RFC3339Nano, known)
	if err != nil {
		return time.Time{}, false, fmt.Errorf("onebeat_meta has the %s %q: write it as %s", takeOver, known, before)
	}
	return since.Add(time.Microsecond), known == before, nil
}

// Taken returns the instant after which slots count for every entry, zero if there is
// none, or ErrHandedBack.
func (s *Store) Taken(ctx context.Context) (after time.Time, err error) {
	err = s.db.each(ctx, "meta", func(row scanner) error {
		var value string
		if err := row.Scan(&value); err != nil {
			return err
		}
		if strings.HasPrefix(value, handedBack) {
			return ErrHandedBack
		}
		after, err = time.Parse(time.RFC3339Nano, value)
		return err
	}, takeOver)
	return after, err
}

// HandedBack returns ErrHandedBack if the entries were handed back.
func (s *Store) HandedBack(ctx context.Context) error {
	_, err := s.Taken(ctx)
	return err
}

// HandBack leaves the entries as another scheduler needs them to go on without a
// double: a slot that onebeat has ended unsent is not owed to it either, so the last
// run is moved there. From then on no node sends, until TakeOver. It returns how many
// entries it moved. A dry run moves none. No node may run: that and slots that are
// claimed and not recorded are an *InputError.
func (s *Store) HandBack(ctx context.Context, owner string, dry bool) (moved int, err error) {
	terms, free, err := s.alone(ctx, owner)
	if err != nil {
		return 0, err
	}
	defer free()
	all, err := s.behind(ctx)
	if err != nil || dry {
		return len(all.ids), err
	}
	if err := s.handBack(ctx, terms, all); err != nil {
		return 0, fmt.Errorf("hand back: %w", err)
	}
	return len(all.ids), s.FlushSources(ctx)
}

// behind returns the entries whose catalog has an earlier last run than onebeat.
func (s *Store) behind(ctx context.Context) (ends, error) {
	all := newEnds(0)
	if err := s.look(ctx); err != nil {
		return all, err
	}
	reading, err := s.onlyReading(ctx)
	if err != nil {
		return all, err
	}
	keeps := s.home(s.shape()) == HomeColumn
	err = s.every(ctx, s.newFeed(), func(r *row) error {
		_, recorder := s.recorder(r.id)
		entry := reading.change(r).Entry
		if entry == nil || r.oneOff || r.lastRunAt.IsZero() || !entry.After.After(r.lastRunAt) || !recorder && (r.outside || !keeps) {
			return nil
		}
		all.add(r.id, entry.After, time.Time{}, 0)
		return nil
	})
	return all, err
}

// recorder returns the source of an entry that keeps run state itself.
func (s *Store) recorder(id string) (*sourced, bool) {
	x := s.source(id)
	if x == nil {
		return nil, false
	}
	_, ok := x.Source.(Recorder)
	return x, ok
}

func (s *Store) handBack(ctx context.Context, terms []int64, all ends) error {
	now, err := s.Now(ctx)
	if err != nil {
		return err
	}
	value := handedBack + now.UTC().Format(time.RFC3339Nano)
	known, err := s.meta(ctx, takeOver, func() (string, error) { return value, nil })
	if err != nil {
		return err
	}
	r := recording{Shard: s.Shard(0), ended: all}
	err = s.db.transact(ctx, mode{}, func(tx transaction) error {
		if err := r.move(ctx, tx); err != nil {
			return err
		}
		if _, err := tx.exec(ctx, "meta_update", takeOver, known, value); err != nil {
			return err
		}
		for number, term := range terms {
			if err := s.Shard(number).holds(ctx, tx, term); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		s.noteEnds(all)
	}
	return err
}
