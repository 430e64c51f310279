// Package sqlalchemy sends Celery's task messages to a database, in the tables of
// kombu's SQLAlchemy transport (kombu 5.7, transport/sqlalchemy).
//
// A part and its mark are written in one transaction of that database, so that it
// has both or neither; the transaction moves the mark first, and only from where the
// part begins and for a term that is not lower than the mark's. That makes publishing
// exactly once, whatever happens to the connection or the node: a part that may have
// arrived is sent again and found there. Where the database is also the one with the
// schedules, which Shares finds out, PublishIn writes both in a transaction of the
// caller's, with what the caller records.
//
// The marks are in a table of onebeat's own, onebeat_marks, which is made where it is
// missing, as kombu's tables are. A node that freezes in the middle of a transaction
// holds its mark for five seconds: then the server ends its connection. SQLite has no
// server; a node that was stopped just then is ended by the next (package stopped).
//
// Events are not sent: kombu has no such exchange here, and workers send none either.
package sqlalchemy

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite" // the driver sqlite

	"github.com/onebeat/onebeat/internal/broker/address"
	"github.com/onebeat/onebeat/internal/celery"
	"github.com/onebeat/onebeat/internal/failpoint"
	"github.com/onebeat/onebeat/internal/login"
	"github.com/onebeat/onebeat/internal/stopped"
)

// Options are what Open needs beside the URL.
type Options struct {
	Installation string
	Shard        int
	Transport    map[string]any // broker_transport_options
	Logger       *slog.Logger
}

// A Broker publishes for one shard.
type Broker struct {
	db           *sql.DB
	name         string         // the URL without its password
	file         string         // of SQLite
	stopped      *stopped.Watch // of who keeps others from that
	dialect      string
	tables       tables
	installation string
	shard        int
	log          *slog.Logger

	statements statements
	prepared   bool // the tables are there
	unseen     bool // other nodes do not know this one for a node of the file
	payload    int  // bytes that the column payload takes; 0 for no bound

	// last is what the last part came to, if the database took it: the answer may
	// have been lost, or the caller may ask again.
	last outcome
}

// An outcome is what a part came to.
type outcome struct {
	mark     celery.Mark
	failures []celery.Failure
}

// Open reads the URL and the options. It does not connect: each call does when it
// has to.
func Open(rawURL string, options Options) (*Broker, error) {
	target, err := parseURL(rawURL)
	if err != nil {
		return nil, err
	}
	names := tables{"kombu_queue", "kombu_message"}
	for option, name := range map[string]*string{"queue_tablename": &names.queue, "message_tablename": &names.message} {
		switch value := options.Transport[option].(type) {
		case nil:
		case string:
			*name = value
		default:
			return nil, fmt.Errorf("broker_transport_options %s: %v is no name of a table", option, value)
		}
	}
	b := &Broker{
		name:         address.Redact(strings.TrimSpace(rawURL)),
		file:         target.file,
		dialect:      target.dialect,
		tables:       names,
		installation: options.Installation,
		shard:        options.Shard,
		log:          options.Logger,
	}
	switch target.dialect {
	case postgres:
		b.db = stdlib.OpenDB(*target.postgres)
	case mysqldb:
		connector, err := mysql.NewConnector(target.mysql)
		if err != nil {
			return nil, errors.New("the broker URL cannot be used: its user, host or TLS is not understood")
		}
		b.db = sql.OpenDB(connector)
	default:
		name := (&url.URL{Scheme: "file", Opaque: url.PathEscape(target.file)}).String()
		if b.db, err = sql.Open("sqlite", name+"?_txlock=immediate&_pragma=busy_timeout(2000)"); err != nil {
			return nil, fmt.Errorf("sqlalchemy: %w", err)
		}
		b.stopped = stopped.On(target.file, options.Logger)
	}
	b.db.SetMaxOpenConns(2) // Ping may be called beside the rest
	b.db.SetConnMaxIdleTime(heldWait / 2)
	return b, nil
}

// String is the URL without its password.
func (b *Broker) String() string { return b.name }

// Ping asks for an answer.
func (b *Broker) Ping(ctx context.Context) error {
	if b.file != "" {
		if _, err := os.Stat(b.file); errors.Is(err, os.ErrNotExist) { // it is made with the first term
			if _, err := os.Stat(filepath.Dir(b.file)); err != nil {
				return fmt.Errorf("sqlalchemy: the folder of the broker's SQLite file is not there: %w", err)
			}
			return nil
		}
	}
	err := b.db.PingContext(ctx)
	switch {
	case err == nil:
		return nil
	case login.Refused(err):
		return fmt.Errorf("sqlalchemy: %w, or has no such database: %w", celery.ErrLogin, login.OneLine(err))
	}
	return fmt.Errorf("sqlalchemy: %w", login.OneLine(err))
}

// Release does nothing: the next Take needs nobody's leave.
func (b *Broker) Release() {}

// Close ends the connections.
func (b *Broker) Close() error {
	err := b.db.Close()
	if b.stopped != nil {
		b.stopped.Close()
	}
	return err
}

// Take makes the database refuse lower terms, and returns the mark as it stood.
func (b *Broker) Take(ctx context.Context, term int64) (celery.Mark, error) {
	if err := failpoint.Here("sqlalchemy.take.before"); err != nil {
		return celery.Mark{}, err
	}
	mark, err := b.take(ctx, term)
	if err == nil {
		err = failpoint.Here("sqlalchemy.take.after")
	}
	if errors.Is(err, celery.ErrFenced) {
		return celery.Mark{}, celery.ErrFenced
	}
	if err != nil {
		return celery.Mark{}, fmt.Errorf("sqlalchemy: take term: %w", err)
	}
	return mark, nil
}

func (b *Broker) take(ctx context.Context, term int64) (mark celery.Mark, err error) {
	if b.stopped != nil {
		err := b.stopped.Show()
		if err != nil && !b.unseen { // once: it is called again for as long as the file cannot be opened
			b.log.Warn("other nodes will not know this one for a node: if it is stopped in the middle of a write, they cannot write until it goes on", "err", err)
		}
		b.unseen = err != nil
	}
	err = b.transact(ctx, func(tx Tx) error {
		if mark, err = b.mark(ctx, tx); err != nil {
			return err
		}
		if mark.Term > term {
			return celery.ErrFenced
		}
		_, err := tx.Exec(ctx, b.statements.get("mark_term"), term, b.installation, b.shard)
		return err
	})
	return mark, err
}

// mark reads the mark, which it makes if there is none.
func (b *Broker) mark(ctx context.Context, tx Tx) (celery.Mark, error) {
	for range 2 {
		var mark celery.Mark
		var note []byte
		found, err := first(ctx, tx, b.statements.get("mark"), []any{b.installation, b.shard}, &mark.Term, &mark.Seq, &mark.Done, &note)
		mark.Note = string(note)
		if err != nil || found {
			return mark, err
		}
		if _, err := tx.Exec(ctx, b.statements.get("mark_insert"), b.installation, b.shard); err != nil {
			return celery.Mark{}, err
		}
	}
	return celery.Mark{}, errors.New("the row of the mark vanishes from onebeat_marks")
}

// attempts is how often a transaction is begun that the database gave up in favour
// of another, as MySQL does with what hinders each other.
const attempts = 5

// transact prepares the tables and carries out work in a transaction.
func (b *Broker) transact(ctx context.Context, work func(Tx) error) error {
	if b.stopped == nil {
		return b.carryOut(ctx, work)
	}
	err := b.stopped.During(func() error { return b.carryOut(ctx, work) })
	if err == nil {
		b.stopped.Had()
	}
	return err
}

func (b *Broker) carryOut(ctx context.Context, work func(Tx) error) (err error) {
	for range attempts {
		if err = b.Prepare(ctx); err == nil {
			err = b.once(ctx, work)
		}
		if !hindered(err) || ctx.Err() != nil {
			break
		}
	}
	if err != nil && !errors.Is(err, celery.ErrFenced) {
		b.prepared = false // the tables may be gone, or never have been
	}
	return err
}

func (b *Broker) once(ctx context.Context, work func(Tx) error) error {
	var options sql.TxOptions
	if b.dialect != sqlite { // SQLite has one level
		options.Isolation = sql.LevelReadCommitted
	}
	tx, err := b.db.BeginTx(ctx, &options)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // does nothing after a commit
	if err := work(ownTx{tx, b.dialect}); err != nil {
		return err
	}
	return tx.Commit()
}

// hindered reports whether the database ended a transaction for another's sake.
func hindered(err error) bool {
	var my *mysql.MySQLError
	var pg *pgconn.PgError
	switch {
	case errors.As(err, &my):
		return my.Number == 1213 || my.Number == 1020 // ER_LOCK_DEADLOCK, ER_CHECKREAD of newer MariaDB
	case errors.As(err, &pg):
		// 40001 and 40P01 as such; 23505 and 42P07 when another makes the tables at the same moment.
		return pg.Code == "40001" || pg.Code == "40P01" || pg.Code == "23505" || pg.Code == "42P07"
	}
	return false
}

// Prepare makes the tables that are missing: kombu's as kombu makes them, and the marks.
func (b *Broker) Prepare(ctx context.Context) error {
	if b.prepared {
		return nil
	}
	if err := b.settleDialect(ctx); err != nil {
		return err
	}
	exec := func(name string) error {
		if _, err := b.db.ExecContext(ctx, b.statements.get(name)); err != nil {
			return fmt.Errorf("make the tables (%s): %w", name, err)
		}
		return nil
	}
	for table, names := range map[string][]string{b.tables.message: b.statements.creation(), "onebeat_marks": {"create_marks"}} {
		there, err := b.there(ctx, table)
		if err != nil {
			return err
		}
		for _, name := range names {
			if there {
				break
			}
			if err := exec(name); err != nil {
				return err
			}
		}
	}
	b.prepared = true
	return nil
}

func (b *Broker) there(ctx context.Context, table string) (bool, error) {
	err := b.db.QueryRowContext(ctx, b.statements.get("table_find"), table).Scan(new(int))
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// settleDialect finds out what a MySQL server is. On MariaDB from 10.3 SQLAlchemy
// takes ids from sequences, as on PostgreSQL; but tables that were made by something
// else may count by themselves.
func (b *Broker) settleDialect(ctx context.Context) error {
	b.statements = load(b.dialect, b.tables)
	if b.dialect != mysqldb {
		return nil
	}
	var version string
	if err := b.db.QueryRowContext(ctx, b.statements.get("version")).Scan(&version); err != nil {
		return err
	}
	counts := !strings.Contains(version, "MariaDB")
	b.payload = 1<<16 - 1 // of TEXT
	for name, to := range map[string]any{"counts": &counts, "capacity": &b.payload} {
		err := b.db.QueryRowContext(ctx, b.statements.get(name), b.tables.message).Scan(to)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
	}
	if !counts {
		b.statements = load(mariadb, b.tables)
	}
	return nil
}
