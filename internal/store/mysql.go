package store

import (
	"cmp"
	"context"
	"crypto/sha256"
	"database/sql"
	"database/sql/driver"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/pressly/goose/v3"

	"github.com/onebeat/onebeat/internal/failpoint"
	"github.com/onebeat/onebeat/internal/schedule"
)

// A mySQL speaks MySQL 8.0 or newer and MariaDB 10.6 or newer, which have what it
// needs to hand over many rows at once (JSON_TABLE) and to pass by rows that another
// program holds (SKIP LOCKED).
type mySQL struct {
	pool   *sql.DB
	guards *sql.DB // the sessions of guards: one a shard that is led or waited for
	layout *layout
	texts  statements
	filled atomic.Pointer[mysqlTexts] // texts for the table as it is
	nowait atomic.Bool                // the server is MariaDB: it can be asked not to stand in line for a row
}

func (s *Store) openMySQL(ctx context.Context, config *mysql.Config) error {
	config.Timeout = cmp.Or(config.Timeout, 5*time.Second)
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return errors.New("the URL's user, host or TLS can't be read")
	}
	m := &mySQL{layout: s.layout, texts: loadStatements("mysql", s.layout)}
	pool := sql.OpenDB(mysqlConnector{connector, &m.nowait})
	pool.SetMaxOpenConns(16)
	pool.SetMaxIdleConns(4)
	pool.SetConnMaxIdleTime(mysqlIdle / 2)
	m.pool, m.guards = pool, sql.OpenDB(mysqlConnector{connector, &m.nowait})
	m.fill(nil, false)
	s.dialect = dialect{
		name: "mysql",
		db:   m,
		newGuard: func(shard int) guard {
			return &mysqlGuard{pool: m.guards, name: mysqlLock(config.DBName, strconv.Itoa(shard))}
		},
		newFeed:  func() feed { return &mysqlFeed{m: m} },
		leaseFor: cmp.Or(s.options.LeaseFor, 4*time.Second),
		texts:    m.texts,
		fill:     m.fill,
		provider: func() (*goose.Provider, func(), error) { return m.provider(mysqlLock(config.DBName, "migrate")) },
		install:  s.layout.triggers("insert", "update", "delete"),
		drops:    dropTriggers("insert", "update", "delete"),
		triggers: 3 + len(s.layout.children),
		partRuns: 262_144,
		trailing: 1,
	}
	if err := pool.PingContext(ctx); err != nil {
		m.close()
		return reached(err)
	}
	s.queues = !m.nowait.Load()
	return nil
}

// mysqlIdle is how long a session may be idle before the server ends it, and with
// it the locks of a node that froze in the middle of a transaction. MariaDB ends
// such a transaction earlier by itself.
const mysqlIdle = 10 * time.Second

// A mysqlConnector makes sessions that mean the same on every server.
type mysqlConnector struct {
	driver.Connector
	mariadb *atomic.Bool // whether the server is MariaDB
}

// mysqlSession are the settings of a session. Without READ COMMITTED a record would
// lock the gap behind the journal's last row, where the next claim writes.
var mysqlSession = []string{
	"SET SESSION time_zone = '+00:00'",
	"SET SESSION sql_mode = 'STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION'",
	"SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
	"SET SESSION innodb_lock_wait_timeout = 1",
	fmt.Sprintf("SET SESSION wait_timeout = %d", int(mysqlIdle.Seconds())),
}

// mariadbSession is what MariaDB alone knows.
const mariadbSession = "SET SESSION idle_transaction_timeout = 2"

// Connect implements driver.Connector.
func (c mysqlConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	session := conn.(driver.ExecerContext)
	for _, text := range mysqlSession {
		if _, err := session.ExecContext(ctx, text, nil); err != nil {
			_ = conn.Close()
			return nil, err
		}
	}
	_, err = session.ExecContext(ctx, mariadbSession, nil)
	if err != nil && !refusedAs(err, unknownVariable) {
		_ = conn.Close()
		return nil, err
	}
	c.mariadb.Store(err == nil)
	return conn, nil
}

// Numbers of the server's errors.
const (
	unknownVariable = 1193
	lockWaited      = 1205
	deadlock        = 1213
	uncounted       = 1467 // a counter of ids was not to be had: so it says too that it ended the transaction, or the wait
)

func refusedAs(err error, number uint16) bool {
	var refused *mysql.MySQLError
	return errors.As(err, &refused) && refused.Number == number
}

// mysqlLock is the name of a lock of the server, which has one space of names for
// all of its databases.
func mysqlLock(database, what string) string {
	sum := sha256.Sum256([]byte(database))
	return "onebeat." + hex.EncodeToString(sum[:8]) + "." + what
}

func (m *mySQL) provider(lock string) (*goose.Provider, func(), error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	guard := &mysqlGuard{pool: m.pool, name: lock}
	if err := guard.wait(ctx, time.Minute); err != nil {
		return nil, nil, err
	}
	if !guard.held {
		return nil, nil, errors.New("another process has been migrating for a minute: try again when it has ended")
	}
	provider, err := newProvider(m.pool, "mysql")
	if err != nil {
		guard.free()
		return nil, nil, err
	}
	return provider, guard.free, nil
}

// mysqlTexts are statements as the server takes them, by name.
type mysqlTexts map[string]mysqlText

// A mysqlText is a statement with places for arguments that have no numbers, and the
// number of the argument of each.
type mysqlText struct {
	text  string
	order []int
}

var numbered = regexp.MustCompile(`\?([0-9]+)`)

func newMySQLText(text string) mysqlText {
	var t mysqlText
	t.text = numbered.ReplaceAllStringFunc(text, func(place string) string {
		n, _ := strconv.Atoi(place[1:]) // it is digits
		t.order = append(t.order, n-1)
		return "?"
	})
	return t
}

// args are the statement's arguments in the order of their places.
func (t mysqlText) args(given []any) []any {
	if t.order == nil {
		return plainArgs(given)
	}
	placed := make([]any, len(t.order))
	for i, n := range t.order {
		placed[i] = plainArg(given[n])
	}
	return placed
}

func (m *mySQL) fill(table shape, bare bool) {
	texts := m.texts.rendered(m.layout, table, "?")
	if bare {
		texts.bare()
	}
	filled := mysqlTexts{}
	for name, text := range texts {
		filled[name] = newMySQLText(text)
	}
	m.filled.Store(&filled)
}

// get returns the statement of that name, as statements.get does.
func (m *mySQL) get(name string) mysqlText {
	m.texts.get(name)
	return (*m.filled.Load())[name]
}

func (m *mySQL) close() {
	_ = m.guards.Close()
	_ = m.pool.Close()
}

func (m *mySQL) exec(ctx context.Context, name string, args ...any) (int64, error) {
	return mysqlOn{m, m.pool, false}.exec(ctx, name, args...)
}

func (m *mySQL) each(ctx context.Context, name string, row func(scanner) error, args ...any) error {
	if writers[name] {
		return m.transact(ctx, mode{}, func(tx transaction) error { return tx.each(ctx, name, row, args...) })
	}
	return mysqlOn{m, m.pool, false}.each(ctx, name, row, args...)
}

func (m *mySQL) many(ctx context.Context, name string, columns ...any) error {
	return mysqlOn{m, m.pool, false}.many(ctx, name, columns...)
}

// deadlocks is how often a transaction is tried that the server chose to end so
// that another could go on.
const deadlocks = 10

func (m *mySQL) attend(ctx context.Context, node string, shards int, fit bool, row func(scanner) error) error {
	return attendApart(ctx, m, node, shards, fit, row)
}

func (m *mySQL) transact(ctx context.Context, how mode, work func(transaction) error) error {
	var err error
	for range deadlocks {
		if err = m.try(ctx, how, work); !refusedAs(err, deadlock) && !refusedAs(err, uncounted) {
			break
		}
	}
	if refusedAs(err, lockWaited) || refusedAs(err, uncounted) {
		return errHeld
	}
	return err
}

func (m *mySQL) try(ctx context.Context, how mode, work func(transaction) error) error {
	tx, err := m.pool.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // does nothing after a commit
	if err := work(mysqlOn{m, tx, m.nowait.Load() && (how.recording || how.relaxed)}); err != nil {
		return err
	}
	if err := failpoint.Here(how.point); err != nil {
		return err
	}
	return tx.Commit()
}

// A mysqlOn runs statements on the pool or in a transaction.
type mysqlOn struct {
	m      *mySQL
	conn   sqlConn
	nowait bool // rows that another program holds are not waited for
}

func (on mysqlOn) exec(ctx context.Context, name string, args ...any) (int64, error) {
	statement := on.m.get(name)
	if on.nowait && rowWriters[name] {
		statement.text = atOnce + statement.text
	}
	return execOn(ctx, on.conn, statement.text, statement.args(args))
}

// Who has a row of ours and waits for another program's may be what ends that program's transaction, if it waits for one of
// ours: for such a deadlock InnoDB ends the smaller of the two. So what is recorded never stands in line for a row.
// MariaDB's SKIP LOCKED does, for an instant, which is long enough; with atOnce it refuses the statement instead.
const atOnce = "SET STATEMENT innodb_lock_wait_timeout = 0 FOR "

// rowWriters are the statements that write run state into rows of the catalog.
var rowWriters = map[string]bool{"row_ended": true, "row_ended_counted": true, "rows_disable": true, "rows_delete": true}

// free does what rows_free does, without standing in line. Mostly none of the rows is held.
func (on mysqlOn) free(ctx context.Context, row func(scanner) error, ids []string) error {
	all := on.m.get("rows_free")
	var free []string // none of a statement that is refused
	rows, err := on.conn.QueryContext(ctx, atOnce+strings.TrimSuffix(all.text, " SKIP LOCKED"), all.args([]any{ids})...)
	err = eachOf(rows, err, func(from scanner) error {
		free = append(free, "")
		return from.Scan(&free[len(free)-1])
	})
	if refusedAs(err, lockWaited) {
		free, err = on.freeEach(ctx, all.args([]any{ids}))
	}
	if err != nil {
		return err
	}
	for _, id := range free {
		if err := row(idAnswer(id)); err != nil {
			return err
		}
	}
	return nil
}

// freeEach asks for rows one by one, in one statement.
func (on mysqlOn) freeEach(ctx context.Context, asked []any) (free []string, err error) {
	if _, err := execOn(ctx, on.conn, "SET @onebeat_asked = ?", asked); err != nil {
		return nil, err
	}
	if _, err := execOn(ctx, on.conn, on.m.get("rows_free_each").text, nil); err != nil {
		return nil, err
	}
	rows, err := on.conn.QueryContext(ctx, "SELECT @onebeat_free")
	err = eachOf(rows, err, func(from scanner) error {
		var text []byte
		if err := from.Scan(&text); err != nil {
			return err
		}
		return json.Unmarshal(text, &free)
	})
	return free, err
}

// each answers for statements that write from another one, since MySQL's do not
// answer with rows.
func (on mysqlOn) each(ctx context.Context, name string, row func(scanner) error, args ...any) error {
	switch name {
	case "lease_acquire", "lease_renew":
		written, err := on.exec(ctx, name, args...)
		if err == nil && written == 0 && name == "lease_acquire" {
			written, err = on.firstLease(ctx, args)
		}
		if err != nil || written == 0 {
			return err
		}
		name, args = "lease_term", args[:1]
	case "entry_insert":
		return on.insert(ctx, row, args)
	case "rows_free":
		if on.nowait {
			return on.free(ctx, row, args[0].([]string))
		}
	}
	statement := on.m.get(name)
	rows, err := on.conn.QueryContext(ctx, statement.text, statement.args(args)...)
	return eachOf(rows, err, row)
}

// firstLease takes a lease that was never held. Where there is one it is only looked
// at: an insert that finds it would share its row, and two that shared it could not both
// go on to change it.
func (on mysqlOn) firstLease(ctx context.Context, args []any) (written int64, err error) {
	held := false
	err = on.each(ctx, "lease_term", func(scanner) error {
		held = true
		return nil
	}, args[0])
	if err != nil || held {
		return 0, err
	}
	if _, err := on.exec(ctx, "lease_seed", args[0]); err != nil {
		return 0, err
	}
	return on.exec(ctx, "lease_acquire", args...)
}

// insert adds an entry and answers with its id: the first argument, or the number
// that the database gave it.
func (on mysqlOn) insert(ctx context.Context, row func(scanner) error, args []any) error {
	statement := on.m.get("entry_insert")
	result, err := on.conn.ExecContext(ctx, statement.text, statement.args(args)...)
	if err != nil {
		return err
	}
	given, err := result.LastInsertId()
	if err != nil {
		return err
	}
	id := fmt.Sprint(args[0])
	if given != 0 {
		id = strconv.FormatInt(given, 10)
	}
	return row(idAnswer(id))
}

// An idAnswer is an answer of one text.
type idAnswer string

// Scan implements scanner.
func (a idAnswer) Scan(into ...any) error {
	*into[0].(*string) = string(a)
	return nil
}

// many hands the columns over as JSON, a row an array, for JSON_TABLE.
func (on mysqlOn) many(ctx context.Context, name string, columns ...any) error {
	if len(columns) == 0 || reflect.ValueOf(columns[0]).Len() == 0 {
		return nil
	}
	rows := make([][]any, reflect.ValueOf(columns[0]).Len())
	for i := range rows {
		rows[i] = make([]any, len(columns))
		for k, column := range columns {
			rows[i][k] = plainArg(reflect.ValueOf(column).Index(i).Interface())
		}
	}
	text, err := json.Marshal(rows)
	if err != nil {
		return err
	}
	_, err = on.exec(ctx, name, string(text))
	return err
}

func (on mysqlOn) claim(ctx context.Context, shard int, term, seq int64, dues string) (bool, error) {
	moved, err := on.exec(ctx, "lease_advance", shard, term, seq)
	if err != nil || moved == 0 {
		return false, err
	}
	written, err := on.exec(ctx, "claim", shard, term, seq, dues)
	return written > 0, err
}

// mysqlRunsAtOnce is how many runs one statement writes.
const mysqlRunsAtOnce = 200

func (on mysqlOn) insertRuns(ctx context.Context, number int64, runs []*schedule.Run) error {
	one := on.m.get("run_insert").text
	row := "," + one[strings.LastIndex(one, "\n"):]
	var args []any
	for len(runs) > 0 {
		part := runs[:min(mysqlRunsAtOnce, len(runs))]
		runs = runs[len(part):]
		args = args[:0]
		for i := range part {
			args = appendRun(append(args, number), part[i])
		}
		if _, err := on.conn.ExecContext(ctx, one+strings.Repeat(row, len(part)-1), args...); err != nil {
			return err
		}
	}
	return nil
}

// Dialect implements Tx.
func (on mysqlOn) Dialect() string { return "mysql" }

// Exec implements Tx.
func (on mysqlOn) Exec(ctx context.Context, text string, args ...any) (int64, error) {
	return execOn(ctx, on.conn, text, args)
}

// Query implements Tx.
func (on mysqlOn) Query(ctx context.Context, text string, row func(scan func(into ...any) error) error, args ...any) error {
	return queryOn(ctx, on.conn, text, row, args)
}

// A mysqlGuard is a lock of the server's that a session of its own holds.
type mysqlGuard struct {
	pool *sql.DB
	name string

	conn *sql.Conn
	held bool
}

func (g *mysqlGuard) connect(ctx context.Context) (err error) {
	if g.conn == nil {
		g.held = false
		if g.conn, err = g.pool.Conn(ctx); err != nil {
			return err
		}
		// It may be idle for as long as a lease is held.
		_, err = g.conn.ExecContext(ctx, "SET SESSION wait_timeout = 86400")
	}
	return err
}

func (g *mysqlGuard) try(ctx context.Context) (bool, error) {
	if g.held && g.conn.PingContext(ctx) == nil {
		return true, nil
	}
	if g.held { // or so it was: the connection has died since
		g.free()
	}
	err := g.get(ctx, 0)
	return g.held, err
}

func (g *mysqlGuard) wait(ctx context.Context, atMost time.Duration) error {
	if g.held {
		return nil
	}
	if deadline, ok := ctx.Deadline(); ok { // a wait that its context ends costs the session
		atMost = min(atMost, time.Until(deadline)*4/5)
	}
	return g.get(ctx, atMost)
}

func (g *mysqlGuard) get(ctx context.Context, atMost time.Duration) error {
	if err := g.connect(ctx); err != nil {
		g.free()
		return err
	}
	var got sql.NullInt64
	if err := g.conn.QueryRowContext(ctx, "SELECT get_lock(?, ?)", g.name, atMost.Seconds()).Scan(&got); err != nil {
		g.free()
		return err
	}
	g.held = got.Int64 == 1
	return nil
}

func (g *mysqlGuard) has() bool { return g.held }

func (g *mysqlGuard) session() querier { return nil } // a renewal takes several statements

func (g *mysqlGuard) free() {
	if g.conn == nil {
		return
	}
	_ = g.conn.Raw(func(any) error { return driver.ErrBadConn }) // ends the session, which gives the lock up as the death of the process would
	g.conn, g.held = nil, false
}
