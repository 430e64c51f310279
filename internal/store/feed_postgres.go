package store

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"
)

// A postgresFeed is told of changes by LISTEN, and finds them by snapshots: a row
// of the log, or of the catalog, is news if the last snapshot did not see the
// transaction that wrote it. So a transaction that began early and committed late
// is not missed, as it would be by a serial number.
type postgresFeed struct {
	p         *postgres
	config    *pgx.ConnConfig
	beats     *beats
	notice    chan struct{}      // has one when notices came
	broken    chan error         // has why none can come any more
	leave     context.CancelFunc // ends listening; nil before open
	listening sync.WaitGroup

	between <-chan func() error // what is to be done while many rows are read, between them; nil: nothing

	// remembered, unless it is nil, takes what is remembered of entries, some at a time, before all
	// reads the rows, which then are bare. Coming is told of some of those before each is called for them.
	remembered func([]recalled) error
	coming     func([]row)

	hintsSince string // snapshot; empty before open
	rowsSince  string // snapshot, from before all or the last written

	places atomic.Pointer[places] // of the rows that were last found to be written; nil: not known

	noticed bool // a notice came since the log was last read
	deaf    bool // the log named entries of which no notice had come
	still   bool // nothing is new in the log, as was found out since
}

func (f *postgresFeed) open(ctx context.Context) error {
	conn, err := pgx.ConnectConfig(ctx, f.config.Copy())
	if err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, "LISTEN onebeat_changes"); err != nil {
		hangUp(conn)
		return err
	}
	listening, leave := context.WithCancel(context.Background())
	f.notice, f.broken, f.leave = make(chan struct{}, 1), make(chan error, 1), leave
	f.listening.Go(func() {
		defer hangUp(conn)
		f.broken <- listen(listening, conn, f.notice)
	})
	if f.hintsSince, err = f.snapshot(ctx); err == nil {
		f.beats.heard(f.hintsSince)
	}
	return err
}

// listen tells of notices until the connection fails or ctx ends. It does so beside who waits for them: a wait for a notice
// that its time ends sets deadlines and wakes goroutines, each time.
func listen(ctx context.Context, conn *pgx.Conn, notice chan<- struct{}) error {
	for {
		if _, err := conn.WaitForNotification(ctx); err != nil {
			return err
		}
		tell(notice)
	}
}

// hangUp closes a connection with which nothing is lost.
func hangUp(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = conn.Close(ctx)
}

func (f *postgresFeed) close() {
	if f.leave != nil {
		f.leave()
		f.listening.Wait()
		f.leave = nil
	}
}

func (f *postgresFeed) snapshot(ctx context.Context) (snapshot string, err error) {
	err = f.p.each(ctx, "changes_start", func(row scanner) error { return row.Scan(&snapshot) })
	return snapshot, err
}

// drainWait is how long to wait for more notices once one came: a burst of them
// is worth one look.
const drainWait = time.Millisecond

func (f *postgresFeed) wait(ctx context.Context, poke <-chan struct{}, atMost time.Duration) error {
	over := time.NewTimer(f.patience(atMost))
	defer over.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case err := <-f.broken:
		return err
	case <-poke:
		return nil
	case <-f.beats.news:
		return nil
	case <-over.C:
		f.still = !f.deaf && f.beats.quiet()
		return nil
	case <-f.notice:
	}
	f.noticed = true
	if err := rest(ctx, drainWait); err != nil {
		return err
	}
	select {
	case <-f.notice:
	default:
	}
	return nil
}

// deafLook is the time between looks at the log of changes while no notices come, as behind
// a pooler of connections.
const deafLook = 250 * time.Millisecond

// patience is how long to wait for a notice.
func (f *postgresFeed) patience(atMost time.Duration) time.Duration {
	if f.deaf {
		return min(atMost, deafLook)
	}
	return atMost
}

// hinted names any entry sooner than others: a look at all rows costs less beside many hints than
// to read their rows again in the next such look.
func (f *postgresFeed) hinted(ctx context.Context) ([]string, error) {
	if f.still {
		f.still = false
		return nil, nil
	}
	ids, err := hints(ctx, f.p, &f.hintsSince, sweepFrom+1)
	if err == nil {
		f.beats.heard(f.hintsSince)
	}
	// A notice of what was read before it came sets it right at the end of the next wait.
	f.deaf = !f.noticed && (f.deaf || len(ids) > 0)
	f.noticed = false
	if len(ids) > sweepFrom {
		return []string{""}, err
	}
	return ids, err
}

func (f *postgresFeed) all(ctx context.Context, each func(*row) error) error {
	next, err := f.snapshot(ctx)
	if err != nil {
		return err
	}
	if f.remembered != nil {
		err = f.apart(ctx, each)
	} else {
		err = f.many(ctx, each, "entries")
	}
	if err != nil {
		return err
	}
	f.rowsSince = next
	return nil
}

// written looks for ids alone: what is remembered of entries is then joined to a few rows,
// and not to all of a catalog, which takes seconds where it has a million.
func (f *postgresFeed) written(ctx context.Context) (ids []string, count int, err error) {
	next, err := f.snapshot(ctx)
	if err != nil {
		return nil, 0, err
	}
	err = f.p.each(ctx, "ids_since", func(row scanner) error { return row.Scan(&count, &ids) }, f.rowsSince)
	if err != nil {
		return nil, 0, err
	}
	f.rowsSince = next
	if f.p.layout.apart {
		f.places.Store(placesOf(ids))
	}
	return ids, count, nil
}

// writes implements countingFeed.
func (f *postgresFeed) writes(ctx context.Context) (w writes, err error) {
	err = f.p.each(ctx, "writes", func(row scanner) error { return row.Scan(&w.rows, &w.updated) })
	return w, err
}

func (f *postgresFeed) some(ctx context.Context, ids []string, each func(*row) error) error {
	ids, err := f.someByPlace(ctx, ids, each)
	if err != nil || len(ids) == 0 {
		return err
	}
	return f.rows(ctx, each, "entries_by_id", ids)
}

// bare implements bareReader.
func (f *postgresFeed) bare(ctx context.Context, ids []string, each func(*row) error) (bool, error) {
	if !f.p.layout.apart || len(ids) == 0 {
		return f.p.layout.apart, nil
	}
	ids, err := f.bareByPlace(ctx, f.p, ids, each)
	if err != nil || len(ids) == 0 {
		return true, err
	}
	return true, f.alone(ctx, f.p, each, "entries_alone_by_id", ids)
}

// alone calls each for the rows of an answer, which are bare.
func (f *postgresFeed) alone(ctx context.Context, on querier, each func(*row) error, name string, args ...any) error {
	var r row
	var answer binaryRow
	return on.each(ctx, name, func(from scanner) error {
		r.clear()
		r.bare = true
		if err := r.scanAlone(answer.of(from)); err != nil {
			return err
		}
		return each(&r)
	}, args...)
}

// rows calls each for the rows of an answer.
func (f *postgresFeed) rows(ctx context.Context, each func(*row) error, name string, args ...any) error {
	var r row
	var answer binaryRow
	return f.p.each(ctx, name, func(from scanner) error {
		r.clear()
		if err := f.p.layout.scan(&r, answer.of(from), 2); err != nil {
			return err
		}
		return each(&r)
	}, args...)
}

// many is rows for many of them: the next are read while each is called.
func (f *postgresFeed) many(ctx context.Context, each func(*row) error, name string, args ...any) error {
	return beforehand(ctx, f.between, oneByOne(each), func(ctx context.Context, read func(*row) error) error {
		return f.rows(ctx, read, name, args...)
	})
}

// oneByOne calls each for some rows.
func oneByOne(each func(*row) error) func([]row) error {
	return func(rows []row) error {
		for i := range rows {
			if err := each(&rows[i]); err != nil {
				return err
			}
		}
		return nil
	}
}

// apart calls each for all rows, which are bare, and f.remembered for what goes with them, all of it first.
// Both are of one moment. The server takes twice as long to join them where there are a million.
func (f *postgresFeed) apart(ctx context.Context, each func(*row) error) error {
	return f.p.atOneMoment(ctx, func(on postgresOn) error {
		err := beforehand(ctx, f.between, f.remembered, func(ctx context.Context, read func(*recalled) error) error {
			var m recalled
			var answer binaryRow
			return on.each(ctx, "sides_all", func(from scanner) error {
				if err := m.scan(answer.of(from)); err != nil {
					return err
				}
				return read(&m)
			})
		})
		if err != nil {
			return err
		}
		all := oneByOne(each)
		some := func(rows []row) error {
			f.coming(rows)
			return all(rows)
		}
		return beforehand(ctx, f.between, some, func(ctx context.Context, read func(*row) error) error {
			return f.alone(ctx, on, read, "entries_alone")
		})
	})
}

// beforehand calls some for what read reads, some at a time, while that goes on, and what comes from between in between.
// There are never more than a thousand that were read and that it was not called for: of fewer at a time, who reads and who
// takes wait for each other more often.
func beforehand[T any](ctx context.Context, between <-chan func() error, some func([]T) error, read func(context.Context, func(*T) error) error) error {
	const most = 256
	group, ctx := errgroup.WithContext(ctx)
	full, empty := make(chan []T, 1), make(chan []T, 3)
	for range cap(empty) {
		empty <- make([]T, 0, most)
	}
	hand := func(all []T) ([]T, error) {
		select {
		case full <- all:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		select {
		case all = <-empty:
			return all[:0], nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	group.Go(func() error {
		defer close(full)
		all := <-empty
		err := read(ctx, func(one *T) (err error) {
			if all = append(all, *one); len(all) == most {
				all, err = hand(all)
			}
			return err
		})
		if err == nil && len(all) > 0 {
			_, err = hand(all)
		}
		return err
	})
	group.Go(func() error {
		for {
			select {
			case all, more := <-full:
				if !more {
					return nil
				}
				if err := some(all); err != nil {
					return err
				}
				empty <- all // there is room for all
			case do := <-between:
				if err := do(); err != nil {
					return err
				}
			}
		}
	})
	return group.Wait()
}
