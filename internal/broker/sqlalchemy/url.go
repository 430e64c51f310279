package sqlalchemy

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"

	"github.com/onebeat/onebeat/internal/broker/address"
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

func parse(rest string) (*url.URL, url.Values, error) {
	u, err := address.Parse("database://" + rest)
	if err != nil { // its words are of Redis
		return nil, nil, errors.New("the broker URL can't be read: write signs such as @ : / ? # % ; in the password as %40 %3A %2F %3F %23 %25 %3B")
	}
	if strings.Trim(u.Path, "/") == "" {
		return nil, nil, errors.New("the broker URL names no database: end it in /name")
	}
	return u, u.Query(), nil
}

func postgresTarget(rest string) (target, error) {
	u, _, err := parse(rest)
	if err != nil {
		return target{}, err
	}
	u.Scheme = "postgres"
	config, err := pgx.ParseConfig(u.String())
	if err != nil { // its text may quote the URL
		return target{}, errors.New("the broker URL has a parameter that libpq does not know, or a file of it cannot be read")
	}
	config.ConnectTimeout = dialWait
	config.RuntimeParams["application_name"] = "onebeat"
	config.RuntimeParams["idle_in_transaction_session_timeout"] = fmt.Sprint(heldWait.Milliseconds())
	config.DefaultQueryExecMode = pgx.QueryExecModeExec // no statement stays behind, which a pooler could not carry
	return target{dialect: postgres, postgres: config}, nil
}

// ignored are parameters of Python's drivers that change nothing here.
var ignored = map[string]bool{
	"charset": true, "use_unicode": true, "autocommit": true, "connect_timeout": true, "read_timeout": true, "write_timeout": true,
	"binary_prefix": true, "local_infile": true,
}

func mysqlTarget(rest string) (target, error) {
	u, query, err := parse(rest)
	if err != nil {
		return target{}, err
	}
	config := mysql.NewConfig()
	config.User = u.User.Username()
	config.Passwd, _ = u.User.Password()
	config.DBName = strings.TrimPrefix(u.Path, "/")
	config.Net, config.Addr = "tcp", hostPort(u, "3306")
	config.Timeout = dialWait
	config.ClientFoundRows = true
	config.InterpolateParams = true // one round trip, no statement stays behind
	config.Loc, config.ParseTime = time.UTC, true
	config.Params = map[string]string{"wait_timeout": fmt.Sprint(int(heldWait.Seconds()))}
	config.Logger = &mysql.NopLogger{}
	secure := false
	for name, values := range query {
		switch {
		case name == "unix_socket":
			config.Net, config.Addr = "unix", values[0]
		case strings.HasPrefix(name, "ssl"):
			secure = true
		case !ignored[name]:
			return target{}, fmt.Errorf("the broker URL's parameter %s is not known for MySQL", name)
		}
	}
	if secure {
		if config.TLS, err = mysqlTLS(u.Hostname(), query); err != nil {
			return target{}, err
		}
	}
	return target{dialect: mysqldb, mysql: config}, nil
}

// mysqlTLS reads the names that PyMySQL and mysqlclient have for what other broker
// URLs call ssl_ca_certs, ssl_certfile, ssl_keyfile and ssl_cert_reqs.
func mysqlTLS(host string, query url.Values) (*tls.Config, error) {
	common := url.Values{}
	for name, values := range query {
		value := values[0]
		switch name {
		case "ssl_ca":
			common.Set("ssl_ca_certs", value)
		case "ssl_cert":
			common.Set("ssl_certfile", value)
		case "ssl_key":
			common.Set("ssl_keyfile", value)
		case "ssl_check_hostname", "ssl_verify_identity":
			common.Set("ssl_check_hostname", value)
		case "ssl_verify_cert":
			if value == "false" || value == "0" {
				common.Set("ssl_cert_reqs", "none")
			}
		case "ssl_mode":
			switch strings.ToUpper(value) {
			case "REQUIRED", "PREFERRED":
				common.Set("ssl_cert_reqs", "none")
			case "VERIFY_CA":
				common.Set("ssl_check_hostname", "false")
			case "VERIFY_IDENTITY":
			default:
				return nil, fmt.Errorf("broker URL parameter ssl_mode: %q is none of REQUIRED, VERIFY_CA, VERIFY_IDENTITY", value)
			}
		case "ssl":
		default:
			if strings.HasPrefix(name, "ssl") {
				return nil, fmt.Errorf("the broker URL's parameter %s is not known for MySQL", name)
			}
		}
	}
	return address.TLS(host, common)
}

func hostPort(u *url.URL, port string) string {
	host := u.Hostname()
	if host == "" {
		host = "127.0.0.1"
	}
	if u.Port() != "" {
		port = u.Port()
	}
	return net.JoinHostPort(host, port)
}
