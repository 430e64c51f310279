package store

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"

	"github.com/onebeat/onebeat/internal/broker/address"
	"github.com/onebeat/onebeat/internal/mysqlurl"
)

// A target is where a database URL points: a SQLite file, or a server of PostgreSQL
// or MySQL.
type target struct {
	file     string
	postgres string
	mysql    *mysql.Config
}

// CheckURL returns what is wrong with a database URL, nil if Open can read it.
func CheckURL(url string) error {
	_, err := parseURL(url)
	return err
}

// parseURL reads a database URL as SQLAlchemy and libpq write them, or with one of the
// schemes that Django's users know from dj-database-url and django-environ. Its errors
// quote nothing of the URL but the scheme: the rest may be a password.
func parseURL(text string) (target, error) {
	scheme, rest, ok := strings.Cut(strings.TrimSpace(text), "://") // a secret read from a file may end in a line's end
	if !ok {
		return target{}, errors.New("database URL has no scheme: write postgres://user:password@host:5432/name or sqlite:///file.db")
	}
	dialect, _, _ := strings.Cut(strings.ToLower(scheme), "+")
	switch dialect {
	case "sqlite", "spatialite":
		return sqliteTarget(rest)
	case "postgres", "postgresql", "postgis", "psql", "pgsql":
		return postgresTarget("postgres://" + rest)
	case "mysql", "mariadb", "mysql2", "mysqlgis":
		config, err := mysqlurl.Parse("database URL", rest)
		return target{mysql: config}, err
	}
	return target{}, fmt.Errorf("database URL has the scheme %q: want postgres, postgresql, mysql, mariadb or sqlite", scheme)
}

// sqliteTarget reads what follows sqlite://: after a host that is always empty,
// /relative.db or //absolute.db.
func sqliteTarget(rest string) (target, error) {
	rest, _, _ = strings.Cut(rest, "?")
	path, ok := strings.CutPrefix(rest, "/")
	if !ok || path == "" || path == ":memory:" {
		return target{}, errors.New("database URL names no file: write sqlite:///relative.db or sqlite:////absolute.db")
	}
	if plain, err := url.PathUnescape(path); err == nil {
		path = plain
	}
	return target{file: path}, nil
}

// asyncpgOnly are the parameters that SQLAlchemy or asyncpg take from a URL and
// that a server would not know.
var asyncpgOnly = []string{
	"async_fallback", "command_timeout", "prepared_statement_cache_size", "prepared_statement_name_func",
	"statement_cache_size", "max_cached_statement_lifetime", "max_cacheable_statement_size",
}

// sslModes are asyncpg's other words for libpq's sslmode.
var sslModes = map[string]string{"true": "require", "1": "require", "on": "require", "false": "disable", "0": "disable", "off": "disable"}

func postgresTarget(text string) (target, error) {
	text, socket := cutSocket(text)
	parsed, err := url.Parse(text)
	if err != nil || address.Misread(parsed) { // its text would quote the URL
		return target{}, errors.New("database URL can't be read: write signs such as @ : / ? # % in the password as %40 %3A %2F %3F %23 %25")
	}
	query := parsed.Query()
	if socket != "" {
		query.Set("host", socket)
	}
	if ssl := query.Get("ssl"); ssl != "" && query.Get("sslmode") == "" {
		if mode, ok := sslModes[strings.ToLower(ssl)]; ok {
			ssl = mode
		}
		query.Set("sslmode", ssl)
	}
	query.Del("ssl")
	if wait := query.Get("timeout"); wait != "" {
		query.Set("connect_timeout", wait)
	}
	query.Del("timeout")
	for _, name := range asyncpgOnly {
		query.Del(name)
	}
	address.ForServer(query)
	parsed.RawQuery = query.Encode()
	if _, err := pgx.ParseConfig(parsed.String()); err != nil { // its text may quote the URL
		for _, name := range []string{"sslrootcert", "sslcert", "sslkey"} {
			if _, err := os.Stat(query.Get(name)); query.Has(name) && err != nil {
				return target{}, fmt.Errorf("database URL's parameter %s names a file that can't be read: %w", name, errors.Unwrap(err)) // without its path
			}
		}
		return target{}, errors.New("database URL has parameters that can't be read: check host, port, sslmode and certificates")
	}
	return target{postgres: parsed.String()}, nil
}

// cutSocket cuts a host that is the percent-encoded path of a folder of sockets out of a
// URL, as in postgres://%2Frun%2Fpostgresql/name: libpq takes it, and net/url does not.
func cutSocket(text string) (rest, folder string) {
	scheme, rest, _ := strings.Cut(text, "://")
	end := len(rest)
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		end = i
	}
	start := strings.LastIndexByte(rest[:end], '@') + 1
	host, port, ported := strings.Cut(rest[start:end], ":")
	folder, err := url.PathUnescape(host)
	if err != nil || !strings.HasPrefix(folder, "/") {
		return text, ""
	}
	if ported {
		port = ":" + port
	}
	return scheme + "://" + rest[:start] + port + rest[end:], folder
}
