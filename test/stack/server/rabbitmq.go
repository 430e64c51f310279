package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/onebeat/onebeat/test/harness/process"
)

// RabbitMQ starts a RabbitMQ server with the user guest and the vhost "/", and more
// lines of rabbitmq.conf if it is to have some. It
// comes with a port mapper (epmd) of its own: left alone, Erlang would start one
// that is shared, listens everywhere and stays behind.
func RabbitMQ(ctx context.Context, lines ...string) (*Server, error) {
	return open(ctx, "rabbitmq", func(s *Server) error {
		bin, err := rabbitmqBin()
		if err != nil {
			return err
		}
		var ports [3]int
		for i := range ports {
			if ports[i], err = process.FreePort(); err != nil {
				return err
			}
		}
		amqpPort, distPort, epmdPort := ports[0], ports[1], ports[2]
		if err := s.startEpmd(ctx, epmdPort); err != nil {
			return err
		}
		for name, text := range map[string]string{
			"rabbitmq.conf": fmt.Sprintf(rabbitmqConf, amqpPort) + strings.Join(lines, "\n") + "\n",
			"plugins":       "[].",
			"env.conf":      "", // in place of the system's
		} {
			if err := os.WriteFile(s.path(name), []byte(text), 0o644); err != nil {
				return err
			}
		}
		env := []string{
			"HOME=" + s.dir, // of the node's cookie
			fmt.Sprintf("RABBITMQ_NODENAME=onebeat%d@localhost", amqpPort),
			fmt.Sprintf("RABBITMQ_DIST_PORT=%d", distPort),
			fmt.Sprintf("ERL_EPMD_PORT=%d", epmdPort),
			"ERL_EPMD_ADDRESS=127.0.0.1",
			"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-kernel inet_dist_use_interface {127,0,0,1}",
			"RABBITMQ_CONF_ENV_FILE=" + s.path("env.conf"),
			"RABBITMQ_CONFIG_FILE=" + s.path("rabbitmq.conf"),
			"RABBITMQ_ENABLED_PLUGINS_FILE=" + s.path("plugins"),
			"RABBITMQ_MNESIA_BASE=" + s.path("data"),
			"RABBITMQ_LOG_BASE=" + s.dir,
			"RABBITMQ_LOGS=-",
			"RABBITMQ_PID_FILE=" + s.path("pid"),
			// The script then becomes the Erlang machine instead of waiting for
			// it, so that the process we started is the server.
			"RUNNING_UNDER_SYSTEMD=true",
		}
		s.url = fmt.Sprintf("amqp://guest:guest@127.0.0.1:%d/", amqpPort)
		s.quit = syscall.SIGTERM
		s.start = func() (*process.Process, error) {
			return process.Start(process.Command{Path: bin, Log: s.path("log"), Dir: s.dir, Env: env})
		}
		s.ready = func(context.Context) error {
			conn, err := amqp.Dial(s.url)
			if err != nil {
				return err
			}
			return conn.Close()
		}
		return nil
	})
}

// rabbitmqConf keeps the alarms for low memory and disk away, which would stop
// publishers on a small or busy machine.
const rabbitmqConf = `listeners.tcp.local = 127.0.0.1:%d
disk_free_limit.absolute = 10MB
vm_memory_high_watermark.relative = 0.8
log.console = true
log.console.level = info
`

// startEpmd starts the node's port mapper, in the foreground.
func (s *Server) startEpmd(ctx context.Context, port int) error {
	bin, err := exec.LookPath("epmd")
	if err != nil {
		return errors.New("epmd, a part of Erlang, is not installed: run `make deps`")
	}
	s.besides, err = process.Start(process.Command{
		Path: bin, Args: []string{"-address", "127.0.0.1", "-port", strconv.Itoa(port)}, Log: s.path("epmd.log"), Dir: s.dir,
	})
	if err != nil {
		return fmt.Errorf("start epmd: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, startWait)
	defer cancel()
	return s.besides.Await(ctx, func(ctx context.Context) error {
		var dialer net.Dialer
		conn, err := dialer.DialContext(ctx, "tcp4", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			return err
		}
		return conn.Close()
	})
}

// rabbitmqBin returns the server's start script: Debian's wrapper on the PATH
// would take the system's folders and user, so the script behind it is taken.
func rabbitmqBin() (string, error) {
	scripts, _ := filepath.Glob("/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server")
	if len(scripts) > 0 {
		return scripts[len(scripts)-1], nil
	}
	script, err := exec.LookPath("rabbitmq-server")
	if err != nil {
		return "", errors.New("rabbitmq-server is not installed: run `make deps`")
	}
	return script, nil
}
