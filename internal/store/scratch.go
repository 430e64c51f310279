package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"

	"github.com/onebeat/onebeat/internal/login"
)

// A Scratch is a database of its own beside another, to try something in and to
// drop. Nothing of it is in the other: not its tables, nor its locks and notices,
// which PostgreSQL and MySQL keep by database.
type Scratch struct {
	URL string // of the database, with the password of the other's

	drop func(ctx context.Context) error
}

// scratchWait bounds how long a server may take to make a database.
const scratchWait = 30 * time.Second

// NewScratch makes an empty database of the name on the server of a database's URL,
// or a SQLite file in a new folder beside the URL's file, which it does not open. The
// name is of letters, digits and _. Its errors show no password. Where ctx ends meanwhile the database is made all
// the same, for the caller to drop: a server that is cut off half way may have made it or not.
func NewScratch(ctx context.Context, url, name string) (*Scratch, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), scratchWait)
	defer cancel()
	target, err := parseURL(url)
	if err != nil {
		return nil, err
	}
	var s *Scratch
	switch {
	case target.file != "":
		s, err = scratchFile(target.file, name)
	case target.mysql != nil:
		s, err = scratchMySQL(ctx, target.mysql, url, name)
	default:
		s, err = scratchPostgres(ctx, target.postgres, name)
	}
	if err != nil {
		return nil, fmt.Errorf("make a database of its own: %w", unmade(err, target.file != ""))
	}
	return s, nil
}

// unmade makes one line of why no database was made, and what to do.
func unmade(err error, file bool) error {
	switch {
	case file:
		return fmt.Errorf("%w: is the folder there, and may this user write in it?", err)
	case denied(err):
		return fmt.Errorf("%w; the user of the URL must be allowed to make one", login.OneLine(err))
	}
	return reached(err)
}

// Drop removes the database. Whoever is connected to it is cut off.
func (s *Scratch) Drop(ctx context.Context) error {
	if err := s.drop(ctx); err != nil {
		return fmt.Errorf("drop the database: %w", err)
	}
	return nil
}

func scratchFile(beside, name string) (*Scratch, error) {
	dir, err := os.MkdirTemp(filepath.Dir(beside), name+"-")
	if err != nil {
		return nil, err
	}
	dir, err = filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	path := (&url.URL{Path: filepath.Join(dir, "scratch.db")}).EscapedPath()
	return &Scratch{URL: "sqlite:///" + path, drop: func(context.Context) error { return os.RemoveAll(dir) }}, nil
}

func scratchPostgres(ctx context.Context, server, name string) (*Scratch, error) {
	config, err := pgx.ParseConfig(server)
	if err != nil {
		return nil, errors.New("the URL's parameters can't be read: check host, port, sslmode and certificates")
	}
	config.ConnectTimeout = cmp.Or(config.ConnectTimeout, 5*time.Second)
	exec := func(ctx context.Context, text string) error {
		conn, err := pgx.ConnectConfig(ctx, config)
		if err != nil {
			return err
		}
		_, err = conn.Exec(ctx, text, pgx.QueryExecModeSimpleProtocol)
		return errors.Join(err, conn.Close(ctx))
	}
	quoted := pgx.Identifier{name}.Sanitize()
	if err := exec(ctx, "CREATE DATABASE "+quoted+" TEMPLATE template0"); err != nil {
		return nil, err
	}
	at, err := url.Parse(server)
	if err != nil { // it was read before
		return nil, errors.New("the URL can't be read")
	}
	at.Path = "/" + name
	query := at.Query()
	query.Del("dbname")
	query.Del("database")
	at.RawQuery = query.Encode()
	return &Scratch{URL: at.String(), drop: func(ctx context.Context) error { return exec(ctx, "DROP DATABASE "+quoted+" WITH (FORCE)") }}, nil
}

func scratchMySQL(ctx context.Context, config *mysql.Config, server, name string) (*Scratch, error) {
	config.Timeout = cmp.Or(config.Timeout, 5*time.Second)
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, errors.New("the URL's user, host or TLS can't be read")
	}
	exec := func(ctx context.Context, text string) error {
		db := sql.OpenDB(connector)
		_, err := db.ExecContext(ctx, text)
		return errors.Join(err, db.Close())
	}
	if err := exec(ctx, "CREATE DATABASE `"+name+"`"); err != nil {
		return nil, err
	}
	base, query, more := strings.Cut(server, "?")
	at := base[:strings.LastIndexByte(base, '/')] + "/" + name // mysqlurl wants a name there
	if more {
		at += "?" + query
	}
	return &Scratch{URL: at, drop: func(ctx context.Context) error { return exec(ctx, "DROP DATABASE `"+name+"`") }}, nil
}

// Name gives the installation of a scratch database a name in place of its UUID, so that what it has at a broker
// can be told from what others have there.
func (s *Store) Name(ctx context.Context, name string) error {
	n, err := s.db.exec(ctx, "meta_update", "installation", s.installation, name)
	if err == nil && n == 0 {
		err = errors.New("it is not known yet")
	}
	if err != nil {
		return fmt.Errorf("name the installation: %w", err)
	}
	s.installation = name
	return nil
}

// filledAtOnce is how many entries one statement of Fill adds.
const filledAtOnce = 5000

// Fill adds many entries quickly, unchecked, to the table of a scratch database, as
// Migrate made it. Of a definition it takes name, task, spec, args, kwargs and
// options. It adds all or none.
func (s *Store) Fill(ctx context.Context, definitions []Definition) error {
	err := s.db.transact(ctx, mode{}, func(tx transaction) error {
		for some := range slices.Chunk(definitions, filledAtOnce) {
			var names, tasks, specs, args, kwargs, options []string
			for _, d := range some {
				names, tasks, specs = append(names, d.Name), append(tasks, d.Task), append(specs, d.Spec)
				args, kwargs, options = append(args, orJSON(d.Args, "[]")), append(kwargs, orJSON(d.Kwargs, "{}")), append(options, orJSON(d.Options, "{}"))
			}
			if err := tx.many(ctx, "entries_fill", names, tasks, specs, args, kwargs, options); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("fill the table: %w", err)
	}
	return nil
}

// Sent calls each for each run of the ledger that was sent, of a slot in [since,
// until), in no order.
func (s *Store) Sent(ctx context.Context, since, until time.Time, each func(slot, sentAt time.Time)) error {
	err := s.db.each(ctx, "runs_sent", func(row scanner) error {
		var slot, at time.Time
		if err := row.Scan(instant{&slot}, instant{&at}); err != nil {
			return err
		}
		each(slot, at)
		return nil
	}, since, until)
	if err != nil {
		return fmt.Errorf("read runs: %w", err)
	}
	return nil
}
