package server_test

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	_ "github.com/go-sql-driver/mysql" // the driver mysql
	"github.com/jackc/pgx/v5"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/onebeat/onebeat/test/stack/server"
)

// orphanEnv makes the test binary a parent of servers that is to be killed.
const orphanEnv = "ONEBEAT_SERVER_TEST_PARENT"

func TestMain(m *testing.M) {
	if os.Getenv(orphanEnv) != "" {
		parent()
	}
	os.Exit(m.Run())
}

// A client writes a value to a server and reads it back.
type client struct {
	name        string
	start       func(context.Context) (*server.Server, error)
	write, read func(ctx context.Context, url string) error
}

var clients = []client{
	{
		"postgres",
		func(ctx context.Context) (*server.Server, error) {
			return server.Postgres(ctx, server.PostgresOptions{Fsync: true})
		},
		func(ctx context.Context, url string) error { return execute(ctx, url, "CREATE TABLE kept AS SELECT 1") },
		func(ctx context.Context, url string) error { return execute(ctx, url, "SELECT 1/count(*) FROM kept") },
	},
	{
		"mariadb",
		func(ctx context.Context) (*server.Server, error) {
			return server.MariaDB(ctx, server.MariaDBOptions{Fsync: true})
		},
		func(ctx context.Context, url string) error {
			return query(ctx, url, "CREATE TABLE kept AS SELECT 1 AS n")
		},
		func(ctx context.Context, url string) error { return query(ctx, url, "SELECT n FROM kept") },
	},
	{
		"redis",
		func(ctx context.Context) (*server.Server, error) {
			return server.Redis(ctx, server.RedisOptions{AppendOnly: true})
		},
		func(ctx context.Context, url string) error { return redis(ctx, url, "SET kept 1", "+OK") },
		func(ctx context.Context, url string) error { return redis(ctx, url, "EXISTS kept", ":1") },
	},
	{"rabbitmq", func(ctx context.Context) (*server.Server, error) { return server.RabbitMQ(ctx) }, declare, consume},
}

func TestServersKeepAddressAndData(t *testing.T) {
	for _, c := range clients {
		t.Run(c.name, func(t *testing.T) {
			ctx := t.Context()
			s, err := c.start(ctx)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if err := c.write(ctx, s.URL()); err != nil {
				t.Fatalf("write: %v", err)
			}
			if err := s.Stop(); err != nil {
				t.Fatal(err)
			}
			if err := c.read(ctx, s.URL()); err == nil {
				t.Fatal("a stopped server answers")
			}
			if err := s.Start(ctx); err != nil {
				t.Fatal(err)
			}
			if err := c.read(ctx, s.URL()); err != nil {
				t.Fatalf("read after stop and start: %v", err)
			}
			s.Kill()
			if err := s.Start(ctx); err != nil {
				t.Fatal(err)
			}
			if err := c.read(ctx, s.URL()); err != nil {
				t.Fatalf("read after kill and start: %v", err)
			}

			s.Pause()
			brief, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
			defer cancel()
			if err := c.read(brief, s.URL()); err == nil {
				t.Error("a frozen server answers")
			}
			s.Resume()
			if err := c.read(ctx, s.URL()); err != nil {
				t.Errorf("read after pause and resume: %v", err)
			}

			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(s.Dir()); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("Close left %s behind", s.Dir())
			}
		})
	}
}

func TestNoServerOutlivesItsParent(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), orphanEnv+"=1")
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var addresses []string
	lines := bufio.NewScanner(stdout)
	for lines.Scan() && lines.Text() != "ready" {
		address, dir, _ := strings.Cut(lines.Text(), " ")
		addresses = append(addresses, address)
		t.Cleanup(func() { os.RemoveAll(dir) })
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed, as it should be
	if len(addresses) != len(clients) {
		t.Fatalf("the parent started %d servers, want %d", len(addresses), len(clients))
	}
	deadline := time.After(20 * time.Second)
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for _, address := range addresses {
		for {
			conn, err := net.Dial("tcp", address)
			if err != nil {
				break
			}
			conn.Close()
			select {
			case <-deadline:
				t.Fatalf("the server at %s outlived its parent", address)
			case <-poll.C:
			}
		}
	}
}

// parent starts every server, tells their addresses and folders, and waits to be killed.
func parent() {
	for _, c := range clients {
		s, err := c.start(context.Background())
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println(address(s.URL()), s.Dir())
	}
	fmt.Println("ready")
	_ = syscall.Pause() // returns only for a signal that is caught, and none is
}

// address returns host:port of a URL.
func address(url string) string {
	_, rest, _ := strings.Cut(url, "://")
	if _, after, found := strings.Cut(rest, "@"); found {
		rest = after
	}
	host, _, _ := strings.Cut(rest, "/")
	return host
}

func execute(ctx context.Context, url, sql string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, sql)
	return err
}

// query runs a statement on MariaDB; one of a table that is not there fails.
func query(ctx context.Context, url, statement string) error {
	db, err := sql.Open("mysql", fmt.Sprintf("onebeat:onebeat@tcp(%s)/onebeat", address(url)))
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.ExecContext(ctx, statement)
	return err
}

func redis(ctx context.Context, url, command, want string) error {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", address(url))
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if _, err := fmt.Fprintf(conn, "%s\r\n", command); err != nil {
		return err
	}
	got, err := bufio.NewReader(conn).ReadString('\n')
	if err == nil && strings.TrimSpace(got) != want {
		err = fmt.Errorf("%s was answered with %s", command, strconv.Quote(got))
	}
	return err
}

// channel calls work with a channel, which is closed when ctx is over.
func channel(ctx context.Context, url string, work func(*amqp.Channel) error) error {
	conn, err := amqp.DialConfig(url, amqp.Config{Dial: func(network, addr string) (net.Conn, error) {
		var dialer net.Dialer
		conn, err := dialer.DialContext(ctx, network, addr)
		if err == nil {
			context.AfterFunc(ctx, func() { conn.Close() })
		}
		return conn, err
	}})
	if err != nil {
		return err
	}
	defer conn.Close()
	ch, err := conn.Channel()
	if err != nil {
		return err
	}
	return work(ch)
}

func declare(ctx context.Context, url string) error {
	return channel(ctx, url, func(ch *amqp.Channel) error {
		if err := ch.Confirm(false); err != nil {
			return err
		}
		if _, err := ch.QueueDeclare("kept", true, false, false, false, nil); err != nil {
			return err
		}
		message := amqp.Publishing{DeliveryMode: amqp.Persistent, Body: []byte("1")}
		confirmation, err := ch.PublishWithDeferredConfirmWithContext(ctx, "", "kept", true, false, message)
		if err != nil {
			return err
		}
		_, err = confirmation.WaitContext(ctx)
		return err
	})
}

// consume looks at the message and leaves it in the queue.
func consume(ctx context.Context, url string) error {
	return channel(ctx, url, func(ch *amqp.Channel) error {
		_, found, err := ch.Get("kept", false)
		if err == nil && !found {
			err = errors.New("the message is gone")
		}
		return err
	})
}
