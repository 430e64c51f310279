package server

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"

	"github.com/onebeat/onebeat/test/harness/process"
)

// PostgresOptions are the optional things about a PostgreSQL server.
type PostgresOptions struct {
	// Fsync makes a commit wait for the disk, as in production. Without it a
	// commit survives a killed server all the same, but not a power cut.
	Fsync bool
}

// Postgres starts a PostgreSQL server. Its URL is that of the superuser onebeat
// and the database postgres. As root it runs as the system's user postgres,
// because it refuses root.
func Postgres(ctx context.Context, options PostgresOptions) (*Server, error) {
	return open(ctx, "postgres", func(s *Server) error {
		bin, err := postgresBin()
		if err != nil {
			return err
		}
		port, err := process.FreePort()
		if err != nil {
			return err
		}
		owner, err := systemUser("postgres")
		if err != nil {
			return fmt.Errorf("PostgreSQL refuses to run as root, and: %w", err)
		}
		if err := initdb(s, bin, owner); err != nil {
			return err
		}
		args := []string{
			"-D", s.path("data"), "-p", strconv.Itoa(port),
			"-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=",
			"-c", "max_connections=200", "-c", "timezone=UTC",
		}
		if !options.Fsync {
			args = append(args, "-c", "fsync=off", "-c", "full_page_writes=off")
		}
		s.url = fmt.Sprintf("postgres://onebeat:%s@127.0.0.1:%d/postgres?sslmode=disable", postgresPassword, port)
		s.quit = syscall.SIGINT // "fast": clients are cut off, data is written
		s.start = func() (*process.Process, error) {
			return process.Start(process.Command{
				Path: filepath.Join(bin, "postgres"), Args: args, Log: s.path("log"), Dir: s.dir, User: owner,
				Orphaned: syscall.SIGQUIT, // "immediate": its children go too, and its shared memory
			})
		}
		s.ready = func(ctx context.Context) error {
			conn, err := pgx.Connect(ctx, s.url)
			if err != nil {
				return err
			}
			return conn.Close(ctx)
		}
		return nil
	})
}

const postgresPassword = "onebeat"

// initdb makes the data folder, owned by owner if that is not nil.
func initdb(s *Server, bin string, owner *syscall.Credential) error {
	data, password := s.path("data"), s.path("password")
	if err := os.WriteFile(password, []byte(postgresPassword), 0o644); err != nil {
		return err
	}
	if err := os.Mkdir(data, 0o700); err != nil {
		return err
	}
	if owner != nil {
		if err := os.Chown(data, int(owner.Uid), int(owner.Gid)); err != nil {
			return err
		}
	}
	cmd := exec.Command(filepath.Join(bin, "initdb"), "-D", data, "--no-sync", "-U", "onebeat",
		"--pwfile", password, "-A", "scram-sha-256", "-E", "UTF8", "--locale=C")
	cmd.Dir = s.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: owner}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return nil
}

// postgresBin returns the folder of the newest PostgreSQL's binaries: Debian
// keeps a folder a version, others have them on the PATH.
func postgresBin() (string, error) {
	bins, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(bins) > 0 {
		newest := slices.MaxFunc(bins, func(a, b string) int { return postgresVersion(a) - postgresVersion(b) })
		return filepath.Dir(newest), nil
	}
	initdb, err := exec.LookPath("initdb")
	if err != nil {
		return "", fmt.Errorf("PostgreSQL is not installed: run `make deps`")
	}
	return filepath.Dir(initdb), nil
}

func postgresVersion(initdb string) int {
	version, _ := strconv.Atoi(strings.Split(initdb, "/")[4])
	return version
}
