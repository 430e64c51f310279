package store

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/pressly/goose/v3"
	"golang.org/x/sys/unix"
	_ "modernc.org/sqlite" // the driver; it needs no cgo
	codes "modernc.org/sqlite/lib"

	"github.com/onebeat/onebeat/internal/failpoint"
	"github.com/onebeat/onebeat/internal/schedule"
	"github.com/onebeat/onebeat/internal/stopped"
)

// A sqlite speaks SQLite. All writes go through one connection, since SQLite has
// one writer at a time anyway and would make a second one wait by polling.
type sqlite struct {
	file           string // empty: the database is in memory
	writer, reader *sql.DB
	layout         *layout
	texts          statements
	filled         atomic.Pointer[statements] // texts for the table as it is
	wal            bool                       // the file has a write-ahead log
	turns          turns                      // of whoever has the writer
	stopped        *stopped.Watch             // likewise: of who keeps others from the file
}

func (s *Store) openSQLite(ctx context.Context, file string) error {
	fresh := false
	if info, err := os.Stat(file); errors.Is(err, os.ErrNotExist) {
		switch s.options.Missing {
		case MissingRefused:
			return fmt.Errorf("there is no file %s: correct the URL, or make the file with `onebeat migrate`", file)
		case MissingEmpty:
			file, s.missing = "", true
		}
		fresh = true
	} else if err != nil {
		return err
	} else {
		fresh = info.Size() == 0
	}
	lite := &sqlite{file: file, layout: s.layout, texts: loadStatements("sqlite", s.layout), stopped: stopped.On(file, s.log)}
	lite.fill(nil, false)
	var err error
	place := placeOf(file)
	if lite.writer, err = connectSQLite(place, "&_txlock=immediate&_pragma=synchronous(full)"+inMemory); err != nil {
		return err
	}
	lite.writer.SetMaxOpenConns(1)
	if lite.reader, err = connectSQLite(place, "&_pragma=query_only(1)"); err != nil {
		return err
	}
	lite.reader.SetMaxOpenConns(4)
	s.dialect = dialect{
		name:     "sqlite",
		db:       lite,
		newGuard: func(shard int) guard { return &fileGuard{database: file, name: strconv.Itoa(shard)} },
		newFeed:  func() feed { return &sqliteFeed{lite: lite} },
		appear:   lite.appear,
		leaseFor: cmp.Or(s.options.LeaseFor, 3*time.Second),
		texts:    lite.texts,
		fill:     lite.fill,
		provider: lite.provider,
		install:  s.layout.triggers("insert", "update", "delete"),
		drops:    dropTriggers("insert", "update", "delete"),
		triggers: 3 + len(s.layout.children),
		partRuns: 16_384,
		trailing: 1,
		sweep:    lite.sweep,
	}
	if err := lite.start(ctx, fresh); err != nil {
		lite.close()
		for code, look := range unusable {
			if says(err, code) {
				return fmt.Errorf("%s: %w: %s", file, err, look)
			}
		}
		return err
	}
	return nil
}

// unusable is what to look at where a file can't be used.
var unusable = map[int]string{
	codes.SQLITE_CANTOPEN: "is its folder there, and may this user write in it?",
	codes.SQLITE_NOTADB:   "is it the file that was meant?",
	codes.SQLITE_IOERR:    "is its disk full?",
	codes.SQLITE_FULL:     "is its disk full?",
}

// inMemory is what the writer keeps there. What a statement of several rows would have to take
// back does not go to a file. The ledger's index is written all over: 8 MB of pages are held
// instead of 2, and go into the file after 32 MB of log instead of 4, so that one that many
// batches wrote goes there once. That halves the time of a batch with 300,000 runs before it.
const inMemory = "&_pragma=temp_store(memory)&_pragma=cache_size(-8000)&_pragma=wal_autocheckpoint(8000)"

// placeOf is where the connections of one pool and another find the file, or, if it is empty,
// memory of their own. The name goes into a URI, so that no character of a path is taken for a parameter.
func placeOf(file string) string {
	if file == "" {
		return "file:/" + rand.Text() + "?vfs=memdb&"
	}
	return (&url.URL{Scheme: "file", Opaque: url.PathEscape(file)}).String() + "?"
}

func connectSQLite(place, parameters string) (*sql.DB, error) {
	return sql.Open("sqlite", fmt.Sprintf("%s_pragma=busy_timeout(%d)%s", place, lockFor.Milliseconds(), parameters))
}

// start makes sure that the file is a database. One that was not there before is
// made with a write-ahead log, which lets readers and the writer go on side by
// side; the journal mode of another's file is left as it is.
func (l *sqlite) start(ctx context.Context, fresh bool) error {
	if fresh {
		if _, err := l.writer.ExecContext(ctx, "PRAGMA journal_mode = wal"); err != nil {
			return err
		}
	}
	var journal string
	err := l.writer.QueryRowContext(ctx, "PRAGMA journal_mode").Scan(&journal)
	l.wal = journal == "wal"
	return err
}

func (l *sqlite) provider() (*goose.Provider, func(), error) {
	var alone []goose.ProviderOption
	if l.file != "" {
		alone = append(alone, goose.WithSessionLocker(&fileLocker{fileGuard{database: l.file, name: "migrate"}}))
	}
	provider, err := newProvider(l.writer, "sqlite", alone...)
	if err != nil || l.file == "" {
		return provider, func() {}, err
	}
	// What an index of a large ledger is sorted in goes into files beside the database, if it may: it can be more
	// than there is memory, and a container may have no folder for temporary files.
	beside := strings.ReplaceAll(filepath.Dir(l.file), "'", "''")
	if _, err := l.writer.Exec("PRAGMA temp_store_directory = '" + beside + "'; PRAGMA temp_store = file"); err != nil {
		return provider, func() {}, nil
	}
	return provider, func() { _, _ = l.writer.Exec("PRAGMA temp_store_directory = ''; PRAGMA temp_store = memory") }, nil
}

// A fileLocker lets one process at a time make migrations.
type fileLocker struct{ fileGuard }

// SessionLock implements lock.SessionLocker.
func (l *fileLocker) SessionLock(ctx context.Context, _ *sql.Conn) error {
	err := l.wait(ctx, time.Minute)
	if err == nil && !l.held {
		err = errors.New("another process has been migrating for a minute: try again when it has ended")
	}
	return err
}

// SessionUnlock implements lock.SessionLocker.
func (l *fileLocker) SessionUnlock(context.Context, *sql.Conn) error {
	l.free()
	return nil
}

func (l *sqlite) fill(table shape, bare bool) {
	filled := l.texts.rendered(l.layout, table, "?")
	if bare {
		filled.bare()
	}
	l.filled.Store(&filled)
}

func (l *sqlite) close() {
	_ = l.reader.Close()
	_ = l.writer.Close() // commits are durable already
	l.stopped.Close()
}

func (l *sqlite) exec(ctx context.Context, name string, args ...any) (n int64, err error) {
	err = l.transact(ctx, mode{}, func(tx transaction) error {
		n, err = tx.exec(ctx, name, args...)
		return err
	})
	return n, err
}

func (l *sqlite) many(ctx context.Context, name string, columns ...any) error {
	return l.transact(ctx, mode{}, func(tx transaction) error { return tx.many(ctx, name, columns...) })
}

// writers are the statements that answer with rows and write.
var writers = map[string]bool{"lease_acquire": true, "lease_renew": true}

func (l *sqlite) each(ctx context.Context, name string, row func(scanner) error, args ...any) error {
	if writers[name] {
		return l.transact(ctx, mode{}, func(tx transaction) error { return tx.each(ctx, name, row, args...) })
	}
	rows, err := l.reader.QueryContext(ctx, l.filled.Load().get(name), plainArgs(args)...)
	return eachOf(rows, err, row)
}

// A sqlConn is a pool, a connection or a transaction of database/sql.
type sqlConn interface {
	ExecContext(ctx context.Context, text string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, text string, args ...any) (*sql.Rows, error)
}

func execOn(ctx context.Context, on sqlConn, text string, args []any) (written int64, err error) {
	result, err := on.ExecContext(ctx, text, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

func queryOn(ctx context.Context, on sqlConn, text string, row func(scan func(into ...any) error) error, args []any) error {
	rows, err := on.QueryContext(ctx, text, args...)
	return eachOf(rows, err, func(from scanner) error { return row(from.Scan) })
}

func eachOf(rows *sql.Rows, err error, row func(scanner) error) error {
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := row(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (l *sqlite) attend(ctx context.Context, node string, shards int, fit bool, row func(scanner) error) error {
	return attendApart(ctx, l, node, shards, fit, row)
}

func (l *sqlite) transact(ctx context.Context, how mode, work func(transaction) error) error {
	conn, err := l.writer.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // gives it back
	if how.relaxed && l.wal {
		if _, err := conn.ExecContext(ctx, "PRAGMA synchronous = normal"); err != nil {
			return err
		}
		defer func() {
			if _, err := conn.ExecContext(context.WithoutCancel(ctx), "PRAGMA synchronous = full"); err != nil {
				_ = conn.Raw(func(any) error { return driver.ErrBadConn }) // a connection that stayed relaxed must not claim
			}
		}()
	}
	tx, err := l.begin(ctx, conn)
	if err != nil {
		return err
	}
	began := time.Now()
	defer func() {
		_ = tx.Rollback() // does nothing after a commit
		l.turns.had(time.Since(began))
	}()
	if err := work(&sqliteOn{l: l, tx: tx}); err != nil {
		return err
	}
	if err := failpoint.Here(how.point); err != nil {
		return err
	}
	if l.wal {
		return tx.Commit()
	}
	return l.stopped.During(tx.Commit)
}

// appear makes this process known as a node to those who find the file locked.
func (l *sqlite) appear(ctx context.Context) error {
	conn, err := l.writer.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	return l.stopped.Show()
}

// A sqliteOn is a transaction on the writer.
type sqliteOn struct {
	l  *sqlite
	tx *sql.Tx
}

func (on *sqliteOn) exec(ctx context.Context, name string, args ...any) (int64, error) {
	return execOn(ctx, on.tx, on.l.filled.Load().get(name), plainArgs(args))
}

func (on *sqliteOn) each(ctx context.Context, name string, row func(scanner) error, args ...any) error {
	rows, err := on.tx.QueryContext(ctx, on.l.filled.Load().get(name), plainArgs(args)...)
	return eachOf(rows, err, row)
}

// many runs the statement prepared once for each index.
func (on *sqliteOn) many(ctx context.Context, name string, columns ...any) error {
	if len(columns) == 0 {
		return nil
	}
	values := make([]reflect.Value, len(columns))
	for i, column := range columns {
		values[i] = reflect.ValueOf(column)
	}
	return on.repeat(ctx, on.l.filled.Load().get(name), values[0].Len(), func(i int, args []any) []any {
		for _, column := range values {
			args = append(args, plainArg(column.Index(i).Interface()))
		}
		return args
	})
}

// repeat prepares the text and runs it n times.
func (on *sqliteOn) repeat(ctx context.Context, text string, n int, args func(i int, into []any) []any) error {
	if n == 0 {
		return nil
	}
	statement, err := on.tx.PrepareContext(ctx, text)
	if err != nil {
		return err
	}
	defer func() { _ = statement.Close() }()
	// The driver watches a context that can end with a goroutine a statement, which
	// costs as much as the statement: here it is looked at in between.
	lasting := context.WithoutCancel(ctx)
	var into []any
	for i := range n {
		if err := ctx.Err(); err != nil {
			return err
		}
		into = args(i, into[:0])
		if _, err := statement.ExecContext(lasting, into...); err != nil {
			return err
		}
	}
	return nil
}

func (on *sqliteOn) claim(ctx context.Context, shard int, term, seq int64, dues string) (bool, error) {
	moved, err := on.exec(ctx, "lease_advance", shard, term, seq)
	if err != nil || moved == 0 {
		return false, err
	}
	written, err := on.exec(ctx, "claim", shard, term, seq, dues)
	return written > 0, err
}

// runsAtOnce is how many runs one statement writes: the fewer statements, the
// less a run costs, up to about so many.
const runsAtOnce = 50

// insertRuns gives most runs what they have in common once for each statement: a third of what a run
// costs is the binding of its columns.
func (on *sqliteOn) insertRuns(ctx context.Context, part int64, runs []*schedule.Run) error {
	first := runs[0]
	var plain, others []*schedule.Run
	for _, r := range runs {
		if r.State == schedule.Sent && r.Count == 1 && r.Through.IsZero() && r.Reason == "" && r.Request == "" && !r.Recovered &&
			r.Node == first.Node && r.Term == first.Term {
			plain = append(plain, r)
		} else {
			others = append(others, r)
		}
	}
	err := on.insert(ctx, "runs_sent_insert", plain, []any{part, first.Node, first.Term}, func(into []any, r *schedule.Run) []any {
		return append(into, string(r.Entry), r.Name, r.Task, plainArg(r.Slot), r.TaskID, r.Queue, plainArg(r.SentAt))
	})
	if err != nil {
		return err
	}
	return on.insert(ctx, "run_insert", others, []any{part}, appendRun)
}

// insert writes runs by a statement that takes what is shared, and of each run what own appends. Its last line is for
// one of them.
func (on *sqliteOn) insert(ctx context.Context, name string, runs []*schedule.Run, shared []any, own func(into []any, r *schedule.Run) []any) error {
	one := on.l.filled.Load().get(name)
	several := one + strings.Repeat(","+one[strings.LastIndex(one, "\n"):], runsAtOnce-1)
	full := len(runs) / runsAtOnce * runsAtOnce
	err := on.repeat(ctx, several, full/runsAtOnce, func(i int, into []any) []any {
		into = append(into, shared...)
		for _, r := range runs[i*runsAtOnce:][:runsAtOnce] {
			into = own(into, r)
		}
		return into
	})
	if err != nil {
		return err
	}
	return on.repeat(ctx, one, len(runs)-full, func(i int, into []any) []any { return own(append(into, shared...), runs[full+i]) })
}

func appendRun(into []any, r *schedule.Run) []any {
	return append(into, string(r.Entry), r.Name, r.Task, plainArg(r.Slot), plainArg(r.Through), r.Count, string(r.State), r.Reason,
		r.TaskID, r.Queue, r.Request, r.Node, r.Term, plainArg(r.SentAt), r.Recovered)
}

// Dialect implements Tx.
func (on *sqliteOn) Dialect() string { return "sqlite" }

// Exec implements Tx.
func (on *sqliteOn) Exec(ctx context.Context, text string, args ...any) (int64, error) {
	return execOn(ctx, on.tx, text, args)
}

// Query implements Tx.
func (on *sqliteOn) Query(ctx context.Context, text string, row func(scan func(into ...any) error) error, args ...any) error {
	return queryOn(ctx, on.tx, text, row, args)
}

// A fileGuard is a lock of the operating system on a file beside the database.
type fileGuard struct {
	database, name string
	file           *os.File
	held           bool
}

func (g *fileGuard) path() string { return g.database + "-onebeat-" + g.name + ".lock" }

func (g *fileGuard) try(context.Context) (bool, error) {
	if g.held {
		return true, nil
	}
	if g.file == nil {
		file, err := stopped.Beside(g.database, g.path())
		if err != nil {
			return false, err
		}
		g.file = file
	}
	err := unix.Flock(int(g.file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if g.held = g.there(); !g.held {
		g.free() // it was removed meanwhile: others make it anew
	}
	return g.held, nil
}

// there says that the file that is open is the one by its name.
func (g *fileGuard) there() bool {
	named, err := os.Lstat(g.path())
	if err != nil {
		return false
	}
	opened, err := g.file.Stat()
	return err == nil && os.SameFile(named, opened)
}

// sweep removes the files of locks beside the database that nobody has: no node runs.
func (l *sqlite) sweep() {
	files := []string{l.file}
	if real, err := filepath.EvalSymlinks(l.file); err == nil && real != l.file {
		files = append(files, real)
	}
	for _, file := range files {
		all, _ := os.ReadDir(filepath.Dir(file))
		for _, entry := range all {
			name, ours := strings.CutPrefix(entry.Name(), filepath.Base(file)+"-onebeat-")
			name, locks := strings.CutSuffix(name, ".lock")
			if !ours || !locks {
				continue
			}
			g := &fileGuard{database: file, name: name}
			if held, err := g.try(context.Background()); held && err == nil {
				_ = os.Remove(g.path()) // who waits for it sees that it is gone
			}
			g.free()
		}
	}
}

// guardInterval is how often a waiting node tries the lock.
const guardInterval = 50 * time.Millisecond

func (g *fileGuard) wait(ctx context.Context, atMost time.Duration) error {
	over := time.NewTimer(atMost)
	defer over.Stop()
	tick := time.NewTicker(guardInterval)
	defer tick.Stop()
	for {
		if held, err := g.try(ctx); held || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-over.C:
			return nil
		case <-tick.C:
		}
	}
}

func (g *fileGuard) has() bool        { return g.held }
func (g *fileGuard) session() querier { return nil } // a file's lock needs none

func (g *fileGuard) free() {
	if g.file != nil {
		_ = g.file.Close() // which gives the lock up, as the death of the process would
		g.file, g.held = nil, false
	}
}

// A sqliteFeed polls the file's version, which every commit of another connection
// moves, and then reads the log of changes. Commits have one order, which is that
// of the log's serial numbers.
type sqliteFeed struct {
	lite    *sqlite
	conn    *sql.Conn
	version int64
	since   int64 // the last serial number read

	readVersion int64 // the file's version before all rows were read or compared

	prints prints
}

func (f *sqliteFeed) open(ctx context.Context) (err error) {
	if f.conn, err = f.lite.reader.Conn(ctx); err != nil {
		return err
	}
	if f.version, err = f.fileVersion(ctx); err != nil {
		return err
	}
	return f.lite.each(ctx, "changes_start", func(row scanner) error { return row.Scan(&f.since) })
}

func (f *sqliteFeed) close() {
	if f.conn != nil {
		_ = f.conn.Close()
		f.conn = nil
	}
}

func (f *sqliteFeed) fileVersion(ctx context.Context) (version int64, err error) {
	err = f.conn.QueryRowContext(ctx, "PRAGMA data_version").Scan(&version)
	return version, err
}

// versionInterval is how often the file's version is read, which costs some µs: an edit is known of in
// less than 50 ms.
const versionInterval = 40 * time.Millisecond

func (f *sqliteFeed) wait(ctx context.Context, poke <-chan struct{}, atMost time.Duration) error {
	return poll(ctx, poke, atMost, versionInterval, func() (bool, error) {
		version, err := f.fileVersion(ctx)
		if err != nil {
			return false, fmt.Errorf("read version of file: %w", err)
		}
		moved := version != f.version
		f.version = version
		return moved, nil
	})
}

func (f *sqliteFeed) hinted(ctx context.Context) ([]string, error) {
	return hints(ctx, f.lite, &f.since)
}

// all reads all rows, a page at a time: in a file without a write-ahead log a
// reader keeps writers waiting.
func (f *sqliteFeed) all(ctx context.Context, each func(*row) error) error {
	if f.conn != nil {
		version, err := f.fileVersion(ctx)
		if err != nil {
			return fmt.Errorf("read version of file: %w", err)
		}
		f.readVersion = version
	}
	f.prints.begin()
	after, more := int64(0), true
	for more {
		if f.conn != nil { // before the rows: what is written in between differs the next time
			if err := f.printPage(ctx, after); err != nil {
				return err
			}
		}
		var page []row
		err := f.lite.each(ctx, "entries_page", func(from scanner) error {
			var r row
			if err := f.lite.layout.scan(&r, lastInto{from, &after}, 1); err != nil {
				return err
			}
			page = append(page, r)
			return nil
		}, after, chunk)
		if err != nil {
			return err
		}
		for i := range page {
			if err := each(&page[i]); err != nil {
				return err
			}
		}
		more = len(page) == chunk
	}
	return nil
}

// written compares all rows, if the file was written at all.
func (f *sqliteFeed) written(ctx context.Context) (ids []string, count int, err error) {
	version, err := f.fileVersion(ctx)
	if err != nil {
		return nil, 0, fmt.Errorf("read version of file: %w", err)
	}
	if version != f.readVersion {
		if ids, err = f.different(ctx); err != nil {
			return nil, 0, err
		}
		f.readVersion = version
	}
	return ids, len(f.prints.was), nil
}

// A lastInto scans the last column elsewhere.
type lastInto struct {
	scanner
	into any
}

func (l lastInto) Scan(into ...any) error {
	into[len(into)-1] = l.into
	return l.scanner.Scan(into...)
}

func (f *sqliteFeed) some(ctx context.Context, ids []string, each func(*row) error) error {
	var found []row
	err := f.lite.each(ctx, "entries_by_id", func(from scanner) error {
		var r row
		err := f.lite.layout.scan(&r, from, 1)
		found = append(found, r)
		return err
	}, ids)
	if err != nil {
		return err
	}
	for i := range found {
		if err := each(&found[i]); err != nil {
			return err
		}
	}
	return nil
}
