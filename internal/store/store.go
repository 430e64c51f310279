// Package store remembers: the catalog of entries, the journal of claimed slots,
// the ledger of runs, the lease, and what onebeat knows of an entry beside its row.
//
// The catalog is tables that belong to their user, in one of several layouts
// (layout.go) and whatever shape they are found in (shape.go): celery_beat_schedules
// in the native one, django-celery-beat's (django.go) or sqlalchemy-celery-beat's
// (sqlalchemy.go). All else is in tables of onebeat's own,
// onebeat_*, in the same database. PostgreSQL, MySQL and SQLite are spoken through one
// set of statements with the same names (sql/), so that what a step means is
// written once, in Go, and how a database does it once a dialect.
//
//   - A claim that returned is durable. A record may be lost with the database's
//     machine, and then its journal row is there again.
//   - Every write of a holder of the lease carries its term and fails with
//     schedule.ErrLost once a higher term was given out.
//   - A row that can't be read is told of with its reason and disturbs no other.
//   - Of the user's table only last_run_at and total_run_count are written, and
//     only while onebeat runs an entry; in Django's and SQLAlchemy's also
//     date_changed, enabled of a one-off row that has run, and the mark that tells others of it. Migrate and the person's own edits aside,
//     no other column and no schema is touched.
//   - Neither errors nor logs hold passwords or arguments of tasks.
//
// Not promised: that changes are seen in the order in which they were made. Each
// entry's latest state is seen.
package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gofrs/uuid/v5"
	"github.com/pressly/goose/v3"

	"github.com/onebeat/onebeat/internal/schedule"
)

// Where the run state of entries lives: Options.Home.
const (
	HomeColumn = "column" // last_run_at and, where it is there, total_run_count of the user's table
	HomeTable  = "table"  // onebeat_entries
	HomeMemory = "memory" // this process: a restart begins anew
)

// Missing is what Open does where a SQLite file is not there.
type Missing int

const (
	MissingMade    Missing = iota // makes it
	MissingRefused                // returns an error
	MissingEmpty                  // opens an empty database in memory, so that nothing is written
)

// Options are the optional settings of a Store. Their zero value is the default.
type Options struct {
	// Shards is how many shards entries are parted among. 0 is one.
	Shards int

	Node string // named in runs

	// Zone is the IANA zone of crontabs that name none: CELERY_TIMEZONE. Empty is UTC.
	Zone string

	// Catalog is the kind of tables that the entries are in. Empty is native, and none
	// says that all come from Sources.
	Catalog string

	// Schema is that of sqlalchemy-celery-beat's tables on PostgreSQL (its beat_schema).
	// Empty is where the connection looks.
	Schema string

	// Django says what an instant in the tables of the catalog django means.
	Django DjangoTime

	// Sources are the catalogs outside of the database.
	Sources []Source

	// Home is where last_run_at lives: HomeColumn, HomeTable or HomeMemory.
	// Empty is the column where the table has one, else onebeat_entries.
	Home string

	// CatchUp makes the first start on a catalog that onebeat never ran owe the
	// slots since each row's last_run_at too. Without it, nothing past is owed.
	CatchUp bool

	// Missing is what becomes of a SQLite file that is not there: it is made unless told.
	Missing Missing

	// LeaseFor is how long a lease lasts without renewal. 0 is 4 s, or 3 s on SQLite.
	LeaseFor time.Duration

	// Ledger is what the ledger keeps: LedgerAll or LedgerExceptions. Empty is all.
	Ledger string

	// KeepRuns is how many days runs are kept for; 0 is for good.
	KeepRuns int

	// Held is how many definitions a Roster holds in memory; 0 is all. Those of the other
	// entries of a larger catalog are read again when this process comes to lead, sooner slots first. Of one
	// that has more than twice as many entries when it is first read, none is held that is not due soon.
	Held int

	// Prepare is called with each entry that was read, before it is handed out, to
	// fill in its Payload. An error makes the row a bad one; its text is shown.
	Prepare func(*schedule.Entry) error

	// Sound, where it is set, says of an entry with its Row that Prepare would surely not
	// refuse it, nor its Args, Kwargs and Options be anything but JSON of their kinds. Beyond what is
	// Held such an entry is not prepared if it has no slot soon: its Payload is
	// schedule.Left. False says nothing.
	Sound func(*schedule.Entry) bool

	// Logger takes what a watcher survives: lost connections and their return. Nil logs nothing.
	Logger *slog.Logger
}

// A Store is a catalog and all that onebeat remembers, in one database. Its
// methods may be called from any goroutine.
type Store struct {
	options Options
	layout  *layout
	sources []*sourced
	dialect
	log *slog.Logger

	installation string
	missing      bool // a SQLite file is not there, and an empty database stands for it
	poke         chan struct{}
	poked        atomic.Bool  // since the last look
	recordedAt   atomic.Int64 // when slots were last recorded, in Unix nanoseconds
	herdedAt     atomic.Int64 // and when many were together
	table        atomic.Pointer[shape]
	owned        atomic.Bool // onebeat's own tables were seen
	memory       memory
	refusals     refusals

	joined bool                 // the other nodes know this one
	rolled atomic.Pointer[Roll] // as this node saw it last
	beats  *beats
	held   sync.Mutex // of shards
	shards map[int]*Shard
}

// A scanner is a row of an answer.
type scanner interface{ Scan(into ...any) error }

// A querier runs statements by name. Arguments are strings, numbers, booleans,
// instants (the zero Time is null) and slices of them.
type querier interface {
	// exec returns how many rows were written.
	exec(ctx context.Context, name string, args ...any) (int64, error)
	// each calls row for each row of the answer.
	each(ctx context.Context, name string, row func(scanner) error, args ...any) error
	// many runs the statement for each index of the columns, slices of one length.
	many(ctx context.Context, name string, columns ...any) error
}

// A transaction is a querier with what claims and records alone need.
type transaction interface {
	querier
	Tx
	// claim moves the lease on to the sequence number and writes the journal's row,
	// or returns false when the term is over.
	claim(ctx context.Context, shard int, term, seq int64, dues string) (bool, error)
	// insertRuns writes runs, at least one, in a part of the ledger.
	insertRuns(ctx context.Context, part int64, runs []*schedule.Run) error
}

// A mode is what is special about a transaction.
type mode struct {
	// recording: what is written to the catalog is run state, and rows that another
	// program holds are waited for only shortly.
	recording bool
	// relaxed: it is recording, and the commit may return before it is durable, if a later
	// durable one makes it so too.
	relaxed bool
	point   string // the failpoint before the commit
}

// A database is one dialect on one server or file.
type database interface {
	querier
	// transact commits what work did, or nothing if it returned an error.
	transact(ctx context.Context, how mode, work func(transaction) error) error
	// attend notes the node if it has the installation's number of shards, durably or not, and calls row for a row
	// that says so, and for the rows of the statement roll. No row: it has another number.
	attend(ctx context.Context, node string, shards int, fit bool, row func(scanner) error) error
	close()
}

// A dialect is all in which one kind of database differs from another.
type dialect struct {
	name     string // of the folder of its statements and migrations
	db       database
	newGuard func(shard int) guard
	newFeed  func() feed
	appear   func(context.Context) error // makes this process known as a node; nil where the server knows
	leaseFor time.Duration               // Options.LeaseFor, or this kind's default

	texts    statements
	fill     func(table shape, bare bool)            // sets which columns statements may name, and whether there are no tables of onebeat's own
	provider func() (*goose.Provider, func(), error) // of migrations, and what ends it
	patience []string                                // statements before a change of the user's table
	install  []string                                // and those that install the triggers
	atCommit []string                                // statements that do at once what else a commit does
	triggers int                                     // how many there are then
	drops    func(*layout) []string                  // and those that take a layout's away, with what they call
	partRuns int                                     // of a part of the ledger: what is written of the index has room in the database's memory
	queues   bool                                    // what writes rows stands in line for them, and a deadlock ends whom it pleases at once
	trailing int                                     // columns of the statement entries after those of a row
	sweep    func()                                  // removes what is left beside the database when all is taken away; nil for nothing
}

// Open connects to the database of the URL: postgres:// or postgresql:// (also
// with SQLAlchemy's +asyncpg, +psycopg, +psycopg2), mysql:// or mariadb:// (also
// +pymysql and the like), or sqlite:///relative.db, sqlite:////absolute.db (also +aiosqlite). It makes and touches no table, but
// makes a SQLite file that is not there. No error shows the URL's password.
func Open(ctx context.Context, url string, options Options) (*Store, error) {
	options.Shards = max(options.Shards, 1)
	s := &Store{options: options, shards: map[int]*Shard{}, sources: sourcesOf(options.Sources), poke: make(chan struct{}, 1), log: options.Logger}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	switch options.Home {
	case "", HomeColumn, HomeTable, HomeMemory:
	default:
		return nil, fmt.Errorf("home of last_run_at is %q: want column, table or memory", options.Home)
	}
	var err error
	if s.layout, err = layoutOf(options.Catalog); err != nil {
		return nil, err
	}
	if s.layout, err = s.layout.in(options.Schema); err != nil {
		return nil, err
	}
	target, err := parseURL(url)
	if err != nil {
		return nil, err
	}
	if s.layout == &djangoLayout {
		by, err := options.Django.clocks(target.postgres != "")
		if err != nil {
			return nil, err
		}
		s.layout = djangoBy(by)
	}
	if s.layout.schema != "" && target.postgres == "" {
		return nil, errors.New("beat-schema is of PostgreSQL: name the database in the URL instead")
	}
	switch {
	case target.file != "":
		err = s.openSQLite(ctx, target.file)
	case target.mysql != nil:
		err = s.openMySQL(ctx, target.mysql)
	default:
		err = s.openPostgres(ctx, target.postgres)
	}
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	s.beats = newBeats(s.leaseFor / 5)
	if s.layout.table == "" {
		s.withoutTable()
	}
	return s, nil
}

// Close ends all connections. It is to be called when all other calls have returned. A lease that was not released is free at once, as
// after a crash.
func (s *Store) Close() {
	for _, source := range s.options.Sources {
		if c, ok := source.(interface{ Close() }); ok {
			c.Close()
		}
	}
	s.held.Lock()
	defer s.held.Unlock()
	for _, shard := range s.shards {
		shard.guard.free()
	}
	s.db.close()
}

// Installation is the UUID of the installation that the database belongs to. It
// is empty before EnsureOwn.
func (s *Store) Installation() string { return s.installation }

// Known is Installation for who has made nothing: empty where no node ever was.
func (s *Store) Known(ctx context.Context) (installation string, err error) {
	err = s.db.each(ctx, "meta", func(row scanner) error { return row.Scan(&installation) }, "installation")
	return installation, err
}

// Missing says that a SQLite file is not there, for which an empty database stands.
func (s *Store) Missing() bool { return s.missing }

// Sources are those of the options.
func (s *Store) Sources() []Source { return s.options.Sources }

// Poke makes a Roster look for changes now: at all rows, where no trigger names those
// that changed.
func (s *Store) Poke() {
	s.poked.Store(true)
	s.wake()
}

// wake ends the wait of a watch.
func (s *Store) wake() { tell(s.poke) }

// tell wakes who waits for the channel, which has room for one, now or when it comes to wait.
func tell(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// meta returns a fact of the installation, writing fresh() first if there is none.
func (s *Store) meta(ctx context.Context, key string, fresh func() (string, error)) (string, error) {
	var value string
	read := func(row scanner) error { return row.Scan(&value) }
	if err := s.db.each(ctx, "meta", read, key); err != nil || value != "" {
		return value, err
	}
	made, err := fresh()
	if err != nil {
		return "", err
	}
	if _, err := s.db.exec(ctx, "meta_insert", key, made); err != nil {
		return "", err
	}
	return value, s.db.each(ctx, "meta", read, key) // another node's may have come first
}

// identify learns the installation's id, or makes it, and makes it one of some number of shards.
func (s *Store) identify(ctx context.Context) error {
	id, err := s.meta(ctx, "installation", func() (string, error) {
		id, err := uuid.NewV4()
		return id.String(), err
	})
	if err != nil {
		return fmt.Errorf("identify installation: %w", err)
	}
	s.installation = id
	_, err = s.parted(ctx)
	return err
}

// Now is the database's clock.
func (s *Store) Now(ctx context.Context) (time.Time, error) {
	var now time.Time
	err := s.db.each(ctx, "now", func(row scanner) error { return row.Scan(instant{&now}) })
	return now, err
}
