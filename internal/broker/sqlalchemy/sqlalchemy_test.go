package sqlalchemy_test

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver pgx
	"go.uber.org/goleak"
	_ "modernc.org/sqlite" // the driver sqlite

	"github.com/onebeat/onebeat/internal/broker/brokertest"
)

// folderEnv tells a node that crashes where the SQLite file is.
const folderEnv = "ONEBEAT_SQLALCHEMY_TEST_FOLDER"

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A place is a database with kombu's tables, seen by plain SQL.
type place struct {
	url string
	db  *sql.DB
}

// kinds are the databases that the suite runs on.
var kinds = map[string]func(testing.TB) place{"PostgreSQL": onPostgres, "MariaDB": onMariaDB, "SQLite": onSQLite}

func onPostgres(t testing.TB) place {
	t.Helper()
	at := brokertest.ServerURL(t, "ONEBEAT_TEST_POSTGRES")
	return place{"sqla+postgresql+psycopg2" + strings.TrimPrefix(at, "postgres"), connect(t, "pgx", at)}
}

func onMariaDB(t testing.TB) place {
	t.Helper()
	at := brokertest.ServerURL(t, "ONEBEAT_TEST_MARIADB")
	return place{"sqla+mysql+pymysql" + strings.TrimPrefix(at, "mysql"), connect(t, "mysql", dsn(t, at))}
}

func dsn(t testing.TB, at string) string {
	t.Helper()
	u, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	config := mysql.NewConfig()
	config.User, config.Net, config.Addr, config.DBName = u.User.Username(), "tcp", u.Host, strings.TrimPrefix(u.Path, "/")
	config.Passwd, _ = u.User.Password()
	return config.FormatDSN()
}

func onSQLite(t testing.TB) place {
	t.Helper()
	folder := cmp.Or(os.Getenv(folderEnv), t.TempDir())
	if t, ok := t.(*testing.T); ok {
		t.Setenv(folderEnv, folder)
	}
	file := filepath.Join(folder, "queue?#%41.db")
	return place{"sqla+sqlite:///" + (&url.URL{Path: file}).EscapedPath(), connect(t, "sqlite", "file:"+url.PathEscape(file)+"?_txlock=immediate&_pragma=busy_timeout(10000)")}
}

func connect(t testing.TB, driver, source string) *sql.DB {
	t.Helper()
	db, err := sql.Open(driver, source)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// drain takes the messages of a queue and a priority as kombu's _get does, all at
// once: what is visible, in order of timestamp and id.
func (p place) drain(t testing.TB, queue string, priority int) []brokertest.Received {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	rows, err := p.db.QueryContext(ctx, `SELECT m.id, m.payload FROM kombu_message m JOIN kombu_queue q ON q.id = m.queue_id
		WHERE q.name = '`+queue+`' AND m.visible ORDER BY m.timestamp, m.id`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var received []brokertest.Received
	var taken []string
	for rows.Next() {
		var id int64
		var payload []byte
		if err := rows.Scan(&id, &payload); err != nil {
			t.Fatal(err)
		}
		var envelope struct {
			Body       []byte
			Headers    struct{ ID, Task string }
			Properties struct {
				Priority    int
				DeliveryTag string `json:"delivery_tag"`
			}
		}
		if err := json.Unmarshal(payload, &envelope); err != nil || envelope.Properties.DeliveryTag == "" {
			t.Fatalf("envelope %s: %v", payload, err)
		}
		if envelope.Properties.Priority == priority {
			received = append(received, brokertest.Received{ID: envelope.Headers.ID, Task: envelope.Headers.Task, Body: envelope.Body, Tag: envelope.Properties.DeliveryTag})
			taken = append(taken, fmt.Sprint(id))
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	if len(taken) > 0 {
		if _, err := p.db.ExecContext(ctx, "DELETE FROM kombu_message WHERE id IN ("+strings.Join(taken, ",")+")"); err != nil {
			t.Fatal(err)
		}
	}
	return received
}

func (p place) server() brokertest.Server {
	return brokertest.Server{
		URL: p.url,
		Points: []string{
			"sqlalchemy.take.before", "sqlalchemy.take.after",
			"sqlalchemy.publish.before", "sqlalchemy.publish.written", "sqlalchemy.publish.after",
		},
		Local: strings.HasPrefix(p.url, "sqla+sqlite"),
		Queue: func(testing.TB, string) {},
		Drain: p.drain,
	}
}

func TestBroker(t *testing.T) {
	for name, on := range kinds {
		t.Run(name, func(t *testing.T) { brokertest.Run(t, on(t).server()) })
	}
}

func BenchmarkPublish(b *testing.B) {
	for name, on := range kinds {
		b.Run(name, func(b *testing.B) { brokertest.Benchmark(b, on(b).server()) })
	}
}
