package sqlalchemy

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"

	"github.com/onebeat/onebeat/internal/broker/address"
	"github.com/onebeat/onebeat/internal/mysqlurl"
)

// The dialects of SQL, which are the folders below sql/.
const (
	postgres = "postgres"
	mariadb  = "mariadb" // what it does other than mysql
	mysqldb  = "mysql"
	sqlite   = "sqlite"
)

// A target is where a broker URL points. One of the last three is set.
type target struct {
	dialect  string
	postgres *pgx.ConnConfig
	mysql    *mysql.Config
	file     string
}

// heldWait is how long a server keeps the locks of a node that froze in the middle
// of a transaction: after it the next node has the mark.
const heldWait = 5 * time.Second

// dialWait bounds a connection attempt (broker_connection_timeout of Celery).
const dialWait = 4 * time.Second

// parseURL reads the URLs of kombu's SQLAlchemy transport: sqla+ or sqlalchemy+
// before a URL of SQLAlchemy, whose driver, after a second +, does not matter here.
// Its errors quote nothing that may be a password.
func parseURL(raw string) (target, error) {
	text := strings.TrimSpace(raw)
	scheme, rest, _ := strings.Cut(text, "://")
	_, scheme, _ = strings.Cut(strings.ToLower(scheme), "+")
	dialect, _, _ := strings.Cut(scheme, "+")
	switch dialect {
	case "sqlite":
		return sqliteTarget(rest)
	case "postgres", "postgresql":
		return postgresTarget(rest)
	case "mysql", "mariadb":
		return mysqlTarget(rest)
	}
	return target{}, fmt.Errorf("the broker URL names the database %q: it should be like sqla+postgresql://user:password@host/name, sqla+mysql://… or sqla+sqlite:///file.db", dialect)
}

// sqliteTarget reads what follows sqlite://: after a host that is always empty,
// /relative.db or //absolute.db.
func sqliteTarget(rest string) (target, error) {
	rest, _, _ = strings.Cut(rest, "?")
	path, ok := strings.CutPrefix(rest, "/")
	if !ok || path == "" || path == ":memory:" {
		return target{}, errors.New("the broker URL names no file: write sqla+sqlite:///relative.db or sqla+sqlite:////absolute.db")
	}
	if plain, err := url.PathUnescape(path); err == nil {
		path = plain
	}
	absolute, err := filepath.Abs(path)
	return target{dialect: sqlite, file: absolute}, err
}

func postgresTarget(rest string) (target, error) {
	u, err := address.Parse("database://" + rest)
	if err != nil { // its words are of Redis
		return target{}, errors.New("the broker URL can't be read: write signs such as @ : / ? # % ; in the password as %40 %3A %2F %3F %23 %25 %3B")
	}
	if strings.Trim(u.Path, "/") == "" {
		return target{}, errors.New("the broker URL names no database: end it in /name")
	}
	query := u.Query()
	address.ForServer(query)
	u.Scheme, u.RawQuery = "postgres", query.Encode()
	config, err := pgx.ParseConfig(u.String())
	if err != nil { // its text may quote the URL
		return target{}, errors.New("the broker URL has a parameter that libpq does not know, or a file of it cannot be read")
	}
	config.ConnectTimeout = dialWait
	config.RuntimeParams["application_name"] = "onebeat"
	config.RuntimeParams["client_encoding"] = "UTF8" // whatever the database's is, which pgx would take
	config.RuntimeParams["idle_in_transaction_session_timeout"] = fmt.Sprint(heldWait.Milliseconds())
	config.DefaultQueryExecMode = pgx.QueryExecModeExec // no statement stays behind, which a pooler could not carry
	return target{dialect: postgres, postgres: config}, nil
}

func mysqlTarget(rest string) (target, error) {
	config, err := mysqlurl.Parse("the broker URL", rest)
	if err != nil {
		return target{}, err
	}
	config.Timeout = dialWait
	config.Params = map[string]string{"wait_timeout": fmt.Sprint(int(heldWait.Seconds()))}
	return target{dialect: mysqldb, mysql: config}, nil
}
