// Command stack runs a command among private servers for tests:
//
//	stack [-services postgres,mariadb,redis,rabbitmq] [-fsync] [-aof] [-keep] [--] [command args…]
//
// It starts the servers on free loopback ports with data in temporary folders,
// tells the command where they are in ONEBEAT_TEST_POSTGRES, ONEBEAT_TEST_MARIADB,
// ONEBEAT_TEST_REDIS, ONEBEAT_TEST_RABBITMQ, ONEBEAT_TEST_PYTHON,
// ONEBEAT_TEST_PYTHON52, ONEBEAT_TEST_DJANGO, ONEBEAT_TEST_DJANGO_OLD, ONEBEAT_TEST_REDBEAT and ONEBEAT_TEST_SQLALCHEMY, stops them when it ends, and exits with its code. What is set in the environment already
// is taken as it is and not started. Without a command it prints lines for a
// shell to evaluate and waits for Ctrl-C.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/term"

	"github.com/onebeat/onebeat/test/harness"
	"github.com/onebeat/onebeat/test/stack/server"
)

// A service is a server that can be started, and the variable that names it.
type service struct {
	name, variable string
	start          func(context.Context) (*server.Server, error)

	server *server.Server // nil if it was not started here
	url    string
}

func main() {
	code, err := run()
	if err != nil {
		fmt.Fprintln(os.Stderr, "stack:", err)
	}
	os.Exit(code)
}

func run() (code int, err error) {
	names := flag.String("services", "postgres,mariadb,redis,rabbitmq", "the servers to start, with commas; none if empty")
	fsync := flag.Bool("fsync", false, "let PostgreSQL and MariaDB wait for the disk")
	aof := flag.Bool("aof", false, "let Redis keep its data in a file")
	keep := flag.Bool("keep", false, "leave the servers' folders, with their logs, behind")
	flag.Parse()

	services, err := choose(*names, []*service{
		{name: "postgres", variable: "ONEBEAT_TEST_POSTGRES", start: func(ctx context.Context) (*server.Server, error) {
			return server.Postgres(ctx, server.PostgresOptions{Fsync: *fsync})
		}},
		{name: "mariadb", variable: "ONEBEAT_TEST_MARIADB", start: func(ctx context.Context) (*server.Server, error) {
			return server.MariaDB(ctx, server.MariaDBOptions{Fsync: *fsync})
		}},
		{name: "redis", variable: "ONEBEAT_TEST_REDIS", start: func(ctx context.Context) (*server.Server, error) {
			return server.Redis(ctx, server.RedisOptions{AppendOnly: *aof})
		}},
		{name: "rabbitmq", variable: "ONEBEAT_TEST_RABBITMQ", start: func(ctx context.Context) (*server.Server, error) { return server.RabbitMQ(ctx) }},
	})
	if err != nil {
		return 2, err
	}

	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)

	defer func() {
		if problem := stop(services, *keep); problem != nil {
			code, err = max(code, 1), errors.Join(err, problem)
		}
	}()
	if err := start(services, signals); err != nil {
		return 1, err
	}
	env := pythons()
	for _, s := range services {
		env = append(env, s.variable+"="+s.url)
	}
	if flag.NArg() == 0 {
		for _, line := range env {
			name, value, _ := strings.Cut(line, "=")
			fmt.Printf("export %s='%s'\n", name, value)
		}
		fmt.Fprintln(os.Stderr, "stack: ready; evaluate the lines above in another shell, end with Ctrl-C")
		<-signals
		return 0, nil
	}
	return command(flag.Args(), env, signals)
}

// choose returns those of all that are named, in the order of all.
func choose(names string, all []*service) ([]*service, error) {
	named := map[string]bool{}
	for name := range strings.SplitSeq(names, ",") {
		if name = strings.TrimSpace(name); name != "" {
			named[name] = true
		}
	}
	var chosen []*service
	for _, s := range all {
		if named[s.name] {
			chosen = append(chosen, s)
			delete(named, s.name)
		}
	}
	for name := range named {
		return nil, fmt.Errorf("there is no service %q: choose from postgres, mariadb, redis, rabbitmq", name)
	}
	return chosen, nil
}

// start starts the services that the environment does not name, side by side.
// A signal ends it.
func start(services []*service, signals <-chan os.Signal) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	group, ctx := errgroup.WithContext(ctx)
	for _, s := range services {
		if s.url = os.Getenv(s.variable); s.url != "" {
			continue
		}
		group.Go(func() error {
			began := time.Now()
			started, err := s.start(ctx)
			if err != nil {
				return err
			}
			s.server, s.url = started, started.URL()
			fmt.Fprintf(os.Stderr, "stack: %s is ready after %.1f s\n", s.name, time.Since(began).Seconds())
			return nil
		})
	}
	done := make(chan error, 1)
	go func() { done <- group.Wait() }()
	select {
	case err := <-done:
		return err
	case sig := <-signals:
		cancel()
		<-done
		return fmt.Errorf("ended by %v", sig)
	}
}

// stop ends what was started here.
func stop(services []*service, keep bool) error {
	var errs []error
	for _, s := range services {
		switch {
		case s.server == nil:
		case keep:
			fmt.Fprintf(os.Stderr, "stack: the folder of %s is %s\n", s.name, s.server.Dir())
			errs = append(errs, s.server.Leave())
		default:
			errs = append(errs, s.server.Close())
		}
	}
	return errors.Join(errs...)
}

// pythons names the virtual environments that scripts/venv makes, where the
// environment names no others.
func pythons() []string {
	var env []string
	for _, p := range []struct{ variable, venv string }{
		{"ONEBEAT_TEST_PYTHON", "venv-celery-new"},
		{"ONEBEAT_TEST_PYTHON52", "venv-celery-52"},
		{"ONEBEAT_TEST_DJANGO", "venv-celery-django"},
		{"ONEBEAT_TEST_DJANGO_OLD", "venv-celery-django-old"},
		{"ONEBEAT_TEST_REDBEAT", "venv-celery-redbeat"},
		{"ONEBEAT_TEST_SQLALCHEMY", "venv-celery-sqlalchemy"},
	} {
		path := os.Getenv(p.variable)
		if path == "" {
			root, err := harness.Root()
			if err != nil {
				continue
			}
			path = filepath.Join(root, ".cache", p.venv, "bin", "python")
			if _, err := os.Stat(path); err != nil {
				fmt.Fprintf(os.Stderr, "stack: there is no %s: tests that need it will fail; `make deps` makes it\n", path)
				continue
			}
		}
		env = append(env, p.variable+"="+path)
	}
	return env
}

// command runs args and returns its exit code. Signals go to its whole group,
// and what is left of the group when it ends is killed.
func command(args, env []string, signals <-chan os.Signal) (int, error) {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if term.IsTerminal(int(os.Stdin.Fd())) {
		cmd.SysProcAttr.Foreground = true // so that it may read, and gets Ctrl-C itself
	}
	if err := cmd.Start(); err != nil {
		return 1, err
	}
	group := -cmd.Process.Pid
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	for {
		select {
		case sig := <-signals:
			_ = syscall.Kill(group, sig.(syscall.Signal)) // it may have ended meanwhile
		case err := <-done:
			_ = syscall.Kill(group, syscall.SIGKILL)
			var exit *exec.ExitError
			if errors.As(err, &exit) {
				if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
					return 128 + int(status.Signal()), nil
				}
				return exit.ExitCode(), nil
			}
			return 0, err
		}
	}
}
