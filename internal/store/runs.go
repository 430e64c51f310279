package store

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/onebeat/onebeat/internal/schedule"
)

// A Filter says which runs. The zero Filter is the latest hundred of all.
type Filter struct {
	Entry schedule.ID
	Since time.Time // slots from then on
	Until time.Time // slots up to then
	State schedule.State
	Limit int // 0 is 100
}

// Runs returns runs of the ledger, the latest slot first.
func (s *Store) Runs(ctx context.Context, filter Filter) ([]schedule.Run, error) {
	return s.runs(ctx, "runs", string(filter.Entry), filter.Since, string(filter.State), cmp.Or(filter.Limit, 100), filter.Until)
}

// RunsNamed returns runs since an instant of entries that had a name when they ran, the latest slot first: also of those
// that are gone, or have another name now.
func (s *Store) RunsNamed(ctx context.Context, name string, since time.Time, limit int) ([]schedule.Run, error) {
	return s.runs(ctx, "runs_named", name, since, limit)
}

// lostMost is how many runs SentSince reads at most.
const lostMost = 1_000_000

// SentSince returns the runs of the shard's entries that are recorded as sent after an
// instant, in that order. It reads what the ledger has from half a day before on.
func (s *Shard) SentSince(ctx context.Context, at time.Time) ([]schedule.Run, error) {
	runs, err := s.store.runs(ctx, "runs_since", at, lostMost)
	return slices.DeleteFunc(runs, func(r schedule.Run) bool { return r.Entry.Shard(s.store.options.Shards) != s.number }), err
}

func (s *Store) runs(ctx context.Context, statement string, arguments ...any) ([]schedule.Run, error) {
	var runs []schedule.Run
	err := s.inParts(ctx, statement, func(row scanner) error {
		var r schedule.Run
		err := row.Scan((*string)(&r.Entry), &r.Name, &r.Task, instant{&r.Slot}, instant{&r.Through}, &r.Count,
			(*string)(&r.State), &r.Reason, &r.TaskID, &r.Queue, &r.Request, &r.Node, &r.Term, instant{&r.SentAt}, &r.Recovered)
		runs = append(runs, r)
		return err
	}, arguments...)
	if err != nil {
		return nil, fmt.Errorf("read runs: %w", err)
	}
	return runs, nil
}

// What the ledger keeps: Options.Ledger.
const (
	LedgerAll        = "all"        // a row for each slot, or for a range of slots that ended alike
	LedgerExceptions = "exceptions" // none for slots that were sent
)

// inOrder are the runs in the order of their entries' ids, which is that of the ledger's index and of the one that rows
// are found by: so what is written together is near together there, and a page of it is looked for and written
// once rather than for each run. In any other order the index is most of what a run costs.
func inOrder(runs []schedule.Run) []*schedule.Run {
	places := make([]place, len(runs))
	for i := range runs {
		places[i] = place{firstOf(runs[i].Entry), i}
	}
	slices.SortFunc(places, func(a, b place) int {
		if order := cmp.Compare(a.first, b.first); order != 0 {
			return order
		}
		return cmp.Or(cmp.Compare(runs[a.at].Entry, runs[b.at].Entry), cmp.Compare(a.at, b.at))
	})
	ordered := make([]*schedule.Run, len(places))
	for i := range places {
		ordered[i] = &runs[places[i].at]
	}
	return ordered
}

// noted are the runs that get a row, in the same order, with texts that the database keeps.
func (s *Store) noted(runs []*schedule.Run, plain bool) []*schedule.Run {
	noted := make([]*schedule.Run, 0, len(runs))
	for _, run := range runs {
		if s.options.Ledger != LedgerExceptions || run.State != schedule.Sent {
			noted = append(noted, s.keepable(run, plain))
		}
	}
	return noted
}

// keepable is the run as any database keeps it. The texts in it are a person's, or a
// server's: one that a column does not take must not keep all that is recorded with it from
// being recorded. PostgreSQL takes no NUL, MySQL nothing that is longer than its column, and
// neither takes bytes that are no UTF-8: each such character is shown as U+FFFD, and what is
// too long is cut. Where texts are to be plain, a question mark stands for what is not ASCII.
func (s *Store) keepable(run *schedule.Run, plain bool) *schedule.Run {
	kept := run
	for i, text := range [...]string{run.Name, run.Task, run.TaskID, run.Queue, run.Reason} {
		most := len(text)
		if s.name == "mysql" {
			most = textMost
			if i == reasonAt {
				most = reasonMost
			}
		}
		if len(text) <= most && strings.IndexByte(text, 0) < 0 && utf8.ValidString(text) && !plain {
			continue
		}
		if kept == run {
			kept = new(*run)
		}
		text = cut(legible(text), most)
		if plain {
			text = ascii(text)
		}
		*[...]*string{&kept.Name, &kept.Task, &kept.TaskID, &kept.Queue, &kept.Reason}[i] = text
	}
	return kept
}

const (
	reasonAt   = 4      // of the texts of a run
	textMost   = 255    // characters that MySQL keeps of the others
	reasonMost = 16_000 // and of the reason, which has bytes for that many

	problemMost = 1000 // of what is wrong with a row, which may quote what it holds
)

// legible is a text in which U+FFFD stands for what PostgreSQL takes in no text.
func legible(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
}

// ascii is a text with a question mark for each character that is not ASCII.
func ascii(text string) string {
	return strings.Map(func(r rune) rune {
		if r > unicode.MaxASCII {
			return '?'
		}
		return r
	}, text)
}

// cut is a text up to so many characters.
func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	for i := range text {
		if most == 0 {
			return text[:i]
		}
		most--
	}
	return text
}

// A place is which of some runs one is, and the beginning of its entry's id as a number,
// which is soon compared.
type place struct {
	first uint64
	at    int
}

// firstOf is the first eight bytes of an id, in an order as the ids'.
func firstOf(id schedule.ID) uint64 {
	var first [8]byte
	copy(first[:], id)
	return binary.BigEndian.Uint64(first[:])
}

// tendedAtOnce is how many runs SQLite forgets in one transaction: the statement
// runs_tend says so too.
const tendedAtOnce = 1000

// TendLedger sees to the ledger's days: partitions for the coming ones, where there
// are partitions, and an end to those that are older than Options.KeepRuns. It is
// to be called from time to time, and may be at any.
func (s *Store) TendLedger(ctx context.Context) error {
	// Who reads an old day, which is not to be dropped then, does not keep the coming days from being made.
	if _, err := s.tend(ctx, 0); err != nil {
		return fmt.Errorf("make the ledger's coming days: %w", err)
	}
	for {
		forgotten, err := s.tend(ctx, s.options.KeepRuns)
		if err != nil {
			return fmt.Errorf("drop old runs: %w", err)
		}
		if forgotten < tendedAtOnce {
			break
		}
	}
	if err := s.endLeft(ctx); err != nil {
		return fmt.Errorf("end parts of the ledger: %w", err)
	}
	return nil
}

// tend makes the coming days, and forgets some runs that are older than so many days, 0 for none.
func (s *Store) tend(ctx context.Context, keep int) (forgotten int64, err error) {
	err = s.db.transact(ctx, mode{relaxed: true}, func(tx transaction) (err error) {
		forgotten, err = tx.exec(ctx, "runs_tend", keep)
		if err == nil {
			_, err = tx.exec(ctx, "parts_tend", keep)
		}
		return err
	})
	if errors.Is(err, errHeld) {
		err = errors.New("another program reads the ledger; it is tried again later")
	}
	return forgotten, err
}

// NoteLedger writes down, once a change of it, what the ledger keeps and since when,
// so that a slot without a run can be told from one that was lost. The fact is
// "ledger" in onebeat_meta: a line a change, "all 2026-11-24T09:00:00Z".
func (s *Store) NoteLedger(ctx context.Context) error {
	now, err := s.Now(ctx)
	if err != nil {
		return fmt.Errorf("note what the ledger keeps: %w", err)
	}
	keeps := cmp.Or(s.options.Ledger, LedgerAll)
	line := keeps + " " + now.Format(time.RFC3339Nano)
	text, err := s.meta(ctx, "ledger", func() (string, error) { return line, nil })
	last := text[strings.LastIndex(text, "\n")+1:]
	if err == nil && !strings.HasPrefix(last, keeps+" ") {
		_, err = s.db.exec(ctx, "meta_update", "ledger", text, text+"\n"+line)
	}
	if err != nil {
		return fmt.Errorf("note what the ledger keeps: %w", err)
	}
	return nil
}
