package server

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"

	"github.com/onebeat/onebeat/test/harness/process"
)

// RedisOptions are the optional things about a Redis server.
type RedisOptions struct {
	// AppendOnly keeps every write in a file, synced each second, so that a
	// server that was killed comes back with its data. Without it there is none.
	AppendOnly bool

	// Arguments are more of its settings, as its command line takes them.
	Arguments []string
}

// Redis starts a Redis server without a password.
func Redis(ctx context.Context, options RedisOptions) (*Server, error) {
	return open(ctx, "redis", func(s *Server) error {
		bin, err := exec.LookPath("redis-server")
		if err != nil {
			return errors.New("redis-server is not installed: run `make deps`")
		}
		port, err := process.FreePort()
		if err != nil {
			return err
		}
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		appendOnly := "no"
		if options.AppendOnly {
			appendOnly = "yes"
		}
		s.url = "redis://" + address
		s.quit = syscall.SIGTERM
		s.start = func() (*process.Process, error) {
			return process.Start(process.Command{
				Path: bin, Log: s.path("log"), Dir: s.dir,
				Args: append([]string{
					"--bind", "127.0.0.1", "--port", strconv.Itoa(port), "--dir", s.dir,
					"--save", "", "--appendonly", appendOnly, "--daemonize", "no",
				}, options.Arguments...),
			})
		}
		s.ready = func(ctx context.Context) error { return pingRedis(ctx, address) }
		return nil
	})
}

// Sentinel starts a Sentinel, the program that is redis-server too, that watches a
// Redis server under the name "main" and needs as many like it to agree.
func Sentinel(ctx context.Context, master *Server, quorum int) (*Server, error) {
	return open(ctx, "sentinel", func(s *Server) error {
		bin, err := exec.LookPath("redis-server")
		if err != nil {
			return errors.New("redis-server is not installed: run `make deps`")
		}
		port, err := process.FreePort()
		if err != nil {
			return err
		}
		host, masterPort, err := net.SplitHostPort(strings.TrimPrefix(master.URL(), "redis://"))
		if err != nil {
			return err
		}
		settings := fmt.Sprintf(sentinelConf, port, s.dir, host, masterPort, quorum)
		if err := os.WriteFile(s.path("sentinel.conf"), []byte(settings), 0o644); err != nil {
			return err
		}
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		s.url = "sentinel://" + address
		s.quit = syscall.SIGTERM
		s.start = func() (*process.Process, error) {
			return process.Start(process.Command{Path: bin, Log: s.path("log"), Dir: s.dir, Args: []string{s.path("sentinel.conf"), "--sentinel"}})
		}
		s.ready = func(ctx context.Context) error { return pingRedis(ctx, address) }
		return nil
	})
}

// sentinelConf lets a master be taken for down after half a second.
const sentinelConf = `bind 127.0.0.1
port %d
dir %s
sentinel monitor main %s %s %d
sentinel down-after-milliseconds main 500
sentinel failover-timeout main 3000
`

// pingRedis returns nil when the server answers, which it does not while it
// still loads its data.
func pingRedis(ctx context.Context, address string) error {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return err
		}
	}
	if _, err := io.WriteString(conn, "PING\r\n"); err != nil {
		return err
	}
	answer, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return err
	}
	if answer != "+PONG\r\n" {
		return fmt.Errorf("PING was answered with %q", answer)
	}
	return nil
}
