package app

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/gofrs/uuid/v5"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver pgx
	"golang.org/x/sync/errgroup"

	"github.com/onebeat/onebeat/internal/broker"
	"github.com/onebeat/onebeat/internal/broker/brokertest"
	"github.com/onebeat/onebeat/internal/celery"
	"github.com/onebeat/onebeat/internal/schedule"
	"github.com/onebeat/onebeat/internal/store"
)

// A ground is an empty database of a test's own.
type ground struct {
	url string
	db  *sql.DB
}

// queues is the URL of a broker in it.
func (g ground) queues() string { return "sqla+" + g.url }

var grounds = map[string]func(*testing.T) ground{
	"PostgreSQL": func(t *testing.T) ground {
		made := scratch(t, brokertest.ServerURL(t, "ONEBEAT_TEST_POSTGRES"))
		return ground{made, connected(t, "pgx", made)}
	},
	"MariaDB": func(t *testing.T) ground {
		made := scratch(t, brokertest.ServerURL(t, "ONEBEAT_TEST_MARIADB"))
		u, err := url.Parse(made)
		if err != nil {
			t.Fatal(err)
		}
		config := mysql.NewConfig()
		config.User, config.Net, config.Addr, config.DBName = u.User.Username(), "tcp", u.Host, u.Path[1:]
		config.Passwd, _ = u.User.Password()
		return ground{made, connected(t, "mysql", config.FormatDSN())}
	},
	"SQLite": func(t *testing.T) ground {
		file := filepath.Join(t.TempDir(), "schedules.db")
		return ground{"sqlite:///" + file, connected(t, "sqlite", "file:"+file+"?_txlock=immediate&_pragma=busy_timeout(10000)")}
	},
}

func scratch(t *testing.T, server string) string {
	t.Helper()
	made, err := store.NewScratch(t.Context(), server, "app_"+strings.ReplaceAll(uuid.Must(uuid.NewV4()).String(), "-", ""))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := made.Drop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return made.URL
}

func connected(t *testing.T, driver, source string) *sql.DB {
	t.Helper()
	db, err := sql.Open(driver, source)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func (g ground) exec(t *testing.T, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		if _, err := g.db.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

func (g ground) count(t *testing.T, of string) (n int) {
	t.Helper()
	if err := g.db.QueryRowContext(t.Context(), "SELECT count(*) FROM "+of).Scan(&n); err != nil {
		t.Fatalf("%s: %v", of, err)
	}
	return n
}

func openedStore(t *testing.T, url string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), url, store.Options{LeaseFor: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func openedBroker(t *testing.T, url string) broker.Broker {
	t.Helper()
	b, err := broker.Open(url, broker.Options{Installation: "i", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

// expectJoined asks before the broker's tables are there and once they are.
func expectJoined(t *testing.T, what, database, queues string, want bool) {
	t.Helper()
	s, b := openedStore(t, database), openedBroker(t, queues)
	for _, when := range []string{"before its tables are there", "with its tables"} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		got, err := Joined(ctx, s, broker.SharedOf(b))
		if err == nil && when[0] == 'b' {
			_, err = b.Take(ctx, 1)
		}
		cancel()
		if err != nil || got != want {
			t.Errorf("%s, %s: joined is %v, %v; want %v", what, when, got, err, want)
		}
	}
}

// with changes a URL.
func with(t *testing.T, text string, change func(u *url.URL, query url.Values)) string {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	query := u.Query()
	change(u, query)
	u.RawQuery = query.Encode()
	return u.String()
}

func TestOneDatabaseIsKnownHoweverItIsReached(t *testing.T) {
	pg, other := grounds["PostgreSQL"](t), grounds["PostgreSQL"](t)
	expectJoined(t, "the same of PostgreSQL", pg.url, "sqla+postgresql+psycopg2"+strings.TrimPrefix(pg.url, "postgres"), true)
	expectJoined(t, "by other words", with(t, pg.url, func(u *url.URL, query url.Values) {
		query.Set("host", u.Hostname())
		query.Set("port", u.Port())
		u.Host = ""
	}), pg.queues(), true)
	expectJoined(t, "another of the same server", pg.url, other.queues(), false)
	pg.exec(t, "CREATE SCHEMA elsewhere")
	elsewhere := with(t, pg.queues(), func(_ *url.URL, query url.Values) { query.Set("options", "-csearch_path=elsewhere") })
	expectJoined(t, "other tables of the same names", pg.url, elsewhere, false)

	maria := grounds["MariaDB"](t)
	expectJoined(t, "the same of MariaDB", maria.url, "sqla+mysql+pymysql"+strings.TrimPrefix(maria.url, "mysql"), true)
	expectJoined(t, "another of the same server", maria.url, grounds["MariaDB"](t).queues(), false)

	lite := grounds["SQLite"](t)
	file := strings.TrimPrefix(lite.url, "sqlite:///")
	link := filepath.Join(t.TempDir(), "link.db")
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	expectJoined(t, "a file by another path", lite.url, "sqla+sqlite:///"+link, true)
	copied := filepath.Join(t.TempDir(), filepath.Base(file))
	text, err := os.ReadFile(file)
	if err == nil {
		err = os.WriteFile(copied, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	expectJoined(t, "its copy", lite.url, "sqla+sqlite:///"+copied, false)
	expectJoined(t, "a file that is yet to be made", lite.url, "sqla+sqlite:///"+filepath.Join(t.TempDir(), "new.db"), false)
	expectJoined(t, "a file beside a server", pg.url, lite.queues(), false)
	expectJoined(t, "a server beside a file", lite.url, maria.queues(), false)
}

// Who may read the schedules and not write the broker's tables is told so.
func TestOneDatabaseIsOfNoUseWithoutTheRights(t *testing.T) {
	pg := grounds["PostgreSQL"](t)
	role := "joint_" + strings.ReplaceAll(uuid.Must(uuid.NewV4()).String(), "-", "")
	pg.exec(t, "CREATE ROLE "+role+" LOGIN PASSWORD 'pass'")
	t.Cleanup(func() {
		if _, err := pg.db.ExecContext(context.Background(), "DROP ROLE "+role); err != nil {
			t.Error(err)
		}
	})
	b := openedBroker(t, pg.queues())
	if _, err := b.Take(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	s := openedStore(t, with(t, pg.url, func(u *url.URL, _ url.Values) { u.User = url.UserPassword(role, "pass") }))
	if joined, err := Joined(t.Context(), s, broker.SharedOf(b)); joined || err == nil || !strings.Contains(err.Error(), "permission denied") || strings.Contains(err.Error(), "\n") {
		t.Errorf("joined is %v, %v; want an error that names the right, in one line", joined, err)
	}
}

// Each term says which way messages and records go, also where that could not be found out in time.
func TestATermSaysWhichWayMessagesAndRecordsGo(t *testing.T) {
	t.Parallel()
	g := grounds["SQLite"](t)
	other := "sqla+sqlite:///" + filepath.Join(t.TempDir(), "other.db")
	says := func(queues string) string {
		t.Helper()
		var log bytes.Buffer
		s, b := openedStore(t, g.url), openedBroker(t, queues)
		j := joint{s, s.Shard(0), broker.SharedOf(b), slog.New(slog.NewTextHandler(&log, nil))}
		j.Joined(t.Context())
		return log.String()
	}
	expect := func(what, queues string, want ...string) {
		t.Helper()
		got := says(queues)
		for _, text := range want {
			if !strings.Contains(got, text) {
				t.Errorf("%s: the log says %q, want %q", what, got, want)
			}
		}
	}
	expect("the same file", g.queues(), "level=INFO", "one transaction")
	expect("another file", other, "level=INFO", "two transactions")
	tx, err := g.db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	expect("a file that another program holds", g.queues(), "level=WARN", "two transactions")
}

// Messages, mark and record are there together, or none of them.
func TestMessagesAndTheirRecordGoInOneTransaction(t *testing.T) {
	config, err := celery.ParseConfig(map[string]any{"task_queues": map[string]any{"bc": map[string]any{"broadcast": true}, "celery": map[string]any{}}})
	if err != nil {
		t.Fatal(err)
	}
	for name, on := range grounds {
		t.Run(name, func(t *testing.T) {
			g := on(t)
			s, b := openedStore(t, g.url), openedBroker(t, g.queues())
			if err := s.Migrate(t.Context()); err != nil {
				t.Fatal(err)
			}
			j := joint{s, s.Shard(0), broker.SharedOf(b), slog.New(slog.DiscardHandler)}
			lead := func() int64 {
				t.Helper()
				lease, won, err := s.Shard(0).Acquire(t.Context(), t.Name())
				if err != nil || !won {
					t.Fatalf("Acquire = %v, %v", won, err)
				}
				if _, err := b.Take(t.Context(), lease.Term); err != nil {
					t.Fatal(err)
				}
				if !j.Joined(t.Context()) {
					t.Fatal("the two are not joined")
				}
				return lease.Term
			}
			// send sends a message that goes to a queue and one that this broker can't take.
			send := func(term, seq int64) error {
				t.Helper()
				part := celery.Part{Mark: celery.Mark{Term: term, Seq: seq, Done: 2}}
				var runs []schedule.Run
				for i, queue := range []string{"celery", "bc"} {
					template, err := config.Template(celery.Task{Name: "tasks.tick", Options: `{"queue": "` + queue + `"}`})
					if err != nil {
						t.Fatal(err)
					}
					part.Messages = append(part.Messages, celery.Message{Template: template, ID: queue, Slot: time.Now(), At: time.Now(), Index: i})
					runs = append(runs, schedule.Run{Entry: "e", Slot: time.Now(), Count: 1, State: schedule.Sent, TaskID: queue, Term: term})
				}
				return j.Send(t.Context(), part, []int64{seq}, func(failures []celery.Failure) []schedule.Run {
					if len(failures) != 1 || failures[0].Index != 1 {
						t.Errorf("failures = %+v, want that of the second message", failures)
					}
					runs[1].State = schedule.Failed
					return runs
				})
			}
			claim := func(term, seq int64) {
				t.Helper()
				batch := schedule.Batch{Term: term, Seq: seq}
				for range 2 {
					batch.Dues = append(batch.Dues, schedule.Due{Entry: &schedule.Entry{ID: "e"}, Slot: time.Now()})
				}
				if err := s.Shard(0).Claim(t.Context(), batch); err != nil {
					t.Fatal(err)
				}
			}
			expect := func(when string, messages, runs, journal int) {
				t.Helper()
				got := [...]int{g.count(t, "kombu_message"), g.count(t, "onebeat_runs"), g.count(t, "onebeat_journal")}
				if want := [...]int{messages, runs, journal}; got != want {
					t.Errorf("%s: messages, runs and batches in the journal are %v, want %v", when, got, want)
				}
			}

			first := lead()
			claim(first, 1)
			for range 2 { // also when it is asked again
				if err := send(first, 1); err != nil {
					t.Fatal(err)
				}
			}
			expect("sent", 1, 2, 0)

			claim(first, 2)
			if err := s.Shard(0).Release(t.Context(), first); err != nil {
				t.Fatal(err)
			}
			second := lead()
			if err := send(first, 2); !errors.Is(err, celery.ErrFenced) {
				t.Errorf("of a term that the broker knows is over: %v, want ErrFenced", err)
			}
			expect("fenced by the broker", 1, 2, 1)
			g.exec(t, "UPDATE onebeat_marks SET term = 0") // as if the new term had not come to it yet
			if err := send(first, 2); !errors.Is(err, schedule.ErrLost) {
				t.Errorf("of a term that the database knows is over: %v, want ErrLost", err)
			}
			expect("fenced by the lease", 1, 2, 1)
			if n := g.count(t, "onebeat_marks WHERE seq > 1"); n != 0 {
				t.Error("the mark has moved without its messages")
			}
			if err := send(second, 2); err != nil {
				t.Fatal(err)
			}
			expect("sent by the next term", 2, 4, 0)

			claim(second, 3)
			g.exec(t, "DROP TABLE kombu_message")
			if err := send(second, 3); err != nil { // it makes the table at the second try
				if err = send(second, 3); err != nil {
					t.Fatal(err)
				}
			}
			expect("after the tables were away", 1, 6, 0)
		})
	}
}

// Shards that send to the same new queues, workers that take what they send, and a person who edits
// do not stop each other, and each message is taken once.
func TestShardsWorkersAndEditsGoOnInOneDatabase(t *testing.T) {
	const shards, parts, size = 3, 8, 20
	config, err := celery.ParseConfig(nil)
	if err != nil {
		t.Fatal(err)
	}
	// On MySQL and MariaDB two of kombu's own workers may end each other: one locks messages in the order of an index, the other
	// what it has taken and then its place in the index.
	for name, workers := range map[string]int{"PostgreSQL": 2, "MariaDB": 1} {
		t.Run(name, func(t *testing.T) {
			g := grounds[name](t)
			s, err := store.Open(t.Context(), g.url, store.Options{LeaseFor: time.Minute, Shards: shards})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(s.Close)
			if err := s.Migrate(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := s.Join(t.Context()); err != nil {
				t.Fatal(err)
			}
			var entries []string
			for i := range size {
				id := uuid.Must(uuid.NewV4()).String()
				g.exec(t, "INSERT INTO celery_beat_schedules (id, name, task_name, cron_expression, enabled, args, kwargs) VALUES ('"+id+"', '"+fmt.Sprint("e", i)+"', 't', '* * * * *', true, '[]', '{}')")
				entries = append(entries, id)
			}
			ctx := t.Context()
			var done atomic.Bool // nothing more is begun; what is under way ends
			var sending errgroup.Group
			var beside sync.WaitGroup
			var taken sync.Map
			for shard := range shards {
				b, err := broker.Open(g.queues(), broker.Options{Installation: "i", Shard: shard, Logger: slog.New(slog.DiscardHandler)})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = b.Close() })
				j := joint{s, s.Shard(shard), broker.SharedOf(b), slog.New(slog.DiscardHandler)}
				lease, won, err := j.shard.Acquire(ctx, t.Name())
				if err != nil || !won {
					t.Fatalf("Acquire = %v, %v", won, err)
				}
				if _, err := b.Take(ctx, lease.Term); err != nil || !j.Joined(ctx) {
					t.Fatalf("Take = %v, or the two are not joined", err)
				}
				chance := rand.New(rand.NewPCG(uint64(shard), 1))
				sending.Go(func() error {
					for seq := int64(1); seq <= parts; seq++ {
						part := celery.Part{Mark: celery.Mark{Term: lease.Term, Seq: seq, Done: size}}
						batch := schedule.Batch{Term: lease.Term, Seq: seq}
						var runs []schedule.Run
						for i := range size {
							template, err := config.Template(celery.Task{Name: "tasks.tick", Options: fmt.Sprintf(`{"queue": "q%d-%d"}`, seq, chance.IntN(5))})
							if err != nil {
								return err
							}
							m := celery.Message{Template: template, ID: fmt.Sprint(shard, "-", seq, "-", i), Slot: time.Now(), At: time.Now(), Index: i}
							entry := schedule.ID(entries[chance.IntN(size)])
							part.Messages = append(part.Messages, m)
							batch.Dues = append(batch.Dues, schedule.Due{Entry: &schedule.Entry{ID: entry}, Slot: m.Slot})
							runs = append(runs, schedule.Run{Entry: entry, Slot: m.Slot, Count: 1, State: schedule.Sent, TaskID: m.ID, Term: lease.Term})
						}
						if err := j.shard.Claim(ctx, batch); err != nil {
							return err
						}
						for tries := 1; ; tries++ { // as the dispatcher does
							err := j.Send(ctx, part, []int64{seq}, func([]celery.Failure) []schedule.Run { return runs })
							if err == nil {
								break
							}
							if tries == 10 {
								return fmt.Errorf("part %d of shard %d: %w", seq, shard, err)
							}
							t.Logf("part %d of shard %d is tried again: %v", seq, shard, err)
						}
					}
					return nil
				})
			}
			for range workers {
				beside.Go(func() {
					if err := g.work(t, &done, &taken); err != nil {
						t.Errorf("take a message: %v", err)
					}
				})
			}
			beside.Go(func() { // the person
				for i := 0; !done.Load(); i++ {
					if err := g.edit(t, fmt.Sprint(i), entries[i%size], entries[(i+7)%size]); err != nil {
						t.Errorf("edit: %v", err)
						return
					}
				}
			})
			if err := sending.Wait(); err != nil {
				t.Error(err)
			}
			for !t.Failed() && g.count(t, "kombu_message WHERE visible") > 0 {
				runtime.Gosched()
			}
			done.Store(true)
			beside.Wait()
			n := 0
			taken.Range(func(_, times any) bool { n++; return true })
			if runs := g.count(t, "onebeat_runs"); n != shards*parts*size || runs != n {
				t.Errorf("%d messages were taken and %d runs recorded, want %d", n, runs, shards*parts*size)
			}
		})
	}
}

// edit changes rows in one transaction.
func (g ground) edit(t *testing.T, description string, ids ...string) error {
	tx, err := g.db.BeginTx(t.Context(), nil)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if _, err = tx.ExecContext(t.Context(), "UPDATE celery_beat_schedules SET description = '"+description+"' WHERE id = '"+id+"'"); err != nil {
			break
		}
	}
	return errors.Join(err, tx.Commit())
}

// work takes messages as kombu does, one at a time, until it is done.
func (g ground) work(t *testing.T, done *atomic.Bool, taken *sync.Map) error {
	ctx := t.Context()
	for !done.Load() {
		tx, err := g.db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		var id int64
		var payload string
		err = tx.QueryRowContext(ctx, "SELECT id, payload FROM kombu_message WHERE visible ORDER BY timestamp, id LIMIT 1 FOR UPDATE").Scan(&id, &payload)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			err = nil
		case err == nil:
			_, err = tx.ExecContext(ctx, fmt.Sprint("UPDATE kombu_message SET visible = false WHERE id = ", id))
		}
		if err = errors.Join(err, tx.Commit()); err != nil {
			return err
		}
		if payload == "" {
			continue
		}
		var envelope struct{ Headers struct{ ID string } }
		if err := json.Unmarshal([]byte(payload), &envelope); err != nil {
			return err
		}
		if _, twice := taken.LoadOrStore(envelope.Headers.ID, 1); twice {
			t.Errorf("%s was taken twice", envelope.Headers.ID)
		}
	}
	return nil
}
