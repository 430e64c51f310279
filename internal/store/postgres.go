package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"reflect"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/onebeat/onebeat/internal/failpoint"
	"github.com/onebeat/onebeat/internal/schedule"
	"github.com/onebeat/onebeat/internal/socket"
)

// A postgres speaks PostgreSQL 13 or newer.
type postgres struct {
	pool   *pgxpool.Pool
	layout *layout
	texts  statements
	filled atomic.Pointer[statements] // texts for the table as it is

	// described: statements are described before they run, as they are unless the
	// URL asks for another way (default_query_exec_mode), so that the server takes arrays.
	described bool
}

// idleInTransaction is how long a transaction of ours may wait for its client
// before the server ends it: a frozen node must not hold the lock on a row for
// longer than its lease.
const idleInTransaction = "2000"

func (s *Store) openPostgres(ctx context.Context, url string) error {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return errors.New("the URL's parameters can't be read: check host, port, sslmode and certificates")
	}
	if config.ConnConfig.RuntimeParams["application_name"] == "" {
		config.ConnConfig.RuntimeParams["application_name"] = "onebeat"
	}
	config.ConnConfig.RuntimeParams["client_encoding"] = "UTF8" // whatever the database's is, which pgx would take
	config.ConnConfig.RuntimeParams["timezone"] = "UTC"         // of columns without a zone
	config.ConnConfig.RuntimeParams["idle_in_transaction_session_timeout"] = idleInTransaction
	if config.ConnConfig.ConnectTimeout == 0 {
		config.ConnConfig.ConnectTimeout = 5 * time.Second
	}
	dial := config.ConnConfig.DialFunc
	config.ConnConfig.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return socket.Quick(conn), nil
	}
	config.AfterConnect = encodeArrays
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return err
	}
	mode := config.ConnConfig.DefaultQueryExecMode
	p := &postgres{
		pool: pool, layout: s.layout, texts: loadStatements("postgres", s.layout),
		described: mode != pgx.QueryExecModeExec && mode != pgx.QueryExecModeSimpleProtocol,
	}
	p.fill(nil, false)
	s.dialect = dialect{
		name:     "postgres",
		db:       p,
		newGuard: func(shard int) guard { return newPostgresGuard(p, config.ConnConfig, shard, s.leaseFor/4) },
		newFeed:  func() feed { return &postgresFeed{p: p, config: config.ConnConfig, beats: s.beats} },
		leaseFor: cmp.Or(s.options.LeaseFor, 4*time.Second),
		texts:    p.texts,
		fill:     p.fill,
		provider: p.provider,
		patience: []string{"migrate_patience"},
		atCommit: []string{"constraints_now"},
		install:  append([]string{"trigger_function"}, s.layout.triggers("insert", "update", "delete", "truncate")...),
		drops:    func(*layout) []string { return []string{"drop_function"} },
		triggers: 4 + len(s.layout.children),
		partRuns: 262_144,
		trailing: 2,
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return reached(err)
	}
	return nil
}

func (p *postgres) provider() (*goose.Provider, func(), error) {
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 60)) // tries each second, for a minute
	if err != nil {
		return nil, nil, err
	}
	db := stdlib.OpenDBFromPool(p.pool)
	provider, err := newProvider(db, "postgres", goose.WithSessionLocker(locker))
	return provider, func() { _ = db.Close() }, err // the pool stays open
}

func (p *postgres) fill(table shape, bare bool) {
	filled := p.texts.rendered(p.layout, table, "$")
	if bare {
		filled.bare()
	}
	p.filled.Store(&filled)
}

func (p *postgres) close() { p.pool.Close() }

func (p *postgres) exec(ctx context.Context, name string, args ...any) (int64, error) {
	return postgresOn{p, p.pool}.exec(ctx, name, args...)
}

func (p *postgres) each(ctx context.Context, name string, row func(scanner) error, args ...any) error {
	return postgresOn{p, p.pool}.each(ctx, name, row, args...)
}

func (p *postgres) many(ctx context.Context, name string, columns ...any) error {
	return postgresOn{p, p.pool}.many(ctx, name, columns...)
}

func (p *postgres) attend(ctx context.Context, node string, shards int, fit bool, row func(scanner) error) error {
	return p.each(ctx, "attend", row, node, shards, fit)
}

func (p *postgres) transact(ctx context.Context, how mode, work func(transaction) error) error {
	err := pgx.BeginFunc(ctx, p.pool, func(tx pgx.Tx) error {
		on := postgresOn{p, tx}
		if how.recording || how.relaxed {
			if _, err := on.exec(ctx, "relax", how.relaxed); err != nil {
				return err
			}
		}
		if err := work(on); err != nil {
			return err
		}
		return failpoint.Here(how.point)
	})
	if lockedOut(err) {
		return errHeld
	}
	return err
}

// atOneMoment calls read, all of whose statements see the database as it is at one moment.
func (p *postgres) atOneMoment(ctx context.Context, read func(on postgresOn) error) error {
	options := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	return pgx.BeginTxFunc(ctx, p.pool, options, func(tx pgx.Tx) error { return read(postgresOn{p, tx}) })
}

// lockedOut says whether a statement gave up waiting for a lock.
func lockedOut(err error) bool { return hasCode(err, "55P03") } // lock_not_available

// lacking says whether the database's encoding lacks a character of a text.
func lacking(err error) bool { return hasCode(err, "22P05") } // untranslatable_character

// hasCode says whether PostgreSQL answered with an SQLSTATE.
func hasCode(err error, code string) bool {
	var told *pgconn.PgError
	return errors.As(err, &told) && told.Code == code
}

// A postgresOn runs statements on the pool, a connection or a transaction.
type postgresOn struct {
	p    *postgres
	conn interface {
		Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
		Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	}
}

func (on postgresOn) exec(ctx context.Context, name string, args ...any) (int64, error) {
	tag, err := on.conn.Exec(ctx, on.p.filled.Load().get(name), on.p.args(args)...)
	return tag.RowsAffected(), err
}

func (on postgresOn) each(ctx context.Context, name string, row func(scanner) error, args ...any) error {
	return on.rows(ctx, on.p.filled.Load().get(name), row, on.p.args(args))
}

func (on postgresOn) rows(ctx context.Context, text string, row func(scanner) error, args []any) error {
	rows, err := on.conn.Query(ctx, text, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := row(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// many hands the columns over as arrays, for unnest.
func (on postgresOn) many(ctx context.Context, name string, columns ...any) error {
	if len(columns) == 0 || reflect.ValueOf(columns[0]).Len() == 0 {
		return nil
	}
	_, err := on.exec(ctx, name, columns...)
	return err
}

func (on postgresOn) claim(ctx context.Context, shard int, term, seq int64, dues string) (bool, error) {
	written, err := on.exec(ctx, "claim", shard, term, seq, dues)
	return written > 0, err
}

func (on postgresOn) insertRuns(ctx context.Context, part int64, runs []*schedule.Run) error {
	_, err := on.conn.(pgx.Tx).Conn().PgConn().CopyFrom(ctx, &runReader{part: part, runs: runs}, copyRuns)
	return err
}

// Dialect implements Tx.
func (on postgresOn) Dialect() string { return "postgres" }

// Exec implements Tx.
func (on postgresOn) Exec(ctx context.Context, text string, args ...any) (int64, error) {
	tag, err := on.conn.Exec(ctx, text, on.p.foreign(args)...)
	return tag.RowsAffected(), err
}

// Query implements Tx.
func (on postgresOn) Query(ctx context.Context, text string, row func(scan func(into ...any) error) error, args ...any) error {
	return on.rows(ctx, text, func(from scanner) error { return row(from.Scan) }, on.p.foreign(args))
}

// foreign are the arguments of a statement that is not the store's: it is not kept
// prepared, for a broker's insert has as many forms as a part may have messages.
func (p *postgres) foreign(args []any) []any {
	if !p.described {
		return args
	}
	return append([]any{pgx.QueryExecModeExec}, args...)
}

func orNull(at time.Time) any {
	if at.IsZero() {
		return nil
	}
	return at
}

// args makes null of zero instants, and arrays of slices.
func (p *postgres) args(args []any) []any {
	for i, arg := range args {
		if at, ok := arg.(time.Time); ok {
			args[i] = orNull(at)
			continue
		}
		if p.described {
			if values := arrayOf(arg); values != nil {
				args[i] = values
			}
			continue
		}
		if instants, ok := arg.([]time.Time); ok {
			pointers := make([]*time.Time, len(instants))
			for k := range instants {
				if !instants[k].IsZero() {
					pointers[k] = &instants[k]
				}
			}
			args[i] = pointers
		}
	}
	return args
}

// advisoryKey is the key of the advisory lock of a shard's lease: "onebeat" in
// ASCII and the shard.
func advisoryKey(shard int) int64 { return 0x6f6e656265617400 + int64(shard) }

// newPostgresGuard returns none for who asks for statements that are not described
// first: behind a pooler of connections, which that is for, a session's lock is
// that of whoever gets the session next.
func newPostgresGuard(p *postgres, config *pgx.ConnConfig, shard int, patience time.Duration) guard {
	if !p.described {
		return noGuard{}
	}
	return &postgresGuard{p: p, config: config, key: advisoryKey(shard), patience: patience}
}

// A postgresGuard is an advisory lock on a connection of its own.
type postgresGuard struct {
	p      *postgres
	config *pgx.ConnConfig
	key    int64

	// patience is how long statements of the session wait for any other lock: to end the wait of one from outside ends the
	// session, and who waits for the guard then takes its holder for dead.
	patience time.Duration

	conn *pgx.Conn
	held bool
}

func (g *postgresGuard) connect(ctx context.Context) error {
	if g.conn != nil && !g.conn.IsClosed() {
		return nil
	}
	g.held = false
	conn, err := pgx.ConnectConfig(ctx, g.config.Copy())
	if err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, fmt.Sprintf("SET lock_timeout = %d", g.patience.Milliseconds())); err != nil {
		hangUp(conn)
		return err
	}
	g.conn = conn
	return nil
}

func (g *postgresGuard) try(ctx context.Context) (bool, error) {
	if err := g.connect(ctx); err != nil {
		return false, err
	}
	if g.held { // or so it was: the connection may have died since
		if err := g.conn.Ping(ctx); err == nil {
			return true, nil
		}
		g.free()
		if err := g.connect(ctx); err != nil {
			return false, err
		}
	}
	err := g.conn.QueryRow(ctx, "SELECT pg_try_advisory_lock($1)", g.key).Scan(&g.held)
	return g.held, err
}

func (g *postgresGuard) wait(ctx context.Context, atMost time.Duration) error {
	if err := g.connect(ctx); err != nil {
		return err
	}
	if g.held {
		return nil
	}
	if deadline, ok := ctx.Deadline(); ok { // a wait that its context ends costs the session
		atMost = min(atMost, time.Until(deadline)*4/5)
	}
	limit := fmt.Sprint(max(atMost.Milliseconds(), 1))
	_, err := g.conn.Exec(ctx, g.p.filled.Load().get("guard_wait"), limit, g.key)
	if lockedOut(err) {
		return nil
	}
	g.held = err == nil
	return err
}

func (g *postgresGuard) has() bool { return g.held }

func (g *postgresGuard) session() querier {
	if !g.held || g.conn.IsClosed() {
		return nil
	}
	return postgresOn{g.p, g.conn}
}

func (g *postgresGuard) free() {
	if g.conn == nil {
		return
	}
	hangUp(g.conn) // which gives the lock up, as the death of the process would
	g.conn, g.held = nil, false
}
