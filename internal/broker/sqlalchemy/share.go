package sqlalchemy

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"

	"github.com/onebeat/onebeat/internal/celery"
)

// A Tx is an open transaction: the broker's own, or one of someone else on the same database.
type Tx interface {
	// Dialect is postgres, mysql or sqlite.
	Dialect() string
	// Exec runs a text as the database's driver takes it and returns how many rows were written.
	Exec(ctx context.Context, text string, args ...any) (int64, error)
	// Query calls row for each row of the answer.
	Query(ctx context.Context, text string, row func(scan func(into ...any) error) error, args ...any) error
}

// An ownTx is a transaction on the broker's own connections.
type ownTx struct {
	tx      *sql.Tx
	dialect string
}

func (own ownTx) Dialect() string { return own.dialect }

func (own ownTx) Exec(ctx context.Context, text string, args ...any) (int64, error) {
	result, err := own.tx.ExecContext(ctx, text, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

func (own ownTx) Query(ctx context.Context, text string, row func(scan func(into ...any) error) error, args ...any) error {
	rows, err := own.tx.QueryContext(ctx, text, args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := row(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// first scans the first row of an answer and says whether there was one.
func first(ctx context.Context, tx Tx, text string, args []any, into ...any) (found bool, err error) {
	err = tx.Query(ctx, text, func(scan func(into ...any) error) error {
		if found {
			return nil
		}
		found = true
		return scan(into...)
	}, args...)
	return found, err
}

// PublishIn does what Publish does, in a transaction of someone else's on this broker's
// database (Shares), and calls record in it with the messages that no row can take, before
// it writes the others: so that their rows are locked for the shortest time. Whoever began
// the transaction ends it: nothing is sent before it is committed, and nothing is if it is taken
// back. Prepare comes before. Its errors are ErrFenced, record's, and the database's.
//
// A part that was sent before is not sent again, and record is called all the same.
func (b *Broker) PublishIn(ctx context.Context, tx Tx, part celery.Part, record func([]celery.Failure) error) error {
	_, err := b.write(ctx, tx, part, record)
	if err != nil && !errors.Is(err, celery.ErrFenced) {
		b.prepared = false // the tables may be gone
	}
	return err
}

// Shares says whether the transactions that within begins are of the database that this
// broker's messages and marks are in: the same tables of the same server, or the same file,
// however the two are reached. It writes there as PublishIn would, if the tables are there; within has to take that
// back. Nothing else is changed. An error says why that could not be found out, or what
// keeps such a transaction from writing.
//
// That it is the same server is seen by a lock, which the one takes and the other finds
// taken, and that it is the same file, by the file itself.
func (b *Broker) Shares(ctx context.Context, within func(func(Tx) error) error) (shares bool, err error) {
	if !b.prepared {
		if err := b.settleDialect(ctx); err != nil {
			return false, fmt.Errorf("sqlalchemy: %w", err)
		}
	}
	look := func(seen func(Tx) (bool, error)) error {
		return within(func(tx Tx) (err error) {
			if tx.Dialect() != b.dialect {
				return nil
			}
			if shares, err = seen(tx); err == nil && shares {
				err = b.rehearse(ctx, tx)
			}
			return err
		})
	}
	if b.dialect == sqlite {
		err = look(func(tx Tx) (bool, error) { return b.sameFile(ctx, tx) })
	} else {
		err = b.locked(ctx, func(key any, place string) error {
			return look(func(tx Tx) (bool, error) { return b.samePlace(ctx, tx, key, place) })
		})
	}
	if err != nil {
		return false, fmt.Errorf("sqlalchemy: %w", err)
	}
	return shares, nil
}

// sameFile reports whether the transaction's file is the broker's.
func (b *Broker) sameFile(ctx context.Context, tx Tx) (bool, error) {
	var file string
	if _, err := first(ctx, tx, b.statements.get("file"), nil, &file); err != nil {
		return false, err
	}
	theirs, err := os.Stat(file)
	if err != nil {
		return false, err
	}
	ours, err := os.Stat(b.file)
	if errors.Is(err, os.ErrNotExist) { // it is yet to be made
		return false, nil
	}
	return err == nil && os.SameFile(theirs, ours), err
}

// samePlace reports whether the transaction finds the lock of the key taken, and its names
// mean the same tables.
func (b *Broker) samePlace(ctx context.Context, tx Tx, key any, place string) (bool, error) {
	var taken bool
	if _, err := first(ctx, tx, b.statements.get("lock_seen"), []any{key}, &taken); err != nil || !taken {
		return false, err
	}
	theirs, err := b.place(ctx, tx)
	return err == nil && theirs == place, err
}

// place is which tables the names mean.
func (b *Broker) place(ctx context.Context, tx Tx) (place string, err error) {
	_, err = first(ctx, tx, b.statements.get("place"), []any{b.tables.queue, b.tables.message}, &place)
	return place, err
}

// locked does work while a session of the broker's has a lock that nobody else asks for.
func (b *Broker) locked(ctx context.Context, work func(key any, place string) error) error {
	var random [8]byte
	_, _ = rand.Read(random[:]) // it never fails
	var key any = "onebeat." + hex.EncodeToString(random[:])
	if b.dialect == postgres {
		key = int64(binary.LittleEndian.Uint64(random[:]))
	}
	return b.once(ctx, func(tx Tx) (err error) {
		if _, err := tx.Exec(ctx, b.statements.get("lock_take"), key); err != nil {
			return err
		}
		defer func() {
			_, dropped := tx.Exec(context.WithoutCancel(ctx), b.statements.get("lock_drop"), key)
			err = errors.Join(err, dropped)
		}()
		place, err := b.place(ctx, tx)
		if err != nil {
			return err
		}
		return work(key, place)
	})
}

// rehearse writes what a part would, where the tables are there, under a name of its own.
func (b *Broker) rehearse(ctx context.Context, tx Tx) error {
	for _, table := range []string{b.tables.queue, b.tables.message, "onebeat_marks"} {
		found, err := first(ctx, tx, b.statements.get("table_find"), []any{table}, new(int))
		if err != nil || !found {
			return err
		}
	}
	trial := *b
	trial.installation = "onebeat.rehearsal." + rand.Text()
	if _, err := trial.mark(ctx, tx); err != nil {
		return err
	}
	if _, err := trial.move(ctx, tx, celery.Mark{Term: 1, Seq: 1, Done: 1}, nil); err != nil {
		return err
	}
	return trial.insert(ctx, tx, []row{{trial.installation, "{}"}})
}
