package e2e

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"

	"github.com/onebeat/onebeat/test/harness"
	"github.com/onebeat/onebeat/test/harness/sqs"
)

// Rows become tasks that real workers run, each slot once, where the queues are
// tables: in a database of their own, and in that of the schedules.
func TestRowsBecomeTasksThroughADatabase(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		catalog string
		broker  func(*testing.T, *database) string
		jointly bool
	}{
		{"the same PostgreSQL", postgres, func(_ *testing.T, d *database) string { return inDatabase(d).url }, true},
		{"the same MariaDB", mariadb, func(_ *testing.T, d *database) string { return inDatabase(d).url }, true},
		{"the same SQLite file", sqlite, func(_ *testing.T, d *database) string { return inDatabase(d).url }, true},
		{"MariaDB", sqlite, func(t *testing.T, _ *database) string {
			return "sqla+mysql+pymysql" + strings.TrimPrefix(newMariaDB(t), "mysql")
		}, false},
	} {
		for _, python := range pythons {
			t.Run(fmt.Sprintf("%s, Celery %s", tt.name, strings.Trim(python.celery, ".")), func(t *testing.T) {
				t.Parallel()
				d := newDatabase(t, tt.catalog)
				s := newBareSite(t, d, &broker{kind: virtual, url: tt.broker(t, d)})
				s.command(t, "migrate")
				s.command(t, "check")
				testRowsBecomeTasks(t, s, python.variable, python.celery)
				served := &node{log: filepath.Join(s.dir, "node1.log")}
				if says := len(served.find(t, jointly)) > 0; says != tt.jointly {
					t.Errorf("the node says that it sends and records in one transaction: %v, want %v", says, tt.jointly)
				}
			})
		}
	}
}

// The same through files in a folder.
func TestRowsBecomeTasksThroughAFolder(t *testing.T) {
	t.Parallel()
	for _, python := range pythons {
		t.Run("Celery "+strings.Trim(python.celery, "."), func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			b := &broker{kind: virtual, url: "filesystem://", transport: map[string]any{
				"data_folder_in": folder, "data_folder_out": folder, "control_folder": t.TempDir(),
			}}
			s := newBareSite(t, newDatabase(t, sqlite), b)
			s.command(t, "migrate")
			s.command(t, "check")
			testRowsBecomeTasks(t, s, python.variable, python.celery)
		})
	}
}

// The same through SQS, which is imitated: standard queues and FIFO queues. The
// oldest Celery speaks a protocol that is not imitated.
func TestRowsBecomeTasksThroughSQS(t *testing.T) {
	t.Parallel()
	for name, suffix := range map[string]string{"standard": "", "FIFO": ".fifo"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake := sqs.New(t)
			b := &broker{kind: virtual, url: fake.URL(), suffix: suffix, transport: map[string]any{
				"region": "eu-central-1", "queue_name_prefix": "app-", "wait_time_seconds": 1, "polling_interval": 0.1,
			}}
			s := newBareSite(t, newDatabase(t, sqlite), b)
			s.command(t, "migrate")
			s.command(t, "check")
			testRowsBecomeTasks(t, s, pythons[0].variable, pythons[0].celery)
		})
	}
}

// newMariaDB makes a database of the test's own and returns its URL.
func newMariaDB(t *testing.T) string {
	t.Helper()
	at, err := url.Parse(harness.Env(t, "ONEBEAT_TEST_MARIADB"))
	if err != nil {
		t.Fatal(err)
	}
	name := "e2e_" + strings.ReplaceAll(newID(), "-", "")
	config := mysql.NewConfig()
	config.User, config.Net, config.Addr = at.User.Username(), "tcp", at.Host
	config.Passwd, _ = at.User.Password()
	execute := func(statement string) {
		db, err := sql.Open("mysql", config.FormatDSN())
		if err == nil {
			_, err = db.ExecContext(context.Background(), statement)
			_ = db.Close()
		}
		if err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	execute("CREATE DATABASE " + name)
	t.Cleanup(func() { execute("DROP DATABASE " + name) })
	at.Path = "/" + name
	return at.String()
}
